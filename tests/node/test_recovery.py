"""What a node is asked before it goes on alone: whether its files are of any use without the others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lfsql.core.ids import Index
from lfsql.errors import OrderRefused
from lfsql.node.recovery import plan_recovery, recover
from lfsql.storage.quarantine import NAME, quarantine
from lfsql.storage.statement_log import StatementLog
from tests.node.clusters import Cluster, Session, cluster_of
from tests.node.test_log_repair import damage
from tests.node.test_rebuilding import DATA_FILES

ROWS = 10


@asynccontextmanager
async def left_over(tmp_path: Path, count: int = 3) -> AsyncIterator[tuple[Cluster, Path, Index]]:
    """A cluster with some rows, all of it stopped, the directory of n1 and its log's end."""
    async with cluster_of(tmp_path, count) as cluster:
        async with cluster.link(await cluster.primary()) as link:
            session = Session(link, "a")
            await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)")
            for _ in range(ROWS):
                await session.submit("INSERT INTO t (body) VALUES (hex(zeroblob(2000)))")
        await cluster.level()
        end = cluster.running["n1"].node._log.last.index
        for name in sorted(cluster.running, reverse=True):
            await cluster.stop(name)
        yield cluster, tmp_path / "n1", end


async def cut(directory: Path, upto: Index) -> None:
    async with StatementLog(directory / "log.db") as log:
        await log.compact(upto)


async def remove_data(directory: Path, _end: Index) -> None:
    for name in DATA_FILES:
        (directory / name).unlink(missing_ok=True)
    await cut(directory, 3)


async def spoil_data(directory: Path, _end: Index) -> None:
    content = bytearray((directory / "data.db").read_bytes())
    content[-4096:] = bytes(4096)
    (directory / "data.db").write_bytes(content)


async def lose_log_end(directory: Path, end: Index) -> None:
    async with StatementLog(directory / "log.db") as log:
        await log.write(truncate_from=end - 1)


async def spoil_log_end(directory: Path, end: Index) -> None:
    for name in DATA_FILES:
        (directory / name).unlink(missing_ok=True)
    damage(directory / "log.db", end - 1)


async def mark(directory: Path, _end: Index) -> None:
    quarantine(directory, "its content differs")


@pytest.mark.parametrize(
    ("change", "said", "remedy"),
    [
        (remove_data, "there is no data.db, and log.db begins after record 3", "another node that is left"),
        (spoil_data, "data.db is damaged", "made again from log.db"),
        (lose_log_end, "at another record than log.db has", "not from the same node and time"),
        (spoil_log_end, "1 records that are not in data.db are damaged", "all up to index 0"),
        (mark, "known to differ from what the other nodes had: its content differs", NAME),
    ],
)
async def test_a_node_that_cannot_go_on_alone_is_refused(
    tmp_path: Path, change: Callable[[Path, Index], Awaitable[None]], said: str, remedy: str
) -> None:
    async with left_over(tmp_path) as (cluster, directory, end):
        config = cluster.configs["n1"]
        code = (await plan_recovery(config)).code
        await change(directory, end)
        for attempt in (lambda: plan_recovery(config), lambda: recover(config, code)):
            with pytest.raises(OrderRefused, match=said) as raised:
                await attempt()
            assert remedy in raised.value.hint
        assert not list(directory.glob("recovered-*.json"))


async def test_data_that_is_lost_is_no_reason_when_the_log_has_everything(tmp_path: Path) -> None:
    async with left_over(tmp_path) as (cluster, directory, end):
        for name in DATA_FILES:
            (directory / name).unlink(missing_ok=True)
        assert (await plan_recovery(cluster.configs["n1"])).kept >= end


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("at_end", [False, True])
async def test_damaged_records_that_the_data_holds_are_cut_off(tmp_path: Path, count: int, at_end: bool) -> None:
    async with left_over(tmp_path, count) as (cluster, directory, _):
        config = cluster.configs["n1"]
        async with StatementLog(directory / "log.db") as log:
            end = log.last.index
        ((applied,),) = cluster.content("n1", "SELECT applied_index FROM _lfsql_state")
        assert isinstance(applied, int)
        damage(directory / "log.db", applied if at_end else 3)
        plan = await plan_recovery(config)
        assert (plan.forgotten, plan.kept) == (applied, end)
        async with StatementLog(directory / "log.db") as log:
            assert log.damaged, "asking changes nothing"
        await recover(config, plan.code)
        await cluster.start("n1")
        async with cluster.link(await cluster.primary()) as link:
            await Session(link, "b").submit("INSERT INTO t (body) VALUES ('after')")
        await cluster.level()
        assert cluster.content("n1", "SELECT count(*) FROM t") == [(ROWS + 1,)]
