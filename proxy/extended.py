"""The extended protocol: Parse, Bind, Describe, Execute, Close, Flush, Sync."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from lfsql.core.requests import HOLD, ROLLBACK
from lfsql.errors import (
    DuplicateCursor,
    DuplicatePreparedStatement,
    LimitExceeded,
    ObjectNotInPrerequisiteState,
    ProtocolViolation,
    StatementSyntax,
    UndefinedCursor,
    UndefinedPreparedStatement,
)
from proxy.commands import describe_utility, run_utility
from proxy.execution import (
    Telling,
    description,
    execute,
    row_writer,
    rows_of,
    tag_of,
)
from proxy.pg import encode
from proxy.pg.messages import (
    Bind,
    Close,
    CopyData,
    CopyDone,
    CopyFail,
    Describe,
    Execute,
    Flush,
    Malformed,
    Parse,
    SessionMessage,
)
from proxy.planning import bind, check_parameters, current, newest, prepare, split_text
from proxy.sql.plan import Kind
from proxy.sql.utility import Commit, Rollback
from proxy.state import FAILED, IDLE, SessionState
from proxy.statements import ListRows, Portal, Prepared
from proxy.transaction import check_not_failed, end_implicit
from proxy.writing import flush_unit

BINARY: Final = (0, 1)


async def parse(state: SessionState, message: Parse) -> None:
    name = message.statement
    if name and name in state.statements:
        raise DuplicatePreparedStatement(f'prepared statement "{name}" already exists')
    if name and len(state.statements) >= state.worker.limits.prepared_statements_max:
        raise LimitExceeded(
            f"a session may keep at most {state.worker.limits.prepared_statements_max} prepared statements"
        )
    if not name:
        state.statements.pop("", None)
    text = message.sql
    if ";" in text and len(await split_text(text, state.dialect)) > 1:
        raise StatementSyntax("cannot insert multiple commands into a prepared statement")
    # A statement parsed once is bound often: its literals stay in it, where SQLite can plan by them.
    prepared = await prepare(state, text, message.parameter_oids, lift=False)
    check_not_failed(state, prepared.plan.utility if prepared.plan.kind is not Kind.EMPTY else None)
    check_parameters(prepared.plan)
    state.keep(prepared.bytes)
    state.statements[name] = prepared
    state.outbox.write(encode.PARSE_COMPLETE)


def find_statement(state: SessionState, name: str) -> Prepared:
    prepared = state.statements.get(name)
    if prepared is None:
        if name:
            raise UndefinedPreparedStatement(f'prepared statement "{name}" does not exist')
        raise UndefinedPreparedStatement("unnamed prepared statement does not exist")
    return prepared


def find_portal(state: SessionState, name: str) -> Portal:
    portal = state.portals.get(name)
    if portal is None:
        raise UndefinedCursor(f'portal "{name}" does not exist')
    return portal


async def bind_portal(state: SessionState, message: Bind) -> None:
    prepared = find_statement(state, message.statement)
    name = message.portal
    old = state.portals.get(name)
    if old is not None:
        if name:
            raise DuplicateCursor(f'cursor "{name}" already exists')
        del state.portals[name]
        if old.source is not None:
            await old.source.aclose()
    elif name and len(state.portals) >= state.worker.limits.portals_max:
        raise LimitExceeded(f"a session may keep at most {state.worker.limits.portals_max} portals")
    prepared = await current(state, prepared)
    plan = prepared.plan
    if state.status == FAILED:
        check_not_failed(state, plan.utility)
    raw = message.parameters
    formats = message.parameter_formats
    if len(raw) != len(plan.parameters):
        raise ProtocolViolation(
            f"bind message supplies {len(raw)} parameters, "
            f'but prepared statement "{message.statement}" requires {len(plan.parameters)}'
        )
    if len(formats) > 1 and len(formats) != len(raw):
        raise ProtocolViolation(f"bind message has {len(formats)} parameter formats but {len(raw)} parameters")
    _check_formats(formats)
    results = message.result_formats
    if len(results) > 1 and len(results) != len(plan.columns):
        raise ProtocolViolation(
            f"bind message has {len(results)} result formats but query has {len(plan.columns)} columns"
        )
    _check_formats(results)
    parameters = bind(state, prepared, raw, formats) if raw else ()
    portal = Portal(name, prepared, parameters, results)
    state.keep(portal.bytes)
    state.add_portal(portal)
    state.outbox.write(encode.BIND_COMPLETE)


def _check_formats(formats: tuple[int, ...]) -> None:
    for code in formats:
        if code not in BINARY:
            raise ProtocolViolation(f"unsupported format code: {code}")


async def describe(state: SessionState, message: Describe) -> None:
    outbox = state.outbox
    if message.kind == "S":
        prepared = await newest(state, find_statement(state, message.name))
        plan = prepared.plan
        outbox.write(encode.parameter_description(plan.parameters))
        formats: tuple[int, ...] = ()
    else:
        portal = find_portal(state, message.name)
        prepared = portal.prepared if portal.prepared.told else await newest(state, portal.prepared)
        plan = prepared.plan
        formats = portal.formats
    if state.status == FAILED:
        check_not_failed(state, plan.utility)
    prepared.told = True
    if plan.utility is not None:
        columns = await describe_utility(state, plan.utility)
        outbox.write(encode.row_description(columns, formats) if columns else encode.NO_DATA)
    elif plan.returns_rows:
        outbox.write(description(plan, formats))
    else:
        outbox.write(encode.NO_DATA)


async def execute_portal(state: SessionState, message: Execute) -> None:
    portal = find_portal(state, message.portal)
    await _run_portal(state, portal, message)
    state.pipelining = not isinstance(portal.prepared.plan.utility, Commit | Rollback)


async def _run_portal(state: SessionState, portal: Portal, message: Execute) -> None:
    prepared = portal.prepared
    plan = prepared.plan
    if state.status == FAILED:
        check_not_failed(state, plan.utility)
    if plan.kind is Kind.EMPTY:
        state.outbox.write(encode.EMPTY_QUERY_RESPONSE)
        return
    if plan.utility is not None:
        if portal.finished:
            raise ObjectNotInPrerequisiteState(f'portal "{portal.name}" cannot be run')
        portal.finished = True
        await run_utility(state, plan, portal.parameters, Telling(formats=portal.formats))
        return
    if portal.source is None and not portal.finished and not (message.rows_max and plan.returns_rows):
        portal.finished = True
        await execute(state, prepared, portal.parameters, Telling(formats=portal.formats))
        prepared.told = True
        return
    if portal.finished and not plan.returns_rows:
        raise ObjectNotInPrerequisiteState(f'portal "{portal.name}" cannot be run')
    await fetch_portal(state, portal, message.rows_max)


async def fetch_portal(state: SessionState, portal: Portal, rows_max: int) -> None:
    """The next rows of a portal, with PortalSuspended when there may be more."""
    outbox = state.outbox
    plan = portal.prepared.plan
    if portal.source is None and not portal.finished:
        source = await rows_of(state, portal.prepared, portal.parameters)
        if isinstance(source, ListRows):
            state.keep(source.bytes)
        portal.source = source
        portal.prepared.told = True
    writer = row_writer(state, plan, portal.formats)
    told = 0
    more = True
    while portal.source is not None and more and (rows_max == 0 or told < rows_max):
        rows, more = await portal.source.fetch(rows_max - told if rows_max else 0)
        for row in rows:
            outbox.write(writer(row))
        told += len(rows)
        await state.flush()
        if not more:
            await portal.source.aclose()
            portal.source = None
            portal.finished = True
    # PostgreSQL stops at the limit without looking whether it was the last row.
    if rows_max and told == rows_max:
        outbox.write(encode.PORTAL_SUSPENDED)
    else:
        outbox.write(encode.command_complete(tag_of(plan, told)))


async def close(state: SessionState, message: Close) -> None:
    """Closing what does not exist is no error."""
    if message.kind == "S":
        state.statements.pop(message.name, None)
    else:
        portal = state.portals.pop(message.name, None)
        if portal is not None and portal.source is not None:
            await portal.source.aclose()
    state.outbox.write(encode.CLOSE_COMPLETE)


async def flush(state: SessionState) -> None:
    """The client wants to see what there is: writes that wait are sent, their transaction stays open."""
    if state.unit.steps:
        await flush_unit(state, HOLD)
    await state.flush()


async def sync(state: SessionState) -> None:
    try:
        await end_implicit(state)
    except BaseException:
        state.end_settings(committed=False)
        raise
    state.end_settings(committed=True)


async def abandon_implicit(state: SessionState) -> None:
    """A Sync after an error: what the pipeline did outside of a block is undone."""
    if state.status == IDLE and state.unit.held:
        await flush_unit(state, ROLLBACK)
    if state.status == IDLE:
        state.unit.clear()
    state.end_settings(committed=False)


async def _ignore(_state: SessionState, _message: SessionMessage) -> None:
    """CopyData, CopyDone and CopyFail after a failed COPY: the client had sent them before it heard."""


async def _flush_message(state: SessionState, _message: SessionMessage) -> None:
    await flush(state)


async def _malformed(_state: SessionState, message: Malformed) -> None:
    raise message.error


HANDLERS: Final[dict[type, Callable[[SessionState, Any], Awaitable[None]]]] = {
    Parse: parse,
    Bind: bind_portal,
    Describe: describe,
    Execute: execute_portal,
    Close: close,
    Flush: _flush_message,
    CopyData: _ignore,
    CopyDone: _ignore,
    CopyFail: _ignore,
    Malformed: _malformed,
}
"""Each handler takes the message it stands beside."""
