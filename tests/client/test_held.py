"""Transactions that hold the writer: what the short way through the proxy must do as well as the long one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lfsql.testing.cluster import Tier, running_tier
from tests.client.conftest import Connection, Server, prepared

pytestmark = pytest.mark.client


@pytest.fixture
def two(two: tuple[Connection, Connection], table: str) -> tuple[Connection, Connection]:
    """With ten rows."""
    two[0].execute(f"INSERT INTO {table} SELECT i, 0 FROM generate_series(1, 10) AS s (i)")
    return two


@pytest.mark.parametrize("binary", [False, True])
def test_statements_of_a_transaction_see_each_other(
    two: tuple[Connection, Connection], table: str, binary: bool
) -> None:
    one, other = two
    one.execute("BEGIN")
    for value in (1, 2, 3):
        prepared(one, f"UPDATE {table} SET n = %s WHERE id <= %s", value, value)
    cursor = one.cursor(binary=binary)
    assert cursor.execute(f"SELECT n FROM {table} WHERE id < 5 ORDER BY id", prepare=True).fetchall() == [
        (3,),
        (3,),
        (3,),
        (0,),
    ]
    assert prepared(one, f"DELETE FROM {table} WHERE id > %s RETURNING id", 9) == [(10,)]
    assert other.execute(f"SELECT count(*), sum(n) FROM {table}").fetchone() == (10, 0)
    one.execute("COMMIT", prepare=True)
    assert one.execute(f"SELECT count(*), sum(n) FROM {table}").fetchone() == (9, 9)
    one.execute("BEGIN")
    prepared(one, f"UPDATE {table} SET n = %s WHERE id <= %s", 100, 9)
    one.execute("ROLLBACK", prepare=True)
    assert one.execute(f"SELECT sum(n) FROM {table}").fetchone() == (9,)


def test_a_failed_statement_fails_the_transaction_alone(two: tuple[Connection, Connection], table: str) -> None:
    one, other = two
    for _ in range(3):
        one.execute("BEGIN")
        prepared(one, f"UPDATE {table} SET n = %s WHERE id = %s", 7, 1)
        with pytest.raises(psycopg.errors.UniqueViolation):
            prepared(one, f"INSERT INTO {table} VALUES (%s, %s)", 1, 1)
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            prepared(one, f"UPDATE {table} SET n = %s WHERE id = %s", 7, 1)
        prepared(other, f"UPDATE {table} SET n = n + %s WHERE id = %s", 1, 2)  # the writer is free again
        one.execute("COMMIT")
    assert other.execute(f"SELECT id, n FROM {table} WHERE n <> 0").fetchall() == [(2, 3)]


def test_a_savepoint_brings_it_back(two: tuple[Connection, Connection], table: str) -> None:
    one, _ = two
    one.execute("BEGIN")
    prepared(one, f"UPDATE {table} SET n = %s WHERE id = %s", 7, 1)
    one.execute("SAVEPOINT before")
    with pytest.raises(psycopg.errors.NotNullViolation):
        prepared(one, f"UPDATE {table} SET n = %s WHERE id = %s", None, 1)
    one.execute("ROLLBACK TO before")
    prepared(one, f"UPDATE {table} SET n = n + %s WHERE id = %s", 1, 1)
    one.execute("COMMIT", prepare=True)
    assert one.execute(f"SELECT n FROM {table} WHERE id = 1").fetchone() == (8,)


def test_a_commit_that_fails_ends_the_transaction(two: tuple[Connection, Connection], table: str) -> None:
    one, other = two
    one.execute(
        f"CREATE TABLE {table}_child (id int PRIMARY KEY,"
        f" parent int REFERENCES {table} (id) DEFERRABLE INITIALLY DEFERRED)"
    )
    for _ in range(3):
        one.execute("BEGIN")
        prepared(one, f"INSERT INTO {table}_child VALUES (%s, %s)", 1, 999)
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            one.execute("COMMIT", prepare=True)
        assert one.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        prepared(other, f"UPDATE {table} SET n = %s", 1)
    assert one.execute(f"SELECT count(*) FROM {table}_child").fetchone() == (0,)
    one.execute(f"DROP TABLE {table}_child")


def test_settings_of_the_transaction_end_with_it(two: tuple[Connection, Connection], table: str) -> None:
    one, _ = two
    one.execute("BEGIN")
    one.execute("SET LOCAL application_name = 'for a while'")
    prepared(one, f"UPDATE {table} SET n = %s", 1)
    assert one.info.parameter_status("application_name") == "for a while"
    one.execute("COMMIT", prepare=True)
    assert one.info.parameter_status("application_name") == ""


def test_a_write_that_waits_can_be_cancelled(two: tuple[Connection, Connection], table: str) -> None:
    one, other = two
    one.execute("BEGIN")
    prepared(one, f"UPDATE {table} SET n = %s", 1)
    other.execute("BEGIN")
    timer = threading.Timer(0.3, other.cancel)
    timer.start()
    with pytest.raises(psycopg.errors.QueryCanceled):
        prepared(other, f"UPDATE {table} SET n = %s WHERE id = %s", 2, 1)
    timer.join()
    other.execute("ROLLBACK")
    one.execute("COMMIT", prepare=True)
    assert one.execute(f"SELECT sum(n) FROM {table}").fetchone() == (10,)


def test_a_client_that_left_while_it_waited_holds_nothing(
    server: Server, two: tuple[Connection, Connection], table: str
) -> None:
    one, other = two
    one.execute("BEGIN")
    prepared(one, f"UPDATE {table} SET n = %s", 1)
    leaving = psycopg.connect(server.dsn, autocommit=True)
    leaving.execute("BEGIN")
    leaving.pgconn.send_query(f"UPDATE {table} SET n = 5".encode())
    time.sleep(0.2)  # until it waits at the primary; if it does not yet, the test is only easier to pass
    leaving.close()
    one.execute("COMMIT", prepare=True)
    other.execute("SET lock_timeout = '5s'")
    assert prepared(other, f"UPDATE {table} SET n = n + %s WHERE id = %s RETURNING n", 1, 1) == [(2,)]


def test_idleness_is_counted_from_the_last_statement(two: tuple[Connection, Connection], table: str) -> None:
    one, other = two
    one.execute("SET idle_in_transaction_session_timeout = '600ms'")
    one.execute("BEGIN")
    for value in range(5):
        prepared(one, f"UPDATE {table} SET n = %s", value)
        time.sleep(0.25)
    one.execute("COMMIT", prepare=True)
    one.execute("BEGIN")
    prepared(one, f"UPDATE {table} SET n = %s", 99)
    time.sleep(1.2)
    with pytest.raises(psycopg.Error, match="idle-in-transaction timeout"):
        prepared(one, f"UPDATE {table} SET n = %s", 98)
    assert one.closed
    assert prepared(other, f"UPDATE {table} SET n = n RETURNING n") == [(4,)] * 10


@pytest.fixture
def tier(tmp_path: Path) -> Iterator[Tier]:
    with running_tier(tmp_path / "data") as running:
        yield running


def test_a_transaction_whose_primary_dies_can_be_run_again(tier: Tier) -> None:
    with psycopg.connect(tier.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, n int)")
        connection.execute("INSERT INTO t VALUES (1, 0)")
        for _ in range(2):  # so that both statements are prepared
            connection.execute("BEGIN")
            prepared(connection, "UPDATE t SET n = n + %s", 1)
            connection.execute("COMMIT", prepare=True)
        connection.execute("BEGIN")
        prepared(connection, "UPDATE t SET n = n + %s", 1)
        tier.kill(str(tier.primary()["name"]))
        with pytest.raises(psycopg.errors.SerializationFailure):
            prepared(connection, "UPDATE t SET n = n + %s", 1)
        connection.execute("ROLLBACK")
        connection.execute("BEGIN")
        prepared(connection, "UPDATE t SET n = n + %s", 1)
        connection.execute("COMMIT", prepare=True)
        assert connection.execute("SELECT n FROM t").fetchone() == (3,)
