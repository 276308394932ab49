"""Executing a plan: where it runs, and how its result is told.

A read outside of a unit runs at once and its rows are told at once.  Everything else becomes a step of the session's
unit: told when the unit is sent, which happens at a Sync, a Flush, the end of a text, or when too much has gathered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

from lfsql.core.entry import Value
from lfsql.core.requests import HOLD, Operation, Result, Row, Run
from lfsql.errors import InvariantBroken, ReadOnlyTransaction
from proxy import passthrough
from proxy.pg import encode
from proxy.pg.errors import notice_fields
from proxy.pg.rows import row_encoder
from proxy.pg.types import expand_formats
from proxy.planning import arguments, current, follow, replan
from proxy.reading import SchemaMoved, read, read_now
from proxy.receipt import tell
from proxy.snapshots import read_snapshot, snapshot
from proxy.sql.memo import keep
from proxy.sql.plan import Kind, Plan, ResultColumn
from proxy.state import IDLE, SessionState
from proxy.statements import ListRows, Prepared, RowSource
from proxy.transaction_modes import check_alone, check_may_write, read_only, reads_one_view
from proxy.unit import SEND_BYTES, Step
from proxy.writing import flush_unit

COUNTED: Final = frozenset({"SELECT", "UPDATE", "DELETE", "MERGE", "FETCH", "MOVE", "COPY"})


@dataclass(slots=True)
class Telling:
    """How a result is framed: `describe`: with a RowDescription before (simple protocol); formats as in Bind."""

    describe: bool = False
    formats: tuple[int, ...] = ()


SIMPLE: Final = Telling(describe=True)


def tag_of(plan: Plan, count: int) -> str:
    if plan.tag == "INSERT":
        return f"INSERT 0 {count}"
    if plan.tag in COUNTED:
        return f"{plan.tag} {count}"
    return plan.tag


def row_writer(state: SessionState, plan: Plan, formats: tuple[int, ...]) -> Callable[[Row], bytes]:
    """A row to its DataRow message."""
    state.refresh()
    kept = plan.memo.row_writers
    key = (formats, state.encoding_key)
    writer = kept.get(key)
    if writer is None:
        if plan.typed_by_value:
            writer = passthrough.row_encoder(plan.columns, formats)
        else:
            shape = [(column.oid, column.typmod) for column in plan.columns]
            writer = row_encoder(shape, expand_formats(formats, len(shape)), state.encoding)
        keep(kept, key, writer)
    return writer


def description(plan: Plan, formats: tuple[int, ...]) -> bytes:
    kept = plan.memo.descriptions
    message = kept.get(formats)
    return message if message is not None else keep(kept, formats, encode.row_description(plan.columns, formats))


def is_read(plan: Plan) -> bool:
    return plan.kind is Kind.READ and not plan.memo.writes


def runs_here(state: SessionState, plan: Plan) -> bool:
    """Whether the statement is a read that need not see what this session's unit has done.

    A transaction that reads one view has a snapshot, unless it is to have the writer from its first statement on.
    """
    if plan.catalog:
        return True
    if not is_read(plan) or state.in_unit:
        return False
    if plan.reads_nothing or not state.in_block or not reads_one_view(state):
        return True
    return state.status != IDLE and (read_only(state) or not state.overtaken or state.read_transaction is not None)


async def execute(state: SessionState, prepared: Prepared, parameters: tuple[Value, ...], telling: Telling) -> None:
    """Run a statement that is no utility.  Its result goes to the outbox now, or when the unit is sent."""
    state.queried = True
    if runs_here(state, prepared.plan):
        source = await open_read(state, prepared, parameters)
        if source is not None:
            await tell_rows(state, prepared.plan, source, telling)
            return
    await add_step(state, prepared, parameters, telling)


async def open_read(state: SessionState, prepared: Prepared, parameters: tuple[Value, ...]) -> RowSource | None:
    """The rows of a read outside of a unit; None when the engine says that it writes."""
    began = monotonic()
    while True:
        plan = prepared.plan
        values = arguments(state, prepared, parameters)
        try:
            if plan.catalog:
                return await state.worker.read_catalog(state, plan, values)
            if state.status != IDLE and (seen := await snapshot(state, plan)) is not None:
                return await read_snapshot(state, seen, plan, values)
            rows = None if state.aside else read_now(state, plan, plan.statements[0], values)
            if rows is not None:
                tell(state)
                return ListRows(rows)
            return await read(state, plan, plan.statements[0], values)
        except SchemaMoved as moved:
            await follow(state, prepared, moved.index, began)
        except ReadOnlyTransaction:
            if read_only(state):
                raise
            plan.memo.writes = True
            state.tried = None
            return None


async def tell_rows(state: SessionState, plan: Plan, source: RowSource, telling: Telling) -> None:
    """All rows of a source, chunk by chunk, at the client's speed."""
    outbox = state.outbox
    if telling.describe:
        outbox.write(description(plan, telling.formats))
    writer = row_writer(state, plan, telling.formats)
    count = 0
    try:
        while True:
            rows, more = await source.fetch(0)
            count += len(rows)
            for row in rows:
                outbox.write(writer(row))
                if outbox.bytes >= SEND_BYTES:
                    await state.flush()
            if not more:
                break
            await state.flush()
    finally:
        await source.aclose()
    outbox.write(encode.command_complete(tag_of(plan, count)))


