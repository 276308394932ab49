"""What must hold in every step of every run, looked at from outside: what nodes say, what their disks hold, and what
their databases show.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, Any

from lfsql.core.effects import HardState, Restored
from lfsql.core.entry import CONFIGURATION, UNIT, Record, Unit, decode_unit
from lfsql.core.ids import Hash, Index, NodeId, Position, Term
from lfsql.core.log import chain_fault
from lfsql.core.messages import Accept, Append, ConsensusMessage, Mismatch, PeerMessage, RequestVote, Vote
from lfsql.node.carrying import LogWrite

if TYPE_CHECKING:
    from lfsql.testing.simulator.node import Node

TABLE = "CREATE TABLE written (id INTEGER PRIMARY KEY, client TEXT, sequence INTEGER, chance INTEGER, moment TEXT)"
INSERT = "INSERT INTO written (client, sequence, chance, moment) VALUES (?, ?, random(), strftime('%f'))"
"""What clients write: chance and time are there to be the same everywhere."""

_ROWS = "SELECT id, client, sequence, chance, moment FROM written WHERE id > ? ORDER BY id"
_HAS_TABLE = "SELECT count(*) FROM sqlite_schema WHERE name = 'written'"
_CLIENTS = "SELECT client, sequence, log_index FROM _lfsql_clients"


class Violation(AssertionError):
    """Something that lfsql promises did not hold."""


class Shown:
    """How far a node's database was looked at."""

    def __init__(self) -> None:
        self.index: Index = 0
        self.rows = 0
        self.clients: dict[str, tuple[int, Index]] = {}


