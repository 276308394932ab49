"""Nobody waits for the writer longer than it said it would."""

from __future__ import annotations

import contextlib
import select
import time
from pathlib import Path

import psycopg
import pytest

from tests.client.conftest import Server
from tests.client.raw import SYNC, Raw, bind, message
from tests.client.second_proxy import elsewhere

pytestmark = pytest.mark.client


@pytest.mark.parametrize(
    "statements",
    [
        ("BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ", "SELECT id FROM {t}"),
        ("BEGIN", "DECLARE c CURSOR FOR SELECT * FROM generate_series(1, 100000)", "FETCH c"),
    ],
)
def test_an_idle_transaction_gives_its_reader_back(server: Server, table: str, statements: tuple[str, ...]) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as idle:
        idle.execute(f"CREATE TABLE {table} (id int)")
        idle.execute("SET idle_in_transaction_session_timeout = '300ms'")
        for statement in statements:
            idle.execute(statement.format(t=table))
        assert select.select([idle.fileno()], [], [], 5)[0], "the server says something"
        with pytest.raises(psycopg.Error) as caught:
            idle.execute("SELECT 1")
        assert caught.value.sqlstate == "25P03"


def test_an_idle_session_ends(server: Server) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as idle:
        idle.execute("SET idle_session_timeout = '500ms'")
        until = time.monotonic() + 1.2
        while time.monotonic() < until:  # one that is not idle lives on, however its statements are answered
            assert idle.execute("SELECT %s::int", (1,)).fetchone() == (1,)
        idle.execute("BEGIN")
        assert not select.select([idle.fileno()], [], [], 1.2)[0], "a transaction is no idle session"
        idle.execute("COMMIT")
        assert select.select([idle.fileno()], [], [], 5)[0], "the server says something"
        with pytest.raises(psycopg.Error) as caught:
            idle.execute("SELECT 1")
        assert caught.value.sqlstate == "57P05"


@pytest.mark.parametrize(
    "statements",
    [("BEGIN",), ("BEGIN", "SELECT 1"), ("BEGIN", "SELECT nope"), ("BEGIN", "SAVEPOINT s", "SELECT 1/0", "SELECT 1")],
)
def test_a_transaction_that_keeps_nothing_may_not_idle_either(server: Server, statements: tuple[str, ...]) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as idle:
        idle.execute("SET idle_in_transaction_session_timeout = '300ms'")
        for statement in statements:
            with contextlib.suppress(psycopg.Error):
                idle.execute(statement)
        assert select.select([idle.fileno()], [], [], 5)[0], "the server says something"
        with pytest.raises(psycopg.Error) as caught:
            idle.execute("SELECT 1")
        assert caught.value.sqlstate == "25P03"


@pytest.mark.parametrize("setting", ["idle_in_transaction_session_timeout", "idle_session_timeout"])
@pytest.mark.parametrize("begin", [False, True])
def test_an_open_pipeline_is_not_idle(server: Server, raw: Raw, setting: str, begin: bool) -> None:
    for statement in (f"SET {setting} = '200ms'", *(("BEGIN",) if begin else ())):
        raw.send(message(b"Q", f"{statement}\0".encode()))
        raw.until(b"Z")
    select_one = message(b"P", b"\0SELECT 1\0\0\0") + bind(b"") + message(b"E", b"\0\0\0\0\0")
    raw.send(select_one + message(b"H"))
    raw.until(b"C")
    assert not select.select([raw.socket], [], [], 0.6)[0], "no idle session, and no idle transaction"
    raw.send(SYNC)
    raw.until(b"Z")
    ends = begin == (setting == "idle_in_transaction_session_timeout")
    assert bool(select.select([raw.socket], [], [], 5 if ends else 0.6)[0]) is ends


def test_idle_readers_keep_nobody_from_reading(server: Server, autocommit: psycopg.Connection, table: str) -> None:
    """More of them than a node has threads for reads."""
    long = "SELECT count(*) FROM generate_series(1, 200000)"
    autocommit.execute(f"CREATE TABLE {table} (id int)")
    with contextlib.ExitStack() as stack:
        for _ in range(16):
            idle = stack.enter_context(psycopg.connect(server.dsn, autocommit=True))
            idle.execute("BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ")
            idle.execute(f"SELECT id FROM {table}")
        reader = stack.enter_context(psycopg.connect(server.dsn, autocommit=True))
        reader.execute("SET statement_timeout = '5s'")
        assert reader.execute(long).fetchone() == (200_000,)


def test_lock_timeout_does_not_bound_what_a_statement_does_with_the_writer(
    autocommit: psycopg.Connection, table: str
) -> None:
    autocommit.execute(f"CREATE TABLE {table} (n bigint)")
    autocommit.execute("SET lock_timeout = '250ms'")
    began = time.monotonic()
    autocommit.execute(f"INSERT INTO {table} SELECT count(length(md5(g::text))) FROM generate_series(1, 900000) AS g")
    assert time.monotonic() - began > 0.25


@pytest.mark.parametrize(
    "asked", ["BEGIN; SELECT * FROM {0} FOR UPDATE NOWAIT", "BEGIN; LOCK TABLE {0} IN EXCLUSIVE MODE NOWAIT"]
)
def test_who_will_not_wait_is_told_at_once(server: Server, table: str, asked: str) -> None:
    with (
        psycopg.connect(server.dsn, autocommit=True) as holder,
        psycopg.connect(server.dsn, autocommit=True) as hasty,
    ):
        holder.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
        holder.execute(f"INSERT INTO {table} VALUES (1)")
        begin, _, ask = asked.format(table).partition("; ")
        hasty.execute(begin)
        hasty.execute(ask)
        hasty.execute("COMMIT")
        holder.execute("BEGIN")
        holder.execute(f"UPDATE {table} SET id = 2")
        hasty.execute(begin)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            hasty.execute(ask)
        hasty.execute("ROLLBACK")
        holder.execute("COMMIT")


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


def test_it_is_told_which_limit_ended_a_read_over_a_link(lfsql_server: Server, tmp_path: Path) -> None:
    assert lfsql_server.tier is not None
    with elsewhere(lfsql_server.tier, tmp_path) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET statement_timeout = '100ms'")
        for begun in ("", "BEGIN READ ONLY; "):
            with pytest.raises(psycopg.errors.QueryCanceled, match="canceling statement due to statement timeout"):
                connection.execute(f"{begun}SELECT count(length(md5(g::text))) FROM generate_series(1, 3000000) AS g")
            connection.execute("ROLLBACK")
