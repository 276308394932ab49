"""Damaged records of a log are taken from other nodes, and nothing that anybody may count on is given up for it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
import trio

from lfsql.core.effects import HardState
from lfsql.core.entry import NOOP, Record
from lfsql.core.ids import Index, NodeId, Position
from lfsql.core.log import extend, position_of
from lfsql.core.log_copies import LogCopies, LogRecords
from lfsql.core.requests import Answer
from lfsql.errors import DataCorrupted, LinkLost
from lfsql.node import log_repair
from lfsql.node.asking import AskerLink
from lfsql.node.carrying import decode_state, encode_state
from lfsql.node.driver import Driver
from lfsql.node.log_repair import answer_records, repair, repair_over_links
from lfsql.node.rebuilding import adopt
from lfsql.storage.installation import Installation
from lfsql.storage.statement_log import StatementLog
from tests.node.clusters import MEBIBYTE, Session, cluster_of
from tests.node.test_log_keeping import fill
from tests.node.test_rebuilding import DATA_FILES, assert_all_equal, compacted, three


def chain(count: int, after: Position | None = None, term: int = 1) -> tuple[Record, ...]:
    return extend(after or Position(), term, [(NOOP, f"{term}.{number}".encode()) for number in range(count)])


def damage(path: Path, *indices: Index) -> None:
    connection = sqlite3.connect(path)
    with connection:
        for index in indices:
            connection.execute("UPDATE records SET body = x'00' WHERE log_index = ?", (index,))
    connection.close()


class Peers:
    """Nodes that have committed these records; of one whose answer is an error none is got."""

    def __init__(self, **logs: tuple[Record, ...] | LinkLost) -> None:
        self.logs = logs
        self.base = 0
        self.records_max = 1_000
        self.asked: list[tuple[NodeId, Index, Index]] = []
        self.later: tuple[Record, ...] = ()
        """What n2 has committed when it is asked for the third time."""
        self.begun_after: list[NodeId] = []
        self.refusals = 0
        """So many snapshots are not given, before there is one."""

    async def fetch(self, node: NodeId, first: Index, last: Index) -> LogCopies:
        self.asked.append((node, first, last))
        if self.later and len(self.asked) > 2:
            self.logs["n2"] = self.later
        log = self.logs[node]
        if isinstance(log, LinkLost):
            raise log
        found = [record for record in log if first <= record.index <= last][: self.records_max]
        return LogCopies(1, tuple(found) if first > self.base else (), self.base)

    async def begin_after(self, node: NodeId) -> None:
        self.begun_after.append(node)
        if len(self.begun_after) <= self.refusals:
            raise LinkLost(f"{node} is not primary")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_repair, "_AGAIN_S", 0.01)


async def repaired(
    path: Path, own: tuple[Record, ...], damaged: list[Index], committed: Index, peers: Peers
) -> list[Record]:
    """What the log holds afterwards; on the disk, too."""
    async with StatementLog(path) as log:
        await log.write(own)
    damage(path, *damaged)
    async with StatementLog(path) as log:
        assert set(damaged) <= set(log.damaged)
        with trio.fail_after(10):
            assert await repair(log, committed, list(peers.logs), peers.fetch, peers.begin_after)
        assert log.damaged == ()
    async with StatementLog(path) as log:
        assert log.damaged == ()
        return list(await log.read(log.base.index + 1, log.last.index, 1 << 20))


async def test_records_in_the_middle_are_replaced_one_run_at_a_time(tmp_path: Path) -> None:
    own = chain(10)
    peers = Peers(n2=own)
    assert await repaired(tmp_path / "log.db", own, [2, 3, 7], 9, peers) == list(own)
    assert peers.asked == [("n2", 2, 3), ("n2", 7, 7)]


async def test_the_next_node_is_asked_when_one_does_not_answer_or_has_too_little(tmp_path: Path) -> None:
    own = chain(10)
    peers = Peers(n2=LinkLost("gone"), n3=own[:5], n4=own)
    assert await repaired(tmp_path / "log.db", own, [7], 9, peers) == list(own)


async def test_the_newest_record_is_waited_for_until_somebody_has_committed_it(tmp_path: Path) -> None:
    own = chain(10)
    peers = Peers(n2=own[:9])
    peers.later = own
    assert await repaired(tmp_path / "log.db", own, [10], 8, peers) == list(own)


async def test_what_was_acknowledged_behind_the_damage_is_kept(tmp_path: Path) -> None:
    """Record 10 may be on a quorum's disks without anybody but its primary knowing."""
    own = chain(10)
    peers = Peers(n2=own[:9])
    assert await repaired(tmp_path / "log.db", own, [8], 6, peers) == list(own)


