"""What a node's disk holds, what is being written to it, and what may be said only afterwards.

One step may change the term, cut the log and append to it, and has answers that speak of all that: they become
one `Persist`.  Writes are counted as on disk only when the driver says so, in the order they were given out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from lfsql.core.effects import Effect, HardState, Persist, Send
from lfsql.core.entry import Record
from lfsql.core.ids import Index, NodeId, Term

Ballot = tuple[Term, NodeId]
"""A term, and whom this node voted for in it."""


_RECENT: Final = 8
"""Writes whose times are averaged."""


class Durability:
    """`index`: how far the log is on disk; `ballot`: the term and vote that are."""

    def __init__(self, index: Index, ballot: Ballot) -> None:
        self.index = index
        self.ballot = ballot
        self._number = 0
        self._write_s = 0.0
        self._writing: deque[tuple[int, Index, Ballot, float]] = deque()
        self._truncate_from: Index | None = None
        self._records: list[Record] = []
        self._then: list[Send] = []

    def append(self, records: Sequence[Record]) -> None:
        self._records.extend(records)

    def truncate(self, first: Index) -> None:
        """Drop the log from `first` on.  A write of it that is still under way no longer counts."""
        self._truncate_from = first
        self.index = min(self.index, first - 1)
        self._writing = deque(
            (number, min(last, first - 1), ballot, at) for number, last, ballot, at in self._writing
        )

    def afterwards(self, send: Send) -> None:
        """Send it when everything given out so far, and in this step, is on disk."""
        self._then.append(send)

    def persisted(self, number: int, seconds: float) -> None:
        """All up to `number` is on disk; the last write took `seconds`."""
        while self._writing and self._writing[0][0] <= number:
            _, self.index, self.ballot, _ = self._writing.popleft()
        self._write_s += (seconds - self._write_s) / _RECENT

    def write_s(self, now: float) -> float:
        """Seconds that a write takes of late; of one that hangs, as long as it has."""
        return max(self._write_s, now - self._writing[0][3] if self._writing else 0.0)

    def flush(self, hard_state: HardState, last: Index, effects: list[Effect], now: float) -> None:
        """End a step in which the log came to end at `last`."""
        ballot = (hard_state.term, hard_state.vote)
        newest = self._writing[-1][2] if self._writing else self.ballot
        writes = ballot != newest or bool(self._records) or self._truncate_from is not None
        if writes or (self._then and self._writing):
            self._number += 1
            self._writing.append((self._number, last, ballot, now))
            effects.append(
                Persist(
                    self._number,
                    hard_state if writes else None,
                    self._truncate_from,
                    tuple(self._records),
                    tuple(self._then),
                )
            )
        else:
            effects.extend(self._then)
        self._truncate_from = None
        self._records.clear()
        self._then.clear()
