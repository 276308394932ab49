"""Reads of this host's copy of the data, on trio.

*Inline.*  A read runs in the event loop, on a connection kept for that, under a budget of VM steps.  No hop to a
thread, no task switch: a point read costs what SQLite costs and 2 us.  What exceeds the budget gave nothing yet
and is run again in a thread.

*One snapshot for many statements.*  Taking a snapshot costs more than a point read.  So it is kept for
`snapshot_age_ms_max`, by default 1 ms, and shared by all that is read meanwhile; its age is part of the staleness
a router must count with.  A task lets go of it when nobody reads, or SQLite could not recycle its write-ahead log.

*Threads.*  A longer read takes one of `readers_max` connections, with a snapshot of its own, and is pulled in
chunks.  Its thread is never abandoned: cancelled, the statement is stopped and its end waited for, so a connection
goes back only when nobody uses it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar

import trio

from lfsql.core.entry import Value
from lfsql.core.ids import Index
from lfsql.core.requests import Row
from lfsql.errors import LfsqlError, UndefinedCursor
from lfsql.storage.inspection import Described
from lfsql.storage.reader import STEPS_A_TICK, Reader, SchemaHook

if TYPE_CHECKING:
    import apsw

__all__ = ["CATALOGS", "Described", "LocalReads", "ReadCursor", "ReadTransaction", "SchemaHook"]

T = TypeVar("T")

CATALOGS: Final = ("pg_catalog", "information_schema", "lfsql")
"""Databases attached, empty, in memory, to each connection, for the schema hook to fill."""

CHUNK_BYTES_MAX: Final = 1 << 20
"""After that a chunk ends, however few rows it has."""

_CHUNK_ROWS: Final = 10_000
_IDLE_S: Final = 0.005


class LocalReads:
    """`async with LocalReads(path) as reads`.  Opening raises ConfigError, DataCorrupted."""

    def __init__(
        self,
        path: str | Path,
        *,
        on_schema_change: SchemaHook | None = None,
        snapshot_age_ms_max: float = 1.0,
        steps_inline_max: int = 40_000,
        rows_inline_max: int = 500,
        bytes_inline_max: int = 1 << 20,
        readers_max: int = 8,
    ) -> None:
        """`on_schema_change` is called with each connection before its first use and after the schema changed; it
        may write the attached databases named in CATALOGS, and must be quick: it runs in the event loop too."""
        self._path = path
        self._on_schema_change = on_schema_change
        self._age_max = snapshot_age_ms_max / 1000
        self._inline_limits = (steps_inline_max // STEPS_A_TICK + 2, rows_inline_max, bytes_inline_max)
        self._reader = Reader(path, CATALOGS, on_schema_change)
        self._taken = 0.0
        self._position: tuple[Index, Index] = (0, 0)
        self._snapshot_open = trio.Event()
        self._idle: list[Reader] = []
        self._slots = trio.CapacityLimiter(readers_max)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> LocalReads:
        nursery = await self._stack.enter_async_context(trio.open_nursery())
        self._stack.callback(nursery.cancel_scope.cancel)
        nursery.start_soon(self._release_when_idle)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The error passes by itself: through the nursery it would come out as a group.
        await self._stack.aclose()
        self._reader.close()
        for reader in self._idle:
            reader.close()
        self._idle.clear()

    # -- Inline --------------------------------------------------------------------------------------------

    def position(self) -> tuple[Index, Index]:
        """(index, schema_index) of the inline snapshot, renewed when it is older than snapshot_age_ms_max.

        A try_inline with no await in between runs on exactly this snapshot.
        """
        if not self._reader.in_snapshot or time.monotonic() - self._taken > self._age_max:
            return self.refresh()
        return self._position

    def refresh(self) -> tuple[Index, Index]:
        """position() on a snapshot taken now, for a read that needs a newer index."""
        reader = self._reader
        reader.end()
        self._taken = time.monotonic()
        reader.begin()
        self._position = (reader.index, reader.schema_index)
        if not self._snapshot_open.is_set():
            self._snapshot_open.set()
        return self._position

    def try_inline(self, sql: str, parameters: Sequence[Value] = ()) -> list[Row] | None:
        """All rows, or None when over the budget: nothing was returned, use open_cursor.

        Raises LfsqlError; ReadOnlyTransaction, before any effect, for what would write.
        """
        reader = self._reader
        if not reader.in_snapshot:
            self.refresh()
        return reader.try_rows(sql, parameters, *self._inline_limits)

    def describe(self, sql: str) -> Described:
        """Columns, number of parameters and kind of a statement, without running it."""
        if not self._reader.in_snapshot:
            self.refresh()
        return self._reader.describe(sql)

    async def _release_when_idle(self) -> None:
        while True:
            await self._snapshot_open.wait()
            await trio.sleep(_IDLE_S)
            if time.monotonic() - self._taken >= _IDLE_S:
                self._reader.end()
                self._snapshot_open = trio.Event()

    # -- In threads ----------------------------------------------------------------------------------------

    async def open_cursor(self, sql: str, parameters: Sequence[Value] = (), *, run_ms_max: int = 0) -> ReadCursor:
        """Run a read in a thread, on a snapshot of its own that is newer than position()'s was.

        Waits while `readers_max` reads are open.  `run_ms_max` limits each step (0 = no limit).  Raises LfsqlError.
        """
        lease = await self._lease()
        try:
            return await lease.open_cursor(sql, parameters, run_ms_max, owns=True)
        except BaseException:
            lease.close()
            raise

    async def open_transaction(self) -> ReadTransaction:
        """One snapshot for many statements.  Waits while `readers_max` reads are open."""
        return ReadTransaction(await self._lease(), self._inline_limits)

    async def _lease(self) -> _Lease:
        owner = object()
        await self._slots.acquire_on_behalf_of(owner)
        try:
            # Opening a file takes longer than to be done in the event loop, beginning does not.
            reader = self._idle.pop() if self._idle else await _in_thread(self._open_reader, discard=Reader.close)
            try:
                reader.begin()
            except BaseException:
                reader.close()
                raise
        except BaseException:
            self._slots.release_on_behalf_of(owner)
            raise
        return _Lease(reader, lambda: self._take_back(reader, owner))

    def _open_reader(self) -> Reader:
        return Reader(self._path, CATALOGS, self._on_schema_change)

    def _take_back(self, reader: Reader, owner: object) -> None:
        self._slots.release_on_behalf_of(owner)
        try:
            reader.end()
        except BaseException:
            reader.close()
            raise
        self._idle.append(reader)


class _Lease:
    """A reader on its snapshot, its cursors, and whose turn it is to use it."""

    def __init__(self, reader: Reader, release: Callable[[], None]) -> None:
        self.reader = reader
        self.turn = trio.Lock()
        self.cursors: list[ReadCursor] = []
        self._release = release
        self._closed = False

    async def in_turn(self, function: Callable[[], T], discard: Callable[[T], object] | None = None) -> T:
        async with self.turn:
            if self._closed:
                raise UndefinedCursor("the cursor, or its transaction, is closed")
            self.reader.allow()
            return await _in_thread(function, stop=self.reader.stop, discard=discard)

    async def open_cursor(self, sql: str, parameters: Sequence[Value], run_ms_max: int, *, owns: bool) -> ReadCursor:
        cursor = await self.in_turn(
            lambda: self.reader.start(sql, parameters, run_ms_max), discard=lambda late: late.close(True)
        )
        opened = ReadCursor(self, cursor, sql, run_ms_max, owns)
        self.cursors.append(opened)
        return opened

    def interrupt(self) -> None:
        if self.turn.locked():
            self.reader.stop()

    async def aclose(self, close: Callable[[], None]) -> None:
        """Stop what runs, wait for its end, close."""
        self.interrupt()
        with trio.CancelScope(shield=True):
            async with self.turn:
                close()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            for cursor in self.cursors:
                cursor.drop()
            self.cursors.clear()
            self._release()


class ReadTransaction:
    """Many statements on one snapshot.  Must be closed, which closes its cursors."""

    def __init__(self, lease: _Lease, inline_limits: tuple[int, int, int]) -> None:
        self.index: Index = lease.reader.index
        self.schema_index: Index = lease.reader.schema_index
        self._lease = lease
        self._inline_limits = inline_limits

    def try_inline(self, sql: str, parameters: Sequence[Value] = ()) -> list[Row] | None:
        """As LocalReads.try_inline, on this snapshot; None also while another statement of it runs."""
        if self._lease.turn.locked():
            return None
        return self._lease.reader.try_rows(sql, parameters, *self._inline_limits)

    async def open_cursor(self, sql: str, parameters: Sequence[Value] = (), *, run_ms_max: int = 0) -> ReadCursor:
        """As LocalReads.open_cursor, on this snapshot."""
        return await self._lease.open_cursor(sql, parameters, run_ms_max, owns=False)

    async def run(self, sql: str, parameters: Sequence[Value] = ()) -> list[Row]:
        """All rows at once: for results known to be small."""
        cursor = await self.open_cursor(sql, parameters)
        try:
            rows, more = await cursor.fetch()
            while more:
                further, more = await cursor.fetch()
                rows += further
        finally:
            await cursor.aclose()
        return rows

    async def describe(self, sql: str) -> Described:
        """As LocalReads.describe."""
        return await self._lease.in_turn(lambda: self._lease.reader.describe(sql))

    def interrupt(self) -> None:
        """Stop the statement that runs: it raises QueryCanceled.  Without one nothing happens."""
        self._lease.interrupt()

    async def aclose(self) -> None:
        """Stops a statement that still runs, and waits for its end."""
        await self._lease.aclose(self._lease.close)


class ReadCursor:
    """Rows of one statement on one snapshot, pulled in chunks.  Must be closed."""

    def __init__(self, lease: _Lease, cursor: apsw.Cursor, sql: str, run_ms_max: int, owns: bool) -> None:
        """`owns`: closing it ends the lease."""
        self.index: Index = lease.reader.index
        self.schema_index: Index = lease.reader.schema_index
        self._lease = lease
        self._cursor: apsw.Cursor | None = cursor
        self._sql = sql
        self._run_ms_max = run_ms_max
        self._owns = owns
        self._ahead: list[Row] = []
        """At most one row, which tells whether more follow."""

    async def fetch(self, rows_max: int = 0) -> tuple[list[Row], bool]:
        """At most `rows_max` rows (0: as many as a chunk holds), and whether more follow.

        A chunk may end before `rows_max` with more to follow: CHUNK_BYTES_MAX.  Raises LfsqlError.
        """
        return await self._lease.in_turn(lambda: self._fetch(rows_max or _CHUNK_ROWS))

    def _fetch(self, rows_max: int) -> tuple[list[Row], bool]:
        cursor = self._cursor
        if cursor is None:
            raise UndefinedCursor("the cursor is closed")
        reader = self._lease.reader
        reader.limit_time(self._run_ms_max)
        rows, self._ahead = self._ahead, []
        rows += reader.take(cursor, self._sql, rows_max - len(rows), CHUNK_BYTES_MAX)
        self._ahead = reader.take(cursor, self._sql, 1, 1)
        return rows, bool(self._ahead)

    def interrupt(self) -> None:
        """Stop a fetch that runs: it raises QueryCanceled.  From any task."""
        self._lease.interrupt()

    async def aclose(self) -> None:
        """Stops a fetch that still runs, and waits for its end."""
        await self._lease.aclose(self._lease.close if self._owns else self._leave)

    def _leave(self) -> None:
        self.drop()
        if self in self._lease.cursors:
            self._lease.cursors.remove(self)

    def drop(self) -> None:
        """The lease's part of closing."""
        if self._cursor is not None:
            self._cursor.close(True)
            self._cursor = None
        self._ahead = []


async def _in_thread(
    function: Callable[[], T],
    *,
    stop: Callable[[], None] | None = None,
    discard: Callable[[T], object] | None = None,
) -> T:
    """Cancelled, stops the work, waits for the thread all the same, and discards a result that came."""
    token = trio.lowlevel.current_trio_token()
    finished = trio.Event()
    answers: list[Any] = []

    def deliver(answer: Any) -> None:  # outcome.Outcome, as trio gives it
        answers.append(answer)
        token.run_sync_soon(finished.set)

    await trio.lowlevel.checkpoint_if_cancelled()
    trio.lowlevel.start_thread_soon(function, deliver)
    try:
        await finished.wait()
    except trio.Cancelled:
        if stop is not None:
            stop()
        with trio.CancelScope(shield=True):
            await finished.wait()
        if discard is not None:
            with suppress(LfsqlError):  # it failed, most likely because it was stopped: nothing to discard
                discard(answers[0].unwrap())
        raise
    result: T = answers[0].unwrap()
    return result
