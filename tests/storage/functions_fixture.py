"""A connection with lfsql's functions and nothing else."""

from __future__ import annotations

from typing import Any

import apsw

from lfsql.storage.functions import register


def open_functions(clock_us: int = 1_700_000_000_000_000) -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    register(connection, lambda: clock_us)
    return connection


def value(sql: str, *parameters: Any) -> Any:
    """The one value of a query."""
    connection = open_functions()
    try:
        return connection.execute(sql, parameters).get
    finally:
        connection.close()
