"""Which foreign key was violated, by which row, from which side.

SQLite says "FOREIGN KEY constraint failed" and no more.  Running the statement again under watch, with keys deferred
so that it comes to its end, tells the rows that may be at fault; what is still wrong at the end is.  A violation
found only at the end of a unit has no statement to run again: there the tables concerned are searched.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import apsw

from lfsql.core.entry import Value
from lfsql.errors import ForeignKeyViolation
from lfsql.storage.rerun import SEEN, Rerun, Row, own, quoted
from lfsql.storage.shown import shown_key

CANDIDATES_MAX: Final = 1_000
"""Rows remembered while a statement runs again."""

_IDENTIFIER: Final = r'(?:"(?:[^"]|"")*"|[A-Za-z_]\w*)'
_WRITTEN: Final = re.compile(
    rf"'(?:[^']|'')*'|(?:\bCONSTRAINT\s+({_IDENTIFIER})\s+)?(?:\bFOREIGN\s+KEY\s*\([^)]*\)\s*)?\bREFERENCES\b"
    r'|"(?:[^"]|"")*"',
    re.IGNORECASE,
)
_CASCADES: Final = frozenset(("CASCADE", "SET NULL", "SET DEFAULT"))


@dataclass(frozen=True, slots=True)
class ForeignKey:
    name: str
    table: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    on_update: str
    on_delete: str
    number: int
    """SQLite's."""


def foreign_keys(connection: apsw.Connection) -> list[ForeignKey]:
    """All of the database, each table's in the order of its text."""
    rows = own(
        connection,
        'SELECT s.name, s.sql, f.id, f."table", f."from", f."to", f.on_update, f.on_delete'
        " FROM main.sqlite_schema AS s, pragma_foreign_key_list(s.name) AS f"
        " WHERE s.type = 'table' ORDER BY s.name, f.id DESC, f.seq",
    )
    grouped: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        grouped.setdefault((str(row[0]), int(str(row[2]))), []).append(row)
    found = []
    for (table, number), parts in grouped.items():
        _, sql, _, parent, _, to, on_update, on_delete = parts[0]
        columns = tuple(str(part[4]) for part in parts)
        # SQLite numbers foreign keys from the last to the first of the text.
        written = _written_names(str(sql))
        place = len(written) - 1 - number
        name = written[place] if 0 <= place < len(written) else ""
        targets = tuple(str(part[5]) for part in parts) if to is not None else _primary_key(connection, str(parent))
        found.append(
            ForeignKey(
                name or f"{table}_{'_'.join(columns)}_fkey",
                table,
                columns,
                str(parent),
                targets,
                str(on_update),
                str(on_delete),
                number,
            )
        )
    return found


def _written_names(sql: str) -> list[str]:
    """The names of a table's foreign keys as its text gives them, '' for those without."""
    names = []
    for match in _WRITTEN.finditer(sql):
        if match[0][0] in "'\"":
            continue
        name = match[1] or ""
        names.append(name[1:-1].replace('""', '"') if name.startswith('"') else name)
    return names


def _primary_key(connection: apsw.Connection, table: str) -> tuple[str, ...]:
    rows = own(connection, "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", (table,))
    return tuple(str(row[0]) for row in rows)


# -- One statement ---------------------------------------------------------------------------------------------


def explain_foreign_key(fault: ForeignKeyViolation, rerun: Rerun) -> ForeignKeyViolation:
    """The fault with its constraint, table and row; as it was where none is found."""
    connection = rerun.connection
    keys = foreign_keys(connection)
    tables = _reached(fault.table, keys)
    watched: list[tuple[ForeignKey, bool]] = []
    triggers: list[str] = []
    for key in keys:
        if key.table in tables:
            triggers += _child_triggers(key, len(watched))
            watched.append((key, False))
        if key.parent in tables:
            triggers += _parent_triggers(key, len(watched))
            watched.append((key, True))
    candidates: list[tuple[int, Row]] = []
    guilty: list[tuple[ForeignKey, bool, Row]] = []

    def seen(number: int, *values: Value) -> None:
        if len(candidates) < CANDIDATES_MAX:
            candidates.append((number, values))

    def look() -> None:
        for number, values in candidates:
            key, from_parent = watched[number]
            if _violated(connection, key, values, from_parent):
                guilty.append((key, from_parent, values))
                return

    # Deferred, so that the statement comes to its end and rows that it mends itself are not blamed.
    own(connection, "PRAGMA defer_foreign_keys=ON")
    try:
        rerun.watched(triggers, seen, look)
    finally:
        own(connection, "PRAGMA defer_foreign_keys=OFF")
    return violation(connection, *guilty[0]) if guilty else fault


def _reached(table: str, keys: Iterable[ForeignKey]) -> set[str]:
    """The tables whose rows a statement on `table` may change by its foreign keys' actions."""
    found = {table}
    grows = True
    while grows:
        more = {
            key.table
            for key in keys
            if key.parent in found and (key.on_update in _CASCADES or key.on_delete in _CASCADES)
        }
        grows = not more <= found
        found |= more
    return found


