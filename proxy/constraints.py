"""SET CONSTRAINTS: when a transaction's deferred foreign keys are checked.

SQLite checks a deferred key when its counter of violations is not zero at COMMIT, and knows nothing in between.  The
primary looks at that counter after each statement where a transaction has said IMMEDIATE.  It counts all keys
together, so what would single one out is refused, as is deferring a key that was not declared to be: SQLite could
only defer all of them, those that are not deferrable too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lfsql.core.requests import HOLD
from lfsql.errors import FeatureNotSupported, NoActiveTransaction, UndefinedObject, WrongObjectType
from proxy.transaction_modes import warn
from proxy.unit import DEFERRED, IMMEDIATE, Step, told_nothing
from proxy.writing import flush_unit

if TYPE_CHECKING:
    from proxy.sql.schema import ForeignKey
    from proxy.sql.utility import SetConstraints
    from proxy.state import SessionState


async def set_constraints(state: SessionState, utility: SetConstraints) -> None:
    """Raises UndefinedObject, WrongObjectType, FeatureNotSupported; of IMMEDIATE, ForeignKeyViolation."""
    if not state.in_block:
        warn(state, "SET CONSTRAINTS can only be used in transaction blocks", NoActiveTransaction.sqlstate)
    schema = await state.worker.schemas.get(state)
    keys = [key for relation in schema.relations.values() for key in relation.foreign_keys]
    others = {check.name for relation in schema.relations.values() for check in relation.checks}
    others |= {index.name for relation in schema.relations.values() for index in relation.indexes}
    _check(utility, keys, others)
    if not state.in_block or not any(key.initially_deferred for key in _meant(utility, keys)):
        return
    state.constraints_immediate = not utility.deferred
    if state.in_unit:
        step = Step((DEFERRED if utility.deferred else IMMEDIATE,), told_nothing, reason="set constraints")
        state.unit.add(step, writes=False)
        state.outbox.expect(step)
        await flush_unit(state, HOLD)


def _meant(utility: SetConstraints, keys: list[ForeignKey]) -> list[ForeignKey]:
    return [key for key in keys if key.deferrable and (not utility.names or key.name in utility.names)]


def _check(utility: SetConstraints, keys: list[ForeignKey], others: set[str]) -> None:
    for name in utility.names:
        named = [key for key in keys if key.name == name]
        if not named and name not in others:
            raise UndefinedObject(f'constraint "{name}" does not exist')
        if utility.deferred and not any(key.deferrable for key in named):
            raise WrongObjectType(f'constraint "{name}" is not deferrable')
    meant = _meant(utility, keys)
    for key in meant:
        if utility.deferred and not key.initially_deferred:
            raise FeatureNotSupported(
                f'constraint "{key.name}" cannot be deferred by SET CONSTRAINTS',
                hint="Declare it DEFERRABLE INITIALLY DEFERRED.",
            )
    left = [key for key in keys if key.initially_deferred and key not in meant]
    if left and any(key.initially_deferred for key in meant):
        raise FeatureNotSupported(
            "SET CONSTRAINTS of some deferred constraints and not of others is not supported",
            hint="Use SET CONSTRAINTS ALL.",
        )
