"""Reads of this host's copy of the data, on trio.

*Inline.*  A read runs in the event loop, on a connection kept for that, under a budget of VM steps.  No hop to a
thread, no task switch: a point read costs what SQLite costs and 2 us.  What exceeds the budget gave nothing yet
and is run again in a thread.

*One snapshot for many statements.*  Taking a snapshot costs more than a point read.  So it is kept for
`snapshot_age_ms_max`, by default 1 ms, and shared by all that is read meanwhile; its age is part of the staleness
a router must count with.  A task lets go of it when nobody reads, or SQLite could not recycle its write-ahead log.

*Threads.*  A longer read takes a connection, with a snapshot of its own, and is pulled in chunks.  Only while a chunk
is read it takes one of `threads_max` threads: a cursor that nobody fetches from, or an idle transaction, keeps no
other read from running.  Connections are bounded too, by a larger number.  Whoever waits for either does so within
the statement's time, and not for ever.
A thread is never abandoned: cancelled, the statement is stopped and its end waited for, so a connection goes back
only when nobody uses it.
"""

from __future__ import annotations

import math
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
from lfsql.errors import LfsqlError, QueryCanceled, QueueFull, SerializationFailure, UndefinedCursor
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

READERS_MAX: Final = 64
"""Each is a connection: two open files, and up to two megabytes of pages."""