def result_teller(state: SessionState, plan: Plan, telling: Telling) -> Callable[[Result], bytes]:
    """How a step's result is told: rows when it returns any, then its tag."""
    if not plan.returns_rows:
        return lambda result: encode.command_complete(tag_of(plan, result.rows_changed))
    writer = row_writer(state, plan, telling.formats)
    head = description(plan, telling.formats) if telling.describe else b""

    def tell(result: Result) -> bytes:
        count = len(result.rows)
        return b"".join((head, *map(writer, result.rows), encode.command_complete(tag_of(plan, count))))

    return tell


def tell_notices(state: SessionState, plan: Plan) -> None:
    if state.settings.values["client_min_messages"] in ("warning", "error"):
        return
    for notice in plan.notices:
        state.outbox.write(encode.notice_response(notice_fields(notice)))


async def add_step(
    state: SessionState,
    prepared: Prepared,
    parameters: tuple[Value, ...],
    telling: Telling,
    teller: Callable[[Result], bytes] | None = None,
) -> None:
    """Put a statement into the session's unit.  It is sent at once only when the unit is full."""
    prepared = await current(state, prepared)
    plan = prepared.plan
    if not is_read(plan):
        check_may_write(state, plan.tag)
    if plan.alone:
        check_alone(state, f"{plan.tag} CONCURRENTLY")
    tell_notices(state, plan)
    tell = teller or result_teller(state, plan, telling)
    reason = "" if state.aside else plan.reason or plan.kind.value
    step = Step(operations(state, prepared, parameters), tell, plan, reason, nowait=plan.nowait)

    async def rebuild() -> None:
        await replan(state, prepared)
        step.plan = prepared.plan
        step.operations = operations(state, prepared, parameters)

    step.rebuild = rebuild
    unit = state.unit
    unit.add(step, writes=True)
    state.outbox.expect(step)
    if plan.kind is Kind.DDL:
        state.schema_changed = True
    if unit.full:
        await flush_unit(state, HOLD)
        await state.flush()


def operations(state: SessionState, prepared: Prepared, parameters: tuple[Value, ...]) -> tuple[Operation, ...]:
    """What the primary must run for the statement.  The last one's result is the statement's."""
    *before, last = prepared.plan.statements
    return (*map(Run, before), Run(last, arguments(state, prepared, parameters)))


async def rows_now(
    state: SessionState, prepared: Prepared, parameters: tuple[Value, ...]
) -> tuple[list[Row], Sequence[ResultColumn]]:
    """The rows of a statement as a list, for what the session itself uses (EXPLAIN, a cursor's declaration)."""
    source = await rows_of(state, prepared, parameters)
    rows: list[Row] = []
    more = True
    try:
        while more:
            chunk, more = await source.fetch(0)
            rows += chunk
    finally:
        await source.aclose()
    return rows, prepared.plan.columns


async def rows_of(state: SessionState, prepared: Prepared, parameters: tuple[Value, ...]) -> RowSource:
    """A statement's rows as a source to fetch from, wherever it must run."""
    state.queried = True
    if runs_here(state, prepared.plan):
        source = await open_read(state, prepared, parameters)
        if source is not None:
            return source
    results: list[Result] = []

    def keep(result: Result) -> bytes:
        results.append(result)
        return b""

    await add_step(state, prepared, parameters, SIMPLE, keep)
    await flush_unit(state, HOLD)
    if state.status == IDLE and not state.in_unit:
        raise InvariantBroken("a held unit ended by itself")
    return ListRows(list(results[-1].rows))
