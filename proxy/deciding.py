"""Where a statement goes, whatever the copies are like: by its plan, and by the transaction it is in.

EXPLAIN (ROUTE) tells this, and goes on to the copies where there is a choice; `lfsql route` tells it of a file's
statements, without a tier.  It is asked of the session by what execution goes by itself, so that neither tells of
another route than the one that is taken.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from lfsql.errors import StatementSyntax, UndefinedPreparedStatement
from proxy.execution import runs_here
from proxy.planning import current, prepare
from proxy.sql.destination import Destination, destination
from proxy.sql.plan import Kind, Plan
from proxy.sql.utility import (
    Commit,
    CopyIn,
    CopyOut,
    DeclareCursor,
    ExecutePrepared,
    Explain,
    Maintenance,
    Notify,
    Rollback,
)
from proxy.transaction_modes import check_may_write

if TYPE_CHECKING:
    from proxy.state import SessionState
    from proxy.statements import Prepared


async def deciding_plan(state: SessionState, plan: Plan) -> Plan:
    """The plan that decides where a statement goes: of one that wraps another, the other's."""
    match plan.utility:
        case DeclareCursor(text=text) | CopyOut(query=text):
            return (await prepare(state, text, lift=False)).plan
        case Explain(text=text, analyze=True):
            return await deciding_plan(state, (await prepare(state, text, lift=False)).plan)
        case Explain(text=text, route=False):
            return dataclasses.replace(
                (await prepare(state, text, lift=False)).plan, kind=Kind.READ, reason="explain"
            )
        case ExecutePrepared():
            return (await executed(state, plan.utility)).plan
        case _:
            return plan


def prepared_statement(state: SessionState, name: str) -> Prepared:
    """Raises UndefinedPreparedStatement."""
    prepared = state.statements.get(name)
    if prepared is None:
        raise UndefinedPreparedStatement(f'prepared statement "{name}" does not exist')
    return prepared


async def executed(state: SessionState, utility: ExecutePrepared) -> Prepared:
    """The statement that EXECUTE runs, given as many parameters as it has.  Raises UndefinedPreparedStatement,
    StatementSyntax."""
    prepared = await current(state, prepared_statement(state, utility.name))
    expected, given = len(prepared.plan.parameters), len(utility.arguments)
    if given != expected:
        raise StatementSyntax(
            f'wrong number of parameters for prepared statement "{utility.name}"',
            detail=f"Expected {expected} parameters but got {given}.",
        )
    return prepared


def decided(state: SessionState, plan: Plan) -> tuple[Destination, str]:
    """Where the statement goes, and why; COPY of a read that its session lets go to any.

    Raises ReadOnlyTransaction where it would.
    """
    where = destination(plan)
    if isinstance(plan.utility, Commit | Rollback) and state.in_unit:
        where = Destination.PRIMARY
    elif where is Destination.PRIMARY and not isinstance(plan.utility, Notify | Maintenance):
        check_may_write(state, "COPY FROM" if isinstance(plan.utility, CopyIn) else plan.tag)
    if where is Destination.PRIMARY:
        if plan.utility is not None:
            return where, "it needs the writer"
        return where, "it writes" if plan.kind is not Kind.READ else "the engine found that it writes"
    if where is Destination.SESSION:
        return where, "no node is asked"
    if where is Destination.PROXY:
        return where, "it reads the system catalogs alone"
    if not runs_here(state, plan):
        return Destination.PRIMARY, "it must see what its transaction has done"
    return where, "the transaction's snapshot is there" if state.read_transaction is not None else ""
