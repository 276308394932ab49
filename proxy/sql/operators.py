"""PostgreSQL's operators on typed values: which one an expression means, its result type, its SQLite text.

pg_operator has 800 rows, but their rules are few: numbers climb a tower, dates and intervals add as below, the
rest compares with its own kind.  An open operand ("unknown") takes its partner's type.  Comparison of numerics
goes through the collation `lfsql_numeric` and of intervals through a key, because their texts do not sort.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lfsql.errors import AmbiguousFunction, IndeterminateType, UndefinedFunction
from proxy.pg import oids
from proxy.pg.oids import (
    BOOL,
    BYTEA,
    DATE,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    JSON,
    JSONB,
    NUMERIC,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    TIMETZ,
    UNKNOWN,
    VARCHAR,
)
from proxy.sql import float_arithmetic
from proxy.sql.casts import checked, coerce, settled, to_text
from proxy.sql.infer import (
    FLOATS,
    INTEGERS,
    MOMENTS,
    NUMBERS,
    STRINGS,
    castable,
    category,
    number_type,
    spelled,
)
from proxy.sql.quoting import string
from proxy.sql.value import Analysis, Value, balanced

COMPARISONS: Final = frozenset(("=", "<>", "<", "<=", ">", ">="))
ARITHMETIC: Final = frozenset(("+", "-", "*", "/", "%", "^"))
_NUMERIC_NAMES: Final = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "modulo", "^": "power"}
_NO_EQUALITY: Final = frozenset((JSON,))
VECTORS: Final = {oids.INT2VECTOR: INT2, oids.OIDVECTOR: oids.OID}
"""The catalogs' array types that are none of pg_type's array types."""

_MOMENT_RESULTS: Final[dict[tuple[str, int, int], int]] = {
    ("+", DATE, INT4): DATE,
    ("-", DATE, INT4): DATE,
    ("-", DATE, DATE): INT4,
    ("+", DATE, INTERVAL): TIMESTAMP,
    ("-", DATE, INTERVAL): TIMESTAMP,
    ("+", DATE, TIME): TIMESTAMP,
    ("+", TIMESTAMP, INTERVAL): TIMESTAMP,
    ("-", TIMESTAMP, INTERVAL): TIMESTAMP,
    ("-", TIMESTAMP, TIMESTAMP): INTERVAL,
    ("+", TIMESTAMPTZ, INTERVAL): TIMESTAMPTZ,
    ("-", TIMESTAMPTZ, INTERVAL): TIMESTAMPTZ,
    ("-", TIMESTAMPTZ, TIMESTAMPTZ): INTERVAL,
    ("+", TIME, INTERVAL): TIME,
    ("-", TIME, INTERVAL): TIME,
    ("-", TIME, TIME): INTERVAL,
    ("+", INTERVAL, INTERVAL): INTERVAL,
    ("-", INTERVAL, INTERVAL): INTERVAL,
    ("*", INTERVAL, FLOAT8): INTERVAL,
    ("/", INTERVAL, FLOAT8): INTERVAL,
}


def missing(symbol: str, left: int | None, right: int) -> UndefinedFunction:
    shown = " ".join(part for part in (spelled(left) if left is not None else "", symbol, spelled(right)) if part)
    return UndefinedFunction(
        f"operator does not exist: {shown}",
        hint="No operator matches the given name and argument types. You might need to add explicit type casts.",
    )


def sort_key(value: Value) -> str:
    """SQLite text that orders, groups and compares as PostgreSQL does."""
    if value.oid == NUMERIC:
        return f"{value.sql} COLLATE lfsql_numeric"
    if value.oid in (INTERVAL, TIMETZ):
        return f"lfsql_{oids.NAMES[value.oid]}_key({value.sql})"
    if value.oid == JSONB:
        return f"lfsql_jsonb_key({value.sql})"
    return value.sql


def equality_key(value: Value) -> str:
    """The same, where only equality matters."""
    return value.sql if value.oid == JSONB else sort_key(value)


def equality_member(value: Value) -> str:
    """The right side of a comparison, whose left side carries the collation."""
    return value.sql if value.oid == NUMERIC else equality_key(value)


def order_member(value: Value) -> str:
    return value.sql if value.oid == NUMERIC else sort_key(value)


def untyped_array() -> IndeterminateType:
    return IndeterminateType(
        "cannot determine type of empty array",
        hint="Explicitly cast to the desired type, for example ARRAY[]::integer[].",
    )


def comparable(analysis: Analysis, symbol: str, left: Value, right: Value) -> tuple[Value, Value]:
    """Both sides in one type.  Raises UndefinedFunction."""
    target = comparison_type(symbol, left, right)
    sides = []
    for each in (left, right):
        native = target in FLOATS and each.oid in (INT2, INT4, INT8) and not each.parameter
        sides.append(each if native else coerce(analysis, each, target))
    return sides[0], sides[1]


def comparison_type(symbol: str, left: Value, right: Value) -> int:
    if left.unknown and right.unknown:
        return TEXT
    if left.unknown or right.unknown:
        target = right.oid if left.unknown else left.oid
        # varchar has no operators of its own: what stands beside one is text.
        target = TEXT if target == VARCHAR else target
    elif left.oid in NUMBERS and right.oid in NUMBERS:
        target = number_type(left.oid, right.oid)
    elif castable(left.oid, right.oid, "implicit"):
        target = right.oid
    elif castable(right.oid, left.oid, "implicit"):
        target = left.oid
    elif castable(left.oid, TEXT, "implicit") and castable(right.oid, TEXT, "implicit"):
        target = TEXT  # "char" beside varchar: neither becomes the other
    else:
        raise missing(symbol, left.oid, right.oid)
    if target in _NO_EQUALITY:
        raise missing(symbol, left.oid, right.oid)
    if left.oid in STRINGS and right.oid in STRINGS and left.oid != right.oid:
        return TEXT
    return target


def compare(analysis: Analysis, symbol: str, left: Value, right: Value) -> Value:
    left, right = comparable(analysis, symbol, left, right)
    one, other = _keys(symbol, left, right)
    return Value(f"({one} {symbol} {other})", BOOL)


def _keys(symbol: str, left: Value, right: Value) -> tuple[str, str]:
    if symbol in ("=", "<>"):
        return equality_key(left), equality_member(right)
    return sort_key(left), order_member(right)


def distinct_from(analysis: Analysis, left: Value, right: Value, negate: bool) -> Value:
    if left.null or right.null:
        other = settled(analysis, right if left.null else left)
        return Value(f"({other.sql} IS {'' if negate else 'NOT '}NULL)", BOOL, not_null=True)
    left, right = comparable(analysis, "=", left, right)
    one, other_sql = _keys("=", left, right)
    return Value(f"({one} IS {'' if negate else 'NOT '}{other_sql})", BOOL, not_null=True)


def arithmetic(analysis: Analysis, symbol: str, left: Value, right: Value) -> Value:
    """+ - * / % ^ for every pair of types that has them.  Raises UndefinedFunction or DivisionByZero."""
    left, right = _open_operands(analysis, symbol, left, right)
    if left.oid in NUMBERS and right.oid in NUMBERS:
        return _numbers(analysis, symbol, left, right)
    if symbol == "-" and left.oid == JSONB:
        return _json_minus(analysis, left, right)
    return _moments(analysis, symbol, left, right)


def _ambiguous(shown: str) -> AmbiguousFunction:
    return AmbiguousFunction(
        f"operator is not unique: {shown}",
        hint="Could not choose a best candidate operator. You might need to add explicit type casts.",
    )


def _open_operands(analysis: Analysis, symbol: str, left: Value, right: Value) -> tuple[Value, Value]:
    if left.unknown and right.unknown:
        raise _ambiguous(f"unknown {symbol} unknown")
    if right.unknown:
        return left, coerce(analysis, right, _partner(symbol, left.oid, right=True))
    if left.unknown:
        return coerce(analysis, left, _partner(symbol, right.oid, right=False)), right
    return left, right


def _partner(symbol: str, known: int, *, right: bool) -> int:
    """The type of an open operand beside one of type `known`."""
    if symbol == "^":
        return NUMERIC if known == NUMERIC else FLOAT8
    if known in (TIMESTAMP, TIMESTAMPTZ, TIME):
        return INTERVAL if symbol == "+" else known
    if known == DATE:
        if symbol == "+":
            raise _ambiguous("date + unknown" if right else "unknown + date")
        return DATE
    if known == INTERVAL:
        return FLOAT8 if symbol in ("*", "/") else INTERVAL if right or symbol == "+" else TIMESTAMPTZ
    if known == JSONB:
        return TEXT
    return known


def _numbers(analysis: Analysis, symbol: str, left: Value, right: Value) -> Value:
    if symbol == "^":
        target = NUMERIC if NUMERIC in (left.oid, right.oid) and not {left.oid, right.oid} & FLOATS else FLOAT8
    else:
        target = number_type(left.oid, right.oid)
    if symbol == "%" and target in FLOATS:
        raise missing(symbol, left.oid, right.oid)
    if target == NUMERIC:
        one, other = coerce(analysis, left, NUMERIC), coerce(analysis, right, NUMERIC)
        return Value(f"lfsql_numeric_{_NUMERIC_NAMES[symbol]}({one.sql}, {other.sql})", NUMERIC)
    if target in FLOATS:
        return float_arithmetic.arithmetic(analysis, symbol, left, right, target)
    if left.text is not None or left.parameter:
        left = coerce(analysis, left, left.oid)
    if right.text is not None or right.parameter:
        right = coerce(analysis, right, right.oid)
    if symbol in ("/", "%"):
        return _integer_division(symbol, left, right, target)
    return Value(f"({left.sql} {symbol} {right.sql})", target, unchecked=True)


def _integer_division(symbol: str, left: Value, right: Value, target: int) -> Value:
    left, right = checked(left), checked(right)
    if right.text is not None and int(right.text) != 0:
        return Value(f"({left.sql} {symbol} {right.sql})", target, unchecked=symbol == "/" and right.text == "-1")
    if right.simple and right.text is None and (left.simple or left.not_null):
        # NULL / 0 is NULL: the function is not called for NULL, and left is no more than a name here.
        divided = "1" if left.not_null else left.sql
        divisor = f"CASE {right.sql} WHEN 0 THEN lfsql_division_by_zero({divided}) ELSE {right.sql} END"
        return Value(f"({left.sql} {symbol} {divisor})", target, unchecked=symbol == "/")
    function = "lfsql_quotient" if symbol == "/" else "lfsql_remainder"
    return Value(f"{function}({left.sql}, {right.sql})", target, unchecked=symbol == "/")


def _moments(analysis: Analysis, symbol: str, left: Value, right: Value) -> Value:
    one, other = left.oid, right.oid
    if symbol in ("+", "*") and (one in NUMBERS or (one in (INTERVAL, TIME) and other in (*MOMENTS, TIME))):
        left, right, one, other = right, left, other, one
    if other in (INT2, INT4, INT8, NUMERIC, FLOAT4) and one == INTERVAL:
        right, other = coerce(analysis, right, FLOAT8), FLOAT8
    if one == DATE and other in (INT2,):
        other = INT4
    if symbol == "-" and one in MOMENTS and other in MOMENTS and one != other:
        wider = TIMESTAMPTZ if TIMESTAMPTZ in (one, other) else TIMESTAMP
        left, right, one, other = coerce(analysis, left, wider), coerce(analysis, right, wider), wider, wider
    if one in (TIMESTAMP, TIMESTAMPTZ) and other == TIME:
        right, other = coerce(analysis, right, INTERVAL), INTERVAL
    result = _MOMENT_RESULTS.get((symbol, one, other))
    if result is None:
        raise missing(symbol, left.oid, right.oid)
    return Value(_moment_sql(analysis, symbol, checked(left), checked(right), one, other), result)


def _moment_sql(analysis: Analysis, symbol: str, left: Value, right: Value, one: int, other: int) -> str:
    a, b = left.sql, right.sql
    if one == INTERVAL:
        verb = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}[symbol]
        return f"lfsql_interval_{verb}({a}, {b})"
    if one == DATE and other == DATE:
        return f"lfsql_days_between({a}, {b})"
    if one == DATE and other == INT4:
        return f"lfsql_date_add({a}, {b if symbol == '+' else f'-({b})'})"
    if one == DATE and other == TIME:
        return f"({a} || ' ' || {b})"
    if one == TIME:
        if other == TIME:
            return f"lfsql_interval_subtract(lfsql_time_to_interval({a}), lfsql_time_to_interval({b}))"
        return f"lfsql_time_add({a}, {b}, {1 if symbol == '+' else -1})"
    if other == INTERVAL:
        if one == DATE:
            a = f"({a} || ' 00:00:00')"
        zone = analysis.time_zone() if one == TIMESTAMPTZ else "'UTC'"
        return f"lfsql_timestamp_add({a}, {b}, {1 if symbol == '+' else -1}, {zone})"
    return f"lfsql_timestamp_subtract({a}, {b})"


def _json_minus(analysis: Analysis, left: Value, right: Value) -> Value:
    if right.oid in INTEGERS or right.oid in STRINGS or right.oid == oids.ARRAYS[TEXT]:
        return Value(f"lfsql_jsonb_delete({left.sql}, {settled(analysis, right).sql})", JSONB)
    raise missing("-", left.oid, right.oid)


def concatenate(analysis: Analysis, left: Value, right: Value) -> Value:
    """|| of texts, of bytea, of arrays, of jsonb."""
    for each, other in ((left, right), (right, left)):
        if each.oid in oids.ELEMENTS:
            return _concatenate_arrays(analysis, left, right, each.oid)
        if each.oid == JSONB and (other.oid == JSONB or other.unknown):
            one, two = coerce(analysis, left, JSONB), coerce(analysis, right, JSONB)
            return Value(f"lfsql_jsonb_concat({one.sql}, {two.sql})", JSONB)
        if each.oid == BYTEA and (other.oid == BYTEA or other.unknown):
            one, two = coerce(analysis, left, BYTEA), coerce(analysis, right, BYTEA)
            return Value(f"lfsql_bytea_concat({one.sql}, {two.sql})", BYTEA)
    if not {left.oid, right.oid} & (STRINGS | {UNKNOWN}):
        raise missing("||", left.oid, right.oid)
    return Value(f"({as_text(analysis, left)} || {as_text(analysis, right)})", TEXT)


def concatenate_all(analysis: Analysis, values: Sequence[Value]) -> Value:
    """A long row of ||, from the left; what has become text stays text, and is put together as a shallow tree."""
    value, texts = values[0], list[str]()
    for right in values[1:]:
        if texts and right.oid not in oids.ELEMENTS:
            texts.append(as_text(analysis, right))
            continue
        if texts:
            value, texts = Value(balanced(texts, "||"), TEXT), []
        value = concatenate(analysis, value, right)
        if value.oid == TEXT:
            texts = [value.sql]
    return Value(balanced(texts, "||"), TEXT) if texts else value


def as_text(analysis: Analysis, value: Value) -> str:
    """SQL of any value as PostgreSQL prints it."""
    value = checked(settled(analysis, value))
    return to_text(analysis, value.sql, value.oid)


def as_output(analysis: Analysis, value: Value) -> str:
    """The same through the type's output function, as concat() and format() have it: a boolean is t or f."""
    value = checked(settled(analysis, value))
    if value.oid == BOOL:
        return f"(CASE {value.sql} WHEN 1 THEN 't' WHEN 0 THEN 'f' END)"
    return to_text(analysis, value.sql, value.oid)


