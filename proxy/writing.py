"""Sending a session's unit to the primary, whoever that is by then.

A unit that one Submit opens and ends may be sent any number of times: the primary keeps the result of each client's
newest sequence in the same transaction as its effect, so a repetition is answered, not run.  That is why a failover
is a pause for an autocommit client.

A unit that was held open dies with its primary.  Its statements cannot be repeated, as the client has seen their
results; it is told 40001.  Unless its COMMIT had been sent: then the new primary is asked what became of it.

A cancel, or the end of the statement's time, makes the primary stop what it has not done.  It never ends the wait for
what the primary has to say of a COMMIT that was sent: that is how the client learns the truth.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final

import trio

from lfsql.core.requests import (
    ABORTED,
    COMMIT,
    COMMITTED,
    HOLD,
    OPEN,
    ROLLBACK,
    Answer,
    Fault,
    LookUp,
    Operation,
    Outcome,
    Submit,
)
from lfsql.errors import (
    ActiveTransaction,
    LfsqlError,
    LinkLost,
    LockNotAvailable,
    NoPrimary,
    NotPrimary,
    OutcomeUnknown,
    QueryCanceled,
    QueueFull,
    SerializationFailure,
    ShuttingDown,
    StalePlan,
    all_errors,
)
from proxy.receipt import closed_at, refused_at, written_at
from proxy.sql.plan import ANY_SCHEMA
from proxy.state import IDLE, SessionState, cancellable
from proxy.unit import IMMEDIATE, Step
from proxy.waiting import wait_change, wait_primary

if TYPE_CHECKING:
    from lfsql.net.link import Link
    from proxy.topology import Node

_BY_SQLSTATE: Final[dict[str, type[LfsqlError]]] = {}
for _class in all_errors():
    if "sqlstate" in vars(_class):
        _BY_SQLSTATE.setdefault(_class.sqlstate, _class)

COMMIT_S: Final = 0.002
"""About how long it takes until a schema change that the primary has run is committed, and can be planned for."""

_ELSEWHERE: Final = frozenset(
    {NotPrimary.sqlstate, OutcomeUnknown.sqlstate, LinkLost.sqlstate, ShuttingDown.sqlstate}
)
"""Faults that say: this node cannot answer for the unit, the primary can."""

_UNSEEN: Final = frozenset({QueryCanceled.sqlstate, QueueFull.sqlstate, LockNotAvailable.sqlstate})
"""Faults of what was refused before it was looked at: of an earlier copy of the same unit they say nothing."""


def error_of(fault: Fault) -> LfsqlError:
    """The error a node reported, as the class of its SQLSTATE."""
    kind = _BY_SQLSTATE.get(fault.sqlstate, LfsqlError)
    error = kind.__new__(kind)  # some classes' own constructors write the message, which is here already
    LfsqlError.__init__(
        error,
        fault.message,
        detail=fault.detail,
        hint=fault.hint,
        schema=fault.schema,
        table=fault.table,
        column=fault.column,
        datatype=fault.datatype,
        constraint=fault.constraint,
    )
    if kind is LfsqlError:
        error.sqlstate = fault.sqlstate  # type: ignore[misc]  # a state no class of ours stands for
    return error


async def submit(
    state: SessionState,
    operations: tuple[Operation, ...],
    end: int,
    schema_index: int,
    *,
    again: bool = False,
    nowait: bool = False,
) -> Outcome:
    """Run operations in the session's unit.  Raises NoPrimary and QueryCanceled, when nothing of it was done,
    OutcomeUnknown, SerializationFailure; statement errors are in the outcome.

    `again`: the unit is one that was sent before under its sequence, and whose outcome was lost.  `nowait`: as in
    Submit.
    """
    state.refresh()
    unit = state.unit
    first = not unit.held
    if first and not again:
        state.sequence += 1
        unit.sequence = state.sequence
    deadline = monotonic() + state.failover_s
    avoid: tuple[Node, int] | None = None
    sent = again
    """A primary may have carried it out."""
    while True:
        owed = sent and end == COMMIT
        if first:
            try:
                node = await wait_primary(state, deadline, stoppable=not owed)
                if avoid is not None and avoid == (node, node.term):
                    # It said it is not primary, and we have not heard of another yet.
                    if not await wait_change(state, deadline, stoppable=not owed):
                        raise NoPrimary("there is no primary: no node was elected in time", hint="see lfsql status")
                    avoid = None
                    continue
            except NoPrimary as error:
                if owed:
                    raise _in_doubt() from error
                raise
            unit_node = node
        else:
            unit_node = unit.node
        link = unit_node.link
        outcome: Outcome | None = None
        if link is not None and not link.lost and (first or link is unit.link):
            question = Submit(
                request=link.next_request(),
                client=state.client,
                sequence=unit.sequence,
                operations=operations,
                end=end,
                schema_index=schema_index,
                idle_ms_max=state.idle_ms_max,
                run_ms_max=state.statement_ms_max,
                local=state.local,
                base_index=state.read_transaction.index if first and state.read_transaction is not None else -1,
                lock_ms_max=state.lock_ms_max,
                nowait=nowait,
            )
            try:
                answer = await state.worker.ask(state, link, question)
            except LinkLost:
                answer = None
            except QueueFull:
                if not owed:
                    raise
                answer = None
            except trio.Cancelled:
                # The session ends, and nobody waits for the answer: what this opens must not stay open.
                if end == HOLD:
                    unit.held, unit.node, unit.link = True, unit_node, link
                raise
            if isinstance(answer, Outcome):
                outcome = answer
            fault = outcome.fault if outcome is not None else None
            if owed and outcome is not None and fault is not None and fault.sqlstate in _UNSEEN:
                found = await _look_up(state, unit.sequence)
                outcome = found if found.state == COMMITTED else outcome
            sent = sent or fault is None or fault.sqlstate == OutcomeUnknown.sqlstate
        if outcome is not None and not is_elsewhere(outcome):
            settle(state, unit_node, link, outcome)
            return outcome
        if first:
            avoid = (unit_node, unit_node.term)
            if unit_node.link is None:
                avoid = None
            continue
        return await after_loss(state, end)


def settle(state: SessionState, node: Node, link: Link | None, outcome: Outcome) -> None:
    """What an outcome says of the session's unit."""
    unit = state.unit
    if outcome.state == OPEN and not unit.held:
        unit.opened_at = monotonic()
    unit.held = outcome.state == OPEN
    unit.node = node
    unit.link = link
    if outcome.state == COMMITTED:
        if state.local:  # it may be lost, and its place in the log be another's
            state.wrote_locally(outcome.index, node.term)
        else:
            state.worker.topology.committed(outcome.index)
            state.worker.acknowledged.tell(outcome.index)
            state.seen_index = max(state.seen_index, outcome.index)
        if state.listener is not None:
            state.listener.committed = outcome.index


