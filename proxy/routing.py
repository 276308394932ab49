"""Which copies may serve a read, in which order, and what speaks against each.  Nothing is read here.

`proxy.reading` goes by this when it reads, and EXPLAIN (ROUTE) tells it without reading: there is one answer to where
a statement goes.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from lfsql.core.freshness import judge
from lfsql.core.ids import Index
from lfsql.core.requests import PRIMARY
from lfsql.errors import LfsqlError, LinkLost, UndefinedObject
from proxy.hints import policy_of
from proxy.state import ReadPolicy, SessionState

if TYPE_CHECKING:
    from proxy.sql.plan import Plan
    from proxy.topology import Node, Topology


FULL: Final = "it has its max_sessions"
NO_ROOM: Final = "53400"
NODES_OWN: Final = ("58", "XX", NO_ROOM)
"""SQLSTATEs of what is not the statement's fault: its disk or its data fails, or it has no room for one more read."""
CROWDED_S: Final = 0.1
"""For so long a node is left alone that has no room: it does not tell when it has."""


def behind(topology: Topology, policy: ReadPolicy, required: Index, index: Index, now: float) -> str:
    """Why a snapshot at `index` may not serve, '' when it may."""
    if policy.level == "any":
        return ""
    history = topology.history
    entries_max = policy.lag_entries_max
    newest = 0 if entries_max is None else topology.newest()
    if (
        index >= required
        and index >= history.commit_index
        and now - topology.heard_at <= policy.silence_s_max
        and (entries_max is None or newest - index <= entries_max)
    ):
        return ""  # all there is, as far as was heard, and that not long ago
    verdict = judge(history, index, now, policy.limits(required), newest)
    return "" if verdict.eligible else verdict.reason


def candidates(state: SessionState, policy: ReadPolicy) -> list[Node]:
    """The nodes to try, in order.  Whoever asks one of them says so with `take_turn`.

    In a transaction that may write it is the primary alone, while there is one: what is read there may be written
    back, so it is to be what there is, not what a replica has by now.
    """
    topology = state.worker.topology
    route = policy.route
    if route == "auto":
        primary = topology.primary
        if primary is None or not state.reads_to_write or not primary.readable(monotonic()):
            return topology.order()
        return [primary]
    if route == "primary":
        return [topology.primary] if topology.primary is not None else []
    if route == "replica":
        return [node for node in topology.order() if node.role != PRIMARY]
    named = topology.nodes.get(route)
    if named is None:
        raise UndefinedObject(
            f'lfsql.route names "{route}", which is no node', hint="auto, primary, replica or a node"
        )
    return [named]


def take_turn(topology: Topology, policy: ReadPolicy, node: Node) -> None:
    """The read goes to `node`.  To be called once for each: see `proxy.balancing.turns`."""
    if policy.by_turns and node.role != PRIMARY:
        topology.balancer.take_turn()


def own_fault(topology: Topology, node: Node, error: LfsqlError) -> bool:
    """Whether the read of `node` failed for the node's own fault, so that another is to be asked.  Its failing disk
    or data is counted against it; that it has no room is not."""
    if isinstance(error, LinkLost):
        return True
    if not error.sqlstate.startswith(NODES_OWN):
        return False
    if error.sqlstate == NO_ROOM:
        node.crowded_until = monotonic() + CROWDED_S
    else:
        topology.balancer.failed(node, monotonic(), error.message)
    return True


def standing(node: Node) -> tuple[Index, Index]:
    """(index, schema index) of the node's copy: exact where its file is on this host, else what was heard last."""
    return node.reads.refresh() if node.reads is not None else (node.applied_index, node.schema_index)


def objection(
    topology: Topology,
    policy: ReadPolicy,
    plan: Plan,
    node: Node,
    required: Index,
    index: Index,
    schema_index: Index,
    now: float,
) -> str:
    """Why the copy of `node`, which stands at `index`, may not serve the plan; '' when it may."""
    if 0 <= plan.schema_index != schema_index:
        return "its schema is newer" if schema_index > plan.schema_index else "its schema is older"
    return unfit(topology, policy, node, required, index, now)


def unfit(topology: Topology, policy: ReadPolicy, node: Node, required: Index, index: Index, now: float) -> str:
    """Why the copy of `node`, which stands at `index`, may not serve who needs `required`; '' when it may."""
    if node.role == PRIMARY:
        if node.reads is None or (node.link is not None and required <= topology.commit_index):
            index = max(index, required)  # it is asked over its link to wait until it has that
        elif index < required:
            return f"its file is at {index}, the session needs {required}"
    return behind(topology, policy, required, expected(topology, node, required, index), now)


def expected(topology: Topology, node: Node, required: Index, index: Index) -> Index:
    """Where the copy of a node that was last known to stand at `index` can be expected to stand when asked for
    `required`: a replica is told of commits a moment after the primary knows of them."""
    if node.reads is None and required <= topology.commit_index and node.keeps_up:
        return max(index, required)
    return index


def asked_for(topology: Topology, policy: ReadPolicy, node: Node, required: Index, index: Index) -> Index:
    """The index that such a node is to be asked for over its link: where it was taken to stand when it was judged."""
    if policy.level == "any" and node.role != PRIMARY:
        return min(required, index)
    return max(required, expected(topology, node, required, index))


def when_lagging(policy: ReadPolicy) -> str:
    """What to do when no copy may serve.  A route that was asked for is kept: its copies are waited for."""
    elsewhere = policy.route not in ("auto", "primary")
    return "wait" if elsewhere and policy.when_lagging == "primary" else policy.when_lagging


class Prospect(NamedTuple):
    """A node that may be asked, and what speaks against it; '' when nothing does."""

    node: str
    role: str
    at: Index
    staleness_ms: float | None
    lag_entries: int
    objection: str
    state: str
    """In the choice: see Node.state."""
    share_percent: float
    outstanding: int


def prospects(state: SessionState, plan: Plan) -> list[Prospect]:
    """The nodes that would be tried for a read now, in order.  Raises UndefinedObject."""
    topology = state.worker.topology
    policy = policy_of(state, plan)
    required = state.required(policy)
    found = []
    for node in candidates(state, policy):
        now = monotonic()
        index, schema_index, fault = node.applied_index, node.schema_index, ""
        try:
            index, schema_index = standing(node)
        except LfsqlError as error:
            fault = error.message
        staleness_s = topology.staleness(index, now)
        lag_entries = max(0, topology.newest() - index)
        why = fault or (
            objection(topology, policy, plan, node, required, index, schema_index, now)
            if node.readable(now)
            else "not heard"
        )
        staleness_ms = None if staleness_s is None else staleness_s * 1000
        if not why and node.full and node.reads is None:
            why = FULL
        share = round(node.share_percent, 1)
        given = (node.name, node.role, index, staleness_ms, lag_entries, why, node.state, share, node.outstanding)
        found.append(Prospect(*given))
    return found


class Passed(list[str]):
    """Why nodes were passed over.  `full`: those that have their `max_sessions`; `failed`: the last that did not do
    what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.full: list[Node] = []
        self.failed = ""
        self._turn_taken = False

    def take_turn(self, topology: Topology, policy: ReadPolicy, node: Node) -> None:
        """`node` is asked: the first of those that are is the one whose turn it was."""
        if not self._turn_taken:
            take_turn(topology, policy, node)
            self._turn_taken = True

    def reason(self, way: str) -> str:
        """Of a receipt."""
        return f"{way}, as {self.failed} failed" if self.failed else way
