"""The receipt of a statement: where it ran, how stale that could be, and why there.

Each statement that a node carries out leaves one with its session (`SHOW lfsql.last_route`, or as a NOTICE), and is
counted with the others of its kind for the whole worker (`lfsql.routes`), once.  A receipt is worked out from what
the router decided by, at the time it decided: nothing is asked afterwards, so the receipt cannot tell another story.
Rejected: staleness at the time of the answer.  It would include what the answer took on its way, of which no limit
speaks, so that a read within its limits could be told as one that is not.

A statement that fails leaves one, too, or the receipt of the one before would pass for its own: that of the node that
refused it, or of nowhere.  What the proxy asks for its own sake, inside `aside`, leaves none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from lfsql.core.ids import Index
from lfsql.core.requests import PRIMARY
from proxy.pg import encode
from proxy.pg.errors import notice_fields
from proxy.pg.oids import FLOAT8, INT8, TEXT
from proxy.sql.catalog import facts
from proxy.sql.plan import ResultColumn

if TYPE_CHECKING:
    from lfsql.core.requests import Row
    from proxy.state import SessionState
    from proxy.topology import Node, Topology

KINDS_MAX: Final = 1_000
"""Combinations that are counted apart; what comes later is counted as OTHER."""
OTHER: Final = "other"
INLINE: Final = "inline"
"""The reason of reads that were answered at once."""


class Tried(NamedTuple):
    """A copy, at an index, that did not give a read its rows."""

    node: str
    role: str
    at: Index
    level: str
    way: str
    """How it was asked: what the receipt would have for a reason."""


class Route(NamedTuple):
    """`at`: the index of the copy that was read, or of the commit; 0 when a transaction is still open, or undone.
    `staleness_ms`: a bound, None when there is none to give.  `level`: '' of what no level concerns.
    `wait_ms`: for a primary, or for a copy to be fresh enough."""

    node: str = ""
    role: str = ""
    at: Index = 0
    staleness_ms: float | None = None
    lag_entries: int = 0
    level: str = ""
    reason: str = ""
    wait_ms: float = 0.0

    @property
    def row(self) -> Row:
        """In the order of COLUMNS."""
        staleness = None if self.staleness_ms is None else round(self.staleness_ms, 3)
        return (
            self.node or None,
            self.role or None,
            self.at or None,
            staleness,
            self.lag_entries,
            self.level or None,
            self.reason or None,
            round(self.wait_ms, 3),
        )

    @property
    def place(self) -> str:
        return f"{self.role} {self.node}".strip() or "nowhere"

    def __str__(self) -> str:
        """For people."""
        words = [self.place]
        if self.at:
            words.append(f"at index {self.at}")
        if self.role not in ("", "proxy") and self.level:
            stale = "of unknown age" if self.staleness_ms is None else f"at most {self.staleness_ms:.0f} ms stale"
            words += [stale, f"{self.lag_entries} entries behind", f"level {self.level}"]
        if self.wait_ms:
            words.append(f"waited {self.wait_ms:.0f} ms")
        return ", ".join(words) + (f": {self.reason}" if self.reason else "")


class Decision(NamedTuple):
    """When it was decided that a copy may be read, on the monotonic clock; how far commits were known to have come by
    then; and the level whose rules were kept."""

    at: float
    commit_index: Index
    level: str


def decide(topology: Topology, level: str) -> Decision:
    """Now.  What the copy is judged by after this, nothing having been waited for, is the same or more."""
    return Decision(monotonic(), topology.newest(), level)


COLUMNS: Final = (
    ResultColumn("node", TEXT),
    ResultColumn("role", TEXT),
    ResultColumn("applied_index", INT8),
    ResultColumn("staleness_ms", FLOAT8),
    ResultColumn("lag_entries", INT8),
    ResultColumn("level", TEXT),
    ResultColumn("reason", TEXT),
    ResultColumn("wait_ms", FLOAT8),
)
"""Of SHOW lfsql.last_route."""


Glance = tuple[str, str, Index, Index, float, str]
"""(node, role, index, commit index heard by then, time, level) of a read that was answered at once.  Its receipt is
only written out when somebody asks for it: most are never looked at, and it would slow down every point read."""


class Tally:
    """Receipts of one node, role, level and reason, added up; times in ms."""

    __slots__ = ("lag_entries_max", "staleness_ms_max", "statements", "wait_ms_max", "wait_ms_total")

    def __init__(self) -> None:
        self.statements = 0
        self.staleness_ms_max = 0.0
        self.lag_entries_max = 0
        self.wait_ms_total = 0.0
        self.wait_ms_max = 0.0

    def count(self, staleness_ms: float | None, lag_entries: int, wait_ms: float) -> None:
        self.statements += 1
        if staleness_ms is not None and staleness_ms > self.staleness_ms_max:
            self.staleness_ms_max = staleness_ms
        if lag_entries > self.lag_entries_max:
            self.lag_entries_max = lag_entries
        if wait_ms:
            self.wait_ms_total += wait_ms
            self.wait_ms_max = max(self.wait_ms_max, wait_ms)


class Routes:
    """Receipts of all sessions of a worker, added up by node, role, level and reason."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str, str, str], Tally] = {}

    def tally(self, node: str, role: str, level: str, reason: str) -> Tally:
        key = (node, role, level, reason)
        found = self._tallies.get(key)
        if found is None:
            if len(self._tallies) >= KINDS_MAX:
                key = (node, role, level, OTHER)
            found = self._tallies.setdefault(key, Tally())
        return found

    def count(self, route: Route) -> None:
        tally = self.tally(route.node, route.role, route.level, route.reason)
        tally.count(route.staleness_ms, route.lag_entries, route.wait_ms)

    def reads(self) -> Counter[str]:
        """How many reads each node has served."""
        found: Counter[str] = Counter()
        for (node, _, level, _), tally in self._tallies.items():
            if level:
                found[node] += tally.statements
        return found

    def rows(self) -> tuple[facts.Route, ...]:
        return tuple(
            facts.Route(
                *key,
                tally.statements,
                round(tally.staleness_ms_max, 3),
                tally.lag_entries_max,
                round(tally.wait_ms_total, 3),
                round(tally.wait_ms_max, 3),
            )
            for key, tally in self._tallies.items()
        )


