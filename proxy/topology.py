"""What this proxy knows of the cluster: who is primary, and how far each node is.

Everything comes from heartbeats the nodes push over their links, timed by this process's own clock; what is not heard
for a while is unknown, never "as it was".  How far commits have come counts from when a heartbeat was sent, which
pings tell (`lfsql.core.freshness.Pings`): a slow link, or a process that was held up, makes copies look staler, not
fresher.  A node's claim to be primary counts with its term: the highest term heard wins, so a deposed primary that
wakes up is not believed.  And it counts for the time at which a quorum confirmed it, which the heartbeat tells: a
primary that has lost its quorum vouches for nothing since.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING, Final

import trio

from lfsql.config import Balancing
from lfsql.core.freshness import CommitHistory, Pings, confirmed_time
from lfsql.core.ids import Index, Term
from lfsql.core.requests import CANDIDATE, LEARNER, PRIMARY, QUARANTINED, REPLICA, UNREACHABLE, Heartbeat, Ping
from lfsql.errors import Diverged, LinkLost, NoPrimary
from proxy.acknowledged import Acknowledged
from proxy.balancer import Balancer
from proxy.balancing.health import Health, HealthLimits
from proxy.balancing.latency import Latency

if TYPE_CHECKING:
    from lfsql.net.link import Link
    from lfsql.storage.reads import LocalReads
    from proxy.receipt import Tally

PING_S: Final = 1.0
"""How often a primary is pinged: what one ping took too long, staleness is overstated by until the next."""
QUIET_PING_S: Final = 30.0
"""The same for all others, so that one that becomes primary can be believed at once."""
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
        "asked",
        "avoided",
        "confirmed_at",
        "crowded_until",
        "data_dir",
        "draining",
        "fault",
        "health",
        "heard_at",
        "inline",
        "latency",
        "link",
        "lived_at",
        "max_sessions",
        "name",
        "outstanding",
        "pid",
        "pings",
        "reads",
        "role",
        "schema_index",
        "share_percent",
        "short_of",
        "stirred",
        "term",
        "throttle",
        "waiting",
        "weight",
        "zone",
    )

    def __init__(
        self, name: str, address: str, data_dir: str, *, weight: int = 1, zone: str = "", max_sessions: int = 0
    ) -> None:
        """`weight`, `zone`, `max_sessions`: as in proxy.toml."""
        self.name = name
        self.address = address
        self.data_dir = data_dir
        self.weight = weight
        self.zone = zone
        self.max_sessions = max_sessions
        self.link: Link | None = None
        self.reads: LocalReads | None = None
        self.role = UNREACHABLE
        self.term: Term = 0
        self.applied_index: Index = 0
        self.schema_index: Index = 0
        self.short_of: Index = 0
        """The log index that it was last asked for over its link, and had not."""
        self.heard_at = float("-inf")
        self.confirmed_at = float("-inf")
        """Of a primary: when a quorum last held it for one, if its last heartbeat took no time."""
        self.pings = Pings()
        self.pid = 0
        self.fault = ""
        """Why it is quarantined, in its own words."""
        self.throttle = ""
        """How much it slows writes, in its own words."""
        self.outstanding = 0
        """Reads and transactions there that have not ended; what is answered at once is none."""
        self.health = Health(HealthLimits(), self.heard_at, known=True)
        """Whether it is in the choice."""
        self.latency = Latency()
        """Of reads over its link."""
        self.crowded_until = float("-inf")
        """It said that it has no room for one more read; until then it is not asked for one."""
        self.draining = False
        """It is about to stop, and gets nothing new."""
        self.avoided = False
        """It is read only when there is nothing else."""
        self.share_percent = 0.0
        """Of the reads that any copy may serve, as things are."""
        self.stirred = trio.Event()
        """Set, and made anew, when its health changes."""
        self.waiting: dict[trio.CancelScope, float] = {}
        """Reads that wait for its first answer and can be moved elsewhere, the oldest first, with when they began."""
        self.asked = trio.Event()
        """Set when one begins to wait."""
        self.lived_at = float("-inf")
        """When it last answered something that was asked to see whether it does."""
        self.inline: dict[str, Tally] = {}
        """Reads answered at once from its file, in its present role, by their level."""

    @property
    def has_data(self) -> bool:
        return self.role in READABLE

    @property
    def full(self) -> bool:
        """It may have no more sessions, or can have no more reads open."""
        if 0 < self.max_sessions <= self.outstanding or (self.reads is not None and self.reads.full):
            return True
        return self.crowded_until > monotonic()

    @property
    def state(self) -> str:
        """In the choice among copies, for people.  Kept: it would be ejected, were there not too many of these."""
        state = self.health.state
        if self.draining and state != "away":
            return "draining"
        return "kept" if state == "ejected" and not self.avoided and self.role != PRIMARY else state

    @property
    def keeps_up(self) -> bool:
        """It can be expected to have what is committed: nothing was missing there that it has not got since."""
        return self.applied_index >= self.short_of

    def readable(self, now: float) -> bool:
        vouched_at = self.confirmed_at if self.role == PRIMARY else self.heard_at
        return self.role in READABLE and now - vouched_at <= SILENCE_S_MAX


class Topology:
    """Nodes by name.  Changed only by `add`, `remove`, `heard` and `lost`, on the event loop."""

    def __init__(
        self,
        nodes: Iterable[Node],
        history: CommitHistory,
        balancing: Balancing | None = None,
        acknowledged: Acknowledged | None = None,
    ) -> None:
        """`acknowledged`: what other workers of this proxy were told of commits; None for a lone worker."""
        self.schema_index: Index = 0
        """The newest schema change heard of."""
        self.nodes: dict[str, Node] = {node.name: node for node in nodes}
        self.history = history
        self.term: Term = 0
        self.primary: Node | None = None
        """Who may be sent writes now; None while there is nobody."""
        self.commit_index: Index = 0
        """The highest heard."""
        self._others: Final = acknowledged
        self.heard_at = float("-inf")
        """Up to when a quorum is known to have confirmed the primary."""
        self.balancer = Balancer(self.nodes, balancing or Balancing(), monotonic())
        self.order: Final = self.balancer.order
        """The nodes in the order in which to try them for one read, the primary after its replicas."""
        self._changed = trio.Event()

    def add(self, node: Node) -> None:
        """A node that came to the cluster."""
        self.nodes[node.name] = node
        self.balancer.adopt(node, monotonic())

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
        node.throttle = heartbeat.throttle
        drains, node.draining = heartbeat.draining != node.draining, heartbeat.draining
        if role == QUARANTINED != node.role and node.reads is not None:
            node.reads.condemn(Diverged(f"node '{node.name}' is quarantined: {heartbeat.fault}"))
        changed = node.role != role or node.term != heartbeat.term or drains
        if node.role != role:
            node.role = role
            node.inline = {}
        node.term = heartbeat.term
        if role == PRIMARY and heartbeat.term >= self.term:
            self.term = heartbeat.term
            confirmed_at = node.pings.confirmed_time(
                now, heartbeat.ping, heartbeat.ping_ago_ms, heartbeat.confirmed_ago_ms
            )
            self.history.hear(confirmed_at, heartbeat.commit_index)
            self.heard_at = max(self.heard_at, confirmed_at)
            self.commit_index = max(self.commit_index, heartbeat.commit_index)
        if changed:
            self._elect()
        else:
            self.balancer.look(now)
        self.ping(node, now, PING_S if role == PRIMARY else QUIET_PING_S)

    def ping(self, node: Node, now: float, interval: float) -> None:
        """Send the node a ping, unless the last one is younger than `interval` seconds."""
        if node.link is not None and node.pings.is_due(now, interval):
            node.link.tell(Ping(node.pings.send(now)))

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

    def newest(self) -> Index:
        """How far commits are known to have come: what was heard, and what any worker of the proxy acknowledged."""
        if self._others is not None and (index := self._others.index) > self.commit_index:
            self.commit_index = index
        return self.commit_index

    def staleness(self, index: Index, now: float) -> float | None:
        """How many seconds stale a copy at `index` can be; None when that is not known."""
        if index >= self.history.commit_index and self.heard_at > 0:
            return max(now - self.heard_at, 0.0)
        return self.history.staleness(index, now)

    def confirmed(self, asked_at: float, index: Index) -> None:
        """A quorum confirmed the primary after `asked_at`: nothing beyond `index` was committed by then."""
        self.history.hear(asked_at, index)
        self.heard_at = max(self.heard_at, asked_at)
        self.commit_index = max(self.commit_index, index)

    def committed(self, index: Index) -> None:
        """An outcome told of a commit: the node's next heartbeat can only say the same or more."""
        self.commit_index = max(self.commit_index, index)

    def stands(self, node: Node, index: Index) -> None:
        """The node answered a read from its copy at `index`, over its link."""
        node.applied_index = max(node.applied_index, index)
        self.commit_index = max(self.commit_index, index)

    def falls_short(self, node: Node, index: Index, min_index: Index) -> bool:
        """Whether the copy that the node failed to read from, at `index` (0: none), had not reached `min_index`."""
        short = 0 < index < min_index
        if short:
            node.short_of = min_index
        return short

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
        self.balancer.arrange(monotonic())
        self._changed.set()
        self._changed = trio.Event()

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
