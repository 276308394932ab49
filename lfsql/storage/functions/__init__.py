"""SQLite functions that carry PostgreSQL semantics, the same on every connection of every node.

The translator (`proxy.sql`) writes calls of them; names that begin with `lfsql_` are its own, the others are
PostgreSQL's.  They raise the classes of `lfsql.errors`, which apsw hands through to whoever runs the statement.
Texts are read into types by `lfsql.values`, as literals and parameters are by the proxy.
"""

from __future__ import annotations

from collections.abc import Callable

import apsw

from lfsql.storage.functions import (
    aggregates,
    arrays,
    decimals,
    formats,
    intervals,
    jsons,
    moment_fields,
    moments,
    numbers,
    patterns,
    series,
    texts,
)
from lfsql.storage.functions.notifications import register_refusal
from lfsql.storage.functions.registry import register_aggregates, register_scalars
from lfsql.storage.functions.searches import register_searches
from lfsql.storage.functions.sequences import register_sequences
from lfsql.values.datetimes import stamp_text


def register(connection: apsw.Connection, clock_us: Callable[[], int]) -> None:
    """Register every function, aggregate, collation and table-valued function on `connection`.

    `clock_us` gives microseconds since 1970 in UTC: the unit's clock on the engine, the wall clock on readers.
    """
    for topic in (decimals, numbers, intervals, moments, moment_fields, patterns, texts, jsons, arrays, formats):
        register_scalars(connection, topic.SCALARS)
    for topic in (decimals, numbers, intervals, texts, jsons, arrays):
        register_scalars(connection, topic.SCALARS_WITH_NULLS, nulls=True)
    register_scalars(
        connection, {"lfsql_now": lambda: stamp_text(moments.from_microseconds(clock_us()))}, deterministic=False
    )
    register_aggregates(connection, aggregates.AGGREGATES)
    connection.create_collation("lfsql_numeric", decimals.compare)
    series.register_modules(connection)
    register_sequences(connection)
    register_refusal(connection)
    register_searches(connection)
