"""What catalog queries write that no other query does, put into words the translator knows: tree to tree.

Beside the set-returning functions (`rewrite_sets`):

- a reg* value that leaves the query is printed as its name: OIDs stay numbers inside, text is what a client of
  type regclass or regproc is sent;
- casts of int2vector and oidvector to arrays say nothing new: both are stored as JSON;
- `tableoid` of a catalog's row is that catalog's OID;
- functions over what does not exist here (partitions) give no rows;
- `pg_get_keywords()` (JDBC, DBeaver) gives a table nobody else wants: it becomes VALUES;
- `current_setting(s.name)` over pg_settings (psql) is that row's setting: the function itself takes constants.

The planner calls `rewrite` on statements for which `concerns_catalogs` holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

from sqlglot import exp

from proxy.pg import oids
from proxy.sql.catalog.definitions import PG_CATALOG, relation_schema
from proxy.sql.catalog.rewrite_sets import (
    call,
    called,
    expand_pairs,
    inline_laterals,
    is_vector,
    lockstep,
    plain_unnests,
)
from proxy.sql.catalog.spelling import RESERVED
from proxy.sql.schema import Relation

_MENTION: Final = re.compile(
    r"\bpg_|information_schema|\blfsql\s*\.|::\s*(pg_catalog\s*\.\s*)?reg|\bas\s+reg|\bto_reg", re.IGNORECASE
)
_REG_TYPES: Final = frozenset({"regclass", "regtype", "regproc", "regprocedure", "regnamespace", "regrole"})
_REG_FUNCTIONS: Final = frozenset({"to_regclass", "to_regtype", "to_regproc", "to_regnamespace", "to_regrole"})


def concerns_catalogs(text: str) -> bool:
    """Whether a statement's text may name a catalog.  Errs towards yes: rewriting another query changes nothing."""
    return _MENTION.search(text) is not None


def rewrite(tree: exp.Expression) -> exp.Expression:
    """The tree in the translator's words.  The one given is changed."""
    # Inner queries first: an outer one may copy an inner one into its FROM.
    for number, select in enumerate(reversed(list(tree.find_all(exp.Select)))):
        _no_partitions(select)
        _name_tableoids(select)
        inline_laterals(select)
        expand_pairs(select)
        plain_unnests(select, number)
        lockstep(select, number)
    for table in list(tree.find_all(exp.Table)):
        _replace_table_function(table)
    for function in list(tree.find_all(exp.Anonymous)):
        _replace_function(function)
    for cast in list(tree.find_all(exp.Cast)):
        _drop_vector_cast(cast)
    for select in _outermost(tree):
        _print_registered(select)
    return tree


# -- Functions and casts -----------------------------------------------------------------------------------


def _replace_function(function: exp.Anonymous) -> None:
    name, arguments = function.name.lower(), function.expressions
    if name == "array" and len(arguments) == 1 and isinstance(arguments[0], exp.Query):
        function.replace(exp.Array(expressions=arguments))
    elif name == "current_setting" and len(arguments) == 1 and isinstance(arguments[0], exp.Column):
        column = arguments[0]
        if column.name == "name":
            setting = exp.column("setting", column.table or None)
            whole = function.parent if isinstance(function.parent, exp.Dot) else function
            whole.replace(setting)


def _drop_vector_cast(cast: exp.Cast) -> None:
    kind = cast.args["to"]
    if not isinstance(kind, exp.DataType) or kind.this != exp.DType.ARRAY:
        return
    element = kind.expressions[0] if kind.expressions else None
    if isinstance(element, exp.DataType) and _name_of_type(element) == "regtype":
        cast.replace(call("lfsql_regtype_names", cast.this))
    elif is_vector(cast.this):
        cast.replace(cast.this)


def _no_partitions(select: exp.Select) -> None:
    """`SELECT pg_partition_ancestors(...)` has no rows."""
    for each in select.expressions:
        function = called(each)
        if function is not None and function.name.lower() == "pg_partition_ancestors":
            each.replace(_null_of("regclass"))
            select.where(exp.false(), copy=False)


def _replace_table_function(table: exp.Table) -> None:
    function = called(table.this)
    if function is None:
        return
    alias = table.args.get("alias")
    given = [column.name for column in alias.args.get("columns") or []] if alias is not None else []
    if function.name.lower() == "pg_get_keywords":
        names = given + ["word", "catcode", "barelabel", "catdesc", "baredesc"][len(given) :]
        table.replace(exp.Values(expressions=_keywords(), alias=_table_alias(alias, "pg_get_keywords", names)))
    elif function.name.lower() == "pg_partition_ancestors":
        names = given + ["relid", "ordinality"][len(given) :]
        query = exp.select(_null_of("regclass"), _null_of("int8")).where(exp.false())
        table.replace(exp.Subquery(this=query, alias=_table_alias(alias, "pg_partition_ancestors", names)))


