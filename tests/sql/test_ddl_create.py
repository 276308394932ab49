"""CREATE TABLE, INDEX, VIEW and SEQUENCE, run on the engine and read back."""

from __future__ import annotations

import pytest

from lfsql.errors import (
    CheckViolation,
    DuplicateColumn,
    DuplicateObject,
    DuplicateTable,
    FeatureNotSupported,
    InsufficientPrivilege,
    InvalidForeignKey,
    InvalidParameterValue,
    InvalidTableDefinition,
    LfsqlError,
    NotNullViolation,
    NumericOutOfRange,
    StatementSyntax,
    StringTooLong,
    UndefinedColumn,
    UndefinedObject,
    UndefinedSchema,
    UndefinedTable,
    UniqueViolation,
    WrongObjectType,
)
from lfsql.storage import engine
from proxy.pg import oids
from proxy.sql.ddl_text import REBUILD_BEGIN, REBUILD_END, TRUSTED
from proxy.sql.plan import Kind
from proxy.sql.utility import Maintenance
from tests.sql.tier import Tier


def test_the_words_shared_with_the_engine_are_the_engines() -> None:
    assert (TRUSTED, REBUILD_BEGIN, REBUILD_END) == (engine.TRUSTED, engine.REBUILD_BEGIN, engine.REBUILD_END)


def columns(tier: Tier, table: str) -> list[tuple[str, int, int]]:
    return [(column.name, column.oid, column.typmod) for column in tier.table(table).columns]


TYPES = [
    ("bool", oids.BOOL, -1),
    ("boolean", oids.BOOL, -1),
    ("smallint", oids.INT2, -1),
    ("int", oids.INT4, -1),
    ("integer", oids.INT4, -1),
    ("int4", oids.INT4, -1),
    ("bigint", oids.INT8, -1),
    ("pg_catalog.int8", oids.INT8, -1),
    ("real", oids.FLOAT4, -1),
    ("float(10)", oids.FLOAT4, -1),
    ("float", oids.FLOAT8, -1),
    ("double precision", oids.FLOAT8, -1),
    ("numeric", oids.NUMERIC, -1),
    ("numeric(10,2)", oids.NUMERIC, ((10 << 16) | 2) + 4),
    ("decimal(5)", oids.NUMERIC, (5 << 16) + 4),
    ("text", oids.TEXT, -1),
    ("varchar", oids.VARCHAR, -1),
    ("character varying(20)", oids.VARCHAR, 24),
    ("char", oids.BPCHAR, 5),
    ("character(84)", oids.BPCHAR, 88),
    ("national character varying (7)", oids.VARCHAR, 11),
    ('"char"', oids.CHAR, -1),
    ("name", oids.NAME, -1),
    ("bytea", oids.BYTEA, -1),
    ("date", oids.DATE, -1),
    ("time", oids.TIME, -1),
    ("time(3) without time zone", oids.TIME, 3),
    ("time with time zone", oids.TIMETZ, -1),
    ("timestamp", oids.TIMESTAMP, -1),
    ("timestamp(0)", oids.TIMESTAMP, 0),
    ("timestamptz", oids.TIMESTAMPTZ, -1),
    ("timestamp(6) with time zone", oids.TIMESTAMPTZ, 6),
    ("interval", oids.INTERVAL, -1),
    ("interval day to second(3)", oids.INTERVAL, -1),
    ("uuid", oids.UUID, -1),
    ("json", oids.JSON, -1),
    ("jsonb", oids.JSONB, -1),
    ("oid", oids.OID, -1),
    ("int[]", 1007, -1),
    ("text[][3]", 1009, -1),
    ("int array[4]", 1007, -1),
    ("varchar(3) array", 1015, -1),
]


def test_every_type_comes_back_as_it_was_written(tier: Tier) -> None:
    listed = ", ".join(f"c{number} {name}" for number, (name, _, _) in enumerate(TYPES))
    tier.run(f"CREATE TABLE all_types ({listed})")
    assert columns(tier, "all_types") == [(f"c{n}", oid, typmod) for n, (_, oid, typmod) in enumerate(TYPES)]


