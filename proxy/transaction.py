"""A session's transaction: PostgreSQL's block states over the unit on the primary.

A block costs the primary nothing until its first write: BEGIN, reads and savepoints before it are answered here.
Between BEGIN and the first write the savepoints that stand wait in `prelude` and travel with that write.

Outside of a block, everything up to a Sync, or one simple query's text, is an implicit transaction.  It has no state
of its own: a unit with work in it is one, and `end_implicit` commits it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from lfsql.core.requests import COMMIT, HOLD, ROLLBACK, ReleaseSavepoint, RollbackToSavepoint, SetSavepoint
from lfsql.errors import (
    ActiveTransaction,
    InFailedTransaction,
    LfsqlError,
    NoActiveTransaction,
    SerializationFailure,
    UndefinedSavepoint,
)
from proxy.constraints import set_constraints
from proxy.listening import finish, stage
from proxy.receipt import written_at
from proxy.sql.utility import (
    Begin,
    Commit,
    Rollback,
    Savepoint,
    SetConstraints,
    SetTransaction,
    Utility,
)
from proxy.sql.utility import (
    ReleaseSavepoint as Release,
)
from proxy.sql.utility import (
    RollbackToSavepoint as RollbackTo,
)
from proxy.state import FAILED, IDLE, IN_TRANSACTION, Saved, SessionState
from proxy.statements import ListRows, ScrollRows, load
from proxy.transaction_modes import modes_of, reads_one_view, set_modes, set_transaction, warn
from proxy.writing import flush_unit

if TYPE_CHECKING:
    from proxy.statements import Portal

LOG: Final = logging.getLogger("lfsql.proxy")

ALLOWED_WHEN_FAILED: Final = (Commit, Rollback, RollbackTo)

SAVEPOINTS_MAX: Final = 1_000


async def run_transaction_statement(state: SessionState, utility: Utility) -> str | None:
    """Carry out a transaction statement; the command tag, or None when `utility` is none."""
    match utility:
        case Begin():
            begin(state, utility)
            return utility.tag
        case Commit():
            return await commit(state, chain=utility.chain)
        case Rollback():
            return await rollback(state, chain=utility.chain)
        case Savepoint(name):
            savepoint(state, name)
            return "SAVEPOINT"
        case Release(name):
            release(state, name)
            return "RELEASE"
        case RollbackTo(name):
            await rollback_to(state, name)
            return "ROLLBACK"
        case SetTransaction():
            set_transaction(state, utility)
            return "SET"
        case SetConstraints():
            await set_constraints(state, utility)
            return "SET CONSTRAINTS"
        case _:
            return None


def begin(state: SessionState, modes: Begin) -> None:
    if state.status != IDLE:
        warn(state, "there is already a transaction in progress", ActiveTransaction.sqlstate)
        set_modes(state, modes)
        return
    state.settings.begin()
    set_modes(state, modes)
    state.status = IN_TRANSACTION


async def commit(state: SessionState, *, chain: bool = False) -> str:
    if state.status == IDLE:
        await hold_portals(state)
        await stage(state)
        if state.in_unit:
            await flush_unit(state, COMMIT)  # COMMIT in a text of several statements ends its implicit transaction
        await end_portals(state, committed=True)
        finish(state, committed=True)
        warn(state, "there is no transaction in progress", NoActiveTransaction.sqlstate)
        return "COMMIT"
    if state.status == FAILED:
        await rollback(state, chain=chain)
        return "ROLLBACK"
    modes = modes_of(state)
    try:
        await hold_portals(state)
        if await stage(state):
            # What it tells rests on nothing that it has read.
            await close_snapshot(state)
    except BaseException:
        await rollback(state)
        raise
    unit = state.unit
    if unit.steps and state.savepoints and not unit.held:
        # Should one of them fail, the savepoints must stand.
        await flush_unit(state, HOLD)
    try:
        await flush_unit(state, COMMIT)
    except LfsqlError:
        # A statement that had waited, and the block has failed; or a deferred constraint, or the cluster: it is over.
        if not unit.held and not unit.statement_failed:
            await over(state, committed=False)
        raise
    await over(state, committed=True)
    if chain:
        begin(state, modes)
    return "COMMIT"


async def rollback(state: SessionState, *, chain: bool = False) -> str:
    if state.status == IDLE:
        if state.in_unit:
            await flush_unit(state, ROLLBACK)
        await end_portals(state, committed=False)
        finish(state, committed=False)
        warn(state, "there is no transaction in progress", NoActiveTransaction.sqlstate)
        return "ROLLBACK"
    modes = modes_of(state)
    failed = state.status == FAILED
    held = state.unit.held
    try:
        if not failed or held:
            await flush_unit(state, ROLLBACK)
    finally:
        await over(state, committed=False)
    if held:
        written_at(state, state.unit.node.name, 0, "rollback")
    if chain:
        begin(state, modes)
    return "ROLLBACK"


async def over(state: SessionState, *, committed: bool) -> None:
    """The block has ended: portals and its snapshot die with it."""
    state.status = IDLE
    await end_portals(state, committed=committed)
    await close_snapshot(state)
    over_at_once(state, committed=committed)


def over_at_once(state: SessionState, *, committed: bool) -> None:
    """A block without portals and snapshot has ended: SET LOCALs are undone, the schema is everybody's again."""
    state.status = IDLE
    state.queried = False
    if committed and reads_one_view(state):
        state.overtaken = False
    _forget_unit(state)
    state.savepoints.clear()
    finish(state, committed=committed)
    state.tell(state.settings.end(committed=committed))


