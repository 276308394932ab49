"""The catalogs' rows and functions, asked with SQLite's own SQL."""

from __future__ import annotations

import time
from collections.abc import Iterator

import apsw
import pytest

from lfsql.errors import InvalidParameterValue, UndefinedColumn, UndefinedFunction, UndefinedObject, UndefinedTable
from proxy.sql import catalog
from proxy.sql.catalog.definitions import relations
from proxy.sql.catalog.facts import Cursor, Facts, Node, Prepared, Proxy, Role, Route, Session, Setting
from proxy.sql.catalog.functions import size_pretty
from proxy.sql.catalog.rows import Rows
from proxy.sql.catalog.spelling import shown
from proxy.sql.schema import Column, ForeignKey, Index, Relation, Schema
from tests.sql.catalog_fixture import SCHEMA

FACTS = Facts(
    roles=(Role("reader", superuser=False),),
    settings=(
        Setting("lfsql.dialect", "postgresql", kind="enum", choices=("postgresql", "sqlite")),
        Setting("work_mem", "1", unit="kB", default="2"),
    ),
    sessions=(Session(pid=7, user="reader", database="lfsql", state="idle"),),
    nodes=(
        Node("n1", "primary", "127.0.0.1:7001"),
        Node("n2", "replica", "127.0.0.1:7002", healthy=False, lag_ms=3_723_004.5),
    ),
    proxies=(Proxy(12, "127.0.0.1:5432"),),
    routes=(Route("n2", "replica", "session", "inline", 7, 1.5), Route("", "proxy", "", "system catalogs", 1)),
    primary="n1",
    term=3,
    commit_index=120,
    prepared=(Prepared("s", "SELECT $1", (23,)),),
    cursors=(Cursor("c", "SELECT 1", hold=True),),
)


def connect(schema: Schema, facts: Facts) -> apsw.Connection:
    """A filled connection, as the proxy makes one: read-only but for the attached catalogs."""
    flags = apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    connection = apsw.Connection(":memory:", flags=flags)
    for statement in catalog.ATTACHMENTS:
        connection.execute(statement)
    catalog.create(connection)
    catalog.fill(connection, catalog.catalog_rows(schema, facts))
    for name, function in catalog.catalog_functions(schema, facts).items():
        connection.create_scalar_function(name, function, deterministic=True)
    return connection


@pytest.fixture(scope="module")
def filled() -> Iterator[apsw.Connection]:
    connection = connect(SCHEMA, FACTS)
    yield connection
    connection.close()


def ask(connection: apsw.Connection, sql: str, *parameters: str | int) -> list[tuple[apsw.SQLiteValue, ...]]:
    return list(connection.execute(sql, parameters))


def test_a_read_only_connection_can_have_catalogs(tmp_path: object) -> None:
    path = f"{tmp_path}/data.db"
    apsw.Connection(path).execute("CREATE TABLE t (a)")
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    for statement in catalog.ATTACHMENTS:
        connection.execute(statement)
    catalog.create(connection)
    catalog.fill(connection, catalog.catalog_rows(SCHEMA, FACTS))
    with pytest.raises(apsw.ReadOnlyError):
        connection.execute("INSERT INTO t VALUES (1)")


def test_every_column_of_every_relation_can_be_read(filled: apsw.Connection) -> None:
    for key, relation in catalog.relation_schema().relations.items():
        names = ", ".join(f'"{column.name}"' for column in relation.columns)
        description = filled.execute(f"SELECT {names} FROM {key}").get_description
        assert callable(description)


def test_every_function_with_a_type_exists_and_the_other_way_round() -> None:
    assert set(catalog.catalog_functions(SCHEMA)) == set(catalog.RESULT_TYPES)


def test_every_not_null_column_is_filled(filled: apsw.Connection) -> None:
    for key, relation in catalog.relation_schema().relations.items():
        for column in relation.columns:
            if column.not_null:
                assert ask(filled, f'SELECT count(*) FROM {key} WHERE "{column.name}" IS NULL') == [(0,)], (
                    key,
                    column.name,
                )


def test_tables_views_indexes_and_sequences_are_in_pg_class(filled: apsw.Connection) -> None:
    found = ask(
        filled,
        "SELECT relkind, relname FROM pg_class WHERE relnamespace = 2200 AND relname LIKE 't%' ORDER BY 1, 2",
    )
    assert found == [
        ("S", "typed_big_seq"),
        ("S", "typed_id_seq"),
        ("i", "track_album_id_idx"),
        ("i", "track_genre_id_idx"),
        ("i", "track_media_type_id_idx"),
        ("i", "track_pkey"),
        ("i", "typed_pkey"),
        ("i", "typed_u_key"),
        ("i", "typed_v_partial"),
        ("r", "track"),
        ("r", "typed"),
        ("v", "track_names"),
    ]


