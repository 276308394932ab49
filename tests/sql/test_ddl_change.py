"""DROP, TRUNCATE and ALTER on a pair of real engines: rows, keys, indexes and views survive what they must."""

from __future__ import annotations

import pytest

from lfsql.errors import (
    DatatypeMismatch,
    DependentObjects,
    DuplicateColumn,
    DuplicateObject,
    DuplicateTable,
    FeatureNotSupported,
    ForeignKeyViolation,
    InvalidTableDefinition,
    LfsqlError,
    NotNullViolation,
    StatementSyntax,
    UndefinedColumn,
    UndefinedObject,
    UndefinedTable,
    UniqueViolation,
    WrongObjectType,
)
from proxy.pg import oids
from proxy.sql.plan import Kind
from tests.sql.tier import Tier


def family(tier: Tier) -> None:
    tier.run(
        "CREATE TABLE parent (id int PRIMARY KEY, name text);"
        "CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE, note text);"
        "INSERT INTO parent VALUES (1, 'a'), (2, 'b'); INSERT INTO child VALUES (10, 1, 'x'), (20, 2, NULL);"
        "CREATE VIEW pairs AS SELECT c.id, p.name FROM child c JOIN parent p ON p.id = c.parent"
    )


# -- DROP --------------------------------------------------------------------------------------------------


def test_drop_table_needs_cascade_for_what_depends_on_it(tier: Tier) -> None:
    family(tier)
    with pytest.raises(DependentObjects) as raised:
        tier.plan("DROP TABLE parent")
    assert raised.value.message == "cannot drop table parent because other objects depend on it"
    assert "constraint child_parent_fkey on table child depends on table parent" in raised.value.detail
    assert "view pairs" in raised.value.detail
    tier.run("DROP TABLE parent CASCADE")
    assert set(tier.schema.relations) == {"child"}
    assert tier.table("child").foreign_keys == ()
    assert tier.sqlite("SELECT * FROM child") == [(10, 1, "x"), (20, 2, None)]
    assert tier.sqlite("SELECT table_name FROM _lfsql_columns") == [("child",)]


def test_drop_several_tables_in_an_order_that_works(tier: Tier) -> None:
    family(tier)
    tier.run("DROP VIEW pairs; DROP TABLE parent, child")
    assert tier.schema.relations == {}
    tier.run(
        "CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a);"
        "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b DEFERRABLE INITIALLY DEFERRED"
    )
    tier.run("INSERT INTO a VALUES (1, NULL); INSERT INTO b VALUES (1, 1); UPDATE a SET b = 1")
    tier.run("DROP TABLE a, b")
    assert tier.schema.relations == {}


def test_drop_if_exists(tier: Tier) -> None:
    assert tier.plan("DROP TABLE IF EXISTS a, b CASCADE").kind is Kind.UTILITY
    assert tier.plan("DROP VIEW IF EXISTS a").tag == "DROP VIEW"
    assert tier.plan("DROP INDEX IF EXISTS a").tag == "DROP INDEX"
    assert tier.plan("DROP EXTENSION IF EXISTS hstore").tag == "DROP EXTENSION"
    tier.run("CREATE TABLE a (x int)")
    assert tier.plan("DROP TABLE IF EXISTS a, b").kind is Kind.DDL


@pytest.mark.parametrize(
    ("sql", "error", "message"),
    [
        ("DROP TABLE nowhere", UndefinedTable, 'table "nowhere" does not exist'),
        ("DROP VIEW parent", WrongObjectType, '"parent" is not a view'),
        ("DROP TABLE pairs", WrongObjectType, '"pairs" is not a table'),
        ("DROP INDEX nowhere", UndefinedObject, 'index "nowhere" does not exist'),
        ("DROP INDEX parent", WrongObjectType, '"parent" is not an index'),
        ("DROP INDEX parent_pkey", DependentObjects, "constraint parent_pkey on table parent requires it"),
        ("DROP FUNCTION f()", FeatureNotSupported, "DROP FUNCTION"),
        ("DROP TABLE parent child", StatementSyntax, 'at or near "child"'),
        ("DROP", StatementSyntax, "end of input"),
        ("TRUNCATE parent", FeatureNotSupported, "cannot truncate a table referenced in a foreign key constraint"),
        ("TRUNCATE nowhere", UndefinedTable, "nowhere"),
        ("TRUNCATE pairs", WrongObjectType, '"pairs" is not a table'),
    ],
)
def test_wrong_drops(tier: Tier, sql: str, error: type[LfsqlError], message: str) -> None:
    family(tier)
    with pytest.raises(error) as raised:
        tier.plan(sql)
    assert message in raised.value.message


