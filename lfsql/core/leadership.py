"""What a node does while it is primary: one value per term won, dropped whole when the node steps down.

Keeping it apart from `Consensus` means that nothing of one term can leak into the next.
"""

from __future__ import annotations

from typing import Final

from lfsql.core.effects import (
    BACKLOG_FULL,
    CHANGING,
    TOO_LARGE,
    TRANSFERRING,
    BecamePrimary,
    Effect,
    LogRead,
    ReadConfirmed,
    ReadRefused,
    Send,
    TransferGivenUp,
)
from lfsql.core.entry import CONFIGURATION, NOOP
from lfsql.core.handover import GAP_BYTES_MAX, GAP_RECORDS_MAX, UNFIT_MS, Handover, Preference, preferred
from lfsql.core.ids import Index, NodeId, Term
from lfsql.core.log import RECORD_OVERHEAD_BYTES, LogTail
from lfsql.core.membership import VOTER, WITNESS, Configuration, change_fault, decode_configuration
from lfsql.core.messages import Accept, Mismatch, ReadIndexAnswer, TimeoutNow
from lfsql.core.replication import Replicator
from lfsql.core.rounds import Rounds
from lfsql.core.settings import ConsensusSettings

OPENING: Final = ((NOOP, b""),)
"""What a primary's term begins with: only a record of its own term lets it commit those of earlier ones."""


