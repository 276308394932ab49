"""What an open unit reads: results within a limit, and cursors left open on queries.

Portals are such cursors.  SQLite does not define what an open cursor sees of later changes, and PostgreSQL says:
nothing.  So before anything is written the open ones are read to their end, within a limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import apsw

from lfsql.core.requests import Result, Row, Run
from lfsql.errors import DuplicateCursor, InvariantBroken, LfsqlError, LimitExceeded, UndefinedCursor
from lfsql.storage.faults import translate
from lfsql.storage.portal import Portal, collect, in_chunks, rows_bytes

if TYPE_CHECKING:
    from lfsql.storage.engine import Engine

RESULT_BYTES_MAX: Final = 64 << 20
"""Of the rows that one Submit gives, and of what open portals hold together."""

PORTALS_MAX: Final = 200

_ALL: Final = 1 << 62


class BatchLost(Exception):
    """SQLite rolled the whole transaction back, every unit since begin() with it.

    The engine stands as before begin(): the writer runs the survivors again.  `fault`, also the __cause__,
    belongs to the unit that was open.  Never seen by a client.
    """

    def __init__(self, fault: LfsqlError) -> None:
        super().__init__(str(fault))
        self.fault = fault


class UnitReads:
    """Of one unit.  `limited`: on behalf of a client, not while applying."""

    def __init__(self, engine: Engine, seed: int, *, limited: bool) -> None:
        self._engine = engine
        self._seed = seed
        self._results_left = RESULT_BYTES_MAX if limited else _ALL
        self._done = 0
        """Reads that drew random numbers: the next one draws others."""
        self._portals: dict[int, Portal] = {}

    def read(self, operation: Run, logged: int) -> Result:
        """`logged`: how many parameter sets the unit has logged so far."""
        engine = self._engine
        engine.random.restart(self._seed, logged, self._done + 1)
        changes = engine.connection.total_changes()
        if operation.portal:
            cursor = engine.connection.cursor()
            portal = self._open(operation.portal, Portal(operation.sql, cursor, 0))
            try:
                with engine.stopping.beside(True):
                    cursor.execute(operation.sql, operation.parameters)
            except Exception as error:
                del self._portals[operation.portal]
                raise self._failed(error, operation.sql) from error
            portal.random_state = engine.random.save()
            self._done += 1
            return self.fetch(operation.portal, operation.rows_max)
        try:
            with engine.stopping.beside(self.are_open):
                engine.cursor.execute(operation.sql, operation.parameters)
                rows = self.collect(engine.cursor)
        except Exception as error:
            raise self._failed(error, operation.sql) from error
        self._done += engine.random.drawn
        if engine.connection.total_changes() != changes:
            raise InvariantBroken(f"a statement taken for a read changed rows: {operation.sql[:200]}")
        return Result(tuple(rows))

    def collect(self, cursor: apsw.Cursor) -> list[Row]:
        """All rows of a statement that runs, within what its Submit may still give."""
        return collect(cursor, self._give)

    def restart_results(self) -> None:
        """A Submit begins: what it may give is counted anew."""
        self._results_left = RESULT_BYTES_MAX

    def keep(self, number: int, rows: list[Row], rows_max: int, changed: int) -> Result:
        """The first `rows_max` of rows that a statement has given; the others wait under the portal's number."""
        portal = self._open(number, Portal("", None, 0))
        portal.rows = rows
        return Result(_take(portal, rows_max), changed, more=True)

    def fetch(self, number: int, rows_max: int) -> Result:
        """Raises UndefinedCursor, LimitExceeded."""
        portal = self._portals.get(number)
        if portal is None:
            raise UndefinedCursor(f"portal {number} does not exist")
        wanted = rows_max or _ALL
        if portal.cursor is not None and len(portal.rows) <= wanted:
            # One more than wanted tells whether more follow.
            self._read_ahead(portal, wanted + 1, RESULT_BYTES_MAX)
        rows = _take(portal, wanted)
        self._give(rows_bytes(rows))
        return Result(rows, 0, more=bool(portal.rows))

    @property
    def are_open(self) -> bool:
        """There are portals whose queries have not come to their end."""
        return any(portal.cursor is not None for portal in self._portals.values())

    def settle(self) -> None:
        """Before a write: what open portals still have to give is read now."""
        left = RESULT_BYTES_MAX
        for portal in self._portals.values():
            left -= self._read_ahead(portal, _ALL, left)

    def close(self, number: int) -> None:
        portal = self._portals.pop(number, None)
        if portal is not None:
            portal.close()

    def close_all(self) -> None:
        for portal in self._portals.values():
            portal.close()
        self._portals.clear()

    # -- Inside --------------------------------------------------------------------------------------------

    def _open(self, number: int, portal: Portal) -> Portal:
        if number in self._portals:
            raise DuplicateCursor(f"portal {number} is open already")
        if len(self._portals) >= PORTALS_MAX:
            raise LimitExceeded(f"more than {PORTALS_MAX} cursors are open in one transaction")
        self._portals[number] = portal
        return portal

    def _read_ahead(self, portal: Portal, rows_wanted: int, bytes_max: int) -> int:
        """Read until `rows_wanted` rows are held or no more follow; returns the bytes read."""
        cursor = portal.cursor
        if cursor is None:
            return 0
        random = self._engine.random
        random.resume(portal.random_state)
        size = 0
        try:
            with self._engine.stopping.beside(True):
                for chunk, chunk_size in in_chunks(cursor, rows_wanted - len(portal.rows)):
                    portal.rows += chunk
                    size += chunk_size
                    if size > bytes_max:
                        raise LimitExceeded(
                            f"the result takes more than {bytes_max} bytes", hint="Fetch fewer rows at a time."
                        )
        except Exception as error:
            portal.close()
            raise self._failed(error, portal.sql) from error
        portal.random_state = random.save()
        if len(portal.rows) < rows_wanted:
            portal.close()
        return size

    def _give(self, size: int) -> None:
        self._results_left -= size
        if self._results_left < 0:
            what = f"the results of what is sent together take more than {RESULT_BYTES_MAX} bytes"
            raise LimitExceeded(what, hint="Use LIMIT, or read outside of the transaction.")

    def _failed(self, error: Exception, sql: str) -> LfsqlError:
        self._engine.let_go()
        fault = translate(error, self._engine.connection, sql)
        if not self._engine.connection.in_transaction:
            self._engine.lost()
            raise BatchLost(fault) from error
        return fault


def _take(portal: Portal, rows_max: int) -> tuple[Row, ...]:
    rows = tuple(portal.rows[:rows_max])
    del portal.rows[:rows_max]
    return rows