def is_elsewhere(outcome: Outcome) -> bool:
    """Whether the node says that it cannot answer for the unit."""
    return outcome.fault is not None and outcome.fault.sqlstate in _ELSEWHERE


async def after_loss(state: SessionState, end: int) -> Outcome:
    """What became of a held unit whose primary was lost when it was to `end`.  Raises SerializationFailure,
    OutcomeUnknown."""
    unit = state.unit
    unit.held = False
    if end == COMMIT:
        return await _resolve(state, unit.sequence)
    if end == ROLLBACK:
        return Outcome(0, ABORTED)
    raise SerializationFailure(
        "the primary changed during this transaction, which is rolled back", hint="Run the transaction again."
    )


def _in_doubt() -> OutcomeUnknown:
    return OutcomeUnknown(
        "the primary was lost while committing, and none was elected in time to say what became of it",
        hint="Whether the transaction is committed must be looked up by its effects.",
    )


async def _look_up(state: SessionState, sequence: int) -> Outcome:
    """Whether the log has the unit: an outcome COMMITTED, or ABORTED.  Raises OutcomeUnknown."""
    topology = state.worker.topology
    deadline = monotonic() + state.failover_s
    while True:
        try:
            node = await wait_primary(state, deadline, stoppable=False)
        except NoPrimary as error:
            raise _in_doubt() from error
        answer: Answer | None = None
        if node.link is not None:
            look_up = LookUp(node.link.next_request(), state.client, sequence)
            with contextlib.suppress(LinkLost, QueueFull):
                answer = await state.worker.ask(state, node.link, look_up)
        if isinstance(answer, Outcome) and answer.fault is None:
            state.unit.node = node
            return answer
        # It cannot answer, though it is the newest primary we know of: there will be news of it.
        if topology.primary is node and not await wait_change(state, deadline, stoppable=False):
            raise _in_doubt()


async def _resolve(state: SessionState, sequence: int) -> Outcome:
    """What became of a COMMIT whose answer was lost."""
    topology = state.worker.topology
    answer = await _look_up(state, sequence)
    if answer.state != COMMITTED:
        raise SerializationFailure(
            "the primary was lost before this transaction was committed; it is rolled back",
            hint="Run the transaction again.",
        )
    topology.committed(answer.index)
    state.worker.acknowledged.tell(answer.index)
    state.seen_index = max(state.seen_index, answer.index)
    return answer


