"""One client's connection: start-up, then messages in, answers out, until it ends.

One send answers everything that one receive brought; a large result is sent on as it grows.  The socket is used
directly, non-blocking, waiting through trio: a prepared point read is one recv, one send and one wake-up.

An error in the extended protocol makes the session discard messages up to the next Sync; that is decided by the
error, not by the transaction's status.
"""

from __future__ import annotations

import logging
import secrets
import socket
from collections import deque
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

import trio

from lfsql.errors import (
    FeatureNotSupported,
    InvalidCatalogName,
    InvariantBroken,
    LfsqlError,
    ProtocolViolation,
)
from proxy import express_writes, extended
from proxy.express import answer
from proxy.leaving import leave
from proxy.listening import ready
from proxy.pg import encode
from proxy.pg.decode import FrontendDecoder
from proxy.pg.errors import FATAL, error_fields
from proxy.pg.messages import (
    CancelRequest,
    FunctionCall,
    GSSENCRequest,
    Malformed,
    Query,
    SessionMessage,
    SSLRequest,
    StartupMessage,
    Sync,
    Terminate,
)
from proxy.receipt import failed
from proxy.sending import ClientGone, send_all
from proxy.settings import REPORTED
from proxy.simple import simple_query
from proxy.startup import PROTOCOL, read_startup
from proxy.state import FAILED, IDLE, SessionState, cancellable
from proxy.transaction import fail, send_on
from proxy.unit import SEND_BYTES

if TYPE_CHECKING:
    from lfsql.config import Purpose
    from lfsql.core.ids import Index
    from proxy.worker import Worker

LOG: Final = logging.getLogger("lfsql.proxy")

CANCEL_KEY_BYTES: Final = 4
RECEIVE_BYTES: Final = 64 * 1024
TURN_S: Final = 0.005
"""So long what a client has sent ahead is carried out before others get their turn."""


