"""How far the log was acknowledged to clients of this proxy, by any of its workers.

A client that ends its connection after a write and opens another, as one psql after the other does, expects to read
what it wrote; and a pool gives the next statement to a connection that knows nothing of it.  So a session begins at
what was acknowledged before it, and under `lfsql.causality = proxy` goes on so.

Workers are processes.  They share a page in which each has a number of its own, which it alone writes; all are read.
Rejected: asking the primary, which is what the level `strong` does; one number for all, which two of them could write
at once, the lower one last.
"""

from __future__ import annotations

import mmap
import os
from typing import Final

from lfsql.core.ids import Index

WORKERS_MAX: Final = 64
BOARD_BYTES: Final = WORKERS_MAX * 8


def make_board() -> int:
    """A descriptor of the memory that workers share.  Of Linux, as several workers are."""
    descriptor = os.memfd_create("lfsql", 0)
    os.ftruncate(descriptor, BOARD_BYTES)
    return descriptor


class Acknowledged:
    """`worker`: the number of this one, of so many `workers`; `board`: of `make_board`, None for a lone one."""

    def __init__(self, worker: int, board: int | None = None, workers: int = WORKERS_MAX) -> None:
        memory = bytearray(BOARD_BYTES) if board is None else mmap.mmap(board, BOARD_BYTES)
        self._numbers: Final = memoryview(memory).cast("Q")[: max(workers, worker + 1)]
        self._worker: Final = worker
        self._alone: Final = board is None

    def tell(self, index: Index) -> None:
        """A write is about to be acknowledged that is at `index`, or before."""
        if index > self._numbers[self._worker]:
            self._numbers[self._worker] = index

    @property
    def index(self) -> Index:
        """All that was acknowledged is at this index or before."""
        return self._numbers[self._worker] if self._alone else max(self._numbers)
