"""Schemas read back from data files, our own and those of other SQLite tools."""

from __future__ import annotations

import apsw
import pytest

from lfsql.errors import DataCorrupted
from proxy.pg import oids
from proxy.sql.constraint_names import choose_name
from proxy.sql.declared import declared_type, type_of_declared
from proxy.sql.schema import Check
from proxy.sql.schema_query import relation_oid
from proxy.sql.table_text import parse_table
from tests.sql.tier import Tier

FOREIGN = """
CREATE TABLE Foo(
  a integer primary key, b varchar(20) not null unique default 'x', c numeric collate nocase,
  d int constraint dk references foo(b) on delete cascade on update restrict deferrable initially deferred,
  e decimal(10, 2) default (1+2) check (e > 0), f,
  g double precision default -1.5, h boolean,
  i blob, j json, k DATETIME DEFAULT CURRENT_TIMESTAMP, l as (a + 1) stored, "m n" text,
  constraint ch check (d > 3), check(a<b), foreign key (c, d) references other match simple,
  unique (e, "f" collate nocase)
);
CREATE TABLE other(x int, y int, constraint pk primary key (x, y desc)) without rowid, strict;
CREATE TABLE [we ird](`a b` int, 'c' text, primary key(`a b`));
CREATE INDEX i ON Foo(b, c+1) where d>1;
CREATE VIEW v AS SELECT a, b||'x' AS label FROM Foo;
CREATE TABLE log(x);
CREATE TRIGGER tr AFTER INSERT ON Foo BEGIN INSERT INTO log VALUES (new.b); END;
CREATE VIRTUAL TABLE ft USING fts5(body);
"""


def test_databases_of_other_tools_can_be_read(tier: Tier) -> None:
    tier.run(FOREIGN, dialect="sqlite")
    schema = tier.load()
    foo = schema.relations["Foo"]
    assert [(column.name, column.oid) for column in foo.columns] == [
        ("a", oids.INT8),
        ("b", oids.TEXT),
        ("c", oids.NUMERIC),
        ("d", oids.INT8),
        ("e", oids.NUMERIC),
        ("f", oids.TEXT),
        ("g", oids.FLOAT8),
        ("h", oids.BOOL),
        ("i", oids.BYTEA),
        ("j", oids.JSON),
        ("k", oids.TEXT),
        ("l", oids.TEXT),
        ("m n", oids.TEXT),
    ]
    assert [(column.not_null, column.primary_key) for column in foo.columns[:3]] == [(True, 1), (True, 0), (False, 0)]
    assert foo.columns[2].collation == "nocase"
    assert [column.default for column in foo.columns if column.default] == ["'x'", "1+2", "-1.5", "CURRENT_TIMESTAMP"]
    assert [(index.name, index.columns, index.origin) for index in foo.indexes] == [
        ("Foo_pkey", ("a",), "pk"),
        ("Foo_b_key", ("b",), "u"),
        ("Foo_e_f_key", ("e", "f"), "u"),
        ("i", ("b", None), "c"),
    ]
    assert [(k.name, k.columns, k.target, k.target_columns, k.on_delete, k.on_update) for k in foo.foreign_keys] == [
        ("dk", ("d",), "foo", ("b",), "CASCADE", "RESTRICT"),
        ("Foo_c_d_fkey", ("c", "d"), "other", ("x", "y"), "NO ACTION", "NO ACTION"),
    ]
    assert (foo.foreign_keys[0].deferrable, foo.foreign_keys[0].initially_deferred) == (True, True)
    assert foo.checks == (Check("Foo_check", "e > 0"), Check("ch", "d > 3"), Check("Foo_check1", "a<b"))
    assert foo.triggers == ("CREATE TRIGGER tr AFTER INSERT ON Foo BEGIN INSERT INTO log VALUES (new.b); END",)
    assert [index.name for index in schema.relations["other"].indexes] == ["pk"]
    assert [column.name for column in schema.relations["we ird"].columns] == ["a b", "c"]
    assert schema.relations["v"].kind == "view"
    assert [column.name for column in schema.relations["ft"].columns] == ["body"]
    assert not any(name.startswith(("sqlite_", "_lfsql_")) for name in schema.relations)