@pytest.mark.parametrize("kind", ["inet", "point", "tsvector", "money", "bit(3)", "xml", "int4range"])
def test_a_type_postgresql_has_and_we_have_not_is_named(tier: Tier, kind: str) -> None:
    with pytest.raises(FeatureNotSupported, match=kind.split("(")[0]):
        tier.plan(f"CREATE TABLE t (a {kind})")


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("nonsense", UndefinedObject, 'type "nonsense" does not exist'),
        ("varchar(0)", InvalidParameterValue, "length for type varchar must be at least 1"),
        ("char(99999999)", InvalidParameterValue, "length for type char cannot exceed 10485760"),
        ("numeric(0)", InvalidParameterValue, "NUMERIC precision 0 must be between 1 and 1000"),
        ("numeric(5,2000)", InvalidParameterValue, "NUMERIC scale 2000"),
        ("float(60)", InvalidParameterValue, "precision for type float"),
        ("int(4)", StatementSyntax, 'type modifier is not allowed for type "int"'),
        ("record", InvalidTableDefinition, "pseudo-type record"),
        ("regclass", FeatureNotSupported, "regclass"),
        ("serial[]", FeatureNotSupported, "array of serial"),
    ],
)
def test_bad_types(tier: Tier, kind: str, error: type[LfsqlError], message: str) -> None:
    with pytest.raises(error) as raised:
        tier.plan(f"CREATE TABLE t (a {kind})")
    assert message in raised.value.message


def test_an_integer_primary_key_is_the_rowid(tier: Tier) -> None:
    tier.run("CREATE TABLE t (id int PRIMARY KEY, name text)")
    assert '"id" INTEGER CONSTRAINT "t_pkey" PRIMARY KEY,' in tier.table("t").sql
    assert tier.sqlite("SELECT rowid FROM t") == []
    tier.run("INSERT INTO t VALUES (7, 'x')")
    assert tier.sqlite("SELECT rowid FROM t") == [(7,)]
    [column, _] = tier.table("t").columns
    assert (column.oid, column.not_null, column.primary_key) == (oids.INT4, True, 1)
    [index] = tier.table("t").indexes
    assert (index.name, index.columns, index.unique, index.origin) == ("t_pkey", ("id",), True, "pk")


def test_serial_identity_and_sequences(tier: Tier) -> None:
    tier.run(
        "CREATE TABLE a (id serial PRIMARY KEY, n bigserial, v text);"
        "CREATE TABLE b (id bigint GENERATED ALWAYS AS IDENTITY (START WITH 100) PRIMARY KEY, v int);"
        "CREATE TABLE c (id int GENERATED BY DEFAULT AS IDENTITY, v int)"
    )
    id_, n, _ = tier.table("a").columns
    assert (id_.oid, id_.identity, id_.default, id_.not_null) == (23, "s", "nextval('a_id_seq'::regclass)", True)
    assert (n.oid, n.identity, n.default, n.not_null) == (20, "s", "nextval('a_n_seq'::regclass)", True)
    assert tier.table("b").columns[0].identity == "a"
    assert tier.table("c").columns[0].identity == "d"
    assert "AUTOINCREMENT" in tier.table("a").sql
    owners = {name: relation.owner for name, relation in tier.schema.relations.items() if relation.kind == "sequence"}
    assert owners == {
        "a_id_seq": ("a", "id"),
        "a_n_seq": ("a", "n"),
        "b_id_seq": ("b", "id"),
        "c_id_seq": ("c", "id"),
    }
    tier.pair.execute('INSERT INTO "b" ("v") VALUES (1), (2)')
    assert tier.sqlite("SELECT id FROM b") == [(100,), (101,)]
    assert tier.sqlite("SELECT last_value, is_called FROM b_id_seq") == [(101, 1)]
    assert tier.sqlite("SELECT last_value, is_called FROM a_id_seq") == [(1, 0)]


def test_constraint_names_are_postgresqls(tier: Tier) -> None:
    tier.run(
        "CREATE TABLE p (a int, b int, UNIQUE (a, b), UNIQUE (a));"
        "CREATE TABLE c (x int REFERENCES p (a), y int CHECK (y > 0), z int CONSTRAINT mine UNIQUE,"
        " CHECK (x < y), CHECK (z > 1), CHECK (z < 9), FOREIGN KEY (x, y) REFERENCES p (a, b))"
    )
    assert {index.name for index in tier.table("p").indexes} == {"p_a_b_key", "p_a_key"}
    child = tier.table("c")
    assert [index.name for index in child.indexes] == ["mine"]
    assert [check.name for check in child.checks] == ["c_y_check", "c_check", "c_z_check", "c_z_check1"]
    assert [(key.name, key.columns, key.target_columns) for key in child.foreign_keys] == [
        ("c_x_fkey", ("x",), ("a",)),
        ("c_x_y_fkey", ("x", "y"), ("a", "b")),
    ]


