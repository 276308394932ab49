"""Which nodes a proxy talks to: those of its file, and then those that the cluster says belong to it.

Every heartbeat tells the members, and the record of the log that says so.  The primary is believed; another node is
when it knows a newer record, so that a proxy whose nodes were all replaced but one finds the others.  Members that
a cluster began with are in the file, which may know more of them (a data directory on this host), so record 0
changes nothing.

A node that is added is looked up in the proxy's own file, which may know more of it by then: where its files are,
when they are on this host.  Without that it is read over its link.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from lfsql.core.ids import Index
from lfsql.core.requests import Belongs, Heartbeat
from proxy.topology import Node, Topology

LOG: Final = logging.getLogger("lfsql.proxy")


class Members:
    """`keep` keeps up what a node needs, links above all, until it is cancelled.  `known`: the node of a name and an
    address, with what the proxy's file says of it now.  `run` must run in a task."""

    def __init__(
        self,
        topology: Topology,
        keep: Callable[[Node], Awaitable[None]],
        known: Callable[[str, str], Node] = lambda name, address: Node(name, address, ""),
    ) -> None:
        self._topology = topology
        self._keep = keep
        self._known = known
        self._index: Index = 0
        self._members: tuple[Belongs, ...] = ()
        self._nursery: trio.Nursery | None = None
        self._kept: dict[str, trio.CancelScope] = {}

    def heard(self, node: Node, heartbeat: Heartbeat) -> None:
        """A node pushed a heartbeat."""
        self._topology.heard(node, heartbeat)
        if not heartbeat.members_index or heartbeat.members == self._members:
            return
        if self._topology.primary is node or heartbeat.members_index > self._index:
            self._follow(heartbeat)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as self._nursery:
            for node in self._topology.nodes.values():
                self._start(node)
            task_status.started()
            await trio.sleep_forever()

    def _follow(self, heartbeat: Heartbeat) -> None:
        self._index, self._members = heartbeat.members_index, heartbeat.members
        wanted = {member.node: member for member in heartbeat.members}
        for name in [name for name in self._topology.nodes if name not in wanted]:
            LOG.info("node %s was removed from the cluster", name)
            self._topology.remove(name)
            scope = self._kept.pop(name, None)
            if scope is not None:
                scope.cancel()
        for member in heartbeat.members:
            if member.node not in self._topology.nodes and member.address:
                LOG.info("node %s at %s was added to the cluster", member.node, member.address)
                node = self._known(member.node, member.address)
                self._topology.add(node)
                self._start(node)

    def _start(self, node: Node) -> None:
        if self._nursery is not None:
            scope = self._kept[node.name] = trio.CancelScope()
            self._nursery.start_soon(self._run, node, scope)

    async def _run(self, node: Node, scope: trio.CancelScope) -> None:
        with scope:
            await self._keep(node)