def test_views_on_views_fall_together(tier: Tier) -> None:
    family(tier)
    tier.run("CREATE VIEW deeper AS SELECT name FROM pairs")
    with pytest.raises(DependentObjects):
        tier.plan("DROP VIEW pairs")
    tier.run("DROP VIEW pairs CASCADE")
    assert set(tier.schema.relations) == {"parent", "child"}


def test_sequences_fall_with_their_table(tier: Tier) -> None:
    tier.run("CREATE TABLE t (id serial, v int); DROP TABLE t")
    assert tier.schema.relations == {}
    tier.run("CREATE TABLE t (id serial, v int)")
    with pytest.raises(DependentObjects):
        tier.plan("DROP SEQUENCE t_id_seq")


# -- TRUNCATE ----------------------------------------------------------------------------------------------


def test_truncate(tier: Tier) -> None:
    family(tier)
    planned = tier.plan("TRUNCATE parent, child")
    assert (planned.kind, planned.tag) == (Kind.WRITE, "TRUNCATE TABLE")
    tier.run_plan(planned)
    assert tier.sqlite("SELECT (SELECT count(*) FROM parent) + (SELECT count(*) FROM child)") == [(0,)]
    tier.run("INSERT INTO parent VALUES (1, 'a'); INSERT INTO child VALUES (10, 1, 'x')")
    tier.run("TRUNCATE TABLE ONLY public.parent CASCADE")
    assert tier.sqlite("SELECT count(*) FROM child") == [(0,)]


@pytest.mark.parametrize(("words", "first"), [("", 3), (" CONTINUE IDENTITY", 3), (" RESTART IDENTITY", 1)])
def test_truncate_restarts_identities_only_when_asked(tier: Tier, words: str, first: int) -> None:
    tier.run("CREATE TABLE t (id serial PRIMARY KEY, v int)")
    tier.pair.execute('INSERT INTO "t" ("v") VALUES (1), (2)')
    tier.run(f"TRUNCATE t{words}")
    tier.pair.execute('INSERT INTO "t" ("v") VALUES (1)')
    assert tier.sqlite("SELECT id FROM t") == [(first,)]


def test_truncate_of_tables_that_refer_to_each_other(tier: Tier) -> None:
    tier.run(
        "CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a);"
        "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b; INSERT INTO a VALUES (1, NULL);"
        "INSERT INTO b VALUES (1, 1); UPDATE a SET b = 1; TRUNCATE a, b"
    )
    assert tier.sqlite("SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM b)") == [(0,)]


# -- ALTER TABLE: keys and constraints ---------------------------------------------------------------------


def test_pgbench_keys(tier: Tier) -> None:
    tier.run(
        "create table pgbench_accounts(aid    int not null,bid int,abalance int,filler char(84))"
        " with (fillfactor=100);"
        "create table pgbench_branches(bid int not null,bbalance int,filler char(88)) with (fillfactor=100);"
        "insert into pgbench_branches values (1, 0, 'x'); insert into pgbench_accounts values (7, 1, 5, '');"
        "alter table pgbench_branches add primary key (bid);alter table pgbench_accounts add primary key (aid);"
        "alter table pgbench_accounts add constraint pgbench_accounts_bid_fkey foreign key (bid)"
        " references pgbench_branches;vacuum analyze pgbench_accounts"
    )
    table = tier.table("pgbench_accounts")
    assert [(column.name, column.oid, column.typmod) for column in table.columns] == [
        ("aid", 23, -1),
        ("bid", 23, -1),
        ("abalance", 23, -1),
        ("filler", oids.BPCHAR, 88),
    ]
    assert [index.name for index in table.indexes] == ["pgbench_accounts_pkey"]
    assert [(key.name, key.target_columns) for key in table.foreign_keys] == [("pgbench_accounts_bid_fkey", ("bid",))]
    assert tier.sqlite("SELECT rowid, * FROM pgbench_accounts") == [(7, 7, 1, 5, "")]
    with pytest.raises(ForeignKeyViolation):
        tier.run("insert into pgbench_accounts values (8, 2, 0, '')")


