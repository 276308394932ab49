"""DROP TABLE, VIEW, INDEX and SEQUENCE, and TRUNCATE.

SQLite drops a table that others refer to, or that views read, without a word.  PostgreSQL refuses unless CASCADE
is said; what depends on what is worked out here, from the schema.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from lfsql.errors import DependentObjects, FeatureNotSupported, UndefinedObject, UndefinedTable, WrongObjectType
from proxy.sql.ddl_text import REBUILD_BEGIN, REBUILD_END, Ddl, find_index, trusted, views_on
from proxy.sql.lexer import WORD
from proxy.sql.quoting import quote, string
from proxy.sql.rebuild import rebuild_statements
from proxy.sql.schema import Relation, Schema
from proxy.sql.sequences import drop_sequence, is_automatic, restart_owned
from proxy.sql.table_draft import TableDraft
from proxy.sql.token_cursor import Cursor


def parse_drop(cursor: Cursor, schema: Schema) -> Ddl:
    """What follows DROP."""
    if cursor.accept("table"):
        return _drop_tables(cursor, schema)
    if cursor.accept("view"):
        return _drop_views(cursor, schema)
    if cursor.accept("sequence"):
        return _drop_sequences(cursor, schema)
    if cursor.accept("index"):
        return _drop_indexes(cursor, schema)
    for kind in ("schema", "extension", "type", "function", "procedure", "trigger", "role", "user", "database"):
        if cursor.accept(kind):
            if cursor.accept("if", "exists") and kind in ("extension", "type", "function", "procedure", "role"):
                cursor.rest()  # none exists
                return Ddl(f"DROP {kind.upper()}")
            raise cursor.unsupported(f"DROP {kind.upper()}")
    if cursor.token.kind != WORD:
        raise cursor.error()
    raise cursor.unsupported(f"DROP {cursor.token.value.upper()}")


def _targets(
    cursor: Cursor, schema: Schema, kind: Literal["table", "view", "sequence"]
) -> tuple[list[Relation], bool]:
    """[IF EXISTS] name, ... [CASCADE | RESTRICT] -> (the relations that exist, CASCADE)."""
    tolerant = cursor.accept("if", "exists")
    found: list[Relation] = []

    def one() -> None:
        where = cursor.token.start + 1
        name = cursor.relation()
        relation = schema.relations.get(name)
        if relation is None:
            if not tolerant:
                raise UndefinedTable(f'{kind} "{name}" does not exist', position=where)
            cursor.notices.append(f'{kind} "{name}" does not exist, skipping')
        elif relation.kind != kind:
            raise WrongObjectType(
                f'"{name}" is not a {kind}',
                hint=f"Use DROP {relation.kind.upper()} to remove a {relation.kind}.",
                position=where,
            )
        elif relation not in found:
            found.append(relation)

    cursor.commas(one)
    return found, _cascade(cursor)


def _cascade(cursor: Cursor) -> bool:
    cascade = cursor.accept("cascade")
    if not cascade:
        cursor.accept("restrict")
    cursor.finish()
    return cascade


def _depends(what: str, dependents: Iterable[str]) -> DependentObjects:
    return DependentObjects(
        f"cannot drop {what} because other objects depend on it",
        detail="\n".join(dependents),
        hint="Use DROP ... CASCADE to drop the dependent objects too.",
    )


def drop_view_statements(name: str) -> list[str]:
    return [f"DROP VIEW {quote(name)}", f"DELETE FROM _lfsql_columns WHERE table_name = {string(name)}"]


def _drop_tables(cursor: Cursor, schema: Schema) -> Ddl:
    tables, cascade = _targets(cursor, schema, "table")
    names = {table.name for table in tables}
    statements: list[str] = []
    referencing = [
        relation
        for relation in schema.relations.values()
        if relation.name not in names and any(key.target in names for key in relation.foreign_keys)
    ]
    views = _views_on_all(schema, names)
    if not cascade and (referencing or views):
        first = tables[0] if len(tables) == 1 else None
        raise _depends(
            f"table {first.name}" if first else "desired object(s)",
            [
                *(
                    f"constraint {key.name} on table {relation.name} depends on table {key.target}"
                    for relation in referencing
                    for key in relation.foreign_keys
                    if key.target in names
                ),
                *(f"view {view.name} depends on a table" for view in views),
            ],
        )
    for view in views:
        statements += drop_view_statements(view.name)
    for relation in referencing:
        draft = TableDraft.of(relation)
        draft.constraints = [c for c in draft.constraints if c.kind != "f" or c.target not in names]
        statements += rebuild_statements(relation, draft, schema)
    ordered, cyclic = children_first(tables)
    drops: list[str] = []
    for table in ordered:
        drops += [
            f"DROP TABLE {quote(table.name)}",
            f"DELETE FROM _lfsql_columns WHERE table_name = {string(table.name)}",
        ]
        drops += drop_owned_sequences(schema, table)
    if cyclic:
        drops = [REBUILD_BEGIN, *drops, REBUILD_END]
    return Ddl("DROP TABLE", trusted(statements + drops))


def drop_owned_sequences(schema: Schema, table: Relation) -> list[str]:
    """Serial and identity sequences go with their table."""
    found: list[str] = []
    for relation in schema.relations.values():
        if relation.kind == "sequence" and relation.owner is not None and relation.owner[0] == table.name:
            found += drop_sequence(relation.name)
    return found


def children_first(tables: list[Relation]) -> tuple[list[Relation], bool]:
    """In an order in which none is emptied while a later one refers to it; True when there is no such order."""
    waiting = list(tables)
    ordered: list[Relation] = []
    while waiting:
        for table in waiting:
            others = [other for other in waiting if other is not table]
            if not any(key.target == table.name for other in others for key in other.foreign_keys):
                break
        else:
            return ordered + waiting, True
        waiting.remove(table)
        ordered.append(table)
    return ordered, False


def _views_on_all(schema: Schema, names: set[str]) -> list[Relation]:
    found: list[Relation] = []
    for name in sorted(names):
        found += [view for view in views_on(schema, name) if view not in found and view.name not in names]
    return found


def _drop_views(cursor: Cursor, schema: Schema) -> Ddl:
    views, cascade = _targets(cursor, schema, "view")
    names = {view.name for view in views}
    dependent = _views_on_all(schema, names)
    if dependent and not cascade:
        raise _depends(f"view {views[0].name}", [f"view {view.name} depends on a view" for view in dependent])
    statements: list[str] = []
    for view in [*dependent, *views]:
        statements += drop_view_statements(view.name)
    return Ddl("DROP VIEW", trusted(statements))


def _drop_sequences(cursor: Cursor, schema: Schema) -> Ddl:
    found, cascade = _targets(cursor, schema, "sequence")
    for sequence in found:
        users = [
            f"default value for column {column.name} of table {table.name} depends on sequence {sequence.name}"
            for table in schema.relations.values()
            for column in table.columns
            if (column.default or "").startswith("nextval(") and f"'{sequence.name}'" in (column.default or "")
        ]
        if users and cascade:
            raise FeatureNotSupported("DROP SEQUENCE ... CASCADE of a column's default is not supported")
        if users or (sequence.owner is not None and _is_identity(schema, sequence)):
            raise _depends(f"sequence {sequence.name}", users)
    return Ddl("DROP SEQUENCE", trusted([sql for sequence in found for sql in drop_sequence(sequence.name)]))


def _is_identity(schema: Schema, sequence: Relation) -> bool:
    table = schema.relations.get(sequence.owner[0]) if sequence.owner else None
    column = table.column(sequence.owner[1]) if table and sequence.owner else None
    return column is not None and column.identity in ("a", "d")


def _drop_indexes(cursor: Cursor, schema: Schema) -> Ddl:
    alone = cursor.accept("concurrently")
    tolerant = cursor.accept("if", "exists")
    statements: list[str] = []

    def one() -> None:
        where = cursor.token.start + 1
        name = cursor.relation()
        found = find_index(schema, name)
        if found is None:
            if name in schema.relations:
                raise WrongObjectType(f'"{name}" is not an index', position=where)
            if not tolerant:
                raise UndefinedObject(f'index "{name}" does not exist', position=where)
            cursor.notices.append(f'index "{name}" does not exist, skipping')
            return
        relation, index = found
        if index.origin != "c":
            raise DependentObjects(
                f"cannot drop index {name} because constraint {name} on table {relation.name} requires it",
                hint=f"You can drop constraint {name} on table {relation.name} instead.",
                position=where,
            )
        statements.append(f"DROP INDEX {quote(name)}")

    cursor.commas(one)
    _cascade(cursor)
    return Ddl("DROP INDEX", trusted(statements), alone=alone)


def parse_truncate(cursor: Cursor, schema: Schema) -> Ddl:
    """What follows TRUNCATE."""
    cursor.accept("table")
    tables: list[Relation] = []

    def one() -> None:
        cursor.accept("only")
        where = cursor.token.start + 1
        name = cursor.relation()
        cursor.accept("*")
        relation = schema.relations.get(name)
        if relation is None:
            raise UndefinedTable(f'relation "{name}" does not exist', position=where)
        if relation.kind != "table":
            raise WrongObjectType(f'"{name}" is not a table', position=where)
        if relation not in tables:
            tables.append(relation)

    cursor.commas(one)
    restart = cursor.accept("restart", "identity")
    if not restart:
        cursor.accept("continue", "identity")
    cascade = _cascade(cursor)
    _add_referencing(schema, tables, cascade=cascade)
    ordered, cyclic = children_first(tables)
    statements = [f"DELETE FROM {quote(table.name)}" for table in ordered]
    if cyclic:
        # No order suits tables that refer to each other; the keys are checked when all of them are empty.
        statements = [REBUILD_BEGIN, *statements, REBUILD_END]
    for table in ordered if restart else ():
        statements += restart_owned(table.name, automatic=is_automatic(table.sql))
    return Ddl("TRUNCATE TABLE", trusted(statements), writes_only=True)


def _add_referencing(schema: Schema, tables: list[Relation], *, cascade: bool) -> None:
    for table in tables:  # grows while it is read
        for relation in schema.relations.values():
            if relation in tables or not any(key.target == table.name for key in relation.foreign_keys):
                continue
            if not cascade:
                raise FeatureNotSupported(
                    "cannot truncate a table referenced in a foreign key constraint",
                    detail=f'Table "{relation.name}" references "{table.name}".',
                    hint=f'Truncate table "{relation.name}" at the same time, or use TRUNCATE ... CASCADE.',
                )
            tables.append(relation)
