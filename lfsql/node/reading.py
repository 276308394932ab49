"""Reads over the link: Read, ReadMore, ReadClose and Describe, on this node's own copy.

A read that fits the budget of an inline read is answered where it arrives, without a task.  Others get a task, a
reader's thread and a cursor, from which the asker pulls chunk by chunk: what a slow client has not asked for is never
read, let alone kept.  Cursors are bounded in number, and die with their link.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import trio

from lfsql.config import NodeLimits
from lfsql.core.ids import Index
from lfsql.core.requests import Describe, Described, Read, ReadMore, Row, Rows
from lfsql.errors import LfsqlError, QueryCanceled, QueueFull, TooStale, UndefinedCursor
from lfsql.node.progress import Progress
from lfsql.node.work import Asker, fault_of
from lfsql.storage.reads import LocalReads, ReadCursor, ReadTransaction


class OpenRead:
    """A Read that waits, runs, or waits for its next ReadMore."""

    def __init__(self) -> None:
        self.cursor: ReadCursor | None = None
        self.rows: list[Row] = []
        """Read already and not yet asked for."""
        self.index: Index = 0
        self.schema_index: Index = 0
        self.scope = trio.CancelScope()
        self.canceled = False
        self.busy = True
        """A task is at it."""


class ReadService:
    """Shared by all links of a node."""

    def __init__(self, reads: LocalReads, progress: Progress, limits: NodeLimits, nursery: trio.Nursery) -> None:
        self.reads = reads
        self.progress = progress
        self.limits = limits
        self.nursery = nursery
        self.fault: LfsqlError | None = None
        """Why this node's copy must not be read; None when it may."""
        self._open_reads = 0
        self._ended = trio.Event()

    @property
    def open_reads(self) -> int:
        """Reads that run, wait, or have rows left to give."""
        return self._open_reads

    @open_reads.setter
    def open_reads(self, number: int) -> None:
        self._open_reads = number
        if not number:
            self._ended.set()
            self._ended = trio.Event()

    async def wait_ended(self) -> None:
        """Return when none is open."""
        while self._open_reads:
            await self._ended.wait()

    def condemn(self, fault: LfsqlError) -> None:
        """Show nobody this copy any more, not the rest of a read either."""
        self.fault = fault
        self.reads.condemn(fault)


