"""The log on a real file: what was written is found again, what was damaged is noticed and repaired."""

from __future__ import annotations

import resource
import signal
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import trio
import trio.testing

from lfsql.core.entry import UNIT, Record, chain_hash
from lfsql.core.ids import Position
from lfsql.core.log import record_bytes
from lfsql.errors import ConfigError, DataCorrupted, DiskFailed, InvariantBroken
from lfsql.storage import statement_log
from lfsql.storage.statement_log import StatementLog
from tests.storage.pair import position


def chain(count: int, start: Position | None = None, term: int = 1, size: int = 10) -> list[Record]:
    previous = start or Position()
    records = []
    for number in range(previous.index + 1, previous.index + 1 + count):
        body = b"%d" % number * size
        record = Record(number, term, UNIT, chain_hash(previous.hash, number, term, UNIT, body), body)
        records.append(record)
        previous = position(record)
    return records


def edit(path: Path, sql: str, parameters: Sequence[object] = ()) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(sql, parameters)
    connection.close()


async def test_what_was_written_is_there_after_opening_again(tmp_path: Path) -> None:
    records = chain(5)
    async with StatementLog(tmp_path / "log.db") as log:
        assert (log.last, log.base, log.hard_state, log.damaged) == (Position(), Position(), b"", ())
        await log.write(records[:3], hard_state=b"term 1")
        await log.write(records[3:])
        await log.write(hard_state=b"term 2")
        assert log.last == position(records[-1])
    async with StatementLog(tmp_path / "log.db") as log:
        assert log.last == position(records[-1])
        assert log.hard_state == b"term 2"
        assert log.damaged == ()
        assert await log.read(1, 5, 10**6) == tuple(records)


async def test_reads_stop_at_the_byte_limit_but_give_at_least_one(tmp_path: Path) -> None:
    records = chain(5, size=100)
    async with StatementLog(tmp_path / "log.db") as log:
        await log.write(records)
        assert await log.read(2, 5, 1) == (records[1],)
        two = sum(map(record_bytes, records[1:3]))
        assert await log.read(2, 5, two - 1) == (records[1],)
        assert await log.read(2, 5, two) == tuple(records[1:3])
        assert await log.read(4, 9, 10**6) == tuple(records[3:])
        assert await log.read(6, 9, 10**6) == ()


async def test_a_conflicting_tail_is_replaced_in_one_write(tmp_path: Path) -> None:
    old, new = chain(5), chain(2, position(chain(3)[-1]), term=2)
    async with StatementLog(tmp_path / "log.db") as log:
        await log.write(old)
        await log.write(new, truncate_from=4)
        assert log.last == position(new[-1])
        assert await log.read(1, 9, 10**6) == (*old[:3], *new)
        await log.write(truncate_from=2)
        assert log.last == position(old[0])
        await log.write(truncate_from=9)
        assert log.last == position(old[0])


@pytest.mark.parametrize("wrong", ["gap", "chain", "term"])
async def test_records_that_do_not_follow_are_refused_whole(tmp_path: Path, wrong: str) -> None:
    good = chain(2)
    bad = {
        "gap": chain(3, position(good[-1]))[1:],
        "chain": chain(1, Position(2, 1, b"x" * 16)),
        "term": chain(1, position(good[-1]), term=0),
    }[wrong]
    async with StatementLog(tmp_path / "log.db") as log:
        await log.write(good)
        with pytest.raises(InvariantBroken):
            await log.write(bad, hard_state=b"not written")
        assert log.last == position(good[-1])
        assert log.hard_state == b""


async def test_compaction_moves_the_base_and_keeps_the_chain(tmp_path: Path) -> None:
    records = chain(5000, size=1)
    async with StatementLog(tmp_path / "log.db") as log:
        await log.write(records)
        await log.compact(4500)
        await log.compact(3)
        assert log.base == position(records[4499])
        assert await log.read(4500, 4600, 10**6) == ()
        assert (await log.read(4501, 4501, 10**6))[0] == records[4500]
        with pytest.raises(InvariantBroken):
            await log.compact(5001)
        with pytest.raises(InvariantBroken):
            await log.write(truncate_from=4000)
        await log.compact(5000)
        assert log.last == log.base
    async with StatementLog(tmp_path / "log.db") as log:
        assert (log.base, log.last, log.damaged) == (position(records[-1]), position(records[-1]), ())
        await log.write(chain(2, log.last))


