"""Every statement of `against_postgres/` gives what PostgreSQL 15 gives: names, types, values, or the SQLSTATE."""

from __future__ import annotations

from collections.abc import Iterator

import apsw
import psycopg
import pytest
from psycopg.pq import DiagnosticField, ExecStatus

from lfsql.errors import LfsqlError
from tests.sql.sqlite_side import Answer, lines, open_tables, planned, run

EXPRESSIONS = [
    line for name in ("expressions.sql", "expressions_text.sql", "expressions_structures.sql") for line in lines(name)
]


@pytest.fixture(scope="module")
def sqlite() -> Iterator[apsw.Connection]:
    connection = open_tables()
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def oracle(postgres_dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        for line in lines("schema.sql"):
            connection.execute(line.encode())
        yield connection
        connection.execute("DROP TABLE t, u, kv")


def asked(oracle: psycopg.Connection, text: str) -> Answer:
    result = oracle.pgconn.exec_(text.encode())
    if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        state = result.error_field(DiagnosticField.SQLSTATE) or b""
        message = result.error_field(DiagnosticField.MESSAGE_PRIMARY) or b""
        return Answer(sqlstate=state.decode(), message=message.decode())
    columns = range(result.nfields)

    def shown(row: int, column: int) -> str | None:
        value = result.get_value(row, column)
        return None if value is None else value.decode()

    return Answer(
        tuple((result.fname(column) or b"").decode() for column in columns),
        tuple(result.ftype(column) for column in columns),
        tuple(tuple(shown(row, column) for column in columns) for row in range(result.ntuples)),
    )


def assert_same(ours: Answer, theirs: Answer) -> None:
    assert ours.sqlstate == theirs.sqlstate, f"PostgreSQL: {theirs}, here: {ours}"
    assert (ours.names, ours.types, ours.rows) == (theirs.names, theirs.types, theirs.rows)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expression(expression: str, sqlite: apsw.Connection, oracle: psycopg.Connection) -> None:
    assert_same(run(sqlite, f"select {expression}"), asked(oracle, f"select {expression}"))


@pytest.mark.parametrize("query", lines("queries.sql"))
def test_query(query: str, sqlite: apsw.Connection, oracle: psycopg.Connection) -> None:
    assert_same(run(sqlite, query), asked(oracle, query))


@pytest.mark.parametrize("statement", lines("parameters.sql"))
def test_parameters(statement: str, oracle: psycopg.Connection) -> None:
    """Describe gives the same types of parameters and columns, or Parse the same SQLSTATE."""
    prepared = oracle.pgconn.prepare(b"", statement.encode())
    if prepared.status != ExecStatus.COMMAND_OK:
        with pytest.raises(LfsqlError) as raised:
            planned(statement)
        assert raised.value.sqlstate == (prepared.error_field(DiagnosticField.SQLSTATE) or b"").decode()
        return
    translation = planned(statement)
    described = oracle.pgconn.describe_prepared(b"")
    assert translation.parameters == tuple(described.param_type(at) for at in range(described.nparams))
    columns = range(described.nfields)
    assert [(column.oid, column.typmod) for column in translation.columns] == [
        (described.ftype(at), described.fmod(at)) for at in columns
    ]
    assert [column.attnum for column in translation.columns] == [described.ftablecol(at) for at in columns]


@pytest.mark.parametrize("change", lines("changes.sql"))
def test_change(change: str, sqlite: apsw.Connection, oracle: psycopg.Connection) -> None:
    """The answer is the same, and so are the tables afterwards."""
    sqlite.execute("SAVEPOINT change")
    oracle.execute("BEGIN")
    try:
        theirs = asked(oracle, change)
        assert_same(run(sqlite, change), theirs)
        if not theirs.sqlstate:
            for table in ("kv order by k", "t order by id"):
                assert run(sqlite, f"select * from {table}").rows == asked(oracle, f"select * from {table}").rows
    finally:
        sqlite.execute("ROLLBACK TO change; RELEASE change")
        oracle.execute("ROLLBACK")
