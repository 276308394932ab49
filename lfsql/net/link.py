"""A proxy's or a command's side of the link: questions out, answers and heartbeats in.

Questions carry numbers (`next_request`), so many share one connection and answers come in any order.  An asker
sleeps in `request` without an event or a channel of its own: the reader task reschedules it with the answer.  An
asker in a hurry gives `ask` a callback instead, which the reader task calls there and then.
When the link breaks, every asker gets LinkLost, at once; whether its question was carried out is then not known.
So does whoever waits for a write's outcome when the node is no longer primary.

`request` being cancelled withdraws the asker only: the question stays with the node.  Whoever wants it stopped
tells it with a Cancel (for a Submit or a Read) or a ReadClose; both are fine to send for what has already ended.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from math import inf
from typing import Final, Protocol

import msgspec
import trio

from lfsql.core.ids import NodeId
from lfsql.core.log_copies import LogRecords
from lfsql.core.notifications import NotificationsAfter
from lfsql.core.requests import (
    Answer,
    Cancel,
    CurrentIndex,
    Describe,
    Forget,
    Heartbeat,
    LookUp,
    Order,
    Ping,
    Question,
    Read,
    ReadClose,
    ReadMore,
    SnapshotRead,
    SnapshotRequest,
    StatusRequest,
    Submit,
    VerifyRequest,
)
from lfsql.errors import InvariantBroken, LfsqlError, LinkLost, ProtocolViolation, QueueFull
from lfsql.net.connection import Connection
from lfsql.net.handshake import HANDSHAKE_FRAME_BYTES_MAX, Identity, perform

Asking = (
    Submit
    | Read
    | ReadMore
    | Describe
    | StatusRequest
    | LookUp
    | CurrentIndex
    | NotificationsAfter
    | SnapshotRequest
    | SnapshotRead
    | Order
    | LogRecords
    | VerifyRequest
)
"""The questions that have an answer."""

Take = Callable[[Answer | None], None]
"""Takes the answer to a question, or None when there will be none."""

DIAL_MS_MAX: Final = 3_000
HANDSHAKE_MS_MAX: Final = 5_000
FRAME_BYTES_MAX: Final = 72 << 20
QUEUE_BYTES_MAX: Final = 144 << 20
REQUESTS_MAX: Final = 10_000

_decode_answer: Final = msgspec.msgpack.Decoder(Answer).decode


class Watch(Protocol):
    """Watches many sockets at once, by edges; see `proxy.reactor`."""

    def register(self, sock: socket.socket, watched: Link) -> None:
        """From now on call `watched.on_ready()` when there is something to receive."""

    def unregister(self, sock: socket.socket) -> None: ...


class Link:
    """An authenticated connection to a node.  `run` must run in a task while it is used; `open_link` does both."""

    def __init__(
        self,
        connection: Connection,
        peer: Identity,
        *,
        on_push: Callable[[Heartbeat], None] | None = None,
        requests_max: int = REQUESTS_MAX,
        watch: Watch | None = None,
    ) -> None:
        self.peer = peer
        """The node at the other end, as it proved itself."""
        self._connection = connection
        self._on_push = on_push
        self._requests_max = requests_max
        self._askers: dict[int, Take] = {}
        """What takes each question's answer, or None when the link is lost before."""
        self._writes: set[int] = set()
        """Questions whose answers only a primary can give."""
        self._last_request = 0
        self._watch = watch
        self._ended = trio.Event()
        """Reading by the watch has come to its end, and `_why` tells why."""
        self._lost = trio.Event()
        self._why = LinkLost("the link is closed")

    @property
    def lost(self) -> bool:
        return self._lost.is_set()

    @property
    def outstanding(self) -> int:
        """Questions that wait for their answer."""
        return len(self._askers)

    async def wait_lost(self) -> LfsqlError:
        """Return why, once the link is lost."""
        await self._lost.wait()
        return self._why

    def next_request(self) -> int:
        """A number for the next question, unique on this link."""
        self._last_request += 1
        return self._last_request

    async def request(self, question: Asking, *, stop_at: float = inf) -> Answer:
        """Send a question and return its answer (an Outcome, Rows, Described, Status or Done; never a Heartbeat).

        When it has none at `stop_at`, by trio's clock, it is cancelled at the node; the answer is waited for all the
        same, as only that tells what became of it.

        Raises LinkLost when the link is or gets lost, QueueFull when too many questions wait, LimitExceeded when
        the question is too large for a frame.  Faults of the work itself are in the answer's `fault`.
        """
        asker = _Asker()
        self._expect(question.request, asker.take, question)
        try:
            if stop_at != inf:
                with trio.CancelScope(deadline=stop_at):
                    await asker.answered()
                if asker.waits:
                    self.tell(Cancel(question.request))
            await asker.answered()
        finally:
            self.withdraw(question.request)
        if asker.answer is None:
            raise LinkLost(self._why.message)
        return asker.answer

    def ask(self, question: Asking, take: Take) -> None:
        """Send a question at once, without the writer task; `take` is called with its answer, None when the link is
        lost first.  It must neither wait nor raise.  Raises as `request` does; `take` is not called then.
        """
        self._connection.cork()
        try:
            self._expect(question.request, take, question)
        finally:
            self._connection.uncork()

    def withdraw(self, request: int) -> None:
        """Forget the asker of a question; its answer is dropped."""
        self._askers.pop(request, None)
        self._writes.discard(request)

    def give_up_writes(self) -> None:
        """The node is no longer primary: whoever waits for a write's outcome waits in vain, and is told None."""
        while self._writes:
            self._askers.pop(self._writes.pop())(None)

    def _expect(self, number: int, take: Take, question: Asking) -> None:
        if number in self._askers:
            raise QueueFull(f"request {number} waits for its answer already")
        if len(self._askers) >= self._requests_max:
            raise QueueFull(f"{self._requests_max} requests wait for node '{self.peer.node}'")
        self.send_nowait(question)
        self._askers[number] = take
        if isinstance(question, Submit | LookUp):
            self._writes.add(number)

    def send_nowait(self, question: Question) -> None:
        """Send a question without waiting for an answer.  Raises as `request` does."""
        if self._lost.is_set():
            raise LinkLost(self._why.message)
        self._connection.send_nowait(question)

    def tell(self, control: Cancel | Forget | ReadClose | Ping) -> None:
        """Say that something is no longer wanted, or that we are here.  Never raises: where there is no room even for
        that, the link is closed, which says the same of everything.
        """
        if self._lost.is_set():
            return
        try:
            self._connection.send_nowait(control, control=True)
        except LfsqlError as error:
            self.close(error)

    def close(self, why: LfsqlError) -> None:
        """Give the link up, at once: every asker gets LinkLost.  Idempotent; must not be called by `on_push`."""
        self._lose(why)

    async def run(self) -> None:
        """Carry messages until the link is lost; then return.  The connection is closed in every case."""
        try:
            await self._connection.carry(self._read if self._watch is None else self._be_watched)
        except (LinkLost, ProtocolViolation) as error:
            self._lose(error)
        finally:
            self._lose(LinkLost("the link was closed here"))

    async def _read(self) -> None:
        connection = self._connection
        answers = connection.received_already(_decode_answer)
        while True:
            self._deliver(answers)
            answers = await connection.receive(_decode_answer)

    async def _be_watched(self) -> None:
        if self._watch is None:
            raise InvariantBroken("nobody watches this link")
        self._deliver(self._connection.received_already(_decode_answer))
        if not self._lost.is_set():
            self._watch.register(self._connection.socket, self)
        await self._ended.wait()
        raise LinkLost(self._why.message)

    def on_ready(self) -> None:
        """The watch's call: take what there is.  Neither waits nor raises."""
        try:
            self._deliver(self._connection.receive_now(_decode_answer))
        except (LinkLost, ProtocolViolation) as error:
            self._why = LinkLost(error.message)
            self._ended.set()

    def _deliver(self, answers: list[Answer]) -> None:
        for answer in answers:
            if isinstance(answer, Heartbeat):
                if self._on_push is not None:
                    self._on_push(answer)
            elif (take := self._askers.pop(answer.request, None)) is not None:
                self._writes.discard(answer.request)
                take(answer)

    def _lose(self, why: LfsqlError) -> None:
        if self._lost.is_set():
            return
        self._why = LinkLost(why.message)
        self._lost.set()
        if self._watch is not None:
            self._watch.unregister(self._connection.socket)
            self._ended.set()
        self._connection.close()
        self._writes.clear()
        while self._askers:
            _, take = self._askers.popitem()
            take(None)