def _concatenate_arrays(analysis: Analysis, left: Value, right: Value, array: int) -> Value:
    element = oids.ELEMENTS[array]
    if left.unknown:
        left = coerce(analysis, left, array)
    if right.unknown:
        right = coerce(analysis, right, array)
    if left.oid in oids.ELEMENTS and right.oid in oids.ELEMENTS:
        if category(oids.ELEMENTS[left.oid]) != category(oids.ELEMENTS[right.oid]):
            raise missing("||", left.oid, right.oid)
        target = left.oid if castable(right.oid, left.oid, "implicit") else right.oid
        one, other = coerce(analysis, left, target), coerce(analysis, right, target)
        return Value(f"lfsql_array_cat({one.sql}, {other.sql})", target)
    if left.oid in oids.ELEMENTS:
        item = coerce(analysis, right, element)
        return Value(f"lfsql_array_append({left.sql}, {array_item(item)})", array)
    item = coerce(analysis, left, element)
    return Value(f"lfsql_array_prepend({array_item(item)}, {right.sql})", array)


def array_item(value: Value) -> str:
    """SQL of a value as an argument that becomes one JSON element of an array."""
    value = checked(value)
    if value.oid == BYTEA:
        return f"('\\x' || lower(hex({value.sql})))"
    if value.oid in oids.ELEMENTS:
        return f"json({value.sql})"
    return value.sql