async def flush_unit(state: SessionState, end: int) -> None:
    """Send what waits and tell its results.  Raises the first statement's error, its predecessors told."""
    unit = state.unit
    steps = unit.take()
    prelude = state.prelude
    if end == HOLD and state.outbox.awaits_end:
        state.outbox.resolve((), failed=True)
        raise ActiveTransaction(
            "lfsql.last_index is not known before the transaction is committed",
            hint="Ask for it after the Sync, or after COMMIT.",
        )
    if not unit.held and not unit.writes:
        state.outbox.resolve((), failed=False)
        if end != HOLD:
            prelude.clear()
        return
    if not steps and end == HOLD:
        return
    if state.read_transaction is not None and end != HOLD and not unit.held:
        # What the transaction has read must still hold when it gets the writer: that is asked of who is to have it.
        unit.steps, steps = steps, []
        await flush_unit(state, HOLD)
    before = (*prelude, IMMEDIATE) if state.constraints_immediate and not unit.held else tuple(prelude)
    operations = (*before, *_operations(steps))
    skip = len(before)
    prelude.clear()
    unit.statement_failed = False
    try:
        outcome = await _submit_planned(state, steps, operations, skip, end)
    except BaseException:
        state.outbox.resolve((), failed=True)
        raise
    results = outcome.results[skip:]
    state.outbox.resolve(results, failed=outcome.fault is not None or len(results) < len(operations) - skip)
    if not unit.held:
        unit.writes = False
    state.worker.schemas.heard(outcome.schema_index)
    _leave_receipts(state, steps, outcome, len(results), end)
    if outcome.fault is not None:
        unit.statement_failed = len(outcome.results) < len(operations)
        if not unit.held and outcome.fault.sqlstate == SerializationFailure.sqlstate:
            state.overtaken = state.read_transaction is not None
        error = error_of(outcome.fault)
        error.context = _context(steps, len(results))
        raise error


def _leave_receipts(state: SessionState, steps: list[Step], outcome: Outcome, succeeded: int, end: int) -> None:
    """Those of the statements that were sent, `succeeded` operations of which were carried out, and of a COMMIT."""
    node = state.unit.node.name
    index = outcome.index if outcome.state == COMMITTED else 0
    in_block = state.status != IDLE
    fault = outcome.fault
    if index:
        closed_at(state, index)
    refused: Step | None = None
    carried_out: list[Step] = []
    for step in steps:
        succeeded -= len(step.operations)
        if succeeded < 0:
            refused = step
            break
        carried_out.append(step)
    else:
        if fault is not None and carried_out and not in_block:
            refused = carried_out.pop()  # the implicit transaction ends with it
    for step in carried_out:
        if step.reason:
            written_at(state, node, index, step.reason, is_open=outcome.state == OPEN and not in_block)
    if fault is not None:
        reason = refused.reason if refused is not None else "commit" if in_block and end == COMMIT else ""
        refused_at(state, node, reason, fault.sqlstate)
    elif in_block and end == COMMIT:
        written_at(state, node, index, "commit")


def _context(steps: list[Step], succeeded: int) -> str:
    """Of the step whose operation failed after so many had succeeded."""
    for step in steps:
        succeeded -= len(step.operations)
        if succeeded < 0:
            return step.context
    return ""


def _operations(steps: list[Step]) -> Iterator[Operation]:
    for step in steps:
        yield from step.operations


def check_patience(state: SessionState, began: float) -> None:
    """A statement that began then, on the monotonic clock, is to be planned again, as the schema has changed.

    Raises QueryCanceled, SerializationFailure when that has been going on for too long.
    """
    passed_s = monotonic() - began
    if state.statement_ms_max and passed_s * 1000 >= state.statement_ms_max:
        raise QueryCanceled("canceling statement due to statement timeout")
    if passed_s >= state.failover_s:
        raise SerializationFailure("the schema kept changing while the statement was planned", hint="Run it again.")


async def _submit_planned(
    state: SessionState, steps: list[Step], operations: tuple[Operation, ...], skip: int, end: int
) -> Outcome:
    """submit(), planning again for as long as the schema turns out to have changed before anything ran."""
    schemas = state.worker.schemas
    began = monotonic()
    while True:
        schema_index = max((step.plan.schema_index for step in steps if step.plan is not None), default=ANY_SCHEMA)
        if state.own_schema is not None:
            schema_index = ANY_SCHEMA  # our own uncommitted schema: nobody else can have changed it
        held = state.unit.held
        outcome = await submit(state, operations, end, schema_index, nowait=any(step.nowait for step in steps))
        stale = outcome.fault is not None and outcome.fault.sqlstate == StalePlan.sqlstate
        if not stale or outcome.results or held or not all(step.rebuild or step.plan is None for step in steps):
            return outcome
        check_patience(state, began)
        state.unit.writes = True
        known = schemas.current.index
        await schemas.refresh(state, outcome.schema_index)
        if schemas.current.index == known == schema_index:
            # The change is not in the log yet, so nobody can show it; it may also be rolled back.
            await cancellable(state, partial(trio.sleep, COMMIT_S))
        for step in steps:
            if step.rebuild is not None:
                await step.rebuild()
        operations = (*operations[:skip], *_operations(steps))
