"""Function calls: scalars, aggregates, window functions, those only the session can answer.

Overloads are chosen as PostgreSQL does it (manual, 10.3), shortened: exact types beat implicit casts, an open
argument prefers text.  What a table of signatures cannot say has a method of its own here or in `json_calls`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlglot import exp

from lfsql.errors import (
    AmbiguousFunction,
    DatatypeMismatch,
    FeatureNotSupported,
    GroupingError,
    InvalidParameterValue,
    StatementSyntax,
    UndefinedFunction,
    UndefinedTable,
    WindowingError,
    WrongObjectType,
)
from proxy.pg import oids
from proxy.pg.oids import BOOL, BPCHAR, FLOAT8, INT2, INT4, INT8, INTERVAL, NUMERIC, REGCLASS, REGTYPE, TEXT, UNKNOWN
from proxy.sql import json_calls, operators
from proxy.sql.casts import checked, coerce, settled
from proxy.sql.catalog.functions import RESULT_TYPES
from proxy.sql.catalog.model import serial_sequence
from proxy.sql.infer import (
    PREFERRED,
    STRINGS,
    array_of,
    castable,
    category,
    common_type,
    function_name,
    spelled,
    type_named,
)
from proxy.sql.scope import Scope
from proxy.sql.signatures import (
    ANY,
    ANYARRAY,
    ANYELEMENT,
    Signature,
    aggregates,
    scalars,
    session_functions,
    set_functions,
    window_functions,
)
from proxy.sql.value import Analysis, Value, quote

if TYPE_CHECKING:
    from proxy.sql.expressions import Expressions

_PLACE = re.compile(r"\{(\d|\*|tz|rest|typename|oid0|a)\}")
_MOMENTS: Final = frozenset(("current_time", "current_timestamp", "localtime", "localtimestamp"))
_SEQUENCES: Final = frozenset(("nextval", "currval", "setval"))
_SPECIAL_AGGREGATES: Final = frozenset(
    ("count", "min", "max", "avg", "array_agg", "string_agg", "json_agg", "jsonb_agg", "json_object_agg",
     "jsonb_object_agg", "percentile_cont", "percentile_disc", "mode")
)  # fmt: skip


@dataclass(slots=True)
class Call:
    """A call taken apart."""

    name: str
    arguments: list[exp.Expression]
    distinct: bool = False
    star: bool = False
    order: list[exp.Expression] = field(default_factory=list)
    within: list[exp.Expression] = field(default_factory=list)
    filter: exp.Expression | None = None
    window: exp.Window | None = None


def take_apart(node: exp.Expression) -> Call:
    window: exp.Window | None = None
    condition: exp.Expression | None = None
    within: list[exp.Expression] = []
    while not isinstance(node, exp.Anonymous):
        if isinstance(node, exp.Window):
            window = node
        elif isinstance(node, exp.Filter):
            condition = node.expression.this
        elif isinstance(node, exp.WithinGroup):
            within = node.expression.expressions
        elif isinstance(node, exp.Dot):
            node = node.expression
            continue
        elif not isinstance(node, exp.Paren):
            raise FeatureNotSupported("FILTER and OVER belong to function calls")
        node = node.this
    call = Call(function_name(node), [], filter=condition, window=window, within=within)
    for argument in node.expressions:
        if isinstance(argument, exp.Order):
            call.order = argument.expressions
            argument = argument.this
        if isinstance(argument, exp.Distinct):
            call.distinct = True
            call.arguments.extend(argument.expressions)
        elif isinstance(argument, exp.Star):
            call.star = True
        else:
            call.arguments.append(argument)
    return call


class Calls:
    def __init__(self, analysis: Analysis, expressions: Expressions) -> None:
        self.analysis = analysis
        self.expressions = expressions
        self._special: dict[str, Callable[[Call, Scope], Value]] = {
            "coalesce": self._coalesce,
            "nullif": self._nullif,
            "greatest": self._extreme,
            "least": self._extreme,
            "concat": self._concat,
            "concat_ws": self._concat,
            "format": self._format,
            "make_interval": self._make_interval,
            "quote_literal": self._quote_any,
            "quote_nullable": self._quote_any,
            "pg_typeof": self._type_of,
            "array": self._array_of_query,
            **json_calls.special(self),
        }

    def visit(self, node: exp.Expression, scope: Scope) -> Value:
        return self.expressions.visit(node, scope)

    def call(self, node: exp.Expression, scope: Scope) -> Value:
        call = take_apart(node)
        if call.name in aggregates() or call.name in _SPECIAL_AGGREGATES:
            return self._aggregate(call, scope)
        if call.name in window_functions():
            return self._window_function(call, scope)
        for said, word in (
            (call.distinct, "DISTINCT"),
            (call.star, "*"),
            (call.order, "ORDER BY"),
            (call.filter, "FILTER"),
        ):
            if said:
                raise WrongObjectType(f"{word} specified, but {call.name} is not an aggregate function")
        if call.within:
            raise WrongObjectType(f"{call.name} is not an ordered-set aggregate, so it cannot have WITHIN GROUP")
        if call.window is not None:
            raise WrongObjectType(
                f"OVER specified, but {call.name} is not a window function nor an aggregate function"
            )
        special = self._special.get(call.name)
        if special is not None:
            return special(call, scope)
        if call.name in _MOMENTS:
            return self.expressions.moment(call.name, _whole(call.arguments[0]))
        if call.name in session_functions():
            return self.session(call.name, call.arguments, scope)
        if call.name in _SEQUENCES:
            return self._sequence(call, scope)
        if call.name in set_functions():
            return self._set_in_select(call, scope)
        return self.apply(call.name, [self.visit(each, scope) for each in call.arguments])

    # -- Choosing and writing a call ------------------------------------------------------------------------

    def apply(self, function: str, arguments: Sequence[Value]) -> Value:
        """A scalar function by its name.  Raises UndefinedFunction in PostgreSQL's words."""
        candidates = scalars().get(function)
        if candidates is None:
            if function in RESULT_TYPES:
                return self._catalog_function(function, arguments)
            cast = self._cast_by_name(function, arguments)
            if cast is not None:
                return cast
            raise undefined_function(function, arguments)
        return self.write(self.choose(function, candidates, arguments), arguments)

    def choose(self, function: str, candidates: Sequence[Signature], arguments: Sequence[Value]) -> Signature:
        best: tuple[float, int] | None = None
        chosen: Signature | None = None
        for at, each in enumerate(candidates):
            score = _score(each, arguments)
            if score is not None and (best is None or score > best[0]):
                best, chosen = (score, at), each
        if chosen is None:
            raise undefined_function(function, arguments)
        self._refuse_ambiguity(function, candidates, arguments)
        return chosen

    def _refuse_ambiguity(self, function: str, candidates: Sequence[Signature], arguments: Sequence[Value]) -> None:
        """An open argument that fits types of several kinds, none of them text, decides nothing (10.3, 4.e)."""
        fitting = [each for each in candidates if _score(each, arguments) is not None]
        for at, value in enumerate(arguments):
            kinds = {category(_expected(each, len(arguments))[at]) for each in fitting} if value.unknown else set()
            if len(kinds) > 1 and "S" not in kinds and not value.null:
                shown = ", ".join(spelled(each.oid) for each in arguments)
                raise AmbiguousFunction(
                    f"function {function}({shown}) is not unique",
                    hint="Could not choose a best candidate function. You might need to add explicit type casts.",
                )

    def bound(self, signature: Signature, arguments: Sequence[Value]) -> tuple[list[Value], int]:
        """The arguments in the signature's types, and the result's type."""
        element = UNKNOWN
        expected = _expected(signature, len(arguments))
        for wanted, value in zip(expected, arguments, strict=True):
            if wanted == ANYARRAY and value.oid in oids.ELEMENTS:
                element = oids.ELEMENTS[value.oid]
            elif wanted == ANYARRAY and value.oid in operators.VECTORS:
                element = operators.VECTORS[value.oid]
        if element == UNKNOWN and ANYELEMENT in expected and ANYARRAY not in expected:
            element = common_type(
                (value.oid for wanted, value in zip(expected, arguments, strict=True) if wanted == ANYELEMENT),
                signature.name,
            )
        if element == UNKNOWN and ANYARRAY in expected:
            raise DatatypeMismatch("could not determine polymorphic type because input has type unknown")
        converted = []
        for wanted, value in zip(expected, arguments, strict=True):
            if wanted == ANYARRAY:
                keep = value.oid in operators.VECTORS
                value = value if keep else coerce(self.analysis, value, array_of(element))
            elif wanted == ANYELEMENT:
                value = coerce(self.analysis, value, element)
            elif wanted != ANY:
                value = coerce(self.analysis, value, wanted)
            converted.append(checked(settled(self.analysis, value)))
        result = {ANYELEMENT: element, ANYARRAY: array_of(element) if element != UNKNOWN else 0}.get(
            signature.result, signature.result
        )
        return converted, result

    def write(self, signature: Signature, arguments: Sequence[Value]) -> Value:
        converted, result = self.bound(signature, arguments)
        if signature.volatile:
            self.analysis.volatile = True
        return Value(
            self.fill(signature.text, converted), result, unchecked=signature.name == "abs" and result == INT4
        )

    def fill(self, template: str, arguments: Sequence[Value]) -> str:
        def one(match: re.Match[str]) -> str:
            place = match.group(1)
            if place == "tz":
                return self.analysis.time_zone()
            if place == "*":
                return ", ".join(value.sql for value in arguments)
            if place == "rest":
                return ", ".join(value.sql for value in arguments[1:])
            if place == "typename":
                return quote(spelled(arguments[0].oid))
            if place == "oid0":
                return str(oids.ELEMENTS.get(arguments[0].oid, TEXT))
            return arguments[int(place)].sql

        return _PLACE.sub(one, template)

    def _cast_by_name(self, function: str, arguments: Sequence[Value]) -> Value | None:
        """`int4(x)`, `text(x)`: a type's name as a function casts."""
        if len(arguments) != 1:
            return None
        try:
            oid = type_named(function)
        except StatementSyntax:
            return None
        except Exception as error:
            if getattr(error, "sqlstate", "") == "42704":
                return None
            raise
        return self.expressions.cast(arguments[0], oid)

    def _catalog_function(self, function: str, arguments: Sequence[Value]) -> Value:
        """A function of the catalogs: it takes what it is given, OIDs and names as text."""
        texts = [value.text for value in arguments if value.text is not None]
        if function == "pg_get_serial_sequence" and len(texts) == len(arguments) == 2:
            # Known from the schema, and wanted where the catalogs are not: setval(pg_get_serial_sequence(...), n).
            sequence = serial_sequence(self.analysis.schema, texts[0], texts[1])
            return Value("NULL", TEXT) if sequence is None else Value(quote(sequence), TEXT, text=sequence)
        self.analysis.catalog = True
        texts = [checked(settled(self.analysis, value)).sql for value in arguments]
        return Value(f"{function}({', '.join(texts)})", RESULT_TYPES[function])

    # -- The session's --------------------------------------------------------------------------------------

    def session(self, function: str, arguments: Sequence[exp.Expression], scope: Scope | None = None) -> Value:
        values = [self.visit(each, scope or Scope()) for each in arguments]
        signature = self.choose(function, session_functions()[function], values)
        given: list[str | int | None] = []
        for wanted, value in zip(signature.arguments, values, strict=True):
            if value.null:
                given.append(None)
                continue
            converted = coerce(self.analysis, value, wanted)
            if converted.sql.startswith("?"):
                given.append(int(converted.sql[1:]))
            elif converted.text is not None:
                given.append(converted.text)
            elif wanted == BOOL and converted.sql in ("0", "1"):
                given.append("true" if converted.sql == "1" else "false")
            else:
                raise FeatureNotSupported(f"{function} takes constants and parameters only")
        self.analysis.volatile = True
        return self.analysis.session_value(function, tuple(given), signature.result)

    def _sequence(self, call: Call, scope: Scope) -> Value:
        values = [self.visit(each, scope) for each in call.arguments]
        if not values:
            raise undefined_function(call.name, values)
        first, node = values[0], call.arguments[0]
        while isinstance(node, (exp.Cast, exp.Paren)):
            node = node.this
        if isinstance(node, exp.Literal) and node.args.get("is_string"):
            first = Value(quote(relation_words(node.name)[-1]), TEXT, simple=True)
        elif first.text is not None:
            first = Value(quote(relation_words(first.text)[-1]), TEXT, simple=True)
        elif first.oid == REGCLASS:
            first = Value(f"lfsql_regclass_out({first.sql})", TEXT)
        rest = [coerce(self.analysis, value, kind) for value, kind in zip(values[1:], (INT8, BOOL), strict=False)]
        if call.name in ("nextval", "setval"):
            self.analysis.writes.append(call.name)
        self.analysis.volatile = True
        texts = [coerce(self.analysis, first, TEXT).sql, *(value.sql for value in rest)]
        return Value(f"{call.name}({', '.join(texts)})", INT8)

    # -- Functions whose result has the arguments' common type ----------------------------------------------

    def _coalesce(self, call: Call, scope: Scope) -> Value:
        values = [self.visit(each, scope) for each in call.arguments]
        converted, target, typmod = self.expressions.unified(values, "COALESCE")
        if len(converted) == 1:
            return converted[0]
        found = any(value.not_null for value in values)
        return Value(f"coalesce({', '.join(value.sql for value in converted)})", target, typmod, not_null=found)

    def _nullif(self, call: Call, scope: Scope) -> Value:
        if len(call.arguments) != 2:
            raise StatementSyntax("NULLIF takes two arguments")
        left, right = (self.visit(each, scope) for each in call.arguments)
        one, other = operators.comparable(self.analysis, "=", left, right)
        result = checked(settled(self.analysis, left))
        if one.oid == result.oid and one.oid not in (NUMERIC, INTERVAL):
            return Value(f"nullif({checked(one).sql}, {checked(other).sql})", result.oid, result.typmod)
        test = operators.compare(self.analysis, "=", one, other).sql
        return Value(f"(CASE WHEN {test} THEN NULL ELSE {result.sql} END)", result.oid, result.typmod)

    def _extreme(self, call: Call, scope: Scope) -> Value:
        """GREATEST and LEAST leave NULLs out, where SQLite's max(a, b) gives NULL."""
        values = [self.visit(each, scope) for each in call.arguments]
        converted, target, typmod = self.expressions.unified(values, call.name.upper())
        if len(converted) == 1:
            return converted[0]
        native = target not in (NUMERIC, INTERVAL) and all(value.not_null for value in values)
        texts = ", ".join(value.sql for value in converted)
        if native:
            return Value(f"{'max' if call.name == 'greatest' else 'min'}({texts})", target, typmod, not_null=True)
        kind = {NUMERIC: "numeric_", INTERVAL: "interval_"}.get(target, "")
        return Value(f"lfsql_{kind}{call.name}({texts})", target, typmod)

    def _concat(self, call: Call, scope: Scope) -> Value:
        texts = [operators.as_output(self.analysis, self.visit(each, scope)) for each in call.arguments]
        if len(texts) < (2 if call.name == "concat_ws" else 1):
            raise undefined_function(call.name, [Value("", UNKNOWN)] * len(texts))
        return Value(f"{call.name}({', '.join(texts)})", TEXT, not_null=call.name == "concat")

    def _format(self, call: Call, scope: Scope) -> Value:
        texts = [operators.as_output(self.analysis, self.visit(each, scope)) for each in call.arguments]
        return Value(f"lfsql_format({', '.join(texts)})", TEXT)

    def _array_of_query(self, call: Call, scope: Scope) -> Value:
        return self.visit(exp.Array(expressions=call.arguments), scope)

    def _quote_any(self, call: Call, scope: Scope) -> Value:
        texts = [operators.as_text(self.analysis, self.visit(each, scope)) for each in call.arguments]
        return Value(f"{call.name}({', '.join(texts)})", TEXT)

    def _type_of(self, call: Call, scope: Scope) -> Value:
        value = self.visit(call.arguments[0], scope)
        return Value(str(value.oid), REGTYPE, simple=True, not_null=True)

    def _make_interval(self, call: Call, scope: Scope) -> Value:
        names = ("years", "months", "weeks", "days", "hours", "mins", "secs")
        given = {each: Value("0", INT4) for each in names}
        given["secs"] = Value("0.0", FLOAT8)
        for at, argument in enumerate(call.arguments):
            key = names[at] if at < len(names) else ""
            if isinstance(argument, (exp.Kwarg, exp.PropertyEQ)):
                key, argument = argument.this.name.lower(), argument.expression
            if key not in given:
                raise undefined_function("make_interval", [])
            given[key] = coerce(self.analysis, self.visit(argument, scope), FLOAT8 if key == "secs" else INT4)
        return Value(f"make_interval({', '.join(checked(given[each]).sql for each in names)})", INTERVAL)

    # -- Aggregates and windows -----------------------------------------------------------------------------

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
            text = self.visit(value, scope).sql if isinstance(value, exp.Expression) else str(value)
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

    def _aggregate(self, call: Call, scope: Scope) -> Value:
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
        structured = json_calls.aggregate(self, call.name, values, distinct, order, suffix)
        if structured is not None:
            return structured
        signature = self.choose(call.name, aggregates()[call.name], values)
        converted, result = self.bound(signature, values)
        if call.distinct and converted[0].oid == NUMERIC:
            converted[0] = converted[0].of(operators.equality_key(converted[0]))
        if "{a}" in signature.text:
            return Value(f"lfsql_float4(sum({distinct}{converted[0].sql}{order}){suffix})", result)
        opening, inner = self.fill(signature.text, converted)[:-1].split("(", 1)
        return Value(f"{opening}({distinct}{inner}{order}){suffix}", result)

    def _aggregated(self, call: Call, node: exp.Expression, scope: Scope) -> Value:
        if call.name in ("json_agg", "jsonb_agg", "json_object_agg", "jsonb_object_agg"):
            row = json_calls.row_value(self, node, scope)
            if row is not None:
                return row
        return self.visit(node, scope)

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

    def _window_function(self, call: Call, scope: Scope) -> Value:
        if call.window is None:
            raise WrongObjectType(f"window function {call.name} requires an OVER clause")
        values = [self.visit(each, scope) for each in call.arguments]
        signature = self.choose(call.name, window_functions()[call.name], values)
        converted, result = self.bound(signature, values)
        return Value(f"{self.fill(signature.text, converted)}{self._suffix(call, scope)}", result)

    # -- Functions that return sets -------------------------------------------------------------------------

    def set_item(self, function: str, arguments: Sequence[Value]) -> tuple[str, int]:
        """A set-returning function of one column as an item of FROM without its alias; the type of its rows."""
        candidates = set_functions().get(function)
        if candidates is None:
            raise undefined_function(function, arguments)
        if function == "generate_series" and arguments and arguments[0].oid == oids.DATE:
            arguments = [
                coerce(self.analysis, each, oids.TIMESTAMPTZ) if each.oid == oids.DATE else each for each in arguments
            ]
        signature = self.choose(function, candidates, arguments)
        converted, result = self.bound(signature, arguments)
        return self.fill(signature.text, converted), result

    def _set_in_select(self, call: Call, scope: Scope) -> Value:
        """A set-returning function in the select list runs as one more item of FROM."""
        if scope.series is None:
            raise FeatureNotSupported("set-returning functions are not allowed here")
        if scope.series:
            raise FeatureNotSupported("more than one set-returning function in a select list is not supported")
        item, result = self.set_item(call.name, [self.visit(each, scope) for each in call.arguments])
        self.expressions.queries.aliases += 1
        alias = f"_set{self.expressions.queries.aliases}"
        scope.series.append(f'{item} AS "{alias}"')
        return Value(f'"{alias}".value', result, simple=True)


