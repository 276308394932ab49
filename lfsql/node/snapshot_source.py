"""Gives copies of this node's data to nodes that ask for one, while this node is primary.

Only a primary that a quorum has just confirmed gives any: whoever rebuilds itself has nothing left to compare with.
Or one that a quorum has just elected: before the record that opens its term is committed nothing can be confirmed,
and that may wait for the very node that asks.  A copy holds nothing but what is committed, whoever gives it.

One copy at a time, in a file, whoever asks for it: disk space is bounded by one more database.  It is kept as long as
a link that asked for it is open, and a while longer, for a link that broke; and as long as it is of use: the records
after it must be in this node's log (`position` tells the log keeper up to where).  Receivers pull piece by piece, so
what is in memory is bounded by how many ask, and a slow one holds up nobody.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio

from lfsql.core.effects import ReadConfirmed, ReadRefused
from lfsql.core.ids import Index
from lfsql.core.requests import SnapshotHeader, SnapshotPiece, SnapshotRead, SnapshotRequest
from lfsql.core.snapshots import is_of_use
from lfsql.errors import LfsqlError, NotPrimary, QueueFull, SnapshotGone
from lfsql.node.driver import Driver
from lfsql.node.log_keeping import members_at
from lfsql.node.progress import Progress
from lfsql.node.work import Asker, fault_of
from lfsql.storage.durable_file import disk_error, require_space
from lfsql.storage.snapshot import Copy, make_copy
from lfsql.storage.statement_log import StatementLog

logger: Final = logging.getLogger(__name__)

PIECE_BYTES: Final = 512 << 10
KEPT_S: Final = 60.0
"""How long a copy outlives the last link that asked for it."""
SPARE_BYTES: Final = 64 << 20
"""Room that a copy leaves for the log, without which a primary cannot go on."""
_ANSWER_S_MAX: Final = 1.0
_QUESTIONS_MAX: Final = 16


class SnapshotSource:
    """`run` must run in a task."""

    def __init__(
        self,
        directory: Path,
        log: StatementLog,
        driver: Driver,
        progress: Progress,
        fingerprint: str,
        fault: Callable[[], LfsqlError | None],
    ) -> None:
        """`directory`: where data.db is, and the copy will be.  `fault`: why this node's data is not to be copied."""
        self._database = directory / "data.db"
        self._file = directory / "snapshot.out"
        self._log = log
        self._driver = driver
        self._progress = progress
        self._fingerprint = fingerprint
        self._fault = fault
        self._copy: Copy | None = None
        self._making: Index | None = None
        """While a copy is made: an index that it is not before."""
        self._made = trio.Event()
        self._failure: LfsqlError | None = None
        """Why the last copy could not be made; told to one asker."""
        self._askers: dict[Asker, int] = {}
        """Whose links are open, and how many of their questions wait."""
        self._left_at = 0.0
        self._changed = trio.Event()
        self._stopped = False
        self._nursery: trio.Nursery | None = None

    @property
    def position(self) -> Index | None:
        """Where the copy stands that somebody fetches, or may come back for; the log after it is needed."""
        return self._copy.position.index if self._copy is not None else self._making

    def ask(self, asker: Asker, question: SnapshotRequest | SnapshotRead) -> None:
        """Answer a question, from a task."""
        waiting = self._askers.get(asker, 0)
        if self._nursery is None or waiting >= _QUESTIONS_MAX:
            self._refuse(asker, question, QueueFull(f"{waiting} questions about snapshots wait here already"))
            return
        self._askers[asker] = waiting + 1
        self._nursery.start_soon(self._answer, asker, question)

    def asker_lost(self, asker: Asker) -> None:
        """The link is closed."""
        if self._askers.pop(asker, None) is not None:
            self._left_at = trio.current_time()
            self._changed.set()

    async def run(self) -> None:
        """Make copies, and remove them when nobody needs them any more."""
        self._file.unlink(missing_ok=True)  # of before a crash
        try:
            async with trio.open_nursery() as self._nursery:
                try:
                    await self._keep_copies()
                finally:
                    self._stopped = True  # or a copy would be made to its end before the nursery is left
        finally:
            self._nursery = None
            self._discard()

    # -- Inside ----------------------------------------------------------------------------------------------

    async def _keep_copies(self) -> None:
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            with trio.move_on_after(KEPT_S):
                await self._changed.wait()
                continue
            if self._askers:
                self._changed.set()
            else:
                self._discard()

    async def _answer(self, asker: Asker, question: SnapshotRequest | SnapshotRead) -> None:
        try:
            if isinstance(question, SnapshotRequest):
                asker.answer(await self._offer(question))
            else:
                asker.answer(SnapshotPiece(question.request, await self._read(question)))
        except LfsqlError as error:
            self._refuse(asker, question, error)
        finally:
            if asker in self._askers:
                self._askers[asker] -= 1

    def _refuse(self, asker: Asker, question: SnapshotRequest | SnapshotRead, error: LfsqlError) -> None:
        kind = SnapshotHeader if isinstance(question, SnapshotRequest) else SnapshotPiece
        asker.answer(kind(question.request, fault=fault_of(error)))

    async def _offer(self, question: SnapshotRequest) -> SnapshotHeader:
        await self._be_primary()
        if not self._is_of_use(question.min_index):
            with trio.move_on_after(_ANSWER_S_MAX):
                await self._progress.wait_for(question.min_index)
                if self._making is None:
                    self._make()
                if self._making is None:
                    await trio.sleep(_ANSWER_S_MAX)  # until others have what they fetch; the asker asks again
                await self._made.wait()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        copy = self._copy
        if copy is None or not self._is_of_use(question.min_index):
            return SnapshotHeader(question.request)
        return SnapshotHeader(
            question.request,
            copy.position,
            copy.bytes_total,
            copy.digest,
            members_at(self._driver.consensus, self._log.base_configuration, copy.position.index),
            self._fingerprint,
        )

    async def _be_primary(self) -> None:
        """Raises NotPrimary, or what is wrong with this node's data."""
        answers: list[ReadConfirmed | ReadRefused] = []
        answered = trio.Event()

        def take(answer: ReadConfirmed | ReadRefused) -> None:
            answers.append(answer)
            answered.set()

        fault = self._fault()
        if fault is not None:
            raise fault
        if self._driver.consensus.is_opening:
            return
        if self._driver.consensus.ready:
            self._driver.read_index(take)
            with trio.move_on_after(_ANSWER_S_MAX):
                await answered.wait()
        if not answers or isinstance(answers[0], ReadRefused):
            raise NotPrimary(primary=self._driver.consensus.primary)

    def _is_of_use(self, min_index: Index) -> bool:
        return self._copy is not None and is_of_use(self._copy.position.index, min_index, self._log.base.index)

    def _make(self) -> None:
        """Begin to make another copy, unless others fetch the one there is."""
        others = self._copy is not None and self._is_of_use(0) and len(self._askers) > 1
        if self._nursery is not None and not others:
            self._discard()
            self._making = self._progress.index
            self._made = trio.Event()
            self._nursery.start_soon(self._make_copy)

    async def _make_copy(self) -> None:
        began = trio.current_time()
        try:
            require_space(self._database.parent, self._bytes_of_data() + SPARE_BYTES, "a snapshot to be sent")
            self._copy = await trio.to_thread.run_sync(make_copy, self._database, self._file, lambda: self._stopped)
            took_s = trio.current_time() - began
            size, index = self._copy.bytes_total, self._copy.position.index
            logger.info("made a snapshot of %d bytes at index %d in %.1f s", size, index, took_s)
        except LfsqlError as error:
            self._failure = error
            logger.error("a snapshot could not be made: %s", error.message)
            self._file.unlink(missing_ok=True)
        finally:
            self._making = None
            self._made.set()
            self._changed.set()

    def _bytes_of_data(self) -> int:
        """What the copy may take: what is in the write-ahead log is in part new pages."""
        files = (self._database, self._database.with_name("data.db-wal"))
        return sum(path.stat().st_size for path in files if path.exists())

    async def _read(self, question: SnapshotRead) -> bytes:
        fault = self._fault()
        if fault is not None:
            raise fault
        if self._copy is None or self._copy.digest != question.digest:
            raise SnapshotGone("this snapshot is no longer kept here")
        return await trio.to_thread.run_sync(_read_at, self._file, question.offset)

    def _discard(self) -> None:
        if self._copy is not None:
            self._copy = None
            self._file.unlink(missing_ok=True)


def _read_at(path: Path, offset: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, PIECE_BYTES, offset)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise disk_error(error, f"{path} cannot be read") from error
