"""ALTER TABLE ... RENAME: of the table, a column, or a constraint."""

from __future__ import annotations

from dataclasses import replace

from lfsql.errors import DuplicateColumn, DuplicateObject, UndefinedColumn, UndefinedObject
from proxy.sql.ddl_text import Ddl, Names, trusted
from proxy.sql.quoting import quote, string
from proxy.sql.rebuild import rebuild_statements
from proxy.sql.schema import Relation, Schema
from proxy.sql.table_draft import TableDraft
from proxy.sql.token_cursor import Cursor


def parse_rename(cursor: Cursor, schema: Schema, relation: Relation) -> Ddl:
    """ALTER TABLE ... RENAME [TO | CONSTRAINT | COLUMN]: SQLite has its own for all but constraints."""
    cursor.expect("rename")
    where = cursor.token.start + 1
    table = string(relation.name)
    if cursor.accept("to"):
        new = cursor.relation()
        cursor.finish()
        Names(schema).claim(new, where)
        return Ddl(
            "ALTER TABLE",
            trusted(
                [
                    f"ALTER TABLE {quote(relation.name)} RENAME TO {quote(new)}",
                    f"UPDATE _lfsql_columns SET table_name = {string(new)} WHERE table_name = {table}",
                    f"UPDATE _lfsql_sequences SET owner_table = {string(new)} WHERE owner_table = {table}",
                ]
            ),
        )
    if cursor.accept("constraint"):
        old = cursor.name()
        cursor.expect("to")
        new = cursor.name()
        cursor.finish()
        return _rename_constraint(schema, relation, old, new)
    cursor.accept("column")
    old = cursor.name()
    cursor.expect("to")
    new = cursor.name()
    cursor.finish()
    if relation.column(old) is None:
        raise UndefinedColumn(f'column "{old}" does not exist', position=where)
    if relation.column(new) is not None:
        raise DuplicateColumn(f'column "{new}" of relation "{relation.name}" already exists', position=where)
    column = f"table_name = {table} AND column_name = {string(old)}"
    owner = f"owner_table = {table} AND owner_column = {string(old)}"
    return Ddl(
        "ALTER TABLE",
        trusted(
            [
                f"ALTER TABLE {quote(relation.name)} RENAME COLUMN {quote(old)} TO {quote(new)}",
                f"UPDATE _lfsql_columns SET column_name = {string(new)} WHERE {column}",
                f"UPDATE _lfsql_sequences SET owner_column = {string(new)} WHERE {owner}",
            ]
        ),
    )


def _rename_constraint(schema: Schema, relation: Relation, old: str, new: str) -> Ddl:
    draft = TableDraft.of(relation)
    if any(c.name == new for c in draft.constraints):
        raise DuplicateObject(f'constraint "{new}" for relation "{relation.name}" already exists')
    for place, constraint in enumerate(draft.constraints):
        if constraint.name == old:
            if constraint.kind in "pu":
                Names(schema).claim(new)
            draft.constraints[place] = replace(constraint, name=new)
            return Ddl("ALTER TABLE", trusted(rebuild_statements(relation, draft, schema)))
    raise no_constraint(old, relation)


def no_constraint(name: str, relation: Relation) -> UndefinedObject:
    """The error for a constraint that a table does not have."""
    return UndefinedObject(f'constraint "{name}" of relation "{relation.name}" does not exist')
