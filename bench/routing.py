"""`python -m bench.routing`: what choosing a copy costs, how reads spread, and what more copies give.

Three questions, each answered within one run, side by side:

- `session`, with all its checks, against `any`, which has none: the same tier, the one and the other in turn, in many
  short runs, since what is looked for is smaller than what a busy machine changes from one minute to the next.
- The share of reads that each replica served, against its weight.
- `-S -M prepared` with one to three nodes and one or two workers.  Clients run on the same processors.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import psycopg
from rich.console import Console
from rich.table import Table

from bench.processes import USER, program
from lfsql.config import load_proxy, to_toml
from lfsql.errors import LfsqlError
from lfsql.testing.cluster import Tier, TierFailed, running_tier, wait_until

OVERHEAD_PERCENT_MAX = 5.0
SPREAD_PERCENT_MAX = 10.0
WEIGHTS = {"n1": 1, "n2": 2, "n3": 3}
NODES = (1, 2, 3)
WORKERS = (1, 2)
LEVELS = ("any", "session")


def main() -> int:
    options = _options()
    console = Console(width=120)
    with tempfile.TemporaryDirectory(prefix="lfsql-bench-", ignore_cleanup_errors=True) as place:
        directory = Path(place)
        try:
            with running_tier(directory / "overhead") as tier:
                _initialise(tier)
                console.print(_overhead(tier, options.rounds, options.seconds))
            console.print(_spread(directory / "spread", options.seconds))
            console.print(_curve(directory, options.rounds, options.seconds))
        except LfsqlError as error:
            print(f"bench: {error.message}", file=sys.stderr)
            return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.routing", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each figure is taken (default: 5)")
    parser.add_argument("--seconds", type=int, default=4, help="how long one pgbench run lasts (default: 4)")
    return parser.parse_args()


def _initialise(tier: Tier) -> None:
    _pgbench(tier, "-i", "-s", "1", "-q")


def _selects(tier: Tier, seconds: int, **settings: str) -> float:
    """Transactions a second."""
    output = _pgbench(tier, "-n", "-S", "-M", "prepared", "-c", "16", "-j", "2", "-T", str(seconds), **settings)
    failed = re.search(r"number of failed transactions: (\d+)", output)
    found = re.search(r"tps = ([\d.]+)", output)
    if found is None or failed is None or failed[1] != "0":
        raise TierFailed(f"pgbench: {output}")
    return float(found[1])


def _pgbench(tier: Tier, *arguments: str, **settings: str) -> str:
    address = ["-h", "127.0.0.1", "-p", str(tier.port), "-U", USER, "lfsql"]
    said = " ".join(f"-c lfsql.{name}={value}" for name, value in settings.items())
    done = subprocess.run(
        [program("pgbench"), *arguments, *address],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, "PGOPTIONS": said},
    )
    if done.returncode:
        raise TierFailed(f"pgbench {' '.join(arguments)}: {done.stderr[-2000:]}")
    return done.stdout


# -- The price of a level ----------------------------------------------------------------------------------


def _overhead(tier: Tier, rounds: int, seconds: int) -> Table:
    """Neighbouring runs are compared, whichever came first: what else the machine does falls on both."""
    found: dict[str, list[float]] = {level: [] for level in LEVELS}
    _selects(tier, 1)
    for number in range(rounds):
        for level in LEVELS if number % 2 == 0 else reversed(LEVELS):
            found[level].append(_selects(tier, seconds, read_consistency=level))
    costs = [100 * (1 - session / free) for free, session in zip(found["any"], found["session"], strict=True)]
    cost = statistics.median(costs)
    table = Table(
        "level", "tps, median", "tps of each round", title="-S -M prepared, 16 clients: the price of a level"
    )
    for level, values in found.items():
        table.add_row(level, f"{statistics.median(values):,.0f}", "  ".join(f"{value:,.0f}" for value in values))
    spread = f"{min(costs):+.1f} to {max(costs):+.1f}"
    table.add_row(
        "overhead", f"{cost:+.1f} %", f"{spread}; goal < {OVERHEAD_PERCENT_MAX:.0f} %: {_verdict(cost < 5)}"
    )
    return table


# -- Weights -----------------------------------------------------------------------------------------------


def _spread(directory: Path, seconds: int) -> Table:
    with running_tier(directory):
        path = directory / "proxy.toml"
        config = load_proxy(path)
    nodes = tuple(msgspec.structs.replace(node, weight=WEIGHTS[node.name]) for node in config.nodes)
    path.write_text(to_toml(msgspec.structs.replace(config, nodes=nodes)))
    with running_tier(directory) as tier, psycopg.connect(tier.dsn, autocommit=True) as connection:
        _initialise(tier)
        wait_until(lambda: _all_serve(connection), 30, "replicas that are level and have warmed up")
        _selects(tier, 1)
        before = _reads(connection)
        _selects(tier, seconds, read_consistency="session")
        after = _reads(connection)
    replicas = {name: after[name][1] - before[name][1] for name, (role, _) in after.items() if role == "replica"}
    total, weights = sum(replicas.values()), sum(WEIGHTS[name] for name in replicas)
    table = Table("replica", "weight", "reads", "share", "wanted", "off by", title="reads over replicas, by weight")
    worst = 0.0
    for name, count in replicas.items():
        wanted = WEIGHTS[name] / weights
        off = 100 * (count / total / wanted - 1) if total else 100.0
        worst = max(worst, abs(off))
        share = f"{100 * count / max(total, 1):.1f} %"
        table.add_row(name, str(WEIGHTS[name]), f"{count:,}", share, f"{100 * wanted:.1f} %", f"{off:+.1f} %")
    verdict = _verdict(worst < SPREAD_PERCENT_MAX)
    table.add_row("worst", "", "", "", "", f"{worst:.1f} %; goal < {SPREAD_PERCENT_MAX:.0f} %: {verdict}")
    return table


def _all_serve(connection: psycopg.Connection) -> bool:
    behind = "SELECT count(*) FROM lfsql.nodes WHERE state <> 'serving' OR lag_entries > 0"
    return connection.execute(behind).fetchone() == (0,)


def _reads(connection: psycopg.Connection) -> dict[str, tuple[str, int]]:
    """(role, reads served) by node."""
    return {row[0]: (row[1], row[2]) for row in connection.execute("SELECT name, role, reads FROM lfsql.nodes")}


# -- More of everything ------------------------------------------------------------------------------------


def _curve(directory: Path, rounds: int, seconds: int) -> Table:
    table = Table(
        "nodes",
        *(f"{workers} worker{'s' if workers > 1 else ''}" for workers in WORKERS),
        title=f"-S -M prepared, 16 clients, tps on {os.cpu_count()} processors, clients included",
    )
    for nodes in NODES:
        cells = []
        for workers in WORKERS:
            place = directory / f"curve-{nodes}-{workers}"
            with running_tier(place, "--workers", str(workers), nodes=nodes) as tier:
                _initialise(tier)
                _selects(tier, 1)
                cells.append(statistics.median(_selects(tier, seconds) for _ in range(rounds)))
        table.add_row(str(nodes), *(f"{value:,.0f}" for value in cells))
    return table


def _verdict(reached: bool) -> str:  # a verdict is a truth value
    return "yes" if reached else "NO"


if __name__ == "__main__":
    sys.exit(main())
