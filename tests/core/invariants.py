"""What must hold in every step of every run, checked from outside: by what nodes say and what their disks hold."""

from __future__ import annotations

from lfsql.core.effects import Restored
from lfsql.core.entry import Record
from lfsql.core.ids import Hash, Index, NodeId, Term
from lfsql.core.log import chain_fault
from lfsql.core.messages import Accept, Append, ConsensusMessage, RequestVote, Vote
from tests.core.disk import SimulatedDisk


class Invariants:
    def __init__(self) -> None:
        self.primaries: dict[Term, NodeId] = {}
        self.votes: dict[tuple[NodeId, Term], NodeId] = {}
        self.committed: dict[Index, Hash] = {}
        self.committed_in: dict[Index, Term] = {}
        self.committed_at: list[float] = [0.0]
        """When each index was first announced to be committed, by index."""
        self.terms: dict[NodeId, Term] = {}
        self.commits: dict[NodeId, Index] = {}

    @property
    def highest(self) -> Index:
        return max(self.committed, default=0)

    def leads(self, node: NodeId, term: Term, disk: SimulatedDisk) -> None:
        """One primary per term, and it has all that was committed in earlier ones.

        (A node that was paused may still win an old term; it can commit nothing in it.)
        """
        assert self.primaries.setdefault(term, node) == node, f"two primaries in term {term}"
        held = {record.index: record.hash for record in disk.logical()}
        for index, hash_ in self.committed.items():
            if index > disk.base.index and self.committed_in[index] < term:
                assert held.get(index) == hash_, f"{node} leads term {term} without committed record {index}"

    def commits_to(self, node: NodeId, term: Term, index: Index, disk: SimulatedDisk, now: float) -> None:
        """Committed goes up, is on disk, and is the same everywhere."""
        before = self.commits.get(node, 0)
        assert index > before, f"{node} announced {index} after {before}"
        for committed in range(before + 1, index + 1):
            record = disk.record(committed)
            while committed >= len(self.committed_at):
                self.committed_at.append(now)
            if committed <= disk.base.index:
                continue
            assert record is not None, f"{node} announced {committed}, which is not on its disk"
            assert self.committed.setdefault(committed, record.hash) == record.hash, f"{committed} has two values"
            self.committed_in.setdefault(committed, term)
        self.commits[node] = index

    def vouches(self, node: NodeId, commit_index: Index, confirmed_at: float) -> None:
        """What a primary says of commits was all there was when a quorum last confirmed it."""
        beyond = self.committed_at[commit_index + 1 : commit_index + 2]
        assert not beyond or beyond[0] >= confirmed_at, f"{node} vouched for {commit_index}, others were further"

    def starts(self, node: NodeId, restored: Restored) -> None:
        """A term that was not on disk may be forgotten, as nobody was told of it; see `sends`."""
        self.terms[node] = restored.hard_state.term
        self.commits[node] = restored.commit

    def term_is(self, node: NodeId, term: Term) -> None:
        assert term >= self.terms.get(node, 0), f"{node} went back to term {term}"
        self.terms[node] = term

    def sends(self, node: NodeId, to: NodeId, message: ConsensusMessage, disk: SimulatedDisk) -> None:
        """What is said of term, vote and log is on disk."""
        match message:
            case Vote(granted=True, pre=False):
                self._votes(node, message.asked, to, disk)
            case RequestVote(pre=False):
                self._votes(node, message.term, node, disk)
            case Accept():
                assert disk.hard_state.term >= message.term
                assert disk.last.index >= message.durable, f"{node} accepted {message.durable} before writing it"
            case Append():
                assert disk.hard_state.term >= message.term
                assert chain_fault(message.previous, message.records) == ""

    def _votes(self, node: NodeId, term: Term, candidate: NodeId, disk: SimulatedDisk) -> None:
        assert self.votes.setdefault((node, term), candidate) == candidate, f"{node} voted twice in term {term}"
        stored = disk.hard_state
        assert stored.term > term or (stored.term, stored.vote) == (term, candidate), "a vote was not on disk"

    def logs_match(self, logs: dict[NodeId, list[Record]]) -> None:
        """Equal index and term mean equal histories: it is enough that the hashes are equal."""
        seen: dict[tuple[Index, Term], Hash] = {}
        for log in logs.values():
            for record in log:
                assert seen.setdefault((record.index, record.term), record.hash) == record.hash
