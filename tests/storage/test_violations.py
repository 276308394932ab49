"""What PostgreSQL tells of a violated constraint: the row, the key, and which side of a foreign key."""

from __future__ import annotations

import pytest

from lfsql import errors
from lfsql.core.requests import Run, RunMany
from lfsql.storage import unit as unit_module
from lfsql.storage.engine import Engine
from tests.storage.pair import CLOCK_US, Pair, dump

SCHEMA = """
CREATE TABLE p (id INTEGER PRIMARY KEY, e text, a int4 integer, b text, CONSTRAINT ab UNIQUE (a, b), UNIQUE (e));
CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, n int4 integer NOT NULL, b bool integer, f float8 real,
    ts timestamptz text, arr array text(1000), "by" bytea blob, ch bpchar text(4), txt text CHECK (length(txt) < 200),
    g int4 integer GENERATED ALWAYS AS (n + 1) STORED, d int4 integer DEFAULT 7);
CREATE TABLE c (p int4 integer, q text, note text DEFAULT 'REFERENCES nothing',
    CONSTRAINT by_id FOREIGN KEY (p) REFERENCES p,
    CONSTRAINT "by e" FOREIGN KEY (q) REFERENCES p (e) ON DELETE RESTRICT);
CREATE TABLE later (p integer CONSTRAINT one_day REFERENCES p (id) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE tree (id INTEGER PRIMARY KEY, up integer CONSTRAINT up_key REFERENCES tree ON DELETE CASCADE);
CREATE TABLE leaf (tree integer CONSTRAINT on_tree REFERENCES tree);
CREATE TABLE lowered (v text);
CREATE UNIQUE INDEX lowered_v ON lowered (lower(v));
INSERT INTO p VALUES (1, 'x', 1, 'q');
INSERT INTO p VALUES (2, 'y', 2, 'q');
INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2);
INSERT INTO leaf VALUES (3);
INSERT INTO lowered VALUES ('a');
CREATE TABLE several (n integer);
INSERT INTO several VALUES (4), (4), (5)
"""


@pytest.fixture
def unit(engine: Engine) -> Engine:
    engine.begin()
    engine.open_unit("c", 1, CLOCK_US, 1)
    for sql in SCHEMA.split(";\n"):
        engine.run(Run(sql))
    return engine


INSERT = "insert or update on table"
DELETE = "update or delete on table"
MOMENT = "2024-01-01 08:00:00+00"
LONG = "é" * 32 + "..."

CASES = [
    ("INSERT INTO p (id) VALUES (3), (1)", "Key (id)=(1) already exists."),
    ("INSERT INTO p (id, e) VALUES (3, 'x')", "Key (e)=(x) already exists."),
    ("INSERT INTO p (a, b) VALUES (1, 'q')", "Key (a, b)=(1, q) already exists."),
    ("UPDATE p SET e = 'x' WHERE id = 2", "Key (e)=(x) already exists."),
    ("INSERT INTO p (id, e) SELECT id + 2, e FROM p", "Key (e)=(x) already exists."),
    ("INSERT INTO lowered VALUES ('A')", ""),
    ("/*lfsql*/CREATE UNIQUE INDEX one ON several (n)", "Key (n)=(4) is duplicated."),
    (f'''INSERT INTO t (b, f, ts, arr, "by", ch, txt)
         VALUES (1, 1e20, '2024-01-01 08:00:00', '[0,null]', x'01ff', 'ab', '{'é' * 70}')''',
     f"Failing row contains (1, null, t, 1e+20, {MOMENT}, {{f,NULL}}, \\x01ff, ab  , {LONG}, null, 7)."),
    (f"INSERT INTO t (n, txt) VALUES (1, '{'x' * 300}')",
     f"Failing row contains (1, 1, null, null, null, null, null, null, {'x' * 64}..., 2, 7)."),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "detail"), CASES)
def test_the_row_is_shown_as_postgresql_shows_it(unit: Engine, sql: str, detail: str) -> None:
    with pytest.raises(errors.IntegrityViolation) as raised:
        unit.run(Run(sql))
    assert raised.value.detail == detail


