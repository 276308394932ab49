"""The catalogs beside the user's tables, for the statements that name both.

Readers of user tables do without catalogs, and `proxy.catalogs` does without tables: filling takes tens of
milliseconds, which neither a point read nor a script of a hundred CREATE TABLEs should spend.  So a statement that
names both gets a connection of its own: a reader of a node's file on this host, with the catalogs in memory beside
it, filled from the very snapshot it reads whenever the schema has changed since.

At most `STATEMENTS_MAX` run at a time, in threads, and one connection is kept for the next.  The rows are taken as a
whole, so that a client that reads slowly keeps neither a connection nor a snapshot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import apsw
import trio

from lfsql.core.entry import Value
from lfsql.core.ids import Index
from lfsql.core.requests import Row
from lfsql.errors import LimitExceeded, TooStale
from lfsql.storage.reader import Reader
from lfsql.storage.reads import CATALOGS, in_thread
from proxy.sql.catalog import Facts, catalog_functions, catalog_rows, create, fill, refresh
from proxy.sql.schema import Schema
from proxy.sql.schema_query import SCHEMA_QUERY, schema_from_rows

STATEMENTS_MAX: Final = 2
ROWS_BYTES_MAX: Final = 32 << 20
CHUNK_ROWS: Final = 1_000
CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Question:
    sql: str
    values: tuple[Value, ...]
    schema_index: Index
    """Of the plan."""
    facts: Facts
    run_ms_max: int
    """The longest it may run; 0: no limit."""


@dataclass(frozen=True, slots=True)
class Answer:
    index: Index
    """Where in the log the snapshot stands."""
    schema_index: Index
    """When it is not the plan's, nothing was run."""
    rows: list[Row]


class JoinedReader:
    """One connection, used by one thread at a time, `stop` apart."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError, DataCorrupted."""
        self.path = path
        self._facts = Facts()
        self._functions: dict[str, Callable[..., Value]] = {}
        self._reader = Reader(path, CATALOGS, self._fill)
        self.stop = self._reader.stop
        self.usable = True
        """Stands on no snapshot: fit for another statement."""

    def close(self) -> None:
        self._reader.close()

    def answer(self, question: Question, index_min: Index) -> Answer:
        """Raises StatementError and its kin, QueryCanceled, LimitExceeded; TooStale when it is of an older file."""
        self._facts = question.facts
        reader = self._reader
        self.usable = False
        reader.begin()
        try:
            if reader.index < index_min:
                raise TooStale(f"the file opened as {self.path} is at {reader.index}, not yet at {index_min}")
            if question.schema_index not in (-1, reader.schema_index):
                return Answer(reader.index, reader.schema_index, [])
            self._refresh(question.facts)
            rows = self._rows(question)
            return Answer(reader.index, reader.schema_index, rows)
        finally:
            reader.end()
            self.usable = True

    def _rows(self, question: Question) -> list[Row]:
        reader = self._reader
        cursor = reader.start(question.sql, question.values, question.run_ms_max)
        rows: list[Row] = []
        size = 0
        try:
            while chunk := reader.take(cursor, question.sql, CHUNK_ROWS, CHUNK_BYTES):
                rows += chunk
                size += _bytes_of(chunk)
                if size > ROWS_BYTES_MAX:
                    raise LimitExceeded(
                        f"a join of tables with the catalogs may give at most {ROWS_BYTES_MAX} bytes",
                        hint="Use LIMIT.",
                    )
        finally:
            cursor.close(True)
        return rows

    def _fill(self, connection: apsw.Connection) -> None:
        """The reader's hook: before the first use, and when the snapshot's schema is another than the last one's."""
        if not self._functions:
            create(connection)
            for name in catalog_functions(Schema(), Facts()):
                connection.create_scalar_function(name, self._dispatch(name), -1)
        schema = schema_from_rows(connection.execute(SCHEMA_QUERY).fetchall(), 0)
        fill(connection, catalog_rows(schema, self._facts))
        self._functions = catalog_functions(schema, self._facts)

    def _dispatch(self, name: str) -> Callable[..., Value]:
        """A function of SQLite that calls today's function of that name: the schema it knows changes."""

        def call(*arguments: Value) -> Value:
            return self._functions[name](*arguments)

        return call

    def _refresh(self, facts: Facts) -> None:
        connection = self._reader.connection
        connection.execute("PRAGMA query_only=OFF")
        try:
            refresh(connection, facts)
        finally:
            connection.execute("PRAGMA query_only=ON")


def _bytes_of(rows: list[Row]) -> int:
    """About how much memory the rows take."""
    return sum(len(value) if isinstance(value, str | bytes) else 8 for row in rows for value in row)


class JoinedCatalogs:
    """The statements that run now, and the connection kept for the next."""

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(STATEMENTS_MAX)
        self._kept: JoinedReader | None = None

    @property
    def kept_file(self) -> Path | None:
        """Of the connection kept: a statement on this file need not fill the catalogs again."""
        return self._kept.path if self._kept is not None else None

    async def run(
        self,
        path: Path,
        question: Question,
        index_min: Index,
    ) -> Answer:
        """The answer of the file at `path`, which stands at `index_min` or later.  Cancelled, it stops the
        statement and waits for its end.  Raises as JoinedReader."""
        async with self._limiter:
            reader, self._kept = self._kept, None
            if reader is not None and reader.path == path:
                try:
                    return await self._ask(reader, question, index_min)
                except TooStale:
                    # The node has begun a new file.  This connection was to the old one, and is closed by now.
                    reader = None
            if reader is not None:
                reader.close()
            opened = await in_thread(partial(JoinedReader, path), discard=JoinedReader.close)
            return await self._ask(opened, question, index_min)

    async def _ask(
        self,
        reader: JoinedReader,
        question: Question,
        index_min: Index,
    ) -> Answer:
        try:
            answer = await in_thread(partial(reader.answer, question, index_min), stop=reader.stop)
        except TooStale:
            reader.close()
            raise
        except BaseException:
            self._keep(reader)
            raise
        self._keep(reader)
        return answer

    def _keep(self, reader: JoinedReader) -> None:
        if reader.usable and self._kept is None:
            self._kept = reader
        else:
            reader.close()

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None
