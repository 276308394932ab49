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

Portals are cursors left open on reads.  SQLite does not define what an open cursor sees of later changes, and
PostgreSQL says: nothing.  So before anything is written the open ones are read to their end, within a limit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
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
    DuplicateCursor,
    IntegrityViolation,
    InvariantBroken,
    LfsqlError,
    LimitExceeded,
    ProtocolViolation,
    UndefinedCursor,
    UndefinedSavepoint,
)
from lfsql.storage.authorizer import INTERNAL
from lfsql.storage.faults import foreign_key_violation, target, translate
from lfsql.storage.foreign_keys import find_violation
from lfsql.storage.inspection import Inspected
from lfsql.storage.portal import Portal, collect, in_chunks, rows_bytes
from lfsql.storage.rerun import Rerun
from lfsql.storage.violations import explain

if TYPE_CHECKING:
    from lfsql.storage.engine import Engine

RESULT_BYTES_MAX: Final = 64 << 20
"""Of the rows that one Submit gives, and of what open portals hold together."""

SAVEPOINTS_MAX: Final = 1_000
PORTALS_MAX: Final = 200

EXPLAINED_S_MAX: Final = 0.25
"""A statement that ran longer before it violated a constraint is not run again to find the row."""

REBUILD_BEGIN: Final = "PRAGMA lfsql_rebuild=begin"
REBUILD_END: Final = "PRAGMA lfsql_rebuild=end"

_UNIT: Final = "_lfsql_unit"
_STATEMENT: Final = "_lfsql_statement"
_FLUSH: Final = "_lfsql_flush"
_ALL: Final = 1 << 62


class BatchLost(Exception):
    """SQLite rolled the whole transaction back, every unit since begin() with it.

    The engine stands as before begin(): the writer runs the survivors again.  `fault`, also the __cause__,
    belongs to the unit that was open.  Never seen by a client.
    """

    def __init__(self, fault: LfsqlError) -> None:
        super().__init__(str(fault))
        self.fault = fault


