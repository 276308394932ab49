"""Many seeds, by several processes; or one seed again, with a trace.

Each process takes every K-th seed, tells of failures on stderr as they come, and reports one line of JSON at the end.
So the seeds of a run do not depend on how many processes there are.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, Final, TextIO

import msgspec

from lfsql.testing.simulator.simulation import Report, Simulation

REPLAY: Final = "python -m lfsql.testing.simulator --seed"
TRACE_LINES: Final = 80
_NUMBERS: Final = tuple(name for name in Report.__struct_fields__ if name != "digest")


class Found(msgspec.Struct):
    """What a run of many seeds came to."""

    seeds: int = 0
    failed: list[int] = []
    totals: dict[str, float] = {}
    recovery_s_max: float = 0.0
    digest: str = ""
    """Of all logs: equal when all runs were the same."""


def try_seed(seed: int, *, tracing: bool = False) -> tuple[Simulation, Report | None, Exception | None]:
    """Run one seed: its report, or what it failed with."""
    simulation = Simulation(seed, tracing=tracing)
    try:
        return simulation, simulation.run(), None
    except Exception as error:  # whatever it is, it is what this seed has found
        return simulation, None, error
    finally:
        simulation.close()


def run_seeds(seeds: Iterable[int], failures_max: int = 10, out: TextIO | None = None) -> Found:
    """Run seeds one after the other, telling `out` at once of each that fails; stops after so many failures."""
    found = Found(failed=[], totals=dict.fromkeys(_NUMBERS, 0.0))
    for seed in seeds:
        simulation, report, error = try_seed(seed)
        found.seeds += 1
        if report is None:
            found.failed.append(seed)
            print(
                f"seed {seed} failed: {_told(simulation, error)}\n    replay: {REPLAY} {seed}", flush=True, file=out
            )
            if len(found.failed) >= failures_max:
                break
            continue
        for name in _NUMBERS:
            found.totals[name] += getattr(report, name)
        found.digest = blake2b((found.digest + report.digest).encode(), digest_size=16).hexdigest()
        found.recovery_s_max = max(found.recovery_s_max, report.recovery_s)
    return found


def replay(seed: int, lines: int) -> int:
    """Run one seed with a trace; print what it decided, the trace's end and how it ended."""
    simulation, report, error = try_seed(seed, tracing=True)
    for name in simulation.plan.__struct_fields__:
        print(f"{name}: {getattr(simulation.plan, name)}")
    trace = simulation.world.trace or []
    if len(trace) > lines > 0:
        print(f"... {len(trace) - lines} lines; --trace 0 shows all")
    print("\n".join(trace[-lines:]))
    if report is None:
        print(f"seed {seed} failed: {_told(simulation, error)}")
        return 1
    print(f"seed {seed} passed: {report}")
    return 0


def _told(simulation: Simulation, error: Exception | None) -> str:
    return f"{type(error).__name__}: {error} ({simulation.plan.shape}, at {simulation.world.now:.3f} s)"


def _spread(arguments: argparse.Namespace) -> Found:
    """Share the seeds among child processes."""
    command = [sys.executable, "-m", "lfsql.testing.simulator", "--seeds", str(arguments.seeds)]
    children = [
        subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [*command, "--first", str(arguments.first), "--share", f"{number}/{arguments.processes}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(arguments.processes)
    ]
    parts = []
    for child in children:
        output = child.communicate()[0].splitlines()
        if not output or not output[-1].startswith("{"):
            raise RuntimeError(f"a simulating process ended with status {child.returncode} and no result")
        parts.append(msgspec.json.decode(output[-1], type=Found))
    return Found(
        seeds=sum(part.seeds for part in parts),
        failed=sorted(seed for part in parts for seed in part.failed),
        totals={name: sum(part.totals[name] for part in parts) for name in _NUMBERS},
        recovery_s_max=max(part.recovery_s_max for part in parts),
    )


def main(words: list[str]) -> int:
    """Returns the exit status: 0 when every seed passed."""
    parser = argparse.ArgumentParser(prog=REPLAY.rpartition(" ")[0], description="Simulate clusters, a seed each.")
    parser.add_argument("--seeds", type=int, default=1_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first one")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="how many at a time")
    parser.add_argument("--seed", type=int, help="run this one alone, with a trace")
    parser.add_argument("--trace", type=int, default=TRACE_LINES, help="lines of the trace to show; 0 for all")
    parser.add_argument("--share", help=argparse.SUPPRESS)
    arguments: Any = parser.parse_args(words)
    logging.disable(logging.CRITICAL)
    if arguments.seed is not None:
        return replay(arguments.seed, arguments.trace)
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    if arguments.share:
        number, _, processes = arguments.share.partition("/")
        found = run_seeds(seeds[int(number) :: int(processes)], out=sys.stderr)
        print(json.dumps(msgspec.to_builtins(found)))
        return 0
    began = time.monotonic()
    found = run_seeds(seeds) if arguments.processes == 1 else _spread(arguments)
    totals = ", ".join(f"{total:,.0f} {name}" for name, total in found.totals.items() if name != "recovery_s")
    print(f"{found.seeds} seeds in {time.monotonic() - began:.0f} s, {len(found.failed)} failed: {totals}")
    print(f"after the faults at most {found.recovery_s_max:.1f} virtual seconds until all worked again")
    return 1 if found.failed else 0
