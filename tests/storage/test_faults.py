"""SQLite's errors as PostgreSQL's clients know them."""

from __future__ import annotations

from collections.abc import Iterator

import apsw
import pytest

from lfsql import errors
from lfsql.core.requests import Run
from lfsql.storage.engine import BatchLost, Engine
from lfsql.storage.faults import translate
from tests.storage.pair import CLOCK_US

SCHEMA = """
CREATE TABLE p (id INTEGER PRIMARY KEY, email text UNIQUE, a, b, CONSTRAINT "both of them" UNIQUE (a, b));
CREATE TABLE w (x text PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE "my t" (n integer NOT NULL, c integer CONSTRAINT "c positive" CHECK (c > 0), d CHECK (d < 9),
    i int2 integer CONSTRAINT "_lfsql_range:i:21" CHECK (i BETWEEN -32768 AND 32767),
    u uuid text CONSTRAINT "_lfsql_range:u:2950" CHECK (u LIKE '%-%'),
    v varchar text(3) CONSTRAINT "_lfsql_length:v:3" CHECK (length(v) <= 3));
CREATE UNIQUE INDEX "my index" ON "my t" (n);
CREATE UNIQUE INDEX lowered ON "my t" (lower(v));
CREATE TABLE k (p integer REFERENCES p);
CREATE TABLE k2 (p integer CONSTRAINT to_p REFERENCES p);
CREATE TABLE s (i INTEGER) STRICT;
CREATE VIEW v AS SELECT id FROM p;
CREATE TRIGGER no BEFORE INSERT ON w WHEN new.x = 'no' BEGIN SELECT raise(ABORT, 'said no'); END;
INSERT INTO p VALUES (1, 'a@b', 1, 2);
INSERT INTO w VALUES ('k');
INSERT INTO "my t" (n, v) VALUES (1, 'a');
INSERT INTO k VALUES (1)
"""


@pytest.fixture
def unit(engine: Engine) -> Iterator[Engine]:
    engine.begin()
    engine.open_unit("c", 1, CLOCK_US, 1)
    for sql in SCHEMA.split(";\n"):
        engine.run(Run(sql))
    yield engine
    assert engine.run(Run("SELECT count(*) FROM p")).rows == ((1,),), "the unit goes on"


