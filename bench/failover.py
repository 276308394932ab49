"""How long writes wait when the primary goes: `python -m bench.failover [--runs N]`, a tier with default settings.

It goes in four ways: killed with -9; stopped (SIGSTOP: its links stay open, so only silence tells); by `lfsql
transfer`; told to end (SIGTERM), which hands over too.  Clients insert one row after the other through the proxy,
in autocommit, all the time.  For a kill and a stop the figure is the time from the signal to the first
acknowledgement of a write that was sent after it, so that no acknowledgement of the old primary counts; for a hand-
over it is the longest that any write waited that was under way from its beginning until every client had been
acknowledged again.  Between runs the node comes back and all are level.

At the end of each way the rows must be those that were acknowledged, each once, and no write may have been refused:
so a stopped primary that woke has committed nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from lfsql.testing.cluster import Tier, TierFailed, is_running, running_tier, wait_until

CLIENTS = 4
WRITTEN_S_MAX = 30.0
LEVEL_S_MAX = 30.0


@dataclass
class Writer(threading.Thread):
    """Inserts without a pause.  `writes`: (sent, acknowledged) of each, on the monotonic clock."""

    dsn: str
    number: int
    writes: list[tuple[float, float]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    enough: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            while not self.enough.is_set():
                sent = time.monotonic()
                value = f"{self.number}.{len(self.writes)}"
                try:
                    connection.execute("INSERT INTO written (value) VALUES (%s)", (value,))
                except psycopg.Error as error:
                    self.errors.append(str(error))
                    return
                self.writes.append((sent, time.monotonic()))


def first_after(writers: list[Writer], moment: float) -> float:
    """Seconds from a moment to the first acknowledgement of a write that was sent after it."""

    def first() -> float | None:
        found = [
            acknowledged for writer in writers for sent, acknowledged in writer.writes[-2_000:] if sent >= moment
        ]
        return min(found, default=None)

    found: float = wait_until(first, WRITTEN_S_MAX, "a write after the primary went", every_s=0.02)
    return found - moment


def wait_written(writers: list[Writer]) -> None:
    """Return once every client was acknowledged a write that it sent from now on: what was under way has ended."""
    now = time.monotonic()

    def written() -> bool:
        return all(writer.writes and writer.writes[-1][0] >= now for writer in writers)

    wait_until(written, WRITTEN_S_MAX, "every client to write again", every_s=0.02)


def longest_wait(writers: list[Writer], begin: float, end: float) -> float:
    return max(
        acknowledged - sent
        for writer in writers
        for sent, acknowledged in list(writer.writes)
        if acknowledged >= begin and sent <= end
    )


def wait_level(tier: Tier) -> None:
    """All nodes are there, and none is far behind: writes go on meanwhile."""

    def level() -> bool:
        status = tier.status()
        return bool(status["primary"]) and all(
            node["healthy"] and node["lag_entries"] < 100 for node in status["nodes"]
        )

    wait_until(level, LEVEL_S_MAX, "all nodes to be level", every_s=0.2)


def kill(tier: Tier, writers: list[Writer]) -> float:
    victim = tier.primary()
    moment = time.monotonic()
    os.kill(victim["pid"], signal.SIGKILL)
    waited = first_after(writers, moment)
    tier.start_node(victim["name"])
    return waited


def stop(tier: Tier, writers: list[Writer]) -> float:
    victim = tier.primary()
    moment = time.monotonic()
    os.kill(victim["pid"], signal.SIGSTOP)
    try:
        waited = first_after(writers, moment)
        wait_written(writers)  # it is to wake up to a cluster that has gone on without it
    finally:
        os.kill(victim["pid"], signal.SIGCONT)
    return waited


def hand_over(tier: Tier, writers: list[Writer]) -> float:
    status = tier.status()
    other = next(node["name"] for node in status["nodes"] if node["name"] != status["primary"])
    began = time.monotonic()
    command = [sys.executable, "-m", "lfsql", "transfer", other, "--dir", str(tier.directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TierFailed(f"lfsql transfer: exit {done.returncode}: {done.stdout}{done.stderr}")
    wait_written(writers)
    return longest_wait(writers, began, time.monotonic())


def drain(tier: Tier, writers: list[Writer]) -> float:
    victim = tier.primary()
    began = time.monotonic()
    os.kill(victim["pid"], signal.SIGTERM)
    wait_until(lambda: not is_running(victim["pid"]), LEVEL_S_MAX, "the node to end")
    wait_written(writers)
    waited = longest_wait(writers, began, time.monotonic())
    tier.start_node(victim["name"])
    return waited


WAYS: dict[str, tuple[str, Callable[[Tier, list[Writer]], float]]] = {
    "kill": ("kill -9 of the primary, to the first write", kill),
    "stop": ("SIGSTOP of the primary, to the first write", stop),
    "transfer": ("lfsql transfer, the longest wait of a write", hand_over),
    "drain": ("SIGTERM of the primary, the longest wait of a write", drain),
}


def measure(tier: Tier, way: str, runs: int) -> list[float]:
    """Milliseconds of each run.  Raises TierFailed when a write was lost, doubled or refused."""
    with psycopg.connect(tier.dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS written")
        connection.execute("CREATE TABLE written (id bigserial PRIMARY KEY, value text NOT NULL)")
    writers = [Writer(tier.dsn, number) for number in range(CLIENTS)]
    for writer in writers:
        writer.start()
    waits: list[float] = []
    try:
        for _ in range(runs):
            wait_written(writers)
            wait_level(tier)
            waits.append(WAYS[way][1](tier, writers) * 1000)
            print(f"  {way}: {waits[-1]:.0f} ms", file=sys.stderr, flush=True)
        wait_level(tier)
    finally:
        for writer in writers:
            writer.enough.set()
        for writer in writers:
            writer.join(30)
    check(tier, writers)
    return waits


def check(tier: Tier, writers: list[Writer]) -> None:
    errors = [error for writer in writers for error in writer.errors]
    if errors:
        raise TierFailed(f"{len(errors)} writes were refused: {errors[0]}")
    acknowledged = sum(len(writer.writes) for writer in writers)
    with psycopg.connect(tier.dsn, autocommit=True) as connection:
        connection.execute("SET lfsql.read_consistency = 'strong'")
        row = connection.execute("SELECT count(*), count(DISTINCT value) FROM written").fetchone()
    if row != (acknowledged, acknowledged):
        raise TierFailed(f"{acknowledged} writes were acknowledged, (rows, different values) are {row}")


def tell(waits: list[float]) -> str:
    ordered = sorted(waits)
    tenths = statistics.quantiles(ordered, n=10) if len(ordered) > 1 else ordered * 9
    return (
        f"median {statistics.median(ordered):.0f} ms, worst {ordered[-1]:.0f} ms "
        f"(best {ordered[0]:.0f}, a tenth over {tenths[8]:.0f}; {len(ordered)} runs)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.failover")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--ways", nargs="+", choices=sorted(WAYS), default=list(WAYS))
    parser.add_argument("--json", type=Path, default=None, help="where to write every single run, in ms")
    options = parser.parse_args()
    results: dict[str, list[float]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="lfsql-failover-") as directory,
        running_tier(Path(directory) / "data") as tier,
    ):
        for way in options.ways:
            results[way] = measure(tier, way, options.runs)
    for way, waits in results.items():
        print(f"{WAYS[way][0]}: {tell(waits)}")
        print("  " + " ".join(f"{wait:.0f}" for wait in sorted(waits)))
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
