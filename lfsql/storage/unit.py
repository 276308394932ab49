"""One client's open unit on the writing connection: statements, savepoints, portals, and what the log will say.

Undoing one statement.  SQLite takes back a failed statement by itself except where it cannot (OR FAIL, a run of
parameter sets, what a function wrote), so a savepoint stands before each.  The first statement after the unit's
own savepoint, or after a client's, needs none: going back to that one is the same.  One-statement units
therefore pay nothing for it.

Savepoints.  PostgreSQL's names nest and shadow; a stack here maps them to SQLite savepoints of our own naming,
so a client's name never reaches SQL.  They are not logged: what was rolled back was never a part of the unit.

Virtual tables such as FTS5 buffer their writes until a savepoint or the commit.  Savepoints differ between the
primary and a replica, so where there are virtual tables each statement ends with one, or their contents would
come to differ, and the digest of them at once.

A statement whose effect may depend on the order in which rows are visited is logged as the rows it changed
(`lfsql.storage.row_changes`), all others as text.  While a table is rebuilt all go as text: the copy's order is told.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from operator import length_hint
from typing import TYPE_CHECKING, Final

import apsw

from lfsql.core.entry import Effect, Statement, Unit
from lfsql.core.requests import (
    ClosePortal,
    Fetch,
    Operation,
    ReleaseSavepoint,
    Result,
    RollbackToSavepoint,
    Row,
    Run,
    RunMany,
    SetSavepoint,
)
from lfsql.errors import (
    Diverged,
    ForeignKeyViolation,
    IntegrityViolation,
    InvariantBroken,
    LfsqlError,
    LimitExceeded,
    ProtocolViolation,
    UndefinedSavepoint,
)
from lfsql.storage.authorizer import INTERNAL
from lfsql.storage.faults import foreign_key_violation, target, translate
from lfsql.storage.foreign_keys import find_violation
from lfsql.storage.inspection import Inspected
from lfsql.storage.portal import rows_bytes
from lfsql.storage.rerun import Rerun
from lfsql.storage.row_changes import ROWS_BEGIN, ROWS_END, UNCOUNTED, Recording, created_with_rows
from lfsql.storage.unit_reads import BatchLost, UnitReads
from lfsql.storage.violations import explain

if TYPE_CHECKING:
    from lfsql.storage.engine import Engine

SAVEPOINTS_MAX: Final = 1_000

EXPLAINED_S_MAX: Final = 0.25
"""A statement that ran longer before it violated a constraint is not run again to find the row."""

REBUILD_BEGIN: Final = "PRAGMA lfsql_rebuild=begin"
REBUILD_END: Final = "PRAGMA lfsql_rebuild=end"

CONSTRAINTS_IMMEDIATE: Final = "PRAGMA lfsql_constraints=immediate"
CONSTRAINTS_DEFERRED: Final = "PRAGMA lfsql_constraints=deferred"
"""SET CONSTRAINTS ALL: not logged, as what they let through holds in any case."""

_UNIT: Final = "_lfsql_unit"
_STATEMENT: Final = "_lfsql_statement"
_FLUSH: Final = "_lfsql_flush"


class _Mark:
    """What a rollback to this point restores beside SQLite's own."""

    def __init__(self, name: str, savepoint: str, unit: OpenUnit) -> None:
        self.name = name
        """The client's name for it, '' for ours."""
        self.savepoint = savepoint
        """SQLite's name for it."""
        self.recorded = len(unit.statements)
        self.recorded_sets = unit.recorded_sets
        self.recorded_bytes = unit.recorded_bytes
        self.rows_changed = unit.rows_changed
        self.rebuilding = unit.rebuilding
        self.immediate = unit.immediate
        self.schema_index = unit.engine.schema_index
        self.total = unit.engine.effect.total
        self.last_changes = unit.last_changes
        self.last_rowid = unit.engine.connection.last_insert_rowid()
        self.notified = len(unit.engine.notifications)


