"""The simple protocol: a text of any number of statements, one implicit transaction unless it says otherwise."""

from __future__ import annotations

from lfsql.errors import LfsqlError, UndefinedParameter
from proxy.commands import run_utility
from proxy.execution import SIMPLE, execute
from proxy.pg import encode
from proxy.planning import LONG_CHARACTERS, prepare, prepare_ahead, split_text
from proxy.sql.plan import Kind
from proxy.sql.planner import Dialect, Source
from proxy.state import FAILED, SessionState
from proxy.transaction import check_not_failed, end_implicit, send_on


async def statements(text: str, dialect: Dialect) -> list[Source]:
    """The statements of a text.  Most texts are one, with at most one semicolon, at the end."""
    stop = text.find(";")
    if len(text) <= LONG_CHARACTERS and (stop < 0 or stop == len(text) - 1):
        return [Source(text[:stop] if stop >= 0 else text, 0)]
    return await split_text(text, dialect)


async def simple_query(state: SessionState, text: str) -> None:
    """Run a text and tell everything but ReadyForQuery.  Raises the first statement's error; the rest is not run."""
    state.statements.pop("", None)
    portal = state.portals.pop("", None)
    if portal is not None and portal.source is not None:
        await portal.source.aclose()
    try:
        found = await statements(text, state.dialect)
        state.several = len(found) > 1
        told = await _run(state, found)
        state.start_clock()
        await end_implicit(state)
    except BaseException:
        state.end_settings(committed=False)
        raise
    finally:
        state.several = False
    state.end_settings(committed=True)
    if not told:
        state.outbox.write(encode.EMPTY_QUERY_RESPONSE)


async def _run(state: SessionState, found: list[Source]) -> bool:
    """Run the statements in order; whether there was any but empty ones."""
    told = False
    planned = await prepare_ahead(state, found) if len(found) > 1 else {}
    for place, statement in enumerate(found):
        state.start_clock()
        try:
            prepared = planned.pop(place, None)
            if prepared is None or state.schema_changed or state.own_schema is not None:
                prepared = await prepare(state, statement.text, lift=True)
        except LfsqlError as error:
            if error.position:
                error.position += statement.offset
            raise
        plan = prepared.plan
        if plan.kind is Kind.EMPTY:
            continue
        told = True
        if state.status == FAILED:
            check_not_failed(state, plan.utility)
        if plan.utility is not None:
            await run_utility(state, plan, (), SIMPLE)
        else:
            if plan.parameters:
                raise UndefinedParameter("there is no parameter $1")
            await execute(state, prepared, (), SIMPLE)
        await send_on(state)
        await state.pace()
    return told
