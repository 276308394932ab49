"""CREATE, ALTER, DROP and TRUNCATE -> SQLite's statements.

Each grammar is written by hand after PostgreSQL 15's: sqlglot reads DDL in order to write another warehouse's, loses
constraint names and options silently, and knows no positions.  Expressions inside DDL do go through sqlglot and
the translator, so a CHECK means what the same condition means in a WHERE.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lfsql.errors import UndefinedObject, UndefinedTable, WrongObjectType
from proxy.sql.alter_table import parse_alter_table
from proxy.sql.create_other import parse_create
from proxy.sql.ddl_text import Ddl, Names, find_index, trusted
from proxy.sql.drop import parse_drop, parse_truncate
from proxy.sql.lexer import WORD, Token
from proxy.sql.quoting import quote
from proxy.sql.schema import Relation, Schema
from proxy.sql.sequences import alter_sequence, parse_options, restart_rowid_of
from proxy.sql.token_cursor import Cursor
from proxy.sql.verbs import says

_IN_BETWEEN: Final = frozenset(("or", "replace", "unique", "temp", "temporary", "unlogged", "global", "local"))
"""What may stand between CREATE and what is created."""


def parse_ddl(cursor: Cursor, schema: Schema, parameter_oids: tuple[int, ...] = ()) -> Ddl | None:
    """Read a whole CREATE, ALTER, DROP or TRUNCATE.  None, with the cursor unmoved, when it is none of these."""
    word = cursor.token.value if cursor.token.kind == WORD else ""
    if word not in ("create", "alter", "drop", "truncate"):
        return None
    cursor.take()
    if word == "create":
        found = parse_create(cursor, schema, parameter_oids)
    elif word == "drop":
        found = parse_drop(cursor, schema)
    elif word == "truncate":
        found = parse_truncate(cursor, schema)
    else:
        found = _alter(cursor, schema)
    cursor.finish()
    return found


def ddl_tag(found: Sequence[Token]) -> str:
    """The tag of a schema change by its first words, when it cannot be read to its end; '' for other statements.

    CREATE TABLE AS is none: PostgreSQL looks at its query first.
    """
    words = [token.value for token in found[:6] if token.kind == WORD and token.value not in _IN_BETWEEN]
    if len(words) < 2 or words[0] not in ("create", "alter", "drop", "truncate"):
        return ""
    if words[0] == "truncate":
        return "TRUNCATE TABLE"
    return "" if words[:2] == ["create", "table"] and says(found, "as") else " ".join(words[:2]).upper()


def _alter(cursor: Cursor, schema: Schema) -> Ddl:
    if cursor.accept("table"):
        return parse_alter_table(cursor, schema)
    if cursor.accept("sequence"):
        return _alter_sequence(cursor, schema)
    if cursor.accept("index"):
        return _alter_index(cursor, schema)
    if cursor.accept("view"):
        return _alter_view(cursor, schema)
    if cursor.token.kind != WORD:
        raise cursor.error()
    if cursor.one_of("schema", "database", "role", "user", "default", "system") is not None:
        cursor.at -= 1
        if cursor.looks("database") and cursor.ahead(2).value == "owner":
            cursor.rest()
            return Ddl("ALTER DATABASE")
    raise cursor.unsupported(f"ALTER {cursor.token.value.upper()}")


def _find(cursor: Cursor, schema: Schema, kind: str) -> Relation | None:
    """[IF EXISTS] name; None when it may be missing and is."""
    tolerant = cursor.accept("if", "exists")
    where = cursor.token.start + 1
    name = cursor.relation()
    relation = schema.relations.get(name)
    if relation is None:
        if tolerant:
            cursor.rest()
            return None
        raise UndefinedTable(f'relation "{name}" does not exist', position=where)
    if relation.kind != kind:
        raise WrongObjectType(f'"{name}" is not a {kind}', position=where)
    return relation


def _alter_sequence(cursor: Cursor, schema: Schema) -> Ddl:
    relation = _find(cursor, schema, "sequence")
    if relation is None:
        return Ddl("ALTER SEQUENCE")
    if cursor.accept("owner", "to"):
        cursor.name()
        return Ddl("ALTER SEQUENCE")
    if cursor.looks("rename") or cursor.looks("set"):
        raise cursor.unsupported("ALTER SEQUENCE ... " + cursor.token.text.upper())
    begin = cursor.at
    said = parse_options(cursor, altering=True)
    if cursor.at == begin:
        raise cursor.error()
    statements = alter_sequence(relation.name, said)
    if said.restarts:
        statements += restart_rowid_of(schema, relation, said)
    return Ddl("ALTER SEQUENCE", trusted(statements), writes_only=said.owner is None and not said.disowned)


def _alter_view(cursor: Cursor, schema: Schema) -> Ddl:
    relation = _find(cursor, schema, "view")
    if relation is not None:
        if not cursor.accept("owner", "to"):
            raise cursor.unsupported("ALTER VIEW ... " + cursor.token.text.upper())
        cursor.name()
    return Ddl("ALTER VIEW")


def _alter_index(cursor: Cursor, schema: Schema) -> Ddl:
    """RENAME TO: SQLite has no such ALTER; the index is made again under its new name."""
    tolerant = cursor.accept("if", "exists")
    where = cursor.token.start + 1
    name = cursor.relation()
    found = find_index(schema, name)
    if found is None:
        if tolerant:
            cursor.rest()
            return Ddl("ALTER INDEX")
        raise UndefinedObject(f'relation "{name}" does not exist', position=where)
    relation, index = found
    if cursor.looks("set") or cursor.looks("reset") or cursor.looks("alter") or cursor.looks("attach"):
        cursor.rest()  # storage parameters, tablespace, statistics
        return Ddl("ALTER INDEX")
    cursor.expect("rename", "to")
    new = cursor.name()
    Names(schema).claim(new)
    if index.origin != "c" or index.sql is None:
        renamed = Cursor(f"ALTER TABLE {quote(relation.name)} RENAME CONSTRAINT {quote(name)} TO {quote(new)}")
        renamed.expect("alter", "table")
        return Ddl("ALTER INDEX", parse_alter_table(renamed, schema).statements)
    at = index.sql.index(" ON ") if " ON " in index.sql else index.sql.lower().index(" on ")
    unique = "UNIQUE " if index.unique else ""
    return Ddl(
        "ALTER INDEX",
        trusted([f"DROP INDEX {quote(name)}", f"CREATE {unique}INDEX {quote(new)}{index.sql[at:]}"]),
    )
