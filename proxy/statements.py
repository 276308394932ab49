"""Prepared statements and portals: what a session keeps between messages.

SQL-level PREPARE and the protocol's Parse share one namespace, as do cursors and portals, as in PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from sys import getsizeof
from typing import Final, Protocol

from lfsql.core.entry import Value
from lfsql.core.requests import Row
from lfsql.errors import LimitExceeded
from lfsql.storage.portal import rows_bytes
from proxy.sql.plan import Plan

ROW_BYTES: Final = 64
PORTAL_BYTES: Final = 512
STATEMENT_BYTES: Final = 2_048
"""Of each, beside its values and texts."""


class RowSource(Protocol):
    """Rows that come in pieces.  `fetch(n)` gives at most n rows (0: all) and whether there are more."""

    def fetch(self, rows_max: int) -> Awaitable[tuple[list[Row], bool]]: ...

    def aclose(self) -> Awaitable[None]: ...


async def load(source: RowSource, bytes_max: int) -> list[Row]:
    """All rows of `source`, which is closed.  Raises LimitExceeded."""
    rows: list[Row] = []
    more = True
    size = 0
    try:
        while more:
            chunk, more = await source.fetch(0)
            rows += chunk
            size += rows_bytes(chunk) + ROW_BYTES * len(chunk)
            if size > bytes_max:
                raise LimitExceeded(
                    f"the rows of a cursor, all of which are kept, take more than the {bytes_max} bytes left",
                    hint="Ask for fewer rows, close other cursors, or raise session_bytes_max.",
                )
    finally:
        await source.aclose()
    return rows


class ListRows:
    """Rows that are all here already."""

    __slots__ = ("_next", "_rows")

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows
        self._next = 0

    @property
    def bytes(self) -> int:
        return rows_bytes(self._rows) + ROW_BYTES * len(self._rows)

    async def fetch(self, rows_max: int) -> tuple[list[Row], bool]:
        start = self._next
        end = len(self._rows) if rows_max == 0 else min(start + rows_max, len(self._rows))
        self._next = end
        return self._rows[start:end], end < len(self._rows)

    async def aclose(self) -> None:
        self._rows = []


class ScrollRows:
    """All rows of a SCROLL cursor, which can go back, and where it stands: before the first, on a row, or after the
    last."""

    __slots__ = ("_at", "_rows")

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows
        self._at = 0
        """The row it stands on, from 1; 0 before the first."""

    @property
    def bytes(self) -> int:
        return rows_bytes(self._rows) + ROW_BYTES * len(self._rows)

    def scroll(self, direction: str, count: int | None) -> list[Row]:
        """FETCH's directions; `count` None is ALL."""
        last = len(self._rows)
        if direction == "first":
            return self._to(1)
        if direction == "last":
            return self._to(last)
        if direction == "absolute":
            place = count or 0
            return self._to(place if place >= 0 else last + 1 + place)
        if direction == "relative":
            return self._to(self._at + (count or 0))
        steps = last + 1 if count is None else count
        if direction == "backward":
            steps = -steps
        if steps == 0:
            return self._to(self._at)
        start = self._at
        self._at = max(0, min(last + 1, start + steps))
        if steps > 0:
            return self._rows[start : min(last, start + steps)]
        low = max(0, start + steps - 1)
        return self._rows[low : max(0, start - 1)][::-1]

    def _to(self, place: int) -> list[Row]:
        last = len(self._rows)
        self._at = max(0, min(last + 1, place))
        return [self._rows[place - 1]] if 1 <= place <= last else []

    async def fetch(self, rows_max: int) -> tuple[list[Row], bool]:
        rows = self.scroll("forward", rows_max or None)
        return rows, self._at < len(self._rows)

    async def aclose(self) -> None:
        self._rows = []


@dataclass(slots=True)
class Prepared:
    """A statement as parsed.  `literals` are the values lifted out of the text, already as SQLite values."""

    text: str
    oids: tuple[int, ...]
    """As the client gave them; 0 where it left the type open."""
    plan: Plan
    literals: tuple[Value, ...] = ()
    from_sql: bool = False
    """Made by PREPARE."""
    lift: bool = False
    told: bool = False
    """The client has seen, or may count on, the columns of its result: they must not change any more."""
    inside: Prepared | None = None
    """The same statement as the transaction sees it that has changed the schema and is not over."""

    @property
    def bytes(self) -> int:
        """What it takes in memory, about."""
        texts = getsizeof(self.text) + sum(map(getsizeof, self.plan.statements))
        return STATEMENT_BYTES + texts + rows_bytes((self.literals,))


@dataclass(slots=True)
class Portal:
    """A bound statement, or a cursor."""

    name: str
    prepared: Prepared
    parameters: tuple[Value, ...]
    formats: tuple[int, ...]
    """Result formats: none (all text), one for all, or one for each column."""
    source: RowSource | None = None
    """Set once it runs and may be fetched from."""
    finished: bool = False
    cursor: bool = False
    """Made by DECLARE."""
    hold: bool = False
    kept: bool = False
    """Of a cursor WITH HOLD: the transaction that declared it is committed."""
    number: int = 0
    """They count up as they are made in a session."""

    @property
    def bytes(self) -> int:
        """What it takes in memory, about, without its statement."""
        source = self.source
        rows = source.bytes if isinstance(source, ListRows | ScrollRows) else 0
        return PORTAL_BYTES + rows_bytes((self.parameters,)) + rows
