"""How far this node's SQLite is, and waiting for it to be further.

A waiter names the index it needs and is woken once, when that is reached: no polling, and an advance costs nothing
when nobody waits.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

import trio

from lfsql.core.ids import Index, Position


class Progress:
    """Where data.db stands.  Changed only in the event loop, right after SQLite committed."""

    def __init__(self, position: Position, schema_index: Index) -> None:
        self.position = position
        self.schema_index = schema_index
        self._waiters: list[tuple[Index, int, trio.Event]] = []
        self._number = itertools.count()
        self.on_schema_change: Callable[[], None] | None = None
        self.on_advance: Callable[[], None] | None = None
        """Called at each advance, before anything else comes of it.  Must not raise."""

    @property
    def index(self) -> Index:
        return self.position.index

    def advance(self, position: Position, schema_index: Index) -> None:
        """SQLite committed and now stands at `position`."""
        self.position = position
        changed = schema_index != self.schema_index
        self.schema_index = schema_index
        if self.on_advance is not None:
            self.on_advance()
        while self._waiters and self._waiters[0][0] <= position.index:
            heapq.heappop(self._waiters)[2].set()
        if changed and self.on_schema_change is not None:
            self.on_schema_change()

    async def wait_for(self, index: Index) -> None:
        """Return once SQLite holds everything up to `index`."""
        if index <= self.position.index:
            return
        event = trio.Event()
        entry = (index, next(self._number), event)
        heapq.heappush(self._waiters, entry)
        try:
            await event.wait()
        except BaseException:
            if entry in self._waiters:
                self._waiters.remove(entry)
                heapq.heapify(self._waiters)
            raise
