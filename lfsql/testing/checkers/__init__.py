"""What a recorded history proves against a database: lost and doubled writes, cycles, stale reads, missing money.

Pure functions: a history goes in, as values; what is wrong with it comes out, in words.  How the history was made,
by clients of a real cluster or by a simulation, they neither know nor care, and they know nothing of lfsql: what
they find wrong is wrong for every database that makes the same promise.

They share one notion, the outcome of an operation, and one caution: what is in doubt is never counted as a fault.  A
client that lost its connection does not know whether its write took place, so both must be right.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from math import inf


class Outcome(Enum):
    """What a client knows of an operation of its own."""

    OK = "ok"
    """Acknowledged: it took place, between its call and its return."""
    FAILED = "failed"
    """Refused: it did not take place and never will."""
    IN_DOUBT = "in doubt"
    """Not answered, or with an error that leaves it open: it took place at any time after its call, or never."""


@dataclass(frozen=True)
class Anomaly:
    """One thing that is wrong.  `kind` is a word to count by, `explanation` is for people."""

    kind: str
    explanation: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.explanation}"


@dataclass(frozen=True)
class Span:
    """When an operation was called and when it returned, in seconds of one clock; infinite when it never did."""

    called: float
    returned: float = inf

    def __post_init__(self) -> None:
        if self.returned < self.called:
            raise ValueError(f"returned at {self.returned}, before it was called at {self.called}")


def listed(values: Iterable[object], values_max: int = 10) -> str:
    """The first of `values` in words, and how many more there are."""
    shown = list(values)
    rest = len(shown) - values_max
    return ", ".join(map(repr, shown[:values_max])) + (f" and {rest} more" if rest > 0 else "")