def _child_triggers(key: ForeignKey, number: int) -> list[str]:
    new = [f"new.{quoted(column)}" for column in key.columns]
    known = " AND ".join(f"{each} IS NOT NULL" for each in new)
    found = f"EXISTS (SELECT 1 FROM main.{quoted(key.parent)} WHERE {_equal(key.parent_columns, new)})"
    body = f"ON main.{quoted(key.table)} WHEN {known} AND NOT {found} BEGIN SELECT {_call(number, new)}; END"
    return [f"AFTER INSERT {body}", f"AFTER UPDATE {body}"]


def _parent_triggers(key: ForeignKey, number: int) -> list[str]:
    old = [f"old.{quoted(column)}" for column in key.parent_columns]
    moved = " OR ".join(f"{each} IS NOT new.{each[4:]}" for each in old)
    found = f"EXISTS (SELECT 1 FROM main.{quoted(key.table)} WHERE {_equal(key.columns, old)})"
    table, call = f"ON main.{quoted(key.parent)}", _call(number, old)
    # RESTRICT fails in the middle, before any AFTER trigger.
    delete = "BEFORE" if key.on_delete == "RESTRICT" else "AFTER"
    update = "BEFORE" if key.on_update == "RESTRICT" else "AFTER"
    return [
        f"{delete} DELETE {table} WHEN {found} BEGIN SELECT {call}; END",
        f"{update} UPDATE {table} WHEN ({moved}) AND {found} BEGIN SELECT {call}; END",
    ]


def _equal(columns: Sequence[str], values: Sequence[str]) -> str:
    return " AND ".join(f"{quoted(column)} = {value}" for column, value in zip(columns, values, strict=True))


def _call(number: int, values: Sequence[str]) -> str:
    return f"{SEEN}({number}, {', '.join(values)})"


def _violated(connection: apsw.Connection, key: ForeignKey, values: Row, from_parent: bool) -> bool:
    """Whether the key is (still) broken: a child without its parent."""
    marks = [f"?{number}" for number in range(1, len(values) + 1)]
    child = f"SELECT 1 FROM main.{quoted(key.table)} WHERE {_equal(key.columns, marks)} LIMIT 1"
    parent = f"SELECT 1 FROM main.{quoted(key.parent)} WHERE {_equal(key.parent_columns, marks)} LIMIT 1"
    if not own(connection, child, values):
        return False
    restricted = from_parent and "RESTRICT" in (key.on_delete, key.on_update)
    return restricted or not own(connection, parent, values)


def violation(
    connection: apsw.Connection, key: ForeignKey, from_parent: bool, values: Sequence[Value]
) -> ForeignKeyViolation:
    columns = key.parent_columns if from_parent else key.columns
    rows = own(connection, "SELECT name, type FROM pragma_table_info(?)", (key.parent if from_parent else key.table,))
    declared = {str(name): str(kind) for name, kind in rows}
    shown = shown_key(columns, values, [declared.get(column, "") for column in columns]) if values else ""
    if from_parent:
        message = (
            f'update or delete on table "{key.parent}" violates foreign key constraint "{key.name}"'
            f' on table "{key.table}"'
        )
        detail = f'{shown} is still referenced from table "{key.table}".'
    else:
        message = f'insert or update on table "{key.table}" violates foreign key constraint "{key.name}"'
        detail = f'{shown} is not present in table "{key.parent}".'
    return ForeignKeyViolation(
        message, detail=detail if shown else "", schema="public", table=key.table, constraint=key.name
    )


# -- The end of a unit -----------------------------------------------------------------------------------------


def find_violation(
    connection: apsw.Connection, inserted: Collection[str], changed: Collection[str]
) -> ForeignKeyViolation | None:
    """A row that breaks a key of, or to, what a unit wrote.

    `inserted`: tables it inserted into or updated, `changed`: those it updated or deleted from.
    """
    keys = foreign_keys(connection)
    reached = {table for each in changed for table in _reached(each, keys)}
    tables = dict.fromkeys(key.table for key in keys if key.table in inserted or key.parent in reached)
    for table in tables:
        rows = own(connection, "SELECT rowid, parent, fkid FROM pragma_foreign_key_check(?) LIMIT 1", (table,))
        if rows:
            return _of_row(connection, keys, table, rows[0], from_parent=table not in inserted)
    return None


def find_any_violation(connection: apsw.Connection) -> ForeignKeyViolation | None:
    """A row of any table that breaks a foreign key."""
    rows = own(connection, 'SELECT rowid, parent, fkid, "table" FROM pragma_foreign_key_check LIMIT 1')
    if not rows:
        return None
    return _of_row(connection, foreign_keys(connection), str(rows[0][3]), rows[0], from_parent=False)


def _of_row(
    connection: apsw.Connection, keys: Iterable[ForeignKey], table: str, row: Row, *, from_parent: bool
) -> ForeignKeyViolation:
    key = next(each for each in keys if each.table == table and each.number == row[2])
    values: Row = ()
    if row[0] is not None:  # None: a table WITHOUT ROWID
        listed = ", ".join(quoted(column) for column in key.columns)
        values = own(connection, f"SELECT {listed} FROM main.{quoted(table)} WHERE rowid = ?", (row[0],))[0]
    return violation(connection, key, from_parent, values)
