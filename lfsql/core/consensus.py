"""One node's part in consensus, as a state machine without I/O, clock or chance.

Raft, with pre-vote, check-quorum and read index.  See `lfsql.core.effects` for what goes in and comes out,
and for the order in which effects are carried out.

This module holds the roles and what changes them; the primary's work lies in `leadership`.  Three rules
hold everywhere and are worth knowing before reading on:

- Nothing is said that a crash could make untrue: an answer waits for the fsync of the term, vote or records it
  speaks of.  What an answer says of the disk is true from then on, so late and repeated answers do no harm.
- The log in memory runs ahead of the disk.  Votes and log matching look at memory, since writes keep their
  order; counting towards a quorum and applying look at the disk.
- A term is never entered to find out whether it could be won: that is what the pre-vote is for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from lfsql.core.durability import Durability
from lfsql.core.effects import (
    NOT_PRIMARY,
    Applied,
    Committed,
    Compacted,
    Effect,
    HardState,
    Input,
    LogRead,
    MembersChanged,
    PeerConnected,
    PeerFaulty,
    PeerLost,
    PeerSends,
    Persisted,
    PrimaryChanged,
    ProposalRefused,
    Propose,
    Proposed,
    ReadConfirmed,
    ReadIndex,
    ReadRefused,
    Received,
    Restored,
    Send,
    SteppedDown,
    Tick,
    Transfer,
)
from lfsql.core.election import LOST, WON, Campaign, Timeouts, Watch, goes_first, handicap, is_current
from lfsql.core.handover import UNFIT_MS
from lfsql.core.ids import Index, NodeId, Position, Term
from lfsql.core.inquiry import Inquiry
from lfsql.core.leadership import OPENING, Leadership
from lfsql.core.log import LogTail, extend
from lfsql.core.matching import append_fault, fit
from lfsql.core.membership import Configuration, ConfigurationHistory
from lfsql.core.messages import (
    Accept,
    Append,
    ConsensusMessage,
    Mismatch,
    ReadIndexAnswer,
    ReadIndexRequest,
    RequestVote,
    TimeoutNow,
    Vote,
)
from lfsql.core.settings import ConsensusSettings
from lfsql.errors import DataCorrupted, InvariantBroken

DEFAULT_SETTINGS: Final = ConsensusSettings()


class Consensus(Inquiry):
    """`draw` gives numbers evenly spread over [0, 1); `now` is seconds on any clock that never steps back and
    runs on while the machine sleeps (CLOCK_BOOTTIME), the same one for all calls.

    `configuration` is in force where `restored.base` ends; what came since is in `restored`.  A node that is not in
    it neither stands nor counts, and waits until the log makes it a member.

    Raises DataCorrupted when what was restored contradicts itself.
    """

    def __init__(
        self,
        node: NodeId,
        configuration: Configuration,
        restored: Restored,
        draw: Callable[[], float],
        now: float,
        settings: ConsensusSettings = DEFAULT_SETTINGS,
    ) -> None:
        self._node = node
        self._settings = settings
        self._now = now
        history = ConfigurationHistory(configuration, restored.configurations)
        self._log = LogTail(restored.base, restored.floor, restored.records, settings.tail_bytes_max, history)
        self._configuration = history.current
        if not self._log.floor.index <= restored.commit <= self._log.last.index:
            raise DataCorrupted(
                f"the log ends at {self._log.last.index} and its tail begins after {self._log.floor.index}, "
                f"but {restored.commit} records are committed"
            )
        if restored.hard_state.term < self._log.last.term:
            raise DataCorrupted(
                f"the stored term is {restored.hard_state.term}, but the log holds term {self._log.last.term}"
            )
        self._term = restored.hard_state.term
        self._vote = restored.hard_state.vote
        self._commit = restored.commit
        self._committed = restored.commit
        self._primary: NodeId = ""

        self._disk = Durability(self._log.last.index, (self._term, self._vote))
        self._effects: list[Effect] = []

        self._campaign: Campaign | None = None
        self._leadership: Leadership | None = None
        self._timeouts = Timeouts(settings, self._configuration.rank(node), draw)
        self._watch = Watch(settings, self._timeouts, now, stands=self._stands)
        self._excused = False
        self._applied: Index = 0
        self._fit = True

    # -- One step ------------------------------------------------------------------------------------------

    def step(self, given: Input, now: float) -> tuple[Effect, ...]:
        """Take one input; return what is to be done, in order.

        Raises DataCorrupted when this node's history contradicts the primary's: the node must stop.
        """
        self._now = max(now, self._now)
        match given:
            case Received():
                self._receive(given.sender, given.message)
            case Propose():
                self._propose(given)
            case Persisted():
                self._persisted(given)
            case Applied():
                self._applied, self._fit = max(given.index, self._applied), given.fit
                backlog = max(self._commit - self._applied, 0)
                write_s = self._disk.write_s(self._now) if given.fit else UNFIT_MS / 1000
                self._timeouts.handicap = handicap(write_s, backlog, self._settings)
            case Tick():
                self._tick()
            case ReadIndex():
                self._read_index(self._node, given.token)
            case LogRead():
                if self._leadership:
                    self._leadership.log_read(given)
            case PeerConnected():
                self._connected(given.node)
            case PeerLost():
                self._lost(given.node)
            case PeerSends():
                if given.node == self._primary:
                    self._watch.heard(self._now)
            case Compacted():
                if given.base.index > self._committed:
                    raise InvariantBroken(
                        f"the log was compacted up to {given.base.index}, but committed to {self._committed}"
                    )
                self._log.compact(given.base)
            case Transfer():
                if self._leadership:
                    self._leadership.transfer(given.to, self._now)
        return self._finish()

    def _finish(self) -> tuple[Effect, ...]:
        if self._log.configurations.current is not self._configuration:
            self._change_members()
        leadership = self._leadership
        if leadership:
            self._commit = max(self._commit, leadership.quorum_holds(self._disk.index))
        self._announce()
        if leadership:
            leadership.finish(self._commit, self._committed, self._now)
        self._watch.set_stands(self._now, stands=self._stands)
        self._disk.flush(
            HardState(self._term, self._vote, self._commit), self._log.last.index, self._effects, self._now
        )
        self._log.trim(min(self._commit, self._disk.index))
        effects = tuple(self._effects)
        self._effects.clear()
        return effects

    def _announce(self) -> None:
        committed = min(self._commit, self._disk.index)
        if committed > self._committed:
            self._committed = committed
            self._effects.append(Committed(committed))

    def _change_members(self) -> None:
        self._configuration = self._log.configurations.current
        self._timeouts.rank = self._configuration.rank(self._node)
        if self._leadership:
            self._leadership.set_members(self._configuration)
        self._effects.append(MembersChanged(self._configuration))

    @property
    def _stands(self) -> bool:
        """A node whose vote is being taken away stands until that is committed: the record that does it may be on its
        disk alone, and then nobody else can be elected.
        """
        history = self._log.configurations
        if history.index <= self._commit:
            return self._configuration.elects(self._node)
        return any(configuration.elects(self._node) for configuration in history.since(self._commit))

    def _persisted(self, given: Persisted) -> None:
        self._disk.persisted(given.number, given.seconds)
        campaign = self._campaign
        if campaign and campaign.missing(self._node) and self._vote_is_durable:
            campaign.count(self._node, granted=True)
            self._weigh(campaign)

    @property
    def _vote_is_durable(self) -> bool:
        return self._disk.ballot == (self._term, self._vote)

    def _answer(self, to: NodeId, message: ConsensusMessage) -> None:
        """Say what speaks of this node's term or vote, which is not before they are on disk."""
        send = Send(to, message)
        if self._vote_is_durable:
            self._effects.append(send)
        else:
            self._disk.afterwards(send)

    # -- Time ----------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """A tick that comes very late means that this process stood still, and that the messages which would
        have kept it from acting wait unread: it is excused, once.
        """
        if self._now < self.deadline:
            return
        late = self._now > self.deadline + self._settings.heartbeat and not self._excused
        self._excused = late
        if self._leadership:
            if not self._leadership.tick(self._now, late=late, write_s=self._disk.write_s(self._now)):
                self._follow(self._term, "")
        elif late:
            self._watch.hold(self._now)
        else:
            self._stand(pre=True)

    # -- Peers ---------------------------------------------------------------------------------------------

    def _connected(self, node: NodeId) -> None:
        campaign = self._campaign
        if self._leadership:
            self._leadership.connected(node)
        elif campaign and campaign.missing(node) and (campaign.pre or self._vote_is_durable):
            self._effects.append(Send(node, self._ballot(campaign)))

    def _lost(self, node: NodeId) -> None:
        if self._leadership:
            self._leadership.replicator.lost(node)
        elif node == self._primary:
            self._know("")
            self._watch.lost(self._now)

    def _know(self, primary: NodeId) -> None:
        if primary != self._primary:
            self._primary = primary
            self._effects.append(PrimaryChanged(self._term, primary))

    def _receive(self, sender: NodeId, message: ConsensusMessage) -> None:
        match message:
            case Append():
                self._append(sender, message)
            case RequestVote():
                self._requested(sender, message)
            case ReadIndexRequest():
                self._read_index(sender, message.token)
            case ReadIndexAnswer():
                self._effects.append(
                    ReadConfirmed(message.token, message.index)
                    if message.granted
                    else ReadRefused(message.token, self._primary)
                )
            case _ if message.term > self._term:
                self._follow(message.term, "")
            case Accept() | Mismatch():
                if self._leadership and message.term == self._term and self._leadership.replicator.follows(sender):
                    self._leadership.answered(sender, message)
            case Vote():
                campaign = self._campaign
                if campaign and (campaign.term, campaign.pre) == (message.asked, message.pre):
                    campaign.count(sender, message.granted)
                    self._weigh(campaign)
            case TimeoutNow():
                if message.term == self._term and sender == self._primary and self._stands:
                    self._stand(pre=False, transfer=True)

    # -- Elections -----------------------------------------------------------------------------------------

    def _follow(self, term: Term, primary: NodeId) -> None:
        """Become or stay a follower.  Within a term the vote is kept, or two could win it."""
        if term > self._term:
            self._term = term
            self._vote = ""
        leadership = self._leadership
        self._leadership = None
        if leadership or self._campaign:
            self._campaign = None
            self._watch.restart(self._now)
        self._know(primary)
        if leadership:
            leadership.abandon(primary)
            if leadership.ready:
                self._effects.append(SteppedDown(self._term, primary))

    def _stand(self, *, pre: bool, transfer: bool = False) -> None:
        self._know("")
        if pre:
            term = self._term + 1
        else:
            term = self._term = self._term + 1
            self._vote = self._node
        campaign = self._campaign = Campaign(self._configuration, term, pre=pre, transfer=transfer)
        self._watch.stood(self._now, pre=pre)
        ballot = self._ballot(campaign)
        for node in self._configuration.electors:
            if node != self._node:
                self._answer(node, ballot)
        if pre:
            campaign.count(self._node, granted=True)
            self._weigh(campaign)

    def _ballot(self, campaign: Campaign) -> RequestVote:
        return RequestVote(campaign.term, self._log.last, campaign.pre, campaign.transfer)

    def _weigh(self, campaign: Campaign) -> None:
        if campaign.result == WON and campaign.pre:
            self._stand(pre=False)
        elif campaign.result == WON:
            self._lead()
        elif campaign.result == LOST:
            self._campaign = None
            self._watch.refused(self._now, pre=campaign.pre)

    def _lead(self) -> None:
        self._campaign = None
        at = (self._node, self._term, self._commit, self._now)
        self._leadership = Leadership(*at, self._configuration, self._log, self._settings, self._effects)
        self._know(self._node)
        self._leadership.tick(self._now, late=False)
        self._extend(OPENING)

    def _requested(self, sender: NodeId, message: RequestVote) -> None:
        """Whoever asks counts the answer by the members that it knows of; this node may not know yet that the other
        is a member, or that it has a vote itself.  What it must know are its term, its vote and its log.
        """
        current = is_current(message.last, self._log.last)
        if message.term > self._term and self._is_loyal(sender, message):
            granted = False
        elif message.pre:
            granted = current and message.term > self._term and not self._goes_first(sender, message.last)
            if granted and not self._leadership:
                self._watch.hold(self._now)
                if self._campaign and self._campaign.pre:
                    self._campaign = None
        else:
            if message.term > self._term:
                self._follow(message.term, "")
            granted = current and message.term == self._term and self._vote in ("", sender) and not self._leadership
            if granted:
                self._vote = sender
                self._campaign = None
                self._watch.restart(self._now)
            elif self._campaign and not self._campaign.pre and message.term == self._term:
                self._watch.split(self._now)
        self._answer(sender, Vote(self._term, message.term, granted, message.pre))

    def _goes_first(self, rival: NodeId, last: Position) -> bool:
        """Only for as long as answers should take: the one that goes first may be the one that is not heard."""
        standing = self._campaign is not None and self._campaign.pre and self._watch.just_stood(self._now)
        return standing and goes_first(self._configuration, self._node, self._log.last, rival, last)

    def _is_loyal(self, sender: NodeId, message: RequestVote) -> bool:
        """Whether a primary that works, as far as this node can tell, stands against the request.

        A primary itself is loyal to itself: if it does not work, check-quorum ends it.
        """
        if message.transfer or sender == self._primary:
            return False
        if self._leadership or self._watch.is_promised(self._now):
            return True
        return bool(self._primary) and self._watch.hears(self._now)

    # -- The log -------------------------------------------------------------------------------------------

    def _append(self, sender: NodeId, message: Append) -> None:
        fault = append_fault(message)
        if fault:
            self._effects.append(PeerFaulty(sender, fault))
            return
        if message.term < self._term:
            # Its sender was deposed and must hear of it; it steps down on the term alone.  It may lead again in this
            # very term by the time that it hears: then neither round nor place may be taken for an answer to its new
            # questions, or it would count a round that was not answered, and look for the logs' common point anew.
            self._answer(sender, Mismatch(self._term, 0, 0, 0, 0))
            return
        if self._leadership and message.term == self._term:
            raise InvariantBroken(f"{sender} is primary in term {self._term}, and so is this node")
        self._follow(message.term, sender)
        self._excused = False
        self._watch.heard(self._now)
        common = fit(self._log, self._disk, message, self._commit)
        if common is not None:
            wanted = message.previous.index
            self._answer(sender, Mismatch(self._term, message.round, wanted, common.index, common.term))
            return
        end = message.previous.index + len(message.records)
        self._commit = max(self._commit, min(message.commit, end))
        self._accept(sender, message, end)

    def _accept(self, sender: NodeId, message: Append, end: Index) -> None:
        """Answer at once with what is on disk; records still being written are answered for when they are."""
        if message.records and end > self._disk.index:
            self._disk.afterwards(Send(sender, Accept(self._term, message.round, end, end, *self._fitness)))
        elif message.records or message.round:
            durable = min(max(end, self._commit), self._disk.index)
            self._answer(sender, Accept(self._term, message.round, end, durable, *self._fitness))

    @property
    def _fitness(self) -> tuple[Index, int]:
        """How far the database is, and what a write takes the disk, in milliseconds: for whom to hand leadership
        to.
        """
        return self._applied, int(self._disk.write_s(self._now) * 1000) if self._fit else UNFIT_MS

    def _propose(self, given: Propose) -> None:
        leadership = self._leadership
        if leadership is None or not leadership.ready or given.term != self._term:
            self._effects.append(ProposalRefused(NOT_PRIMARY, self._primary))
            return
        reason = leadership.refusal(given.bodies)
        if reason:
            self._effects.append(ProposalRefused(reason, self._primary))
            return
        first = self._log.last.index + 1
        self._effects.append(Proposed(first, first + len(given.bodies) - 1))
        self._extend(given.bodies)

    def _extend(self, bodies: tuple[tuple[int, bytes], ...]) -> None:
        records = extend(self._log.last, self._term, bodies)
        self._log.append(records)
        self._disk.append(records)

    # -- Linearizable reads --------------------------------------------------------------------------------

    def _read_index(self, origin: NodeId, token: int) -> None:
        if self._leadership:
            self._leadership.read(origin, token, self._now)
        elif origin != self._node:
            self._effects.append(Send(origin, ReadIndexAnswer(token, 0, granted=False)))
        elif self._primary:
            self._effects.append(Send(self._primary, ReadIndexRequest(token)))
        else:
            self._effects.append(ReadRefused(token, ""))
