"""numeric: decimal text in SQLite (`lfsql.values.numeric`), digits in base 10000 on the wire."""

from __future__ import annotations

import struct
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_UP, Context, Decimal
from typing import Final

from lfsql.errors import InvalidBinary, NumericOutOfRange
from lfsql.values.numeric import SCALE_MAX, WHOLE_DIGITS_MAX, ZEROS_HINT, ZEROS_MAX, assemble, parse_numeric
from proxy.pg.floats import float8_text
from proxy.pg.literals import not_a
from proxy.pg.settings import Value

_SPECIAL: Final = frozenset(("NaN", "Infinity", "-Infinity"))
_EXACT: Final = Context(prec=WHOLE_DIGITS_MAX + SCALE_MAX + 2, Emax=MAX_EMAX, Emin=MIN_EMIN, rounding=ROUND_HALF_UP)

_POSITIVE: Final = 0x0000
_NEGATIVE: Final = 0x4000
_NAN: Final = 0xC000
_INFINITY: Final = 0xD000
_MINUS_INFINITY: Final = 0xF000


def numeric_typmod(precision: int, scale: int = 0) -> int:
    """The typmod of numeric(precision, scale)."""
    return (precision << 16 | scale & 0x7FF) + 4


def precision_and_scale(typmod: int) -> tuple[int, int]:
    scale = (typmod - 4) & 0x7FF
    return (typmod - 4) >> 16 & 0xFFFF, scale - 0x800 if scale >= 0x400 else scale


def coerce_numeric(text: str, typmod: int) -> str:
    """Round canonical `text` to the scale of `typmod`, half away from zero.  Raises NumericOutOfRange."""
    if typmod < 4 or text == "NaN":
        return text
    precision, scale = precision_and_scale(typmod)
    if text in _SPECIAL:
        raise NumericOutOfRange(
            "numeric field overflow",
            detail=f"A field with precision {precision}, scale {scale} cannot hold an infinite value.",
        )
    whole, _, fraction = text.lstrip("-").partition(".")
    if scale < 0 or len(fraction) > scale:
        rounded = _EXACT.quantize(Decimal(text), Decimal((0, (1,), -scale)))
        rounded_text = format(rounded, "f")
        sign = "-" if rounded_text[0] == "-" else ""
        whole, _, fraction = rounded_text.lstrip("-").partition(".")
    else:
        sign = "-" if text[0] == "-" else ""
        fraction = fraction.ljust(scale, "0")
    digits = whole.lstrip("0")
    if (digits and len(digits) > precision - scale) or (
        not digits and fraction.strip("0") and -(len(fraction) - len(fraction.lstrip("0"))) > precision - scale
    ):
        bound = f"10^{precision - scale}" if precision - scale else "1"
        raise NumericOutOfRange(
            "numeric field overflow",
            detail=f"A field with precision {precision}, scale {scale} must round to an absolute value less than"
            f" {bound}.",
        )
    return assemble(sign, whole, fraction)


def as_numeric(value: Value) -> str:
    """Canonical text of what SQLite holds in a numeric column, or an expression made of one."""
    if isinstance(value, str):
        return parse_numeric(value)
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return parse_numeric(float8_text(value))
    raise not_a("numeric", value)


def print_numeric(value: Value) -> bytes:
    if isinstance(value, str):
        return value.encode()
    return as_numeric(value).encode()


def send_numeric(value: Value) -> bytes:
    text = as_numeric(value)
    if text in _SPECIAL:
        sign = _NAN if text == "NaN" else _INFINITY if text == "Infinity" else _MINUS_INFINITY
        # PostgreSQL's own scale field for infinities is 0x20; NaN's is 0.
        return struct.pack(">hhHH", 0, 0, sign, 0 if sign == _NAN else 0x20)
    sign = _POSITIVE
    if text[0] == "-":
        sign = _NEGATIVE
        text = text[1:]
    whole, _, fraction = text.partition(".")
    scale = len(fraction)
    digits = whole.rjust(-(-len(whole) // 4) * 4, "0") + fraction.ljust(-(-scale // 4) * 4, "0")
    groups = [int(digits[place : place + 4]) for place in range(0, len(digits), 4)]
    weight = -(-len(whole) // 4) - 1
    first = 0
    while first < len(groups) and not groups[first]:
        first += 1
    last = len(groups)
    while last > first and not groups[last - 1]:
        last -= 1
    groups = groups[first:last]
    weight = weight - first if groups else 0
    return struct.pack(f">hhHH{len(groups)}H", len(groups), weight, sign, scale, *groups)


def receive_numeric(data: bytes) -> str:
    if len(data) < 8:
        raise InvalidBinary("insufficient data left in message")
    count, weight, sign, scale = struct.unpack_from(">HhHH", data)
    if len(data) != 8 + 2 * count:
        raise InvalidBinary(
            "insufficient data left in message" if len(data) < 8 + 2 * count else "incorrect binary data format"
        )
    if sign in (_NAN, _INFINITY, _MINUS_INFINITY):
        return "NaN" if sign == _NAN else "Infinity" if sign == _INFINITY else "-Infinity"
    if sign not in (_POSITIVE, _NEGATIVE):
        raise InvalidBinary('invalid sign in external "numeric" value')
    if scale > SCALE_MAX:
        raise InvalidBinary('invalid scale in external "numeric" value')
    groups = struct.unpack_from(f">{count}H", data, 8)
    if any(group > 9999 for group in groups):
        raise InvalidBinary('invalid digit in external "numeric" value')
    digits = "".join([f"{group:04d}" for group in groups])
    point = (weight + 1) * 4
    if max(abs(point), scale) > ZEROS_MAX + len(digits):
        raise NumericOutOfRange("value overflows numeric format", hint=ZEROS_HINT)
    if point <= 0:
        whole, fraction = "0", "0" * -point + digits
    else:
        whole, fraction = digits[:point].ljust(point, "0"), digits[point:]
    return assemble("-" if sign == _NEGATIVE else "", whole, fraction[:scale].ljust(scale, "0"))
