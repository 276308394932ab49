"""The writing engine: the one connection that changes data.db.  (Signatures; the body follows.)"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from lfsql.core.entry import Record, Unit
from lfsql.core.ids import Index, Position
from lfsql.core.requests import ColumnDescription, Operation, Result

TRUSTED: Final = "/*lfsql*/"
"""A statement that begins with this comment may write `_lfsql_columns` and `_lfsql_sequences`, and create, rename
and drop other `_lfsql_` names.  The planner prefixes its own DDL statements with it; the proxy must strip it
from the start of what a client sends."""

REBUILD_BEGIN: Final = "PRAGMA lfsql_rebuild=begin"
"""Run as a statement of a DDL unit: foreign keys are off and ALTER ... RENAME leaves other objects alone until
REBUILD_END (or the unit's end), so that CREATE new, INSERT SELECT, DROP old, RENAME new keeps the children."""

REBUILD_END: Final = "PRAGMA lfsql_rebuild=end"
"""Foreign keys are enforced again; every row of the database is checked: ForeignKeyViolation."""


class BatchLost(Exception):
    """SQLite rolled the whole transaction back, every unit since begin() with it.  The engine stands as before
    begin().  The writer runs the survivors again; `fault` (an LfsqlError, also __cause__) belongs to the unit that
    was open.  Never seen by a client."""

    fault: Exception


class Described(msgspec.Struct, frozen=True):
    columns: tuple[ColumnDescription, ...]
    parameters: int
    readonly: bool


class Recorded(msgspec.Struct, frozen=True):
    """The newest work of a client that is committed.  `sequence` is the asked one or a later one."""

    sequence: int
    index: Index
    result: bytes


class Engine:
    """Blocking; used by one thread at a time (interrupt() apart).  Close it with close()."""

    position: Position
    """The log position that data.db holds, as of the last commit."""
    schema_index: Index
    """Log index of the newest schema change executed.  Negative (below -1) and unique while that change is not
    committed yet, so that no plan made for another schema is taken for valid."""

    def __init__(self, path: str | Path) -> None:
        raise NotImplementedError

    @property
    def next_index(self) -> Index:
        """The index apply() expects next: position.index + 1, or later inside an unfinished run of `more`."""
        raise NotImplementedError

    @property
    def units(self) -> int:
        """Units closed since begin()."""
        raise NotImplementedError

    def begin(self) -> None:
        """BEGIN IMMEDIATE.  Units that follow stack up in one transaction until commit() or rollback()."""
        raise NotImplementedError

    def open_unit(self, client: str, sequence: int, clock_us: int, seed: int) -> None: ...

    def run(self, operation: Operation) -> Result:
        """Raises LfsqlError: that operation alone is undone, the unit stays open; or BatchLost."""
        raise NotImplementedError

    @property
    def unit_is_readonly(self) -> bool:
        """Nothing of the open unit needs logging: abandon it rather than close it."""
        raise NotImplementedError

    def close_unit(self, result: bytes = b"") -> Unit:
        """Checks deferred foreign keys (ForeignKeyViolation: the unit is still open, abandon it), digests the
        effect, releases.  `result` is kept for look_up and put into the Unit."""
        raise NotImplementedError

    def abandon_unit(self) -> None:
        """Undo the open unit.  Raises BatchLost when SQLite could not keep the rest."""
        raise NotImplementedError

    def commit(self, position: Position, indexes: Sequence[Index]) -> None:
        """Make everything since begin() durable and visible, standing at `position`.  `indexes`: the log index of
        (the last record of) each unit closed since begin(), in order."""
        raise NotImplementedError

    def rollback(self) -> None:
        """Undo everything since begin(), an open unit too."""
        raise NotImplementedError

    def apply(self, records: Sequence[Record]) -> None:
        """Apply committed records in one transaction; the first must be `next_index`.  Raises Diverged."""
        raise NotImplementedError

    def describe(self, sql: str) -> Described:
        raise NotImplementedError

    def look_up(self, client: str, sequence: int) -> Recorded | None:
        """What is committed of (client, sequence).  None: nothing (or forgotten).  A later `sequence` in the
        answer means the asked one must not be run any more."""
        raise NotImplementedError

    def interrupt(self) -> None:
        """Stop the statement that runs, from any thread; it raises QueryCanceled (mostly inside BatchLost)."""
        raise NotImplementedError

    def close(self) -> None: ...
