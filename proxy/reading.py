"""One read's way: which node, whether it is fresh enough, and its rows.

Order of attempts: replicas in turn, then the primary; a replica too far behind is passed over, not waited for.  A
file on this host is read in the event loop, under a budget, and past that in a thread; other nodes over their links.

A snapshot's log index is exact (it is in the file), so every check here is on what will really be read.  Of a node on
another host the index heard last is a lower bound, and its answer carries the exact one.  By that bound alone a
session would be kept from all replicas by each write that others make: with every read it sees an index that was
not heard of yet.  So a replica that keeps up is asked for the index the session has seen, and for a moment's waiting;
one that has it not is asked no more before it is heard to.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from lfsql.core.entry import Value
from lfsql.core.ids import Index
from lfsql.core.requests import PRIMARY, Read, ReadClose, Row, Rows
from lfsql.errors import FeatureNotSupported, LfsqlError, LinkLost, NoPrimary, TooStale
from proxy.hints import policy_of
from proxy.joined import Question
from proxy.probing import ask_in_time
from proxy.read_index import fresh_index, required_index
from proxy.receipt import INLINE, Decision, Tried, decide, read_at, read_inline
from proxy.routing import (
    NO_ROOM,
    Passed,
    asked_for,
    behind,
    candidates,
    objection,
    own_fault,
    standing,
    take_turn,
    when_lagging,
)
from proxy.row_sources import CHUNK_ROWS, LocalRows, RemoteRows
from proxy.sql.plan import ANY_SCHEMA, Plan
from proxy.state import ReadPolicy, SessionState, cancellable
from proxy.statements import ListRows, RowSource
from proxy.waiting import CATCH_UP_MS_MAX, patience_ms, wait_change, wait_primary, wait_room, waiting
from proxy.writing import error_of

if TYPE_CHECKING:
    from proxy.topology import Node


class StillBehind(TooStale):
    """The node's copy does not reach `index`, which it was asked for."""

    def __init__(self, message: str, index: Index) -> None:
        super().__init__(message)
        self.index = index

    def in_vain(self, reasons: list[str]) -> TooStale:
        """When it was the last node to ask."""
        detail = "; ".join([*reasons, self.message])
        return TooStale(f"no copy reached log index {self.index} in time", detail=detail)


class SchemaMoved(Exception):
    """The node's schema is newer than the plan; plan again and come back.  Never seen by a client."""

    def __init__(self, index: Index) -> None:
        self.index = index


def read_now(state: SessionState, plan: Plan, sql: str, arguments: tuple[Value, ...]) -> list[Row] | None:
    """All rows, without waiting for anything, or None when that is not possible: then `read`.

    Raises SchemaMoved, ReadOnlyTransaction (the statement turned out to write), and the statement's own errors.
    """
    memo = plan.memo
    if plan.mixed or memo.skips:
        return None
    policy = policy_of(state, plan)
    if policy.level == "strong":
        return None
    now = monotonic()
    topology = state.worker.topology
    required = state.required(policy)
    for node in candidates(state, policy):
        reads = node.reads
        if reads is None or node.avoided or not node.readable(now):
            continue
        index = 0
        try:
            index, schema_index = reads.position()
            if index < required:
                index, schema_index = reads.refresh()
                if index < required:
                    continue
            if schema_index != plan.schema_index and plan.schema_index >= 0:
                if schema_index > plan.schema_index:
                    raise SchemaMoved(schema_index)
                continue
            if behind(topology, policy, required, index, now):
                continue
            rows = reads.try_inline(sql, arguments)
        except LfsqlError as error:
            if own_fault(topology, node, error):
                continue
            state.tried = Tried(node.name, node.role, index, policy.level, INLINE)
            raise
        if rows is None:
            memo.ran_long()
            return None
        memo.long_runs = 0
        if index > state.seen_index:
            state.seen_index = index
        read_inline(state, node, index, now, policy.level)
        take_turn(topology, policy, node)
        return rows
    return None


