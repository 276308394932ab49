"""What a text becomes: kind, tag, columns, parameters, errors with positions, and SQLite's own dialect."""

from __future__ import annotations

import pytest

from lfsql.errors import (
    FeatureNotSupported,
    InsufficientPrivilege,
    LfsqlError,
    StatementSyntax,
    StatementTooComplex,
    UndefinedTable,
)
from proxy.sql.plan import ANY_SCHEMA, Kind
from proxy.sql.planner import plan
from proxy.sql.schema import Column, Index, Relation, Schema
from proxy.sql.utility import Begin, Explain, Maintenance, SetSetting

TABLE = Relation(
    "t",
    20000,
    "table",
    (
        Column("a", 23, -1, 1, "int4 integer"),
        Column("b", 25, -1, 2, "text"),
        Column("c", 1700, -1, 3, "numeric text"),
    ),
    "",
    (Index("t_pkey", ("a",), True, "pk", None),),
)
SCHEMA = Schema(7, {"t": TABLE})


@pytest.mark.parametrize("text", ["", "  ", "-- nothing", "/* nothing */", ";", ";;"])
def test_empty(text: str) -> None:
    assert plan(text, SCHEMA).kind is Kind.EMPTY
    assert plan(text, SCHEMA, dialect="sqlite").kind is Kind.EMPTY


@pytest.mark.parametrize(
    ("text", "kind", "tag", "reason", "rows"),
    [
        ("SELECT a FROM t", Kind.READ, "SELECT", "select", True),
        ("(SELECT 1)", Kind.READ, "SELECT", "select", True),
        ("VALUES (1), (2)", Kind.READ, "SELECT", "select", True),
        ("TABLE t", Kind.READ, "SELECT", "select", True),
        ("WITH x AS (SELECT 1 AS one) SELECT * FROM x", Kind.READ, "SELECT", "select", True),
        ("INSERT INTO t (a) VALUES (1)", Kind.WRITE, "INSERT", "insert", False),
        ("INSERT INTO t (a) VALUES (1) RETURNING a", Kind.WRITE, "INSERT", "insert", True),
        ("UPDATE t SET b = 'x'", Kind.WRITE, "UPDATE", "update", False),
        ("DELETE FROM t", Kind.WRITE, "DELETE", "delete", False),
        ("SELECT a FROM t FOR UPDATE", Kind.WRITE, "SELECT", "locks rows", True),
        ("SELECT a FROM t FOR NO KEY UPDATE OF t SKIP LOCKED", Kind.WRITE, "SELECT", "locks rows", True),
        ("SELECT * FROM (SELECT a FROM t FOR SHARE) AS x", Kind.WRITE, "SELECT", "locks rows", True),
        ("SELECT nextval('s')", Kind.WRITE, "SELECT", "calls nextval", True),
    ],
)
def test_reads_and_writes(text: str, kind: Kind, tag: str, reason: str, rows: bool) -> None:
    found = plan(text, SCHEMA)
    assert (found.kind, found.tag, found.reason, found.returns_rows) == (kind, tag, reason, rows)
    assert found.schema_index == (ANY_SCHEMA if found.reads_nothing else 7)
    assert len(found.statements) == 1
    assert "FOR " not in found.statements[0]


@pytest.mark.parametrize(
    ("text", "nothing"),
    [
        ("SELECT 1", True),
        ("VALUES (1)", True),
        ("SELECT now(), version(), pg_is_in_recovery(), current_setting('TimeZone')", True),
        ("WITH x AS (SELECT 1 AS one) SELECT * FROM x, generate_series(1, 3)", True),
        ("SELECT 1 FROM t", False),
        ("SELECT EXISTS (SELECT FROM t)", False),
        ("SELECT 1 WHERE 2 IN (SELECT count(*) FROM t)", False),
        ("SELECT nextval('s')", False),
        ("SELECT relname FROM pg_class", False),
        ("SELECT 't'::regclass", False),
    ],
)
def test_what_reads_no_relation(text: str, nothing: bool) -> None:
    assert plan(text, SCHEMA).reads_nothing is nothing


def test_columns_and_parameters() -> None:
    found = plan("SELECT a, c AS x, $2 FROM t WHERE a = $1 AND b = $2", SCHEMA)
    assert [(column.name, column.oid, column.table_oid, column.attnum) for column in found.columns] == [
        ("a", 23, 20000, 1),
        ("x", 1700, 20000, 3),
        ("?column?", 25, 0, 0),
    ]
    assert found.parameters == (23, 25)
    assert plan("SELECT $1", SCHEMA, parameter_oids=(20,)).parameters == (20,)


