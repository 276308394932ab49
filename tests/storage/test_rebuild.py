"""Rebuilding a table inside a unit keeps what refers to it, on the primary and on replicas."""

from __future__ import annotations

import pytest

from lfsql.core.requests import RollbackToSavepoint, Run, SetSavepoint
from lfsql.errors import CheckViolation, ForeignKeyViolation, InvariantBroken
from tests.storage.pair import CLOCK_US, Pair, dump, rows

REBUILD = (
    "PRAGMA lfsql_rebuild=begin",
    "/*lfsql*/CREATE TABLE _lfsql_new_p (id INTEGER PRIMARY KEY, n int4 integer, CHECK (n > 0))",
    "/*lfsql*/INSERT INTO _lfsql_new_p SELECT id, n FROM p",
    "/*lfsql*/DROP TABLE p",
    "/*lfsql*/ALTER TABLE _lfsql_new_p RENAME TO p",
    "PRAGMA lfsql_rebuild=end",
)


def make_family(pair: Pair) -> None:
    pair.execute(
        "CREATE TABLE p (id INTEGER PRIMARY KEY, n)",
        "CREATE TABLE k (p REFERENCES p ON DELETE CASCADE)",
        "CREATE VIEW v AS SELECT n FROM p",
        "INSERT INTO p VALUES (1, 10), (2, 20)",
        "INSERT INTO k VALUES (1), (2), (2)",
    )


def test_rebuilding_a_table_keeps_its_children_and_views(pair: Pair) -> None:
    make_family(pair)
    pair.execute(*REBUILD)
    for engine in (pair.primary, pair.replica):
        assert rows(engine, "SELECT p FROM k") == [(1,), (2,), (2,)]
        assert rows(engine, "SELECT sum(n) FROM v") == [(30,)]
        assert rows(engine, "SELECT sql FROM sqlite_schema WHERE name = 'k'") == [
            ("CREATE TABLE k (p REFERENCES p ON DELETE CASCADE)",)
        ]
    pair.execute("DELETE FROM p WHERE id = 2")
    assert rows(pair.replica, "SELECT p FROM k") == [(1,)]
    pair.primary.begin()
    pair.primary.open_unit("c", 1, CLOCK_US, 1)
    with pytest.raises(CheckViolation):
        pair.primary.run(Run("UPDATE p SET n = 0"))
    with pytest.raises(ForeignKeyViolation):
        pair.primary.run(Run("INSERT INTO k VALUES (9)"))


def test_a_rebuild_that_breaks_a_key_is_refused(pair: Pair) -> None:
    make_family(pair)
    before = dump(pair.primary)
    pair.primary.begin()
    pair.primary.open_unit("c", 1, CLOCK_US, 1)
    for sql in REBUILD[:-1]:
        pair.primary.run(Run(sql.replace("FROM p", "FROM p WHERE id = 1")))
    with pytest.raises(ForeignKeyViolation):
        pair.primary.run(Run(REBUILD[-1]))
    with pytest.raises(ForeignKeyViolation):
        pair.primary.close_unit()
    pair.primary.rollback()
    assert dump(pair.primary) == before
    assert rows(pair.primary, "PRAGMA foreign_keys") == [(1,)]


def test_keys_are_enforced_again_however_a_rebuild_ends(pair: Pair) -> None:
    make_family(pair)
    pair.execute(*REBUILD[:-1])  # the unit's end ends it too
    engine = pair.primary
    engine.begin()
    engine.open_unit("c", 1, CLOCK_US, 1)
    engine.run(SetSavepoint("s"))
    engine.run(Run(REBUILD[0]))
    engine.run(RollbackToSavepoint("s"))
    with pytest.raises(ForeignKeyViolation):
        engine.run(Run("INSERT INTO k VALUES (9)"))
    engine.run(Run(REBUILD[0]))
    with pytest.raises(InvariantBroken):
        engine.run(Run(REBUILD[0]))
    engine.abandon_unit()
    engine.open_unit("c", 1, CLOCK_US, 1)
    with pytest.raises(ForeignKeyViolation):
        engine.run(Run("INSERT INTO k VALUES (9)"))