async def read(state: SessionState, plan: Plan, sql: str, arguments: tuple[Value, ...]) -> RowSource:
    """The statement's rows from the first node that may serve it.  Raises as `read_now`, and TooStale, NoPrimary."""
    if plan.mixed:
        return await _read_joined(state, plan, sql, arguments)
    policy = policy_of(state, plan)
    deadline = monotonic() + state.failover_s
    while True:
        required = await required_index(state, policy, deadline)
        now = monotonic()
        reasons = Passed()
        for node in candidates(state, policy):
            if not node.readable(now):
                reasons.append(f"{node.name}: not heard")
                continue
            try:
                source = await _try(state, plan, sql, arguments, policy, node, required, deadline, reasons)
            except StillBehind as error:
                reasons.append(f"{node.name}: {error.message}")
                continue
            except LfsqlError as error:
                way = "link" if node.reads is None else "thread" if plan.memo.skips else INLINE
                own = own_fault(state.worker.topology, node, error)
                at = node.applied_index if own else standing(node)[0]
                state.tried = Tried(node.name, node.role, at, policy.level, way)
                if not own:
                    raise
                reasons.append(f"{node.name}: {error.message}")
                if error.sqlstate == NO_ROOM:
                    reasons.full.append(node)
                else:
                    reasons.failed = node.name
                continue
            if source is not None:
                return source
        if reasons.full:
            await wait_room(state, reasons.full, deadline)
            continue
        try:
            source = await _when_lagging(state, plan, sql, arguments, policy, required, deadline, reasons)
        except StillBehind as error:
            if monotonic() >= deadline:
                raise error.in_vain(reasons) from error
            continue
        if source is not None:
            return source
        if not await wait_change(state, deadline):
            raise NoPrimary("no node can serve this read", detail="; ".join(reasons))


async def _try(
    state: SessionState,
    plan: Plan,
    sql: str,
    arguments: tuple[Value, ...],
    policy: ReadPolicy,
    node: Node,
    required: Index,
    deadline: float,
    reasons: Passed,
) -> RowSource | None:
    """The rows, or None with the reason added."""
    topology = state.worker.topology
    decision = decide(topology, policy.level)
    reads = node.reads
    at, schema_index = standing(node)
    if plan.schema_index >= 0 and schema_index > plan.schema_index:
        raise SchemaMoved(schema_index)
    if reason := objection(topology, policy, plan, node, required, at, schema_index, decision.at):
        reasons.append(f"{node.name}: {reason}")
        return None
    if reads is None or (node.role == PRIMARY and at < required):
        if node.full:
            reasons.full.append(node)
            return None
        reasons.take_turn(topology, policy, node)
        return await _over_link(
            state,
            sql,
            arguments,
            node,
            asked_for(topology, policy, node, required, at),
            patience_ms(deadline) if node.role == PRIMARY else CATCH_UP_MS_MAX,
            decision,
            plan.schema_index,
            movable=True,
            reason=reasons.reason("link"),
        )
    if not plan.memo.skips:
        rows = reads.try_inline(sql, arguments)
        if rows is not None:
            plan.memo.long_runs = 0
            reasons.take_turn(topology, policy, node)
            _note(state, node, at, decision, reasons.reason(INLINE))
            return ListRows(rows)
        plan.memo.ran_long()
    if node.full:
        reasons.full.append(node)
        return None
    plan.memo.skips -= 1
    reasons.take_turn(topology, policy, node)
    balancer = topology.balancer
    balancer.begin(node)
    try:
        cursor = await cancellable(
            state, partial(reads.open_cursor, sql, arguments, run_ms_max=state.statement_ms_max)
        )
    except BaseException:
        balancer.end(node)
        raise
    _note(state, node, cursor.index, decision, reasons.reason("thread"))
    return LocalRows(state, node, cursor)


async def _read_joined(state: SessionState, plan: Plan, sql: str, arguments: tuple[Value, ...]) -> RowSource:
    """The rows of a statement that names the catalogs and the user's relations: from a file of this host.

    Raises as `read`, and FeatureNotSupported where no node is on this host.
    """
    worker = state.worker
    joined = worker.catalogs.joined
    policy = policy_of(state, plan)
    decision = decide(worker.topology, policy.level)
    node = await local_node(state, policy, joined.kept_file, patient=True)
    if node is None:
        raise FeatureNotSupported(
            "the system catalogs cannot be joined with tables here: no node that may be read is on the proxy's host",
            hint="Read the catalogs in a statement of their own.",
        )
    take_turn(worker.topology, policy_of(state, plan), node)
    index_min = node.reads.refresh()[0] if node.reads is not None else 0
    question = Question(sql, arguments, plan.schema_index, worker.facts(state), state.statement_ms_max)
    worker.topology.balancer.begin(node)
    try:
        answer = await cancellable(state, partial(joined.run, data_file(node), question, index_min))
    finally:
        worker.topology.balancer.end(node)
    if plan.schema_index >= 0 and answer.schema_index != plan.schema_index:
        raise SchemaMoved(answer.schema_index)
    _note(state, node, answer.index, decision, "joined with the catalogs")
    return ListRows(answer.rows)