CASES = [
    ("INSERT INTO p (id) VALUES (1)", "23505", 'duplicate key value violates unique constraint "p_pkey"'),
    ("INSERT INTO p (email) VALUES ('a@b')", "23505", 'duplicate key value violates unique constraint "p_email_key"'),
    ("INSERT INTO p (a, b) VALUES (1, 2)", "23505", 'duplicate key value violates unique constraint "both of them"'),
    ("INSERT INTO w VALUES ('k')", "23505", 'duplicate key value violates unique constraint "w_pkey"'),
    ('INSERT INTO "my t" (n) VALUES (1)', "23505", 'duplicate key value violates unique constraint "my index"'),
    ("INSERT INTO \"my t\" (n, v) VALUES (2, 'A')", "23505",
     'duplicate key value violates unique constraint "lowered"'),
    ('INSERT INTO "my t" (n) VALUES (NULL)', "23502",
     'null value in column "n" of relation "my t" violates not-null constraint'),
    ('INSERT INTO "my t" (n, c) VALUES (2, 0)', "23514",
     'new row for relation "my t" violates check constraint "c positive"'),
    ('UPDATE "my t" SET d = 9', "23514", 'new row for relation "my t" violates check constraint "my t_check"'),
    ('INSERT INTO "my t" (n, i) VALUES (2, 40000)', "22003", "smallint out of range"),
    ("INSERT INTO \"my t\" (n, u) VALUES (2, 'x')", "22P02", "invalid input syntax for type uuid"),
    ("INSERT INTO \"my t\" (n, v) VALUES (2, 'long')", "22001", "value too long for type character varying(3)"),
    ("INSERT INTO k VALUES (9)", "23503",
     'insert or update on table "k" violates foreign key constraint "k_p_fkey"'),
    ("INSERT INTO k2 VALUES (9)", "23503",
     'insert or update on table "k2" violates foreign key constraint "to_p"'),
    ("DELETE FROM p", "23503",
     'update or delete on table "p" violates foreign key constraint "k_p_fkey" on table "k"'),
    ("INSERT INTO w VALUES ('no')", "23000", "said no"),
    ("INSERT INTO s VALUES ('x')", "42804", "cannot store TEXT value in INTEGER column s.i"),
    ("INSERT INTO p (id) VALUES ('x')", "22P02", "invalid input syntax for type bigint"),
    ("SELECT * FROM nope", "42P01", 'relation "nope" does not exist'),
    ("INSERT INTO nope VALUES (1)", "42P01", 'relation "nope" does not exist'),
    ("DROP VIEW nope", "42P01", 'view "nope" does not exist'),
    ("DROP INDEX nope", "42704", 'index "nope" does not exist'),
    ("DROP TRIGGER nope", "42704", 'trigger "nope" does not exist'),
    ("SELECT nope FROM p", "42703", "column nope does not exist"),
    ('SELECT "nope" FROM p', "42703", "column nope does not exist"),
    ("SELECT p.nope FROM p", "42703", "column p.nope does not exist"),
    ("INSERT INTO p (nope) VALUES (1)", "42703", 'column "nope" of relation "p" does not exist'),
    ("ALTER TABLE p DROP COLUMN nope", "42703", "column nope does not exist"),
    ("SELECT id FROM p, v", "42702", 'column reference "id" is ambiguous'),
    ("SELECT nope(1)", "42883", "function nope does not exist"),
    ("SELECT abs(1, 2)", "42883", "function abs does not exist with that number of arguments"),
    ("SELEC 1", "42601", 'syntax error at or near "SELEC"'),
    ("SELECT 1 +", "42601", "syntax error at end of input"),
    ("SELECT 'x", "42601", 'unterminated or unknown token at or near "\'x"'),
    ("CREATE TABLE p (a)", "42P07", 'relation "p" already exists'),
    ("CREATE VIEW v AS SELECT 1", "42P07", 'relation "v" already exists'),
    ("CREATE INDEX lowered ON p (a)", "42P07", 'relation "lowered" already exists'),
    ("ALTER TABLE p RENAME TO w", "42P07", 'relation "w" already exists'),
    ("CREATE TRIGGER no AFTER INSERT ON p BEGIN SELECT 1; END", "42710", 'trigger "no" already exists'),
    ("CREATE TABLE x (a, a)", "42701", 'column "a" specified more than once'),
    ("ALTER TABLE p ADD COLUMN a", "42701", 'column "a" specified more than once'),
    ("CREATE TABLE x (a, FOREIGN KEY (z) REFERENCES p)", "42703",
     'column "z" referenced in foreign key constraint does not exist'),
    ("INSERT INTO v VALUES (1)", "55000", 'cannot change view "v"'),
    ("SELECT 1 ORDER BY 2", "42P10", "ORDER BY position is not in select list"),
    ("SELECT 1 GROUP BY 2", "42P10", "GROUP BY position is not in select list"),
    ("INSERT INTO p (a) VALUES (1) ON CONFLICT (a) DO NOTHING", "42P10",
     "there is no unique or exclusion constraint matching the ON CONFLICT specification"),
    ("SELECT id FROM p WHERE sum(id) > 1", "42803", "aggregate or window function sum() is not allowed here"),
    ("SELECT abs(-9223372036854775808)", "22003", "bigint out of range"),
    ("SELECT json('{')", "22P02", "invalid input syntax for type json"),
    ("SELECT zeroblob(1000000000)", "54000", "a value or a result is too large: string or blob too big"),
    ("SELECT * FROM p ORDER BY a COLLATE nope", "42704", 'collation "nope" does not exist'),
    ("SELECT 1 UNION SELECT 1, 2", "42000",
     "SELECTs to the left and right of UNION do not have the same number of result columns"),
    ("CREATE TABLE sqlite_x (a)", "42501", 'the name "sqlite_x" is reserved'),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "sqlstate", "message"), CASES)
