"""One node: production's parts on a made-up machine.

The parts are replaced where production waits: the engine's thread, the task that writes the log, the applier's task
and the timer become events in the world's heap.  The rules that those tasks follow are few and are repeated here.

A node ends as a process does: when it is killed, when the power goes, or when production raises what ends a node.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from math import inf
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec
import outcome

from lfsql.config import NodeLimits
from lfsql.core.consensus import Consensus
from lfsql.core.effects import (
    Applied,
    Compacted,
    NeedSnapshot,
    PeerFaulty,
    ReadConfirmed,
    ReadLog,
    ReadRefused,
    Restored,
    Tick,
)
from lfsql.core.entry import Record
from lfsql.core.ids import Index, NodeId, Term
from lfsql.core.membership import WITNESS, Configuration
from lfsql.core.messages import PeerMessage
from lfsql.core.settings import ConsensusSettings
from lfsql.errors import DataCorrupted, DiskFailed, DiskFull, InvariantBroken
from lfsql.node import log_keeping
from lfsql.node.carrying import Carrier, LogWrite
from lfsql.node.driver import restore
from lfsql.node.engine_thread import Done
from lfsql.node.progress import Progress
from lfsql.node.succession import Succession
from lfsql.node.work import Asker, Work
from lfsql.node.writer import Writer
from lfsql.storage.engine import Engine
from lfsql.testing.simulator.database import SimulatedEngine
from lfsql.testing.simulator.disk import SimulatedLog
from lfsql.testing.simulator.world import World

if TYPE_CHECKING:
    from lfsql.testing.simulator.invariants import Invariants

Given = TypeVar("Given")

READ_BYTES_MAX = 4_000
LATE_MS = 1 << 50


class Machine(msgspec.Struct):
    """How slow, in seconds, a node's parts are; each wait is drawn anew between 0 and so much."""

    fsync_max: float = 0.01
    engine_max: float = 0.001
    late_tick_max: float = 0.001
    checkpoint_chance: float = 0.2
    """That a COMMIT is followed by a checkpoint: what a power loss cannot take back."""


class Network(Protocol):
    """What a node uses of it."""

    def send(self, sender: NodeId, to: NodeId, message: PeerMessage) -> None: ...

    def left(self, node: NodeId) -> None:
        """Its process ended."""


