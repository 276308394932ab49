"""CREATE TABLE, CREATE TABLE AS and SELECT INTO.

UNLOGGED, WITH (fillfactor = ...), TABLESPACE, and NO INHERIT say how PostgreSQL stores a table: accepted, without
effect.  Temporary tables would live on one node and in one session only, and reads go to any: refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from lfsql.errors import DuplicateColumn, FeatureNotSupported, InvalidTableDefinition, StatementSyntax, UndefinedTable
from proxy.pg import oids
from proxy.sql.column_clauses import Clauses
from proxy.sql.ddl_text import Ddl, Names, trusted
from proxy.sql.parsing import parse_statement
from proxy.sql.plan import ResultColumn
from proxy.sql.quoting import quote
from proxy.sql.schema import Schema
from proxy.sql.sequences import create_sequence
from proxy.sql.table_draft import DraftColumn, TableDraft
from proxy.sql.table_text import TableConstraint
from proxy.sql.token_cursor import Cursor
from proxy.sql.translate import translate
from proxy.sql.verbs import into_target

_QUERY_STARTS = ("select", "values", "with", "table", "(")


def parse_create_table(cursor: Cursor, schema: Schema, parameter_oids: tuple[int, ...] = ()) -> Ddl:
    """What follows CREATE [UNLOGGED] TABLE."""
    tolerant = cursor.accept("if", "not", "exists")
    where = cursor.token.start + 1
    name = cursor.relation()
    names = Names(schema)
    if tolerant and name in names:
        cursor.rest()
        cursor.notices.append(f'relation "{name}" already exists, skipping')
        return Ddl("CREATE TABLE")
    if cursor.looks("partition", "of") or cursor.looks("of"):
        raise cursor.unsupported("CREATE TABLE OF a type or partition")
    names.claim(name, where)
    if cursor.accept("as"):
        return _create_as(cursor, schema, name, None, parameter_oids)
    if cursor.looks("(") and _is_name_list(cursor):
        columns = cursor.names()
        _storage(cursor)
        cursor.expect("as")
        return _create_as(cursor, schema, name, columns, parameter_oids)
    draft = TableDraft(name)
    clauses = Clauses(schema, names, draft)
    cursor.expect("(")
    if not cursor.looks(")"):
        cursor.commas(lambda: _element(cursor, clauses))
    cursor.expect(")")
    _storage(cursor)
    if cursor.looks("as"):
        raise cursor.error()
    cursor.finish()
    clauses.settle()
    return Ddl("CREATE TABLE", trusted(create_statements(draft)))


def create_statements(draft: TableDraft) -> list[str]:
    """Table, sidecar rows and sequences, in the order that works."""
    if not draft.columns:
        raise FeatureNotSupported("tables without columns are not supported")
    found = [draft.create(), *draft.sidecar()]
    rowid = draft.rowid
    for column in draft.columns:
        if column.sequence is not None:
            owner = (draft.name, column.name)
            found.extend(create_sequence(column.sequence_name, column.sequence, owner, rowid=column is rowid))
    return found


def _is_name_list(cursor: Cursor) -> bool:
    """Whether `(` opens the column names of CREATE TABLE t (a, b) AS."""
    distance = 1
    while cursor.ahead(distance).text not in (")", ""):
        if cursor.ahead(distance + 1).text not in (",", ")"):
            return False
        distance += 2 if cursor.ahead(distance + 1).text == "," else 1
    return distance > 1 and cursor.ahead(distance).text == ")"


def _element(cursor: Cursor, clauses: Clauses) -> None:
    if cursor.accept("like"):
        _like(cursor, clauses)
    elif any(cursor.looks(word) for word in ("constraint", "check", "unique", "primary", "foreign")) or (
        cursor.looks("exclude") and cursor.ahead().value in ("using", "(")
    ):
        clauses.table_constraint(cursor)
    else:
        clauses.column(cursor)


def _storage(cursor: Cursor) -> None:
    """The clauses after the columns."""
    while True:
        if cursor.accept("with"):
            cursor.parenthesised()
        elif cursor.accept("without", "oids"):
            pass
        elif cursor.accept("tablespace"):
            cursor.name()
        elif cursor.accept("on", "commit"):
            raise cursor.unsupported("ON COMMIT")
        elif cursor.looks("using"):
            cursor.take()
            if cursor.name() != "heap":
                raise cursor.unsupported("a table access method")
        elif cursor.looks("inherits") or cursor.looks("partition"):
            raise cursor.unsupported("table inheritance and partitioning")
        else:
            return


def _like(cursor: Cursor, clauses: Clauses) -> None:
    """LIKE source [INCLUDING | EXCLUDING option]*: columns and NOT NULL always, the rest where included."""
    where = cursor.token.start + 1
    source = cursor.relation()
    relation = clauses.schema.relations.get(source)
    if relation is None:
        raise UndefinedTable(f'relation "{source}" does not exist', position=where)
    included: set[str] = set()
    while (verb := cursor.one_of("including", "excluding")) is not None:
        what = cursor.label()
        options = {"defaults", "constraints", "indexes", "identity"} if what == "all" else {what}
        included = included | options if verb == "including" else included - options
    if relation.kind != "table":
        original = TableDraft(source, [DraftColumn(c.name, c.oid, c.typmod) for c in relation.columns])
    else:
        original = TableDraft.of(relation)
    for column in original.columns:
        if clauses.draft.column(column.name) is not None:
            raise DuplicateColumn(f'column "{column.name}" specified more than once', position=where)
        serial = column.identity == "s"
        keeps_default = "defaults" in included and (not column.identity or serial)
        copied = DraftColumn(
            column.name,
            column.oid,
            column.typmod,
            column.not_null,
            column.default if keeps_default and not serial else None,
            column.default_text if keeps_default and not serial else None,
            collation=column.collation,
            foreign_type=column.foreign_type,
        )
        if serial and keeps_default and relation.column(column.name) is not None:
            # PostgreSQL's copy would draw from the original's sequence.
            copied.default_text = column.default_text
            copied.default = f"({column.default_text})".replace("::regclass", "") if column.default_text else None
        clauses.draft.columns.append(copied)
    _like_constraints(original, clauses, included)


def _like_constraints(original: TableDraft, clauses: Clauses, included: set[str]) -> None:
    for constraint in original.constraints:
        if constraint.kind == "c" and "constraints" in included:
            clauses.draft.constraints.append(constraint)
        elif constraint.kind in "pu" and "indexes" in included:
            fresh = TableConstraint(constraint.kind, None, constraint.columns)
            clauses.constraints.append((fresh, [], 0))


def _create_as(
    cursor: Cursor, schema: Schema, name: str, columns: Sequence[str] | None, parameter_oids: tuple[int, ...]
) -> Ddl:
    """CREATE TABLE name [(columns)] AS query [WITH [NO] DATA]"""
    if cursor.token.value not in _QUERY_STARTS:
        if cursor.looks("execute"):
            raise cursor.unsupported("CREATE TABLE AS EXECUTE")
        raise cursor.error()
    found = cursor.tokens[cursor.at :]
    cursor.at = len(cursor.tokens)
    words = [token.value for token in found[-3:]]
    filled = True
    if words[-2:] == ["with", "data"]:
        found = found[:-2]
    elif words == ["with", "no", "data"]:
        found, filled = found[:-3], False
    return create_from_query(parse_statement(found), schema, name, columns, parameter_oids, filled=filled)


def create_from_query(
    tree: exp.Expression,
    schema: Schema,
    name: str,
    columns: Sequence[str] | None,
    parameter_oids: tuple[int, ...] = (),
    *,
    filled: bool = True,
) -> Ddl:
    """A table of a query's columns, with its rows when `filled`."""
    translation = translate(tree, schema, parameter_oids, kept=True)
    if translation.session_calls:
        raise FeatureNotSupported("CREATE TABLE AS over a function of the session is not supported")
    draft = TableDraft(name, draft_columns(translation.columns, columns))
    statements = [draft.create(), *draft.sidecar()]
    if not filled:
        return Ddl("CREATE TABLE AS", trusted(statements))
    listed = ", ".join(quote(column.name) for column in draft.columns)
    # `SELECT * FROM (...)` keeps a query with WITH or ORDER BY whole.
    statements.append(f"INSERT INTO {quote(name)} ({listed}) SELECT * FROM ({translation.sql}) WHERE true")
    return Ddl("SELECT", trusted(statements), translation.parameters)


