"""Nobody waits for the writer longer than it said it would."""

from __future__ import annotations

import time

import psycopg
import pytest

from tests.client.conftest import Server

pytestmark = pytest.mark.client


@pytest.mark.parametrize(("setting", "sqlstate"), [("lock_timeout", "55P03"), ("statement_timeout", "57014")])
def test_waiting_for_another_transaction_is_bounded(server: Server, table: str, setting: str, sqlstate: str) -> None:
    with (
        psycopg.connect(server.dsn, autocommit=True) as holder,
        psycopg.connect(server.dsn, autocommit=True) as waiter,
    ):
        holder.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
        holder.execute(f"INSERT INTO {table} VALUES (1)")
        waiter.execute(f"SET {setting} = '300ms'")
        holder.execute("BEGIN")
        holder.execute(f"UPDATE {table} SET id = 2")
        started = time.monotonic()
        with pytest.raises(psycopg.Error) as caught:
            waiter.execute(f"UPDATE {table} SET id = 3")
        assert caught.value.sqlstate == sqlstate
        assert 0.25 < time.monotonic() - started < 3
        holder.execute("COMMIT")
        waiter.execute(f"UPDATE {table} SET id = id + 1")
        assert waiter.execute(f"SELECT id FROM {table}").fetchone() == (3,)
