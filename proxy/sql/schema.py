"""The user's tables, as a value.

Built from one query on any connection to a data file (`SCHEMA_QUERY`), so a reader, a remote node and an open
transaction on the primary all give it the same way.  Planning is a pure function of a text and this value; a
plan falls when the value's `index` does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    oid: int
    """PostgreSQL's type."""
    typmod: int
    """PostgreSQL's type modifier: n + 4 for varchar(n), ((p << 16) | s) + 4 for numeric(p,s), else -1."""
    number: int
    """attnum, from 1."""
    declared: str
    """SQLite's declared type, verbatim."""
    not_null: bool = False
    default: str | None = None
    """The default in PostgreSQL's words, None when there is none."""
    identity: Literal["", "a", "d", "s"] = ""
    """always, by default, serial, or none."""
    primary_key: int = 0
    """Place in the primary key, from 1; 0 when not part of it."""
    collation: str = ""
    generated: bool = False
    """GENERATED ALWAYS AS (...): nothing but DEFAULT may be given for it."""
    null_refused: bool = False
    """An integer key of PostgreSQL's making.  It is SQLite's rowid, where SQLite numbers a NULL by itself."""

    @property
    def drawn(self) -> bool:
        """What is left out is numbered."""
        return bool(self.identity) or (self.default or "").startswith("nextval(")


@dataclass(frozen=True, slots=True)
class Index:
    name: str
    columns: tuple[str | None, ...]
    """None stands for an expression."""
    unique: bool
    origin: Literal["c", "u", "pk"]
    """CREATE INDEX, a UNIQUE constraint, or the primary key."""
    sql: str | None
    partial: bool = False


@dataclass(frozen=True, slots=True)
class ForeignKey:
    name: str
    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]
    on_update: str
    on_delete: str
    deferrable: bool = False
    initially_deferred: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    expression: str


@dataclass(frozen=True, slots=True)
class Relation:
    name: str
    oid: int
    """Stable across nodes and restarts: derived from the log or the name, never from memory addresses."""
    kind: Literal["table", "view", "sequence"]
    columns: tuple[Column, ...]
    sql: str
    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[Check, ...] = ()
    triggers: tuple[str, ...] = ()
    """CREATE TRIGGER texts, made in the sqlite dialect; a table rebuild makes them again."""
    owner: tuple[str, str] | None = None
    """Of a sequence that belongs to a serial or identity column: its table and column."""

    def column(self, name: str) -> Column | None:
        for column in self.columns:
            if column.name == name:
                return column
        return None


@dataclass(frozen=True, slots=True)
class Schema:
    index: int = 0
    """The log index of the newest schema change it shows."""
    relations: dict[str, Relation] = field(default_factory=dict)
    """By name as stored: PostgreSQL folds unquoted names to lower case, so these are case-sensitive."""