async def hold_portals(state: SessionState) -> None:
    """What cursors WITH HOLD have left to give is read before their transaction is committed, as in PostgreSQL: else
    they would take a reader, and hold on to what the database was, for as long as their client likes."""
    for portal in list(state.portals.values()):
        if portal.hold and not portal.kept and not isinstance(portal.source, ListRows | ScrollRows | None):
            source, portal.source = portal.source, None
            rows = ListRows(await load(source, state.room_bytes))
            state.keep(rows.bytes)
            portal.source = rows


async def end_portals(state: SessionState, *, committed: bool, since: int = 0) -> None:
    """A transaction has ended, or what it did since it made portal number `since`.  Its portals end with it, but
    for cursors WITH HOLD when it is committed; those of transactions before it stay."""
    if not state.portals:
        return
    for name, portal in list(state.portals.items()):
        if portal.kept or portal.number < since:
            continue
        if committed and portal.hold:
            portal.kept = True
        else:
            del state.portals[name]
            await stop_portal(portal)


async def close_all_portals(state: SessionState) -> None:
    while state.portals:
        _, portal = state.portals.popitem()
        await stop_portal(portal)


async def stop_portal(portal: Portal) -> None:
    """Give up what the portal reads from.  That it could not be closed in order concerns nobody who is here."""
    source, portal.source = portal.source, None
    portal.finished = True
    if source is not None:
        try:
            await source.aclose()
        except Exception as error:  # there is nothing that could be done about it, and more to be ended
            LOG.error("a portal could not be closed", exc_info=error)


async def close_snapshot(state: SessionState) -> None:
    transaction, state.read_transaction = state.read_transaction, None
    if transaction is not None:
        try:
            await transaction.aclose()
        except Exception as error:  # as above
            LOG.error("a snapshot could not be closed", exc_info=error)


def savepoint(state: SessionState, name: str) -> None:
    if state.status == IDLE:
        raise NoActiveTransaction("SAVEPOINT can only be used in transaction blocks")
    if len(state.savepoints) >= SAVEPOINTS_MAX:
        raise ActiveTransaction(f"a transaction may have at most {SAVEPOINTS_MAX} savepoints")
    wanted = len(state.listener.wanted) if state.listener is not None else 0
    mark, before_writes = state.settings.mark(), not state.in_unit
    saved = Saved(name, mark, state.next_portal, before_writes, wanted, state.constraints_immediate)
    state.savepoints.append(saved)
    if state.in_unit:
        state.add_operation(SetSavepoint(name))
    else:
        state.prelude.append(SetSavepoint(name))