def test_hints_are_in_the_plan() -> None:
    assert plan("/* lfsql: route=primary */ SELECT 1", SCHEMA).hints == (("route", "primary"),)
    assert plan("/* lfsql: route=primary */ SELECT 1", SCHEMA, dialect="sqlite").hints == (("route", "primary"),)
    assert plan("/* lfsql: route=primary */ BEGIN", SCHEMA).hints == (("route", "primary"),)


@pytest.mark.parametrize(
    ("text", "error", "message", "position"),
    [
        ("SELEC 1", StatementSyntax, 'syntax error at or near "SELEC"', 1),
        ("  foo bar", StatementSyntax, 'syntax error at or near "foo"', 3),
        ("SELECT a FROM t WHERE a = = 1", StatementSyntax, 'syntax error at or near "="', 27),
        ("SELECT a b c FROM t", StatementSyntax, 'syntax error at or near "c"', 12),
        ("SELECT (1", StatementSyntax, "syntax error at end of input", 10),
        ("SELECT 1)", StatementSyntax, 'syntax error at or near ")"', 9),
        ("SELECT a, FROM t", StatementSyntax, 'syntax error at or near "FROM"', 11),
        ("INSERT INTO t VALUES (1,)", StatementSyntax, 'syntax error at or near ")"', 25),
        ("SELECT 1; SELECT 2", StatementSyntax, "cannot insert multiple commands into a prepared statement", 0),
        ("SELECT 'a", StatementSyntax, 'unterminated quoted string at or near "\'a"', 8),
        ("SELECT " + "(" * 200 + "1" + ")" * 200, StatementTooComplex, "stack depth limit exceeded", 108),
        ("SELECT * FROM nowhere", UndefinedTable, 'relation "nowhere" does not exist', 15),
        ("INSERT INTO _lfsql_columns VALUES (1)", LfsqlError, "_lfsql_columns", 13),
    ],
)
def test_errors(text: str, error: type[LfsqlError], message: str, position: int) -> None:
    with pytest.raises(error) as raised:
        plan(text, SCHEMA)
    assert message in raised.value.message
    assert raised.value.position in (position, 0)


def _outcome(text: str) -> str:
    try:
        plan(text, SCHEMA)
    except LfsqlError as error:
        return error.sqlstate
    return "planned"


def test_deep_nesting_is_planned_or_refused() -> None:
    for text in (
        "SELECT " + "CASE WHEN 1 THEN " * 300 + "1" + " END" * 300,
        "SELECT " + "NOT " * 3000 + "true",
        "SELECT " + "- " * 3000 + "1",
        "SELECT 1" + " + 1" * 3000,
    ):
        assert _outcome(text) in ("planned", "54001", "42601", "0A000")


# -- The sqlite dialect ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "tag", "rows"),
    [
        ("SELECT 1", Kind.READ, "SELECT", True),
        ("EXPLAIN QUERY PLAN SELECT 1", Kind.READ, "EXPLAIN", True),
        ("PRAGMA table_info(t)", Kind.READ, "SELECT", True),
        ("VALUES (1)", Kind.READ, "SELECT", True),
        ("WITH x AS (SELECT 1) SELECT * FROM x", Kind.READ, "SELECT", True),
        ("WITH x(a) AS (SELECT 1) INSERT INTO t SELECT a FROM x", Kind.WRITE, "INSERT", False),
        ("WITH x AS (SELECT 1) DELETE FROM t RETURNING *", Kind.WRITE, "DELETE", True),
        ("REPLACE INTO t VALUES (1)", Kind.WRITE, "INSERT", False),
        ("UPDATE t SET a = (SELECT returning FROM x)", Kind.WRITE, "UPDATE", False),
        ("CREATE TABLE x (a)", Kind.DDL, "CREATE TABLE", False),
        ("CREATE UNIQUE INDEX i ON x (a)", Kind.DDL, "CREATE INDEX", False),
        ("DROP TABLE x", Kind.DDL, "DROP TABLE", False),
        ("ANALYZE", Kind.DDL, "ANALYZE", False),
        ("REINDEX", Kind.DDL, "REINDEX", False),
    ],
)
def test_sqlite_passes_through(text: str, kind: Kind, tag: str, rows: bool) -> None:
    found = plan(text + ";", SCHEMA, dialect="sqlite")
    assert (found.kind, found.tag, found.returns_rows) == (kind, tag, rows)
    assert found.statements[0] == text
    assert found.typed_by_value
    assert found.schema_index == -1


