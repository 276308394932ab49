"""Aggregates and window functions: DISTINCT, ORDER BY, FILTER, OVER, WITHIN GROUP.

Most of PostgreSQL's aggregates are SQLite's own with another result type; avg of integers is a sum and a count, so
that SQLite adds them natively.  The others are functions of `lfsql.storage.functions.aggregates`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from sqlglot import exp

from lfsql.errors import (
    FeatureNotSupported,
    GroupingError,
    UndefinedFunction,
    WindowingError,
    WrongObjectType,
)
from proxy.pg import oids
from proxy.pg.oids import BOOL, BPCHAR, FLOAT4, FLOAT8, INT2, INT4, INT8, INTERVAL, NUMERIC, TEXT
from proxy.sql import float_arithmetic, json_calls, operators
from proxy.sql.casts import checked, coerce, settled
from proxy.sql.infer import STRINGS
from proxy.sql.ordering import ordering
from proxy.sql.overloads import Call, undefined_function
from proxy.sql.scope import Scope
from proxy.sql.signatures import aggregates, window_functions
from proxy.sql.value import Analysis, Value

if TYPE_CHECKING:
    from proxy.sql.calls import Calls

SPECIAL_AGGREGATES: Final = frozenset(
    ("count", "min", "max", "avg", "array_agg", "string_agg", "json_agg", "jsonb_agg", "json_object_agg",
     "jsonb_object_agg", "percentile_cont", "percentile_disc", "mode")
)  # fmt: skip


class AggregateCalls:
    def __init__(self, analysis: Analysis, calls: Calls) -> None:
        self.analysis = analysis
        self.calls = calls
        self.expressions = calls.expressions

    def _suffix(self, call: Call, scope: Scope) -> str:
        text = ""
        if call.filter is not None:
            scope.inside_aggregate += 1
            text += f" FILTER (WHERE {self.expressions.condition(call.filter, scope, 'FILTER')})"
            scope.inside_aggregate -= 1
        if call.window is not None:
            text += f" OVER {self.over(call.window, scope)}"
        return text

    def over(self, window: exp.Window, scope: Scope) -> str:
        """The text after OVER, or of a named window."""
        if not scope.windows_allowed:
            raise WindowingError(f"window functions are not allowed in {scope.aggregates_forbidden or 'this place'}")
        scope.windows_allowed = False
        try:
            return self._definition(window, scope)
        finally:
            scope.windows_allowed = True

    def _definition(self, window: exp.Window, scope: Scope) -> str:
        alias = window.args.get("alias")
        parts: list[str] = []
        partition, order, spec = window.args.get("partition_by"), window.args.get("order"), window.args.get("spec")
        if alias is not None:
            if not (partition or order or spec):
                return f'"{alias.name}"'
            parts.append(f'"{alias.name}"')
        if partition:
            keys = [operators.equality_key(self.expressions.settled(each, scope)) for each in partition]
            parts.append(f"PARTITION BY {', '.join(keys)}")
        if order is not None:
            parts.append(f"ORDER BY {self.order_list(order.expressions, scope)}")
        if spec is not None:
            parts.append(self._frame(spec, scope))
        return f"({' '.join(parts)})"

    def order_list(self, items: Sequence[exp.Expression], scope: Scope) -> str:
        return ", ".join(ordering(self.expressions.settled(item.this, scope), item) for item in items)

    def _frame(self, spec: exp.Expression, scope: Scope) -> str:
        def bound(value: object, side: object) -> str:
            text = self.calls.visit(value, scope).sql if isinstance(value, exp.Expression) else str(value)
            return f"{text} {side}" if side else text

        start = bound(spec.args.get("start"), spec.args.get("start_side"))
        end = spec.args.get("end")
        finish = bound(end, spec.args.get("end_side")) if end else "CURRENT ROW"
        text = f"{spec.args['kind']} BETWEEN {start} AND {finish}"
        exclude = spec.args.get("exclude")
        return f"{text} EXCLUDE {exclude}" if exclude else text

    def _enter(self, call: Call, scope: Scope) -> None:
        if call.window is None:
            if scope.inside_aggregate:
                raise GroupingError("aggregate function calls cannot be nested")
            if scope.aggregates_forbidden:
                raise GroupingError(f"aggregate functions are not allowed in {scope.aggregates_forbidden}")
            scope.aggregates = True
            scope.inside_aggregate += 1

    def aggregate(self, call: Call, scope: Scope) -> Value:
        self._enter(call, scope)
        values = [self._aggregated(call, each, scope) for each in call.arguments]
        order = f" ORDER BY {self.order_list(call.order, scope)}" if call.order else ""
        within = [self.expressions.settled(each.this, scope) for each in call.within]
        if call.window is None:
            scope.inside_aggregate -= 1
        suffix = self._suffix(call, scope)
        distinct = "DISTINCT " if call.distinct else ""
        if call.within:
            return self._ordered_set(call, values, within, suffix)
        if call.name == "count":
            if call.star or not values:
                if not call.star:
                    raise WrongObjectType("count(*) must be used to call a parameterless aggregate function")
                return Value(f"count(*){suffix}", INT8, not_null=True)
            if len(values) > 1:
                raise undefined_function("count", values)
            key = operators.equality_key(checked(settled(self.analysis, values[0])))
            return Value(f"count({distinct}{key}){suffix}", INT8, not_null=True)
        if call.name in ("min", "max"):
            return self._extreme_of_rows(call.name, values, distinct, suffix)
        if call.name == "avg" and len(values) == 1 and values[0].oid in (INT2, INT4, INT8):
            text = checked(settled(self.analysis, values[0])).sql
            total = f"CAST(sum({distinct}{text}){suffix} AS TEXT)"
            count = f"CAST(count({distinct}{text}){suffix} AS TEXT)"
            return Value(f"lfsql_numeric_divide({total}, {count})", NUMERIC)
        if call.name == "string_agg" and call.distinct:
            return self._distinct_string_agg(values, call, suffix)
        structured = json_calls.aggregate(self.calls, call.name, values, distinct, order, suffix)
        if structured is not None:
            return structured
        signature = self.calls.choose(call.name, aggregates()[call.name], values)
        converted, result = self.calls.bound(signature, values)
        if call.distinct and converted[0].oid == NUMERIC:
            converted[0] = converted[0].of(operators.equality_key(converted[0]))
        if "{a}" in signature.text:
            total = float_arithmetic.aggregate(call.name, distinct, converted[0], order, suffix)
            return Value(f"lfsql_float4({total})" if result == FLOAT4 else total, result)
        opening, inner = self.calls.fill(signature.text, converted)[:-1].split("(", 1)
        return Value(f"{opening}({distinct}{inner}{order}){suffix}", result)

    def _aggregated(self, call: Call, node: exp.Expression, scope: Scope) -> Value:
        if call.name in ("json_agg", "jsonb_agg", "json_object_agg", "jsonb_object_agg"):
            row = json_calls.row_value(self.calls, node, scope)
            if row is not None:
                return row
        return self.calls.visit(node, scope)

    def _extreme_of_rows(self, function: str, values: Sequence[Value], distinct: str, suffix: str) -> Value:
        if len(values) != 1:
            raise undefined_function(function, values)
        value = checked(settled(self.analysis, values[0]))
        if value.oid in (BOOL, oids.JSON, oids.JSONB, oids.UUID, oids.BYTEA):
            raise undefined_function(function, values)
        result = TEXT if value.oid in STRINGS and value.oid != BPCHAR else value.oid
        if value.oid == INTERVAL:
            return Value(f"lfsql_interval_{function}({value.sql}){suffix}", INTERVAL)
        # A bpchar is stored without its blanks; only its length lets the encoder put them back.
        typmod = value.typmod if result == BPCHAR else -1
        return Value(f"{function}({distinct}{operators.sort_key(value)}){suffix}", result, typmod)

    def _distinct_string_agg(self, values: Sequence[Value], call: Call, suffix: str) -> Value:
        """SQLite allows DISTINCT in aggregates of one argument only.  PostgreSQL sorts to find the distinct ones,
        so without an order of its own the result comes out sorted."""
        if len(values) != 2:
            raise undefined_function("string_agg", values)
        down = bool(call.order) and bool(call.order[0].args.get("desc"))
        text, separator = (coerce(self.analysis, value, TEXT).sql for value in values)
        return Value(f"lfsql_string_agg_distinct({text}, {separator}, {int(down)}){suffix}", TEXT)

    def _ordered_set(self, call: Call, values: list[Value], within: list[Value], suffix: str) -> Value:
        if call.name == "mode" and len(within) == 1:
            return Value(f"lfsql_mode({within[0].sql}){suffix}", within[0].oid)
        if call.name in ("percentile_cont", "percentile_disc") and len(values) == len(within) == 1:
            down = int(bool(call.within[0].args.get("desc")))
            fraction = coerce(self.analysis, values[0], FLOAT8).sql
            if call.name == "percentile_disc":
                return Value(f"lfsql_percentile_disc({within[0].sql}, {fraction}, {down}){suffix}", within[0].oid)
            if within[0].oid == INTERVAL:
                raise FeatureNotSupported("percentile_cont of intervals is not supported")
            subject = coerce(self.analysis, within[0], FLOAT8).sql
            return Value(f"lfsql_percentile_cont({subject}, {fraction}, {down}){suffix}", FLOAT8)
        raise UndefinedFunction(f"function {call.name} with WITHIN GROUP does not exist")

    def window_function(self, call: Call, scope: Scope) -> Value:
        if call.window is None:
            raise WrongObjectType(f"window function {call.name} requires an OVER clause")
        values = [self.calls.visit(each, scope) for each in call.arguments]
        signature = self.calls.choose(call.name, window_functions()[call.name], values)
        converted, result = self.calls.bound(signature, values)
        return Value(f"{self.calls.fill(signature.text, converted)}{self._suffix(call, scope)}", result)