def last_route(state: SessionState) -> Route:
    """The receipt of the session's previous statement."""
    receipt = state.receipt
    if isinstance(receipt, Route):
        return receipt
    node, role, index, commit_index, now, level = receipt
    # What was heard since can only show that the copy was fresher than was known when it was read.
    staleness_s = state.worker.topology.staleness(index, now)
    staleness_ms = None if staleness_s is None else staleness_s * 1000
    return Route(node, role, index, staleness_ms, max(0, commit_index - index), level, INLINE)


def read_inline(state: SessionState, node: Node, index: Index, now: float, level: str) -> None:
    """A read was answered at once, from a copy at `index`; as `read_at`, in a hurry, and without the NOTICE."""
    topology = state.worker.topology
    commit_index = topology.commit_index
    tally = node.inline.get(level)
    if tally is None:
        tally = node.inline[level] = state.worker.routes.tally(node.name, node.role, level, INLINE)
    if index >= commit_index and topology.heard_at > 0:
        tally.statements += 1
        staleness_ms = (now - topology.heard_at) * 1000
        if staleness_ms > tally.staleness_ms_max:
            tally.staleness_ms_max = staleness_ms
    else:
        staleness_s = topology.staleness(index, now)
        tally.count(None if staleness_s is None else staleness_s * 1000, max(0, commit_index - index), 0.0)
    state.receipt = (node.name, node.role, index, commit_index, now, level)


