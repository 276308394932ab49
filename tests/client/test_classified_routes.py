"""The tables of `tests/sql/classification` as a running proxy has them: EXPLAIN (ROUTE) of each statement."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest

from tests.client.conftest import Server
from tests.sql.classified import TABLES, Case, cases

pytestmark = pytest.mark.client

ROUTES = {
    "any": ("replica ", "primary "),
    "primary": ("primary ",),
    "session": ("this session", "this proxy"),
}


def asked() -> list[Case]:
    """Those of one statement that is taken.  EXPLAIN of EXPLAIN would tell of the statement inside."""
    found = [case for case in cases() if case.dialect == "postgresql" and len(case.expected) == 1]
    return [
        case
        for case in found
        if case.expected[0].kind not in ("refused", "empty")
        and "$1" not in case.text
        and not case.text.upper().startswith("EXPLAIN")
    ]


@pytest.fixture(scope="module")
def connection(server: Server) -> Iterator[psycopg.Connection]:
    if server.tier is None:
        pytest.skip("LFSQL_TEST_DSN: a test of lfsql's own")
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(TABLES.encode())
        yield connection
        connection.execute('DROP TABLE t, u, "select" CASCADE; DROP SEQUENCE s')


def test_every_statement_goes_where_its_table_says(connection: psycopg.Connection) -> None:
    wrong = []
    for case in asked():
        row = connection.execute(f"EXPLAIN (ROUTE, FORMAT json) {case.text}".encode()).fetchone()
        assert row is not None
        told = row[0][0] if isinstance(row[0], list) else json.loads(row[0])[0]
        expected = case.expected[0]
        if not told["Route"].startswith(ROUTES[expected.route]):
            wrong.append((case.place, case.text, expected, told["Route"]))
        # Of a statement inside of another the kind is that of the one inside.
        if expected.kind != "utility" and told["Kind"] != expected.kind:
            wrong.append((case.place, case.text, expected, told["Kind"]))
    assert not wrong, wrong
    assert len(asked()) > 400
