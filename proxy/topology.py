"""What this proxy knows of the cluster: who is primary, and how far each node is.

Everything comes from heartbeats the nodes push over their links, timed by this process's own clock when they are
heard; what is not heard for a while is unknown, never "as it was".  A node's claim to be primary counts with its
term: the highest term heard wins, so a deposed primary that wakes up is not believed.  And it counts for the time at
which a quorum confirmed it, which the heartbeat tells: a primary that has lost its quorum vouches for nothing since.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING, Final

import trio

from lfsql.core.freshness import CommitHistory, confirmed_time
from lfsql.core.ids import Index, Term
from lfsql.core.requests import CANDIDATE, LEARNER, PRIMARY, QUARANTINED, REPLICA, UNREACHABLE, Heartbeat
from lfsql.errors import Diverged, LinkLost, NoPrimary

if TYPE_CHECKING:
    from lfsql.net.link import Link
    from lfsql.storage.reads import LocalReads
    from proxy.receipt import Tally

READABLE: Final = frozenset({PRIMARY, REPLICA, LEARNER, CANDIDATE})
"""Roles of nodes that have data to read; how fresh it is, each read checks.  A quarantined one has none."""
SILENCE_S_MAX: Final = 1.0
"""A node not heard for longer is not asked to read; nor, as primary, one not confirmed for longer."""
GIVE_UP_S: Final = 2.0
"""A node not heard for longer is treated as if its link had broken.  Longer than an election takes: a new primary is
followed at once, whatever the old one does."""


class Node:
    """One node as seen from here.  `reads` is set when its database file is on this host."""

    __slots__ = (
        "address",
        "applied_index",
        "confirmed_at",
        "data_dir",
        "fault",
        "heard_at",
        "inline",
        "link",
        "name",
        "outstanding",
        "pid",
        "reads",
        "role",
        "schema_index",
        "term",
    )

    def __init__(self, name: str, address: str, data_dir: str) -> None:
        self.name = name
        self.address = address
        self.data_dir = data_dir
        self.link: Link | None = None
        self.reads: LocalReads | None = None
        self.role = UNREACHABLE
        self.term: Term = 0
        self.applied_index: Index = 0
        self.schema_index: Index = 0
        self.heard_at = float("-inf")
        self.confirmed_at = float("-inf")
        """Of a primary: when a quorum last held it for one."""
        self.pid = 0
        self.fault = ""
        """Why it is quarantined, in its own words."""
        self.outstanding = 0
        """Reads sent to it that have not ended."""
        self.inline: dict[str, Tally] = {}
        """Reads answered at once from its file, in its present role, by their level."""

    def readable(self, now: float) -> bool:
        vouched_at = self.confirmed_at if self.role == PRIMARY else self.heard_at
        return self.role in READABLE and now - vouched_at <= SILENCE_S_MAX


class Topology:
    """Nodes by name.  Changed only by `add`, `remove`, `heard` and `lost`, on the event loop."""

    def __init__(self, nodes: Iterable[Node], history: CommitHistory) -> None:
        self.schema_index: Index = 0
        """The newest schema change heard of."""
        self.nodes: dict[str, Node] = {node.name: node for node in nodes}
        self.history = history
        self.term: Term = 0
        self.primary: Node | None = None
        """Who may be sent writes now; None while there is nobody."""
        self.commit_index: Index = 0
        """The highest heard."""
        self.heard_at = float("-inf")
        """Up to when a quorum is known to have confirmed the primary."""
        self._turn = 0
        self._turns: list[list[Node]] = [[]]
        self._changed = trio.Event()

    def add(self, node: Node) -> None:
        """A node that came to the cluster."""
        self.nodes[node.name] = node

    def remove(self, name: str) -> None:
        """A node that is no member any more: nothing new is asked of it."""
        del self.nodes[name]
        self._elect()

    def heard(self, node: Node, heartbeat: Heartbeat) -> None:
        now = monotonic()
        node.heard_at = now
        node.pid = heartbeat.pid
        node.applied_index = heartbeat.applied_index
        node.schema_index = heartbeat.schema_index
        self.schema_index = max(self.schema_index, heartbeat.schema_index)
        node.confirmed_at = confirmed_time(now, heartbeat.confirmed_ago_ms)
        role = heartbeat.role
        if role == PRIMARY and now - node.confirmed_at > SILENCE_S_MAX:
            # Deposed perhaps: it can commit nothing, and its data is judged as that of any other copy.
            role = REPLICA
        node.fault = heartbeat.fault
        if role == QUARANTINED != node.role and node.reads is not None:
            node.reads.condemn(Diverged(f"node '{node.name}' is quarantined: {heartbeat.fault}"))
        changed = node.role != role or node.term != heartbeat.term
        if node.role != role:
            node.role = role
            node.inline = {}
        node.term = heartbeat.term
        if role == PRIMARY and heartbeat.term >= self.term:
            self.term = heartbeat.term
            self.history.hear(node.confirmed_at, heartbeat.commit_index)
            self.heard_at = max(self.heard_at, node.confirmed_at)
            self.commit_index = max(self.commit_index, heartbeat.commit_index)
        if changed:
            self._elect()

    def lost(self, node: Node) -> None:
        """The link to the node broke, or the node has been silent for too long."""
        node.role = UNREACHABLE
        node.heard_at = float("-inf")
        self._elect()

    async def watch_silence(self) -> None:
        """Give up nodes that are connected and say nothing: a stopped process keeps its connections."""
        while True:
            await trio.sleep(GIVE_UP_S / 4)
            now = monotonic()
            for node in self.nodes.values():
                if node.role != UNREACHABLE and now - node.heard_at > GIVE_UP_S:
                    self.lost(node)
                    if node.link is not None:
                        # What waits to be sent is for nobody any more, and must not be there when it wakes up.
                        node.link.close(LinkLost(f"node '{node.name}' is silent"))

    def freshness(self, index: Index, now: float) -> tuple[float | None, int]:
        """How many seconds stale a copy at `index` can be, None when that is not known, and how many entries."""
        if index >= self.history.commit_index and self.heard_at > 0:
            return now - self.heard_at, 0
        return self.history.staleness(index, now), max(0, self.history.commit_index - index)

    def committed(self, index: Index) -> None:
        """An outcome told of a commit: the node's next heartbeat can only say the same or more."""
        self.commit_index = max(self.commit_index, index)

    def _elect(self) -> None:
        claims = [node for node in self.nodes.values() if node.role == PRIMARY and node.link is not None]
        best = max(claims, key=lambda node: node.term, default=None)
        if best is not None and best.term < self.term:
            best = None
        self.primary = best
        if best is not None:
            for node in self.nodes.values():
                if node is not best and node.link is not None:
                    node.link.give_up_writes()
        replicas = [node for node in self.nodes.values() if node.role in READABLE and node.role != PRIMARY]
        last = [best] if best is not None else []
        self._turns = [replicas[place:] + replicas[:place] + last for place in range(len(replicas))] or [last]
        self._changed.set()
        self._changed = trio.Event()

    def turn(self) -> list[Node]:
        """Replicas, each time beginning with another one, then the primary."""
        self._turn = turn = (self._turn + 1) % len(self._turns)
        return self._turns[turn]

    async def wait_primary(self, deadline: float) -> Node:
        """The primary, waiting for one until `deadline` (monotonic seconds).  Raises NoPrimary."""
        while self.primary is None:
            with trio.move_on_after(max(0.0, deadline - monotonic())) as scope:
                await self._changed.wait()
            if scope.cancelled_caught and self.primary is None:
                raise NoPrimary("there is no primary: no node was elected in time", hint="see lfsql status")
        return self.primary

    async def wait_change(self, deadline: float) -> bool:
        """Wait until something about the nodes' roles changes; False when the deadline came first."""
        with trio.move_on_after(max(0.0, deadline - monotonic())) as scope:
            await self._changed.wait()
        return not scope.cancelled_caught
