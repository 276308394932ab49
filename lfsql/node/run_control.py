"""Stopping what the engine's thread runs: a cancel, a time limit, the end of a reign.

The only state that the event loop and the engine's thread share.  A work that is stopped is marked; the thread looks
at the mark before each operation, and SQLite looks at it while a statement runs (its progress handler).  Interrupting
SQLite only hurries that, inside of what takes few steps for long, as counting a table: between two statements an
interrupt is forgotten, and the mark is not.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from lfsql.errors import LfsqlError, QueryCanceled
from lfsql.node.work import Work, run_ms_max

STEPS_A_LOOK: Final = 100_000
"""SQLite's steps between two looks at the mark: a few milliseconds.  More than any statement of our own takes: those
that take back what was stopped must come to their end."""


class RunControl:
    """Which work the engine's thread runs now."""

    def __init__(self, interrupt: Callable[[], None]) -> None:
        self._interrupt = interrupt
        self._lock = threading.Lock()
        self._current: Work | None = None
        self._started = 0.0

    def enter(self, work: Work) -> None:
        with self._lock:
            self._current = work
            self._started = time.monotonic()

    def leave(self) -> None:
        with self._lock:
            self._current = None

    def is_stopped(self) -> bool:
        """Whether what runs now is to end."""
        current = self._current
        return current is not None and current.stopped is not None

    def stop(self, work: Work, error: LfsqlError) -> None:
        """Make `work` fail with `error`: at once when it runs, before it starts otherwise."""
        with self._lock:
            work.stopped = error
            if self._current is work:
                self._interrupt()

    def enforce_limit(self, works: Sequence[Work]) -> float:
        """Stop what runs longer than it may.  Returns in how many seconds to look again: `works` are the batch."""
        with self._lock:
            current, started = self._current, self._started
        if current is None or not run_ms_max(current):
            # It has no limit, or what lies below is committed first: another one of the batch may be next.
            return min((limit for work in works if (limit := run_ms_max(work))), default=math.inf) / 1000
        left = run_ms_max(current) / 1000 - (time.monotonic() - started)
        if left <= 0:
            self.stop(current, QueryCanceled("canceling statement due to statement timeout"))
            return math.inf
        return left
