"""A cancel may come at any time: it stops its client's statement, and never what is ours."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from lfsql.core.ids import Position
from lfsql.core.requests import (
    ABORTED,
    COMMIT,
    COMMITTED,
    HOLD,
    OPEN,
    ROLLBACK,
    Answer,
    Operation,
    Outcome,
    ReleaseSavepoint,
    RollbackToSavepoint,
    Run,
    SetSavepoint,
    Submit,
)
from lfsql.errors import QueryCanceled
from lfsql.node.batch import Plan, UnitRunner
from lfsql.node.run_control import RunControl
from lfsql.node.work import Work
from lfsql.storage.engine import Engine

CANCELED = QueryCanceled("canceling statement due to user request")


class Client:
    number = 1

    def answer(self, message: Answer) -> None:
        raise AssertionError("the runner answers nobody")


def is_cancelled(outcome: Outcome) -> bool:
    return outcome.fault is not None and outcome.fault.sqlstate == QueryCanceled.sqlstate


class Node:
    """An engine and its runner, and a cancel for whatever runs at the `due`th statement that SQLite begins."""

    def __init__(self, path: Path) -> None:
        self.engine = Engine(path)
        self.control = RunControl(self.engine.interrupt)
        self.runner = UnitRunner(self.engine, self.control, lambda: time.time_ns() // 1000, 1 << 20)
        self.running: Work | None = None
        self.due = -1
        self.begun = 0
        self.missed = False
        """The cancel came when nothing of a client's ran."""
        self._sequence = 0
        # SQLite looks whether to go on as often as it can.
        self.engine.connection.set_progress_handler(self.engine.stopping.is_due, 1)
        self.engine.connection.trace_v2(apsw.SQLITE_TRACE_STMT, self._on_statement)

    def _on_statement(self, _event: Any) -> None:
        if self.begun == self.due and self.running is not None:
            self.control.stop(self.running, CANCELED)
        self.begun += 1

    def unit(self, *parts: tuple[tuple[Operation, ...], int]) -> list[Outcome]:
        """Run a unit in so many Submits; its outcomes, until it is over.  A client rolls back what was cancelled."""
        self._sequence += 1
        outcomes: list[Outcome] = []
        held = parts[0][1] == HOLD
        waiting = list(parts)
        while waiting:
            operations, end = waiting.pop(0)
            work = Work(Client(), Submit(1, "client", self._sequence, operations, end), 100)
            self.running = work
            begin = not self.engine.connection.in_transaction
            report = self.runner.run(Plan(works=(work,), begin=begin, held=held, opens=held and not outcomes))
            self.running = None
            (ran,) = report.ran
            assert isinstance(ran.outcome, Outcome)
            outcomes.append(ran.outcome)
            if ran.outcome.state != OPEN:
                break
            if is_cancelled(ran.outcome):
                waiting = [((), ROLLBACK)]
        return outcomes

    def rows(self) -> list[Any]:
        return self.engine.connection.execute("SELECT a FROM t ORDER BY a").fetchall()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "data.db")
    assert (
        node.unit(((Run("CREATE TABLE t (a INTEGER PRIMARY KEY, b UNIQUE)"), Run(_DEFERRED)), COMMIT))[0].fault
        is None
    )
    node.engine.commit(Position(1, 1, b"h" * 16), [1])
    yield node
    node.engine.rollback()
    node.engine.close()


_DEFERRED = "CREATE TABLE k (a REFERENCES t DEFERRABLE INITIALLY DEFERRED)"
_PORTAL = Run("SELECT a FROM t UNION ALL SELECT 7 UNION ALL SELECT 8", (), portal=1, rows_max=1)
_READ = Run("SELECT count(*) FROM t")
_WRONG = Run("INSERT INTO t VALUES (100, 1), (101, 1)")


def insert(*numbers: int) -> tuple[Operation, ...]:
    return tuple(Run("INSERT INTO t VALUES (?1, ?1)", (number,)) for number in numbers)


UNITS: dict[str, tuple[tuple[tuple[Operation, ...], int], ...]] = {
    "one": ((insert(1, 2), COMMIT),),
    "one that fails": (((*insert(1, 2), _WRONG), COMMIT),),
    "one with a broken key": (((*insert(1), Run("INSERT INTO k VALUES (9)")), COMMIT),),
    "of which only results are wanted": (((*insert(1), _READ), ROLLBACK),),
    "held": ((insert(1), HOLD), (insert(2), HOLD), ((_READ,), HOLD), ((), COMMIT)),
    "held, with a query open": (((*insert(1), _PORTAL), HOLD), ((_READ,), HOLD), ((), COMMIT)),
    "held, taken back": ((insert(1, 2), HOLD), ((), ROLLBACK)),
    "held, with savepoints": (
        ((*insert(1), SetSavepoint("s"), *insert(2)), HOLD),
        ((_WRONG,), HOLD),
        ((RollbackToSavepoint("s"), *insert(3), ReleaseSavepoint("s")), HOLD),
        ((), COMMIT),
    ),
    "held, with a broken key": (((*insert(1), Run("INSERT INTO k VALUES (9)")), HOLD), ((), COMMIT)),
    "a schema change": (((Run("CREATE TABLE u (a)"), *insert(1), Run("DROP TABLE u")), COMMIT),),
}


@pytest.mark.parametrize("name", UNITS)
def test_wherever_a_cancel_comes_the_outcome_is_true_and_the_node_goes_on(node: Node, name: str) -> None:
    before = node.rows()
    stopped = 0
    for due in itertools.count():
        node.due, node.begun = due, 0
        outcomes = node.unit(*UNITS[name])
        begun, node.due = node.begun, -1
        last = outcomes[-1]
        assert last.state in (COMMITTED, ABORTED), f"at statement {due}"
        stopped += any(map(is_cancelled, outcomes))
        assert not node.engine.unit_is_open
        if not node.engine.connection.in_transaction:
            node.engine.begin()
        assert (node.rows() != before) == (last.state == COMMITTED), f"at statement {due}"
        # What comes next is not hit by what came for another.
        assert node.unit((insert(50), COMMIT))[0].state == COMMITTED
        node.engine.rollback()
        if begun <= due:
            break
    assert stopped


def test_a_commit_of_what_has_run_is_not_cancelled(node: Node) -> None:
    """It is marked before it has begun, as it waited for the thread."""
    node.engine.begin()
    node.unit((insert(1), HOLD))
    for end, state in ((COMMIT, COMMITTED), (ROLLBACK, ABORTED)):
        if end == ROLLBACK:
            node.unit((insert(2), HOLD))
        work = Work(Client(), Submit(1, "client", 1, (), end), 100)
        node.control.stop(work, CANCELED)
        (ran,) = node.runner.run(Plan(works=(work,), held=True)).ran
        assert isinstance(ran.outcome, Outcome)
        assert (ran.outcome.state, ran.outcome.fault) == (state, None)
    assert node.rows() == [(1,)]


def test_what_has_run_is_not_stopped_when_it_is_run_again(node: Node) -> None:
    """The cancel came between its last statement and its report."""
    work = Work(Client(), Submit(1, "client", 1, insert(1), HOLD), 100)
    node.runner.run(Plan(works=(work,), begin=True, held=True, opens=True))
    node.control.stop(work, CANCELED)
    assert work.stopped is None
