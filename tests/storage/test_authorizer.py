"""What clients cannot do to the file, the connection, or us."""

from __future__ import annotations

import time
from collections.abc import Iterator

import apsw
import pytest

from lfsql.core.requests import RollbackToSavepoint, Run, SetSavepoint
from lfsql.errors import FeatureNotSupported, InsufficientPrivilege, LfsqlError, StatementSyntax
from lfsql.storage.authorizer import PRAGMAS, PRAGMAS_WITHOUT_ARGUMENT
from lfsql.storage.engine import TRUSTED, Engine
from tests.storage.pair import CLOCK_US, Pair, rows


@pytest.fixture
def unit(engine: Engine) -> Iterator[Engine]:
    engine.begin()
    engine.open_unit("c", 1, CLOCK_US, 1)
    engine.run(Run("CREATE TABLE t (a INTEGER PRIMARY KEY, b)"))
    yield engine
    assert engine.connection.in_transaction
    assert engine.run(Run("SELECT count(*) FROM t")).rows == ((0,),)


@pytest.mark.parametrize(
    "sql",
    [
        "COMMIT", "END", "ROLLBACK", "BEGIN", "SAVEPOINT s", "RELEASE _lfsql_unit", "ROLLBACK TO _lfsql_unit",
        "RELEASE SAVEPOINT _lfsql_unit", "BEGIN IMMEDIATE",
        "ATTACH ':memory:' AS x", "DETACH main", "SELECT load_extension('x')",
        "DELETE FROM sqlite_schema", "UPDATE sqlite_master SET sql = ''", "DROP TABLE sqlite_schema",
        "DELETE FROM _lfsql_state", "UPDATE _LFSQL_STATE SET applied_index = 0",
        "INSERT INTO _lfsql_clients VALUES (1)",
        "DELETE FROM _lfsql_columns", "DELETE FROM main._lfsql_sequences", "SELECT * FROM _lfsql_clients",
        "SELECT result FROM _lfsql_clients WHERE 0", "DROP TABLE _lfsql_state",
        "ALTER TABLE _lfsql_state ADD COLUMN x",
        "CREATE TABLE _lfsql_x (a)", "CREATE INDEX _lfsql_x ON t (b)", "CREATE INDEX x ON _lfsql_state (id)",
        "CREATE VIEW _lfsql_x AS SELECT 1", "DROP INDEX _lfsql_clients_by_index",
        "CREATE TRIGGER x AFTER INSERT ON _lfsql_state BEGIN SELECT 1; END",
        "/*LFSQL*/DELETE FROM _lfsql_columns", " /*lfsql*/DELETE FROM _lfsql_columns",
    ],
)  # fmt: skip
def test_what_would_reach_behind_the_log_is_denied(unit: Engine, sql: str) -> None:
    for _ in range(2):
        with pytest.raises(InsufficientPrivilege):
            unit.run(Run(sql))


@pytest.mark.parametrize(
    "sql",
    [
        "PRAGMA writable_schema = ON", "PRAGMA foreign_keys = OFF", "PRAGMA journal_mode = DELETE",
        "PRAGMA defer_foreign_keys = ON", "PRAGMA recursive_triggers = OFF", "PRAGMA user_version = 3",
        "PRAGMA synchronous = OFF", "PRAGMA case_sensitive_like = ON", "PRAGMA ignore_check_constraints = ON",
        "PRAGMA trusted_schema = ON", "PRAGMA reverse_unordered_selects = ON", "PRAGMA wal_checkpoint",
        "PRAGMA optimize", "PRAGMA legacy_alter_table = ON", "PRAGMA encoding = 'UTF-16'",
        "PRAGMA main.foreign_keys = OFF", "SELECT * FROM pragma_foreign_keys('OFF')",
        "PRAGMA hard_heap_limit = 1", "PRAGMA temp_store_directory = '/tmp'",
    ],
)  # fmt: skip
def test_pragmas_that_change_something_are_denied(unit: Engine, sql: str) -> None:
    with pytest.raises(LfsqlError):
        unit.run(Run(sql))
    assert unit.run(Run("PRAGMA foreign_keys")).rows == ((1,),)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT name FROM pragma_table_xinfo('t')", "SELECT * FROM pragma_index_list('t')",
        "SELECT * FROM pragma_table_list", "SELECT * FROM pragma_foreign_key_list('t')",
        "SELECT x.name FROM pragma_index_list('t') i, pragma_index_xinfo(i.name) x", "PRAGMA table_info(t)",
        "SELECT * FROM _lfsql_columns", "SELECT applied_index FROM _lfsql_state", "SELECT * FROM _lfsql_sequences",
        "SELECT sql FROM sqlite_schema", "ANALYZE", "REINDEX", "EXPLAIN QUERY PLAN DELETE FROM t",
    ],
)  # fmt: skip
def test_what_schema_queries_and_tools_need_is_allowed(unit: Engine, sql: str) -> None:
    unit.run(Run(sql))


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TEMP TABLE x (a)", "CREATE TEMP VIEW x AS SELECT 1",
        "CREATE TABLE temp.x (a)", "CREATE VIEW TEMP.x AS SELECT 1",
        "CREATE TEMP TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END", "CREATE VIRTUAL TABLE x USING dbstat",
    ],
)  # fmt: skip
def test_what_is_not_replicated_is_not_supported(unit: Engine, sql: str) -> None:
    with pytest.raises((FeatureNotSupported, InsufficientPrivilege)):
        unit.run(Run(sql))