class Node:
    """`carrier`, `engine`, `writer` and `progress` are a running process's; they are there while `running`."""

    carrier: SimulatedCarrier
    engine: SimulatedEngine
    writer: Writer
    progress: Progress
    _succession: Succession

    def __init__(
        self,
        world: World,
        network: Network,
        invariants: Invariants,
        name: NodeId,
        configuration: Configuration,
        settings: ConsensusSettings,
        limits: NodeLimits,
        machine: Machine,
        clock_rate: float,
    ) -> None:
        self.world = world
        self.name = name
        self.log = SimulatedLog()
        self.machine = machine
        self.configuration = configuration
        self.clock_offset = 0.0
        self.wall_offset = 0.0
        self.running = False
        self.broken = ""
        """Why it cannot be started again; '' when it can."""
        self.incarnation = 0
        self.visible = (0, 0)
        """What readers of data.db see: (log index, rows)."""
        self.held: Index = 0
        """What its log has of what is committed, whatever became of data.db."""
        self._network = network
        self._invariants = invariants
        self._settings = settings
        self._limits = limits
        self._clock_rate = clock_rate
        self._wall_us = 0
        self._file = b""
        """data.db as a process that starts now finds it."""
        self._durable_file = b""
        """data.db as a power loss leaves it, and the index it stands at."""
        self.durable_index: Index = 0
        self._paused: list[Callable[[], None]] | None = None
        self._writing: LogWrite | None = None
        self._write_wanted = False
        self._tick_at = inf
        self._applying = False
        self._told_applied: Index = 0
        self._waiting: list[tuple[Index, Callable[[tuple[int, int]], None]]] = []

    # -- A process -------------------------------------------------------------------------------------------

    @property
    def paused(self) -> bool:
        return self._paused is not None

    def clock(self) -> float:
        """As CLOCK_BOOTTIME: never steps back, may leap."""
        return self.world.now * self._clock_rate + self.clock_offset

    def world_time(self, local: float) -> float:
        """When this node's clock showed `local`; too early when it has leapt since."""
        return (local - self.clock_offset) / self._clock_rate

    def wall_clock_us(self) -> int:
        """The unit clock of a process: as wall time, but never going back while the process runs."""
        now = 1_700_000_000_000_000 + int((self.world.now + self.wall_offset) * 1e6)
        self._wall_us = max(self._wall_us, now)
        return self._wall_us

    def start(self) -> bool:
        """Start a process on what the disk holds.  False when it ended at once, and `broken` says why."""
        world = self.world
        self.incarnation += 1
        self._wall_us = 0
        self._tick_at = inf
        self._applying = self._write_wanted = False
        self._writing = None
        self._waiting.clear()
        self._told_applied = 0
        engine = SimulatedEngine(self._file, self._committed_to_file)
        try:
            self.log.open()
            restored = run_now(restore(self.log, engine.position))
        except DataCorrupted as error:
            engine.close()
            if not self.log.was_damaged:
                raise
            self.broken = error.message
            return False
        self.running = True
        self.engine = engine
        self.progress = Progress(engine.position, engine.schema_index)
        self._invariants.starts(self, restored)
        self.carrier = SimulatedCarrier(self, restored, self._settings, world.random.getrandbits(48))
        self.writer = Writer(
            self.name,
            SimulatedThread(self),
            self.carrier,
            self.progress,
            self._limits,
            clock_us=self.wall_clock_us,
            draw=world.random.randbytes,
        )
        self._succession = Succession(self.name, self.writer)
        self._schedule_tick()
        self.soon(self._turn, 0)
        return True

    def kill(self, *, power: bool) -> None:
        """End the process; with `power` the machine too, which takes what data.db had not fsynced."""
        if not self.running:
            return
        self.running = False
        self.incarnation += 1
        self._paused = None
        if self._writing is not None and self.world.random.random() < 0.5:
            # It reached the disk although nobody was told.
            self._store(self._writing)
        self._file = self.engine.image()
        if power:
            self._file = self._durable_file
        self.engine.close()

    def pause(self) -> None:
        if self.running and self._paused is None:
            self._paused = []

    def resume(self) -> None:
        events, self._paused = self._paused or [], None
        for event in events:
            event()

    def soon(self, event: Callable[[], object], delay: float) -> None:
        """Let something happen in this process unless it ends first; when it is paused, after the pause."""
        incarnation = self.incarnation

        def happen() -> None:
            if self.incarnation != incarnation:
                return
            if self._paused is not None:
                self._paused.append(happen)
                return
            try:
                event()
                self._turn()
            except (DiskFailed, DiskFull) as error:
                self._end(error.message)
            except DataCorrupted as error:
                if not self.log.was_damaged:
                    raise
                self._end(error.message)

        self.world.after(delay, happen)

    def _end(self, why: str) -> None:
        if self.world.trace is not None:
            self.world.note(self.name, f"ends: {why}")
        self.kill(power=False)
        self._network.left(self.name)

    # -- Consensus -------------------------------------------------------------------------------------------

    def send(self, to: NodeId, message: PeerMessage) -> None:
        self._invariants.sends(self, to, message)
        self._network.send(self.name, to, message)

    def close_peer(self, effect: PeerFaulty) -> None:
        raise InvariantBroken(f"{self.name} found {effect.node} faulty: {effect.reason}")

    def stepped(self) -> None:
        self._invariants.stepped(self)
        self._schedule_tick()

    def _schedule_tick(self) -> None:
        deadline = self.carrier.consensus.deadline
        if deadline == inf:
            return
        due = max((deadline - self.clock_offset) / self._clock_rate, self.world.now)
        if self.world.now <= self._tick_at <= due:
            return
        self._tick_at = due

        def tick() -> None:
            self._tick_at = inf
            self.carrier.step(Tick())

        self.soon(tick, due - self.world.now + 1e-9 + self.world.random.random() * self.machine.late_tick_max)

    def clock_leapt(self) -> None:
        """The timer is set anew, as the kernel's would ring."""
        if self.running:
            self._tick_at = inf
            self._schedule_tick()

    # -- The statement log -----------------------------------------------------------------------------------

    def write_soon(self) -> None:
        self._write_wanted = True
        if self._writing is None:
            self.soon(self._begin_write, 0)

    def _begin_write(self) -> None:
        if self._writing is not None or not self._write_wanted:
            return
        self._write_wanted = False
        write = self.carrier.take_write()
        if write.writes:
            self._writing = write
            seconds = self.world.random.random() * self.machine.fsync_max
            self.soon(lambda: self._finish_write(seconds), seconds)
        else:
            self._written(write, 0.0)

    def _finish_write(self, seconds: float) -> None:
        write = self._writing
        assert write is not None
        self._writing = None
        self.log.write(write)
        self._invariants.stored(self, write)
        self._written(write, seconds)

    def _store(self, write: LogWrite) -> None:
        self.log.store(write)
        self._invariants.stored(self, write)

    def _written(self, write: LogWrite, seconds: float) -> None:
        self.carrier.written(write, seconds)
        if self._write_wanted:
            self.soon(self._begin_write, 0)

    def read_soon(self, asked: ReadLog) -> None:
        def read() -> None:
            self.carrier.log_was_read(asked, self.log.read_now(asked.first, asked.last, asked.bytes_max))

        self.soon(read, self.world.random.random() * self.machine.engine_max)

    def compact(self, needed: Index) -> None:
        """Forget old records, by production's rule.  `needed`: as there."""
        if not self.running or self.paused:
            return
        upto = log_keeping.removable(
            self.log.segments(), LATE_MS, self._limits, applied=self.durable_index, needed=needed
        )
        if upto > self.log.base.index:
            position = self.log.position(upto)
            configuration = self.carrier.consensus.configuration_at(upto)
            # As production: first consensus, then the file.
            self.carrier.step(Compacted(position))
            self.log.compact(upto, configuration)

    # -- The engine's thread ---------------------------------------------------------------------------------

    def _committed_to_file(self) -> None:
        """data.db stands elsewhere now; what readers see is what SQLite committed."""
        self.visible = self._invariants.database(self)
        self.held = max(self.held, self.visible[0])
        if self.world.random.random() < self.machine.checkpoint_chance:
            self._durable_file = self.engine.connection.serialize("main")
            self.durable_index = self.engine.position.index

    # -- Who uses the engine: the applier, or the writer (Node._execute of the service) ------------------------

    def _turn(self) -> None:
        if not self.running or self._applying:
            return
        if not self.writer.reigning:
            self.writer.raise_failure()
            self._apply_or_reign()
        if self.progress.index != self._told_applied:
            self._told_applied = self.progress.index
            self.carrier.step(Applied(self._told_applied))
        if self._waiting:
            ready = [told for index, told in self._waiting if index <= self.progress.index]
            self._waiting = [waiter for waiter in self._waiting if waiter[0] > self.progress.index]
            for told in ready:
                told(self.visible)

    def _apply_or_reign(self) -> None:
        consensus, next_index = self.carrier.consensus, self.engine.next_index
        committed = consensus.committed
        if next_index <= committed:
            last = min(committed, next_index + self._limits.apply_entries_max - 1)
            records = consensus.records(next_index, last)
            if records is None:
                records = self.log.read_now(next_index, last, READ_BYTES_MAX)
                if not records:
                    raise InvariantBroken(f"the log of {self.name} lacks record {next_index}, which data.db needs")
            self._applying = True
            self.soon(lambda: self._apply(records), self.world.random.random() * self.machine.engine_max)
        elif (term := self._succession.term_due(self.progress.index)) is not None:
            self.writer.open_reign(term, committed)

    def _apply(self, records: tuple[Record, ...]) -> None:
        self._applying = False
        self.engine.apply(records)
        self.progress.advance(self.engine.position, self.engine.schema_index)

    # -- What clients ask --------------------------------------------------------------------------------------

    @property
    def serves(self) -> bool:
        """It holds data that can be read."""
        member = self.carrier.consensus.configuration.member(self.name)
        return member is not None and member.role != WITNESS

    def ask(self, work: Work) -> None:
        self.writer.ask(work)

    def asker_lost(self, asker: Asker) -> None:
        self.writer.asker_lost(asker)

    def read_index(self, told: Callable[[ReadConfirmed | ReadRefused], None]) -> None:
        self.carrier.read_index(told)

    def read(self, min_index: Index, told: Callable[[tuple[int, int]], None]) -> None:
        """Tell what readers see here, as soon as that is at `min_index` or later."""
        self._waiting.append((min_index, told))

    # -- Observer, as the service's node is --------------------------------------------------------------------

    def committed(self, index: Index) -> None:
        self._invariants.commits_to(self, index)
        self.writer.committed(index)

    def durable(self, index: Index) -> None:
        self.writer.durable(index)

    def became_primary(self, term: Term, index: Index) -> None:
        assert self.carrier.consensus.committed >= index
        self._succession.became_primary(term, index)

    def stepped_down(self, primary: NodeId) -> None:
        self._succession.stepped_down()

    def primary_changed(self, primary: NodeId) -> None:
        self._succession.primary_changed(primary)

    def members_changed(self, configuration: Configuration) -> None:
        if self.world.trace is not None:
            self.world.note(self.name, f"members {[(member.node, member.role) for member in configuration.members]}")

    def transfer_given_up(self, to: NodeId) -> None:
        if self.world.trace is not None:
            self.world.note(self.name, f"gives up the transfer to {to}")


