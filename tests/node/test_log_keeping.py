"""The log stays within its bounds, and no record goes that somebody still has a right to."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from lfsql.config import NodeLimits
from lfsql.core.ids import Index
from lfsql.errors import DataCorrupted
from lfsql.node import log_keeping
from lfsql.node.log_keeping import removable
from lfsql.storage import segments, statement_log
from lfsql.storage.segments import Segment
from tests.node.clusters import MEBIBYTE, Cluster, Session, cluster_of
from tests.storage.pair import position
from tests.storage.test_statement_log import chain

NOW = 1_000_000_000
LIMITS = NodeLimits(log_bytes_max=10 * MEBIBYTE, log_age_ms_max=60_000)
YOUNG = NOW - 1_000
OLD = NOW - 100_000


def parts(count: int, closed_at_ms: int = YOUNG) -> list[Segment]:
    """Segments of one MiB and ten records each."""
    return [Segment(10 * number, MEBIBYTE, closed_at_ms) for number in range(1, count + 1)]


@pytest.mark.parametrize(
    ("held", "applied", "needed", "sending", "upto"),
    [
        (parts(10), 100, 100, None, 0),  # within both bounds
        (parts(14), 140, 140, None, 40),  # over its size
        (parts(14), 140, 5, None, 40),  # though a replica needs it
        (parts(14), 25, 140, None, 20),  # but nothing that data.db does not hold
        (parts(14), 140, 140, 20, 20),  # what follows a copy that is sent stays
        (parts(24), 240, 240, 20, 40),  # until the log has twice its size
        (parts(4, OLD), 40, 40, None, 40),  # over its age, all of it
        (parts(4, OLD), 40, 25, None, 20),  # unless a replica on its way needs it
        (parts(4, OLD), 40, 40, 20, 20),
        (parts(4, OLD), 35, 40, None, 30),
        ([*parts(2, OLD), *[Segment(30, MEBIBYTE, YOUNG)]], 30, 30, None, 20),
        ([], 0, 0, None, 0),
    ],
)
def test_what_may_go(held: list[Segment], applied: Index, needed: Index, sending: Index | None, upto: Index) -> None:
    assert removable(held, NOW, LIMITS, applied=applied, needed=needed, sending=sending) == upto


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nobody but a test waits for this
        await trio.sleep(0.02)


def is_within(log: statement_log.StatementLog, bytes_max: int) -> bool:
    return sum(segment.bytes for segment in log.segments) <= bytes_max


async def fill(cluster: Cluster, name: str, rows: int, client: str = "c") -> None:
    """100 kB a row."""
    async with cluster.link(name) as link:
        session = Session(link, client)
        for _ in range(rows):
            outcome = await session.submit(f"INSERT INTO t (body) VALUES ('{'x' * 100_000}')")
            assert outcome.fault is None


async def test_every_node_bounds_its_log_and_starts_again_from_what_is_left(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3, log_bytes_max=MEBIBYTE) as cluster:
        name = await cluster.primary()
        async with cluster.link(name) as link:
            await Session(link, "schema").submit("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)")
        await fill(cluster, name, 25)
        await cluster.level()
        for running in cluster.running.values():
            log = running.node._log
            await until(partial(is_within, log, MEBIBYTE))
            assert 0 < log.base.index < log.last.index
            assert running.node.driver.consensus.committed >= log.base.index
        follower = next(other for other in cluster.running if other != name)
        await cluster.stop(follower)
        await fill(cluster, name, 1, "other")
        node = await cluster.start(follower)
        assert node._log.base.index > 0
        await cluster.level()
        assert cluster.content(follower, "SELECT count(*) FROM t") == [(26,)]


async def test_after_a_burst_the_file_comes_back_near_its_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bursting = [True]

    def hold(*arguments: Any, **options: Any) -> Index:
        return 0 if bursting else removable(*arguments, **options)

    monkeypatch.setattr(log_keeping, "removable", hold)
    monkeypatch.setattr(log_keeping, "_SHRINK_PAUSE_S", 0.001)
    path = tmp_path / "n1" / "log.db"
    async with cluster_of(tmp_path, 1, log_bytes_max=MEBIBYTE) as cluster:
        async with cluster.link(await cluster.primary()) as link:
            await Session(link, "schema").submit("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)")
        await fill(cluster, "n1", 80)
        assert path.stat().st_size > 4 * MEBIBYTE
        bursting.clear()
        await until(lambda: path.stat().st_size < 2.5 * MEBIBYTE)
        await fill(cluster, "n1", 1, "goes on")
        await cluster.level()
        assert cluster.content("n1", "SELECT count(*) FROM t") == [(81,)]


async def test_nothing_goes_that_a_replica_on_its_way_needs_or_data_db_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[Path, Index]] = []

    async with cluster_of(tmp_path, 2, log_age_ms_max=1_000) as cluster:
        name = await cluster.primary()
        node = cluster.running[name].node
        monkeypatch.setattr(log_keeping, "sync_commits", lambda path: synced.append((path, node._log.base.index)))
        async with cluster.link(name) as link:
            await Session(link, "schema").submit("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)")
        await cluster.level()
        await until(lambda: node._log.base.index == node.progress.index)
        assert len(node._log.segments) == 0
        assert (tmp_path / name / "data.db", 0) in synced, "before the first record went"
        # An empty log goes on, and a node that starts with one too.
        await fill(cluster, name, 2)
        await cluster.level()
        await cluster.stop(next(other for other in cluster.running if other != name))


async def test_opening_looks_at_the_newest_records_only_and_the_rest_is_checked_while_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statement_log, "TAIL_BYTES", 150_000)
    async with cluster_of(tmp_path, 1) as cluster:
        async with cluster.link(await cluster.primary()) as link:
            await Session(link, "schema").submit("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)")
        await fill(cluster, "n1", 5)
        await cluster.stop("n1")
        connection = sqlite3.connect(tmp_path / "n1" / "log.db")
        with connection:
            connection.execute("UPDATE records SET body = zeroblob(5) WHERE log_index = 3")
        connection.close()
        with pytest.RaisesGroup(pytest.RaisesExc(DataCorrupted, match="index 3"), flatten_subgroups=True):
            async with trio.open_nursery() as nursery:
                cluster.nursery = nursery
                node = await cluster.start("n1")
                assert node._log.damaged == ()
                cluster.running.clear()


async def test_segments_are_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_ms = NOW
    monkeypatch.setattr(segments, "wall_clock_ms", lambda: now_ms)
    records = chain(100, size=100)
    options = {"segment_bytes_max": 2_000, "segment_ms_max": 1_000}
    async with statement_log.StatementLog(tmp_path / "log.db", **options) as log:
        await log.write(records[:30])
        now_ms += 500
        await log.write(records[30:31])
        now_ms += 1_000
        await log.write(records[31:33])
        await log.write(records[33:34])
        first, second, third = log.segments
        assert (first.last, second.last, third.last) == (30, 33, 34)
        assert (first.closed_at_ms, second.closed_at_ms) == (NOW, NOW + 1_500)
        before = log.segments
    now_ms += 100
    async with statement_log.StatementLog(tmp_path / "log.db", **options) as log:
        assert log.segments == (*before[:2], before[2]._replace(closed_at_ms=now_ms))
        total = sum(segment.bytes for segment in log.segments)
        await log.compact(31)
        assert log.segments == (second, before[2]._replace(closed_at_ms=now_ms))
        await log.write(truncate_from=33)
        assert [segment.last for segment in log.segments] == [32]
        await log.write(records[32:34])
        assert [segment.last for segment in log.segments] == [34]
        assert sum(segment.bytes for segment in log.segments) < total
        await log.begin_at(position(records[49]), configuration=b"", hard_state=b"")
        assert len(log.segments) == 0
