"""Heartbeats that take their time make copies look staler, never fresher: a real node behind a link that is slow one
way, as one whose buffers are full is, or a proxy whose event loop is held up.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from pathlib import Path
from time import monotonic

import trio

from lfsql.config import split_address
from lfsql.core.freshness import CommitHistory
from lfsql.core.requests import COMMITTED, Heartbeat
from lfsql.net.handshake import PROXY, Identity
from lfsql.net.link import open_link
from proxy.topology import Node, Topology
from tests.node.clusters import Session, cluster_of

CHUNK_BYTES = 65_536
LATE_S = 0.8
FRESH_S = 0.4
"""Far more than a heartbeat's interval, far less than LATE_S."""


class SlowPath:
    """Passes on what a node and a proxy say to each other; what the node says, `delay_s` later."""

    def __init__(self) -> None:
        self.delay_s = 0.0

    async def serve(self, address: str, *, task_status: trio.TaskStatus[str]) -> None:
        host, port = split_address(address)

        async def join(near: trio.SocketStream) -> None:
            async with near, await trio.open_tcp_stream(host, port) as far, trio.open_nursery() as nursery:
                nursery.start_soon(self._carry, near, far, lambda: 0.0)
                nursery.start_soon(self._carry, far, near, lambda: self.delay_s)

        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, join, 0, host="127.0.0.1"))
            task_status.started(f"127.0.0.1:{listeners[0].socket.getsockname()[1]}")

    async def _carry(self, source: trio.SocketStream, sink: trio.SocketStream, delay_s: Callable[[], float]) -> None:
        send, receive = trio.open_memory_channel[tuple[float, bytes]](10_000)
        async with trio.open_nursery() as nursery:

            async def pass_on() -> None:
                async for due, data in receive:
                    await trio.sleep_until(due)
                    await sink.send_all(data)

            nursery.start_soon(pass_on)
            while data := await source.receive_some(CHUNK_BYTES):
                await send.send((trio.current_time() + delay_s(), bytes(data)))
            nursery.cancel_scope.cancel()


class Hearing:
    """A topology of one node, and whoever waits for its next heartbeat."""

    def __init__(self, name: str, address: str) -> None:
        self.node = Node(name, address, "")
        self.topology = Topology([self.node], CommitHistory(60.0, 1_000))
        self._heard = trio.Event()

    def heard(self, heartbeat: Heartbeat) -> None:
        self.topology.heard(self.node, heartbeat)
        self._heard.set()
        self._heard = trio.Event()

    def staleness(self, index: int) -> float:
        found = self.topology.staleness(index, monotonic())
        return inf if found is None else found

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._heard.wait()


async def test_a_slow_way_of_heartbeats_counts_as_staleness(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster, trio.open_nursery() as nursery:
        name = await cluster.primary()
        path = SlowPath()
        address: str = await nursery.start(path.serve, cluster.address(name))
        hearing = Hearing(name, address)
        topology, staleness = hearing.topology, hearing.staleness
        identity = Identity("c1", "", PROXY)
        async with (
            cluster.link(name) as direct,
            open_link(address, identity, cluster.key, on_push=hearing.heard) as link,
        ):
            hearing.node.link = link
            session = Session(direct, "a")
            created = await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
            await hearing.until(lambda: staleness(created.index) < FRESH_S)
            path.delay_s = LATE_S
            before = topology.heard_at
            written = await session.submit("INSERT INTO t VALUES (1)")
            assert written.state == COMMITTED
            there_at = monotonic()
            # For as long as news of the write are on their way, what it overtook must not be called fresh.
            while topology.commit_index < written.index:
                stale_s = monotonic() - there_at
                assert staleness(created.index) >= stale_s
                await trio.sleep(0.01)
            assert monotonic() - there_at > FRESH_S, "the news were late"
            # Nor may the newest copy be, by what is heard of it so late: more could have been written since.
            await hearing.until(lambda: topology.heard_at > before + FRESH_S)
            for _ in range(20):
                assert staleness(written.index) >= LATE_S
                await trio.sleep(0.02)
            path.delay_s = 0.0
            await hearing.until(lambda: staleness(written.index) < FRESH_S)
            assert topology.primary is hearing.node
        nursery.cancel_scope.cancel()
