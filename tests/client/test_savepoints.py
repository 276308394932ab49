"""Savepoints after errors that undo more than the statement: a COMMIT never claims what is gone."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from tests.client.conftest import Server

pytestmark = pytest.mark.client


@pytest.fixture
def session(lfsql_server: Server, table: str) -> Iterator[psycopg.Connection]:
    """With a table (id), of many rows below 0."""
    with psycopg.connect(lfsql_server.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, n int)")
        connection.execute(f"INSERT INTO {table} SELECT -n, 0 FROM generate_series(1, 3000) AS g (n)")
        yield connection


def stop_a_write(connection: psycopg.Connection, table: str) -> None:
    """SQLite rolls the whole transaction back."""
    connection.execute("SET LOCAL statement_timeout = '50ms'")
    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute(
            f"UPDATE {table} SET n = (SELECT count(*) FROM {table} a, {table} b WHERE a.id < b.id + {table}.id)"
        )


def kept(connection: psycopg.Connection, table: str) -> list[int]:
    return [row[0] for row in connection.execute(f"SELECT id FROM {table} WHERE id > 0 ORDER BY id")]


def test_a_savepoint_after_a_write_that_is_gone_is_gone_too(session: psycopg.Connection, table: str) -> None:
    session.execute("BEGIN")
    session.execute(f"INSERT INTO {table} VALUES (1)")
    session.execute("SAVEPOINT a")
    stop_a_write(session, table)
    for _ in range(2):
        with pytest.raises(psycopg.errors.SerializationFailure):
            session.execute("ROLLBACK TO a")
    assert session.execute("COMMIT").statusmessage == "ROLLBACK"
    assert session.info.transaction_status == TransactionStatus.IDLE
    assert kept(session, table) == []


def test_a_savepoint_before_all_writes_holds(session: psycopg.Connection, table: str) -> None:
    session.execute("BEGIN")
    session.execute("SAVEPOINT a")
    session.execute(f"INSERT INTO {table} VALUES (1)")
    session.execute("SAVEPOINT b")
    stop_a_write(session, table)
    with pytest.raises(psycopg.errors.SerializationFailure):
        session.execute("ROLLBACK TO b")
    session.execute("ROLLBACK TO a")
    session.execute(f"INSERT INTO {table} VALUES (2)")
    session.execute("ROLLBACK TO a")
    session.execute(f"INSERT INTO {table} VALUES (3)")
    session.execute("RELEASE a")
    session.execute("COMMIT")
    assert kept(session, table) == [3]


def test_a_savepoint_before_a_write_that_was_not_let_in_holds(
    session: psycopg.Connection, lfsql_server: Server, table: str
) -> None:
    with psycopg.connect(lfsql_server.dsn) as other:
        other.execute(f"INSERT INTO {table} VALUES (9)")
        session.execute("BEGIN")
        session.execute("SAVEPOINT a")
        session.execute("SET LOCAL lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            session.execute(f"INSERT INTO {table} VALUES (1)")
        other.rollback()
    session.execute("ROLLBACK TO a")
    session.execute(f"INSERT INTO {table} VALUES (2)")
    session.execute("RELEASE a")
    session.execute("COMMIT")
    assert kept(session, table) == [2]


def test_savepoints_that_are_released_before_the_first_write_leave_nothing(
    session: psycopg.Connection, table: str
) -> None:
    session.execute("BEGIN; SAVEPOINT a; SAVEPOINT b; RELEASE a; SAVEPOINT c; SAVEPOINT d; ROLLBACK TO c")
    session.execute(f"INSERT INTO {table} VALUES (1)")
    for gone in ("a", "b", "d"):
        session.execute("SAVEPOINT e")
        with pytest.raises(psycopg.errors.InvalidSavepointSpecification):
            session.execute(f"ROLLBACK TO {gone}")
        session.execute("ROLLBACK TO e")
    session.execute("ROLLBACK TO c")
    session.execute("COMMIT")
    assert kept(session, table) == []