class LinkReads:
    """The reads of one link."""

    def __init__(self, service: ReadService, asker: Asker) -> None:
        self._service = service
        self._asker = asker
        self._open: dict[int, OpenRead] = {}
        self._kept: dict[int, ReadTransaction] = {}
        self._ended = False
        """The link is gone."""

    def read(self, question: Read) -> None:
        """Answer with Rows: at once when the read is short and fresh enough, else from a task."""
        service = self._service
        request = question.request
        if service.fault is not None:
            self._fail(request, service.fault)
        elif request in self._open or request in self._kept:
            self._fail(request, QueueFull(f"request {request} is a read that is open already"))
        elif service.open_reads >= service.limits.open_reads_max:
            self._fail(request, QueueFull(f"{service.open_reads} reads are open on this node"))
        elif question.within and question.within not in self._kept:
            self._fail(request, UndefinedCursor(f"no snapshot {question.within} is kept"))
        elif not self._read_inline(question):
            entry = self._open[request] = OpenRead()
            service.open_reads += 1
            if question.keep:
                step = partial(self._keep, question, entry)
            elif question.within:
                step = partial(self._start_within, question, entry, self._kept[question.within])
            else:
                step = partial(self._start, question, entry)
            service.nursery.start_soon(self._run, request, entry, step)

    def more(self, question: ReadMore) -> None:
        """Answer with the next Rows of an open read."""
        request = question.request
        entry = self._open.get(request)
        if entry is None or entry.busy:
            self._fail(request, UndefinedCursor(f"no read {request} waits to be continued"))
            return
        if self._service.fault is not None:
            self.close(request)
            self._fail(request, self._service.fault)
            return
        if entry.cursor is None:
            self._give(request, entry, question.rows_max)
            return
        entry.busy, entry.scope = True, trio.CancelScope()
        self._service.nursery.start_soon(
            self._run, request, entry, partial(self._fetch, request, entry, entry.cursor, question.rows_max)
        )

    def cancel(self, request: int) -> None:
        """Make an open read fail with 57014 when it waits or runs; close it when it is idle."""
        entry = self._open.get(request)
        if entry is None:
            return
        entry.canceled = True
        if entry.cursor is not None and entry.busy:
            entry.cursor.interrupt()
        else:
            self.close(request)

    def close(self, request: int) -> None:
        """Drop an open read, or a snapshot."""
        kept = self._kept.pop(request, None)
        if kept is not None:
            self._service.open_reads -= 1
            self._service.nursery.start_soon(_close, kept)
        entry = self._open.get(request)
        if entry is None:
            return
        if entry.busy:
            if entry.cursor is not None:
                entry.cursor.interrupt()
            entry.scope.cancel()
            return
        self._forget(request)
        if entry.cursor is not None:
            self._service.nursery.start_soon(_close, entry.cursor)

    def close_all(self) -> None:
        self._ended = True
        for request in [*self._open, *self._kept]:
            self.close(request)

    def describe(self, question: Describe) -> None:
        request = question.request
        try:
            if self._service.fault is not None:
                raise self._service.fault
            described = self._service.reads.describe(question.sql)
        except LfsqlError as error:
            self._asker.answer(Described(request, fault=fault_of(error)))
        else:
            self._asker.answer(Described(request, described.columns, described.parameters, described.readonly))

    # -- Inside ----------------------------------------------------------------------------------------------

    def _read_inline(self, question: Read) -> bool:
        """False: it must wait, or needs a thread."""
        reads = self._service.reads
        schema_index = 0
        if question.keep:
            return False
        try:
            if question.within:
                kept = self._kept[question.within]
                index, schema_index = kept.index, kept.schema_index
                rows = kept.try_inline(question.sql, question.parameters)
            else:
                index, schema_index = reads.position()
                if index < question.min_index:
                    index, schema_index = reads.refresh()
                    if index < question.min_index:
                        return False
                rows = reads.try_inline(question.sql, question.parameters)
        except LfsqlError as error:
            self._fail(question.request, error, schema_index)
            return True
        if rows is None:
            return False
        limit = self._chunk(question.rows_max)
        if len(rows) <= limit:
            self._asker.answer(Rows(question.request, tuple(rows), False, index, schema_index))
            return True
        entry = self._open[question.request] = OpenRead()
        self._service.open_reads += 1
        entry.index, entry.schema_index, entry.rows, entry.busy = index, schema_index, rows, False
        self._give(question.request, entry, question.rows_max)
        return True

    def _give(self, request: int, entry: OpenRead, rows_max: int) -> None:
        """Answer with rows that are in memory."""
        limit = self._chunk(rows_max)
        rows = tuple(entry.rows[:limit])
        del entry.rows[:limit]
        self._asker.answer(Rows(request, rows, bool(entry.rows), entry.index, entry.schema_index))
        if not entry.rows:
            self._forget(request)

    async def _run(self, request: int, entry: OpenRead, step: Callable[[], Awaitable[bool]]) -> None:
        """Take one step of a read in a task of its own; the entry stays open when more rows follow."""
        more = False
        with entry.scope:
            try:
                more = await step()
            except LfsqlError as error:
                canceled = QueryCanceled("canceling statement due to user request")
                self._fail(request, canceled if entry.canceled else error, entry.schema_index, entry.index)
        entry.busy = False
        if more and not entry.scope.cancel_called:
            return  # asked to close in the moment when the rows came, it must: nobody will ask again
        self._forget(request)
        if entry.scope.cancelled_caught and entry.canceled:
            self._fail(request, QueryCanceled("canceling statement due to user request"))
        if entry.cursor is not None:
            await _close(entry.cursor)

    async def _keep(self, question: Read, entry: OpenRead) -> bool:
        """Take a snapshot and keep it."""
        await self._reach(question)
        kept = await self._service.reads.open_transaction(wait_ms_max=question.run_ms_max)
        entry.index = kept.index
        if self._ended or entry.scope.cancel_called or kept.index < question.min_index:
            await _close(kept)
            raise TooStale(f"this node's copy does not show index {question.min_index} yet")
        self._kept[question.request] = kept
        self._service.open_reads += 1
        self._asker.answer(Rows(question.request, (), False, kept.index, kept.schema_index))
        return False

    async def _start_within(self, question: Read, entry: OpenRead, kept: ReadTransaction) -> bool:
        entry.index, entry.schema_index = kept.index, kept.schema_index
        entry.cursor = await kept.open_cursor(question.sql, question.parameters, run_ms_max=question.run_ms_max)
        return await self._fetch(question.request, entry, entry.cursor, question.rows_max)

    async def _reach(self, question: Read) -> None:
        """Wait for the index that the read needs, for as long as it may."""
        progress = self._service.progress
        if progress.index < question.min_index:
            with trio.move_on_after(question.wait_ms_max / 1000):
                await progress.wait_for(question.min_index)

    async def _start(self, question: Read, entry: OpenRead) -> bool:
        reads = self._service.reads
        await self._reach(question)
        entry.index, entry.schema_index = index, schema_index = reads.refresh()
        if index < question.min_index:
            raise TooStale(f"this node stands at index {index}, the read needs {question.min_index}")
        rows = reads.try_inline(question.sql, question.parameters)
        if rows is not None:
            entry.rows = rows
            limit = self._chunk(question.rows_max)
            chunk, entry.rows = rows[:limit], rows[limit:]
            more = bool(entry.rows)
            self._asker.answer(Rows(question.request, tuple(chunk), more, index, schema_index))
            return more
        entry.cursor = await reads.open_cursor(question.sql, question.parameters, run_ms_max=question.run_ms_max)
        entry.index, entry.schema_index = entry.cursor.index, entry.cursor.schema_index
        return await self._fetch(question.request, entry, entry.cursor, question.rows_max)

    async def _fetch(self, request: int, entry: OpenRead, cursor: ReadCursor, rows_max: int) -> bool:
        rows, more = await cursor.fetch(self._chunk(rows_max))
        self._asker.answer(Rows(request, tuple(rows), more, entry.index, entry.schema_index))
        return more

    def _chunk(self, rows_max: int) -> int:
        limit = self._service.limits.chunk_rows_max
        return min(rows_max, limit) if rows_max else limit

    def _fail(self, request: int, error: LfsqlError, schema_index: Index = 0, index: Index = 0) -> None:
        """`index`, `schema_index`: of the snapshot in which the statement failed, which may be why."""
        self._asker.answer(Rows(request, fault=fault_of(error), index=index, schema_index=schema_index))

    def _forget(self, request: int) -> None:
        if self._open.pop(request, None) is not None:
            self._service.open_reads -= 1


async def _close(source: ReadCursor | ReadTransaction) -> None:
    with trio.CancelScope(shield=True):
        await source.aclose()
