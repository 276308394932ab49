"""Statements of a transaction that holds the writer, without a task in between.

While one client's transaction holds the writer, all others wait for it, so what counts is the time from its client's
question to its answer.  As with point reads (`proxy.express`), most of that would go into tasks that wake each other:
the session's, the link's writer, the link's reader, the session's again.  So a request of the plain kind, one
statement or the end of the transaction, goes to the primary in the very call that read it from the client's socket,
and its answer to the client in the call that read it from the link.

Only success is told that way.  Whatever else comes back is given to the session's task, by `conclude`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from lfsql.core.requests import ABORTED, COMMIT, COMMITTED, HOLD, OPEN, ROLLBACK, Answer, Cancel, Outcome, Submit
from lfsql.errors import InvariantBroken, LfsqlError, StalePlan
from proxy.execution import description, is_read, operations, primary_name, row_writer, tag_of
from proxy.express import is_described, query_plan
from proxy.functions import CHANGES_SESSION
from proxy.pg import encode
from proxy.pg.messages import Bind, Query, SessionMessage
from proxy.planning import bind
from proxy.sql.plan import Kind, Plan
from proxy.sql.utility import Commit, Rollback
from proxy.state import IDLE, IN_TRANSACTION, SessionState
from proxy.transaction import over, over_at_once
from proxy.writing import after_loss, error_of, is_elsewhere, settle

if TYPE_CHECKING:
    from lfsql.core.entry import Value
    from lfsql.core.requests import Operation
    from lfsql.net.link import Link
    from proxy.statements import Prepared
    from proxy.topology import Node

LOG: Final = logging.getLogger("lfsql.proxy")

_ENDED: Final = {COMMIT: COMMITTED, ROLLBACK: ABORTED, HOLD: OPEN}
_TAGS: Final = {COMMIT: "COMMIT", ROLLBACK: "ROLLBACK"}


class Asked:
    """A request whose answer the primary owes.  `heard` is called once, with what to send to the client, or with
    None when the session's task must `conclude`."""

    def __init__(
        self,
        state: SessionState,
        messages: list[SessionMessage],
        plan: Plan,
        formats: tuple[int, ...],
        head: bytes,
        heard: Callable[[bytes | None], None],
    ) -> None:
        self._state = state
        self.messages = messages
        """The request, for when it must be handled anew."""
        self._plan = plan
        self._formats = formats
        self._head = head
        """What stands before the statement's result."""
        self._heard = heard
        self._first = not state.unit.held
        self._answer: Answer | None = None
        self._settled = False
        self._node: Node
        self._link: Link
        self._question: Submit

    def send(self, node: Node, link: Link, work: tuple[Operation, ...], end: int) -> None:
        """Raises LinkLost and kin; nothing was asked then."""
        state = self._state
        unit = state.unit
        plan = self._plan
        if self._first:
            state.sequence += 1
            unit.sequence = state.sequence
        self._node, self._link = node, link
        self._question = Submit(
            request=link.next_request(),
            client=state.client,
            sequence=unit.sequence,
            operations=work,
            end=end,
            schema_index=plan.schema_index,
            idle_ms_max=state.idle_ms_max,
            local=state.local,
        )
        link.ask(self._question, self._take)
        state.worker.topology.writers(node).add(self)
        state.cancel = self._stop

    def _stop(self) -> None:
        """The client cancels the statement; its answer comes all the same."""
        self._link.tell(Cancel(self._question.request))

    def cancel(self) -> None:
        """The node is given up."""
        self._link.withdraw(self._question.request)
        self._take(None)

    def drop(self) -> None:
        """The session ends: nobody waits for the answer, and what it would open must not stay open."""
        self._link.withdraw(self._question.request)
        self._state.worker.topology.writers(self._node).discard(self)
        unit = self._state.unit
        unit.held, unit.node, unit.link = True, self._node, self._link

    def _take(self, answer: Answer | None) -> None:
        state, question = self._state, self._question
        state.worker.topology.writers(self._node).discard(self)
        state.cancel = None
        self._answer = answer
        told: bytes | None = None
        if (
            isinstance(answer, Outcome)
            and answer.fault is None
            and answer.state == _ENDED[question.end]
            and len(answer.results) == len(question.operations)
        ):
            try:
                told = self._settle(answer)
            except LfsqlError:  # a value that cannot be shown: `conclude` meets it again, and tells
                told = None
            except Exception as error:  # the same of a fault of ours; here it would end the task that reads the link
                LOG.error("an answer could not be told", exc_info=error)
                told = None
        self._heard(told)

    def _settle(self, outcome: Outcome) -> bytes:
        """The unit is what `outcome` says; the bytes of its success."""
        state, plan = self._state, self._plan
        end = self._question.end
        if not self._settled:
            self._settled = True
            settle(state, self._node, self._link, outcome)
            state.unit.writes = state.unit.held
            state.worker.schemas.heard(outcome.schema_index)
            if end != HOLD:
                over_at_once(state, committed=outcome.state == COMMITTED)
        if end != HOLD:
            return self._head + state.outbox.take() + encode.command_complete(_TAGS[end]) + encode.READY[IDLE]
        state.last_route = (primary_name(state), "primary", 0, plan.reason or plan.kind.value)
        result = outcome.results[-1]
        if not plan.returns_rows:
            tag = encode.command_complete(tag_of(plan, result.rows_changed))
            return self._head + tag + encode.READY[IN_TRANSACTION]
        rows = map(row_writer(state, plan, self._formats), result.rows)
        tag = encode.command_complete(tag_of(plan, len(result.rows)))
        return b"".join((self._head, *rows, tag, encode.READY[IN_TRANSACTION]))

    async def conclude(self) -> bytes | None:
        """What `heard` was not given, without the ReadyForQuery; None when the request must be handled anew.

        Raises the statement's error.
        """
        state, question, outcome = self._state, self._question, self._answer
        lost = not isinstance(outcome, Outcome) or is_elsewhere(outcome)
        if self._first and (lost or _is_stale(outcome)):
            return None  # nothing has been told of this transaction, and nothing is held
        state.outbox.write(self._head)
        if lost:
            committed = False
            try:
                committed = (await after_loss(state, question.end)).state == COMMITTED
            finally:
                if question.end != HOLD:
                    await over(state, committed=committed)
            return encode.command_complete(_TAGS[question.end])
        if not isinstance(outcome, Outcome):
            raise InvariantBroken("an answer that is lost and is not")
        if outcome.fault is None:
            self._settle(outcome)
            raise InvariantBroken(f"a unit in state {outcome.state} after {question.end} was asked for")
        settle(state, self._node, self._link, outcome)
        state.unit.writes = state.unit.held
        state.worker.schemas.heard(outcome.schema_index)
        if question.end != HOLD:
            await over(state, committed=False)
        raise error_of(outcome.fault)


