"""Units, batches and applying: every hole of a batch of savepoints has its test here."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lfsql.core.entry import NOOP, UNIT, Effect, Record, Unit, encode_unit
from lfsql.core.ids import Position
from lfsql.core.requests import RollbackToSavepoint, Run, RunMany, SetSavepoint
from lfsql.errors import (
    CheckViolation,
    DataCorrupted,
    Diverged,
    ForeignKeyViolation,
    InvariantBroken,
    LimitExceeded,
    NotNullViolation,
    QueryCanceled,
    UniqueViolation,
)
from lfsql.storage.engine import BatchLost, Engine
from tests.storage.pair import CLOCK_US, Pair, dump, position, rows

TABLE = (
    "CREATE TABLE t (a INTEGER PRIMARY KEY, b text NOT NULL, c text DEFAULT CURRENT_TIMESTAMP, d DEFAULT (random()))"
)


def make_table(pair: Pair) -> None:
    pair.execute(TABLE)


def test_a_replica_computes_the_same_clock_and_random_defaults(pair: Pair) -> None:
    make_table(pair)
    pair.execute(RunMany("INSERT INTO t (b) VALUES (?1)", (("x",), ("y",))), "INSERT INTO t (b) VALUES (date('now'))")
    found = rows(pair.replica, "SELECT b, c, d FROM t ORDER BY a")
    assert [row[:2] for row in found] == [
        ("x", "2023-11-14 22:13:22"),
        ("y", "2023-11-14 22:13:22"),
        ("2023-11-14", "2023-11-14 22:13:22"),
    ]
    assert len({row[2] for row in found}) == 3


def test_reads_between_writes_do_not_shift_the_random_draws(pair: Pair) -> None:
    make_table(pair)
    results = pair.execute(
        "SELECT random()",
        "SELECT random()",
        "INSERT INTO t (b) VALUES (hex(randomblob(4)))",
        "SELECT random() FROM (VALUES (1), (2))",
        "INSERT INTO t (b) VALUES (hex(randomblob(4)))",
    )
    drawn = [row[0] for result in results for row in result.rows]
    assert len(set(drawn)) == 4


def test_only_what_writes_is_logged(engine: Engine) -> None:
    engine.begin()
    engine.open_unit("c", 1, CLOCK_US, 1)
    engine.run(Run("SELECT 1"))
    engine.run(Run("EXPLAIN CREATE TABLE t (a)"))
    readonly = [engine.unit_is_readonly]
    engine.run(Run("CREATE TABLE t (a)"))
    readonly.append(engine.unit_is_readonly)
    assert readonly == [True, False]
    assert [statement.sql for statement in engine.close_unit().statements] == ["CREATE TABLE t (a)"]


def test_run_many_is_one_statement_and_counts_its_rows(engine: Engine) -> None:
    engine.begin()
    engine.open_unit("c", 1, CLOCK_US, 1)
    engine.run(Run("CREATE TABLE t (a)"))
    engine.run(Run("CREATE TABLE log (a)"))
    engine.run(Run("CREATE TRIGGER r AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.a); END"))
    result = engine.run(RunMany("INSERT INTO t VALUES (?1)", ((1,), (2,), (3,))))
    assert result.rows_changed == 3
    assert engine.run(Run("UPDATE t SET a = a + 1")).rows_changed == 3
    unit = engine.close_unit()
    assert unit.statements[3].parameter_sets == ((1,), (2,), (3,))
    assert unit.effect.rows_changed == 9


def test_a_failed_parameter_set_undoes_the_whole_run_and_nothing_else(pair: Pair) -> None:
    make_table(pair)
    pair.primary.begin()
    pair.primary.open_unit("c", 1, CLOCK_US, 1)
    pair.primary.run(Run("INSERT INTO t (a, b) VALUES (1, 'kept')"))
    with pytest.raises(UniqueViolation):
        pair.primary.run(RunMany("INSERT INTO t (a, b) VALUES (?1, 'x')", ((2,), (3,), (1,))))
    assert pair.primary.run(Run("SELECT last_insert_rowid(), changes(), total_changes()")).rows == ((1, 1, 1),)
    pair.units.append(pair.primary.close_unit())
    pair.commit()
    assert rows(pair.replica, "SELECT a, b FROM t") == [(1, "kept")]


@pytest.mark.parametrize("clause", ["OR FAIL", "OR ABORT", ""])
def test_a_failed_statement_leaves_nothing_behind(pair: Pair, clause: str) -> None:
    make_table(pair)
    pair.execute("INSERT INTO t (a, b) VALUES (7, 'x')")
    pair.primary.begin()
    pair.primary.open_unit("c", 1, CLOCK_US, 1)
    for _ in range(2):  # as the first statement of a unit, then as a later one
        with pytest.raises(UniqueViolation):
            pair.primary.run(Run(f"INSERT {clause} INTO t (a, b) VALUES (5, 'a'), (7, 'b')"))
        pair.primary.run(Run("INSERT INTO t (b) VALUES (last_insert_rowid() || ' ' || changes())"))
    pair.units.append(pair.primary.close_unit())
    pair.commit()
    assert rows(pair.replica, "SELECT a, b FROM t") == [(7, "x"), (8, "0 0"), (9, "8 1")]


def test_what_failed_for_one_client_is_not_seen_by_the_next(pair: Pair) -> None:
    make_table(pair)
    pair.primary.begin()
    pair.primary.open_unit("c", 1, CLOCK_US, 1)
    pair.primary.run(Run("INSERT INTO t (a, b) VALUES (41, 'x')"))
    pair.primary.abandon_unit()
    assert pair.unit("INSERT INTO t (a, b) VALUES (last_insert_rowid(), changes())")
    pair.commit()
    assert rows(pair.replica, "SELECT a, b FROM t") == [(0, "0")]


def test_units_of_a_batch_fail_alone(pair: Pair) -> None:
    make_table(pair)
    pair.primary.begin()
    pair.unit("INSERT INTO t (a, b) VALUES (1, 'x')")
    pair.primary.open_unit("other", 1, CLOCK_US, 1)
    with pytest.raises(NotNullViolation):
        pair.primary.run(Run("INSERT INTO t (a, b) VALUES (2, NULL)"))
    pair.primary.abandon_unit()
    pair.unit("INSERT INTO t (a, b) VALUES (3, 'y')")
    assert pair.primary.units == 2
    pair.commit()
    assert rows(pair.replica, "SELECT a FROM t") == [(1,), (3,)]


def test_or_rollback_loses_the_batch_and_says_so(pair: Pair) -> None:
    make_table(pair)
    pair.execute("INSERT INTO t (a, b) VALUES (1, 'x')")
    before = dump(pair.primary)
    pair.primary.begin()
    pair.primary.open_unit("c", 1, CLOCK_US, 1)
    pair.primary.run(Run("INSERT INTO t (a, b) VALUES (2, 'y')"))
    pair.primary.close_unit()
    pair.primary.open_unit("d", 1, CLOCK_US, 1)
    with pytest.raises(BatchLost) as lost:
        pair.primary.run(Run("INSERT OR ROLLBACK INTO t (a, b) VALUES (1, 'z')"))
    assert isinstance(lost.value.fault, UniqueViolation)
    assert pair.primary.units == 0
    assert not pair.primary.unit_is_open
    assert dump(pair.primary) == before
    pair.execute("INSERT INTO t (a, b) VALUES (2, 'again')")


def test_an_interrupted_write_loses_the_batch(engine: Engine) -> None:
    engine.begin()
    engine.open_unit("c", 1, CLOCK_US, 1)
    engine.run(Run("CREATE TABLE t (a)"))
    started = threading.Event()
    engine.connection.create_scalar_function("started", lambda *_: started.set(), 0)

    def interrupt() -> None:
        started.wait()
        engine.interrupt()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(BatchLost) as lost:
        engine.run(
            Run("WITH RECURSIVE c (x) AS (SELECT started() UNION ALL SELECT x FROM c) INSERT INTO t SELECT x FROM c")
        )
    thread.join()
    assert isinstance(lost.value.fault, QueryCanceled)
    assert engine.schema_index == 0


def test_an_interrupted_read_harms_nothing(engine: Engine) -> None:
    engine.begin()
    engine.open_unit("c", 1, CLOCK_US, 1)
    engine.run(Run("CREATE TABLE t (a)"))
    engine.connection.create_scalar_function("stop", lambda *_: engine.interrupt(), 0)
    with pytest.raises(QueryCanceled):
        engine.run(Run("WITH RECURSIVE c (x) AS (SELECT stop() UNION ALL SELECT x FROM c) SELECT max(x) FROM c"))
    engine.close_unit()
    assert engine.units == 1


def test_a_deferred_foreign_key_fails_before_the_log(engine: Engine) -> None:
    engine.begin()
    engine.open_unit("c", 1, CLOCK_US, 1)
    engine.run(Run("CREATE TABLE p (id INTEGER PRIMARY KEY)"))
    engine.run(Run("CREATE TABLE k (id integer REFERENCES p DEFERRABLE INITIALLY DEFERRED)"))
    engine.close_unit()
    engine.open_unit("d", 1, CLOCK_US, 1)
    engine.run(Run("INSERT INTO k VALUES (1)"))
    with pytest.raises(ForeignKeyViolation) as violation:
        engine.close_unit()
    assert violation.value.constraint == "k_id_fkey"
    engine.abandon_unit()
    engine.open_unit("e", 1, CLOCK_US, 1)
    engine.run(Run("INSERT INTO k VALUES (1)"))
    engine.run(Run("INSERT INTO p VALUES (1)"))
    engine.close_unit()
    engine.commit(Position(2, 1, b"h" * 16), [1, 2])
    assert rows(engine, "SELECT id FROM k") == [(1,)]


def test_the_exactly_once_record_is_written_with_the_data(pair: Pair, tmp_path: Path) -> None:
    make_table(pair)
    pair.primary.begin()
    pair.unit("INSERT INTO t (b) VALUES ('x')")
    pending = pair.primary.look_up("client", 2)
    assert pending is not None
    assert pending.result == b"result 2"
    pair.commit()
    for engine in (pair.primary, pair.replica):
        found = engine.look_up("client", 2)
        assert found is not None
        assert (found.sequence, found.index, found.result) == (2, 2, b"result 2")
        assert engine.look_up("client", 3) is None
        assert engine.look_up("nobody", 1) is None
    late = pair.primary.look_up("client", 1)
    assert late is not None
    assert late.sequence == 2, "an older piece of work must be seen to be over"


def test_exactly_once_records_expire_by_log_index_however_batches_are_cut(tmp_path: Path) -> None:
    one = Engine(tmp_path / "one.db", clients_kept=100)
    many = Engine(tmp_path / "many.db", clients_kept=100)
    records = [
        Record(
            i, 1, UNIT, i.to_bytes(16, "big"), encode_unit(Unit(CLOCK_US, i, f"c{i}", 1, (), Effect(), b"r", False))
        )
        for i in range(1, 1101)
    ]
    one.apply(records)
    for start in range(0, len(records), 7):
        many.apply(records[start : start + 7])
    assert dump(one) == dump(many)
    assert one.look_up("c924", 1) is None  # 1024 - 100
    assert one.look_up("c925", 1) is not None
    one.close()
    many.close()


def test_uncommitted_schema_changes_have_an_index_no_plan_can_have(pair: Pair) -> None:
    make_table(pair)
    engine = pair.primary
    assert engine.schema_index == 1
    engine.begin()
    engine.open_unit("c", 1, CLOCK_US, 1)
    engine.run(SetSavepoint("s"))
    engine.run(Run("CREATE TABLE u (a)"))
    first = engine.schema_index
    assert first < -1
    engine.run(RollbackToSavepoint("s"))
    assert engine.schema_index == 1
    engine.run(Run("CREATE TABLE v (a)"))
    assert engine.schema_index < first
    engine.abandon_unit()
    assert engine.schema_index == 1
    pair.unit("ALTER TABLE t ADD COLUMN e")
    assert pair.units[0].schema_changed
    pair.commit()
    assert pair.primary.schema_index == pair.replica.schema_index == 2


def test_closing_rolls_back_and_the_file_is_found_where_it_was(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "data.db")
    engine.begin()
    engine.open_unit("c", 1, CLOCK_US, 1)
    engine.run(Run("CREATE TABLE t (a)"))
    engine.close_unit()
    engine.commit(Position(9, 2, b"h" * 16), [9])
    engine.begin()
    engine.open_unit("c", 2, CLOCK_US, 1)
    engine.run(Run("INSERT INTO t VALUES (1)"))
    engine.close()
    again = Engine(tmp_path / "data.db")
    assert again.position == Position(9, 2, b"h" * 16)
    assert (again.schema_index, again.clock_us) == (9, CLOCK_US)
    assert rows(again, "SELECT * FROM t") == []
    again.close()


def test_rollback_undoes_all_units(engine: Engine) -> None:
    engine.begin()
    engine.open_unit("c", 1, CLOCK_US, 1)
    engine.run(Run("CREATE TABLE t (a)"))
    engine.close_unit()
    engine.open_unit("d", 1, CLOCK_US, 1)
    engine.rollback()
    engine.rollback()
    assert (engine.schema_index, engine.units, engine.unit_is_open) == (0, 0, False)
    assert engine.look_up("c", 1) is None


def test_a_unit_too_large_for_memory_is_refused(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "data.db", unit_bytes_max=1000)
    engine.begin()
    engine.open_unit("c", 1, CLOCK_US, 1)
    engine.run(Run("CREATE TABLE t (a)"))
    with pytest.raises(LimitExceeded):
        engine.run(Run("INSERT INTO t VALUES (?1)", ("x" * 1000,)))
    assert engine.run(Run("SELECT count(*) FROM t")).rows == ((0,),)
    engine.close()


def test_a_value_that_is_no_utf8_never_gets_in(engine: Engine) -> None:
    engine.begin()
    engine.open_unit("c", 1, CLOCK_US, 1)
    engine.run(Run("CREATE TABLE t (a)"))
    with pytest.raises(Exception, match="invalid byte sequence"):
        engine.run(Run("INSERT INTO t VALUES (CAST(x'ff' AS TEXT))"))
    assert engine.run(Run("SELECT count(*) FROM t")).rows == ((0,),)


# -- Applying ----------------------------------------------------------------------------------------------


def test_a_different_effect_is_divergence_and_nothing_is_applied(pair: Pair) -> None:
    make_table(pair)
    pair.replica.connection.execute("INSERT INTO t (a, b, d) VALUES (1, 'smuggled in', 0)")
    pair.primary.begin()
    pair.unit("INSERT INTO t (b) VALUES ('x')")
    record = pair.append(UNIT, encode_unit(pair.units[0]))
    before = dump(pair.replica)
    with pytest.raises(Diverged, match="entry 2 had another effect"):
        pair.replica.apply([record])
    assert dump(pair.replica) == before
    assert pair.replica.next_index == 2


def test_the_same_rows_with_another_value_are_divergence(pair: Pair) -> None:
    make_table(pair)
    pair.execute("INSERT INTO t (b) VALUES ('x')")
    pair.replica.connection.execute("UPDATE t SET b = 'y'")
    pair.primary.begin()
    pair.unit("UPDATE t SET c = b")
    with pytest.raises(Diverged):
        pair.replica.apply([pair.append(UNIT, encode_unit(pair.units[0]))])


def test_a_statement_that_fails_on_the_replica_is_divergence(pair: Pair) -> None:
    make_table(pair)
    pair.replica.connection.execute("DROP TABLE t")
    pair.primary.begin()
    pair.unit("INSERT INTO t (b) VALUES ('x')")
    with pytest.raises(Diverged, match="entry 2 failed here"):
        pair.replica.apply([pair.append(UNIT, encode_unit(pair.units[0]))])


def test_another_schema_is_divergence(pair: Pair) -> None:
    make_table(pair)
    pair.replica.connection.execute("CREATE INDEX i ON t (b)")
    pair.primary.begin()
    pair.unit("CREATE TABLE u (a)")
    with pytest.raises(Diverged):
        pair.replica.apply([pair.append(UNIT, encode_unit(pair.units[0]))])


def test_a_damaged_body_and_a_gap_are_refused(pair: Pair) -> None:
    with pytest.raises(DataCorrupted):
        pair.replica.apply([pair.append(UNIT, b"\xc1")])
    with pytest.raises(InvariantBroken):
        pair.replica.apply([pair.append(NOOP, b"")])


def pieces(pair: Pair) -> list[Unit]:
    """A unit of three inserts, cut into three."""
    pair.primary.begin()
    pair.unit(*(f"INSERT INTO t (b) VALUES ('{name}')" for name in "xyz"))
    whole = pair.units.pop()
    cut = [
        Unit(whole.clock_us, whole.seed, whole.client, whole.sequence, (statement,), more=True)
        for statement in whole.statements[:-1]
    ]
    last = Unit(
        whole.clock_us, whole.seed, whole.client, whole.sequence, whole.statements[-1:], whole.effect, whole.result
    )
    return [*cut, last]


@pytest.mark.parametrize("calls", [(3,), (1, 1, 1), (2, 1)])
def test_a_unit_cut_into_several_records_applies_as_one(pair: Pair, calls: tuple[int, ...]) -> None:
    make_table(pair)
    records = [pair.append(UNIT, encode_unit(piece)) for piece in pieces(pair)]
    pair.primary.commit(position(records[-1]), [records[-1].index])
    start = 0
    for count in calls:
        assert pair.replica.position.index == 1, "nothing of an unfinished run may be visible"
        assert pair.replica.next_index == 2 + start
        pair.replica.apply(records[start : start + count])
        start += count
    pair.assert_equal()


@pytest.mark.parametrize("calls", [(4,), (1, 1, 1, 1), (2, 2), (3, 1)])
def test_an_unfinished_run_is_skipped(pair: Pair, calls: tuple[int, ...]) -> None:
    make_table(pair)
    cut = pieces(pair)
    pair.primary.rollback()
    records = [pair.append(UNIT, encode_unit(cut[0])), pair.append(UNIT, encode_unit(cut[1])), pair.append(NOOP, b"")]
    pair.primary.begin()
    pair.unit("INSERT INTO t (b) VALUES ('after')")
    records.append(pair.append(UNIT, encode_unit(pair.units.pop())))
    pair.primary.commit(position(records[-1]), [records[-1].index])
    start = 0
    for count in calls:
        pair.replica.apply(records[start : start + count])
        start += count
    pair.assert_equal()
    assert rows(pair.replica, "SELECT b FROM t") == [("after",)]


@pytest.mark.parametrize("calls", [(5,), (1, 1, 1, 1, 1), (3, 2)])
def test_a_run_may_interrupt_a_run(pair: Pair, calls: tuple[int, ...]) -> None:
    make_table(pair)
    dead = pieces(pair)[:2]
    pair.primary.rollback()
    records = [pair.append(UNIT, encode_unit(piece)) for piece in dead]
    records += [pair.append(UNIT, encode_unit(piece)) for piece in pieces(pair)]
    pair.primary.commit(position(records[-1]), [records[-1].index])
    start = 0
    for count in calls:
        pair.replica.apply(records[start : start + count])
        start += count
        assert pair.replica.next_index == records[start - 1].index + 1
    pair.assert_equal()


def test_noops_only_move_the_position(pair: Pair) -> None:
    pair.replica.apply([pair.append(NOOP, b""), pair.append(NOOP, b"")])
    assert pair.replica.position == position(pair.records[-1])
    pair.replica.apply([])
    assert pair.replica.next_index == 3


# -- Rebuilding a table ------------------------------------------------------------------------------------

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
