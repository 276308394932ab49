"""Turning a value of one type into another: in context, on storing, or because CAST says so.

Constants are converted while planning, by the same codec that reads the wire's text format, so a bad literal
fails before anything runs and an index is used on `day = '2024-1-5'`.  The rest becomes SQLite text: native
where SQLite's own conversion is PostgreSQL's, else a function of `lfsql.storage.functions`.
"""

from __future__ import annotations

import re
from dataclasses import replace

from lfsql.errors import CannotCoerce, DatatypeMismatch, UndefinedFunction
from proxy.pg import oids
from proxy.pg.oids import (
    BOOL,
    BPCHAR,
    BYTEA,
    CHAR,
    DATE,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    JSON,
    JSONB,
    NAME,
    NUMERIC,
    OID,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    TIMETZ,
    UNKNOWN,
    UUID,
    VARCHAR,
)
from proxy.pg.types import decode_text
from proxy.sql.infer import INTEGERS, NUMBERS, REG, STRINGS, Level, castable, spelled, type_label
from proxy.sql.quoting import string
from proxy.sql.value import Analysis, Value, constant

_ZONED = re.compile(r"(?i)[\d:.]\s*(?:[+-]\d{1,2}(?::?\d{2}){0,2}|z|utc|gmt)\s*$|^\s*[-+]?infinity\s*$|^\s*epoch\s*$")


def checked(value: Value) -> Value:
    """Integer arithmetic with PostgreSQL's overflow errors.  Kept out of the text until a result leaves the
    arithmetic, because SQLite compares and adds exactly in the meantime."""
    if not value.unchecked:
        return value
    return Value(f"lfsql_{oids.NAMES[value.oid]}({value.sql})", value.oid, value.typmod, not_null=value.not_null)


def settled(analysis: Analysis, value: Value, oid: int = TEXT) -> Value:
    """The value with its type decided; what nothing has decided becomes `oid`."""
    if value.parameter and value.oid != UNKNOWN:
        return analysis.settle(value, value.oid)
    return coerce(analysis, value, oid) if value.unknown else value


def coerce(
    analysis: Analysis,
    value: Value,
    target: int,
    typmod: int = -1,
    level: Level = "implicit",
    column: str = "",
) -> Value:
    """The value as `target`.  Raises DatatypeMismatch, CannotCoerce or a literal's own error.

    `column` names the target of an assignment in the message.
    """
    if value.null:
        return Value("NULL", target, typmod, simple=True)
    if value.text is not None and (value.unknown or (target in NUMBERS and value.oid in NUMBERS)):
        return _constant(analysis, value, target, typmod, level)
    if value.parameter:
        value = analysis.settle(value, target)
    source = value.oid
    if source == target:
        value = _length(value, typmod, level)
        if typmod == -1 and value.typmod == -1:
            return value
        return replace(value, typmod=typmod if level != "implicit" else value.typmod)
    if not castable(source, target, level):
        raise _refusal(source, target, level, column)
    value = checked(value)
    result = Value(
        _converted(analysis, value.sql, source, target), target, not_null=value.not_null, simple=value.simple
    )
    return replace(_length(result, typmod, level), typmod=typmod)


def _refusal(source: int, target: int, level: Level, column: str) -> Exception:
    if level == "assignment" and column:
        return DatatypeMismatch(
            f'column "{column}" is of type {spelled(target)} but expression is of type {spelled(source)}',
            hint="You will need to rewrite or cast the expression.",
        )
    if level == "explicit":
        return CannotCoerce(f"cannot cast type {spelled(source)} to {spelled(target)}")
    return UndefinedFunction(f"cannot use type {spelled(source)} as {spelled(target)} without a cast")