KEYS = [
    ("INSERT INTO c (p, q) VALUES (1, 'x'), (5, NULL)", f'{INSERT} "c" violates foreign key constraint "by_id"',
     'Key (p)=(5) is not present in table "p".', "c", "by_id"),
    ("INSERT INTO c (q) VALUES ('zz')", f'{INSERT} "c" violates foreign key constraint "by e"',
     'Key (q)=(zz) is not present in table "p".', "c", "by e"),
    ("UPDATE tree SET up = 9 WHERE id = 2", f'{INSERT} "tree" violates foreign key constraint "up_key"',
     'Key (up)=(9) is not present in table "tree".', "tree", "up_key"),
    # The row 8 is not at fault: its parent comes in the same statement.
    ("INSERT INTO tree VALUES (8, 9), (7, 6), (9, NULL)", f'{INSERT} "tree" violates foreign key constraint "up_key"',
     'Key (up)=(6) is not present in table "tree".', "tree", "up_key"),
    ("DELETE FROM p WHERE id = 1", f'{DELETE} "p" violates foreign key constraint "by_id" on table "c"',
     'Key (id)=(1) is still referenced from table "c".', "c", "by_id"),
    ("DELETE FROM p WHERE id = 2", f'{DELETE} "p" violates foreign key constraint "by e" on table "c"',
     'Key (e)=(y) is still referenced from table "c".', "c", "by e"),
    ("UPDATE p SET id = 7 WHERE id = 1", f'{DELETE} "p" violates foreign key constraint "by_id" on table "c"',
     'Key (id)=(1) is still referenced from table "c".', "c", "by_id"),
    ("DELETE FROM tree WHERE id = 1", f'{DELETE} "tree" violates foreign key constraint "on_tree" on table "leaf"',
     'Key (id)=(3) is still referenced from table "leaf".', "leaf", "on_tree"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "message", "detail", "table", "constraint"), KEYS)
def test_a_foreign_key_is_named_from_both_sides(
    unit: Engine, sql: str, message: str, detail: str, table: str, constraint: str
) -> None:
    unit.run(Run("INSERT INTO c (p) VALUES (1)"))
    unit.run(Run("INSERT INTO c (q) VALUES ('y')"))
    with pytest.raises(errors.ForeignKeyViolation) as raised:
        unit.run(Run(sql))
    fault = raised.value
    assert (fault.message, fault.detail, fault.table, fault.constraint) == (message, detail, table, constraint)


@pytest.mark.parametrize(
    ("sql", "message", "detail"),
    [
        (
            "INSERT INTO later VALUES (77)",
            f'{INSERT} "later" violates foreign key constraint "one_day"',
            'Key (p)=(77) is not present in table "p".',
        ),
        (
            "DELETE FROM p WHERE id = 2",
            f'{DELETE} "p" violates foreign key constraint "one_day" on table "later"',
            'Key (id)=(2) is still referenced from table "later".',
        ),
    ],
)
def test_a_deferred_key_is_named_at_the_end(unit: Engine, sql: str, message: str, detail: str) -> None:
    unit.run(Run("INSERT INTO later VALUES (2)"))
    unit.close_unit()
    unit.open_unit("c", 2, CLOCK_US, 1)
    unit.run(Run(sql))
    with pytest.raises(errors.ForeignKeyViolation) as raised:
        unit.close_unit()
    assert (raised.value.message, raised.value.detail) == (message, detail)


def test_the_failing_one_of_many_parameter_sets_is_shown(unit: Engine) -> None:
    for insert in ("INSERT INTO p (id, e) VALUES (?1, ?2)", "/*x*/INSERT INTO p (id, e) VALUES (?1, ?2)"):
        with pytest.raises(errors.UniqueViolation) as raised:
            unit.run(RunMany(insert, ((3, "n"), (4, "m"), (2, "o"), (5, "x"))))
        assert raised.value.detail == "Key (id)=(2) already exists."


