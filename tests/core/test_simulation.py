"""Short runs of whole clusters, each from one seed; `Invariants` watches every step.

Safety: everything may fail at any time.  Liveness: whatever has failed, once it is repaired the cluster works
again, soon.  They are checked in the same run, one after the other.
"""

from __future__ import annotations

from itertools import count
from random import Random

import pytest

from lfsql.core.effects import Proposed
from lfsql.core.membership import LEARNER, VOTER, WITNESS, Member
from lfsql.core.settings import ConsensusSettings
from tests.core.cluster import Cluster, Network

SMALL = {
    "message_bytes_max": 600,
    "in_flight_bytes_max": 2_000,
    "tail_bytes_max": 2_000,
    "uncommitted_bytes_max": 4_000,
    "record_bytes_max": 1_000,
    "reads_waiting_max": 8,
}
"""Limits so small that runs meet them all the time."""

SHAPES = {
    "one": (Member("n1"),),
    "three": (Member("n1"), Member("n2"), Member("n3")),
    "priorities": (Member("n1", VOTER, 3), Member("n2", VOTER, 2), Member("n3", VOTER, 1)),
    "learner": (Member("n1"), Member("n2"), Member("n3"), Member("n4", LEARNER)),
    "witness": (Member("n1"), Member("n2"), Member("n3", WITNESS)),
    "five": (Member("n1"), Member("n2"), Member("n3"), Member("n4"), Member("n5")),
}


def trouble(cluster: Cluster, random: Random, tokens: count[int]) -> None:
    """One random thing that a client, an operator or bad luck does."""
    names = list(cluster.nodes)
    name = random.choice(names)
    primary = cluster.primary()
    match random.randrange(14):
        case 0:
            if cluster.nodes[name].consensus is not None:
                cluster.crash(name)
        case 1 | 2:
            for node in cluster.nodes.values():
                if node.consensus is None:
                    cluster.start(node.name)
        case 3:
            cluster.partition(set(random.sample(names, random.randrange(len(names) + 1))))
        case 4:
            a, b = random.choice(names), random.choice(names)
            cluster.cut = {(a, b)}
        case 5:
            cluster.heal()
        case 6:
            cluster.pause(name)
        case 7 | 8:
            for node in cluster.nodes.values():
                cluster.resume(node.name)
        case 9:
            held = [node.disk.applied for node in cluster.nodes.values()]
            cluster.compact(name, random.randint(0, min(held)))
        case 10:
            if primary is not None:
                cluster.transfer(primary.name, name)
        case 11:
            a, b = random.choice(names), random.choice(names)
            if a != b and cluster.nodes[a].consensus is not None:
                cluster.disconnect(cluster.nodes[a], b)
        case _:
            cluster.read(name, next(tokens))
    # A client that follows the primary, and one that believes in an old one.
    for target in (primary.name if primary else name, name):
        bodies = tuple(random.randbytes(random.randrange(200)) for _ in range(random.randrange(4)))
        cluster.propose(target, bodies)


def meddle(cluster: Cluster, random: Random) -> None:
    """An operator changes the members, whoever they are: whether that may be is for the nodes to say."""
    primary = cluster.primary()
    if primary is None or primary.consensus is None:
        return
    before = primary.consensus.configuration
    name = random.choice(list(cluster.nodes))
    known = before.member(name)
    if known is None:
        wanted = before.with_member(Member(name, LEARNER, becomes=VOTER))
    elif not known.is_elector and random.random() < 0.7:
        wanted = before.with_member(Member(name, known.becomes, random.randrange(3)))
    elif sum(member.role == VOTER and member.node != name for member in before.members) < 2:
        return
    elif random.random() < 0.3 and known.has_data:
        wanted = before.with_member(Member(name, LEARNER, becomes=VOTER))
    else:
        wanted = before.without(name)
    cluster.changes += any(isinstance(effect, Proposed) for effect in cluster.change_members(primary.name, wanted))


