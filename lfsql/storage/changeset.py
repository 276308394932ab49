"""The digest of what a unit did to the rows, equal on every node or the node has diverged.

Each row change SQLite makes (its pre-update hook reports table, operation, old and new values) is hashed by
itself, and the hashes are added: so the order in which a statement visits rows does not count, only what it
did to them.  Taking a failed statement back is restoring the sum.  Memory is one number.

Rejected: hashing the changeset of SQLite's session extension, which reports net changes through the same hook.
A session costs 11 to 15 us for each unit (the hook 1.5 us for each row), keeps every changed row in memory
until the unit ends, records nothing for a table without a primary key unless asked, and fails when a table is
dropped that it has recorded.

The schema's changes are not row changes.  A unit that changes it also adds the hash of the schema's text.
What it leaves out: sqlite_sequence, and the contents of virtual tables (whose shadow tables it sees).  Of a table
with a VIRTUAL generated column, whose values the hook cannot give, only which rows are there is counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

import apsw
import msgspec

from lfsql.storage.rerun import Row
from lfsql.storage.row_changes import SEQUENCES, Change, Recording

DIGEST_BYTES: Final = 16
_MODULUS: Final = 1 << (8 * DIGEST_BYTES)
_HOOK: Final = "lfsql-effect"

_encode = msgspec.msgpack.Encoder().encode


class EffectDigest:
    """Watches one connection.  `total` may be saved and put back."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.total = 0
        self.watching = False
        self.recording: Recording | None = None
        """Takes down the changes of the statement that runs."""
        connection.preupdate_hook(self._changed, id=_HOOK)

    def restart(self) -> None:
        self.total = 0
        self.watching = True

    def stop(self) -> None:
        self.watching = False

    def _changed(self, update: apsw.PreUpdate) -> None:
        if self.watching and update.database_name == "main":
            kind = update.op
            old: Row | None
            new: Row | None
            table = update.table_name
            try:
                old = None if kind == "INSERT" else update.old
                new = None if kind == "DELETE" else update.new
            except apsw.RangeError:
                self._changed_untold(table, kind, update.rowid, update.rowid_new)
                return
            if table != SEQUENCES:
                self.total += _hash((table, kind, old, new))
            if self.recording is not None:
                self.recording.add(Change(table, kind, update.rowid, update.rowid_new, old, new))

    def _changed_untold(self, table: str, kind: str, rowid: int, rowid_new: int) -> None:
        """A row of a table with a VIRTUAL generated column, counted so that only the net effect matters."""
        if kind != "INSERT":
            self.total -= _hash((table, rowid))
        if kind != "DELETE":
            self.total += _hash((table, rowid_new))
        if self.recording is not None:
            self.recording.add(Change(table, kind, rowid, rowid_new, None, None))

    def add(self, changes: Iterable[Change]) -> None:
        """Count changes in that the hook did not tell of."""
        for table, kind, _, _, old, new in changes:
            self.total += _hash((table, kind, old, new))

    def add_schema(self, connection: apsw.Connection, prepare_flags: int) -> None:
        """Count the schema as it stands now in."""
        for row in connection.execute(
            "SELECT type, name, tbl_name, sql FROM main.sqlite_schema WHERE rootpage IS NOT NULL",
            prepare_flags=prepare_flags,
        ):
            self.total += _hash(row)

    def digest(self) -> bytes:
        """16 bytes, or none when nothing was changed."""
        return (self.total % _MODULUS).to_bytes(DIGEST_BYTES, "little") if self.total else b""


def _hash(change: object) -> int:
    return int.from_bytes(blake2b(_encode(change), digest_size=DIGEST_BYTES).digest(), "little")