def _constant(analysis: Analysis, value: Value, target: int, typmod: int, level: Level) -> Value:
    """A constant in the type its context wants."""
    text = value.text
    assert text is not None
    if not value.unknown and target in INTEGERS and value.oid == NUMERIC:
        # 2.5 in an integer's place rounds as a numeric does, where the string '2.5' is an error.
        sql = f"lfsql_numeric_to_int({string(text)}, {_width(target)})"
        return Value(sql, target, not_null=True)
    if target == UNKNOWN:
        target = TEXT
    if target == TIMESTAMPTZ and not _ZONED.search(text):
        decode_text(TIMESTAMP, text)
        sql = f"lfsql_text_to_timestamptz({string(text)}, {analysis.time_zone()})"
        return _length(Value(sql, target, not_null=True), typmod, level)
    if target in REG:
        number = text if text.isdigit() else _registered(analysis, string(text), target)
        return Value(number, target, not_null=True, simple=text.isdigit())
    if target == CHAR:
        text = text[:1]
    stored = decode_text(TEXT if target in (VARCHAR, NAME, CHAR) else target, text)
    result = Value(constant(stored), target, typmod, text=text, simple=True, not_null=True)
    return _length(result, typmod, level)


def _registered(analysis: Analysis, sql: str, target: int) -> str:
    """A name in the catalogs as its number; the function is the catalogs' own."""
    analysis.catalog = True
    return f"lfsql_{type_label(target)}({sql})"


def _width(oid: int) -> int:
    return {INT2: 2, INT4: 4, INT8: 8}.get(oid, 0)


def _length(value: Value, typmod: int, level: Level) -> Value:
    """Apply a length or precision.  On assignment blanks too many are cut off, anything else too long is refused, by
    the column's own CHECK at the latest."""
    if typmod == -1 or level == "implicit" or (typmod == value.typmod and value.text is None):
        return value
    oid, sql = value.oid, value.sql
    if oid in (VARCHAR, BPCHAR):
        length = typmod - 4
        if level == "explicit":
            sql = f"substr({sql}, 1, {length})"
        elif oid == VARCHAR and value.text is None:
            sql = f"lfsql_fit({sql}, {length})"
        elif oid == VARCHAR and value.text is not None and not value.text[length:].strip(" "):
            return replace(value, sql=string(value.text[:length]), text=value.text[:length], typmod=typmod)
        if oid == BPCHAR:
            sql = f"rtrim({sql}, ' ')"
        if (
            value.text is not None
            and len(value.text) <= typmod - 4
            and not (oid == BPCHAR and value.text.endswith(" "))
        ):
            return value
    elif oid == NUMERIC:
        precision, scale = ((typmod - 4) >> 16) & 0xFFFF, ((typmod - 4) & 0x7FF ^ 1024) - 1024
        sql = f"lfsql_numeric_fit({sql}, {precision}, {scale})"
    elif oid in (TIME, TIMETZ, TIMESTAMP, TIMESTAMPTZ) and typmod < 6:
        sql = f"lfsql_round_seconds({sql}, {typmod})"
    else:
        return value
    return Value(sql, oid, typmod, not_null=value.not_null)


def _converted(analysis: Analysis, sql: str, source: int, target: int) -> str:
    """SQLite text of the conversion; `castable` has allowed it."""
    if source in STRINGS and target in STRINGS:
        if target == CHAR:
            return f"substr({sql}, 1, 1)"
        return f"rtrim({sql}, ' ')" if target == BPCHAR else sql
    if target in STRINGS:
        return to_text(analysis, sql, source)
    if source in STRINGS:
        return _from_text(analysis, sql, target)
    if source in oids.ELEMENTS and target in oids.ELEMENTS:
        return f"lfsql_array_cast({sql}, {oids.ELEMENTS[source]}, {oids.ELEMENTS[target]})"
    if source in NUMBERS and target in NUMBERS:
        return _number(sql, source, target)
    if target == BOOL:
        return f"lfsql_jsonb_to_bool({sql})" if source == JSONB else f"({sql} <> 0)"
    if source == BOOL or source in INTEGERS:
        return sql
    if source == JSONB and target in NUMBERS:
        number = f"lfsql_jsonb_to_numeric({sql})"
        return number if target == NUMERIC else _number(number, NUMERIC, target)
    if {source, target} == {JSON, JSONB}:
        return f"lfsql_text_to_jsonb({sql})" if target == JSONB else sql
    return _moment(analysis, sql, source, target)


