"""Time and chance: one heap of (time, order, event), one generator, so a seed is a run.

No event looks at a real clock, and nothing is drawn from elsewhere.  What happens in a run can therefore be seen
again with a trace, which is only written when asked for: most runs are never looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random


class World:
    """`now` is in seconds; `random` decides everything; `trace` holds lines when tracing, else it is None."""

    def __init__(self, seed: int | str, *, tracing: bool = False) -> None:
        self.random = Random(seed)  # noqa: S311 - a run must be the same again
        self.now = 0.0
        self.events_run = 0
        self.trace: list[str] | None = [] if tracing else None
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        heappush(self._events, (self.now + seconds, next(self._order), event))

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass until `until` holds, at most so many seconds; whether it came to hold."""
        end = self.now + seconds
        events = self._events
        while events and events[0][0] <= end:
            if until is not None and until():
                return True
            self.now, _, event = heappop(events)
            self.events_run += 1
            event()
        self.now = end
        return until is not None and until()

    def note(self, who: str, what: str) -> None:
        """A line of the trace.  To be called only when `trace` is not None: the text costs more than a step."""
        if self.trace is not None:
            self.trace.append(f"{self.now:10.6f} {who:>4} {what}")
