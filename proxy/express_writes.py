"""Writes without a task in between: one statement outside of a block, or inside of one, or the block's end.

While one client's transaction holds the writer, all others wait for it, so what counts is the time from its client's
question to its answer.  And what a lone insert costs the proxy limits how many there can be.  As with point reads
(`proxy.express`), most of both would go into tasks that wake each other: the session's, the link's writer, the link's
reader, the session's again.  So a request of the plain kind goes to the primary in the very call that read it from
the client's socket, and its answer to the client in the call that read it from the link.

Only success is told that way.  Whatever else comes back is given to the session's task, by `conclude`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from lfsql.core.requests import ABORTED, COMMIT, COMMITTED, HOLD, OPEN, ROLLBACK, Answer, Cancel, Outcome, Submit
from lfsql.errors import InvariantBroken, LfsqlError, StalePlan
from proxy.execution import description, is_read, operations, row_writer, tag_of
from proxy.express import is_described, query_plan
from proxy.functions import CHANGES_SESSION
from proxy.pg import encode
from proxy.pg.messages import Bind, Query, SessionMessage
from proxy.planning import bind
from proxy.receipt import refused_at, written_at
from proxy.sql.plan import Kind, Plan
from proxy.sql.utility import Commit, Rollback
from proxy.state import IDLE, IN_TRANSACTION, SessionState
from proxy.transaction import over, over_at_once
from proxy.transaction_modes import read_only
from proxy.writing import after_loss, error_of, is_elsewhere, settle, submit

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
        self._link: Link | None
        self._question: Submit

    def send(self, node: Node, link: Link, work: tuple[Operation, ...], end: int) -> None:
        """Raises LinkLost and kin; nothing was asked then."""
        state = self._state
        unit = state.unit
        plan = self._plan
        if self._first:
            state.sequence += 1
            unit.sequence = state.sequence
        state.earlier_receipt = state.receipt
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
            lock_ms_max=state.lock_ms_max,
            nowait=plan.nowait,
        )
        link.ask(self._question, self._take)
        state.cancel = self._stop

    def _stop(self) -> None:
        """The client cancels the statement; its answer comes all the same."""
        if self._link is not None:
            self._link.tell(Cancel(self._question.request))

    def drop(self) -> None:
        """The session ends: nobody waits for the answer, and what it would open must not stay open."""
        if self._link is not None:
            self._link.withdraw(self._question.request)
        if self._question.end == HOLD or not self._first:
            unit = self._state.unit
            unit.held, unit.node, unit.link = True, self._node, self._link

    def _take(self, answer: Answer | None) -> None:
        state, question = self._state, self._question
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
                told = self._settle(answer) + encode.READY[state.status]
            except LfsqlError:  # a value that cannot be shown: `conclude` meets it again, and tells
                told = None
            except Exception as error:  # the same of a fault of ours; here it would end the task that reads the link
                LOG.error("an answer could not be told", exc_info=error)
                told = None
        self._heard(told)

    def _settle(self, outcome: Outcome) -> bytes:
        """The unit is what `outcome` says; the bytes of its success, without the ReadyForQuery."""
        state, plan = self._state, self._plan
        end = self._question.end
        if not self._settled:
            self._settled = True
            settle(state, self._node, self._link, outcome)
            state.unit.writes = state.unit.held
            state.worker.schemas.heard(outcome.schema_index)
            if end != HOLD:
                over_at_once(state, committed=outcome.state == COMMITTED)
            index = outcome.index if outcome.state == COMMITTED else 0
            written_at(state, self._node.name, index, self._reason)
        if plan.utility is not None:
            return self._head + state.outbox.take() + encode.command_complete(_TAGS[end])
        result = outcome.results[-1]
        if not plan.returns_rows:
            return self._head + encode.command_complete(tag_of(plan, result.rows_changed))
        rows = map(row_writer(state, plan, self._formats), result.rows)
        return b"".join((self._head, *rows, encode.command_complete(tag_of(plan, len(result.rows)))))

    @property
    def _reason(self) -> str:
        """Of its receipt."""
        plan = self._plan
        return _TAGS[self._question.end].lower() if plan.utility is not None else plan.reason or plan.kind.value

    async def conclude(self) -> bytes | None:
        """What `heard` was not given, without the ReadyForQuery; None when the request must be handled anew.

        Raises the statement's error, with what stands before it in the outbox.
        """
        try:
            return await self._concluded()
        except LfsqlError:
            self._state.outbox.write(self._head)
            raise

    async def _concluded(self) -> bytes | None:
        state, question, outcome = self._state, self._question, self._answer
        if not isinstance(outcome, Outcome) or is_elsewhere(outcome):
            if not self._first:
                return await self._after_loss()
            if question.end == HOLD:
                return None  # nothing has been told of this transaction, and nothing is held
            # It may be committed, so it must be sent again as what it was, not anew.
            outcome = await submit(state, question.operations, COMMIT, question.schema_index, again=True)
            self._node, self._link = state.unit.node, state.unit.link
        if outcome.fault is None:
            if outcome.state != _ENDED[question.end] or len(outcome.results) != len(question.operations):
                raise InvariantBroken(f"a unit in state {outcome.state} after {question.end} was asked for")
            return self._settle(outcome)
        if self._first and outcome.fault.sqlstate == StalePlan.sqlstate:
            return None
        settle(state, self._node, self._link, outcome)
        state.unit.writes = state.unit.held
        state.worker.schemas.heard(outcome.schema_index)
        if question.end != HOLD and outcome.state != OPEN:
            await over(state, committed=False)
        refused_at(state, self._node.name, self._reason, outcome.fault.sqlstate)
        raise error_of(outcome.fault)

    async def _after_loss(self) -> bytes:
        """The held unit's primary was lost."""
        state, end = self._state, self._question.end
        committed = False
        try:
            outcome = await after_loss(state, end)
            committed = outcome.state == COMMITTED
        finally:
            if end != HOLD:
                await over(state, committed=committed)
        if committed:
            written_at(state, state.unit.node.name, outcome.index, self._reason)
        return self._head + encode.command_complete(_TAGS[end])


def ask(state: SessionState, messages: list[SessionMessage], heard: Callable[[bytes | None], None]) -> Asked | None:
    """Send the one request that `messages` are to the primary; None when they are not of the plain kind, or it cannot
    be done at once: nothing has happened then."""
    state.refresh()
    unit = state.unit
    if (
        not _is_plain_session(state)
        or unit.steps
        or state.prelude
        or not _no_portals(state)
        or state.schema_changed
        or state.own_schema is not None
        or state.read_transaction is not None
        or state.constraints_immediate
        or state.statement_ms_max
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
    return asked, operations(state, prepared, parameters), COMMIT if state.status == IDLE else HOLD


def _is_plain_session(state: SessionState) -> bool:
    if read_only(state) or state.listener is not None:
        return False
    if state.status == IDLE:
        return state.plain and not state.unit.held
    return state.status == IN_TRANSACTION and state.settings.values["lfsql.notice_route"] == "off"


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