async def test_a_log_that_lacks_what_a_snapshot_holds_begins_there_empty(tmp_path: Path) -> None:
    base = Position(100, 3, b"s" * 16)
    async with StatementLog(tmp_path / "log.db") as log:
        await log.write(chain(5), hard_state=b"before")
        await log.begin_at(base, configuration=b"members", hard_state=b"kept")
        assert (log.base, log.last, log.hard_state, log.base_configuration) == (base, base, b"kept", b"members")
        await log.write(chain(2, base, term=3))
    async with StatementLog(tmp_path / "log.db") as log:
        assert (log.base, log.last.index, log.damaged) == (base, 102, ())


@pytest.mark.parametrize(
    ("damaged", "base", "left"),
    [
        ([3], 5, ()),
        ([3, 5], 5, ()),
        ([5, 6], 5, (6,)),
        ([3, 8], 5, (8,)),
        ([10], 10, ()),
    ],
)
async def test_a_log_that_begins_at_a_snapshot_keeps_what_may_follow_it(
    tmp_path: Path, damaged: list[int], base: int, left: tuple[int, ...]
) -> None:
    records, path = chain(10), tmp_path / "log.db"
    async with StatementLog(path) as log:
        await log.write(records)
    for index in damaged:
        edit(path, "UPDATE records SET body = x'00' WHERE log_index = ?", (index,))
    async with StatementLog(path) as log:
        await log.begin_at(position(records[base - 1]), configuration=b"members", hard_state=b"state")
        assert (log.base, log.last, log.damaged) == (position(records[base - 1]), position(records[-1]), left)
        with pytest.raises(InvariantBroken, match="not as early"):
            await log.begin_at(position(records[base - 2]), configuration=b"", hard_state=b"")
    async with StatementLog(path) as log:
        assert (log.base, log.damaged, log.hard_state) == (position(records[base - 1]), left, b"state")
        assert log.base_configuration == b"members"
        if not left:
            assert list(await log.read(base + 1, 10, 1 << 20)) == records[base:]


@pytest.mark.parametrize("damaged", [[2], [5]])
@pytest.mark.parametrize("base", [5, 12])
async def test_what_cannot_follow_a_snapshot_goes(tmp_path: Path, damaged: list[int], base: int) -> None:
    """Another history from record 4 on; or a snapshot that is newer than the log."""
    path = tmp_path / "log.db"
    async with StatementLog(path) as log:
        await log.write(chain(10))
    for index in damaged:
        edit(path, "UPDATE records SET body = x'00' WHERE log_index = ?", (index,))
    others = chain(3) + chain(9, position(chain(3)[-1]), term=2)
    async with StatementLog(path) as log:
        await log.begin_at(position(others[base - 1]), configuration=b"members", hard_state=b"state")
        assert (log.base, log.last, log.damaged) == (position(others[base - 1]),) * 2 + ((),)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE records SET body = x'00' WHERE log_index = 3",
        "UPDATE records SET hash = x'00' WHERE log_index = 3",
        "UPDATE records SET term = 7 WHERE log_index = 3",
        "UPDATE records SET checksum = 0 WHERE log_index = 3",
        "UPDATE records SET body = 'text', kind = 'x' WHERE log_index = 3",
        "DELETE FROM records WHERE log_index = 3",
    ],
)
async def test_damage_in_the_middle_is_found_and_repaired(tmp_path: Path, damage: str) -> None:
    records = chain(5)
    async with StatementLog(tmp_path / "log.db") as log:
        await log.write(records)
    edit(tmp_path / "log.db", damage)
    async with StatementLog(tmp_path / "log.db") as log:
        assert log.damaged == (3,)
        assert log.last == position(records[-1]), "never a reason to cut the log"
        assert await log.read(1, 5, 10**6) == tuple(records[:2])
        with pytest.raises(DataCorrupted, match="record 3"):
            await log.read(3, 5, 10**6)
        forged = Record(3, 1, UNIT, records[2].hash, b"forged")
        with pytest.raises(InvariantBroken):
            await log.repair([forged])
        with pytest.raises(InvariantBroken):
            await log.repair([records[3]])
        await log.repair([records[2]])
        assert await log.read(1, 5, 10**6) == tuple(records)
    async with StatementLog(tmp_path / "log.db") as log:
        assert log.damaged == ()


