"""Single writes outside of a block, which pass the proxy without a task: all else must be as on the long way."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from tests.client.conftest import Connection, Server, prepared

pytestmark = pytest.mark.client

IDLE = psycopg.pq.TransactionStatus.IDLE


@pytest.fixture
def two(two: tuple[Connection, Connection]) -> tuple[Connection, Connection]:
    two[1].execute("SET lfsql.read_consistency = 'strong'")  # it is to see what the first has just written
    return two


@pytest.mark.parametrize("binary", [False, True])
def test_a_write_is_there_for_all_once_it_is_answered(
    two: tuple[Connection, Connection], table: str, binary: bool
) -> None:
    one, other = two
    cursor = one.cursor(binary=binary)
    for number in range(5):
        sql = f"INSERT INTO {table} VALUES (%s, %s) RETURNING id, n"
        assert cursor.execute(sql, (number, -number), prepare=True).fetchone() == (number, -number)
        assert one.info.transaction_status == IDLE
        assert one.execute(f"SELECT count(*) FROM {table}").fetchone() == (number + 1,)
    assert prepared(one, f"UPDATE {table} SET n = n + %s WHERE id < %s", 1, 3) == []
    assert one.execute(f"DELETE FROM {table} WHERE id = 4").rowcount == 1
    one.execute("BEGIN")
    one.execute("ROLLBACK")
    assert other.execute(f"SELECT sum(n) FROM {table}").fetchone() == (-3,)


def test_a_write_that_fails_leaves_the_session_idle(two: tuple[Connection, Connection], table: str) -> None:
    one, other = two
    insert = f"INSERT INTO {table} VALUES (%s, %s)"
    prepared(one, insert, 1, 1)
    for _ in range(2):
        with pytest.raises(psycopg.errors.UniqueViolation):
            prepared(one, insert, 1, 1)
        with pytest.raises(psycopg.errors.NotNullViolation):
            one.execute(f"UPDATE {table} SET n = NULL")
        assert one.info.transaction_status == IDLE
    assert other.execute(f"SELECT * FROM {table}").fetchall() == [(1, 1)]


def test_a_read_only_session_writes_nothing(two: tuple[Connection, Connection], table: str) -> None:
    one, _ = two
    insert = f"INSERT INTO {table} VALUES (%s, %s)"
    prepared(one, insert, 1, 1)
    one.execute("SET default_transaction_read_only = on")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        prepared(one, insert, 2, 2)
    one.execute("SET default_transaction_read_only = off")
    prepared(one, insert, 3, 3)
    assert one.execute(f"SELECT id FROM {table} ORDER BY id").fetchall() == [(1,), (3,)]


def test_a_write_follows_a_schema_that_another_changed(two: tuple[Connection, Connection], table: str) -> None:
    one, other = two
    insert = f"INSERT INTO {table} (id, n) VALUES (%s, %s)"
    prepared(one, insert, 1, 1)
    other.execute(f"ALTER TABLE {table} ADD COLUMN m int DEFAULT 7")
    prepared(one, insert, 2, 2)
    other.execute(f"ALTER TABLE {table} RENAME COLUMN n TO renamed")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        prepared(one, insert, 3, 3)
    assert other.execute(f"SELECT * FROM {table} ORDER BY id").fetchall() == [(1, 1, 7), (2, 2, 7)]


def test_a_write_that_waits_can_be_cancelled(two: tuple[Connection, Connection], table: str) -> None:
    one, other = two
    insert = f"INSERT INTO {table} VALUES (%s, %s)"
    prepared(other, insert, 1, 1)
    one.execute("BEGIN")
    prepared(one, insert, 2, 2)
    timer = threading.Timer(0.3, other.cancel)
    timer.start()
    with pytest.raises(psycopg.errors.QueryCanceled):
        prepared(other, insert, 3, 3)
    timer.join()
    one.execute("COMMIT")
    prepared(other, insert, 4, 4)
    assert other.execute(f"SELECT id FROM {table} ORDER BY id").fetchall() == [(1,), (2,), (4,)]


def test_a_client_that_left_while_its_write_waited_disturbs_nobody(
    server: Server, two: tuple[Connection, Connection], table: str
) -> None:
    one, other = two
    one.execute("BEGIN")
    one.execute(f"INSERT INTO {table} VALUES (1, 1)")
    leaving = psycopg.connect(server.dsn, autocommit=True)
    leaving.pgconn.send_query(f"INSERT INTO {table} VALUES (2, 2)".encode())
    time.sleep(0.2)  # until it waits at the primary; if it does not yet, the test is only easier to pass
    leaving.close()
    one.execute("COMMIT")
    other.execute("SET lock_timeout = '5s'")
    other.execute(f"INSERT INTO {table} VALUES (3, 3)")
    found = {row[0] for row in other.execute(f"SELECT id FROM {table}")}
    assert found in ({1, 3}, {1, 2, 3}), "what was sent may be carried out; nobody else is in its way"
