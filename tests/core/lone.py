"""One node under a microscope: every input is given by hand, and every effect comes back to be looked at."""

from __future__ import annotations

from typing import TypeVar

from lfsql.core.consensus import Consensus
from lfsql.core.effects import Effect, HardState, Input, Persist, Persisted, Received, Restored, Send, Tick
from lfsql.core.entry import UNIT, Record
from lfsql.core.ids import Index, NodeId, Position, Term
from lfsql.core.log import extend, position_of
from lfsql.core.membership import Configuration, Member
from lfsql.core.messages import Accept, Append, ConsensusMessage, RequestVote, Vote
from lfsql.core.settings import ConsensusSettings

E = TypeVar("E")

THREE = (Member("n1"), Member("n2"), Member("n3"))
START = Position()
NEW = Restored()
DEFAULTS = ConsensusSettings()


def records(*terms: Term, after: Position = START, body: bytes = b"") -> tuple[Record, ...]:
    """One record for each term given."""
    made: list[Record] = []
    for term in terms:
        made.extend(extend(position_of(made[-1]) if made else after, term, ((UNIT, body),)))
    return tuple(made)


def restored(*log: Record, term: Term = 0, vote: NodeId = "", commit: Index = 0) -> Restored:
    return Restored(HardState(max(term, log[-1].term if log else 0), vote), records=log, commit=commit)


def only(effects: tuple[Effect, ...], kind: type[E]) -> E:
    """The one effect of this kind."""
    (found,) = every(effects, kind)
    return found


def every(effects: tuple[Effect, ...], kind: type[E]) -> list[E]:
    return [effect for effect in effects if isinstance(effect, kind)]


def messages(effects: tuple[Effect, ...], kind: type[E], to: NodeId = "") -> list[E]:
    """The messages of this kind that may go at once, to `to` or to all."""
    return [
        effect.message
        for effect in effects
        if isinstance(effect, Send) and isinstance(effect.message, kind) and to in ("", effect.to)
    ]


class Lone:
    """`writes` False leaves every Persist unfinished until `finish`."""

    def __init__(
        self,
        start: Restored = NEW,
        members: tuple[Member, ...] = THREE,
        settings: ConsensusSettings = DEFAULTS,
        node: NodeId = "n1",
        draw: float = 0.5,
    ) -> None:
        self.now = 0.0
        self.writes = True
        self.unfinished: list[Persist] = []
        self.consensus = Consensus(node, Configuration(members), start, lambda: draw, self.now, settings)

    def step(self, given: Input) -> tuple[Effect, ...]:
        """The effects; with `writes`, followed by what becomes of them once they are on disk."""
        effects = self.consensus.step(given, self.now)
        self.unfinished.extend(every(effects, Persist))
        return effects + (self.finish() if self.writes else ())

    def finish(self) -> tuple[Effect, ...]:
        """Complete all writes; returns what may go now and what comes of it."""
        effects: tuple[Effect, ...] = ()
        while self.unfinished:
            persist = self.unfinished.pop(0)
            effects += persist.then
            more = self.consensus.step(Persisted(persist.number), self.now)
            self.unfinished.extend(every(more, Persist))
            effects += more
        return effects

    def hear(self, sender: NodeId, message: ConsensusMessage) -> tuple[Effect, ...]:
        return self.step(Received(sender, message))

    def wait(self, seconds: float) -> tuple[Effect, ...]:
        """Let time pass, with ticks as they fall due."""
        end = self.now + seconds + 1e-9  # sums of floats fall short
        effects: tuple[Effect, ...] = ()
        while self.consensus.deadline <= end:
            self.now = max(self.consensus.deadline, self.now)
            effects += self.step(Tick())
        self.now = end
        return effects

    def stand(self) -> tuple[Effect, ...]:
        """Time out; the pre-vote is won, so that this node asks for votes."""
        self.now = self.consensus.deadline
        self.step(Tick())
        term = self.consensus.term + 1
        return self.hear("n2", Vote(self.consensus.term, term, granted=True, pre=True))

    def win(self) -> tuple[Effect, ...]:
        """Stand and be elected by n2; the NOOP is not committed yet."""
        self.stand()
        term = self.consensus.term
        return self.hear("n2", Vote(term, term, granted=True))

    def lead(self) -> tuple[Effect, ...]:
        """Become primary, with n2 caught up and n3 silent."""
        self.win()
        return self.accept("n2")

    def accept(self, node: NodeId, index: Index | None = None, round_: int = 0) -> tuple[Effect, ...]:
        """`node` has everything up to `index` on disk."""
        held = self.consensus.last.index if index is None else index
        return self.hear(node, Accept(self.consensus.term, round_, held, held))

    def follow(self, *log: Record, term: Term = 1, commit: Index = 0, after: Position = START) -> tuple[Effect, ...]:
        """n2 is primary and sends these records."""
        return self.hear("n2", Append(term, after, log, commit, 1))

    def asked(self, candidate: NodeId, term: Term, last: Position = START, **options: bool) -> Vote:
        """The answer to a request for a vote."""
        effects = self.hear(candidate, RequestVote(term, last, **options))
        (vote,) = messages(effects, Vote, candidate)
        return vote
