"""Many nodes, one clock, one seed: consensus driven as its contract says, over a network and disks that fail.

Everything happens in one loop over a heap of (time, order, event), and every random decision is drawn from one
generator, so a seed is a run.  The parts that stand for the outside world (disk, network, invariants) know
nothing of each other, and the nodes are driven by effects alone: a real driver can take the place of
`SimulatedNode`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from random import Random

from lfsql.core.consensus import Consensus
from lfsql.core.effects import (
    BecamePrimary,
    Committed,
    Compacted,
    Effect,
    Input,
    LogRead,
    NeedSnapshot,
    PeerConnected,
    PeerFaulty,
    PeerLost,
    Persist,
    Persisted,
    Propose,
    Proposed,
    ReadConfirmed,
    ReadIndex,
    ReadLog,
    ReadRefused,
    Received,
    Send,
    SteppedDown,
    Tick,
    Transfer,
)
from lfsql.core.entry import CONFIGURATION, UNIT
from lfsql.core.ids import Index, NodeId
from lfsql.core.membership import Configuration, Member, encode_configuration
from lfsql.core.messages import ConsensusMessage
from lfsql.core.settings import ConsensusSettings
from tests.core.disk import SimulatedDisk
from tests.core.invariants import Invariants


@dataclass
class Network:
    """Probabilities for each message; times in seconds."""

    lost: float = 0.0
    repeated: float = 0.0
    delay_min: float = 0.0005
    delay_max: float = 0.002
    fsync_min: float = 0.001
    fsync_max: float = 0.01
    late_tick_max: float = 0.001


class SimulatedNode:
    def __init__(self, name: NodeId, clock_rate: float) -> None:
        self.name = name
        self.clock_rate = clock_rate
        self.disk = SimulatedDisk()
        self.consensus: Consensus | None = None
        self.incarnation = 0
        self.paused: list[Callable[[], None]] | None = None
        self.leads_in = 0
        self.fsync_due = False
        self.tick_at = float("inf")


class Cluster:
    def __init__(
        self,
        seed: int,
        members: tuple[Member, ...],
        settings: ConsensusSettings,
        network: Network,
        clock_drift: float = 0.0,
        spare: tuple[NodeId, ...] = (),
    ) -> None:
        """`spare`: nodes that run and are no members yet."""
        self.random = Random(seed)
        self.configuration = Configuration(members)
        self.settings = settings
        self.network = network
        self.now = 0.0
        self.nodes = {
            name: SimulatedNode(name, 1 + self.random.uniform(-clock_drift, clock_drift))
            for name in (*(member.node for member in members), *spare)
        }
        self.invariants = Invariants()
        self.cut: set[tuple[NodeId, NodeId]] = set()
        self.reads: dict[int, Index] = {}
        self.reads_confirmed = 0
        self.confirmations = 0
        self.proposed = 0
        self.changes = 0
        self.snapshots_needed: list[NodeId] = []
        self.sent: list[tuple[float, NodeId, NodeId, ConsensusMessage]] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        for name in self.nodes:
            self.start(name)

    # -- Time ----------------------------------------------------------------------------------------------

    def after(self, seconds: float, event: Callable[[], None]) -> None:
        heappush(self._events, (self.now + seconds, next(self._order), event))

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Whether `until` came true."""
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            if until():
                return True
            self.now, _, event = heappop(self._events)
            event()
        self.now = end
        return until()

    def at(self, node: SimulatedNode, event: Callable[[], object], delay: float) -> None:
        """Let something happen at a node unless it crashes first; when it is paused, after the pause."""
        incarnation = node.incarnation

        def happen() -> None:
            if node.incarnation != incarnation:
                return
            if node.paused is not None:
                node.paused.append(happen)
            else:
                event()

        self.after(delay, happen)

    # -- Nodes ---------------------------------------------------------------------------------------------

    def start(self, name: NodeId) -> None:
        node = self.nodes[name]
        node.incarnation += 1
        node.leads_in = 0
        node.tick_at = float("inf")
        restored = node.disk.restore(self.random)
        self.invariants.starts(name, restored)
        local = self.now * node.clock_rate
        node.consensus = Consensus(name, self.configuration, restored, self.random.random, local, self.settings)
        self._schedule_tick(node)
        for other in self.nodes.values():
            if other is not node and other.consensus is not None:
                self.connect(node, other)
                self.connect(other, node)

    def connect(self, node: SimulatedNode, to: SimulatedNode) -> None:
        self.at(node, lambda: self.step(node, PeerConnected(to.name)), self._delay())

    def disconnect(self, node: SimulatedNode, name: NodeId) -> None:
        self.at(node, lambda: self.step(node, PeerLost(name)), self._delay())

    def crash(self, name: NodeId) -> None:
        node = self.nodes[name]
        node.incarnation += 1
        node.consensus = None
        node.paused = None
        node.fsync_due = False
        node.disk.crash(self.random)
        for other in self.nodes.values():
            if other.consensus is not None and (name, other.name) not in self.cut:
                self.disconnect(other, name)

    def pause(self, name: NodeId) -> None:
        if self.nodes[name].consensus is not None and self.nodes[name].paused is None:
            self.nodes[name].paused = []

    def resume(self, name: NodeId) -> None:
        events, self.nodes[name].paused = self.nodes[name].paused or [], None
        for event in events:
            event()

    def partition(self, group: set[NodeId]) -> None:
        self.cut = {(a, b) for a in self.nodes for b in self.nodes if (a in group) != (b in group)}

    def heal(self) -> None:
        self.cut = set()

    def step(self, node: SimulatedNode, given: Input) -> tuple[Effect, ...]:
        assert node.consensus is not None
        effects = node.consensus.step(given, self.now * node.clock_rate)
        for effect in effects:
            self._carry_out(node, effect)
        self._check(node)
        self._schedule_tick(node)
        return effects

    def _check(self, node: SimulatedNode) -> None:
        consensus = node.consensus
        assert consensus is not None
        self.invariants.term_is(node.name, consensus.term)
        if consensus.role == "primary" and node.leads_in != consensus.term:
            node.leads_in = consensus.term
            self.invariants.leads(node.name, consensus.term, node.disk)
        assert consensus.last == node.disk.logical_last
        if consensus.confirmed_at != float("-inf"):
            self.confirmations += 1
            self.invariants.vouches(node.name, consensus.commit_index, consensus.confirmed_at / node.clock_rate)

    def _schedule_tick(self, node: SimulatedNode) -> None:
        consensus = node.consensus
        if consensus is None or consensus.deadline == float("inf"):
            return
        due = max(consensus.deadline / node.clock_rate, self.now)
        if node.tick_at <= due and node.tick_at >= self.now:
            return
        node.tick_at = due

        def tick() -> None:
            node.tick_at = float("inf")
            self.step(node, Tick())

        self.at(node, tick, due - self.now + 1e-9 + self.random.uniform(0, self.network.late_tick_max))

    # -- Effects -------------------------------------------------------------------------------------------

    def _carry_out(self, node: SimulatedNode, effect: Effect) -> None:
        match effect:
            case Send():
                self._send(node, effect)
            case Persist():
                node.disk.writing.append(effect)
                self._fsync_soon(node)
            case Committed():
                assert node.consensus is not None
                self.invariants.commits_to(node.name, node.consensus.term, effect.index, node.disk, self.now)
                node.disk.applied = effect.index
            case ReadLog():
                self.at(node, lambda: self._read_log(node, effect), self._delay())
            case BecamePrimary():
                assert node.consensus is not None
                assert node.consensus.committed >= effect.index
            case ReadConfirmed():
                wanted = self.reads.pop(effect.token, None)
                if wanted is not None:
                    assert effect.index >= wanted, "a read was confirmed before what was acknowledged before it"
                    self.reads_confirmed += 1
            case ReadRefused():
                self.reads.pop(effect.token, None)
            case NeedSnapshot():
                self.snapshots_needed.append(effect.to)
            case PeerFaulty():
                raise AssertionError(effect.reason)
            case Proposed():
                self.proposed += effect.last - effect.first + 1
            case SteppedDown():
                node.leads_in = 0
            case _:
                pass

    def _fsync_soon(self, node: SimulatedNode) -> None:
        if not node.fsync_due:
            node.fsync_due = True
            delay = self.random.uniform(self.network.fsync_min, self.network.fsync_max)
            number = node.disk.writing[-1].number
            self.at(node, lambda: self._fsynced(node, number), delay)

    def _fsynced(self, node: SimulatedNode, number: int) -> None:
        node.fsync_due = False
        for persist in node.disk.fsync(number):
            for send in persist.then:
                self._send(node, send)
        self.step(node, Persisted(number))
        if node.disk.writing:
            self._fsync_soon(node)

    def _read_log(self, node: SimulatedNode, wanted: ReadLog) -> None:
        records = []
        size = 0
        for index in range(wanted.first, wanted.last + 1):
            record = node.disk.record(index)
            if record is None or size > wanted.bytes_max:
                break
            records.append(record)
            size += len(record.body)
        self.step(node, LogRead(wanted.to, wanted.first, tuple(records)))

    def _delay(self) -> float:
        return self.random.uniform(self.network.delay_min, self.network.delay_max)

    def _send(self, node: SimulatedNode, send: Send) -> None:
        self.invariants.sends(node.name, send.to, send.message, node.disk)
        self.sent.append((self.now, node.name, send.to, send.message))
        to = self.nodes[send.to]
        if to.consensus is None or (node.name, send.to) in self.cut:
            return
        copies = 1 + (self.random.random() < self.network.repeated) - (self.random.random() < self.network.lost)
        for _ in range(copies):
            self.at(to, lambda: self.step(to, Received(node.name, send.message)), self._delay())

    # -- Clients -------------------------------------------------------------------------------------------

    def primary(self) -> SimulatedNode | None:
        """The ready node of the highest term that runs."""
        ready = [
            node
            for node in self.nodes.values()
            if node.consensus is not None and node.consensus.ready and node.paused is None
        ]
        return max(ready, key=lambda node: node.consensus.term if node.consensus else 0, default=None)

    def change_members(self, name: NodeId, configuration: Configuration) -> tuple[Effect, ...]:
        node = self.nodes[name]
        if node.consensus is None or node.paused is not None:
            return ()
        body = (CONFIGURATION, encode_configuration(configuration))
        return self.step(node, Propose(node.consensus.term, (body,)))

    def propose(self, name: NodeId, bodies: tuple[bytes, ...]) -> tuple[Effect, ...]:
        node = self.nodes[name]
        if node.consensus is None or node.paused is not None:
            return ()
        given = Propose(node.consensus.term, tuple((UNIT, body) for body in bodies))
        return self.step(node, given)

    def read(self, name: NodeId, token: int) -> None:
        node = self.nodes[name]
        if node.consensus is not None and node.paused is None:
            self.reads[token] = self.invariants.highest
            self.step(node, ReadIndex(token))

    def transfer(self, name: NodeId, to: NodeId) -> None:
        self.step(self.nodes[name], Transfer(to))

    def repair(self) -> None:
        """End all faults: everything runs, hears everybody, and is quick."""
        self.network = Network()
        self.heal()
        for node in self.nodes.values():
            self.resume(node.name)
            if node.consensus is None:
                self.start(node.name)

    def compact(self, name: NodeId, index: Index) -> None:
        node = self.nodes[name]
        if node.consensus is not None and node.paused is None and index > node.disk.base.index:
            node.disk.compact(index)
            self.step(node, Compacted(node.disk.base))

    def logs_match(self) -> None:
        self.invariants.logs_match({node.name: node.disk.logical() for node in self.nodes.values()})