def draft_columns(found: Sequence[ResultColumn], names: Sequence[str] | None) -> list[DraftColumn]:
    """Columns of a query's result, renamed by `names` from the left."""
    if names is not None and len(names) > len(found):
        raise StatementSyntax("too many column names were specified")
    columns: list[DraftColumn] = []
    for place, column in enumerate(found):
        name = names[place] if names is not None and place < len(names) else column.name
        if any(other.name == name for other in columns):
            raise DuplicateColumn(f'column "{name}" specified more than once')
        oid = oids.TEXT if column.oid == oids.UNKNOWN else column.oid
        if oid not in oids.STORAGE and oid not in oids.ELEMENTS:
            raise InvalidTableDefinition(f'column "{name}" has a type that cannot be stored')
        columns.append(DraftColumn(name, oid, column.typmod))
    return columns


def parse_select_into(cursor: Cursor, schema: Schema, parameter_oids: tuple[int, ...]) -> Ddl | None:
    """SELECT ... INTO name ...; None for any other SELECT."""
    place = into_target(cursor.tokens)
    if place is None:
        return None
    first, after = place
    kind = Cursor(cursor.text, cursor.tokens[first + 1 :])
    kind.one_of("local", "global")
    if kind.one_of("temp", "temporary") is not None:
        raise FeatureNotSupported("temporary tables are not supported", position=cursor.tokens[first].start + 1)
    target = Cursor(cursor.text, cursor.tokens[first + 1 : after])
    target.accept("unlogged")
    target.accept("table")
    where = target.token.start + 1
    name = target.relation()
    Names(schema).claim(name, where)
    tree = parse_statement([*cursor.tokens[:first], *cursor.tokens[after:]])
    return create_from_query(tree, schema, name, None, parameter_oids)