def one_run(shape: str, lease: float, seed: int, spare: tuple[str, ...] = ()) -> Cluster:
    """With `spare` nodes members come and go."""
    random = Random(f"{shape} {lease} {seed}")
    rough = Network(
        lost=random.choice([0.0, 0.02, 0.2]),
        repeated=random.choice([0.0, 0.1]),
        delay_max=random.choice([0.002, 0.02, 0.15]),
        fsync_max=random.choice([0.01, 0.1, 0.5]),
        late_tick_max=random.choice([0.001, 0.3]),
    )
    settings = ConsensusSettings(lease=lease, drift=0.1, preference_patience=1.0, **SMALL)
    cluster = Cluster(random.randrange(2**32), SHAPES[shape], settings, rough, clock_drift=0.04, spare=spare)
    tokens = count()
    try:
        for _ in range(60):
            cluster.run(random.choice([0.01, 0.05, 0.3]))
            trouble(cluster, random, tokens)
            if spare:
                meddle(cluster, random)
        cluster.logs_match()
        cluster.repair()
        assert cluster.run(6, lambda: cluster.primary() is not None), "no primary"
        cluster.run(2)
        primary = cluster.primary()
        assert primary is not None
        assert primary.consensus is not None
        cluster.propose(primary.name, (b"the last",))
        last = primary.consensus.last.index
        members = [cluster.nodes[member.node] for member in primary.consensus.configuration.members]
        assert cluster.run(2, lambda: all(node.disk.applied >= last for node in members))
        cluster.logs_match()
        before = cluster.reads_confirmed
        cluster.read(members[0].name, next(tokens))
        assert cluster.run(1, lambda: cluster.reads_confirmed > before), "no read was confirmed"
    except Exception as fault:
        fault.add_note(f"{shape=} {lease=} {seed=} at {cluster.now:.6f}")
        raise
    return cluster


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("lease", [0.0, 0.3])
def test_safe_in_trouble_and_alive_after_it(shape: str, lease: float) -> None:
    runs = [one_run(shape, lease, seed) for seed in range(30)]
    assert sum(cluster.reads_confirmed for cluster in runs) > 60
    assert sum(cluster.invariants.highest for cluster in runs) > 600
    assert sum(cluster.confirmations for cluster in runs) > 600


@pytest.mark.parametrize("shape", ["one", "three", "priorities", "witness", "five"])
@pytest.mark.parametrize("lease", [0.0, 0.3])
def test_members_come_and_go_in_trouble(shape: str, lease: float) -> None:
    runs = [one_run(shape, lease, seed, spare=("s1", "s2", "s3")) for seed in range(30)]
    assert sum(cluster.changes for cluster in runs) > 100
    assert sum(cluster.invariants.highest for cluster in runs) > 600


def test_a_seed_is_a_run() -> None:
    def run() -> list[object]:
        random = Random(7)
        cluster = Cluster(7, SHAPES["three"], ConsensusSettings(), Network(lost=0.1, repeated=0.1))
        tokens = count()
        for _ in range(60):
            cluster.run(0.1)
            trouble(cluster, random, tokens)
        return [*cluster.sent]

    first = run()
    assert len(first) > 100
    assert first == run()


@pytest.mark.parametrize("seed", range(20))
def test_a_lease_ends_before_another_primary_can_commit(seed: int) -> None:
    """The links to the primary close although it lives: the others may elect, but not while it may answer."""
    settings = ConsensusSettings(lease=0.3, drift=0.1)
    cluster = Cluster(seed, SHAPES["three"], settings, Network(), clock_drift=0.04)
    assert cluster.run(2, lambda: cluster.primary() is not None)
    cluster.run(1)
    old = cluster.primary()
    assert old is not None
    cluster.partition({old.name})
    for node in cluster.nodes.values():
        if node is not old:
            cluster.disconnect(node, old.name)
    new = False
    for token in range(150):
        cluster.run(0.01)
        cluster.read(old.name, token)
        primary = cluster.primary()
        if primary is not None and primary is not old:
            new = True
            cluster.propose(primary.name, (b"newer",))
    assert new
    assert cluster.reads_confirmed > 10