class Invariants:
    def __init__(self) -> None:
        self.primaries: dict[Term, NodeId] = {}
        self.committed: list[Record | None] = [None]
        """By index; all that was ever announced to be committed."""
        self._committed_in: list[Term] = [0]
        self._committed_at: list[float] = [0.0]
        self._votes: dict[tuple[NodeId, Term], NodeId] = {}
        self._ballots: dict[NodeId, HardState] = {}
        """What each node's disk was told of its term and vote."""
        self._asked: dict[tuple[NodeId, Term], set[int]] = {}
        """Of each node and term: the rounds that it was asked in."""
        self._stored: dict[tuple[Index, Term], Hash] = {}
        self._terms: dict[NodeId, Term] = {}
        self._leads: dict[NodeId, Term] = {}
        self._commits: dict[NodeId, Index] = {}
        self._quorums: dict[NodeId, Index] = {}
        self._unfinished: list[Unit] = []
        self._units: list[tuple[str, int, int] | None] = [None]
        """By index of its last record: (client, sequence, rows it wrote) of a unit."""
        self._rows_at: list[int] = [0]
        self._done: dict[tuple[str, int], Index] = {}
        self._rows: list[tuple[Any, ...]] = []
        self._shown: dict[NodeId, Shown] = {}
        self._clock_us = 0
        self.confirmations = 0

    @property
    def highest(self) -> Index:
        return len(self.committed) - 1

    # -- Consensus -------------------------------------------------------------------------------------------

    def starts(self, node: Node, restored: Restored) -> None:
        """A term that was not on disk may be forgotten, as nobody was told of it; see `sends`."""
        name, state = node.name, restored.hard_state
        told = self._ballots.get(name, HardState())
        if state.term < told.term or (state.term == told.term and state.vote != told.vote):
            raise Violation(f"{name} has forgotten that it voted for '{told.vote}' in term {told.term}")
        self._begins(node, restored.base)
        self._terms[name] = restored.hard_state.term
        self._commits[name] = restored.commit
        self._leads.pop(name, None)
        for index in range(self.highest + 1, restored.commit + 1):
            # Written down as committed by a node that ended before it could say so.
            record = node.log.record(index)
            if record is None:
                raise Violation(f"{name} starts at {restored.commit} without record {index}")
            self._commit(record, restored.hard_state.term, node.world.now)
        shown = self._shown[name] = Shown()
        if node.engine.position.index:
            # The rows of an older file are compared again from the first on.
            self._look(node, shown)

    def _begins(self, node: Node, base: Position) -> None:
        """A log begins after what was committed, and knows the members there."""
        known = self.committed[base.index] if base.index < len(self.committed) else None
        if base.index > self.highest or (known is not None and known.hash != base.hash):
            raise Violation(
                f"the log of {node.name} begins after record {base.index}, which is not what was committed"
            )
        before = reversed(self.committed[: base.index + 1])
        members = next((record.body for record in before if record and record.kind == CONFIGURATION), b"")
        if members != node.log.base_configuration:
            raise Violation(f"the log of {node.name} begins after record {base.index} with other members")

    def stepped(self, node: Node) -> None:
        consensus, name = node.carrier.consensus, node.name
        term = consensus.term
        if term < self._terms[name]:
            raise Violation(f"{name} went back to term {term}")
        self._terms[name] = term
        if consensus.role == "primary":
            if self._leads.get(name) != term:
                self._leads[name] = term
                self._quorums[name] = consensus.commit_index
                self._elected(node, term)
            elif consensus.commit_index != self._quorums[name]:
                self._quorum_holds(node, consensus.commit_index, term)
            confirmed_at = consensus.confirmed_at
            if confirmed_at != -inf:
                self.confirmations += 1
                self._vouches(node, consensus.commit_index, confirmed_at)

    def _elected(self, node: Node, term: Term) -> None:
        """One primary per term, and it has all that was committed in earlier ones.

        (A node that was paused may still win an old term; it can commit nothing in it.)
        """
        name, consensus = node.name, node.carrier.consensus
        if self.primaries.setdefault(term, name) != name:
            raise Violation(f"both {self.primaries[term]} and {name} are primary in term {term}")
        for index in range(self.highest, node.log.base.index, -1):
            if self._committed_in[index] >= term:
                continue
            known = self.committed[index]
            held = consensus.records(index, index)
            record = held[0] if held else node.log.record(index)
            if known is not None and (record is None or record.hash != known.hash):
                raise Violation(f"{name} leads term {term} without the committed record {index}")
            return  # the hash is a chain's: all before it is the same

    def _quorum_holds(self, node: Node, index: Index, term: Term) -> None:
        """A primary counts only records of its own term; those of earlier ones are committed along with them."""
        self._quorums[node.name] = index
        held = node.carrier.consensus.records(index, index)
        if held and held[0].term != term:
            raise Violation(f"{node.name} leads term {term} and committed record {index} of term {held[0].term}")

    def _vouches(self, node: Node, commit_index: Index, confirmed_at: float) -> None:
        """What a primary says of commits was all there was when a quorum last confirmed it."""
        if commit_index < self.highest and self._committed_at[commit_index + 1] < node.world_time(confirmed_at):
            raise Violation(f"{node.name} vouched for {commit_index}, others were further")

    def commits_to(self, node: Node, index: Index) -> None:
        """Committed goes up, is on disk, and is the same everywhere."""
        name = node.name
        before = self._commits[name]
        if index <= before:
            raise Violation(f"{name} announced {index} after {before}")
        for committed in range(before + 1, index + 1):
            record = node.log.record(committed)
            if record is None:
                if committed > node.log.base.index:
                    raise Violation(f"{name} announced {committed}, which is not on its disk")
                continue
            if committed < len(self.committed):
                known = self.committed[committed]
                if known is not None and known.hash != record.hash:
                    raise Violation(f"{name} committed another record {committed} than others")
            elif committed == len(self.committed):
                self._commit(record, node.carrier.consensus.term, node.world.now)
            else:
                raise Violation(f"{name} announced {committed}, nobody the records from {len(self.committed)} on")
        self._commits[name] = index

    def _commit(self, record: Record, term: Term, now: float) -> None:
        self.committed.append(record)
        self._committed_in.append(term)
        self._committed_at.append(now)
        unit = decode_unit(record.body) if record.kind == UNIT else None
        first = self._unfinished[0] if self._unfinished else None
        if first is not None and (unit is None or not _continues(first, unit)):
            self._unfinished.clear()
        written = None
        if unit is not None:
            self._unfinished.append(unit)
            if not unit.more:
                written = self._unit(record.index, unit)
                self._unfinished.clear()
        self._units.append(written)
        self._rows_at.append(self._rows_at[-1] + (written[2] if written else 0))

    def _unit(self, index: Index, unit: Unit) -> tuple[str, int, int]:
        key = (unit.client, unit.sequence)
        if key in self._done:
            raise Violation(f"unit {key} is in the log twice, at {self._done[key]} and {index}")
        self._done[key] = index
        if unit.clock_us < self._clock_us:
            raise Violation(f"record {index} is dated before the one before it")
        self._clock_us = unit.clock_us
        rows = sum(
            len(statement.parameter_sets)
            for piece in self._unfinished
            for statement in piece.statements
            if statement.sql == INSERT
        )
        return unit.client, unit.sequence, rows

    def hears(self, node: NodeId, _sender: NodeId, message: ConsensusMessage) -> None:
        if isinstance(message, Append) and message.round:
            self._asked.setdefault((node, message.term), set()).add(message.round)

    def sends(self, node: Node, to: NodeId, message: PeerMessage) -> None:
        """What is said of term, vote and log is on disk."""
        match message:
            case Vote(granted=True, pre=False):
                self._voted(node, message.asked, to)
            case RequestVote(pre=False):
                self._voted(node, message.term, node.name)
            case Accept():
                if node.log.state.term < message.term:
                    raise Violation(f"{node.name} accepted in term {message.term} before writing it")
                if node.log.last.index < message.durable:
                    raise Violation(f"{node.name} accepted {message.durable} before writing it")
            case Append():
                if node.log.state.term < message.term:
                    raise Violation(f"{node.name} leads in term {message.term} before writing it")
                fault = chain_fault(message.previous, message.records)
                if fault:
                    raise Violation(f"{node.name} sends {to} a broken chain: {fault}")

        if isinstance(message, Accept | Mismatch) and message.round:
            self._answers(node, message)

    def _answers(self, node: Node, message: Accept | Mismatch) -> None:
        """Whoever answers a round was asked, in that very term: else it would count for one that it was not asked."""
        if message.round not in self._asked.get((node.name, message.term), ()):
            raise Violation(f"{node.name} answers round {message.round} of term {message.term}, unasked")

    def _voted(self, node: Node, term: Term, candidate: NodeId) -> None:
        if self._votes.setdefault((node.name, term), candidate) != candidate:
            raise Violation(f"{node.name} voted twice in term {term}")
        stored = node.log.state
        if stored.term < term or (stored.term == term and stored.vote != candidate):
            raise Violation(f"{node.name} voted in term {term} before writing it")

    def stored(self, node: Node, write: LogWrite) -> None:
        """Log matching: equal index and term mean equal histories.  And nothing that is committed is dropped."""
        if write.hard_state is not None:
            self._ballots[node.name] = write.hard_state
        for record in write.records:
            key = (record.index, record.term)
            if self._stored.setdefault(key, record.hash) != record.hash:
                raise Violation(f"{node.name} stored another record {record.index} of term {record.term} than others")
        if write.truncate_from is not None and write.truncate_from <= self._commits[node.name]:
            raise Violation(f"{node.name} dropped what it had announced to be committed, from {write.truncate_from}")

    def compacts(self, node: Node, upto: Index) -> None:
        """What follows a copy that is on its way stays, or the copy would be of no use when it is there."""
        sending = node.rebuilding.sending
        if sending is not None and upto > sending:
            raise Violation(f"{node.name} forgets records up to {upto} while it sends a copy at {sending}")

    # -- Databases -------------------------------------------------------------------------------------------

    def database(self, node: Node) -> tuple[Index, int]:
        """SQLite committed: what it shows is what the log up to there says.  Returns (index, rows)."""
        return self._look(node, self._shown[node.name])

    def _look(self, node: Node, shown: Shown) -> tuple[Index, int]:
        name, index = node.name, node.engine.position.index
        if index < shown.index:
            raise Violation(f"the database of {name} went back from {shown.index} to {index}")
        if index > self.highest:
            raise Violation(f"the database of {name} stands at {index}, committed is {self.highest}")
        known = self.committed[index]
        if known is not None and known.hash != node.engine.position.hash:
            raise Violation(f"the database of {name} stands at another record {index} than was committed")
        for at in range(shown.index + 1, index + 1):
            unit = self._units[at]
            if unit is not None:
                shown.clients[unit[0]] = (unit[1], at)
        shown.index = index
        self._compare_rows(node, shown, self._rows_at[index])
        recorded = {client: (sequence, at) for client, sequence, at in node.engine.query(_CLIENTS)}
        if recorded != shown.clients:
            raise Violation(f"{name} at {index} has recorded of clients {recorded}, the log {shown.clients}")
        return index, shown.rows

    def _compare_rows(self, node: Node, shown: Shown, expected: int) -> None:
        new: Sequence[tuple[Any, ...]] = []
        if shown.rows or node.engine.query(_HAS_TABLE)[0][0]:
            new = node.engine.query(_ROWS, (shown.rows,))
        at = shown.rows
        for row in new:
            if at == len(self._rows):
                self._rows.append(row)
            elif self._rows[at] != row:
                raise Violation(f"{node.name} at {shown.index} shows {row}, others {self._rows[at]}")
            at += 1
        shown.rows = at
        if at != expected:
            raise Violation(f"{node.name} at {shown.index} shows {at} rows, the log has {expected}")

    # -- What clients were told ------------------------------------------------------------------------------

    def outcome_of(self, client: str, sequence: int) -> Index:
        """Where the log has the unit; 0 when it has not."""
        return self._done.get((client, sequence), 0)

    def rows_at(self, index: Index) -> int:
        return self._rows_at[index]


def _continues(first: Unit, unit: Unit) -> bool:
    return (first.client, first.sequence, first.seed) == (unit.client, unit.sequence, unit.seed)
