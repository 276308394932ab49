"""What a node does while it is primary: one value per term won, dropped whole when the node steps down.

Keeping it apart from `Consensus` means that nothing of one term can leak into the next.
"""

from __future__ import annotations

from typing import Final

from lfsql.core.effects import (
    BACKLOG_FULL,
    TOO_LARGE,
    TRANSFERRING,
    BecamePrimary,
    Effect,
    LogRead,
    ReadConfirmed,
    ReadRefused,
    Send,
)
from lfsql.core.entry import NOOP
from lfsql.core.ids import Index, NodeId, Term
from lfsql.core.log import RECORD_OVERHEAD_BYTES, LogTail
from lfsql.core.membership import LEARNER, VOTER, WITNESS, Configuration
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
        self._witness = any(m.node == node and m.role == WITNESS for m in configuration.members)
        self._heartbeat_at = now
        self._quorum_from = now
        self._leased = settings.lease > 0
        self._transfer_to: NodeId = ""
        self._transfer_until = now
        self._told_to_stand = False
        followers = tuple(member.node for member in configuration.members if member.node != node)
        self.rounds = Rounds(node, configuration)
        self.replicator = Replicator(term, followers, log, settings, effects.append)

    @property
    def ready(self) -> bool:
        """The NOOP is committed, and this node has a database to serve from."""
        return self._established and not self._witness

    @property
    def deadline(self) -> float:
        return self._heartbeat_at

    def tick(self, now: float, *, late: bool) -> bool:
        """False when no quorum has answered for an election timeout: the others may have a primary by now.

        Only availability depends on it; reads and commits have their own proof.  So a process that stood
        still, and was too late to read the answers, gets time to read them.
        """
        if now >= self._heartbeat_at:
            self._begin_round(now)
        if now >= self._transfer_until:
            self._transfer_to = ""
            if self._witness and self._established:
                self.transfer(self._best_voter(), now)
        patience = self._settings.election_timeout_max
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
            self.replicator.accepted(node, message)
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
        self._answer_reads()
        if self.rounds.reads_waiting and not self.rounds.asking:
            self._begin_round(now)
            self._answer_reads()
        self.replicator.pump(self.rounds.current, commit)
        self._hand_over()

    # -- Proposals -----------------------------------------------------------------------------------------

    def refusal(self, bodies: tuple[tuple[int, bytes], ...]) -> str:
        """Why `bodies` cannot be appended now; '' when they can."""
        size = sum(len(body) + RECORD_OVERHEAD_BYTES for _, body in bodies)
        if any(len(body) > self._settings.record_bytes_max for _, body in bodies):
            return TOO_LARGE
        if size > self._settings.uncommitted_bytes_max:
            return TOO_LARGE
        if self._transfer_to:
            return TRANSFERRING
        if self._log.bytes_after(self._commit) + size > self._settings.uncommitted_bytes_max:
            return BACKLOG_FULL
        return ""

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
        possible = member is not None and member.role != LEARNER and to != self._node
        if possible and self._established and not self._transfer_to:
            self._transfer_to = to
            self._transfer_until = now + self._settings.election_timeout_max
            self._told_to_stand = False

    def _best_voter(self) -> NodeId:
        """The voter that holds most of the log among those that still answer; '' when none does."""
        answering = [
            (self.replicator.matched(member.node), member.priority, member.node)
            for member in self._configuration.members
            if member.role == VOTER and self.rounds.answers(member.node)
        ]
        return max(answering)[2] if answering else ""

    def _hand_over(self) -> None:
        caught_up = self._transfer_to and self.replicator.matched(self._transfer_to) == self._log.last.index
        if caught_up and not self._told_to_stand:
            self._told_to_stand = True
            # The message may arrive late, and whoever obeys it asks voters to break their promises.
            self._leased = False
            self._effects.append(Send(self._transfer_to, TimeoutNow(self._term)))
