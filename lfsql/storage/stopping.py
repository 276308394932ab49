"""When what runs on the writing connection may be stopped: while it steps through a client's statement, never else.

A cancel comes from another thread and at any time, so also when the statement it is meant for has just ended and what
runs is ours: the RELEASE behind it, the COMMIT of others, the applying of the log.  Stopped, those would leave a
transaction that nobody can account for.  So each run of a client's statement is a window.  Outside of it SQLite is
told nothing: the window is closed under a lock before anything of ours begins, and its progress handler says no.

SQLite forgets an interrupt only when a statement begins and no other is open.  One that came just before the window
closed is thus forgotten by our next statement, but not while a portal holds a query open, where it would hit all that
follows.  There SQLite is not interrupted; its progress handler stops it, and leaves nothing behind.

Rejected: catching what an interrupted statement of ours raises.  Whether a RELEASE or a COMMIT took place cannot be
told from it, and each new one would have to remember.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final

import apsw

from lfsql.errors import QueryCanceled

STEPS_A_LOOK: Final = 100_000
"""SQLite's steps between two looks at whether to stop: a few milliseconds."""


class Stopping:
    """`with stopping:` around a client's statement, and only that; it raises QueryCanceled when it was stopped."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._open = False
        self._alone = True
        self.wanted: Callable[[], bool] | None = None
        """Whether what runs is to be stopped; looked at within the window alone."""
        connection.set_progress_handler(self.is_due, STEPS_A_LOOK)

    def beside(self, others: bool) -> Stopping:
        """For one `with`.  `others`: queries are open or will stay so."""
        self._alone = not others
        return self

    def __enter__(self) -> None:
        self._open = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._open = False
            self._alone = True
        if isinstance(error, apsw.InterruptError):
            raise QueryCanceled("canceling statement due to user request") from error

    def is_due(self) -> bool:
        """Whether what runs is to end now.  Of the thread that runs it."""
        return self._open and self.wanted is not None and self.wanted()

    def interrupt(self) -> None:
        """Hurry: stop the client's statement that runs, if one does.  From any thread."""
        with self._lock:
            if self._open and self._alone:
                self._connection.interrupt()