def test_looking_for_the_row_leaves_no_trace(pair: Pair) -> None:
    pair.execute(*SCHEMA.split(";\n"))
    before = dump(pair.primary)
    pair.primary.begin()
    pair.primary.open_unit("client", 99, CLOCK_US, 5)
    pair.primary.run(Run("INSERT INTO t (n, txt) VALUES (random(), hex(randomblob(4)))"))
    first = pair.primary.connection.execute("SELECT n, txt FROM t").fetchall()
    for sql in ("INSERT INTO t (n) VALUES (3), (NULL)", "DELETE FROM tree", "INSERT INTO c (p) VALUES (8)"):
        with pytest.raises(errors.IntegrityViolation):
            pair.primary.run(Run(sql))
    assert pair.primary.connection.execute("SELECT n, txt FROM t").fetchall() == first
    assert not pair.primary.connection.execute("SELECT * FROM sqlite_temp_schema").fetchall()
    assert not pair.primary.connection.execute("PRAGMA defer_foreign_keys").fetchall()[0][0]
    pair.units.append(pair.primary.close_unit(b""))
    pair.commit()
    assert dump(pair.primary) != before


def test_a_statement_that_took_long_is_not_run_twice(unit: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_module, "EXPLAINED_S_MAX", 0.0)
    with pytest.raises(errors.UniqueViolation) as raised:
        unit.run(Run("INSERT INTO p (id) VALUES (1)"))
    assert (raised.value.detail, raised.value.constraint) == ("", "p_pkey")


REBUILT = [
    ("CREATE TABLE _lfsql_new_several (n integer, CONSTRAINT only UNIQUE (n))", "23505",
     'could not create unique index "only"', "Key (n)=(4) is duplicated."),
    ("CREATE TABLE _lfsql_new_several (n integer, CONSTRAINT few CHECK (n < 5))", "23514",
     'check constraint "few" of relation "several" is violated by some row', ""),
    ("CREATE TABLE _lfsql_new_several (n integer, more integer NOT NULL)", "23502",
     'column "more" of relation "several" contains null values', ""),
    ("CREATE TABLE _lfsql_new_several (n bpchar text(0) CONSTRAINT \"_lfsql_length:n:0\" CHECK (length(n) < 1))",
     "22001", "value too long for type character(0)", ""),
]  # fmt: skip


@pytest.mark.parametrize(("create", "sqlstate", "message", "detail"), REBUILT)
def test_a_table_made_anew_goes_by_its_own_name(
    unit: Engine, create: str, sqlstate: str, message: str, detail: str
) -> None:
    unit.run(Run("PRAGMA lfsql_rebuild=begin"))
    unit.run(Run(f"/*lfsql*/{create}"))
    with pytest.raises(errors.StatementError) as raised:
        unit.run(Run("/*lfsql*/INSERT INTO _lfsql_new_several (n) SELECT n FROM several"))
    fault = raised.value
    assert (fault.sqlstate, fault.message, fault.detail, fault.table) == (sqlstate, message, detail, "several")


def test_a_null_key_is_shown_as_null_in_its_row(unit: Engine) -> None:
    sql = "INSERT INTO p (id, e) VALUES (3, 'a'), (ifnull(?1, lfsql_null_key('p', 'id')), 'b'), (4, 'c')"
    for _ in range(2):  # the function that fails is itself again after the first
        with pytest.raises(errors.NotNullViolation) as raised:
            unit.run(Run(sql, (None,)))
        assert raised.value.detail == "Failing row contains (null, b, null, null)."


def test_the_row_of_a_wide_table_is_whole(unit: Engine) -> None:
    names = [f"c{number}" for number in range(230)]
    unit.run(
        Run(f"CREATE TABLE wide (id INTEGER PRIMARY KEY, {' integer, '.join(names)} integer, last text NOT NULL)")
    )
    unit.run(Run("INSERT INTO wide (c150, last) VALUES (8, 'x')"))
    with pytest.raises(errors.NotNullViolation) as raised:
        unit.run(Run("INSERT INTO wide (c150) VALUES (9)"))
    shown = raised.value.detail.removeprefix("Failing row contains (").removesuffix(").").split(", ")
    assert shown == ["2", *["null"] * 150, "9", *["null"] * 80]
