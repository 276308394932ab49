"""One socket of the link: messages out, messages in.

Raw non-blocking sockets and trio's `wait_readable`, not trio.SocketStream: a SocketStream yields to the scheduler
on each call even when the data is there, and sends what it is given at once.  Here whatever is queued during one
pass of the scheduler leaves in one system call: `send_nowait` encodes into one buffer, the writer task empties it.

Bounded: a frame has a limit, and so has the buffer of what waits to be sent.  A connection never blocks its
sender; whoever overfills it is told and decides (peers drop, answers to a proxy close the link).
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec
import trio

from lfsql.errors import LinkLost, ProtocolViolation, QueueFull
from lfsql.net.frames import FrameDecoder, append_frame

_RECEIVE_BYTES: Final = 64 << 10
_RECEIVE_BYTES_MAX: Final = 1 << 20
_SEND_BYTES_MAX: Final = 1 << 20
_USER_TIMEOUT_MS: Final = 15_000

CONTROL_BYTES_MAX: Final = 1 << 20
"""Room beyond a queue's limit for messages that only take work off the other end."""

Message = TypeVar("Message")


class Connection:
    """A connected socket and its two buffers.  Messages leave while `carry` runs, or by `flush`."""

    def __init__(self, connected: socket.socket, *, frame_bytes_max: int, queue_bytes_max: int) -> None:
        connected.setblocking(False)
        _tune(connected)
        self._socket = connected
        self._decoder = FrameDecoder(frame_bytes_max)
        self._outgoing = bytearray()
        self._frame_bytes_max = frame_bytes_max
        self._queue_bytes_max = queue_bytes_max
        self._sleeping_writer: trio.lowlevel.Task | None = None
        self._corked = False
        self._flushing = False
        self._closed = False

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def socket(self) -> socket.socket:
        """To be watched, not used."""
        return self._socket

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait to be sent."""
        return len(self._outgoing)

    def allow(self, *, frame_bytes_max: int, queue_bytes_max: int) -> None:
        """Set other limits: a peer that proved itself may send more than a stranger."""
        self._decoder.frame_bytes_max = self._frame_bytes_max = frame_bytes_max
        self._queue_bytes_max = queue_bytes_max

    def send_nowait(self, message: msgspec.Struct, *, control: bool = False) -> None:
        """Queue a message for the writer task.  `control`: also when the queue is full of others.

        Raises LinkLost when the connection is closed, QueueFull when too much waits already, LimitExceeded when
        the message alone is too large; nothing is queued then.
        """
        if self._closed:
            raise LinkLost("the link is closed")
        if len(self._outgoing) >= self._queue_bytes_max + (CONTROL_BYTES_MAX if control else 0):
            raise QueueFull(f"{len(self._outgoing)} bytes wait to be sent on this link")
        append_frame(self._outgoing, message, self._frame_bytes_max)
        if not self._corked:
            self._wake_writer()

    def cork(self) -> None:
        """From now on what is queued stays here, until `uncork`: for a caller that is about to queue several."""
        self._corked = True

    def uncork(self) -> None:
        """Send what is queued, now, as far as the socket takes it; the writer task sees to the rest.

        A pass of the scheduler earlier than the writer task would.  Never raises: a broken link is the reader's to
        find.
        """
        self._corked = False
        if self._outgoing and not self._flushing and not self._closed:
            try:
                with memoryview(self._outgoing) as everything, everything[:_SEND_BYTES_MAX] as part:
                    sent = self._socket.send(part)
            except OSError:  # would block, or broken: the writer task meets it again
                sent = 0
            del self._outgoing[:sent]
        if self._outgoing:
            self._wake_writer()

    def _wake_writer(self) -> None:
        if self._sleeping_writer is not None:
            trio.lowlevel.reschedule(self._sleeping_writer)
            self._sleeping_writer = None

    async def carry(self, serve: Callable[[], Awaitable[None]]) -> None:
        """Run `serve` with the writer task beside it, until it returns or either fails.

        Raises what `serve` raised, or LinkLost when sending failed; an Exception comes out as it is, in no group.
        """
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:

            async def write() -> None:
                nonlocal failure
                try:
                    while True:
                        if not self._outgoing:
                            await self._sleep()
                        await self.flush()
                except LinkLost as error:
                    failure = failure or error
                    nursery.cancel_scope.cancel()

            nursery.start_soon(write)
            try:
                await serve()
            except Exception as error:
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def flush(self) -> None:
        """Send all that is queued.  Raises LinkLost.  Only one task at a time may be in here."""
        self._flushing = True
        try:
            await self._flush()
        finally:
            self._flushing = False

    async def _flush(self) -> None:
        outgoing = self._outgoing
        while outgoing:
            if self._closed:
                raise LinkLost("the link is closed")
            try:
                with memoryview(outgoing) as everything, everything[:_SEND_BYTES_MAX] as part:
                    sent = self._socket.send(part)
            except BlockingIOError:
                try:
                    await trio.lowlevel.wait_writable(self._socket)
                except trio.ClosedResourceError:
                    raise LinkLost("the link is closed") from None
            except OSError as error:
                raise LinkLost(f"the link broke: {error.strerror}") from error
            else:
                del outgoing[:sent]

    async def receive(self, decode: Callable[[memoryview], Message]) -> list[Message]:
        """All messages that one receive completes; [] when it completes none.

        Raises LinkLost at the end of the stream, ProtocolViolation when `decode` refuses the bytes.
        """
        self._decoder.feed(await self._receive_bytes())
        return self.received_already(decode)

    def receive_now(self, decode: Callable[[memoryview], Message]) -> list[Message]:
        """What can be received without waiting; for who is told of the socket's readiness by edges.

        Raises as `receive` does.
        """
        messages: list[Message] = []
        while True:
            size = self._receive_size
            try:
                data = self._socket.recv(size)
            except BlockingIOError:
                return messages
            except OSError as error:
                raise LinkLost(f"the link broke: {error.strerror}") from error
            if not data:
                raise LinkLost("the other end closed the link")
            self._decoder.feed(data)
            messages += self.received_already(decode)
            if len(data) < size:
                return messages

    async def receive_one(self, decode: Callable[[memoryview], Message]) -> Message:
        """The next message alone; what follows it stays for the next call.  Raises as `receive` does."""
        while (frame := self._decoder.frame()) is None:
            self._decoder.feed(await self._receive_bytes())
        try:
            return decode(frame)
        except msgspec.MsgspecError as error:
            raise ProtocolViolation(f"a message on the link cannot be read: {error}") from error

    def received_already(self, decode: Callable[[memoryview], Message]) -> list[Message]:
        """Messages that came in one receive together with the one `receive_one` returned."""
        try:
            return [decode(frame) for frame in self._decoder.frames()]
        except msgspec.MsgspecError as error:
            raise ProtocolViolation(f"a message on the link cannot be read: {error}") from error

    def close(self) -> None:
        """Close the socket; whoever waits on it gets LinkLost.  Idempotent."""
        if self._closed:
            return
        self._closed = True
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()
        self._outgoing.clear()
        self._wake_writer()

    @property
    def _receive_size(self) -> int:
        return min(max(_RECEIVE_BYTES, self._decoder.wanted), _RECEIVE_BYTES_MAX)

    async def _receive_bytes(self) -> bytes:
        size = self._receive_size
        while True:
            if self._closed:
                raise LinkLost("the link is closed")
            try:
                await trio.lowlevel.wait_readable(self._socket)
                data = self._socket.recv(size)
            except BlockingIOError:
                continue
            except trio.ClosedResourceError:
                raise LinkLost("the link is closed") from None
            except OSError as error:
                raise LinkLost(f"the link broke: {error.strerror}") from error
            if not data:
                raise LinkLost("the other end closed the link")
            return data

    async def _sleep(self) -> None:
        if self._closed:
            raise LinkLost("the link is closed")

        def abort(_raise_cancel: object) -> trio.lowlevel.Abort:
            self._sleeping_writer = None
            return trio.lowlevel.Abort.SUCCEEDED

        self._sleeping_writer = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(abort)
        if self._closed:
            raise LinkLost("the link is closed")


def _tune(connected: socket.socket) -> None:
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if connected.family in (socket.AF_INET, socket.AF_INET6):
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A host that lost power never closes its sockets: unacknowledged data must not wait for TCP's 15 minutes.
        with contextlib.suppress(AttributeError):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)
