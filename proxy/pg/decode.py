"""A client's bytes to frontend messages: the server's half of the codec that reads.

`FrontendDecoder.feed` takes bytes as they arrive, in any pieces; `next_message` and `messages` give what is complete.
Two kinds of fault are told apart, as PostgreSQL does:

- the *frame* is wrong (unknown type, impossible or excessive length, a bad startup packet): there is no way to
  find the next message, so ProtocolViolation (or a sibling) is raised and every later call raises it again;
- the frame is sound but its *content* is not (bad UTF-8, counts that do not fit): a `Malformed` value is given in
  the message's place, and the session answers it like any failed statement.

Lengths are checked against the limit of the message's kind as soon as its five header bytes are there, before
anything is kept for it.  What is kept is never more than one incomplete message and one feed.

Speed: a prepared point read arrives as Bind, Describe, Execute, Sync in one packet.  The last three are usually
the same few bytes every time, so short frames are looked up whole in a table of ready-made messages; only Bind is
taken apart.  Adjacent CopyData messages of one feed come out as one: their boundaries mean nothing and libpq
sends one a line.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import Enum
from struct import Struct
from typing import Final

from lfsql.errors import FeatureNotSupported, LfsqlError, ProtocolViolation
from proxy.pg.fields import formats, malformed, string, values, whole
from proxy.pg.messages import (
    Bind,
    CancelRequest,
    Close,
    CopyData,
    CopyDone,
    CopyFail,
    Describe,
    Execute,
    Flush,
    FrontendMessage,
    FunctionCall,
    GSSENCRequest,
    GSSResponse,
    Malformed,
    Parse,
    PasswordMessage,
    Query,
    SASLInitialResponse,
    SASLResponse,
    SessionMessage,
    SSLRequest,
    StartupMessage,
    StartupPacket,
    Sync,
    Terminate,
)

STARTUP_BYTES_MIN: Final = 8
STARTUP_BYTES_MAX: Final = 10_000
SMALL_MESSAGE_BYTES_MAX: Final = 10_000
MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Default limit of the kinds that carry a client's text or data."""

CANCEL_CODE: Final = 1234 << 16 | 5678
SSL_CODE: Final = 1234 << 16 | 5679
GSSENC_CODE: Final = 1234 << 16 | 5680

_LARGE: Final = frozenset(b"QPBdF")
_SMALL: Final = frozenset(b"DECSHXcfp")
_AUTHENTICATION: Final = frozenset(b"pX")

_header: Final = Struct(">BI").unpack_from
_int: Final = Struct(">i").unpack_from
_unsigned: Final = Struct(">I").unpack_from
_short: Final = Struct(">H").unpack_from
_two_ints: Final = Struct(">II").unpack_from


class Phase(Enum):
    """What kind of packet comes next; the session moves it on, see `FrontendDecoder`."""

    STARTUP = "startup"
    AUTHENTICATION = "authentication"
    SESSION = "session"


def _query(buffer: bytes, start: int, end: int) -> Query:
    sql, position = string(buffer, start, end)
    whole(position, end)
    return Query(sql)


def _parse(buffer: bytes, start: int, end: int) -> Parse:
    statement, position = string(buffer, start, end)
    sql, position = string(buffer, position, end)
    (count,) = _short(buffer, position)
    whole(position + 2 + 4 * count, end)
    return Parse(statement, sql, struct.unpack_from(f">{count}I", buffer, position + 2))


def _bind(buffer: bytes, start: int, end: int) -> Bind:
    if buffer[start]:
        portal, position = string(buffer, start, end)
    else:
        portal, position = "", start + 1
    statement, position = string(buffer, position, end)
    parameter_formats, position = formats(buffer, position, end)
    parameters, position = values(buffer, position, end)
    result_formats, position = formats(buffer, position, end)
    if position != end:
        raise malformed()
    return Bind(portal, statement, parameter_formats, parameters, result_formats)


def _kind_and_name(buffer: bytes, start: int, end: int, message: str) -> tuple[str, str]:
    kind = buffer[start : start + 1]
    name, position = string(buffer, start + 1, end)
    whole(position, end)
    if kind not in (b"S", b"P"):
        raise malformed(f"invalid {message} message subtype {kind[0]}")
    return kind.decode(), name


