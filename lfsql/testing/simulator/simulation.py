"""One seed, one run: a cluster is troubled, then repaired, and must then work again, soon.

Safety holds at any time, whatever fails (`invariants`, `clients`).  Liveness is asked for after the faults, in two
ways.  Either everything is repaired; or first no more than a quorum is, and must get on without the rest, which stays
as broken as it is: what works only with everybody's help would look well in the first way.
"""

from __future__ import annotations

from itertools import count
from math import inf

import msgspec

from lfsql.core.entry import CONFIGURATION
from lfsql.core.ids import NodeId
from lfsql.core.membership import VOTER, WITNESS, Configuration
from lfsql.testing.simulator.clients import Client, Floor
from lfsql.testing.simulator.faults import FAULTS
from lfsql.testing.simulator.invariants import Invariants, Violation
from lfsql.testing.simulator.network import Network, Roughness
from lfsql.testing.simulator.node import Machine, Node
from lfsql.testing.simulator.plan import Plan, plan_of
from lfsql.testing.simulator.world import World

LIVE_S_MAX = 8.0
"""Virtual seconds after the repair within which every client's write is acknowledged."""

LEVEL_S_MAX = 4.0
"""And after that, until all nodes show the same."""


class Report(msgspec.Struct):
    """What a run came to; `events` and `digest` are the same again for the same seed."""

    seconds: float = 0.0
    events: int = 0
    messages: int = 0
    terms: int = 0
    committed: int = 0
    written: int = 0
    read: int = 0
    changes: int = 0
    """Of the members."""
    rebuilt: int = 0
    """Nodes' data, from a snapshot."""
    faults: int = 0
    recovery_s: float = 0.0
    digest: str = ""