async def local_node(
    state: SessionState,
    policy: ReadPolicy | None = None,
    first: Path | None = None,
    *,
    patient: bool = False,
    index_min: Index = 0,
) -> Node | None:
    """A node of this host that is as fresh as `policy`, by default the session's, asks; None when there is none.

    Where the primary is on this host, or the caller is `patient`, a node is waited for rather than done without.
    `first`: the data file to look at first; `index_min`: beside what the policy asks.  Raises TooStale, NoPrimary.
    """
    policy = policy or state.policy
    topology = state.worker.topology
    nodes = candidates(state, policy)
    if nodes and not _on_host(state, policy, patient=patient):
        return None
    deadline = monotonic() + state.failover_s
    required = max(await required_index(state, policy, deadline), index_min)
    node = _fresh_on_host(state, policy, required, first, patient=patient)
    while node is not None and node.full:
        await wait_room(state, [each for each in nodes if each.reads is not None and each.full], deadline)
        node = _fresh_on_host(state, policy, required, first, patient=patient)
    while node is None and (patient or (topology.primary is not None and topology.primary.data_dir)):
        required = max(await required_index(state, policy, deadline), index_min)
        node = await _caught_up(state, policy, required, deadline, patient=patient)
    return node


def _on_host(state: SessionState, policy: ReadPolicy, *, patient: bool) -> list[Node]:
    """The candidates of this host.  Who has to have one takes any where the primary is asked for, which is elsewhere,
    and waits until it has what the transaction must see."""
    found = [node for node in candidates(state, policy) if node.data_dir]
    if not found and patient and policy.route == "auto":
        found = [node for node in state.worker.topology.order() if node.data_dir]
    return found


def _fresh_on_host(
    state: SessionState, policy: ReadPolicy, required: Index, first: Path | None = None, *, patient: bool
) -> Node | None:
    """The first that may serve; one that is full only when none is that is not."""
    topology = state.worker.topology
    now = monotonic()
    nodes = _on_host(state, policy, patient=patient)
    order = sorted(nodes, key=lambda node: (node.full, data_file(node) != first))
    for node in order:
        if node.reads is None or not node.readable(now):
            continue
        try:
            index, schema_index = node.reads.refresh()
        except LfsqlError as error:
            if own_fault(topology, node, error):
                continue
            raise
        if schema_index < state.worker.schemas.wanted or index < required:
            continue
        if not behind(topology, policy, required, index, now):
            return node
    return None


async def _caught_up(
    state: SessionState, policy: ReadPolicy, required: Index, deadline: float, *, patient: bool
) -> Node | None:
    """A node of this host, once its copy is what the policy asks for; None to ask again."""
    if policy.when_lagging == "error":
        raise TooStale("every node of the proxy's host is further behind than this read allows")
    nodes = _on_host(state, policy, patient=patient)
    found = [each for each in nodes if each.reads and each.link and each.readable(monotonic())]
    node = max(found, key=lambda node: (node.role == PRIMARY, node.applied_index), default=None)
    if node is None:
        if not await wait_change(state, deadline):
            raise NoPrimary("no node of the proxy's host can serve this read")
        return None
    needed = required = max(required, state.worker.schemas.wanted)
    if policy.when_lagging != "freshest":
        needed = await fresh_index(state, policy, required, deadline)
    try:
        # The node answers when its copy has reached the index, whatever it is asked.
        source = await _over_link(state, "SELECT 1", (), node, needed, patience_ms(deadline))
    except LinkLost:
        return None
    except StillBehind as error:
        if monotonic() >= deadline:
            raise error.in_vain([]) from error
        return None
    await source.aclose()
    if node.reads is not None and node.reads.refresh()[0] < needed:  # its file was replaced; the old one is open here
        if not await wait_change(state, deadline):
            raise NoPrimary(f"the file in {node.data_dir} is not what node '{node.name}' has")
        return None
    return node