def _describe(buffer: bytes, start: int, end: int) -> Describe:
    return Describe(*_kind_and_name(buffer, start, end, "DESCRIBE"))


def _close(buffer: bytes, start: int, end: int) -> Close:
    return Close(*_kind_and_name(buffer, start, end, "CLOSE"))


def _execute(buffer: bytes, start: int, end: int) -> Execute:
    portal, position = string(buffer, start, end)
    whole(position + 4, end)
    (rows_max,) = _int(buffer, position)
    # PostgreSQL takes a negative limit for none.
    return Execute(portal, max(rows_max, 0))


def _function_call(buffer: bytes, start: int, end: int) -> FunctionCall:
    (oid,) = _unsigned(buffer, start)
    codes, position = formats(buffer, start + 4, end)
    arguments, position = values(buffer, position, end)
    whole(position + 2, end)
    (result_format,) = _short(buffer, position)
    return FunctionCall(oid, codes, arguments, result_format)


def _copy_data(buffer: bytes, start: int, end: int) -> CopyData:
    return CopyData(buffer[start:end])


def _copy_fail(buffer: bytes, start: int, end: int) -> CopyFail:
    reason, position = string(buffer, start, end)
    whole(position, end)
    return CopyFail(reason)


def _empty(message: Sync | Flush | Terminate | CopyDone) -> Callable[[bytes, int, int], SessionMessage]:
    def decode(_buffer: bytes, start: int, end: int) -> SessionMessage:
        whole(start, end)
        return message

    return decode


_DECODERS: Final[dict[int, Callable[[bytes, int, int], SessionMessage]]] = {
    ord("Q"): _query,
    ord("P"): _parse,
    ord("B"): _bind,
    ord("D"): _describe,
    ord("E"): _execute,
    ord("C"): _close,
    ord("F"): _function_call,
    ord("d"): _copy_data,
    ord("f"): _copy_fail,
    ord("c"): _empty(CopyDone()),
    ord("S"): _empty(Sync()),
    ord("H"): _empty(Flush()),
    ord("X"): _empty(Terminate()),
}

_READY_MADE: Final[dict[bytes, SessionMessage]] = {
    b"S\x00\x00\x00\x04": Sync(),
    b"H\x00\x00\x00\x04": Flush(),
    b"X\x00\x00\x00\x04": Terminate(),
    b"c\x00\x00\x00\x04": CopyDone(),
    b"D\x00\x00\x00\x06P\x00": Describe("P", ""),
    b"D\x00\x00\x00\x06S\x00": Describe("S", ""),
    b"C\x00\x00\x00\x06P\x00": Close("P", ""),
    b"C\x00\x00\x00\x06S\x00": Close("S", ""),
    b"E\x00\x00\x00\x09\x00\x00\x00\x00\x00": Execute("", 0),
}
_READY_MADE_LENGTH_MAX: Final = 9


def _startup_message(version: int, body: bytes) -> StartupMessage:
    """`body`: pairs of zero-terminated strings, and one zero exactly at its end."""
    if version >> 16 != 3:
        spoken = f"{version >> 16}.{version & 0xFFFF}"
        raise FeatureNotSupported(f"unsupported frontend protocol {spoken}: server supports 3.0 to 3.2")
    if not body.endswith(b"\x00"):
        raise ProtocolViolation("invalid startup packet layout: expected terminator as last byte")
    parameters: dict[str, str] = {}
    position = 0
    last = len(body) - 1
    while position < last:
        name, position = string(body, position, last)
        if not name:
            raise ProtocolViolation("invalid startup packet layout: expected terminator as last byte")
        parameters[name], position = string(body, position, last)
    return StartupMessage(version, parameters)


