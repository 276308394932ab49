"""What the writer has executed and not yet committed, and who waits for it.

A layer is one proposal: the units of one batch, or one transaction.  Layers stack in one SQLite transaction, each
executed on top of the ones below while those still wait for their quorum.  Two things end separately:

- `Waiting`: an answer may go once the log's quorum holds the layer (or, for `local`, this node's disk does).
- `Stack`: SQLite commits once the quorum holds the youngest layer and no unit is open on top.

Answers that say nothing was written (a failed statement, a read, a repeated unit) wait as well when they were
computed on top of a layer that is not yet committed: what they saw must not turn out never to have been.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from lfsql.core.ids import Index, Position
from lfsql.core.requests import Described, Outcome, Submit
from lfsql.errors import LfsqlError
from lfsql.node.work import Work, refusal

STACK_LAYERS_MAX: Final = 128
STACK_BYTES_MAX: Final = 8 << 20
STACK_SECONDS_MAX: Final = 0.02
"""What the primary's own readers may lag behind what it has acknowledged, under load."""


class Promise:
    """An answer that becomes true when `index` is committed."""

    __slots__ = ("answer", "index", "work")

    def __init__(self, work: Work, answer: Outcome | Described, index: Index) -> None:
        self.work = work
        self.answer = answer
        self.index = index


class Waiting:
    """Promises in the order of their index."""

    def __init__(self) -> None:
        self._promises: deque[Promise] = deque()
        self._local: deque[Promise] = deque()
        self._logged: deque[Promise] = deque()
        self._flight: dict[str, Promise] = {}

    def __len__(self) -> int:
        return len(self._promises) + len(self._local)

    def add(self, promise: Promise, *, logged: bool) -> None:
        """`logged`: the promise's own unit is in the log at its index, so that a resend finds it here."""
        question = promise.work.question
        local = logged and isinstance(question, Submit) and question.local
        (self._local if local else self._promises).append(promise)
        if logged:
            self._logged.append(promise)
            self._flight[promise.work.client] = promise

    def in_flight(self, client: str) -> Promise | None:
        """The client's newest unit that is logged and not yet known to be committed."""
        return self._flight.get(client)

    def durable(self, index: Index) -> None:
        """This node's disk holds the log up to `index`."""
        self._answer(self._local, index)

    def committed(self, index: Index) -> None:
        """A quorum holds the log up to `index`."""
        self._answer(self._local, index)
        self._answer(self._promises, index)
        logged = self._logged
        while logged and logged[0].index <= index:
            promise = logged.popleft()
            if self._flight.get(promise.work.client) is promise:
                del self._flight[promise.work.client]

    def fail(self, error: LfsqlError) -> None:
        """Nobody will learn here what becomes of them."""
        for promise in (*self._promises, *self._local):
            promise.work.asker.answer(refusal(promise.work.question.request, error))
        self._promises.clear()
        self._local.clear()
        self._logged.clear()
        self._flight.clear()

    def _answer(self, promises: deque[Promise], index: Index) -> None:
        while promises and promises[0].index <= index:
            promise = promises.popleft()
            promise.work.asker.answer(promise.answer)


class Stack:
    """The layers in the open SQLite transaction."""

    def __init__(self) -> None:
        self.top = Position()
        """Of the youngest layer's last record."""
        self.unit_indexes: list[Index] = []
        self.size = 0
        self.layers = 0
        self.since = 0.0
        self.begun = False
        """BEGIN was executed and neither COMMIT nor ROLLBACK since."""

    def add(self, top: Position, unit_indexes: list[Index], size: int, now: float) -> None:
        if not self.layers:
            self.since = now
        self.layers += 1
        self.top = top
        self.unit_indexes += unit_indexes
        self.size += size

    def is_full(self, now: float) -> bool:
        """Whether the next layer must wait until SQLite has committed: under load there is always a next one."""
        return self.layers > 0 and (
            self.layers >= STACK_LAYERS_MAX or self.size >= STACK_BYTES_MAX or now - self.since >= STACK_SECONDS_MAX
        )

    def clear(self) -> None:
        self.top = Position()
        self.unit_indexes = []
        self.size = 0
        self.layers = 0
        self.begun = False
