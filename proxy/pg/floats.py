"""float4 and float8, printed digit for digit as PostgreSQL 15 prints them.

Both print the shortest decimal that reads back as the same number, but Python's repr differs in three corners: it
turns to an exponent at 1e16 where PostgreSQL does at 1e15 (1e6 for float4), it writes 1.0 for 1, and it accepts a
decimal exactly between two floats, which PostgreSQL does not.

SQLite stores a float NaN as NULL.  So NaN is stored as the text 'NaN', which a REAL column keeps as it is, and which
sorts after every number, as PostgreSQL's does.  Arithmetic on it inside SQLite takes it for 0.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from struct import Struct
from typing import Final

from lfsql.errors import NumericOutOfRange
from lfsql.values.floats import parse_float8
from proxy.pg.literals import exact, not_a
from proxy.pg.settings import Value

_UNSIGNED4: Final = Struct(">I")
_FLOAT4: Final = Struct(">f")
_FLOAT8: Final = Struct(">d")


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
            # Below a power of two the neighbour is nearer than above: rounding up may do where to nearest fails.
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
