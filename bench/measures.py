"""What is measured, and how."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.processes import USER, program
from bench.systems import System
from lfsql.testing.cluster import TierFailed

IDLE_CLIENTS = 1_000
IDLE_S = 20.0

INSERT_TABLE = "CREATE TABLE bench_rows (id bigserial PRIMARY KEY, value int NOT NULL)"
INSERT_SCRIPT = "\\set value random(1, 1000000)\nINSERT INTO bench_rows (value) VALUES (:value);\n"


@dataclass(frozen=True)
class Target:
    """At least `factor` times what `other` gives; at most, where less is better."""

    other: str
    factor: float


@dataclass(frozen=True)
class Measure:
    """A pgbench line.  The unit is transactions a second, or milliseconds when `latency`."""

    name: str
    arguments: tuple[str, ...]
    targets: tuple[Target, ...]
    latency: bool = False
    inserts: bool = False
    enough: float | None = None
    """Reaches its target whatever the others give."""

    @property
    def unit(self) -> str:
        return "ms" if self.latency else "tps"


MEASURES = (
    Measure(
        "select, prepared, 16 clients",
        ("-n", "-S", "-M", "prepared", "-c", "16", "-j", "2"),
        (Target("pgpool", 2.0), Target("pgbouncer", 0.8)),
    ),
    Measure(
        "select, simple, 16 clients", ("-n", "-S", "-M", "simple", "-c", "16", "-j", "2"), (Target("pgpool", 1.3),)
    ),
    Measure(
        "select, prepared, 1 client",
        ("-n", "-S", "-M", "prepared", "-c", "1"),
        (Target("postgresql", 1.0),),
        latency=True,
    ),
    Measure(
        "update, prepared, 16 clients", ("-N", "-M", "prepared", "-c", "16", "-j", "2"), (Target("pgpool", 1.0),)
    ),
    Measure(
        "insert, prepared, 64 clients",
        ("-n", "-M", "prepared", "-c", "64", "-j", "2"),
        (Target("postgresql", 0.5),),
        inserts=True,
        enough=4_000.0,
    ),
)


def initialise(system: System) -> None:
    """pgbench's tables at scale 1, and the table of the insert measure."""
    _pgbench(system, ["-i", "-s", "1", "-q"])
    with psycopg.connect(system.dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS bench_rows")
        connection.execute(INSERT_TABLE)


def measure(system: System, what: Measure, seconds: int, directory: Path) -> float:
    """One run.  Raises TierFailed when a transaction failed."""
    arguments = [*what.arguments, "-T", str(seconds)]
    if what.inserts:
        script = directory / "insert.sql"
        script.write_text(INSERT_SCRIPT)
        arguments += ["-f", str(script)]
        with psycopg.connect(system.dsn, autocommit=True) as connection:
            connection.execute("TRUNCATE bench_rows")
    output = _pgbench(system, arguments)
    failed = re.search(r"number of failed transactions: (\d+)", output)
    if failed is None or failed[1] != "0":
        raise TierFailed(f"{system.name}: {what.name}: {output}")
    pattern = r"latency average = ([\d.]+) ms" if what.latency else r"tps = ([\d.]+)"
    found = re.search(pattern, output)
    if found is None:
        raise TierFailed(f"{system.name}: {what.name}: {output}")
    return float(found[1])


def memory_per_connection(system: System) -> float:
    """KiB that one idle client connection costs the processes that hold it (proportional set size)."""
    with ExitStack() as stack:
        # The first connections pay for what all share.
        for _ in range(10):
            _open_idle(system, stack)
        before = _memory_kib(system.front())
        for _ in range(IDLE_CLIENTS):
            _open_idle(system, stack)
        after = _memory_kib(system.front())
    return (after - before) / IDLE_CLIENTS


def idle_processor(systems: Sequence[System]) -> dict[str, float]:
    """Percent of one core that each system takes while nobody asks anything."""
    time.sleep(3)  # no event tells when other systems' checkpoints and vacuums, left by earlier measures, are over
    before = {system.name: _processor_s(system.processes()) for system in systems}
    time.sleep(IDLE_S)  # this is the measurement: what is spent in this time by systems that nobody asks anything
    return {
        system.name: (_processor_s(system.processes()) - before[system.name]) / IDLE_S * 100 for system in systems
    }


def _pgbench(system: System, arguments: list[str]) -> str:
    address = ["-h", "127.0.0.1", "-p", str(system.port), "-U", USER, system.database]
    done = subprocess.run(
        [program("pgbench"), *arguments, *address], capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode:
        raise TierFailed(f"{system.name}: pgbench {' '.join(arguments)}: {done.stderr[-2000:]}")
    return done.stdout


def _open_idle(system: System, stack: ExitStack) -> None:
    connection = stack.enter_context(psycopg.connect(system.dsn, autocommit=True))
    # In session mode PgBouncer would take a server connection for each client's first query.
    if system.name != "pgbouncer":
        connection.execute("SELECT 1")


def _memory_kib(pids: Sequence[int]) -> int:
    total = 0
    for pid in pids:
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        total += int(found[1]) if found else 0
    return total


def _processor_s(pids: Sequence[int]) -> float:
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
