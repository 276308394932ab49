"""Drives consensus: feeds it inputs and carries out its effects in the order of durability.

`step` is synchronous, and so are sends; only writes to the statement log wait, in a task of their own.  All writes
that queued up while one fsync ran share the next one.  See `lfsql.core.effects` for the rules this file keeps.

The clock is CLOCK_BOOTTIME: it never steps back, and it runs on while the machine sleeps, so a primary that slept
knows that its time is over.

A failed write to the log is not caught here: it ends the node.  What the disk then holds is found out by reading it
again at the next start, never by writing it again.
"""

from __future__ import annotations

import logging
import math
import os
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

import msgspec
import trio

from lfsql.core.consensus import Consensus
from lfsql.core.effects import (
    BecamePrimary,
    Committed,
    Effect,
    HardState,
    Input,
    LogRead,
    NeedSnapshot,
    PeerFaulty,
    Persist,
    Persisted,
    PrimaryChanged,
    ProposalRefused,
    Propose,
    Proposed,
    ReadConfirmed,
    ReadIndex,
    ReadLog,
    ReadRefused,
    Restored,
    Send,
    SteppedDown,
    Tick,
)
from lfsql.core.entry import Record
from lfsql.core.ids import Index, NodeId, Position, Term
from lfsql.core.membership import Configuration
from lfsql.core.messages import PeerMessage
from lfsql.core.settings import ConsensusSettings
from lfsql.errors import DataCorrupted, InvariantBroken
from lfsql.storage.statement_log import StatementLog

logger: Final = logging.getLogger(__name__)

_RESTORE_BYTES_MAX: Final = 1 << 62

_encode_state: Final = msgspec.msgpack.Encoder().encode
_state_decoder: Final = msgspec.msgpack.Decoder(HardState)


def draws() -> Iterator[float]:
    """Numbers evenly spread over [0, 1), for ever.

    Consensus draws one for every message of its primary, so the kernel is asked for a thousand at a time.
    """
    while True:
        for number in array("I", os.urandom(4096)):
            yield number / (1 << 32)


def boot_clock() -> float:
    """Seconds since some point before the machine started; counts sleep."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Observer(Protocol):
    """Whom the driver tells.  The calls come from within `step`: they must not wait or raise.

    They may step: what that brings is carried out when what came before it is.
    """

    def committed(self, index: Index) -> None: ...

    def durable(self, index: Index) -> None:
        """This node's disk holds the log up to `index`."""

    def became_primary(self, term: Term, index: Index) -> None: ...

    def stepped_down(self, primary: NodeId) -> None: ...

    def primary_changed(self, primary: NodeId) -> None: ...


class Driver:
    """One node's consensus, carried out.  `run` must run in a task."""

    def __init__(
        self,
        node: NodeId,
        configuration: Configuration,
        log: StatementLog,
        restored: Restored,
        settings: ConsensusSettings,
        *,
        send: Callable[[NodeId, PeerMessage], None],
        close_peer: Callable[[NodeId], None],
        observer: Observer,
    ) -> None:
        self._log = log
        self._send = send
        self._close_peer = close_peer
        self._observer = observer
        self.consensus = Consensus(node, configuration, restored, draws().__next__, boot_clock(), settings)
        self._persists: deque[Persist] = deque()
        self._persists_wait = trio.Event()
        self._timer = trio.CancelScope()
        self._timer_due = math.inf
        self._effects: deque[Effect] = deque()
        self._carrying_out = False
        self._reading: dict[int, Callable[[ReadConfirmed | ReadRefused], None]] = {}
        self._token = int.from_bytes(os.urandom(6), "big")
        """Of the newest read index; random at first, so that none is used twice, not over restarts either."""
        self._nursery: trio.Nursery | None = None

    def step(self, given: Input) -> None:
        """Feed one input and carry out what it brings."""
        self._carry_out_all(self.consensus.step(given, boot_clock()))

    def _carry_out_all(self, effects: Iterable[Effect]) -> None:
        """In their order: those of a step within a step come after those of the outer one."""
        self._effects.extend(effects)
        if not self._carrying_out:
            self._carrying_out = True
            try:
                while self._effects:
                    self._carry_out(self._effects.popleft())
            finally:
                self._carrying_out = False
        if self.consensus.deadline < self._timer_due:
            self._set_timer()

    def propose(self, term: Term, bodies: tuple[tuple[int, bytes], ...]) -> Proposed | ProposalRefused:
        """Append records of (kind, body) to the log of the primary's `term`; all or none."""
        answer, effects = _split_answer(self.consensus.step(Propose(term, bodies), boot_clock()))
        self._carry_out_all(effects)
        return answer

    def read_index(self, answer: Callable[[ReadConfirmed | ReadRefused], None]) -> None:
        """Call `answer` once a quorum has confirmed, or something else has refuted, that this node is primary."""
        self._token += 1
        self._reading[self._token] = answer
        self.step(ReadIndex(self._token))

    async def run(self) -> None:
        """Keep time and write the log until cancelled.  Raises DiskFailed, DiskFull, DataCorrupted."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._write_log)
            nursery.start_soon(self._keep_time)

    async def records(self, first: Index, last: Index, bytes_max: int) -> tuple[Record, ...]:
        """Records from `first` on, at least one, at most to `last`, from memory or from disk."""
        found = self.consensus.records(first, last)
        if found is not None:
            return found
        return await self._log.read(first, last, bytes_max)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Send():
                self._send(effect.to, effect.message)
            case Persist():
                self._persists.append(effect)
                self._persists_wait.set()
            case Committed():
                self._observer.committed(effect.index)
            case ReadLog():
                if self._nursery is None:
                    raise InvariantBroken("consensus asked for the log before the driver ran")
                self._nursery.start_soon(self._read_log, effect)
            case BecamePrimary():
                self._observer.became_primary(effect.term, effect.index)
            case SteppedDown():
                self._observer.stepped_down(effect.primary)
            case PrimaryChanged():
                self._observer.primary_changed(effect.primary)
            case PeerFaulty():
                logger.error("node '%s' broke the protocol, its link is closed: %s", effect.node, effect.reason)
                self._close_peer(effect.node)
            case NeedSnapshot():
                logger.error("node '%s' lacks records that this log no longer has: it cannot catch up", effect.to)
            case ReadConfirmed() | ReadRefused():
                # A primary elsewhere may answer late, and twice: the first answer counts.
                answer = self._reading.pop(effect.token, None)
                if answer is not None:
                    answer(effect)

    # -- The statement log -----------------------------------------------------------------------------------

    async def _write_log(self) -> None:
        while True:
            await self._persists_wait.wait()
            self._persists_wait = trio.Event()
            batch, self._persists = self._persists, deque()
            records, truncate_from, hard_state = merge(batch)
            if records or truncate_from is not None or hard_state is not None:
                encoded = None if hard_state is None else _encode_state(hard_state)
                await self._log.write(records, truncate_from=truncate_from, hard_state=encoded)
            for persist in batch:
                for send in persist.then:
                    self._send(send.to, send.message)
            if records:
                self._observer.durable(records[-1].index)
            self.step(Persisted(batch[-1].number))

    async def _read_log(self, asked: ReadLog) -> None:
        records = await self._log.read(asked.first, asked.last, asked.bytes_max)
        self.step(LogRead(asked.to, asked.first, records))

    # -- Time ------------------------------------------------------------------------------------------------

    async def _keep_time(self) -> None:
        """Sleep until the deadline.  Most inputs move it back: noticed on waking, which is cheaper than
        waking for each.  A deadline that comes nearer moves the sleeper's own (`_set_timer`)."""
        while True:
            with trio.CancelScope() as self._timer:
                self._set_timer()
                await trio.sleep_forever()
            if self.consensus.deadline <= boot_clock():
                self.step(Tick())

    def _set_timer(self) -> None:
        self._timer_due = self.consensus.deadline
        self._timer.deadline = trio.current_time() + max(0.0, self._timer_due - boot_clock())