def data_file(node: Node) -> Path:
    return Path(node.data_dir) / "data.db"


def _note(state: SessionState, node: Node, index: Index, decision: Decision, reason: str) -> None:
    state.seen_index = max(state.seen_index, index)
    read_at(state, node.name, node.role, index, decision, reason)


async def _when_lagging(
    state: SessionState,
    plan: Plan,
    sql: str,
    arguments: tuple[Value, ...],
    policy: ReadPolicy,
    required: Index,
    deadline: float,
    reasons: list[str],
) -> RowSource | None:
    """No candidate may serve as it is: what the session wants done about it.  Raises StillBehind to ask again."""
    topology = state.worker.topology
    choice = when_lagging(policy)
    if choice == "error":
        raise TooStale("every node is further behind than this read allows", detail="; ".join(reasons))
    while True:
        if choice == "primary":
            node: Node | None = await wait_primary(state, deadline)
        else:
            now = monotonic()
            readable = [node for node in candidates(state, policy) if node.readable(now)]
            node = max(readable, key=lambda node: node.applied_index, default=None)
        if node is None or node.link is None:
            return None
        if node.full:
            await wait_room(state, [node], deadline)
            continue
        decision = decide(topology, policy.level)
        needed = required if choice == "freshest" else await fresh_index(state, policy, required, deadline)
        if plan.schema_index >= 0 and node.schema_index > plan.schema_index:
            raise SchemaMoved(node.schema_index)
        needed = max(needed, plan.schema_index)
        try:
            with waiting(state):
                return await _over_link(
                    state,
                    sql,
                    arguments,
                    node,
                    needed,
                    patience_ms(deadline),
                    decision,
                    plan.schema_index,
                )
        except LinkLost:
            return None


async def _over_link(
    state: SessionState,
    sql: str,
    arguments: tuple[Value, ...],
    node: Node,
    min_index: Index,
    wait_ms_max: int,
    decision: Decision | None = None,
    schema_index: Index = ANY_SCHEMA,
    *,
    movable: bool = False,
    reason: str = "link",
) -> RowSource:
    """Rows of a node read by itself.  Raises SchemaMoved when it has a newer schema than `schema_index`.

    `decision`, `reason`: of the receipt; None when it is no statement's.  `movable`: another node can be asked
    instead; LinkLost is also raised when this one does not answer.  Raises StillBehind when it does not reach
    `min_index` in time.
    """
    topology = state.worker.topology
    balancer = topology.balancer
    link = node.link
    if link is None:
        raise LinkLost(f"there is no link to node '{node.name}'")
    had_it = node.applied_index >= min_index  # else its answer may have waited for others
    question = Read(
        request=link.next_request(),
        sql=sql,
        parameters=arguments,
        min_index=min_index,
        wait_ms_max=wait_ms_max,
        rows_max=CHUNK_ROWS,
        run_ms_max=state.statement_ms_max,
    )
    balancer.begin(node)
    began = monotonic()
    try:
        answer = await (
            ask_in_time(state, node, link, question) if movable else state.worker.ask(state, link, question)
        )
        if not isinstance(answer, Rows):
            raise LinkLost(f"node '{node.name}' answered a read with something else")
        if answer.schema_index > schema_index >= 0:
            if answer.more:
                link.tell(ReadClose(question.request))
            raise SchemaMoved(answer.schema_index)
        if answer.fault is not None:
            if topology.falls_short(node, answer.index, min_index):
                raise StillBehind(answer.fault.message, min_index)
            raise error_of(answer.fault)
        topology.stands(node, answer.index)
    except BaseException:
        balancer.end(node)
        raise
    if movable:
        now = monotonic()
        balancer.answered(node, now - began if had_it else None, now)
    if decision is not None:
        _note(state, node, answer.index, decision, reason)
    if not answer.more:
        balancer.end(node)
        return ListRows(list(answer.rows))
    return RemoteRows(state, node, link, question.request, answer)
