"""One read-only connection to data.db, and the snapshot it stands on.

The log index of a snapshot is in the file (`_lfsql_state`), so it is known exactly, at the price of one
more row read when the snapshot is taken.

Every statement runs under a progress handler that counts SQLite's VM steps down.  That is how a read in the event
loop is kept short, how one in a thread is stopped, and how it is given a time limit.  The handler is asked
each STEPS_A_TICK steps of a statement's *life*, so a cached one may be asked early once: budgets are a tick longer.

`attached` databases live in memory, one set per connection; `on_schema_change` fills them, which is the one
thing that writes here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import apsw

from lfsql.core.entry import Value
from lfsql.core.ids import Index
from lfsql.core.requests import Row
from lfsql.errors import DataCorrupted, LfsqlError, QueryCanceled, ReadOnlyTransaction
from lfsql.storage.authorizer import INTERNAL, Authorizer
from lfsql.storage.determinism import StatementClock
from lfsql.storage.faults import translate
from lfsql.storage.functions.limits import patience
from lfsql.storage.inlining import ARGUMENT_BYTES_MAX, Inlining
from lfsql.storage.inspection import Described, Inspected, Inspector
from lfsql.storage.opening import LENGTH_BYTES_MAX, open_for_reading
from lfsql.storage.portal import rows_bytes

SchemaHook = Callable[[apsw.Connection], None]

STEPS_A_TICK: Final = 1_024
_UNLIMITED: Final = 1 << 62
_FIRST_ROWS: Final = 4
_CHUNK: Final = 64
"""Rows between two looks at how many bytes they take."""

INLINE_S_MAX: Final = 0.02
"""How long a read may take in the event loop; past it it goes to a thread, like one of too many steps."""


class Reader:
    """Used by one thread at a time, stop() apart."""

    index: Index
    schema_index: Index

    def __init__(
        self, path: str | Path, attached: tuple[str, ...] = (), on_schema_change: SchemaHook | None = None
    ) -> None:
        """Raises ConfigError when the file is not there, DataCorrupted."""
        self._clock = StatementClock()
        self._authorizer = Authorizer()
        self.connection = open_for_reading(path, self._clock.microseconds, self._authorizer, attached)
        self._on_schema_change = on_schema_change
        self._inspector = Inspector(self.connection, self._authorizer)
        self._inlining = Inlining(self.connection)
        self._value_bytes_max = LENGTH_BYTES_MAX
        self._own_cursor = self.connection.cursor()
        self._cursor = self.connection.cursor()
        self._ticks = _UNLIMITED
        self._deadline = 0.0
        self._stopping = False
        self.in_snapshot = False
        self.index = 0
        self.schema_index = -1
        self.connection.set_progress_handler(self._tick, STEPS_A_TICK)

    # -- Snapshots -----------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Stand on a snapshot taken now.  Raises DataCorrupted, and what the hook raises."""
        self._free()
        self._limit_values(LENGTH_BYTES_MAX)  # or SQLite could not read a schema with long texts
        try:
            while True:
                self._execute("BEGIN")
                rows = self._own_cursor.execute(
                    "SELECT applied_index, schema_index FROM _lfsql_state", None, prepare_flags=INTERNAL
                ).fetchall()
                if len(rows) != 1:
                    raise DataCorrupted("the database does not say where in the log it stands")
                self.index, schema_index = rows[0]  # type: ignore[assignment]  # the table's types
                if schema_index == self.schema_index:
                    break
                self._take_over_schema(schema_index)  # type: ignore[arg-type]  # the table's types
        except apsw.Error as error:
            self._roll_back()
            raise translate(error, self.connection, "") from error
        except BaseException:
            self._roll_back()
            raise
        self.in_snapshot = True

    def _take_over_schema(self, schema_index: Index) -> None:
        """Fill what depends on the schema, and commit: the snapshot is taken again after it."""
        self._inspector.forget()
        self._inlining.forget()
        if self._on_schema_change is not None:
            self._execute("PRAGMA query_only=OFF")
            try:
                self._on_schema_change(self.connection)
            finally:
                self._execute("PRAGMA query_only=ON")
        self._execute("COMMIT")
        self.schema_index = schema_index

    def end(self) -> None:
        """Let go of the snapshot.  Cursors on it must be closed."""
        if self.in_snapshot:
            self.in_snapshot = False
            try:
                self._execute("COMMIT")
            except apsw.Error:
                # After a read of a damaged page COMMIT lets go and tells again what that read has told.
                self._roll_back()

    def close(self) -> None:
        self.in_snapshot = False
        self.connection.close(True)

    # -- Statements ----------------------------------------------------------------------------------------

    def try_rows(
        self, sql: str, parameters: Sequence[Value], ticks: int, rows_max: int, bytes_max: int
    ) -> list[Row] | None:
        """All rows of a short read, or None when it goes over a limit.

        Raises LfsqlError; ReadOnlyTransaction for what would write.
        """
        value_bytes_max = self._inlining.known.get(sql)
        if value_bytes_max is None:
            if self._inspector.inspect(sql).writes:
                raise _read_only()
            value_bytes_max = self._inlining.value_bytes_max(sql)
        if not value_bytes_max:
            return None
        if value_bytes_max != self._value_bytes_max:
            self._limit_values(value_bytes_max)
        self._ticks = ticks
        if value_bytes_max <= ARGUMENT_BYTES_MAX:
            self._deadline = patience.until = time.monotonic() + INLINE_S_MAX
        elif self._deadline:
            self._deadline = 0.0  # of a cursor's last step
        self._clock.restart()
        cursor = self._cursor
        try:
            cursor.execute(sql, parameters)
            rows: list[Row] = list(islice(cursor, _FIRST_ROWS))
            if len(rows) < _FIRST_ROWS:
                return rows
            chunk = rows
            size = 0
            while chunk:
                size += rows_bytes(chunk)
                if size > bytes_max or len(rows) > rows_max:
                    self._drop_cursor()
                    return None
                chunk = list(islice(cursor, _CHUNK))
                rows += chunk
        except Exception as error:
            self._drop_cursor()
            if isinstance(error, apsw.TooBigError | apsw.InterruptError | TimeoutError) and not self._stopping:
                return None
            raise self.fault(error, sql) from error
        finally:
            self._ticks = _UNLIMITED
            if self._deadline:
                self._deadline = 0.0
                patience.until = math.inf
        return rows

    def start(self, sql: str, parameters: Sequence[Value], run_ms_max: int = 0) -> apsw.Cursor:
        """Run a read on a cursor of its own, to be read with take() and closed.  Raises as try_rows()."""
        known: Inspected = self._inspector.known.get(sql) or self._inspector.inspect(sql)
        if known.writes:
            raise _read_only()
        self._limit_values(LENGTH_BYTES_MAX)
        self.limit_time(run_ms_max)
        self._clock.restart()
        cursor = self.connection.cursor()
        self._tell_functions()
        try:
            cursor.execute(sql, parameters)
        except Exception as error:
            cursor.close(True)
            raise self.fault(error, sql) from error
        finally:
            patience.forget()
        return cursor

    def take(self, cursor: apsw.Cursor, sql: str, rows_max: int, bytes_max: int) -> list[Row]:
        """The next rows: at most `rows_max`, stopping after `bytes_max`; none when there are no more."""
        self._limit_values(LENGTH_BYTES_MAX)
        rows: list[Row] = []
        size = 0
        self._tell_functions()
        try:
            while size < bytes_max and (chunk := list(islice(cursor, min(_CHUNK, rows_max - len(rows))))):
                rows += chunk
                size += rows_bytes(chunk)
        except Exception as error:
            raise self.fault(error, sql) from error
        finally:
            patience.forget()
        return rows

    def describe(self, sql: str) -> Described:
        """Columns, number of parameters and kind of a statement, without running it."""
        return self._inspector.describe(sql)

    # -- Limits --------------------------------------------------------------------------------------------

    def limit_time(self, run_ms_max: int) -> None:
        """From now on statements may run that long; 0 = no limit."""
        self._deadline = time.monotonic() + run_ms_max / 1000 if run_ms_max else 0.0

    def stop(self) -> None:
        """Stop what runs, from any thread: it raises QueryCanceled.  Holds until allow()."""
        self._stopping = True
        self.connection.interrupt()

    def allow(self) -> None:
        self._stopping = False

    def _tick(self) -> bool:
        self._ticks -= 1
        return self._stopping or self._ticks <= 0 or bool(self._deadline and time.monotonic() > self._deadline)

    def fault(self, error: Exception, sql: str) -> LfsqlError:
        """The error a client gets.  Out of memory, SQLite has also let go of the snapshot."""
        self.in_snapshot = self.in_snapshot and self.connection.in_transaction
        late = bool(self._deadline) and time.monotonic() > self._deadline
        if isinstance(error, apsw.InterruptError | TimeoutError) and late and not self._stopping:
            return QueryCanceled("canceling statement due to statement timeout")
        return translate(error, self.connection, sql)

    # -- Inside --------------------------------------------------------------------------------------------

    def _tell_functions(self) -> None:
        """SQLite does not stop while a function runs."""
        patience.until = self._deadline or math.inf
        patience.stopped = self._is_stopping

    def _is_stopping(self) -> bool:
        return self._stopping

    def _free(self) -> None:
        self._ticks = _UNLIMITED
        self._deadline = 0.0
        self._stopping = False

    def _limit_values(self, bytes_max: int) -> None:
        if bytes_max != self._value_bytes_max:
            self.connection.limit(apsw.SQLITE_LIMIT_LENGTH, bytes_max)
            self._value_bytes_max = bytes_max

    def _execute(self, sql: str) -> None:
        self._own_cursor.execute(sql, None, prepare_flags=INTERNAL)

    def _roll_back(self) -> None:
        if self.connection.in_transaction:
            try:
                self._execute("ROLLBACK")
            except apsw.Error as error:
                if self.connection.in_transaction:
                    raise translate(error, self.connection, "ROLLBACK") from error

    def _drop_cursor(self) -> None:
        """An unfinished statement would keep the snapshot's lock."""
        self._cursor.close(True)
        self._cursor = self.connection.cursor()


def _read_only() -> ReadOnlyTransaction:
    return ReadOnlyTransaction("cannot execute a statement that writes in a read-only transaction")
