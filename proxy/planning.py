"""From a statement's text to something that can be executed: plan, lifted literals, bound parameters.

The plan cache answers nearly always.  A miss may have to wait for the schema.  Planning itself is a pure function and
runs on the event loop: a new shape is planned twice, with its literals and without, some milliseconds once, which is
less than a thread costs everybody else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import trio

from lfsql.core.entry import Value
from lfsql.core.ids import Index
from lfsql.core.requests import HOLD
from lfsql.errors import (
    CachedPlanChanged,
    FeatureNotSupported,
    IndeterminateType,
    InFailedTransaction,
    LimitExceeded,
    StatementError,
    UnreadableStatement,
)
from proxy.functions import call
from proxy.hints import check_hints
from proxy.passthrough import result_columns
from proxy.pg.oids import TEXT
from proxy.pg.types import parameters_decoder
from proxy.sql.ddl import ddl_tag
from proxy.sql.fingerprint import CHARACTERS_MAX
from proxy.sql.lexer import tokens
from proxy.sql.memo import Memo, keep
from proxy.sql.plan import ANY_SCHEMA, Kind, Plan
from proxy.sql.planner import Dialect, Source, split
from proxy.sql.planner import plan as plan_statement
from proxy.sql.utility import DeclareCursor, Explain
from proxy.state import FAILED, IDLE, SessionState
from proxy.statements import Prepared
from proxy.transaction_modes import check_may_write, read_only
from proxy.writing import check_patience, flush_unit

T = TypeVar("T")

LONG_CHARACTERS: Final = 64 * 1024
"""Longer texts are planned in a thread, and not kept in the cache."""
NOT_PLANNED: Final = (StatementError, FeatureNotSupported)
"""What a statement is at fault for, as its plan shows; not a cancel, nor a cluster that does not answer."""
TEXT_CHARACTERS_MAX: Final = 16 * 1024 * 1024


async def aside(work: Callable[[], T]) -> T:
    """Do what takes long for a long text in a thread, so that other clients are served meanwhile."""
    return await trio.to_thread.run_sync(work)


async def split_text(text: str, dialect: Dialect) -> list[Source]:
    """The statements of a text.  Raises LimitExceeded, StatementSyntax."""
    if len(text) <= LONG_CHARACTERS:
        return split(text, dialect)
    if len(text) > TEXT_CHARACTERS_MAX:
        raise LimitExceeded(
            f"a text of SQL may have at most {TEXT_CHARACTERS_MAX} characters",
            hint="Send values as parameters, or by COPY.",
        )
    return await aside(partial(split, text, dialect))


async def prepare(
    state: SessionState, text: str, oids: tuple[int, ...] = (), *, lift: bool, from_sql: bool = False
) -> Prepared:
    """One statement's text, planned.  `lift`: share the plan with texts that differ in literals only.

    Raises StatementError and its kin.
    """
    if state.schema_changed:
        await _own_schema(state)
    try:
        return await _plan(state, text, oids, lift=lift, from_sql=from_sql)
    except UnreadableStatement:
        raise
    except NOT_PLANNED as error:
        # What names mean is asked only of statements that may run at all.
        if state.status == FAILED:
            raise InFailedTransaction from error
        if read_only(state) and state.dialect == "postgresql" and (tag := ddl_tag(tokens(text))):
            check_may_write(state, tag)
        raise


async def prepare_ahead(state: SessionState, found: list[Source]) -> dict[int, Prepared]:
    """Look at all statements of a text before one of them runs.  What the text alone shows to be wrong with one keeps
    all from running, as in PostgreSQL; what depends on the schema is for later, as those before it may change that.

    Their plans are in the cache then.  Gives those of statements that are too long for it, by their place.  Raises
    UnreadableStatement.
    """
    long: dict[int, Prepared] = {}
    for place, statement in enumerate(found):
        if state.dialect != "postgresql" or "dialect" in statement.text.lower():
            break  # what follows one that sets lfsql.dialect is another language's
        try:
            prepared = await _plan(state, statement.text, (), lift=True, from_sql=False)
        except UnreadableStatement as error:
            if error.position:
                error.position += statement.offset
            raise
        except NOT_PLANNED:
            continue
        if len(statement.text) > CHARACTERS_MAX and prepared.plan.utility is None:
            long[place] = prepared
        await state.pace()
    return long


async def _plan(state: SessionState, text: str, oids: tuple[int, ...], *, lift: bool, from_sql: bool) -> Prepared:
    """As `prepare`, for the schema as far as the session knows it: nothing that waits is sent to learn more."""
    worker = state.worker
    state.refresh()
    schema = await worker.schemas.get(state)
    literals: tuple[Value, ...] = ()
    if len(text) > LONG_CHARACTERS:
        plan = await aside(partial(plan_statement, text, schema, dialect=state.dialect, parameter_oids=oids))
    else:
        plan, literals = worker.plans.plan(
            text, schema, dialect=state.dialect, parameter_oids=oids, lift=lift, settings=state.encoding
        )
    if plan.hints:
        check_hints(plan)
    if plan.typed_by_value:
        plan = await _described(state, plan)
    elif isinstance(plan.utility, DeclareCursor | Explain):
        # Its parameters are those of the statement inside.
        inner, _ = worker.plans.plan(
            plan.utility.text, schema, dialect=state.dialect, parameter_oids=oids, lift=False
        )
        plan = dataclasses.replace(plan, parameters=inner.parameters, memo=Memo())
    return Prepared(text, oids, plan, literals, from_sql, lift)


async def _described(state: SessionState, plan: Plan) -> Plan:
    """A plan of the sqlite dialect with the columns SQLite says it has.  Asked once a plan."""
    if plan.kind not in (Kind.READ, Kind.WRITE):
        return plan
    if plan.memo.described is not None:
        return plan.memo.described
    described = await state.worker.describe(state, plan)
    full = dataclasses.replace(
        plan,
        columns=result_columns(described.columns),
        returns_rows=bool(described.columns),
        parameters=(TEXT,) * described.parameters if len(plan.parameters) < described.parameters else plan.parameters,
        memo=Memo(),
    )
    if state.own_schema is None:
        plan.memo.described = full
    return full


async def _own_schema(state: SessionState) -> None:
    """The transaction has changed the schema: what waits is sent, and the primary asked how it looks now."""
    await flush_unit(state, HOLD)
    if state.unit.held:
        await state.worker.schemas.load_own(state)
    state.schema_changed = False


async def replan(state: SessionState, prepared: Prepared) -> Prepared:
    """Plan again, in place, for the schema that is in force.  Raises CachedPlanChanged as `_again` does."""
    fresh = await _again(state, prepared)
    prepared.plan = fresh.plan
    prepared.literals = fresh.literals
    return prepared


async def _again(state: SessionState, prepared: Prepared) -> Prepared:
    """The statement planned for the schema that is in force.

    Raises CachedPlanChanged when the result's shape changed under a client that has been told it, or the types of
    parameters, by which values may have been read already.
    """
    fresh = await _plan(state, prepared.text, prepared.oids, lift=prepared.lift, from_sql=prepared.from_sql)
    fresh.told = prepared.told
    old, new = prepared.plan, fresh.plan
    if prepared.told and [(c.name, c.oid) for c in old.columns] != [(c.name, c.oid) for c in new.columns]:
        raise CachedPlanChanged("cached plan must not change result type")
    if old.parameters != new.parameters:
        raise CachedPlanChanged("cached plan must not change parameter types")
    return fresh


async def current(state: SessionState, prepared: Prepared) -> Prepared:
    """The statement, planned for the schema that is in force.

    Inside a transaction that has changed the schema that is another Prepared, kept beside the one given: the
    transaction may be rolled back, and what it made of the statement is then nobody's.
    """
    if state.schema_changed:
        await _own_schema(state)
    index = prepared.plan.schema_index
    own = state.own_schema
    if own is None:
        prepared.inside = None
        if index not in (ANY_SCHEMA, state.worker.schemas.wanted):
            return await replan(state, prepared)
        return prepared
    if index in (ANY_SCHEMA, own.index):
        return prepared
    if prepared.inside is None or prepared.inside.plan.schema_index != own.index:
        prepared.inside = await _again(state, prepared)
    return prepared.inside


async def newest(state: SessionState, prepared: Prepared) -> Prepared:
    """As `current`, for a statement whose result is about to be described: the nodes that it may be read from are
    asked for their schema, as its columns must not change any more once they are told."""
    if not prepared.told and prepared.plan.kind is Kind.READ:
        state.worker.schemas.look()
    return await current(state, prepared)


async def follow(state: SessionState, prepared: Prepared, index: Index, began: float) -> None:
    """A read met the schema of `index`, for which it is not planned: plan it again.

    It goes on so for as long as it may take.  `began`: when it was to run, on the monotonic clock.  Raises
    QueryCanceled, SerializationFailure, and CachedPlanChanged as `replan`.
    """
    check_patience(state, began)
    await state.worker.schemas.refresh(state, index)
    await replan(state, prepared)


def bind(
    state: SessionState, prepared: Prepared, raw: tuple[bytes | None, ...], formats: tuple[int, ...]
) -> tuple[Value, ...]:
    """A Bind's bytes as SQLite values.  Raises DataError and its kin."""
    plan = prepared.plan
    kept = plan.memo.decoders
    state.refresh()
    key = (formats, state.encoding_key)
    decode = kept.get(key)
    if decode is None:
        decode = parameters_decoder(plan.parameters, formats, state.encoding)
        keep(kept, key, decode)
    return decode(raw)


