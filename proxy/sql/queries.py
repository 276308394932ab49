"""SELECT, VALUES, WITH and set operations.

A query is translated in two steps, because its context decides the types of its open outputs (the other arm of
a UNION, the column an INSERT fills): first everything but the select list's final text, as a `Query`; then
`render` with the outputs as the context wants them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlglot import exp

from lfsql.errors import (
    DatatypeMismatch,
    FeatureNotSupported,
    InvalidColumnReference,
    InvalidLimit,
    InvalidOffset,
    StatementSyntax,
    UndefinedColumn,
    UndefinedTable,
)
from proxy.pg.oids import INT8, INTERVAL, NUMERIC, TEXT, UNKNOWN
from proxy.sql.casts import checked, coerce, settled
from proxy.sql.catalog.definitions import relation_schema
from proxy.sql.expressions import Expressions
from proxy.sql.from_clause import FromClause
from proxy.sql.infer import category, common_type, identifier_name, spelled
from proxy.sql.number_text import position_of
from proxy.sql.ordering import direction
from proxy.sql.overloads import relation_words
from proxy.sql.query import Query, distinct_names, select_list
from proxy.sql.quoting import quote
from proxy.sql.schema import Relation
from proxy.sql.scope import Scope, Table
from proxy.sql.selects import Selects
from proxy.sql.value import Analysis, Value

_CATALOGS = ("pg_catalog", "information_schema", "lfsql")


class Queries:
    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self.expressions = Expressions(analysis, self)
        self.from_clause = FromClause(analysis, self, self.expressions)
        self.selects = Selects(analysis, self)
        self.aliases = 0
        """Numbers for names of our own, unique in the statement."""
        self.reads_tables = False
        """A relation of the user's is named."""

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
        self.reads_tables = self.reads_tables or not found[1]
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
            return self._with(node, outer, self.selects.select)
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
        columns = ", ".join(quote(column) for column in table.columns)
        return f"{quote(table_name)}({columns}) AS {hint}({inner.render(outputs)})"

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
        columns = ", ".join(quote(column) for column in table.columns)
        return (
            f"{quote(table_name)}({columns}) AS"
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
                return self._tail(f"SELECT {select_list(finals, aliases)}", node, names, finals)
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
                columns_text = ", ".join(f"column{at} AS {quote(each)}" for at, each in enumerate(shown, 1))
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
            at = position_of(node.name, "ORDER BY")
            if not 1 <= at <= len(names):
                raise InvalidColumnReference(f"ORDER BY position {at} is not in select list")
            return at - 1
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
    listed = ", ".join(quote(column) for column in columns)
    keys = ", ".join(
        quote(column) + (" COLLATE lfsql_numeric" if value.oid == NUMERIC else "")
        for column, value in zip(columns, types, strict=True)
    )
    numbered = f"{keys}, row_number() OVER (PARTITION BY {keys})"
    return f"SELECT {listed} FROM (SELECT {numbered} FROM ({left}) {word} SELECT {numbered} FROM ({right}))"


def _operand(text: str, node: exp.Expression) -> str:
    """An arm of a set operation: SQLite takes neither parentheses nor ORDER BY there."""
    if isinstance(node, exp.Select) and not _has_tail(node) and node.args.get("distinct") is None:
        return text
    return f"SELECT * FROM ({text})"