def test_every_oid_is_used_once(filled: apsw.Connection) -> None:
    assert ask(filled, "SELECT oid FROM pg_class GROUP BY oid HAVING count(*) > 1") == []
    assert ask(filled, "SELECT oid FROM pg_type GROUP BY oid HAVING count(*) > 1") == []


def test_numbers_do_not_change_when_other_objects_come_and_go() -> None:
    fewer = Schema(2, {name: each for name, each in SCHEMA.relations.items() if name != "typed"})
    all_rows = catalog.catalog_rows(SCHEMA, FACTS)["pg_catalog", "pg_constraint"]
    assert set(catalog.catalog_rows(fewer, FACTS)["pg_catalog", "pg_constraint"]) < set(all_rows)


def test_hidden_objects_do_not_show(filled: apsw.Connection) -> None:
    assert ask(filled, "SELECT conname FROM pg_constraint WHERE contype = 'c'") == [("typed_n_check",)]


def test_definitions_are_printed_as_postgresql_does(filled: apsw.Connection) -> None:
    found = {row[0]: row[1] for row in ask(filled, "SELECT conname, pg_get_constraintdef(oid, 1) FROM pg_constraint")}
    assert found["playlist_track_pkey"] == "PRIMARY KEY (playlist_id, track_id)"
    assert found["track_album_id_fkey"] == "FOREIGN KEY (album_id) REFERENCES album(album_id)"
    assert found["typed_n_check"] == "CHECK (n > 0)"
    assert found["typed_u_key"] == "UNIQUE (u)"
    assert ask(
        filled,
        "SELECT pg_get_indexdef(oid), pg_get_indexdef(oid, 0, 1), pg_get_indexdef(oid, 1, 0),"
        " pg_get_indexdef(oid, 2, 0) FROM pg_class WHERE relname = 'typed_v_partial'",
    ) == [
        (
            "CREATE UNIQUE INDEX typed_v_partial ON public.typed USING btree (v) WHERE (ok)",
            "CREATE UNIQUE INDEX typed_v_partial ON typed USING btree (v) WHERE ok",
            "v",
            None,
        )
    ]
    assert ask(filled, "SELECT pg_get_viewdef('track_names')") == [
        (" SELECT track_id, name, unit_price FROM track;",)
    ]
    assert ask(filled, "SELECT pg_get_ruledef(oid) LIKE '%DO INSTEAD  SELECT%' FROM pg_rewrite") == [(1,)]
    assert ask(
        filled, "SELECT pg_get_constraintdef(1), pg_get_indexdef(1), pg_get_viewdef(1), pg_get_ruledef(1)"
    ) == [(None, None, None, None)]


def test_foreign_key_actions_and_deferral() -> None:
    column = Column("a", 23, -1, 1, "int4 integer", primary_key=1)
    key = ForeignKey("", ("a",), "Other", (), "CASCADE", "SET NULL", deferrable=True, initially_deferred=True)
    schema = Schema(
        1,
        {
            "t": Relation("t", 20000, "table", (column,), "", foreign_keys=(key,)),
            "Other": Relation("Other", 20001, "table", (column,), ""),
        },
    )
    connection = connect(schema, Facts())
    assert ask(
        connection,
        "SELECT conname, pg_get_constraintdef(oid), confupdtype, confdeltype, condeferrable, confkey"
        " FROM pg_constraint WHERE contype = 'f'",
    ) == [
        (
            "t_a_fkey",
            DEFERRED_KEY,
            "c",
            "n",
            1,
            "[1]",
        )
    ]


DEFERRED_KEY = (
    'FOREIGN KEY (a) REFERENCES "Other"(a) ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED'
)


def test_expressions_and_descending_columns_of_an_index() -> None:
    columns = (Column("a", 23, -1, 1, ""), Column("b", 25, -1, 2, ""))
    text = """CREATE INDEX i ON t (lower(b || ',)'), a DESC NULLS LAST) WHERE (a > 1)"""
    schema = Schema(
        1,
        {"t": Relation("t", 20000, "table", columns, "", (Index("i", (None, "a"), False, "c", text, partial=True),))},
    )
    connection = connect(schema, Facts())
    assert ask(
        connection, "SELECT indkey, indoption, indexprs, indpred, pg_get_indexdef(indexrelid) FROM pg_index"
    ) == [
        (
            "[0,1]",
            "[0,3]",
            "lower(b || ',)')",
            "a > 1",
            "CREATE INDEX i ON public.t USING btree (lower(b || ',)'), a DESC) WHERE (a > 1)",
        )
    ]
    assert ask(
        connection,
        "SELECT pg_index_column_has_property(indexrelid, 2, 'desc'),"
        " pg_index_column_has_property(indexrelid, 1, 'asc'), pg_index_column_has_property(indexrelid, 3, 'asc'),"
        " pg_index_column_has_property(1, 1, 'asc') FROM pg_index",
    ) == [(1, 1, None, None)]


