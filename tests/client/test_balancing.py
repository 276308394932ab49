"""Which copies are read by a proxy that has no node's file on its host: everything goes over links."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psycopg
import pytest

from lfsql.config import Balancing, ProxyDefaults, load_proxy, to_toml
from lfsql.testing.cluster import Tier, free_port, running_tier, wait_until
from tests.client.conftest import route_of

pytestmark = pytest.mark.client

LAG_MS_MAX = 600


@contextmanager
def remote_proxy(
    tier: Tier, directory: Path, balancing: Balancing, nodes: dict[str, dict[str, object]], *, files: bool = False
) -> Iterator[str]:
    """The DSN of one more proxy on the tier's nodes; `nodes`: what to say of each beside name and address; `files`:
    it reads their files after all."""
    config = load_proxy(tier.directory / "proxy.toml")
    port = free_port()
    config = msgspec.structs.replace(
        config,
        listen=f"127.0.0.1:{port}",
        nodes=tuple(
            msgspec.structs.replace(node, data_dir=node.data_dir if files else "", **nodes.get(node.name, {}))
            for node in config.nodes
        ),
        balancing=balancing,
        defaults=ProxyDefaults(max_lag_ms=LAG_MS_MAX, max_lag_entries=0),
    )
    path = directory / "proxy.toml"
    path.write_text(to_toml(config))
    with (directory / "out").open("w") as sink:
        command = [sys.executable, "-m", "lfsql", "proxy", "--config", str(path)]
        process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT)  # our own program
    dsn = f"postgresql://lfsql@127.0.0.1:{port}/lfsql"
    try:
        wait_until(lambda: states(dsn) == {"serving"}, 20, "the proxy to serve")
        yield dsn
    finally:
        process.terminate()
        process.wait(20)


def states(dsn: str) -> set[str]:
    try:
        with psycopg.connect(dsn, connect_timeout=5) as connection:
            return {str(row[0]) for row in connection.execute("SELECT state FROM lfsql.nodes")}
    except psycopg.Error:
        return set()


def reads_of(connection: psycopg.Connection, node: str) -> int:
    found = connection.execute("SELECT reads FROM lfsql.nodes WHERE name = %s", (node,)).fetchone()
    assert found is not None
    return int(found[0])


def state_of(connection: psycopg.Connection, node: str) -> str:
    found = connection.execute("SELECT state FROM lfsql.nodes WHERE name = %s", (node,)).fetchone()
    assert found is not None
    return str(found[0])


@pytest.fixture
def tier(tmp_path: Path) -> Iterator[Tier]:
    with running_tier(tmp_path / "data") as made, psycopg.connect(made.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, n int)")
        connection.execute("INSERT INTO t VALUES (1, 0)")
        yield made


def replicas(tier: Tier) -> list[str]:
    return sorted(str(node["name"]) for node in tier.status()["nodes"] if node["role"] == "replica")


@pytest.mark.parametrize("files", [False, True])
def test_reads_are_spread_as_the_weights_say(tier: Tier, tmp_path: Path, files: bool) -> None:
    light, heavy = replicas(tier)
    weights: dict[str, dict[str, object]] = {light: {"weight": 1}, heavy: {"weight": 3}}
    # On a machine that is busy with other tests a node may not answer for a moment, which is not what is tried here.
    patient = Balancing(unanswered_ms_max=5_000)
    with (
        remote_proxy(tier, tmp_path, patient, weights, files=files) as dsn,
        psycopg.connect(dsn, autocommit=True) as one,
    ):
        found: Counter[object] = Counter()
        for _ in range(200):
            one.execute("SELECT n FROM t WHERE id = 1")
            found[route_of(one)["node"]] += 1
        assert found[light] == pytest.approx(50, rel=0.1), found
        assert found[heavy] == pytest.approx(150, rel=0.1), found
        rows = one.execute(
            "SELECT name, weight, share_percent, reads FROM lfsql.nodes WHERE role = 'replica' ORDER BY weight"
        ).fetchall()
        assert [row[:3] for row in rows] == [(light, 1, 25.0), (heavy, 3, 75.0)]
        assert rows[1][3] >= found[heavy]


@pytest.mark.parametrize("files", [False, True])
def test_a_transaction_that_reads_one_snapshot_is_a_session_of_its_node(
    tier: Tier, tmp_path: Path, files: bool
) -> None:
    node = replicas(tier)[0]
    with (
        remote_proxy(tier, tmp_path, Balancing(), {node: {"max_sessions": 1}}, files=files) as dsn,
        psycopg.connect(dsn) as holder,
        psycopg.connect(dsn) as other,
    ):
        for connection in (holder, other):
            connection.execute(f"SET lfsql.route = {node}")
            connection.execute("SET lfsql.failover_wait_ms = 400")
            connection.commit()
            connection.read_only = True
        assert holder.execute("SELECT n FROM t").fetchone() == (0,)
        with pytest.raises(psycopg.Error, match="max_sessions") as caught:
            other.execute("SELECT n FROM t")
        assert caught.value.sqlstate == "53300"
        other.rollback()
        holder.commit()
        assert other.execute("SELECT n FROM t").fetchone() == (0,)


@dataclass
class Reader:
    """Reads a counter as fast as it can, noting (when, seconds, what was read)."""

    dsn: str
    reads: list[tuple[float, float, int]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def run(self, stop: threading.Event) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            while not stop.is_set():
                began = time.monotonic()
                try:
                    found = connection.execute("SELECT n FROM t WHERE id = 1", prepare=True).fetchone()
                except psycopg.Error as error:
                    self.errors.append(str(error))
                    return
                assert found is not None
                self.reads.append((began, time.monotonic() - began, int(found[0])))


def test_a_replica_that_stops_holds_nobody_up_and_shows_nobody_old_data(tier: Tier, tmp_path: Path) -> None:
    stopped = replicas(tier)[0]
    pid = int(tier.node(stopped)["pid"])
    acknowledged: list[tuple[float, int]] = []
    stop = threading.Event()
    with remote_proxy(tier, tmp_path, Balancing(), {}) as dsn, psycopg.connect(dsn, autocommit=True) as watcher:
        readers = [Reader(dsn) for _ in range(4)]
        threads = [threading.Thread(target=reader.run, args=(stop,)) for reader in readers]

        def write() -> None:
            with psycopg.connect(tier.dsn, autocommit=True) as connection:
                for number in range(1, 1_000_000):
                    if stop.wait(0.01):
                        return
                    connection.execute("UPDATE t SET n = %s WHERE id = 1", (number,))
                    acknowledged.append((time.monotonic(), number))

        threads.append(threading.Thread(target=write))
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: all(len(reader.reads) > 200 for reader in readers), 30, "reads under way")
            wait_until(lambda: reads_of(watcher, stopped) > 200, 30, "the replica has its share of them")
            paused_at = time.monotonic()
            os.kill(pid, signal.SIGSTOP)
            wait_until(lambda: state_of(watcher, stopped) != "serving", 10, "it is ejected", every_s=0.01)
            ejected_at = time.monotonic()
            wait_until(lambda: state_of(watcher, stopped) == "away", 10, "its link is given up")
            wait_until(lambda: time.monotonic() > ejected_at + 3, 10, "some time has passed")
            os.kill(pid, signal.SIGCONT)
            wait_until(lambda: state_of(watcher, stopped) in ("warming", "serving"), 20, "it is back")
        finally:
            os.kill(pid, signal.SIGCONT)
            stop.set()
            for thread in threads:
                thread.join()
    assert [reader.errors for reader in readers] == [[]] * 4
    reads = sorted(each for reader in readers for each in reader.reads)
    # What this machine can do at all while others use it, without anybody paused.
    usual = max(seconds for began, seconds, _ in reads if began + seconds < paused_at)
    slowest = max(seconds for began, seconds, _ in reads if began >= ejected_at)
    assert slowest < max(0.25, 2 * usual), (slowest, usual)
    moved = max(seconds for began, seconds, _ in reads if began < ejected_at <= began + seconds + 0.5)
    assert moved < max(0.5, 3 * usual), (moved, usual)
    place = newest = 0
    for began, _, value in reads:
        while place < len(acknowledged) and acknowledged[place][0] < began - LAG_MS_MAX / 1000:
            newest = acknowledged[place][1]
            place += 1
        assert value >= newest, "older than its limit allows"


def test_a_session_beside_a_busy_writer_is_read_from_replicas(tier: Tier, tmp_path: Path) -> None:
    """With each read it sees an index that no replica was heard to have yet."""
    stop = threading.Event()
    written = [0]

    def write() -> None:
        with psycopg.connect(tier.dsn, autocommit=True) as connection:
            for number in range(1, 1_000_000):
                if stop.is_set():
                    return
                connection.execute("UPDATE t SET n = %s WHERE id = 1", (number,))
                written[0] = number

    with remote_proxy(tier, tmp_path, Balancing(), {}) as dsn, psycopg.connect(dsn, autocommit=True) as reader:
        reader.execute("INSERT INTO t VALUES (2, 0)")
        thread = threading.Thread(target=write)
        thread.start()
        roles: Counter[object] = Counter()
        seen = [0]
        try:
            for turn in range(5_000):
                if roles["replica"] == 200:
                    break
                row = reader.execute("SELECT n, (SELECT n FROM t WHERE id = 2) FROM t WHERE id = 1").fetchone()
                assert row is not None
                assert row[0] >= seen[-1], "older than what it has read"
                assert row[1] == turn // 50, "older than what it has written"
                seen.append(row[0])
                roles[route_of(reader)["role"]] += 1
                if turn % 50 == 49:
                    reader.execute("UPDATE t SET n = n + 1 WHERE id = 2")
        finally:
            stop.set()
            thread.join()
    assert len(set(seen)) > 20, "the writer was busy"
    assert roles["replica"] == 200, roles


def test_a_node_that_is_drained_gets_nothing_new_and_ends_what_is_open(tier: Tier, tmp_path: Path) -> None:
    drained, other = replicas(tier)
    with psycopg.connect(tier.dsn, autocommit=True) as writer:
        writer.execute("INSERT INTO t SELECT g, 0 FROM generate_series(2, 20000) AS g(g)")
    with (
        remote_proxy(tier, tmp_path, Balancing(), {}) as dsn,
        psycopg.connect(dsn) as holder,
        psycopg.connect(dsn, autocommit=True) as watcher,
    ):
        wait_until(lambda: caught_up(watcher), 20, "the replicas have the rows")
        holder.execute(f"SET lfsql.route = {drained}")
        holder.execute("DECLARE c CURSOR FOR SELECT id FROM t")
        got = len(holder.execute("FETCH 100 FROM c").fetchall())
        assert route_of(holder)["node"] == drained
        command = [sys.executable, "-m", "lfsql", "drain", drained, "--dir", str(tier.directory)]
        draining = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # our own program
        wait_until(lambda: state_of(watcher, drained) == "draining", 10, "it says so")
        watcher.execute("SET lfsql.route = 'replica'")
        for _ in range(10):
            watcher.execute("SELECT n FROM t WHERE id = 1")
            assert route_of(watcher)["node"] == other
        assert draining.poll() is None
        while rows := holder.execute("FETCH 5000 FROM c").fetchall():
            got += len(rows)
        assert got == 20000
        holder.rollback()
        said, _ = draining.communicate(timeout=20)
        assert f"node '{drained}' has stopped" in said


def caught_up(connection: psycopg.Connection) -> bool:
    found = connection.execute("SELECT max(lag_entries) FROM lfsql.nodes").fetchone()
    return found == (0,)