async def test_damage_of_several_and_of_the_last_is_repaired_in_any_order(tmp_path: Path) -> None:
    records = chain(6)
    async with StatementLog(tmp_path / "log.db") as log:
        await log.write(records)
    edit(tmp_path / "log.db", "UPDATE records SET hash = x'00', term = 9 WHERE log_index IN (2, 3, 6)")
    async with StatementLog(tmp_path / "log.db") as log:
        assert log.damaged == (2, 3, 6)
        await log.repair([records[2]])
        await log.repair([records[5]])
        assert log.last == position(records[5])
        await log.repair([records[1]])
        assert await log.read(1, 6, 10**6) == tuple(records)


async def test_a_record_whose_checksum_fits_but_not_the_chain_is_damage(tmp_path: Path) -> None:
    records = chain(4)
    async with StatementLog(tmp_path / "other.db") as other:
        await other.write(chain(4, size=3))
    async with StatementLog(tmp_path / "log.db") as log:
        await log.write(records)
    connection = sqlite3.connect(tmp_path / "log.db")
    with connection:
        connection.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),))
        connection.execute("REPLACE INTO records SELECT * FROM other.records WHERE log_index = 3")
    connection.close()
    async with StatementLog(tmp_path / "log.db") as log:
        assert 3 in log.damaged
        await log.repair([record for record in records if record.index in log.damaged])
        assert await log.read(1, 9, 10**6) == tuple(records)


async def test_damage_that_appears_while_running_is_noticed_by_the_read(tmp_path: Path) -> None:
    records = chain(3)
    async with StatementLog(tmp_path / "log.db") as log:
        await log.write(records)
        edit(tmp_path / "log.db", "UPDATE records SET body = x'' WHERE log_index = 2")
        assert await log.read(1, 3, 10**6) == (records[0],)
        assert log.damaged == (2,)


async def test_opening_checks_the_newest_records_and_verify_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statement_log, "TAIL_BYTES", 2_000)
    monkeypatch.setattr(statement_log, "_VERIFY_BYTES", 1_000)
    records = chain(100, size=100)
    async with StatementLog(tmp_path / "log.db") as log:
        await log.write(records)
        await log.compact(10)
    edit(tmp_path / "log.db", "UPDATE records SET body = x'' WHERE log_index IN (20, 40, 99)")
    edit(tmp_path / "log.db", "DELETE FROM records WHERE log_index IN (11, 30)")
    async with StatementLog(tmp_path / "log.db") as log:
        assert [*log.damaged] == [99]
        pieces = 0
        while await log.verify():
            pieces += 1
        assert [*log.damaged] == [11, 20, 30, 40, 99]
        assert pieces > 10
        with pytest.raises(DataCorrupted, match="record 40"):
            await log.position(40)
        assert await log.position(41) == position(records[40])


async def test_a_lost_vote_refuses_to_open(tmp_path: Path) -> None:
    async with StatementLog(tmp_path / "log.db") as log:
        await log.write(hard_state=b"voted for n1")
    edit(tmp_path / "log.db", "UPDATE state SET hard_state = x'00'")
    with pytest.raises(DataCorrupted, match="voted"):
        async with StatementLog(tmp_path / "log.db"):
            pass


