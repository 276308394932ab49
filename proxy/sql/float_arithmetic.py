"""Arithmetic of float4 and float8 with PostgreSQL's NaN, overflow and underflow.

SQLite has no NaN: a column keeps it as the text 'NaN', which SQLite's own operators take for 0, and what they would
make a NaN themselves (infinity minus infinity) they make NULL.  Nor do they tell a result that has become infinite or
zero.  So SQLite computes, and what only a function can judge goes to a function: in place where the operands can be
repeated in the text at no cost, which leaves ordinary numbers as fast as before; in whole for larger operands, as
their text would double with every operator.
"""

from __future__ import annotations

from typing import Final

from proxy.pg.oids import FLOAT4, FLOAT8, NUMERIC
from proxy.sql.casts import checked, coerce
from proxy.sql.infer import FLOATS
from proxy.sql.value import Analysis, Value

_FUNCTIONS: Final = {
    "+": "lfsql_float_add",
    "-": "lfsql_float_subtract",
    "*": "lfsql_float_multiply",
    "/": "lfsql_float_divide",
    "^": "lfsql_float_power",
}
_LARGEST: Final = "1.7976931348623157e308"
_SMALLEST: Final = "5e-324"


def arithmetic(analysis: Analysis, symbol: str, left: Value, right: Value, target: int) -> Value:
    sides = []
    for each in (left, right):
        if each.text is not None or each.parameter or each.oid == NUMERIC:
            each = coerce(analysis, each, target)
        sides.append(checked(each))
    one, other = sides
    called = f"{_FUNCTIONS[symbol]}({one.sql}, {other.sql})"
    if symbol == "^":
        return Value(called, FLOAT8)
    native = symbol in "+-*" and (one.oid in FLOATS or other.oid in FLOATS)
    sql = _in_place(symbol, one, other, called) if native and one.simple and other.simple else called
    return Value(f"lfsql_float4({sql})" if target == FLOAT4 else sql, target)


def _in_place(symbol: str, one: Value, other: Value, called: str) -> str:
    """NULLs, NaNs (texts are not less than '') and results out of the ordinary fail the test."""
    result = f"{one.sql} {symbol} {other.sql}"
    # What a product of numbers loses is told apart from a product with 0 by the function.
    ordinary = [f"abs({result}) {f'BETWEEN {_SMALLEST} AND' if symbol == '*' else '<='} {_LARGEST}"]
    ordinary += [f"{side.sql} < ''" for side in (one, other) if side.text is None and side.oid in FLOATS]
    return f"(CASE WHEN {' AND '.join(ordinary)} THEN {result} ELSE {called} END)"


def negative(value: Value) -> Value:
    if value.simple:
        return Value(f"iif({value.sql} < '', - {value.sql}, {value.sql})", value.oid)
    return Value(f"lfsql_float_negative({value.sql})", value.oid)


def aggregate(function: str, distinct: str, value: Value, order: str, suffix: str) -> str:
    """sum or avg.  SQLite counts a NaN as 0, and tells neither overflow nor the sum of both infinities."""
    seen = [f"{each}({value.sql}){suffix}" for each in ("min", "max")]
    return f"lfsql_float_total({function}({distinct}{value.sql}{order}){suffix}, {', '.join(seen)})"
