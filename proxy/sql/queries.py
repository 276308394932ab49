"""SELECT, VALUES, WITH and set operations.

A query is translated in two steps, because its context decides the types of its open outputs (the other arm of
a UNION, the column an INSERT fills): first everything but the select list's final text, as a `Query`; then
`render` with the outputs as the context wants them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from lfsql.errors import (
    DatatypeMismatch,
    FeatureNotSupported,
    GroupingError,
    InvalidColumnReference,
    InvalidLimit,
    InvalidOffset,
    StatementSyntax,
    UndefinedColumn,
    UndefinedTable,
)
from proxy.pg.oids import INT8, INTERVAL, NUMERIC, TEXT, UNKNOWN
from proxy.sql import operators
from proxy.sql.casts import checked, coerce, settled
from proxy.sql.catalog.definitions import relation_schema
from proxy.sql.expressions import Expressions
from proxy.sql.from_clause import FromClause
from proxy.sql.infer import UNNAMED, category, column_name, common_type, identifier_name, spelled
from proxy.sql.ordering import direction, ordering
from proxy.sql.overloads import relation_words
from proxy.sql.schema import Relation
from proxy.sql.scope import Scope, Table
from proxy.sql.value import Analysis, Value, name

Render = Callable[[Sequence[Value], Sequence[str]], str]

_CATALOGS = ("pg_catalog", "information_schema", "lfsql")


@dataclass(slots=True)
class Query:
    outputs: list[Value]
    names: list[str]
    renderer: Render

    def render(self, outputs: Sequence[Value], names: Sequence[str] = ()) -> str:
        """SQLite text with `outputs` as its select list, called `names` (which a caller makes unique)."""
        return self.renderer(outputs, names)


@dataclass(slots=True)
class Selection:
    """A SELECT's parts while it is put together."""

    scope: Scope
    outputs: list[Value] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    nodes: list[exp.Expression | None] = field(default_factory=list)
    aliases: dict[str, int] = field(default_factory=dict)
    """Places of the outputs by alias, for ORDER BY and GROUP BY."""


def distinct_names(names: Sequence[str]) -> list[str]:
    """Names as SQLite needs them in a FROM: no two alike, in its case-insensitive eyes."""
    seen: set[str] = set()
    result = []
    for each in names:
        candidate, number = each, 1
        while candidate.lower() in seen:
            number += 1
            candidate = f"{each}:{number}"
        seen.add(candidate.lower())
        result.append(candidate)
    return result


