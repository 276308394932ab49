"""A majority is lost for good: what is left goes on alone, when asked twice, and says what may be lost."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import psycopg
import pytest

from lfsql.testing.cluster import TierFailed, running_tier, start_tier, wait_until
from tests.client.test_operations import done, lfsql

pytestmark = pytest.mark.client


def test_what_is_left_goes_on_alone_when_asked_twice(tmp_path: Path) -> None:
    with running_tier(tmp_path / "data") as tier:
        with psycopg.connect(tier.dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (v int)")
            connection.execute("INSERT INTO kept VALUES (1), (2)")
        one = tier.directory / "n1" / "node.toml"
        busy = lfsql("recover", "--config", one)
        assert busy.returncode == 1
        assert "in use" in busy.stderr
        tier.wait_level()
        tier.stop()
    for lost in ("n2", "n3"):
        shutil.rmtree(tmp_path / "data" / lost)

    first = lfsql("recover", "--config", one)
    assert first.returncode == 1
    assert "nothing was done. n1 would go on alone, without n2, n3." in first.stdout
    code = re.search(r"--confirm (\w+)", first.stdout)
    assert code is not None
    wrong = lfsql("recover", "--config", one, "--confirm", "00000000")
    assert wrong.returncode == 1
    assert "does not confirm this" in wrong.stderr
    assert not list((tmp_path / "data" / "n1").glob("recovered-*.json"))

    said = done("recover", "--config", one, "--confirm", code[1])
    assert "n1 is the only member now" in said
    (kept,) = (tmp_path / "data" / "n1").glob("recovered-*.json")
    document = json.loads(kept.read_text())
    assert document["members"] == ["n1", "n2", "n3"]
    assert document["kept"] >= document["known_committed"] > 0
    assert "acknowledged after log index" in document["may_be_lost"]

    again = lfsql("recover", "--config", one)
    assert "decides alone already" in again.stderr
    # The directory starts with the one node, which has what it had, takes writes, and grows again.
    tier = start_tier(tmp_path / "data", nodes=1)
    try:
        with psycopg.connect(tier.dsn, autocommit=True) as connection:
            assert connection.execute("SELECT v FROM kept ORDER BY v").fetchall() == [(1,), (2,)]
            connection.execute("INSERT INTO kept VALUES (3)")
        done("add-node", "n4", "--dir", tier.directory)
        tier.start_node("n4")
        wait_until(lambda: tier.node("n4")["role"] == "replica", 30, "the new node's vote")
    except TierFailed:
        print((tmp_path / "data" / "n1.log").read_text()[-2000:])
        raise
    finally:
        tier.end()


def test_a_lone_node_and_a_stranger_have_nothing_to_recover(tmp_path: Path) -> None:
    with running_tier(tmp_path / "data", nodes=1) as tier:
        tier.stop()
    result = lfsql("recover", "--config", tmp_path / "data" / "n1" / "node.toml")
    assert result.returncode == 1
    assert "decides alone already" in result.stderr


def test_a_snapshot_that_is_not_in_place_yet_is_finished_first(tmp_path: Path) -> None:
    with running_tier(tmp_path / "data", nodes=2) as tier:
        tier.stop()
    (tmp_path / "data" / "n1" / "snapshot.json").write_text("{}")
    for options in ((), ("--confirm", "00000000")):
        result = lfsql("recover", "--config", tmp_path / "data" / "n1" / "node.toml", *options)
        assert result.returncode == 1
        assert "a snapshot was being put in place" in result.stderr
