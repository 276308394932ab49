"""What may go wrong, by name.  Each is one thing that bad luck or an operator does to a cluster, drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from lfsql.core.effects import Transfer
from lfsql.core.membership import LEARNER, VOTER, Member

if TYPE_CHECKING:
    from lfsql.testing.simulator.node import Node
    from lfsql.testing.simulator.simulation import Simulation


def _kill(simulation: Simulation, node: Node) -> None:
    simulation.kill(node, power=False)


def _power(simulation: Simulation, node: Node) -> None:
    simulation.kill(node, power=True)


def _power_of_all(simulation: Simulation, _node: Node) -> None:
    if simulation.random.random() < 0.3:
        for each in simulation.nodes.values():
            simulation.kill(each, power=True)


def _pause(_simulation: Simulation, node: Node) -> None:
    node.pause()


def _partition(simulation: Simulation, _node: Node) -> None:
    """Two sides, clients included, which hear nothing of each other; their links close, or only fall silent."""
    random, ends = simulation.random, [*simulation.nodes, *(client.name for client in simulation.clients)]
    side = set(random.sample(ends, random.randrange(len(ends) + 1)))
    simulation.cut({(a, b) for a in ends for b in ends if (a in side) != (b in side)})


def _cut_one_way(simulation: Simulation, node: Node) -> None:
    other = simulation.random.choice(list(simulation.nodes))
    if other != node.name:
        simulation.cut({(node.name, other)})


def _cut_in_two_places(simulation: Simulation, node: Node) -> None:
    """A node that hears only one other, and is heard by it alone."""
    others = [name for name in simulation.nodes if name != node.name]
    if len(others) > 1:
        others.remove(simulation.random.choice(others))
        simulation.cut({pair for other in others for pair in ((node.name, other), (other, node.name))})


def _primary_isolated(simulation: Simulation, _node: Node) -> None:
    """Cut off for a while with some of the clients, while it still takes itself for the primary."""
    primary, random = simulation.primary(), simulation.random
    if primary is None:
        return
    near = {primary.name, *(client.name for client in simulation.clients if random.random() < 0.5)}
    ends = [*simulation.nodes, *(client.name for client in simulation.clients)]
    simulation.cut({(a, b) for a in ends for b in ends if (a in near) != (b in near)}, closing=random.choice([0, 1]))
    simulation.world.run(random.uniform(0.1, 1.2))


def _primary_paused(simulation: Simulation, _node: Node) -> None:
    """For a while, in which others may take its place; it wakes and finds what it was asked meanwhile."""
    primary = simulation.primary()
    if primary is not None:
        primary.pause()
        simulation.world.run(simulation.random.uniform(0.1, 2.0))
        primary.resume()


def _transfer_and_isolation(simulation: Simulation, node: Node) -> None:
    """The old primary does not hear that it is one no more."""
    _transfer(simulation, node)
    simulation.world.run(simulation.random.uniform(0.0, 0.02))
    _primary_isolated(simulation, node)


def _link_closes(simulation: Simulation, node: Node) -> None:
    other = simulation.random.choice(list(simulation.nodes))
    if node.running and other != node.name:
        simulation.network.disconnect(node, other)


def _disk_fails(_simulation: Simulation, node: Node) -> None:
    node.log.failing = True


def _disk_fills(_simulation: Simulation, node: Node) -> None:
    node.log.full = True


def _bit_flips(simulation: Simulation, node: Node) -> None:
    """Of a minority at most, and not of the only one with all that was cut off: what every copy has lost nobody can
    save, and who is damaged takes no part."""
    electors = node.configuration.electors
    harmed = {name for name, each in simulation.nodes.items() if each.log.was_damaged} | {node.name}
    cut_off = max(each.log.base.index for each in simulation.nodes.values())
    saved = any(simulation.nodes[name].durable_index >= cut_off for name in electors if name not in harmed)
    if saved and len(harmed & set(electors)) <= len(electors) - node.configuration.quorum:
        where = node.log.flip(simulation.random)
        if simulation.world.trace is not None:
            simulation.world.note(node.name, f"a bit of {where} flips")
        if simulation.random.random() < 0.7:
            simulation.kill(node, power=True)


def _clock_leaps(simulation: Simulation, node: Node) -> None:
    node.clock_offset += simulation.random.choice([0.05, 0.5, 5.0])
    node.clock_leapt()


def _wall_clock_jumps(simulation: Simulation, node: Node) -> None:
    node.wall_offset += simulation.random.uniform(-3_600, 3_600)


def _compaction(simulation: Simulation, node: Node) -> None:
    """Up to what everybody has; or, as when the log is over its size, whoever may still need what goes."""
    random = simulation.random
    needed = min(each.held for each in simulation.nodes.values()) if random.random() < 0.5 else node.held
    node.compact(random.randint(0, needed))


def _left_behind(simulation: Simulation, node: Node) -> None:
    """A node misses something, and when it is back the others' logs have lost that, too."""
    if simulation.random.random() < 0.5:
        simulation.kill(node, power=True)
    else:
        node.pause()
    simulation.world.run(simulation.random.uniform(0.2, 1.5))
    for other in simulation.nodes.values():
        if other is not node:
            other.compact(other.held)
    node.resume()
    simulation.start(node)


