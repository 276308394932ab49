"""What the engine's thread does with a plan: stops what is to be stopped, and ends the node for the node's faults."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lfsql.core.entry import Statement, decode_unit
from lfsql.core.requests import COMMIT, COMMITTED, HOLD, Answer, Operation, Outcome, Run, RunMany, Submit
from lfsql.errors import DataCorrupted, DiskFailed, InvariantBroken, LfsqlError, QueryCanceled
from lfsql.node.batch import Plan, Report, UnitRunner
from lfsql.node.cutting import UNIT_BYTES_AROUND
from lfsql.node.run_control import RunControl
from lfsql.node.work import Work
from lfsql.storage.engine import BatchLost, Engine

COUNT = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000000) SELECT count(*) FROM n"
RECORD_BYTES_MAX = 1 << 20


class Client:
    number = 1

    def answer(self, message: Answer) -> None:
        raise AssertionError("the runner answers nobody")


numbers = itertools.count(1)


def work(*operations: Operation, end: int = COMMIT, size: int = 100, run_ms_max: int = 0) -> Work:
    number = next(numbers)
    question = Submit(number, f"c{number}", 1, operations, end, run_ms_max=run_ms_max)
    return Work(Client(), question, size)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path / "data.db")
    yield engine
    engine.rollback()
    engine.close()


@pytest.fixture
def control(engine: Engine) -> RunControl:
    return RunControl(engine.interrupt)


@pytest.fixture
def runner(engine: Engine, control: RunControl) -> UnitRunner:
    return UnitRunner(engine, control, lambda: time.time_ns() // 1000, RECORD_BYTES_MAX)


def one(report: Report) -> Outcome:
    (ran,) = report.ran
    assert isinstance(ran.outcome, Outcome)
    return ran.outcome


def sqlstate(outcome: Outcome) -> str:
    assert outcome.fault is not None
    return outcome.fault.sqlstate


@pytest.mark.parametrize("end", [COMMIT, HOLD])
def test_a_cancel_between_two_steps_of_sqlite_is_not_forgotten(
    engine: Engine, control: RunControl, runner: UnitRunner, monkeypatch: pytest.MonkeyPatch, end: int
) -> None:
    """It comes when the thread has looked at the mark, and SQLite, which would be interrupted, does not run yet."""
    counting = work(Run(COUNT), end=end)
    inspect = engine.inspect

    def inspect_and_cancel(sql: str) -> Any:
        found = inspect(sql)
        control.stop(counting, QueryCanceled("canceling statement due to user request"))
        return found

    monkeypatch.setattr(engine, "inspect", inspect_and_cancel)
    outcome = one(runner.run(Plan(works=(counting,), begin=True, held=end == HOLD, opens=end == HOLD)))
    assert sqlstate(outcome) == QueryCanceled.sqlstate
    monkeypatch.undo()
    # The next one is not stopped.
    if end == COMMIT:
        assert one(runner.run(Plan(works=(work(Run(COUNT)),)))).state == COMMITTED


def test_a_time_limit_is_looked_at_while_what_lies_below_is_committed(control: RunControl) -> None:
    limited = work(Run("SELECT 1"), run_ms_max=50)
    assert control.enforce_limit((work(Run("SELECT 1")), limited)) == 0.05
    assert control.enforce_limit(()) == float("inf")


@pytest.mark.parametrize("kind", [DiskFailed, DataCorrupted, InvariantBroken])
@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("held", [False, True])
def test_what_breaks_the_node_is_no_clients_error(
    engine: Engine,
    runner: UnitRunner,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[LfsqlError],
    lost: bool,
    held: bool,
) -> None:
    def run(_operation: Operation) -> None:
        fault = kind("the database's disk failed: disk I/O error")
        if not lost:
            raise fault
        engine.rollback()
        raise BatchLost(fault)

    monkeypatch.setattr(engine, "run", run)
    with pytest.raises(kind):
        runner.run(Plan(works=(work(Run("SELECT 1")),), begin=True, held=held, opens=held))


def test_what_a_client_can_cause_does_not_break_the_node(runner: UnitRunner) -> None:
    many = one(runner.run(Plan(works=(work(RunMany("SELECT ?1", ((1,), (2,)))),), begin=True)))
    assert sqlstate(many) == "08P01"
    contradicting = (
        Run("CREATE TABLE contents (a)"),
        Run("CREATE VIRTUAL TABLE texts USING fts5 (a, content='contents')"),
        Run("INSERT INTO texts (rowid, a) VALUES (1, 'word')"),
        Run("INSERT INTO texts (texts, rank) VALUES ('integrity-check', 1)"),
    )
    assert sqlstate(one(runner.run(Plan(works=(work(*contradicting),))))) == "23000"


def test_a_statement_too_long_for_a_record_fails_alone(runner: UnitRunner) -> None:
    runner.run(Plan(works=(work(Run("CREATE TABLE t (v)")),), begin=True))
    text = "x" * RECORD_BYTES_MAX
    insert = "INSERT INTO t VALUES (?1)"
    for operation in (
        Run(insert, (text,)),
        RunMany(insert, (("x",), (text,))),
        Run(f"INSERT INTO t VALUES ('{text}')"),
    ):
        report = runner.run(Plan(works=(work(Run(insert, (1,))), work(operation, size=len(text) + 100))))
        small, large = (ran.outcome for ran in report.ran)
        assert isinstance(small, Outcome)
        assert isinstance(large, Outcome)
        assert (small.state, sqlstate(large)) == (COMMITTED, "54000")


def test_no_record_of_a_unit_that_is_cut_is_too_long(runner: UnitRunner) -> None:
    runner.run(Plan(works=(work(Run("CREATE TABLE t (v)")),), begin=True))
    comment = "/*" + "é" * 5000 + "*/"
    longest = "x" * (RECORD_BYTES_MAX - UNIT_BYTES_AROUND - 100)
    operations: tuple[Operation, ...] = (
        *(Run(f"INSERT INTO t VALUES ({n}) {comment}") for n in range(300)),
        RunMany("INSERT INTO t VALUES (?1)", tuple((n,) for n in range(200_000))),
        Run("INSERT INTO t VALUES (?1)", (longest,)),
    )
    (ran,) = runner.run(Plan(works=(work(*operations, size=8 << 20),))).ran
    assert len(ran.bodies) > 4
    assert max(map(len, ran.bodies)) <= RECORD_BYTES_MAX
    statements: list[Statement] = [statement for body in ran.bodies for statement in decode_unit(body).statements]
    assert sum(len(statement.parameter_sets) for statement in statements) == 200_301