def _split_answer(effects: tuple[Effect, ...]) -> tuple[Proposed | ProposalRefused, list[Effect]]:
    """A proposal's answer, and what else it brought."""
    answers = [effect for effect in effects if isinstance(effect, Proposed | ProposalRefused)]
    if len(answers) != 1:
        raise InvariantBroken(f"consensus gave {len(answers)} answers to a proposal")
    return answers[0], [effect for effect in effects if effect is not answers[0]]


def merge(batch: deque[Persist]) -> tuple[list[Record], Index | None, HardState | None]:
    """One write that has the effect of all of `batch`: (records, truncate_from, hard_state)."""
    records: list[Record] = []
    truncate_from: Index | None = None
    hard_state: HardState | None = None
    for persist in batch:
        if persist.truncate_from is not None:
            while records and records[-1].index >= persist.truncate_from:
                records.pop()
            truncate_from = min(persist.truncate_from, truncate_from or persist.truncate_from)
        records.extend(persist.records)
        if persist.hard_state is not None:
            hard_state = persist.hard_state
    return records, truncate_from, hard_state


async def restore(log: StatementLog, applied: Position) -> Restored:
    """What consensus starts from: the log's end, and that everything `applied` is committed.

    Raises DataCorrupted when log.db is damaged or does not hold what data.db was made from.
    """
    if log.damaged:
        raise DataCorrupted(
            f"log.db: {len(log.damaged)} records are damaged, the first at index {log.damaged[0]}",
            hint="take the node out of `peers` and add it under a new name, see `lfsql members` in docs/commands.md: "
            "another node's files would not hold what this one promised",
        )
    hard_state = _state_decoder.decode(log.hard_state) if log.hard_state else HardState()
    if applied.index > log.last.index or applied.index < log.base.index:
        raise DataCorrupted(
            f"data.db stands at index {applied.index}, log.db holds {log.base.index} to {log.last.index}",
            hint="the two files are not from the same node and time",
        )
    commit = max(applied.index, min(hard_state.commit, log.last.index))
    floor = await _position_at(log, commit)
    at_applied = floor if commit == applied.index else await _position_at(log, applied.index)
    if at_applied != applied:
        raise DataCorrupted(
            f"data.db and log.db disagree on the record at index {applied.index}",
            hint="the two files are not from the same node and time",
        )
    records: tuple[Record, ...] = ()
    if log.last.index > commit:
        records = await log.read(commit + 1, log.last.index, _RESTORE_BYTES_MAX)
    return Restored(hard_state=hard_state, base=log.base, floor=floor, records=records, commit=commit)


async def _position_at(log: StatementLog, index: Index) -> Position:
    if index == log.base.index:
        return log.base
    (record,) = await log.read(index, index, 1)
    return Position(record.index, record.term, record.hash)
