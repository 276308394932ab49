"""bool, the integers, text kinds, bytea, uuid: literals and wire forms to and from SQLite's values.

In every module of types, `parse_*` reads a literal, `receive_*` a binary value, `print_*` writes text format and
`send_*` binary format.  Reading is as lenient as PostgreSQL's own input functions, and refuses with its words, as
programs match on them.  Writing is lenient about what SQLite holds: an expression may yield 3.0 where the type says
integer, and only a value that cannot be what its column says is an error.
"""

from __future__ import annotations

import struct
from struct import Struct
from typing import Final

from lfsql.errors import (
    InvalidEncoding,
    NumericOutOfRange,
    StringTooLong,
)
from lfsql.values.scalars import INTEGER, hyphenated, parse_bool, parse_integer, parse_uuid
from proxy.pg.floats import float8_text
from proxy.pg.literals import exact, not_a
from proxy.pg.settings import Value
from proxy.pg.text import decode_utf8

_INT2: Final = Struct(">h")
_INT4: Final = Struct(">i")
_INT8: Final = Struct(">q")
_UNSIGNED4: Final = Struct(">I")


# -- bool --------------------------------------------------------------------------------------------------


def receive_bool(data: bytes) -> int:
    return 1 if exact(data, 1)[0] else 0


def _truth(value: Value) -> int:
    return parse_bool(value) if isinstance(value, str) else 1 if value else 0


def print_bool(value: Value) -> bytes:
    return b"t" if _truth(value) else b"f"


def send_bool(value: Value) -> bytes:
    return b"\x01" if _truth(value) else b"\x00"


# -- integers ----------------------------------------------------------------------------------------------


def receive_int2(data: bytes) -> int:
    return int(_INT2.unpack(exact(data, 2))[0])


def receive_int4(data: bytes) -> int:
    return int(_INT4.unpack(exact(data, 4))[0])


def receive_int8(data: bytes) -> int:
    return int(_INT8.unpack(exact(data, 8))[0])


def receive_oid(data: bytes) -> int:
    return int(_UNSIGNED4.unpack(exact(data, 4))[0])


def as_integer(value: Value, type_name: str = "integer") -> int:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and INTEGER.fullmatch(value):
        return parse_integer(value, -(1 << 63), (1 << 63) - 1, type_name)
    raise not_a(type_name, value)


def print_integer(value: Value) -> bytes:
    return b"%d" % as_integer(value)


def _send_integer(form: Struct, value: Value, type_name: str) -> bytes:
    number = as_integer(value, type_name)
    try:
        return form.pack(number)
    except struct.error:
        raise NumericOutOfRange(f"{type_name} out of range", detail=f"The value is {number}.") from None


def send_int2(value: Value) -> bytes:
    return _send_integer(_INT2, value, "smallint")


def send_int4(value: Value) -> bytes:
    return _send_integer(_INT4, value, "integer")


def send_int8(value: Value) -> bytes:
    return _send_integer(_INT8, value, "bigint")


def send_oid(value: Value) -> bytes:
    return _send_integer(_UNSIGNED4, value, "oid")


# -- text --------------------------------------------------------------------------------------------------

NAME_BYTES_MAX: Final = 63


def parse_text(text: str) -> str:
    if "\x00" in text:
        raise InvalidEncoding('invalid byte sequence for encoding "UTF8": 0x00')
    return text


def parse_name(text: str) -> str:
    """Cut to 63 bytes, at a character's boundary, without complaint."""
    data = parse_text(text).encode()
    return text if len(data) <= NAME_BYTES_MAX else data[:NAME_BYTES_MAX].decode(errors="ignore")


def receive_text(data: bytes) -> str:
    return decode_utf8(data)


def parse_bpchar(text: str) -> str:
    """Trailing spaces mean nothing in character(n), and are not stored."""
    return parse_text(text).rstrip(" ")


def receive_bpchar(data: bytes) -> str:
    return decode_utf8(data).rstrip(" ")


def coerce_length(text: str, typmod: int, explicit: bool, type_name: str) -> str:
    """To the length that `typmod` says (in characters, plus 4).  Excess must be spaces, unless a cast is explicit."""
    length = typmod - 4
    if length < 1 or len(text) <= length:
        return text
    if not explicit and text[length:].strip(" "):
        raise StringTooLong(f"value too long for type {type_name}({length})")
    return text[:length]


def parse_char(text: str) -> str:
    """The one-byte type "char"; only its ASCII half has a text form here."""
    return parse_text(text)[:1]


def as_text(value: Value) -> str:
    """How any value prints, for a text column that holds something else."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return float8_text(value)
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    return str(value)


def receive_char(data: bytes) -> str:
    return decode_utf8(data.rstrip(b"\x00"))


def send_char(value: Value) -> bytes:
    """The empty "char" is a zero byte in binary format."""
    return as_text(value).encode() or b"\x00"


def print_text(value: Value) -> bytes:
    return as_text(value).encode()


# -- bytea -------------------------------------------------------------------------------------------------


def receive_bytea(data: bytes) -> bytes:
    return bytes(data)


def as_bytes(value: Value) -> bytes:
    return value if isinstance(value, bytes) else as_text(value).encode()


def print_bytea_hex(value: Value) -> bytes:
    return b"\\x" + as_bytes(value).hex().encode()


_ESCAPES: Final = [
    b"\\\\" if byte == 0x5C else bytes((byte,)) if 0x20 <= byte <= 0x7E else b"\\%03o" % byte for byte in range(256)
]


def print_bytea_escape(value: Value) -> bytes:
    return b"".join([_ESCAPES[byte] for byte in as_bytes(value)])


# -- uuid --------------------------------------------------------------------------------------------------


def receive_uuid(data: bytes) -> str:
    return hyphenated(exact(data, 16).hex())


def print_uuid(value: Value) -> bytes:
    return (receive_uuid(value) if isinstance(value, bytes) else as_text(value)).encode()


def send_uuid(value: Value) -> bytes:
    if isinstance(value, bytes):
        return exact(value, 16)
    return bytes.fromhex(parse_uuid(as_text(value)).replace("-", ""))
