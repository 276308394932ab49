"""A statement's effect as the rows it changed, for the log in place of its text.

Where the effect may depend on the order in which SQLite visits rows (`lfsql.storage.row_order`), the log holds what
the primary did: each row change, in the order in which it was done, those of triggers and foreign keys' actions among
them.  A change becomes a statement of one row, found by its rowid or primary key, and changes alike follow each other
as parameter sets of one text: so the log, its limits and its cutting know nothing new.  They stand between ROWS_BEGIN
and ROWS_END; in between triggers and foreign keys are off, and every set must change exactly one row.

In the order done, not as a net effect: a key that moved from one row to the next is never there twice on the way.

Rejected: SQLite's session extension.  It takes the pre-update hook, which the digest needs, for itself; it leaves out
tables without a primary key, sqlite_sequence, and the order; applying a changeset fires triggers.

What the hook does not tell is asked for afterwards: the numbers in sqlite_sequence, and the rows of a table with a
VIRTUAL generated column, whose values it cannot give; those go as their net effect.  Not in this form, and so as
text: what writes to virtual tables, whose contents are made by their own code, a table without rowid that has a
VIRTUAL column, a table whose columns take all names of the rowid, and changes too large for their unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import apsw

from lfsql.core.entry import Statement, Value
from lfsql.storage.authorizer import INTERNAL
from lfsql.storage.portal import rows_bytes
from lfsql.storage.rerun import Row, own, quoted

ROWS_BEGIN: Final = "PRAGMA lfsql_rows=begin"
ROWS_END: Final = "PRAGMA lfsql_rows=end"
"""Its parameters: rows changed, what changes() gives after it, the last rowid."""

RECORDED_BYTES_MAX: Final = 64 << 20

SEQUENCES: Final = "sqlite_sequence"
_FORGET_NUMBER: Final = "DELETE FROM sqlite_sequence WHERE name = ?"
_ADD_NUMBER: Final = """
INSERT INTO sqlite_sequence (name, seq) SELECT ?1, 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?1)
""".strip()
_SET_NUMBER: Final = "UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1"
UNCOUNTED: Final = frozenset((_FORGET_NUMBER, _ADD_NUMBER))
"""Statements between ROWS_BEGIN and ROWS_END that may find nothing to do."""

_ROW_BYTES: Final = 128
_VIRTUAL: Final = 2
_STORED: Final = 3


class Change(NamedTuple):
    """As the pre-update hook tells it.  `old` and `new` are None where there is none or the hook cannot tell."""

    table: str
    kind: str
    rowid: int
    rowid_new: int
    old: Row | None
    new: Row | None


class Recording:
    """The changes of one statement.  `complete` is False once they take more than `bytes_max`, and are forgotten."""

    def __init__(self, connection: apsw.Connection, bytes_max: int) -> None:
        self._connection = connection
        self._bytes_left = min(bytes_max, RECORDED_BYTES_MAX)
        self.changes: list[Change] = []
        self.complete = True
        self._numbers = _numbers(connection)

    def add(self, change: Change) -> None:
        if change.table == SEQUENCES or not self.complete:
            return
        self._bytes_left -= _ROW_BYTES + rows_bytes(filter(None, (change.old, change.new)))
        if self._bytes_left < 0:
            self.complete = False
            self.changes.clear()
        else:
            self.changes.append(change)

    def statements(self, rows_changed: int, last_changes: int) -> list[Statement] | None:
        """The changes for the log, or None when they cannot be told: then the text has to go.

        To be asked when the statement has run, before anything else does.
        """
        connection = self._connection
        tables = {name: _look_at(connection, name) for name in {change.table for change in self.changes}}
        if not self.complete or not all(table.addressable for table in tables.values()):
            return None
        net = {name for name, table in tables.items() if not table.told}
        found = _grouped((*_in_order(self.changes, tables, net), *self._net(tables, net), *self._sequence_steps(net)))
        closing = Statement(ROWS_END, ((rows_changed, last_changes, connection.last_insert_rowid()),))
        return [Statement(ROWS_BEGIN), *found, closing]

    def _net(self, tables: dict[str, _Table], net: set[str]) -> Iterator[tuple[str, Row]]:
        """What became of the rows of tables whose values the hook cannot tell."""
        for name in sorted(net):
            table = tables[name]
            existed: dict[int, bool] = {}
            for change in self.changes:
                if change.table == name:
                    existed.setdefault(change.rowid, change.kind != "INSERT")
                    existed.setdefault(change.rowid_new, False)
            yield from ((table.delete, (rowid,)) for rowid, was_there in existed.items() if was_there)
            for rowid in existed:
                yield from ((table.insert, row) for row in own(self._connection, table.select, (rowid,)))

    def _sequence_steps(self, net: set[str]) -> Iterator[tuple[str, Row]]:
        """A number is drawn also for a row that was then left out; and net effects draw others."""
        after = _numbers(self._connection)
        for name in sorted(self._numbers.keys() - after.keys()):
            yield _FORGET_NUMBER, (name,)
        for name, number in after.items():
            if name in net or self._numbers.get(name) != number:
                yield _ADD_NUMBER, (name,)
                yield _SET_NUMBER, (name, number)


def created_with_rows(connection: apsw.Connection, name: str, recording: Recording) -> Statement | None:
    """The text of a table that CREATE TABLE ... AS made; its rows, of which no hook tells, go to `recording`.

    None when they cannot be told.
    """
    table = _look_at(connection, name)
    if not table.rowid:
        return None
    ((sql,),) = own(
        connection, "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE", (name,)
    )
    for row in connection.execute(table.select_all, prepare_flags=INTERNAL):
        rowid = int(str(row[0]))
        recording.add(Change(table.name, "INSERT", rowid, rowid, None, row[1:]))
        if not recording.complete:
            return None
    return Statement(str(sql))


# -- Tables --------------------------------------------------------------------------------------------------


class _Column(NamedTuple):
    name: str
    key: int
    """Its place in the primary key, from 1; 0 when it has none."""
    hidden: int


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    columns: tuple[_Column, ...]
    rowid: str
    """The name by which it is known here; '' for a table without."""
    addressable: bool
    told: bool
    """The hook gives its values."""

    @property
    def written(self) -> list[int]:
        """Places of the columns that are stored and not computed."""
        return [place for place, column in enumerate(self.columns) if column.hidden not in (_VIRTUAL, _STORED)]

    @property
    def key(self) -> list[int]:
        keyed = [(column.key, place) for place, column in enumerate(self.columns) if column.key]
        return [place for _, place in sorted(keyed)]

    @property
    def insert(self) -> str:
        names = [self.rowid] if self.rowid else []
        names += [quoted(self.columns[place].name) for place in self.written]
        return f"INSERT INTO {quoted(self.name)} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608 - names of the schema, quoted

    @property
    def delete(self) -> str:
        return f"DELETE FROM {quoted(self.name)} WHERE {self._where}"  # noqa: S608 - names of the schema, quoted

    @property
    def select(self) -> str:
        return f"{self._select} WHERE {self._where}"

    @property
    def select_all(self) -> str:
        return f"{self._select} ORDER BY {self.rowid}"

    @property
    def _select(self) -> str:
        names = [self.rowid, *(quoted(self.columns[place].name) for place in self.written)]
        return f"SELECT {', '.join(names)} FROM {quoted(self.name)}"  # noqa: S608 - names of the schema, quoted

    def update(self, names: Iterable[str]) -> str:
        settings = ", ".join(f"{name} = ?" for name in names)
        return f"UPDATE {quoted(self.name)} SET {settings} WHERE {self._where}"  # noqa: S608 - names of the schema, quoted

    @property
    def _where(self) -> str:
        names = [self.rowid] if self.rowid else [quoted(self.columns[place].name) for place in self.key]
        return " AND ".join(f"{name} = ?" for name in names)

    def find(self, rowid: int, row: Row) -> Row:
        """The parameters of `_where`."""
        return (rowid,) if self.rowid else tuple(row[place] for place in self.key)

    def step(self, change: Change) -> tuple[str, Row]:
        """The statement that repeats the change, and its parameters."""
        old, new = change.old or (), change.new or ()
        if change.kind == "INSERT":
            first: Row = (change.rowid_new,) if self.rowid else ()
            return self.insert, first + tuple(new[place] for place in self.written)
        if change.kind == "DELETE":
            return self.delete, self.find(change.rowid, old)
        places = [place for place in self.written if not _same(old[place], new[place])]
        names = [quoted(self.columns[place].name) for place in places]
        values = tuple(new[place] for place in places)
        if self.rowid and change.rowid != change.rowid_new:
            names, values = [self.rowid, *names], (change.rowid_new, *values)
        if not names:
            # Nothing became different; the change is made all the same, so that it is counted the same.
            names, values = [quoted(self.columns[self.written[0]].name)], (new[self.written[0]],)
        return self.update(names), values + self.find(change.rowid, old)


def _look_at(connection: apsw.Connection, name: str) -> _Table:
    columns = _columns(connection, name)
    ((without_rowid,),) = own(
        connection, "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ? COLLATE NOCASE", (name,)
    )
    taken = {column.name.lower() for column in columns}
    free = [each for each in ("_rowid_", "rowid", "oid") if each not in taken]
    rowid = free[0] if free and not without_rowid else ""
    told = not any(column.hidden == _VIRTUAL for column in columns)
    return _Table(name, columns, rowid, addressable=bool(rowid) or (bool(without_rowid) and told), told=told)


def _columns(connection: apsw.Connection, name: str) -> tuple[_Column, ...]:
    rows = own(connection, "SELECT name, pk, hidden FROM pragma_table_xinfo(?, 'main') ORDER BY cid", (name,))
    return tuple(_Column(str(name), int(str(key)), int(str(hidden))) for name, key, hidden in rows)


def _numbers(connection: apsw.Connection) -> dict[str, Value]:
    """What sqlite_sequence holds."""
    there = own(connection, "SELECT 1 FROM main.sqlite_schema WHERE name = 'sqlite_sequence'")
    if not there:
        return {}
    rows = own(connection, "SELECT name, seq FROM main.sqlite_sequence")
    return {name: number for name, number in rows if isinstance(name, str)}


# -- Steps to statements -------------------------------------------------------------------------------------


def _in_order(changes: list[Change], tables: dict[str, _Table], net: set[str]) -> Iterator[tuple[str, Row]]:
    return (tables[change.table].step(change) for change in changes if change.table not in net)


def _grouped(steps: Iterable[tuple[str, Row]]) -> Iterator[Statement]:
    """Steps with the same text that follow each other are parameter sets of one statement."""
    text, sets = "", list[Row]()
    for sql, parameters in steps:
        if sql != text and sets:
            yield Statement(text, tuple(sets))
            sets = []
        text = sql
        sets.append(parameters)
    if sets:
        yield Statement(text, tuple(sets))


def _same(old: Value, new: Value) -> bool:
    """1 and 1.0 are two values."""
    return type(old) is type(new) and old == new
