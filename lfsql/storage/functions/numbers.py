"""Integers and floats: PostgreSQL's range checks, conversions, division, and the text of a float."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal
from operator import neg
from typing import Any, Final

from lfsql.errors import (
    DivisionByZero,
    InvalidLimit,
    InvalidOffset,
    LogarithmError,
    NotNullViolation,
    NumericOutOfRange,
    PowerError,
    WidthBucketError,
)
from lfsql.storage.functions import decimals
from lfsql.values.floats import parse_float8, storable
from lfsql.values.scalars import parse_bool, parse_int2, parse_int4, parse_int8, parse_oid

_LIMITS: Final = {2: (-(2**15), 2**15 - 1), 4: (-(2**31), 2**31 - 1), 8: (-(2**63), 2**63 - 1), 0: (0, 2**32 - 1)}
_NAMES: Final = {2: "smallint", 4: "integer", 8: "bigint", 0: "OID"}
_SIGNIFICANT: Final = {
    6: Context(prec=6, rounding="ROUND_HALF_EVEN"),
    15: Context(prec=15, rounding="ROUND_HALF_EVEN"),
}


def in_range(value: Any, width: int) -> int:
    """`value` when it is an integer of `width` bytes.  A float is SQLite's sign of an overflow of 64 bits."""
    low, high = _LIMITS[width]
    if isinstance(value, float) or not low <= value <= high:
        raise NumericOutOfRange(f"{_NAMES[width]} out of range")
    return int(value)


def from_float(value: float, width: int) -> int:
    if math.isnan(value) or math.isinf(value):
        raise NumericOutOfRange(f"{_NAMES[width]} out of range")
    return in_range(round(value), width)


def from_numeric(value: Any, width: int) -> int:
    parsed = decimals.number(value)
    if not parsed.is_finite():
        kind = "NaN" if parsed.is_nan() else "infinity"
        raise NumericOutOfRange(f"cannot convert {kind} to {_NAMES[width]}")
    return in_range(int(parsed.quantize(Decimal(1), rounding=ROUND_HALF_UP, context=decimals.EXACT)), width)


def numeric_to_float(value: Any) -> float | str:
    result = float(decimals.number(value))
    if math.isinf(result) and "nf" not in str(value):
        raise NumericOutOfRange(f'"{value}" is out of range for type double precision')
    return storable(result)


def float_to_numeric(value: float, digits: int) -> str:
    """A float's first 15 (float4: 6) significant digits, as PostgreSQL converts it."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return decimals.text(Decimal(f"{value:.{digits}g}")) if value else "0"


def stored_float4(value: float | str) -> float | str:
    """A column's value rounded to single precision; NaN is stored as text and stays it."""
    return value if isinstance(value, str) else as_float4(value)


def as_float4(value: float) -> float:
    if math.isinf(value) or math.isnan(value):
        return value
    try:
        result: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        raise NumericOutOfRange("value out of range: overflow") from None
    if result == 0 and value != 0:
        raise NumericOutOfRange("value out of range: underflow")
    return result


def _placed(digits: str, exponent: int, exponent_max: int) -> str:
    if -5 < exponent < exponent_max:
        if exponent < 0:
            return f"0.{'0' * (-exponent - 1)}{digits}"
        whole = digits[: exponent + 1].ljust(exponent + 1, "0")
        rest = digits[exponent + 1 :]
        return f"{whole}.{rest}" if rest else whole
    mantissa = f"{digits[0]}.{digits[1:]}" if len(digits) > 1 else digits
    return f"{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _float_text(value: float, shortest: str, exponent_max: int) -> str:
    mantissa, _, exponent = shortest.lower().partition("e")
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    place = len(whole) - 1 + int(exponent or 0)
    if whole == "0" or not whole.strip("0"):
        place = -(len(fraction) - len(fraction.lstrip("0"))) - 1 + int(exponent or 0)
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    return sign + _placed(digits.rstrip("0") or "0", place, exponent_max)


def _unusual(value: float) -> str | None:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "-0" if math.copysign(1.0, value) < 0 else "0"
    return None


def float8_text(value: float) -> str:
    value = float(value)
    return _unusual(value) or _float_text(value, repr(value), 15)


