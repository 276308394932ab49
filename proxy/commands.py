"""Statements the session answers itself: settings, prepared statements, cursors, maintenance."""

from __future__ import annotations

from typing import Final

from lfsql.core.entry import Value
from lfsql.core.requests import HOLD, Result, Row, Run
from lfsql.errors import (
    DuplicateCursor,
    DuplicatePreparedStatement,
    FeatureNotSupported,
    LimitExceeded,
    NoActiveTransaction,
    ObjectNotInPrerequisiteState,
    ReadOnlyTransaction,
    StatementSyntax,
    UndefinedCursor,
)
from proxy.copying import copy_in, copy_out
from proxy.deciding import executed, prepared_statement
from proxy.execution import Telling, execute, result_teller, row_writer, rows_now, rows_of, tell_notices, tell_rows
from proxy.explaining import explain, explain_columns
from proxy.listening import notify, want
from proxy.pg import encode
from proxy.pg.oids import ELEMENTS, NAMES, TEXT
from proxy.planning import current, prepare
from proxy.receipt import COLUMNS as ROUTE_COLUMNS
from proxy.receipt import aside, last_route
from proxy.sql.plan import Kind, Plan, ResultColumn
from proxy.sql.utility import (
    CloseCursor,
    Commit,
    CopyIn,
    CopyOut,
    Deallocate,
    DeclareCursor,
    Discard,
    ExecutePrepared,
    Explain,
    FetchCursor,
    Listen,
    Maintenance,
    Notify,
    Prepare,
    ResetSetting,
    Rollback,
    SetSetting,
    ShowSetting,
    Unlisten,
    Utility,
)
from proxy.state import IDLE, SessionState
from proxy.statements import ListRows, Portal, ScrollRows, load
from proxy.transaction import close_all_portals, run_transaction_statement
from proxy.transaction_modes import MODES, check_alone, check_may_write, read_only, set_mode, warn
from proxy.unit import Step, told_nothing
from proxy.writing import flush_unit

SHOW_ALL: Final = (
    ResultColumn("name", TEXT),
    ResultColumn("setting", TEXT),
    ResultColumn("description", TEXT),
)


CHANGES_NOTHING: Final = frozenset(("COMMENT", "GRANT", "REVOKE", "CREATE", "ALTER", "DROP"))
"""First words of what PostgreSQL counts as writing, also where it has no effect here, or no work to do."""


async def run_utility(state: SessionState, plan: Plan, parameters: tuple[Value, ...], telling: Telling) -> None:
    """Carry out a utility statement and tell its result."""
    utility = plan.utility
    if utility is None:
        raise StatementSyntax("the statement is no command")
    if isinstance(utility, Maintenance) and utility.tag.partition(" ")[0] in CHANGES_NOTHING:
        check_may_write(state, utility.tag)
    tell_notices(state, plan)
    if state.status == IDLE and isinstance(utility, Commit | Rollback):
        tag: str | None = await _end_implicit_transaction(state, utility)
    else:
        tag = await run_transaction_statement(state, utility)
    if tag is None:
        tag = await _run(state, utility, parameters, telling)
    if tag is not None:
        state.outbox.write(encode.command_complete(tag))


async def _end_implicit_transaction(state: SessionState, utility: Commit | Rollback) -> str | None:
    """COMMIT or ROLLBACK outside of a block: it ends the implicit transaction of what came before it, if anything."""
    committed = isinstance(utility, Commit)
    if utility.chain:
        raise NoActiveTransaction(
            f"{'COMMIT' if committed else 'ROLLBACK'} AND CHAIN can only be used in transaction blocks"
        )
    tag = await run_transaction_statement(state, utility)
    state.end_settings(committed=committed)
    return tag


async def _run(state: SessionState, utility: Utility, parameters: tuple[Value, ...], telling: Telling) -> str | None:
    """The command tag, or None when it has been told already."""
    match utility:
        case SetSetting(name, value, local):
            if local and not state.in_block:
                # It holds all the same, until the implicit transaction ends.
                warn(state, "SET LOCAL can only be used in transaction blocks", NoActiveTransaction.sqlstate)
            if name in MODES:
                set_mode(state, name, value)
            else:
                state.tell(state.settings.set(name, value, local=local))
            return "SET"
        case ResetSetting("all"):
            state.tell(state.settings.reset_all())
            return "RESET"
        case ResetSetting(name):
            if name in MODES:
                set_mode(state, name, None)
            else:
                state.tell(state.settings.set(name, None))
            return "RESET"
        case ShowSetting("lfsql.last_index") if state.status == IDLE and state.in_unit:
            _tell_at_end(state, utility, telling)
        case ShowSetting(name):
            if name == "lfsql.last_route":
                await flush_unit(state, HOLD)  # the previous statement may not have run yet
            await _tell_list(state, "SHOW", show_columns(utility), _shown(state, utility), telling)
        case Discard(what):
            return await _discard(state, what)
        case Prepare():
            return await _prepare(state, utility)
        case ExecutePrepared():
            await _execute(state, utility, telling)
        case Deallocate(name):
            return _deallocate(state, name)
        case Explain():
            rows = await explain(state, utility, parameters)
            await _tell_list(state, "EXPLAIN", explain_columns(utility), rows, telling)
        case DeclareCursor():
            return await _declare(state, utility, parameters)
        case FetchCursor():
            await _fetch(state, utility, telling)
        case CloseCursor(name):
            return await _close(state, name)
        case Maintenance():
            return await _maintain(state, utility)
        case CopyIn():
            await copy_in(state, utility)
        case CopyOut():
            await copy_out(state, utility)
        case Listen() | Unlisten():
            want(state, utility)
            return "LISTEN" if isinstance(utility, Listen) else "UNLISTEN"
        case Notify():
            notify(state, utility)
            return "NOTIFY"
        case _:
            raise FeatureNotSupported(f"{type(utility).__name__} is not supported")
    return None


