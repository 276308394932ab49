"""FROM: tables, subqueries, functions and their joins.

USING and NATURAL are written as ON, because the merged column's type and name are settled here anyway.  SQLite
has no LATERAL for subqueries: one that uses its neighbours is refused.  Functions may use theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sqlglot import exp

from lfsql.errors import (
    AmbiguousColumn,
    FeatureNotSupported,
    InvalidColumnReference,
    StatementSyntax,
    UndefinedColumn,
    UndefinedFunction,
)
from proxy.pg import oids
from proxy.pg.oids import INT8, JSON, JSONB, TEXT
from proxy.sql import operators
from proxy.sql.casts import checked, coerce, settled
from proxy.sql.infer import column_name, common_type, function_name, identifier_name
from proxy.sql.overloads import take_apart
from proxy.sql.query import distinct_names
from proxy.sql.quoting import quote
from proxy.sql.schema import Relation
from proxy.sql.scope import Field, Scope, Source, Table, nullable, relation_source
from proxy.sql.signatures import set_functions
from proxy.sql.value import Analysis, Value

if TYPE_CHECKING:
    from proxy.sql.expressions import Expressions
    from proxy.sql.queries import Queries

_PAIRS: Final = {
    "json_each": (JSON, JSON),
    "jsonb_each": (JSONB, JSONB),
    "json_each_text": (JSON, TEXT),
    "jsonb_each_text": (JSONB, TEXT),
}
"""Functions that return rows of key and value: argument type and value type."""


_VALUE_NAMED: Final = frozenset(
    (
        "json_array_elements",
        "json_array_elements_text",
        "jsonb_array_elements",
        "jsonb_array_elements_text",
    )
)


class FromClause:
    def __init__(self, analysis: Analysis, queries: Queries, expressions: Expressions) -> None:
        self.analysis = analysis
        self.queries = queries
        self.expressions = expressions

    def build(self, source: exp.Expression, joins: Sequence[exp.Expression], scope: Scope) -> str:
        """The FROM text; sources and visible columns are added to the scope."""
        first = source.this if isinstance(source, exp.From) else source
        scope.aggregates_forbidden, scope.windows_allowed = "functions in FROM", False
        text, shown = self._item(first, scope)
        scope.shown = shown
        for join in joins:
            text, shown = self._join(text, shown, join, scope)
            scope.shown = shown
        scope.aggregates_forbidden, scope.windows_allowed = "", True
        return f" FROM {text}"

    # -- Items ----------------------------------------------------------------------------------------------

    def _item(self, node: exp.Expression, scope: Scope) -> tuple[str, list[Field]]:
        if isinstance(node, exp.Table):
            return self._table_with_joins(node, scope)
        if isinstance(node, exp.Lateral):
            inner = node.this
            if isinstance(inner, exp.Unnest):
                inner = inner.copy()
                inner.set("alias", inner.args.get("alias") or node.args.get("alias"))
                return self._unnest(inner, scope)
            if isinstance(inner, (exp.Anonymous, exp.Dot)):
                return self._function(
                    inner, node.args.get("alias"), scope, ordinality=bool(node.args.get("ordinality"))
                )
            return self._subquery(inner, node.args.get("alias"), scope)
        if isinstance(node, exp.Subquery):
            if isinstance(node.this, exp.Table):
                return self._parenthesised(node, scope)
            text, shown = self._subquery(node, node.args.get("alias"), scope)
            return self._nested_joins(node, text, shown, scope)
        if isinstance(node, exp.Values):
            return self._subquery(node, node.args.get("alias"), scope)
        if isinstance(node, exp.Unnest):
            return self._unnest(node, scope)
        raise FeatureNotSupported(f"{type(node).__name__} in FROM is not supported")

    def _nested_joins(
        self, node: exp.Expression, text: str, shown: list[Field], scope: Scope
    ) -> tuple[str, list[Field]]:
        for join in node.args.get("joins") or ():
            scope.shown = shown
            text, shown = self._join(text, shown, join, scope)
        return text, shown

    def _table_with_joins(self, node: exp.Table, scope: Scope) -> tuple[str, list[Field]]:
        for key in ("sample", "pivots", "when", "version"):
            if node.args.get(key):
                raise FeatureNotSupported(f"{key.upper()} on a table is not supported")
        inner = node.this
        if isinstance(inner, (exp.Anonymous, exp.Dot)) or not isinstance(inner, exp.Identifier):
            text, shown = self._function(
                inner, node.args.get("alias"), scope, ordinality=bool(node.args.get("ordinality"))
            )
        else:
            text, shown = self._table(node, scope)
        return self._nested_joins(node, text, shown, scope)

    def _table(self, node: exp.Table, scope: Scope) -> tuple[str, list[Field]]:
        found, database = self.queries.relation(node, scope)
        alias_node = node.args.get("alias")
        alias = identifier_name(alias_node.this) if alias_node is not None and alias_node.this else found.name
        renamed = [identifier_name(each) for each in (alias_node.args.get("columns") or ())] if alias_node else []
        if isinstance(found, Relation):
            source, text = relation_source(found, alias, database)
        else:
            source, text = _common_source(found, alias)
        _rename(source, renamed)
        scope.add(source)
        return text, list(source.fields)

    def _parenthesised(self, node: exp.Subquery, scope: Scope) -> tuple[str, list[Field]]:
        """(a JOIN b ...), whose text is joined as a whole."""
        if node.args.get("alias") is not None:
            raise FeatureNotSupported("an alias for a parenthesised join is not supported")
        text, shown = self._item(node.this, scope)
        return self._nested_joins(node, f"({text})", shown, scope)

    def _alias(self, alias_node: exp.Expression | None, default: str) -> tuple[str, list[str]]:
        if alias_node is None or alias_node.this is None:
            columns = alias_node.args.get("columns") if alias_node is not None else None
            return default, [identifier_name(each) for each in columns or ()]
        columns = alias_node.args.get("columns") or ()
        return identifier_name(alias_node.this), [
            identifier_name(each.this if isinstance(each, exp.ColumnDef) else each) for each in columns
        ]

    def _subquery(
        self, node: exp.Expression, alias_node: exp.Expression | None, scope: Scope
    ) -> tuple[str, list[Field]]:
        body = node.this if isinstance(node, exp.Subquery) and not _modified(node) else node
        if not isinstance(body, (exp.Select, exp.SetOperation, exp.Subquery, exp.Values)):
            raise FeatureNotSupported("this item of FROM is not supported")
        if isinstance(body, exp.Values) and body.args.get("alias") is not None:
            body = body.copy()
            body.set("alias", None)
        alias, renamed = self._alias(alias_node, "")
        if not alias:
            self.queries.aliases += 1
            alias = f"_unnamed{self.queries.aliases}"
            if not isinstance(node, exp.Values):
                raise StatementSyntax(
                    "subquery in FROM must have an alias", hint="For example, FROM (SELECT ...) [AS] foo."
                )
        # What is beside a subquery in FROM is not in scope for it; what is around the whole query is.
        around = Scope(outer=scope.outer, tables=scope.tables)
        query = self.queries.query(body, around)
        outputs = [checked(settled(self.analysis, output)) for output in query.outputs]
        names = distinct_names(query.names)
        text = f"({query.render(outputs, names)}) AS {quote(alias)}"
        fields = [
            Field(
                shown,
                Value(
                    f"{quote(alias)}.{quote(column)}",
                    output.oid,
                    output.typmod,
                    simple=True,
                    not_null=output.not_null,
                    table_oid=output.table_oid,
                    attnum=output.attnum,
                ),
                alias,
            )
            for shown, column, output in zip(query.names, names, outputs, strict=True)
        ]
        source = Source(alias, fields)
        _rename(source, renamed)
        scope.add(source)
        return text, list(source.fields)

    # -- Functions ------------------------------------------------------------------------------------------

    def _unnest(self, node: exp.Unnest, scope: Scope) -> tuple[str, list[Field]]:
        call = exp.Anonymous(this="unnest", expressions=node.expressions)
        alias, offset = node.args.get("alias"), node.args.get("offset")
        if alias is not None and isinstance(offset, exp.Identifier):
            # sqlglot takes the ordinality's name away from the alias's columns.
            alias = alias.copy()
            alias.append("columns", offset.copy())
        return self._function(call, alias, scope, ordinality=bool(offset))

    def _function(
        self, node: exp.Expression, alias_node: exp.Expression | None, scope: Scope, *, ordinality: bool
    ) -> tuple[str, list[Field]]:
        called = node.expression if isinstance(node, exp.Dot) else node
        if not isinstance(called, exp.Anonymous):
            return self._scalar_function(node, alias_node, scope)
        function = function_name(called)
        alias, renamed = self._alias(alias_node, function)
        arguments = [self.expressions.visit(each, scope) for each in take_apart(called).arguments]
        quoted = quote(alias)
        if function in _PAIRS:
            wanted, kind = _PAIRS[function]
            value = checked(coerce(self.analysis, arguments[0], wanted))
            how = {JSON: "json", JSONB: "jsonb", TEXT: "text"}[kind]
            if wanted == JSON and kind == TEXT:
                how = "json text"
            text = f"lfsql_json_pairs({value.sql}, '{how}') AS {quoted}"
            fields = [
                Field("key", Value(f"{quoted}.key", TEXT, simple=True), alias),
                Field("value", Value(f"{quoted}.value", kind, simple=True), alias),
            ]
        elif function == "unnest" and len(arguments) > 1:
            return self._unnest_several(arguments, alias, renamed, scope, ordinality=ordinality)
        elif function in set_functions():
            item, result = self.expressions.calls.set_item(function, arguments)
            text = f"{item} AS {quoted}"
            value = Value(f"{quoted}.value", result, simple=True)
            # A function's only column is called as the function is, or as its alias, or has a name of its own.
            fields = [Field("value" if function in _VALUE_NAMED else alias, value, alias)]
            if ordinality:
                place = f"({quoted}.key + 1)" if item.startswith("json_each") else f"{quoted}.ordinal"
                fields.append(Field("ordinality", Value(place, INT8, simple=True, not_null=True), alias))
        else:
            return self._scalar_function(node, alias_node, scope)
        source = Source(alias, fields)
        _rename(source, renamed)
        scope.add(source)
        return text, list(source.fields)

    def _unnest_several(
        self, arguments: Sequence[Value], alias: str, renamed: Sequence[str], scope: Scope, *, ordinality: bool
    ) -> tuple[str, list[Field]]:
        """unnest(a, b, ...) pads the shorter arrays with NULLs."""
        quoted = quote(alias)
        columns = []
        fields = []
        texts = []
        for at, value in enumerate(arguments):
            value = settled(self.analysis, value)
            element = oids.ELEMENTS.get(value.oid) or operators.VECTORS.get(value.oid)
            if element is None:
                raise UndefinedFunction("function unnest needs arrays")
            texts.append(value.sql)
            columns.append(f"json_extract(value, '$[{at}]') AS c{at}")
            fields.append(Field("unnest", Value(f"{quoted}.c{at}", element, simple=True), alias))
        if ordinality:
            columns.append("key + 1 AS n")
            fields.append(Field("ordinality", Value(f"{quoted}.n", INT8, simple=True), alias))
        text = f"(SELECT {', '.join(columns)} FROM json_each(lfsql_array_zip({', '.join(texts)}))) AS {quoted}"
        source = Source(alias, fields)
        _rename(source, renamed)
        scope.add(source)
        return text, list(source.fields)

    def _scalar_function(
        self, node: exp.Expression, alias_node: exp.Expression | None, scope: Scope
    ) -> tuple[str, list[Field]]:
        """A function of one value in FROM is a table of one row."""
        value = checked(settled(self.analysis, self.expressions.visit(node, Scope(outer=scope.outer))))
        alias, renamed = self._alias(alias_node, column_name(node))
        quoted = quote(alias)
        source = Source(alias, [Field(alias, Value(f"{quoted}.v", value.oid, value.typmod, simple=True), alias)])
        _rename(source, renamed)
        scope.add(source)
        return f"(SELECT {value.sql} AS v) AS {quoted}", list(source.fields)

    # -- Joins ----------------------------------------------------------------------------------------------

    def _join(self, left: str, shown: list[Field], join: exp.Expression, scope: Scope) -> tuple[str, list[Field]]:
        side, kind = str(join.args.get("side") or "").upper(), str(join.args.get("kind") or "").upper()
        method = str(join.args.get("method") or "").upper()
        if kind not in ("", "INNER", "OUTER", "CROSS") or method not in ("", "NATURAL"):
            raise FeatureNotSupported(f"{method or kind} JOIN is not supported")
        known = len(scope.sources)
        text, added = self._item(join.this, scope)
        if side in ("RIGHT", "FULL"):
            for source in scope.sources[:known]:
                nullable(source)
            shown = [replace(each, value=replace(each.value, not_null=False)) for each in shown]
        if side in ("LEFT", "FULL"):
            for source in scope.sources[known:]:
                nullable(source)
            added = [replace(each, value=replace(each.value, not_null=False)) for each in added]
        using = [identifier_name(each) for each in join.args.get("using") or ()]
        if method == "NATURAL":
            right_names = [each.name for each in added]
            using = [each.name for each in shown if each.name in right_names]
        condition = join.args.get("on")
        word = (
            f"{side} JOIN" if side else "JOIN" if kind == "INNER" or condition is not None or using else "CROSS JOIN"
        )
        if not side and not kind and condition is None and not using and not method:
            word = ","
        if using:
            tests, visible = self._merge(using, shown, added, side)
            return f"{left} {word} {text} ON {tests}", visible
        visible = shown + added
        if condition is None:
            if side:
                raise StatementSyntax(f"{side} JOIN needs ON or USING")
            joint = f"{left}, {text}" if word == "," else f"{left} {word} {text}"
            return joint, visible
        scope.shown = visible
        test = self.expressions.condition(condition, scope, "JOIN/ON")
        return f"{left} {word} {text} ON {test}", visible

    def _merge(
        self, using: Sequence[str], left: Sequence[Field], right: Sequence[Field], side: str
    ) -> tuple[str, list[Field]]:
        tests, merged = [], []
        for column in using:
            one, other = _only(left, column, "left"), _only(right, column, "right")
            tests.append(operators.compare(self.analysis, "=", one.value, other.value).sql)
            if side == "RIGHT":
                kept = replace(other)
            elif side == "FULL":
                target = common_type((one.value.oid, other.value.oid), "JOIN/USING")
                both = [coerce(self.analysis, each.value, target).sql for each in (one, other)]
                kept = Field(column, Value(f"coalesce({', '.join(both)})", target), "")
            else:
                kept = replace(one)
            merged.append(kept)
        rest = [each for each in [*left, *right] if each.name not in using]
        return " AND ".join(tests), merged + rest


def _modified(node: exp.Expression) -> bool:
    return any(node.args.get(key) for key in ("order", "limit", "offset", "with_"))


def _only(fields: Sequence[Field], column: str, side: str) -> Field:
    found = [each for each in fields if each.name == column]
    if not found:
        raise UndefinedColumn(f'column "{column}" specified in USING clause does not exist in {side} table')
    if len(found) > 1:
        raise AmbiguousColumn(f'common column name "{column}" appears more than once in {side} table')
    return found[0]


def _common_source(table: Table, alias: str) -> tuple[Source, str]:
    quoted = quote(alias)
    fields = [
        Field(shown, replace(kind, sql=f"{quoted}.{quote(column)}", simple=True), alias)
        for (shown, kind), column in zip(table.fields, table.columns, strict=True)
    ]
    text = quote(table.name) if alias == table.name else f"{quote(table.name)} AS {quoted}"
    return Source(alias, fields), text


def _rename(source: Source, names: Sequence[str]) -> None:
    if len(names) > len(source.fields):
        raise InvalidColumnReference(
            f'table "{source.alias}" has {len(source.fields)} columns available but {len(names)} columns specified'
        )
    for at, each in enumerate(names):
        source.fields[at] = replace(source.fields[at], name=each)
