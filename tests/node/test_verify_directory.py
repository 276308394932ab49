"""`lfsql verify` on the files of stopped nodes: what is whole passes, and whatever is planted is found and named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from lfsql.cli.verify import run_verify
from lfsql.cli.verify_directory import verify_directories
from lfsql.errors import ConfigError, DirectoryInUse
from tests.node.clusters import Session, cluster_of


async def stopped_nodes(directory: Path) -> list[Path]:
    """The directories of three nodes that hold the same."""
    async with cluster_of(directory, 3) as cluster:
        async with cluster.link(await cluster.primary()) as link:
            session = Session(link, "a")
            await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY, v text UNIQUE)")
            for number in range(30):
                await session.submit(f"INSERT INTO t (v) VALUES ('value {number}')")
        await cluster.level()
        for name in list(cluster.running):
            await cluster.stop(name)
    return [directory / name for name in ("n1", "n2", "n3")]


def change(path: Path, *statements: str) -> None:
    connection = apsw.Connection(str(path))
    for sql in statements:
        connection.execute(sql)
    connection.close()


def flip(path: Path, text: bytes) -> None:
    """One bit of the newest `text` in the file itself."""
    change(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[content.rindex(text)] ^= 1
    path.write_bytes(content)


async def test_what_is_whole_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directories = await stopped_nodes(tmp_path)
    found = verify_directories(directories)
    assert found["ok"], found
    contents = {(node["applied_index"], node["content"]) for node in found["nodes"]}
    assert len({content for _, content in contents}) == len({index for index, _ in contents})
    assert run_verify(directories[0], as_json=False) == 0
    assert "all is well" in capsys.readouterr().out.replace("\n", " ")
    assert run_verify(directories[0], as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["nodes"][0]["name"] == "n1"


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda node: flip(node / "data.db", b"value 7"), "data.db: "),
        (lambda node: change(node / "data.db", "UPDATE _lfsql_state SET applied_index = 3"), "another record 3"),
        (lambda node: change(node / "data.db", "UPDATE _lfsql_state SET applied_index = 99"), "stands at index 99"),
        (lambda node: change(node / "data.db", "DELETE FROM _lfsql_state"), "where in the log it stands"),
        (lambda node: flip(node / "log.db", b"value 29"), "records 3"),
        (lambda node: change(node / "log.db", "DELETE FROM records WHERE log_index = 9"), "records 9"),
        (lambda node: change(node / "log.db", "UPDATE state SET hard_state = x'00'"), "voted for"),
        (lambda node: (node / "log.db").write_bytes(b"not a database" * 100), "log.db: "),
        (lambda node: (node / "log.db").unlink(), "cannot open"),
        (lambda node: (node / "identity.json").unlink(), "no node's data directory"),
        (lambda node: (node / "snapshot.json").write_bytes(b"{}"), "snapshot.json is damaged"),
    ],
)
async def test_planted_damage_is_named(tmp_path: Path, damage: Callable[[Path], object], told: str) -> None:
    directories = await stopped_nodes(tmp_path)
    damage(directories[1])
    found = verify_directories(directories)
    assert not found["ok"]
    assert [(node["name"], len(node["advice"])) for node in found["nodes"] if node["faults"]] == [("n2", 1)]
    assert any(told in fault for fault in found["nodes"][1]["faults"]), found["nodes"][1]
    if (directories[1] / "identity.json").exists():
        assert run_verify(directories[1], as_json=False) == 1


async def test_contents_at_one_index_that_differ_are_named(tmp_path: Path) -> None:
    directories = await stopped_nodes(tmp_path)
    at = [node["applied_index"] for node in verify_directories(directories)["nodes"]]
    same = [number for number in range(3) if at.count(at[number]) > 1]
    assert same, at
    change(directories[same[0]] / "data.db", "UPDATE t SET v = 'other' WHERE id = 5")
    found = verify_directories(directories)
    assert not found["ok"]
    assert f"at index {at[same[0]]} the contents differ" in found["faults"][0]


async def test_a_directory_in_use_and_one_that_is_no_nodes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        run_verify(tmp_path, as_json=False)
    async with cluster_of(tmp_path, 1) as cluster:
        await cluster.primary()
        with pytest.raises(DirectoryInUse):
            run_verify(tmp_path / "n1", as_json=False)
