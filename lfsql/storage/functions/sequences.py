"""nextval and setval: sequences as rows of `_lfsql_sequences`, drawn from inside the statement that asks.

A draw is part of its unit: what is rolled back is drawn again, so that every node draws the same, and a gap in a
sequence means a deleted row.  PostgreSQL leaves gaps instead.

A sequence with increment 0 stands for the rowid of `owner_table`: its numbers are those of SQLite's AUTOINCREMENT.

currval and lastval are refused: they belong to a session, and an engine knows clients only by their units.  RETURNING
gives what they would.
"""

from __future__ import annotations

from typing import Any

import apsw

from lfsql.errors import FeatureNotSupported, InvalidParameterValue, NumericOutOfRange, UndefinedTable
from lfsql.storage.authorizer import INTERNAL
from lfsql.storage.functions.registry import INNOCUOUS

Rows = list[tuple[Any, ...]]


def plain_name(text: str) -> str:
    """'public."Mixed_seq"' as stored: without its schema, folded to lower case unless quoted."""
    name = text.strip().removeprefix("public.")
    if name.startswith('"') and name.endswith('"') and len(name) > 1:
        return name[1:-1].replace('""', '"')
    return name.lower()


def register_sequences(connection: apsw.Connection) -> None:
    """On a read-only connection a draw fails with 25006 before any effect."""

    def query(sql: str, *values: int | str) -> Rows:
        return connection.execute(sql, values, prepare_flags=INTERNAL).fetchall()

    def rowid_value(table: str) -> int:
        """The newest number AUTOINCREMENT gave, 0 when none."""
        rows = query("SELECT seq FROM main.sqlite_sequence WHERE name = ?", table)
        return int(rows[0][0] or 0) if rows else 0

    def set_rowid_value(table: str, value: int) -> None:
        if query("SELECT 1 FROM main.sqlite_sequence WHERE name = ?", table):
            query("UPDATE main.sqlite_sequence SET seq = ? WHERE name = ?", value, table)
        else:
            query("INSERT INTO main.sqlite_sequence (name, seq) VALUES (?, ?)", table, value)

    def find(name: str) -> tuple[Any, ...]:
        rows = query(
            'SELECT last_value, start, increment, min, max, "cycle", is_called, owner_table'
            " FROM main._lfsql_sequences WHERE name = ?",
            name,
        )
        if not rows:
            raise UndefinedTable(f'relation "{name}" does not exist')
        return rows[0]

    def nextval(text: str) -> int:
        name = plain_name(text)
        last, start, increment, low, high, cycle, called, table = find(name)
        if not increment:
            value = rowid_value(str(table)) + 1
            set_rowid_value(str(table), value)
            return value
        step = int(increment)
        value = int(last or 0) + step if called else int(last or 0)
        if not called and last is None:
            value = int(start or 1)
        if value > int(high or 0) or value < int(low or 0):
            if not cycle:
                bound = (
                    f'maximum value of sequence "{name}" ({high})'
                    if step > 0
                    else (f'minimum value of sequence "{name}" ({low})')
                )
                raise NumericOutOfRange(f"nextval: reached {bound}")
            value = int((low if step > 0 else high) or 0)
        query("UPDATE main._lfsql_sequences SET last_value = ?, is_called = 1 WHERE name = ?", value, name)
        return value

    def setval(text: str, value: int, called: int = 1) -> int:
        name = plain_name(text)
        _, _, increment, low, high, _, _, table = find(name)
        if not increment:
            if value < 1:
                raise NumericOutOfRange(f'setval: value {value} is out of bounds for sequence "{name}" (1..)')
            set_rowid_value(str(table), value if called else value - 1)
            return value
        if not int(low or 0) <= value <= int(high or 0):
            raise NumericOutOfRange(f'setval: value {value} is out of bounds for sequence "{name}" ({low}..{high})')
        query(
            "UPDATE main._lfsql_sequences SET last_value = ?, is_called = ? WHERE name = ?", value, int(called), name
        )
        return value

    def draw(*arguments: object) -> int | None:
        if arguments[0] is None:
            return None
        return nextval(str(arguments[0]))

    def put(*arguments: object) -> int | None:
        if None in arguments:
            return None
        text, value, *called = arguments
        if not isinstance(value, int) or len(called) > 1:
            raise InvalidParameterValue("setval takes a sequence, a bigint, and optionally a boolean")
        return setval(str(text), value, int(bool(called[0])) if called else 1)

    def refuse(*_arguments: object) -> int:
        raise FeatureNotSupported(
            "currval() and lastval() are not supported", hint="Use INSERT ... RETURNING, or SELECT nextval()."
        )

    connection.create_scalar_function("nextval", draw, 1, flags=INNOCUOUS)
    connection.create_scalar_function("setval", put, -1, flags=INNOCUOUS)
    connection.create_scalar_function("currval", refuse, -1, flags=INNOCUOUS)
    connection.create_scalar_function("lastval", refuse, -1, flags=INNOCUOUS)