WAIT_S_MAX: Final = 30.0
"""How long a read waits for its turn when its statement has no limit."""

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
        threads_max: int = 8,
        readers_max: int = READERS_MAX,
        wait_s_max: float = WAIT_S_MAX,
        room_s_max: float | None = None,
    ) -> None:
        """`threads_max` reads run at a time outside of the event loop; `readers_max` are open, each on a connection.
        A read waits `wait_s_max` for one of the former, `room_s_max` for one of the latter, by default the same.

        `on_schema_change` is called with each connection before its first use and after the schema changed; it
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
        self._left = False
        self._condemned = 0
        self._fault: LfsqlError | None = None
        self._threads = Turns(threads_max, wait_s_max, "reads run")
        self._readers = Turns(
            readers_max, wait_s_max if room_s_max is None else room_s_max, "reads and READ ONLY transactions are open"
        )
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
        self._left = True  # who still reads closes his own
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

    def condemn(self, fault: LfsqlError) -> None:
        """What is read of this copy is not to be shown: cursors and transactions that are open raise `fault` from now
        on, also when the copy has been made good.  Whoever opens new ones must know by himself."""
        self._fault = fault
        self._condemned += 1
        self._reader.end()

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

    @property
    def full(self) -> bool:
        """As many reads are open as can be: what opens another waits for one to end."""
        return self._readers.full

    # -- In threads ----------------------------------------------------------------------------------------

    async def open_cursor(self, sql: str, parameters: Sequence[Value] = (), *, run_ms_max: int = 0) -> ReadCursor:
        """Run a read in a thread, on a snapshot of its own that is newer than position()'s was.

        `run_ms_max` limits each step, its wait for a thread included (0 = no limit).  Raises LfsqlError; QueueFull
        when it had no turn in time.
        """
        lease = await self._lease(run_ms_max)
        try:
            return await lease.open_cursor(sql, parameters, run_ms_max, owns=True)
        except BaseException:
            lease.close()
            raise

    async def open_transaction(self, *, wait_ms_max: int = 0) -> ReadTransaction:
        """One snapshot for many statements.  Raises LfsqlError; QueueFull when it had no turn in time."""
        return ReadTransaction(await self._lease(wait_ms_max), self._inline_limits)

    async def _lease(self, wait_ms_max: int) -> _Lease:
        owner = object()
        await self._readers.take(owner, wait_ms_max)
        try:
            # Opening a file takes longer than to be done in the event loop, beginning does not.
            reader = self._idle.pop() if self._idle else await in_thread(self._open_reader, discard=Reader.close)
            try:
                reader.begin()
            except BaseException:
                reader.close()
                raise
        except BaseException:
            self._readers.give_back(owner)
            raise
        born = self._condemned

        def fault() -> LfsqlError | None:
            return self._fault if self._condemned != born else None

        return _Lease(reader, self._threads, fault, lambda: self._take_back(reader, owner))

    def _open_reader(self) -> Reader:
        return Reader(self._path, CATALOGS, self._on_schema_change)

    def _take_back(self, reader: Reader, owner: object) -> None:
        self._readers.give_back(owner)
        try:
            reader.end()
        except BaseException:
            reader.close()
            raise
        if len(self._idle) < self._threads.count and not self._left:
            self._idle.append(reader)
        else:
            reader.close()


class Turns:
    """At most `count` at a time.  Whoever waits does so within its own time, and `wait_s_max`."""

    def __init__(self, count: int, wait_s_max: float, what: str) -> None:
        """`what`: what there are too many of, for the error."""
        self.count = count
        self._limiter = trio.CapacityLimiter(count)
        self._wait_s_max = wait_s_max
        self._what = what

    async def take(self, owner: object, wait_ms_max: int) -> None:
        """`wait_ms_max`: 0 = no limit of its own.  Raises QueryCanceled when that is over, QueueFull."""
        try:
            self._limiter.acquire_on_behalf_of_nowait(owner)
        except trio.WouldBlock:
            pass
        else:
            return
        own_limit = wait_ms_max / 1000 if wait_ms_max else math.inf
        with trio.move_on_after(min(own_limit, self._wait_s_max)):
            await self._limiter.acquire_on_behalf_of(owner)
            return
        if own_limit <= self._wait_s_max:
            raise QueryCanceled("canceling statement due to statement timeout")
        raise QueueFull(
            f"{self.count} {self._what} here already",
            hint="End transactions and close cursors that are not needed; statement_timeout ends long reads.",
        )

    @property
    def full(self) -> bool:
        return self._limiter.available_tokens <= 0

    def give_back(self, owner: object) -> None:
        self._limiter.release_on_behalf_of(owner)


class _Lease:
    """A reader on its snapshot, its cursors, and whose turn it is to use it."""

    def __init__(
        self, reader: Reader, threads: Turns, fault: Callable[[], LfsqlError | None], release: Callable[[], None]
    ) -> None:
        """`fault`: why nothing may be read of its snapshot any more."""
        self.reader = reader
        self._threads = threads
        self._fault = fault
        self._waiting: trio.CancelScope | None = None
        self.turn = trio.Lock()
        self.cursors: list[ReadCursor] = []
        self._release = release
        self._closed = False

    async def in_turn(
        self, function: Callable[[int], T], run_ms_max: int = 0, discard: Callable[[T], object] | None = None
    ) -> T:
        """Call `function` in a thread, with what is left of `run_ms_max`."""
        began = trio.current_time()
        async with self.turn:
            self._check_open()
            self.reader.allow()
            with trio.CancelScope() as scope:
                self._waiting = scope
                try:
                    await self._threads.take(self, run_ms_max)
                finally:
                    self._waiting = None
            if scope.cancel_called:
                if not scope.cancelled_caught:
                    self._threads.give_back(self)
                raise QueryCanceled("canceling statement due to user request")
            try:
                left_ms = run_ms_max and max(run_ms_max - round((trio.current_time() - began) * 1000), 1)
                given = await in_thread(lambda: function(left_ms), stop=self.reader.stop, discard=discard)
                self._check_sound()
                return given
            finally:
                self._threads.give_back(self)

    async def open_cursor(self, sql: str, parameters: Sequence[Value], run_ms_max: int, *, owns: bool) -> ReadCursor:
        cursor = await self.in_turn(
            lambda left_ms: self.reader.start(sql, parameters, left_ms),
            run_ms_max,
            discard=lambda late: late.close(True),
        )
        opened = ReadCursor(self, cursor, sql, run_ms_max, owns)
        self.cursors.append(opened)
        return opened

    def check(self) -> None:
        """Raises UndefinedCursor, or SerializationFailure: a read out of memory took the snapshot with it."""
        self._check_open()
        if not self.reader.in_snapshot:
            raise SerializationFailure(
                "the transaction's snapshot is gone with the error before", hint="Run the transaction again."
            )

    def _check_open(self) -> None:
        if self._closed:
            raise UndefinedCursor("the cursor, or its transaction, is closed")
        self._check_sound()

    def _check_sound(self) -> None:
        """Raises what condemned the copy since the snapshot was taken."""
        fault = self._fault()
        if fault is not None:
            raise fault

    def interrupt(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        elif self.turn.locked():
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
        self._lease.check()
        return self._lease.reader.try_rows(sql, parameters, *self._inline_limits)

    async def open_cursor(self, sql: str, parameters: Sequence[Value] = (), *, run_ms_max: int = 0) -> ReadCursor:
        """As LocalReads.open_cursor, on this snapshot."""
        self._lease.check()
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
        return await self._lease.in_turn(lambda _: self._lease.reader.describe(sql))

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
        return await self._lease.in_turn(
            lambda left_ms: self._fetch(rows_max or _CHUNK_ROWS, left_ms), self._run_ms_max
        )

    def _fetch(self, rows_max: int, run_ms_max: int) -> tuple[list[Row], bool]:
        cursor = self._cursor
        if cursor is None:
            raise UndefinedCursor("the cursor is closed")
        reader = self._lease.reader
        reader.limit_time(run_ms_max)
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


async def in_thread(
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