def test_oids_are_stable_and_unique(tier: Tier) -> None:
    tier.run("CREATE TABLE a (x int); CREATE TABLE b (x int)")
    found = {name: relation.oid for name, relation in tier.schema.relations.items()}
    assert found == {"a": relation_oid("a"), "b": relation_oid("b")}
    tier.run("CREATE TABLE c (x int); DROP TABLE b")
    assert tier.table("a").oid == found["a"]
    assert 16384 <= relation_oid("anything") < 2**31


def test_two_names_with_one_checksum_get_two_oids(tier: Tier) -> None:
    # CRC-32 is linear: these two collide.
    assert relation_oid("plumless") == relation_oid("buckeroo")
    tier.run("CREATE TABLE plumless (x int); CREATE TABLE buckeroo (x int)")
    assert tier.table("plumless").oid != tier.table("buckeroo").oid


@pytest.mark.parametrize(
    ("declared", "oid", "typmod"),
    [
        ("int4 integer", oids.INT4, -1),
        ("numeric text(10,2)", oids.NUMERIC, ((10 << 16) | 2) + 4),
        ("numeric text(5,-2)", oids.NUMERIC, ((5 << 16) | (-2 & 0x7FF)) + 4),
        ("varchar text(20)", oids.VARCHAR, 24),
        ("bpchar text(3)", oids.BPCHAR, 7),
        ("timestamptz text(3)", oids.TIMESTAMPTZ, 3),
        ("duration text", oids.INTERVAL, -1),
        ("array text(1007)", 1007, -1),
        ("text", oids.TEXT, -1),
        ("jsonb text", oids.JSONB, -1),
    ],
)
def test_declared_types_there_and_back(declared: str, oid: int, typmod: int) -> None:
    assert type_of_declared(declared) == (oid, typmod)
    assert declared_type(oid, typmod) == declared


def test_every_stored_type_has_a_declaration_of_its_own() -> None:
    found = {type_of_declared(declared_type(oid, -1))[0] for oid in (*oids.STORAGE, *oids.ELEMENTS)}
    assert found == {*oids.STORAGE, *oids.ELEMENTS}


@pytest.mark.parametrize(
    ("declared", "oid"),
    [
        ("array text(9)", oids.TEXT),
        ("unheard text", oids.TEXT),
        ("", oids.TEXT),
        ("FLOATING POINT", oids.INT8),
        ("STRING", oids.TEXT),
    ],
)
def test_declarations_of_others(declared: str, oid: int) -> None:
    assert type_of_declared(declared) == (oid, -1)


def test_unreadable_table_text() -> None:
    assert parse_table("CREATE TABLE t (a int GARBAGE)").columns[0].declared == "int GARBAGE"
    for text in ("CREATE TABLE t (", "CREATE TABLE t (a REFERENCES x ON y z)", ""):
        with pytest.raises(DataCorrupted):
            parse_table(text)


def test_what_sqlite_accepts_the_reader_reads() -> None:
    connection = apsw.Connection(":memory:")
    for sql in (
        "create temp table if not exists main.t(a)",
        "create table t(a int not null on conflict ignore null default +1 unique on conflict replace)",
        "create table t(a integer primary key desc, b default 'it''s', c default (a), d text collate [nocase])",
        "create table t(a unsigned big int(10, 5), b 'quoted type', c references u match full on delete set default)",
        "create table t(a, constraint x unique(a), constraint y check(a>1) constraint z foreign key(a) references u)",
        "create table t(a, b generated always as (a) virtual, primary key(a asc) on conflict abort)",
        "create table t(a references u not deferrable initially immediate)",
    ):
        try:
            connection.execute(sql.replace("main.t", "t").replace("default (a)", "default (1)"))
            connection.execute("drop table t")
        except apsw.SQLError as error:
            raise AssertionError(sql) from error
        assert parse_table(sql).name == "t"


def test_names_are_cut_as_postgresql_cuts_them() -> None:
    assert choose_name("t", ("a", "b"), "key", ()) == "t_a_b_key"
    assert choose_name("t", (), "pkey", {"t_pkey"}) == "t_pkey1"
    long = choose_name("t" * 60, ("c" * 60,), "fkey", ())
    assert len(long) == 63
    assert long == "t" * 29 + "_" + "c" * 28 + "_fkey"
