"""SQLite's memory has an end: whoever needs more fails, and nothing that was promised does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from msgspec.structs import replace

from lfsql.core.entry import UNIT, encode_unit
from lfsql.core.requests import Run
from lfsql.errors import OutOfMemory, SerializationFailure
from lfsql.storage.heap import limit_heap, without_limit
from lfsql.storage.reader import Reader
from lfsql.storage.reads import LocalReads
from tests.storage.pair import Pair, position, rows

MEBIBYTE = 1 << 20
LARGE = (
    "WITH RECURSIVE g (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < 5000)"
    " SELECT length(v) FROM (SELECT hex(zeroblob(10000)) || n AS v FROM g ORDER BY v DESC)"
)
"""Sorts 100 MB."""
LARGE_OF_T = LARGE.replace("FROM g ORDER", "FROM g, (SELECT a FROM t LIMIT 1) ORDER")
"""The same of a table: with it SQLite gives up its transaction."""


@pytest.fixture(autouse=True)
def no_limit_elsewhere() -> Iterator[None]:
    yield
    limit_heap(0)


def limit_to(more: int) -> None:
    """As much as is in use, and so much more."""
    limit_heap(apsw.memory_used() + more)


def test_a_statement_that_needs_too_much_fails_alone(pair: Pair) -> None:
    pair.execute("CREATE TABLE t (a)")
    pair.primary.begin()
    pair.unit("INSERT INTO t VALUES (1)")
    limit_to(20 * MEBIBYTE)
    pair.primary.open_unit("other", 1, 1_700_000_000_000_000, 1)
    pair.primary.run(Run("INSERT INTO t VALUES (2)"))
    for sql in (f"INSERT INTO t {LARGE}", LARGE):
        with pytest.raises(OutOfMemory) as caught:
            pair.primary.run(Run(sql))
        assert caught.value.sqlstate == "53200"
    pair.primary.abandon_unit()
    pair.unit("INSERT INTO t VALUES (3)")
    pair.commit()
    assert rows(pair.replica, "SELECT a FROM t ORDER BY a") == [(1,), (3,)]


def test_a_reader_lets_go_of_its_snapshot_when_a_read_needed_too_much(pair: Pair, tmp_path: Path) -> None:
    pair.execute("CREATE TABLE t (a)", "INSERT INTO t VALUES (1), (2), (3)")
    reader = Reader(tmp_path / "primary.db")
    try:
        reader.begin()
        limit_to(20 * MEBIBYTE)
        with pytest.raises(OutOfMemory):
            reader.start(LARGE_OF_T, ())
        assert not reader.in_snapshot
        reader.end()
        reader.begin()
        assert reader.try_rows("SELECT a FROM t", (), 100, 10, MEBIBYTE) == [(1,), (2,), (3,)]
        reader.end()
    finally:
        reader.close()


async def test_a_transaction_without_its_snapshot_is_over(pair: Pair, tmp_path: Path) -> None:
    pair.execute("CREATE TABLE t (a)", "INSERT INTO t VALUES (1)")
    async with LocalReads(tmp_path / "primary.db") as reads:
        transaction = await reads.open_transaction()
        limit_to(20 * MEBIBYTE)
        with pytest.raises(OutOfMemory):
            await transaction.open_cursor(LARGE_OF_T)
        pair.execute("INSERT INTO t VALUES (2)")
        with pytest.raises(SerializationFailure):
            transaction.try_inline("SELECT a FROM t")
        with pytest.raises(SerializationFailure):
            await transaction.open_cursor("SELECT a FROM t")
        await transaction.aclose()
        with pytest.raises(OutOfMemory):
            await reads.open_cursor(LARGE_OF_T)
        cursor = await reads.open_cursor("SELECT count(*) FROM t")
        assert await cursor.fetch(10) == ([(2,)], False)
        await cursor.aclose()


def test_what_is_in_the_log_is_applied_whatever_it_takes(pair: Pair) -> None:
    pair.execute("CREATE TABLE t (a)")
    pair.primary.begin()
    pair.unit(f"INSERT INTO t {LARGE}")
    record = pair.append(UNIT, encode_unit(pair.units.pop()))
    pair.primary.commit(position(record), [record.index])
    limit_to(20 * MEBIBYTE)
    pair.replica.apply([record])
    assert rows(pair.replica, "SELECT count(*) FROM t") == [(5000,)]
    with pytest.raises(apsw.NoMemError):
        pair.replica.connection.execute(LARGE)  # the limit is in force again


def test_a_run_of_records_is_applied_as_one_also_at_the_limit(pair: Pair) -> None:
    pair.execute("CREATE TABLE t (a)")
    pair.primary.begin()
    pair.unit("INSERT INTO t VALUES (1)", f"INSERT INTO t {LARGE}")
    unit = pair.units.pop()
    first = replace(unit, statements=unit.statements[:1], more=True, result=b"")
    last = replace(unit, statements=unit.statements[1:])
    records = [pair.append(UNIT, encode_unit(each)) for each in (first, last)]
    pair.primary.commit(position(records[-1]), [records[-1].index])
    limit_to(20 * MEBIBYTE)
    pair.replica.apply(records[:1])
    pair.replica.apply(records[1:])
    assert rows(pair.replica, "SELECT count(*) FROM t") == [(5001,)]


def test_a_commit_needs_no_memory_that_others_could_take(pair: Pair) -> None:
    pair.execute("CREATE TABLE t (a)")
    pair.primary.begin()
    pair.unit("INSERT INTO t VALUES (1)")
    record = pair.append(UNIT, encode_unit(pair.units.pop()))
    limit_heap(1)
    pair.primary.commit(position(record), [record.index])
    pair.replica.apply([record])
    limit_heap(0)
    pair.assert_equal()
    assert rows(pair.replica, "SELECT a FROM t") == [(1,)]


def test_the_limit_comes_back_with_the_last_who_lifted_it() -> None:
    limit_heap(50 * MEBIBYTE)
    with without_limit():
        with without_limit():
            assert apsw.hard_heap_limit(-1) == 0
        assert apsw.hard_heap_limit(-1) == 0
        limit_heap(60 * MEBIBYTE)
        assert apsw.hard_heap_limit(-1) == 0
    assert apsw.hard_heap_limit(-1) == 60 * MEBIBYTE
