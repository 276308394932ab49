"""How long the cluster is without a primary, and what it costs when nothing happens, in virtual time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lfsql.core.membership import VOTER, Member
from lfsql.core.messages import Append, PeerMessage, RequestVote
from lfsql.testing.simulator.node import Node
from lfsql.testing.simulator.plan import quiet
from lfsql.testing.simulator.simulation import Simulation
from tests.core.lone import THREE


@pytest.fixture
def made() -> Iterator[list[Simulation]]:
    """Those to be closed."""
    simulations: list[Simulation] = []
    yield simulations
    for simulation in simulations:
        simulation.close()


def cluster(seed: int, *, lease: float = 0.0, members: tuple[Member, ...] = THREE) -> Simulation:
    simulation = Simulation(seed, plan=quiet(members, lease=lease))
    simulation.start_all()
    return simulation


def elected(simulation: Simulation) -> Node:
    assert simulation.world.run(2, lambda: simulation.primary() is not None)
    primary = simulation.primary()
    assert primary is not None
    return primary


def time_to_fail_over(seed: int, *, lease: float = 0.0) -> float:
    simulation = cluster(seed, lease=lease)
    old = elected(simulation)
    simulation.world.run(1)
    killed_at = simulation.world.now
    simulation.kill(old, power=False)
    elected(simulation)
    simulation.close()
    return simulation.world.now - killed_at


def isolate(simulation: Simulation, name: str) -> None:
    others = [other for other in simulation.nodes if other != name]
    simulation.cut({pair for other in others for pair in ((name, other), (other, name))}, closing=0)


def test_a_new_cluster_has_a_primary_within_a_second() -> None:
    times = []
    for seed in range(100):
        simulation = cluster(seed)
        elected(simulation)
        times.append(simulation.world.now)
        simulation.close()
    times.sort()
    assert times[50] < 0.7
    assert times[-1] < 1.5


def test_a_killed_primary_is_replaced_without_waiting_for_a_timeout() -> None:
    times = sorted(time_to_fail_over(seed) for seed in range(100))
    assert times[50] < 0.05
    assert times[-3] < 0.1
    assert times[-1] < 1.0


def test_a_lease_delays_a_failover_by_no_more_than_itself() -> None:
    times = sorted(time_to_fail_over(seed, lease=0.3) for seed in range(50))
    assert 0.2 < times[25] < 0.4


@pytest.mark.parametrize("seed", range(30))
def test_a_silent_primary_is_replaced_after_a_timeout(seed: int, made: list[Simulation]) -> None:
    simulation = cluster(seed)
    made.append(simulation)
    old = elected(simulation)
    simulation.world.run(1)
    isolate(simulation, old.name)
    before = simulation.world.now
    assert simulation.world.run(2.5, lambda: simulation.primary() not in (None, old))
    assert simulation.world.now - before > 0.3


@pytest.mark.parametrize("seed", range(20))
def test_a_node_that_was_cut_off_does_not_depose_the_primary_by_coming_back(
    seed: int, made: list[Simulation]
) -> None:
    simulation = cluster(seed)
    made.append(simulation)
    primary = elected(simulation)
    isolate(simulation, next(name for name in simulation.nodes if name != primary.name))
    simulation.world.run(5)
    simulation.heal()
    simulation.world.run(2)
    assert simulation.primary() is primary
    assert len(simulation.invariants.primaries) == 1


def test_a_link_that_flaps_does_not_depose_the_primary(made: list[Simulation]) -> None:
    simulation = cluster(3)
    made.append(simulation)
    primary = elected(simulation)
    other = next(node for node in simulation.nodes.values() if node is not primary)
    for _ in range(50):
        simulation.network.disconnect(other, primary.name)
        simulation.world.run(0.1)
    assert simulation.primary() is primary
    assert len(simulation.invariants.primaries) == 1


def test_the_node_of_the_highest_priority_is_elected_more_often() -> None:
    members = (Member("n1", VOTER, 1), Member("n2", VOTER, 9), Member("n3", VOTER, 5))
    won = []
    for seed in range(100):
        simulation = cluster(seed, members=members)
        won.append(elected(simulation).name)
        simulation.close()
    assert won.count("n2") > won.count("n3") > won.count("n1")


@pytest.mark.parametrize("lease", [0.0, 0.3])
def test_an_idle_cluster_only_sends_heartbeats(lease: float, made: list[Simulation]) -> None:
    simulation = cluster(1, lease=lease)
    made.append(simulation)
    elected(simulation)
    simulation.world.run(1)
    sent: list[PeerMessage] = []
    send = simulation.network.send

    def listen(sender: str, to: str, message: PeerMessage) -> None:
        sent.append(message)
        send(sender, to, message)

    simulation.network.send = listen  # type: ignore[method-assign]  # to hear what is said
    simulation.world.run(10)
    beats = [message for message in sent if isinstance(message, Append)]
    assert 2 * 95 <= len(beats) <= 2 * 101
    assert len(sent) <= 2 * len(beats)
    assert not any(isinstance(message, RequestVote) for message in sent)


def test_a_write_reaches_every_replica_and_is_applied_without_waiting_for_a_heartbeat(made: list[Simulation]) -> None:
    simulation = cluster(1)
    made.append(simulation)
    simulation.clients[0].begin_table()
    simulation.live("at the start", simulation.clients)
    simulation.level()
    simulation.world.run(1.001)
    before, index = simulation.world.now, simulation.invariants.highest
    simulation.clients[0].write()
    assert simulation.world.run(1, lambda: all(n.visible[0] == index + 1 for n in simulation.nodes.values()))
    assert simulation.world.now - before < 0.04
