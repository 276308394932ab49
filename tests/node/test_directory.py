"""A data directory belongs to one node of one cluster, and to one process at a time."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest
import trio

from lfsql.config import NodeConfig
from lfsql.errors import AddressInUse, ConfigError, DataCorrupted, DirectoryInUse, WrongCluster
from lfsql.net.cluster_key import load_key, make_key
from lfsql.node.directory import IDENTITY, DirectoryIdentity, check_members, data_directory, stopped_directory
from lfsql.node.running import run_node
from tests.node.clusters import Session, cluster_of

MEMBERS = {"n1": "voter", "n2": "voter", "n3": "voter"}
WHOSE = DirectoryIdentity("c1", "n1", MEMBERS)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with (
        data_directory(tmp_path, WHOSE),
        pytest.raises(DirectoryInUse, match="in use"),
        data_directory(tmp_path, WHOSE),
    ):
        raise AssertionError("must not enter")
    with data_directory(tmp_path, WHOSE) as directory:
        assert directory == tmp_path


def test_what_is_found_wrong_in_a_directory_is_not_taken_for_damage_to_its_identity(tmp_path: Path) -> None:
    with data_directory(tmp_path, WHOSE):
        pass
    with pytest.raises(msgspec.ValidationError), stopped_directory(tmp_path) as identity:
        assert identity == WHOSE
        msgspec.json.decode(b"7", type=str)
    (tmp_path / IDENTITY).write_bytes(b"{")
    with pytest.raises(ConfigError, match="is damaged"), stopped_directory(tmp_path):
        raise AssertionError("must not enter")


@pytest.mark.parametrize(("cluster_id", "node", "named"), [("c2", "n1", "'c1'"), ("c1", "n2", "'n1'")])
def test_another_ones_directory_is_refused(tmp_path: Path, cluster_id: str, node: str, named: str) -> None:
    with data_directory(tmp_path, WHOSE):
        pass
    with (
        pytest.raises(WrongCluster, match=named),
        data_directory(tmp_path, DirectoryIdentity(cluster_id, node, MEMBERS)),
    ):
        raise AssertionError("must not enter")


def test_databases_of_nobody_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data.db").write_bytes(b"")
    with pytest.raises(WrongCluster, match=r"data\.db") as raised, data_directory(tmp_path, WHOSE):
        raise AssertionError("must not enter")
    assert "add it under a new name" in raised.value.hint


def test_a_damaged_identity_is_named(tmp_path: Path) -> None:
    (tmp_path / "identity.json").write_bytes(b"{")
    with pytest.raises(ConfigError, match=r"identity\.json is damaged"), data_directory(tmp_path, WHOSE):
        raise AssertionError("must not enter")


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({**MEMBERS, "n4": "voter"}, r"'n4' \(voter\) came"),
        ({**MEMBERS, "n3": "learner"}, "'n3' turned from voter to learner"),
        ({"n1": "voter", "n2": "voter"}, r"'n3' \(voter\) went"),
    ],
)
def test_other_members_than_the_node_began_with_are_refused(
    tmp_path: Path, members: dict[str, str], said: str
) -> None:
    """Majorities of two lists need not have a node in common."""
    with data_directory(tmp_path, WHOSE) as directory:
        check_members(directory, WHOSE)
        with pytest.raises(ConfigError, match=f"the members have changed: {said}"):
            check_members(directory, DirectoryIdentity("c1", "n1", members))


def test_a_key_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = make_key(path)
    assert load_key(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="cannot be made"):
        make_key(path)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="read by others"):
        load_key(path)


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 5000])
def test_a_key_of_the_wrong_length_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="a key has"):
        load_key(path)


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster:
        config: NodeConfig = msgspec.structs.replace(cluster.configs["n1"], data_dir=str(tmp_path / "other"))
        with pytest.raises(AddressInUse, match=config.listen):
            await run_node(config)


async def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster:
        async with cluster.link(await cluster.primary()) as link:
            await Session(link, "a").submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        await cluster.stop("n1")
        for name in ("log.db", "log.db-wal", "log.db-shm"):
            (tmp_path / "n1" / name).unlink(missing_ok=True)
        with pytest.raises(DataCorrupted, match=r"data\.db stands at index 2, log\.db holds 0 to 0") as raised:
            await run_node(cluster.configs["n1"])
        assert "replace the node by one of a new name" in raised.value.hint


async def test_a_lone_nodes_damaged_log_is_recovered_on_the_spot(tmp_path: Path) -> None:
    """Nobody else has its records, and only data.db can tell whether they are needed."""
    async with cluster_of(tmp_path, 1) as cluster:
        await cluster.primary()
        await cluster.stop("n1")
        connection = sqlite3.connect(tmp_path / "n1" / "log.db")
        with connection:
            connection.execute("UPDATE records SET body = x'00' WHERE log_index = 1")
        connection.close()
        with pytest.raises(DataCorrupted, match="1 records are damaged") as raised:
            await run_node(cluster.configs["n1"])
        assert "`lfsql recover`" in raised.value.hint


async def test_a_node_replays_what_its_database_lost(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster:
        async with cluster.link(await cluster.primary()) as link:
            session = Session(link, "a")
            await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
            for _ in range(5):
                await session.submit("INSERT INTO t DEFAULT VALUES")
        await cluster.stop("n1")
        for name in ("data.db", "data.db-wal", "data.db-shm"):
            (tmp_path / "n1" / name).unlink(missing_ok=True)
        await cluster.start("n1")
        await cluster.primary()
        await cluster.level()
        assert cluster.content("n1", "SELECT count(*) FROM t") == [(5,)]


async def test_cancelling_ends_a_node_without_an_error(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster:
        with trio.fail_after(5):
            await cluster.stop("n1")