def test_what_sqlite_has_no_statement_of_is_no_write() -> None:
    with pytest.raises(StatementSyntax, match='at or near "nonsense"'):
        plan(" nonsense 1", SCHEMA, dialect="sqlite")


def test_sqlite_session_statements_stay_the_sessions() -> None:
    assert plan("BEGIN IMMEDIATE TRANSACTION", SCHEMA, dialect="sqlite").utility == Begin()
    assert plan("begin exclusive;", SCHEMA, dialect="sqlite").utility == Begin()
    assert plan("SET lfsql.dialect = 'postgresql'", SCHEMA, dialect="sqlite").utility == SetSetting(
        "lfsql.dialect", "postgresql"
    )
    assert plan("VACUUM", SCHEMA, dialect="sqlite").utility == Maintenance("VACUUM")
    assert plan("EXPLAIN SELECT 1", SCHEMA).utility == Explain("SELECT 1")
    with pytest.raises(StatementSyntax):
        plan("ROLLBACK TO", SCHEMA, dialect="sqlite")


def test_sqlite_parameters_are_numbered_by_their_number() -> None:
    found = plan("SELECT $2, $1, '$3', ?4", SCHEMA, dialect="sqlite", parameter_oids=(23,))
    assert found.statements == ("SELECT ?2, ?1, '$3', ?4",)
    assert found.parameters == (23, 25, 25, 25)
    assert plan("SELECT ?, ?", SCHEMA, dialect="sqlite").parameters == (25, 25)


def test_a_client_cannot_pass_for_the_planner() -> None:
    for text in ("/*lfsql*/DELETE FROM _lfsql_columns", " -- x\n/*lfsql*/ /*lfsql*/ DELETE FROM _lfsql_columns"):
        [statement] = plan(text, SCHEMA, dialect="sqlite").statements
        assert statement == "DELETE FROM _lfsql_columns"
    with pytest.raises(LfsqlError):
        plan("/*lfsql*/DELETE FROM _lfsql_columns", SCHEMA)


def test_drops_in_sqlites_dialect_forget_the_types_of_what_is_gone() -> None:
    found = plan("DROP TABLE t", SCHEMA, dialect="sqlite")
    assert len(found.statements) == 3
    assert all(sql.startswith("/*lfsql*/DELETE") for sql in found.statements[1:])


def test_reserved_names() -> None:
    with pytest.raises((InsufficientPrivilege, UndefinedTable, FeatureNotSupported)):
        plan("UPDATE _lfsql_state SET applied_index = 0", SCHEMA)


@pytest.mark.parametrize(
    ("text", "catalog", "mixed"),
    [
        ("SELECT a FROM t", False, False),
        ("SELECT relname FROM pg_class", True, False),
        ("SELECT relname FROM pg_class, t", False, True),
        ("WITH t AS (SELECT 1 AS x) SELECT relname FROM pg_class, t", True, False),
        ("SELECT 't'::regclass", True, False),
        ("SELECT 't'::regclass FROM t", False, True),
        ("SELECT pg_typeof(1)", True, False),
        ("SELECT a FROM t WHERE b IN (SELECT nspname FROM pg_namespace)", False, True),
    ],
)
def test_catalogs_and_tables_are_told_apart(text: str, catalog: bool, mixed: bool) -> None:
    made = plan(text, SCHEMA)
    assert (made.catalog, made.mixed) == (catalog, mixed)


@pytest.mark.parametrize(
    "text",
    ["INSERT INTO t (b) SELECT relname FROM pg_class", "UPDATE t SET b = (SELECT max(relname) FROM pg_class)"],
)
def test_what_writes_cannot_read_the_catalogs(text: str) -> None:
    with pytest.raises(FeatureNotSupported, match="cannot read the system catalogs"):
        plan(text, SCHEMA)


@pytest.mark.parametrize("returning", ["*", "v.x", "x", "t.*, v.*", "upper(x)"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE t SET b = '' FROM (VALUES (1, 'x')) v (i, x) WHERE a = i",
        "DELETE FROM t USING (VALUES (1, 'x')) v (i, x) WHERE a = i",
    ],
)
def test_returning_of_a_joined_relation_is_refused_and_not_left_out(statement: str, returning: str) -> None:
    with pytest.raises(FeatureNotSupported, match="the columns of the changed table only"):
        plan(f"{statement} RETURNING {returning}", SCHEMA)
    assert [column.name for column in plan(f"{statement} RETURNING a, t.b", SCHEMA).columns] == ["a", "b"]
    with pytest.raises(UndefinedTable):
        plan("UPDATE t SET b = '' RETURNING v.x", SCHEMA)
