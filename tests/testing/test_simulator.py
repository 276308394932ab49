"""Seeds that must pass, and that a seed is a run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from lfsql.testing.simulator.command import Found, main, run_seeds
from lfsql.testing.simulator.plan import quiet
from lfsql.testing.simulator.simulation import Simulation
from tests.testing.planted import acknowledged_before_the_quorum

ROOT = Path(__file__).parent.parent.parent
SHARE = 50


@pytest.mark.parametrize("first", range(0, 500, SHARE))
def test_seeds_of_mixed_faults_are_clean(first: int, capsys: pytest.CaptureFixture[str]) -> None:
    found = run_seeds(range(first, first + SHARE))
    assert found.failed == [], capsys.readouterr().out
    for name, least in {"terms": 60, "written": 400, "read": 400, "faults": 300, "changes": 3, "rebuilt": 1}.items():
        assert found.totals[name] > least, f"{name}: these runs show little"


def test_a_seed_is_a_run_whatever_the_process() -> None:
    def run(hash_seed: int) -> Found:
        environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "lfsql.testing.simulator", "--seeds", "12", "--share", "0/1"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
        return msgspec.json.decode(done.stdout.splitlines()[-1], type=Found)

    first = run(1)
    assert first == run(2)
    assert first.seeds == 12
    assert len(first.digest) == 32


def test_a_failing_seed_is_replayed_by_the_command_that_it_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for owner, name, replacement in acknowledged_before_the_quorum():
        monkeypatch.setattr(owner, name, replacement)
    assert main(["--seeds", "2", "--processes", "1"]) == 1
    told = capsys.readouterr().out.splitlines()
    failure = told[0].removeprefix("seed 0 failed: ")
    assert told[1] == "    replay: python -m lfsql.testing.simulator --seed 0"
    assert main(["--seed", "0"]) == 1
    replayed = capsys.readouterr().out
    assert f"seed 0 failed: {failure}" in replayed
    assert "n1 starts" in replayed


def test_several_processes_share_the_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "6", "--first", "100", "--processes", "2"]) == 0
    both = capsys.readouterr().out.partition("seconds,")[2]
    assert main(["--seeds", "6", "--first", "100", "--processes", "1"]) == 0
    assert capsys.readouterr().out.partition("seconds,")[2] == both


def reads_at_both_sides(seed: int) -> tuple[int, int]:
    """(reads of clients on the old primary's side of a cut, of those on the other side)"""
    simulation = Simulation(seed, plan=msgspec.structs.replace(quiet(lease=0.3), clients=6, clock_drift=0.04))
    simulation.start_all()
    simulation.clients[0].begin_table()
    simulation.live("at the start", [simulation.clients[0]])
    old = simulation.primary()
    assert old is not None
    near = {old.name, "c1", "c2", "c3"}
    for client in simulation.clients:
        client.writes = 0.0 if client.name in near else 0.5
        client.begin()
    ends = [*simulation.nodes, *(client.name for client in simulation.clients)]
    simulation.world.run(0.5)
    before = [client.read for client in simulation.clients]
    simulation.cut({(a, b) for a in ends for b in ends if (a in near) != (b in near)}, closing=1.0)
    simulation.world.run(1.5)
    assert simulation.primary() is not old
    read = [client.read - earlier for client, earlier in zip(simulation.clients, before, strict=True)]
    simulation.close()
    return sum(read[:3]), sum(read[3:])


def test_a_lease_ends_before_another_primary_can_commit() -> None:
    """The links to the primary close although it lives: the others may elect, but not while it may answer."""
    reads = [reads_at_both_sides(seed) for seed in range(20)]
    assert sum(old for old, _ in reads) > 20
    assert sum(new for _, new in reads) > 50
