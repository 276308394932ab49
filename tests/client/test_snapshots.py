"""Real processes: a node that was away for longer than the log reaches back, and one with a new name and no files,
get the primary's data while clients write and read."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import psycopg
import pytest

from lfsql.testing.cluster import Tier, running_tier, start_tier, wait_until

pytestmark = [pytest.mark.client, pytest.mark.slow]

LIMITS = "\n[limits]\nlog_bytes_max = 1048576\n"


@pytest.fixture
def tier(tmp_path: Path) -> Iterator[Tier]:
    """Three nodes whose logs hold a megabyte."""
    directory = tmp_path / "data"
    start_tier(directory).end()
    for path in directory.glob("n*/node.toml"):
        with path.open("a") as file:
            file.write(LIMITS)
    with running_tier(directory) as running:
        yield running


class Writer(threading.Thread):
    """A row into each of two tables, in one transaction, again and again."""

    def __init__(self, dsn: str, body_bytes: int) -> None:
        super().__init__(daemon=True)
        self.dsn = dsn
        self.body = "x" * body_bytes
        self.written = 0
        self.errors: list[psycopg.Error] = []
        self.enough = threading.Event()

    def run(self) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            while not self.enough.is_set():
                try:
                    with connection.transaction():
                        connection.execute("INSERT INTO a (body) VALUES (%s)", (self.body,))
                        connection.execute("INSERT INTO b (body) VALUES (%s)", (self.body[:10],))
                    self.written += 1
                except psycopg.Error as error:
                    self.errors.append(error)
                    return


class Watcher(threading.Thread):
    """Reads one node's file through the proxy: what it shows must never be a mixture, nor go back."""

    def __init__(self, dsn: str, node: str) -> None:
        super().__init__(daemon=True)
        self.dsn = dsn
        self.node = node
        self.seen: list[tuple[int, int]] = []
        self.wrong: list[object] = []
        self.enough = threading.Event()

    def run(self) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("SET lfsql.read_consistency = 'any'")
            connection.execute(f"SET lfsql.route = '{self.node}'")
            while not self.enough.is_set():
                try:
                    row = connection.execute("SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)").fetchone()
                except psycopg.OperationalError:
                    time.sleep(0.01)  # the node is not there
                    continue
                except psycopg.Error as error:
                    self.wrong.append(error)
                    return
                assert row is not None
                if row[0] != row[1] or (self.seen and row < self.seen[-1]):
                    self.wrong.append((self.seen[-1:], row))
                if not self.seen or row != self.seen[-1]:
                    self.seen.append(row)


def content(tier: Tier, name: str) -> list[object]:
    connection = apsw.Connection(str(tier.directory / name / "data.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return [
            connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
            for table in ("a", "b", "_lfsql_state", "_lfsql_clients", "_lfsql_columns")
        ]
    finally:
        connection.close()


def base_of(tier: Tier, name: str) -> int:
    connection = apsw.Connection(str(tier.directory / name / "log.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        (row,) = connection.execute("SELECT base_index FROM state").fetchall()
        return int(str(row[0]))
    finally:
        connection.close()


def log_of(tier: Tier, name: str) -> str:
    return (tier.directory / f"{name}.log").read_text()


def is_level(tier: Tier, name: str) -> bool:
    node = tier.node(name)
    return bool(node["healthy"] and node["role"] in ("replica", "primary") and node["lag_entries"] == 0)


def command(tier: Tier, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lfsql", *arguments, "--dir", str(tier.directory)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_nodes_are_rebuilt_while_clients_write_and_read(tier: Tier) -> None:
    with psycopg.connect(tier.dsn, autocommit=True) as connection:
        for table in ("a", "b"):
            connection.execute(f"CREATE TABLE {table} (id bigserial PRIMARY KEY, body text)")
        connection.execute("INSERT INTO a (body) VALUES ('first')")
        connection.execute("INSERT INTO b (body) VALUES ('first')")
    primary = tier.primary()["name"]
    away, wiped = sorted({"n1", "n2", "n3"} - {primary})
    wait_until(lambda: is_level(tier, away), 20, "the replica level")
    end = tier.node(away)["applied_index"]
    watcher = Watcher(tier.dsn, away)
    watcher.start()
    tier.kill(away, signal.SIGTERM)
    large = [Writer(tier.dsn, 20_000) for _ in range(2)]
    for writer in large:
        writer.start()
    wait_until(lambda: base_of(tier, primary) > end, 60, "the primary's log beginning after where the replica stands")

    for s in (0.5, 0.7, 0.9, 1.1):  # somewhere in starting, fetching, installing, beginning anew
        tier.start_node(away)
        time.sleep(s)
        tier.started[-1].kill()
        tier.started[-1].wait()
    tier.start_node(away)
    before = sum(writer.written for writer in large)
    wait_until(lambda: is_level(tier, away), 60, "the rebuilt replica level")
    assert "this node begins anew" in log_of(tier, away)
    wait_until(lambda: sum(writer.written for writer in large) > before + 3, 30, "writes that go on meanwhile")
    wait_until(lambda: watcher.seen[-1][0] > before, 30, "reads of the rebuilt replica through the proxy")

    command(tier, "remove-node", wiped)
    wait_until(lambda: "removed from the cluster" in log_of(tier, wiped), 30, "the removed node stopped")
    shutil.rmtree(tier.directory / wiped)
    command(tier, "add-node", "n4")
    tier.start_node("n4")
    wait_until(lambda: "this node begins anew" in log_of(tier, "n4"), 60, "the new node made from a snapshot")
    wait_until(lambda: is_level(tier, "n4"), 60, "the new node level")

    watcher.enough.set()
    for writer in large:
        writer.enough.set()
    for thread in (watcher, *large):
        thread.join(30)
        assert not thread.is_alive()
    assert watcher.wrong == []
    assert [writer.errors for writer in large] == [[], []]
    names = (primary, away, "n4")
    wait_until(lambda: all(is_level(tier, name) for name in names), 30, "all nodes level")
    first, *others = (content(tier, name) for name in names)
    assert others == [first, first]
    with psycopg.connect(tier.dsn) as connection:
        rows = connection.execute("SELECT count(*) FROM a").fetchone()
    assert rows == (1 + sum(writer.written for writer in large),)
