"""numeric: from literals to the decimal text SQLite holds.

The stored text is canonical: optional '-', at least one digit before the point, as many after it as the value's
scale (12.50 keeps its zero), never a sign on zero, or NaN, Infinity, -Infinity.  Work is done on the digits
themselves: Python limits int's conversion to 4300 digits and PostgreSQL allows 131072.
"""

from __future__ import annotations

import re
from typing import Final

from lfsql.errors import NumericOutOfRange
from lfsql.values.literals import SPACES, bad_literal

WHOLE_DIGITS_MAX: Final = 131072
SCALE_MAX: Final = 16383
ZEROS_MAX: Final = 1000
"""Zeros that an exponent, or the weight of a binary value, may add.  PostgreSQL has no such limit: it keeps 1e131071
in ten bytes.  We keep its text, and a few bytes of a client's must not become a hundred thousand of ours."""

_NUMBER: Final = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?", re.ASCII)
_CANONICAL: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)
_NAMED: Final = {
    "nan": "NaN",
    "infinity": "Infinity",
    "+infinity": "Infinity",
    "-infinity": "-Infinity",
    "inf": "Infinity",
    "+inf": "Infinity",
    "-inf": "-Infinity",
}
ZEROS_HINT: Final = f"An exponent may add {ZEROS_MAX} zeros to the digits given."


def _overflow() -> NumericOutOfRange:
    return NumericOutOfRange("value overflows numeric format")


def assemble(sign: str, whole: str, fraction: str) -> str:
    whole = whole.lstrip("0") or "0"
    if len(whole) > WHOLE_DIGITS_MAX or len(fraction) > SCALE_MAX:
        raise _overflow()
    number = f"{whole}.{fraction}" if fraction else whole
    return "-" + number if sign == "-" and number.strip("0.") else number


def parse_numeric(text: str) -> str:
    if len(text) < 40 and _CANONICAL.fullmatch(text) and (text[0] != "-" or text.strip("-0.")):
        return text
    stripped = text.strip(SPACES)
    match = _NUMBER.fullmatch(stripped)
    if match is None or not (match[2] or match[3]):
        named = _NAMED.get(stripped.lower())
        if named is None:
            raise bad_literal("numeric", text)
        return named
    sign, whole, fraction, exponent_text = match[1], match[2], match[3] or "", match[4]
    if not exponent_text:
        return assemble(sign, whole, fraction)
    if len(exponent_text.lstrip("+-0")) > 9:
        raise _overflow()
    exponent = int(exponent_text)
    if abs(exponent) > ZEROS_MAX + len(whole) + len(fraction):
        raise NumericOutOfRange("value overflows numeric format", hint=ZEROS_HINT)
    if exponent >= 0:
        if not (whole + fraction).strip("0"):
            whole, exponent = "0", min(exponent, len(fraction))
        moved = fraction[:exponent].ljust(exponent, "0")
        return assemble(sign, whole + moved, fraction[exponent:])
    padded = whole.rjust(-exponent, "0")
    return assemble(sign, padded[:exponent], padded[exponent:] + fraction)
