"""Making a table anew where SQLite has no ALTER for a change.

SQLite's own recipe: create the new table under another name, copy, drop the old one, rename.  Between REBUILD_BEGIN
and REBUILD_END the engine keeps foreign keys off and RENAME from touching other objects, so children and views
keep pointing at the name; REBUILD_END checks every key of the database.  Rejected: editing `sqlite_schema` in
place, which is quicker but leaves a file unreadable when the text is wrong in the least.
"""

from __future__ import annotations

from proxy.sql.ddl_text import REBUILD_BEGIN, REBUILD_END
from proxy.sql.lexer import QUOTED, STRING, WORD, sqlite_tokens
from proxy.sql.quoting import quote, string
from proxy.sql.schema import Relation, Schema
from proxy.sql.sequences import create_sequence, is_automatic, move_sequence
from proxy.sql.table_draft import DraftColumn, TableDraft

_PREFIX = "_lfsql_new_"


def rebuild_statements(relation: Relation, draft: TableDraft, schema: Schema) -> list[str]:
    """The statements that turn `relation` into `draft`, rows, indexes and triggers kept."""
    table, temporary = quote(relation.name), _PREFIX + relation.name
    new = quote(temporary)
    kept = [column for column in draft.columns if _source(column) is not None and not column.generated]
    statements = [REBUILD_BEGIN, draft.create(temporary)]
    if kept:
        targets = ", ".join(quote(column.name) for column in kept)
        sources = ", ".join(str(_source(column)) for column in kept)
        statements.append(f"INSERT INTO {new} ({targets}) SELECT {sources} FROM {table}{_in_order(relation, draft)}")
    was_automatic = is_automatic(relation.sql)
    rowid = draft.rowid
    automatic = rowid is not None and bool(rowid.identity)
    if automatic and was_automatic:
        # The counter may be ahead of the highest number in use.
        counter = f"SELECT {string(temporary)}, seq FROM sqlite_sequence WHERE name = {string(relation.name)}"
        statements.append(f"DELETE FROM sqlite_sequence WHERE name = {string(temporary)}")
        statements.append(f"INSERT INTO sqlite_sequence (name, seq) {counter}")
    statements += [f"DROP TABLE {table}", f"ALTER TABLE {new} RENAME TO {table}"]
    statements += _indexes(relation, draft)
    statements += relation.triggers
    statements.append(REBUILD_END)
    statements.append(f"DELETE FROM _lfsql_columns WHERE table_name = {string(relation.name)}")
    statements += draft.sidecar()
    statements += _sequences(relation, draft, schema)
    return statements


def _in_order(relation: Relation, draft: TableDraft) -> str:
    """Rows without a key of their own get new rowids: on every node the same, in the order of the old ones."""
    taken = {column.name.lower() for column in relation.columns}
    free = [name for name in ("_rowid_", "rowid", "oid") if name not in taken]
    return f" ORDER BY {free[0]}" if free and not draft.without_rowid else ""


def _source(column: DraftColumn) -> str | None:
    """Where a column's values come from; None: its default, or generated."""
    if column.conversion is not None:
        return column.conversion
    return quote(column.old_name) if column.old_name is not None else None


def _indexes(relation: Relation, draft: TableDraft) -> list[str]:
    """The texts of the indexes whose columns are all still there."""
    present = {column.name.lower() for column in draft.columns}
    gone = {column.name.lower() for column in relation.columns} - present
    found: list[str] = []
    for index in relation.indexes:
        if index.sql is None:
            continue
        words = {t.value.lower() for t in sqlite_tokens(index.sql) if t.kind in (WORD, QUOTED, STRING)}
        if not words & gone:
            found.append(index.sql)
    return found


def _sequences(relation: Relation, draft: TableDraft, schema: Schema) -> list[str]:
    """New sequences, those of dropped columns, and those that became or ceased to be the rowid's."""
    found: list[str] = []
    rowid = draft.rowid
    for column in draft.columns:
        if column.sequence is not None:
            owner = (draft.name, column.name)
            found += create_sequence(column.sequence_name, column.sequence, owner, rowid=column is rowid)
            continue
        if not column.identity or column.old_name is None:
            continue
        owner_is = f"owner_table = {string(draft.name)} AND owner_column = {string(column.name)}"
        old = relation.column(column.old_name)
        was_rowid = bool(old and old.primary_key and old.identity and is_automatic(relation.sql))
        names = [r.name for r in schema.relations.values() if r.owner == (relation.name, column.old_name)]
        if (column is rowid) != was_rowid:
            for name in names:
                found += move_sequence(name, rowid=column is rowid)
        if column is rowid and not was_rowid:
            table = string(draft.name)
            drawn = f"SELECT last_value - 1 + is_called FROM _lfsql_sequences WHERE {owner_is}"
            missing = f"NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = {table})"
            found.append(f"INSERT INTO sqlite_sequence (name, seq) SELECT {table}, 0 WHERE {missing}")
            found.append(f"UPDATE sqlite_sequence SET seq = max(seq, coalesce(({drawn}), 0)) WHERE name = {table}")
            found.append(f"UPDATE _lfsql_sequences SET increment = 0 WHERE {owner_is}")
        elif was_rowid and column is not rowid:
            found.append(
                "UPDATE _lfsql_sequences SET increment = 1, is_called = 1, last_value = "
                f"(SELECT coalesce(max({quote(column.name)}), 1) FROM {quote(draft.name)}) WHERE {owner_is}"
            )
    return found