def float4_text(value: float) -> str:
    value = as_float4(float(value))
    unusual = _unusual(value)
    if unusual is not None:
        return unusual
    shortest = next(text for text in (f"{value:.{digits}e}" for digits in range(9)) if _nearest4(text) == value)
    return _float_text(value, shortest, 6)


def _nearest4(text: str) -> float:
    """The float4 a text reads as; infinity for what is just above the largest."""
    try:
        return as_float4(float(text))
    except NumericOutOfRange:
        return math.inf


_INTEGER_READERS: Final = {2: parse_int2, 4: parse_int4, 8: parse_int8, 0: parse_oid}


def read_integer(source: str, width: int) -> int:
    return _INTEGER_READERS[width](source)


def division_by_zero(*dividend: Any) -> Any:
    """Not called when the dividend is NULL; views and checks of old have a call without one."""
    raise DivisionByZero("division by zero")


def quotient(a: int, b: int) -> int | float:
    """Integer division, cut towards zero.  -2^63 / -1 comes out as a float, for the range check to find."""
    if b == 0:
        raise DivisionByZero("division by zero")
    result = abs(a) // abs(b)
    result = result if (a < 0) == (b < 0) else -result
    return result if result < 2**63 else float(result)


def remainder(a: int, b: int) -> int:
    if b == 0:
        raise DivisionByZero("division by zero")
    result = abs(a) % abs(b)
    return -result if a < 0 else result


def _finite(result: float, *sources: float) -> float:
    if math.isinf(result) and not any(math.isinf(each) for each in sources):
        raise NumericOutOfRange("value out of range: overflow")
    return result


def float_divide(a: float, b: float) -> float:
    if b == 0:
        raise DivisionByZero("division by zero")
    result = float(a) / float(b)
    if result == 0 and a != 0 and not math.isinf(b):
        raise NumericOutOfRange("value out of range: underflow")
    return _finite(result, a)


def float_add(a: float, b: float) -> float:
    return _finite(float(a) + float(b), a, b)


def float_subtract(a: float, b: float) -> float:
    return _finite(float(a) - float(b), a, b)


def float_multiply(a: float, b: float) -> float:
    result = float(a) * float(b)
    if result == 0 and a != 0 and b != 0:
        raise NumericOutOfRange("value out of range: underflow")
    return _finite(result, a, b)


def float_total(total: float | None, low: float | str | None, high: float | str | None) -> float | str | None:
    """A sum or mean as PostgreSQL has it, of values between `low` and `high`; SQLite's is NULL for a NaN."""
    if low is None or high is None:
        return None
    if isinstance(high, str) or total is None:  # the text 'NaN' is above all numbers
        return "NaN"
    return _finite(total, high, float(low))


def float_power(a: float, b: float) -> float:
    if a == 0 and b < 0:
        raise PowerError("zero raised to a negative power is undefined")
    if a < 0 and b != int(b):
        raise PowerError("a negative number raised to a non-integer power yields a complex result")
    try:
        return math.pow(a, b)
    except OverflowError:
        raise NumericOutOfRange("value out of range: overflow") from None


def float_sqrt(a: float) -> float:
    if a < 0:
        raise PowerError("cannot take square root of a negative number")
    return math.sqrt(a)


def float_exp(a: float) -> float:
    try:
        return math.exp(a)
    except OverflowError:
        raise NumericOutOfRange("value out of range: overflow") from None


def _logarithm(function: Any) -> Any:
    def called(a: float) -> float:
        if a == 0:
            raise LogarithmError("cannot take logarithm of zero")
        if a < 0:
            raise LogarithmError("cannot take logarithm of a negative number")
        return float(function(a))

    return called


def shift(value: int, count: int, width: int) -> int:
    """`width` bits, negative to shift right; the count wraps as the hardware's does."""
    bits = abs(width)
    count &= 63 if bits == 64 else 31
    if width < 0:
        return value >> count
    raw = (value << count) & ((1 << bits) - 1)
    return raw - (1 << bits) if raw >> (bits - 1) else raw


def row_count(value: Any, default: int, clause: str) -> int:
    """LIMIT and OFFSET from an expression."""
    if value is None:
        return default
    if value < 0:
        raise (InvalidLimit if clause == "LIMIT" else InvalidOffset)(f"{clause} must not be negative")
    return int(value)