def _expected(signature: Signature, count: int) -> tuple[int, ...]:
    if not signature.variadic:
        return signature.arguments
    fixed = signature.arguments[:-1]
    return fixed + (signature.arguments[-1],) * (count - len(fixed))


def _score(signature: Signature, arguments: Sequence[Value]) -> float | None:
    """How well the arguments fit; None: not at all."""
    count = len(arguments)
    if signature.variadic:
        if count < len(signature.arguments) - 1:
            return None
    elif count != len(signature.arguments):
        return None
    score = 0.0
    for wanted, value in zip(_expected(signature, count), arguments, strict=True):
        if wanted == ANY:
            score += 1
        elif wanted == ANYELEMENT:
            score += 1.5
        elif wanted == ANYARRAY:
            if value.oid not in oids.ELEMENTS and not value.unknown and value.oid not in operators.VECTORS:
                return None
            score += 2
        elif value.oid == wanted:
            score += 3
        elif value.unknown:
            score += 2.5 if category(wanted) == "S" else 2.2 if wanted in PREFERRED else 2
        elif castable(value.oid, wanted, "implicit"):
            score += 1.5 if wanted in PREFERRED else 1 + (0.2 if wanted in (INT4, NUMERIC) else 0.1)
        else:
            return None
    return score


def undefined_function(function: str, arguments: Sequence[Value]) -> UndefinedFunction:
    types = ", ".join(spelled(value.oid) for value in arguments)
    return UndefinedFunction(
        f"function {function}({types}) does not exist",
        hint="No function matches the given name and argument types. You might need to add explicit type casts.",
    )


def ordering(value: Value, item: exp.Expression) -> str:
    """One item of ORDER BY.  PostgreSQL has NULLs last, SQLite first."""
    return direction(operators.sort_key(checked(value)), item, not_null=value.not_null)


def direction(key: str, item: exp.Expression, *, not_null: bool) -> str:
    down = bool(item.args.get("desc"))
    nulls_first = bool(item.args.get("nulls_first"))
    text = f"{key} DESC" if down else key
    if not_null or nulls_first == (not down):
        return text
    return f"{text} NULLS {'FIRST' if nulls_first else 'LAST'}"


def relation_words(text: str) -> list[str]:
    """The parts of a possibly qualified name in a string, as regclass reads them."""
    words = [
        quoted.replace('""', '"') if quoted or not plain else plain.lower()
        for quoted, plain in re.findall(r'"((?:[^"]|"")*)"|([^."\s]+)', text)
    ]
    if not words:
        raise UndefinedTable(f'relation "{text}" does not exist')
    return words


def _whole(node: exp.Expression) -> int:
    if isinstance(node, exp.Literal) and not node.args.get("is_string") and node.name.isdigit():
        return int(node.name)
    raise InvalidParameterValue("a precision is a whole number")
