"""Function calls: scalars, aggregates, window functions, those only the session can answer.

Overloads are chosen as PostgreSQL does it (manual, 10.3), shortened: exact types beat implicit casts, an open
argument prefers text.  What a table of signatures cannot say has a method of its own here or in `json_calls`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from sqlglot import exp

from lfsql.errors import (
    AmbiguousFunction,
    DatatypeMismatch,
    FeatureNotSupported,
    InvalidParameterValue,
    StatementSyntax,
    WrongObjectType,
)
from proxy.pg import oids
from proxy.pg.oids import BOOL, FLOAT8, INT4, INT8, INTERVAL, NUMERIC, REGCLASS, REGTYPE, TEXT, UNKNOWN
from proxy.sql import json_calls, operators
from proxy.sql.aggregate_calls import SPECIAL_AGGREGATES, AggregateCalls
from proxy.sql.casts import checked, coerce, settled
from proxy.sql.catalog.functions import RESULT_TYPES
from proxy.sql.catalog.model import serial_sequence
from proxy.sql.infer import (
    array_of,
    category,
    common_type,
    spelled,
    type_named,
)
from proxy.sql.number_text import number_oid, whole
from proxy.sql.overloads import Call, expected_types, relation_words, score, take_apart, undefined_function
from proxy.sql.quoting import string
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
from proxy.sql.value import Analysis, Value

if TYPE_CHECKING:
    from proxy.sql.expressions import Expressions

_PLACE = re.compile(r"\{(\d|\*|tz|pid|channels|rest|typename|oid0|elapsed|a)\}")
_MOMENTS: Final = frozenset(("current_time", "current_timestamp", "localtime", "localtimestamp"))
_SEQUENCES: Final = frozenset(("nextval", "setval"))


class Calls:
    def __init__(self, analysis: Analysis, expressions: Expressions) -> None:
        self.analysis = analysis
        self.expressions = expressions
        self.aggregates = AggregateCalls(analysis, self)
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
            "pg_notify": self._notify,
            "array": self._array_of_query,
            **json_calls.special(self),
        }

    def visit(self, node: exp.Expression, scope: Scope) -> Value:
        return self.expressions.visit(node, scope)

    def call(self, node: exp.Expression, scope: Scope) -> Value:
        call = take_apart(node)
        if call.name in aggregates() or call.name in SPECIAL_AGGREGATES:
            return self.aggregates.aggregate(call, scope)
        if call.name in window_functions():
            return self.aggregates.window_function(call, scope)
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
            if len(call.arguments) != 1:
                raise StatementSyntax(f"{call.name} takes a precision in its parentheses, or has none")
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
            found = score(each, arguments)
            if found is not None and (best is None or found > best[0]):
                best, chosen = (found, at), each
        if chosen is None:
            raise undefined_function(function, arguments)
        self._refuse_ambiguity(function, candidates, arguments)
        return chosen

    def _refuse_ambiguity(self, function: str, candidates: Sequence[Signature], arguments: Sequence[Value]) -> None:
        """An open argument that fits types of several kinds, none of them text, decides nothing (10.3, 4.e)."""
        fitting = [each for each in candidates if score(each, arguments) is not None]
        for at, value in enumerate(arguments):
            kinds = (
                {category(expected_types(each, len(arguments))[at]) for each in fitting} if value.unknown else set()
            )
            if len(kinds) > 1 and "S" not in kinds and not value.null:
                shown = ", ".join(spelled(each.oid) for each in arguments)
                raise AmbiguousFunction(
                    f"function {function}({shown}) is not unique",
                    hint="Could not choose a best candidate function. You might need to add explicit type casts.",
                )

    def bound(self, signature: Signature, arguments: Sequence[Value]) -> tuple[list[Value], int]:
        """The arguments in the signature's types, and the result's type."""
        element = UNKNOWN
        expected = expected_types(signature, len(arguments))
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
            if place == "elapsed":
                return self.analysis.elapsed()
            if place == "pid":
                return self.analysis.session_value("pg_backend_pid", (), INT4).sql
            if place == "channels":
                self.analysis.volatile = True
                return self.analysis.session_value("pg_listening_channels", (), TEXT).sql
            if place == "*":
                return ", ".join(value.sql for value in arguments)
            if place == "rest":
                return ", ".join(value.sql for value in arguments[1:])
            if place == "typename":
                return string(spelled(arguments[0].oid))
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
            return Value("NULL", TEXT) if sequence is None else Value(string(sequence), TEXT, text=sequence)
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
            first = Value(string(relation_words(node.name)[-1]), TEXT, simple=True)
        elif first.text is not None:
            first = Value(string(relation_words(first.text)[-1]), TEXT, simple=True)
        elif first.oid == REGCLASS:
            first = Value(f"lfsql_regclass_out({first.sql})", TEXT)
        rest = [coerce(self.analysis, value, kind) for value, kind in zip(values[1:], (INT8, BOOL), strict=False)]
        self.analysis.writes.append(call.name)
        self.analysis.volatile = True
        texts = [coerce(self.analysis, first, TEXT).sql, *(value.sql for value in rest)]
        return Value(f"{call.name}({', '.join(texts)})", INT8)

    def _notify(self, call: Call, scope: Scope) -> Value:
        self.analysis.writes.append(call.name)
        return self.apply(call.name, [self.visit(each, scope) for each in call.arguments])

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
        if len(call.arguments) != 1:
            raise undefined_function(call.name, [self.visit(each, scope) for each in call.arguments])
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


def _whole(node: exp.Expression) -> int:
    if isinstance(node, exp.Literal) and not node.args.get("is_string") and number_oid(node.name) == INT4:
        return whole(node.name)
    raise InvalidParameterValue("a precision is a whole number")
