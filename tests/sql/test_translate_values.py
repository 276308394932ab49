"""What PostgreSQL's answers do not show: the SQLite text, lifted literals, session calls, expressions in a schema."""

from __future__ import annotations

import pytest

from lfsql.errors import (
    FeatureNotSupported,
    IndeterminateType,
    StatementSyntax,
    StatementTooComplex,
    UndefinedColumn,
    UndefinedParameter,
)
from proxy.pg import oids
from proxy.sql.grammar import parse_expression
from proxy.sql.lexer import tokens
from proxy.sql.parsing import parse_statement
from proxy.sql.plan import SessionCall
from proxy.sql.translate import infer_columns, translate_expression
from tests.sql.sqlite_side import CLOCK_US, open_tables, planned, run, schema


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("select id from t where b like 'ab%'", """("t"."b" GLOB 'ab*')"""),
        ("select id from t where b like 'a[b'", """("t"."b" = 'a[b')"""),
        ("select id from t where b like '%[*'", "'*[[][*]'"),
        ("select id from t where d = '2024-1-5'", "'2024-01-05'"),
        ("select id from t where n = 5", """"t"."n" COLLATE lfsql_numeric = '5'"""),
        ("select a + 1 from t", """lfsql_int4(("t"."a" + 1))"""),
        ("update t set a = a + $1", """"a" = ("t"."a" + ?1)"""),
        ("select a / 2 from t", """("t"."a" / 2)"""),
        ("select id from t order by id", "ORDER BY 1"),
        ("select id from t order by a", """ORDER BY "t"."a" NULLS LAST"""),
        ("select id from t where id = any($1)", "IN (SELECT value FROM json_each(ifnull(?1, '[null]')))"),
        ("select id from t limit $1", "LIMIT lfsql_row_count(?1, -1, 'LIMIT')"),
        ("select id from t offset 2", "LIMIT -1 OFFSET 2"),
        ("select id from public.t", 'FROM "t"'),
        ("select relname from pg_catalog.pg_class", 'FROM "pg_catalog"."pg_class"'),
        ("select id from t for update", 'FROM "t"'),
    ],
)
def test_sqlite_text(text: str, part: str) -> None:
    assert part in planned(text).sql


def test_parameters_keep_the_clients_types() -> None:
    translation = planned("select a + $1 from t where b = $2", (oids.INT8, 0))
    assert translation.parameters == (oids.INT8, oids.TEXT)
    assert translation.columns[0].oid == oids.INT8


def test_more_types_than_parameters() -> None:
    assert planned("select $1", (oids.INT4, oids.DATE)).parameters == (oids.INT4, oids.DATE)


def test_a_parameter_nothing_types() -> None:
    with pytest.raises(IndeterminateType, match=r"could not determine data type of parameter \$1"):
        planned("select $2::int")


def test_lifted_literals_follow_the_parameters() -> None:
    translation = planned(
        "select $1::text from t where n = $2 and d > $3 and f < $4", (), (oids.INT4, 705, oids.NUMERIC)
    )
    assert translation.parameters == (oids.TEXT,)
    assert translation.lifted == (oids.NUMERIC, oids.DATE, oids.FLOAT8)


def test_a_lifted_numeric_is_rounded_for_an_integer() -> None:
    translation = planned("insert into kv (k, v) values ($1, $2)", (), (705, oids.NUMERIC))
    assert translation.lifted == (oids.TEXT, oids.NUMERIC)
    assert "lfsql_numeric_to_int(?2, 4)" in translation.sql


def test_a_lifted_literal_keeps_its_type_alone() -> None:
    translation = planned("select $1, $2", (), (oids.INT4, 705))
    assert translation.lifted == (oids.INT4, oids.TEXT)
    assert [column.oid for column in translation.columns] == [oids.INT4, oids.TEXT]


def test_session_calls_are_further_variables() -> None:
    translation = planned(
        "select current_user, $1::int, current_setting('x'), set_config('a', $2, false), current_user"
    )
    assert translation.session_calls == (
        SessionCall("current_user"),
        SessionCall("current_setting", ("x",)),
        SessionCall("set_config", ("a", 2, "false")),
    )
    assert translation.sql == "SELECT ?3, ?1, ?4, ?5, ?3"