def test_full_text_search_is_replicated(pair: Pair) -> None:
    pair.execute("CREATE VIRTUAL TABLE f USING fts5 (body)", "INSERT INTO f VALUES ('some words'), ('other words')")
    pair.execute(
        "DELETE FROM f WHERE rowid = 1", SetSavepoint("s"), "INSERT INTO f VALUES ('words')", RollbackToSavepoint("s")
    )
    assert rows(pair.replica, "SELECT body FROM f WHERE f MATCH 'words'") == [("other words",)]


def test_the_planner_may_write_the_sidecars_and_rebuild_under_our_names(pair: Pair) -> None:
    pair.execute(
        "CREATE TABLE t (a)",
        TRUSTED + "INSERT INTO _lfsql_columns (table_name, column_name, pg_oid) VALUES ('t', 'a', 23)",
        TRUSTED + "CREATE TABLE _lfsql_new_t (a, b)",
        TRUSTED + "INSERT INTO _lfsql_new_t SELECT a, 1 FROM t",
        TRUSTED + "DROP TABLE t",
        TRUSTED + "ALTER TABLE _lfsql_new_t RENAME TO t",
    )
    assert rows(pair.replica, "SELECT column_name, pg_oid FROM _lfsql_columns") == [("a", 23)]


@pytest.mark.parametrize(
    "sql",
    ["DELETE FROM _lfsql_state", "DROP TABLE _lfsql_columns", "SELECT * FROM _lfsql_clients", "COMMIT",
     "ALTER TABLE _lfsql_sequences ADD COLUMN x"],
)  # fmt: skip
def test_even_the_planner_may_not_touch_what_the_log_depends_on(unit: Engine, sql: str) -> None:
    with pytest.raises(LfsqlError):
        unit.run(Run(TRUSTED + sql))


def test_a_statement_of_ours_in_the_cache_does_not_open_the_way_for_a_clients(unit: Engine) -> None:
    for sql in ("SAVEPOINT _lfsql_unit", "RELEASE _lfsql_unit", "ROLLBACK", "COMMIT"):
        with pytest.raises(InsufficientPrivilege):
            unit.run(Run(sql))
    unit.abandon_unit()
    unit.rollback()
    unit.begin()
    unit.open_unit("c", 2, CLOCK_US, 1)
    unit.run(Run("CREATE TABLE t (a)"))
    for sql in ("ROLLBACK", "BEGIN IMMEDIATE", "ROLLBACK TO _lfsql_unit"):
        with pytest.raises(InsufficientPrivilege):
            unit.run(Run(sql))


def test_a_view_or_trigger_cannot_be_a_way_around(unit: Engine) -> None:
    with pytest.raises(InsufficientPrivilege):
        unit.run(Run("CREATE TRIGGER x AFTER INSERT ON t BEGIN DELETE FROM _lfsql_columns; END"))
        unit.run(Run("INSERT INTO t (b) VALUES (1)"))
    unit.run(Run("CREATE VIEW v AS SELECT * FROM _lfsql_clients"))
    with pytest.raises(InsufficientPrivilege):
        unit.run(Run("SELECT * FROM v"))


@pytest.mark.parametrize(
    "sql", ["SELECT 1; SELECT 2", "SELECT 1; CREATE TABLE x (a)", "CREATE TABLE x (a); SELECT 1"]
)
def test_a_second_statement_is_refused_before_the_first_runs(unit: Engine, sql: str) -> None:
    with pytest.raises(StatementSyntax, match="multiple commands"):
        unit.run(Run(sql))
    with pytest.raises(StatementSyntax, match="multiple commands"):
        unit.describe(sql)
    assert unit.run(Run("SELECT count(*) FROM sqlite_schema WHERE name = 'x'")).rows == ((0,),)


@pytest.mark.parametrize("sql", ["SELECT 1;", "SELECT 1 ; -- done", "SELECT 1; /* done */ ;; ", "SELECT 1;/* open"])
def test_what_follows_may_be_nothing(unit: Engine, sql: str) -> None:
    assert unit.run(Run(sql)).rows == ((1,),)


@pytest.mark.parametrize("tail", [";" * 26, "; " * 13, ";" * 10_000, "/* */" * 10_000, "-- x\n" * 10_000])
def test_looking_at_what_follows_takes_no_time(unit: Engine, tail: str) -> None:
    began = time.process_time()
    with pytest.raises(StatementSyntax, match="multiple commands"):
        unit.run(Run(f"SELECT 1; -- the driver skips what comes before\n{tail};x"))
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("sql", ["", "  ", "-- nothing", "/* nothing */"])
def test_an_empty_statement_does_nothing(unit: Engine, sql: str) -> None:
    assert unit.run(Run(sql)).rows == ()
    assert unit.describe(sql).columns == ()


def test_a_pragma_that_is_refused_is_no_table_either(unit: Engine) -> None:
    """SQLite has most of its PRAGMAs as tables too, and the next version may have more."""
    names = [str(row[0]) for row in rows(unit, "PRAGMA pragma_list")]
    refused = 0
    for name in names:
        sql = f"INSERT INTO t (b) SELECT count(*) FROM pragma_{name}"
        try:
            unit.connection.execute(f"EXPLAIN {sql}")
        except apsw.SQLError:
            continue  # it is no table
        if name in PRAGMAS | PRAGMAS_WITHOUT_ARGUMENT:
            unit.describe(sql)
        else:
            refused += 1
            with pytest.raises(InsufficientPrivilege):
                unit.describe(sql)
    assert refused > 20
