"""The part of a content check that blocks: one snapshot of data.db, read to its end at a slow pace.

Both passes over the file keep to it, SQLite's own check too: its progress handler is asked between pages.  What is
paced is time, in which the disk was waited for as well: neither it nor the processor is taken from others.

A snapshot keeps the write-ahead log from being used anew.  Should others write so much meanwhile that it grows over a
bound, the check no longer rests, and is over as soon as it can be.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw

from lfsql.core.ids import Position
from lfsql.errors import DataCorrupted, DiskFailed
from lfsql.storage.authorizer import INTERNAL, Authorizer
from lfsql.storage.content import content_hash, find_damage, read_position
from lfsql.storage.faults import translate
from lfsql.storage.opening import open_for_reading

WORK_S: Final = 0.005
"""After as much work a check rests."""
REST: Final = 3
"""Times as long as it worked."""
WAL_BYTES_MAX: Final = 256 << 20
"""Of the write-ahead log; beyond it a check hurries."""
_STEPS_A_LOOK: Final = 1_000
"""Of SQLite's, in which its check looks at some pages."""
_NICENESS: Final = 19

Checked = tuple[bytes, str]
"""The content hash, b"" when the content could not be read; and what SQLite finds wrong with the file."""


class CheckStopped(Exception):
    """Nobody wants to know any more.  Never seen by a client."""


class Pace:
    """Of one check, in its thread: work a little, rest longer; go on without rest once somebody waits for it."""

    def __init__(self, crowded: Callable[[], bool]) -> None:
        """`crowded`: whether others suffer from how long it takes."""
        self.hurry = False
        self._crowded = crowded
        self._stopped = threading.Event()
        self._since = 0.0

    def begin(self) -> None:
        """Work begins now."""
        self._since = time.monotonic()

    def __call__(self) -> None:
        worked = time.monotonic() - self._since
        if worked >= WORK_S:
            if self._stopped.wait(0 if self.hurry or self._crowded() else worked * REST):
                raise CheckStopped
            self.begin()

    def stop(self) -> None:
        """From any thread."""
        self._stopped.set()


class ContentSnapshot:
    """Used by one thread at a time, stop() apart.

    What only says that SQLite could not read now (no memory, no descriptor, a lock) is the LfsqlError that it is
    elsewhere: nothing follows from it for what the file holds.  DataCorrupted is what says that it is damaged.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._connection = open_for_reading(path, lambda: 0, Authorizer())
        except apsw.Error as error:
            raise DiskFailed(f"{path} could not be opened to be checked: {error}") from error
        self._wal = path.with_name(f"{path.name}-wal")
        self.pace = Pace(self._is_crowded)

    def begin(self) -> Position:
        """Stand on what is committed now, and tell where that is; microseconds.  Raises DataCorrupted, LfsqlError."""
        try:
            self._connection.execute("BEGIN", prepare_flags=INTERNAL)
            return read_position(self._connection)
        except apsw.Error as error:
            raise translate(error, self._connection, "") from error

    def check(self) -> Checked:
        """Read it all.  In a thread of its own, please: lowered priority cannot be raised again.

        Raises CheckStopped after stop(), LfsqlError when it could not be read for now.
        """
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        fault, content = "", b""
        self.pace.begin()
        self._connection.set_progress_handler(self._look, _STEPS_A_LOOK)
        try:
            fault = find_damage(self._connection)
            content = content_hash(self._connection, self.pace)
        except apsw.InterruptError as error:
            raise CheckStopped from error
        except DataCorrupted as error:
            fault = fault or f"{error.message}: {error.detail}"
        except apsw.Error as error:
            raise translate(error, self._connection, "") from error
        return content, fault

    def _look(self) -> bool:
        """Between two pages of SQLite's own check: whether it is to end."""
        try:
            self.pace()
        except CheckStopped:
            return True
        return False

    def _is_crowded(self) -> bool:
        return self._wal.exists() and self._wal.stat().st_size > WAL_BYTES_MAX

    def stop(self) -> None:
        """Have check() end soon.  From any thread."""
        self.pace.stop()
        self._connection.interrupt()

    def close(self) -> None:
        self._connection.close(True)
