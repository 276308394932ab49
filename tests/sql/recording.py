"""What PostgreSQL 15 answers to every statement of `against_postgres/`, kept in `recorded.json`.

The recording is what the tests compare with, so that they need no server; a test of its own holds the recording
against a live one.  To record anew: `python -m tests.sql.recording 'host=... user=postgres'`.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from typing import Any

import psycopg
from psycopg.pq import DiagnosticField, ExecStatus

from tests.sql.sqlite_side import DIRECTORY, Answer, lines

FILE = DIRECTORY / "recorded.json"
STATES = ("select * from kv order by k", "select * from t order by id")
"""The tables after a change."""


def expressions() -> list[str]:
    names = ("expressions.sql", "expressions_text.sql", "expressions_structures.sql")
    return [f"select {line}" for name in names for line in lines(name)]


@cache
def recorded() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(FILE.read_text())
    return loaded


def as_answer(fields: dict[str, Any]) -> Answer:
    return Answer(
        tuple(fields["names"]),
        tuple(fields["types"]),
        tuple(tuple(row) for row in fields["rows"]),
        fields["sqlstate"],
    )


def _as_fields(answer: Answer) -> dict[str, Any]:
    return {
        "names": list(answer.names),
        "types": list(answer.types),
        "rows": [list(row) for row in answer.rows],
        "sqlstate": answer.sqlstate,
    }


def asked(oracle: psycopg.Connection, text: str) -> Answer:
    """PostgreSQL's answer in text format."""
    result = oracle.pgconn.exec_(text.encode())
    if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        return Answer(sqlstate=(result.error_field(DiagnosticField.SQLSTATE) or b"").decode())
    columns = range(result.nfields)

    def shown(row: int, column: int) -> str | None:
        value = result.get_value(row, column)
        return None if value is None else value.decode()

    return Answer(
        tuple((result.fname(column) or b"").decode() for column in columns),
        tuple(result.ftype(column) for column in columns),
        tuple(tuple(shown(row, column) for column in columns) for row in range(result.ntuples)),
    )


def _changed(oracle: psycopg.Connection, text: str) -> dict[str, Any]:
    oracle.execute("BEGIN")
    try:
        answer = asked(oracle, text)
        states = [] if answer.sqlstate else [_as_fields(asked(oracle, state))["rows"] for state in STATES]
        return _as_fields(answer) | {"states": states}
    finally:
        oracle.execute("ROLLBACK")


def _described(oracle: psycopg.Connection, text: str) -> dict[str, Any]:
    prepared = oracle.pgconn.prepare(b"", text.encode())
    if prepared.status != ExecStatus.COMMAND_OK:
        return {"sqlstate": (prepared.error_field(DiagnosticField.SQLSTATE) or b"").decode()}
    described = oracle.pgconn.describe_prepared(b"")
    return {
        "sqlstate": "",
        "parameters": [described.param_type(at) for at in range(described.nparams)],
        "columns": [
            [described.ftype(at), described.fmod(at), described.ftablecol(at)] for at in range(described.nfields)
        ],
    }


def record(dsn: str) -> dict[str, Any]:
    """Everything anew, in tables that are dropped afterwards."""
    with psycopg.connect(dsn, autocommit=True) as oracle:
        oracle.execute("SET timezone = 'UTC'")
        oracle.execute("DROP TABLE IF EXISTS t, u, kv")
        for line in lines("schema.sql"):
            oracle.execute(line.encode())
        try:
            return {
                "answers": {
                    text: _as_fields(asked(oracle, text)) for text in [*expressions(), *lines("queries.sql")]
                },
                "changes": {text: _changed(oracle, text) for text in lines("changes.sql")},
                "parameters": {text: _described(oracle, text) for text in lines("parameters.sql")},
            }
        finally:
            oracle.execute("DROP TABLE t, u, kv")


if __name__ == "__main__":
    FILE.write_text(json.dumps(record(sys.argv[1]), indent=0, ensure_ascii=False) + "\n")
