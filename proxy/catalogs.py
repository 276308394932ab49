"""pg_catalog, information_schema and lfsql.* of one proxy worker: a connection in memory that holds nothing else.

Filled from a Schema value, so it answers for the schema a session sees, also inside a transaction that has changed
it, and costs a reader of user tables nothing.  Queries on it run in a thread, one at a time: a client's reflection
may take long, and filling it after a schema change does.

Rejected: attaching the catalogs to every reader connection.  Each would be refilled after each schema change, and a
script of a hundred CREATE TABLEs would spend its time there.  What names the user's relations too goes another way:
`proxy.joined`.
"""

from __future__ import annotations

from collections.abc import Callable
from time import time_ns
from typing import Final

import apsw
import trio

from lfsql.core.entry import Value
from lfsql.core.requests import Row
from lfsql.errors import LimitExceeded
from lfsql.storage.faults import translate
from lfsql.storage.functions import register
from proxy.joined import JoinedCatalogs
from proxy.sql.catalog import ATTACHMENTS, Facts, catalog_functions, catalog_rows, create, fill, refresh
from proxy.sql.schema import Schema

STEPS_BETWEEN_CHECKS: Final = 10_000
STEPS_MAX: Final = 200_000_000
"""SQLite VM steps of one catalog query, some tens of seconds: past it the query is cancelled."""


class Catalogs:
    def __init__(self) -> None:
        self._lock = trio.Lock()
        self._limiter = trio.CapacityLimiter(1)
        self._connection: apsw.Connection | None = None
        self._schema: Schema | None = None
        self._functions: dict[str, Callable[..., Value]] = {}
        self._steps = 0
        self.joined = JoinedCatalogs()

    async def run(self, sql: str, values: tuple[Value, ...], schema: Schema, facts: Facts) -> list[Row]:
        """The rows of a query over catalog relations.  Raises StatementError and its kin, QueryCanceled."""
        async with self._lock:
            return await trio.to_thread.run_sync(
                self._run, sql, values, schema, facts, limiter=self._limiter, abandon_on_cancel=False
            )

    def interrupt(self) -> None:
        """Stop the query that runs."""
        if self._connection is not None:
            self._connection.interrupt()

    def close(self) -> None:
        self.joined.close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, sql: str, values: tuple[Value, ...], schema: Schema, facts: Facts) -> list[Row]:
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
        self._steps = 0
        try:
            return connection.execute(sql, values).fetchall()
        except apsw.InterruptError as error:
            if self._steps > STEPS_MAX:
                raise LimitExceeded(f"the catalog query took more than {STEPS_MAX} steps") from error
            raise translate(error, connection, sql) from error
        except apsw.Error as error:
            raise translate(error, connection, sql) from error

    def _open(self) -> apsw.Connection:
        connection = apsw.Connection(
            "", flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
        )
        register(connection, lambda: time_ns() // 1000)
        for attachment in ATTACHMENTS:
            connection.execute(attachment)
        create(connection)
        for name in catalog_functions(Schema(), Facts()):
            connection.create_scalar_function(name, self._dispatch(name), -1)
        connection.set_progress_handler(self._check, STEPS_BETWEEN_CHECKS)
        return connection

    def _dispatch(self, name: str) -> Callable[..., Value]:
        """A function of SQLite that calls today's function of that name: the schema it knows changes."""

        def call(*arguments: Value) -> Value:
            return self._functions[name](*arguments)

        return call

    def _check(self) -> bool:
        self._steps += STEPS_BETWEEN_CHECKS
        return self._steps > STEPS_MAX
