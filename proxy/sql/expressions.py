"""Expressions: each node of the parsed tree to SQLite text with its PostgreSQL type.

Bottom-up, one visit a node, types and text together: what `a / b` must be written as depends on what a and b
are.  sqlglot's own generator is not used, because its silence is the danger: a node without a method here is an
error (0A000), never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from sqlglot import exp

from lfsql.errors import (
    DatatypeMismatch,
    FeatureNotSupported,
    InvalidColumnReference,
    StatementSyntax,
    UndefinedSchema,
    WrongObjectType,
)
from proxy.pg import oids
from proxy.pg.oids import (
    BOOL,
    DATE,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    JSON,
    JSONB,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    TIMETZ,
    UNKNOWN,
)
from proxy.sql import operators
from proxy.sql.calls import Calls
from proxy.sql.casts import checked, coerce, settled
from proxy.sql.infer import array_of, common_type, identifier_name, spelled, type_of
from proxy.sql.scope import Scope
from proxy.sql.value import FALSE, NULL, TRUE, Analysis, Value, number_constant, quote

if TYPE_CHECKING:
    from proxy.sql.queries import Queries

_BINARY: Final[dict[type[exp.Expression], str]] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
    exp.Pow: "^",
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.BitwiseAnd: "&",
    exp.BitwiseOr: "|",
    exp.BitwiseXor: "#",
    exp.BitwiseLeftShift: "<<",
    exp.BitwiseRightShift: ">>",
    exp.DPipe: "||",
    exp.Like: "~~",
    exp.ILike: "~~*",
    exp.RegexpLike: "~",
    exp.RegexpILike: "~*",
}
_WORDS: Final[dict[type[exp.Expression], str]] = {
    exp.CurrentDate: "current_date",
    exp.CurrentTime: "current_time",
    exp.CurrentTimestamp: "current_timestamp",
    exp.Localtime: "localtime",
    exp.Localtimestamp: "localtimestamp",
    exp.CurrentUser: "current_user",
    exp.CurrentRole: "current_role",
    exp.SessionUser: "session_user",
    exp.CurrentCatalog: "current_catalog",
    exp.CurrentSchema: "current_schema",
}
_PATTERNS: Final = {"~~": "like", "~~*": "ilike", "~": "regex", "~*": "iregex"}
_NEGATED_PATTERNS: Final = {"!~~": "like", "!~~*": "ilike", "!~": "regex", "!~*": "iregex"}
_JSON_OPERATORS: Final = {
    "->": "lfsql_json_get",
    "->>": "lfsql_json_get_text",
    "#>": "lfsql_json_path",
    "#>>": "lfsql_json_path_text",
}
_ARRAY_OPERATORS: Final = {"@>": "lfsql_array_contains", "&&": "lfsql_array_overlaps"}
_SESSION_WORDS: Final = frozenset(("user", "current_role", "session_user", "current_user", "current_catalog"))


class Expressions:
    """Translates expressions within scopes.  `queries` translates the subqueries they hold."""

    def __init__(self, analysis: Analysis, queries: Queries) -> None:
        self.analysis = analysis
        self.queries = queries
        self.calls = Calls(analysis, self)
        self._visitors: dict[type[exp.Expression], Callable[[exp.Expression, Scope], Value]] = {
            exp.Literal: self._literal,
            exp.ByteString: self._string,
            exp.RawString: self._string,
            exp.National: self._string,
            exp.Concat: self._adjacent_strings,
            exp.Boolean: self._boolean,
            exp.Null: lambda node, scope: NULL,
            exp.Parameter: self._parameter,
            exp.Column: self._column,
            exp.Identifier: self._identifier,
            exp.Paren: lambda node, scope: self.visit(node.this, scope),
            exp.Cast: self._cast,
            exp.Interval: self._interval,
            exp.Collate: self._collate,
            exp.Neg: self._negative,
            exp.Not: self._not,
            exp.And: self._logic,
            exp.Or: self._logic,
            exp.Is: self._is,
            exp.NullSafeEQ: self._distinct_from,
            exp.NullSafeNEQ: self._distinct_from,
            exp.Between: self._between,
            exp.In: self._in,
            exp.Escape: self._escape,
            exp.SimilarTo: self._similar,
            exp.Operator: self._operator,
            exp.BitwiseNot: self._bitwise_not,
            exp.Case: self._case,
            exp.Exists: self._exists,
            exp.Subquery: self._scalar_subquery,
            exp.Array: self._array,
            exp.Bracket: self._subscript,
            exp.AtTimeZone: self._at_time_zone,
            exp.Extract: self._extract,
            exp.Substring: self._substring,
            exp.StrPosition: self._position,
            exp.Overlay: self._overlay,
            exp.Trim: self._trim,
            exp.Anonymous: self.calls.call,
            exp.Dot: self._dot,
            exp.Filter: self.calls.call,
            exp.Window: self.calls.call,
            exp.WithinGroup: self.calls.call,
            exp.CurrentDate: self._moment,
            exp.CurrentTime: self._moment,
            exp.CurrentTimestamp: self._moment,
            exp.Localtime: self._moment,
            exp.Localtimestamp: self._moment,
            exp.CurrentUser: self._session_word,
            exp.CurrentRole: self._session_word,
            exp.SessionUser: self._session_word,
            exp.CurrentCatalog: self._session_word,
            exp.CurrentSchema: self._session_word,
            exp.Tuple: self._row,
            exp.Star: self._star,
            exp.Sqrt: lambda node, scope: self.calls.apply("sqrt", [self.visit(node.this, scope)]),
            exp.Cbrt: lambda node, scope: self.calls.apply("cbrt", [self.visit(node.this, scope)]),
        }
        for kind in _BINARY:
            self._visitors[kind] = self._binary

    def visit(self, node: exp.Expression, scope: Scope) -> Value:
        """Raises FeatureNotSupported for what has no translation, and every error of names and types."""
        visitor = self._visitors.get(type(node))
        if visitor is None:
            raise FeatureNotSupported(f"{type(node).__name__} expressions are not supported")
        mark = len(scope.references)
        value = visitor(node, scope)
        if value.sql in scope.grouped:
            del scope.references[mark:]
        return value

    def settled(self, node: exp.Expression, scope: Scope, oid: int = TEXT) -> Value:
        return settled(self.analysis, self.visit(node, scope), oid)

    def condition(self, node: exp.Expression, scope: Scope, clause: str) -> str:
        """SQL of a boolean.  Raises DatatypeMismatch naming the clause."""
        value = self.visit(node, scope)
        if not value.unknown and value.oid != BOOL:
            raise DatatypeMismatch(f"argument of {clause} must be type boolean, not type {spelled(value.oid)}")
        return coerce(self.analysis, value, BOOL).sql

    # -- Leaves ---------------------------------------------------------------------------------------------

    def _literal(self, node: exp.Expression, scope: Scope) -> Value:
        if node.args.get("is_string"):
            return self._string(node, scope)
        return number_constant(node.name)

    def _string(self, node: exp.Expression, scope: Scope) -> Value:
        text = str(node.this)
        return Value(quote(text), UNKNOWN, text=text, simple=True, not_null=True)

    def _adjacent_strings(self, node: exp.Expression, scope: Scope) -> Value:
        text = "".join(str(each.this) for each in node.expressions)
        return Value(quote(text), UNKNOWN, text=text, simple=True, not_null=True)

    def _boolean(self, node: exp.Expression, scope: Scope) -> Value:
        return TRUE if node.this else FALSE

    def _parameter(self, node: exp.Expression, scope: Scope) -> Value:
        return self.analysis.variable(int(node.this.name))

    def _column(self, node: exp.Expression, scope: Scope) -> Value:
        if isinstance(node.this, exp.Star):
            return self._star(node, scope)
        column = identifier_name(node.this)
        qualifier = identifier_name(node.args.get("table"))
        if not qualifier and isinstance(node.this, exp.Identifier) and not node.this.quoted:
            if column in _SESSION_WORDS:
                return self.calls.session("current_user" if column == "user" else column, [])
            if column == "default":
                raise StatementSyntax("DEFAULT is not allowed in this context")
        if not scope.columns_allowed:
            raise InvalidColumnReference("cannot use column reference in this expression")
        return scope.resolve(column, qualifier)

    def _identifier(self, node: exp.Expression, scope: Scope) -> Value:
        return scope.resolve(identifier_name(node))

    def _star(self, node: exp.Expression, scope: Scope) -> Value:
        raise StatementSyntax("* is not allowed in this context")

    def _dot(self, node: exp.Expression, scope: Scope) -> Value:
        qualifier, inner = node.this, node.expression
        if isinstance(inner, (exp.Anonymous, exp.Window, exp.Filter)) and isinstance(qualifier, exp.Identifier):
            schema = identifier_name(qualifier)
            if schema not in ("pg_catalog", "public"):
                raise UndefinedSchema(f'schema "{schema}" does not exist')
            return self.visit(inner, scope)
        raise FeatureNotSupported("field selection from a composite value is not supported")

    # -- Types ----------------------------------------------------------------------------------------------

    def _cast(self, node: exp.Expression, scope: Scope) -> Value:
        oid, typmod = type_of(node.args["to"])
        inner = node.this
        if isinstance(inner, exp.Array) and oid in oids.ELEMENTS:
            return self._array_of(inner, scope, oids.ELEMENTS[oid])
        value = self.visit(inner, scope)
        return self.cast(value, oid, typmod)

    def cast(self, value: Value, oid: int, typmod: int = -1) -> Value:
        if oid == oids.REGCLASS and value.text is not None and value.unknown:
            relation = self.queries.relation_named(value.text)
            if relation is not None:
                return Value(str(relation.oid), oid, simple=True, not_null=True)
        result = coerce(self.analysis, value, oid, typmod, level="explicit")
        if oid == value.oid and typmod in (-1, value.typmod) and value.text is None:
            return result
        return Value(
            result.sql,
            oid,
            typmod,
            text=result.text if oid in (INT4, INT8) else None,
            simple=result.simple,
            not_null=result.not_null,
        )

    def _interval(self, node: exp.Expression, scope: Scope) -> Value:
        unit = node.args["unit"].name
        text = str(node.this.this)
        last = unit.split(" TO ")[-1].lower()
        spelled_out = f"{text} {last}" if text.strip().lstrip("+-").replace(".", "", 1).isdigit() else text
        value = coerce(self.analysis, Value(quote(spelled_out), UNKNOWN, text=spelled_out, simple=True), INTERVAL)
        return value if last == "second" else value.of(f"lfsql_interval_trunc('{last}', {value.sql})")

    def _collate(self, node: exp.Expression, scope: Scope) -> Value:
        collation = node.expression.name.lower()
        if collation not in ("c", "posix", "default", "ucs_basic"):
            raise FeatureNotSupported(f'collation "{node.expression.name}" is not supported; text sorts as in "C"')
        return self.visit(node.this, scope)

    # -- Operators ------------------------------------------------------------------------------------------

    def _binary(self, node: exp.Expression, scope: Scope) -> Value:
        symbol = _BINARY[type(node)]
        right = node.expression
        if isinstance(right, (exp.Any, exp.All)):
            return self._quantified(symbol, node.this, right.this, scope, every=isinstance(right, exp.All))
        if isinstance(right, exp.Anonymous) and str(right.this).lower() in ("all", "some", "any"):
            every = str(right.this).lower() == "all"
            return self._quantified(symbol, node.this, right.expressions[0], scope, every=every)
        negate = bool(node.args.get("negate"))
        if symbol in operators.COMPARISONS and isinstance(_plain(node.this), (exp.Tuple, exp.Anonymous)):
            row = self._row_comparison(symbol, node.this, right, scope)
            if row is not None:
                return row
        value = self.operate(symbol, self.visit(node.this, scope), self.visit(right, scope))
        return Value(f"(NOT {value.sql})", BOOL) if negate else value

    def operate(self, symbol: str, left: Value, right: Value) -> Value:
        """A binary operator by its symbol.  Raises UndefinedFunction when these types have none."""
        analysis = self.analysis
        symbol = "<>" if symbol == "!=" else symbol
        if symbol in operators.COMPARISONS:
            return operators.compare(analysis, symbol, left, right)
        if symbol in operators.ARITHMETIC:
            return operators.arithmetic(analysis, symbol, left, right)
        if symbol == "||":
            return operators.concatenate(analysis, left, right)
        if symbol in _PATTERNS:
            return operators.pattern_match(analysis, _PATTERNS[symbol], left, right)
        if symbol in _NEGATED_PATTERNS:
            matched = operators.pattern_match(analysis, _NEGATED_PATTERNS[symbol], left, right)
            return Value(f"(NOT {matched.sql})", BOOL)
        if symbol in ("&", "|", "#", "<<", ">>"):
            return operators.bitwise(analysis, symbol, left, right)
        if symbol == "^@":
            return self.calls.apply("starts_with", [left, right])
        return self._structure_operator(symbol, left, right)

    def _structure_operator(self, symbol: str, left: Value, right: Value) -> Value:
        """Operators of json, jsonb and arrays."""
        analysis = self.analysis
        if symbol == "<@":
            return self._structure_operator("@>", right, left)
        if symbol in _JSON_OPERATORS:
            left = coerce(analysis, left, JSONB) if left.unknown else settled(analysis, left)
            if left.oid not in (JSON, JSONB):
                raise operators.missing(symbol, left.oid, right.oid)
            if symbol.startswith("#"):
                right = coerce(analysis, right, oids.ARRAYS[TEXT])
            elif right.unknown:
                right = coerce(analysis, right, TEXT)
            right = checked(settled(analysis, right))
            result = TEXT if symbol.endswith(">>") else left.oid
            function = _JSON_OPERATORS[symbol]
            if left.oid == JSONB and result == JSONB:
                function = function.replace("lfsql_json_", "lfsql_jsonb_")
            return Value(f"{function}({left.sql}, {right.sql})", result)
        if symbol in ("?", "?|", "?&"):
            left = coerce(analysis, left, JSONB)
            right = coerce(analysis, right, TEXT if symbol == "?" else oids.ARRAYS[TEXT])
            function = {"?": "jsonb_exists", "?|": "lfsql_jsonb_exists_any", "?&": "lfsql_jsonb_exists_all"}[symbol]
            function = "lfsql_jsonb_exists" if function == "jsonb_exists" else function
            return Value(f"{function}({left.sql}, {right.sql})", BOOL)
        if symbol == "#-":
            left, right = coerce(analysis, left, JSONB), coerce(analysis, right, oids.ARRAYS[TEXT])
            return Value(f"lfsql_jsonb_delete_path({left.sql}, {right.sql})", JSONB)
        if symbol in _ARRAY_OPERATORS:
            kind = left.oid if not left.unknown else right.oid
            if kind == JSONB and symbol == "@>":
                left, right = coerce(analysis, left, JSONB), coerce(analysis, right, JSONB)
                return Value(f"lfsql_jsonb_contains({left.sql}, {right.sql})", BOOL)
            if kind in oids.ELEMENTS:
                left, right = coerce(analysis, left, kind), coerce(analysis, right, kind)
                return Value(f"{_ARRAY_OPERATORS[symbol]}({left.sql}, {right.sql})", BOOL)
        raise operators.missing(symbol, left.oid, right.oid)

    def _operator(self, node: exp.Expression, scope: Scope) -> Value:
        symbol = str(node.args["operator"]).split(".")[-1].strip()
        right = node.expression
        if isinstance(right, exp.Any):
            return self._quantified(symbol, node.this, right.this, scope, every=False)
        return self.operate(symbol, self.visit(node.this, scope), self.visit(right, scope))

    def _negative(self, node: exp.Expression, scope: Scope) -> Value:
        return operators.negative(self.analysis, self.visit(node.this, scope))

    def _bitwise_not(self, node: exp.Expression, scope: Scope) -> Value:
        value = self.settled(node.this, scope, INT4)
        if value.oid not in (INT2, INT4, INT8):
            raise operators.missing("~", None, value.oid)
        return Value(f"(~{checked(value).sql})", value.oid)

    def _not(self, node: exp.Expression, scope: Scope) -> Value:
        return Value(f"(NOT {self.condition(node.this, scope, 'NOT')})", BOOL)

    def _logic(self, node: exp.Expression, scope: Scope) -> Value:
        word = "AND" if isinstance(node, exp.And) else "OR"
        # A chain of ORs nests to the left as deep as it is long: walk it instead of recursing.
        parts: list[exp.Expression] = []
        rest: exp.Expression = node
        while isinstance(rest, type(node)):
            parts.append(rest.expression)
            rest = rest.this
        parts.append(rest)
        texts = [self.condition(part, scope, word) for part in reversed(parts)]
        return Value(f"({f' {word} '.join(texts)})", BOOL)

    def _is(self, node: exp.Expression, scope: Scope) -> Value:
        right, negate = node.expression, " NOT" if node.args.get("negate") else ""
        if isinstance(right, exp.Null):
            value = self.visit(node.this, scope)
            if value.oid != UNKNOWN:
                value = settled(self.analysis, value)
            return Value(f"({value.sql} IS{negate} NULL)", BOOL, not_null=True)
        if isinstance(right, exp.Boolean):
            text = self.condition(node.this, scope, f"IS {'TRUE' if right.this else 'FALSE'}")
            return Value(f"({text} IS{negate} {'TRUE' if right.this else 'FALSE'})", BOOL, not_null=True)
        if isinstance(right, exp.Column) and right.name.lower() == "unknown":
            text = self.condition(node.this, scope, "IS UNKNOWN")
            return Value(f"({text} IS{negate} NULL)", BOOL, not_null=True)
        raise FeatureNotSupported("IS with this operand is not supported")

    def _distinct_from(self, node: exp.Expression, scope: Scope) -> Value:
        left, right = self.visit(node.this, scope), self.visit(node.expression, scope)
        return operators.distinct_from(self.analysis, left, right, isinstance(node, exp.NullSafeEQ))

    def _between(self, node: exp.Expression, scope: Scope) -> Value:
        value = self.visit(node.this, scope)
        low, high = self.visit(node.args["low"], scope), self.visit(node.args["high"], scope)
        if node.args.get("symmetric"):
            one = self._both(value, low, high)
            other = self._both(value, high, low)
            return Value(f"({one} OR {other})", BOOL)
        return Value(self._both(value, low, high), BOOL)

    def _both(self, value: Value, low: Value, high: Value) -> str:
        over = operators.compare(self.analysis, ">=", value, low)
        under = operators.compare(self.analysis, "<=", value, high)
        return f"({over.sql} AND {under.sql})"

    def _in(self, node: exp.Expression, scope: Scope) -> Value:
        query = node.args.get("query")
        if query is not None:
            return self._in_query("=", node.this, query, scope)
        field = node.args.get("field")
        if field is not None:
            raise StatementSyntax("IN needs a list in parentheses")
        left_node = _plain(node.this)
        if isinstance(left_node, exp.Tuple):
            choices = [self._row_comparison("=", node.this, each, scope) for each in node.expressions]
            return Value("(" + " OR ".join(each.sql for each in choices if each is not None) + ")", BOOL)
        value = self.visit(node.this, scope)
        members = [self.visit(each, scope) for each in node.expressions]
        return self._membership(value, members)

    def _membership(self, value: Value, members: Sequence[Value]) -> Value:
        target = value.oid
        for each in members:
            open_value = Value("", target if target != UNKNOWN else each.oid)
            target = operators.comparison_type("=", open_value, each) if target != UNKNOWN else each.oid
        if target == UNKNOWN:
            target = TEXT
        left = coerce(self.analysis, value, target)
        rights = [operators.equality_member(coerce(self.analysis, each, target)) for each in members]
        return Value(f"({operators.equality_key(left)} IN ({', '.join(rights)}))", BOOL)

    def _in_query(self, symbol: str, left: exp.Expression, query: exp.Expression, scope: Scope) -> Value:
        row = _plain(left)
        values = (
            [self.visit(each, scope) for each in row.expressions]
            if isinstance(row, exp.Tuple)
            else [self.visit(left, scope)]
        )
        inner = self.queries.query(query, scope)
        if len(inner.outputs) != len(values):
            few = "few" if len(inner.outputs) < len(values) else "many"
            raise StatementSyntax(f"subquery has too {few} columns")
        lefts, rights = [], []
        for value, output in zip(values, inner.outputs, strict=True):
            output = settled(self.analysis, output, value.oid if not value.unknown else TEXT)
            one, other = operators.comparable(self.analysis, symbol, value, output)
            lefts.append(operators.equality_key(one))
            rights.append(other.of(operators.equality_member(other)))
        text = inner.render(rights)
        subject = lefts[0] if len(lefts) == 1 else f"({', '.join(lefts)})"
        return Value(f"({subject} IN ({text}))", BOOL)

    def _quantified(
        self, symbol: str, left: exp.Expression, right: exp.Expression, scope: Scope, *, every: bool
    ) -> Value:
        """`left symbol ANY (array or query)`, and ALL."""
        inner = right
        while isinstance(inner, exp.Paren):
            inner = inner.this
        if isinstance(inner, (exp.Query, exp.Values)):
            return self._quantified_query(symbol, left, inner, scope, every=every)
        value = self.visit(left, scope)
        array = self.visit(inner, scope)
        if array.unknown:
            element = TEXT if value.unknown else value.oid
            array = coerce(self.analysis, array, array_of(element))
        if array.oid not in oids.ELEMENTS and array.oid not in operators.VECTORS:
            raise WrongObjectType("op ANY/ALL (array) requires array on right side")
        element = oids.ELEMENTS.get(array.oid) or operators.VECTORS[array.oid]
        if symbol == "=" and not every:
            left_value, _ = operators.comparable(self.analysis, symbol, value, Value("x", element))
            converted = coerce(self.analysis, Value("value", element), left_value.oid)
            member = operators.equality_member(converted)
            return Value(
                f"({operators.equality_key(left_value)} IN (SELECT {member} FROM json_each({array.sql})))", BOOL
            )
        self.queries.aliases += 1
        alias = f"_any{self.queries.aliases}"
        test = self.operate(symbol, value, Value(f'"{alias}".value', element, simple=True))
        if every:
            return Value(
                f'(NOT EXISTS (SELECT 1 FROM json_each({array.sql}) AS "{alias}" WHERE {test.sql} IS NOT TRUE))', BOOL
            )
        return Value(f'EXISTS (SELECT 1 FROM json_each({array.sql}) AS "{alias}" WHERE {test.sql})', BOOL)

    def _quantified_query(
        self, symbol: str, left: exp.Expression, query: exp.Expression, scope: Scope, *, every: bool
    ) -> Value:
        if symbol == "=" and not every:
            return self._in_query("=", left, query, scope)
        if symbol == "<>" and every:
            return Value(f"(NOT {self._in_query('=', left, query, scope).sql})", BOOL)
        inner = self.queries.query(query, scope)
        if len(inner.outputs) != 1:
            raise StatementSyntax("subquery has too many columns")
        self.queries.aliases += 1
        alias = f"_any{self.queries.aliases}"
        output = settled(self.analysis, inner.outputs[0])
        text = inner.render([output], ["v"])
        test = self.operate(
            symbol, self.visit(left, scope), Value(f'"{alias}"."v"', output.oid, output.typmod, simple=True)
        )
        if every:
            return Value(f'(NOT EXISTS (SELECT 1 FROM ({text}) AS "{alias}" WHERE {test.sql} IS NOT TRUE))', BOOL)
        return Value(f'EXISTS (SELECT 1 FROM ({text}) AS "{alias}" WHERE {test.sql})', BOOL)

    def _escape(self, node: exp.Expression, scope: Scope) -> Value:
        match = node.this
        kind = {exp.Like: "like", exp.ILike: "ilike", exp.SimilarTo: "similar"}.get(type(match))
        if kind is None:
            raise FeatureNotSupported("ESCAPE belongs to LIKE and SIMILAR TO")
        left, right = self.visit(match.this, scope), self.visit(match.expression, scope)
        value = operators.pattern_match(self.analysis, kind, left, right, escape=str(node.expression.this))
        return Value(f"(NOT {value.sql})", BOOL) if match.args.get("negate") else value

    def _similar(self, node: exp.Expression, scope: Scope) -> Value:
        left, right = self.visit(node.this, scope), self.visit(node.expression, scope)
        return operators.pattern_match(self.analysis, "similar", left, right)

    # -- Rows -----------------------------------------------------------------------------------------------

    def _row(self, node: exp.Expression, scope: Scope) -> Value:
        raise FeatureNotSupported("row values are supported in comparisons only")

    def _members(self, node: exp.Expression) -> list[exp.Expression] | None:
        plain = _plain(node)
        if isinstance(plain, exp.Tuple):
            return list(plain.expressions)
        if isinstance(plain, exp.Anonymous) and str(plain.this).lower() == "row":
            return list(plain.expressions)
        return None

    def _row_comparison(self, symbol: str, left: exp.Expression, right: exp.Expression, scope: Scope) -> Value | None:
        lefts, rights = self._members(left), self._members(right)
        if lefts is None:
            return None
        if rights is None:
            plain = _plain(right)
            if isinstance(plain, (exp.Subquery, exp.Select)) and symbol == "=":
                return self._in_query("=", left, plain, scope)
            return None
        if len(lefts) != len(rights):
            raise StatementSyntax("unequal number of entries in row expressions")
        ones, others = [], []
        for one, other in zip(lefts, rights, strict=True):
            a, b = operators.comparable(self.analysis, symbol, self.visit(one, scope), self.visit(other, scope))
            key = operators.equality_key if symbol in ("=", "<>") else operators.sort_key
            ones.append(key(a))
            others.append(operators.equality_member(b) if symbol in ("=", "<>") else operators.order_member(b))
        if len(ones) == 1:
            return Value(f"({ones[0]} {symbol} {others[0]})", BOOL)
        return Value(f"(({', '.join(ones)}) {symbol} ({', '.join(others)}))", BOOL)

    # -- Conditionals ---------------------------------------------------------------------------------------

    def unified(self, values: Sequence[Value], what: str) -> tuple[list[Value], int, int]:
        """Values in their common type, with the type and the typmod they share."""
        target = common_type((value.oid for value in values), what)
        converted = [checked(coerce(self.analysis, value, target)) for value in values]
        same = len({value.typmod for value in values}) == 1 and all(value.oid == target for value in values)
        return converted, target, values[0].typmod if same else -1

    def _case(self, node: exp.Expression, scope: Scope) -> Value:
        subject = node.this
        branches = node.args["ifs"]
        default = node.args.get("default")
        results = [self.visit(each.args["true"], scope) for each in branches]
        results.append(self.visit(default, scope) if default is not None else NULL)
        # PostgreSQL looks at the default first when it settles the type; the order matters for messages only.
        converted, target, typmod = self.unified(results, "CASE")
        text = "CASE"
        for each, result in zip(branches, converted, strict=False):
            if subject is not None:
                test = operators.compare(
                    self.analysis, "=", self.visit(subject, scope), self.visit(each.this, scope)
                ).sql
            else:
                test = self.condition(each.this, scope, "CASE/WHEN")
            text += f" WHEN {test} THEN {result.sql}"
        if default is not None:
            text += f" ELSE {converted[-1].sql}"
        return Value(f"({text} END)", target, typmod)

    # -- Subqueries -----------------------------------------------------------------------------------------

    def _exists(self, node: exp.Expression, scope: Scope) -> Value:
        inner = self.queries.query(node.this, scope)
        outputs = [settled(self.analysis, output) for output in inner.outputs]
        return Value(f"EXISTS ({inner.render(outputs)})", BOOL, not_null=True)

    def _scalar_subquery(self, node: exp.Expression, scope: Scope) -> Value:
        inner = self.queries.query(node, scope)
        if len(inner.outputs) != 1:
            raise StatementSyntax("subquery must return only one column")
        output = checked(settled(self.analysis, inner.outputs[0]))
        return Value(f"({inner.render([output])})", output.oid, output.typmod)

    # -- Arrays ---------------------------------------------------------------------------------------------

    def _array(self, node: exp.Expression, scope: Scope) -> Value:
        return self._array_of(node, scope, 0)

    def _array_of(self, node: exp.Expression, scope: Scope, element: int) -> Value:
        items = node.expressions
        if len(items) == 1 and isinstance(_plain(items[0]), exp.Query):
            inner = self.queries.query(items[0], scope)
            output = settled(self.analysis, inner.outputs[0])
            if element:
                output = coerce(self.analysis, output, element, level="explicit")
            text = inner.render([output.of(operators.array_item(output))], ["v"])
            return Value(f'(SELECT json_group_array("v") FROM ({text}))', array_of(output.oid))
        nested = any(isinstance(_plain(item), exp.Array) for item in items)
        if nested:
            values = [self._array_of(_plain(item), scope, element) for item in items]
            target = values[0].oid
        else:
            values = [self.visit(item, scope) for item in items]
            if not values and not element:
                raise operators.untyped_array()
            scalar = element or common_type((value.oid for value in values), "ARRAY")
            level = "explicit" if element else "implicit"
            values = [coerce(self.analysis, value, scalar, level=level) for value in values]  # type: ignore[arg-type]  # a conditional of two literals
            target = array_of(scalar)
        return Value(f"json_array({', '.join(operators.array_item(value) for value in values)})", target)

    def _subscript(self, node: exp.Expression, scope: Scope) -> Value:
        indexes: list[exp.Expression] = []
        inner: exp.Expression = node
        while isinstance(inner, exp.Bracket):
            indexes[:0] = inner.expressions
            inner = inner.this
        value = self.settled(inner, scope)
        if value.oid == JSONB:
            for index in indexes:
                value = self.operate("->", value, self.visit(index, scope))
            return value
        element = oids.ELEMENTS.get(value.oid) or operators.VECTORS.get(value.oid)
        if element is None:
            raise DatatypeMismatch(f"cannot subscript type {spelled(value.oid)} because it does not support it")
        if any(isinstance(index, exp.Slice) for index in indexes):
            if len(indexes) > 1:
                raise FeatureNotSupported("slices of arrays with several dimensions are not supported")
            low = self._place(indexes[0].this, scope, "1")
            high = self._place(indexes[0].args.get("expression"), scope, "NULL")
            return Value(f"lfsql_array_slice({value.sql}, {low}, {high})", value.oid)
        places = ", ".join(self._place(index, scope, "") for index in indexes)
        if value.oid in operators.VECTORS:
            places = f"{places} + 1"  # they count from 0
        return Value(f"lfsql_array_get({value.sql}, {places})", element)

    def _place(self, node: exp.Expression | None, scope: Scope, default: str) -> str:
        if node is None:
            return default
        return checked(coerce(self.analysis, self.visit(node, scope), INT4)).sql

    # -- Functions with a syntax of their own ---------------------------------------------------------------

    def _at_time_zone(self, node: exp.Expression, scope: Scope) -> Value:
        zone = self.visit(node.args["zone"], scope)
        moment = self.visit(node.this, scope)
        if moment.unknown:
            moment = coerce(self.analysis, moment, TIMESTAMPTZ)
        return self.calls.apply("timezone", [zone, moment])

    def _extract(self, node: exp.Expression, scope: Scope) -> Value:
        part = quote(node.this.name.lower())
        field = Value(part, TEXT, simple=True)
        return self.calls.apply("extract", [field, self.visit(node.expression, scope)])

    def _substring(self, node: exp.Expression, scope: Scope) -> Value:
        arguments = [self.visit(node.this, scope)]
        start, length = node.args.get("start"), node.args.get("length")
        if start is None and length is not None:
            arguments.append(number_constant("1"))
        elif start is not None:
            arguments.append(self.visit(start, scope))
        if length is not None:
            arguments.append(self.visit(length, scope))
        return self.calls.apply("substring", arguments)

    def _position(self, node: exp.Expression, scope: Scope) -> Value:
        return self.calls.apply("position", [self.visit(node.args["substr"], scope), self.visit(node.this, scope)])

    def _overlay(self, node: exp.Expression, scope: Scope) -> Value:
        parts = [node.this, node.expression, node.args["from_"], node.args.get("for_")]
        return self.calls.apply("overlay", [self.visit(part, scope) for part in parts if part is not None])

    def _trim(self, node: exp.Expression, scope: Scope) -> Value:
        side = str(node.args.get("position") or "BOTH").upper()
        arguments = [self.visit(node.this, scope)]
        if node.expression is not None:
            arguments.append(self.visit(node.expression, scope))
        return self.calls.apply({"LEADING": "ltrim", "TRAILING": "rtrim"}.get(side, "btrim"), arguments)

    def _moment(self, node: exp.Expression, scope: Scope) -> Value:
        """current_date and its kin.  They change from call to call of a statement, never within one."""
        return self.moment(_WORDS[type(node)])

    def moment(self, word: str, precision: int = -1) -> Value:
        target = {
            "current_date": DATE,
            "current_time": TIMETZ,
            "current_timestamp": TIMESTAMPTZ,
            "localtime": TIME,
            "localtimestamp": TIMESTAMP,
        }[word]
        self.analysis.volatile = True
        now = Value("lfsql_now()", TIMESTAMPTZ, not_null=True)
        if target == TIMETZ:
            return Value(f"lfsql_timetz({now.sql}, {self.analysis.time_zone()})", TIMETZ, not_null=True)
        return coerce(self.analysis, now, target, precision, level="explicit")

    def _session_word(self, node: exp.Expression, scope: Scope) -> Value:
        return self.calls.session(_WORDS[type(node)], [])


def _plain(node: exp.Expression) -> exp.Expression:
    while isinstance(node, exp.Paren):
        node = node.this
    return node