def _number(sql: str, source: int, target: int) -> str:
    if source in INTEGERS and target in INTEGERS:
        return sql if _width(source) <= _width(target) else f"lfsql_{oids.NAMES[target]}({sql})"
    if target == FLOAT4:
        return f"lfsql_float4({_number(sql, source, FLOAT8)})" if source == NUMERIC else f"lfsql_float4({sql})"
    if target == FLOAT8:
        if source == NUMERIC:
            return f"lfsql_numeric_to_float({sql})"
        return sql if source == FLOAT4 else f"CAST({sql} AS REAL)"
    if target == NUMERIC:
        if source in INTEGERS:
            return f"CAST({sql} AS TEXT)"
        return f"lfsql_float_to_numeric({sql}, {6 if source == FLOAT4 else 15})"
    if source == NUMERIC:
        return f"lfsql_numeric_to_int({sql}, {_width(target)})"
    return f"lfsql_float_to_int({sql}, {_width(target)})"


def to_text(analysis: Analysis, sql: str, source: int) -> str:
    """A value as PostgreSQL prints it."""
    if source in STRINGS or source in (NUMERIC, DATE, TIME, TIMETZ, TIMESTAMP, INTERVAL, UUID, JSON, JSONB):
        return sql
    if source in (INT2, INT4, INT8, OID):
        return f"CAST({sql} AS TEXT)"
    if source == BOOL:
        return f"(CASE {sql} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END)"
    if source == FLOAT8:
        return f"lfsql_float8_text({sql})"
    if source == FLOAT4:
        return f"lfsql_float4_text({sql})"
    if source == BYTEA:
        return f"('\\x' || lower(hex({sql})))"
    if source == TIMESTAMPTZ:
        return f"lfsql_timestamptz_text({sql}, {analysis.time_zone()})"
    if source in oids.ELEMENTS:
        zone = f", {analysis.time_zone()}" if oids.ELEMENTS[source] == TIMESTAMPTZ else ""
        return f"lfsql_array_text({sql}, {oids.ELEMENTS[source]}{zone})"
    if source in REG:
        analysis.catalog = True
        return f"lfsql_{type_label(source)}_out({sql})"
    return f"CAST({sql} AS TEXT)"


def _from_text(analysis: Analysis, sql: str, target: int) -> str:
    if target in (INT2, INT4, INT8):
        return f"lfsql_text_to_int({sql}, {_width(target)})"
    if target in REG:
        return _registered(analysis, sql, target)
    if target == OID:
        return f"lfsql_text_to_int({sql}, 8)"
    if target == TIMESTAMPTZ:
        return f"lfsql_text_to_timestamptz({sql}, {analysis.time_zone()})"
    if target in oids.ELEMENTS:
        return f"lfsql_text_to_array({sql}, {oids.ELEMENTS[target]})"
    if target == FLOAT4:
        return f"lfsql_float4(lfsql_text_to_float8({sql}))"
    return f"lfsql_text_to_{oids.NAMES[target]}({sql})"


def _moment(analysis: Analysis, sql: str, source: int, target: int) -> str:
    """Between dates, times and intervals."""
    zone = analysis.time_zone
    if source == DATE:
        stamp = f"({sql} || ' 00:00:00')"
        return stamp if target == TIMESTAMP else f"lfsql_to_utc({stamp}, {zone()})"
    if source == TIMESTAMP:
        if target == TIMESTAMPTZ:
            return f"lfsql_to_utc({sql}, {zone()})"
        return f"substr({sql}, 1, 10)" if target == DATE else f"substr({sql}, 12)"
    if source == TIMESTAMPTZ:
        local = f"lfsql_to_local({sql}, {zone()})"
        if target == TIMESTAMP:
            return local
        return f"substr({local}, 1, 10)" if target == DATE else f"substr({local}, 12)"
    if source == TIME and target == INTERVAL:
        return f"lfsql_time_to_interval({sql})"
    if source == INTERVAL and target == TIME:
        return f"lfsql_interval_to_time({sql})"
    if source == TIMETZ and target == TIME:
        return f"lfsql_timetz_to_time({sql})"
    raise CannotCoerce(f"cannot cast type {spelled(source)} to {spelled(target)}")
