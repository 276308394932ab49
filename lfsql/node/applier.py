"""Applies committed records to SQLite, in log order, whenever the writer does not reign.

Records come from consensus' memory, or from the log when this node is far behind.  As many as are committed go into
one SQLite transaction, so a replica that fell behind catches up faster than the primary writes.

A node whose SQLite gives another effect than the primary recorded is quarantined: its log is right and goes on to
count, its database is wrong and is not shown to anybody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from lfsql.core.ids import Index, Position
from lfsql.errors import Diverged
from lfsql.node.driver import Driver
from lfsql.node.engine_thread import EngineThread
from lfsql.node.progress import Progress
from lfsql.storage.engine import Engine

_BYTES_MAX: Final = 16 << 20


class Applier:
    """`committed` tells it of news; `follow` does the work."""

    def __init__(
        self,
        thread: EngineThread,
        driver: Driver,
        progress: Progress,
        entries_max: int,
        on_quarantine: Callable[[str], None],
        hold_s: Callable[[], float] | None = None,
    ) -> None:
        """`hold_s`: a fault, how many seconds to hold back the next transaction."""
        self._thread = thread
        self._driver = driver
        self._progress = progress
        self._entries_max = entries_max
        self._on_quarantine = on_quarantine
        self._hold_s = hold_s
        self._wake = trio.Event()
        self._idle = trio.Event()
        """Set while halted and nothing of this uses the engine."""
        self.halted = False
        self._stop_at: Index | None = None
        self._stopped = trio.Event()
        """Set while it stands where it was to stop, or past it."""
        self.quarantined = False

    def stop_at(self, index: Index) -> None:
        """Apply up to `index`, wherever else a transaction would have ended, and then nothing until go_on()."""
        self._stop_at = index
        self._stopped = trio.Event()
        self._wake.set()

    async def stopped(self) -> None:
        """Return when what stop_at() asked for is reached; at once when SQLite is past it already."""
        await self._stopped.wait()

    def go_on(self, index: Index) -> None:
        """The wait for `index` is over, unless another stop was asked for since."""
        if self._stop_at == index:
            self._stop_at = None
            self._wake.set()

    def notify(self) -> None:
        """More is committed, or this node's part in the cluster changed."""
        self._wake.set()

    async def halt(self) -> None:
        """Apply nothing any more; return when the engine is not used, by the writer neither."""
        self.halted = True
        self._wake.set()
        await self._idle.wait()

    def resume(self) -> None:
        """Undo halt()."""
        self.halted = False
        self._idle = trio.Event()
        self._wake.set()

    async def follow(self, may_stop: Callable[[Index], bool]) -> None:
        """Apply until `may_stop`, which is given the index that SQLite stands at, says so.

        Never returns once quarantined, nor while halted.
        """
        next_index = await self._thread.call(lambda engine: engine.next_index)
        while True:
            self._wake = trio.Event()
            committed = self._driver.consensus.committed
            if self.halted:
                self._idle.set()
                await self._wake.wait()
            elif self._stop_at is not None and self._progress.index >= self._stop_at:
                self._stopped.set()
                await self._wake.wait()
            elif next_index <= committed and not self.quarantined:
                next_index = await self._apply(next_index)
            elif next_index > committed and may_stop(self._progress.index):
                return
            else:
                await self._wake.wait()

    async def _apply(self, first: Index) -> Index:
        if self._hold_s is not None:
            await trio.sleep(self._hold_s())
        last = min(self._driver.consensus.committed, first + self._entries_max - 1)
        if self._stop_at is not None and first <= self._stop_at:
            last = min(last, self._stop_at)
        records = await self._driver.records(first, last, _BYTES_MAX)

        def apply(engine: Engine) -> tuple[Index, Position, Index]:
            engine.apply(records)
            return engine.next_index, engine.position, engine.schema_index

        try:
            next_index, position, schema_index = await self._thread.call(apply)
        except Diverged as error:
            self.quarantined = True
            self._on_quarantine(f"{error.message}: {error.detail}" if error.detail else error.message)
            return first
        self._progress.advance(position, schema_index)
        return next_index