class _Asker:
    """A task that waits for an answer, without an event of its own."""

    __slots__ = ("_task", "answer", "waits")

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.waits = True
        self._task: trio.lowlevel.Task | None = None

    def take(self, answer: Answer | None) -> None:
        self.answer = answer
        self.waits = False
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)

    async def answered(self) -> None:
        if not self.waits:
            return

        def abort(_raise_cancel: object) -> trio.lowlevel.Abort:
            self._task = None
            return trio.lowlevel.Abort.SUCCEEDED

        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(abort)
        self._task = None


async def connect(
    address: str,
    identity: Identity,
    key: bytes,
    *,
    expected_node: NodeId = "",
    known: Mapping[NodeId, str] | None = None,
    frame_bytes_max: int = FRAME_BYTES_MAX,
    queue_bytes_max: int = QUEUE_BYTES_MAX,
) -> tuple[Connection, Identity]:
    """Dial `address` ("host:port") and shake hands; `known`: see `handshake.incompatible`.

    Raises LinkLost when nobody answers there, LinkRefused when the ends do not fit.
    """
    dialed = await _dial(address)
    connection = Connection(
        dialed, frame_bytes_max=HANDSHAKE_FRAME_BYTES_MAX, queue_bytes_max=2 * HANDSHAKE_FRAME_BYTES_MAX
    )
    try:
        peer = await perform(
            connection,
            dialing=True,
            identity=identity,
            key=key,
            handshake_ms_max=HANDSHAKE_MS_MAX,
            expected_node=expected_node,
            known=known,
        )
    except BaseException:
        connection.close()
        raise
    connection.allow(frame_bytes_max=frame_bytes_max, queue_bytes_max=queue_bytes_max)
    return connection, peer


