"""How long reads of one copy take, as a mean that forgets.

It is the geometric mean, since copies are compared by how many times slower one is, and one read among many that
takes a hundred times as long, as the first on a cold copy does, must not look like a slow copy.

A sample counts by the time that has passed since the one before, not by its number: a copy that is asked often is
judged over the same seconds as one that is asked rarely.  A mean that nobody renews is forgotten rather than kept:
the copy is then taken for as fast as any, which costs a few reads, where keeping it would keep a copy out that has
long recovered.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log
from statistics import median
from typing import Final

MEMORY_S: Final = 2.0
"""A sample counts e times less after so long."""
FORGOTTEN_S: Final = 10.0
SAMPLES_MIN: Final = 5
SECONDS_MIN: Final = 1e-6
SLOWER_S_MIN: Final = 0.005
"""A copy is slow only when its reads take so much longer than its peers': less is the machine's business."""
SLOWER_MAX: Final = 8
"""A slow copy's share is divided by no more: it must be asked now and then to be seen to recover."""


class Latency:
    """Of one copy.  Times are in seconds, `now` on any clock that does not go back."""

    __slots__ = ("_at", "_log", "_samples")

    def __init__(self) -> None:
        self._log = 0.0
        self._samples = 0
        self._at = 0.0

    def add(self, seconds: float, now: float) -> None:
        if now - self._at > FORGOTTEN_S:
            self.forget()
        self._samples += 1
        part = max(1 - exp((self._at - now) / MEMORY_S), 1 / self._samples)
        self._log += (log(max(seconds, SECONDS_MIN)) - self._log) * part
        self._at = now

    def mean_s(self, now: float) -> float | None:
        """None when too little was heard lately."""
        return None if self._samples < SAMPLES_MIN or now - self._at > FORGOTTEN_S else exp(self._log)

    def forget(self) -> None:
        self._samples = 0


def slower(mean_s: float | None, peers_s: Sequence[float]) -> int:
    """How many times slower than its peers' median a copy is: 1, 2, 4 or 8; 1 also by less than SLOWER_S_MIN.

    In such steps, since means of the same statements differ by chance, and shares are not to follow chance.
    """
    if mean_s is None or not peers_s:
        return 1
    usual_s = median(peers_s)
    if mean_s < usual_s + SLOWER_S_MIN:
        return 1
    times = 1
    while times < SLOWER_MAX and mean_s > 2 * times * usual_s:
        times *= 2
    return times