class Leadership:
    """OPENING is to be appended next.  Puts what is to be done into `effects`."""

    def __init__(
        self,
        node: NodeId,
        term: Term,
        commit: Index,
        now: float,
        configuration: Configuration,
        log: LogTail,
        settings: ConsensusSettings,
        effects: list[Effect],
    ) -> None:
        self._node = node
        self._term = term
        self._configuration = configuration
        self._log = log
        self._commit = commit
        self._settings = settings
        self._effects = effects
        self._noop = log.last.index + 1
        self._established = False
        self._departing = False
        """A configuration without this node's vote is committed."""
        own = configuration.member(node)
        self._witness = own is not None and own.role == WITNESS
        self._heartbeat_at = now
        self._quorum_from = now
        self._leased = settings.lease > 0
        self._handover = Handover(settings)
        self._preference = Preference(settings, now)
        self.rounds = Rounds(node, configuration)
        self.replicator = Replicator(term, self._followers, log, settings, effects.append)

    @property
    def ready(self) -> bool:
        """The NOOP is committed, and this node has a database to serve from."""
        return self._established and not self._witness

    @property
    def deadline(self) -> float:
        return min(self._heartbeat_at, self._handover.until)

    @property
    def transferring_to(self) -> NodeId:
        return self._handover.to

    @property
    def _followers(self) -> tuple[NodeId, ...]:
        return tuple(member.node for member in self._configuration.members if member.node != self._node)

    def set_members(self, configuration: Configuration) -> None:
        """In force from now on: who is served, and whose answers and disks count."""
        self._configuration = configuration
        self.replicator.set_members(self._followers, self._log.configurations.index)
        self.rounds.set_members(configuration)

    def tick(self, now: float, *, late: bool, write_s: float = 0.0) -> bool:
        """False when no quorum has answered for an election timeout, and for as long as it may be busy with large
        records: the others may have a primary by now.  Or when this node belongs to the cluster no longer.

        Only availability depends on it; reads and commits have their own proof.  So a process that stood
        still, and was too late to read the answers, gets time to read them.  `write_s`: what a write to this node's
        disk takes.
        """
        if now >= self._heartbeat_at:
            self._begin_round(now)
            if not late:
                self._prefer(write_s, now)
        if now >= self._handover.until:
            self._effects.append(TransferGivenUp(self._handover.to))
            self._handover.end()
            self._preference.restart(now)
        if self._departing and not self._handover.to:
            return False
        patience = self._settings.election_timeout_max + self.replicator.busy_s
        if late:
            self._quorum_from = max(self._quorum_from, now - patience + 2 * self._settings.heartbeat)
        return now < max(self._quorum_from, self.rounds.confirmed_at) + patience

    def _begin_round(self, now: float) -> None:
        """Speak to every follower: because it is time, or because a read waits for their word, which does as well."""
        self._heartbeat_at = now + self._settings.heartbeat
        self.rounds.begin(now)
        self.replicator.heartbeat(self.rounds.current, self._commit)

    def connected(self, node: NodeId) -> None:
        self.replicator.connected(node, self.rounds.current, self._commit)

    def answered(self, node: NodeId, message: Accept | Mismatch) -> None:
        self.rounds.answer(node, message.round)
        if isinstance(message, Accept):
            self.replicator.accepted(node, message, self.rounds.current)
        else:
            self.replicator.mismatched(node, message, self.rounds.current, self._commit)

    def log_read(self, given: LogRead) -> None:
        self.replicator.log_read(given, self.rounds.current, self._commit)

    def quorum_holds(self, durable: Index) -> Index:
        """Up to where records are committed, as far as this term's can tell; `durable` is this node's disk.

        Records of earlier terms are never counted (Raft's figure 8): one of this term commits them all.
        """
        held = int(
            self._configuration.reached(lambda node: durable if node == self._node else self.replicator.matched(node))
        )
        position = self._log.position(held)
        return held if position is not None and position.term == self._term else 0

    def finish(self, commit: Index, committed: Index, now: float) -> None:
        """The end of a step: `commit` is what the quorum holds, `committed` that of it on this node's disk."""
        self._commit = commit
        if not self._established and committed >= self._noop:
            self._established = True
            if self.ready:
                self._effects.append(BecamePrimary(self._term, self._noop))
            else:
                self.transfer(self._best_voter(), now)
        self._answer_reads()
        if self.rounds.reads_waiting and not self.rounds.asking:
            self._begin_round(now)
            self._answer_reads()
        self.replicator.pump(self.rounds.current, commit)
        self._depart(now)
        self._hand_over(now)

    # -- Proposals -----------------------------------------------------------------------------------------

    def refusal(self, bodies: tuple[tuple[int, bytes], ...]) -> str:
        """Why `bodies` cannot be appended now; '' when they can."""
        size = sum(len(body) + RECORD_OVERHEAD_BYTES for _, body in bodies)
        if any(len(body) > self._settings.record_bytes_max for _, body in bodies):
            return TOO_LARGE
        if size > self._settings.uncommitted_bytes_max:
            return TOO_LARGE
        if self._handover.closed or self._departing:
            return TRANSFERRING
        if self._log.bytes_after(self._commit) + size > self._settings.uncommitted_bytes_max:
            return BACKLOG_FULL
        if any(kind == CONFIGURATION for kind, _ in bodies):
            return self._change_fault(bodies)
        return ""

    def _change_fault(self, bodies: tuple[tuple[int, bytes], ...]) -> str:
        """Why these members cannot be those of the cluster from now on; '' when they can.

        One change at a time, and that this term's NOOP is committed (`ready`), is what safety rests on.  The rest
        keeps the cluster working: whoever gets a vote has the log, and a majority of the new electors answers now.
        """
        if self._log.configurations.index > self._commit:
            return CHANGING
        if len(bodies) > 1:
            return "a change of members is proposed alone"
        try:
            wanted = decode_configuration(bodies[0][1])
        except ValueError as error:
            return str(error)
        fault = change_fault(self._configuration, wanted)
        if fault:
            return fault
        behind = [node for node in wanted.electors if not (self._configuration.elects(node) or self.is_level(node))]
        if behind:
            return f"node '{behind[0]}' has not caught up yet"
        answering = [node for node in wanted.electors if node == self._node or self.rounds.answers(node)]
        if len(answering) < wanted.quorum:
            return f"only {len(answering)} of the {len(wanted.electors)} that would have a vote answer"
        return ""

    def is_level(self, node: NodeId) -> bool:
        """Whether a learner has caught up, so that it may have a vote."""
        return self.replicator.matched(node) > 0 and self._near(node) and self.rounds.answers(node)

    # -- Linearizable reads --------------------------------------------------------------------------------

    def read(self, origin: NodeId, token: int, now: float) -> None:
        """Until its NOOP is committed a new primary does not know how far its predecessors committed."""
        if not self._established or self.rounds.reads_waiting >= self._settings.reads_waiting_max:
            self._refuse_read(origin, token, self._node)
        elif self._leased and now < self.rounds.confirmed_at + self._settings.lease * (1 - self._settings.drift):
            self._answer_read(origin, token, self._commit)
        else:
            self.rounds.wait(origin, token, self._commit)

    def _answer_reads(self) -> None:
        for read in self.rounds.confirmed_reads():
            self._answer_read(read.origin, read.token, read.index)

    def _answer_read(self, origin: NodeId, token: int, index: Index) -> None:
        if origin == self._node:
            self._effects.append(ReadConfirmed(token, index))
        else:
            self._effects.append(Send(origin, ReadIndexAnswer(token, index, granted=True)))

    def _refuse_read(self, origin: NodeId, token: int, primary: NodeId) -> None:
        if origin == self._node:
            self._effects.append(ReadRefused(token, primary))
        else:
            self._effects.append(Send(origin, ReadIndexAnswer(token, 0, granted=False)))

    def abandon(self, primary: NodeId) -> None:
        """Leadership is over: nothing that waits for it can be answered."""
        for read in self.rounds.abandoned_reads():
            self._refuse_read(read.origin, read.token, primary)

    # -- Handing over --------------------------------------------------------------------------------------

    def transfer(self, to: NodeId, now: float) -> None:
        member = self._configuration.member(to)
        possible = member is not None and member.role == VOTER and to != self._node
        if possible and self._established and not self._handover.to:
            self._handover.begin(to, now)

    def _best_voter(self) -> NodeId:
        """The voter that holds most of the log among those that still answer, one that can serve before others; ''
        when none answers.
        """
        answering = [
            (self.is_fit(member.node), self.replicator.matched(member.node), member.priority, member.node)
            for member in self._configuration.members
            if member.role == VOTER and member.node != self._node and self.rounds.answers(member.node)
        ]
        return max(answering)[-1] if answering else ""

    def is_fit(self, node: NodeId) -> bool:
        """It has not told that it could not serve."""
        return self.replicator.fsync_ms(node) < UNFIT_MS

    def _prefer(self, write_s: float, now: float) -> None:
        """Hand over to a node that would lead better, or that this one must hand over to."""
        if not self._established or self._handover.to:
            return
        if self._witness or self._departing:
            self.transfer(self._best_voter(), now)
            return
        better = preferred(
            self._configuration,
            self._node,
            lambda node: int(write_s * 1000) if node == self._node else self.replicator.fsync_ms(node),
        )
        best = next((node for node in better if self.is_level(node)), "")
        stalled = write_s > self._settings.election_timeout_max
        if self._preference.weigh(best, now) or (stalled and best):
            self.transfer(best, now)

    def _near(self, node: NodeId) -> bool:
        """It lacks so little that it will have it in no time."""
        matched, last = self.replicator.matched(node), self._log.last.index
        applied = self.replicator.applied(node) or self._commit
        return (
            last - matched <= GAP_RECORDS_MAX
            and self._commit - applied <= GAP_RECORDS_MAX
            and matched >= self._log.floor.index
            and self._log.bytes_after(matched) <= GAP_BYTES_MAX
        )

    def _depart(self, now: float) -> None:
        """Once members without this node's vote are committed, somebody else must lead."""
        if self._established and not self._departing and self._log.configurations.index <= self._commit:
            self._departing = not self._configuration.elects(self._node)
            if self._departing:
                self._handover.end()
                self.transfer(self._best_voter(), now)

    def _hand_over(self, now: float) -> None:
        handover = self._handover
        if not handover.to:
            return
        level = self.replicator.matched(handover.to) == self._log.last.index
        if handover.proceed(near=self._near(handover.to), level=level, now=now):
            # The message may arrive late, and whoever obeys it asks voters to break their promises.
            self._leased = False
            self._effects.append(Send(handover.to, TimeoutNow(self._term)))