def test_an_error_has_postgresqls_sqlstate_and_words(unit: Engine, sql: str, sqlstate: str, message: str) -> None:
    with pytest.raises(errors.LfsqlError) as raised:
        unit.run(Run(sql))
    assert (raised.value.sqlstate, raised.value.message) == (sqlstate, message)


def test_constraint_errors_name_table_column_and_constraint(unit: Engine) -> None:
    with pytest.raises(errors.UniqueViolation) as unique:
        unit.run(Run("INSERT INTO p (email) VALUES ('a@b')"))
    assert (unique.value.schema, unique.value.table, unique.value.constraint) == ("public", "p", "p_email_key")
    with pytest.raises(errors.NotNullViolation) as missing:
        unit.run(Run('/*lfsql*/ INSERT INTO main."my t" (n) VALUES (NULL)'))
    assert (missing.value.table, missing.value.column) == ("my t", "n")
    with pytest.raises(errors.NumericOutOfRange) as wide:
        unit.run(Run('INSERT OR ABORT INTO "my t" (n, i) VALUES (2, 40000)'))
    assert (wide.value.table, wide.value.column) == ("my t", "i")


def test_the_position_counts_characters_not_bytes(unit: Engine) -> None:
    with pytest.raises(errors.UndefinedColumn) as raised:
        unit.run(Run("SELECT 'äöü', nope FROM p"))
    assert raised.value.position == 15


def test_values_that_sqlite_has_no_type_for(unit: Engine) -> None:
    with pytest.raises(errors.NumericOutOfRange):
        unit.run(Run("SELECT ?1", (1 << 63,)))
    with pytest.raises(errors.InvalidParameterValue):
        unit.run(Run("SELECT ?1", ({},)))  # type: ignore[arg-type]  # on purpose
    with pytest.raises(errors.ProtocolViolation):
        unit.run(Run("SELECT ?1", ()))
    with pytest.raises(errors.InvalidEncoding):
        unit.run(Run("SELECT CAST(x'ff' AS TEXT)"))


def test_an_error_of_our_own_functions_passes_as_it_is(unit: Engine) -> None:
    def divide(*_: object) -> int:
        raise errors.DivisionByZero("division by zero")

    def broken(*_: object) -> int:
        raise ValueError("a bug")

    unit.connection.create_scalar_function("divide", divide, 0)
    unit.connection.create_scalar_function("broken", broken, 0)
    with pytest.raises(errors.DivisionByZero):
        unit.run(Run("INSERT INTO p (a) SELECT divide()"))
    with pytest.raises(errors.LfsqlError, match="a bug") as raised:
        unit.run(Run("INSERT INTO p (a) VALUES (broken())"))
    assert raised.value.sqlstate == "XX000"


def test_a_full_file_undoes_the_statement_or_says_that_the_batch_is_lost(unit: Engine) -> None:
    unit.connection.execute("PRAGMA max_page_count=40")
    with pytest.raises((errors.DiskFull, BatchLost)) as raised:
        unit.run(Run("INSERT INTO w VALUES (hex(zeroblob(500000)))"))
    if isinstance(raised.value, BatchLost):
        assert isinstance(raised.value.fault, errors.DiskFull)
        unit.begin()
        unit.open_unit("c", 2, CLOCK_US, 1)
        unit.run(Run("CREATE TABLE p AS SELECT 1"))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (apsw.IOError("x"), errors.DiskFailed),
        (apsw.CantOpenError("x"), errors.DiskFailed),
        (apsw.CorruptError("x"), errors.DataCorrupted),
        (apsw.FullError("x"), errors.DiskFull),
        (apsw.BusyError("x"), errors.LockNotAvailable),
        (apsw.ReadOnlyError("x"), errors.ReadOnlyTransaction),
        (apsw.InterruptError("x"), errors.QueryCanceled),
        (apsw.NoMemError("x"), errors.OutOfMemory),
        (apsw.AuthError("x"), errors.InsufficientPrivilege),
        (apsw.InternalError("x"), errors.LfsqlError),
    ],
)
def test_faults_of_the_machine(error: Exception, expected: type[errors.LfsqlError]) -> None:
    connection = apsw.Connection(":memory:")
    assert type(translate(error, connection, "")) is expected
