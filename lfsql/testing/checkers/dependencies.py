"""Who must have come before whom, as a graph, and the cycles in it, named after Adya.

A cycle of dependencies is a proof that no serial order explains a history:

- G0: only writes that overwrote each other.
- G1c: with reads of what was written.
- G-single: with exactly one read of what was overwritten later (lost update, read skew).
- G2: with several such reads (write skew).

Each may need the order within sessions, or the clock, to close: that is added to the name, since it breaks another
promise.  The worst, which needs least, is looked for first, and of its kind a short one is told, for people to read.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

Node = int

_STARTS_MAX = 500
"""From how many nodes of a knot a shortest cycle is looked for: the first found is proof enough."""


class Dependency(IntEnum):
    """Why one transaction came before another, weakest claim first."""

    WW = 0
    """The other wrote the next version of the same thing."""
    WR = 1
    """The other read what the one wrote."""
    SESSION = 2
    """The same session ran the one first."""
    TIME = 3
    """The one had been answered before the other was called."""
    RW = 4
    """The one did not see what the other wrote."""

    @property
    def label(self) -> str:
        return {0: "ww", 1: "wr", 2: "session", 3: "time", 4: "rw"}[self.value]


@dataclass(frozen=True)
class Edge:
    before: Node
    after: Node
    kind: Dependency


@dataclass(frozen=True)
class Cycle:
    """`name` as above; `edges` from a node back to itself."""

    name: str
    edges: tuple[Edge, ...]


class Dependencies:
    """The graph.  Nodes are numbers; edges are of a kind and have a reason in words."""

    def __init__(self) -> None:
        self._after: dict[Node, dict[Node, set[Dependency]]] = defaultdict(dict)
        self._reasons: dict[Edge, str] = {}

    def add(self, edge: Edge, reason: str) -> None:
        if edge.before != edge.after:
            self._after[edge.before].setdefault(edge.after, set()).add(edge.kind)
            self._reasons.setdefault(edge, reason)

    def reason(self, edge: Edge) -> str:
        return self._reasons[edge]

    def cycles(self, orders: Iterable[Dependency]) -> tuple[Cycle, ...]:
        """One cycle out of each knot of transactions, the worst there is.

        `orders`: which of SESSION and TIME were promised, and so may close a cycle, each tried after those before it.
        """
        found: list[Cycle] = []
        reported: set[Node] = set()
        allowed: tuple[Dependency, ...] = ()
        suffix = ""
        for order in (None, *orders):
            if order is not None:
                allowed = (*allowed, order)
                suffix = f"-{order.label}"
            for knot in self._knots({*allowed, Dependency.WW, Dependency.WR, Dependency.RW}, None):
                if not reported & knot:
                    found.append(self._worst(knot, frozenset(allowed), suffix))
                    reported |= knot
        return tuple(found)

    def _worst(self, knot: set[Node], allowed: frozenset[Dependency], suffix: str) -> Cycle:
        for name, kinds in (("G0", {Dependency.WW}), ("G1c", {Dependency.WW, Dependency.WR})):
            cycle = self._shortest(knot, allowed | kinds)
            if cycle:
                return Cycle(name + suffix, cycle)
        without_rw = allowed | {Dependency.WW, Dependency.WR}
        for edge in self._overwritten(knot):
            back = self._path(edge.after, edge.before, knot, without_rw)
            if back is not None:
                return Cycle("G-single" + suffix, (edge, *back))
        return Cycle("G2" + suffix, self._shortest(knot, without_rw | {Dependency.RW}))

    def _overwritten(self, knot: set[Node]) -> Iterator[Edge]:
        for before in sorted(knot)[:_STARTS_MAX]:
            for after, kinds in self._after[before].items():
                if after in knot and Dependency.RW in kinds:
                    yield Edge(before, after, Dependency.RW)

    def _shortest(self, knot: set[Node], kinds: frozenset[Dependency]) -> tuple[Edge, ...]:
        best: tuple[Edge, ...] = ()
        for inner in self._knots(kinds, knot):
            for start in sorted(inner)[:_STARTS_MAX]:
                for edge in self._edges(start, inner, kinds):
                    back = self._path(edge.after, start, inner, kinds)
                    if back is not None and (not best or 1 + len(back) < len(best)):
                        best = (edge, *back)
                if 0 < len(best) <= 2:
                    return best
        return best

    def _edges(self, node: Node, within: set[Node], kinds: frozenset[Dependency]) -> Iterator[Edge]:
        for after, its in self._after.get(node, {}).items():
            if after in within and its & kinds:
                yield Edge(node, after, min(its & kinds))

    def _path(
        self, start: Node, goal: Node, within: set[Node], kinds: frozenset[Dependency]
    ) -> tuple[Edge, ...] | None:
        """A shortest one; None when there is none."""
        came: dict[Node, Edge] = {}
        queue = deque([start])
        while queue:
            node = queue.popleft()
            if node == goal:
                return _trace(came, start, goal)
            for edge in self._edges(node, within, kinds):
                if edge.after != start and edge.after not in came:
                    came[edge.after] = edge
                    queue.append(edge.after)
        return None

    def _knots(self, kinds: Iterable[Dependency], within: set[Node] | None) -> Iterator[set[Node]]:
        """Sets of several nodes that can all reach each other: Tarjan's, with a stack of its own."""
        allowed = frozenset(kinds)
        nodes = sorted(within if within is not None else self._after)
        following = {
            node: [after for after, its in self._after.get(node, {}).items() if its & allowed] for node in nodes
        }
        number: dict[Node, int] = {}
        lowest: dict[Node, int] = {}
        open_nodes: list[Node] = []
        is_open: set[Node] = set()
        for root in nodes:
            if root in number:
                continue
            number[root] = lowest[root] = len(number)
            open_nodes.append(root)
            is_open.add(root)
            work = [(root, iter(following[root]))]
            while work:
                node, rest = work[-1]
                for after in rest:
                    if after not in following:
                        continue
                    if after not in number:
                        number[after] = lowest[after] = len(number)
                        open_nodes.append(after)
                        is_open.add(after)
                        work.append((after, iter(following[after])))
                        break
                    if after in is_open:
                        lowest[node] = min(lowest[node], number[after])
                else:
                    work.pop()
                    if work:
                        lowest[work[-1][0]] = min(lowest[work[-1][0]], lowest[node])
                    if lowest[node] == number[node]:
                        knot: set[Node] = set()
                        while node not in knot:
                            knot.add(open_nodes.pop())
                        is_open -= knot
                        if len(knot) > 1:
                            yield knot


def _trace(came: Mapping[Node, Edge], start: Node, goal: Node) -> tuple[Edge, ...]:
    edges: list[Edge] = []
    while goal != start:
        edges.append(came[goal])
        goal = came[goal].before
    return tuple(reversed(edges))