class SimulatedCarrier(Carrier):
    """Production's order of effects; the node does what it asks for."""

    def __init__(self, node: Node, restored: Restored, settings: ConsensusSettings, token: int) -> None:
        random = node.world.random
        first = node.log.configuration or node.configuration
        consensus = Consensus(node.name, first, restored, random.random, node.clock(), settings)
        super().__init__(consensus, node.clock, token, send=node.send, observer=node)
        self._node = node

    def _write_soon(self) -> None:
        self._node.write_soon()

    def _read_soon(self, asked: ReadLog) -> None:
        self._node.read_soon(asked)

    def _peer_faulty(self, effect: PeerFaulty) -> None:
        self._node.close_peer(effect)

    def _snapshot_needed(self, effect: NeedSnapshot) -> None:
        raise InvariantBroken(f"{effect.to} lacks records that {self._node.name} no longer has")

    def _stepped(self) -> None:
        self._node.stepped()


class SimulatedThread:
    """The engine's thread: a job is done after a while, and is lost when the process ends before."""

    def __init__(self, node: Node) -> None:
        self._node = node

    @property
    def engine(self) -> Engine:
        return self._node.engine

    def start(self, job: Callable[[Engine], Given], done: Callable[[Done[Given]], None]) -> None:
        node = self._node
        delay = node.world.random.random() * node.machine.engine_max
        node.soon(lambda: done(outcome.capture(job, node.engine)), delay)


def run_now(coroutine: Coroutine[Any, Any, Given]) -> Given:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as finished:
        result: Given = finished.value
        return result
    raise InvariantBroken("a coroutine waited that must not")
