"""Runs seeds with a planted fault in place."""

from __future__ import annotations

from random import Random
from unittest import mock

import msgspec

from lfsql.testing.simulator.plan import Plan, plan_of
from lfsql.testing.simulator.simulation import Simulation
from tests.testing.planted import Planted


def focused(planted: Planted, seed: int) -> Plan:
    """The seed's own plan, narrowed to where the fault can show."""
    plan = plan_of(Random(seed))
    changes = dict(planted.focus)
    if "lease" in changes:
        changes["settings"] = msgspec.structs.replace(plan.settings, lease=changes.pop("lease"))
    return msgspec.structs.replace(plan, **changes)


def failure_of(simulation: Simulation) -> Exception | None:
    """What a run fails with, None when it does not."""
    try:
        simulation.run()
    except Exception as error:  # whatever it is, it is what was found
        return error
    finally:
        simulation.close()
    return None


def search(planted: Planted) -> tuple[int, Exception | None]:
    """(how many seeds were run, what the last one failed with; None when none did)."""
    patches = [mock.patch.object(owner, name, replacement) for owner, name, replacement in planted.patches()]
    for patch in patches:
        patch.start()
    try:
        for seed in range(planted.seeds_max):
            found = failure_of(Simulation(seed, plan=focused(planted, seed)))
            if found is not None:
                return seed + 1, found
    finally:
        for patch in reversed(patches):
            patch.stop()
    return planted.seeds_max, None
