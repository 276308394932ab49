"""SQLite functions that carry PostgreSQL semantics, the same on every connection of every node."""

from __future__ import annotations

from collections.abc import Callable

import apsw


def register(connection: apsw.Connection, clock_us: Callable[[], int]) -> None:
    """Register every function, aggregate, collation and table-valued function on `connection`.

    `clock_us` gives microseconds since 1970 in UTC: the unit's clock on the engine, the wall clock on readers.
    """