def test_foreign_keys_keep_their_actions(tier: Tier) -> None:
    tier.run(
        "CREATE TABLE p (id int PRIMARY KEY);"
        "CREATE TABLE c (a int REFERENCES p ON DELETE CASCADE ON UPDATE SET NULL,"
        " b int REFERENCES p DEFERRABLE INITIALLY DEFERRED, d int REFERENCES p MATCH SIMPLE NOT DEFERRABLE)"
    )
    first, second, third = tier.table("c").foreign_keys
    assert (first.target, first.target_columns, first.on_delete, first.on_update) == (
        "p",
        ("id",),
        "CASCADE",
        "SET NULL",
    )
    assert (second.deferrable, second.initially_deferred) == (True, True)
    assert not third.deferrable


def test_types_are_enforced(tier: Tier) -> None:
    tier.run(
        "CREATE TABLE t (s smallint, i int, v varchar(3), c char(2), n int NOT NULL DEFAULT 1, k int CHECK (k > 0))"
    )
    tier.run("INSERT INTO t (s, i, v, c) VALUES (32767, -2147483648, 'abc', 'xy')")
    for columns_and_values, error in (
        ("(s) VALUES (?1)", NumericOutOfRange),
        ("(i) VALUES (?1)", NumericOutOfRange),
    ):
        with pytest.raises(error):
            tier.pair.execute(f"INSERT INTO t {columns_and_values}".replace("?1", str(2**40)))
        tier.pair.primary.rollback()
    for values, wanted in (("(v) VALUES ('abcd')", StringTooLong), ("(n) VALUES (NULL)", NotNullViolation)):
        with pytest.raises(wanted):
            tier.pair.execute(f"INSERT INTO t {values}")
        tier.pair.primary.rollback()
    with pytest.raises(CheckViolation) as raised:
        tier.pair.execute("INSERT INTO t (k) VALUES (0)")
    tier.pair.primary.rollback()
    assert raised.value.constraint == "t_k_check"


def test_unique_violations_carry_the_constraints_name(tier: Tier) -> None:
    tier.run("CREATE TABLE t (id int PRIMARY KEY, a text UNIQUE); INSERT INTO t VALUES (1, 'x')")
    with pytest.raises(UniqueViolation):
        tier.run("INSERT INTO t VALUES (2, 'x')")


def test_defaults(tier: Tier) -> None:
    tier.run(
        "CREATE TABLE t (k int, a int DEFAULT 5, b text DEFAULT 'it''s', c boolean DEFAULT true,"
        " d numeric(6,2) DEFAULT 0,"
        " e timestamptz DEFAULT now(), f date DEFAULT '2024-02-29', g int DEFAULT -1 NOT NULL, h text DEFAULT NULL,"
        " i varchar(9) DEFAULT 'v', j float8 DEFAULT 1, l timestamp DEFAULT CURRENT_TIMESTAMP,"
        " m int DEFAULT (2 + 3) * 2,"
        " n text DEFAULT upper('q'))"
    )
    assert {column.name: column.default for column in tier.table("t").columns if column.default} == {
        "a": "5",
        "b": "'it''s'::text",
        "c": "true",
        "d": "0",
        "e": "now()",
        "f": "'2024-02-29'::date",
        "g": "-1",
        "i": "'v'::character varying",
        "j": "1",
        "l": "CURRENT_TIMESTAMP",
        "m": "(2 + 3) * 2",
        "n": "upper('q')",
    }
    tier.run("INSERT INTO t (k) VALUES (1)")
    [row] = tier.sqlite("SELECT a, b, c, d, f, g, h, i, j, m, n FROM t")
    assert row == (5, "it's", 1, "0.00", "2024-02-29", -1, None, "v", 1.0, 10, "Q")
    [(e, moment)] = tier.sqlite("SELECT e, l FROM t")
    assert e == moment
    assert str(e).startswith("2023-11-14 ")


