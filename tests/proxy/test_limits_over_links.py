"""Limits of lag over links, for a read alone and for a READ ONLY transaction: kept, waited for, and told."""

from __future__ import annotations

from time import monotonic
from typing import Any, Final, cast

import pytest
import trio

from lfsql.config import Balancing
from lfsql.core.freshness import CommitHistory
from lfsql.core.requests import (
    COMMITTED,
    PRIMARY,
    REPLICA,
    Answer,
    CurrentIndex,
    Fault,
    Heartbeat,
    Outcome,
    Ping,
    Read,
    ReadClose,
    Rows,
)
from lfsql.errors import LfsqlError, NoPrimary, NotPrimary, TooStale
from proxy.acknowledged import Acknowledged
from proxy.pg.settings import EncodeSettings
from proxy.reading import read
from proxy.receipt import Routes, last_route
from proxy.settings import SessionSettings
from proxy.snapshots import read_snapshot, snapshot
from proxy.sql.plan import Kind, Plan
from proxy.state import IN_TRANSACTION, SessionState
from proxy.topology import Node, Topology
from proxy.worker import Worker

HEARD: Final = 100
"""The index that was heard last, and at which the replicas stand."""
COMMITTED_SINCE: Final = 300
"""Where the primary stands, and what a quorum confirms."""
HEARD_S_AGO: Final = 0.2
NOWHERE: Final = 1_000_000_000
PLAN: Final = Plan(Kind.READ, "SELECT", ("SELECT 1",), returns_rows=True)


class FakeLink:
    """Of a node at `index`.  What is asked for more waits for `moved`; each answer takes `answers_s`."""

    lost = False

    def __init__(self, index: int) -> None:
        self.index = index
        self.confirms = COMMITTED_SINCE
        self.moved = trio.Event()
        self.asked_once = trio.Event()
        self.asked_again = trio.Event()
        self.answers_s = 0.0
        self.deposed = False
        self.asked: list[Read | CurrentIndex] = []

    def next_request(self) -> int:
        return len(self.asked) + 1

    async def request(self, question: Read | CurrentIndex) -> Answer:
        self.asked_once.set()
        if self.asked:
            self.asked_again.set()
        self.asked.append(question)
        await trio.sleep(self.answers_s)
        if isinstance(question, CurrentIndex):
            fault = Fault(NotPrimary.sqlstate, "this node is not primary") if self.deposed else None
            return Outcome(question.request, COMMITTED, index=self.confirms, fault=fault)
        with trio.move_on_after(question.wait_ms_max / 1000):
            while self.index < question.min_index:
                await self.moved.wait()
        if self.index < question.min_index:
            fault = Fault(TooStale.sqlstate, f"this node stands at index {self.index}")
            return Rows(question.request, fault=fault, index=self.index)
        return Rows(question.request, ((self.index,),), index=self.index)

    def tell(self, _control: ReadClose | Ping) -> None:
        """Nothing of it matters here."""

    def give_up_writes(self) -> None:
        """Nobody writes here."""


class FakeWorker:
    def __init__(self) -> None:
        nodes = [Node(name, f"{name}:1", "") for name in ("n1", "n2", "n3")]
        self.topology = Topology(nodes, CommitHistory(60.0, 100), Balancing())
        self.routes = Routes()
        self.acknowledged = Acknowledged(0)
        self.links = {node.name: FakeLink(COMMITTED_SINCE if node.name == "n1" else HEARD) for node in nodes}
        for node in nodes:
            node.link = self.links[node.name]  # type: ignore[assignment]  # all that a read uses of a link
        self.beat()
        self.topology.confirmed(monotonic() - HEARD_S_AGO, HEARD)

    def beat(self, primary: str = "n1", term: int = 1, commit: int = HEARD) -> None:
        """Of all that have a link."""
        for node in self.topology.nodes.values():
            if node.link is not None:
                role, at = (PRIMARY, commit) if node.name == primary else (REPLICA, HEARD)
                told = Heartbeat(node.name, role, term, primary, commit, at, 0, confirmed_ago_ms=0)
                self.topology.heard(node, told)

    def encoding_key(self, _encoding: EncodeSettings) -> int:
        return 0

    async def ask(self, _state: object, link: FakeLink, question: Read | CurrentIndex) -> Answer:
        return await link.request(question)


class Proxy:
    """`way`: "read", or "snapshot" for one in a READ ONLY transaction; `given`: settings, without their `lfsql.`"""

    def __init__(self, way: str, **given: str | int) -> None:
        self.worker = FakeWorker()
        self.topology = self.worker.topology
        self.links = self.worker.links
        self._way = way
        settings = {"read_consistency": "bounded", "failover_wait_ms": "300", "max_lag_ms": "0"} | given
        values = {f"lfsql.{name}": str(value) for name, value in settings.items()}
        self.state = SessionState(cast(Worker, self.worker), "client", SessionSettings(values), 1)
        if way == "snapshot":
            self.state.status = IN_TRANSACTION
            self.state.settings.set("transaction_read_only", "on")

    async def read(self) -> int:
        """The index of what was read."""
        with trio.fail_after(20):
            kept = await snapshot(self.state, PLAN)
            if kept is not None:
                await read_snapshot(self.state, kept, PLAN, ())
                return kept.index
            source = await read(self.state, PLAN, "SELECT 1", ())
            rows, _ = await source.fetch(0)
            return cast(int, rows[0][0])

    @property
    def confirmations(self) -> int:
        return sum(isinstance(each, CurrentIndex) for each in self.links["n1"].asked)


