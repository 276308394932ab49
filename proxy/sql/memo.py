"""What executing a plan has worked out and may use again.

Plans are shared by all sessions and kept for long, so what one session makes of a plan must stay small, and must not
be what every other session has of it for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from proxy.sql.plan import Plan

K = TypeVar("K")
V = TypeVar("V")

Value = str | int | float | bytes | None
Formats = tuple[int, ...]
"""As in Bind: none, one for all, or one for each."""

FORMATS_MAX: Final = 16
"""Combinations of formats and settings that are kept.  A client uses one or two; of n columns there are 2 ** n."""
SKIPS_MAX: Final = 64
"""Executions until one that ran long is tried inline again, at most."""


def keep(kept: dict[K, V], key: K, value: V) -> V:
    """`value`, kept in place of the oldest where there are enough."""
    if len(kept) >= FORMATS_MAX:
        del kept[next(iter(kept))]
    kept[key] = value
    return value


@dataclass(slots=True, eq=False)
class Memo:
    row_writers: dict[tuple[Formats, int], Callable[[tuple[Value, ...]], bytes]] = field(default_factory=dict)
    """A row to its DataRow message, by result formats and the number of the session's settings."""
    descriptions: dict[Formats, bytes] = field(default_factory=dict)
    """RowDescription messages."""
    decoders: dict[tuple[Formats, int], Callable[[tuple[bytes | None, ...]], tuple[Value, ...]]] = field(
        default_factory=dict
    )
    """A Bind's bytes to values."""
    writes: bool = False
    """It was taken for a read until the engine refused it."""
    described: Plan | None = None
    """The same with the columns SQLite says it has."""
    hints: dict[str, str] | None = None
    """Its hints as settings, once they have been checked."""
    skips: int = 0
    """So many executions, with the one that ran long, go to a thread at once."""
    long_runs: int = 0
    """How often in a row it has exceeded the inline budget."""

    def ran_long(self) -> None:
        """It exceeded the inline budget.  The next ones would too, or they are of other values: they are tried again,
        the more seldom the more often it was in vain."""
        self.skips = min(SKIPS_MAX, 1 << self.long_runs)
        self.long_runs = min(self.long_runs + 1, SKIPS_MAX.bit_length())
