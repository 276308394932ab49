"""What the writer has executed and not yet committed, and who waits for it.

A layer is one proposal: the units of one batch, or one transaction.  Layers stack in one SQLite transaction, each
executed on top of the ones below while those still wait for their quorum.  Two things end separately:

- `Waiting`: an answer may go once the log's quorum holds the layer (or, for `local`, this node's disk does).
- `Stack`: SQLite commits once the quorum holds the youngest layer and no unit is open on top.

Answers that say nothing was written (a failed statement, a read, a repeated unit) wait as well when they were
computed on top of a layer that is not yet committed: what they saw must not turn out never to have been.  Nor must it
have been outdated when the question came: see `lfsql.node.confirmations`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from lfsql.core.ids import Index, Position
from lfsql.core.requests import ABORTED, COMMITTED, Described, Outcome, Submit
from lfsql.errors import InvariantBroken, LfsqlError, SerializationFailure
from lfsql.node.batch import Ran, SchemaNames, superseded
from lfsql.node.confirmations import Confirmations
from lfsql.node.work import Work, refuse

STACK_LAYERS_MAX: Final = 128
STACK_BYTES_MAX: Final = 8 << 20
STACK_SECONDS_MAX: Final = 0.05
"""What the primary's own readers may lag behind what it has acknowledged, under load."""


class Promise:
    """An answer that becomes true when `index` is committed, and whatever else is awaited has come."""

    __slots__ = ("_awaited", "answer", "index", "work")

    def __init__(self, work: Work, answer: Outcome | Described, index: Index, awaited: int = 1) -> None:
        self.work = work
        self.answer = answer
        self.index = index
        self._awaited = awaited

    def keep(self) -> None:
        """One thing that was awaited has come."""
        self._awaited -= 1
        if self._awaited == 0:
            self.work.asker.answer(self.answer)

    def fail(self, error: LfsqlError) -> None:
        """It will not become true here, or nobody will learn it."""
        if self._awaited > 0:
            self._awaited = 0
            refuse(self.work, error)

    def confirm(self, error: LfsqlError | None) -> None:
        """This node was still primary when the question came; or it was not."""
        if error is None:
            self.keep()
        else:
            self.fail(error)


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
            promise.fail(error)
        self._promises.clear()
        self._local.clear()
        self._logged.clear()
        self._flight.clear()

    def _answer(self, promises: deque[Promise], index: Index) -> None:
        while promises and promises[0].index <= index:
            promises.popleft().keep()


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


