"""A read that a client takes in parts, and what rows cost while they wait for it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from sys import getsizeof

import apsw

from lfsql.core.entry import Value
from lfsql.core.requests import Row


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
