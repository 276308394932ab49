"""CREATE INDEX, CREATE VIEW, CREATE SEQUENCE, and the CREATEs that are tolerated or refused by name."""

from __future__ import annotations

from lfsql.errors import (
    DuplicateTable,
    FeatureNotSupported,
    UndefinedColumn,
    UndefinedTable,
    WrongObjectType,
)
from proxy.sql.column_clauses import collation
from proxy.sql.constraint_names import choose_name
from proxy.sql.create_table import draft_columns, parse_create_table
from proxy.sql.ddl_text import Ddl, Names, trusted
from proxy.sql.lexer import WORD, Token
from proxy.sql.parsing import parse_expression, parse_statement
from proxy.sql.quoting import quote, string
from proxy.sql.schema import Relation, Schema
from proxy.sql.sequences import create_sequence, parse_options, settle
from proxy.sql.table_draft import sidecar_row
from proxy.sql.token_cursor import Cursor
from proxy.sql.translate import translate, translate_expression

_METHODS = frozenset(("btree", "hash"))


def parse_create(cursor: Cursor, schema: Schema, parameter_oids: tuple[int, ...] = ()) -> Ddl:
    """What follows CREATE."""
    replacing = cursor.accept("or", "replace")
    if cursor.accept("global") or cursor.accept("local") or cursor.looks("temp") or cursor.looks("temporary"):
        raise FeatureNotSupported(
            "temporary tables, views and sequences are not supported",
            hint="Reads may go to any node; use an ordinary table and drop it.",
            position=cursor.token.start + 1,
        )
    if cursor.accept("unlogged"):
        cursor.expect("table")
        return parse_create_table(cursor, schema, parameter_oids)
    if cursor.accept("table"):
        return parse_create_table(cursor, schema, parameter_oids)
    if cursor.accept("unique"):
        cursor.expect("index")
        return _index(cursor, schema, unique=True)
    if cursor.accept("index"):
        return _index(cursor, schema, unique=False)
    if cursor.accept("recursive"):
        raise cursor.unsupported("CREATE RECURSIVE VIEW")
    if cursor.accept("view"):
        return _view(cursor, schema, replacing=replacing)
    if cursor.accept("sequence"):
        return _sequence(cursor, schema)
    if cursor.accept("schema"):
        return _schema(cursor)
    if cursor.accept("extension"):
        return _extension(cursor)
    if cursor.token.kind != WORD:
        raise cursor.error()
    words = cursor.token.value.upper()
    for first, second in (("materialized", "view"), ("foreign", "table"), ("event", "trigger"), ("access", "method")):
        if cursor.looks(first, second):
            words = f"{first} {second}".upper()
    raise cursor.unsupported(f"CREATE {words}")


def _schema(cursor: Cursor) -> Ddl:
    """There is one schema, public.  Creating it again is tolerated, as scripts do."""
    tolerant = cursor.accept("if", "not", "exists")
    name = cursor.name()
    if name == "public" and tolerant:
        return Ddl("CREATE SCHEMA")
    if name == "public":
        raise DuplicateTable('schema "public" already exists')
    raise FeatureNotSupported("schemas other than public are not supported")


def _extension(cursor: Cursor) -> Ddl:
    tolerant = cursor.accept("if", "not", "exists")
    name = cursor.name()
    if name == "plpgsql" and tolerant:
        cursor.rest()
        return Ddl("CREATE EXTENSION")
    raise FeatureNotSupported(f'extension "{name}" is not available')


# -- Indexes -----------------------------------------------------------------------------------------------


def _index(cursor: Cursor, schema: Schema, *, unique: bool) -> Ddl:
    alone = cursor.accept("concurrently")
    tolerant = cursor.accept("if", "not", "exists")
    where = cursor.token.start + 1
    name = None
    if not cursor.looks("on"):
        name = cursor.name()
    cursor.expect("on")
    cursor.accept("only")
    table_at = cursor.token.start + 1
    relation = _table(cursor, schema, table_at)
    if cursor.accept("using"):
        method = cursor.name()
        if method not in _METHODS:
            raise cursor.unsupported(f'access method "{method}"')
    cursor.expect("(")
    keys = cursor.commas(lambda: _key(cursor, schema, relation))
    cursor.expect(")")
    if cursor.accept("include"):
        cursor.names()
    if cursor.accept("nulls"):
        if cursor.accept("not"):
            raise cursor.unsupported("NULLS NOT DISTINCT")
        cursor.expect("distinct")
    if cursor.accept("with"):
        cursor.parenthesised()
    if cursor.accept("tablespace"):
        cursor.name()
    condition = ""
    if cursor.accept("where"):
        tokens = cursor.tokens[cursor.at :]
        cursor.at = len(cursor.tokens)
        condition = f" WHERE {translate_expression(parse_expression(tokens), schema, relation)}"
    cursor.finish()
    names = Names(schema)
    if name is None:
        name = choose_name(relation.name, _index_label(keys), "idx", names)
    elif name in names and tolerant:
        cursor.notices.append(f'relation "{name}" already exists, skipping')
        return Ddl("CREATE INDEX")
    names.claim(name, where)
    kind = "UNIQUE INDEX" if unique else "INDEX"
    listed = ", ".join(text for text, _ in keys)
    made = f"CREATE {kind} {quote(name)} ON {quote(relation.name)} ({listed}){condition}"
    return Ddl("CREATE INDEX", trusted([made]), alone=alone)


