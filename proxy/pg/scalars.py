"""bool, the integers, text kinds, bytea, uuid: literals and wire forms to and from SQLite's values.

In every module of types, `parse_*` reads a literal, `receive_*` a binary value, `print_*` writes text format and
`send_*` binary format.  Reading is as lenient as PostgreSQL's own input functions, and refuses with its words, as
programs match on them.  Writing is lenient about what SQLite holds: an expression may yield 3.0 where the type says
integer, and only a value that cannot be what its column says is an error.
"""

from __future__ import annotations

import re
import struct
from struct import Struct
from typing import Final

from lfsql.errors import (
    InvalidEncoding,
    InvalidParameterValue,
    InvalidText,
    NumericOutOfRange,
    StringTooLong,
)
from proxy.pg.floats import float8_text
from proxy.pg.literals import SPACES, bad_literal, exact, not_a
from proxy.pg.settings import Value
from proxy.pg.text import decode_utf8

_INT2: Final = Struct(">h")
_INT4: Final = Struct(">i")
_INT8: Final = Struct(">q")
_UNSIGNED4: Final = Struct(">I")


# -- bool --------------------------------------------------------------------------------------------------

_BOOLS: Final[dict[str, int]] = {
    **{"true"[:size]: 1 for size in range(1, 5)},
    **{"false"[:size]: 0 for size in range(1, 6)},
    **{"yes"[:size]: 1 for size in range(1, 4)},
    **{"no"[:size]: 0 for size in range(1, 3)},
    "on": 1,
    "of": 0,
    "off": 0,
    "1": 1,
    "0": 0,
}


def parse_bool(text: str) -> int:
    found = _BOOLS.get(text)
    if found is None:
        found = _BOOLS.get(text.strip(SPACES).lower())
        if found is None:
            raise bad_literal("boolean", text)
    return found


def receive_bool(data: bytes) -> int:
    return 1 if exact(data, 1)[0] else 0


def _truth(value: Value) -> int:
    return parse_bool(value) if isinstance(value, str) else 1 if value else 0


def print_bool(value: Value) -> bytes:
    return b"t" if _truth(value) else b"f"


def send_bool(value: Value) -> bytes:
    return b"\x01" if _truth(value) else b"\x00"


# -- integers ----------------------------------------------------------------------------------------------

_INTEGER: Final = re.compile(r"[ \t\n\r\v\f]*[+-]?[0-9]+[ \t\n\r\v\f]*", re.ASCII)
_DIGITS_MAX: Final = 60
"""Beyond this many characters no integer is in range, and Python need not convert it to say so."""


def parse_integer(text: str, low: int, high: int, type_name: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise bad_literal(type_name, text)
    digits = text.strip(SPACES)
    if len(digits) > _DIGITS_MAX:
        sign = "-" if digits[0] == "-" else ""
        digits = sign + (digits.lstrip("+-0") or "0")
    if len(digits) <= _DIGITS_MAX:
        value = int(digits)
        if low <= value <= high:
            return value
    raise NumericOutOfRange(f'value "{text}" is out of range for type {type_name}')


def parse_int2(text: str) -> int:
    return parse_integer(text, -0x8000, 0x7FFF, "smallint")


def parse_int4(text: str) -> int:
    if len(text) < 10 and text.isascii() and text.isdigit():
        return int(text)
    return parse_integer(text, -0x80000000, 0x7FFFFFFF, "integer")


def parse_int8(text: str) -> int:
    if len(text) < 19 and text.isascii() and text.isdigit():
        return int(text)
    return parse_integer(text, -0x8000000000000000, 0x7FFFFFFFFFFFFFFF, "bigint")


def parse_oid(text: str) -> int:
    """Negative numbers wrap around, as in PostgreSQL."""
    return parse_integer(text, -0x80000000, 0xFFFFFFFF, "oid") & 0xFFFFFFFF


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
    if isinstance(value, str) and _INTEGER.fullmatch(value):
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

_ESCAPED: Final = re.compile(r"\\(\\|[0-3][0-7]{2})", re.ASCII)
_HEX_DIGITS: Final = frozenset("0123456789abcdefABCDEF")


def parse_bytea(text: str) -> bytes:
    if text.startswith("\\x"):
        try:
            return bytes.fromhex(text[2:])
        except ValueError:
            for character in text[2:]:
                if character not in _HEX_DIGITS and character not in " \t\n\r":
                    raise InvalidParameterValue(f'invalid hexadecimal digit: "{character}"') from None
            raise InvalidParameterValue("invalid hexadecimal data: odd number of digits") from None
    if "\\" not in text:
        return text.encode()
    if "\\" in _ESCAPED.sub("", text):
        raise InvalidText("invalid input syntax for type bytea")
    pieces: list[bytes] = []
    position = 0
    for match in _ESCAPED.finditer(text):
        pieces.append(text[position : match.start()].encode())
        code = match[1]
        pieces.append(b"\\" if code == "\\" else bytes((int(code, 8),)))
        position = match.end()
    pieces.append(text[position:].encode())
    return b"".join(pieces)


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

_UUID: Final = re.compile(r"\{?(?:[0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4}\}?", re.ASCII)


def _hyphenated(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def parse_uuid(text: str) -> str:
    """PostgreSQL takes upper case, braces, and hyphens after any group of four digits, or none."""
    if not _UUID.fullmatch(text) or (text[0] == "{") != (text[-1] == "}"):
        raise bad_literal("uuid", text)
    return _hyphenated(text.strip("{}").replace("-", "").lower())


def receive_uuid(data: bytes) -> str:
    return _hyphenated(exact(data, 16).hex())


def print_uuid(value: Value) -> bytes:
    return (receive_uuid(value) if isinstance(value, bytes) else as_text(value)).encode()


def send_uuid(value: Value) -> bytes:
    if isinstance(value, bytes):
        return exact(value, 16)
    return bytes.fromhex(parse_uuid(as_text(value)).replace("-", ""))