def test_session_calls_take_no_columns() -> None:
    with pytest.raises(FeatureNotSupported):
        planned("select current_setting(b) from t")


def test_sequences_write() -> None:
    translation = planned("select nextval('public.\"Seq\"'), nextval('s'::regclass), setval('s', 5, false)")
    assert translation.sql == "SELECT nextval('Seq'), nextval('s'), setval('s', 5, 0)"
    assert translation.writes
    assert translation.reason == "calls nextval"


def test_what_writes() -> None:
    assert planned("delete from t").writes
    assert planned("delete from t").tag == "DELETE"
    assert not planned("select 1").writes
    assert planned("select relname from pg_class").catalog


@pytest.mark.parametrize(
    "text",
    [
        "select t from t",
        "select grouping(a) from t group by rollup(a)",
        "with x as (delete from t returning id) select * from x",
        "select * from t tablesample system (10)",
        "select a::money from t",
        'select b collate "de_DE" from t',
        "select id from t fetch first 2 rows with ties",
        "select unnest(arr), unnest(tags) from t",
        "insert into t select 1 returning (t).id",
    ],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises((FeatureNotSupported, StatementSyntax)):
        planned(text)


def test_reserved_names_are_hidden() -> None:
    with pytest.raises(Exception, match="does not exist"):
        planned("select * from _lfsql_state")


def test_a_deep_expression() -> None:
    assert "OR" in planned("select id from t where " + " or ".join(f"a = {at}" for at in range(500))).sql
    with pytest.raises(StatementTooComplex):
        planned("select " + "(" * 5000 + "1" + ")" * 5000)


def test_expressions_of_the_schema() -> None:
    relation = schema().relations["t"]
    check = translate_expression(parse_expression("a > 0 and n < 5.50 and b like 'x%'"), schema(), relation)
    assert check == """(("a" > 0) AND ("n" COLLATE lfsql_numeric < '5.50') AND ("b" GLOB 'x*'))"""
    assert translate_expression(parse_expression("now()"), schema()) == "lfsql_now()"
    today = translate_expression(parse_expression("now()"), schema(), target=oids.DATE)
    assert "'UTC'" in today
    assert translate_expression(parse_expression("7"), schema(), target=oids.NUMERIC) == "'7'"
    assert translate_expression(parse_expression("'2024-1-5'::date"), schema()) == "'2024-01-05'"
    with pytest.raises(StatementSyntax):
        translate_expression(parse_expression("current_user"), schema())
    with pytest.raises(UndefinedParameter):
        translate_expression(parse_expression("$1"), schema())
    with pytest.raises(UndefinedColumn):
        translate_expression(parse_expression("nope > 1"), schema(), relation)
    with pytest.raises(StatementSyntax):
        parse_expression("1 +")


def test_columns_of_a_view() -> None:
    columns = infer_columns(parse_statement(tokens("select id, a * 1.5 as x, upper(b) from t")), schema())
    assert [(column.name, column.oid) for column in columns] == [
        ("id", oids.INT4),
        ("x", oids.NUMERIC),
        ("upper", oids.TEXT),
    ]


def test_the_clock_is_the_units() -> None:
    connection = open_tables()
    assert run(connection, "select now(), current_date, now() = current_timestamp").rows == (
        ("2023-11-14 22:13:20.123456+00", "2023-11-14", "t"),
    )
    assert CLOCK_US == 1_700_000_000_123_456
    assert run(connection, "select random() between 0 and 1, length(gen_random_uuid()::text)").rows == (("t", "36"),)
    connection.close()


def test_parameters_are_executed() -> None:
    connection = open_tables()
    assert run(connection, "select name from u where id = any($1) order by id", ["[1,3]"]).rows == (
        ("one",),
        ("two",),
    )
    assert run(connection, "select id from t where n = $1", ["12.5"]).rows == (("1",),)
    assert run(connection, "select id from t order by id limit $1 offset $2", [None, 3]).rows == (("4",), ("5",))
    assert run(connection, "select id from t limit $1", [-1]).sqlstate == "2201W"
    assert run(connection, "select a / $1 from t", [0]).sqlstate == "22012"
    assert run(connection, "select id from t where tz > $1 and b = $2", ["2024-01-01 00:00:00", "alpha"]).rows == (
        ("1",),
    )
    connection.close()