class Queries:
    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self.expressions = Expressions(analysis, self)
        self.from_clause = FromClause(analysis, self, self.expressions)
        self.aliases = 0
        """Numbers for names of our own, unique in the statement."""

    # -- Relations ------------------------------------------------------------------------------------------

    def relation(self, table: exp.Table, scope: Scope) -> tuple[Relation | Table, str]:
        """What a table name means, and the attached database it is in.  Raises UndefinedTable."""
        table_name, schema = identifier_name(table.this), identifier_name(table.args.get("db"))
        if not schema:
            known = scope.table(table_name)
            if known is not None:
                return known, ""
        found = self._lookup(schema, table_name)
        if found is None:
            shown = f"{schema}.{table_name}" if schema else table_name
            raise UndefinedTable(f'relation "{shown}" does not exist')
        return found

    def _lookup(self, schema: str, table_name: str) -> tuple[Relation, str] | None:
        relations = self.analysis.schema.relations
        if schema in ("", "public") and not table_name.startswith("_lfsql_"):
            found = relations.get(table_name)
            if found is not None:
                return found, ""
        for database in _CATALOGS if schema in _CATALOGS else ("pg_catalog",):
            if schema not in ("", database):
                continue
            catalog = relation_schema().relations.get(f"{database}.{table_name}")
            if catalog is not None:
                self.analysis.catalog = True
                return catalog, database
        return None

    def relation_named(self, text: str) -> Relation | None:
        """A relation by a possibly qualified name in a string."""
        if text.isdigit() or not text:
            return None
        words = relation_words(text)
        found = self._lookup(words[0] if len(words) > 1 else "", words[-1])
        return None if found is None else found[0]

    # -- Queries --------------------------------------------------------------------------------------------

    def query(self, node: exp.Expression, outer: Scope | None) -> Query:
        """Any query.  Raises FeatureNotSupported for what has no translation."""
        if isinstance(node, exp.Subquery):
            return self._subquery(node, outer)
        if isinstance(node, exp.Select):
            return self._with(node, outer, self._select)
        if isinstance(node, exp.SetOperation):
            return self._with(node, outer, self._set_operation)
        if isinstance(node, exp.Values):
            return self._with(node, outer, self._values)
        if isinstance(node, exp.Table):
            return self.query(exp.select("*").from_(node), outer)
        raise FeatureNotSupported(f"{type(node).__name__} cannot be used as a query")

    def _subquery(self, node: exp.Subquery, outer: Scope | None) -> Query:
        modified = any(node.args.get(key) for key in ("order", "limit", "offset", "with_"))
        if not modified:
            return self.query(node.this, outer)
        inner: exp.Expression
        if isinstance(node.this, exp.Values):
            inner = node.this.copy()
        else:
            alias = exp.TableAlias(this=exp.to_identifier("_inner", quoted=True))
            inside = exp.Subquery(this=node.this.copy(), alias=alias)
            inner = exp.Select(expressions=[exp.Star()], from_=exp.From(this=inside))
        for key in ("order", "limit", "offset", "with_"):
            if node.args.get(key):
                inner.set(key, node.args[key].copy())
        return self.query(inner, outer)

    def _with(self, node: exp.Expression, outer: Scope | None, then: Callable[..., Query]) -> Query:
        clause = node.args.get("with_")
        if clause is None:
            return then(node, Scope(outer=outer, windows_allowed=True))
        scope = Scope(outer=outer, columns_allowed=True)
        prefix = self.with_clause(clause, scope)
        inner = then(node, Scope(outer=scope, windows_allowed=True))
        rest = inner.renderer
        inner.renderer = lambda outputs, names: f"{prefix} {rest(outputs, names)}"
        return inner

    def with_clause(self, clause: exp.Expression, scope: Scope) -> str:
        """WITH's text; its names are added to the scope."""
        recursive = bool(clause.args.get("recursive"))
        texts = [self._common_table(each, scope, recursive=recursive) for each in clause.expressions]
        return f"WITH {'RECURSIVE ' if recursive else ''}{', '.join(texts)}"

    def _common_table(self, node: exp.Expression, scope: Scope, *, recursive: bool) -> str:
        alias = node.args["alias"]
        table_name = identifier_name(alias.this)
        body = node.this
        if isinstance(body, (exp.Insert, exp.Update, exp.Delete)):
            raise FeatureNotSupported("data-modifying statements in WITH are not supported")
        given = [identifier_name(column) for column in alias.args.get("columns") or ()]
        if recursive and isinstance(body, exp.Union) and _mentions(body, table_name):
            return self._recursive(body, table_name, given, scope)
        inner = self.query(body, scope)
        outputs = [checked(settled(self.analysis, output)) for output in inner.outputs]
        table = self._table(table_name, outputs, inner.names, given)
        scope.tables[table_name] = table
        materialized = node.args.get("materialized")
        hint = "" if materialized is None else "MATERIALIZED " if materialized else "NOT MATERIALIZED "
        columns = ", ".join(name(column) for column in table.columns)
        return f"{name(table_name)}({columns}) AS {hint}({inner.render(outputs)})"

    def _table(self, table_name: str, outputs: Sequence[Value], names: Sequence[str], given: Sequence[str]) -> Table:
        if len(given) > len(outputs):
            raise InvalidColumnReference(
                f'table "{table_name}" has {len(outputs)} columns available but {len(given)} columns specified'
            )
        shown = [*given, *names[len(given) :]]
        kinds = [replace(output, sql="", text=None, unchecked=False, not_null=False) for output in outputs]
        fields = tuple(zip(shown, kinds, strict=True))
        return Table(table_name, fields, tuple(distinct_names(shown)))

    def _recursive(self, body: exp.Union, table_name: str, given: Sequence[str], scope: Scope) -> str:
        if body.args.get("order") or body.args.get("limit"):
            raise FeatureNotSupported("ORDER BY and LIMIT in a recursive query are not supported")
        start = self.query(body.this, scope)
        outputs = [checked(settled(self.analysis, output)) for output in start.outputs]
        table = self._table(table_name, outputs, start.names, given)
        scope.tables[table_name] = table
        step = self.query(body.expression, scope)
        if len(step.outputs) != len(outputs):
            raise StatementSyntax("each UNION query must have the same number of columns")
        steps = []
        for at, (output, first) in enumerate(zip(step.outputs, outputs, strict=True), 1):
            related = not output.unknown and category(output.oid) == category(first.oid)
            if related and common_type((first.oid, output.oid), "UNION") != first.oid:
                raise DatatypeMismatch(
                    f'recursive query "{table_name}" column {at} has type {spelled(first.oid)} in non-recursive'
                    f" term but type {spelled(output.oid)} overall",
                    hint="Cast the output of the non-recursive term to the correct type.",
                )
            steps.append(checked(coerce(self.analysis, output, first.oid)))
        word = "UNION" if body.args.get("distinct") else "UNION ALL"
        columns = ", ".join(name(column) for column in table.columns)
        return (
            f"{name(table_name)}({columns}) AS"
            f" ({_operand(start.render(outputs), body.this)} {word} {_operand(step.render(steps), body.expression)})"
        )

    # -- VALUES ---------------------------------------------------------------------------------------------

    def _values(self, node: exp.Values, scope: Scope) -> Query:
        rows = []
        for each in node.expressions:
            members = each.expressions if isinstance(each, exp.Tuple) else [each]
            rows.append([self.expressions.visit(member, scope) for member in members])
        if len({len(row) for row in rows}) > 1:
            raise StatementSyntax("VALUES lists must all be the same length")
        columns = list(zip(*rows, strict=True))
        types = []
        for column in columns:
            known = [value.oid for value in column if not value.unknown]
            types.append(common_type(known, "VALUES") if known else UNKNOWN)
        names = [f"column{at}" for at in range(1, len(columns) + 1)]
        if len(rows) == 1:
            outputs = [
                value if oid in (UNKNOWN, value.oid) else coerce(self.analysis, value, oid)
                for value, oid in zip(rows[0], types, strict=True)
            ]
        else:
            outputs = [Value("", oid, -1) for oid in types]

        def render(finals: Sequence[Value], aliases: Sequence[str]) -> str:
            if len(rows) == 1:
                return self._tail(f"SELECT {_select_list(finals, aliases)}", node, names, finals)
            texts = []
            for row in rows:
                members = []
                for value, final in zip(row, finals, strict=True):
                    target = final.oid if final.oid != UNKNOWN else TEXT
                    members.append(checked(coerce(self.analysis, value, target, level="assignment")).sql)
                texts.append(f"({', '.join(members)})")
            body = f"VALUES {', '.join(texts)}"
            if aliases or any(node.args.get(key) for key in ("order", "limit", "offset")):
                shown = aliases or names
                columns_text = ", ".join(f"column{at} AS {name(each)}" for at, each in enumerate(shown, 1))
                body = f"SELECT {columns_text} FROM ({body})"
                return self._tail(body, node, names, finals)
            return body

        return Query(outputs, names, render)

    def _tail(self, body: str, node: exp.Expression, names: Sequence[str], outputs: Sequence[Value]) -> str:
        """ORDER BY, LIMIT and OFFSET of a VALUES or a set operation, by output name or place."""
        order = node.args.get("order")
        if order is not None:
            items = []
            for item in order.expressions:
                place = self._output_place(item.this, names)
                value = outputs[place]
                key = str(place + 1) + (" COLLATE lfsql_numeric" if value.oid == NUMERIC else "")
                items.append(direction(key, item, not_null=False))
            body += f" ORDER BY {', '.join(items)}"
        return body + self.limit(node)

    def _output_place(self, node: exp.Expression, names: Sequence[str]) -> int:
        if isinstance(node, exp.Literal) and not node.args.get("is_string"):
            place = int(node.name)
            if not 1 <= place <= len(names):
                raise InvalidColumnReference(f"ORDER BY position {place} is not in select list")
            return place - 1
        if isinstance(node, exp.Column) and not node.args.get("table"):
            column = identifier_name(node.this)
            if column in names:
                return list(names).index(column)
            raise UndefinedColumn(f'column "{column}" does not exist')
        raise FeatureNotSupported(
            "invalid UNION/INTERSECT/EXCEPT ORDER BY clause",
            detail="Only result column names can be used, not expressions or functions.",
            hint="Add the expression/function to every SELECT, or move the UNION into a FROM clause.",
        )

    def limit(self, node: exp.Expression) -> str:
        """LIMIT and OFFSET.  NULL means no limit, which SQLite refuses."""
        limit, offset = node.args.get("limit"), node.args.get("offset")
        text = ""
        if limit is not None:
            if isinstance(limit, exp.Fetch):
                options = limit.args.get("limit_options")
                if options is not None and (options.args.get("with_ties") or options.args.get("percent")):
                    raise FeatureNotSupported("FETCH FIRST WITH TIES is not supported")
                count = limit.args.get("count")
                text = "1" if count is None else self._count(count, "-1", "LIMIT")
            else:
                text = self._count(limit.expression, "-1", "LIMIT")
        if offset is not None:
            skipped = self._count(offset.expression, "0", "OFFSET")
            return f" LIMIT {text or '-1'} OFFSET {skipped}"
        return f" LIMIT {text}" if text else ""

    def _count(self, node: exp.Expression, default: str, clause: str) -> str:
        if isinstance(node, (exp.Null, exp.Var)) or (isinstance(node, exp.Column) and node.name.lower() == "all"):
            return default
        scope = Scope(columns_allowed=False, aggregates_forbidden=clause)
        value = coerce(self.analysis, self.expressions.visit(node, scope), INT8, level="assignment")
        if value.null:
            return default
        if value.text is not None:
            if value.text.startswith("-"):
                raise (InvalidLimit if clause == "LIMIT" else InvalidOffset)(f"{clause} must not be negative")
            return value.sql
        return f"lfsql_row_count({value.sql}, {default}, '{clause}')"

    # -- Set operations -------------------------------------------------------------------------------------

    def _set_operation(self, node: exp.SetOperation, scope: Scope) -> Query:
        # A chain of UNIONs nests to the left as deep as it is long.
        chain: list[exp.SetOperation] = []
        rest: exp.Expression = node
        while isinstance(rest, exp.SetOperation) and (rest is node or not _has_tail(rest)):
            chain.append(rest)
            rest = rest.this
        chain.reverse()
        arms = [self.query(rest, scope)] + [self.query(each.expression, scope) for each in chain]
        nodes = [rest] + [each.expression for each in chain]
        word = _word(chain[0])
        if len({len(arm.outputs) for arm in arms}) > 1:
            raise StatementSyntax(f"each {word} query must have the same number of columns")
        outputs: list[Value] = []
        for column in zip(*(arm.outputs for arm in arms), strict=True):
            oid = common_type((value.oid for value in column), word)
            same = {value.typmod if value.oid == oid else -1 for value in column}
            outputs.append(Value("", oid, same.pop() if len(same) == 1 else -1))
        names = arms[0].names

        def render(finals: Sequence[Value], aliases: Sequence[str]) -> str:
            texts = []
            for arm, arm_node in zip(arms, nodes, strict=True):
                converted = []
                for value, output, final in zip(arm.outputs, outputs, finals, strict=True):
                    inner = checked(coerce(self.analysis, value, output.oid))
                    if final.oid != output.oid:
                        inner = checked(coerce(self.analysis, inner, final.oid, level="assignment"))
                    converted.append(
                        inner.of(f"{inner.sql} COLLATE lfsql_numeric") if inner.oid == NUMERIC else inner
                    )
                texts.append(_operand(arm.render(converted, aliases or distinct_names(names)), arm_node))
            body = texts[0]
            for each, text in zip(chain, texts[1:], strict=True):
                if not each.args.get("distinct") and not isinstance(each, exp.Union):
                    body = _counted(_word(each), body, text, aliases or distinct_names(names), finals)
                    continue
                body = f"{body} {_word(each)}{'' if each.args.get('distinct') else ' ALL'} {text}"
            if any(output.oid == INTERVAL for output in finals) and node.args.get("order"):
                body = f"SELECT * FROM ({body})"
            return self._tail(body, node, names, finals)

        return Query(outputs, list(names), render)

    # -- SELECT ---------------------------------------------------------------------------------------------

    def _select(self, node: exp.Select, scope: Scope) -> Query:
        if node.args.get("into") is not None:
            raise FeatureNotSupported("SELECT INTO is not supported; use CREATE TABLE AS")
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
            text = f"SELECT {'' if plain else 'DISTINCT '}{_select_list(shown, aliases)}{tail}"
            if items:
                pairs = zip(items, order_keys, strict=True)
                text += f" ORDER BY {', '.join(self._order_text(item, key, finals) for item, key in pairs)}"
            return text + self.limit(node)

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
            place = int(node.name)
            if not 1 <= place <= len(select.expressions):
                raise InvalidColumnReference(f"GROUP BY position {place} is not in select list")
            return _unaliased(select.expressions[place - 1])
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
            if not node.name.isdigit() or not 1 <= int(node.name) <= len(selection.outputs):
                raise InvalidColumnReference(f"ORDER BY position {node.name} is not in select list")
            return int(node.name) - 1
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
            f"c{at} AS {name(each)}" for at, each in enumerate(aliases or [f"c{at}" for at in range(len(finals))])
        )
        text = f"SELECT {shown} FROM (SELECT {', '.join(inner)}{tail}) WHERE n = 1"
        if items:
            outer = []
            for at, (key, item) in enumerate(zip(order_keys, items, strict=True)):
                collation = " COLLATE lfsql_numeric" if value_of(key).oid == NUMERIC else ""
                outer.append(direction(f"o{at}{collation}", item, not_null=value_of(key).not_null))
            text += f" ORDER BY {', '.join(outer)}"
        return text + self.limit(node)