def _authentication_response(
    kind: type[PasswordMessage | SASLInitialResponse | SASLResponse | GSSResponse], body: bytes
) -> PasswordMessage | SASLInitialResponse | SASLResponse | GSSResponse:
    if kind is PasswordMessage:
        if not body.endswith(b"\x00") or body.find(0) != len(body) - 1:
            raise ProtocolViolation("invalid password packet size")
        return PasswordMessage(body[:-1])
    if kind is SASLInitialResponse:
        mechanism, position = string(body, 0, len(body))
        if position + 4 > len(body):
            raise malformed()
        (length,) = _int(body, position)
        position += 4
        whole(position + max(length, 0), len(body))
        return SASLInitialResponse(mechanism, None if length < 0 else body[position:])
    return SASLResponse(body) if kind is SASLResponse else GSSResponse(body)


class FrontendDecoder:
    """Bytes of one client connection in, messages out.

    Starts in Phase.STARTUP.  The session says when what comes next changes: `expect(kind)` each time it sends an
    authentication request, `begin_session()` once it has sent AuthenticationOk.  In the first two phases messages
    are taken one at a time with `next_message`, as each may change how the next is read; afterwards `messages`
    gives all that is complete at once.
    """

    def __init__(self, *, message_bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        self._limits = dict.fromkeys(_SMALL, SMALL_MESSAGE_BYTES_MAX) | dict.fromkeys(_LARGE, message_bytes_max)
        self._buffer = b""
        self._offset = 0
        self._rest = bytearray()
        self._needed = 0
        self._failure: LfsqlError | None = None
        self._phase = Phase.STARTUP
        self._expected: type[PasswordMessage | SASLInitialResponse | SASLResponse | GSSResponse] = PasswordMessage
        self._asked: set[int] = set()

    @property
    def phase(self) -> Phase:
        return self._phase

    @property
    def buffered_bytes(self) -> int:
        """Bytes fed and not yet given out as messages."""
        return len(self._rest) or len(self._buffer) - self._offset

    def expect(self, kind: type[PasswordMessage | SASLInitialResponse | SASLResponse | GSSResponse]) -> None:
        """An authentication request was sent; `kind` is the answer it calls for (all share one type byte)."""
        self._phase = Phase.AUTHENTICATION
        self._expected = kind

    def begin_session(self) -> None:
        """AuthenticationOk was sent: from here on the large limits hold."""
        self._phase = Phase.SESSION

    def feed(self, data: bytes) -> None:
        """Add what one receive brought.  Call only when `messages` or `next_message` has given all it had."""
        if self._rest:
            self._rest += data
            if len(self._rest) >= self._needed:
                self._buffer = bytes(self._rest)
                self._offset = 0
                self._rest = bytearray()
        elif self._offset == len(self._buffer):
            self._buffer = data
            self._offset = 0
        else:
            self._buffer = self._buffer[self._offset :] + data
            self._offset = 0

    def next_message(self) -> FrontendMessage | None:
        """The next message, or None when it is not complete yet.  Raises LfsqlError when the frame is wrong."""
        if self._failure is not None:
            raise self._failure
        try:
            if self._phase is Phase.STARTUP:
                return self._startup_packet()
            return self._typed()
        except LfsqlError as error:
            self._failure = error
            raise

    def messages(self) -> list[SessionMessage]:
        """All complete messages, in order.  Only in Phase.SESSION.

        A wrong frame is raised once the messages before it were given, that is, by the next call.
        """
        if self._failure is not None:
            raise self._failure
        found: list[SessionMessage] = []
        buffer = self._buffer
        size = len(buffer)
        offset = self._offset
        copied: list[bytes] | None = None
        while size - offset >= 5:
            kind, length = _header(buffer, offset)
            end = offset + 1 + length
            if length <= _READY_MADE_LENGTH_MAX:
                ready_made = _READY_MADE.get(buffer[offset:end])
                if ready_made is not None:
                    if copied is not None:
                        found.append(CopyData(b"".join(copied)))
                        copied = None
                    found.append(ready_made)
                    offset = end
                    continue
            failure = self._frame_fault(kind, length)
            if failure is not None:
                self._failure = failure
                offset = size
                break
            if end > size:
                break
            if kind == 0x64:  # d
                if copied is None:
                    copied = []
                copied.append(buffer[offset + 5 : end])
            else:
                if copied is not None:
                    found.append(CopyData(b"".join(copied)))
                    copied = None
                found.append(self._content(kind, buffer, offset + 5, end))
            offset = end
        if copied is not None:
            found.append(CopyData(b"".join(copied)))
        self._offset = offset
        if offset < size:
            self._keep()
        elif self._failure is not None and not found:
            raise self._failure
        return found

    def _frame_fault(self, kind: int, length: int) -> LfsqlError | None:
        limit = self._limits.get(kind)
        if limit is None:
            return ProtocolViolation(f"invalid frontend message type {kind}")
        if length < 4:
            return ProtocolViolation("invalid message length")
        if length > limit:
            return ProtocolViolation(
                "invalid message length",
                detail=f"A message of type {chr(kind)} may have {limit} bytes, not {length}.",
            )
        return None

    @staticmethod
    def _content(kind: int, buffer: bytes, start: int, end: int) -> SessionMessage:
        try:
            decode = _DECODERS.get(kind)
            if decode is None:  # p after authentication: a password nobody asked for
                return Malformed(chr(kind), ProtocolViolation("password message outside of authentication"))
            return decode(buffer, start, end)
        except LfsqlError as error:
            return Malformed(chr(kind), error)
        except (struct.error, IndexError):
            return Malformed(chr(kind), malformed("insufficient data left in message"))

    def _keep(self, header: int = 5) -> None:
        """Set the incomplete tail aside, and work out how much makes it worth looking at again."""
        tail = self._buffer[self._offset :]
        self._rest = bytearray(tail)
        self._buffer = b""
        self._offset = 0
        if len(tail) < header:
            self._needed = header
        elif header == 5:
            self._needed = 1 + _header(tail)[1]
        else:
            self._needed = int(_unsigned(tail)[0])

    def _typed(self) -> FrontendMessage | None:
        """One message with a type byte."""
        offset = self._offset
        available = len(self._buffer) - offset
        if available < 5:
            if available:
                self._keep()
            return None
        kind, length = _header(self._buffer, offset)
        if self._phase is Phase.AUTHENTICATION and kind not in _AUTHENTICATION:
            raise ProtocolViolation(f"expected password response, got message type {kind}")
        failure = self._frame_fault(kind, length)
        if failure is not None:
            raise failure
        if available < 1 + length:
            self._keep()
            return None
        end = offset + 1 + length
        self._offset = end
        if kind == 0x70 and self._phase is Phase.AUTHENTICATION:  # p
            return _authentication_response(self._expected, self._buffer[offset + 5 : end])
        return self._content(kind, self._buffer, offset + 5, end)

    def _startup_packet(self) -> StartupPacket | None:
        offset = self._offset
        available = len(self._buffer) - offset
        if available < 4:
            if available:
                self._keep(4)
            return None
        (length,) = _unsigned(self._buffer, offset)
        if not STARTUP_BYTES_MIN <= length <= STARTUP_BYTES_MAX:
            raise ProtocolViolation("invalid length of startup packet")
        if available < length:
            self._keep(4)
            return None
        end = offset + length
        (code,) = _unsigned(self._buffer, offset + 4)
        body = self._buffer[offset + 8 : end]
        self._offset = end
        if code == CANCEL_CODE:
            if not 8 <= len(body) <= 4 + 256:
                raise ProtocolViolation("invalid length of query cancel packet")
            return CancelRequest(int(_unsigned(body)[0]), body[4:])
        if code in (SSL_CODE, GSSENC_CODE) and code not in self._asked:
            self._asked.add(code)
            whole(len(body), 0)
            if end < len(self._buffer):
                # What an attacker slipped in before the handshake must not be taken for the client's.
                kind = "SSL" if code == SSL_CODE else "GSSAPI encryption"
                raise ProtocolViolation(
                    f"received unencrypted data after {kind} request",
                    detail="This could be either a client-software bug or evidence of an attempted"
                    " man-in-the-middle attack.",
                )
            return SSLRequest() if code == SSL_CODE else GSSENCRequest()
        return _startup_message(code, body)
