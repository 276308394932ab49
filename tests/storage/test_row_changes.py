"""Statements whose effect depends on the order of rows go through the log as row changes, all others as text.

The replica here visits rows the other way round (`reverse_unordered_selects`) wherever no ORDER BY forbids it: what
it computed from the text of such a statement would be something else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfsql.core.entry import UNIT, Unit, decode_unit, encode_unit
from lfsql.core.requests import Run, RunMany
from lfsql.errors import Diverged, InsufficientPrivilege, IntegrityViolation, UniqueViolation
from lfsql.storage import row_changes
from lfsql.storage.engine import Engine
from lfsql.storage.row_changes import ROWS_BEGIN, ROWS_END
from tests.storage.pair import Pair, dump, position, rows

SCHEMA = (
    "CREATE TABLE parent (id INTEGER PRIMARY KEY, code text UNIQUE, n int)",
    """CREATE TABLE child (id INTEGER PRIMARY KEY AUTOINCREMENT, parent int REFERENCES parent(id) ON DELETE CASCADE,
    n int, UNIQUE (parent, n))""",
    "CREATE TABLE late (id INTEGER PRIMARY KEY, parent int REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)",
    "CREATE TABLE audit (what text, n int)",
    "CREATE TABLE loose (a, b real, c text DEFAULT (hex(randomblob(4))))",
    "CREATE TABLE keyed (a text, b int, c int GENERATED ALWAYS AS (b * 2) STORED, PRIMARY KEY (a, b)) WITHOUT ROWID",
    "CREATE TABLE computed (a INTEGER PRIMARY KEY AUTOINCREMENT, b int UNIQUE, c int AS (b + 1))",
    "CREATE TRIGGER watch AFTER INSERT ON loose BEGIN INSERT INTO audit VALUES ('loose', new.rowid); END",
    "CREATE TRIGGER watch_parent AFTER UPDATE OF n ON parent BEGIN INSERT INTO audit VALUES ('parent', new.n); END",
)


@pytest.fixture
def reversed_pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    yield reverse(pair)
    pair.close()


def reverse(pair: Pair) -> Pair:
    pair.replica.connection.execute("PRAGMA reverse_unordered_selects=ON")
    for sql in SCHEMA:
        pair.execute(sql)
    pair.execute(
        "INSERT INTO parent (id, code, n) VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30), (4, 'd', 10)",
        "INSERT INTO child (parent, n) VALUES (1, 1), (1, 2), (2, 1), (3, 5)",
        "INSERT INTO loose (a, b) VALUES (1, 1), (2, 2), ('three', 3.5), (NULL, NULL)",
        "INSERT INTO keyed (a, b) VALUES ('x', 1), ('x', 2), ('y', 1)",
        "INSERT INTO computed (b) VALUES (1), (2), (3)",
    )
    return pair


def logged(pair: Pair) -> Unit:
    return decode_unit(pair.records[-1].body)


def by_rows(pair: Pair) -> bool:
    return any(statement.sql == ROWS_BEGIN for statement in logged(pair).statements)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO loose (a) SELECT code FROM parent",
        "INSERT INTO child (n) SELECT n FROM parent",
        "INSERT INTO keyed SELECT code, id FROM parent WHERE true ON CONFLICT DO NOTHING",
        "INSERT OR REPLACE INTO parent (id, code, n) SELECT id + 1, code, id FROM parent",
        "INSERT OR IGNORE INTO child (parent, n) SELECT 1, id FROM parent",
        "UPDATE parent SET code = code || code",
        "UPDATE computed SET b = b + 10",
        "UPDATE computed SET a = a + 10",
        "UPDATE parent SET n = n + 1",
        "UPDATE loose SET c = random()",
        "UPDATE loose SET b = (SELECT max(b) FROM loose) + 1",
        "UPDATE loose SET b = parent.n FROM parent WHERE parent.id < 5",
        "DELETE FROM loose WHERE rowid IN (SELECT rowid FROM loose LIMIT 1)",
        "DELETE FROM keyed WHERE b = (SELECT n FROM child)",
        "DELETE FROM computed WHERE a = (SELECT a FROM computed LIMIT 1)",
        "INSERT INTO computed (b) SELECT id + 50 FROM parent",
        "INSERT INTO late (parent) SELECT id FROM parent",
        "CREATE TABLE filled AS SELECT code, n FROM parent",
    ],
)
def test_what_depends_on_order_is_logged_as_rows_and_comes_out_equal(reversed_pair: Pair, sql: str) -> None:
    reversed_pair.execute(sql)
    assert by_rows(reversed_pair)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO loose (a) VALUES (1)",
        "INSERT INTO child (parent, n) VALUES (1, 9), (2, 9)",
        "INSERT INTO child (parent, n) VALUES (1, 9) ON CONFLICT (parent, n) DO UPDATE SET n = 8 RETURNING id",
        "INSERT INTO parent (code) VALUES ('k'), ('l')",
        "INSERT INTO parent (code) SELECT 'g' || value FROM lfsql_series(1, 3, 1)",
        "INSERT OR REPLACE INTO keyed (a, b) VALUES ('x', 1)",
        "UPDATE parent SET n = 5 WHERE id = 1",
        "UPDATE parent SET code = 'z' WHERE id = 4",
        "UPDATE loose SET b = b + 1 WHERE a > 0",
        "UPDATE loose SET a = CURRENT_TIMESTAMP",
        "DELETE FROM loose WHERE a > 0",
        "DELETE FROM parent WHERE id = 1",
        "DELETE FROM child WHERE parent IN (SELECT id FROM parent WHERE n > 10)",
        "DELETE FROM keyed",
        "CREATE INDEX i ON loose (a)",
        "CREATE TABLE plain (a)",
        "ANALYZE",
    ],
)
def test_what_does_not_stays_text(reversed_pair: Pair, sql: str) -> None:
    reversed_pair.execute(sql)
    assert [statement.sql for statement in logged(reversed_pair).statements] == [sql]


def test_what_is_found_by_key_and_fires_a_trigger_that_scans_is_logged_as_rows(reversed_pair: Pair) -> None:
    pair = reversed_pair
    pair.execute("CREATE TRIGGER pick AFTER INSERT ON late BEGIN INSERT INTO audit SELECT code, n FROM parent; END")
    pair.execute("INSERT INTO late (id) VALUES (1)")
    assert by_rows(pair)


def test_what_fills_a_virtual_table_stays_text(pair: Pair) -> None:
    pair.execute(
        "CREATE VIRTUAL TABLE found USING fts5(body)", "CREATE TABLE t (a)", "INSERT INTO t VALUES ('x'), ('y')"
    )
    pair.execute("INSERT INTO found SELECT a FROM t")
    assert not by_rows(pair)
    pair.execute("INSERT INTO t SELECT body FROM found WHERE found MATCH 'x OR y'")
    assert by_rows(pair)


def test_numbers_drawn_for_rows_that_were_left_out_are_drawn_on_the_replica(reversed_pair: Pair) -> None:
    pair = reversed_pair
    pair.execute("INSERT OR IGNORE INTO child (parent, n) SELECT 1, 1 FROM parent")
    assert by_rows(pair)
    pair.execute("INSERT INTO child (parent, n) VALUES (2, 7)")


def test_a_sequence_that_many_rows_draw_from_stands_where_it_stood(reversed_pair: Pair) -> None:
    pair = reversed_pair
    pair.execute("/*lfsql*/ INSERT INTO _lfsql_sequences (name, last_value) VALUES ('s', 1)")
    pair.execute("INSERT INTO loose (a, b) SELECT code, nextval('s') FROM parent", "SELECT nextval('s')")
    assert by_rows(pair)


def test_a_deferred_key_may_be_broken_by_text_and_mended_by_rows(reversed_pair: Pair) -> None:
    pair = reversed_pair
    pair.execute("INSERT INTO late VALUES (1, 51)", "INSERT INTO parent (id) SELECT id + 50 FROM parent WHERE id < 2")
    assert by_rows(pair)
    pair.execute(
        "INSERT INTO late (id, parent) SELECT 2, id + 60 FROM parent WHERE id < 2",
        "INSERT INTO parent (id) VALUES (61)",
    )
    # And keys are enforced as before, on both sides.
    assert rows(pair.replica, "PRAGMA foreign_keys") == [(1,)]
    pair.execute("DELETE FROM parent WHERE id = 2")
    assert rows(pair.replica, "SELECT count(*) FROM child WHERE parent = 2") == [(0,)]


def test_what_follows_in_the_unit_sees_the_same_counts_and_draws_the_same_numbers(reversed_pair: Pair) -> None:
    pair = reversed_pair
    pair.execute(
        "INSERT INTO loose (a) SELECT code FROM parent",
        "INSERT INTO audit VALUES (last_insert_rowid(), changes())",
        "UPDATE parent SET n = n + 1",
        "INSERT INTO audit VALUES (random(), total_changes())",
    )
    assert len(logged(pair).statements) > 6


def test_random_numbers_do_not_depend_on_how_parameter_sets_are_cut(pair: Pair) -> None:
    pair.execute("CREATE TABLE t (a, b DEFAULT (random()))")
    pair.primary.begin()
    pair.unit(RunMany("INSERT INTO t (a) VALUES (?)", tuple((number,) for number in range(10))), "SELECT 1")
    whole = pair.units.pop()
    (statement,) = whole.statements
    first = type(statement)(statement.sql, statement.parameter_sets[:4])
    second = type(statement)(statement.sql, statement.parameter_sets[4:])
    start = Unit(whole.clock_us, whole.seed, whole.client, whole.sequence, (first,), more=True)
    end = Unit(whole.clock_us, whole.seed, whole.client, whole.sequence, (second,), whole.effect, whole.result)
    records = [pair.append(UNIT, encode_unit(piece)) for piece in (start, end)]
    pair.primary.commit(position(records[-1]), [records[-1].index])
    pair.replica.apply(records)
    pair.assert_equal()
    assert len({row[0] for row in rows(pair.replica, "SELECT b FROM t")}) == 10


def test_a_row_that_is_not_as_it_was_is_divergence_in_rows_too(reversed_pair: Pair) -> None:
    pair = reversed_pair
    pair.replica.connection.execute("UPDATE parent SET code = 'other' WHERE id = 1")
    pair.primary.begin()
    pair.unit("UPDATE parent SET n = n + 1")
    before = dump(pair.replica)
    with pytest.raises(Diverged, match="had another effect"):
        pair.replica.apply([pair.append(UNIT, encode_unit(pair.units[0]))])
    assert dump(pair.replica) == before


def test_a_row_that_is_missing_is_divergence_and_all_is_switched_on_again(reversed_pair: Pair) -> None:
    pair = reversed_pair
    pair.replica.connection.execute("DELETE FROM parent WHERE id = 4")
    pair.primary.begin()
    pair.unit("UPDATE parent SET n = n + 1")
    with pytest.raises(Diverged, match="0 of 1 rows"):
        pair.replica.apply([pair.append(UNIT, encode_unit(pair.units[0]))])
    assert rows(pair.replica, "PRAGMA foreign_keys") == [(1,)]
    pair.replica.connection.execute("INSERT INTO loose (a) VALUES (1)")
    assert rows(pair.replica, "SELECT count(*) FROM audit WHERE what = 'loose'") == [(5,)], "triggers are on"


def test_too_many_changes_go_as_text(reversed_pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_changes, "RECORDED_BYTES_MAX", 1_000)
    reversed_pair.execute("INSERT INTO keyed (a, b) SELECT n, id FROM parent")
    assert by_rows(reversed_pair)
    reversed_pair.execute("INSERT INTO keyed (a, b) SELECT id, value FROM parent, lfsql_series(100, 200, 1)")
    assert not by_rows(reversed_pair)


def test_changes_that_do_not_fit_into_their_unit_go_as_text(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "small.db", unit_bytes_max=20_000)
    engine.begin()
    engine.open_unit("client", 1, 1, 1)
    engine.run(Run("CREATE TABLE t (a, b)"))
    engine.run(Run("INSERT INTO t SELECT value, 'x' FROM lfsql_series(1, 30, 1)"))
    copies = [Run("INSERT INTO t SELECT a, b FROM t"), Run("CREATE TABLE u AS SELECT * FROM t")]
    for copy in copies:
        engine.run(copy)
    unit = engine.close_unit()
    assert unit.statements[-1].sql == copies[1].sql
    assert ROWS_BEGIN in {statement.sql for statement in unit.statements}
    engine.rollback()
    engine.close()


def test_a_failed_statement_leaves_nothing_recorded(reversed_pair: Pair) -> None:
    pair = reversed_pair
    pair.primary.begin()
    pair.primary.open_unit("client", 99, 1, 1)
    pair.primary.run(Run("INSERT INTO keyed (a, b) SELECT 'k', id FROM parent"))
    with pytest.raises(UniqueViolation):
        pair.primary.run(Run("INSERT INTO keyed (a, b) SELECT 'k', id - 3 + 2 * (id < 4) FROM parent"))
    pair.primary.run(Run("INSERT INTO audit VALUES ('after', 1)"))
    unit = pair.primary.close_unit()
    assert [statement.sql for statement in unit.statements][-2:] == [
        ROWS_END,
        "INSERT INTO audit VALUES ('after', 1)",
    ]
    record = pair.append(UNIT, encode_unit(unit))
    pair.primary.commit(position(record), [record.index])
    pair.replica.apply([record])
    pair.assert_equal()


def test_clients_cannot_say_that_their_statements_are_row_changes(pair: Pair) -> None:
    pair.primary.begin()
    pair.primary.open_unit("client", 1, 1, 1)
    with pytest.raises(InsufficientPrivilege):
        pair.primary.run(Run(ROWS_BEGIN))


VALUES = st.sampled_from(["1", "n", "id", "-n", "NULL", "1.5", "'t'", "random() % 5", "id % 2"])
WHERE = st.sampled_from(["", " WHERE id % 2", " WHERE n > 10", " WHERE id IN (SELECT parent FROM child LIMIT 2)"])
STATEMENTS = st.one_of(
    st.builds("INSERT INTO loose (a, b) SELECT code, {} FROM parent{}".format, VALUES, WHERE),
    st.builds("INSERT OR IGNORE INTO child (parent, n) SELECT id, {} FROM parent{}".format, VALUES, WHERE),
    st.builds("INSERT OR REPLACE INTO child (id, n) SELECT id, {} FROM parent{}".format, VALUES, WHERE),
    st.builds("INSERT OR REPLACE INTO keyed (a, b) SELECT n, {} FROM parent{}".format, st.just("id % 3"), WHERE),
    st.builds("INSERT OR IGNORE INTO computed (b) SELECT {} FROM parent{}".format, VALUES, WHERE),
    st.builds("UPDATE OR IGNORE parent SET n = {}{}".format, VALUES, WHERE),
    st.builds("UPDATE OR IGNORE parent SET code = {}{}".format, VALUES, WHERE),
    st.builds("UPDATE OR REPLACE parent SET id = id + 1{}".format, WHERE),
    st.builds("UPDATE OR REPLACE computed SET b = b % {}".format, st.integers(1, 4)),
    st.builds("UPDATE computed SET b = b + 1, a = a + 1 WHERE a > {}".format, st.integers(0, 4)),
    st.builds("UPDATE loose SET b = {} FROM parent{}".format, st.just("parent.n"), st.just(" WHERE id < 3")),
    st.builds("DELETE FROM parent{}".format, WHERE),
    st.builds("DELETE FROM child WHERE id IN (SELECT id FROM child LIMIT {})".format, st.integers(0, 3)),
    st.builds("DELETE FROM computed WHERE a IN (SELECT a FROM computed LIMIT {})".format, st.integers(0, 2)),
    st.builds("INSERT INTO parent (code, n) VALUES (lower(hex(randomblob(3))), {})".format, st.integers(0, 40)),
    st.builds("INSERT INTO child (n) VALUES ({})".format, st.integers(0, 40)),
)


@settings(max_examples=120, deadline=None)
@given(units=st.lists(st.lists(STATEMENTS, min_size=1, max_size=3), min_size=1, max_size=6))
def test_whatever_order_the_replica_visits_rows_in_its_content_is_the_primarys(
    units: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    pair = reverse(Pair(tmp_path_factory.mktemp("order")))
    try:
        for number, statements in enumerate(units):
            pair.primary.begin()
            pair.primary.open_unit("client", 100 + number, number, number)
            for sql in statements:
                run_if_it_can(pair, sql)
            unit = pair.primary.close_unit()
            record = pair.append(UNIT, encode_unit(unit))
            pair.primary.commit(position(record), [record.index])
            pair.replica.apply([record])
            pair.assert_equal()
    finally:
        pair.close()


def run_if_it_can(pair: Pair, sql: str) -> None:
    """A violated constraint is one of the cases."""
    with contextlib.suppress(IntegrityViolation):
        pair.primary.run(Run(sql))
