"""float4 and float8: from literals to numbers.  A literal that no float can tell from infinity or zero is refused."""

from __future__ import annotations

import math
import re
from struct import Struct
from typing import Final

from lfsql.errors import NumericOutOfRange
from lfsql.values.literals import SPACES, bad_literal

_FLOAT4: Final = Struct(">f")

_FLOAT: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_HEX_FLOAT: Final = re.compile(r"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)(?:[pP][+-]?[0-9]+)?")
_FLOAT_NAMES: Final[dict[str, float]] = {
    "nan": math.nan,
    **{sign + name: value for name in ("infinity", "inf") for sign, value in (("", math.inf), ("+", math.inf))},
    **{"-" + name: -math.inf for name in ("infinity", "inf")},
}


def storable(value: float) -> float | str:
    """The number as SQLite can hold it: of a NaN it would make NULL."""
    return value if value == value else "NaN"


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
