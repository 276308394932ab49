"""How long the cluster is without a primary, and what it costs when nothing happens, in virtual time."""

from __future__ import annotations

import pytest

from lfsql.core.membership import VOTER, Member
from lfsql.core.messages import Append, RequestVote
from lfsql.core.settings import ConsensusSettings
from tests.core.cluster import Cluster, Network, SimulatedNode
from tests.core.lone import THREE


def cluster(seed: int, *, lease: float = 0.0, members: tuple[Member, ...] = THREE) -> Cluster:
    return Cluster(seed, members, ConsensusSettings(lease=lease), Network())


def elected(made: Cluster) -> SimulatedNode:
    assert made.run(2, lambda: made.primary() is not None)
    primary = made.primary()
    assert primary is not None
    return primary


def time_to_fail_over(seed: int, *, lease: float = 0.0) -> float:
    made = cluster(seed, lease=lease)
    old = elected(made)
    made.run(1)
    killed_at = made.now
    made.crash(old.name)
    elected(made)
    return made.now - killed_at


def test_a_new_cluster_has_a_primary_within_a_second() -> None:
    times = []
    for seed in range(200):
        made = cluster(seed)
        elected(made)
        times.append(made.now)
    times.sort()
    assert times[100] < 0.7
    assert times[-1] < 1.5


def test_a_killed_primary_is_replaced_without_waiting_for_a_timeout() -> None:
    times = sorted(time_to_fail_over(seed) for seed in range(200))
    assert times[100] < 0.05
    assert times[-4] < 0.1
    assert times[-1] < 1.0


def test_a_lease_delays_a_failover_by_no_more_than_itself() -> None:
    times = sorted(time_to_fail_over(seed, lease=0.3) for seed in range(50))
    assert 0.2 < times[25] < 0.4


@pytest.mark.parametrize("seed", range(30))
def test_a_silent_primary_is_replaced_after_a_timeout(seed: int) -> None:
    made = cluster(seed)
    old = elected(made)
    made.run(1)
    made.partition({old.name})
    before = made.now
    assert made.run(2.5, lambda: made.primary() not in (None, old))
    assert made.now - before > 0.3


def test_a_node_that_was_cut_off_does_not_depose_the_primary_by_coming_back() -> None:
    for seed in range(20):
        made = cluster(seed)
        primary = elected(made)
        other = next(name for name in made.nodes if name != primary.name)
        made.partition({other})
        made.run(5)
        made.heal()
        made.run(2)
        assert made.primary() is primary
        assert len(made.invariants.primaries) == 1


def test_a_link_that_flaps_does_not_depose_the_primary() -> None:
    made = cluster(3)
    primary = elected(made)
    for _ in range(50):
        for node in made.nodes.values():
            if node is not primary:
                made.disconnect(node, primary.name)
                break
        made.run(0.1)
    assert made.primary() is primary
    assert len(made.invariants.primaries) == 1


def test_the_node_of_the_highest_priority_is_elected_more_often() -> None:
    members = (Member("n1", VOTER, 1), Member("n2", VOTER, 9), Member("n3", VOTER, 5))
    won = [elected(cluster(seed, members=members)).name for seed in range(100)]
    assert won.count("n2") > won.count("n3") > won.count("n1")


@pytest.mark.parametrize("lease", [0.0, 0.3])
def test_an_idle_cluster_only_sends_heartbeats(lease: float) -> None:
    made = cluster(1, lease=lease)
    elected(made)
    made.run(1)
    made.sent.clear()
    made.run(10)
    beats = [message for _, _, _, message in made.sent if isinstance(message, Append)]
    assert 2 * 95 <= len(beats) <= 2 * 101
    assert len(made.sent) <= 2 * len(beats)
    assert not any(isinstance(message, RequestVote) for _, _, _, message in made.sent)


def test_a_write_reaches_every_replicas_disk_and_is_applied_without_waiting_for_a_heartbeat() -> None:
    made = cluster(1)
    primary = elected(made)
    made.run(1.001)
    before = made.now
    made.propose(primary.name, (b"x",))
    assert primary.consensus is not None
    last = primary.consensus.last.index
    assert made.run(1, lambda: all(node.disk.applied == last for node in made.nodes.values()))
    assert made.now - before < 0.03
