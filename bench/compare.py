"""`python -m bench.compare`: every measure against every system, in turn, and a table of ratios.

Rounds are interleaved (each measure visits all systems before the next) and the order of systems rotates, so that
what the machine does besides falls on all alike.  The median of the rounds counts.  Everything runs on one machine,
clients included: ratios say more than numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.measures import MEASURES, Measure, idle_processor, initialise, measure, memory_per_connection
from bench.processes import program
from bench.systems import NAMES, System, running
from lfsql.errors import LfsqlError

RESULTS = Path(__file__).parent / "results"
MEMORY_KIB_MAX = 40.0
PROCESSOR_PERCENT_MAX = 3.0
WITHOUT_MEMORY = "pgpool"
"""It holds each client by a process of its own, of a fixed number."""


def main() -> int:
    options = _options()
    names = tuple(name for name in NAMES if name in options.systems)
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="lfsql-bench-", ignore_cleanup_errors=True) as place:
        directory = Path(place)
        directory.chmod(0o755)
        try:
            results = _measure_all(directory, names, options)
        except LfsqlError as error:
            print(f"bench: {error.message}", file=sys.stderr)
            return 1
    results["machine"] = _machine()
    results["options"] = {"rounds": options.rounds, "seconds": options.seconds}
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(results, indent=2) + "\n")
    _print(results)
    print(f"written to {path}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often each measure is taken (default: 3)")
    parser.add_argument("--seconds", type=int, default=10, help="how long one pgbench run lasts (default: 10)")
    parser.add_argument("--systems", nargs="+", choices=NAMES, default=NAMES, help="which systems (default: all)")
    parser.add_argument("--only", default="", help="only measures whose name contains this")
    parser.add_argument("--no-idle", action="store_true", help="leave out memory and idle processor time")
    return parser.parse_args()


def _measure_all(directory: Path, names: tuple[str, ...], options: argparse.Namespace) -> dict[str, Any]:
    wanted = [what for what in MEASURES if options.only in what.name]
    values: dict[str, dict[str, list[float]]] = {what.name: {name: [] for name in names} for what in wanted}
    idle: dict[str, Any] = {}
    with running(directory, names) as systems:
        # Pgpool-II and PgBouncer stand before the same database.
        for system in systems:
            if system.name in ("postgresql", "lfsql") or "postgresql" not in names:
                initialise(system)
        if not options.no_idle:
            idle["processor_percent"] = _told("idle processor", idle_processor(systems))
            memory = {s.name: memory_per_connection(s) for s in systems if s.name != WITHOUT_MEMORY}
            idle["memory_kib_per_connection"] = _told("memory per connection", memory)
        for number in range(options.rounds):
            for what in wanted:
                for system in _rotated(systems, number):
                    value = measure(system, what, options.seconds, directory)
                    values[what.name][system.name].append(value)
                    print(
                        f"round {number + 1}  {what.name:32} {system.name:12} {value:12.3f} {what.unit}", flush=True
                    )
    return {"date": datetime.now(UTC).isoformat(timespec="seconds"), "measures": values, "idle": idle}


def _rotated(systems: list[System], number: int) -> list[System]:
    start = number % len(systems)
    return systems[start:] + systems[:start]


def _told(name: str, values: dict[str, float]) -> dict[str, float]:
    print(f"{name}: " + ", ".join(f"{system} {value:.2f}" for system, value in values.items()), flush=True)
    return values


def _print(results: dict[str, Any]) -> None:
    table = Table(title=f"medians, {results['date']}")
    for heading in ("measure", *NAMES, "lfsql against", "goal", "reached"):
        table.add_column(heading, justify="left" if heading in ("measure", "lfsql against") else "right")
    for what in MEASURES:
        medians = {name: statistics.median(v) for name, v in results["measures"].get(what.name, {}).items() if v}
        if medians:
            _add(table, what, medians)
    for key, name, unit, most in (
        ("memory_kib_per_connection", "memory of an idle connection", "KiB", MEMORY_KIB_MAX),
        ("processor_percent", "idle processor, all processes", "%", PROCESSOR_PERCENT_MAX),
    ):
        values = results["idle"].get(key, {})
        if values:
            shown = [f"{values[system]:.1f} {unit}" if system in values else "" for system in NAMES]
            verdict = _verdict(values["lfsql"] < most) if "lfsql" in values else ""
            table.add_row(name, *shown, "", f"< {most:.0f} {unit}", verdict)
    Console(width=160).print(table)


def _add(table: Table, what: Measure, medians: dict[str, float]) -> None:
    digits = 3 if what.latency else 0
    shown = [f"{medians[name]:,.{digits}f} {what.unit}" if name in medians else "" for name in NAMES]
    ratios: list[str] = []
    wanted: list[str] = []
    verdicts: list[str] = []
    for target in what.targets:
        sign = "≤" if what.latency else "≥"
        wanted.append(
            f"{sign} {target.factor:.1f} {target.other}" + (f" or {what.enough:,.0f}" if what.enough else "")
        )
        if "lfsql" in medians and target.other in medians:
            ratio = medians["lfsql"] / medians[target.other]
            ratios.append(f"{ratio:.2f} {target.other}")
            reached = ratio <= target.factor if what.latency else ratio >= target.factor
            verdicts.append(_verdict(reached or (what.enough is not None and medians["lfsql"] >= what.enough)))
    table.add_row(what.name, *shown, "\n".join(ratios), "\n".join(wanted), "\n".join(verdicts))


def _verdict(reached: bool) -> str:  # a verdict is a truth value
    return "yes" if reached else "NO"


def _machine() -> dict[str, str | int]:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return {
        "processors": os.cpu_count() or 0,
        "model": model,
        "kernel": platform.release(),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("postgres", "pgpool", "pgbouncer")},
    }


def _version(name: str) -> str:
    try:
        done = subprocess.run([program(name), "--version"], capture_output=True, text=True, check=False)
    except LfsqlError:
        return ""
    return (done.stdout or done.stderr).strip().partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
