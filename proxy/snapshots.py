"""The one snapshot that a transaction reads: of a file of this host, or kept open for it by a node elsewhere.

A READ ONLY transaction has one at every isolation level, any other under REPEATABLE READ and SERIALIZABLE.  Such a
one takes the writer only when it first writes, and says then what it has read: when the log has gone on since, what
it would write rests on a view that is gone, and it is told 40001 (`lfsql.node.ledger`).  For its next attempt the
session takes the writer with the first read, so that one that failed is followed by one that cannot fail for that.

Rejected: taking the writer with the first read always.  A report under REPEATABLE READ kept everybody from writing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from lfsql.core.entry import Value
from lfsql.core.ids import Index
from lfsql.core.requests import Read, ReadClose, Row, Rows
from lfsql.errors import LfsqlError, LinkLost, NoPrimary, SerializationFailure, TooStale
from proxy.probing import ask_in_time
from proxy.read_index import fresh_index, required_index
from proxy.reading import SchemaMoved, StillBehind, local_node
from proxy.receipt import Decision, decide, read_at
from proxy.routing import NO_ROOM, asked_for, candidates, own_fault, take_turn, unfit, when_lagging
from proxy.row_sources import CHUNK_ROWS, RemoteRows
from proxy.sql.plan import ANY_SCHEMA, Plan
from proxy.state import IDLE, SessionState, cancellable
from proxy.statements import ListRows, RowSource
from proxy.transaction_modes import read_only, reads_one_view
from proxy.waiting import CATCH_UP_MS_MAX, patience_ms, wait_change, wait_primary, wait_room, waiting
from proxy.writing import error_of

if TYPE_CHECKING:
    from lfsql.net.link import Link
    from lfsql.storage.reads import ReadCursor, ReadTransaction
    from proxy.balancer import Balancer
    from proxy.topology import Node


class Snapshot(Protocol):
    """`index`: where in the log it stands; `schema_index`: the same of its schema."""

    @property
    def index(self) -> Index: ...

    @property
    def schema_index(self) -> Index: ...

    async def rows(self, state: SessionState, sql: str, values: tuple[Value, ...]) -> RowSource: ...

    async def aclose(self) -> None: ...


async def snapshot(state: SessionState, plan: Plan) -> Snapshot | None:
    """The transaction's snapshot, opened at its first read of data; None where each statement sees what is new, and
    where this one sees nothing."""
    if state.status == IDLE or not (read_only(state) or reads_one_view(state)):
        return None
    if state.read_transaction is None:
        if plan.reads_nothing:
            return None
        state.read_transaction = await _open(state)
        state.seen_index = max(state.seen_index, state.read_transaction.index)
    return state.read_transaction


async def read_snapshot(state: SessionState, snapshot: Snapshot, plan: Plan, values: tuple[Value, ...]) -> RowSource:
    """The rows of a read.  Raises SchemaMoved when it is planned for another schema than the snapshot's."""
    own = state.own_schema
    in_force = snapshot.schema_index if own is None else own.index
    if plan.schema_index not in (ANY_SCHEMA, in_force):
        raise SchemaMoved(snapshot.schema_index)
    node, role, level = state.snapshot_route
    opened, state.snapshot_opened = state.snapshot_opened, None
    # Later statements are told how old it has become since.
    read_at(state, node, role, snapshot.index, opened or decide(state.worker.topology, level), "snapshot")
    return await snapshot.rows(state, plan.statements[0], values)


async def _open(state: SessionState) -> Snapshot:
    """Raises TooStale, NoPrimary, QueryCanceled."""
    # What is known to be committed and is not in the view would have overtaken it from the start.
    worker = state.worker
    index_min = 0 if read_only(state) else worker.topology.newest()
    decision = decide(worker.topology, state.policy.level)
    node = await local_node(state, index_min=index_min)
    if node is None or node.reads is None:
        return await _open_elsewhere(state, index_min)
    opening = partial(node.reads.open_transaction, wait_ms_max=state.statement_ms_max)
    balancer = worker.topology.balancer
    take_turn(worker.topology, state.policy, node)
    balancer.begin(node)
    try:
        opened = LocalSnapshot(await cancellable(state, opening), node, balancer)
    except BaseException:
        balancer.end(node)
        raise
    state.snapshot_route, state.snapshot_opened = (node.name, node.role, decision.level), decision
    return opened


