"""Real nodes of one cluster in this process: loopback sockets, real files, no processes."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import trio

from lfsql.config import Member, NodeConfig, NodeLimits
from lfsql.core.requests import COMMIT, Answer, Heartbeat, Outcome, Read, Row, Rows, Run, Submit
from lfsql.net.cluster_key import load_key, make_key
from lfsql.net.handshake import PROXY, Identity
from lfsql.net.link import Link, open_link
from lfsql.net.listener import bind
from lfsql.node.running import run_node
from lfsql.node.service import Node

MEBIBYTE = 1 << 20

DEADLINE_S = 20
"""Everything here takes milliseconds; a test that waits this long has failed."""


@dataclass
class Running:
    node: Node
    scope: trio.CancelScope
    ended: trio.Event
    renewed: trio.Event = field(default_factory=trio.Event)
    """Its data was made again from a snapshot."""


@dataclass
class Cluster:
    directory: Path
    configs: dict[str, NodeConfig]
    nursery: trio.Nursery
    running: dict[str, Running] = field(default_factory=dict)
    sockets: dict[str, socket.socket] = field(default_factory=dict)

    @property
    def key(self) -> bytes:
        return load_key(self.directory / "key")

    def address(self, name: str) -> str:
        return self.configs[name].me.address

    async def start(self, name: str) -> Node:
        listening = self.sockets.pop(name, None) or bind(self.address(name))
        ended = trio.Event()
        scope = trio.CancelScope()

        def renew(node: Node) -> None:
            self.running[name].node = node
            self.running[name].renewed.set()

        async def run(*, task_status: trio.TaskStatus[Node]) -> None:
            with scope:
                await run_node(self.configs[name], listening=listening, renewed=renew, task_status=task_status)
            ended.set()

        node: Node = await self.nursery.start(run)
        self.running[name] = Running(node, scope, ended)
        return node

    async def stop(self, name: str) -> None:
        running = self.running.pop(name)
        running.scope.cancel()
        await running.ended.wait()

    async def primary(self) -> str:
        """The name of the node that takes writes, once there is one."""
        while True:
            for name, running in self.running.items():
                if running.node.is_serving:
                    return name
            await self.any_change()

    async def any_change(self) -> None:
        # Taken before anything waits: a change that comes before the tasks have begun must not be missed.
        changes = [running.node.participant.change for running in self.running.values()]
        async with trio.open_nursery() as nursery:

            async def wait(change: trio.Event) -> None:
                await change.wait()
                nursery.cancel_scope.cancel()

            for change in changes:
                nursery.start_soon(wait, change)

    async def level(self) -> None:
        """Return when every running node has applied what the primary has."""
        index = self.running[await self.primary()].node.driver.consensus.commit_index
        for running in self.running.values():
            await running.node.progress.wait_for(index)

    def content(self, name: str, sql: str) -> list[Row]:
        """Read a node's file as any process could."""
        connection = apsw.Connection(
            str(Path(self.configs[name].data_dir) / "data.db"), flags=apsw.SQLITE_OPEN_READONLY
        )
        try:
            return list(connection.execute(sql))
        finally:
            connection.close()

    @asynccontextmanager
    async def link(self, name: str, on_push: Callable[[Heartbeat], None] | None = None) -> AsyncIterator[Link]:
        async with open_link(self.address(name), Identity("c1", "", PROXY), self.key, on_push=on_push) as link:
            yield link


@asynccontextmanager
async def cluster_of(
    directory: Path,
    count: int,
    *,
    deadline_s: float = DEADLINE_S,
    late: int = 0,
    content_check_interval_ms: int = 0,
    **limits: Any,
) -> AsyncIterator[Cluster]:
    """A cluster whose nodes all run, the last `late` apart.  Everything within must be over in `deadline_s`."""
    make_key(directory / "key")
    names = [f"n{number}" for number in range(1, count + 1)]
    sockets = {name: bind("127.0.0.1:0") for name in names}
    members = tuple(Member(name=name, address=f"127.0.0.1:{sockets[name].getsockname()[1]}") for name in names)
    configs = {
        member.name: NodeConfig(
            name=member.name,
            cluster_id="c1",
            listen=member.address,
            peers=members,
            cluster_key_file=str(directory / "key"),
            data_dir=str(directory / member.name),
            content_check_interval_ms=content_check_interval_ms,
            limits=NodeLimits(**limits),
        )
        for member in members
    }
    with trio.fail_after(deadline_s):
        async with trio.open_nursery() as nursery:
            cluster = Cluster(directory, configs, nursery, sockets=sockets)
            for name in names[: count - late]:
                await cluster.start(name)
            yield cluster
            for name in list(cluster.running):
                cluster.running[name].scope.cancel()


class Session:
    """One client of a link: numbers its units."""

    def __init__(self, link: Link, client: str) -> None:
        self.link = link
        self.client = client
        self.sequence = 0

    async def submit(self, *statements: str, end: int = COMMIT, same: bool = False, **options: Any) -> Outcome:
        """Run statements as a unit, or (`same`) as the next part of the one that is open."""
        if not same:
            self.sequence += 1
        return await self.submit_numbered(self.sequence, *statements, end=end, **options)

    async def submit_numbered(self, sequence: int, *statements: str, end: int = COMMIT, **options: Any) -> Outcome:
        operations = tuple(Run(sql) for sql in statements)
        answer = await self.link.request(
            Submit(self.link.next_request(), self.client, sequence, operations, end, **options)
        )
        assert isinstance(answer, Outcome)
        return answer


async def read(link: Link, sql: str, **options: Any) -> Rows:
    answer: Answer = await link.request(Read(link.next_request(), sql, **options))
    assert isinstance(answer, Rows)
    return answer