@pytest.mark.parametrize(
    ("kept", "printed"),
    [
        ("(\"n\" COLLATE lfsql_numeric > '0')", "n > '0'"),
        ('("Select" > \'"x"\' AND (a))', '"Select" > \'"x"\' AND (a)'),
        ("((a) OR (b))", "(a) OR (b)"),
    ],
)
def test_expressions_are_printed_without_what_sqlite_needs(kept: str, printed: str) -> None:
    assert shown(kept) == printed


def test_names_and_numbers_of_relations(filled: apsw.Connection) -> None:
    assert ask(
        filled, "SELECT lfsql_regclass('public.track'), lfsql_regclass('1259'), lfsql_regclass('\"track\"')"
    ) == [(SCHEMA.relations["track"].oid, 1259, SCHEMA.relations["track"].oid)]
    assert ask(filled, "SELECT to_regclass('nothing'), to_regclass('lfsql.nodes'), lfsql_regclass_out(0)") == [
        (None, 15001, "-")
    ]
    assert ask(filled, "SELECT lfsql_regclass_out(1259), lfsql_regclass_out(15001), lfsql_regclass_out(5)") == [
        ("pg_class", "lfsql.nodes", "5")
    ]
    with pytest.raises(UndefinedTable, match='relation "nothing" does not exist'):
        ask(filled, "SELECT lfsql_regclass('nothing')")


def test_names_and_numbers_of_other_objects(filled: apsw.Connection) -> None:
    assert ask(
        filled,
        "SELECT lfsql_regtype('int[]'), lfsql_regtype_out(1043), lfsql_regtype('-'), lfsql_regtype('23'),"
        " lfsql_regproc('pg_catalog.array_in'), lfsql_regproc_out(750), lfsql_regproc_out(0), lfsql_regproc('5'),"
        " lfsql_regnamespace('public'), lfsql_regnamespace_out(11), lfsql_regrole('reader'), lfsql_regrole_out(10)",
    ) == [(1007, "character varying", 0, 23, 750, "array_in", "-", 5, 2200, "pg_catalog", 20000, "lfsql")]
    assert ask(
        filled, "SELECT to_regtype('nothing'), to_regproc('nothing'), to_regrole('x'), to_regnamespace('x')"
    ) == [(None, None, None, None)]
    for call, error in (
        ("lfsql_regtype('nothing')", UndefinedObject),
        ("lfsql_regproc('nothing')", UndefinedFunction),
        ("lfsql_regnamespace('nothing')", UndefinedObject),
        ("lfsql_regrole('nothing')", UndefinedObject),
    ):
        with pytest.raises(error):
            ask(filled, f"SELECT {call}")


def test_a_table_is_a_type_too(filled: apsw.Connection) -> None:
    oid = ask(filled, "SELECT reltype FROM pg_class WHERE relname = 'track'")[0][0]
    assert isinstance(oid, int)
    assert ask(filled, "SELECT to_regtype('track'), format_type(?, -1)", oid) == [(oid, "track")]


def test_serial_sequences(filled: apsw.Connection) -> None:
    assert ask(
        filled,
        "SELECT pg_get_serial_sequence('typed', 'id'), pg_get_serial_sequence('typed', 'big'),"
        " pg_get_serial_sequence('typed', 'v'), pg_get_serial_sequence(NULL, 'v')",
    ) == [("public.typed_id_seq", "public.typed_big_seq", None, None)]
    with pytest.raises(UndefinedColumn):
        ask(filled, "SELECT pg_get_serial_sequence('typed', 'nothing')")
    assert ask(
        filled,
        "SELECT s.relname, a.attname, d.deptype FROM pg_depend d"
        " JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'"
        " JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid ORDER BY 1",
    ) == [("typed_big_seq", "big", "i"), ("typed_id_seq", "id", "a")]


def test_a_sequence_may_be_named_as_it_likes() -> None:
    column = Column("a", 21, -1, 1, "int2 integer", default="nextval('s'::regclass)")
    schema = Schema(
        1,
        {
            "t": Relation("t", 20000, "table", (column,), ""),
            "s": Relation("s", 20001, "sequence", (), "", owner=("t", "a")),
        },
    )
    connection = connect(schema, Facts())
    assert ask(connection, "SELECT pg_get_serial_sequence('t', 'a')") == [("public.s",)]
    assert ask(connection, "SELECT seqrelid, seqtypid, seqmax FROM pg_sequence") == [(20001, 21, 32767)]
    assert ask(connection, "SELECT relname FROM pg_class WHERE relkind = 'S'") == [("s",)]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (10239, "10239 bytes"),
        (10240, "10 kB"),
        (-123456789, "-118 MB"),
        (5368709120, "5120 MB"),
        ("1048576", "1024 kB"),
        (2**62, "4096 PB"),
    ],
)
def test_sizes_are_printed_as_postgresql_does(size: int | str, text: str) -> None:
    assert size_pretty(size) == text