def lost(node: Node) -> SerializationFailure:
    """What a transaction is told whose snapshot cannot be read any more."""
    return SerializationFailure(
        f"node '{node.name}', whose snapshot this transaction reads, was lost", hint="Run the transaction again."
    )


# -- On this host ------------------------------------------------------------------------------------------


class LocalSnapshot:
    """Of a file of this host."""

    def __init__(self, transaction: ReadTransaction, node: Node, balancer: Balancer) -> None:
        """`balancer` was told that it begins."""
        self._transaction = transaction
        self._node = node
        self._balancer = balancer
        self.index = transaction.index
        self.schema_index = transaction.schema_index

    async def rows(self, state: SessionState, sql: str, values: tuple[Value, ...]) -> RowSource:
        try:
            rows = self._transaction.try_inline(sql, values)
            if rows is not None:
                return ListRows(rows)
            opening = partial(self._transaction.open_cursor, sql, values, run_ms_max=state.statement_ms_max)
            return CursorRows(state, await cancellable(state, opening))
        except LfsqlError as error:
            if error.sqlstate != NO_ROOM and own_fault(state.worker.topology, self._node, error):
                raise lost(self._node) from error
            raise

    async def aclose(self) -> None:
        try:
            await self._transaction.aclose()
        finally:
            self._balancer.end(self._node)


class CursorRows:
    """A cursor of a snapshot."""

    __slots__ = ("_cursor", "_state")

    def __init__(self, state: SessionState, cursor: ReadCursor) -> None:
        self._state = state
        self._cursor = cursor

    async def fetch(self, rows_max: int) -> tuple[list[Row], bool]:
        return await cancellable(self._state, partial(self._cursor.fetch, rows_max or CHUNK_ROWS))

    async def aclose(self) -> None:
        await self._cursor.aclose()


# -- Elsewhere ---------------------------------------------------------------------------------------------


async def _open_elsewhere(state: SessionState, index_min: Index) -> Snapshot:
    """On the first node that may serve, by the same rules as a read; there is none on this host."""
    policy = state.policy
    topology = state.worker.topology
    deadline = monotonic() + state.failover_s
    while True:
        required = max(await required_index(state, policy, deadline), index_min)
        now = monotonic()
        readable = [node for node in candidates(state, policy) if node.link is not None and node.readable(now)]
        full = [node for node in readable if node.full]
        turn_taken = False
        reasons: list[str] = []
        for node in readable:
            if node.full:
                continue
            decision = decide(topology, policy.level)
            at = node.applied_index
            if reason := unfit(topology, policy, node, required, at, decision.at):
                reasons.append(f"{node.name}: {reason}")
                continue
            if not turn_taken:
                take_turn(topology, policy, node)
                turn_taken = True
            wait_ms_max = patience_ms(deadline) if node is topology.primary else CATCH_UP_MS_MAX
            needed = max(required, asked_for(topology, policy, node, required, at))
            try:
                opened = await _keep(state, node, needed, wait_ms_max, decision)
            except StillBehind as error:
                reasons.append(f"{node.name}: {error.message}")
                continue
            except LfsqlError as error:
                if not own_fault(topology, node, error):
                    raise
                reasons.append(f"{node.name}: {error.message}")
                if error.sqlstate == NO_ROOM:
                    full.append(node)
                continue
            if opened is not None:
                return opened
        if full:
            await wait_room(state, full, deadline)
            continue
        try:
            opened = await _when_lagging(state, readable, required, deadline, reasons)
        except StillBehind as error:
            if monotonic() >= deadline:
                raise error.in_vain(reasons) from error
            continue
        if opened is not None:
            return opened
        if not await wait_change(state, deadline):
            raise NoPrimary("no node can serve this transaction's reads", detail="; ".join(reasons))


