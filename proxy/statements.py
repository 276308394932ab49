"""Prepared statements and portals: what a session keeps between messages.

SQL-level PREPARE and the protocol's Parse share one namespace, as do cursors and portals, as in PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Protocol

from lfsql.core.entry import Value
from lfsql.core.requests import Row
from proxy.sql.plan import Plan


class RowSource(Protocol):
    """Rows that come in pieces.  `fetch(n)` gives at most n rows (0: all) and whether there are more."""

    def fetch(self, rows_max: int) -> Awaitable[tuple[list[Row], bool]]: ...

    def aclose(self) -> Awaitable[None]: ...


class ListRows:
    """Rows that are all here already."""

    __slots__ = ("_next", "_rows")

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows
        self._next = 0

    async def fetch(self, rows_max: int) -> tuple[list[Row], bool]:
        start = self._next
        end = len(self._rows) if rows_max == 0 else min(start + rows_max, len(self._rows))
        self._next = end
        return self._rows[start:end], end < len(self._rows)

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
    rows_told: int = 0
    tag: str = ""
    described: bool = field(default=False)