def _collated(value: Value) -> Value:
    return value.of(f"{value.sql} COLLATE lfsql_numeric") if value.oid == NUMERIC else value


def _unaliased(node: exp.Expression) -> exp.Expression:
    inner: exp.Expression = node.this if isinstance(node, exp.Alias) else node
    return inner


def _select_list(outputs: Sequence[Value], aliases: Sequence[str]) -> str:
    if not outputs:
        return "NULL"  # SQLite has no empty select list; the caller reports no columns
    if not aliases:
        return ", ".join(output.sql for output in outputs)
    return ", ".join(f"{output.sql} AS {name(alias)}" for output, alias in zip(outputs, aliases, strict=True))


def _mentions(node: exp.Expression, table_name: str) -> bool:
    return any(
        identifier_name(each.this) == table_name and not each.args.get("db") for each in node.find_all(exp.Table)
    )


def _has_tail(node: exp.Expression) -> bool:
    return any(node.args.get(key) for key in ("order", "limit", "offset", "with_"))


def _word(node: exp.Expression) -> str:
    return "UNION" if isinstance(node, exp.Union) else "INTERSECT" if isinstance(node, exp.Intersect) else "EXCEPT"


def _counted(word: str, left: str, right: str, columns: Sequence[str], types: Sequence[Value]) -> str:
    """EXCEPT ALL and INTERSECT ALL: equal rows are told apart by numbering them."""
    listed = ", ".join(name(column) for column in columns)
    keys = ", ".join(
        name(column) + (" COLLATE lfsql_numeric" if value.oid == NUMERIC else "")
        for column, value in zip(columns, types, strict=True)
    )
    numbered = f"{keys}, row_number() OVER (PARTITION BY {keys})"
    return f"SELECT {listed} FROM (SELECT {numbered} FROM ({left}) {word} SELECT {numbered} FROM ({right}))"


def _operand(text: str, node: exp.Expression) -> str:
    """An arm of a set operation: SQLite takes neither parentheses nor ORDER BY there."""
    if isinstance(node, exp.Select) and not _has_tail(node) and node.args.get("distinct") is None:
        return text
    return f"SELECT * FROM ({text})"


__all__ = ["UNNAMED", "Queries", "Query", "distinct_names"]
