"""json and array builders: functions whose arguments may be anything, and keep their types in the result.

PostgreSQL prints json without normalising it, so the builders' own spacing is visible: `json_build_object` puts
blanks around its colons, `row_to_json` none, `json_object_agg` blanks inside its braces.  SQLite's json_object
knows neither those nor PostgreSQL's dates and numerics: the text is put together here, out of fragments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from lfsql.errors import DatatypeMismatch, InvalidParameterValue
from proxy.pg import oids
from proxy.pg.oids import BOOL, FLOAT4, FLOAT8, INT2, INT4, INT8, JSON, JSONB, NUMERIC, RECORD, TIMESTAMP, TIMESTAMPTZ
from proxy.sql import operators
from proxy.sql.casts import checked, settled, to_text
from proxy.sql.infer import array_of
from proxy.sql.quoting import string
from proxy.sql.scope import Scope
from proxy.sql.value import Analysis, Value

if TYPE_CHECKING:
    from proxy.sql.calls import Calls
    from proxy.sql.overloads import Call


def fragment(analysis: Analysis, value: Value) -> str:
    """SQL of a value as json text; NULL becomes null."""
    return f"coalesce({_fragment(analysis, checked(settled(analysis, value)))}, 'null')"


def _fragment(analysis: Analysis, value: Value) -> str:
    sql, oid = value.sql, value.oid
    if oid in (INT2, INT4, INT8):
        return f"CAST({sql} AS TEXT)"
    if oid in (BOOL, FLOAT4, FLOAT8):
        return to_text(analysis, sql, oid)
    if oid in (NUMERIC, JSON, JSONB, RECORD):
        return sql
    if oid == TIMESTAMP:
        return f"('\"' || replace({sql}, ' ', 'T') || '\"')"
    if oid == TIMESTAMPTZ:
        return f"lfsql_timestamptz_json({sql}, {analysis.time_zone()})"
    if oid in oids.ELEMENTS:
        return f"lfsql_array_json({sql}, {oids.ELEMENTS[oid]})"
    return f"lfsql_json_quote({to_text(analysis, sql, oid)})"


def special(calls: Calls) -> dict[str, Callable[[Call, Scope], Value]]:
    """The builders by name."""

    def build_object(call: Call, scope: Scope) -> Value:
        binary = call.name.startswith("jsonb")
        values = [calls.visit(each, scope) for each in call.arguments]
        if len(values) % 2:
            raise InvalidParameterValue("argument list must have even number of elements")
        parts = []
        for key, value in zip(values[::2], values[1::2], strict=True):
            name = f"lfsql_json_quote({operators.as_text(calls.analysis, key)})"
            parts.append(f"lfsql_json_key({name}) || ' : ' || {fragment(calls.analysis, value)}")
        body = " || ', ' || ".join(parts)
        return _finished(f"('{{' || {body} || '}}')" if parts else "'{}'", binary)

    def build_array(call: Call, scope: Scope) -> Value:
        binary = call.name.startswith("jsonb")
        parts = [fragment(calls.analysis, calls.visit(each, scope)) for each in call.arguments]
        body = " || ', ' || ".join(parts)
        return _finished(f"('[' || {body} || ']')" if parts else "'[]'", binary)

    def to_json(call: Call, scope: Scope) -> Value:
        if len(call.arguments) != 1 and call.name != "row_to_json":
            raise DatatypeMismatch(f"{call.name} takes one argument")
        row = _row_fields(call.arguments[0], scope)
        if row is not None:
            return _finished(_row_text(calls.analysis, row), call.name == "to_jsonb")
        value = calls.visit(call.arguments[0], scope)
        if value.unknown and not value.null:
            raise DatatypeMismatch("could not determine polymorphic type because input has type unknown")
        text = _fragment(calls.analysis, checked(settled(calls.analysis, value)))
        return _finished(text, call.name == "to_jsonb")

    return {
        "json_build_object": build_object,
        "jsonb_build_object": build_object,
        "json_build_array": build_array,
        "jsonb_build_array": build_array,
        "to_json": to_json,
        "to_jsonb": to_json,
        "row_to_json": to_json,
    }


def _finished(text: str, binary: bool) -> Value:
    return Value(f"lfsql_text_to_jsonb({text})", JSONB) if binary else Value(text, JSON)


def _row_fields(node: exp.Expression, scope: Scope) -> list[tuple[str, Value]] | None:
    """The columns of a whole-row reference such as row_to_json(t), None when it is none."""
    if not isinstance(node, exp.Column) or node.args.get("table") is not None:
        return None
    alias = node.name if isinstance(node.this, exp.Identifier) and node.this.quoted else node.name.lower()
    if any(each.name == alias for each in scope.shown):
        return None
    source = scope.whole_row(alias)
    if source is None:
        return None
    return [(each.name, each.value) for each in source.fields]


def _row_text(analysis: Analysis, fields: Sequence[tuple[str, Value]]) -> str:
    parts = [f"lfsql_json_quote({string(name)}) || ':' || {fragment(analysis, value)}" for name, value in fields]
    body = " || ',' || ".join(parts)
    return f"('{{' || {body} || '}}')"


def row_value(calls: Calls, node: exp.Expression, scope: Scope) -> Value | None:
    """A whole row as json, for aggregates of rows."""
    fields = _row_fields(node, scope)
    return None if fields is None else Value(_row_text(calls.analysis, fields), RECORD)


def aggregate(
    calls: Calls, function: str, values: Sequence[Value], distinct: str, order: str, suffix: str
) -> Value | None:
    """array_agg, json_agg and their kin; None for other names."""
    analysis = calls.analysis
    if function == "array_agg" and len(values) == 1:
        value = checked(settled(analysis, values[0]))
        item = operators.array_item(value)
        if distinct and value.oid == NUMERIC:
            item += " COLLATE lfsql_numeric"
        if distinct and not order:
            order = f" ORDER BY {item} NULLS LAST"
        return Value(f"nullif(json_group_array({distinct}{item}{order}){suffix}, '[]')", array_of(value.oid))
    if function in ("json_agg", "jsonb_agg") and len(values) == 1:
        text = fragment(analysis, values[0])
        if distinct and not order:
            order = f" ORDER BY {text}"
        # Rows and arrays stand on lines of their own.
        separate = ", ', \n '" if values[0].oid == RECORD or values[0].oid in oids.ELEMENTS else ""
        joined = f"lfsql_json_agg({distinct}{text}{separate}{order}){suffix}"
        return _finished(joined, function == "jsonb_agg")
    if function in ("json_object_agg", "jsonb_object_agg") and len(values) == 2:
        key = f"lfsql_json_key(lfsql_json_quote({operators.as_text(analysis, values[0])}))"
        pair = f"{key} || ' : ' || {fragment(analysis, values[1])}"
        joined = f"('{{ ' || group_concat({distinct}{pair}, ', '{order}){suffix} || ' }}')"
        return _finished(joined, function == "jsonb_object_agg")
    return None
