"""The row in PostgreSQL's DETAIL of a violated constraint: "Key (a)=(1) already exists."

Users read it, and frameworks take the column of a duplicate key from it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Final

import apsw

from lfsql.core.entry import Value
from lfsql.errors import CheckViolation, ForeignKeyViolation, IntegrityViolation, NotNullViolation, UniqueViolation
from lfsql.storage.faults import REBUILT, makes_index, violated_key
from lfsql.storage.foreign_keys import explain_foreign_key
from lfsql.storage.functions.numbers import null_key
from lfsql.storage.functions.registry import register_scalars
from lfsql.storage.rerun import SEEN, Rerun, Row, own, quoted
from lfsql.storage.shown import shown_key, shown_name, shown_row

_ARGUMENTS_MAX: Final = 100
"""Of one call: SQLite allows 127."""

_NULL_KEY: Final = -(2**62) - 0x6E756C6C


def explain(fault: IntegrityViolation, error: Exception, rerun: Rerun) -> IntegrityViolation:
    """The same fault with what running the statement again tells; changes nothing in the database."""
    if isinstance(fault, ForeignKeyViolation):
        return explain_foreign_key(fault, rerun)
    try:
        if isinstance(fault, UniqueViolation):
            fault.detail = _key_detail(fault, str(error), rerun)
        elif isinstance(fault, (NotNullViolation, CheckViolation)) and not _rebuilding(rerun.sql):
            names, declared, values = _failing_row(fault.table, rerun)
            if len(values) == len(names):
                fault.detail = f"Failing row contains {shown_row(values, declared)}."
    except apsw.Error:
        # A virtual table, say, takes no trigger: the fault stands without its detail.
        return fault
    return fault


def _rebuilding(sql: str) -> bool:
    return REBUILT in sql


def _key_detail(fault: UniqueViolation, message: str, rerun: Rerun) -> str:
    stored, columns = violated_key(message)
    if not columns:
        return ""  # an index over an expression
    if makes_index(rerun.sql):
        return _duplicate_detail(stored, columns, rerun)
    names, declared, values = _failing_row(stored, rerun)
    if len(values) < len(names):
        return ""
    places = [names.index(column) for column in columns]
    key = shown_key(
        [shown_name(column) for column in columns],
        [values[place] for place in places],
        [declared[place] for place in places],
    )
    return f"{key} is duplicated." if stored.startswith(REBUILT) else f"{key} already exists."


def _duplicate_detail(table: str, columns: Sequence[str], rerun: Rerun) -> str:
    """CREATE UNIQUE INDEX over rows that are there."""
    listed = ", ".join(quoted(column) for column in columns)
    rows = own(
        rerun.connection,
        f"SELECT {listed} FROM {quoted(table)} WHERE ({listed}) = ({listed}) GROUP BY {listed}"
        " HAVING count(*) > 1 LIMIT 1",
    )
    if not rows:
        return ""  # a partial index
    described = dict(_columns(rerun.connection, table))
    key = shown_key([shown_name(each) for each in columns], rows[0], [described[each] for each in columns])
    return f"{key} is duplicated."


def _columns(connection: apsw.Connection, table: str) -> list[tuple[str, str]]:
    """(name, declared type), without a virtual table's hidden ones."""
    rows = own(connection, "SELECT name, type FROM pragma_table_xinfo(?) WHERE hidden <> 1", (table,))
    return [(str(name), str(kind)) for name, kind in rows]


def _failing_row(table: str, rerun: Rerun) -> tuple[list[str], list[str], Row]:
    """Names, declared types and values of the last row that was to be written; no values when none was seen."""
    described = _columns(rerun.connection, table)
    key, number = _rowid_text(rerun.connection, table)
    columns = [number if name == key else f"new.{quoted(name)}" for name, _ in described]
    row = _LastRow(next((at for at, (name, _) in enumerate(described) if name == key), None))
    calls = ", ".join(
        f"{SEEN}({place}, {', '.join(columns[place : place + _ARGUMENTS_MAX])})"
        for place in range(0, len(columns), _ARGUMENTS_MAX)
    )
    target = f"ON main.{quoted(table)} BEGIN SELECT {calls}; END"
    with _null_keys_allowed(rerun.connection):
        rerun.watched([f"BEFORE INSERT {target}", f"BEFORE UPDATE {target}"], row.seen)
    return [name for name, _ in described], [kind for _, kind in described], tuple(row.values)


class _LastRow:
    """The row seen last, or the first with a NULL key, which would have been the last."""

    def __init__(self, key_place: int | None) -> None:
        self.values: list[Value] = []
        self._key_place = key_place
        self._done = False

    def seen(self, place: int, *part: Value) -> None:
        """A part of a row, from its `place`-th value on; the parts of a row come in order."""
        if place == 0:
            key = self._key_place
            self._done = self._done or (key is not None and bool(self.values) and self.values[key] is None)
            if not self._done:
                self.values = []
        if not self._done:
            self.values += part


@contextlib.contextmanager
def _null_keys_allowed(connection: apsw.Connection) -> Iterator[None]:
    """The function that refuses a NULL key does so before there is a row to see: let it give a number instead."""
    register_scalars(connection, {"lfsql_null_key": lambda *_: _NULL_KEY})
    try:
        yield
    finally:
        register_scalars(connection, {"lfsql_null_key": null_key})


def _rowid_text(connection: apsw.Connection, table: str) -> tuple[str, str]:
    """The one integer key, '' without one, and its SQL inside the trigger, where what SQLite will number is -1."""
    keys = own(connection, "SELECT name, type FROM pragma_table_info(?) WHERE pk > 0", (table,))
    if len(keys) != 1 or str(keys[0][1]).upper() != "INTEGER":
        return "", ""
    name = str(keys[0][0])
    next_number = f"(SELECT coalesce(max({quoted(name)}), 0) FROM main.{quoted(table)})"
    if own(connection, "SELECT 1 FROM main.sqlite_schema WHERE name = 'sqlite_sequence'"):
        text = "'" + table.replace("'", "''") + "'"
        drawn = f"(SELECT coalesce(max(seq), 0) FROM main.sqlite_sequence WHERE name = {text})"
        next_number = f"max({next_number}, {drawn})"
    new = f"new.{quoted(name)}"
    return name, f"CASE {new} WHEN -1 THEN {next_number} + 1 WHEN {_NULL_KEY} THEN NULL ELSE {new} END"