def test_a_size_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidParameterValue):
        size_pretty("large")


def test_small_functions(filled: apsw.Connection) -> None:
    assert ask(
        filled,
        "SELECT pg_encoding_to_char(6), pg_char_to_encoding('utf-8'), pg_char_to_encoding('x'), pg_get_userbyid(10),"
        " pg_get_userbyid(9), has_table_privilege('reader', 'track', 'select'), row_security_active('track'),"
        " pg_table_is_visible(1259), pg_table_is_visible(15001), pg_table_is_visible(3),"
        " lfsql_regtype_names('[23,25]'),"
        " getdatabaseencoding(),"
        " pg_get_function_arguments(1), pg_get_function_result(750), lfsql_regoper_out(96), obj_description(1, 'x')",
    ) == [
        (
            "UTF8",
            6,
            -1,
            "lfsql",
            "unknown (OID=9)",
            1,
            0,
            1,
            0,
            None,
            '["integer","text"]',
            "UTF8",
            None,
            "anyarray",
            "=",
            None,
        )
    ]


def test_the_console_shows_the_cluster(filled: apsw.Connection) -> None:
    assert ask(filled, "SELECT name, role, healthy FROM lfsql.nodes") == [("n1", "primary", 1), ("n2", "replica", 0)]
    assert ask(filled, "SELECT primary_node, term, commit_index FROM lfsql.cluster") == [("n1", 3, 120)]
    assert ask(filled, "SELECT application_name, state, replay_lag FROM pg_stat_replication") == [
        ("n2", "catchup", "01:02:03.004500")
    ]
    assert ask(filled, "SELECT name, setting FROM lfsql.settings") == [("lfsql.dialect", "postgresql")]
    assert ask(filled, "SELECT node, level, statements, staleness_ms_max FROM lfsql.routes") == [
        ("n2", "session", 7, 1.5),
        (None, None, 1, 0.0),
    ]
    assert ask(filled, "SELECT name, source, enumvals FROM pg_settings") == [
        ("lfsql.dialect", "default", '["postgresql","sqlite"]'),
        ("work_mem", "session", None),
    ]
    assert ask(filled, "SELECT pid, usename, usesysid, state FROM pg_stat_activity") == [(7, "reader", 20000, "idle")]
    assert ask(filled, "SELECT name, parameter_types FROM pg_prepared_statements") == [("s", '["integer"]')]
    assert ask(filled, "SELECT name, is_holdable FROM pg_cursors") == [("c", 1)]
    assert ask(filled, "SELECT rolname, rolsuper FROM pg_roles ORDER BY oid") == [("lfsql", 1), ("reader", 0)]


def test_live_rows_are_refreshed_alone() -> None:
    connection = connect(SCHEMA, Facts())
    before = ask(connection, "SELECT count(*) FROM pg_class")
    catalog.refresh(connection, FACTS)
    assert ask(connection, "SELECT count(*) FROM lfsql.nodes") == [(2,)]
    assert ask(connection, "SELECT count(*) FROM pg_class") == before
    assert set(catalog.live_rows(FACTS)) == catalog.LIVE_RELATIONS


def test_a_failed_fill_leaves_what_was_there() -> None:
    connection = connect(SCHEMA, FACTS)
    broken: Rows = {("lfsql", "proxies"): [(1, "one", "too many")]}
    with pytest.raises(apsw.Error):
        catalog.fill(connection, broken)
    assert ask(connection, "SELECT pid FROM lfsql.proxies") == [(12,)]
    assert connection.in_transaction is False


def test_declared_types_give_back_the_types(filled: apsw.Connection) -> None:
    for database in catalog.DATABASES:
        for relation in relations(database).values():
            for column in relation.columns:
                first = column.declared.split()[0]
                assert first != "", (database, relation.name, column.name)
                if column.declared.endswith("integer"):
                    assert "INT" in column.declared.upper()
                else:
                    # "INT" before a text type would give it INTEGER affinity and lose leading zeros.
                    assert "INT" not in column.declared.upper().partition("(")[0], column


def test_two_hundred_tables_take_a_moment() -> None:
    columns = tuple(Column(f"c{at}", 23 if at else 25, -1, at + 1, "", primary_key=at == 0) for at in range(10))
    schema = Schema(1, {f"t{at}": Relation(f"t{at}", 20000 + at, "table", columns, "") for at in range(200)})
    catalog.catalog_rows(schema, FACTS)
    start = time.perf_counter()
    catalog.catalog_rows(schema, FACTS)
    assert time.perf_counter() - start < 0.5
