"""PostgreSQL's SELECT, INSERT, UPDATE, DELETE and VALUES as SQLite's, with PostgreSQL's types.

The tree must come from `proxy.sql.grammar.Grammar`: sqlglot's own PostgreSQL dialect has by then rewritten
functions and intervals beyond recognition.  Types and text are worked out together, in one walk: values and
casts (`value`, `casts`), operators (`operators`), calls (`calls`, `signatures`), names (`scope`), queries
(`queries`, `from_clause`), changes (`writes`).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from lfsql.errors import FeatureNotSupported, StatementTooComplex
from proxy.pg.oids import REGCLASS, REGPROC, REGTYPE
from proxy.sql.casts import checked, coerce, settled
from proxy.sql.infer import REGNAMESPACE, REGROLE
from proxy.sql.plan import ResultColumn
from proxy.sql.queries import Queries
from proxy.sql.quoting import quote
from proxy.sql.schema import Relation, Schema
from proxy.sql.scope import Scope, relation_source
from proxy.sql.translation import Translation
from proxy.sql.value import Analysis, Value
from proxy.sql.writes import Writes

__all__ = ["Translation", "infer_columns", "translate", "translate_expression"]


def translate(
    tree: exp.Expression,
    schema: Schema,
    parameter_oids: tuple[int, ...] = (),
    lifted: tuple[int, ...] = (),
    *,
    kept: bool = False,
) -> Translation:
    """Translate one statement that `proxy.sql.grammar.Grammar` parsed.

    `parameter_oids` are the types the client gave to Parse (0: infer).  `lifted` are the types of the literals
    the lexer lifted out, numbered after the client's parameters: UNKNOWN for strings, INT4, INT8 or NUMERIC for
    numbers as PostgreSQL's lexer types them; the answer's `lifted` says what each must be decoded as.  `kept`: it is
    the query of a view or of a new table.

    Raises StatementError subclasses with PostgreSQL's words, FeatureNotSupported for what has no translation.
    """
    analysis = Analysis(schema, parameter_oids, lifted, _highest_number(tree), kept=kept)
    try:
        return _translated(tree, analysis)
    except RecursionError:
        raise StatementTooComplex("stack depth limit exceeded") from None


def _translated(tree: exp.Expression, analysis: Analysis) -> Translation:
    queries = Queries(analysis)
    writes = Writes(analysis, queries)
    written = None
    tag = "SELECT"
    if isinstance(tree, exp.Insert):
        written, tag = writes.insert(tree), "INSERT"
    elif isinstance(tree, exp.Update):
        written, tag = writes.update(tree), "UPDATE"
    elif isinstance(tree, exp.Delete):
        written, tag = writes.delete(tree), "DELETE"
    if written is not None:
        sql, outputs, names = written.sql, written.outputs, written.names
        reason = tag.lower()
    elif isinstance(tree, (exp.Query, exp.Values)):
        query = queries.query(tree, None)
        outputs = [checked(settled(analysis, output)) for output in query.outputs]
        names = query.names
        sql = query.render([_shown(analysis, output) for output in outputs])
        reason = f"calls {analysis.writes[0]}" if analysis.writes else ""
    else:
        raise FeatureNotSupported(f"{type(tree).__name__.upper()} is not supported here")
    parameters, lifted = analysis.finish()
    return Translation(
        sql=sql,
        columns=_columns(outputs, names),
        parameters=parameters,
        lifted=lifted,
        session_calls=tuple(analysis.session_calls),
        returns_rows=written is None or bool(outputs),
        writes=bool(reason),
        reason=reason,
        tag=tag,
        catalog=analysis.catalog,
        tables=queries.reads_tables,
    )


_NAMED = {
    REGCLASS: "regclass",
    REGTYPE: "regtype",
    REGPROC: "regproc",
    REGNAMESPACE: "regnamespace",
    REGROLE: "regrole",
}


def _shown(analysis: Analysis, output: Value) -> Value:
    """reg* values are numbers until they leave the query, then names, which the catalogs know."""
    if output.oid in _NAMED and not output.attnum:
        analysis.catalog = True
        return output.of(f"lfsql_{_NAMED[output.oid]}_out({output.sql})")
    return output


def _columns(outputs: Sequence[Value], names: Sequence[str]) -> tuple[ResultColumn, ...]:
    return tuple(
        ResultColumn(each, output.oid, output.typmod, output.table_oid, output.attnum)
        for each, output in zip(names, outputs, strict=True)
    )


def _highest_number(tree: exp.Expression) -> int:
    return max((int(each.this.name) for each in tree.find_all(exp.Parameter) if each.this.name.isdigit()), default=0)


def translate_expression(
    tree: exp.Expression, schema: Schema, relation: Relation | None = None, target: int = 0, typmod: int = -1
) -> str:
    """SQLite's text of an expression in a DEFAULT, CHECK or index; column names are of `relation`, unqualified.

    `target` is the type it is assigned to, 0 for its own.  Session time is UTC there, and what only a session
    knows (current_user, current_setting) is refused.
    """
    analysis = Analysis(schema, standalone=True)
    queries = Queries(analysis)
    scope = Scope(columns_allowed=relation is not None)
    if relation is not None:
        source, _ = relation_source(relation, relation.name)
        for at, field in enumerate(source.fields):
            column = relation.columns[at].name
            bare = Value(
                quote(column), field.value.oid, field.value.typmod, simple=True, not_null=field.value.not_null
            )
            source.fields[at] = type(field)(field.name, bare, field.alias)
        scope.add(source)
        scope.shown = list(source.fields)
    value = queries.expressions.visit(tree, scope)
    if target:
        return checked(coerce(analysis, value, target, typmod, level="assignment")).sql
    return checked(settled(analysis, value)).sql


def infer_columns(tree: exp.Expression, schema: Schema) -> tuple[ResultColumn, ...]:
    """The result columns of a query, for CREATE VIEW and CREATE TABLE AS."""
    return translate(tree, schema).columns
