"""Savepoints and portals inside a unit, by PostgreSQL's rules."""

from __future__ import annotations

import pytest

from lfsql.core.requests import ClosePortal, Fetch, ReleaseSavepoint, RollbackToSavepoint, Run, RunMany, SetSavepoint
from lfsql.errors import (
    DuplicateCursor,
    LimitExceeded,
    ProtocolViolation,
    QueryCanceled,
    UndefinedCursor,
    UndefinedSavepoint,
    UniqueViolation,
)
from lfsql.storage import unit as unit_module
from lfsql.storage import unit_reads
from lfsql.storage.engine import Engine
from tests.storage.pair import CLOCK_US, Pair, rows


@pytest.fixture
def open_pair(pair: Pair) -> Pair:
    pair.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, r DEFAULT (random()))")
    pair.primary.begin()
    pair.primary.open_unit("c", 1, CLOCK_US, 1)
    return pair


def insert(pair: Pair, *numbers: int) -> None:
    for number in numbers:
        pair.primary.run(Run("INSERT INTO t (a) VALUES (?1)", (number,)))


def finish(pair: Pair) -> list[object]:
    """Close, commit, apply, compare; the keys that remain."""
    pair.units.append(pair.primary.close_unit())
    pair.commit()
    return [row[0] for row in rows(pair.replica, "SELECT a FROM t ORDER BY a")]


def test_rolling_back_to_a_savepoint_forgets_what_followed(open_pair: Pair) -> None:
    insert(open_pair, 1)
    open_pair.primary.run(SetSavepoint("s"))
    insert(open_pair, 2)
    open_pair.primary.run(RollbackToSavepoint("s"))
    insert(open_pair, 3)
    open_pair.primary.run(RollbackToSavepoint("s"))  # it is still there
    insert(open_pair, 4)
    assert finish(open_pair) == [1, 4]


def test_a_second_savepoint_of_a_name_shadows_the_first_until_released(open_pair: Pair) -> None:
    run = open_pair.primary.run
    run(SetSavepoint("s"))
    insert(open_pair, 1)
    run(SetSavepoint("s"))
    insert(open_pair, 2)
    run(RollbackToSavepoint("s"))
    run(ReleaseSavepoint("s"))
    insert(open_pair, 3)
    run(RollbackToSavepoint("s"))
    insert(open_pair, 4)
    assert finish(open_pair) == [4]


def test_releasing_a_savepoint_releases_those_inside_it(open_pair: Pair) -> None:
    run = open_pair.primary.run
    for name in ("outer", "inner"):
        run(SetSavepoint(name))
    insert(open_pair, 1)
    run(ReleaseSavepoint("outer"))
    for operation in (ReleaseSavepoint("inner"), RollbackToSavepoint("inner"), RollbackToSavepoint("outer")):
        with pytest.raises(UndefinedSavepoint):
            run(operation)
    assert finish(open_pair) == [1]


def test_names_never_reach_sqlite(open_pair: Pair) -> None:
    run = open_pair.primary.run
    for name in ("_lfsql_unit", "_lfsql_statement", '"; COMMIT', ""):
        run(SetSavepoint(name))
        insert(open_pair, 1)
        run(RollbackToSavepoint(name))
        run(ReleaseSavepoint(name))
    insert(open_pair, 5)
    assert finish(open_pair) == [5]


def test_a_statement_that_fails_inside_a_savepoint_is_undone_alone(open_pair: Pair) -> None:
    run = open_pair.primary.run
    insert(open_pair, 1)
    run(SetSavepoint("s"))
    for _ in range(2):
        with pytest.raises(UniqueViolation):
            run(RunMany("INSERT INTO t (a) VALUES (?1)", ((2,), (1,))))
        insert(open_pair, 3 + _)
    run(SetSavepoint("s2"))
    with pytest.raises(UniqueViolation):
        run(Run("INSERT OR FAIL INTO t (a) VALUES (7), (1)"))
    assert finish(open_pair) == [1, 3, 4]


def test_schema_changes_roll_back_with_their_savepoint(open_pair: Pair) -> None:
    run = open_pair.primary.run
    run(SetSavepoint("s"))
    run(Run("ALTER TABLE t ADD COLUMN extra"))
    run(Run("INSERT INTO t (a, extra) VALUES (1, 1)"))
    run(RollbackToSavepoint("s"))
    with pytest.raises(Exception, match="extra"):
        run(Run("INSERT INTO t (a, extra) VALUES (1, 1)"))
    insert(open_pair, 2)
    assert finish(open_pair) == [2]


def test_savepoints_are_bounded(engine: Engine) -> None:
    engine.begin()
    engine.open_unit("c", 1, CLOCK_US, 1)
    with pytest.raises(LimitExceeded):
        for _ in range(unit_module.SAVEPOINTS_MAX + 1):
            engine.run(SetSavepoint("s"))


# -- Portals -----------------------------------------------------------------------------------------------


def test_a_portal_is_fetched_in_pieces(open_pair: Pair) -> None:
    run = open_pair.primary.run
    insert(open_pair, 1, 2, 3, 4, 5)
    first = run(Run("SELECT a FROM t ORDER BY a", (), portal=1, rows_max=2))
    assert (first.rows, first.more) == (((1,), (2,)), True)
    second = run(Fetch(1, 3))
    assert (second.rows, second.more) == (((3,), (4,), (5,)), False)
    assert run(Fetch(1)).rows == ()
    run(ClosePortal(1))
    run(ClosePortal(1))
    with pytest.raises(UndefinedCursor):
        run(Fetch(1))