def _index_label(keys: list[tuple[str, str]]) -> list[str]:
    """The column names PostgreSQL puts into an index's name; a second expression is expr1."""
    found: list[str] = []
    for _, label in keys:
        name, number = label, 0
        while name in found:
            number += 1
            name = f"{label}{number}"
        found.append(name)
    return found


def _table(cursor: Cursor, schema: Schema, where: int) -> Relation:
    name = cursor.relation()
    relation = schema.relations.get(name)
    if relation is None:
        raise UndefinedTable(f'relation "{name}" does not exist', position=where)
    if relation.kind != "table":
        raise WrongObjectType(f'cannot create index on relation "{name}"', position=where)
    return relation


def _key(cursor: Cursor, schema: Schema, relation: Relation) -> tuple[str, str]:
    """One key of an index -> (SQLite's text, its part of the index's name)."""
    if cursor.looks("("):
        tokens = cursor.parenthesised()
        text, label = f"({translate_expression(parse_expression(tokens), schema, relation)})", "expr"
        column = None
    elif cursor.ahead().text == "(":
        begin = cursor.at
        label = cursor.name()
        cursor.parenthesised()
        tokens = cursor.tokens[begin : cursor.at]
        text, column = f"({translate_expression(parse_expression(tokens), schema, relation)})", None
    else:
        where = cursor.token.start + 1
        label = cursor.name()
        column = relation.column(label)
        if column is None:
            raise UndefinedColumn(f'column "{label}" does not exist', position=where)
        text = quote(label)
    if cursor.accept("collate"):
        collation(cursor)
    if cursor.is_name() and not any(cursor.looks(word) for word in ("nulls", "include", "with", "where")):
        cursor.qualified()  # an operator class: SQLite orders by the column's collation
        if cursor.looks("("):
            cursor.parenthesised()
    if cursor.accept("desc"):
        text += " DESC"
    else:
        cursor.accept("asc")
    if cursor.accept("nulls") and cursor.one_of("first", "last") is None:
        raise cursor.error()
    return text, label


# -- Views -------------------------------------------------------------------------------------------------


def _view(cursor: Cursor, schema: Schema, *, replacing: bool) -> Ddl:
    where = cursor.token.start + 1
    name = cursor.relation()
    columns = cursor.names() if cursor.looks("(") else None
    if cursor.accept("with"):
        cursor.parenthesised()
    cursor.expect("as")
    tokens = _without_check_option(cursor.tokens[cursor.at :])
    if not tokens:
        raise cursor.error()
    cursor.at = len(cursor.tokens)
    translation = translate(parse_statement(tokens), schema, kept=True)
    if translation.parameters or translation.session_calls or not translation.returns_rows:
        raise FeatureNotSupported(
            "views over parameters, functions of the session, or anything but a query are not supported",
            position=tokens[0].start + 1,
        )
    if translation.writes:
        raise FeatureNotSupported(f"a view that {translation.reason} is not supported")
    drafts = draft_columns(translation.columns, columns)
    statements: list[str] = []
    old = schema.relations.get(name)
    if replacing and old is not None:
        if old.kind != "view":
            raise WrongObjectType(f'"{name}" is not a view', position=where)
        statements += [f"DROP VIEW {quote(name)}", f"DELETE FROM _lfsql_columns WHERE table_name = {string(name)}"]
    else:
        Names(schema).claim(name, where)
    listed = ", ".join(quote(column.name) for column in drafts)
    statements.append(f"CREATE VIEW {quote(name)} ({listed}) AS {translation.sql}")
    statements += [sidecar_row(name, column.name, column.oid, column.typmod) for column in drafts]
    return Ddl("CREATE VIEW", trusted(statements))


def _without_check_option(found: list[Token]) -> list[Token]:
    words = [token.value for token in found[-4:]]
    if words[-2:] == ["check", "option"] and "with" in words[:-2]:
        raise FeatureNotSupported("WITH CHECK OPTION is not supported", position=found[-2].start + 1)
    return found


# -- Sequences ---------------------------------------------------------------------------------------------


def _sequence(cursor: Cursor, schema: Schema) -> Ddl:
    tolerant = cursor.accept("if", "not", "exists")
    where = cursor.token.start + 1
    name = cursor.relation()
    said = parse_options(cursor)
    cursor.finish()
    names = Names(schema)
    if tolerant and name in names:
        cursor.notices.append(f'relation "{name}" already exists, skipping')
        return Ddl("CREATE SEQUENCE")
    names.claim(name, where)
    return Ddl("CREATE SEQUENCE", trusted(create_sequence(name, settle(said), said.owner)))
