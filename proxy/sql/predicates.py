"""Conditions: AND, OR, NOT, IS, BETWEEN, IN, ANY and ALL, LIKE's ESCAPE, and comparisons of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from lfsql.errors import FeatureNotSupported, StatementSyntax, WrongObjectType
from proxy.pg import oids
from proxy.pg.oids import BOOL, TEXT, UNKNOWN
from proxy.sql import operators
from proxy.sql.casts import coerce, settled
from proxy.sql.infer import array_of
from proxy.sql.scope import Scope
from proxy.sql.value import Analysis, Value, balanced

if TYPE_CHECKING:
    from proxy.sql.expressions import Expressions


def plain(node: exp.Expression) -> exp.Expression:
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def chain(node: exp.Expression) -> list[exp.Expression]:
    """The operands of a row of one operator, which nests to the left as deep as it is long: walked, not recursed."""
    operands: list[exp.Expression] = []
    rest: exp.Expression = node
    while isinstance(rest, type(node)):
        operands.append(rest.expression)
        rest = rest.this
    return [rest, *reversed(operands)]


class Predicates:
    def __init__(self, analysis: Analysis, expressions: Expressions) -> None:
        self.analysis = analysis
        self.expressions = expressions
        self.queries = expressions.queries

    def not_(self, node: exp.Expression, scope: Scope) -> Value:
        return Value(f"(NOT {self.expressions.condition(node.this, scope, 'NOT')})", BOOL)

    def logic(self, node: exp.Expression, scope: Scope) -> Value:
        word = "AND" if isinstance(node, exp.And) else "OR"
        texts = [self.expressions.condition(part, scope, word) for part in chain(node)]
        return Value(balanced(texts, word), BOOL)

    def is_(self, node: exp.Expression, scope: Scope) -> Value:
        right, negate = node.expression, " NOT" if node.args.get("negate") else ""
        if isinstance(right, exp.Null):
            value = self.expressions.visit(node.this, scope)
            if value.oid != UNKNOWN:
                value = settled(self.analysis, value)
            return Value(f"({value.sql} IS{negate} NULL)", BOOL, not_null=True)
        if isinstance(right, exp.Boolean):
            text = self.expressions.condition(node.this, scope, f"IS {'TRUE' if right.this else 'FALSE'}")
            return Value(f"({text} IS{negate} {'TRUE' if right.this else 'FALSE'})", BOOL, not_null=True)
        if isinstance(right, exp.Column) and right.name.lower() == "unknown":
            text = self.expressions.condition(node.this, scope, "IS UNKNOWN")
            return Value(f"({text} IS{negate} NULL)", BOOL, not_null=True)
        raise FeatureNotSupported("IS with this operand is not supported")

    def distinct_from(self, node: exp.Expression, scope: Scope) -> Value:
        left, right = self.expressions.visit(node.this, scope), self.expressions.visit(node.expression, scope)
        return operators.distinct_from(self.analysis, left, right, isinstance(node, exp.NullSafeEQ))

    def between(self, node: exp.Expression, scope: Scope) -> Value:
        value = self.expressions.visit(node.this, scope)
        low, high = self.expressions.visit(node.args["low"], scope), self.expressions.visit(node.args["high"], scope)
        if node.args.get("symmetric"):
            one = self._both(value, low, high)
            other = self._both(value, high, low)
            return Value(f"({one} OR {other})", BOOL)
        return Value(self._both(value, low, high), BOOL)

    def _both(self, value: Value, low: Value, high: Value) -> str:
        over = operators.compare(self.analysis, ">=", value, low)
        under = operators.compare(self.analysis, "<=", value, high)
        return f"({over.sql} AND {under.sql})"

    def in_(self, node: exp.Expression, scope: Scope) -> Value:
        query = node.args.get("query")
        if query is not None:
            return self._in_query("=", node.this, query, scope)
        field = node.args.get("field")
        if field is not None:
            raise StatementSyntax("IN needs a list in parentheses")
        left_node = plain(node.this)
        if isinstance(left_node, exp.Tuple):
            choices = [self.row_comparison("=", node.this, each, scope) for each in node.expressions]
            return Value(balanced([each.sql for each in choices if each is not None], "OR"), BOOL)
        value = self.expressions.visit(node.this, scope)
        members = [self.expressions.visit(each, scope) for each in node.expressions]
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
        row = plain(left)
        values = (
            [self.expressions.visit(each, scope) for each in row.expressions]
            if isinstance(row, exp.Tuple)
            else [self.expressions.visit(left, scope)]
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

    def quantified(
        self, symbol: str, left: exp.Expression, right: exp.Expression, scope: Scope, *, every: bool
    ) -> Value:
        """`left symbol ANY (array or query)`, and ALL."""
        inner = right
        while isinstance(inner, exp.Paren):
            inner = inner.this
        if isinstance(inner, (exp.Query, exp.Values)):
            return self._quantified_query(symbol, left, inner, scope, every=every)
        value = self.expressions.visit(left, scope)
        array = self.expressions.visit(inner, scope)
        if array.unknown:
            element = TEXT if value.unknown else value.oid
            array = coerce(self.analysis, array, array_of(element))
        if array.oid not in oids.ELEMENTS and array.oid not in operators.VECTORS:
            raise WrongObjectType("op ANY/ALL (array) requires array on right side")
        element = oids.ELEMENTS.get(array.oid) or operators.VECTORS[array.oid]
        # Nothing is known of a NULL array's elements; an empty one has none.
        listed = array.sql if array.not_null else f"ifnull({array.sql}, '[null]')"
        if symbol == "=" and not every:
            left_value, _ = operators.comparable(self.analysis, symbol, value, Value("x", element))
            converted = coerce(self.analysis, Value("value", element), left_value.oid)
            member = operators.equality_member(converted)
            return Value(
                f"({operators.equality_key(left_value)} IN (SELECT {member} FROM json_each({listed})))", BOOL
            )
        self.queries.aliases += 1
        alias = f"_any{self.queries.aliases}"
        test = self.expressions.operate(symbol, value, Value(f'"{alias}".value', element, simple=True))
        if every:
            return Value(
                f'(NOT EXISTS (SELECT 1 FROM json_each({listed}) AS "{alias}" WHERE {test.sql} IS NOT TRUE))', BOOL
            )
        return Value(f'EXISTS (SELECT 1 FROM json_each({listed}) AS "{alias}" WHERE {test.sql})', BOOL)

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
        test = self.expressions.operate(
            symbol,
            self.expressions.visit(left, scope),
            Value(f'"{alias}"."v"', output.oid, output.typmod, simple=True),
        )
        if every:
            return Value(f'(NOT EXISTS (SELECT 1 FROM ({text}) AS "{alias}" WHERE {test.sql} IS NOT TRUE))', BOOL)
        return Value(f'EXISTS (SELECT 1 FROM ({text}) AS "{alias}" WHERE {test.sql})', BOOL)

    def escape(self, node: exp.Expression, scope: Scope) -> Value:
        match = node.this
        kind = {exp.Like: "like", exp.ILike: "ilike", exp.SimilarTo: "similar"}.get(type(match))
        if kind is None:
            raise FeatureNotSupported("ESCAPE belongs to LIKE and SIMILAR TO")
        left, right = self.expressions.visit(match.this, scope), self.expressions.visit(match.expression, scope)
        value = operators.pattern_match(self.analysis, kind, left, right, escape=str(node.expression.this))
        return Value(f"(NOT {value.sql})", BOOL) if match.args.get("negate") else value

    def similar(self, node: exp.Expression, scope: Scope) -> Value:
        left, right = self.expressions.visit(node.this, scope), self.expressions.visit(node.expression, scope)
        return operators.pattern_match(self.analysis, "similar", left, right)

    def row(self, node: exp.Expression, scope: Scope) -> Value:
        raise FeatureNotSupported("row values are supported in comparisons only")

    def _members(self, node: exp.Expression) -> list[exp.Expression] | None:
        row = plain(node)
        if isinstance(row, exp.Tuple):
            return list(row.expressions)
        if isinstance(row, exp.Anonymous) and str(row.this).lower() == "row":
            return list(row.expressions)
        return None

    def row_comparison(self, symbol: str, left: exp.Expression, right: exp.Expression, scope: Scope) -> Value | None:
        lefts, rights = self._members(left), self._members(right)
        if lefts is None:
            return None
        if rights is None:
            query = plain(right)
            if isinstance(query, (exp.Subquery, exp.Select)) and symbol == "=":
                return self._in_query("=", left, query, scope)
            return None
        if len(lefts) != len(rights):
            raise StatementSyntax("unequal number of entries in row expressions")
        ones, others = [], []
        for one, other in zip(lefts, rights, strict=True):
            a, b = operators.comparable(
                self.analysis, symbol, self.expressions.visit(one, scope), self.expressions.visit(other, scope)
            )
            key = operators.equality_key if symbol in ("=", "<>") else operators.sort_key
            ones.append(key(a))
            others.append(operators.equality_member(b) if symbol in ("=", "<>") else operators.order_member(b))
        if len(ones) == 1:
            return Value(f"({ones[0]} {symbol} {others[0]})", BOOL)
        return Value(f"(({', '.join(ones)}) {symbol} ({', '.join(others)}))", BOOL)
