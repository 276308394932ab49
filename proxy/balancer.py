"""The balancing policies at work on a topology's nodes: what was seen goes in, turns come out.

`proxy.balancing` decides; this gives it the time and chance, tells it of nodes that come, go, fail and answer, and
has the turns made anew when something came of it.  That is looked at with the nodes' heartbeats, a few times a
second, so an idle proxy needs no timer for it, and a read costs no more than its turn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from secrets import SystemRandom
from typing import TYPE_CHECKING, Final

import trio

from lfsql.config import Balancing
from lfsql.core.requests import PRIMARY
from proxy.balancing.health import Health, HealthLimits, State
from proxy.balancing.latency import slower
from proxy.balancing.shares import SLOTS_MAX, Arrangement, Copy, arrange
from proxy.balancing.turns import Turns

if TYPE_CHECKING:
    from proxy.topology import Node

LOG: Final = logging.getLogger("lfsql.proxy")

LOOK_S: Final = 0.25
"""How often shares follow latencies and warming up."""

_chance: Final = SystemRandom().random


class Balancer:
    """`nodes`: the topology's, by name, as they are at any time."""

    def __init__(
        self,
        nodes: Mapping[str, Node],
        settings: Balancing,
        now: float,
        draw: Callable[[], float] = _chance,
    ) -> None:
        self._nodes = nodes
        self._zone = settings.zone
        self._ejected_percent_max = settings.ejected_percent_max
        self._limits = HealthLimits(
            settings.warm_up_ms / 1000,
            settings.failures_max,
            settings.ejection_ms_min / 1000,
            settings.ejection_ms_max / 1000,
        )
        self._draw = draw
        self._turns: Turns[Node] = Turns(int(draw() * SLOTS_MAX))
        self._arranged: tuple[list[Node], Arrangement] | None = None
        self._states: dict[str, State] = {}
        """Of their health, when it was looked at last."""
        self._looked_at = now
        self.order: Final = self._turns.order
        """The nodes in the order in which to try them for one read."""
        self.take_turn: Final = self._turns.take
        """To be called once for each read, when a node is asked that had its turn."""
        self.room: Final = trio.lowlevel.ParkingLot()
        """Where those wait that find all nodes at their `max_sessions`."""
        for node in nodes.values():
            node.health = Health(self._limits, now, known=True)

    def adopt(self, node: Node, now: float) -> None:
        """A node that came to the cluster."""
        node.health = Health(self._limits, now, known=False)

    # -- what reads see of nodes -----------------------------------------------------------------------------

    def begin(self, node: Node) -> None:
        """A read or a transaction begins there, that ends with `end`."""
        node.outstanding += 1

    def end(self, node: Node) -> None:
        node.outstanding -= 1
        if self.room:
            self.room.unpark_all()

    def answered(self, node: Node, seconds: float | None, now: float) -> None:
        """A read over its link was answered, after so long; None when that says nothing of the node."""
        if seconds is not None:
            node.latency.add(seconds, now)
        node.health.answered(now)

    def failed(self, node: Node, now: float, why: str) -> None:
        """A read failed, and not for its statement's fault."""
        node.health.failed(now, self._draw(), why)
        self.arrange(now)

    def stalled(self, node: Node, now: float) -> None:
        """It neither answers its reads nor says that it lives."""
        node.health.eject(now, self._draw(), "it does not answer")
        self.arrange(now)

    def probed(self, node: Node, now: float, fault: str) -> None:
        """The proxy's own read of it was answered, or failed with `fault`."""
        node.latency.forget()
        node.health.probed(now, self._draw(), fault)
        self.arrange(now)

    # -- turns -----------------------------------------------------------------------------------------------

    def look(self, now: float) -> None:
        """Time has passed."""
        if now - self._looked_at >= LOOK_S:
            self.arrange(now)

    def arrange(self, now: float) -> None:
        """Something changed: work out the turns anew."""
        self._looked_at = now
        nodes = list(self._nodes.values())
        copies = [self._copy(node, now) for node in nodes]
        before, self._states = self._states, {node.name: node.health.state for node in nodes}
        for node in nodes:
            state = node.health.state
            if state != before.get(node.name):
                if state == "ejected":
                    LOG.warning("node %s gets no reads for now: %s", node.name, node.health.why)
                node.stirred.set()
                node.stirred = trio.Event()
        arrangement = arrange(copies, self._ejected_percent_max)
        if self._arranged == (nodes, arrangement):
            return
        self._arranged = nodes, arrangement
        self._turns.set(nodes, arrangement)
        whole = sum(arrangement.shares) or 1
        for place, node in enumerate(nodes):
            node.avoided = place in arrangement.avoided
            node.share_percent = 100 * arrangement.shares[place] / whole

    def _copy(self, node: Node, now: float) -> Copy:
        health = node.health
        primary = node.role == PRIMARY
        if node.has_data:
            health.came(now, cold=node.reads is None)
        else:
            health.left(now, self._draw())
        mean_s = node.latency.mean_s(now)
        times = 1
        if mean_s is not None and not primary:
            peers = [
                peer.latency.mean_s(now)
                for peer in self._nodes.values()
                if peer is not node and peer.role != PRIMARY and self._near(peer) == self._near(node)
            ]
            times = slower(mean_s, [each for each in peers if each is not None])
            health.timed(now, self._draw(), mean_s, times)
        warmth = health.warmth(now)
        return Copy(primary, self._near(node), node.weight, health.state, node.draining, warmth, times, health.until)

    def _near(self, node: Node) -> bool:
        return not self._zone or node.zone == self._zone
