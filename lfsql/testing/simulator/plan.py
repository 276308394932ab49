"""What a seed decides before a run begins: the cluster, how rough its world is, and what may go wrong in it.

Each run allows only some of the faults, and not the same strength of each ("swarm testing"): a run in which
everything goes wrong all the time rarely gets far enough to show what goes wrong once.
"""

from __future__ import annotations

from random import Random
from typing import Final

import msgspec

from lfsql.config import NodeLimits
from lfsql.core.ids import NodeId
from lfsql.core.membership import LEARNER, VOTER, WITNESS, Member
from lfsql.core.settings import ConsensusSettings
from lfsql.node.cutting import FRAME_BYTES_KEPT, UNIT_BYTES_AROUND
from lfsql.testing.simulator.faults import FAULTS
from lfsql.testing.simulator.network import Roughness
from lfsql.testing.simulator.node import Machine

SHAPES: Final = {
    "three": (Member("n1"), Member("n2"), Member("n3")),
    "priorities": (Member("n1", VOTER, 3), Member("n2", VOTER, 2), Member("n3", VOTER, 1)),
    "witness": (Member("n1"), Member("n2"), Member("n3", WITNESS)),
    "learner": (Member("n1"), Member("n2"), Member("n3"), Member("n4", LEARNER)),
    "one": (Member("n1"),),
    "two": (Member("n1"), Member("n2")),
    "five": (Member("n1"), Member("n2"), Member("n3"), Member("n4"), Member("n5")),
}
_WEIGHTS: Final = (8, 3, 3, 3, 1, 1, 2)

PIECE_BYTES: Final = 130
"""A longer unit is cut into several records."""

RECORD_BYTES_MAX: Final = 1_500


class Plan(msgspec.Struct, frozen=True):
    """`faults`: those that may happen, see `lfsql.testing.simulator.faults`.  `steps`: how many decisions to take,
    and `pauses` how many seconds to wait between two.  `think_max`: how many seconds a client rests between requests.
    `writes`: what share of those are writes; each client draws one.  `spares`: nodes that run and are no members yet;
    with any members come and go.  `core_only`: after the faults first only a quorum is repaired, and must do without
    the rest.
    """

    shape: str
    members: tuple[Member, ...]
    settings: ConsensusSettings
    limits: NodeLimits
    roughness: Roughness
    machine: Machine
    clock_drift: float
    faults: tuple[str, ...]
    steps: int
    pauses: tuple[float, ...]
    clients: int
    think_max: float
    writes: tuple[float, ...]
    spares: tuple[NodeId, ...]
    core_only: bool


def quiet(members: tuple[Member, ...] = SHAPES["three"], *, lease: float = 0.0) -> Plan:
    """A cluster in a calm world with the default settings, in which nothing happens by itself."""
    return Plan(
        shape="as given",
        members=members,
        settings=ConsensusSettings(lease=lease),
        limits=NodeLimits(),
        roughness=Roughness(),
        machine=Machine(),
        clock_drift=0.0,
        faults=(),
        steps=0,
        pauses=(0.1,),
        clients=1,
        think_max=0.0,
        writes=(0.5,),
        spares=(),
        core_only=False,
    )


def plan_of(random: Random) -> Plan:
    """What a seed decides."""
    shape = random.choices(list(SHAPES), _WEIGHTS)[0]
    lease = random.choice([0.0, 0.0, 0.3])
    settings = ConsensusSettings(
        lease=lease,
        drift=0.1,
        # Limits so small that runs meet them all the time.
        message_bytes_max=random.choice([600, 1_200, 64_000]),
        in_flight_bytes_max=random.choice([64_000, 200_000]),
        in_flight_messages_max=random.choice([2, 256]),
        tail_bytes_max=random.choice([2_000, 200_000]),
        uncommitted_bytes_max=64_000,
        record_bytes_max=RECORD_BYTES_MAX,
        reads_waiting_max=8,
    )
    limits = NodeLimits(
        frame_bytes_max=FRAME_BYTES_KEPT + UNIT_BYTES_AROUND + PIECE_BYTES,
        batch_units_max=random.choice([1, 2, 512]),
        apply_entries_max=random.choice([1, 3, 1_024]),
    )
    spares = random.choice([(), (), (), ("s1", "s2")])
    impossible = {"clock leap"} if lease else set()
    # Two of these could take from a cluster what nobody else has.
    impossible |= {"bit flips", "data lost"} if spares else {"members change"}
    faults = {name for name in FAULTS if random.random() < 0.4 and name not in impossible}
    return Plan(
        shape=shape,
        members=SHAPES[shape],
        settings=settings,
        limits=limits,
        roughness=Roughness(
            lost=random.choice([0.0, 0.02, 0.2]),
            repeated=random.choice([0.0, 0.1]),
            late=random.choice([0.0, 0.0, 0.01, 0.1]),
            delay_max=random.choice([0.002, 0.02, 0.15]),
        ),
        machine=Machine(
            fsync_max=random.choice([0.01, 0.02, 0.1, 0.5]),
            engine_max=random.choice([0.001, 0.05]),
            late_tick_max=random.choice([0.001, 0.001, 0.3]),
            checkpoint_chance=random.choice([0.0, 0.2, 1.0]),
        ),
        clock_drift=random.choice([0.0, 0.04]),
        faults=tuple(name for name in FAULTS if name in faults),
        steps=random.choice([15, 30, 45]),
        pauses=random.choice([(0.01, 0.05, 0.3), (0.005, 0.02), (0.1, 0.4)]),
        clients=random.choice([2, 4, 6]),
        think_max=random.choice([0.02, 0.2]),
        writes=random.choice([(0.02,), (0.05, 0.5, 0.9), (0.05, 0.5, 0.9), (0.05, 0.5, 0.9)]),
        spares=spares,
        core_only=not spares and random.random() < 0.3,
    )
