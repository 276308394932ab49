"""An operator's commands against a running tier, with clients that write and read all the while."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from lfsql.testing.cluster import Tier, running_tier, wait_until
from tests.client.test_failover import Writer

pytestmark = pytest.mark.client

PAUSE_S_MAX = 1.0
"""What a write may wait here: the 0.2 s that are promised, and what a crowded machine adds to them."""


def lfsql(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lfsql", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def done(*arguments: object) -> str:
    """What the command said; it must have succeeded."""
    result = lfsql(*arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def open_files(tier: Tier) -> set[str]:
    """Of the proxy's process."""
    (proxy,) = tier.status()["proxies"]
    return {str(each.resolve()) for each in Path(f"/proc/{proxy['pid']}/fd").iterdir()}


@pytest.fixture
def tier(tmp_path: Path) -> Iterator[Tier]:
    with running_tier(tmp_path / "data") as running:
        with psycopg.connect(running.dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE written (id bigserial PRIMARY KEY, value int NOT NULL)")
        yield running


@contextmanager
def writing(tier: Tier, count: int = 2) -> Iterator[list[Writer]]:
    """Clients that write meanwhile; afterwards what was acknowledged is there, once, and none saw an error."""
    writers = [Writer(tier.dsn, number) for number in range(count)]
    for writer in writers:
        writer.start()
    try:
        wait_until(lambda: all(len(writer.acknowledged) > 5 for writer in writers), 20, "writes")
        yield writers
        counts = [len(writer.acknowledged) for writer in writers]
        wait_until(
            lambda: all(len(writer.acknowledged) > n + 5 for writer, n in zip(writers, counts, strict=True)),
            20,
            "writes afterwards",
        )
    finally:
        for writer in writers:
            writer.enough.set()
        for writer in writers:
            writer.join(20)
    assert [writer.error for writer in writers] == [None] * count
    with psycopg.connect(tier.dsn) as connection:
        connection.execute("SET lfsql.read_consistency = 'strong'")  # another session's newest writes, too
        rows = [row[0] for row in connection.execute("SELECT value FROM written ORDER BY value").fetchall()]
    assert rows == sorted(value for writer in writers for value in writer.acknowledged)


def followers(tier: Tier) -> list[str]:
    status = tier.status()
    return [node["name"] for node in status["nodes"] if node["name"] != status["primary"]]


def test_transfer_hands_over_without_a_long_wait(tier: Tier) -> None:
    with writing(tier) as writers:
        for _ in range(3):
            to = followers(tier)[0]
            said = done("transfer", to, "--dir", tier.directory)
            assert said.startswith(f"node '{to}' is the primary now, after ")
            assert tier.primary()["name"] == to
    assert max(writer.longest_s for writer in writers) < PAUSE_S_MAX


def test_a_node_is_added_serves_and_is_removed_with_the_lead(tier: Tier) -> None:
    with writing(tier):
        said = done("add-node", "n4", "--dir", tier.directory)
        assert "a learner, and a voter once it has caught up" in said
        assert "lfsql node --config" in said
        tier.start_node("n4")
        said = done("add-node", "n4", "--dir", tier.directory, "--priority", 101, "--wait", 30)
        assert "has caught up and is a voter" in said
        names = [node["name"] for node in tier.status()["nodes"]]
        assert names == ["n1", "n2", "n3", "n4"]
        database = str((tier.directory / "n4" / "data.db").resolve())
        wait_until(lambda: database in open_files(tier), 20, "the proxy to read the new node's file")
        # Its priority is the highest: the lead comes to it by itself, and clients follow to where no file told of.
        wait_until(lambda: tier.status()["primary"] == "n4", 30, "the lead at the node of the highest priority")
        said = done("remove-node", "n4", "--dir", tier.directory)
        assert "is the primary now" in said
        assert "node 'n4' is no longer a member" in said
    assert [node["name"] for node in tier.status()["nodes"]] == ["n1", "n2", "n3"]
    wait_until(lambda: tier.started[-1].poll() == 0, 20, "the removed node's end")
    # What is started next time is what belongs.
    assert "n4" not in (tier.directory / "proxy.toml").read_text()


def test_a_lost_node_is_replaced_and_its_name_stays_refused(tier: Tier) -> None:
    """All that it had is gone, its node.toml too."""
    lost = followers(tier)[0]
    tier.kill(lost)
    wait_until(lambda: tier.node(lost)["role"] == "unreachable", 20, "the loss to be noticed")
    settings = (tier.directory / lost / "node.toml").read_text()
    shutil.rmtree(tier.directory / lost)
    assert {node["name"]: node["role"] for node in tier.status()["nodes"]}[lost] == "unreachable"
    with writing(tier):
        assert "no longer a member" in done("remove-node", lost, "--dir", tier.directory)
        refused = lfsql("add-node", lost, "--dir", tier.directory)
        assert f"a node of the name '{lost}' was there before" in refused.stderr
        assert "under a name that none has had" in refused.stderr
        assert not (tier.directory / lost).exists()
        done("add-node", "n4", "--dir", tier.directory)
        tier.start_node("n4")
        wait_until(lambda: tier.node("n4")["role"] == "replica", 30, "the new node's vote")
        (tier.directory / lost).mkdir()
        (tier.directory / lost / "node.toml").write_text(settings)
        tier.start_node(lost)
        log = tier.directory / f"{lost}.log"
        wait_until(lambda: f"node '{lost}' has another log.db than" in log.read_text(), 20, "the refusal")
        assert lost not in [node["name"] for node in tier.status()["nodes"]]


def test_a_new_node_gets_no_port_of_a_node_that_is_down(tier: Tier) -> None:
    done("add-node", "n4", "--dir", tier.directory)
    done("add-node", "n5", "--dir", tier.directory)
    addresses = [node["address"] for node in tier.status()["nodes"]]
    assert len(set(addresses)) == 5, addresses


def test_a_drained_node_has_stopped_when_the_command_ends(tier: Tier) -> None:
    with writing(tier) as writers:
        primary = tier.primary()
        said = done("drain", primary["name"], "--dir", tier.directory)
        assert "is the primary now" in said
        assert said.strip().endswith(f"node '{primary['name']}' has stopped")
        assert tier.node(primary["name"])["role"] == "unreachable"
        tier.start_node(primary["name"])
        wait_until(lambda: tier.node(primary["name"])["role"] == "replica", 20, "it back")
    assert max(writer.longest_s for writer in writers) < PAUSE_S_MAX


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("transfer", "n9"), "'n9' cannot take the lead"),
        (("remove-node", "n9"), "'n9' is not a member"),
        (("drain", "n9"), "there is no node 'n9': n1, n2, n3"),
        (("add-node", "n1", "--role", "witness"), "cannot turn"),
        (("add-node", "n4", "--address", "nowhere"), "--address: expected 'host:port'"),
    ],
)
def test_an_order_that_makes_no_sense_is_one_line(server_tier: Tier, arguments: tuple[str, ...], said: str) -> None:
    result = lfsql(*arguments, "--dir", server_tier.directory)
    assert result.returncode == 1
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (server_tier.directory / "n4").exists()


@pytest.fixture(scope="module")
def server_tier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tier]:
    with running_tier(tmp_path_factory.mktemp("orders") / "data") as running:
        yield running
