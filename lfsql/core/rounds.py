"""How a primary knows that it still is one.

Every heartbeat belongs to a numbered round, and an answer repeats the number.  Once a quorum has answered
round r or a later one, nobody else can have become primary before r was sent.  So one number serves three
purposes: linearizable reads wait for a round begun after they came, the lease runs from the sending of the
newest answered round, and check-quorum asks how long ago that was.  Times are those of sending: the answer's
arrival says nothing about the time in between.
"""

from __future__ import annotations

from collections import deque
from math import inf

import msgspec

from lfsql.core.ids import Index, NodeId
from lfsql.core.membership import Configuration


class WaitingRead(msgspec.Struct, frozen=True):
    """`origin` asked; it may read from `index` on once `round` is confirmed."""

    origin: NodeId
    token: int
    index: Index
    round: int


class Rounds:
    def __init__(self, node: NodeId, configuration: Configuration) -> None:
        self.current = 0
        self.confirmed = 0
        self.confirmed_at = -inf
        self._node = node
        self._configuration = configuration
        self._answered: dict[NodeId, int] = {}
        self._open: deque[tuple[int, float]] = deque()
        self._reads: deque[WaitingRead] = deque()

    def begin(self, now: float) -> None:
        """A new round is about to be sent."""
        self.current += 1
        self._answered[self._node] = self.current
        self._open.append((self.current, now))
        self._confirm()

    def answer(self, node: NodeId, round_: int) -> None:
        """Answers to rounds never begun are not counted."""
        if round_ <= self.current and round_ > self._answered.get(node, 0):
            self._answered[node] = round_
            self._confirm()

    def answers(self, node: NodeId) -> bool:
        """It has answered the newest confirmed round."""
        return self._answered.get(node, 0) >= self.confirmed > 0

    def set_members(self, configuration: Configuration) -> None:
        """From now on its electors are counted.  What is confirmed stays so: any of their majorities has a node in
        common with any of the majorities before.
        """
        self._configuration = configuration
        self._confirm()

    def _confirm(self) -> None:
        reached = int(self._configuration.reached(lambda node: self._answered.get(node, 0)))
        self.confirmed = max(self.confirmed, reached)
        while self._open and self._open[0][0] <= self.confirmed:
            self.confirmed_at = self._open.popleft()[1]

    @property
    def asking(self) -> bool:
        """A read waits for a round that has been sent."""
        return bool(self._reads) and self._reads[0].round <= self.current

    @property
    def reads_waiting(self) -> int:
        return len(self._reads)

    def wait(self, origin: NodeId, token: int, index: Index) -> None:
        """A read waits for the next round: the current one may have been sent before the read came."""
        self._reads.append(WaitingRead(origin, token, index, self.current + 1))

    def confirmed_reads(self) -> tuple[WaitingRead, ...]:
        """Take the reads whose round is confirmed."""
        ready = []
        while self._reads and self._reads[0].round <= self.confirmed:
            ready.append(self._reads.popleft())
        return tuple(ready)

    def abandoned_reads(self) -> tuple[WaitingRead, ...]:
        """Take all reads: they cannot be confirmed any more."""
        abandoned = tuple(self._reads)
        self._reads.clear()
        return abandoned
