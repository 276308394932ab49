"""Two nodes with data and a witness: any one of the three may be lost, and nothing that was acknowledged is."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lfsql.testing.cluster import Tier, running_tier, wait_until
from tests.client.test_failover import Writer
from tests.client.test_operations import done, lfsql, writing

pytestmark = pytest.mark.client


@pytest.fixture
def tier(tmp_path: Path) -> Iterator[Tier]:
    with running_tier(tmp_path / "data", nodes=2) as running:
        with psycopg.connect(running.dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE written (id bigserial PRIMARY KEY, value int NOT NULL)")
        done("add-node", "n3", "--role", "witness", "--dir", running.directory)
        running.start_node("n3")
        wait_until(lambda: running.node("n3")["role"] == "witness", 30, "the witness's vote")
        yield running


def data_nodes(tier: Tier) -> tuple[str, str]:
    """The primary, and the other node with data."""
    primary = tier.primary()["name"]
    return primary, "n2" if primary == "n1" else "n1"


def wait_for_more(writers: list[Writer], what: str) -> None:
    before = [len(writer.acknowledged) for writer in writers]
    wait_until(
        lambda: all(len(writer.acknowledged) > n + 5 for writer, n in zip(writers, before, strict=True)), 20, what
    )


def test_a_witness_has_a_log_and_no_data(tier: Tier) -> None:
    files = {path.name for path in (tier.directory / "n3").iterdir()}
    assert "log.db" in files
    assert "data.db" not in files
    refused = lfsql("transfer", "n3", "--dir", tier.directory)
    assert "'n3' cannot take the lead: it is no voter" in refused.stderr
    tier.kill("n3", signal.SIGTERM)
    wait_until(lambda: tier.node("n3")["role"] == "unreachable", 20, "the witness stopped")
    tier.start_node("n3")
    wait_until(lambda: tier.node("n3")["role"] == "witness", 20, "the witness back")
    # A directory that has been one with data is not to be a witness's.
    (tier.directory / "n3" / "data.db").touch()
    tier.kill("n3")
    wait_until(lambda: tier.node("n3")["role"] == "unreachable", 20, "the witness gone")
    assert "a node does not turn into a witness" in lfsql("node", "--config", tier.directory / "n3/node.toml").stderr


def test_writes_go_on_without_any_one_of_the_three(tier: Tier) -> None:
    primary, replica = data_nodes(tier)
    with writing(tier) as writers:
        for lost in ("n3", replica, primary):
            tier.kill(lost)
            wait_for_more(writers, f"writes without {lost}")
            tier.start_node(lost)
            wait_until(lambda: all(node["healthy"] for node in tier.status()["nodes"]), 30, f"{lost} back")


def test_a_witness_that_alone_has_the_newest_hands_it_on(tier: Tier) -> None:
    """The replica sleeps while a write is acknowledged, then the primary is lost: the witness has what is missing."""
    primary, replica = data_nodes(tier)
    with psycopg.connect(tier.dsn, autocommit=True) as connection:
        connection.execute("SET lfsql.read_consistency = 'any'")
        sleeping = tier.kill(replica, signal.SIGSTOP)
        for value in range(20):
            connection.execute("INSERT INTO written (value) VALUES (%s)", (value,))
    tier.kill(primary)
    os.kill(sleeping, signal.SIGCONT)
    wait_until(lambda: tier.status()["primary"] == replica, 30, "the lead at the node that slept")
    with psycopg.connect(tier.dsn, autocommit=True) as connection:
        connection.execute("SET lfsql.read_consistency = 'strong'")
        rows = connection.execute("SELECT value FROM written ORDER BY value").fetchall()
        assert [value for (value,) in rows] == list(range(20))
        connection.execute("INSERT INTO written (value) VALUES (20)")
    assert "to bring a node with data up to date" in (tier.directory / "n3.log").read_text()


def test_a_witness_begins_where_a_compacted_log_does(tmp_path: Path) -> None:
    with running_tier(tmp_path / "data", nodes=2) as tier:
        with psycopg.connect(tier.dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE written (id bigserial PRIMARY KEY, value int NOT NULL)")
        tier.stop()
        for name in ("n1", "n2"):
            file = tier.directory / name / "node.toml"
            file.write_text(file.read_text() + "\n[limits]\nlog_age_ms_max = 1000\n")
    with running_tier(tmp_path / "data", nodes=2, port=tier.port) as tier:
        with writing(tier):
            log = tier.directory / f"{tier.primary()['name']}.log"
            wait_until(lambda: "the log begins after record" in log.read_text(), 30, "the log cut")
            done("add-node", "n3", "--role", "witness", "--dir", tier.directory)
            tier.start_node("n3")
            wait_until(lambda: tier.node("n3")["role"] == "witness", 40, "the witness's vote")
        assert "this log begins anew" in (tier.directory / "n3.log").read_text()
        tier.kill(data_nodes(tier)[1])
        with psycopg.connect(tier.dsn, autocommit=True) as connection:
            connection.execute("INSERT INTO written (value) VALUES (-1)")


def test_a_tier_can_begin_with_a_witness(tmp_path: Path) -> None:
    with running_tier(tmp_path / "data", "--witnesses", "1", nodes=2) as tier:
        roles = {node["name"]: node["role"] for node in tier.status()["nodes"]}
        assert (sorted(roles), roles["w1"]) == (["n1", "n2", "w1"], "witness")
        primary, other = data_nodes(tier)
        tier.kill(other)
        with psycopg.connect(tier.dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE one_left (v int)")
        assert tier.primary()["name"] == primary