async def test_damage_behind_what_others_have_committed_is_not_overwritten(tmp_path: Path) -> None:
    own = chain(10)
    peers = Peers(n2=own[:8])
    peers.later = own
    assert await repaired(tmp_path / "log.db", own, [8, 9], 6, peers) == list(own)


async def test_records_that_lost_an_election_give_way_to_those_that_won(tmp_path: Path) -> None:
    own = chain(10)
    winners = own[:7] + chain(2, position_of(own[6]), term=2)
    peers = Peers(n2=winners)
    assert await repaired(tmp_path / "log.db", own, [8], 6, peers) == list(winners)


async def test_what_won_an_election_replaces_also_records_before_the_damage(tmp_path: Path) -> None:
    own = chain(10)
    winners = own[:7] + chain(2, position_of(own[6]), term=2)
    assert await repaired(tmp_path / "log.db", own, [9, 10], 6, Peers(n2=winners)) == list(winners)


async def test_a_long_way_is_gone_in_steps(tmp_path: Path) -> None:
    own = chain(40)
    peers = Peers(n2=own)
    peers.records_max = 7
    assert await repaired(tmp_path / "log.db", own, [*range(5, 38)], 2, peers) == list(own)
    assert await repaired(tmp_path / "far.db", own, [30, 35], 2, peers) == list(own)


async def test_another_history_is_not_taken(tmp_path: Path) -> None:
    own = chain(10)
    forked = own[:4] + chain(6, position_of(own[3]), term=2)
    for number, history in enumerate([chain(10, term=2), forked]):
        path = tmp_path / f"{number}.db"
        with pytest.raises(DataCorrupted, match="does not continue this node's log"):
            await repaired(path, own, [5], 9, Peers(n2=history))
        async with StatementLog(path) as log:
            assert log.last == position_of(own[-1])


async def test_without_other_nodes_the_node_stops_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataCorrupted, match="no other node to have them from") as raised:
        await repaired(tmp_path / "a.db", chain(10), [5], 9, Peers())
    assert "data.db" in raised.value.hint


async def test_what_others_have_cut_off_is_in_a_snapshot_of_the_one_that_gives_it(tmp_path: Path) -> None:
    own, path = chain(10), tmp_path / "log.db"
    async with StatementLog(path) as log:
        await log.write(own)
    damage(path, 5)
    peers = Peers(n2=LinkLost("gone"), n3=own, n4=own)
    peers.base = 5
    peers.refusals = 1
    async with StatementLog(path) as log:
        with trio.fail_after(10):
            assert not await repair(log, 9, list(peers.logs), peers.fetch, peers.begin_after)
        assert (peers.begun_after, log.damaged, log.last) == (["n3", "n4"], (5,), position_of(own[-1]))


async def test_a_snapshot_is_waited_for_while_nobody_gives_one(tmp_path: Path) -> None:
    own, path = chain(10), tmp_path / "log.db"
    async with StatementLog(path) as log:
        await log.write(own)
    damage(path, 5)
    peers = Peers(n2=own)
    peers.base = 5
    peers.refusals = 2
    async with StatementLog(path) as log:
        with trio.fail_after(10):
            assert not await repair(log, 9, list(peers.logs), peers.fetch, peers.begin_after)
    assert len(peers.begun_after) == 3


@dataclass
class Committed:
    """As much of a driver and of an asker as answering needs."""

    committed: Index
    answers: list[Answer] = field(default_factory=list)

    @property
    def consensus(self) -> Committed:
        return self

    def answer(self, answer: Answer) -> None:
        self.answers.append(answer)


async def test_only_what_is_committed_is_given_to_others(tmp_path: Path) -> None:
    own = chain(10)
    async with StatementLog(tmp_path / "log.db") as log:
        await log.write(own)
        await log.compact(2)
        both = Committed(6)
        for first, last in ((4, 10), (7, 10), (2, 5)):
            await answer_records(log, cast(Driver, both), cast(AskerLink, both), LogRecords(1, first, last))
    assert both.answers == [LogCopies(1, own[3:6], 2), LogCopies(1, (), 2), LogCopies(1, (), 2)]


