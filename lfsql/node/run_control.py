"""Stopping what the engine's thread runs: a cancel, a time limit, the end of a reign.

The only state that the event loop and the engine's thread share.  A work that is stopped is marked; the thread looks
at the mark before each operation, and SQLite looks at it while a statement runs (its progress handler).  Interrupting
SQLite only hurries that, inside of what takes few steps for long, as counting a table.  Both reach a client's own
statements alone (`lfsql.storage.stopping`).

A work that has run is over, and cannot be stopped any more: what comes then, and what comes after its last
statement, belongs to nobody.  So a COMMIT with nothing left to run is never answered with a cancel.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence

from lfsql.errors import LfsqlError, QueryCanceled
from lfsql.node.work import Work, run_ms_max


class RunControl:
    """Which work the engine's thread runs now."""

    def __init__(self, interrupt: Callable[[], None]) -> None:
        self._interrupt = interrupt
        self._lock = threading.Lock()
        self._current: Work | None = None
        self._started = 0.0

    def enter(self, work: Work) -> None:
        with self._lock:
            work.over = False
            self._current = work
            self._started = time.monotonic()

    def leave(self) -> None:
        """The current work, if there is one, has run."""
        with self._lock:
            if self._current is not None:
                self._current.over = True
                self._current = None

    def is_stopped(self) -> bool:
        """Whether what runs now is to end."""
        current = self._current
        return current is not None and current.stopped is not None

    def check(self) -> None:
        """Raises what the work that runs now was stopped with.  What is run again is not stopped by what is past."""
        current = self._current
        if current is not None and current.stopped is not None:
            raise current.stopped

    def stop(self, work: Work, error: LfsqlError) -> None:
        """Make `work` fail with `error`: at once when it runs, before it starts otherwise; not when it has run."""
        with self._lock:
            if work.over:
                return
            work.stopped = error
            if self._current is work:
                self._interrupt()

    def enforce_limit(self, works: Sequence[Work]) -> float:
        """Stop what runs longer than it may.  Returns in how many seconds to look again: `works` are the batch."""
        with self._lock:
            current, started = self._current, self._started
        if current is not None and run_ms_max(current):
            left = run_ms_max(current) / 1000 - (time.monotonic() - started)
            if left > 0:
                return left
            self.stop(current, QueryCanceled("canceling statement due to statement timeout"))
        # Another one of the batch may be next.
        return min((limit for work in works if (limit := run_ms_max(work))), default=math.inf) / 1000