async def describe_utility(state: SessionState, utility: Utility) -> tuple[ResultColumn, ...]:
    """The columns a utility returns, () when none."""
    match utility:
        case ShowSetting():
            return show_columns(utility)
        case Explain():
            return explain_columns(utility)
        case ExecutePrepared(name):
            prepared = await current(state, prepared_statement(state, name))
            if prepared.plan.utility is not None:
                return await describe_utility(state, prepared.plan.utility)
            return prepared.plan.columns if prepared.plan.returns_rows else ()
        case FetchCursor(name, move=False):
            return _cursor(state, name).prepared.plan.columns
        case _:
            return ()


async def _tell_list(
    state: SessionState, tag: str, columns: tuple[ResultColumn, ...], rows: list[Row], telling: Telling
) -> None:
    """Rows the session has made itself."""
    plan = Plan(Kind.READ, tag, columns=columns, returns_rows=True)
    await tell_rows(state, plan, ListRows(rows), telling)


def _tell_at_end(state: SessionState, utility: ShowSetting, telling: Telling) -> None:
    """What is shown, as it is when the implicit transaction has ended: with the commit's index."""
    plan = Plan(Kind.READ, "SHOW", columns=show_columns(utility), returns_rows=True)
    teller = result_teller(state, plan, telling)
    state.outbox.expect(Step((), lambda _: teller(Result(tuple(_shown(state, utility))))))


# -- Settings ----------------------------------------------------------------------------------------------


def show_columns(utility: ShowSetting) -> tuple[ResultColumn, ...]:
    if utility.name == "lfsql.last_route":
        return ROUTE_COLUMNS
    return SHOW_ALL if utility.name == "all" else (ResultColumn(utility.name, TEXT),)


def _shown(state: SessionState, utility: ShowSetting) -> list[Row]:
    if utility.name == "all":
        return [(name, value, description) for name, value, description in state.settings.shown()]
    if utility.name == "lfsql.last_route":
        return [last_route(state).row]
    if utility.name == "lfsql.last_index":
        return [(str(state.seen),)]
    return [(state.settings.show(utility.name),)]


async def _discard(state: SessionState, what: str) -> str:
    if what == "all":
        check_alone(state, "DISCARD ALL")
        await close_all_portals(state)
        state.statements.clear()
        want(state, Unlisten(None))
        state.tell(state.settings.reset_all())
    return f"DISCARD {what.upper()}"


# -- Prepared statements -----------------------------------------------------------------------------------


async def _prepare(state: SessionState, utility: Prepare) -> str:
    if utility.name in state.statements:
        raise DuplicatePreparedStatement(f'prepared statement "{utility.name}" already exists')
    if len(state.statements) >= state.worker.limits.prepared_statements_max:
        raise LimitExceeded(
            f"a session may keep at most {state.worker.limits.prepared_statements_max} prepared statements"
        )
    prepared = await prepare(state, utility.text, utility.parameters, lift=False, from_sql=True)
    prepared.told = True
    if prepared.plan.utility is not None:
        raise StatementSyntax("PREPARE takes SELECT, INSERT, UPDATE, DELETE or VALUES")
    state.keep(prepared.bytes)
    state.statements[utility.name] = prepared
    return "PREPARE"


async def _execute(state: SessionState, utility: ExecutePrepared, telling: Telling) -> None:
    prepared = await executed(state, utility)
    oids = prepared.plan.parameters
    values: list[Value] = []
    for text, oid in zip(utility.arguments, oids, strict=True):
        name = NAMES[oid] if oid not in ELEMENTS else f"{NAMES[ELEMENTS[oid]]}[]"
        argument = await prepare(state, f"SELECT CAST(({text}) AS {name})", lift=True)
        with aside(state):
            rows, _ = await rows_now(state, argument, ())
        values.append(rows[0][0])
    await execute(state, prepared, tuple(values), telling)


def _deallocate(state: SessionState, name: str | None) -> str:
    if name is None:
        state.statements.clear()
        return "DEALLOCATE ALL"
    prepared_statement(state, name)
    del state.statements[name]
    return "DEALLOCATE"


