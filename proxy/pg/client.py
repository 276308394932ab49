"""The client's end of the protocol: frontend messages to bytes, and a server's bytes to backend messages.

For tests, tools and benchmarks.  With it every message travels through a client and a server of our own, which is how
h11 tests its two halves against each other.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import Final

from lfsql.errors import ProtocolViolation
from proxy.pg import messages as m
from proxy.pg.decode import CANCEL_CODE, GSSENC_CODE, SSL_CODE
from proxy.pg.text import decode_utf8

_INT: Final = Struct(">i").pack
_UNSIGNED: Final = Struct(">I").pack
_SHORT: Final = Struct(">H").pack
_HEADER: Final = Struct(">cI")
_COLUMN: Final = Struct(">IhIhih")


def _message(kind: bytes, body: bytes = b"") -> bytes:
    return _HEADER.pack(kind, len(body) + 4) + body


def _packet(body: bytes) -> bytes:
    return _UNSIGNED(len(body) + 4) + body


def _text(value: str) -> bytes:
    return value.encode() + b"\x00"


def _shorts(values: Sequence[int]) -> bytes:
    return _SHORT(len(values)) + b"".join(map(_SHORT, values))


def _values(values: Sequence[bytes | None]) -> bytes:
    return _SHORT(len(values)) + b"".join(_INT(-1) if value is None else _INT(len(value)) + value for value in values)


def encode_frontend(message: m.FrontendMessage) -> bytes:
    """Any frontend message to its bytes.  Malformed has none: TypeError."""
    match message:
        case m.StartupMessage(version, parameters):
            pairs = b"".join(_text(name) + _text(value) for name, value in parameters.items())
            return _packet(_UNSIGNED(version) + pairs + b"\x00")
        case m.SSLRequest():
            return _packet(_UNSIGNED(SSL_CODE))
        case m.GSSENCRequest():
            return _packet(_UNSIGNED(GSSENC_CODE))
        case m.CancelRequest(process_id, key):
            return _packet(_UNSIGNED(CANCEL_CODE) + _UNSIGNED(process_id) + key)
        case m.PasswordMessage(password):
            return _message(b"p", password + b"\x00")
        case m.SASLInitialResponse(mechanism, data):
            return _message(b"p", _text(mechanism) + (_INT(-1) if data is None else _INT(len(data)) + data))
        case m.SASLResponse(data) | m.GSSResponse(data):
            return _message(b"p", data)
        case _:
            return _encode_session(message)


def _encode_session(message: m.SessionMessage) -> bytes:
    match message:
        case m.Query(sql):
            return _message(b"Q", _text(sql))
        case m.Parse(statement, sql, oids):
            return _message(b"P", _text(statement) + _text(sql) + _SHORT(len(oids)) + b"".join(map(_UNSIGNED, oids)))
        case m.Bind(portal, statement, parameter_formats, parameters, result_formats):
            names = _text(portal) + _text(statement)
            return _message(b"B", names + _shorts(parameter_formats) + _values(parameters) + _shorts(result_formats))
        case m.Describe(kind, name):
            return _message(b"D", kind.encode() + _text(name))
        case m.Execute(portal, rows_max):
            return _message(b"E", _text(portal) + _INT(rows_max))
        case m.Close(kind, name):
            return _message(b"C", kind.encode() + _text(name))
        case m.Sync():
            return _message(b"S")
        case m.Flush():
            return _message(b"H")
        case m.Terminate():
            return _message(b"X")
        case m.FunctionCall(oid, formats, arguments, result_format):
            return _message(b"F", _UNSIGNED(oid) + _shorts(formats) + _values(arguments) + _SHORT(result_format))
        case m.CopyData(data):
            return _message(b"d", data)
        case m.CopyDone():
            return _message(b"c")
        case m.CopyFail(reason):
            return _message(b"f", _text(reason))
        case _:
            raise TypeError(f"{message!r} is not sent")


class _Body:
    """A message's body, read from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def take(self, count: int) -> bytes:
        end = self._place + count
        if count < 0 or end > len(self._data):
            raise ProtocolViolation("a backend message is shorter than its content")
        taken = self._data[self._place : end]
        self._place = end
        return taken

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._place)

    def number(self, form: str) -> int:
        return int(struct.unpack(">" + form, self.take(struct.calcsize(">" + form)))[0])

    def text(self) -> str:
        zero = self._data.find(0, self._place)
        if zero < 0:
            raise ProtocolViolation("a backend message has an unterminated string")
        return decode_utf8(self.take(zero + 1 - self._place)[:-1])

    def value(self) -> bytes | None:
        length = self.number("i")
        return None if length == -1 else self.take(length)

    def fields(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        while code := self.take(1)[0]:
            found[chr(code)] = self.text()
        return found

    def done(self) -> None:
        if self._place != len(self._data):
            raise ProtocolViolation("a backend message is longer than its content")


def _authentication(body: _Body) -> m.BackendMessage:
    code = body.number("i")
    match code:
        case 0:
            return m.AuthenticationOk()
        case 2:
            return m.AuthenticationKerberosV5()
        case 3:
            return m.AuthenticationCleartextPassword()
        case 5:
            return m.AuthenticationMD5Password(body.take(4))
        case 7:
            return m.AuthenticationGSS()
        case 8:
            return m.AuthenticationGSSContinue(body.rest())
        case 9:
            return m.AuthenticationSSPI()
        case 10:
            mechanisms: list[str] = []
            while name := body.text():
                mechanisms.append(name)
            return m.AuthenticationSASL(tuple(mechanisms))
        case 11:
            return m.AuthenticationSASLContinue(body.rest())
        case 12:
            return m.AuthenticationSASLFinal(body.rest())
    raise ProtocolViolation(f"unknown authentication request {code}")


def _row_description(body: _Body) -> m.BackendMessage:
    columns = [
        m.FieldDescription(body.text(), *_COLUMN.unpack(body.take(_COLUMN.size))) for _ in range(body.number("H"))
    ]
    return m.RowDescription(tuple(columns))


def _ready(body: _Body) -> m.BackendMessage:
    status = body.take(1).decode("latin-1")
    if status not in (m.IDLE, m.IN_TRANSACTION, m.FAILED_TRANSACTION):
        raise ProtocolViolation(f"unknown transaction status {status!r}")
    return m.ReadyForQuery(status)


def _copy_formats(body: _Body) -> tuple[int, tuple[int, ...]]:
    return body.number("B"), tuple(body.number("H") for _ in range(body.number("H")))


_DECODERS: Final[dict[bytes, Callable[[_Body], m.BackendMessage]]] = {
    b"R": _authentication,
    b"K": lambda body: m.BackendKeyData(body.number("I"), body.rest()),
    b"v": lambda body: m.NegotiateProtocolVersion(
        body.number("I"), tuple(body.text() for _ in range(body.number("I")))
    ),
    b"S": lambda body: m.ParameterStatus(body.text(), body.text()),
    b"Z": _ready,
    b"T": _row_description,
    b"D": lambda body: m.DataRow(tuple(body.value() for _ in range(body.number("H")))),
    b"C": lambda body: m.CommandComplete(body.text()),
    b"I": lambda _body: m.EmptyQueryResponse(),
    b"E": lambda body: m.ErrorResponse(body.fields()),
    b"N": lambda body: m.NoticeResponse(body.fields()),
    b"A": lambda body: m.NotificationResponse(body.number("I"), body.text(), body.text()),
    b"1": lambda _body: m.ParseComplete(),
    b"2": lambda _body: m.BindComplete(),
    b"3": lambda _body: m.CloseComplete(),
    b"n": lambda _body: m.NoData(),
    b"s": lambda _body: m.PortalSuspended(),
    b"t": lambda body: m.ParameterDescription(tuple(body.number("I") for _ in range(body.number("H")))),
    b"V": lambda body: m.FunctionCallResponse(body.value()),
    b"G": lambda body: m.CopyInResponse(*_copy_formats(body)),
    b"H": lambda body: m.CopyOutResponse(*_copy_formats(body)),
    b"W": lambda body: m.CopyBothResponse(*_copy_formats(body)),
    b"d": lambda body: m.CopyData(body.rest()),
    b"c": lambda _body: m.CopyDone(),
}


class BackendDecoder:
    """A server's bytes in, messages out.  The one byte that answers SSLRequest is no message: read it first."""

    def __init__(self, *, message_bytes_max: int = 1 << 30) -> None:
        self._message_bytes_max = message_bytes_max
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def messages(self) -> list[m.BackendMessage]:
        """All complete messages.  Raises ProtocolViolation."""
        found: list[m.BackendMessage] = []
        offset = 0
        while len(self._buffer) - offset >= 5:
            kind, length = _HEADER.unpack_from(self._buffer, offset)
            decode = _DECODERS.get(kind)
            if decode is None:
                raise ProtocolViolation(f"unknown backend message type {kind!r}")
            if not 4 <= length <= self._message_bytes_max:
                raise ProtocolViolation(f"backend message of type {kind!r} has an impossible length, {length}")
            end = offset + 1 + length
            if end > len(self._buffer):
                break
            body = _Body(bytes(self._buffer[offset + 5 : end]))
            found.append(decode(body))
            body.done()
            offset = end
        del self._buffer[:offset]
        return found
