"""What a node says of itself: heartbeats to proxies, and the answer to `lfsql status`.

Heartbeats are pushed, so that a proxy learns of a new primary when there is one, not when it asks.

Status is gathered by whichever node is asked, primary or not: it asks every other node for that node's own line, over
a link of its own, and what does not answer in time is unreachable.  So `lfsql status` tells the truth in the very
situations in which it is needed: without a primary, or with two nodes that each believe something else.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from typing import Final, Protocol

import msgspec
import trio

from lfsql.config import NodeConfig
from lfsql.core.effects import Applied, ReadConfirmed, ReadRefused
from lfsql.core.freshness import confirmed_ago_ms, ping_ago_ms
from lfsql.core.ids import NodeId
from lfsql.core.requests import (
    LEARNER,
    PRIMARY,
    QUARANTINED,
    REPLICA,
    UNREACHABLE,
    WITNESS,
    Heartbeat,
    NodeStatus,
    ProxyHello,
    ProxyStatus,
    Status,
    StatusRequest,
)
from lfsql.errors import LfsqlError
from lfsql.net.handshake import COMMAND, Identity
from lfsql.net.link import open_link
from lfsql.node.answering import NEVER_PINGED
from lfsql.node.clock import boot_clock
from lfsql.node.driver import Driver
from lfsql.node.membership import Membership
from lfsql.node.progress import Progress
from lfsql.node.work import Asker

logger: Final = logging.getLogger(__name__)

HEARTBEAT_S: Final = 0.15
"""How often a primary speaks to proxies that it has no news for: the lag limits rest on it."""
QUIET_HEARTBEAT_S: Final = 0.3
"""The same for all other nodes, which only show that they live.  What they apply they tell at once."""
GATHER_S_MAX: Final = 1.0
GATHERS_MAX: Final = 4
"""At a time: each opens a link to every other node."""


class StatusAsker(Asker, Protocol):
    """A link of a proxy or a command, as far as it matters here."""

    peer: Identity
    hello: ProxyHello | None
    pinged: tuple[int, float]


class StatusService:
    """`run` must run in a task.  `links`, of proxies and commands, is kept up to date by whoever serves them."""

    def __init__(
        self,
        config: NodeConfig,
        identity: Identity,
        key: bytes,
        driver: Driver,
        progress: Progress,
        membership: Membership,
    ) -> None:
        self._config = config
        self._identity = identity
        self._key = key
        self._driver = driver
        self._progress = progress
        self._membership = membership
        self._nursery: trio.Nursery | None = None
        self._changed = trio.Event()
        self._level_at = trio.current_time()
        self._gathers = trio.Semaphore(GATHERS_MAX)
        self.links: dict[int, StatusAsker] = {}
        self.serving = False
        """This node is primary and its writer takes work."""
        self.quarantined = False
        self.draining = False
        """This node is about to stop: it gets no new reads."""
        self.rebuilding = False
        """This node waits for a snapshot."""
        self.fault: Callable[[], str] = str
        """What is wrong with this node's data, '' when nothing is known to be."""
        self.throttle: Callable[[], str] = str
        """How much this node slows writes, as primary, and for whom; '' when it does not."""

    def change(self) -> None:
        """Something that proxies wait for changed: tell them now."""
        self._changed.set()

    def heartbeat(self) -> Heartbeat:
        consensus = self._driver.consensus
        members_index, members = self._membership.told()
        return Heartbeat(
            node=self._config.name,
            role=self._role(),
            term=consensus.term,
            primary=consensus.primary,
            commit_index=consensus.commit_index,
            applied_index=self._progress.index,
            schema_index=self._progress.schema_index,
            pid=os.getpid(),
            confirmed_ago_ms=confirmed_ago_ms(consensus.confirmed_at, boot_clock()),
            members_index=members_index,
            members=members,
            fault=self.fault(),
            throttle=self.throttle(),
            draining=self.draining,
        )

    def answer(self, asker: StatusAsker, question: StatusRequest) -> None:
        """Answer a StatusRequest: with this node's own line to another node, with all to anybody else."""
        if asker.peer.node:
            asker.answer(self._status(question.request, [self._own_line()]))
        elif self._nursery is not None:
            self._nursery.start_soon(self._gather, asker, question)

    def pinged(self, asker: StatusAsker, number: int) -> None:
        """A Ping came: from now on heartbeats tell it when they were sent.  The first is sent at once."""
        first = asker.pinged == NEVER_PINGED
        asker.pinged = (number, boot_clock())
        if first:
            self._push(asker, self.heartbeat())

    def _push(self, asker: StatusAsker, heartbeat: Heartbeat) -> None:
        number, pinged_at = asker.pinged
        if number:
            ago_ms = ping_ago_ms(pinged_at, boot_clock())
            heartbeat = msgspec.structs.replace(heartbeat, ping=number, ping_ago_ms=ago_ms)
        asker.answer(heartbeat)

    async def run(self) -> None:
        """Push heartbeats until cancelled."""
        async with trio.open_nursery() as self._nursery:
            while True:
                self._changed = trio.Event()
                self._driver.step(Applied(self._progress.index, fit=not (self.quarantined or self.rebuilding)))
                if self._progress.index >= self._driver.consensus.commit_index:
                    self._level_at = trio.current_time()
                if self.links:
                    heartbeat = self.heartbeat()
                    for link in list(self.links.values()):
                        if link.hello is not None or not link.peer.node:
                            self._push(link, heartbeat)
                primary = self._driver.consensus.role == PRIMARY
                with trio.move_on_after(HEARTBEAT_S if primary else QUIET_HEARTBEAT_S) as scope:
                    await self._changed.wait()
                if scope.cancelled_caught and self.links and self._driver.consensus.ready:
                    # What a quorum has just confirmed says more: the last time may be a heartbeat among nodes ago.
                    self._driver.read_index(self._confirmed)
                    with trio.move_on_after(HEARTBEAT_S):
                        await self._changed.wait()

    def _confirmed(self, _answer: ReadConfirmed | ReadRefused) -> None:
        self.change()

    def _role(self) -> str:
        if self.quarantined:
            return QUARANTINED
        if not self._membership.has_data:
            return WITNESS
        role = self._driver.consensus.role
        if role == PRIMARY and not (self.serving and self._driver.consensus.ready):
            # Elected, but not ready to write: a proxy that believed it would only be refused.
            return REPLICA
        return role

    def _own_line(self) -> NodeStatus:
        consensus = self._driver.consensus
        lag = max(consensus.commit_index - self._progress.index, 0)
        lag_ms = int((trio.current_time() - self._level_at) * 1000) if lag else 0
        role = consensus.role
        return NodeStatus(
            name=self._config.name,
            role=QUARANTINED if self.quarantined else role,
            pid=os.getpid(),
            address=self._config.me.address,
            healthy=not self.quarantined
            and not self.rebuilding
            and bool(consensus.primary)
            and (role != PRIMARY or self.serving),
            applied_index=self._progress.index,
            lag_entries=lag,
            lag_ms=lag_ms,
            fault=self.fault(),
            throttle=self.throttle(),
        )

    def _status(self, request: int, lines: Iterable[NodeStatus]) -> Status:
        consensus = self._driver.consensus
        proxies = tuple(
            ProxyStatus(link.hello.pid, link.hello.address) for link in self.links.values() if link.hello is not None
        )
        return Status(request, consensus.primary, consensus.term, consensus.commit_index, tuple(lines), proxies)

    async def _gather(self, asker: StatusAsker, question: StatusRequest) -> None:
        async with self._gathers:
            asker.answer(await self._gathered(question))

    async def _gathered(self, question: StatusRequest) -> Status:
        found: dict[NodeId, Status] = {}
        others = self._membership.addresses()
        with trio.move_on_after(GATHER_S_MAX):
            async with trio.open_nursery() as nursery:
                for node, address in others.items():
                    nursery.start_soon(self._ask, node, address, found)
        own = self._status(question.request, [])
        newest = max((own, *found.values()), key=lambda status: (status.term, bool(status.primary)))
        commit_index = max(own.commit_index, *(status.commit_index for status in found.values()), 0)
        lines: list[NodeStatus] = []
        names = [member.node for member in self._membership.current.members]
        for name in names if self._config.name in names else [*names, self._config.name]:
            if name == self._config.name:
                lines.append(self._own_line())
            elif name in found and found[name].nodes:
                lines.append(found[name].nodes[0])
            else:
                lines.append(NodeStatus(name, UNREACHABLE, 0, others.get(name, ""), False, 0, 0, 0))
        lines = [_with_lag(line, commit_index) for line in lines]
        primary = newest.primary if any(line.name == newest.primary and line.healthy for line in lines) else ""
        return Status(question.request, primary, newest.term, commit_index, tuple(lines), own.proxies)

    async def _ask(self, node: NodeId, address: str, found: dict[NodeId, Status]) -> None:
        identity = Identity(self._identity.cluster_id, self._identity.node, COMMAND)
        try:
            async with open_link(address, identity, self._key, expected_node=node) as link:
                answer = await link.request(StatusRequest(link.next_request()))
        except LfsqlError as error:
            logger.debug("node '%s' does not tell its status: %s", node, error.message)
            return
        if isinstance(answer, Status):
            found[node] = answer


def _with_lag(line: NodeStatus, commit_index: int) -> NodeStatus:
    """Lag in entries against the highest commit index that any node told of."""
    if line.role not in (PRIMARY, REPLICA, LEARNER, WITNESS):
        return line
    lag = max(commit_index - line.applied_index, 0)
    return msgspec.structs.replace(line, lag_entries=lag)