# -- Cursors -----------------------------------------------------------------------------------------------


def _cursor(state: SessionState, name: str) -> Portal:
    portal = state.portals.get(name)
    if portal is None:
        raise UndefinedCursor(f'cursor "{name}" does not exist')
    return portal


async def declared(state: SessionState, utility: DeclareCursor, parameters: tuple[Value, ...]) -> Portal:
    """The cursor, before it is opened."""
    if not state.in_block and not utility.hold:
        raise NoActiveTransaction("DECLARE CURSOR can only be used in transaction blocks")
    if utility.name in state.portals:
        raise DuplicateCursor(f'cursor "{utility.name}" already exists')
    if len(state.portals) >= state.worker.limits.portals_max:
        raise LimitExceeded(f"a session may keep at most {state.worker.limits.portals_max} portals")
    prepared = await prepare(state, utility.text, lift=True)
    if not prepared.plan.returns_rows or prepared.plan.kind is not Kind.READ:
        raise StatementSyntax("DECLARE CURSOR takes a SELECT or VALUES")
    formats = (1,) if utility.binary else ()
    return Portal(utility.name, prepared, parameters, formats, cursor=True, hold=utility.hold)


async def _declare(state: SessionState, utility: DeclareCursor, parameters: tuple[Value, ...]) -> str:
    portal = await declared(state, utility, parameters)
    source = await rows_of(state, portal.prepared, parameters)
    portal.prepared.told = True
    portal.source = ScrollRows(await load(source, state.room_bytes)) if utility.scroll else source
    state.keep(portal.bytes)
    state.add_portal(portal)
    return "DECLARE CURSOR"


async def _fetch(state: SessionState, utility: FetchCursor, telling: Telling) -> None:
    portal = _cursor(state, utility.name)
    plan = portal.prepared.plan
    formats = portal.formats or telling.formats
    outbox = state.outbox
    writer = row_writer(state, plan, formats)
    if telling.describe and not utility.move:
        outbox.write(encode.row_description(plan.columns, formats))
    told = 0
    if isinstance(portal.source, ScrollRows):
        rows = portal.source.scroll(utility.direction, utility.count)
        told = len(rows)
        if not utility.move:
            for row in rows:
                outbox.write(writer(row))
    else:
        wanted = _forward_count(utility)
        more = wanted != 0
        while portal.source is not None and more and (wanted is None or told < wanted):
            rows, more = await portal.source.fetch(0 if wanted is None else wanted - told)
            told += len(rows)
            if not utility.move:
                for row in rows:
                    outbox.write(writer(row))
                await state.flush()
            if not more:
                await portal.source.aclose()
                portal.source = None
    outbox.write(encode.command_complete(f"{'MOVE' if utility.move else 'FETCH'} {told}"))


def _forward_count(utility: FetchCursor) -> int | None:
    """How many rows ahead, None for all.  Raises for every other direction: rows are not kept once told."""
    if utility.direction in ("forward", "relative") and (utility.count is None or utility.count >= 0):
        return utility.count
    raise ObjectNotInPrerequisiteState(
        "cursor can only scan forward", hint="Declare it with SCROLL option to enable backward scan."
    )


async def _close(state: SessionState, name: str | None) -> str:
    if name is None:
        for portal in [portal for portal in state.portals.values() if portal.cursor]:
            await _close_one(state, portal)
        return "CLOSE CURSOR ALL"
    await _close_one(state, _cursor(state, name))
    return "CLOSE CURSOR"


async def _close_one(state: SessionState, portal: Portal) -> None:
    del state.portals[portal.name]
    if portal.source is not None:
        await portal.source.aclose()


# -- Maintenance -------------------------------------------------------------------------------------------


async def _maintain(state: SessionState, utility: Maintenance) -> str:
    if utility.tag == "VACUUM":
        check_alone(state, utility.tag)
    if utility.tag == "LOCK TABLE":
        await _lock(state, utility)
    return utility.tag


def locks(state: SessionState, utility: Maintenance) -> bool:
    """Whether LOCK TABLE takes the writer.  Raises ReadOnlyTransaction, NoActiveTransaction."""
    row_exclusive = utility.mode == "row exclusive"
    if utility.takes_writer and not row_exclusive and state.settings.values["in_hot_standby"] == "on":
        raise ReadOnlyTransaction("cannot execute LOCK TABLE during recovery")
    if not state.in_block:
        raise NoActiveTransaction("LOCK TABLE can only be used in transaction blocks")
    return utility.takes_writer and not (row_exclusive and read_only(state))


async def _lock(state: SessionState, utility: Maintenance) -> None:
    """There is one writer: to hold it is to hold every table."""
    if not locks(state, utility):
        return
    step = Step((Run("SELECT 1"),), told_nothing, reason="lock table", nowait=utility.nowait)
    state.unit.add(step, writes=True)
    state.outbox.expect(step)
    await flush_unit(state, HOLD)
