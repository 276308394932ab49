"""Requests that can be answered at once: point reads outside of transactions by plans that are there already, BEGIN.

This is the hot path: bytes, cached plan, SQLite, bytes.  It knows two shapes of request, Bind-Describe-Execute-Sync
of an unnamed portal and a Query of one statement, and does for them what `extended` and `simple` do, without portals,
outboxes and tasks.  Whatever is not exactly that, also an error, is left to them: nothing has been told by then, and
a read can be run again.
"""

from __future__ import annotations

from time import monotonic
from typing import Final

from lfsql.core.entry import Value
from lfsql.errors import InvariantBroken, LfsqlError
from proxy.execution import description, row_writer, tag_of
from proxy.pg import encode
from proxy.pg.messages import Bind, Describe, Execute, Query, SessionMessage, Sync
from proxy.planning import LONG_CHARACTERS, arguments, bind
from proxy.reading import SchemaMoved, read_now
from proxy.sql.plan import Kind, Plan
from proxy.sql.utility import Begin
from proxy.state import IDLE, IN_TRANSACTION, SessionState
from proxy.statements import Prepared
from proxy.transaction import begin
from proxy.unit import SEND_BYTES

ANSWER_S: Final = 0.002
"""So long one client's requests are answered in a row."""

_READY: Final = encode.READY[IDLE]


def answer(state: SessionState, messages: list[SessionMessage]) -> tuple[bytes, int]:
    """The answer to as many messages as can be answered at once, from the first on, and how many those are.

    No more than a turn's worth, in time and in bytes: others wait, and the client may not be reading.
    """
    pieces: list[bytes] = []
    done = 0
    count = len(messages)
    size = measured = 0
    deadline = 0.0
    while done < count:
        message = messages[done]
        if type(message) is Bind:
            taken = _bound(state, messages, done, message, pieces)
        elif type(message) is Query:
            taken = _queried(state, message, pieces)
        else:
            break
        if not taken:
            break
        done += taken
        if done < count:
            # A client that sends ahead is answered a turn's worth; the clock is not asked for a lone request.
            size += sum(map(len, pieces[measured:]))
            measured = len(pieces)
            now = monotonic()
            deadline = deadline or now + ANSWER_S
            if size >= SEND_BYTES or now > deadline:
                break
    return b"".join(pieces), done


def _usable(state: SessionState, plan: Plan) -> bool:
    state.refresh()
    return (
        plan.kind is Kind.READ
        and not plan.catalog
        and plan.returns_rows
        and not plan.session_calls
        and not plan.hints
        and plan.schema_index in (state.worker.schemas.wanted, -1)
        and not plan.memo.writes
        and state.status == IDLE
        and not state.unit.steps
        and not state.unit.held
        and state.plain
    )


def _may_begin(state: SessionState) -> bool:
    return state.status == IDLE and not state.in_unit and not state.unit.steps


def _begin(state: SessionState, plan: Plan, pieces: list[bytes]) -> None:
    if not isinstance(plan.utility, Begin):
        raise InvariantBroken("only BEGIN begins")
    begin(state, plan.utility)
    pieces.append(encode.command_complete(plan.tag))
    pieces.append(encode.READY[IN_TRANSACTION])


def is_described(messages: list[SessionMessage], at: int) -> bool | None:
    """Whether the request Bind [Describe] Execute Sync of an unnamed portal, whose Bind is at `at`, has the Describe;
    None when it is not such a request."""
    end = at + 1
    last = len(messages) - 1
    described = end <= last and type(messages[end]) is Describe
    if described:
        describe = messages[end]
        if not isinstance(describe, Describe) or describe.kind != "P" or describe.name:
            return None
        end += 1
    if end + 1 > last or type(messages[end + 1]) is not Sync:
        return None
    execute = messages[end]
    if not isinstance(execute, Execute) or execute.portal or execute.rows_max:
        return None
    return described


def _bound(state: SessionState, messages: list[SessionMessage], at: int, message: Bind, pieces: list[bytes]) -> int:
    """Bind [Describe] Execute Sync: how many messages, 0 when it is not exactly that."""
    prepared = state.statements.get(message.statement)
    if prepared is None or message.portal or state.portals:
        return 0
    plan = prepared.plan
    begins = isinstance(plan.utility, Begin)
    if not (_may_begin(state) if begins else _usable(state, plan)):
        return 0
    described = is_described(messages, at)
    if described is None:
        return 0
    if begins:
        pieces.append(encode.BIND_COMPLETE)
        if described:
            pieces.append(encode.NO_DATA)
        _begin(state, plan, pieces)
        return 4 if described else 3
    formats = message.result_formats
    if len(message.parameters) != len(plan.parameters) or len(formats) > 1:
        return 0
    try:
        parameters = bind(state, prepared, message.parameters, message.parameter_formats)
    except LfsqlError:
        return 0
    rows = _read(state, prepared, parameters)
    if rows is None:
        return 0
    prepared.told = True
    pieces.append(encode.BIND_COMPLETE)
    if described:
        pieces.append(description(plan, formats))
    try:
        encoded = list(map(row_writer(state, plan, formats), rows))
    except LfsqlError:
        del pieces[-2 if described else -1 :]
        return 0
    pieces += encoded
    pieces.append(encode.command_complete(tag_of(plan, len(rows))))
    pieces.append(_READY)
    return 4 if described else 3


def query_plan(state: SessionState, message: Query) -> Prepared | None:
    """The plan of a Query of one short statement, where that can be told at once.  Raises StatementError and kin."""
    text = message.sql
    if len(text) > LONG_CHARACTERS:
        return None
    stop = text.find(";")
    if stop >= 0:
        if stop != len(text) - 1:
            return None
        text = text[:stop]
    schemas = state.worker.schemas
    if schemas.current.index < schemas.wanted or state.own_schema is not None or state.portals:
        return None
    state.refresh()
    plan, literals = state.worker.plans.plan(text, schemas.current, dialect=state.dialect, settings=state.encoding)
    return None if plan.parameters or plan.typed_by_value else Prepared(text, (), plan, literals)


def _queried(state: SessionState, message: Query, pieces: list[bytes]) -> int:
    try:
        prepared = query_plan(state, message)
        if prepared is None:
            return 0
        plan = prepared.plan
        if isinstance(plan.utility, Begin) and _may_begin(state):
            state.statements.pop("", None)
            _begin(state, plan, pieces)
            return 1
        if not _usable(state, plan):
            return 0
        rows = _read(state, prepared, ())
        if rows is None:
            return 0
        encoded = list(map(row_writer(state, plan, ()), rows))
    except LfsqlError:
        return 0
    state.statements.pop("", None)
    pieces.append(description(plan, ()))
    pieces += encoded
    pieces.append(encode.command_complete(tag_of(plan, len(rows))))
    pieces.append(_READY)
    return 1


def _read(state: SessionState, prepared: Prepared, parameters: tuple[Value, ...]) -> list[tuple[Value, ...]] | None:
    try:
        return read_now(state, prepared.plan, prepared.plan.statements[0], arguments(state, prepared, parameters))
    except SchemaMoved as moved:
        state.worker.schemas.heard(moved.index)  # so that it is planned again before anything of it is told
        return None
    except LfsqlError:
        return None
