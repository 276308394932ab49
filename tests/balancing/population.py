"""A simulated population of replicas behind one balancer: virtual time, one seed.

Reads arrive by chance, each looks whose turn it is, takes the turn and tries the nodes one after the other, as
`proxy.reading` does over links, and takes as long as the node's `Behaviour` says.  A node that does not answer is
left after LEFT_S, which is what `proxy.probing` takes to find that out.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from itertools import count

from lfsql.config import Balancing
from lfsql.core.requests import PRIMARY, REPLICA, UNREACHABLE
from proxy.balancer import Balancer
from proxy.topology import Node

LEFT_S = 0.2
TICK_S = 0.05


@dataclass
class Behaviour:
    """What a node is like now; tests change it while time passes."""

    seconds: float = 0.005
    fails: bool = False
    hangs: bool = False
    away: bool = False


@dataclass(frozen=True)
class Served:
    node: str
    at: float
    """When the read arrived."""
    seconds: float
    tried: int


@dataclass
class Population:
    seed: int
    settings: Balancing = field(default_factory=Balancing)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.nodes: dict[str, Node] = {}
        self.behaviours: dict[str, Behaviour] = {}
        self.served: list[Served] = []
        self.tried: list[tuple[float, str]] = []
        """Each attempt: when, and where."""
        self.probed: list[tuple[float, str]] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._probing: set[str] = set()

    def add(self, name: str, *, primary: bool = False, weight: int = 1, zone: str = "") -> Behaviour:
        node = self.nodes[name] = Node(name, f"{name}:1", "", weight=weight, zone=zone)
        node.role = PRIMARY if primary else REPLICA
        self.behaviours[name] = Behaviour()
        return self.behaviours[name]

    def start(self) -> None:
        self.balancer = Balancer(self.nodes, self.settings, self.now, self.random.random)
        self.balancer.arrange(self.now)

    def run(self, seconds: float, reads_a_second: float) -> list[Served]:
        """Go on for so long; what was served of what arrived meanwhile."""
        began, end = self.now, self.now + seconds
        at = began
        while (at := at + self.random.expovariate(reads_a_second)) < end:
            self._at(at, self._arrive)
        tick = began
        while (tick := tick + TICK_S) < end:
            self._at(tick, self._tick)
        while self._events and self._events[0][0] <= end:
            self.now, _, event = heappop(self._events)
            event()
        self.now = end
        return [each for each in self.served if began <= each.at < end]

    def _at(self, when: float, event: Callable[[], None]) -> None:
        heappush(self._events, (when, next(self._numbers), event))

    def _tick(self) -> None:
        changed = False
        for node in self.nodes.values():
            away = self.behaviours[node.name].away
            if away != (node.role == UNREACHABLE):
                node.role = UNREACHABLE if away else REPLICA
                changed = True
        if changed:
            self.balancer.arrange(self.now)
        self.balancer.look(self.now)
        for node in self.nodes.values():
            if node.health.probe_due(self.now) and node.name not in self._probing:
                self._probing.add(node.name)
                behaviour = self.behaviours[node.name]
                fault = "it fails" if behaviour.fails else "it hangs" if behaviour.hangs else ""
                self.probed.append((self.now, node.name))
                self._at(self.now + (LEFT_S / 2 if behaviour.hangs else 0.001), partial(self._probed, node, fault))

    def _probed(self, node: Node, fault: str) -> None:
        self._probing.remove(node.name)
        self.balancer.probed(node, self.now, fault)

    def _arrive(self) -> None:
        order = list(self.balancer.order())
        if order[0].role != PRIMARY:
            self.balancer.take_turn()
        self._try(self.now, order, 0)

    def _try(self, arrived: float, order: list[Node], place: int) -> None:
        while place < len(order) and order[place].role == UNREACHABLE:
            place += 1
        assert place < len(order), "somebody can always be asked"
        node = order[place]
        behaviour = self.behaviours[node.name]
        began = self.now
        self.tried.append((began, node.name))
        self.balancer.begin(node)

        def ended() -> None:
            self.balancer.end(node)
            if behaviour.hangs and node.role != PRIMARY:
                self.balancer.stalled(node, self.now)
                self._try(arrived, order, place + 1)
            elif behaviour.fails:
                self.balancer.failed(node, self.now, "its disk fails")
                self._try(arrived, order, place + 1)
            else:
                self.balancer.answered(node, self.now - began, self.now)
                self.served.append(Served(node.name, arrived, self.now - arrived, place + 1))

        seconds = behaviour.seconds * self.random.uniform(0.5, 1.5)
        self._at(self.now + (LEFT_S if behaviour.hangs else 0.001 if behaviour.fails else seconds), ended)


def spread(served: list[Served]) -> dict[str, float]:
    """The part of the reads that each node served."""
    counted = Counter(each.node for each in served)
    return {name: number / len(served) for name, number in counted.items()}


def percentile(served: list[Served], part: float) -> float:
    times = sorted(each.seconds for each in served)
    return times[int(part * (len(times) - 1))]