@pytest.mark.parametrize("tail", [False, True])
async def test_a_node_with_a_damaged_log_comes_back_whole(tmp_path: Path, tail: bool) -> None:
    async with cluster_of(tmp_path, 3) as cluster:
        async with cluster.link(await cluster.primary()) as link:
            session = Session(link, "a")
            await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
            for _ in range(10):
                await session.submit("INSERT INTO t DEFAULT VALUES")
        await cluster.level()
        primary = await cluster.primary()
        victim = next(name for name in cluster.configs if name != primary)
        last = cluster.running[victim].node.driver.consensus.last.index
        await cluster.stop(victim)
        damage(tmp_path / victim / "log.db", *([last - 1, last] if tail else [4]))
        await cluster.start(victim)
        await cluster.level()
        assert cluster.content(victim, "SELECT count(*) FROM t") == [(10,)]
        async with cluster.link(victim) as link:
            answer = await link.request(LogRecords(link.next_request(), 1, last))
            assert isinstance(answer, LogCopies)
            assert len(answer.records) == last


async def test_damage_that_a_running_node_meets_is_repaired_and_the_node_goes_on(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3) as cluster:
        primary = await cluster.primary()
        async with cluster.link(primary) as link:
            session = Session(link, "a")
            await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
            for _ in range(10):
                await session.submit("INSERT INTO t DEFAULT VALUES")
        await cluster.level()
        damage(tmp_path / primary / "log.db", 5)
        async with cluster.link(primary) as link:
            with pytest.raises(LinkLost):  # the node leaves everything as it is when it meets the damage
                await link.request(LogRecords(link.next_request(), 5, 5))
        while True:
            try:
                async with cluster.link(primary) as link:
                    answer = await link.request(LogRecords(link.next_request(), 1, 12))
            except LinkLost:
                await trio.sleep(0.01)
                continue
            break
        assert isinstance(answer, LogCopies)
        assert [record.index for record in answer.records] == [*range(1, 13)]


@pytest.mark.parametrize("tail", [False, True])
async def test_what_only_a_snapshot_has_any_more_comes_with_it(tmp_path: Path, tail: bool) -> None:
    async with three(tmp_path) as (cluster, name, follower):
        await fill(cluster, name, 3)
        await cluster.level()
        end = cluster.running[follower].node._log.last.index
        await cluster.stop(follower)
        await fill(cluster, name, 25, "more")
        for running in cluster.running.values():
            await compacted(running.node, end)
        damage(tmp_path / follower / "log.db", end if tail else 3)
        for file in DATA_FILES:
            (tmp_path / follower / file).unlink(missing_ok=True)
        await cluster.start(follower)
        node = cluster.running[follower].node
        assert (node._log.damaged, node._reads.fault) == ((), None)
        assert node._log.base.index > end
        assert sorted(path.name for path in (tmp_path / follower).glob("snapshot*")) == []
        # What it has counts: with the third node gone, it is the primary's quorum.
        await cluster.stop(next(other for other in cluster.running if other not in (name, follower)))
        await fill(cluster, await cluster.primary(), 1, "last")
        await assert_all_equal(cluster)


async def test_a_witness_begins_where_the_primarys_data_stands(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3, late=1, deadline_s=40, log_bytes_max=MEBIBYTE) as cluster:
        name = await cluster.primary()
        async with cluster.link(name) as link:
            await Session(link, "schema").submit("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)")
        await fill(cluster, name, 25)
        for running in cluster.running.values():
            await compacted(running.node)
        cluster.sockets.pop("n3").close()
        path = tmp_path / "n3" / "log.db"
        path.parent.mkdir()
        own = cluster.running[name].node._log
        async with StatementLog(path) as log:
            await log.write(chain(3))
        damage(path, 3)
        async with StatementLog(path) as log:
            assert not await repair_over_links(log, 0, None, cluster.configs["n3"], cluster.key)
            assert log.damaged == ()
            assert log.base.index >= own.base.index > 3
            assert log.base == await own.position(log.base.index)
            assert decode_state(log.hard_state).commit == log.base.index


@pytest.mark.parametrize("damaged", [3, 5, 8])
async def test_a_snapshot_takes_the_place_of_damaged_records_and_what_follows_it_stays(
    tmp_path: Path, damaged: int
) -> None:
    own, path = chain(10), tmp_path / "log.db"
    async with StatementLog(path) as log:
        await log.write(own, hard_state=encode_state(HardState(4, "n2", 9)))
    damage(path, damaged)
    async with StatementLog(path) as log:
        await adopt(log, Installation(position_of(own[4]), b"members"), tmp_path)
        kept = (Position(), (8,)) if damaged == 8 else (position_of(own[4]), ())
        assert (log.base, log.damaged) == kept
        assert log.last == position_of(own[-1])
        assert decode_state(log.hard_state) == HardState(4, "n2", 9)