async def test_a_file_that_is_no_database_and_a_missing_directory_are_clear_errors(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_bytes(b"not a database, not at all" * 100)
    with pytest.raises(DataCorrupted):
        async with StatementLog(tmp_path / "log.db"):
            pass
    with pytest.raises(ConfigError):
        async with StatementLog(tmp_path / "nowhere" / "log.db"):
            pass


async def test_a_cancelled_write_is_either_whole_or_was_never_begun(tmp_path: Path) -> None:
    records = chain(200)
    async with StatementLog(tmp_path / "log.db") as log:
        with trio.CancelScope() as scope:
            scope.cancel()
            await log.write(records[:100])
        assert log.last == Position()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(log.write, records)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert log.last == position(records[-1])
        assert await log.read(1, 1, 1) == (records[0],)


async def test_calls_are_carried_out_in_the_order_they_are_made(tmp_path: Path) -> None:
    records = chain(50)
    async with StatementLog(tmp_path / "log.db") as log, trio.open_nursery() as nursery:
        for record in records:
            nursery.start_soon(log.write, [record])
            await trio.testing.wait_all_tasks_blocked()
    async with StatementLog(tmp_path / "log.db") as log:
        assert log.last == position(records[-1])


@pytest.fixture
def small_files() -> Iterator[None]:
    """Files of this process can not grow over 200 kB: writes fail as on a broken disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


async def test_a_failed_write_leaves_what_was_there_and_is_never_retried(tmp_path: Path, small_files: None) -> None:
    good = chain(3)
    async with StatementLog(tmp_path / "log.db") as log:
        await log.write(good)
        with pytest.raises(DiskFailed):
            await log.write(chain(1, position(good[-1]), size=1_000_000))
        assert log.last == position(good[-1])
        with pytest.raises(DiskFailed, match="before"):
            await log.read(1, 1, 1)
    async with StatementLog(tmp_path / "log.db") as log:
        assert log.last == position(good[-1])
        assert log.damaged == ()


async def test_a_log_is_known_by_its_incarnation_and_knows_others(tmp_path: Path) -> None:
    async with StatementLog(tmp_path / "log.db") as log:
        first = log.incarnation
        assert await log.remember("n2", "aa") == "aa"
        assert await log.remember("n2", "bb") == "aa"
        assert log.met == {"n2": "aa"}
    async with StatementLog(tmp_path / "log.db") as log:
        assert (log.incarnation, log.met) == (first, {"n2": "aa"})
        assert await log.remember("n2", "bb") == "aa"
    async with StatementLog(tmp_path / "other.db") as other:
        assert other.incarnation != first
        assert len(other.incarnation) == 32
        assert other.met == {}


async def test_an_older_log_gets_an_incarnation(tmp_path: Path) -> None:
    async with StatementLog(tmp_path / "log.db") as log:
        await log.write(chain(3))
    edit(tmp_path / "log.db", "DROP TABLE incarnation")
    edit(tmp_path / "log.db", "DROP TABLE met")
    edit(tmp_path / "log.db", "DELETE FROM _lfsql_migrations WHERE number = 2")
    async with StatementLog(tmp_path / "log.db") as log:
        assert log.incarnation
        assert log.last.index == 3


def size_of(path: Path) -> int:
    return sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*"))


async def test_a_file_gives_back_what_cut_records_left_free_in_it(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    records = chain(400, size=7_000)
    async with StatementLog(path) as log:
        for start in range(0, len(records), 40):
            await log.write(records[start : start + 40])
        full = size_of(path)
        await log.compact(350)
        assert size_of(path) >= full, "nobody has asked"
        steps = 1
        while await log.shrink(1 << 20):
            steps += 1
            # Between two steps the log goes on.
            if steps == 5:
                more = chain(1, log.last, size=7_000)
                await log.write(more)
        assert steps > 20, "each is short"
        left = sum(record_bytes(record) for record in [*records[350:], *more])
        assert path.stat().st_size < 1.4 * left + (1 << 20)  # pages are not full
        assert not await log.shrink(1 << 20)
        assert list(await log.read(351, 401, 1 << 30)) == [*records[350:], *more]
    async with StatementLog(path) as log:
        assert (log.damaged, log.base.index, log.last.index) == ((), 350, 401)


async def test_a_file_that_was_made_to_keep_its_size_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    edit(path, "PRAGMA journal_mode=WAL")
    async with StatementLog(path) as log:
        await log.write(chain(100, size=7_000))
        await log.compact(90)
        assert not await log.shrink(0)
        await log.write(chain(10, log.last))
    async with StatementLog(path) as log:
        assert (log.damaged, log.last.index) == ((), 110)
