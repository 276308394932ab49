"""Reads over links: which node, and what becomes of a read whose node is full, fails, or stops."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
import trio
import trio.testing

from lfsql.config import Balancing
from lfsql.core.freshness import CommitHistory
from lfsql.core.requests import PRIMARY, REPLICA, Answer, Fault, Heartbeat, Ping, Read, ReadClose, Rows
from lfsql.errors import LinkLost, TooManyConnections
from lfsql.net.link import Link
from lfsql.storage.reads import LocalReads
from proxy.pg.settings import EncodeSettings
from proxy.probing import PROBE, ask_in_time, keep_probed, keep_watched
from proxy.reading import read
from proxy.receipt import Routes, last_route
from proxy.settings import SessionSettings
from proxy.snapshots import snapshot
from proxy.sql.plan import Kind, Plan
from proxy.state import IN_TRANSACTION, SessionState
from proxy.statements import RowSource
from proxy.topology import Node, Topology
from proxy.worker import Worker

UNANSWERED_S = 0.05
SELECT = Plan(Kind.READ, "SELECT", ("SELECT 1",), returns_rows=True)
FAILED = Fault("58030", "the disk refused")
NO_ROOM = Fault("53400", "64 reads are open here already")


class FakeLink:
    """Answers with its node's name, once `gate` is open; `hangs`: it answers nothing, not even a probe."""

    lost = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.gate = trio.Event()
        self.gate.set()
        self.hangs = False
        self.probed = trio.Event()
        self.fault: Fault | None = None
        self.more = False
        self.asked: list[str] = []
        self.closed = 0
        self.seconds = 0.0

    def next_request(self) -> int:
        return len(self.asked) + 1

    async def request(self, question: Read, *, stop_at: float = float("inf")) -> Answer:
        self.asked.append(question.sql)
        await trio.sleep(0 if question.sql == PROBE else self.seconds)
        if self.hangs:
            await trio.sleep_forever()
        if question.sql == PROBE:
            self.probed.set()
        else:
            await self.gate.wait()
        return Rows(question.request, ((self.name,),), more=self.more, index=1, fault=self.fault)

    def tell(self, control: ReadClose | Ping) -> None:
        if isinstance(control, ReadClose):
            self.closed += 1

    def give_up_writes(self) -> None:
        """Nobody writes here."""


class FakeWorker:
    def __init__(self, settings: Balancing, max_sessions: int) -> None:
        nodes = [Node(f"n{number}", f"n{number}:1", "", max_sessions=max_sessions) for number in (1, 2, 3)]
        self.topology = Topology(nodes, CommitHistory(60.0, 100), settings)
        self.routes = Routes()
        self.links: dict[str, FakeLink] = {}
        for node in nodes:
            link = self.links[node.name] = FakeLink(node.name)
            node.link = link  # type: ignore[assignment]  # all that a read uses of a link
            role = PRIMARY if node.name == "n1" else REPLICA
            self.topology.heard(node, Heartbeat(node.name, role, 1, "n1", 1, 1, 0, confirmed_ago_ms=0))

    def encoding_key(self, _encoding: EncodeSettings) -> int:
        return 0

    async def ask(self, state: SessionState, link: Link, question: Read) -> Answer:
        return await Worker.ask(cast(Worker, self), state, link, question)


class Proxy:
    """A primary n1 and replicas n2, n3; `route` as in lfsql.route."""

    def __init__(self, settings: Balancing, max_sessions: int, route: str) -> None:
        self.worker = FakeWorker(settings, max_sessions)
        self.links = self.worker.links
        self.nodes = self.worker.topology.nodes
        self._settings = {"lfsql.route": route, "lfsql.failover_wait_ms": "300", "lfsql.max_lag_ms": "0"}
        self.state = self.session()

    def session(self) -> SessionState:
        return SessionState(cast(Worker, self.worker), "client", SessionSettings(self._settings), 1)

    async def open(self, state: SessionState | None = None) -> RowSource:
        return await read(state or self.state, SELECT, "SELECT 1", ())

    async def read(self, state: SessionState | None = None) -> str:
        """The node that answered."""
        source = await self.open(state)
        rows, _ = await source.fetch(0)
        await source.aclose()
        return str(rows[0][0])


@asynccontextmanager
async def proxy(
    settings: Balancing | None = None, max_sessions: int = 0, route: str = "auto"
) -> AsyncIterator[Proxy]:
    settings = settings or Balancing(unanswered_ms_max=round(UNANSWERED_S * 1000), ejection_ms_min=100)
    made = Proxy(settings, max_sessions, route)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            for node in made.nodes.values():
                nursery.start_soon(keep_probed, made.worker.topology, node, UNANSWERED_S)
                nursery.start_soon(keep_watched, made.worker.topology, node, UNANSWERED_S)
            yield made
            nursery.cancel_scope.cancel()


