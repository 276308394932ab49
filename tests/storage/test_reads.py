"""Reads through trio on a real file, while an engine writes it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest
import trio
import trio.testing

from lfsql.core.ids import Position
from lfsql.core.requests import Run, RunMany
from lfsql.errors import (
    ConfigError,
    DataCorrupted,
    Diverged,
    InsufficientPrivilege,
    InvalidEncoding,
    QueryCanceled,
    QueueFull,
    ReadOnlyTransaction,
    UndefinedCursor,
    UndefinedTable,
)
from lfsql.storage.engine import Engine
from lfsql.storage.reads import CATALOGS, LocalReads

ENDLESS = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"
MANY = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT ?1) SELECT x FROM c"


class Writer:
    def __init__(self, path: Path) -> None:
        self.engine = Engine(path)

    def execute(self, *statements: str) -> None:
        engine = self.engine
        engine.begin()
        engine.open_unit("c", engine.position.index + 1, 1, 1)
        for sql in statements:
            engine.run(Run(sql))
        engine.close_unit()
        index = engine.position.index + 1
        engine.commit(Position(index, 1, b"h" * 16), [index])


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[Writer]:
    writer = Writer(tmp_path / "data.db")
    writer.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b text)", "INSERT INTO t VALUES (1, 'one'), (2, 'two')")
    yield writer
    writer.engine.close()


@pytest.fixture
async def reads(tmp_path: Path, writer: Writer) -> AsyncIterator[LocalReads]:
    async with LocalReads(tmp_path / "data.db", snapshot_age_ms_max=0.0, threads_max=2, readers_max=2) as reads:
        yield reads


async def test_a_snapshot_knows_its_index_and_stands_still(tmp_path: Path, writer: Writer) -> None:
    async with LocalReads(tmp_path / "data.db", snapshot_age_ms_max=3_600_000) as reads:
        assert reads.position() == (1, 1)
        writer.execute("UPDATE t SET b = 'changed'")
        assert reads.try_inline("SELECT b FROM t WHERE a = ?1", (1,)) == [("one",)]
        assert reads.position() == (1, 1)
        assert reads.refresh() == (2, 1)
        assert reads.try_inline("SELECT b FROM t WHERE a = ?1", (1,)) == [("changed",)]


async def test_position_renews_a_snapshot_that_is_too_old(reads: LocalReads, writer: Writer) -> None:
    assert reads.position() == (1, 1)
    writer.execute("ALTER TABLE t ADD COLUMN c")
    assert reads.position() == (2, 2)
    assert reads.try_inline("SELECT * FROM t WHERE a = 2") == [(2, "two", None)]


async def test_an_idle_snapshot_is_released_so_that_the_wal_can_be_recycled(tmp_path: Path, writer: Writer) -> None:
    async with LocalReads(tmp_path / "data.db", snapshot_age_ms_max=3_600_000) as reads:
        reads.position()
        writer.execute("UPDATE t SET b = 'x'")
        busy = writer.engine.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        assert busy[0] > busy[1], "a snapshot that is open holds the checkpoint back"
        with trio.fail_after(10):
            while reads._reader.in_snapshot:  # noqa: ASYNC110 - the release tells nobody, as nobody else waits for it
                await trio.sleep(0.001)
        wal = writer.engine.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        assert wal[0] == wal[1]
        assert reads.position() == (2, 1)


@pytest.mark.parametrize(
    "sql", [ENDLESS, "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x FROM c) SELECT x FROM c"]
)
async def test_a_long_read_goes_over_the_inline_budget(reads: LocalReads, sql: str) -> None:
    assert reads.try_inline(sql) is None
    assert reads.try_inline("SELECT b FROM t WHERE a = 1") == [("one",)]


async def test_many_rows_and_many_bytes_go_over_the_inline_budget(reads: LocalReads) -> None:
    assert len(reads.try_inline(MANY, (500,)) or ()) == 500
    assert reads.try_inline(MANY, (501,)) is None
    assert len(reads.try_inline("SELECT ?1 FROM (VALUES (1), (2), (3), (4))", (bytes(200_000),)) or ()) == 4
    assert reads.try_inline("SELECT ?1 FROM (VALUES (1), (2), (3), (4), (5), (6))", (bytes(200_000),)) is None
    assert reads._reader.in_snapshot


async def test_what_one_instruction_may_take_long_for_is_not_run_inline(reads: LocalReads, writer: Writer) -> None:
    writer.execute("CREATE TABLE large (a INTEGER PRIMARY KEY, b text)")
    writer.execute("INSERT INTO large VALUES (1, 'small'), (2, replace(printf('%100000d', 0), ' ', 'é'))")
    reads.refresh()
    assert reads.try_inline("SELECT repeat('a', 3)") is None
    lowered, plain = "SELECT lfsql_lower(b) FROM large WHERE a = ?1", "SELECT b FROM large WHERE a = ?1"
    assert reads.try_inline(lowered, (1,)) == [("small",)]
    assert reads.try_inline(lowered, (2,)) is None
    assert len(str((reads.try_inline(plain, (2,)) or [("",)])[0][0])) == 100_000
    assert reads.try_inline("SELECT ?1", (bytes(3 << 20),)) is None
    cursor = await reads.open_cursor(lowered, (2,))
    assert len(str((await cursor.fetch())[0][0][0])) == 100_000
    await cursor.aclose()


async def test_a_limit_on_inline_values_does_not_stay_for_threads(reads: LocalReads, writer: Writer) -> None:
    writer.execute("CREATE TABLE large (b text)")
    writer.execute("INSERT INTO large SELECT printf('%100000d', 0) FROM (VALUES (1), (2), (3))")
    transaction = await reads.open_transaction()
    cursor = await transaction.open_cursor("SELECT b FROM large")
    assert len((await cursor.fetch(1))[0]) == 1
    assert transaction.try_inline("SELECT abs(-1)") == [(1,)]
    assert len((await cursor.fetch())[0]) == 2
    await transaction.aclose()


async def test_a_cached_statement_gets_its_whole_budget_each_time(reads: LocalReads) -> None:
    # SQLite counts steps over a statement's life: the handler is called now and then for one that is short.
    for _ in range(2000):
        assert reads.try_inline("SELECT count(*) FROM t") == [(2,)]


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (3, 'x')",
        "UPDATE t SET b = 'x' RETURNING a",
        "CREATE TABLE u (a)",
        "CREATE TABLE pg_catalog.u (a)",
        "DROP TABLE t",
        "ANALYZE",
        "WITH x AS (SELECT 1) DELETE FROM t",
    ],
)
async def test_a_write_is_refused_before_any_effect(reads: LocalReads, sql: str) -> None:
    with pytest.raises(ReadOnlyTransaction):
        reads.try_inline(sql)
    with pytest.raises(ReadOnlyTransaction):
        await reads.open_cursor(sql)
    assert reads.try_inline("SELECT count(*) FROM t") == [(2,)]


@pytest.mark.parametrize(
    "sql", ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT x", "ATTACH ':memory:' AS x", "PRAGMA query_only=OFF", "VACUUM"]
)
async def test_the_connection_cannot_be_turned_against_us(reads: LocalReads, sql: str) -> None:
    reads.position()
    with pytest.raises((InsufficientPrivilege, ReadOnlyTransaction)):
        reads.try_inline(sql)
    assert reads._reader.in_snapshot


async def test_errors_leave_the_snapshot_usable(reads: LocalReads) -> None:
    with pytest.raises(UndefinedTable):
        reads.try_inline("SELECT * FROM nowhere")
    with pytest.raises(InvalidEncoding):
        reads.try_inline("SELECT CAST(?1 AS TEXT) FROM t", (b"\xff",))
    assert reads.try_inline("SELECT count(*) FROM t") == [(2,)]
    reads.refresh()


async def test_describe_names_columns_and_their_declared_types(reads: LocalReads) -> None:
    described = reads.describe("SELECT a, b AS c, ?2 || b FROM t")
    assert [(each.name, each.declared, each.table, each.column) for each in described.columns] == [
        ("a", "INTEGER", "t", "a"),
        ("c", "TEXT", "t", "b"),
        ("?2 || b", "", "", ""),
    ]
    assert (described.parameters, described.readonly) == (2, True)
    assert not reads.describe("DELETE FROM t").readonly


async def test_now_stands_still_within_a_statement(reads: LocalReads) -> None:
    clock = reads._reader._clock
    seen = []
    reads._reader.connection.create_scalar_function("random", lambda *_: seen.append(clock.microseconds()), 0)
    reads.try_inline("SELECT random(), random() FROM t")
    reads.try_inline("SELECT random()")
    assert len(set(seen[:4])) == 1
    assert abs(seen[0] / 1e6 - time.time()) < 60
    assert seen[4] > seen[0]


# -- Cursors and transactions ------------------------------------------------------------------------------


async def test_a_cursor_streams_in_chunks_and_says_whether_more_follow(reads: LocalReads) -> None:
    cursor = await reads.open_cursor(MANY, (10,))
    assert cursor.index == 1
    assert await cursor.fetch(4) == ([(1,), (2,), (3,), (4,)], True)
    assert await cursor.fetch(6) == ([(5,), (6,), (7,), (8,), (9,), (10,)], False)
    assert await cursor.fetch(1) == ([], False)
    await cursor.aclose()
    await cursor.aclose()
    with pytest.raises(UndefinedCursor):
        await cursor.fetch()


async def test_a_chunk_is_bounded_in_bytes(reads: LocalReads) -> None:
    cursor = await reads.open_cursor("SELECT zeroblob(40000) FROM (" + MANY + ")", (1000,))
    total = 0
    more = True
    while more:
        rows, more = await cursor.fetch()
        assert len(rows) <= 100
        total += len(rows)
    assert total == 1000
    await cursor.aclose()


async def test_a_cursor_keeps_its_snapshot(reads: LocalReads, writer: Writer) -> None:
    cursor = await reads.open_cursor("SELECT b FROM t ORDER BY a")
    writer.execute("UPDATE t SET b = 'changed'")
    assert await cursor.fetch() == ([("one",), ("two",)], False)
    await cursor.aclose()
    assert reads.position() == (2, 1)


async def test_a_cancelled_read_stops_and_gives_its_connection_back(reads: LocalReads) -> None:
    for _ in range(4):  # twice as often as there are readers
        with trio.move_on_after(0.02) as scope:
            await reads.open_cursor(ENDLESS)
        assert scope.cancelled_caught
    cursor = await reads.open_cursor("SELECT 1")
    assert await cursor.fetch() == ([(1,)], False)
    await cursor.aclose()


async def test_a_read_that_runs_too_long_is_stopped(reads: LocalReads) -> None:
    with pytest.raises(QueryCanceled, match="timeout"):
        await reads.open_cursor(ENDLESS, run_ms_max=5)
    cursor = await reads.open_cursor("SELECT b FROM t")
    await cursor.aclose()


async def test_a_read_is_interrupted_from_another_task(reads: LocalReads) -> None:
    transaction = await reads.open_transaction()

    async def run() -> None:
        with pytest.raises(QueryCanceled, match="user request"):
            await transaction.run(ENDLESS)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.testing.wait_all_tasks_blocked()
        transaction.interrupt()
    transaction.interrupt()
    assert await transaction.run("SELECT 1") == [(1,)]
    await transaction.aclose()


async def test_readers_are_bounded(reads: LocalReads) -> None:
    first, second = await reads.open_cursor("SELECT 1"), await reads.open_cursor("SELECT 1")
    with trio.move_on_after(0.02) as scope:
        await reads.open_cursor("SELECT 1")
    assert scope.cancelled_caught
    await first.aclose()
    third = await reads.open_cursor("SELECT 3")
    assert await third.fetch() == ([(3,)], False)
    await third.aclose()
    await second.aclose()


async def test_what_is_open_keeps_nobody_from_reading(tmp_path: Path, writer: Writer) -> None:
    async with LocalReads(tmp_path / "data.db", threads_max=1) as reads:
        transactions = [await reads.open_transaction() for _ in range(9)]
        cursors = [await reads.open_cursor(MANY, (1000,)) for _ in range(9)]
        assert len((await cursors[0].fetch(10))[0]) == 10
        with trio.fail_after(5):
            for transaction in transactions:
                assert await transaction.run("SELECT count(*) FROM t") == [(2,)]
        for transaction in transactions:
            await transaction.aclose()
        for cursor in cursors:
            await cursor.aclose()
        assert len(reads._idle) == 1, "connections that nobody needs are closed"


async def test_waiting_for_a_connection_ends_with_the_statements_time(reads: LocalReads) -> None:
    first, second = await reads.open_transaction(), await reads.open_transaction()
    with trio.fail_after(5), pytest.raises(QueryCanceled, match="statement timeout"):
        await reads.open_cursor("SELECT 1", run_ms_max=20)
    with trio.fail_after(5), pytest.raises(QueryCanceled, match="statement timeout"):
        await reads.open_transaction(wait_ms_max=20)
    await first.aclose()
    await second.aclose()


async def test_waiting_without_a_limit_ends_with_a_reason(tmp_path: Path, writer: Writer) -> None:
    async with LocalReads(tmp_path / "data.db", readers_max=1, wait_s_max=0.02) as reads:
        transaction = await reads.open_transaction()
        with (
            trio.fail_after(5),
            pytest.raises(QueueFull, match="1 reads and READ ONLY transactions are open") as caught,
        ):
            await reads.open_transaction()
        assert "statement_timeout" in caught.value.hint
        await transaction.aclose()
        await (await reads.open_transaction()).aclose()


async def test_waiting_for_a_thread_ends_with_the_statements_time_or_a_cancel(tmp_path: Path, writer: Writer) -> None:
    async with LocalReads(tmp_path / "data.db", threads_max=1) as reads, trio.open_nursery() as nursery:
        busy, waits = await reads.open_transaction(), await reads.open_transaction()

        async def run_endlessly() -> None:
            with pytest.raises(QueryCanceled):
                await busy.run(ENDLESS)

        async def wait_for_its_turn() -> None:
            with pytest.raises(QueryCanceled, match="user request"):
                await waits.run("SELECT 1")

        nursery.start_soon(run_endlessly)
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(5), pytest.raises(QueryCanceled, match="statement timeout"):
            await waits.open_cursor("SELECT 1", run_ms_max=20)
        nursery.start_soon(wait_for_its_turn)
        await trio.testing.wait_all_tasks_blocked()
        waits.interrupt()
        await trio.testing.wait_all_tasks_blocked()
        busy.interrupt()
        with trio.fail_after(5):
            assert await waits.run("SELECT 1") == [(1,)]
        await busy.aclose()
        await waits.aclose()


async def test_a_transaction_is_one_snapshot_for_many_statements(reads: LocalReads, writer: Writer) -> None:
    transaction = await reads.open_transaction()
    cursor = await transaction.open_cursor("SELECT b FROM t ORDER BY a")
    assert await cursor.fetch(1) == ([("one",)], True)
    writer.execute("UPDATE t SET b = 'changed'", "CREATE TABLE u (a)")
    assert await transaction.run("SELECT b FROM t WHERE a = ?1", (2,)) == [("two",)]
    assert transaction.try_inline("SELECT count(*) FROM t WHERE b = 'changed'") == [(0,)]
    with pytest.raises(UndefinedTable):
        await transaction.run("SELECT * FROM u")
    assert (await transaction.describe("SELECT b FROM t")).columns[0].name == "b"
    assert (transaction.index, transaction.schema_index) == (1, 1)
    assert await cursor.fetch(1) == ([("two",)], False)
    await transaction.aclose()
    with pytest.raises(UndefinedCursor):
        await cursor.fetch()
    with pytest.raises(UndefinedCursor):
        await transaction.run("SELECT 1")
    await cursor.aclose()
    again = await reads.open_transaction()
    assert (again.index, again.schema_index) == (2, 2)
    await again.aclose()


async def test_while_a_statement_runs_nothing_runs_inline(reads: LocalReads) -> None:
    transaction = await reads.open_transaction()
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await transaction.run(ENDLESS)

        nursery.start_soon(run)
        await trio.testing.wait_all_tasks_blocked()
        assert transaction.try_inline("SELECT 1") is None
        nursery.cancel_scope.cancel()
    assert transaction.try_inline("SELECT 1") == [(1,)]
    await transaction.aclose()


# -- Catalogs ----------------------------------------------------------------------------------------------


async def test_the_schema_hook_fills_attached_catalogs_for_each_schema(tmp_path: Path, writer: Writer) -> None:
    calls = []

    def fill(connection: apsw.Connection) -> None:
        calls.append(connection)
        connection.execute("CREATE TABLE IF NOT EXISTS pg_catalog.pg_class (relname)")
        connection.execute("DELETE FROM pg_class")
        connection.execute(
            "INSERT INTO pg_class SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_%'"
            " ESCAPE '\\'"
        )

    sql = "SELECT relname FROM pg_catalog.pg_class ORDER BY 1"
    async with LocalReads(tmp_path / "data.db", on_schema_change=fill, snapshot_age_ms_max=0.0) as reads:
        assert reads.try_inline(sql) == [("t",)]
        assert reads.position() == (1, 1)
        writer.execute("INSERT INTO t VALUES (3, 'x')")
        assert reads.position() == (2, 1)
        assert len(calls) == 1
        writer.execute("CREATE TABLE u (a)")
        reads.position()
        assert reads.try_inline(sql) == [("t",), ("u",)]
        cursor = await reads.open_cursor(sql)
        assert await cursor.fetch() == ([("t",), ("u",)], False)
        await cursor.aclose()
        assert len(calls) == 3
        with pytest.raises(ReadOnlyTransaction):
            reads.try_inline("DELETE FROM pg_catalog.pg_class")
        for catalog in CATALOGS:
            assert reads.try_inline(f"SELECT count(*) >= 0 FROM {catalog}.sqlite_schema") == [(1,)]


async def test_a_hook_that_fails_is_heard_and_called_again(tmp_path: Path, writer: Writer) -> None:
    failures = [RuntimeError("first")]

    def fill(connection: apsw.Connection) -> None:
        if failures:
            raise failures.pop()

    async with LocalReads(tmp_path / "data.db", on_schema_change=fill) as reads:
        with pytest.raises(RuntimeError, match="first"):
            reads.position()
        assert reads.position() == (1, 1)
        with pytest.raises(ReadOnlyTransaction):
            reads.try_inline("CREATE TABLE pg_catalog.x (a)")


# -- Opening -----------------------------------------------------------------------------------------------


async def test_a_missing_and_a_damaged_file_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        LocalReads(tmp_path / "nowhere.db")
    (tmp_path / "data.db").write_bytes(b"not a database, not at all" * 100)
    with pytest.raises(DataCorrupted):
        LocalReads(tmp_path / "data.db")


async def test_an_error_in_the_body_comes_out_as_it_is(tmp_path: Path, writer: Writer) -> None:
    with pytest.raises(KeyError):
        async with LocalReads(tmp_path / "data.db"):
            raise KeyError("x")


async def test_bulk_rows_written_together_are_seen_together(reads: LocalReads, writer: Writer) -> None:
    engine = writer.engine
    engine.begin()
    engine.open_unit("c", 9, 1, 1)
    engine.run(RunMany("INSERT INTO t VALUES (?1, 'bulk')", tuple((number,) for number in range(10, 400))))
    engine.close_unit()
    assert reads.try_inline("SELECT count(*) FROM t") == [(2,)]
    engine.commit(Position(2, 1, b"h" * 16), [2])
    assert reads.position() == (2, 1)
    assert reads.try_inline("SELECT count(*) FROM t") == [(392,)]


async def test_what_is_open_on_a_condemned_copy_gives_nothing_more(reads: LocalReads) -> None:
    transaction = await reads.open_transaction()
    cursor = await reads.open_cursor(MANY, (100,))
    rows, more = await cursor.fetch(3)
    assert (len(rows), more) == (3, True)
    assert transaction.try_inline("SELECT b FROM t WHERE a = 1") == [("one",)]
    reads.condemn(Diverged("this copy differs"))
    with pytest.raises(Diverged):
        await cursor.fetch(3)
    with pytest.raises(Diverged):
        transaction.try_inline("SELECT b FROM t WHERE a = 1")
    with pytest.raises(Diverged):
        await transaction.run("SELECT b FROM t")
    await cursor.aclose()
    await transaction.aclose()
    # Made good, it is read as before: by whoever opens it now.
    assert reads.try_inline("SELECT b FROM t WHERE a = 1") == [("one",)]
    again = await reads.open_transaction()
    assert again.try_inline("SELECT b FROM t WHERE a = 2") == [("two",)]
    await again.aclose()


async def test_who_finds_no_room_for_one_more_read_need_not_wait_long(tmp_path: Path, writer: Writer) -> None:
    async with LocalReads(tmp_path / "data.db", threads_max=1, readers_max=2, room_s_max=0.05) as reads:
        one = await reads.open_transaction()
        other = await reads.open_transaction()
        assert reads.full
        with trio.fail_after(5), pytest.raises(QueueFull, match="2 reads"):
            await reads.open_cursor("SELECT b FROM t")
        assert await one.run("SELECT b FROM t WHERE a = 1") == [("one",)], "who has room does not wait for it"
        await one.aclose()
        cursor = await reads.open_cursor("SELECT b FROM t")
        await cursor.aclose()
        await other.aclose()
