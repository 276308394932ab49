"""What the server sends: one function a message, each returning its bytes; the fixed ones are constants.

Functions, not values with an `encode` method: an answer is written once and read never, so building a message
object first would only cost.  Callers collect the pieces of one answer in a list and send one `b"".join`.
DataRow, the one message whose cost matters by the million, has its own module, `proxy.pg.rows`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from struct import Struct
from typing import Final, Protocol

from proxy.pg.oids import WIRE_SIZES

PARSE_COMPLETE: Final = b"1\x00\x00\x00\x04"
BIND_COMPLETE: Final = b"2\x00\x00\x00\x04"
CLOSE_COMPLETE: Final = b"3\x00\x00\x00\x04"
NO_DATA: Final = b"n\x00\x00\x00\x04"
EMPTY_QUERY_RESPONSE: Final = b"I\x00\x00\x00\x04"
PORTAL_SUSPENDED: Final = b"s\x00\x00\x00\x04"
COPY_DONE: Final = b"c\x00\x00\x00\x04"

READY: Final[dict[str, bytes]] = {status: b"Z\x00\x00\x00\x05" + status.encode() for status in "ITE"}
"""ReadyForQuery by transaction status: messages.IDLE, IN_TRANSACTION, FAILED_TRANSACTION."""

AUTHENTICATION_OK: Final = b"R\x00\x00\x00\x08\x00\x00\x00\x00"
AUTHENTICATION_KERBEROS_V5: Final = b"R\x00\x00\x00\x08\x00\x00\x00\x02"
AUTHENTICATION_CLEARTEXT_PASSWORD: Final = b"R\x00\x00\x00\x08\x00\x00\x00\x03"
AUTHENTICATION_GSS: Final = b"R\x00\x00\x00\x08\x00\x00\x00\x07"
AUTHENTICATION_SSPI: Final = b"R\x00\x00\x00\x08\x00\x00\x00\x09"

TLS_ACCEPTED: Final = b"S"
ENCRYPTION_REFUSED: Final = b"N"
"""The answers to SSLRequest and GSSENCRequest: a single byte, no message."""

_HEADER: Final = Struct(">cI").pack
_INT: Final = Struct(">I").pack
_SHORT: Final = Struct(">H").pack
_COLUMN: Final = Struct(">IhIhih").pack


class Column(Protocol):
    """What RowDescription needs of a column; `proxy.sql.plan.ResultColumn` is one."""

    @property
    def name(self) -> str: ...
    @property
    def oid(self) -> int: ...
    @property
    def typmod(self) -> int: ...
    @property
    def table_oid(self) -> int: ...
    @property
    def attnum(self) -> int: ...


def _message(kind: bytes, body: bytes) -> bytes:
    return _HEADER(kind, len(body) + 4) + body


def _text(value: str) -> bytes:
    """A zero-terminated string.  A zero inside would end it early and let the rest pass for other fields."""
    return value.replace("\x00", "").encode(errors="replace") + b"\x00"


def authentication_md5_password(salt: bytes) -> bytes:
    """`salt`: 4 bytes."""
    return _message(b"R", _INT(5) + salt)


def authentication_gss_continue(data: bytes) -> bytes:
    return _message(b"R", _INT(8) + data)


def authentication_sasl(mechanisms: Sequence[str]) -> bytes:
    """Most preferred first."""
    return _message(b"R", _INT(10) + b"".join(map(_text, mechanisms)) + b"\x00")


def authentication_sasl_continue(data: bytes) -> bytes:
    return _message(b"R", _INT(11) + data)


def authentication_sasl_final(data: bytes) -> bytes:
    return _message(b"R", _INT(12) + data)


def negotiate_protocol_version(version: int, options: Sequence[str]) -> bytes:
    """`version`: the newest we speak, in full (3 << 16 | minor); `options`: the client's unknown `_pq_.` names."""
    return _message(b"v", _INT(version) + _INT(len(options)) + b"".join(map(_text, options)))


def backend_key_data(process_id: int, key: bytes) -> bytes:
    """`key`: 4 bytes when the client speaks 3.0, 4 to 256 from 3.2 on."""
    return _message(b"K", _INT(process_id) + key)


def parameter_status(name: str, value: str) -> bytes:
    return _message(b"S", _text(name) + _text(value))


def parameter_description(oids: Sequence[int]) -> bytes:
    """At most 65535 parameters: the count is an unsigned short."""
    return _message(b"t", _SHORT(len(oids)) + b"".join(map(_INT, oids)))


def row_description(columns: Sequence[Column], formats: Sequence[int] = ()) -> bytes:
    """`formats` as a Bind gives them: none (text), one for all, or one each."""
    if len(formats) == 1:
        formats = tuple(formats) * len(columns)
    pieces = [_SHORT(len(columns))]
    for place, column in enumerate(columns):
        pieces.append(_text(column.name))
        pieces.append(
            _COLUMN(
                column.table_oid,
                column.attnum,
                column.oid,
                WIRE_SIZES.get(column.oid, -1),
                column.typmod,
                formats[place] if formats else 0,
            )
        )
    return _message(b"T", b"".join(pieces))


def command_complete(tag: str) -> bytes:
    """`tag` with its count: 'SELECT 3', 'INSERT 0 1', 'CREATE TABLE'."""
    data = tag.encode()
    return _HEADER(b"C", len(data) + 5) + data + b"\x00"


def data_row(values: Iterable[bytes | None]) -> bytes:
    """Of values already in wire form; `proxy.pg.rows.row_encoder` does it from SQLite's values."""
    pieces: list[bytes] = []
    count = 0
    for value in values:
        count += 1
        if value is None:
            pieces.append(b"\xff\xff\xff\xff")
        else:
            pieces.append(_INT(len(value)))
            pieces.append(value)
    return _message(b"D", _SHORT(count) + b"".join(pieces))


def _fields(kind: bytes, fields: Mapping[str, str]) -> bytes:
    return _message(kind, b"".join(code.encode() + _text(text) for code, text in fields.items()) + b"\x00")


def error_response(fields: Mapping[str, str]) -> bytes:
    """`fields` from `proxy.pg.errors.error_fields`."""
    return _fields(b"E", fields)


def notice_response(fields: Mapping[str, str]) -> bytes:
    return _fields(b"N", fields)


def notification_response(process_id: int, channel: str, payload: str) -> bytes:
    return _message(b"A", _INT(process_id) + _text(channel) + _text(payload))


def function_call_response(value: bytes | None) -> bytes:
    return _message(b"V", b"\xff\xff\xff\xff" if value is None else _INT(len(value)) + value)


def _copy_response(kind: bytes, stream_format: int, column_formats: Sequence[int]) -> bytes:
    return _message(
        kind, bytes((stream_format,)) + _SHORT(len(column_formats)) + b"".join(map(_SHORT, column_formats))
    )


def copy_in_response(stream_format: int, column_formats: Sequence[int]) -> bytes:
    return _copy_response(b"G", stream_format, column_formats)


def copy_out_response(stream_format: int, column_formats: Sequence[int]) -> bytes:
    return _copy_response(b"H", stream_format, column_formats)


def copy_both_response(stream_format: int, column_formats: Sequence[int]) -> bytes:
    return _copy_response(b"W", stream_format, column_formats)


def copy_data(data: bytes) -> bytes:
    return _HEADER(b"d", len(data) + 4) + data
