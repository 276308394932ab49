"""Whether a statement's work is bounded by its text: SQLite's program for it has no loop, and calls nothing dear.

A program without a loop touches a fixed number of rows, each found by key: a point read, an UPDATE by primary key, an
INSERT of one row, with their constraints.  With functions that are cheap on values that are small it takes
microseconds whatever the data, so a caller that must not block for long may run it where it stands instead of handing
it to a thread.  How large the values are is known only when it runs: `value_bytes_max` says what they may be.

Judged by SQLite's own bytecode, by what is allowed: an operation that is not in the list (a cursor's Next, a
trigger's Program, Count and Clear, which walk whole trees, and all that later versions add) makes a statement not
straight, and so does a function that is not known to be cheap.
Rejected: EXPLAIN QUERY PLAN, which says nothing of triggers and foreign keys' actions.
"""

from __future__ import annotations

import math
from time import monotonic
from typing import Final

import apsw

from lfsql.core.requests import Operation, Result
from lfsql.errors import LfsqlError
from lfsql.storage.engine import Engine
from lfsql.storage.functions.limits import patience
from lfsql.storage.known_texts import KnownTexts
from lfsql.storage.programs import examine

FUNCTIONS_MAX: Final = 64
"""Calls in all statements that run in one go."""

NOT_STRAIGHT: Final = FUNCTIONS_MAX + 1

SEARCH_S_MAX: Final = 0.02
"""What LIKE may take."""

_VALUE_BYTES_MAX: Final = 64 << 10
_ARGUMENT_BYTES_MAX: Final = 8 << 10


def value_bytes_max(functions: int) -> int:
    """How large a value straight statements with so many calls may meet, and stay short."""
    return _ARGUMENT_BYTES_MAX if functions else _VALUE_BYTES_MAX


class TooLong(Exception):
    """A straight statement met what makes it long, and was undone.  Never seen by a client."""


def run_straight(engine: Engine, operation: Operation, bytes_max: int) -> Result:
    """engine.run() while no value is larger than `bytes_max`.  Raises what that raises, and TooLong."""
    engine.limit_values(bytes_max)
    patience.until = monotonic() + SEARCH_S_MAX
    try:
        return engine.run(operation)
    except LfsqlError as error:
        if isinstance(error.__cause__, apsw.TooBigError | TimeoutError):
            raise TooLong from error
        raise
    finally:
        engine.limit_values()
        patience.until = math.inf


class Straightness:
    """For one connection; remembers by text.  forget() when the schema changed."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._known: KnownTexts[int] = KnownTexts()

    def forget(self) -> None:
        self._known.forget()

    def is_straight(self, sql: str) -> bool:
        """False also for what cannot be prepared: whoever runs it learns why."""
        return self.functions(sql) < NOT_STRAIGHT

    def functions(self, sql: str) -> int:
        """How many calls of functions a straight statement has; NOT_STRAIGHT when it is none."""
        known = self._known.get(sql)
        return self._known.remember(sql, self._examine(sql)) if known is None else known

    def _examine(self, sql: str) -> int:
        program = examine(self._connection, sql)
        if program is None or not program.straight or not program.cheap:
            return NOT_STRAIGHT
        return min(program.functions, NOT_STRAIGHT)
