"""bool, the integers, floats, text kinds, bytea, uuid: literals and wire forms to and from SQLite's values.

In every module of types, `parse_*` reads a literal, `receive_*` a binary value, `print_*` writes text format and
`send_*` binary format.  Reading is as lenient as PostgreSQL's own input functions, and refuses with its words, as
programs match on them.  Writing is lenient about what SQLite holds: an expression may yield 3.0 where the type says
integer, and only a value that cannot be what its column says is an error.

A float NaN is stored by SQLite as NULL; there is no way around it, so NaN in a float column comes back as NULL.
"""

from __future__ import annotations

import math
import re
import struct
from decimal import Decimal
from fractions import Fraction
from struct import Struct
from typing import Final

from lfsql.errors import (
    DatatypeMismatch,
    InvalidBinary,
    InvalidEncoding,
    InvalidParameterValue,
    InvalidText,
    NumericOutOfRange,
    StringTooLong,
)
from proxy.pg.settings import Value
from proxy.pg.text import decode_utf8

SPACES: Final = " \t\n\r\v\f"
"""What PostgreSQL skips around most literals."""

_INT2: Final = Struct(">h")
_INT4: Final = Struct(">i")
_INT8: Final = Struct(">q")
_UNSIGNED4: Final = Struct(">I")
_FLOAT4: Final = Struct(">f")
_FLOAT8: Final = Struct(">d")


def bad_literal(type_name: str, text: str) -> InvalidText:
    return InvalidText(f'invalid input syntax for type {type_name}: "{text}"')


def not_a(type_name: str, value: Value) -> DatatypeMismatch:
    """A stored value that its column's type cannot hold, e.g. from a file made by another program."""
    shown = repr(value) if not isinstance(value, str | bytes) else repr(value[:40])
    return DatatypeMismatch(f"stored value {shown} is not of type {type_name}")