class Simulation:
    """`plan`: the seed's own when None."""

    def __init__(self, seed: int, *, plan: Plan | None = None, tracing: bool = False) -> None:
        self.seed = seed
        self.world = World(seed, tracing=tracing)
        self.random = self.world.random
        self.plan = plan or plan_of(self.random)
        self.nodes: dict[NodeId, Node] = {}
        self.faults = 0
        self.lost: NodeId = ""
        """Whose data.db was lost."""
        self.invariants = Invariants()
        self.network = Network(self.world, Roughness(), self.nodes, self.invariants.hears)
        configuration = Configuration(self.plan.members)
        drift = self.plan.clock_drift
        for name in (*(member.node for member in self.plan.members), *self.plan.spares):
            self.nodes[name] = Node(
                self.world,
                self.network,
                self.invariants,
                name,
                configuration,
                self.plan.settings,
                self.plan.limits,
                Machine(),
                1 + self.random.uniform(-drift, drift),
            )
        self.configuration = configuration
        numbers, floor = count(1), Floor()
        self.clients = [
            Client(
                self.world,
                f"c{number + 1}",
                self.nodes,
                self.network,
                self.invariants,
                floor,
                numbers,
                self.plan.think_max,
            )
            for number in range(self.plan.clients)
        ]

    def run(self) -> Report:
        """Raises Violation, or whatever production raised that it must not."""
        self.start_all()
        self.clients[0].begin_table()
        self.live("at the start", [self.clients[0]])
        self.network.roughness = self.plan.roughness
        for node in self.nodes.values():
            node.machine = msgspec.structs.replace(self.plan.machine)
        for client in self.clients:
            client.gives_up_after = self.random.choice([0.3, inf])
            client.writes = self.random.choice(self.plan.writes)
            client.begin()
        for _ in range(self.plan.steps):
            self.world.run(self.random.choice(self.plan.pauses))
            self._trouble()
        for client in self.clients:
            client.active, client.gives_up_after = False, inf
        began = self.world.now
        if self.plan.core_only:
            self.repair_core()
            self.live("with a quorum", self.clients)
        recovered = self.world.now
        self.repair()
        self.live("after the repair", self.clients)
        self.level()
        return self._report(max(recovered - began, self.world.now - recovered))

    def close(self) -> None:
        for node in self.nodes.values():
            if node.running:
                node.kill(power=False)

    # -- Trouble ---------------------------------------------------------------------------------------------

    def start_all(self) -> None:
        for node in self.nodes.values():
            self.start(node)

    def primary(self) -> Node | None:
        """The ready node of the highest term that runs."""
        ready = [
            node for node in self.nodes.values() if node.running and not node.paused and node.carrier.consensus.ready
        ]
        return max(ready, key=lambda node: node.carrier.consensus.term, default=None)

    def start(self, node: Node) -> None:
        if node.running or node.broken:
            return
        if self.world.trace is not None:
            self.world.note(node.name, "starts")
        if node.start():
            self.network.joined(node)

    def kill(self, node: Node, *, power: bool) -> None:
        if node.running:
            node.kill(power=power)
            self.network.left(node.name)

    def cut(self, pairs: set[tuple[NodeId, NodeId]], closing: float = 0.5) -> None:
        """From now on just these hear nothing of each other; `closing`: of which share it is known."""
        self.network.cut = pairs
        for sender, to in sorted(pairs):
            node = self.nodes.get(to)
            if node is not None and node.running and sender in self.nodes and self.random.random() < closing:
                self.network.disconnect(node, sender)

    def heal(self) -> None:
        cut, self.network.cut = self.network.cut, set()
        for sender, to in sorted(cut):
            node = self.nodes.get(to)
            if node is not None and node.running and sender in self.nodes and self.random.random() < 0.7:
                self.network.connect(node, sender)

    def _trouble(self) -> None:
        """One fault, or the end of some."""
        random = self.random
        node = random.choice(list(self.nodes.values()))
        if random.random() < 0.4:
            node = self.primary() or node
        if self.plan.spares and random.random() < 0.3:
            FAULTS["members change"](self, node)
        choice = random.random()
        if choice < 0.55 and self.plan.faults:
            name = random.choice(self.plan.faults)
            if self.world.trace is not None:
                self.world.note(node.name, f"fault: {name}")
            self.faults += 1
            FAULTS[name](self, node)
        elif choice < 0.65:
            self.heal()
        elif choice < 0.8:
            for each in self.nodes.values():
                each.resume()
        else:
            for each in self.nodes.values():
                each.log.full = False
                self.start(each)

    # -- Repair ----------------------------------------------------------------------------------------------

    def repair_core(self) -> None:
        """End the faults of a quorum, and between it and the clients; leave the others as they are, and cut off."""
        electors = [self.nodes[name] for name in self.configuration.electors]
        sound = [node for node in electors if not self._is_lost(node)]
        self.random.shuffle(sound)
        sound.sort(key=lambda node: self._role(node) == WITNESS)
        core = sound[: self.configuration.quorum]
        if self.world.trace is not None:
            self.world.note("", f"repair of {[node.name for node in core]}")
        names = {node.name for node in core}
        everybody = [*self.nodes, *(client.name for client in self.clients)]
        reached = names | {client.name for client in self.clients}
        self._calm()
        self.heal()
        self.network.cut = {(a, b) for a in everybody for b in everybody if (a in reached) != (b in reached)}
        for node in core:
            self._mend(node)

    def repair(self) -> None:
        """End all faults; what is damaged stays so."""
        if self.world.trace is not None:
            self.world.note("", "repair")
        self._calm()
        self.heal()
        for node in self.nodes.values():
            self._mend(node)

    def _calm(self) -> None:
        self.network.roughness = Roughness()

    def _mend(self, node: Node) -> None:
        node.machine = Machine()
        node.log.full = node.log.failing = False
        node.resume()
        self.start(node)

    def _is_lost(self, node: Node) -> bool:
        return bool(node.broken) or node.log.was_damaged

    def _role(self, node: Node) -> int:
        member = self.configuration.member(node.name)
        return VOTER if member is None else member.role

    def live(self, when: str, clients: list[Client]) -> None:
        """What every client has begun ends, and a new write of each is acknowledged."""
        if not self.world.run(LIVE_S_MAX, lambda: not any(client.busy for client in clients)):
            raise Violation(f"{when} work was not done within {LIVE_S_MAX} s")
        before = {client.name: client.done for client in clients}
        for client in clients:
            client.write()
        if not self.world.run(LIVE_S_MAX, lambda: all(client.done > before[client.name] for client in clients)):
            raise Violation(f"{when} no write was acknowledged within {LIVE_S_MAX} s")

    def level(self) -> None:
        """All that are sound come to show the same, which is all there is."""
        primary = self.primary()
        members = self.configuration if primary is None else primary.carrier.consensus.configuration
        sound = [node for node in self.nodes.values() if members.member(node.name) and not self._is_lost(node)]

        def is_level() -> bool:
            return all(node.running and node.visible[0] == self.invariants.highest for node in sound)

        if not self.world.run(LEVEL_S_MAX, is_level):
            raise Violation(f"after {LEVEL_S_MAX} s nodes show {[(node.name, node.visible[0]) for node in sound]}")
        for client in self.clients:
            for sequence, index in client.acknowledged:
                if self.invariants.outcome_of(client.name, sequence) != index:
                    raise Violation(f"unit {sequence} of {client.name} is lost")

    def _report(self, recovery_s: float) -> Report:
        last = self.invariants.committed[-1]
        return Report(
            seconds=self.world.now,
            events=self.world.events_run,
            messages=self.network.sent,
            terms=len(self.invariants.primaries),
            committed=self.invariants.highest,
            written=sum(client.written for client in self.clients),
            read=sum(client.read for client in self.clients),
            changes=sum(record is not None and record.kind == CONFIGURATION for record in self.invariants.committed),
            rebuilt=sum(node.rebuilding.done for node in self.nodes.values()),
            faults=self.faults,
            recovery_s=recovery_s,
            digest=last.hash.hex() if last is not None else "",
        )