@pytest.mark.parametrize(
    ("sql", "error", "message"),
    [
        ("CREATE TABLE t (a int, a text)", DuplicateColumn, 'column "a" specified more than once'),
        ("CREATE TABLE t (a int PRIMARY KEY, b int PRIMARY KEY)", InvalidTableDefinition, "multiple primary keys"),
        ("CREATE TABLE t (a int, PRIMARY KEY (b))", UndefinedColumn, 'column "b" named in key does not exist'),
        ("CREATE TABLE t (a int, UNIQUE (a, a))", DuplicateColumn, "appears twice in unique constraint"),
        ("CREATE TABLE t (a int REFERENCES nowhere)", UndefinedTable, 'relation "nowhere" does not exist'),
        ("CREATE TABLE t (a int REFERENCES plain)", InvalidForeignKey, "no primary key for referenced table"),
        (
            "CREATE TABLE t (a int REFERENCES plain (x))",
            InvalidForeignKey,
            "no unique constraint matching given keys",
        ),
        ("CREATE TABLE t (a int REFERENCES plain (q))", UndefinedColumn, '"q" referenced in foreign key'),
        ("CREATE TABLE t (a int, b int, FOREIGN KEY (a, b) REFERENCES keyed (id))", InvalidForeignKey, "disagree"),
        (
            "CREATE TABLE t (a int CONSTRAINT c CHECK (a>1) CONSTRAINT c CHECK (a>2))",
            DuplicateObject,
            '"c" for relation',
        ),
        ("CREATE TABLE plain (a int)", DuplicateTable, 'relation "plain" already exists'),
        ("CREATE TABLE other.t (a int)", UndefinedSchema, 'schema "other" does not exist'),
        ("CREATE TABLE pg_catalog.t (a int)", InsufficientPrivilege, "system catalog"),
        ("CREATE TABLE _lfsql_mine (a int)", InsufficientPrivilege, "reserved"),
        ("CREATE TABLE t (a int DEFAULT b)", FeatureNotSupported, "column reference in DEFAULT"),
        ("CREATE TABLE t (a int DEFAULT (SELECT 1))", FeatureNotSupported, "subquery in DEFAULT"),
        ("CREATE TABLE t (a serial DEFAULT 1)", StatementSyntax, "multiple default values"),
        (
            "CREATE TABLE t (a int DEFAULT 1 GENERATED ALWAYS AS IDENTITY)",
            StatementSyntax,
            "both default and identity",
        ),
        ("CREATE TABLE t (a text GENERATED ALWAYS AS IDENTITY)", InvalidTableDefinition, "identity column type"),
        ("CREATE TABLE t (a int NOT NULL NULL)", StatementSyntax, "conflicting NULL/NOT NULL"),
        ("CREATE TABLE t (a int UNIQUE DEFERRABLE)", FeatureNotSupported, "deferrable UNIQUE"),
        ("CREATE TABLE t (a int, EXCLUDE USING gist (a WITH =))", FeatureNotSupported, "EXCLUDE"),
        ('CREATE TABLE t (a text COLLATE "de_DE")', FeatureNotSupported, "de_DE"),
        ("CREATE TABLE t ()", FeatureNotSupported, "without columns"),
        ("CREATE TABLE t (a int) PARTITION BY RANGE (a)", FeatureNotSupported, "partitioning"),
        ("CREATE TABLE t (a int) INHERITS (plain)", FeatureNotSupported, "inheritance"),
        ("CREATE TEMP TABLE t (a int)", FeatureNotSupported, "temporary"),
        ("CREATE TABLE t (a int", StatementSyntax, "syntax error at end of input"),
        ("CREATE TABLE t (a int,)", StatementSyntax, 'at or near ")"'),
        ("CREATE TABLE select (a int)", StatementSyntax, 'at or near "select"'),
        ("CREATE TABLE t (a int) nonsense", StatementSyntax, 'at or near "nonsense"'),
        ("CREATE TYPE mood AS ENUM ('sad')", FeatureNotSupported, "CREATE TYPE"),
        ("CREATE MATERIALIZED VIEW v AS SELECT 1", FeatureNotSupported, "CREATE MATERIALIZED VIEW"),
        ("CREATE FUNCTION f() RETURNS int AS $$ SELECT 1; $$ LANGUAGE sql", FeatureNotSupported, "CREATE FUNCTION"),
        ("CREATE SCHEMA other", FeatureNotSupported, "schemas other than public"),
        ("CREATE EXTENSION hstore", FeatureNotSupported, "hstore"),
        ("CREATE 5", StatementSyntax, 'at or near "5"'),
    ],
)
def test_what_is_wrong_is_said_in_postgresqls_words(
    tier: Tier, sql: str, error: type[LfsqlError], message: str
) -> None:
    tier.run("CREATE TABLE plain (x int); CREATE TABLE keyed (id int PRIMARY KEY)")
    with pytest.raises(error) as raised:
        tier.plan(sql)
    assert message in raised.value.message


