"""A node whose data cannot be made from its log gets it from the primary, while that goes on writing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import trio

from lfsql.core.requests import SnapshotRead, SnapshotRequest
from lfsql.errors import DiskFull, Diverged
from lfsql.node import snapshot_fetching, snapshot_source
from lfsql.node.asking import AskerLink
from lfsql.node.service import Node
from tests.node.clusters import MEBIBYTE, Cluster, Session, cluster_of, read
from tests.node.test_log_keeping import fill, is_within, until

DATA_FILES = ("data.db", "data.db-wal", "data.db-shm")
CONTENT = "SELECT id, body FROM t ORDER BY id"


@asynccontextmanager
async def three(tmp_path: Path, deadline_s: float = 40) -> AsyncIterator[tuple[Cluster, str, str]]:
    """A cluster with a small log, its primary and a follower."""
    async with cluster_of(tmp_path, 3, deadline_s=deadline_s, log_bytes_max=MEBIBYTE) as cluster:
        name = await cluster.primary()
        async with cluster.link(name) as link:
            await Session(link, "schema").submit("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)")
        await cluster.level()
        yield cluster, name, next(other for other in cluster.running if other != name)


async def compacted(node: Node, beyond: int = 0) -> None:
    """Return when the node's log is within its bound, and begins after `beyond`."""
    await until(lambda: node._log.base.index > beyond and is_within(node._log, MEBIBYTE))


async def assert_all_equal(cluster: Cluster) -> None:
    """They become equal and are level then; a write whose client has gone may still be under way."""

    def same(question: str) -> bool:
        answers = [cluster.content(name, question) for name in cluster.running]
        return all(answer == answers[0] for answer in answers)

    await cluster.level()
    await until(lambda: same("SELECT applied_hash FROM _lfsql_state") and same(CONTENT))


async def write_on(cluster: Cluster, name: str, written: list[int]) -> None:
    """One row after the other, until cancelled."""
    async with cluster.link(name) as link:
        session = Session(link, "writer")
        while True:
            outcome = await session.submit(f"INSERT INTO t (id, body) VALUES ({100_000 + len(written)}, 'on')")
            assert outcome.fault is None
            written.append(outcome.index)


async def test_a_node_behind_the_log_is_rebuilt_while_writes_go_on(tmp_path: Path) -> None:
    async with three(tmp_path) as (cluster, name, follower):
        await fill(cluster, name, 3)
        await cluster.level()
        reader = cluster.running[follower].node
        end = reader._log.last.index
        await cluster.stop(follower)
        await fill(cluster, name, 25, "more")
        await compacted(cluster.running[name].node, end)
        written: list[int] = []
        async with trio.open_nursery() as writing:
            writing.start_soon(write_on, cluster, name, written)
            await cluster.start(follower)
            await cluster.running[follower].renewed.wait()
            already = len(written)
            await until(lambda: len(written) > already + 5)
            writing.cancel_scope.cancel()
        node = cluster.running[follower].node
        assert node._log.base.index > end
        await assert_all_equal(cluster)
        assert cluster.content(follower, "SELECT count(*) FROM t WHERE body = 'on'") >= [(len(written),)]
        assert sorted(path.name for path in (tmp_path / follower).glob("snapshot*")) == []
        # What it has counts: with the third node gone, it is the primary's quorum.
        await cluster.stop(next(other for other in cluster.running if other not in (name, follower)))
        await fill(cluster, name, 1, "last")
        await assert_all_equal(cluster)


async def test_who_needs_the_vote_of_a_node_behind_the_log_gives_it_a_snapshot_first(tmp_path: Path) -> None:
    """With the third node gone, the record that opens the term waits for the very node that needs the snapshot."""
    async with three(tmp_path) as (cluster, name, follower):
        third = next(other for other in cluster.running if other not in (name, follower))
        await fill(cluster, name, 3)
        await cluster.level()
        end = cluster.running[follower].node._log.last.index
        await cluster.stop(follower)
        await fill(cluster, name, 25, "more")
        await compacted(cluster.running[name].node, end)
        await cluster.stop(third)
        await cluster.stop(name)
        await cluster.start(name)
        await cluster.start(follower)
        await cluster.running[follower].renewed.wait()
        async with cluster.link(await cluster.primary()) as link:
            assert (
                await Session(link, "after").submit("INSERT INTO t (id, body) VALUES (7777777, 'on')")
            ).fault is None
        await assert_all_equal(cluster)