class Ledger:
    """The writer's account of one reign after the other.  `committed` and `proposed` are log indexes."""

    def __init__(self, names: SchemaNames, confirmations: Confirmations, clock: Callable[[], float]) -> None:
        """`clock` is the one that consensus uses."""
        self._clock = clock
        self._names = names
        self._confirmations = confirmations
        self._waiting = Waiting()
        self._failed: LfsqlError | None = None
        """Why nothing can be promised any more until the next reign."""
        self._proposed_at = -math.inf
        """When `proposed` was, if that was this writer's own doing in this term."""
        self.stack = Stack()
        self.proposed: Index = 0
        """The end of what this writer put into the log, or of what was there when its reign began."""
        self.committed: Index = 0

    def open_reign(self, committed: Index, *, new_term: bool) -> None:
        self.committed = committed
        self._failed = None
        if new_term:
            self._proposed_at = -math.inf
        self.proposed = committed if new_term else max(self.proposed, committed)

    def commit(self, index: Index) -> None:
        """A quorum holds the log up to `index`: answer whom that makes true."""
        self.committed = index
        self._waiting.committed(index)

    def durable(self, index: Index) -> None:
        """This node's disk holds the log up to `index`."""
        self._waiting.durable(index)

    def fail(self, error: LfsqlError) -> None:
        """Nobody will learn here what becomes of what is not committed.  What still runs was computed for nothing."""
        self._failed = error
        self._waiting.fail(error)

    def close(self, error: LfsqlError) -> None:
        """Something that was computed is not going to be in the log: nothing that was computed on top of it may go
        there, nor be told, until the next reign.  What is in the log is as it was."""
        self._failed = error

    def overtaken(self, work: Work, *, unlogged: bool) -> LfsqlError | None:
        """Why the transaction that begins with `work` cannot have the writer: what it has read is no longer so.

        `unlogged`: something has run that is not in the log yet.
        """
        base = work.question.base_index if isinstance(work.question, Submit) else -1
        if base < 0 or not (unlogged or base < self.proposed):
            return None
        return SerializationFailure(
            "could not serialize access due to concurrent update",
            hint="Run the transaction again: on the same connection it has the writer from its first statement on.",
        )

    @property
    def closed(self) -> bool:
        """Nothing can be logged or promised any more until the next reign."""
        return self._failed is not None

    @property
    def due(self) -> tuple[Position, tuple[Index, ...]] | None:
        """What SQLite may commit now, as Engine.commit takes it."""
        stack = self.stack
        if not stack.layers or stack.top.index > self.committed:
            return None
        return stack.top, tuple(stack.unit_indexes)

    def log(self, layer: Sequence[Ran], first: Index, top: Position) -> None:
        """The layer's records are in the log from `first` to `top`."""
        index = first - 1
        unit_indexes: list[Index] = []
        for ran in layer:
            index += len(ran.bodies)
            unit_indexes.append(index)
            outcome = ran.outcome
            if not isinstance(outcome, Outcome):
                raise InvariantBroken("something else than a unit was logged")
            if ran.schema_changed:
                self._names.name(outcome.schema_index, index)
            self._waiting.add(Promise(ran.work, self._finish(outcome, index), index), logged=True)
        if index != top.index:
            raise InvariantBroken(f"a layer of {index - first + 1} records ends at {top.index}, not at {index}")
        self.stack.add(top, unit_indexes, sum(len(body) for ran in layer for body in ran.bodies), self._clock())
        self.proposed = index
        self._proposed_at = self._clock()

    def log_members(self, top: Position) -> None:
        """A change of members is in the log at `top`: a layer that does nothing to the data."""
        self.stack.add(top, [], 0, self._clock())
        self.proposed = top.index
        self._proposed_at = self._clock()

    def promise(self, work: Work, answer: Outcome | Described) -> None:
        """Answer once everything that the answer was computed on is committed, and it is known that no other node
        had become primary when the question came."""
        if self._failed is not None:
            refuse(work, self._failed)
            return
        if isinstance(answer, Outcome):
            answer = self._finish(answer, self.proposed)
        pending = self.proposed > self.committed
        # A quorum took what was proposed after the question came, or will before this is answered.
        known = self._proposed_at >= work.asked_at or self._confirmations.known(work.asked_at)
        if known and not pending:
            work.asker.answer(answer)
            return
        promise = Promise(work, answer, self.proposed, awaited=pending + (not known))
        if pending:
            self._waiting.add(promise, logged=False)
        if not known:
            self._confirmations.ask(promise.confirm)

    def repetition(self, work: Work) -> Outcome | None:
        """The answer to a unit that is in the log and not yet known to be committed; None when it is not."""
        promise = self._waiting.in_flight(work.client)
        if promise is None or promise.work.sequence < work.sequence or not isinstance(promise.answer, Outcome):
            return None
        request = work.question.request
        if promise.work.sequence > work.sequence:
            return Outcome(request, ABORTED, (), superseded(work.client, work.sequence))
        return msgspec.structs.replace(promise.answer, request=request)

    def _finish(self, outcome: Outcome, index: Index) -> Outcome:
        """With the index it is true at, and the schema by its place in the log."""
        if outcome.state != COMMITTED or outcome.index:
            index = outcome.index
        return msgspec.structs.replace(outcome, index=index, schema_index=self._names.of(outcome.schema_index))