def test_storage_clauses_have_no_effect(tier: Tier) -> None:
    tier.run("CREATE UNLOGGED TABLE t (a int PRIMARY KEY WITH (fillfactor=90)) WITH (fillfactor=100) TABLESPACE x")
    tier.run('CREATE TABLE "Mixed Case" ("A b" text COLLATE "C")')
    assert columns(tier, "Mixed Case") == [("A b", oids.TEXT, -1)]


def test_if_not_exists_does_nothing(tier: Tier) -> None:
    tier.run("CREATE TABLE t (a int)")
    planned = tier.plan("CREATE TABLE IF NOT EXISTS t (a int, b int)")
    assert (planned.kind, planned.tag, planned.utility) == (Kind.UTILITY, "CREATE TABLE", Maintenance("CREATE TABLE"))
    for text in (
        "CREATE SCHEMA IF NOT EXISTS public",
        "CREATE EXTENSION IF NOT EXISTS plpgsql",
        "CREATE SEQUENCE IF NOT EXISTS t",
    ):
        assert tier.plan(text).kind is Kind.UTILITY


def test_like(tier: Tier) -> None:
    tier.run(
        "CREATE TABLE src (id int PRIMARY KEY, v text NOT NULL DEFAULT 'x', n numeric(4,1), CHECK (n > 0));"
        "CREATE TABLE plain (LIKE src); CREATE TABLE full_copy (LIKE src INCLUDING ALL, extra int)"
    )
    assert [column.default for column in tier.table("plain").columns] == [None, None, None]
    assert tier.table("plain").columns[1].not_null
    assert tier.table("plain").indexes == ()
    copy = tier.table("full_copy")
    assert [column.name for column in copy.columns] == ["id", "v", "n", "extra"]
    assert copy.columns[1].default == "'x'::text"
    assert [index.name for index in copy.indexes] == ["full_copy_pkey"]
    assert len(copy.checks) == 1


def test_create_table_as_and_select_into(tier: Tier) -> None:
    tier.run("CREATE TABLE src (id int PRIMARY KEY, v varchar(5)); INSERT INTO src VALUES (1, 'a'), (2, 'b')")
    planned = tier.plan("CREATE TABLE dst AS SELECT id, v AS w, id * 2.5 AS x FROM src WHERE id > 1")
    assert (planned.kind, planned.tag) == (Kind.DDL, "SELECT")
    tier.run_plan(planned)
    assert columns(tier, "dst") == [("id", 23, -1), ("w", oids.VARCHAR, 9), ("x", oids.NUMERIC, -1)]
    assert tier.sqlite("SELECT * FROM dst") == [(2, "b", "5.0")]
    tier.run("SELECT v INTO UNLOGGED TABLE other FROM src ORDER BY v DESC LIMIT 1")
    assert tier.sqlite("SELECT * FROM other") == [("b",)]
    assert tier.plan("CREATE TABLE e (p) AS SELECT 1 WITH NO DATA").tag == "CREATE TABLE AS"
    tier.run("CREATE TABLE e (p, q) AS VALUES (1, 'x')")
    assert columns(tier, "e") == [("p", 23, -1), ("q", oids.TEXT, -1)]
    with pytest.raises(DuplicateColumn):
        tier.plan("CREATE TABLE f AS SELECT 1 AS a, 2 AS a")
    with pytest.raises(StatementSyntax, match="too many column names"):
        tier.plan("CREATE TABLE f (a, b) AS SELECT 1")