def negative(analysis: Analysis, value: Value) -> Value:
    """Unary minus."""
    if value.text is not None and value.oid in NUMBERS:
        text = value.text[1:] if value.text.startswith("-") else f"-{value.text}"
        return _negated_constant(value, text)
    if value.unknown:
        raise _ambiguous("- unknown")
    value = settled(analysis, value)
    if value.oid == NUMERIC:
        return Value(f"lfsql_numeric_subtract('0', {value.sql})", NUMERIC)
    if value.oid == INTERVAL:
        return Value(f"lfsql_interval_multiply({value.sql}, -1.0)", INTERVAL)
    if value.oid in FLOATS:
        return float_arithmetic.negative(value)
    if value.oid in NUMBERS:
        return Value(f"(- {value.sql})", value.oid, unchecked=True)
    raise missing("-", None, value.oid)


def _negated_constant(value: Value, text: str) -> Value:
    """-2147483648 is an int4 although 2147483648 is none: PostgreSQL types the number with its sign."""
    oid = value.oid
    if text.removeprefix("-").isdigit() and oid in (INT4, INT8, NUMERIC):
        if oid == INT8 and text == str(-(2**31)):
            oid = INT4
        elif oid == NUMERIC and text == str(-(2**63)):
            return Value("(-9223372036854775807 - 1)", INT8, text=text, simple=True, not_null=True)
    sql = string(text) if oid == NUMERIC else f"(- {value.sql})"  # "--" would begin a comment
    return Value(sql, oid, text=text, simple=True, not_null=True)