def _table_alias(alias: exp.Expr | None, default: str, names: list[str]) -> exp.TableAlias:
    name = (alias.name if alias is not None else "") or default
    return exp.TableAlias(this=exp.to_identifier(name), columns=[exp.to_identifier(each) for each in names])


def _null_of(type_name: str) -> exp.Expr:
    kind = exp.DataType(this=exp.DType.USERDEFINED, kind=exp.to_identifier(type_name))
    return exp.Cast(this=exp.Null(), to=kind)


def _keywords() -> list[exp.Expr]:
    return [
        exp.Tuple(
            expressions=[
                exp.Literal.string(word),
                exp.Literal.string("R"),
                exp.Boolean(this=True),
                exp.Literal.string("reserved"),
                exp.Literal.string("can be bare label"),
            ]
        )
        for word in sorted(RESERVED)
    ]


# -- tableoid ----------------------------------------------------------------------------------------------


def _name_tableoids(select: exp.Select) -> None:
    columns = [each for each in select.find_all(exp.Column) if each.name.lower() == "tableoid" and each.table]
    if not columns:
        return
    source = select.args.get("from_")
    items = [source.this] if source is not None else []
    items.extend(join.this for join in select.args.get("joins") or [])
    by_alias = {item.alias_or_name: item for item in items if isinstance(item, exp.Table)}
    for column in columns:
        table = by_alias.get(column.table)
        relation = _catalog_relation(table) if table is not None else None
        if relation is not None:
            column.replace(exp.Paren(this=exp.Literal.number(relation.oid)))


def _catalog_relation(table: exp.Table) -> Relation | None:
    return relation_schema().relations.get(f"{table.db or PG_CATALOG}.{table.name}")


# -- reg* values that leave --------------------------------------------------------------------------------


def _outermost(tree: exp.Expr) -> Iterator[exp.Select]:
    """The SELECTs whose rows are the statement's rows."""
    if isinstance(tree, exp.Select):
        yield tree
    elif isinstance(tree, exp.SetOperation):
        yield from _outermost(tree.this)
        yield from _outermost(tree.expression)
    elif isinstance(tree, exp.Subquery):
        yield from _outermost(tree.this)


@cache
def _registered_columns() -> frozenset[str]:
    """Names that only columns of type regproc or regtype have."""
    columns = [column for relation in relation_schema().relations.values() for column in relation.columns]
    registered = {column.name for column in columns if column.oid in (oids.REGPROC, oids.REGTYPE)}
    return frozenset(
        registered - {column.name for column in columns if column.oid not in (oids.REGPROC, oids.REGTYPE)}
    )


def _print_registered(select: exp.Select) -> None:
    projections: list[exp.Expr] = []
    for each in select.expressions:
        value = each.this if isinstance(each, exp.Alias) else each
        if not _is_registered(value):
            projections.append(each)
            continue
        name = each.alias or _name_of(value)
        projections.append(exp.alias_(exp.Cast(this=value, to=exp.DataType.build("text")), name, quoted=True))
    select.set("expressions", projections)


def _is_registered(value: exp.Expr) -> bool:
    if isinstance(value, exp.Cast):
        return _name_of_type(value.args["to"]) in _REG_TYPES
    if isinstance(value, exp.Case):
        results = [each.args.get("true") for each in value.args.get("ifs") or []] + [value.args.get("default")]
        return any(isinstance(each, exp.Expr) and _is_registered(each) for each in results)
    if isinstance(value, exp.Subquery) and isinstance(value.this, exp.Select) and value.this.expressions:
        return _is_registered(value.this.expressions[0].unalias())
    function = called(value)
    if function is not None:
        return function.name.lower() in _REG_FUNCTIONS
    return isinstance(value, exp.Column) and value.name.lower() in _registered_columns()


def _name_of_type(kind: exp.Expr) -> str:
    named = kind.args.get("kind")
    return (named.name if isinstance(named, exp.Expr) else str(named or "")).lower()


def _name_of(value: exp.Expr) -> str:
    """The result column's name: PostgreSQL looks through casts for a column or function, and ends at the type."""
    inner = value
    while isinstance(inner, (exp.Cast, exp.Paren)):
        inner = inner.this
    function = called(inner)
    if function is not None:
        return function.name.lower()
    if isinstance(inner, exp.Column):
        return inner.name.lower()
    if isinstance(inner, exp.Case):
        return "case"
    while isinstance(value, exp.Cast) and isinstance(value.this, exp.Cast):
        value = value.this
    return _name_of_type(value.args["to"]) if isinstance(value, exp.Cast) else "?column?"