async def _when_lagging(
    state: SessionState, readable: list[Node], required: Index, deadline: float, reasons: list[str]
) -> Snapshot | None:
    """No node may serve as it is: what the session wants done about it.  Raises StillBehind, TooStale."""
    if not readable:
        return None
    policy = state.policy
    choice = when_lagging(policy)
    if choice == "error":
        raise TooStale("every node is further behind than this read allows", detail="; ".join(reasons))
    node = max(readable, key=lambda node: node.applied_index)
    if choice == "primary":
        node = await wait_primary(state, deadline)
    decision = decide(state.worker.topology, policy.level)
    needed = required if choice == "freshest" else await fresh_index(state, policy, required, deadline)
    with waiting(state):
        return await _keep(state, node, needed, patience_ms(deadline), decision)


async def _keep(
    state: SessionState, node: Node, index_min: Index, wait_ms_max: int, decision: Decision
) -> Snapshot | None:
    """A snapshot of `node` at `index_min` or later, which it waits for; None when it is lost meanwhile.

    Raises StillBehind when it does not get there in time.
    """
    link = node.link
    if link is None:
        return None
    question = Read(
        request=link.next_request(),
        sql="SELECT 1",
        min_index=index_min,
        wait_ms_max=wait_ms_max,
        run_ms_max=state.statement_ms_max,
        keep=True,
    )
    try:
        answer = await ask_in_time(state, node, link, question)
    except LinkLost:
        return None
    if not isinstance(answer, Rows):
        return None
    topology = state.worker.topology
    if answer.fault is not None:
        if topology.falls_short(node, answer.index, index_min):
            raise StillBehind(answer.fault.message, index_min)
        raise error_of(answer.fault)
    topology.stands(node, answer.index)
    state.snapshot_route, state.snapshot_opened = (node.name, node.role, decision.level), decision
    return KeptSnapshot(node, link, question.request, answer, topology.balancer)


class KeptSnapshot:
    """One that a node keeps open, over the link it was asked for."""

    def __init__(self, node: Node, link: Link, number: int, answer: Rows, balancer: Balancer) -> None:
        self._balancer = balancer
        self._node = node
        self._link = link
        self._number = number
        self.index = answer.index
        self.schema_index = answer.schema_index
        balancer.begin(node)

    async def rows(self, state: SessionState, sql: str, values: tuple[Value, ...]) -> RowSource:
        """Raises SerializationFailure when the node is lost, and the snapshot with it."""
        question = Read(
            request=self._link.next_request(),
            sql=sql,
            parameters=values,
            rows_max=CHUNK_ROWS,
            run_ms_max=state.statement_ms_max,
            within=self._number,
        )
        try:
            answer = await state.worker.ask(state, self._link, question)
        except LinkLost as error:
            raise self._lost() from error
        if not isinstance(answer, Rows):
            raise self._lost()
        if answer.fault is not None:
            raise error_of(answer.fault)
        if not answer.more:
            return ListRows(list(answer.rows))
        self._balancer.begin(self._node)
        return KeptRows(RemoteRows(state, self._node, self._link, question.request, answer), self._lost)

    def _lost(self) -> SerializationFailure:
        return lost(self._node)

    async def aclose(self) -> None:
        self._balancer.end(self._node)
        self._link.tell(ReadClose(self._number))


class KeptRows:
    """Further rows of a statement on such a snapshot."""

    __slots__ = ("_lost", "_rows")

    def __init__(self, rows: RemoteRows, lost: Callable[[], LfsqlError]) -> None:
        self._rows = rows
        self._lost = lost

    async def fetch(self, rows_max: int) -> tuple[list[Row], bool]:
        try:
            return await self._rows.fetch(rows_max)
        except LinkLost as error:
            raise self._lost() from error

    async def aclose(self) -> None:
        await self._rows.aclose()
