"""What a cluster of three nodes in one process can write: `python -m bench.node_writes [SECONDS]`.

Three nodes and the askers share one event loop and one interpreter lock, so real processes do better; the point is
to see what a change to the write path does, in ten seconds and without a proxy.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import trio

from lfsql.core.requests import COMMIT, COMMITTED, HOLD, Outcome, Run, Submit
from lfsql.net.link import Link
from tests.node.clusters import Cluster, Session, cluster_of

CLIENTS = 64


async def one_shots(link: Link, clients: int, seconds: float) -> tuple[float, float]:
    """(units a second, median latency in ms) of single-row INSERTs."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def client(number: int) -> None:
        sequence = 0
        while time.perf_counter() < end:
            started = time.perf_counter()
            sequence += 1
            answer = await link.request(
                Submit(
                    link.next_request(),
                    f"o{clients}-{number}",
                    sequence,
                    (Run("INSERT INTO t (v) VALUES (?1)", (sequence,)),),
                )
            )
            if not isinstance(answer, Outcome) or answer.state != COMMITTED:
                raise AssertionError(answer)
            latencies.append(time.perf_counter() - started)

    started = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for number in range(clients):
            nursery.start_soon(client, number)
    return len(latencies) / (time.perf_counter() - started), statistics.median(latencies) * 1000


async def transactions(link: Link, clients: int, seconds: float) -> tuple[float, float, float]:
    """(transactions a second, median ms of a statement in one, of its COMMIT): pgbench -N's shape."""
    statements: list[float] = []
    commits: list[float] = []
    end = time.perf_counter() + seconds

    async def client(number: int) -> None:
        sequence = 0
        name = f"t{clients}-{number}"
        while time.perf_counter() < end:
            sequence += 1
            for sql, last in (
                ("UPDATE t SET v = v + 1 WHERE id = ?1", False),
                ("SELECT v FROM t WHERE id = ?1", False),
                ("INSERT INTO t (v) VALUES (?1)", True),
            ):
                started = time.perf_counter()
                ending = COMMIT if last else HOLD
                answer = await link.request(
                    Submit(link.next_request(), name, sequence, (Run(sql, (number + 1,)),), ending)
                )
                if not isinstance(answer, Outcome) or answer.fault is not None:
                    raise AssertionError(answer)
                (commits if last else statements).append(time.perf_counter() - started)

    started = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for number in range(clients):
            nursery.start_soon(client, number)
    elapsed = time.perf_counter() - started
    return len(commits) / elapsed, statistics.median(statements) * 1000, statistics.median(commits) * 1000


async def measure(cluster: Cluster, seconds: float) -> None:
    async with cluster.link(await cluster.primary()) as link:
        await Session(link, "ddl").submit("CREATE TABLE t (id INTEGER PRIMARY KEY, v int)")
        for clients in (1, CLIENTS):
            rate, latency = await one_shots(link, clients, seconds)
            print(f"one-shot INSERT, {clients:3} clients: {rate:8.0f}/s, median {latency:.2f} ms")
        for clients in (1, 16):
            rate, statement, commit = await transactions(link, clients, seconds)
            print(
                f"transactions,    {clients:3} clients: {rate:8.0f}/s, median {statement:.2f} ms a statement "
                f"(waiting included), {commit:.2f} ms the last with COMMIT"
            )


async def main(seconds: float) -> None:
    with tempfile.TemporaryDirectory(prefix="lfsql-bench-") as directory:
        async with cluster_of(Path(directory), 3, deadline_s=60 + 4 * seconds) as cluster:
            await measure(cluster, seconds)


if __name__ == "__main__":
    trio.run(main, float(sys.argv[1]) if len(sys.argv) > 1 else 2.0)