def test_a_key_that_the_rows_break_changes_nothing(tier: Tier) -> None:
    family(tier)
    tier.run("CREATE TABLE stray (id int, parent int); INSERT INTO stray VALUES (1, 99), (1, 1)")
    before = tier.table("stray")
    with pytest.raises(ForeignKeyViolation):
        tier.run("ALTER TABLE stray ADD FOREIGN KEY (parent) REFERENCES parent")
    with pytest.raises(UniqueViolation):
        tier.run("ALTER TABLE stray ADD PRIMARY KEY (id)")
    assert tier.load().relations["stray"] == before
    assert tier.sqlite("SELECT * FROM stray") == [(1, 99), (1, 1)]


def test_rebuilding_a_parent_keeps_its_children(tier: Tier) -> None:
    family(tier)
    tier.run("CREATE INDEX by_name ON parent (name); ALTER TABLE parent ADD CONSTRAINT long CHECK (length(name) < 9)")
    assert tier.sqlite("SELECT count(*) FROM child") == [(2,)]
    assert [index.name for index in tier.table("parent").indexes] == ["parent_pkey", "by_name"]
    assert tier.table("child").foreign_keys[0].target == "parent"
    assert tier.run("SELECT name FROM pairs ORDER BY id") == [("a",), ("b",)]
    tier.run("DELETE FROM parent WHERE id = 1")
    assert tier.sqlite("SELECT id FROM child") == [(20,)]


def test_several_actions_are_one_change(tier: Tier) -> None:
    tier.run("CREATE TABLE t (a int, b text, c int); INSERT INTO t VALUES (1, '5', 2)")
    tier.run(
        "ALTER TABLE t ADD COLUMN d numeric(4,1) DEFAULT 1.5 NOT NULL, DROP COLUMN c, ALTER COLUMN b TYPE int"
        " USING b::int, ADD PRIMARY KEY (a), ADD CONSTRAINT positive CHECK (b > 0), ADD UNIQUE (b), OWNER TO someone"
    )
    table = tier.table("t")
    assert [(c.name, c.oid, c.not_null) for c in table.columns] == [
        ("a", 23, True),
        ("b", 23, False),
        ("d", 1700, True),
    ]
    assert tier.sqlite("SELECT a, b, d, typeof(b) FROM t") == [(1, 5, "1.5", "integer")]
    assert [check.name for check in table.checks] == ["positive"]
    assert [index.name for index in table.indexes] == ["t_pkey", "t_b_key"]


def test_drop_constraint(tier: Tier) -> None:
    family(tier)
    with pytest.raises(DependentObjects):
        tier.plan("ALTER TABLE parent DROP CONSTRAINT parent_pkey")
    tier.run("ALTER TABLE child DROP CONSTRAINT child_parent_fkey; ALTER TABLE parent DROP CONSTRAINT parent_pkey")
    parent, child = tier.table("parent"), tier.table("child")
    assert (parent.indexes, child.foreign_keys) == ((), ())
    assert parent.columns[0].not_null
    assert parent.columns[0].oid == 23
    tier.run("ALTER TABLE parent DROP CONSTRAINT IF EXISTS nowhere")
    with pytest.raises(UndefinedObject, match='constraint "nowhere" of relation "parent" does not exist'):
        tier.plan("ALTER TABLE parent DROP CONSTRAINT nowhere")


def test_drop_constraint_cascade_takes_the_keys_to_it(tier: Tier) -> None:
    family(tier)
    tier.run("ALTER TABLE parent DROP CONSTRAINT parent_pkey CASCADE")
    assert tier.table("child").foreign_keys == ()
    assert tier.sqlite("SELECT count(*) FROM child") == [(2,)]


def test_alter_constraint_makes_a_key_deferrable(tier: Tier) -> None:
    family(tier)
    tier.run("ALTER TABLE child ALTER CONSTRAINT child_parent_fkey DEFERRABLE INITIALLY DEFERRED")
    [key] = tier.table("child").foreign_keys
    assert (key.deferrable, key.initially_deferred, key.on_delete) == (True, True, "CASCADE")


# -- ALTER TABLE: columns ----------------------------------------------------------------------------------


