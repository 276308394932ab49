"""How much memory SQLite may take in this process, all connections together.

A statement can make SQLite keep any number of rows: sorts, DISTINCT, aggregates, temporary tables, which are all in
memory.  SQLite counts what it takes, and takes no more than it is allowed: the statement that asks then fails, not
the whole process, ended by the operating system.  SQLite knows no limit for one connection or statement.

What has been promised must not fail for what others take at the time: committing, and applying the log, go on without
the limit when they meet it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import apsw

_lock: Final = threading.Lock()


class _Limit:
    bytes_max = 0
    lifted = 0


def limit_heap(bytes_max: int) -> None:
    """From now on; 0 = no limit."""
    with _lock:
        _Limit.bytes_max = bytes_max
        if not _Limit.lifted:
            apsw.hard_heap_limit(bytes_max)


@contextmanager
def without_limit() -> Iterator[None]:
    """For as long as one of several threads is inside, none has a limit."""
    with _lock:
        _Limit.lifted += 1
        apsw.hard_heap_limit(0)
    try:
        yield
    finally:
        with _lock:
            _Limit.lifted -= 1
            if not _Limit.lifted:
                apsw.hard_heap_limit(_Limit.bytes_max)
