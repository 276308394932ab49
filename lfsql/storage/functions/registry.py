"""How functions reach a connection: one table per topic, NULL in gives NULL out unless a function says otherwise.

Every function is INNOCUOUS, so that it may stand in views, triggers and CHECKs.  All but those of the clock and of
randomness are deterministic: SQLite then works constant calls out once and allows them in indexes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import apsw

from lfsql.storage.functions.limits import stoppable

Scalar = Callable[..., Any]


class Accumulator(Protocol):
    """What an aggregate is made of; `inverse` takes a row out again, for moving windows."""

    def step(self, *values: Any) -> None: ...

    def inverse(self, *values: Any) -> None: ...

    def final(self) -> Any: ...

    def value(self) -> Any: ...


INNOCUOUS: Final = apsw.SQLITE_INNOCUOUS


def strict(function: Scalar) -> Scalar:
    """NULL in, NULL out."""

    def called(*values: Any) -> Any:
        if None in values:
            return None
        return function(*values)

    return called


def register_scalars(
    connection: apsw.Connection, functions: Mapping[str, Scalar], *, deterministic: bool = True, nulls: bool = False
) -> None:
    """`nulls`: the functions see NULLs themselves."""
    for name, function in functions.items():
        called = stoppable(name, function if nulls else strict(function))
        connection.create_scalar_function(name, called, -1, deterministic=deterministic, flags=INNOCUOUS)


def register_aggregates(connection: apsw.Connection, functions: Mapping[str, Callable[[], Accumulator]]) -> None:
    for name, factory in functions.items():
        connection.create_window_function(name, factory, -1, flags=INNOCUOUS)
