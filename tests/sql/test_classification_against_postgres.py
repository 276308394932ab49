"""The tables' writes are PostgreSQL's: what it refuses in a READ ONLY transaction is what they call one.

So the tables cannot have been written off our own code.  Skipped without PostgreSQL 15.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.pq import DiagnosticField, ExecStatus

from tests.sql.classified import TABLES, Case, cases

READ_ONLY = "25006"

OURS = re.compile(
    r"""
      advisory_ | txid_current | pg_notify # the primary's business, though PostgreSQL changes no table
    | SELECT\ 1\ FOR\ UPDATE              # locks none of no rows
    | WHEN\ false\ THEN | coalesce\(1,    # never calls what would write
    | CONCURRENTLY                        # cannot be tried in a transaction
    | lfsql:                              # a comment to PostgreSQL
    """,
    re.VERBOSE,
)


def tried(case: Case) -> bool:
    return case.dialect == "postgresql" and len(case.expected) == 1 and not OURS.search(case.text)


def changes() -> list[Case]:
    found = [case for case in cases() if tried(case) and case.expected[0].kind in ("read", "write", "ddl")]
    return [case for case in found if "$1" not in case.text]  # parameters, which a text by itself has not


def misspelt() -> list[Case]:
    return [case for case in cases() if tried(case) and case.expected[0].route == "42601" and not case.unread]


@pytest.fixture(scope="module")
def postgres(postgres_dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA classification")
        connection.execute("SET search_path = classification, pg_catalog")
        for statement in TABLES.split(";"):
            connection.execute(statement.encode())
        yield connection
        connection.execute("DROP SCHEMA classification CASCADE")


def sqlstate(postgres: psycopg.Connection, text: str) -> str:
    """What becomes of a text in a READ ONLY transaction; '' when nothing is wrong."""
    postgres.execute("BEGIN READ ONLY")
    try:
        result = postgres.pgconn.exec_(text.replace("public.", "classification.").encode())
        failed = result.status == ExecStatus.FATAL_ERROR
        return (result.error_field(DiagnosticField.SQLSTATE) or b"").decode() if failed else ""
    finally:
        postgres.execute("ROLLBACK")


@pytest.mark.parametrize("case", changes(), ids=lambda case: case.place)
def test_a_write_is_what_postgres_takes_for_one(postgres: psycopg.Connection, case: Case) -> None:
    wanted = "" if case.expected[0].kind == "read" else READ_ONLY
    assert sqlstate(postgres, case.text) == wanted, case.text


@pytest.mark.parametrize("case", misspelt(), ids=lambda case: case.place)
def test_no_sql_is_none_there_either(postgres: psycopg.Connection, case: Case) -> None:
    assert sqlstate(postgres, case.text) == "42601", case.text