@asynccontextmanager
async def open_link(
    address: str,
    identity: Identity,
    key: bytes,
    *,
    expected_node: NodeId = "",
    on_push: Callable[[Heartbeat], None] | None = None,
    requests_max: int = REQUESTS_MAX,
    frame_bytes_max: int = FRAME_BYTES_MAX,
    queue_bytes_max: int = QUEUE_BYTES_MAX,
    watch: Watch | None = None,
) -> AsyncIterator[Link]:
    """`async with open_link(address, identity, key, on_push=...) as link`.

    `watch`: by whom the link is read, instead of by a task of its own.

    `on_push` is called with each heartbeat, in the reader task: it must neither wait nor raise.  Losing the link
    does not end the block; `wait_lost` tells.  Raises as `connect` does; exceptions of the block come out as they
    are, in no group.
    """
    connection, peer = await connect(
        address,
        identity,
        key,
        expected_node=expected_node,
        frame_bytes_max=frame_bytes_max,
        queue_bytes_max=queue_bytes_max,
    )
    link = Link(connection, peer, on_push=on_push, requests_max=requests_max, watch=watch)
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        try:
            yield link
        except Exception as error:
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _dial(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    with trio.move_on_after(DIAL_MS_MAX / 1000):
        try:
            stream = await trio.open_tcp_stream(host.strip("[]"), int(port))
        except OSError as error:
            raise LinkLost(f"nobody answers at {address}: {error.strerror or error}") from error
        except (ValueError, OverflowError) as error:  # what somebody else says of himself may be anything
            raise LinkLost(f"'{address}' is no address that can be dialed: {error}") from error
        # trio's dialing (name look-up, racing addresses) is wanted, its stream is not.
        return socket.socket(fileno=stream.socket.detach())
    raise LinkLost(f"nobody answered at {address} within {DIAL_MS_MAX} ms")
