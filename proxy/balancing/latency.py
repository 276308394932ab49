"""How long reads of one copy take, as a mean that forgets.

A sample counts by the time that has passed since the one before, not by its number: a copy that is asked often is
judged over the same seconds as one that is asked rarely.  A mean that nobody renews is forgotten rather than kept:
the copy is then taken for as fast as any, which costs a few reads, where keeping it would keep a copy out that has
long recovered.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from statistics import median
from typing import Final

MEMORY_S: Final = 2.0
"""A sample counts e times less after so long."""
FORGOTTEN_S: Final = 10.0
SLOWER_MAX: Final = 8
"""A slow copy's share is divided by no more: it must be asked now and then to be seen to recover."""


class Latency:
    """Of one copy.  Times are in seconds, `now` on any clock that does not go back."""

    __slots__ = ("_at", "_mean_s")

    def __init__(self) -> None:
        self._mean_s: float | None = None
        self._at = 0.0

    def add(self, seconds: float, now: float) -> None:
        mean_s = self.mean_s(now)
        if mean_s is None:
            self._mean_s = seconds
        else:
            self._mean_s = seconds + (mean_s - seconds) * exp((self._at - now) / MEMORY_S)
        self._at = now

    def mean_s(self, now: float) -> float | None:
        """None when nothing was heard for a while."""
        return None if now - self._at > FORGOTTEN_S else self._mean_s

    def forget(self) -> None:
        self._mean_s = None


def slower(mean_s: float | None, peers_s: Sequence[float]) -> int:
    """How many times slower than its peers' median a copy is: 1, 2, 4 or 8; up to twice as slow is 1.

    In such steps, since means of the same statements differ by chance, and shares are not to follow chance.
    """
    if mean_s is None or not peers_s:
        return 1
    usual_s = median(peers_s)
    times = 1
    while times < SLOWER_MAX and mean_s > 2 * times * usual_s:
        times *= 2
    return times