def test_plain_columns_are_added_without_a_rebuild(tier: Tier) -> None:
    tier.run("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
    planned = tier.plan("ALTER TABLE t ADD b varchar(3) DEFAULT 'x' NOT NULL, ADD COLUMN IF NOT EXISTS a int")
    assert "RENAME" not in "".join(planned.statements)
    tier.run_plan(planned)
    column = tier.table("t").columns[1]
    assert (column.oid, column.typmod, column.default, column.not_null) == (
        oids.VARCHAR,
        7,
        "'x'::character varying",
        True,
    )
    assert tier.sqlite("SELECT * FROM t") == [(1, "x")]


def test_columns_with_a_computed_default_are_filled_in(tier: Tier) -> None:
    tier.run("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)")
    tier.run("ALTER TABLE t ADD COLUMN at timestamptz NOT NULL DEFAULT now()")
    assert tier.sqlite("SELECT count(*) FROM t WHERE at LIKE '2023-11-%'") == [(2,)]
    with pytest.raises(NotNullViolation):
        tier.run("ALTER TABLE t ADD COLUMN z int NOT NULL")
    with pytest.raises(DuplicateColumn, match='column "a" of relation "t" already exists'):
        tier.plan("ALTER TABLE t ADD COLUMN a int")


def test_a_serial_column_numbers_the_rows_that_are_there(tier: Tier) -> None:
    tier.run(
        "CREATE TABLE t (v text); INSERT INTO t VALUES ('a'), ('b'); ALTER TABLE t ADD COLUMN id serial PRIMARY KEY"
    )
    assert tier.sqlite("SELECT id, v FROM t ORDER BY id") == [(1, "a"), (2, "b")]
    assert tier.table("t_id_seq").owner == ("t", "id")


def test_drop_column(tier: Tier) -> None:
    family(tier)
    with pytest.raises(DependentObjects):
        tier.plan("ALTER TABLE parent DROP COLUMN name")
    tier.run("ALTER TABLE parent DROP COLUMN name CASCADE")
    assert "pairs" not in tier.schema.relations
    assert [column.name for column in tier.table("parent").columns] == ["id"]
    tier.run(
        "CREATE TABLE t (a int, b int, c int, UNIQUE (a, b), CHECK (b > c)); CREATE INDEX i ON t (b);"
        "ALTER TABLE t DROP b, DROP COLUMN IF EXISTS nowhere"
    )
    table = tier.table("t")
    assert ([column.name for column in table.columns], table.indexes, table.checks) == (["a", "c"], (), ())
    with pytest.raises(UndefinedColumn, match='column "z" of relation "t" does not exist'):
        tier.plan("ALTER TABLE t DROP COLUMN z")


def test_renames(tier: Tier) -> None:
    family(tier)
    tier.run(
        "ALTER TABLE parent RENAME COLUMN name TO title; ALTER TABLE parent RENAME id TO key;"
        "ALTER TABLE parent RENAME TO elder; ALTER TABLE elder RENAME CONSTRAINT parent_pkey TO elder_pkey"
    )
    elder = tier.table("elder")
    assert [(column.name, column.oid) for column in elder.columns] == [("key", 23), ("title", oids.TEXT)]
    assert elder.indexes[0].name == "elder_pkey"
    assert tier.table("child").foreign_keys[0].target == "elder"
    assert tier.table("child").foreign_keys[0].target_columns == ("key",)
    assert tier.sqlite("SELECT count(*) FROM pairs") == [(2,)]
    with pytest.raises(DuplicateTable):
        tier.plan("ALTER TABLE elder RENAME TO child")
    with pytest.raises(DuplicateColumn):
        tier.plan("ALTER TABLE elder RENAME key TO title")
    with pytest.raises(UndefinedColumn):
        tier.plan("ALTER TABLE elder RENAME nowhere TO x")
    with pytest.raises(DuplicateObject):
        tier.run(
            "ALTER TABLE elder ADD CHECK (key > 0); ALTER TABLE elder RENAME CONSTRAINT elder_pkey TO elder_key_check"
        )


def test_alter_column(tier: Tier) -> None:
    tier.run("CREATE TABLE t (a int, b varchar(5) DEFAULT 'x', c int); INSERT INTO t VALUES (1, 'abc', 3)")
    tier.run("ALTER TABLE t ALTER a SET DEFAULT 9, ALTER b DROP DEFAULT, ALTER COLUMN c SET NOT NULL")
    a, b, c = tier.table("t").columns
    assert (a.default, b.default, c.not_null) == ("9", None, True)
    tier.run("ALTER TABLE t ALTER c DROP NOT NULL, ALTER a SET DATA TYPE bigint, ALTER b TYPE text")
    a, b, c = tier.table("t").columns
    assert (a.oid, b.oid, b.typmod, c.not_null) == (oids.INT8, oids.TEXT, -1, False)
    tier.run("ALTER TABLE t ALTER a SET STATISTICS 100, ALTER b SET STORAGE external, ALTER a SET (n_distinct=5)")
    tier.run("ALTER TABLE t ALTER c TYPE text")
    assert tier.sqlite("SELECT c FROM t") == [("3",)]
    with pytest.raises(DatatypeMismatch) as raised:
        tier.plan("ALTER TABLE t ALTER c TYPE int")
    assert raised.value.message == 'column "c" cannot be cast automatically to type integer'
    assert "USING c::integer" in raised.value.hint


def test_identity_comes_and_goes(tier: Tier) -> None:
    tier.run("CREATE TABLE t (id int PRIMARY KEY, v int)")
    tier.run("ALTER TABLE t ALTER id ADD GENERATED BY DEFAULT AS IDENTITY")
    assert tier.table("t").columns[0].identity == "d"
    assert "t_id_seq" in tier.schema.relations
    tier.run("ALTER TABLE t ALTER id SET GENERATED ALWAYS")
    assert tier.table("t").columns[0].identity == "a"
    tier.run("ALTER TABLE t ALTER id RESTART WITH 500")
    tier.pair.execute('INSERT INTO "t" ("v") VALUES (1)')
    assert tier.sqlite("SELECT id FROM t") == [(500,)]
    tier.run("ALTER TABLE t ALTER id DROP IDENTITY")
    assert tier.table("t").columns[0].identity == ""
    assert "t_id_seq" not in tier.schema.relations
    with pytest.raises(InvalidTableDefinition, match="is not an identity column"):
        tier.plan("ALTER TABLE t ALTER id DROP IDENTITY")


def test_a_rebuild_keeps_the_counter_of_the_rowid(tier: Tier) -> None:
    tier.run("CREATE TABLE t (id serial PRIMARY KEY, v int)")
    tier.pair.execute('INSERT INTO "t" ("v") VALUES (1), (2), (3)')
    tier.run("DELETE FROM t; ALTER TABLE t ADD CHECK (v > 0)")
    tier.pair.execute('INSERT INTO "t" ("v") VALUES (1)')
    assert tier.sqlite("SELECT id FROM t") == [(4,)]


def test_a_primary_key_over_a_serial_column_goes_on_counting(tier: Tier) -> None:
    tier.run("CREATE TABLE t (id serial, v int)")
    tier.run("INSERT INTO t VALUES (41, 1); ALTER TABLE t ADD PRIMARY KEY (id)")
    tier.pair.execute('INSERT INTO "t" ("v") VALUES (2)')
    assert tier.sqlite("SELECT id FROM t") == [(41,), (42,)]
    assert tier.sqlite("SELECT increment FROM _lfsql_sequences") == [(0,)]


@pytest.mark.parametrize(
    ("sql", "error", "message"),
    [
        ("ALTER TABLE nowhere ADD a int", UndefinedTable, 'relation "nowhere" does not exist'),
        ("ALTER TABLE pairs ADD a int", WrongObjectType, '"pairs" is not a table'),
        ("ALTER TABLE parent ALTER nowhere SET NOT NULL", UndefinedColumn, "nowhere"),
        ("ALTER TABLE parent ALTER id DROP NOT NULL", InvalidTableDefinition, 'column "id" is in a primary key'),
        ("ALTER TABLE parent ADD PRIMARY KEY (name)", InvalidTableDefinition, "multiple primary keys"),
        ("ALTER TABLE parent ENABLE ROW LEVEL SECURITY", FeatureNotSupported, "ENABLE"),
        ("ALTER TABLE parent INHERIT child", FeatureNotSupported, "INHERIT"),
        ("ALTER TABLE parent SET SCHEMA other", FeatureNotSupported, "schemas other than public"),
        ("ALTER TABLE parent ATTACH PARTITION child DEFAULT", FeatureNotSupported, "partitioning"),
        ("ALTER TABLE parent NONSENSE", StatementSyntax, 'at or near "NONSENSE"'),
        ("ALTER TABLE parent ALTER id NONSENSE", StatementSyntax, 'at or near "NONSENSE"'),
        ("ALTER TABLE parent ALTER name ADD GENERATED ALWAYS AS IDENTITY", InvalidTableDefinition, "NOT NULL"),
        ("ALTER TABLE child ALTER CONSTRAINT child_pkey DEFERRABLE", WrongObjectType, "not a foreign key"),
        ("ALTER TYPE mood ADD VALUE 'x'", FeatureNotSupported, "ALTER TYPE"),
        ("ALTER VIEW pairs RENAME TO b", FeatureNotSupported, "ALTER VIEW"),
        ("ALTER SEQUENCE parent RESTART", WrongObjectType, "is not a sequence"),
        ("ALTER SEQUENCE nowhere RESTART", UndefinedTable, "nowhere"),
    ],
)
def test_wrong_alters(tier: Tier, sql: str, error: type[LfsqlError], message: str) -> None:
    family(tier)
    with pytest.raises(error) as raised:
        tier.plan(sql)
    assert message in raised.value.message


def test_alters_without_effect(tier: Tier) -> None:
    family(tier)
    for sql in (
        "ALTER TABLE IF EXISTS nowhere ADD a int",
        "ALTER TABLE parent OWNER TO postgres",
        "ALTER TABLE ONLY parent SET (fillfactor = 70), REPLICA IDENTITY FULL, SET TABLESPACE x",
        "ALTER TABLE parent SET SCHEMA public",
        "ALTER VIEW pairs OWNER TO postgres",
        "ALTER DATABASE lfsql OWNER TO postgres",
        "ALTER TABLE parent VALIDATE CONSTRAINT parent_pkey",
        "ALTER SEQUENCE IF EXISTS nowhere RESTART",
    ):
        assert tier.plan(sql).kind is Kind.UTILITY, sql


def test_alter_index(tier: Tier) -> None:
    family(tier)
    tier.run("CREATE UNIQUE INDEX i ON parent (name) WHERE id > 0; ALTER INDEX i RENAME TO j")
    assert {index.name: (index.unique, index.partial) for index in tier.table("parent").indexes} == {
        "parent_pkey": (True, False),
        "j": (True, True),
    }
    tier.run("ALTER INDEX parent_pkey RENAME TO pk")
    assert tier.table("parent").indexes[0].name == "pk"
    assert tier.plan("ALTER INDEX IF EXISTS nowhere RENAME TO x").kind is Kind.UTILITY
    with pytest.raises(UndefinedObject):
        tier.plan("ALTER INDEX nowhere RENAME TO x")


def test_tables_of_other_tools_survive_a_rebuild(tier: Tier) -> None:
    tier.run(
        "CREATE TABLE Foo (a INTEGER PRIMARY KEY, b VARCHAR(20) NOT NULL UNIQUE DEFAULT 'x', c DATETIME,"
        " d DECIMAL(10,2) COLLATE NOCASE DEFAULT (1+2), CONSTRAINT ch CHECK (a > 0), CHECK (length(b) < 9));"
        "CREATE TABLE log (note); CREATE TRIGGER tr AFTER INSERT ON Foo BEGIN INSERT INTO log VALUES (new.b); END;"
        "INSERT INTO Foo (a, b, c) VALUES (1, 'q', '2024-01-01')",
        dialect="sqlite",
    )
    tier.load()
    before = tier.table("Foo")
    tier.run('ALTER TABLE "Foo" ADD CONSTRAINT more CHECK (a < 100)')
    after = tier.table("Foo")
    assert [(c.name, c.declared, c.oid, c.not_null, c.collation) for c in after.columns] == [
        (c.name, c.declared, c.oid, c.not_null, c.collation) for c in before.columns
    ]
    assert [check.name for check in after.checks] == ["ch", "Foo_check", "more"]
    assert [index.columns for index in after.indexes] == [index.columns for index in before.indexes]
    assert after.triggers == before.triggers
    tier.run("INSERT INTO Foo (a, b) VALUES (2, 'r')", dialect="sqlite")
    assert tier.sqlite("SELECT note FROM log") == [("q",), ("r",)]
    assert tier.sqlite("SELECT a, b, d FROM Foo WHERE a = 2") == [(2, "r", 3)]