def _is_stale(outcome: Answer | None) -> bool:
    fault = outcome.fault if isinstance(outcome, Outcome) else None
    return fault is not None and fault.sqlstate == StalePlan.sqlstate


def ask(state: SessionState, messages: list[SessionMessage], heard: Callable[[bytes | None], None]) -> Asked | None:
    """Send the one request that `messages` are to the primary; None when they are not of the plain kind, or it cannot
    be done at once: nothing has happened then."""
    unit = state.unit
    if (
        state.status != IN_TRANSACTION
        or unit.steps
        or state.prelude
        or not _no_portals(state)
        or state.schema_changed
        or state.own_schema is not None
        or state.read_transaction is not None
        or state.statement_ms_max
        or state.lock_ms_max
        or state.settings.values["transaction_read_only"] != "off"
    ):
        return None
    node = unit.node if unit.held else state.worker.topology.primary
    link = unit.link if unit.held else (node.link if node is not None else None)
    if node is None or link is None or link.lost or link is not node.link:
        return None
    try:
        asked, work, end = _request(state, messages, heard)
        if asked is None:
            return None
        asked.send(node, link, work, end)
        state.portals.clear()
    except LfsqlError:
        return None  # the task meets it again, and tells
    return asked


_Request = tuple[Asked | None, "tuple[Operation, ...]", int]
_NONE: Final[_Request] = (None, (), HOLD)


def _request(state: SessionState, messages: list[SessionMessage], heard: Callable[[bytes | None], None]) -> _Request:
    message = messages[0]
    parameters: tuple[Value, ...] = ()
    formats: tuple[int, ...] = ()
    prepared: Prepared | None
    if type(message) is Bind:
        described = is_described(messages, 0)
        prepared = state.statements.get(message.statement)
        formats = message.result_formats
        if described is None or prepared is None or message.portal or len(messages) != (4 if described else 3):
            return _NONE
        plan = prepared.plan
        if not _is_plain(state, plan) or len(message.parameters) != len(plan.parameters) or len(formats) > 1:
            return _NONE
        parameters = bind(state, prepared, message.parameters, message.parameter_formats)
        prepared.told = True
        head = encode.BIND_COMPLETE
        if described:
            head += description(plan, formats) if plan.returns_rows else encode.NO_DATA
    elif type(message) is Query and len(messages) == 1:
        prepared = query_plan(state, message)
        if prepared is None or not _is_plain(state, prepared.plan):
            return _NONE
        plan = prepared.plan
        state.statements.pop("", None)
        head = description(plan, ()) if plan.returns_rows else b""
    else:
        return _NONE
    asked = Asked(state, messages, plan, formats, head, heard)
    utility = plan.utility
    if utility is not None:
        return asked, (), COMMIT if isinstance(utility, Commit) else ROLLBACK
    if plan.returns_rows:
        row_writer(state, plan, formats)  # formats that do not exist must be found before anything runs
    return asked, operations(state, prepared, parameters), HOLD


def _no_portals(state: SessionState) -> bool:
    """None but the unnamed one, which the next Bind replaces."""
    portals = state.portals
    return not portals or (len(portals) == 1 and "" in portals and portals[""].source is None)


def _is_plain(state: SessionState, plan: Plan) -> bool:
    utility = plan.utility
    if utility is not None:
        return isinstance(utility, Commit | Rollback) and not utility.chain and state.unit.held
    return (
        plan.kind in (Kind.READ, Kind.WRITE)
        and (state.unit.held or not is_read(plan))
        and not plan.catalog
        and not (plan.session_calls and any(call.name in CHANGES_SESSION for call in plan.session_calls))
        and not plan.notices
        and not plan.hints
        and plan.schema_index in (state.worker.schemas.wanted, -1)
    )
