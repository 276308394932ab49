"""Sequences: rows of `_lfsql_sequences`, each with a view of the sequence's name.

The view makes `SELECT last_value FROM a_seq` work, keeps the name from being used twice, and creating it is a change
of SQLite's schema, so that plans made before it fall.

A serial or identity column that is the table's rowid gets its numbers from SQLite's AUTOINCREMENT, which costs no
function call and no second write.  Its row here has `increment` 0, which says: the numbers are those of
sqlite_sequence for `owner_table`; `start` is where RESTART begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lfsql.errors import InvalidParameterValue
from proxy.pg import oids
from proxy.sql.column_types import parse_type
from proxy.sql.lexer import WORD, sqlite_tokens
from proxy.sql.quoting import quote, string
from proxy.sql.schema import Relation, Schema
from proxy.sql.token_cursor import Cursor

_LARGEST: Final = {oids.INT2: 2**15 - 1, oids.INT4: 2**31 - 1, oids.INT8: 2**63 - 1}


@dataclass
class SequenceOptions:
    """What CREATE SEQUENCE, ALTER SEQUENCE or an identity column says; None: not said."""

    oid: int | None = None
    start: int | None = None
    increment: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    cycle: bool | None = None
    owner: tuple[str, str] | None = None
    disowned: bool = False
    restart: int | None = None
    restarts: bool = False


@dataclass(frozen=True, slots=True)
class Sequence:
    start: int
    increment: int
    minimum: int
    maximum: int
    cycle: bool


def parse_options(cursor: Cursor, *, altering: bool = False) -> SequenceOptions:
    """SeqOptList, in any order, until something else comes."""
    said = SequenceOptions()
    while True:
        if cursor.accept("as"):
            said.oid = parse_type(cursor).oid
            if said.oid not in _LARGEST:
                raise InvalidParameterValue("sequence type must be smallint, integer, or bigint")
        elif cursor.accept("increment"):
            cursor.accept("by")
            said.increment = cursor.integer()
            if said.increment == 0:
                raise InvalidParameterValue("INCREMENT must not be zero")
        elif cursor.accept("minvalue"):
            said.minimum = cursor.integer()
        elif cursor.accept("maxvalue"):
            said.maximum = cursor.integer()
        elif cursor.accept("no", "minvalue") or cursor.accept("no", "maxvalue"):
            pass
        elif cursor.accept("start"):
            cursor.accept("with")
            said.start = cursor.integer()
        elif altering and cursor.accept("restart"):
            said.restarts = True
            with_value = cursor.accept("with")
            if with_value or cursor.token.kind == "number" or cursor.token.text == "-":
                said.restart = cursor.integer()
        elif cursor.accept("cache"):
            cursor.integer()
        elif cursor.accept("cycle"):
            said.cycle = True
        elif cursor.accept("no", "cycle"):
            said.cycle = False
        elif cursor.accept("owned", "by"):
            parts = cursor.qualified()
            if parts == ("none",):
                said.disowned = True
            elif len(parts) < 2:
                raise InvalidParameterValue("invalid OWNED BY option", hint="Specify OWNED BY table.column.")
            else:
                said.owner = (parts[-2], parts[-1])
        elif cursor.accept("sequence", "name"):
            cursor.qualified()
        else:
            return said


def settle(said: SequenceOptions, oid: int = oids.INT8) -> Sequence:
    """PostgreSQL's defaults and checks."""
    increment = 1 if said.increment is None else said.increment
    largest = _LARGEST[said.oid if said.oid is not None else oid]
    minimum = said.minimum if said.minimum is not None else (1 if increment > 0 else -largest - 1)
    maximum = said.maximum if said.maximum is not None else (largest if increment > 0 else -1)
    if minimum >= maximum:
        raise InvalidParameterValue(f"MINVALUE ({minimum}) must be less than MAXVALUE ({maximum})")
    start = said.start if said.start is not None else (minimum if increment > 0 else maximum)
    if start < minimum:
        raise InvalidParameterValue(f"START value ({start}) cannot be less than MINVALUE ({minimum})")
    if start > maximum:
        raise InvalidParameterValue(f"START value ({start}) cannot be greater than MAXVALUE ({maximum})")
    return Sequence(start, increment, minimum, maximum, bool(said.cycle))


