"""Queries of the system catalogs: one at a time, each within its own time, and stopped alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest
import trio
import trio.testing

from lfsql.core.requests import Row
from lfsql.errors import LimitExceeded, QueryCanceled
from proxy.catalogs import Catalogs
from proxy.sql.catalog import Facts
from proxy.sql.schema import Schema

SCHEMA, FACTS = Schema(), Facts()
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
CALLS = "SELECT " + ", ".join(f"length(md5(repeat('{number}', 30000000)))" for number in range(60))
"""Many seconds in one pass of SQLite's program."""


@pytest.fixture
async def catalogs() -> AsyncIterator[Catalogs]:
    catalogs = Catalogs()
    yield catalogs
    catalogs.close()


async def run(catalogs: Catalogs, sql: str, run_ms_max: int = 0) -> list[Row]:
    with trio.fail_after(10):
        return await catalogs.run(sql, (), SCHEMA, FACTS, run_ms_max=run_ms_max)


@pytest.mark.parametrize("sql", [ENDLESS, CALLS])
async def test_a_query_ends_with_its_statements_time(catalogs: Catalogs, sql: str) -> None:
    began = trio.current_time()
    with pytest.raises(QueryCanceled, match="statement timeout"):
        await run(catalogs, sql, 200)
    assert trio.current_time() - began < 3
    assert await run(catalogs, "SELECT 1") == [(1,)]


async def test_waiting_ends_with_the_statements_time_too_and_leaves_the_other_alone(catalogs: Catalogs) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(run, catalogs, "SELECT 1"))
        ends: list[str] = []

        async def run_long() -> None:
            with pytest.raises(QueryCanceled, match="statement timeout"):
                await run(catalogs, ENDLESS, 600)
            ends.append("long")

        nursery.start_soon(run_long)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(QueryCanceled, match="statement timeout"):
            await run(catalogs, "SELECT 1", 50)
        ends.append("waiting")
    assert ends == ["waiting", "long"]


async def test_who_is_cancelled_while_it_waits_stops_nobody_else(catalogs: Catalogs) -> None:
    count = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000000) SELECT count(*) FROM n"
    found: list[list[Row]] = []

    async def run_first() -> None:
        found.append(await run(catalogs, count))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_first)
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0.02) as scope:
            await run(catalogs, "SELECT 1")
        assert scope.cancelled_caught
        assert not found
    assert found == [[(3_000_000,)]]


async def test_who_is_cancelled_while_it_runs_ends(catalogs: Catalogs) -> None:
    began = trio.current_time()
    with trio.move_on_after(0.1) as scope:
        await run(catalogs, ENDLESS)
    assert scope.cancelled_caught
    assert trio.current_time() - began < 3
    assert await run(catalogs, "SELECT 1") == [(1,)]


async def test_a_result_has_a_size_it_may_not_exceed(catalogs: Catalogs) -> None:
    rows = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 600) SELECT repeat('x', 1000000) FROM n"
    )
    with pytest.raises(LimitExceeded, match="may give at most") as caught:
        await run(catalogs, rows)
    assert caught.value.hint == "Use LIMIT."
