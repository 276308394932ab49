"""SELECT: its clauses in the order PostgreSQL works them out.

GROUP BY comes before the select list, so that a column that is neither grouped nor aggregated is found while the
list is translated.  DISTINCT ON, which SQLite lacks, becomes a numbered window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlglot import exp

from lfsql.errors import (
    FeatureNotSupported,
    GroupingError,
    InvalidColumnReference,
    StatementSyntax,
    UndefinedTable,
)
from proxy.pg.oids import NUMERIC
from proxy.sql import operators
from proxy.sql.casts import checked, settled
from proxy.sql.infer import column_name, identifier_name
from proxy.sql.number_text import position_of
from proxy.sql.ordering import direction, ordering
from proxy.sql.query import Query, select_list
from proxy.sql.quoting import quote
from proxy.sql.scope import Scope
from proxy.sql.value import Analysis, Value

if TYPE_CHECKING:
    from proxy.sql.queries import Queries


@dataclass(slots=True)
class Selection:
    """A SELECT's parts while it is put together."""

    scope: Scope
    outputs: list[Value] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    nodes: list[exp.Expression | None] = field(default_factory=list)
    aliases: dict[str, int] = field(default_factory=dict)
    """Places of the outputs by alias, for ORDER BY and GROUP BY."""


class Selects:
    def __init__(self, analysis: Analysis, queries: Queries) -> None:
        self.analysis = analysis
        self.queries = queries
        self.expressions = queries.expressions
        self.from_clause = queries.from_clause

    def select(self, node: exp.Select, scope: Scope) -> Query:
        if node.args.get("into") is not None:
            raise StatementSyntax("SELECT ... INTO is not allowed here")
        for key in ("qualify", "sample", "connect", "laterals", "pivots", "cluster", "distribute", "sort", "match"):
            if node.args.get(key):
                raise FeatureNotSupported(f"{key.upper()} is not supported")
        expressions = self.expressions
        source = node.args.get("from_")
        joins = list(node.args.get("joins") or ())
        from_text = self.from_clause.build(source, joins, scope) if source is not None else ""
        where = node.args.get("where")
        where_text = ""
        if where is not None:
            scope.aggregates_forbidden, scope.windows_allowed = "WHERE", False
            where_text = f" WHERE {expressions.condition(where.this, scope, 'WHERE')}"
            scope.aggregates_forbidden, scope.windows_allowed = "", True
        window_texts = [
            f'"{identifier_name(window.this)}" AS {expressions.calls.aggregates.over(window, scope)}'
            for window in node.args.get("windows") or ()
        ]
        scope.references.clear()

        selection = Selection(scope)
        group_text = self._group(node, selection)
        scope.references.clear()
        scope.series = []
        self._targets(node, selection)
        series = scope.series
        scope.series = None
        having = node.args.get("having")
        having_text = ""
        if having is not None:
            scope.windows_allowed = False
            having_text = f" HAVING {expressions.condition(having.this, scope, 'HAVING')}"
            scope.windows_allowed = True
            if not group_text and not scope.aggregates:
                raise GroupingError("HAVING without GROUP BY or an aggregate is not supported")
        distinct = node.args.get("distinct")
        on = distinct.args.get("on") if distinct is not None else None
        order = node.args.get("order")
        items = order.expressions if order is not None else []
        order_keys = [self._order_value(item.this, selection) for item in items]
        on_nodes = [] if on is None else on.expressions if isinstance(on, exp.Tuple) else [on]
        on_keys = [
            self._order_value(each.this if isinstance(each, exp.Paren) else each, selection) for each in on_nodes
        ]
        scope.check_grouping()

        def render(finals: Sequence[Value], aliases: Sequence[str]) -> str:
            tail = f"{from_text}"
            if series:
                tail = f"{from_text}, {', '.join(series)}" if from_text else f" FROM {', '.join(series)}"
            tail += where_text + group_text + having_text
            if window_texts:
                tail += f" WINDOW {', '.join(window_texts)}"
            if on_keys:
                return self._distinct_on(node, finals, aliases, tail, items, order_keys, on_keys)
            plain = distinct is None
            shown = finals if plain else [_collated(final) for final in finals]
            text = f"SELECT {'' if plain else 'DISTINCT '}{select_list(shown, aliases)}{tail}"
            if items:
                pairs = zip(items, order_keys, strict=True)
                text += f" ORDER BY {', '.join(self._order_text(item, key, finals) for item, key in pairs)}"
            return text + self.queries.limit(node)

        return Query(selection.outputs, selection.names, render)

    def _group(self, node: exp.Select, selection: Selection) -> str:
        group = node.args.get("group")
        if group is None:
            return ""
        if any(isinstance(each, (exp.Rollup, exp.Cube, exp.GroupingSets)) for each in group.expressions):
            raise FeatureNotSupported("GROUPING SETS, ROLLUP and CUBE are not supported")
        for key in ("grouping_sets", "cube", "rollup", "totals"):
            if group.args.get(key):
                raise FeatureNotSupported("GROUPING SETS, ROLLUP and CUBE are not supported")
        scope = selection.scope
        texts: list[str] = []
        scope.aggregates_forbidden = "GROUP BY"
        grouped: dict[str, tuple[str, str] | None] = {}
        for each in group.expressions:
            target = self._group_target(each, node, scope)
            mark = len(scope.references)
            value = settled(self.analysis, self.expressions.visit(target, scope))
            reference = scope.references[mark] if len(scope.references) == mark + 1 and value.simple else None
            grouped[value.sql] = reference
            texts.append(operators.equality_key(checked(value)))
        scope.aggregates_forbidden = ""
        scope.grouped = grouped
        return f" GROUP BY {', '.join(texts)}" if texts else ""

    def _group_target(self, node: exp.Expression, select: exp.Select, scope: Scope) -> exp.Expression:
        """An ordinal, an input column, or (only then) an output's alias."""
        if isinstance(node, exp.Literal) and not node.args.get("is_string"):
            at = position_of(node.name, "GROUP BY")
            if not 1 <= at <= len(select.expressions):
                raise InvalidColumnReference(f"GROUP BY position {at} is not in select list")
            return _unaliased(select.expressions[at - 1])
        if isinstance(node, exp.Column) and not node.args.get("table"):
            column = identifier_name(node.this)
            if not any(each.name == column for each in scope.shown):
                for target in select.expressions:
                    if isinstance(target, exp.Alias) and identifier_name(target.args["alias"]) == column:
                        return _unaliased(target)
        return node

    def _targets(self, node: exp.Select, selection: Selection) -> None:
        scope = selection.scope
        for target in node.expressions:
            inner = _unaliased(target)
            if isinstance(inner, exp.Star) or (isinstance(inner, exp.Column) and isinstance(inner.this, exp.Star)):
                self._expand(inner, selection)
                continue
            value = self.expressions.visit(inner, scope)
            named = isinstance(target, exp.Alias)
            shown = identifier_name(target.args["alias"]) if named else column_name(inner)
            selection.aliases.setdefault(shown, len(selection.outputs))
            selection.outputs.append(value)
            selection.names.append(shown)
            selection.nodes.append(inner)

    def _expand(self, node: exp.Expression, selection: Selection) -> None:
        scope = selection.scope
        qualifier = identifier_name(node.args.get("table")) if isinstance(node, exp.Column) else ""
        if qualifier:
            source = scope.whole_row(qualifier)
            if source is None:
                raise UndefinedTable(f'missing FROM-clause entry for table "{qualifier}"')
            fields = source.fields
        else:
            if not scope.sources:
                raise StatementSyntax("SELECT * with no tables specified is not valid")
            fields = scope.shown
        for each in fields:
            scope.references.append((qualifier or each.alias, each.name))
            if each.value.sql in scope.grouped:
                scope.references.pop()
            selection.aliases.setdefault(each.name, len(selection.outputs))
            selection.outputs.append(each.value)
            selection.names.append(each.name)
            selection.nodes.append(None)

    def _order_value(self, node: exp.Expression, selection: Selection) -> int | Value:
        """An output's place, or an expression of the input."""
        if isinstance(node, exp.Literal) and not node.args.get("is_string"):
            at = position_of(node.name, "ORDER BY")
            if not 1 <= at <= len(selection.outputs):
                raise InvalidColumnReference(f"ORDER BY position {at} is not in select list")
            return at - 1
        if isinstance(node, exp.Literal):
            raise StatementSyntax("non-integer constant in ORDER BY")
        if isinstance(node, exp.Column) and not node.args.get("table"):
            column = identifier_name(node.this)
            if column in selection.aliases:
                return selection.aliases[column]
        value = checked(settled(self.analysis, self.expressions.visit(node, selection.scope)))
        for place, output in enumerate(selection.outputs):
            if output.sql == value.sql and output.oid == value.oid and output.sql:
                return place
        return value

    def _order_text(self, item: exp.Expression, key: int | Value, finals: Sequence[Value]) -> str:
        if isinstance(key, Value):
            return ordering(key, item)
        value = finals[key]
        sort = operators.sort_key(value)
        if sort == value.sql:
            return direction(str(key + 1), item, not_null=value.not_null)
        if value.oid == NUMERIC:
            return direction(f"{key + 1} COLLATE lfsql_numeric", item, not_null=value.not_null)
        return direction(sort, item, not_null=value.not_null)

    def _distinct_on(
        self,
        node: exp.Select,
        finals: Sequence[Value],
        aliases: Sequence[str],
        tail: str,
        items: Sequence[exp.Expression],
        order_keys: Sequence[int | Value],
        on_keys: Sequence[int | Value],
    ) -> str:
        """DISTINCT ON keeps the first row of each group: the one numbered 1 in a window."""

        def value_of(key: int | Value) -> Value:
            return key if isinstance(key, Value) else finals[key]

        partition = ", ".join(operators.equality_key(value_of(key)) for key in on_keys)
        sorts = ", ".join(ordering(value_of(key), item) for key, item in zip(order_keys, items, strict=True))
        window = f"PARTITION BY {partition}" + (f" ORDER BY {sorts}" if sorts else "")
        inner = [f"{final.sql} AS c{at}" for at, final in enumerate(finals)]
        inner += [f"{operators.sort_key(value_of(key))} AS o{at}" for at, key in enumerate(order_keys)]
        inner.append(f"row_number() OVER ({window}) AS n")
        shown = ", ".join(
            f"c{at} AS {quote(each)}" for at, each in enumerate(aliases or [f"c{at}" for at in range(len(finals))])
        )
        text = f"SELECT {shown} FROM (SELECT {', '.join(inner)}{tail}) WHERE n = 1"
        if items:
            outer = []
            for at, (key, item) in enumerate(zip(order_keys, items, strict=True)):
                collation = " COLLATE lfsql_numeric" if value_of(key).oid == NUMERIC else ""
                outer.append(direction(f"o{at}{collation}", item, not_null=value_of(key).not_null))
            text += f" ORDER BY {', '.join(outer)}"
        return text + self.queries.limit(node)


def _collated(value: Value) -> Value:
    return value.of(f"{value.sql} COLLATE lfsql_numeric") if value.oid == NUMERIC else value


def _unaliased(node: exp.Expression) -> exp.Expression:
    inner: exp.Expression = node.this if isinstance(node, exp.Alias) else node
    return inner