class Session:
    def __init__(self, worker: Worker, sock: socket.socket, purpose: Purpose = "auto") -> None:
        sock.setblocking(False)
        self._worker = worker
        self._purpose = purpose
        self._socket = sock
        self._decoder = FrontendDecoder(message_bytes_max=worker.limits.message_bytes_max)
        self._messages: deque[SessionMessage | express_writes.Asked] = deque()
        self._skipping = False
        self._reactor = worker.reactor
        self._parked: trio.lowlevel.Task | None = None
        """The task, while it waits for the client."""
        self._ready = True
        """There may be bytes that nobody has looked at."""
        self._gone = False
        self._between = False
        """Nothing is being carried out: the next message begins something."""
        self._sent_ahead = False
        """Of `_messages` more can be answered at once, in further turns."""
        self._turn_ends = 0.0
        """When others are to be served, if the client has not been waited for until then."""
        self._nap = trio.CancelScope()
        """Where the session waits for its own socket: ends the wait, as there is something to tell."""
        self._idle = trio.CancelScope()
        """Ends the wait for a client that lets its transaction hold the writer for nothing."""
        self._asked: express_writes.Asked | None = None
        """A request that is being carried out without the task, which sleeps."""
        self._state: SessionState | None = None
        self.process_id = 0
        self.key = b""
        self._scope = trio.CancelScope()
        self._ending: LfsqlError | None = None

    # -- for others ----------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """A CancelRequest with our key: stop what runs now, if anything that can be stopped does."""
        if self._state is not None:
            self._state.cancelled = True
            if self._state.cancel is not None:
                self._state.cancel()

    def see(self, index: Index) -> None:
        """Whatever the session reads from now on must not be older."""
        if self._state is not None and self._state.seen_index < index:
            self._state.seen_index = index

    def end(self, error: LfsqlError) -> None:
        """End the session from outside; the client is told why."""
        self._ending = error
        self._scope.cancel()

    # -- the connection's life -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Until the client or the server ends it.  Raises nothing but cancellation: what it raised would end all."""
        try:
            self._reactor.register(self._socket, self)
            with self._scope:
                await self._live()
            if self._ending is not None:
                self._last_words(self._ending)
        except (ClientGone, OSError):
            pass
        except LfsqlError as error:
            self._last_words(error)
        except Exception as error:  # a fault of ours costs one client its session
            LOG.error("a session failed unexpectedly", exc_info=error)
            self._last_words(InvariantBroken("the session failed unexpectedly"))
        finally:
            self._reactor.unregister(self._socket)
            self._socket.close()
            with trio.CancelScope(shield=True):
                await leave(self._worker, self.process_id, self._state, self._asked)

    def _last_words(self, error: LfsqlError) -> None:
        """One attempt to say why; the client may not be listening."""
        try:
            self._socket.send(encode.error_response(error_fields(error, FATAL)))
        except OSError:
            LOG.debug("the client was gone before it could be told: %s", error.message)

    def _break(self, error: Exception) -> None:
        """A fault of ours outside of the task: it ends this session, and must not reach who called."""
        LOG.error("a session failed unexpectedly", exc_info=error)
        self.end(InvariantBroken("the session failed unexpectedly"))

    async def _live(self) -> None:
        with trio.move_on_after(self._worker.limits.startup_ms_max / 1000) as deadline:
            state = await self._start()
        if deadline.cancelled_caught:
            raise ProtocolViolation("the client did not start its session in time")
        if state is None:
            return
        self._state = state
        state.flush = self._flush
        state.offer = self._offer
        state.end = self.end
        state.receive = self._next
        state.pace = self._pace
        while True:
            self._between = True
            if self._sent_ahead:
                await self._catch_up(state)
            message = await self._next_or_asked()
            self._between = False
            if isinstance(message, express_writes.Asked):
                await self._conclude(state, message)
            elif type(message) is Terminate:
                return
            else:
                await self._handle(state, message)
            await self._pace()

    async def _pace(self) -> None:
        """After each statement: a client that does not read gets no more answers, one that does not wait no more than
        its turn."""
        state = self._state
        if state is not None and state.outbox.bytes >= SEND_BYTES:
            await self._flush()
        if monotonic() > self._turn_ends:
            await trio.lowlevel.checkpoint()
            self._turn_ends = monotonic() + TURN_S

    async def _catch_up(self, state: SessionState) -> None:
        """The client has sent more requests ahead than one turn answers: go on, turn by turn."""
        self._sent_ahead = False
        while self._messages:
            answered, done = self._answer(state, cast(list[SessionMessage], list(self._messages)))
            if not done:
                return
            for _ in range(done):
                self._messages.popleft()
            state.outbox.write(answered)
            await self._flush()
            await trio.lowlevel.checkpoint()

    # -- bytes ---------------------------------------------------------------------------------------------

    async def _receive(self) -> None:
        """Wait until there are messages for this task, or bytes of a start-up.  Raises ClientGone."""
        while True:
            if self._ready and self._take():
                break
            if self._reactor.shared:
                await self._park()
                self._turn_ends = monotonic() + TURN_S
                break
            with trio.CancelScope() as self._nap:
                await trio.lowlevel.wait_readable(self._socket)
            if self._nap.cancelled_caught:
                break
            self._turn_ends = monotonic() + TURN_S
            self._ready = True
        if self._gone:
            raise ClientGone

    async def _park(self) -> None:
        def abort(_raise_cancel: object) -> trio.lowlevel.Abort:
            self._parked = None
            return trio.lowlevel.Abort.SUCCEEDED

        self._parked = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(abort)

    def on_ready(self) -> None:
        """The reactor's call: take what there is, answer what can be answered at once, wake the task for the rest."""
        self._ready = True
        try:
            if self._parked is not None and self._asked is None and self._take():
                self.wake()
        except Exception as error:  # it would end the task that serves everybody
            self._break(error)

    def _take(self) -> bool:
        """Read from the socket; whether the task has something to do.  Never waits nor raises."""
        self._ready = False
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._gone = True
            return True
        if len(data) == RECEIVE_BYTES:
            self._ready = True  # there may be more, of which an edge-triggered watch will not tell again
        decoder, state = self._decoder, self._state
        decoder.feed(data)
        if state is None or self._messages or self._skipping or not self._between:
            return True
        try:
            messages = decoder.messages()
        except LfsqlError:
            return True  # the task meets it again
        answered, done = self._answer(state, messages)
        if answered and (state.idle_session_ms_max or state.status != IDLE):
            self._idle.deadline = self._idle_until()
        rest = messages[done:] if done else messages
        if rest and not answered and self._reactor.shared and state.status != FAILED:
            self._asked = express_writes.ask(state, rest, self._heard)
            if self._asked is not None:
                self._idle.deadline = inf
                return False
        self._messages.extend(rest)
        if answered:
            self._sent_ahead = bool(rest)
            if not self._messages and self._reactor.defer(self, answered):
                return self._ready
            if not self.send_now(answered):
                return True
        return bool(self._messages) or self._ready

    def _answer(self, state: SessionState, messages: list[SessionMessage]) -> tuple[bytes, int]:
        try:
            return answer(state, messages)
        except Exception as error:  # a fault of ours costs a client one statement: the task will run it, and tell
            LOG.error("the express way failed unexpectedly", exc_info=error)
            return b"", 0

    def _heard(self, told: bytes | None) -> None:
        """The answer to what was asked without the task: what to send, or None when the task must see to it."""
        asked, self._asked = self._asked, None
        self._idle.deadline = self._idle_until()
        try:
            if told is None:
                if asked is None:
                    raise InvariantBroken("an answer came to what was not asked")
                self._messages.append(asked)
                self.wake()
            elif not self.send_now(told) or (self._ready and self._take()):
                self.wake()
        except Exception as error:  # it would end the task that reads the link
            self._break(error)

    def send_now(self, data: bytes) -> bool:
        """Send what can be sent without waiting; False when the task must see to the rest."""
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._gone = True
            return False
        if sent < len(data) and self._state is not None:
            self._state.outbox.write(data[sent:])
            return False
        return True

    def wake(self) -> None:
        """There is something for the task to do."""
        if self._parked is not None:
            task, self._parked = self._parked, None
            trio.lowlevel.reschedule(task)

    def _offer(self) -> None:
        """Notifications have come: tell them at once if the client waits for nothing, else later."""
        try:
            state = self._state
            if self._parked is None or state is None or state.listener is None:
                self._nap.cancel()
            elif (due := state.listener.due()) and not self.send_now(due):
                self.wake()
        except Exception as error:  # it would end the task that reads the link
            self._break(error)

    async def _flush(self) -> None:
        state = self._state
        while state is not None and (state.outbox.ready or state.listener is not None):
            if state.listener is not None and (due := state.listener.due()):
                state.outbox.write(due)
            if not state.outbox.ready:
                break
            await send_all(self._socket, state.outbox.take())

    async def _next(self) -> SessionMessage:
        """The next message of a COPY; before waiting, what the client is owed is sent.  Raises QueryCanceled."""
        message = await self._next_or_asked(copying=True)
        if isinstance(message, express_writes.Asked):
            raise InvariantBroken("something was asked while a statement was carried out")
        return message

    async def _next_or_asked(self, *, copying: bool = False) -> SessionMessage | express_writes.Asked:
        messages = self._messages
        while not messages:
            messages.extend(self._decoder.messages())
            if messages:
                break
            await self._flush()
            with trio.CancelScope(deadline=self._idle_until()) as self._idle:
                if copying and self._state is not None:
                    self._state.check_stopped()
                    await cancellable(self._state, self._receive)
                else:
                    await self._receive()
            if self._idle.cancelled_caught and self._state is not None:
                raise self._state.idled_too_long()
        return messages.popleft()

    # -- messages ------------------------------------------------------------------------------------------

    def _idle_until(self) -> float:
        limit_ms = self._state.idle_limit_ms if self._state is not None else 0
        return trio.current_time() + limit_ms / 1000 if limit_ms else inf

    async def _handle(self, state: SessionState, message: SessionMessage) -> None:
        kind = type(message)
        state.start_clock()
        if kind is Sync:
            await self._sync(state)
            return
        if self._skipping:
            return
        if isinstance(message, Malformed) and message.kind == "p":
            self.end(message.error)  # a password after authentication: whoever sends it has lost its place
            await trio.lowlevel.checkpoint()
        if isinstance(message, Query | FunctionCall) or (isinstance(message, Malformed) and message.kind in "QF"):
            await self._query(state, message)
            return
        try:
            await extended.HANDLERS[kind](state, message)
            await send_on(state)
        except ClientGone:
            raise
        except Exception as error:  # a fault of ours costs a client one statement, not its session
            await self._tell_failure(state, error)
            self._skipping = True

    async def _query(self, state: SessionState, message: Query | FunctionCall | Malformed) -> None:
        """What is answered with a ReadyForQuery of its own."""
        try:
            if isinstance(message, Malformed):
                raise message.error
            if isinstance(message, FunctionCall):
                raise FeatureNotSupported(
                    "function calls by message are not supported", hint="Use SELECT function(...)."
                )
            await simple_query(state, message.sql)
        except ClientGone:
            raise
        except Exception as error:  # a fault of ours costs a client one statement, not its session
            await self._tell_failure(state, error)
        await ready(state)

    async def _sync(self, state: SessionState) -> None:
        try:
            if self._skipping:
                self._skipping = False
                await extended.abandon_implicit(state)
            else:
                await extended.sync(state)
        except ClientGone:
            raise
        except Exception as error:  # a fault of ours costs a client one statement, not its session
            await self._tell_failure(state, error)
        await ready(state)

    async def _conclude(self, state: SessionState, asked: express_writes.Asked) -> None:
        """A request that was asked without the task, and not simply answered."""
        state.tried = None
        try:
            told = await asked.conclude()
            if told is None:
                self._messages.extendleft(reversed(asked.messages))
                return
            state.outbox.write(told)
        except ClientGone:
            raise
        except Exception as error:  # a fault of ours costs a client one statement, not its session
            await self._tell_failure(state, error)
        await ready(state)

    async def _tell_failure(self, state: SessionState, error: Exception) -> None:
        """Undo what the failed statement's transaction must undo, and tell the first error there was."""
        if not isinstance(error, LfsqlError):
            LOG.error("a statement failed unexpectedly", exc_info=error)
        told = error.sqlstate if isinstance(error, LfsqlError) else InvariantBroken.sqlstate
        failed(state, told)
        earlier = await fail(state)
        state.outbox.write(encode.error_response(error_fields(earlier or error)))

    # -- start-up ------------------------------------------------------------------------------------------

    async def _start(self) -> SessionState | None:
        """Packets before the session; None when it was a cancel request."""
        refused: set[type] = set()
        while True:
            packet = self._decoder.next_message()
            if packet is None:
                await self._receive()
                continue
            if isinstance(packet, SSLRequest | GSSENCRequest):
                if self._decoder.buffered_bytes:
                    # CVE-2021-23214: bytes sent before the answer would be taken for encrypted ones.
                    raise ProtocolViolation("received unencrypted data after encryption request")
                if type(packet) in refused:
                    raise ProtocolViolation("encryption was asked for twice")
                refused.add(type(packet))
                await send_all(self._socket, encode.ENCRYPTION_REFUSED)
                continue
            if isinstance(packet, CancelRequest):
                self._worker.cancel(packet.process_id, packet.key)
                return None
            if isinstance(packet, StartupMessage):
                return await self._begin(packet)
            raise ProtocolViolation("expected a startup packet")

    async def _begin(self, packet: StartupMessage) -> SessionState:
        worker = self._worker
        asked = read_startup(packet, worker.defaults, self._purpose)
        worker.admit()
        if asked.database not in worker.databases:
            raise InvalidCatalogName(f'database "{asked.database}" does not exist')
        self.process_id = worker.enter(self)
        self.key = secrets.token_bytes(CANCEL_KEY_BYTES)
        state = SessionState(worker, f"{worker.name}-{self.process_id}", asked.settings, self.process_id)
        state.seen_index = max(worker.notifications.heard, worker.acknowledged.index)
        state.user = asked.user
        state.database = asked.database
        pieces = []
        if asked.newer or asked.unknown:
            pieces.append(encode.negotiate_protocol_version(PROTOCOL, asked.unknown))
        pieces.append(encode.AUTHENTICATION_OK)
        self._decoder.begin_session()
        pieces += [encode.parameter_status(name, asked.settings.values[name]) for name in REPORTED]
        pieces.append(encode.backend_key_data(self.process_id, self.key))
        pieces.append(encode.READY[state.status])
        await send_all(self._socket, b"".join(pieces))
        state.settled = True
        return state