def bitwise(analysis: Analysis, symbol: str, left: Value, right: Value) -> Value:
    """& | # << >> on integers."""
    if left.unknown:
        left = coerce(analysis, left, INT4 if right.unknown else right.oid)
    if right.unknown:
        right = coerce(analysis, right, left.oid)
    left, right = checked(settled(analysis, left)), checked(settled(analysis, right))
    if left.oid not in (INT2, INT4, INT8) or right.oid not in (INT2, INT4, INT8):
        raise missing(symbol, left.oid, right.oid)
    if symbol in ("<<", ">>"):
        width = {INT2: 16, INT4: 32, INT8: 64}[left.oid]
        return Value(f"lfsql_shift({left.sql}, {right.sql}, {width if symbol == '<<' else -width})", left.oid)
    target = number_type(left.oid, right.oid)
    if symbol == "#":
        return Value(f"(({left.sql} | {right.sql}) - ({left.sql} & {right.sql}))", target)
    return Value(f"({left.sql} {symbol} {right.sql})", target)


def pattern_match(analysis: Analysis, kind: str, left: Value, right: Value, escape: str | None = None) -> Value:
    """`kind`: like, ilike, similar, regex, iregex.  A constant LIKE pattern becomes GLOB, which an index serves."""
    subject = _string(analysis, kind, left)
    if kind == "like" and right.text is not None and right.unknown and escape in (None, "\\"):
        glob = glob_pattern(right.text)
        if glob is not None:
            wild, text = glob
            return Value(f"({subject} {'GLOB' if wild else '='} {string(text)})", BOOL)
    pattern = _string(analysis, kind, right)
    if kind in ("like", "ilike"):
        ending = "" if escape is None else f", {string(escape)}"
        return Value(f"lfsql_{kind}({subject}, {pattern}{ending})", BOOL)
    if kind == "similar":
        ending = "" if escape is None else f", {string(escape)}"
        return Value(f"lfsql_similar({subject}, {pattern}{ending})", BOOL)
    return Value(f"lfsql_regex({subject}, {pattern}, {1 if kind == 'iregex' else 0})", BOOL)


_SYMBOLS: Final = {"like": "~~", "ilike": "~~*", "similar": "~", "regex": "~", "iregex": "~*"}


def _string(analysis: Analysis, kind: str, value: Value) -> str:
    value = settled(analysis, value)
    if value.oid not in STRINGS and category(value.oid) != "S":
        raise missing(_SYMBOLS[kind], value.oid, TEXT if value.oid != UNKNOWN else UNKNOWN)
    return value.sql


def glob_pattern(pattern: str) -> tuple[bool, str] | None:
    """A LIKE pattern as GLOB: (has wildcards, text).  None when a trailing escape makes it an error at run time."""
    built: list[str] = []
    plain: list[str] = []
    wild = False
    characters = iter(pattern)
    for character in characters:
        if character == "\\":
            following = next(characters, None)
            if following is None:
                return None
            character = following
        elif character in "%_":
            wild = True
            built.append("*" if character == "%" else "?")
            continue
        plain.append(character)
        built.append(f"[{character}]" if character in "*?[" else character)
    return (True, "".join(built)) if wild else (False, "".join(plain))