class OpenUnit:
    """Made by Engine.open_unit; lives until the unit is closed or abandoned."""

    def __init__(
        self, engine: Engine, client: str, sequence: int, clock_us: int, seed: int, *, protected: bool
    ) -> None:
        self.engine = engine
        self.client = client
        self.sequence = sequence
        self.clock_us = clock_us
        self.seed = seed
        self.statements: list[Statement] = []
        self.recorded_sets = 0
        """Parameter sets of `statements`, of which each has its own random numbers."""
        self.recorded_bytes = 0
        self.rows_changed = 0
        self.last_changes = 0
        """What changes() gives: rows the newest logged statement changed itself."""
        self.rebuilding = False
        self.immediate = False
        """Deferred foreign keys are checked after each statement."""
        self._by_rows = False
        """Between ROWS_BEGIN and ROWS_END of the log."""
        self.reads = UnitReads(engine, seed, limited=protected)
        engine.clock.clock_us = clock_us
        engine.connection.set_last_insert_rowid(0)
        engine.effect.restart()
        engine.notifications.restart(collecting=protected)
        self._protected = protected
        """Failures can be undone one by one; not so while applying, where any failure ends everything."""
        if protected:
            engine.execute(f"SAVEPOINT {_UNIT}")
        self._bottom = _Mark("", _UNIT, self)
        self._marks: list[_Mark] = []

    # -- Operations ----------------------------------------------------------------------------------------

    def run(self, operation: Operation) -> Result:
        if type(operation) is Run:
            return self._run(operation)
        if type(operation) is RunMany:
            return self._run_many(operation)
        if type(operation) is Fetch:
            return self.reads.fetch(operation.portal, operation.rows_max)
        if type(operation) is ClosePortal:
            self.reads.close(operation.portal)
        elif type(operation) is SetSavepoint:
            self._set_savepoint(operation.name)
        elif type(operation) is ReleaseSavepoint:
            self._release_savepoint(operation.name)
        elif type(operation) is RollbackToSavepoint:
            self._rollback_to_savepoint(operation.name)
        return Result()

    def _run(self, operation: Run) -> Result:
        sql = operation.sql
        if sql in (REBUILD_BEGIN, REBUILD_END):
            return self._rebuild(sql)
        if sql in (CONSTRAINTS_IMMEDIATE, CONSTRAINTS_DEFERRED):
            self.immediate = sql == CONSTRAINTS_IMMEDIATE
            self._check_immediate()
            return Result()
        inspected = self.engine.inspect(sql)
        if not inspected.writes:
            return self._notify(operation) if inspected.notifies else self.reads.read(operation, self.recorded_sets)
        rows, changed = self._write(sql, (operation.parameters,), inspected)
        if operation.portal and operation.rows_max and len(rows) > operation.rows_max:
            return self.reads.keep(operation.portal, rows, operation.rows_max, changed)
        return Result(tuple(rows), changed)

    def _notify(self, operation: Run) -> Result:
        """A query that calls pg_notify: only what it told must be undone when it fails, as it changes nothing."""
        notified = len(self.engine.notifications)
        try:
            return self.reads.read(operation, self.recorded_sets)
        except LfsqlError:
            self.engine.notifications.back_to(notified)
            raise

    def _run_many(self, operation: RunMany) -> Result:
        inspected = self.engine.inspect(operation.sql)
        if not inspected.writes:
            raise ProtocolViolation("only a statement that writes can run with many sets of parameters")
        if not operation.parameter_sets:
            return Result()
        rows, changed = self._write(operation.sql, operation.parameter_sets, inspected)
        return Result(tuple(rows), changed)

    # -- Writing -------------------------------------------------------------------------------------------

    def _write(self, sql: str, sets: tuple[Row, ...], inspected: Inspected) -> tuple[list[Row], int]:
        """(rows, rows the statement changed itself).  On error the statement is undone, or BatchLost."""
        engine = self.engine
        connection = engine.connection
        self.reads.settle()
        newest = self._marks[-1] if self._marks else self._bottom
        done = len(self.statements) > newest.recorded or len(engine.notifications) > newest.notified
        guarded = self._protected and done
        mark = _Mark("", _STATEMENT, self) if guarded else newest
        if guarded:
            engine.execute(f"SAVEPOINT {_STATEMENT}")
        self._restart_random()
        recording = self._start_recording(inspected)
        before = connection.total_changes()
        waiting = iter(sets)
        began = time.monotonic()
        try:
            with engine.stopping:
                if len(sets) == 1:
                    engine.cursor.execute(sql, next(waiting))
                    rows = self.reads.collect(engine.cursor)
                    changed = connection.changes() if connection.total_changes() != before else 0
                else:
                    rows, changed = self._execute_many(sql, waiting, inspected, before)
            if engine.has_virtual_tables:
                engine.execute(f"SAVEPOINT {_FLUSH}")
                engine.execute(f"RELEASE {_FLUSH}")
            self._record(
                Statement(sql, sets), recording, inspected.creates, connection.total_changes() - before, changed
            )
            self._check_immediate()
        except Exception as error:
            engine.effect.recording = None
            quick = time.monotonic() - began < EXPLAINED_S_MAX
            ran = max(len(sets) - length_hint(waiting) - 1, 0)
            raise self._undo(error, Statement(sql, (sets[ran],)), mark, ran, explained=quick) from error
        if guarded:
            engine.execute(f"RELEASE {_STATEMENT}")
        self.rows_changed += connection.total_changes() - before
        self.last_changes = changed
        if inspected.changes_schema:
            engine.schema_changed()
        return rows, changed

    def _execute_many(
        self, sql: str, waiting: Iterator[Row], inspected: Inspected, before: int
    ) -> tuple[list[Row], int]:
        engine = self.engine
        connection = engine.connection
        numbered = self._numbered(waiting)
        if not inspected.indirect and sql.lstrip()[:6].upper() == "INSERT":
            engine.cursor.executemany(sql, numbered)
            return self.reads.collect(engine.cursor), connection.total_changes() - before
        # total_changes() would count what triggers and foreign key actions change too.
        changed = 0
        for parameters in numbered:
            earlier = connection.total_changes()
            engine.cursor.execute(sql, parameters).fetchall()
            if connection.total_changes() != earlier:
                changed += connection.changes()
        return [], changed

    def _numbered(self, sets: Iterator[Row]) -> Iterator[Row]:
        """The sets, each with the random numbers of its place."""
        restart, seed, logged = self.engine.random.restart, self.seed, self.recorded_sets
        for parameters in sets:
            restart(seed, logged)
            logged += 1
            yield parameters

    def _restart_random(self, sets: int = 0) -> None:
        """`sets`: of the statement at hand that have run."""
        self.engine.random.restart(self.seed, self.recorded_sets + sets)

    # -- What the log will say -----------------------------------------------------------------------------

    def _start_recording(self, inspected: Inspected) -> Recording | None:
        if not inspected.order_dependent or not self._protected or self.rebuilding:
            return None
        recording = self.engine.effect.recording = self._new_recording()
        return recording

    def _new_recording(self) -> Recording:
        # In the log the changes take no more than half of what they take in memory: so that they always fit.
        return Recording(self.engine.connection, (self.engine.unit_bytes_max - self.recorded_bytes) // 2)

    def _record(
        self, statement: Statement, recording: Recording | None, creates: str, rows_changed: int, changed: int
    ) -> None:
        """The statement ran: log its text, or the rows it changed."""
        engine = self.engine
        engine.effect.recording = None
        made: Statement | None = None
        if recording is None and creates and self._protected:
            recording = self._new_recording()
            with engine.stopping:
                made = created_with_rows(engine.connection, creates, recording)
            if made is None:
                recording = None
            else:
                engine.effect.add(recording.changes)
        instead = None if recording is None else recording.statements(rows_changed, changed)
        if instead is None:
            self._log(statement)
            return
        if made is not None:
            self._log(made)
        for each in instead:
            self._log(each)

    def _log(self, statement: Statement) -> None:
        self.recorded_sets += len(statement.parameter_sets)
        self.recorded_bytes += len(statement.sql) + rows_bytes(statement.parameter_sets)
        if self.recorded_bytes > self.engine.unit_bytes_max:
            raise LimitExceeded(
                f"a transaction's statements take more than {self.engine.unit_bytes_max} bytes",
                hint="Commit in between.",
            )
        self.statements.append(statement)

    def _undo(self, error: Exception, statement: Statement, mark: _Mark, ran: int, *, explained: bool) -> LfsqlError:
        """Take the failed statement back, whose `ran` parameter sets before this one had run.

        Raises BatchLost when SQLite took back more.
        """
        engine = self.engine
        engine.let_go()
        fault = translate(error, engine.connection, statement.sql)
        # Looking for the row rolls a schema change back, which virtual tables with open changes do not like.
        looked_for = explained and self._protected and not engine.has_virtual_tables
        looked_for = looked_for and not isinstance(error, ForeignKeyViolation)  # a deferred one tells its row already
        if looked_for and isinstance(fault, IntegrityViolation) and engine.connection.in_transaction:
            fault = explain(fault, error, Rerun(engine.connection, statement, partial(self._restart_random, ran)))
        if not engine.connection.in_transaction:
            engine.lost()
            raise BatchLost(fault) from error
        if self._protected:
            self._go_back(mark, release=mark.savepoint == _STATEMENT, fault=fault)
        return fault

    def _go_back(self, mark: _Mark, *, release: bool, fault: LfsqlError | None = None) -> None:
        engine = self.engine
        try:
            engine.execute(f"ROLLBACK TO {mark.savepoint}")
            if release:
                engine.execute(f"RELEASE {mark.savepoint}")
        except apsw.Error as error:
            fault = fault or translate(error, engine.connection, "")
            engine.rollback()
            raise BatchLost(fault) from error
        del self.statements[mark.recorded :]
        self.recorded_sets = mark.recorded_sets
        self.recorded_bytes = mark.recorded_bytes
        self.rows_changed = mark.rows_changed
        self.immediate = mark.immediate
        engine.effect.total = mark.total
        engine.notifications.back_to(mark.notified)
        engine.restore_schema(mark.schema_index)
        engine.connection.set_last_insert_rowid(mark.last_rowid)
        self.last_changes = mark.last_changes
        if self.rebuilding != mark.rebuilding:
            self.rebuilding = mark.rebuilding
            engine.enforce_foreign_keys(not mark.rebuilding)

    # -- Savepoints ----------------------------------------------------------------------------------------

    def _set_savepoint(self, name: str) -> None:
        if len(self._marks) >= SAVEPOINTS_MAX:
            raise LimitExceeded(f"more than {SAVEPOINTS_MAX} savepoints are open in one transaction")
        self.engine.execute(f"SAVEPOINT _lfsql_s{len(self._marks)}")
        self._marks.append(_Mark(name, f"_lfsql_s{len(self._marks)}", self))

    def _find(self, name: str) -> int:
        for number in range(len(self._marks) - 1, -1, -1):
            if self._marks[number].name == name:
                return number
        raise UndefinedSavepoint(f'savepoint "{name}" does not exist')

    def _release_savepoint(self, name: str) -> None:
        number = self._find(name)
        self.engine.execute(f"RELEASE _lfsql_s{number}")
        del self._marks[number:]

    def _rollback_to_savepoint(self, name: str) -> None:
        number = self._find(name)
        self.reads.close_all()
        self._go_back(self._marks[number], release=False)
        del self._marks[number + 1 :]

    # -- Row changes from the log ----------------------------------------------------------------------------

    def apply(self, statement: Statement) -> None:
        """A statement of the log, on a unit that is not protected.  Raises Diverged when a row is not as it was."""
        sql, sets = statement.sql, statement.parameter_sets
        if sql == ROWS_BEGIN:
            self._log(statement)
            self._switch_rows(True)
        elif not self._by_rows:
            self.run(Run(sql, sets[0]) if len(sets) == 1 else RunMany(sql, sets))
        elif sql == ROWS_END:
            self._log(statement)
            self._switch_rows(False)
            rows_changed, self.last_changes, last_rowid = (int(str(value)) for value in sets[0])
            self.rows_changed += rows_changed
            self.engine.connection.set_last_insert_rowid(last_rowid)
        else:
            self._apply_rows(statement)

    def _apply_rows(self, statement: Statement) -> None:
        connection = self.engine.connection
        before = connection.total_changes()
        try:
            self.engine.cursor.executemany(statement.sql, statement.parameter_sets, prepare_flags=INTERNAL)
        except Exception as error:
            raise translate(error, connection, statement.sql) from error
        found = connection.total_changes() - before
        if found != len(statement.parameter_sets) and statement.sql not in UNCOUNTED:
            raise Diverged(f"{found} of {len(statement.parameter_sets)} rows were found: {statement.sql[:200]}")
        self._log(statement)

    def _switch_rows(self, by_rows: bool) -> None:
        self._by_rows = by_rows
        if self.engine.has_consequences:
            self.engine.connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, int(not by_rows))
            self.engine.enforce_foreign_keys(not by_rows and not self.rebuilding)

    # -- Rebuilding a table --------------------------------------------------------------------------------

    def _rebuild(self, sql: str) -> Result:
        if (sql == REBUILD_BEGIN) == self.rebuilding:
            raise InvariantBroken(f"{sql}: out of turn")
        self.reads.settle()
        if sql == REBUILD_END:
            self._end_rebuild()
        else:
            self.rebuilding = True
            self.engine.enforce_foreign_keys(False)
        self._log(Statement(sql))
        return Result()

    def _end_rebuild(self) -> None:
        """Raises ForeignKeyViolation when a row breaks a key now: the rebuilding has not ended then."""
        self.engine.check_foreign_keys()
        self.rebuilding = False
        self.engine.enforce_foreign_keys(True)

    # -- The end -------------------------------------------------------------------------------------------

    def close(self, result: bytes) -> Unit:
        """Raises ForeignKeyViolation: the unit is still open then."""
        engine = self.engine
        self.reads.close_all()
        if self.rebuilding:
            self._end_rebuild()
            self._log(Statement(REBUILD_END))
        self._check_deferred()
        schema_changed = engine.schema_index != self._bottom.schema_index
        if schema_changed:
            engine.effect.add_schema(engine.connection, INTERNAL)
        effect = Effect(self.rows_changed, engine.connection.last_insert_rowid(), engine.effect.digest())
        engine.effect.stop()
        if self._protected:
            engine.execute(f"RELEASE {_UNIT}")
        return Unit(
            clock_us=self.clock_us,
            seed=self.seed,
            client=self.client,
            sequence=self.sequence,
            statements=tuple(self.statements),
            effect=effect,
            result=result,
            schema_changed=schema_changed,
            notifications=engine.notifications.found,
        )

    def _deferred_violation(self) -> LfsqlError:
        """What a deferred foreign key still misses."""
        targets = [target(statement.sql) for statement in self.statements]
        inserted = [table for verb, table in targets if verb != "DELETE"]
        changed = [table for verb, table in targets if verb != "INSERT"]
        with self.engine.stopping.beside(self.reads.are_open):
            found = find_violation(self.engine.connection, inserted, changed)
        return found or foreign_key_violation(self.statements[-1].sql if self.statements else "")

    def _check_deferred(self) -> None:
        """Raises ForeignKeyViolation."""
        if self.engine.connection.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0]:
            raise self._deferred_violation()

    def _check_immediate(self) -> None:
        if self.immediate:
            self._check_deferred()

    def abandon(self) -> None:
        """Raises BatchLost when SQLite could not keep the rest."""
        self.reads.close_all()
        self.engine.effect.stop()
        self._go_back(self._bottom, release=True)

    def drop(self) -> None:
        """The transaction is gone, or about to be: let go of what is outside of it."""
        self.reads.close_all()
        self.engine.effect.stop()
        if self.rebuilding or self._by_rows:
            self.rebuilding = False
            self._switch_rows(False)
            self.engine.enforce_foreign_keys(True)
