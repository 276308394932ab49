"""Set-returning functions of catalog queries, as FROM items SQLite can carry out: tree to tree.

PostgreSQL lets functions that return rows stand in a select list, several at once, which then run in lockstep;
lets `unnest` take several arrays; and lets anything in FROM look at its left neighbours (LATERAL).  SQLite has
table-valued functions in FROM, which may look left, and nothing else.  So:

- two or more calls in a select list become `unnest(a) WITH ORDINALITY` items, joined by their places;
- `unnest(a, b)` becomes two such items;
- `CROSS JOIN LATERAL (SELECT expression) AS o(n)` has exactly one row: the expression takes the column's place;
- `information_schema._pg_expandarray(v)` gives pairs (x, n), element and place: `(...).x` and `(...).n` become two
  calls, a column of pairs two columns.

The arrays in lockstep are assumed equally long, as all those in the catalogs are (conkey and confkey, indkey and
indoption): PostgreSQL would pad the shorter with NULLs.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Final

from sqlglot import exp

from proxy.pg import oids
from proxy.sql.catalog.definitions import relation_schema

_EXPAND: Final = "_pg_expandarray"
_HALVES: Final = ("x", "n")


@cache
def vector_columns() -> frozenset[str]:
    """Names of columns of type int2vector and oidvector, which count from 0."""
    return frozenset(
        column.name
        for relation in relation_schema().relations.values()
        for column in relation.columns
        if column.oid in (oids.INT2VECTOR, oids.OIDVECTOR)
    )


def is_vector(node: object) -> bool:
    return isinstance(node, exp.Column) and node.name.lower() in vector_columns()


def called(node: object) -> exp.Anonymous | None:
    """The call in `f(...)` or `pg_catalog.f(...)`; None for anything else."""
    if isinstance(node, exp.Dot):
        node = node.expression
    return node if isinstance(node, exp.Anonymous) else None


def call(function: str, *arguments: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=function, expressions=[each.copy() for each in arguments])


def unnested(array: exp.Expr, alias: str, columns: Iterable[str]) -> exp.Table:
    """`unnest(array) WITH ORDINALITY AS alias(columns)`."""
    return exp.Table(
        this=call("unnest", array),
        ordinality=True,
        alias=exp.TableAlias(
            this=exp.to_identifier(alias), columns=[exp.to_identifier(column) for column in columns]
        ),
    )


def _add_join(select: exp.Select, place: int, item: exp.Expr, condition: exp.Expr | None) -> None:
    join = exp.Join(this=item, on=condition) if condition is not None else exp.Join(this=item, kind="CROSS")
    joins = list(select.args.get("joins") or [])
    joins.insert(place, join)
    select.set("joins", joins)


# -- LATERAL -----------------------------------------------------------------------------------------------


def inline_laterals(select: exp.Select) -> None:
    """Take joined LATERAL subqueries of one row out of the FROM."""
    kept: list[exp.Expr] = []
    inlined: list[tuple[str, dict[str, exp.Expr]]] = []
    for join in select.args.get("joins") or []:
        columns = _one_row(join)
        if columns is None:
            kept.append(join)
        else:
            inlined.append((join.this.alias, columns))
    if inlined:
        select.set("joins", kept)
        for alias, columns in inlined:
            _substitute(select, alias, columns)


def _one_row(join: exp.Join) -> dict[str, exp.Expr] | None:
    """The columns of a joined LATERAL subquery that always has exactly one row; None for anything else."""
    lateral = join.this
    if not isinstance(lateral, exp.Lateral) or not isinstance(lateral.this, exp.Subquery):
        return None
    query = lateral.this.this
    condition = join.args.get("on")
    if condition is not None and not (isinstance(condition, exp.Boolean) and condition.this):
        return None
    if not isinstance(query, exp.Select) or any(value for key, value in query.args.items() if key != "expressions"):
        return None
    if any(isinstance(each, exp.Star) or each.find(exp.AggFunc) for each in query.expressions):
        return None
    alias = lateral.args.get("alias")
    names = [column.name for column in alias.args.get("columns") or []] if alias is not None else []
    found: dict[str, exp.Expr] = {}
    for place, each in enumerate(query.expressions):
        name = names[place] if place < len(names) else each.alias_or_name
        found[name] = each.this if isinstance(each, exp.Alias) else each
    return found


def _substitute(select: exp.Select, alias: str, columns: dict[str, exp.Expr]) -> None:
    for column in list(select.find_all(exp.Column)):
        if column.table != alias and (column.table or column.find_ancestor(exp.Select) is not select):
            continue
        expression = columns.get(column.name)
        if expression is None:
            continue
        replacement: exp.Expr = exp.Paren(this=expression.copy())
        if column.parent is select and column.arg_key == "expressions":
            replacement = exp.alias_(replacement, column.name)
        column.replace(replacement)


# -- unnest ------------------------------------------------------------------------------------------------


def plain_unnests(select: exp.Select, number: int) -> None:
    """Give each unnest in FROM one array, and its columns all their names.  `number` makes aliases unique."""
    source = select.args.get("from_")
    items = [source.this] if source is not None else []
    items.extend(join.this for join in select.args.get("joins") or [])
    added = 0
    for place, item in enumerate(items):
        arrays, names, ordinal = _unnest_parts(item)
        if not arrays:
            continue
        alias = item.args.get("alias")
        first = (alias.name if alias is not None else "") or "unnest"
        names = [*names, *(f"unnest_{at}" for at in range(len(names), len(arrays)))]
        ordinal = ordinal or f"{first}_n"
        item.replace(unnested(arrays[0], first, (names[0], ordinal)))
        for at in range(1, len(arrays)):
            other = f"{first}_{number}_{at}"
            condition = exp.EQ(this=exp.column("n", other), expression=exp.column(ordinal, first))
            _add_join(select, place + added, unnested(arrays[at], other, (names[at], "n")), condition)
            added += 1
            for column in list(select.find_all(exp.Column)):
                if column.table == first and column.name == names[at]:
                    column.set("table", exp.to_identifier(other))


def _unnest_parts(item: exp.Expr) -> tuple[list[exp.Expr], list[str], str]:
    """Arrays, column names and name of the ordinality of an unnest that needs rewriting; ([], [], '') otherwise."""
    alias = item.args.get("alias")
    names = [column.name for column in alias.args.get("columns") or []] if alias is not None else []
    if isinstance(item, exp.Unnest):
        offset = item.args.get("offset")
        arrays = [each for each in item.expressions if isinstance(each, exp.Expr)]
        if len(arrays) > 1 or offset is not None:
            return arrays, names, offset.name if isinstance(offset, exp.Expr) else ""
    elif isinstance(item, exp.Table):
        function = called(item.this)
        if function is not None and function.name.lower() == "unnest" and len(function.expressions) > 1:
            arrays = list(function.expressions)
            return arrays, names[: len(arrays)], names[len(arrays)] if len(names) > len(arrays) else ""
    return [], [], ""


# -- Calls in a select list --------------------------------------------------------------------------------


def lockstep(select: exp.Select, number: int) -> None:
    """Move two or more set-returning calls of a select list, or one the translator would number
    otherwise, into the FROM."""
    found: list[tuple[exp.Expr, exp.Expr, str]] = []
    for each in select.expressions:
        value = each.this if isinstance(each, exp.Alias) else each
        parts = _set_parts(value)
        if parts is not None:
            found.append((value, *parts))
    ours = any(part == "n" or (part == "subscript" and is_vector(array)) for _, array, part in found)
    if not ours and len(found) < 2:
        return
    sources: dict[str, str] = {}
    first = ""
    for value, array, part in found:
        key = array.sql()
        if key not in sources:
            alias = sources[key] = f"_set_{number}_{len(sources)}"
            item = unnested(array, alias, _HALVES)
            if not first:
                first = alias
                condition = None
            else:
                condition = exp.EQ(this=exp.column("n", alias), expression=exp.column("n", first))
            if select.args.get("from_") is None:
                select.set("from_", exp.From(this=item))
            else:
                _add_join(select, len(select.args.get("joins") or []), item, condition)
        column: exp.Expr = exp.column("x" if part == "x" else "n", sources[key])
        if part == "subscript" and is_vector(array):
            column = exp.Paren(this=exp.Sub(this=column, expression=exp.Literal.number(1)))
        if part != "x":
            column = exp.Cast(this=column, to=exp.DataType.build("int"))
        if isinstance(value.parent, exp.Alias):
            value.replace(column)
        else:
            function = called(value)
            value.replace(exp.alias_(column, function.name.lower() if function is not None else "unnest"))


def _set_parts(value: exp.Expr) -> tuple[exp.Expr, str] | None:
    """The array a set-returning call runs over, and what it gives of it: x, n or subscript."""
    function = called(value)
    if function is None or not function.expressions:
        return None
    name, arguments = function.name.lower(), function.expressions
    if name == "unnest" and len(arguments) == 1:
        return arguments[0], "x"
    if name == "generate_subscripts":
        return arguments[0], "subscript"
    counted = called(arguments[-1]) if name == "generate_series" else None
    if counted is not None and counted.name == "cardinality":
        return counted.expressions[0], "n"
    return None


# -- _pg_expandarray ---------------------------------------------------------------------------------------


def expand_pairs(select: exp.Select) -> None:
    """Replace the pairs of _pg_expandarray by their halves."""
    projections: list[exp.Expr] = []
    for each in select.expressions:
        vector = _expanded(each.this if isinstance(each, exp.Alias) else each)
        if vector is None:
            projections.append(each)
            continue
        name = each.alias.lower() or _EXPAND
        projections.extend(exp.alias_(_half(vector, part), f"{name}.{part}", quoted=True) for part in _HALVES)
        _point_to_halves(select, name)
    select.set("expressions", projections)
    for dot in list(select.find_all(exp.Dot)):
        inner = dot.this.unnest() if isinstance(dot.this, exp.Paren) else None
        vector = _expanded(inner) if inner is not None else None
        if vector is not None and dot.expression.name in _HALVES:
            half = _half(vector, dot.expression.name)
            dot.replace(exp.alias_(half, dot.expression.name) if isinstance(dot.parent, exp.Select) else half)


def _expanded(node: exp.Expr) -> exp.Expr | None:
    """The argument of a call of _pg_expandarray."""
    function = called(node)
    if function is not None and function.name.lower() == _EXPAND and len(function.expressions) == 1:
        argument = function.expressions[0]
        return argument if isinstance(argument, exp.Expr) else None
    return None


def _half(vector: exp.Expr, part: str) -> exp.Expr:
    """One of the pair's two halves.  Both give as many rows, in the same order."""
    if part == "x":
        return call("unnest", vector)
    return call("generate_series", exp.Literal.number(1), call("cardinality", vector))


def _point_to_halves(select: exp.Select, name: str) -> None:
    """`(result.keys).x`, in the query around, becomes `result."keys.x"`."""
    for dot in list(select.root().find_all(exp.Dot)):
        pair = dot.this.unnest() if isinstance(dot.this, exp.Paren) else None
        if isinstance(pair, exp.Column) and pair.name.lower() == name and dot.expression.name in _HALVES:
            half = exp.column(exp.to_identifier(f"{name}.{dot.expression.name}", quoted=True), pair.table or None)
            dot.replace(half)