def test_indexes(tier: Tier) -> None:
    tier.run(
        "CREATE TABLE t (a int, b text, c text);"
        "CREATE INDEX ON t (a);"
        "CREATE INDEX ON t (a);"
        "CREATE UNIQUE INDEX CONCURRENTLY u ON public.t USING btree (b text_pattern_ops DESC NULLS LAST, a)"
        " INCLUDE (c);"
        "CREATE INDEX e ON t (lower(b), (a + 1)) WITH (fillfactor = 70) WHERE a > 5;"
        'CREATE INDEX coll ON t (b COLLATE "C" varchar_pattern_ops)'
    )
    found = {index.name: index for index in tier.table("t").indexes}
    assert set(found) == {"t_a_idx", "t_a_idx1", "u", "e", "coll"}
    assert (found["u"].columns, found["u"].unique, found["u"].origin) == (("b", "a"), True, "c")
    assert (found["e"].columns, found["e"].partial) == ((None, None), True)
    tier.run("CREATE INDEX IF NOT EXISTS u ON t (a)")
    with pytest.raises(DuplicateTable):
        tier.plan("CREATE INDEX u ON t (a)")
    for sql, error in (
        ("CREATE INDEX i ON t USING gin (b)", FeatureNotSupported),
        ("CREATE INDEX i ON t (zzz)", UndefinedColumn),
        ("CREATE INDEX i ON nowhere (a)", UndefinedTable),
        ("CREATE UNIQUE INDEX i ON t (a) NULLS NOT DISTINCT", FeatureNotSupported),
    ):
        with pytest.raises(error):
            tier.plan(sql)


def test_views_have_types(tier: Tier) -> None:
    tier.run(
        "CREATE TABLE t (a int, n numeric(5,2)); INSERT INTO t VALUES (1, 2.5);"
        "CREATE VIEW v AS SELECT a, n, a || 'x' AS label, count(*) OVER () FROM t;"
        "CREATE VIEW named (x, y) AS SELECT a, n FROM t"
    )
    assert [(name, oid) for name, oid, _ in columns(tier, "v")] == [
        ("a", 23),
        ("n", oids.NUMERIC),
        ("label", oids.TEXT),
        ("count", oids.INT8),
    ]
    assert tier.run("SELECT x, y FROM named") == [(1, "2.50")]
    with pytest.raises(DuplicateTable):
        tier.plan("CREATE VIEW v AS SELECT 1 AS one")
    tier.run("CREATE OR REPLACE VIEW named AS SELECT a AS z FROM t")
    assert columns(tier, "named") == [("z", 23, -1)]
    with pytest.raises(FeatureNotSupported):
        tier.plan("CREATE VIEW w AS SELECT current_user AS u")
    with pytest.raises(FeatureNotSupported):
        tier.plan("CREATE VIEW w AS SELECT a FROM t WITH CHECK OPTION")
    with pytest.raises(WrongObjectType):
        tier.plan("CREATE OR REPLACE VIEW t AS SELECT 1 AS one")


def test_sequences(tier: Tier) -> None:
    tier.run("CREATE SEQUENCE s INCREMENT BY 5 START 10 MINVALUE 1 MAXVALUE 1000 CACHE 3 CYCLE")
    relation = tier.table("s")
    assert (relation.kind, relation.owner) == ("sequence", None)
    assert [column.name for column in relation.columns] == ["last_value", "log_cnt", "is_called"]
    assert tier.sqlite("SELECT last_value, log_cnt, is_called FROM s") == [(10, 0, 0)]
    tier.run("ALTER SEQUENCE s RESTART WITH 50")
    assert tier.sqlite("SELECT last_value FROM s") == [(50,)]
    tier.run("ALTER SEQUENCE s INCREMENT BY -1 MAXVALUE 2000 NO CYCLE RESTART")
    assert tier.sqlite('SELECT last_value, increment, max, "cycle" FROM _lfsql_sequences') == [(10, -1, 2000, 0)]
    for sql, message in (
        ("CREATE SEQUENCE q INCREMENT 0", "INCREMENT must not be zero"),
        ("CREATE SEQUENCE q MINVALUE 5 MAXVALUE 5", "must be less than MAXVALUE"),
        ("CREATE SEQUENCE q START 5 MAXVALUE 4", "cannot be greater than MAXVALUE"),
        ("CREATE SEQUENCE q START 0", "cannot be less than MINVALUE"),
        ("CREATE SEQUENCE q AS text", "sequence type must be"),
        ("CREATE SEQUENCE q OWNED BY x", "invalid OWNED BY option"),
    ):
        with pytest.raises(InvalidParameterValue, match=message):
            tier.plan(sql)
    tier.run("DROP SEQUENCE s")
    assert "s" not in tier.schema.relations


def test_generated_columns(tier: Tier) -> None:
    tier.run("CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a * 2) STORED); INSERT INTO t (a) VALUES (4)")
    assert tier.sqlite("SELECT b FROM t") == [(8,)]
    with pytest.raises(StatementSyntax):
        tier.plan("CREATE TABLE u (a int, b int GENERATED BY DEFAULT AS (a * 2) STORED)")
