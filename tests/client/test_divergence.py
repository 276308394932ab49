"""Rows changed behind the tier's back: found, never served again, and made good, with real processes and clients."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import apsw
import psycopg
import pytest

from lfsql.testing.cluster import Tier, running_tier, wait_until

pytestmark = pytest.mark.client

ROWS = 500
SECONDS_MAX = 60


def verify(tier: Tier) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "lfsql", "verify", "--dir", str(tier.directory), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def change(path: Path, sql: str) -> None:
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(10_000)
    connection.execute(sql)
    connection.close()


def fill(tier: Tier) -> None:
    with psycopg.connect(tier.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (id int PRIMARY KEY, v text)")
        connection.execute(f"INSERT INTO kept SELECT n, 'value ' || n FROM generate_series(1, {ROWS}) AS s(n)")
        connection.execute("CREATE TABLE written (id serial PRIMARY KEY, v int)")


def value(tier: Tier, node: str) -> Any:
    with psycopg.connect(tier.dsn, autocommit=True) as connection:
        connection.execute(f"SET lfsql.route = '{node}'")
        return connection.execute("SELECT v FROM kept WHERE id = 77").fetchall()


def healthy(tier: Tier) -> bool:
    status = tier.status()
    return bool(status["primary"]) and all(node["healthy"] for node in status["nodes"])


@pytest.mark.parametrize("which", ["replica, stopped", "replica, running", "primary, running"])
def test_a_changed_row_is_found_quarantined_and_made_good(tmp_path: Path, which: str) -> None:
    with running_tier(tmp_path / "data") as tier:
        fill(tier)
        primary = tier.primary()["name"]
        wrong = primary if which.startswith("primary") else next(n for n in ("n1", "n2", "n3") if n != primary)
        file = tier.directory / wrong / "data.db"
        wait_until(lambda: value(tier, wrong) == [("value 77",)], SECONDS_MAX, "the row is there")
        code, found = verify(tier)
        assert (code, found["ok"]) == (0, True), found
        if which.endswith("stopped"):
            tier.kill(wrong)
            change(file, "UPDATE kept SET v = 'another' WHERE id = 77")
            tier.start_node(wrong)
            wait_until(lambda: healthy(tier), SECONDS_MAX, "the node is back")
        else:
            change(file, "UPDATE kept SET v = 'another' WHERE id = 77")
        wait_until(lambda: value(tier, wrong) == [("another",)], SECONDS_MAX, "nobody knows yet")

        stop = threading.Event()
        errors: list[str] = []

        def write() -> None:
            with psycopg.connect(tier.dsn, autocommit=True) as connection:
                while not stop.is_set():
                    try:
                        connection.execute("INSERT INTO written (v) VALUES (1)")
                    except psycopg.Error as error:
                        errors.append(str(error))

        writer = threading.Thread(target=write)
        writer.start()
        try:
            code, found = verify(tier)
            states = {node["name"]: node["state"] for node in found["nodes"]}
            assert code == 1
            assert states == {name: "differs" if name == wrong else "equal" for name in states}
            said = (tier.directory / f"{wrong}.log").read_text
            wait_until(lambda: "taken out of service" in said(), SECONDS_MAX, "it says so")
            wait_until(lambda: healthy(tier), SECONDS_MAX, "it is back in service")
        finally:
            stop.set()
            writer.join()
        assert errors == [], "writers and readers see a pause at most"
        assert value(tier, wrong) == [("value 77",)]
        code, found = verify(tier)
        assert (code, found["ok"]) == (0, True), found
        assert len({node["content"] for node in found["nodes"]}) == 1
        if which.endswith("stopped"):
            tier.kill(wrong)  # it is no child of `lfsql up` any more
        assert tier.stop() == 0
        code, found = verify(tier)
        assert (code, found["live"], found["ok"]) == (0, False, True), found


def test_what_depends_on_order_is_equal_on_nodes_whose_planner_chooses_otherwise(tmp_path: Path) -> None:
    """One replica is given statistics that make it join the other way round; its content stays the others'."""
    join = "SELECT a.v FROM kept a JOIN others b ON a.g = b.g"
    with running_tier(tmp_path / "data") as tier:
        primary = tier.primary()["name"]
        other = next(name for name in ("n1", "n2", "n3") if name != primary)
        with psycopg.connect(tier.dsn, autocommit=True) as connection:
            for table, factor in (("kept", 7), ("others", 11)):
                connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, g int, v text)")
                rows = f"SELECT n, n * {factor} % 13, '{table} ' || n FROM generate_series(1, 40) AS s(n)"
                connection.execute(f"INSERT INTO {table} {rows}")
                connection.execute(f"CREATE INDEX {table}_g ON {table} (g)")
            connection.execute("CREATE TABLE copies (id serial PRIMARY KEY, v text)")
            wait_until(lambda: healthy(tier), SECONDS_MAX, "all are level")
            tier.kill(other)
            file = tier.directory / other / "data.db"
            before = plan(file, join)
            change(file, "ANALYZE; DELETE FROM sqlite_stat1")
            outer = "kept" if "SCAN b" in before[0] else "others"
            change(
                file,
                "INSERT INTO sqlite_stat1 VALUES"
                + ", ".join(
                    f"('{name}', '{name}_g', '{2 if name == outer else 9999999} 2')" for name in ("kept", "others")
                ),
            )
            assert plan(file, join) != before
            tier.start_node(other)
            wait_until(lambda: healthy(tier), SECONDS_MAX, "the node is back")
            connection.execute(f"INSERT INTO copies (v) {join}")
            connection.execute("UPDATE copies SET v = v || id WHERE id IN (SELECT id FROM copies LIMIT 20)")
        code, found = verify(tier)
        assert (code, found["ok"]) == (0, True), found
        assert "taken out of service" not in (tier.directory / f"{other}.log").read_text()


def plan(path: Path, sql: str) -> list[str]:
    connection = apsw.Connection(str(path))
    try:
        return [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
    finally:
        connection.close()