class _Mark:
    """What a rollback to this point restores beside SQLite's own."""

    def __init__(self, name: str, savepoint: str, unit: OpenUnit) -> None:
        self.name = name
        """The client's name for it, '' for ours."""
        self.savepoint = savepoint
        """SQLite's name for it."""
        self.recorded = len(unit.statements)
        self.recorded_bytes = unit.recorded_bytes
        self.rows_changed = unit.rows_changed
        self.rebuilding = unit.rebuilding
        self.schema_index = unit.engine.schema_index
        self.total = unit.engine.effect.total
        self.last_changes = unit.last_changes
        self.last_rowid = unit.engine.connection.last_insert_rowid()


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
        self.recorded_bytes = 0
        self.rows_changed = 0
        self.last_changes = 0
        """What changes() gives: rows the newest logged statement changed itself."""
        self.rebuilding = False
        self._results_left = RESULT_BYTES_MAX if protected else _ALL
        self._reads = 0
        self._portals: dict[int, Portal] = {}
        engine.clock.clock_us = clock_us
        engine.connection.set_last_insert_rowid(0)
        engine.effect.restart()
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
            return self._fetch(operation.portal, operation.rows_max)
        if type(operation) is ClosePortal:
            portal = self._portals.pop(operation.portal, None)
            if portal is not None:
                portal.close()
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
        inspected = self.engine.inspect(sql)
        if not inspected.writes:
            return self._read(operation)
        rows, changed = self._write(sql, (operation.parameters,), inspected)
        if operation.portal and operation.rows_max and len(rows) > operation.rows_max:
            portal = self._open_portal(operation.portal, Portal(sql, None, 0))
            portal.rows = rows
            return Result(self._take(portal, operation.rows_max), changed, more=True)
        return Result(tuple(rows), changed)

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
        if self._portals:
            self._settle_portals()
        newest = self._marks[-1] if self._marks else self._bottom
        guarded = self._protected and len(self.statements) > newest.recorded
        mark = _Mark("", _STATEMENT, self) if guarded else newest
        if guarded:
            engine.execute(f"SAVEPOINT {_STATEMENT}")
        self._restart_random()
        before = connection.total_changes()
        waiting = iter(sets)
        began = time.monotonic()
        try:
            cursor = engine.cursor
            if len(sets) == 1:
                cursor.execute(sql, next(waiting))
                rows = self._collect(cursor)
                changed = connection.changes() if connection.total_changes() != before else 0
            else:
                rows, changed = self._execute_many(sql, waiting, inspected, before)
            if engine.has_virtual_tables:
                engine.execute(f"SAVEPOINT {_FLUSH}")
                engine.execute(f"RELEASE {_FLUSH}")
            self._record(Statement(sql, sets))
        except Exception as error:
            quick = time.monotonic() - began < EXPLAINED_S_MAX
            failed = sets[len(sets) - length_hint(waiting) - 1]
            raise self._undo(error, Statement(sql, (failed,)), mark, explained=quick) from error
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
        if not inspected.indirect and sql.lstrip()[:6].upper() == "INSERT":
            engine.cursor.executemany(sql, waiting)
            return self._collect(engine.cursor), connection.total_changes() - before
        # total_changes() would count what triggers and foreign key actions change too.
        changed = 0
        for parameters in waiting:
            earlier = connection.total_changes()
            engine.cursor.execute(sql, parameters).fetchall()
            if connection.total_changes() != earlier:
                changed += connection.changes()
        return [], changed

    def _restart_random(self) -> None:
        self.engine.random.restart(self.seed, len(self.statements))

    def _record(self, statement: Statement) -> None:
        self.recorded_bytes += len(statement.sql) + rows_bytes(statement.parameter_sets)
        if self.recorded_bytes > self.engine.unit_bytes_max:
            raise LimitExceeded(
                f"a transaction's statements take more than {self.engine.unit_bytes_max} bytes",
                hint="Commit in between.",
            )
        self.statements.append(statement)

    def _undo(self, error: Exception, statement: Statement, mark: _Mark, *, explained: bool) -> LfsqlError:
        """Take the failed statement back.  Raises BatchLost when SQLite took back more."""
        engine = self.engine
        fault = translate(error, engine.connection, statement.sql)
        # Looking for the row rolls a schema change back, which virtual tables with open changes do not like.
        looked_for = explained and self._protected and not engine.has_virtual_tables
        if looked_for and isinstance(fault, IntegrityViolation) and engine.connection.in_transaction:
            fault = explain(fault, error, Rerun(engine.connection, statement, self._restart_random))
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
        self.recorded_bytes = mark.recorded_bytes
        self.rows_changed = mark.rows_changed
        engine.effect.total = mark.total
        engine.restore_schema(mark.schema_index)
        engine.connection.set_last_insert_rowid(mark.last_rowid)
        self.last_changes = mark.last_changes
        if self.rebuilding != mark.rebuilding:
            self.rebuilding = mark.rebuilding
            engine.enforce_foreign_keys(not mark.rebuilding)

    # -- Reading -------------------------------------------------------------------------------------------

    def _read(self, operation: Run) -> Result:
        engine = self.engine
        engine.random.restart(self.seed, len(self.statements), self._reads + 1)
        changes = engine.connection.total_changes()
        if operation.portal:
            cursor = engine.connection.cursor()
            portal = self._open_portal(operation.portal, Portal(operation.sql, cursor, 0))
            try:
                cursor.execute(operation.sql, operation.parameters)
            except Exception as error:
                del self._portals[operation.portal]
                raise self._read_failed(error, operation.sql) from error
            portal.random_state = engine.random.save()
            self._reads += 1
            return self._fetch(operation.portal, operation.rows_max)
        try:
            engine.cursor.execute(operation.sql, operation.parameters)
            rows = self._collect(engine.cursor)
        except Exception as error:
            raise self._read_failed(error, operation.sql) from error
        self._reads += engine.random.drawn
        if engine.connection.total_changes() != changes:
            raise InvariantBroken(f"a statement taken for a read changed rows: {operation.sql[:200]}")
        return Result(tuple(rows))

    def _read_failed(self, error: Exception, sql: str) -> LfsqlError:
        fault = translate(error, self.engine.connection, sql)
        if not self.engine.connection.in_transaction:
            self.engine.lost()
            raise BatchLost(fault) from error
        return fault

    def _collect(self, cursor: apsw.Cursor) -> list[Row]:
        """All rows of a statement that runs, within what its Submit may still give."""
        return collect(cursor, self._give)

    def restart_results(self) -> None:
        """A Submit begins: what it may give is counted anew."""
        self._results_left = RESULT_BYTES_MAX

    def _give(self, size: int) -> None:
        self._results_left -= size
        if self._results_left < 0:
            what = f"the results of what is sent together take more than {RESULT_BYTES_MAX} bytes"
            raise LimitExceeded(what, hint="Use LIMIT, or read outside of the transaction.")

    # -- Portals -------------------------------------------------------------------------------------------

    def _open_portal(self, number: int, portal: Portal) -> Portal:
        if number in self._portals:
            raise DuplicateCursor(f"portal {number} is open already")
        if len(self._portals) >= PORTALS_MAX:
            raise LimitExceeded(f"more than {PORTALS_MAX} cursors are open in one transaction")
        self._portals[number] = portal
        return portal

    def _fetch(self, number: int, rows_max: int) -> Result:
        portal = self._portals.get(number)
        if portal is None:
            raise UndefinedCursor(f"portal {number} does not exist")
        wanted = rows_max or _ALL
        if portal.cursor is not None and len(portal.rows) <= wanted:
            # One more than wanted tells whether more follow.
            self._read_ahead(portal, wanted + 1, RESULT_BYTES_MAX)
        rows = self._take(portal, wanted)
        self._give(rows_bytes(rows))
        return Result(rows, 0, more=bool(portal.rows))

    def _take(self, portal: Portal, rows_max: int) -> tuple[Row, ...]:
        rows = tuple(portal.rows[:rows_max])
        del portal.rows[:rows_max]
        return rows

    def _read_ahead(self, portal: Portal, rows_wanted: int, bytes_max: int) -> int:
        """Read until `rows_wanted` rows are held or no more follow; returns the bytes read."""
        cursor = portal.cursor
        if cursor is None:
            return 0
        random = self.engine.random
        random.resume(portal.random_state)
        size = 0
        try:
            for chunk, chunk_size in in_chunks(cursor, rows_wanted - len(portal.rows)):
                portal.rows += chunk
                size += chunk_size
                if size > bytes_max:
                    raise LimitExceeded(
                        f"the result takes more than {bytes_max} bytes", hint="Fetch fewer rows at a time."
                    )
        except Exception as error:
            portal.close()
            raise self._read_failed(error, portal.sql) from error
        portal.random_state = random.save()
        if len(portal.rows) < rows_wanted:
            portal.close()
        return size

    def _settle_portals(self) -> None:
        """Before a write: what open portals still have to give is read now."""
        left = RESULT_BYTES_MAX
        for portal in self._portals.values():
            left -= self._read_ahead(portal, _ALL, left)

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
        self._close_portals()
        self._go_back(self._marks[number], release=False)
        del self._marks[number + 1 :]

    # -- Rebuilding a table --------------------------------------------------------------------------------

    def _rebuild(self, sql: str) -> Result:
        if (sql == REBUILD_BEGIN) == self.rebuilding:
            raise InvariantBroken(f"{sql}: out of turn")
        if self._portals:
            self._settle_portals()
        if sql == REBUILD_END:
            self._end_rebuild()
        else:
            self.rebuilding = True
            self.engine.enforce_foreign_keys(False)
        self.statements.append(Statement(sql))
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
        self._close_portals()
        if self.rebuilding:
            self._end_rebuild()
            self.statements.append(Statement(REBUILD_END))
        if engine.connection.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0]:
            raise self._deferred_violation()
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
        )

    def _deferred_violation(self) -> LfsqlError:
        """What a deferred foreign key still misses."""
        targets = [target(statement.sql) for statement in self.statements]
        inserted = [table for verb, table in targets if verb != "DELETE"]
        changed = [table for verb, table in targets if verb != "INSERT"]
        found = find_violation(self.engine.connection, inserted, changed)
        return found or foreign_key_violation(self.statements[-1].sql if self.statements else "")

    def abandon(self) -> None:
        """Raises BatchLost when SQLite could not keep the rest."""
        self._close_portals()
        self.engine.effect.stop()
        self._go_back(self._bottom, release=True)

    def drop(self) -> None:
        """The transaction is gone, or about to be: let go of what is outside of it."""
        self._close_portals()
        self.engine.effect.stop()
        if self.rebuilding:
            self.rebuilding = False
            self.engine.enforce_foreign_keys(True)

    def _close_portals(self) -> None:
        for portal in self._portals.values():
            portal.close()
        self._portals.clear()
