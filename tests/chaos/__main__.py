"""`python -m tests.chaos`: clients and faults for some time, then the verdict; exit status 0 when nothing is wrong.

What this machine does not permit is left out, and said.  The faults come from the seed; what the processes make of
their timing does not, so a run that failed is worth repeating, not a proof when it then passes.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from random import Random, SystemRandom
from types import FrameType

import psycopg

from lfsql.testing.checkers import Anomaly
from lfsql.testing.leash import Leash
from tests.chaos.disk import SmallDisk
from tests.chaos.faults import Faults, NotRecovered
from tests.chaos.network import Network, NotPermitted, own_mounts
from tests.chaos.nodes import PROXY, Tier, make_tier
from tests.chaos.verdict import judge, judge_files, judge_logs, wait_level
from tests.chaos.workloads import CLIENTS, OPENING, SCHEMA, Client, History

DISK_MIB = 256
JOIN_S_MAX = 30.0
_began = time.monotonic()


def say(line: str) -> None:
    print(f"{time.monotonic() - _began:8.2f} {line}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--seconds", type=float, default=600, help="how long faults go on")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--short-logs", action="store_true", help="snapshots for who is away for over a second")
    parser.add_argument("--replacements", type=int, default=6, help="at most so many members are replaced")
    options = parser.parse_args()
    seed = SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    again = f"python -m tests.chaos --seconds {options.seconds:g} --nodes {options.nodes} --seed {seed}"
    again += f" --replacements {options.replacements}"
    again += " --short-logs" if options.short_logs else ""
    say(f"seed {seed}: {again}")
    signal.signal(signal.SIGTERM, _end)
    directory = Path(tempfile.mkdtemp(prefix="lfsql-chaos-")) / "data"
    disk, network = _surroundings(directory / f"n{options.nodes}", options.nodes)
    leash = Leash()
    try:
        tier = make_tier(directory, options.nodes, network, leash, short_logs=options.short_logs)
        faults = Faults(tier, disk, Random(seed), say, options.short_logs, options.replacements)
        anomalies = _run(tier, faults, options.seconds)
        for anomaly in anomalies:
            say(f"WRONG {anomaly}")
        if anomalies:
            kept = Path(tempfile.mkdtemp(prefix="lfsql-chaos-kept-"))
            shutil.copytree(directory, kept, dirs_exist_ok=True)
            say(f"{len(anomalies)} things are wrong; the directory is kept as {kept}; again: {again}")
        else:
            say("nothing is wrong")
    finally:
        leash.end()
        if disk is not None:
            disk.unmount()
        shutil.rmtree(directory.parent)
    return 1 if anomalies else 0


def _end(_number: int, _frame: FrameType | None) -> None:
    sys.exit("ended by SIGTERM")


def _surroundings(small: Path, nodes: int) -> tuple[SmallDisk | None, Network | None]:
    """Before there are threads: a small disk and a network of our own, as far as this machine permits."""
    disk: SmallDisk | None = None
    network: Network | None = None
    try:
        own_mounts()
        disk = SmallDisk(small, DISK_MIB)
    except NotPermitted as error:
        say(f"left out: full disks ({error})")
    try:
        network = Network(nodes + 1)  # one for who is to replace another
    except NotPermitted as error:
        say(f"left out: partitions ({error})")
    return disk, network


def _run(tier: Tier, faults: Faults, seconds: float) -> list[Anomaly]:
    random = faults.random
    history = History()
    for name in (*tier.names, PROXY):
        tier.start(name)
    _make_tables(tier)
    anomalies = wait_level(tier)  # a session that has seen nothing may be shown a copy from before there was money
    enough = threading.Event()
    clients = [
        kind(f"{kind.__name__.lower()}{number}", tier.dsn, history, Random(random.random()), enough)
        for kind, count in CLIENTS
        for number in range(count)
    ]
    for client in clients:
        client.start()
    try:
        faults.run(time.monotonic() + seconds)
        _wait_progress(clients)
    except NotRecovered as error:
        anomalies.append(Anomaly("not-recovered", str(error)))
    enough.set()
    for client in clients:
        client.join(JOIN_S_MAX)
        if client.is_alive():
            anomalies.append(Anomaly("stuck", f"{client.name} waits for an answer since {JOIN_S_MAX} s"))
    _report(history, faults, tier)
    if anomalies:
        return anomalies + judge_logs(tier)
    anomalies += wait_level(tier)
    comparable = not anomalies
    anomalies += judge(tier, history)
    tier.kill_all()
    return anomalies + (judge_files(tier) if comparable else []) + judge_logs(tier)


def _make_tables(tier: Tier) -> None:
    end = time.monotonic() + 30
    while True:
        try:
            with psycopg.connect(tier.dsn, autocommit=True) as connection:
                for statement in SCHEMA.split(";"):
                    connection.execute(statement.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1))
                for name, balance in OPENING.items():
                    connection.execute("INSERT INTO accounts VALUES (%s, %s) ON CONFLICT DO NOTHING", (name, balance))
            return
        except psycopg.Error:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)  # the proxy has just been started


def _wait_progress(clients: list[Client]) -> None:
    """Every client must get something done once all is well.  Raises NotRecovered."""
    before = [client.progress for client in clients]
    end = time.monotonic() + 15
    while True:
        waiting = [client.name for client, seen in zip(clients, before, strict=True) if client.progress == seen]
        if not waiting:
            return
        if time.monotonic() > end:
            raise NotRecovered(
                f"nothing was acknowledged to {', '.join(waiting)} within 15 s of the end of all faults"
            )
        time.sleep(0.1)


def _report(history: History, faults: Faults, tier: Tier) -> None:
    say("what the clients were told:")
    for what, count in sorted(history.outcomes.items()):
        say(f"  {what:32} {count:8}")
    say("processes that ended by themselves:")
    for ending in tier.endings:
        say(f"  {ending}")
    say(f"{faults.replaced} members were replaced: {', '.join(tier.names)} are left")
    slowest = max(faults.recoveries_s, default=0.0)
    say(f"{len(faults.recoveries_s)} recoveries, the slowest took {slowest:.2f} s")


if __name__ == "__main__":
    sys.exit(main())
