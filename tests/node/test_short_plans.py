"""Parts of a transaction that run where they arrive, until they meet what takes long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from lfsql.core.requests import COMMIT, COMMITTED, HOLD, OPEN, Answer, Operation, Outcome, Run, Submit
from lfsql.node.batch import Plan, Report, UnitRunner
from lfsql.node.run_control import RunControl
from lfsql.node.work import Work
from lfsql.storage.engine import Engine
from lfsql.storage.opening import LENGTH_BYTES_MAX
from lfsql.storage.straightness import TooLong
from tests.node.clusters import Session, cluster_of, read

LARGE = "é" * 50_000


class Nobody:
    """Whoever asks here looks at reports, not at answers."""

    number = 1

    def answer(self, message: Answer) -> None:
        raise AssertionError(message)


NOBODY = Nobody()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path / "data.db")
    engine.begin()
    engine.open_unit("ddl", 1, 1, 1)
    engine.run(Run("CREATE TABLE t (id INTEGER PRIMARY KEY, v text)"))
    engine.run(Run("INSERT INTO t VALUES (1, 'small'), (2, ?1)", (LARGE,)))
    engine.close_unit()
    yield engine
    engine.rollback()
    engine.close()


def plan_of(*operations: Operation, end: int = HOLD, opens: bool = True) -> Plan:
    question = Submit(1, "c", 1, operations, end=end)
    return Plan(works=(Work(NOBODY, question, 0),), held=True, opens=opens)


def outcome_of(report: Report) -> Outcome:
    (ran,) = report.ran
    assert isinstance(ran.outcome, Outcome)
    return ran.outcome


@pytest.fixture
def runner(engine: Engine) -> UnitRunner:
    return UnitRunner(engine, RunControl(engine.interrupt), lambda: time.time_ns() // 1000, 64 << 20)


def test_small_values_are_dealt_with_at_once(runner: UnitRunner) -> None:
    plan = plan_of(Run("UPDATE t SET v = lower(v) WHERE id = 1"), Run("SELECT v FROM t WHERE id = 1"))
    assert runner.is_short(plan)
    outcome = outcome_of(runner.run_short(plan))
    assert (outcome.state, outcome.results[1].rows) == (OPEN, (("small",),))


def test_what_meets_a_large_value_goes_on_elsewhere_and_nothing_runs_twice(
    runner: UnitRunner, engine: Engine
) -> None:
    plan = plan_of(
        Run("INSERT INTO t (v) VALUES ('first')"),
        Run("UPDATE t SET v = lower(v) || 'x' WHERE id = 2"),
        Run("SELECT length(v) FROM t WHERE id = 2"),
    )
    assert runner.is_short(plan)
    with pytest.raises(TooLong):
        runner.run_short(plan)
    outcome = outcome_of(runner.run(plan))
    assert outcome.state == OPEN, outcome.fault
    assert outcome.results[2].rows == ((50_001,),)
    assert engine.run(Run("SELECT count(*) FROM t WHERE v = 'first'")).rows == ((1,),)
    end = plan_of(end=COMMIT, opens=False)
    assert not runner.is_short(end), "its end is as long as its parts"
    assert outcome_of(runner.run(end)).state == COMMITTED
    assert engine.connection.limit(apsw.SQLITE_LIMIT_LENGTH, -1) == LENGTH_BYTES_MAX


async def test_a_client_notices_nothing(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster, cluster.link(await cluster.primary()) as link:
        session = Session(link, "a")
        await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY, v text)")
        await session.submit("INSERT INTO t VALUES (1, 'small'), (2, lpad('', 50000, 'x'))")
        outcome = await session.submit("UPDATE t SET v = lower(v) || 'y' WHERE id = 1", end=HOLD)
        assert outcome.state == OPEN
        outcome = await session.submit(
            "UPDATE t SET v = lower(v) || 'y' WHERE id = 2",
            "SELECT length(v) FROM t WHERE id = 2",
            same=True,
            end=HOLD,
        )
        assert (outcome.state, outcome.results[1].rows) == (OPEN, ((50_001,),))
        outcome = await session.submit("UPDATE t SET v = v || 'z' WHERE id = 1", same=True)
        assert outcome.state == COMMITTED
        found = await read(link, "SELECT v FROM t WHERE id = 1", min_index=outcome.index, wait_ms_max=5000)
        assert found.rows == (("smallyz",),)


def test_a_large_parameter_is_seen_before_it_runs(runner: UnitRunner) -> None:
    assert not runner.is_short(plan_of(Run("UPDATE t SET v = ?1 WHERE id = 1", (LARGE,))))
    assert runner.is_short(plan_of(Run("UPDATE t SET v = ?1 WHERE id = 1", ("x",))))


def test_many_calls_together_are_not_short(runner: UnitRunner) -> None:
    calls = "SELECT " + ", ".join(["abs(1)"] * 40)
    assert runner.is_short(plan_of(Run(calls)))
    assert not runner.is_short(plan_of(Run(calls), Run(calls)))
