"""What stands together outside of a block is done together, or undone together."""

from __future__ import annotations

import psycopg
import pytest

from tests.client.conftest import Server

pytestmark = pytest.mark.client


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("BEGIN; INSERT INTO {t} VALUES (1); ROLLBACK", []),
        ("INSERT INTO {t} VALUES (1); SELECT 1/0", []),
        ("INSERT INTO {t} VALUES (1); INSERT INTO {t} VALUES (2); SELECT no_such_column", []),
        ("INSERT INTO {t} VALUES (1); ROLLBACK; INSERT INTO {t} VALUES (2)", [2]),
        ("INSERT INTO {t} VALUES (1); BEGIN; INSERT INTO {t} VALUES (2); ROLLBACK", []),
        ("INSERT INTO {t} VALUES (1); COMMIT; INSERT INTO {t} VALUES (2); SELECT 1/0", [1]),
        ("INSERT INTO {t} VALUES (1); INSERT INTO {t} VALUES (1)", []),
        ("INSERT INTO {t} VALUES (1); SELECT count(*) FROM {t}; SELECT 1/0", []),
        ("INSERT INTO {t} VALUES (1); INSERT INTO {t} VALUES (2)", [1, 2]),
    ],
)
def test_a_text_of_several_statements(autocommit: psycopg.Connection, table: str, text: str, left: list[int]) -> None:
    autocommit.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
    autocommit.pgconn.exec_(text.format(t=table).encode())
    rows = autocommit.execute(f"SELECT id FROM {table} ORDER BY id").fetchall()
    assert [row[0] for row in rows] == left


@pytest.mark.parametrize("failing", ["SELECT 1/0", "SELECT no_such_column", "SAVEPOINT s", "SELECT 'x'::int"])
def test_a_pipeline_that_fails(server: Server, table: str, failing: str) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
        with pytest.raises(psycopg.Error), connection.pipeline():
            connection.execute(f"INSERT INTO {table} VALUES (1)")
            connection.execute(failing)
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_a_savepoint_brings_back_the_schema(autocommit: psycopg.Connection, table: str) -> None:
    autocommit.execute(f"CREATE TABLE {table} (id int)")
    for statement in ("BEGIN", "SAVEPOINT s", f"DROP TABLE {table}", "ROLLBACK TO s"):
        autocommit.execute(statement)
    assert autocommit.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    for statement in ("SAVEPOINT s", f"CREATE TABLE {table}_2 (id int)", "ROLLBACK TO s"):
        autocommit.execute(statement)
    autocommit.execute(f"CREATE TABLE {table}_2 (id int, name text)")
    autocommit.execute("ROLLBACK")