def _data_lost(simulation: Simulation, node: Node) -> None:
    """data.db is gone, of one node in a run: of all, nobody could have it from anybody."""
    voters = [member.node for member in simulation.configuration.members if member.role == VOTER]
    others = [simulation.nodes[name] for name in voters if name != node.name]
    sound = [other for other in others if other.durable_index >= node.log.base.index and not other.log.was_damaged]
    if node.running and sound and not simulation.plan.core_only and not simulation.lost:
        simulation.lost = node.name
        node.lose_data()


def _transfer(simulation: Simulation, node: Node) -> None:
    for each in simulation.nodes.values():
        if each.running and not each.paused and each.carrier.consensus.ready:
            each.soon(lambda each=each: each.carrier.step(Transfer(node.name)), 0)  # type: ignore[misc]  # binds now


def _members_change(simulation: Simulation, node: Node) -> None:
    """An operator wants it, whoever the members are: whether it may be is for the nodes to say."""
    primary, random = simulation.primary(), simulation.random
    if primary is None:
        return
    before = primary.carrier.consensus.configuration
    grown = [member.node for member in before.members if member.becomes != LEARNER and not member.is_elector]
    if random.random() < 0.7:
        node = simulation.nodes[random.choice(grown or simulation.plan.spares or [node.name])]
    known = before.member(node.name)
    if known is None:
        wanted = before.with_member(Member(node.name, LEARNER, becomes=VOTER))
    elif not known.is_elector and random.random() < 0.7:
        wanted = before.with_member(Member(node.name, known.becomes, random.randrange(3)))
    elif sum(member.role == VOTER and member.node != node.name for member in before.members) < 2:
        return
    elif random.random() < 0.3 and known.has_data:
        wanted = before.with_member(Member(node.name, LEARNER, becomes=VOTER))
    else:
        wanted = before.without(node.name)
    primary.soon(lambda: primary.writer.member_changes.ask(wanted, lambda _answer: None), 0)


def _slow_disk(simulation: Simulation, node: Node) -> None:
    node.machine.fsync_max = simulation.random.choice([0.001, 0.1, 1.0])


FAULTS: Final[dict[str, Callable[[Simulation, Node], None]]] = {
    "kill": _kill,
    "power": _power,
    "power of all": _power_of_all,
    "pause": _pause,
    "partition": _partition,
    "cut one way": _cut_one_way,
    "cut in two places": _cut_in_two_places,
    "primary isolated": _primary_isolated,
    "primary paused": _primary_paused,
    "link closes": _link_closes,
    "disk fails": _disk_fails,
    "disk fills": _disk_fills,
    "bit flips": _bit_flips,
    "clock leap": _clock_leaps,
    "wall clock jump": _wall_clock_jumps,
    "compaction": _compaction,
    "left behind": _left_behind,
    "data lost": _data_lost,
    "transfer": _transfer,
    "transfer and isolation": _transfer_and_isolation,
    "members change": _members_change,
    "slow disk": _slow_disk,
}
