"""A call of a function makes no huge value, and is not made when its statement is to end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
import trio

from lfsql.errors import LfsqlError, LimitExceeded, QueryCanceled
from lfsql.storage.engine import Engine
from lfsql.storage.functions.limits import patience
from lfsql.storage.reads import LocalReads
from tests.storage.functions_fixture import open_functions

HEAVY = "SELECT " + ", ".join(f"length(md5(repeat('{number}', 30000000)))" for number in range(40))
"""Ten seconds in one pass of SQLite's program, without a jump at which it would look for an interrupt."""


@pytest.fixture
def connection() -> Iterator[apsw.Connection]:
    connection = open_functions()
    yield connection
    connection.close()


@pytest.mark.parametrize(
    "call",
    [
        "repeat('ab', 60000000)",
        "lpad('a', 100000000)",
        "rpad('a', 100000000, 'xyz')",
        "regexp_replace(repeat('a', 10000), 'a', repeat('b', 10000), 'g')",
        "lfsql_format('%1000000000s', 'a')",
        "lfsql_format(repeat('%1000000s', 100), " + ", ".join(["'a'"] * 100) + ")",
        "concat_ws(repeat('a', 10000000)" + ", 'a'" * 20 + ")",
        "lfsql_array_to_string('[' || repeat('\"a\",', 10000) || '\"a\"]', repeat('a', 10000), NULL, 25)",
        "lfsql_array_replace('[' || repeat('\"a\",', 10000) || '\"a\"]', 'a', repeat('b', 10000))",
    ],
)
def test_no_call_makes_a_huge_value(connection: apsw.Connection, call: str) -> None:
    began = time.process_time()
    with pytest.raises(LimitExceeded, match="requested length too large"):
        connection.execute(f"SELECT length({call})").fetchall()
    assert time.process_time() - began < 2


@pytest.fixture
async def reads(tmp_path: Path) -> LocalReads:
    Engine(tmp_path / "data.db").close()
    return LocalReads(tmp_path / "data.db", threads_max=1)


async def test_a_time_limit_stops_a_statement_that_only_calls(reads: LocalReads) -> None:
    async with reads:
        assert reads.try_inline(HEAVY) is None
        began = trio.current_time()
        with pytest.raises(QueryCanceled, match="statement timeout"):
            await reads.open_cursor(HEAVY, run_ms_max=100)
        assert trio.current_time() - began < 3


async def test_a_cancel_stops_it_too(reads: LocalReads) -> None:
    async with reads:
        began = trio.current_time()
        with trio.move_on_after(0.2):
            await reads.open_cursor(HEAVY)
        assert trio.current_time() - began < 3


async def test_a_search_ends_with_its_statement(reads: LocalReads) -> None:
    search = "SELECT lfsql_regex(?1 || 'b', '^(a|aa)+$')"
    async with reads:
        began = trio.current_time()
        with pytest.raises(QueryCanceled, match="statement timeout"):
            await reads.open_cursor(search, ("a" * 200,), run_ms_max=200)
        assert trio.current_time() - began < 3


async def test_like_runs_inline_for_a_moment_only(reads: LocalReads) -> None:
    async with reads:
        assert reads.try_inline("SELECT lfsql_like('abc', 'a%')") == [(1,)]
        assert reads.try_inline("SELECT lfsql_like(?1, ?2)", ("a" * 4000, "%a" * 200 + "%b")) is None


def test_whoever_comes_next_has_time_again(connection: apsw.Connection) -> None:
    patience.until = time.monotonic() - 1
    with pytest.raises(LfsqlError):
        connection.execute("SELECT repeat('a', 2)").fetchall()
    patience.forget()
    assert connection.execute("SELECT repeat('a', 2)").fetchall() == [("aa",)]