async def test_a_node_that_lost_its_data_is_made_again_and_shows_nothing_before(tmp_path: Path) -> None:
    async with three(tmp_path) as (cluster, name, follower):
        await fill(cluster, name, 25)
        await compacted(cluster.running[follower].node)
        await compacted(cluster.running[name].node)
        await cluster.stop(follower)
        for file in DATA_FILES:
            (tmp_path / follower / file).unlink(missing_ok=True)
        before = await cluster.start(follower)
        assert isinstance(before._reads.fault, Diverged)
        await cluster.running[follower].renewed.wait()
        assert cluster.running[follower].node is not before
        async with cluster.link(follower) as link:
            assert (await read(link, "SELECT count(*) FROM t")).rows == ((25,),)
        await fill(cluster, name, 1, "after")
        await assert_all_equal(cluster)


async def test_a_new_node_is_made_from_a_log_that_has_forgotten_its_beginning(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3, deadline_s=40, late=1, log_bytes_max=MEBIBYTE) as cluster:
        name = await cluster.primary()
        async with cluster.link(name) as link:
            await Session(link, "schema").submit("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)")
        await fill(cluster, name, 25)
        await compacted(cluster.running[name].node)
        await cluster.start("n3")
        await cluster.running["n3"].renewed.wait()
        await assert_all_equal(cluster)
        # Exactly once: what a client did last came with the data.
        await cluster.stop(name)
        again = await cluster.primary()
        async with cluster.link(again) as link:
            outcome = await Session(link, "c").submit_numbered(25, "INSERT INTO t (body) VALUES ('twice')")
            assert outcome.fault is None
        assert cluster.content(again, "SELECT count(*) FROM t") == [(25,)]


async def test_a_node_that_differs_is_back_in_service_with_the_log_it_had(tmp_path: Path) -> None:
    async with three(tmp_path) as (cluster, name, follower):
        await fill(cluster, name, 2)
        await cluster.level()
        node = cluster.running[follower].node
        await node._thread.call(lambda engine: engine.connection.execute("DELETE FROM t WHERE id = 1").fetchall())
        async with cluster.link(name) as link:
            outcome = await Session(link, "c2").submit("DELETE FROM t WHERE id = 1")
            assert outcome.fault is None
        await cluster.running[follower].renewed.wait()
        assert isinstance(node._reads.fault, Diverged)
        node = cluster.running[follower].node
        assert (node._reads.fault, node._status.quarantined) == (None, False)
        assert node._log.base.index == 0, "it has acknowledged what is in its log"
        await assert_all_equal(cluster)


async def test_a_primary_that_differs_hands_over_and_is_rebuilt(tmp_path: Path) -> None:
    async with three(tmp_path) as (cluster, name, _):
        await fill(cluster, name, 2)
        await cluster.level()
        cluster.running[name].node.quarantine.enter("to see it")
        await cluster.running[name].renewed.wait()
        assert await cluster.primary() != name
        await fill(cluster, await cluster.primary(), 2, "after")
        await assert_all_equal(cluster)


async def test_a_transfer_goes_on_where_its_link_broke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_source, "PIECE_BYTES", 100_000)
    async with three(tmp_path) as (cluster, name, follower):
        await fill(cluster, name, 10)
        await cluster.level()
        source = cluster.running[name].node._snapshots
        offsets: list[int] = []
        read_piece = source._read

        async def read_and_break(question: SnapshotRead) -> bytes:
            offsets.append(question.offset)
            if len(offsets) in (4, 7):
                for link in list(cluster.running[name].node._status.links.values()):
                    assert isinstance(link, AskerLink)
                    link._connection.close()
            return await read_piece(question)

        monkeypatch.setattr(source, "_read", read_and_break)
        cluster.running[follower].node.rebuild("to see it")
        await cluster.running[follower].renewed.wait()
        assert len(offsets) > 9
        again = sum(later <= earlier for earlier, later in pairwise(offsets))
        assert again == 2
        assert offsets.count(0) == 1
        await assert_all_equal(cluster)


async def test_with_another_primary_a_transfer_begins_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_source, "PIECE_BYTES", 100_000)
    async with three(tmp_path) as (cluster, name, follower):
        await fill(cluster, name, 10)
        await cluster.level()
        source = cluster.running[name].node._snapshots
        reached = trio.Event()

        async def stall(question: SnapshotRead) -> bytes:
            reached.set()
            await trio.sleep_forever()
            raise AssertionError

        monkeypatch.setattr(source, "_read", stall)
        cluster.running[follower].node.rebuild("to see it")
        await reached.wait()
        await cluster.stop(name)
        await cluster.running[follower].renewed.wait()
        await cluster.start(name)
        await assert_all_equal(cluster)