def _find(state: SessionState, name: str, statement: str) -> int:
    if state.status == IDLE:
        raise NoActiveTransaction(f"{statement} can only be used in transaction blocks")
    for place in range(len(state.savepoints) - 1, -1, -1):
        if state.savepoints[place].name == name:
            return place
    raise UndefinedSavepoint(f'savepoint "{name}" does not exist')


def release(state: SessionState, name: str) -> None:
    place = _find(state, name, "RELEASE SAVEPOINT")
    del state.savepoints[place:]
    if state.in_unit:
        state.add_operation(ReleaseSavepoint(name))
    else:
        del state.prelude[place:]


async def rollback_to(state: SessionState, name: str) -> None:
    place = _find(state, name, "ROLLBACK TO SAVEPOINT")
    saved = state.savepoints[place]
    gone = state.status == FAILED and not state.unit.held
    if gone and not saved.before_writes:
        raise SerializationFailure(
            f'savepoint "{name}" is gone: the error before has undone the whole transaction',
            hint="Run the transaction again.",
        )
    del state.savepoints[place + 1 :]
    if gone:
        # Nothing was written before it: the transaction goes on as it was then.
        _forget_unit(state)
        state.prelude.extend(SetSavepoint(each.name) for each in state.savepoints)
    elif state.in_unit:
        state.add_operation(RollbackToSavepoint(name))
    else:
        del state.prelude[place + 1 :]
    if state.unit.held:
        await flush_unit(state, HOLD)
    state.constraints_immediate = saved.constraints_immediate
    await end_portals(state, committed=False, since=saved.portal)
    if state.listener is not None:
        del state.listener.wanted[saved.wanted :]
    if state.schema_changed or state.own_schema is not None:
        # What the transaction's schema is now, the primary knows.
        state.schema_changed = True
    state.tell(state.settings.back_to(saved.mark))
    if state.status == FAILED:
        state.status = IN_TRANSACTION


async def send_on(state: SessionState) -> None:
    """Statements that wait to be sent, or answers that wait behind them, have become many: no more gather."""
    if state.unit.full or state.outbox.crowded:
        await flush_unit(state, HOLD)


def check_not_failed(state: SessionState, utility: Utility | None) -> None:
    if state.status == FAILED and not isinstance(utility, ALLOWED_WHEN_FAILED):
        raise InFailedTransaction


async def fail(state: SessionState) -> LfsqlError | None:
    """A statement failed.  What waits unsent is told, where it succeeds, and undone with the rest.

    Gives the error of a statement that waited before the failed one, which is then the one to tell.
    """
    earlier: LfsqlError | None = None
    if state.status == IDLE:
        if state.in_unit:
            try:
                await flush_unit(state, ROLLBACK)
            except LfsqlError as error:
                earlier = error
        _forget_unit(state)
        finish(state, committed=False)
        await end_portals(state, committed=False)
        return earlier
    if state.unit.steps:
        try:
            await flush_unit(state, HOLD)
        except LfsqlError as error:
            earlier = error
    state.status = FAILED
    if not state.savepoints:
        # Nothing can bring this transaction back: let the next writer in, and others read.
        if state.unit.held:
            try:
                await flush_unit(state, ROLLBACK)
            except LfsqlError as error:
                earlier = earlier or error
            state.unit.clear()
        for portal in state.portals.values():
            if not portal.kept:
                await stop_portal(portal)
        await close_snapshot(state)
    return earlier


def _forget_unit(state: SessionState) -> None:
    """An implicit transaction is over."""
    state.constraints_immediate = False
    state.unit.clear()
    state.prelude.clear()
    state.own_schema = None
    state.schema_changed = False


async def end_implicit(state: SessionState) -> None:
    """A Sync, or the end of a simple query's text: commit what is not in a block.  The error's teller calls fail."""
    if state.status != IDLE:
        if state.unit.steps:
            await flush_unit(state, HOLD)
        return
    if state.portals:
        await hold_portals(state)
    if state.listener is not None:
        await stage(state)
    if state.in_unit:
        try:
            await flush_unit(state, COMMIT)
        except BaseException:
            state.unit.writes = False  # what is still held, `fail` rolls back
            raise
        _forget_unit(state)
    state.prelude.clear()
    if state.portals:
        await end_portals(state, committed=True)
    if state.listener is not None:
        finish(state, committed=True)
