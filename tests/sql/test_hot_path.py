"""The statements that must never pay for a thread: pgbench's, as the planner writes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lfsql.storage.inlining import Inlining
from lfsql.storage.straightness import Straightness
from tests.sql.tier import Tier

TABLES = """
CREATE TABLE pgbench_accounts (aid int NOT NULL, bid int, abalance int, filler char(84)) WITH (fillfactor=100);
CREATE TABLE pgbench_tellers (tid int NOT NULL, bid int, tbalance int, filler char(84));
CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
ALTER TABLE pgbench_accounts ADD PRIMARY KEY (aid);
ALTER TABLE pgbench_tellers ADD PRIMARY KEY (tid);
"""

SELECT = "SELECT abalance FROM pgbench_accounts WHERE aid = $1"
WRITES = (
    "UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2",
    "UPDATE pgbench_tellers SET tbalance = tbalance + $1 WHERE tid = $2",
    "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP)",
)


@pytest.fixture(scope="module")
def tier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tier]:
    directory: Path = tmp_path_factory.mktemp("hot")
    tier = Tier(directory)
    tier.run(TABLES)
    yield tier
    tier.close()


@pytest.mark.parametrize("text", [SELECT, *WRITES])
def test_on_the_primary_they_run_where_they_arrive(tier: Tier, text: str) -> None:
    (sql,) = tier.plan(text).statements
    assert Straightness(tier.pair.primary.connection).is_straight(sql), sql


@pytest.mark.parametrize(
    "text",
    [
        SELECT,
        "SELECT * FROM pgbench_accounts WHERE aid = 1",
        "SELECT count(*) FROM pgbench_tellers WHERE bid = 1",
        "SELECT now(), lower(filler), tbalance::numeric * 2 FROM pgbench_tellers WHERE tid = 1",
        "SELECT date_trunc('day', mtime), sum(delta) FROM pgbench_history GROUP BY 1 ORDER BY 1",
    ],
)
def test_reads_run_inline(tier: Tier, text: str) -> None:
    (sql,) = tier.plan(text).statements
    assert Inlining(tier.pair.primary.connection).value_bytes_max(sql) > 0, sql


@pytest.mark.parametrize(
    "call",
    [
        "repeat('a', 1000)",
        "lpad('a', 1000)",
        "replace(filler, 'a', filler)",
        "filler ~ '(a+)+$'",
        "regexp_replace(filler, 'a', filler, 'g')",
        "length(md5(repeat('a', 50000000)))",
        "2::numeric ^ 1000",
        "format('%1000s', 1)",
        "pg_sleep(1)",
    ],
)
def test_what_one_call_may_take_long_for_goes_to_a_thread(tier: Tier, call: str) -> None:
    (sql,) = tier.plan(f"SELECT {call} FROM pgbench_accounts WHERE aid = 1").statements
    connection = tier.pair.primary.connection
    assert not Straightness(connection).is_straight(sql), sql
    assert not Inlining(connection).value_bytes_max(sql), sql
