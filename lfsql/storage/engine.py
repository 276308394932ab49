"""The writing engine: the one connection that changes data.db.

One SQLite transaction holds a batch of units.  On the primary: begin(), then for each unit open_unit(), run() its
operations, close_unit() or abandon_unit(); when a quorum has the log records, commit().  On a replica: apply().
Both run statements through the same code, with the unit's clock and seed, and write where the file stands in the
same transaction; a file never holds what may be rolled back.

Holes of a batch of savepoints, each found by experiment, each closed here or in `lfsql.storage.unit`:

- An interrupted write, OR ROLLBACK and a full disk roll the *whole* transaction back.  After every error SQLite
  is asked whether a transaction is open; if not, BatchLost: nothing of the batch was logged yet, the writer runs
  the survivors again.
- A deferred foreign key fails only at COMMIT, after the quorum.  DBSTATUS_DEFERRED_FKS is checked per unit.
- A client's own COMMIT or RELEASE would end the batch.  The authorizer keeps it from SQLite.
- changes() and last_insert_rowid() survive ROLLBACK TO, so what failed for one client would be seen by another,
  on the primary only.  The first is replaced by a function that knows the unit, the second is put back.

*Rebuilding a table*, as most ALTERs need.  SQLite's recipe asks for foreign keys to be off, or DROP TABLE of the old
table deletes its rows first and so cascades into others; and `PRAGMA foreign_keys` does nothing inside a
transaction.  The switch behind the pragma (SQLITE_DBCONFIG_ENABLE_FKEY) works at any time.  So a unit says
REBUILD_BEGIN and REBUILD_END as if they were statements: in between foreign keys are off and RENAME leaves
other objects alone; at the end all rows are checked.  They are logged, so a replica does the same.  Rejected:
running such units alone between batches, which an interactive transaction with DDL in its middle cannot.

Time and resource limits apply while executing for a client.  Applying has none, or replicas would diverge.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from lfsql.core.entry import CONFIGURATION, NOOP, UNIT, Record, Unit, decode_unit
from lfsql.core.ids import Index, Position
from lfsql.core.requests import Operation, Result
from lfsql.errors import (
    DataCorrupted,
    DiskFailed,
    DiskFull,
    Diverged,
    InvariantBroken,
    LfsqlError,
    OutOfMemory,
)
from lfsql.storage import migrations
from lfsql.storage.authorizer import INTERNAL, TRUSTED, Authorizer
from lfsql.storage.changeset import EffectDigest
from lfsql.storage.determinism import StatementRandom, UnitClock
from lfsql.storage.faults import UNUSABLE, translate, unusable
from lfsql.storage.foreign_keys import find_any_violation
from lfsql.storage.functions.limits import SEARCH_S_MAX, patience
from lfsql.storage.functions.notifications import Collector
from lfsql.storage.heap import without_limit
from lfsql.storage.inspection import Described, Inspected, Inspector
from lfsql.storage.opening import LENGTH_BYTES_MAX, open_for_writing
from lfsql.storage.row_changes import ROWS_BEGIN
from lfsql.storage.stopping import Stopping
from lfsql.storage.unit import REBUILD_BEGIN, REBUILD_END, OpenUnit
from lfsql.storage.unit_reads import BatchLost

__all__ = ["REBUILD_BEGIN", "REBUILD_END", "TRUSTED", "BatchLost", "Described", "Engine", "Recorded"]

UNIT_BYTES_MAX: Final = 256 << 20
"""Of the statements and parameters of one unit, in memory until its end."""

CLIENTS_KEPT: Final = 1_000_000
"""Log entries after which what a client did last is forgotten."""

_EXPIRE_EVERY: Final = 1_024
_PROVISIONAL: Final = -2


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
    """Log index of the newest schema change executed.  Negative (below -1) and never used twice while that change
    is not committed yet, so that no plan made for another schema is taken for valid."""
    clock_us: int
    """The newest clock of a committed unit; a primary must not go below it."""

    def __init__(
        self, path: str | Path, *, unit_bytes_max: int = UNIT_BYTES_MAX, clients_kept: int = CLIENTS_KEPT
    ) -> None:
        """Opens the file, or makes it; applies migrations.  Raises ConfigError, DataCorrupted.

        `clients_kept` must be the same on all nodes.
        """
        self._path = path
        self.unit_bytes_max = unit_bytes_max
        self._clients_kept = clients_kept
        self.clock = UnitClock()
        self._authorizer = Authorizer()
        try:
            self.connection = open_for_writing(path, self.clock.name, self.clock.microseconds, self._authorizer)
        except BaseException:
            self.clock.unregister()
            raise
        try:
            migrations.migrate(
                lambda sql, parameters: list(self.connection.execute(sql, parameters, prepare_flags=INTERNAL)),
                migrations.load("data"),
            )
            state = self._read_state()
            # Reads the whole schema: what is wrong with it is found here, not by the first statement.
            self.connection.execute("SELECT count(*) FROM sqlite_schema", prepare_flags=INTERNAL).fetchall()
        except UNUSABLE as error:
            self.close()
            raise unusable(error, path) from error
        except BaseException:
            self.close()
            raise
        index, term, chain, self._committed_schema, self.clock_us = state
        self.position = Position(index, term, chain)
        self.schema_index = self._committed_schema
        self._provisional = _PROVISIONAL
        self.cursor = self.connection.cursor()
        self._own_cursor = self.connection.cursor()
        self.stopping = Stopping(self.connection)
        self.random = StatementRandom()
        self.random.register(self.connection)
        self.effect = EffectDigest(self.connection)
        self.notifications = Collector(self.connection)
        self._inspector = Inspector(self.connection, self._authorizer)
        self._register_counts()
        self.has_virtual_tables = False
        """What they buffer must be written out after each statement, see OpenUnit."""
        self.has_consequences = False
        """There are triggers or foreign keys."""
        self._look_at_schema()
        self._unit: OpenUnit | None = None
        self._closed: list[Unit] = []
        self._run: list[Unit] = []
        """The beginning of a run of `more` records whose end has not come yet."""
        self._seen = self.position
        """The newest record apply() was given: past `position` inside a run."""

    # -- A batch on the primary ----------------------------------------------------------------------------

    @property
    def units(self) -> int:
        """Units closed since begin()."""
        return len(self._closed)

    def begin(self) -> None:
        """Open the transaction that units stack up in, until commit() or rollback()."""
        self.execute("BEGIN IMMEDIATE")

    def open_unit(self, client: str, sequence: int, clock_us: int, seed: int) -> None:
        """`clock_us`: microseconds since the Unix epoch, `seed`: any 64 bits.  Needs begin() before."""
        if self._unit is not None or not self.connection.in_transaction:
            raise InvariantBroken("a unit needs an open batch and no other open unit")
        self._unit = OpenUnit(self, client, sequence, clock_us, seed, protected=True)

    def run(self, operation: Operation) -> Result:
        """Raises LfsqlError: that operation alone is undone, the unit stays open.  Or BatchLost."""
        return self._open().run(operation)

    def restart_results(self) -> None:
        """A Submit begins: the rows of its operations together must stay within RESULT_BYTES_MAX."""
        self._open().reads.restart_results()

    def limit_values(self, bytes_max: int = LENGTH_BYTES_MAX) -> None:
        """From now on a statement that meets or makes a larger text, blob or row fails with LimitExceeded, caused by
        apsw.TooBigError, and is undone."""
        self.connection.limit(apsw.SQLITE_LIMIT_LENGTH, bytes_max)

    @property
    def unit_is_open(self) -> bool:
        return self._unit is not None

    @property
    def unit_is_readonly(self) -> bool:
        """Nothing of the open unit needs logging: abandon it rather than close it."""
        return not self._open().statements and not self.notifications

    def close_unit(self, result: bytes = b"") -> Unit:
        """Digest the effect and keep the unit in the batch.  `result` is kept for look_up and put into the Unit.

        Raises ForeignKeyViolation (a deferred key): the unit is still open, abandon it.
        """
        unit = self._open().close(result)
        self._unit = None
        self._closed.append(unit)
        return unit

    def abandon_unit(self) -> None:
        """Undo the open unit.  Raises BatchLost when SQLite could not keep the rest."""
        unit = self._open()
        self._unit = None
        unit.abandon()

    def commit(self, position: Position, indexes: Sequence[Index]) -> None:
        """Make everything since begin() durable and visible, standing at `position`.

        `indexes`: the log index of (the last record of) each unit closed since begin(), in order.  Raises
        DiskFailed, DiskFull: the log is ahead of the file now; end the process and apply it again.
        """
        if self._unit is not None or len(indexes) != len(self._closed):
            raise InvariantBroken(f"{len(self._closed)} units cannot be committed at {len(indexes)} indexes")
        try:
            with without_limit():
                self._write_state(position, indexes)
                self.execute("COMMIT")
        except apsw.Error as error:
            raise translate(error, self.connection, "COMMIT") from error
        for unit in self._closed:
            self.clock_us = max(self.clock_us, unit.clock_us)
        self._closed.clear()
        self.position = self._seen = position
        self.schema_index = self._committed_schema

    def rollback(self) -> None:
        """Undo everything since begin(), an open unit too.  Nothing to undo is no error."""
        unit, self._unit = self._unit, None
        if unit is not None:
            unit.drop()
        if self.connection.in_transaction:
            self.execute("ROLLBACK")
        self.lost()

    # -- Applying the log on a replica -----------------------------------------------------------------------

    @property
    def next_index(self) -> Index:
        """The index apply() expects next: after `position`, or later inside an unfinished run of `more`."""
        return self._seen.index + 1

    def apply(self, records: Sequence[Record]) -> None:
        """Apply committed records in one transaction; the first must be `next_index`.

        What ends in the middle of a run of `more` records waits in memory for the next call, and `position`
        stays before the run; a run that something else follows never finished and is skipped.  Raises Diverged
        when an effect differs from the primary's or a statement fails, DiskFull, DiskFailed; nothing of this call
        is applied then, and the run in memory is forgotten (`next_index` goes back to its start).
        """
        if records and records[0].index != self.next_index:
            raise InvariantBroken(f"record {records[0].index} cannot follow {self.next_index - 1}")
        run, seen = self._run.copy(), self._seen
        patience.search_s = None  # what succeeded on the primary must here, however long it takes
        try:
            try:
                self._apply_or_undo(records)
            except OutOfMemory:
                # Others take the memory now; on the primary there was enough.
                self._run, self._seen = run, seen
                with without_limit():
                    self._apply_or_undo(records)
        finally:
            patience.search_s = SEARCH_S_MAX

    def _apply_or_undo(self, records: Sequence[Record]) -> None:
        committed = self._committed_schema
        try:
            self._apply(records)
        except BaseException:
            self._run.clear()
            self._seen = self.position
            self._committed_schema = committed
            self.rollback()
            raise

    def _apply(self, records: Sequence[Record]) -> None:
        position = self.position
        seen = self._seen
        indexes: list[Index] = []
        self.begin()
        for record in records:
            unit = _unit_of(record)
            if self._run and (unit is None or not _continues(self._run[0], unit)):
                self._run.clear()
                position = seen
            seen = Position(record.index, record.term, record.hash)
            if unit is not None:
                self._run.append(unit)
                if unit.more:
                    continue
                self._apply_unit(record.index, self._run)
                indexes.append(record.index)
                self._run.clear()
            position = seen
        if position == self.position:
            self.execute("ROLLBACK")
        else:
            self.commit(position, indexes)
        self._seen = seen

    def _apply_unit(self, index: Index, pieces: Sequence[Unit]) -> None:
        """`pieces`: the unit as it was cut for the log; the last carries the effect of all."""
        last = pieces[-1]
        statements = [statement for piece in pieces for statement in piece.statements]
        self._unit = OpenUnit(self, last.client, last.sequence, last.clock_us, last.seed, protected=False)
        try:
            # Of row changes SQLite does not see what they mean for foreign keys, so it must not count only the rest.
            by_rows = any(statement.sql == ROWS_BEGIN for statement in statements)
            if by_rows:
                self.execute("PRAGMA defer_foreign_keys=ON")
            for statement in statements:
                self._unit.apply(statement)
            if by_rows:
                self.execute("PRAGMA defer_foreign_keys=OFF")
            done = self.close_unit(last.result)
        except (DiskFailed, DiskFull, DataCorrupted, InvariantBroken, OutOfMemory):
            raise
        except (LfsqlError, BatchLost) as error:
            if isinstance(error, BatchLost) and isinstance(error.fault, OutOfMemory):
                raise error.fault from error
            raise Diverged(f"entry {index} failed here: {error}") from error
        if done.effect != last.effect or done.schema_changed != last.schema_changed:
            raise Diverged(
                f"entry {index} had another effect here",
                detail=f"the primary recorded {last.effect}, schema changed {last.schema_changed};"
                f" here {done.effect}, {done.schema_changed}",
            )

    # -- Looking -------------------------------------------------------------------------------------------

    def describe(self, sql: str) -> Described:
        """Columns, number of parameters and kind of a statement, without running it; sees what is not committed."""
        return self._inspector.describe(sql)

    def look_up(self, client: str, sequence: int) -> Recorded | None:
        """What is known of (client, sequence), this batch included.  None: nothing (or forgotten).

        A later `sequence` in the answer means the asked one must not be run any more.
        """
        for unit in reversed(self._closed):
            if unit.client == client and unit.sequence >= sequence:
                return Recorded(unit.sequence, 0, unit.result)
        rows = self._own_cursor.execute(
            "SELECT sequence, log_index, result FROM _lfsql_clients WHERE client = ? AND sequence >= ?",
            (client, sequence),
            prepare_flags=INTERNAL,
        ).fetchall()
        if not rows:
            return None
        found: tuple[Any, ...] = rows[0]
        return Recorded(*found)

    def interrupt(self) -> None:
        """Stop the client's statement that runs, from any thread: QueryCanceled, for a write inside BatchLost."""
        self.stopping.interrupt()

    def close(self) -> None:
        """Rolls back what is open."""
        try:
            self.connection.close(True)
        except UNUSABLE as error:  # nothing is lost: what could not be copied into the file is in its -wal
            raise unusable(error, self._path) from error
        finally:
            self.clock.unregister()

    # -- For OpenUnit ----------------------------------------------------------------------------------------

    def execute(self, sql: str) -> None:
        """A statement of our own, without rows."""
        try:
            self._own_cursor.execute(sql, None, prepare_flags=INTERNAL)
        except apsw.NoMemError:
            with without_limit():
                self._own_cursor.execute(sql, None, prepare_flags=INTERNAL)

    def let_go(self) -> None:
        """A client's statement failed: it may stand between two rows."""
        self.cursor.close(True)
        self.cursor = self.connection.cursor()

    def inspect(self, sql: str) -> Inspected:
        return self._inspector.known.get(sql) or self._inspector.inspect(sql)

    def schema_changed(self) -> None:
        self.schema_index = self._provisional
        self._provisional -= 1
        self._look_at_schema()

    def restore_schema(self, schema_index: Index) -> None:
        if schema_index != self.schema_index:
            self.schema_index = schema_index
            self._look_at_schema()

    def _look_at_schema(self) -> None:
        self._inspector.forget()
        ((virtual, consequences),) = self._own_cursor.execute(
            "SELECT total(type = 'table' AND rootpage = 0),"
            " total(type = 'trigger' OR instr(upper(sql), 'REFERENCES')) FROM main.sqlite_schema",
            None,
            prepare_flags=INTERNAL,
        ).fetchall()
        self.has_virtual_tables, self.has_consequences = bool(virtual), bool(consequences)

    def lost(self) -> None:
        """The transaction is gone: stand as before begin()."""
        unit, self._unit = self._unit, None
        if unit is not None:
            unit.drop()
        self._closed.clear()
        self.restore_schema(self._committed_schema)

    def enforce_foreign_keys(self, enforce: bool) -> None:
        self.connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, int(enforce))
        self.connection.config(apsw.SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, int(not enforce))

    def check_foreign_keys(self) -> None:
        """Raises ForeignKeyViolation when a row of any table breaks a foreign key."""
        with self.stopping:
            found = find_any_violation(self.connection)
        if found is not None:
            raise found

    # -- Inside ----------------------------------------------------------------------------------------------

    def _open(self) -> OpenUnit:
        if self._unit is None:
            raise InvariantBroken("no unit is open")
        return self._unit

    def _read_state(self) -> tuple[int, int, bytes, int, int]:
        rows = self.connection.execute(
            "SELECT applied_index, applied_term, applied_hash, schema_index, clock_us FROM _lfsql_state",
            prepare_flags=INTERNAL,
        ).fetchall()
        if len(rows) != 1:
            raise DataCorrupted("the database does not say where in the log it stands")
        found: tuple[Any, ...] = rows[0]
        index, term, chain, schema_index, clock_us = found
        return index, term, chain, schema_index, clock_us

    def _write_state(self, position: Position, indexes: Sequence[Index]) -> None:
        recorded = []
        for unit, index in zip(self._closed, indexes, strict=True):
            if unit.schema_changed:
                self._committed_schema = index
            if unit.client:
                recorded.append((unit.client, unit.sequence, index, unit.result))
        cursor = self._own_cursor
        if recorded:
            cursor.executemany(
                "INSERT INTO _lfsql_clients VALUES (?1, ?2, ?3, ?4) ON CONFLICT (client) DO UPDATE SET"
                " sequence = ?2, log_index = ?3, result = ?4",
                recorded,
                prepare_flags=INTERNAL,
            )
        # At fixed points of the log, so that what is forgotten does not depend on how batches were cut.
        due = position.index // _EXPIRE_EVERY * _EXPIRE_EVERY
        if due > self.position.index:
            cursor.execute(
                "DELETE FROM _lfsql_clients WHERE log_index <= ?", (due - self._clients_kept,), prepare_flags=INTERNAL
            )
        cursor.execute(
            "UPDATE _lfsql_state SET applied_index = ?, applied_term = ?, applied_hash = ?, schema_index = ?,"
            " clock_us = max(clock_us, ?)",
            (
                position.index,
                position.term,
                position.hash,
                self._committed_schema,
                max((unit.clock_us for unit in self._closed), default=0),
            ),
            prepare_flags=INTERNAL,
        )

    def _register_counts(self) -> None:
        def changes(*_: object) -> int:
            return self._unit.last_changes if self._unit else 0

        def total_changes(*_: object) -> int:
            return self._unit.rows_changed if self._unit else 0

        self.connection.create_scalar_function("changes", changes, 0, flags=apsw.SQLITE_INNOCUOUS)
        self.connection.create_scalar_function("total_changes", total_changes, 0, flags=apsw.SQLITE_INNOCUOUS)


def _unit_of(record: Record) -> Unit | None:
    """None for what changes no data.  Raises DataCorrupted when the body is no unit."""
    if record.kind in (NOOP, CONFIGURATION):
        return None
    if record.kind != UNIT:
        raise DataCorrupted(f"record {record.index} is of the unknown kind {record.kind}")
    try:
        return decode_unit(record.body)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise DataCorrupted(f"record {record.index} holds no unit", detail=str(error)) from error


def _continues(first: Unit, unit: Unit) -> bool:
    return (first.client, first.sequence, first.seed) == (unit.client, unit.sequence, unit.seed)
