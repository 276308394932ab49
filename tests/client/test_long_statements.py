"""How deep and how long a statement may be, and what is said of one that is deeper."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

DEEP = [
    f"SELECT {'(' * 190}1{')' * 190}",
    f"SELECT {'abs(' * 190}1{')' * 190}",
    f"SELECT {'CASE WHEN true THEN ' * 95}1{' END' * 95}",
    f"SELECT * FROM {'(SELECT * FROM ' * 60}(SELECT 1) AS s{') AS s' * 60}",
    f"SELECT {' + '.join(['x'] * 800)} - 799 FROM (VALUES (1)) AS v (x)",
    f"SELECT 1 WHERE {' AND '.join(f'{n} < 5000' for n in range(4000))}",
]


@pytest.mark.parametrize("statement", DEEP, ids=["parentheses", "calls", "case", "queries", "sum", "conditions"])
def test_a_deep_statement_is_answered(autocommit: psycopg.Connection, statement: str) -> None:
    assert autocommit.execute(statement.encode()).fetchall() == [(1,)]


@pytest.mark.usefixtures("lfsql_server")
def test_a_deeper_one_is_refused_and_the_session_goes_on(autocommit: psycopg.Connection) -> None:
    with pytest.raises(errors.StatementTooComplex):
        autocommit.execute(f"SELECT {'(' * 60_000}1{')' * 60_000}".encode())
    assert autocommit.execute("SELECT 1").fetchall() == [(1,)]
