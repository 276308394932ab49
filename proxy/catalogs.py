"""pg_catalog, information_schema and lfsql.* of one proxy worker: a connection in memory that holds nothing else.

Filled from a Schema value, so it answers for the schema a session sees, also inside a transaction that has changed
it, and costs a reader of user tables nothing.  Queries on it run in a thread, one at a time: a client's reflection
may take long, and filling it after a schema change does.  So that nobody waits for ever for another's, each has a
time and a size that it may take, whatever its client has set.

Rejected: attaching the catalogs to every reader connection.  Each would be refilled after each schema change, and a
script of a hundred CREATE TABLEs would spend its time there.  What names the user's relations too goes another way:
`proxy.joined`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import islice
from time import monotonic, time_ns
from typing import Final

import apsw
import trio

from lfsql.core.entry import Value
from lfsql.core.requests import Row
from lfsql.errors import LfsqlError, LimitExceeded, QueryCanceled
from lfsql.storage.faults import translate
from lfsql.storage.functions import register
from lfsql.storage.functions.limits import VALUE_BYTES_MAX, patience
from lfsql.storage.portal import rows_bytes
from lfsql.storage.reads import in_thread
from proxy.joined import JoinedCatalogs
from proxy.sql.catalog import ATTACHMENTS, Facts, catalog_functions, catalog_rows, create, fill, refresh
from proxy.sql.schema import Schema

STEPS_BETWEEN_CHECKS: Final = 10_000
RUN_S_MAX: Final = 30.0
ROWS_BYTES_MAX: Final = 32 << 20
_CHUNK: Final = 256


class Query:
    """One query, and when it must end."""

    def __init__(self, sql: str, values: tuple[Value, ...], run_ms_max: int) -> None:
        """`run_ms_max`: what its client allows, the wait for its turn included; 0 = no limit."""
        self.sql = sql
        self.values = values
        own_limit = run_ms_max / 1000 if run_ms_max else math.inf
        self._is_own = own_limit <= RUN_S_MAX
        self.until = monotonic() + min(own_limit, RUN_S_MAX)
        self._stopped = False

    def stop(self) -> None:
        """Have it end with QueryCanceled, from any thread."""
        self._stopped = True

    def is_stopped(self) -> bool:
        return self._stopped

    def must_end(self) -> bool:
        return self._stopped or monotonic() > self.until

    def fault(self) -> LfsqlError:
        """Why it must end."""
        if self._stopped:
            return QueryCanceled("canceling statement due to user request")
        if self._is_own:
            return QueryCanceled("canceling statement due to statement timeout")
        return LimitExceeded(f"a query of the system catalogs may take at most {RUN_S_MAX:.0f} seconds")


class Catalogs:
    def __init__(self) -> None:
        self._lock = trio.Lock()
        self._query: Query | None = None
        """What runs now."""
        self._connection: apsw.Connection | None = None
        self._schema: Schema | None = None
        self._functions: dict[str, Callable[..., Value]] = {}
        self.joined = JoinedCatalogs()

    async def run(
        self, sql: str, values: tuple[Value, ...], schema: Schema, facts: Facts, *, run_ms_max: int = 0
    ) -> list[Row]:
        """The rows of a query over catalog relations.

        Raises StatementError and its kin, QueryCanceled, LimitExceeded.  Cancelled, it stops its own query alone.
        """
        query = Query(sql, values, run_ms_max)
        with trio.move_on_after(query.until - monotonic()) as waiting:
            await self._lock.acquire()
        if waiting.cancelled_caught:
            raise query.fault()
        try:
            return await in_thread(lambda: self._run(query, schema, facts), stop=query.stop)
        finally:
            self._lock.release()

    def close(self) -> None:
        self.joined.close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, query: Query, schema: Schema, facts: Facts) -> list[Row]:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._open()
        if self._schema is not schema:
            fill(connection, catalog_rows(schema, facts))
            self._functions.clear()
            self._functions.update(catalog_functions(schema, facts))
            self._schema = schema
        else:
            refresh(connection, facts)
        self._query, patience.until, patience.stopped = query, query.until, query.is_stopped
        try:
            return self._rows(connection, query)
        except (apsw.InterruptError, QueryCanceled, TimeoutError) as error:
            if query.must_end():
                raise query.fault() from error
            raise translate(error, connection, query.sql) from error
        except apsw.Error as error:
            raise translate(error, connection, query.sql) from error
        finally:
            self._query = None
            patience.forget()

    def _rows(self, connection: apsw.Connection, query: Query) -> list[Row]:
        cursor = connection.cursor()
        rows: list[Row] = []
        size = 0
        try:
            cursor.execute(query.sql, query.values)
            while chunk := list(islice(cursor, _CHUNK)):
                rows += chunk
                size += rows_bytes(chunk)
                if size > ROWS_BYTES_MAX:
                    raise LimitExceeded(
                        f"a query of the system catalogs may give at most {ROWS_BYTES_MAX} bytes", hint="Use LIMIT."
                    )
        finally:
            cursor.close(True)
        return rows

    def _open(self) -> apsw.Connection:
        connection = apsw.Connection(
            "", flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
        )
        register(connection, lambda: time_ns() // 1000)
        connection.limit(apsw.SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX)
        for attachment in ATTACHMENTS:
            connection.execute(attachment)
        create(connection)
        for name in catalog_functions(Schema(), Facts()):
            connection.create_scalar_function(name, self._dispatch(name), -1)
        connection.set_progress_handler(self._must_end, STEPS_BETWEEN_CHECKS)
        return connection

    def _dispatch(self, name: str) -> Callable[..., Value]:
        """A function of SQLite that calls today's function of that name: the schema it knows changes."""

        def call(*arguments: Value) -> Value:
            return self._functions[name](*arguments)

        return call

    def _must_end(self) -> bool:
        return self._query is not None and self._query.must_end()