def create_sequence(
    name: str, sequence: Sequence, owner: tuple[str, str] | None, *, rowid: bool = False
) -> list[str]:
    """The statements that make a sequence; with `rowid`, of a table that is there already."""
    table, column = (string(owner[0]), string(owner[1])) if owner else ("NULL", "NULL")
    increment = 0 if rowid else sequence.increment
    values = (
        f"{string(name)}, {sequence.start}, {sequence.start}, {increment}, {sequence.minimum}, {sequence.maximum}, "
        f"{int(sequence.cycle)}, 0, {table}, {column}"
    )
    columns = "name, last_value, start, increment, min, max, cycle, is_called, owner_table, owner_column"
    found = [f"INSERT INTO _lfsql_sequences ({columns}) VALUES ({values})", _view(name, rowid=rowid)]
    if rowid and owner and sequence.start != 1:
        found.append(f"INSERT INTO sqlite_sequence (name, seq) VALUES ({table}, {sequence.start - 1})")
    return found


def _view(name: str, *, rowid: bool) -> str:
    body = "last_value, 0, is_called"
    if rowid:
        counter = "(SELECT seq FROM sqlite_sequence WHERE name = owner_table)"
        body = f"coalesce({counter}, start), 0, coalesce({counter} >= start, 0)"
    return (
        f"CREATE VIEW {quote(name)} (last_value, log_cnt, is_called) AS "
        f"SELECT {body} FROM _lfsql_sequences WHERE name = {string(name)}"
    )


def move_sequence(name: str, *, rowid: bool) -> list[str]:
    """The sequence's numbers now come from the rowid, or do so no longer."""
    return [f"DROP VIEW {quote(name)}", _view(name, rowid=rowid)]


def alter_sequence(name: str, said: SequenceOptions) -> list[str]:
    """ALTER SEQUENCE, also of a rowid's sequence, whose counter is SQLite's."""
    changes: list[str] = []
    for column, value in (
        ("start", said.start),
        ("min", said.minimum),
        ("max", said.maximum),
        ("cycle", None if said.cycle is None else int(said.cycle)),
    ):
        if value is not None:
            changes.append(f"{column} = {value}")
    if said.increment is not None:
        changes.append(f"increment = CASE increment WHEN 0 THEN 0 ELSE {said.increment} END")
    if said.owner is not None:
        changes.append(f"owner_table = {string(said.owner[0])}, owner_column = {string(said.owner[1])}")
    elif said.disowned:
        changes.append("owner_table = NULL, owner_column = NULL")
    found = []
    if changes:
        found.append(f"UPDATE _lfsql_sequences SET {', '.join(changes)} WHERE name = {string(name)}")
    if said.restarts:
        first = "start" if said.restart is None else str(said.restart)
        found.append(f"UPDATE _lfsql_sequences SET last_value = {first}, is_called = 0 WHERE name = {string(name)}")
    return found


def restart_rowid_of(schema: Schema, sequence: Relation, said: SequenceOptions) -> list[str]:
    """RESTART where the counter is SQLite's; nothing for other sequences."""
    table = schema.relations.get(sequence.owner[0]) if sequence.owner else None
    column = table.column(sequence.owner[1]) if table and sequence.owner else None
    if table is None or column is None or not column.primary_key or not is_automatic(table.sql):
        return []
    first = f"(SELECT start FROM _lfsql_sequences WHERE name = {string(sequence.name)})"
    if said.restart is not None:
        first = str(said.restart)
    owner = string(table.name)
    return [
        f"DELETE FROM sqlite_sequence WHERE name = {owner}",
        f"INSERT INTO sqlite_sequence (name, seq) SELECT {owner}, {first} - 1",
    ]


def drop_sequence(name: str) -> list[str]:
    return [f"DROP VIEW {quote(name)}", f"DELETE FROM _lfsql_sequences WHERE name = {string(name)}"]


def restart_owned(table: str, *, automatic: bool) -> list[str]:
    """TRUNCATE ... RESTART IDENTITY: every sequence that belongs to a column of `table` begins anew."""
    owner = string(table)
    found = [f"UPDATE _lfsql_sequences SET last_value = start, is_called = 0 WHERE owner_table = {owner}"]
    if automatic:
        start = f"SELECT start - 1 FROM _lfsql_sequences AS s WHERE s.owner_table = {owner} AND s.increment = 0"
        found.append(f"UPDATE sqlite_sequence SET seq = coalesce(({start}), 0) WHERE name = {owner}")
    return found


def is_automatic(sql: str) -> bool:
    """Whether a table's rowid is numbered by AUTOINCREMENT, and so by sqlite_sequence."""
    return any(token.kind == WORD and token.value == "autoincrement" for token in sqlite_tokens(sql))