def exact(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise InvalidBinary(f"incorrect binary data format: {len(data)} bytes, expected {size}")
    return data


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
    return parse_integer(text, -0x80000000, 0x7FFFFFFF, "integer")


def parse_int8(text: str) -> int:
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


# -- floats ------------------------------------------------------------------------------------------------

_FLOAT: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_HEX_FLOAT: Final = re.compile(r"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)(?:[pP][+-]?[0-9]+)?")
_FLOAT_NAMES: Final[dict[str, float]] = {
    "nan": math.nan,
    **{sign + name: value for name in ("infinity", "inf") for sign, value in (("", math.inf), ("+", math.inf))},
    **{"-" + name: -math.inf for name in ("infinity", "inf")},
}


def parse_float8(text: str, type_name: str = "double precision") -> float:
    stripped = text.strip(SPACES)
    if _FLOAT.fullmatch(stripped):
        value = float(stripped)
        # "1e400" and "1e-400" are numbers, but none a double can tell from infinity and zero.
        if math.isinf(value) or (value == 0 and stripped.lower().partition("e")[0].strip("+-0.")):
            raise NumericOutOfRange(f'"{stripped}" is out of range for type {type_name}')
        return value
    named = _FLOAT_NAMES.get(stripped.lower())
    if named is not None:
        return named
    if _HEX_FLOAT.fullmatch(stripped):  # strtod takes these, so PostgreSQL does
        try:
            return float.fromhex(stripped)
        except OverflowError:
            raise NumericOutOfRange(f'"{stripped}" is out of range for type {type_name}') from None
    raise bad_literal(type_name, text)


def _round_float4(value: float) -> float:
    """The nearest single precision number.  Raises OverflowError beyond its range."""
    return float(_FLOAT4.unpack(_FLOAT4.pack(value))[0])


def parse_float4(text: str) -> float:
    try:
        value = parse_float8(text, "real")
        rounded = _round_float4(value)
    except OverflowError:
        rounded = 0.0
        value = 1.0
    if rounded == 0 and value != 0:
        raise NumericOutOfRange(f'"{text.strip(SPACES)}" is out of range for type real')
    return rounded


def receive_float4(data: bytes) -> float:
    return float(_FLOAT4.unpack(exact(data, 4))[0])


def receive_float8(data: bytes) -> float:
    return float(_FLOAT8.unpack(exact(data, 8))[0])


def as_float(value: Value, type_name: str = "double precision") -> float:
    if isinstance(value, float):
        return value
    if isinstance(value, int):
        return float(value)
    if isinstance(value, str):
        return parse_float8(value, type_name)
    raise not_a(type_name, value)


def _not_finite(value: float) -> str:
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def _place_digits(shortest: str, exponent_max: int) -> str:
    """A number in Python's %e form to PostgreSQL's choice between plain and scientific."""
    mantissa, _, exponent_text = shortest.partition("e")
    exponent = int(exponent_text)
    sign = "-" if mantissa[0] == "-" else ""
    digits = mantissa.lstrip("-").replace(".", "").rstrip("0") or "0"
    if not -5 < exponent < exponent_max:
        point = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{point}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    fraction = digits[exponent + 1 :]
    return f"{sign}{whole}.{fraction}" if fraction else sign + whole


_EXACT_INTEGERS: Final = 2.0**53


def _is_midpoint(value: float, shortest: int) -> bool:
    """Whether `shortest` lies exactly between `value` and a neighbour.  Reading rounds it to the even one, so Python
    takes it for a text of `value`; PostgreSQL does not, in case the reader rounds otherwise."""
    neighbour = 2 * shortest - int(value)
    outward = math.nextafter(value, math.copysign(math.inf, value))
    return neighbour == int(math.nextafter(value, 0.0)) or (math.isfinite(outward) and neighbour == int(outward))


def float8_text(value: float) -> str:
    """The shortest text that reads back as the same double, laid out as PostgreSQL does: 1e+20, 1e-05, 0.0001, 1."""
    if not math.isfinite(value):
        return _not_finite(value)
    text = repr(value)
    if text.endswith(".0"):
        text = text[:-2]
    if abs(value) >= _EXACT_INTEGERS and _is_midpoint(value, int(Decimal(text))):
        mantissa = text.lstrip("-").partition("e")[0].replace(".", "").rstrip("0")
        for places in range(len(mantissa), 17):
            longer = f"{value:.{places}e}"
            if float(longer) == value and not _is_midpoint(value, int(Decimal(longer))):
                return _place_digits(longer, 15)
    # Python turns to the exponent at 1e16, PostgreSQL at 1e15.
    if 1e15 <= abs(value) < 1e16:
        digits = text.lstrip("-").replace(".", "")
        return _place_digits(f"{'-' if value < 0 else ''}{digits[0]}.{digits[1:]}e15", 15)
    return text


def _is_midpoint4(shortest: str, target: bytes) -> bool:
    """The same for single precision, where midpoints are exact doubles."""
    bits = _UNSIGNED4.unpack(target)[0]
    single = _FLOAT4.unpack(target)[0]
    neighbour = 2 * float(shortest) - single
    for step in (-1, 1):
        if bits & 0x7FFFFFFF and neighbour == _FLOAT4.unpack(_UNSIGNED4.pack(bits + step))[0]:
            return Fraction(shortest) * 2 == Fraction(single) + Fraction(neighbour)
    return False


def float4_text(value: float) -> str:
    """The same for single precision: PostgreSQL turns to the exponent at 1e6."""
    if not math.isfinite(value):
        return _not_finite(value)
    try:
        target = _FLOAT4.pack(value)
    except OverflowError:
        return "Infinity" if value > 0 else "-Infinity"
    single = _FLOAT4.unpack(target)[0]
    # Six digits identify every normal number that has so few; only subnormals may need fewer.
    for places in range(5 if abs(single) >= 1.1754944e-38 else 0, 9):
        shortest = f"{single:.{places}e}"
        if _FLOAT4.pack(float(shortest)) == target and not _is_midpoint4(shortest, target):
            return _place_digits(shortest, 6)
        if _UNSIGNED4.unpack(target)[0] & 0x7FFFFF == 0:
            # Below a power of two its neighbours are nearer than above: rounding up may succeed where to nearest fails.
            exponent = shortest.partition("e")[2]
            step = Decimal(1).scaleb(int(exponent) - places)
            upward = f"{Decimal(shortest) + step.copy_sign(Decimal(shortest)):.{places}e}"
            if _FLOAT4.pack(float(upward)) == target:
                return _place_digits(upward, 6)
    raise AssertionError("nine digits identify every single")


def print_float8(value: Value, extra_float_digits: int = 1) -> bytes:
    number = as_float(value)
    if extra_float_digits > 0 or not math.isfinite(number):
        return float8_text(number).encode()
    return f"{number:.{max(15 + extra_float_digits, 1)}g}".encode()


def print_float4(value: Value, extra_float_digits: int = 1) -> bytes:
    number = as_float(value, "real")
    if extra_float_digits > 0 or not math.isfinite(number):
        return float4_text(number).encode()
    return f"{number:.{max(6 + extra_float_digits, 1)}g}".encode()


def send_float8(value: Value) -> bytes:
    return _FLOAT8.pack(as_float(value))


def send_float4(value: Value) -> bytes:
    try:
        return _FLOAT4.pack(as_float(value, "real"))
    except OverflowError:
        raise NumericOutOfRange("value out of range: overflow") from None


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
