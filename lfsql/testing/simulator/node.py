"""One node: production's parts on a made-up machine.

The parts are replaced where production waits: the engine's thread, the task that writes the log, the applier's task
and the timer become events in the world's heap.  The rules that those tasks follow are few and are repeated here.

A node ends as a process does: when it is killed, when the power goes, or when production raises what ends a node.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from lfsql.config import NodeLimits
from lfsql.core.effects import (
    Applied,
    Compacted,
    PeerFaulty,
    ReadConfirmed,
    ReadLog,
    ReadRefused,
    Tick,
)
from lfsql.core.entry import Record
from lfsql.core.ids import Index, NodeId, Position, Term
from lfsql.core.membership import WITNESS, Configuration
from lfsql.core.messages import PeerMessage, SnapshotNeeded
from lfsql.core.settings import ConsensusSettings
from lfsql.errors import DataCorrupted, DiskFailed, DiskFull, InvariantBroken
from lfsql.node import log_keeping
from lfsql.node.carrying import LogWrite
from lfsql.node.driver import restore
from lfsql.node.progress import Progress
from lfsql.node.succession import Succession
from lfsql.node.work import Asker, Work
from lfsql.node.writer import Writer
from lfsql.testing.simulator.carrier import SimulatedCarrier, SimulatedThread
from lfsql.testing.simulator.database import SimulatedEngine
from lfsql.testing.simulator.disk import SimulatedLog, run_now
from lfsql.testing.simulator.rebuilding import Rebuilding
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

    def call(self, sender: NodeId, to: NodeId, event: Callable[[Node], None]) -> None: ...

    def joined(self, node: Node) -> None: ...

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
        self.committed_file = b""
        """data.db as the newest COMMIT left it, whatever transaction is open, and where it stands."""
        self.committed_position = Position()
        self._durable_file = b""
        """data.db as a power loss leaves it, and the index it stands at."""
        self.durable_index: Index = 0
        self.rebuilding = Rebuilding(self)
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
        if self.rebuilding.begun is not None:
            self._file = self._durable_file = self.rebuilding.begun.image
        engine = SimulatedEngine(self._file, self._committed_to_file)
        if self.rebuilding.begun is not None:
            self.durable_index = engine.position.index
        try:
            self.log.open()
            self.rebuilding.finish()
            restored = run_now(restore(self.log, engine.position))
        except DataCorrupted as error:
            engine.close()
            if not self.log.was_damaged:
                raise
            self.broken = error.message
            return False
        self.running = True
        self.committed_file, self.committed_position = self._file, engine.position
        self.engine = engine
        self.progress = Progress(engine.position, engine.schema_index)
        self._invariants.starts(self, restored)
        self.visible = self._invariants.database(self)
        self.held = max(self.held, self.visible[0])
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
        self.rebuilding.begins()
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
        self._file = self._durable_file if power else self.committed_file
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
        self.note(f"ends: {why}")
        self.kill(power=False)
        self._network.left(self.name)

    def begin_anew(self) -> None:
        """In the same process: open again what is on the disk."""
        self.kill(power=False)
        self._network.left(self.name)
        if self.start():
            self._network.joined(self)

    def lose_data(self) -> None:
        """data.db is gone, with the process."""
        self.kill(power=True)
        self._network.left(self.name)
        self._file = self._durable_file = b""
        self.durable_index = 0

    # -- Consensus -------------------------------------------------------------------------------------------

    def send(self, to: NodeId, message: PeerMessage) -> None:
        self._invariants.sends(self, to, message)
        self._network.send(self.name, to, message)

    def call(self, to: NodeId, event: Callable[[Node], None]) -> None:
        """Ask another node for something, on a link of its own."""
        self._network.call(self.name, to, event)

    def log_is_gone(self, sender: NodeId, message: SnapshotNeeded) -> None:
        if self.carrier.consensus.is_behind(sender, message.term, message.base):
            self.rebuilding.request(f"the log of {sender} begins after {message.base}")

    def told_unfit(self) -> None:
        """Its part has changed: consensus is to hear of it."""
        self._told_applied = -1

    def note(self, what: str) -> None:
        if self.world.trace is not None:
            self.world.note(self.name, what)

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
        self._make_durable()
        upto = log_keeping.removable(
            self.log.segments(),
            LATE_MS,
            self._limits,
            applied=self.durable_index,
            needed=needed,
            sending=self.rebuilding.sending,
        )
        if upto > self.log.base.index:
            self._invariants.compacts(self, upto)
            position = self.log.position(upto)
            configuration = log_keeping.members_at(self.carrier.consensus, self.log.base_configuration, upto)
            # As production: first consensus, then the file.
            self.carrier.step(Compacted(position))
            self.log.compact(upto, configuration)

    # -- The engine's thread ---------------------------------------------------------------------------------

    def _committed_to_file(self) -> None:
        """data.db stands elsewhere now; what readers see is what SQLite committed."""
        self.visible = self._invariants.database(self)
        self.held = max(self.held, self.visible[0])
        self.committed_file = self.engine.connection.serialize("main")
        self.committed_position = self.engine.position
        if self.world.random.random() < self.machine.checkpoint_chance:
            self._make_durable()

    def _make_durable(self) -> None:
        self._durable_file = self.committed_file
        self.durable_index = self.committed_position.index

    # -- Who uses the engine: the applier, or the writer (Node._execute of the service) ------------------------

    def _turn(self) -> None:
        if not self.running or self._applying:
            return
        if not self.writer.reigning:
            self.writer.raise_failure()
            self._apply_or_reign()
        if self.progress.index != self._told_applied:
            self._told_applied = self.progress.index
            self.carrier.step(Applied(self._told_applied, fit=not self.rebuilding.wanted))
        if self._waiting:
            ready = [told for index, told in self._waiting if index <= self.progress.index]
            self._waiting = [waiter for waiter in self._waiting if waiter[0] > self.progress.index]
            for told in ready:
                told(self.visible)

    def _apply_or_reign(self) -> None:
        if self.rebuilding.halted or self.rebuilding.quarantined:
            return
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
    def uses_engine(self) -> bool:
        return self._applying or self.writer.reigning

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
        self._succession.primary_changed(primary, able=not self.rebuilding.quarantined)

    def members_changed(self, configuration: Configuration) -> None:
        if self.world.trace is not None:
            self.note(f"members {[(member.node, member.role) for member in configuration.members]}")

    def transfer_given_up(self, to: NodeId) -> None:
        self.note(f"gives up the transfer to {to}")
