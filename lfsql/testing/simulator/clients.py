"""Clients that write, read, lose their link and ask again, as a proxy does for its sessions.

A client sends a write under (client, sequence) until it is told what became of it: after a loss, to whatever node
calls itself primary.  What it is told is held against the log at once (`told`): an acknowledged write is there, a
strong read has seen all that was acknowledged or strongly read before it was asked, a session never sees less than it
has seen.  All states that can be read are prefixes of one log, so this order is all there is to linearizability.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Final

from lfsql.core.effects import ReadConfirmed, ReadRefused
from lfsql.core.ids import Index, NodeId
from lfsql.core.requests import COMMITTED, Answer, LookUp, Outcome, Run, RunMany, Submit
from lfsql.errors import LinkLost, NotPrimary, OutcomeUnknown, QueueFull, ShuttingDown
from lfsql.node.work import Work
from lfsql.testing.simulator.invariants import INSERT, TABLE, Invariants, Violation
from lfsql.testing.simulator.world import World

if TYPE_CHECKING:
    from lfsql.testing.simulator.network import Network
    from lfsql.testing.simulator.node import Node

PATIENCE: Final = 1.0
"""Seconds without an answer after which a link is given up."""

AGAIN: Final = frozenset(error.sqlstate for error in (NotPrimary, OutcomeUnknown, LinkLost, ShuttingDown, QueueFull))

COUNT: Final = "SELECT count(*) FROM written"


class Floor:
    """What every strong read that begins now must see: the newest log index that anybody was told of."""

    def __init__(self) -> None:
        self.index: Index = 0

    def rise(self, index: Index) -> None:
        self.index = max(self.index, index)


class Link:
    """One connection from a client to a node's process.  What is sent on it arrives in order, or never."""

    def __init__(self, client: Client, node: Node, number: int) -> None:
        self.number = number
        self.closed = False
        self._client = client
        self._node = node
        self._incarnation = node.incarnation
        self._there = self._back = 0.0
        """Nothing overtakes: when the newest message each way arrives."""

    @property
    def node(self) -> Node:
        return self._node

    @property
    def is_lost(self) -> bool:
        """The process that it led to has ended."""
        return self.closed or not self._node.running or self._node.incarnation != self._incarnation

    def ask(self, question: Submit | LookUp) -> None:
        work_size = 100
        node = self._node
        self._send(lambda: node.ask(Work(self, question, work_size, node.clock())))

    def call(self, event: Callable[[], object]) -> None:
        """Do something else at the node."""
        self._send(event)

    def close(self) -> None:
        """The client gives up; the node hears of it later, after all that was sent."""
        self.closed = True
        self._send(lambda: self._node.asker_lost(self))

    def answer(self, message: Answer) -> None:
        self.back(lambda: self._client.take(message))

    def back(self, event: Callable[[], None]) -> None:
        """Let the client know; nothing when it has given up, or nothing gets through."""
        client, world = self._client, self._client.world
        if client.is_cut_from(self._node.name):
            return
        self._back = max(self._back, world.now + client.delay())
        world.after(self._back - world.now, lambda: None if self.closed else event())

    def _send(self, event: Callable[[], object]) -> None:
        client, world = self._client, self._client.world
        if not client.is_cut_from(self._node.name) and self._node.incarnation == self._incarnation:
            self._there = max(self._there, world.now + client.delay())
            self._node.soon(event, self._there - world.now)


