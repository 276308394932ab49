"""What one call of a function may take: the size of what it makes, and whether its statement is still wanted.

SQLite looks at neither while a function runs.  It refuses a value that is too large once it is made, so what
multiplies sizes asks before it makes it.  And it looks for an interrupt between some instructions only, so whatever
is not cheap asks before it begins: a statement that is to end does so after the call it is at.

Who runs a statement says what its calls may take in `patience`, which belongs to the thread: SQLite calls functions
in the thread that runs the statement.  A replica has all the patience there is: it repeats what succeeded.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from lfsql.errors import LimitExceeded, QueryCanceled
from lfsql.storage.functions.cheap import CHEAP

VALUE_BYTES_MAX: Final = 64 << 20
"""Of one text or blob."""

SEARCH_S_MAX: Final = 5.0
"""The longest that one call may search for a pattern, where nothing else is said."""


class Patience(threading.local):
    search_s: float | None = SEARCH_S_MAX
    """How long a call may search for a pattern; None: for ever.  Beyond it it raises TimeoutError."""
    until: float = math.inf
    """When the statement must be over, on the monotonic clock."""
    stopped: Callable[[], bool] | None = None
    """Whether the statement was stopped."""

    def check(self) -> None:
        """Raises QueryCanceled when the statement is to end."""
        if self.stopped is not None and self.stopped():
            raise QueryCanceled("canceling statement due to user request")
        if self.until < math.inf and monotonic() > self.until:
            raise QueryCanceled("canceling statement due to statement timeout")

    def forget(self) -> None:
        """The statement is over: of the next nothing is known yet."""
        self.until = math.inf
        self.stopped = None

    def left(self) -> float | None:
        """Seconds that a search may take now; None: for ever."""
        if self.until == math.inf or self.search_s is None:
            return self.search_s
        return max(min(self.search_s, self.until - monotonic()), 0.001)


patience: Final = Patience()


def check_size(size: int) -> None:
    """`size`: characters or bytes of what is about to be made.  Raises LimitExceeded."""
    if size > VALUE_BYTES_MAX:
        raise LimitExceeded("requested length too large")


def stoppable(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which a statement that is to end does not call any more; as it is when `name` is cheap."""
    if name in CHEAP:
        return function

    def called(*values: Any) -> Any:
        patience.check()
        return function(*values)

    return called