def arguments(state: SessionState, prepared: Prepared, parameters: tuple[Value, ...]) -> tuple[Value, ...]:
    """Everything ?1 ... ?N of the plan's SQL stand for."""
    plan = prepared.plan
    if plan.mixed:
        check_joined(state)
    if not plan.session_calls:
        return parameters + prepared.literals if prepared.literals else parameters
    called = tuple(call(state, session_call, parameters) for session_call in plan.session_calls)
    return parameters + prepared.literals + called


def check_joined(state: SessionState) -> None:
    """Whether catalogs may be joined with tables now: the catalogs' side has no part in a transaction's view."""
    if state.in_unit:
        raise FeatureNotSupported(
            "the system catalogs cannot be joined with tables after a write of the same transaction",
            hint="Read the catalogs in a statement of their own.",
        )
    values = state.settings.values
    one_view = values["transaction_isolation"] not in ("read committed", "read uncommitted")
    if state.status != IDLE and (one_view or values["transaction_read_only"] == "on"):
        raise FeatureNotSupported(
            "the system catalogs cannot be joined with tables in a transaction that reads one snapshot",
            hint="Read the catalogs in a statement of their own, or use READ COMMITTED, READ WRITE.",
        )


PARAMETERS_MAX: Final = 65_535


def check_parameters(plan: Plan) -> None:
    """What a ParameterDescription can say."""
    if len(plan.parameters) > PARAMETERS_MAX:
        raise LimitExceeded(f"a statement may have at most {PARAMETERS_MAX} parameters")
    for number, oid in enumerate(plan.parameters, 1):
        if oid == 0:
            raise IndeterminateType(f"could not determine data type of parameter ${number}")
