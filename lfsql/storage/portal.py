"""A read that a client takes in parts, and what rows cost while they wait for it.

Rows are read from SQLite in chunks, as a call for each would cost more than most rows do.  How large a row is is
known only when it is there, so the first chunk is small, and each next one as large as the rows before it allow.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from sys import getsizeof
from typing import Final

import apsw

from lfsql.core.entry import Value
from lfsql.core.requests import Row

FIRST_ROWS: Final = 2
CHUNK_ROWS_MAX: Final = 64
CHUNK_BYTES: Final = 1 << 20
_ROW_BYTES: Final = 64
"""Of a row beside its values."""


class Portal:
    __slots__ = ("cursor", "random_state", "rows", "sql")

    def __init__(self, sql: str, cursor: apsw.Cursor | None, random_state: int) -> None:
        self.sql = sql
        self.cursor = cursor
        """None once everything is read."""
        self.random_state = random_state
        self.rows: list[Row] = []
        """Read ahead of the client, oldest first."""

    def close(self) -> None:
        if self.cursor is not None:
            self.cursor.close(True)
            self.cursor = None


def rows_bytes(rows: Iterable[Sequence[Value]]) -> int:
    """What the values take in memory, about; at C's speed."""
    return sum(map(getsizeof, itertools.chain.from_iterable(rows)))


def in_chunks(cursor: Iterator[Row], rows_max: int) -> Iterator[tuple[list[Row], int]]:
    """Up to `rows_max` rows in chunks, each with what it takes in memory, about.

    A chunk that is no longer wanted is no longer read: what is given up was at most CHUNK_BYTES and one row's size.
    """
    wanted = min(FIRST_ROWS, rows_max)
    while wanted:
        rows = list(itertools.islice(cursor, wanted))
        size = rows_bytes(rows) + _ROW_BYTES * len(rows)
        yield rows, size
        if len(rows) < wanted:
            return
        rows_max -= wanted
        wanted = min(max(CHUNK_BYTES * wanted // size, 1), CHUNK_ROWS_MAX, rows_max)


def collect(cursor: Iterator[Row], take: Callable[[int], None]) -> list[Row]:
    """All rows; `take` is told what they take, chunk by chunk, and may raise."""
    rows = list(itertools.islice(cursor, FIRST_ROWS))
    if rows:
        take(rows_bytes(rows))
    if len(rows) < FIRST_ROWS:
        return rows
    for chunk, size in in_chunks(cursor, 1 << 62):
        take(size)
        rows += chunk
    return rows
