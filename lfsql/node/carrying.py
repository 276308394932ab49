"""The order in which the effects of consensus are carried out, apart from whatever carries them.

`lfsql.core.effects` has the rules; this file keeps them, and nothing else does.  It neither waits nor reads a clock.
The clock is given, sends are calls, and what must wait (a write of the log, a read of it, time) is taken from here
and brought back.  So the simulator runs this file too, with a network, a disk and a clock of its own.

All writes that queued up while one fsync ran share the next one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

import msgspec

from lfsql.core.consensus import Consensus
from lfsql.core.effects import (
    BecamePrimary,
    Committed,
    Effect,
    HardState,
    Input,
    LogRead,
    MembersChanged,
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
    Send,
    SteppedDown,
    TransferGivenUp,
)
from lfsql.core.entry import Record
from lfsql.core.ids import Index, NodeId, Term
from lfsql.core.membership import Configuration
from lfsql.core.messages import PeerMessage
from lfsql.errors import InvariantBroken

encode_state: Final = msgspec.msgpack.Encoder().encode
"""A HardState as the statement log keeps it."""

_state_decoder: Final = msgspec.msgpack.Decoder(HardState)


def decode_state(stored: bytes) -> HardState:
    """What encode_state() made; of b"", which is what a new log has, the state of a new node."""
    return _state_decoder.decode(stored) if stored else HardState()


class Observer(Protocol):
    """Whom the carrier tells.  The calls come from within `step`: they must not wait or raise.

    They may step: what that brings is carried out when what came before it is.
    """

    def committed(self, index: Index) -> None: ...

    def durable(self, index: Index) -> None:
        """This node's disk holds the log up to `index`."""

    def became_primary(self, term: Term, index: Index) -> None: ...

    def stepped_down(self, primary: NodeId) -> None: ...

    def primary_changed(self, primary: NodeId) -> None: ...

    def members_changed(self, configuration: Configuration) -> None:
        """`configuration` is in force from now on, committed or not."""

    def transfer_given_up(self, to: NodeId) -> None:
        """This node, which was to hand the lead to `to`, serves on."""


class LogWrite(msgspec.Struct, frozen=True):
    """One transaction of the statement log, with one fsync; nothing to do unless `writes`.

    `persists`: the Persists it carries out, oldest first.
    """

    records: tuple[Record, ...]
    truncate_from: Index | None
    hard_state: HardState | None
    persists: tuple[Persist, ...]

    @property
    def writes(self) -> bool:
        return bool(self.records) or self.truncate_from is not None or self.hard_state is not None


class Carrier(ABC):
    """One node's consensus, carried out.  `clock` is the one that `consensus` was made with.

    `token`: where to begin to number read indexes; random, so that none is used twice, not over restarts either.
    """

    def __init__(
        self,
        consensus: Consensus,
        clock: Callable[[], float],
        token: int,
        *,
        send: Callable[[NodeId, PeerMessage], None],
        observer: Observer,
    ) -> None:
        self.consensus = consensus
        self.clock = clock
        self._token = token
        self._send = send
        self._observer = observer
        self._persists: deque[Persist] = deque()
        self._effects: deque[Effect] = deque()
        self._carrying_out = False
        self._reading: dict[int, Callable[[ReadConfirmed | ReadRefused], None]] = {}

    # -- What the rest of the world does ---------------------------------------------------------------------

    @abstractmethod
    def _write_soon(self) -> None:
        """There is something to take_write()."""

    @abstractmethod
    def _read_soon(self, asked: ReadLog) -> None:
        """Read the log, then log_was_read()."""

    @abstractmethod
    def _peer_faulty(self, effect: PeerFaulty) -> None:
        """Report it, close its link."""

    @abstractmethod
    def _snapshot_needed(self, effect: NeedSnapshot) -> None:
        """A follower lacks what this log no longer has."""

    @abstractmethod
    def _stepped(self) -> None:
        """Effects were carried out: `consensus.deadline` may be another."""

    # -- Inputs ----------------------------------------------------------------------------------------------

    def step(self, given: Input) -> None:
        """Feed one input and carry out what it brings."""
        self._carry_out_all(self.consensus.step(given, self.clock()))

    def propose(self, term: Term, bodies: tuple[tuple[int, bytes], ...]) -> Proposed | ProposalRefused:
        """Append records of (kind, body) to the log of the primary's `term`; all or none."""
        answer, effects = _split_answer(self.consensus.step(Propose(term, bodies), self.clock()))
        self._carry_out_all(effects)
        return answer

    def read_index(self, answer: Callable[[ReadConfirmed | ReadRefused], None]) -> None:
        """Call `answer` once a quorum has confirmed, or something else has refuted, that this node is primary."""
        self._token += 1
        self._reading[self._token] = answer
        self.step(ReadIndex(self._token))

    # -- The statement log -----------------------------------------------------------------------------------

    def take_write(self) -> LogWrite:
        """All that waits to be written.  The next one only after this one was written()."""
        batch = tuple(self._persists)
        self._persists.clear()
        records, truncate_from, hard_state = merge(batch)
        return LogWrite(tuple(records), truncate_from, hard_state, batch)

    def written(self, write: LogWrite, seconds: float) -> None:
        """The write is on the disk, fsynced, which took `seconds`."""
        for persist in write.persists:
            for send in persist.then:
                self._send(send.to, send.message)
        if write.records:
            self._observer.durable(write.records[-1].index)
        if write.persists:
            self.step(Persisted(write.persists[-1].number, seconds))

    def log_was_read(self, asked: ReadLog, records: tuple[Record, ...]) -> None:
        """The answer to `_read_soon`."""
        self.step(LogRead(asked.to, asked.first, records))

    # -- Inside ----------------------------------------------------------------------------------------------

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
        self._stepped()

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Send():
                self._send(effect.to, effect.message)
            case Persist():
                self._persists.append(effect)
                self._write_soon()
            case Committed():
                self._observer.committed(effect.index)
            case ReadLog():
                self._read_soon(effect)
            case BecamePrimary():
                self._observer.became_primary(effect.term, effect.index)
            case SteppedDown():
                self._observer.stepped_down(effect.primary)
            case PrimaryChanged():
                self._observer.primary_changed(effect.primary)
            case MembersChanged():
                self._observer.members_changed(effect.configuration)
            case TransferGivenUp():
                self._observer.transfer_given_up(effect.to)
            case PeerFaulty():
                self._peer_faulty(effect)
            case NeedSnapshot():
                self._snapshot_needed(effect)
            case ReadConfirmed() | ReadRefused():
                # A primary elsewhere may answer late, and twice: the first answer counts.
                answer = self._reading.pop(effect.token, None)
                if answer is not None:
                    answer(effect)


def _split_answer(effects: tuple[Effect, ...]) -> tuple[Proposed | ProposalRefused, list[Effect]]:
    """A proposal's answer, and what else it brought."""
    answers = [effect for effect in effects if isinstance(effect, Proposed | ProposalRefused)]
    if len(answers) != 1:
        raise InvariantBroken(f"consensus gave {len(answers)} answers to a proposal")
    return answers[0], [effect for effect in effects if effect is not answers[0]]


def merge(batch: Sequence[Persist]) -> tuple[list[Record], Index | None, HardState | None]:
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