async def test_a_full_node_is_passed_over_and_room_is_waited_for() -> None:
    async with proxy(max_sessions=1, route="replica") as made:
        for link in made.links.values():
            link.more = True
        first, second = await made.open(), await made.open()
        assert sorted(node.name for node in made.nodes.values() if node.full) == ["n2", "n3"]
        third: list[str] = []

        async def wait() -> None:
            third.append(await made.read(made.session()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            assert not third
            await first.aclose()
            await trio.testing.wait_all_tasks_blocked()
            assert third, "at once"
        assert third[0] in ("n2", "n3")
        await second.aclose()
        assert [node.outstanding for node in made.nodes.values()] == [0, 0, 0]


@pytest.mark.parametrize("timeout_ms", [0, 50])
async def test_who_waits_for_room_in_vain_is_told(timeout_ms: int) -> None:
    async with proxy(max_sessions=1, route="n2") as made:
        made.links["n2"].more = True
        held = await made.open()
        other = made.session()
        other.settings.set("statement_timeout", str(timeout_ms))
        other.start_clock()
        began = trio.current_time()
        with pytest.raises(TooManyConnections, match=r"max_sessions, .*: n2"):
            await made.read(other)
        assert trio.current_time() - began >= (timeout_ms or 300) / 1000 * 0.9
        await held.aclose()
        assert await made.read(other) == "n2"


async def test_a_node_that_drains_gets_nothing_new() -> None:
    async with proxy(route="replica") as made:
        node = made.nodes["n2"]

        def beat(*, draining: bool) -> None:
            told = Heartbeat("n2", REPLICA, 1, "n1", 1, 1, 0, draining=draining)
            made.worker.topology.heard(node, told)

        beat(draining=True)
        assert node.state == "draining"
        assert {await made.read() for _ in range(4)} == {"n3"}
        beat(draining=False)
        assert {await made.read() for _ in range(4)} == {"n2", "n3"}


async def test_what_a_node_cannot_read_another_can() -> None:
    async with proxy(Balancing(failures_max=3)) as made:
        made.links["n2"].fault = FAILED
        found = {await made.read() for _ in range(8)}
        assert found == {"n3"}
        reasons = {row.reason for row in made.worker.routes.rows()}
        assert reasons == {"link", "link, as n2 failed"}
        assert made.links["n2"].asked.count("SELECT 1") == 3
        assert made.nodes["n2"].state == "ejected"
        assert last_route(made.state).reason == "link", "it is not even tried any more"


async def test_a_read_at_a_node_that_stops_is_moved() -> None:
    async with proxy() as made:
        assert {await made.read() for _ in range(4)} == {"n2", "n3"}
        made.links["n2"].hangs = True
        began = trio.current_time()
        assert {await made.read() for _ in range(2)} == {"n3"}
        assert trio.current_time() - began < 2 * UNANSWERED_S + 0.2
        assert made.nodes["n2"].state == "ejected"
        assert made.links["n2"].closed == 1
        assert {await made.read() for _ in range(10)} == {"n3"}
        assert made.links["n2"].asked.count("SELECT 1") == 3
        made.links["n2"].hangs = False
        while made.nodes["n2"].state == "ejected":
            await made.nodes["n2"].stirred.wait()
        assert made.nodes["n2"].state == "warming"
        assert {await made.read() for _ in range(20)} == {"n2", "n3"}


async def test_a_long_read_at_a_node_that_lives_is_left_alone() -> None:
    async with proxy(route="n2") as made:
        made.links["n2"].gate = trio.Event()
        found: list[str] = []

        async def long() -> None:
            found.append(await made.read())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(long)
            for _ in range(3):
                made.links["n2"].probed = trio.Event()
                await made.links["n2"].probed.wait()
            assert made.nodes["n2"].state == "serving"
            made.links["n2"].gate.set()
        assert found == ["n2"]
        assert made.links["n2"].asked.count("SELECT 1") == 1


@pytest.mark.parametrize("kept", [False, True])
async def test_a_session_that_is_ended_leaves_no_read_open_at_a_node(kept: bool) -> None:
    """Not when it ends while the node has not answered yet."""
    async with proxy(Balancing(unanswered_ms_max=60_000)) as made:
        for link in made.links.values():
            link.gate = trio.Event()
        state = made.state
        if kept:
            state.status = IN_TRANSACTION
            state.settings.set("transaction_read_only", "on", local=False)

        async def ask() -> None:
            await (snapshot(state, SELECT) if kept else made.open(state))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        asked = [link for link in made.links.values() if link.asked]
        assert [link.closed for link in asked] == [1]
        assert [node.outstanding for node in made.nodes.values()] == [0, 0, 0]


async def test_a_node_that_has_no_room_is_passed_over_and_not_held_for_a_failing_one() -> None:
    async with proxy() as made:
        made.links["n2"].fault = NO_ROOM
        assert {await made.read() for _ in range(8)} == {"n3"}
        assert made.nodes["n2"].state == "serving"
        assert made.links["n2"].asked.count("SELECT 1") == 1, "it is left alone for a moment"
        made.links["n3"].fault = NO_ROOM
        assert await made.read() == "n1", "the primary has room"


async def test_when_no_node_has_room_it_is_waited_for_within_limits() -> None:
    async with proxy() as made:
        for link in made.links.values():
            link.fault = NO_ROOM
            link.seconds = 0.15  # longer than it is left alone for
        began = trio.current_time()
        with pytest.raises(TooManyConnections, match="no room for one more"):
            await made.read()
        assert 0.27 < trio.current_time() - began < 2

        async def make_room() -> None:
            await trio.sleep(0.15)
            made.links["n3"].fault = None

        async with trio.open_nursery() as nursery:
            nursery.start_soon(make_room)
            assert await made.read(made.session()) == "n3"


class FakeReads:
    """Of a file that can be read, whatever its node does."""

    full = False

    def refresh(self) -> tuple[int, int]:
        return 1, 0

    def try_inline(self, _sql: str, _values: tuple[object, ...]) -> list[tuple[int]]:
        return [(1,)]


async def test_a_node_that_has_stopped_does_not_live_because_its_file_can_be_read() -> None:
    async with proxy() as made:
        node, link = made.nodes["n2"], made.links["n2"]
        node.reads = cast(LocalReads, FakeReads())
        link.hangs = True
        with trio.fail_after(5), pytest.raises(LinkLost):
            await ask_in_time(made.state, node, cast(Link, link), Read(1, "SELECT 1"))