def width_bucket(value: float, low: float, high: float, count: int) -> int:
    if count <= 0:
        raise WidthBucketError("count must be greater than zero")
    if low == high:
        raise WidthBucketError("lower bound cannot equal upper bound")
    if low < high:
        return 0 if value < low else count + 1 if value >= high else int((value - low) / (high - low) * count) + 1
    return 0 if value > low else count + 1 if value <= high else int((low - value) / (low - high) * count) + 1


def _cube_root(value: float) -> float:
    root = math.copysign(abs(value) ** (1 / 3), value)
    nearest = float(round(root))
    return nearest if nearest**3 == value else root


def to_hex(value: int) -> str:
    if value >= 0:
        return f"{value:x}"
    return f"{value & 0xFFFFFFFF:x}" if value >= -(2**31) else f"{value & 0xFFFFFFFFFFFFFFFF:x}"


def null_key(table: str, column: str) -> int:
    """What stands in a NULL's place in an integer key, which SQLite would number."""
    raise NotNullViolation(
        f'null value in column "{column}" of relation "{table}" violates not-null constraint',
        schema="public",
        table=table,
        column=column,
    )


def _of_floats(function: Callable[..., Any]) -> Callable[..., Any]:
    """NaN is a text where it is stored, and NULL where SQLite is given the number."""

    def called(*values: Any) -> Any:
        return storable(function(*(math.nan if value == "NaN" else value for value in values)))

    return called


SCALARS: Final = {
    "lfsql_null_key": null_key,
    "lfsql_int2": lambda value: in_range(value, 2),
    "lfsql_int4": lambda value: in_range(value, 4),
    "lfsql_int8": lambda value: in_range(value, 8),
    "lfsql_oid": lambda value: in_range(value, 0),
    "lfsql_float_to_int": _of_floats(from_float),
    "lfsql_numeric_to_int": from_numeric,
    "lfsql_numeric_to_float": numeric_to_float,
    "lfsql_float_to_numeric": _of_floats(float_to_numeric),
    "lfsql_float4": stored_float4,
    "lfsql_float8_text": float8_text,
    "lfsql_float4_text": float4_text,
    "lfsql_text_to_int": read_integer,
    "lfsql_text_to_float8": lambda text: storable(parse_float8(text)),
    "lfsql_text_to_bool": parse_bool,
    "lfsql_division_by_zero": division_by_zero,
    "lfsql_quotient": quotient,
    "lfsql_remainder": remainder,
    "lfsql_float_abs": _of_floats(abs),
    "lfsql_float_add": _of_floats(float_add),
    "lfsql_float_subtract": _of_floats(float_subtract),
    "lfsql_float_multiply": _of_floats(float_multiply),
    "lfsql_float_divide": _of_floats(float_divide),
    "lfsql_float_negative": _of_floats(neg),
    "lfsql_float_power": _of_floats(float_power),
    "lfsql_float_sqrt": _of_floats(float_sqrt),
    "lfsql_float_cbrt": _of_floats(_cube_root),
    "lfsql_float_exp": _of_floats(float_exp),
    "lfsql_float_ln": _of_floats(_logarithm(math.log)),
    "lfsql_float_log10": _of_floats(_logarithm(math.log10)),
    "lfsql_float_round": _of_floats(lambda value: float(round(value)) if math.isfinite(value) else value),
    "lfsql_shift": shift,
    "gcd": math.gcd,
    "lcm": math.lcm,
    "width_bucket": width_bucket,
    "to_hex": to_hex,
}


def _extreme(choose: Any) -> Any:
    """Of values of one type; of floats, NaN is a text and the greatest."""

    def called(*values: Any) -> Any:
        known = [value for value in values if value is not None]
        return choose(known, key=lambda value: (isinstance(value, str), value)) if known else None

    return called


SCALARS_WITH_NULLS: Final = {
    "lfsql_greatest": _extreme(max),
    "lfsql_least": _extreme(min),
    "lfsql_float_total": float_total,
    "lfsql_row_count": row_count,
    "lfsql_num_nulls": lambda *values: sum(value is None for value in values),
    "lfsql_num_nonnulls": lambda *values: sum(value is not None for value in values),
}