async def test_what_arrives_damaged_is_never_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with three(tmp_path) as (cluster, name, follower):
        await fill(cluster, name, 3)
        await cluster.level()
        source = cluster.running[name].node._snapshots
        read_piece = source._read
        damage = [True]

        async def read_damaged(question: SnapshotRead) -> bytes:
            data = bytearray(await read_piece(question))
            if damage:
                damage.pop()
                data[200_000] ^= 1  # in the middle of a text, where SQLite would not notice
            return bytes(data)

        monkeypatch.setattr(source, "_read", read_damaged)
        cluster.running[follower].node.rebuild("to see it")
        await cluster.running[follower].renewed.wait()
        assert not damage
        await assert_all_equal(cluster)


async def test_without_room_for_it_the_old_data_stays_and_it_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with three(tmp_path) as (cluster, name, follower):
        await fill(cluster, name, 3)
        await cluster.level()
        monkeypatch.setattr(snapshot_fetching, "_SPARE_BYTES", 1 << 60)
        cluster.running[follower].node.rebuild("to see it")
        await until(lambda: cluster.running[follower].node._rebuilder._fetcher.bytes_arrived == 0)
        await fill(cluster, name, 2, "goes on")
        await cluster.level()
        assert not cluster.running[follower].renewed.is_set()
        assert cluster.content(follower, "SELECT count(*) FROM t") == [(5,)]
        monkeypatch.setattr(snapshot_fetching, "_SPARE_BYTES", 0)
        await cluster.running[follower].renewed.wait()
        await assert_all_equal(cluster)


async def test_a_node_that_could_apply_does_not_go_past_the_copy_it_fetches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with three(tmp_path) as (cluster, name, follower):
        await fill(cluster, name, 3)
        await cluster.level()
        source, node = cluster.running[name].node._snapshots, cluster.running[follower].node
        read_piece = source._read
        reached, go_on = trio.Event(), trio.Event()

        async def read_late(question: SnapshotRead) -> bytes:
            reached.set()
            await go_on.wait()
            return await read_piece(question)

        monkeypatch.setattr(source, "_read", read_late)
        node.rebuild("to see it")
        await reached.wait()
        before = node.progress.index
        await fill(cluster, name, 3, "meanwhile")
        last = cluster.running[name].node.driver.consensus.commit_index
        await until(lambda: node.driver.consensus.committed >= last)
        assert node.progress.index == before, "it would go back when the copy takes its place"
        go_on.set()
        await cluster.running[follower].renewed.wait()
        await assert_all_equal(cluster)


async def test_who_asks_for_what_is_not_there_yet_is_not_answered_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_source, "_ANSWER_S_MAX", 0.3)
    async with three(tmp_path) as (cluster, name, _):
        source = cluster.running[name].node._snapshots
        for _attempt in range(2):
            began = trio.current_time()
            header = await source._offer(SnapshotRequest(1, 1 << 40))
            assert (header.bytes_total, header.fault) == (0, None)
            assert trio.current_time() - began > 0.29, "it would ask again and again"
            assert (await source._offer(SnapshotRequest(2, 0))).bytes_total > 0


async def test_a_primary_does_not_fill_its_disk_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with three(tmp_path) as (cluster, name, follower):
        await fill(cluster, name, 2)
        monkeypatch.setattr(snapshot_source, "SPARE_BYTES", 1 << 60)
        source = cluster.running[name].node._snapshots
        with pytest.raises(DiskFull, match="a snapshot to be sent needs"):
            await source._offer(SnapshotRequest(1, 0))
        assert not (tmp_path / name / "snapshot.out").exists()
        cluster.running[follower].node.rebuild("to see it")
        await fill(cluster, name, 2, "goes on")
        monkeypatch.setattr(snapshot_source, "SPARE_BYTES", 0)
        await cluster.running[follower].renewed.wait()
        await assert_all_equal(cluster)


async def test_copies_are_removed_when_nobody_needs_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_source, "KEPT_S", 0.2)
    async with three(tmp_path) as (cluster, name, follower):
        await fill(cluster, name, 3)
        cluster.running[follower].node.rebuild("to see it")
        source = cluster.running[name].node._snapshots
        await cluster.running[follower].renewed.wait()
        await until(lambda: source.position is None)
        assert not (tmp_path / name / "snapshot.out").exists()
