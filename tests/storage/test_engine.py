"""Units, batches and applying: every hole of a batch of savepoints has its test here."""

from __future__ import annotations

import threading
from pathlib import Path

import apsw
import pytest

from lfsql.core.entry import UNIT, Effect, Record, Unit, encode_unit
from lfsql.core.ids import Position
from lfsql.core.requests import RollbackToSavepoint, Run, RunMany, SetSavepoint
from lfsql.errors import (
    DataCorrupted,
    ForeignKeyViolation,
    LimitExceeded,
    NotNullViolation,
    NumericOutOfRange,
    QueryCanceled,
    UniqueViolation,
)
from lfsql.storage.engine import TRUSTED, BatchLost, Engine
from tests.storage.pair import CLOCK_US, Pair, dump, rows

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


# -- Functions that write, and compaction ------------------------------------------------------------------


def register_sequence(engine: Engine) -> None:
    """A stand-in for nextval: its writes are its own statement, prepared while a client's runs."""

    def nextval(*arguments: object) -> object:
        engine.connection.execute(f"{TRUSTED}UPDATE _lfsql_sequences SET last_value = last_value + 1")
        return engine.connection.execute("SELECT last_value FROM _lfsql_sequences").get

    engine.connection.create_scalar_function("nextval", nextval, 1, flags=apsw.SQLITE_INNOCUOUS)


def test_a_select_that_draws_from_a_sequence_is_logged(pair: Pair) -> None:
    register_sequence(pair.primary)
    register_sequence(pair.replica)
    pair.execute(TRUSTED + "INSERT INTO _lfsql_sequences (name, last_value) VALUES ('s', 0)")
    first = pair.execute("SELECT nextval('s') FROM (VALUES (1), (2), (3))")
    assert first[0].rows == ((1,), (2,), (3,))
    piecewise = pair.execute(Run("SELECT nextval('s') FROM (VALUES (1), (2), (3))", (), portal=1, rows_max=1))
    assert (piecewise[0].rows, piecewise[0].more) == (((4,),), True)
    assert rows(pair.replica, "SELECT last_value FROM _lfsql_sequences") == [(6,)]


def test_a_select_that_draws_and_then_fails_draws_nothing(pair: Pair) -> None:
    register_sequence(pair.primary)
    register_sequence(pair.replica)
    pair.execute(TRUSTED + "INSERT INTO _lfsql_sequences (name, last_value) VALUES ('s', 0)")
    pair.primary.begin()
    pair.primary.open_unit("c", 1, CLOCK_US, 1)
    with pytest.raises(NumericOutOfRange):
        pair.primary.run(
            Run("SELECT CASE WHEN nextval('s') > 1 THEN abs(-9223372036854775808) END FROM (VALUES (1), (2))")
        )
    assert pair.primary.unit_is_readonly
    assert pair.primary.run(Run("SELECT last_value FROM _lfsql_sequences")).rows == ((0,),)


@pytest.mark.parametrize("damage", ["schema", "end", "pages"])
def test_a_damaged_file_is_a_clear_error(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "data.db"
    Engine(path).close()
    content = bytearray(path.read_bytes())
    if damage == "schema":
        content[100:4096] = b"\xa5" * 3996
    elif damage == "end":
        del content[8192:]
    else:
        for page in range(4096, len(content), 4096):
            content[page : page + 64] = b"\xa5" * 64
    path.write_bytes(content)
    with pytest.raises(DataCorrupted, match="is damaged"):
        Engine(path)