def read_at(state: SessionState, node: str, role: str, index: Index, decision: Decision, reason: str) -> None:
    """A read was served by a copy at `index`."""
    if state.aside:
        return
    staleness_s = state.worker.topology.staleness(index, decision.at)
    confirmed_at, confirmed = state.confirmed
    if confirmed and index >= confirmed:
        # The history need not have it: a heartbeat may have overtaken the answer, with a later time and index.
        since_s = max(decision.at - confirmed_at, 0.0)
        staleness_s = since_s if staleness_s is None else min(staleness_s, since_s)
    staleness_ms = None if staleness_s is None else staleness_s * 1000
    lag_entries = max(0, decision.commit_index - index)
    _leave(state, Route(node, role, index, staleness_ms, lag_entries, decision.level, reason, _waited_ms(state)))


def written_at(state: SessionState, node: str, index: Index, reason: str, *, is_open: bool = False) -> None:
    """The primary has carried the statement out; `index` is that of its commit, 0 while there is none.

    `is_open`: the commit comes by itself, see `closed_at`, and the NOTICE waits for it.
    """
    _leave(state, Route(node, PRIMARY, index, 0.0, 0, "", reason, _waited_ms(state)), is_open=is_open)


def closed_at(state: SessionState, index: Index) -> None:
    """The implicit transaction of the previous statement is over: committed at `index`, or undone, which is 0."""
    if state.receipt_open:
        state.receipt_open = False
        state.receipt = last_route(state)._replace(at=index)
        tell(state)


def refused_at(state: SessionState, node: str, reason: str, sqlstate: str) -> None:
    """The primary did not carry the statement out; `reason` is '' of an implicit transaction's commit."""
    if reason:
        _leave(state, Route(node, PRIMARY, 0, 0.0, 0, "", _failed(reason, sqlstate), _waited_ms(state)))
    elif state.receipt_open:
        state.receipt = last_route(state)._replace(reason=_failed(last_route(state).reason, sqlstate))
        closed_at(state, 0)


def failed(state: SessionState, sqlstate: str) -> None:
    """The statement that runs now is told an error: a receipt it has left says so, too."""
    closed_at(state, 0)
    if state.receipt is not state.earlier_receipt:
        route = last_route(state)
        if not route.reason.endswith(_failed("", sqlstate)):
            state.receipt = route._replace(reason=_failed(route.reason, sqlstate))
    elif state.tried is not None:
        node, role, index, level, way = state.tried
        topology = state.worker.topology
        staleness_s, lag_entries = topology.staleness(index, monotonic()), max(0, topology.commit_index - index)
        staleness_ms = None if staleness_s is None else staleness_s * 1000
        reason = _failed(way, sqlstate)
        _leave(state, Route(node, role, index, staleness_ms, lag_entries, level, reason, _waited_ms(state)))
    else:
        state.receipt = Route(reason=_failed("", sqlstate), wait_ms=_waited_ms(state))


def _failed(reason: str, sqlstate: str) -> str:
    return f"{reason}, failed with {sqlstate}" if reason else f"failed with {sqlstate}"


def answered_here(state: SessionState, reason: str) -> None:
    """No node was asked."""
    if not state.aside:
        _leave(state, Route("", "proxy", 0, 0.0, 0, "", reason, _waited_ms(state)))


@contextmanager
def aside(state: SessionState) -> Iterator[None]:
    """What runs in the block is no statement of the client's: it leaves no receipt."""
    state.aside = True
    try:
        yield
    finally:
        state.aside = False


def _waited_ms(state: SessionState) -> float:
    waited, state.waited_s = state.waited_s, 0.0
    return waited * 1000


def _leave(state: SessionState, route: Route, *, is_open: bool = False) -> None:
    closed_at(state, 0)
    state.receipt = route
    state.receipt_open = is_open
    state.worker.routes.count(route)
    if not is_open:
        tell(state)


def tell(state: SessionState) -> None:
    """The previous statement's receipt as a NOTICE, if the session wants it."""
    if state.settings.values["lfsql.notice_route"] == "on":
        state.outbox.write(encode.notice_response(notice_fields(str(last_route(state)))))
