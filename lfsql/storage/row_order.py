"""Whether a statement's effect may depend on the order in which SQLite visits rows.

The order in which a query without a total ORDER BY gives its rows is the planner's choice, and the planner looks at
what can differ between nodes: the statistics that ANALYZE sampled, in the end the version.  Most statements do not
care: those that find their rows by key, lists of VALUES, an UPDATE or DELETE that does to each row the same whatever
it did to the others.  What is not known not to care is taken to: the log then holds its row changes instead of its
text, which is never wrong and only longer.

Judged by SQLite's own reading: what the authorizer saw while the statement was prepared, and its program.  EXPLAIN
lists the programs of triggers and of foreign keys' actions after the statement's own.
Rejected: the statement's text, which shows neither triggers nor views nor defaults; running each twice with
`reverse_unordered_selects` and comparing, which costs a second run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import apsw

from lfsql.storage.authorizer import INTERNAL, Intent
from lfsql.storage.rerun import own

INSTRUCTIONS_MAX: Final = 100_000
"""A longer program is not read to its end: it is taken to depend on order."""

_OPENING: Final = frozenset(("OpenRead", "OpenWrite", "ReopenIdx"))
_FIRST: Final = frozenset(("Rewind", "Last"))
_FURTHER: Final = frozenset(("Next", "Prev"))
_WRITING: Final = frozenset(("Insert", "Delete", "IdxInsert", "IdxDelete"))
_VOLATILE: Final = frozenset(("random", "randomblob", "nextval", "setval"))
"""Functions that give another value at each call within one statement.  The clock's stand still."""


def depends_on_order(connection: apsw.Connection, sql: str, intent: Intent) -> bool:
    """For a statement that changes rows and not the schema, and was just prepared with this `intent`."""
    if intent.maintains:
        return False
    alone = not intent.triggered and not intent.others
    if alone and intent.kind == apsw.SQLITE_INSERT and not intent.selects:
        return False  # one row of values
    program = _read_program(connection, sql)
    if program is None:
        return True
    if program.writes_virtual:
        return False  # its contents are made by code that the changes of its shadow tables do not tell of
    walks = program.walks or (program.opens_virtual and _reads_virtual(connection, intent))
    if not walks:
        return False
    if intent.triggered or program.volatile or intent.kind in (0, apsw.SQLITE_INSERT):
        return True
    picks = program.limits or program.aggregates
    if intent.kind == apsw.SQLITE_DELETE:
        return program.restricts or (intent.selects > 0 and picks)
    return intent.selects > 0 or intent.others or _keyed(connection, intent)


@dataclass(slots=True)
class _Program:
    walks: bool = False
    """Rows of a table of the file come in the order of a scan."""
    opens_virtual: bool = False
    writes_virtual: bool = False
    volatile: bool = False
    limits: bool = False
    """LIMIT, written or implied, as that of a query in the place of a value."""
    aggregates: bool = False
    restricts: bool = False
    """A foreign key's action that only refuses: which row comes first decides whether it does."""
    opened: set[int] = field(default_factory=set)
    """Cursors on tables of the file, in the program at hand."""
    entered: set[int] = field(default_factory=set)
    """Those of them that are read from an end."""
    previous: str = ""
    writing: bool = True
    """The program at hand changes rows."""

    def end_program(self) -> None:
        self.walks = self.walks or bool(self.entered)
        self.restricts = self.restricts or not self.writing
        self.opened.clear()
        self.entered.clear()
        self.writing = False


def _read_program(connection: apsw.Connection, sql: str) -> _Program | None:
    """None when it cannot be read, or is too long to be."""
    numbers = {
        int(str(row[0]))
        for row in own(connection, "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_sequence'")
    }
    found = _Program()
    count = 0
    try:
        # Null bindings stand for whatever parameters there are, as in Inspector.
        for _, operation, first, second, _, fourth, *_ in connection.execute(
            f"EXPLAIN {sql}",
            apsw._null_bindings,  # type: ignore[attr-defined]  # noqa: SLF001 - apsw.ext uses it the same way
            can_cache=False,  # explaining does not notice a changed schema, and would tell an old program
            prepare_flags=INTERNAL,
        ):
            count += 1
            if count > INSTRUCTIONS_MAX:
                return None
            _read(found, str(operation), first, second, str(fourth), numbers)
            found.previous = str(operation)
    except (apsw.Error, UnicodeDecodeError):
        # The latter: what an operation was given is no text, as with ANALYZE.
        return None
    found.end_program()
    return found


def _read(found: _Program, operation: str, first: object, second: object, fourth: str, numbers: set[int]) -> None:
    if operation == "Init":
        found.end_program()
    elif operation in _OPENING:
        if second in numbers:
            found.opened.discard(int(str(first)))  # the one row of a table, looked for to draw its next number
        else:
            found.opened.add(int(str(first)))
    elif operation in _FIRST:
        if first in found.opened:
            found.entered.add(int(str(first)))
    elif operation in _FURTHER:
        if found.previous == "FkCounter":
            found.entered.discard(int(str(first)))  # counting a key's rows: the order is nothing to it
        else:
            found.walks = found.walks or first in found.opened
    elif operation in _WRITING:
        found.writing = True
    elif operation == "VOpen":
        found.opens_virtual = True
    elif operation == "VUpdate":
        found.writes_virtual = True
    elif operation in ("Function", "PureFunc"):
        found.volatile = found.volatile or fourth.rpartition("(")[0] in _VOLATILE
    elif operation == "DecrJumpZero":
        found.limits = True
    elif operation == "AggStep":
        found.aggregates = True


def _reads_virtual(connection: apsw.Connection, intent: Intent) -> bool:
    """Whether a virtual table that keeps data is read: others, such as generate_series, have one order."""
    rows = own(connection, "SELECT lower(name) FROM main.sqlite_schema WHERE type = 'table' AND rootpage = 0")
    return any(row[0] in intent.read for row in rows)


def _keyed(connection: apsw.Connection, intent: Intent) -> bool:
    """Whether an UPDATE sets what must be unique: rows that exchange their keys may meet on the way."""
    computed = own(
        connection, "SELECT 1 FROM pragma_table_xinfo(?, 'main') WHERE hidden IN (2, 3) LIMIT 1", (intent.target,)
    )
    keys = own(
        connection,
        "SELECT c.name FROM pragma_index_list(?1, 'main') AS i, pragma_index_info(i.name, 'main') AS c"
        " WHERE i.\"unique\" UNION ALL SELECT name FROM pragma_table_xinfo(?1, 'main') WHERE pk",
        (intent.target,),
    )
    # A part without a name is an expression, of who knows which columns; so may computed columns be.
    unknown = any(name is None for (name,) in keys) or (bool(keys) and bool(computed))
    names = {str(name).lower() for (name,) in keys} | {"rowid", "_rowid_", "oid"}
    return unknown or not names.isdisjoint(intent.updated)