class Client:
    """Asks for one thing after the other while `active`, resting at most `think_max` seconds in between."""

    def __init__(
        self,
        world: World,
        name: str,
        nodes: Mapping[NodeId, Node],
        network: Network,
        invariants: Invariants,
        floor: Floor,
        numbers: count[int],
        think_max: float = 0.0,
    ) -> None:
        self.world = world
        self.name = name
        self.active = False
        self.gives_up_after = inf
        """Seconds after which it leaves a write in doubt and goes on with the next."""
        self.writes = 0.55
        """The share of writes among what it asks for."""
        self._think_max = think_max
        self.acknowledged: list[tuple[int, Index]] = []
        self.written = self.read = self.done = 0
        """How many writes were acknowledged, reads answered, units done (writes, and reads in their order)."""
        self.busy = False
        """Something is under way."""
        self._nodes = nodes
        self._network = network
        self._invariants = invariants
        self._floor = floor
        self._numbers = numbers
        self._link: Link | None = None
        self._sequence = 0
        self._request = 0
        self._unit: Submit | None = None
        self._floor_at_start: Index = 0
        self._seen: Index = 0
        self._attempt = 0
        self._began = 0.0

    def delay(self) -> float:
        """Mostly short; sometimes a message hangs for long and arrives after all."""
        random = self.world.random
        return random.random() * 1.5 if random.random() < 0.01 else self._network.delay()

    def is_cut_from(self, node: NodeId) -> bool:
        return (self.name, node) in self._network.cut

    def begin(self) -> None:
        """Ask for one thing after the other from now on."""
        self.active = True
        if not self.busy:
            self._go_on()

    def _go_on(self) -> None:
        def next_thing() -> None:
            if self.active and not self.busy:
                choice = self.world.random.random()
                if choice < self.writes:
                    self.write()
                elif choice < 0.7 + 0.3 * self.writes:
                    self.strong_read()
                else:
                    self.session_read()
                if not self.busy:
                    self._go_on()

        self.world.after(0.001 + self.world.random.random() * self._think_max, next_thing)

    # -- What it does ------------------------------------------------------------------------------------------

    def begin_table(self) -> None:
        self._submit((Run(TABLE),))

    def write(self) -> None:
        """One row, or several that go into several records, or a read in the writer's own order."""
        kind = self.world.random.random()
        if kind < 0.75:
            self._submit((Run(INSERT, (self.name, self._sequence + 1)),))
        elif kind < 0.9:
            sets = tuple((self.name, self._sequence + 1) for _ in range(self.world.random.randint(2, 9)))
            self._submit((RunMany(INSERT, sets),))
        else:
            self._submit((Run(COUNT),))

    def strong_read(self) -> None:
        """The index asked of any node, which knows it of the primary; the data of the same node or of another."""
        node = self._primary() or self._any_node()
        reads_at = node if self.world.random.random() < 0.7 else self._any_node()
        if node is None or reads_at is None or not reads_at.serves:
            return
        floor = self._floor.index
        attempt = self._start()
        link = self._linked(node)

        def told(effect: ReadConfirmed | ReadRefused) -> None:
            if isinstance(effect, ReadConfirmed):
                link.back(lambda: self._read_at(reads_at, effect.index, attempt, floor))
            else:
                link.back(lambda: self._stop(attempt))

        link.call(lambda: node.carrier.read_index(told))

    def session_read(self) -> None:
        """At any node, once that has what this client has seen."""
        node = self._any_node()
        if node is not None and node.serves:
            self._read_at(node, self._seen, self._start(), self._seen)

    # -- Reads -------------------------------------------------------------------------------------------------

    def _read_at(self, node: Node, min_index: Index, attempt: int, floor: Index) -> None:
        if attempt != self._attempt or not node.running:
            self._stop(attempt)
            return
        link = self._linked(node)

        def told(visible: tuple[Index, int]) -> None:
            link.back(lambda: self._saw(visible, attempt, floor))

        link.call(lambda: node.read(min_index, told))

    def _saw(self, visible: tuple[Index, int], attempt: int, floor: Index) -> None:
        if attempt != self._attempt:
            return
        index, rows = visible
        if index < floor:
            raise Violation(f"{self.name} read at {index}, and had to see {floor}")
        if rows != self._invariants.rows_at(index):
            raise Violation(f"{self.name} saw {rows} rows at {index}, the log has {self._invariants.rows_at(index)}")
        # What anybody has seen is committed, so whoever asks later must see it too.
        self._floor.rise(index)
        self._seen = max(self._seen, index)
        self.read += 1
        self._stop(attempt)

    # -- Writes ------------------------------------------------------------------------------------------------

    def _submit(self, operations: tuple[Run | RunMany, ...]) -> None:
        self._start()
        self._sequence += 1
        self._began = self.world.now
        self._unit = Submit(0, self.name, self._sequence, operations)
        self._floor_at_start = self._floor.index
        self._send_unit()

    def _send_unit(self) -> None:
        """Send the unit to whoever calls itself primary, or to anybody; and again if no answer comes."""
        node = self._primary() or self._any_node()
        unit = self._unit
        if unit is None:
            return
        self._request += 1
        request = self._request
        if node is not None:
            self._linked(node).ask(Submit(request, unit.client, unit.sequence, unit.operations))

        self._look_later(request, self.world.now + PATIENCE)

    def _look_later(self, request: int, until: float) -> None:
        """Send the unit again when its link is lost, or nothing came for long."""

        def look() -> None:
            if self._unit is None or self._request != request:
                return
            if self.world.now > self._began + self.gives_up_after:
                self._unit = None
                self._stop(self._attempt)
                return
            if self.world.now >= until or self._link is None or self._link.is_lost:
                self._drop_link()
                self._send_unit()
            else:
                self._look_later(request, until)

        self.world.after(0.02 + self.world.random.random() * 0.05, look)

    def take(self, message: Answer) -> None:
        """A node answered."""
        unit = self._unit
        if unit is None or not isinstance(message, Outcome) or message.request != self._request:
            return
        if message.fault is not None:
            if message.fault.sqlstate not in AGAIN:
                raise Violation(f"{self.name} was told {message.fault.sqlstate}: {message.fault.message}")
            self._request += 1
            self._look_later(self._request, self.world.now)
            return
        self._unit = None
        self.done += 1
        if message.state != COMMITTED:
            raise Violation(f"unit {unit.sequence} of {self.name} ended in state {message.state}")
        operation = unit.operations[0]
        if isinstance(operation, Run) and operation.sql == COUNT:
            self._counted(message)
        else:
            self._acknowledge(unit.sequence, message.index)
        self._stop(self._attempt)

    def _acknowledge(self, sequence: int, index: Index) -> None:
        """The write is in the log, once, at the index that was told, after all that was told before it was sent."""
        found = self._invariants.outcome_of(self.name, sequence)
        if not 0 < found <= index:  # a repetition that overtook its first copy's commit is told a later place
            raise Violation(f"unit {sequence} of {self.name} was acknowledged at {index}, the log has it at {found}")
        if index <= self._floor_at_start:
            raise Violation(f"unit {sequence} of {self.name} is at {index}, before {self._floor_at_start}")
        self._floor.rise(index)
        self._seen = max(self._seen, index)
        self.acknowledged.append((sequence, found))
        self.written += 1

    def _counted(self, message: Outcome) -> None:
        rows = message.results[0].rows[0][0]
        assert isinstance(rows, int)
        if rows < self._invariants.rows_at(self._floor_at_start):
            raise Violation(f"{self.name} counted {rows} rows at the primary, older than {self._floor_at_start}")
        self._floor.rise(message.index)
        self.read += 1

    # -- Links -------------------------------------------------------------------------------------------------

    def _linked(self, node: Node) -> Link:
        link = self._link
        if link is None or link.node is not node or link.is_lost:
            self._drop_link()
            link = self._link = Link(self, node, next(self._numbers))
        return link

    def _drop_link(self) -> None:
        if self._link is not None and not self._link.closed:
            self._link.close()
        self._link = None

    def _primary(self) -> Node | None:
        found = [
            node
            for node in self._nodes.values()
            if node.running and node.carrier.consensus.ready and not self.is_cut_from(node.name)
        ]
        return self.world.random.choice(found) if found and self.world.random.random() < 0.95 else None

    def _any_node(self) -> Node | None:
        found = [node for node in self._nodes.values() if node.running]
        return self.world.random.choice(found) if found else None

    def _start(self) -> int:
        self.busy = True
        self._attempt += 1
        attempt = self._attempt

        def give_up() -> None:
            if self._unit is None:
                self._stop(attempt)

        self.world.after(PATIENCE, give_up)
        return attempt

    def _stop(self, attempt: int) -> None:
        if attempt == self._attempt and self.busy:
            self.busy = False
            self._attempt += 1
            if self.active:
                self._go_on()