def test_a_portal_does_not_see_what_is_written_after_it_was_opened(open_pair: Pair) -> None:
    run = open_pair.primary.run
    insert(open_pair, 1, 2, 3)
    run(Run("SELECT a FROM t ORDER BY a", (), portal=1, rows_max=1))
    run(Run("DELETE FROM t WHERE a = 2"))
    insert(open_pair, 9)
    run(Run("ALTER TABLE t ADD COLUMN extra"))
    assert run(Fetch(1)).rows == ((2,), (3,))
    assert finish(open_pair) == [1, 3, 9]


def test_portals_of_one_unit_are_independent(open_pair: Pair) -> None:
    run = open_pair.primary.run
    insert(open_pair, 1, 2, 3)
    run(Run("SELECT a FROM t ORDER BY a", (), portal=1, rows_max=1))
    run(Run("SELECT a FROM t ORDER BY a DESC", (), portal=2, rows_max=1))
    with pytest.raises(DuplicateCursor):
        run(Run("SELECT 1", (), portal=2, rows_max=1))
    assert run(Fetch(1, 1)).rows == ((2,),)
    assert run(Fetch(2, 1)).rows == ((2,),)
    assert run(Fetch(1, 1)).rows == ((3,),)


def test_random_draws_of_a_portal_never_shift_those_of_writes(open_pair: Pair) -> None:
    run = open_pair.primary.run
    insert(open_pair, 1, 2, 3)
    drawn = list(run(Run("SELECT random() FROM t", (), portal=1, rows_max=1)).rows)
    drawn += run(Run("SELECT random()")).rows
    drawn += run(Fetch(1, 1)).rows
    insert(open_pair, 4)
    drawn += run(Fetch(1, 1)).rows
    assert len(set(drawn)) == 4
    assert finish(open_pair) == [1, 2, 3, 4]


def test_rows_that_a_write_returns_can_be_fetched_in_pieces(open_pair: Pair) -> None:
    run = open_pair.primary.run
    first = run(Run("INSERT INTO t (a) VALUES (1), (2), (3) RETURNING a", (), portal=1, rows_max=2))
    assert (first.rows, first.rows_changed, first.more) == (((1,), (2,)), 3, True)
    assert run(Fetch(1, 2)).rows == ((3,),)
    assert finish(open_pair) == [1, 2, 3]


def test_a_portal_that_fails_midway_closes_and_the_unit_goes_on(open_pair: Pair) -> None:
    run = open_pair.primary.run

    def stop(*_: object) -> None:
        raise QueryCanceled("canceling statement due to user request")

    open_pair.primary.connection.create_scalar_function("stop", stop, 0)
    insert(open_pair, *range(1, 20))
    run(Run("SELECT a, CASE WHEN a > 5 THEN stop() END FROM t ORDER BY a", (), portal=1, rows_max=2))
    with pytest.raises(QueryCanceled):
        run(Fetch(1))
    insert(open_pair, 20)
    assert len(finish(open_pair)) == 20


def test_portals_end_with_a_rollback_to_a_savepoint_and_with_the_unit(open_pair: Pair) -> None:
    run = open_pair.primary.run
    insert(open_pair, 1, 2, 3)
    run(SetSavepoint("s"))
    run(Run("SELECT a FROM t", (), portal=1, rows_max=1))
    run(RollbackToSavepoint("s"))
    with pytest.raises(UndefinedCursor):
        run(Fetch(1))
    run(Run("SELECT a FROM t", (), portal=1, rows_max=1))
    assert finish(open_pair) == [1, 2, 3]


def test_results_and_portals_are_bounded(open_pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_reads, "RESULT_BYTES_MAX", 10_000)
    run = open_pair.primary.run
    open_pair.primary.restart_results()
    many = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 1000) SELECT x FROM c"
    with pytest.raises(LimitExceeded, match="take more than 10000 bytes"):
        run(Run(many))
    open_pair.primary.restart_results()
    assert run(Run(many, (), portal=1, rows_max=50)).more
    with pytest.raises(LimitExceeded):
        insert(open_pair, 1)
    insert(open_pair, 2)
    assert finish(open_pair) == [2]


def test_results_that_are_sent_together_are_bounded_together(
    open_pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit_reads, "RESULT_BYTES_MAX", 10_000)
    engine = open_pair.primary
    engine.restart_results()
    for _ in range(2):
        engine.run(Run("SELECT zeroblob(4000)"))
    with pytest.raises(LimitExceeded, match="take more than 10000 bytes") as caught:
        engine.run(Run("INSERT INTO t (a) VALUES (7) RETURNING zeroblob(4000)"))
    assert caught.value.sqlstate == "54000"
    assert caught.value.hint
    engine.restart_results()
    assert len(engine.run(Run("SELECT zeroblob(4000)")).rows) == 1
    insert(open_pair, 1)
    assert finish(open_pair) == [1], "what failed is undone"


def test_large_rows_are_read_few_at_a_time(open_pair: Pair) -> None:
    """A megabyte each: what goes over the limit is known long before a thousand are there."""
    made: list[int] = []

    def large(*_arguments: object) -> bytes:
        made.append(1)
        return bytes(1 << 20)

    open_pair.primary.connection.create_scalar_function("large", large, 1)
    many = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 1000) SELECT large(x) FROM c"
    with pytest.raises(LimitExceeded):
        open_pair.primary.run(Run(many))
    assert 60 < len(made) < 70
    assert finish(open_pair) == []


def test_run_many_is_for_writes(open_pair: Pair) -> None:
    with pytest.raises(ProtocolViolation):
        open_pair.primary.run(RunMany("SELECT ?1", ((1,), (2,))))
    assert open_pair.primary.run(RunMany("INSERT INTO t (a) VALUES (?1)", ())).rows_changed == 0