ways = pytest.mark.parametrize("way", ["read", "snapshot"])


@ways
async def test_what_is_within_its_limits_is_read_without_asking(way: str) -> None:
    proxy = Proxy(way, max_lag_ms=5_000, max_lag_entries=10)
    assert await proxy.read() == HEARD
    assert not proxy.confirmations


@ways
@pytest.mark.parametrize("limit", [{"max_lag_ms": 100}, {"max_lag_entries": 10}])
async def test_nothing_over_its_limits_is_read(way: str, limit: dict[str, Any]) -> None:
    proxy = Proxy(way, when_lagging="error", **limit)
    proxy.topology.committed(HEARD + 11)
    if "max_lag_entries" in limit:
        proxy.links["n1"].index = HEARD  # else it answers, being asked for no more than it is known to have
    with pytest.raises(TooStale) as raised:
        await proxy.read()
    assert "n2: behind by more than max_lag" in (raised.value.detail or "")
    assert not any(link.asked for link in proxy.links.values())


@ways
@pytest.mark.parametrize("choice", ["primary", "wait"])
async def test_the_index_to_wait_for_is_one_that_a_quorum_confirms(way: str, choice: str) -> None:
    proxy = Proxy(way, max_lag_ms=100, when_lagging=choice, failover_wait_ms=5_000)

    async def catch_up() -> None:
        for name in ("n2", "n3"):
            proxy.links[name].index = COMMITTED_SINCE
            proxy.links[name].moved.set()

    async with trio.open_nursery() as nursery:
        if choice == "wait":
            nursery.start_soon(catch_up)
        assert await proxy.read() == COMMITTED_SINCE
    assert proxy.confirmations


@ways
async def test_a_primary_that_nobody_confirms_is_one_more_late_copy(way: str) -> None:
    proxy = Proxy(way, max_lag_ms=100)
    proxy.links["n1"].deposed = True
    with pytest.raises(NoPrimary):
        await proxy.read()
    assert not any(isinstance(each, Read) for each in proxy.links["n1"].asked)


@ways
@pytest.mark.parametrize("choice", ["primary", "wait", "freshest"])
@pytest.mark.parametrize("level", ["bounded", "session"])
async def test_waiting_for_what_nobody_has_ends(way: str, choice: str, level: str) -> None:
    proxy = Proxy(way, read_consistency=level, when_lagging=choice, min_index=NOWHERE)
    began = monotonic()
    with pytest.raises(LfsqlError, match=f"log index {NOWHERE} in time") as raised:
        await proxy.read()
    assert raised.value.sqlstate == "55000"
    assert 0.3 <= monotonic() - began < 1.3


@ways
async def test_who_waits_for_any_waits_for_longer_than_one_turn(way: str) -> None:
    proxy = Proxy(way, max_lag_ms=100, when_lagging="wait", failover_wait_ms=10_000, route="n2")

    async def live() -> None:
        while True:
            proxy.worker.beat()
            await trio.sleep(0.2)

    async def catch_up() -> None:
        await proxy.links["n2"].asked_again.wait()
        proxy.links["n2"].index = COMMITTED_SINCE
        proxy.links["n2"].moved.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(live)
        nursery.start_soon(catch_up)
        assert await proxy.read() == COMMITTED_SINCE
        nursery.cancel_scope.cancel()


@ways
async def test_a_receipt_tells_by_what_it_was_decided(way: str) -> None:
    proxy = Proxy(way, max_lag_ms=400, max_lag_entries=10)
    for link in proxy.links.values():
        link.answers_s = 0.3

    async def write() -> None:
        await trio.sleep(0.1)
        proxy.topology.committed(HEARD + 1_000)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        assert await proxy.read() == HEARD
    told = last_route(proxy.state)
    assert told.staleness_ms is not None
    assert HEARD_S_AGO * 1000 <= told.staleness_ms <= 400
    assert told.lag_entries == 0
    if way == "snapshot":
        await proxy.read()
        later = last_route(proxy.state)
        assert (later.staleness_ms or 0) >= told.staleness_ms + 300, "what it has become since"
        assert later.lag_entries == 1_000


@ways
async def test_what_waited_for_a_quorums_word_is_told_as_fresh(way: str) -> None:
    proxy = Proxy(way, max_lag_ms=100)
    proxy.links["n1"].answers_s = 0.2

    async def overtake() -> None:
        await proxy.links["n1"].asked_once.wait()
        proxy.topology.confirmed(monotonic(), COMMITTED_SINCE + 5)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(overtake)
        assert await proxy.read() == COMMITTED_SINCE
    told = last_route(proxy.state)
    assert (told.staleness_ms, told.lag_entries) == (0.0, 0)
