"""A primary whose replica applies less than clients write takes writes more slowly, and says so."""

from __future__ import annotations

from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import trio
from trio.testing import MockClock

from lfsql.config import NodeFaults, NodeLimits
from lfsql.core.ids import Position
from lfsql.core.membership import VOTER, Member
from lfsql.core.requests import COMMITTED, HOLD, OPEN, PRIMARY, ROLLBACK, Heartbeat, Outcome
from lfsql.node.admission import Admission
from lfsql.node.driver import Driver
from lfsql.node.membership import Membership
from tests.node.clusters import Cluster, Session, cluster_of

LAG_S_MAX = 1.0
WRITERS = 8


class Writers:
    """Clients that write as fast as they are answered."""

    def __init__(self) -> None:
        self.written = 0
        self.news = trio.Event()

    async def run(self, cluster: Cluster, primary: str, name: str) -> None:
        async with cluster.link(primary) as link:
            session = Session(link, name)
            while True:
                assert (await session.submit("INSERT INTO t DEFAULT VALUES")).state == COMMITTED
                self.written += 1
                self.news.set()
                self.news = trio.Event()

    async def until(self, written: int) -> None:
        while self.written < written:
            await self.news.wait()


async def test_writes_are_slowed_for_a_replica_that_lags_and_go_on(tmp_path: Path) -> None:
    async with cluster_of(
        tmp_path, 3, late=1, deadline_s=60, replica_lag_ms_max=int(LAG_S_MAX * 1000), apply_entries_max=20
    ) as cluster:
        slow = "n3"
        # 20 records each quarter of a second, on average: 80 a second.
        faults = NodeFaults(apply_delay_ms_max=500)
        cluster.configs[slow] = msgspec.structs.replace(cluster.configs[slow], faults=faults)
        primary = await cluster.primary()
        heard: list[Heartbeat] = []
        async with cluster.link(primary, heard.append) as link:
            session = Session(link, "a")
            await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
            node = await cluster.start(slow)
            await node.progress.wait_for(node.driver.consensus.commit_index)
            writers = Writers()
            async with trio.open_nursery() as nursery:
                for number in range(WRITERS):
                    nursery.start_soon(writers.run, cluster, primary, f"w{number}")
                told = cluster.running[primary].node._admission.told
                while not told():
                    await writers.news.wait()
                # The backlog from before it was seen, then some more at the replica's own pace.
                await trio.sleep(4 * LAG_S_MAX)
                before, began = writers.written, trio.current_time()
                reasons = set()  # at any one moment it may have caught up
                while writers.written < before + 300:
                    await writers.news.wait()
                    reasons.add(told())
                rate = 300 / (trio.current_time() - began)
                assert 20 < rate < 250, rate
                assert any(f"the data of node '{slow}' is" in reason for reason in reasons)
                backlog = cluster.running[primary].node.progress.index - node.progress.index
                assert backlog < 400, "what it applies in the time it may be late, and some more"
                said = [beat for beat in heard if beat.role == PRIMARY and beat.throttle]
                assert said, "proxies hear of it"
                # Without the replica nobody has to be waited for.
                await cluster.stop(slow)
                await writers.until(writers.written + 1_000)
                while told():
                    await writers.news.wait()
                nursery.cancel_scope.cancel()


async def test_replicas_that_keep_up_are_not_waited_for(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3, replica_lag_ms_max=60_000) as cluster:
        primary = await cluster.primary()
        async with cluster.link(primary) as link:
            await Session(link, "a").submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        writers = Writers()
        async with trio.open_nursery() as nursery:
            for number in range(WRITERS):
                nursery.start_soon(writers.run, cluster, primary, f"w{number}")
            admission = cluster.running[primary].node._admission
            while writers.written < 500:
                await writers.news.wait()
                assert admission.told() == ""
            nursery.cancel_scope.cancel()


async def test_units_beyond_the_queues_limit_are_refused_and_those_before_are_not(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1, write_queue_units_max=2) as cluster:
        async with cluster.link(await cluster.primary()) as link, trio.open_nursery() as nursery:
            owner = Session(link, "owner")
            await owner.submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
            assert (await owner.submit("INSERT INTO t DEFAULT VALUES", end=HOLD)).state == OPEN
            outcomes: list[Outcome] = []
            refused = trio.Event()

            async def write(name: str) -> None:
                outcomes.append(await Session(link, name).submit("INSERT INTO t DEFAULT VALUES"))
                refused.set()

            for number in range(3):
                nursery.start_soon(write, f"w{number}")
            await refused.wait()
            assert [outcome.fault and outcome.fault.sqlstate for outcome in outcomes] == ["53400"]
            await owner.submit(end=ROLLBACK, same=True)
        # The nursery has ended: all were answered.
        assert [outcome.state for outcome in outcomes[1:]] == [COMMITTED, COMMITTED]


class Consensus:
    """Of a primary with one replica, to which 100 records a second are committed and 50 applied."""

    ready = True
    last = Position()

    def __init__(self) -> None:
        self.ends_at = inf

    @property
    def commit_index(self) -> int:
        return int(min(trio.current_time(), self.ends_at) * 100)

    def applied_by(self, _node: str) -> int:
        return min(int(trio.current_time() * 50), self.commit_index)


async def test_it_is_not_said_that_writes_are_slowed_when_there_are_none(autojump_clock: MockClock) -> None:
    consensus = Consensus()
    told: list[str] = []
    admission = Admission(
        cast(Driver, SimpleNamespace(consensus=consensus, clock=trio.current_time)),
        NodeLimits(replica_lag_ms_max=1000),
        cast(Membership, SimpleNamespace(current=SimpleNamespace(members=(Member("n2", VOTER),)))),
        connected=lambda _node: True,
        go_on=lambda: None,
        tell=lambda: told.append(admission.told()),
    )
    admission.begin()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(admission.alarm.run)
        while not told:
            await trio.sleep(0.1)
            admission.committed()
        consensus.ends_at = trio.current_time()
        await trio.sleep(consensus.ends_at + 1)  # it has caught up by then
        assert [bool(each) for each in told] == [True, False]
        nursery.cancel_scope.cancel()
