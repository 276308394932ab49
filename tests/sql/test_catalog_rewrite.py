"""What the rewrite of catalog queries makes of the constructs it is for, read back as SQL."""

from __future__ import annotations

import pytest

from proxy.sql.catalog.rewrite import concerns_catalogs, rewrite
from proxy.sql.lexer import tokens
from proxy.sql.parsing import parse_statement


def rewritten(text: str) -> str:
    return rewrite(parse_statement(tokens(text))).sql("postgres")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM pg_class",
        'select * from "information_schema".tables',
        "SELECT name FROM lfsql.nodes",
        "SELECT 'track'::regclass",
        "SELECT to_regtype($1)",
        "SELECT $1::pg_catalog.regtype",
        "SELECT CAST('t' AS regclass)",
    ],
)
def test_catalogs_are_noticed(text: str) -> None:
    assert concerns_catalogs(text)


@pytest.mark.parametrize("text", ["SELECT * FROM track", "UPDATE lfsql SET a = 1", "SELECT page_number FROM t"])
def test_other_statements_are_left_alone(text: str) -> None:
    assert not concerns_catalogs(text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT a, COUNT(*) FROM t AS x JOIN u ON x.b = u.b WHERE x.c IN (SELECT d FROM v) GROUP BY a",
        "SELECT x FROM t CROSS JOIN LATERAL (SELECT a FROM u WHERE u.b = t.b) AS l",
        "SELECT x FROM t LEFT JOIN LATERAL (SELECT t.a AS x) AS l ON t.b = 1",
    ],
)
def test_what_needs_no_rewrite_gets_none(text: str) -> None:
    assert rewritten(text) == text


def test_a_lateral_row_is_put_where_its_columns_are_used() -> None:
    found = rewritten(
        "SELECT o.n, count(i.b) FROM a JOIN c ON true CROSS JOIN LATERAL (SELECT f(c.x)) AS o(n)"
        " LEFT JOIN i ON i.k = o.n WHERE n IS NOT NULL AND EXISTS (SELECT n FROM other WHERE m = o.n)"
    )
    assert found == (
        "SELECT (F(c.x)) AS n, COUNT(i.b) FROM a JOIN c ON TRUE LEFT JOIN i ON i.k = (F(c.x))"
        " WHERE (F(c.x)) IS NOT NULL AND EXISTS(SELECT n FROM other WHERE m = (F(c.x)))"
    )


def test_set_returning_calls_in_lockstep_become_from_items() -> None:
    assert rewritten("SELECT unnest(conkey) AS a, generate_subscripts(conkey, 1) AS i FROM pg_constraint") == (
        "SELECT _set_0_0.x AS a, CAST(_set_0_0.n AS INT) AS i FROM pg_constraint"
        " CROSS JOIN UNNEST(conkey) WITH ORDINALITY AS _set_0_0(x, n)"
    )


def test_vectors_count_from_zero_and_two_arrays_are_joined_by_place() -> None:
    assert rewritten("SELECT unnest(indclass), generate_subscripts(indkey, 1) FROM pg_index") == (
        "SELECT _set_0_0.x AS unnest, CAST((_set_0_1.n - 1) AS INT) AS generate_subscripts FROM pg_index"
        " CROSS JOIN UNNEST(indclass) WITH ORDINALITY AS _set_0_0(x, n)"
        " JOIN UNNEST(indkey) WITH ORDINALITY AS _set_0_1(x, n) ON _set_0_1.n = _set_0_0.n"
    )


def test_set_returning_calls_need_no_from_of_their_own() -> None:
    assert rewritten("SELECT unnest(a) AS x, unnest(b) AS y") == (
        "SELECT _set_0_0.x AS x, _set_0_1.x AS y FROM UNNEST(a) WITH ORDINALITY AS _set_0_0(x, n)"
        " JOIN UNNEST(b) WITH ORDINALITY AS _set_0_1(x, n) ON _set_0_1.n = _set_0_0.n"
    )


def test_one_set_returning_call_stays_where_it_is() -> None:
    assert rewritten("SELECT UNNEST(conkey) FROM pg_constraint") == "SELECT UNNEST(conkey) FROM pg_constraint"


def test_subscripts_of_a_vector_start_at_zero() -> None:
    assert rewritten("SELECT generate_subscripts(indkey, 1) AS i FROM pg_index") == (
        "SELECT CAST((_set_0_0.n - 1) AS INT) AS i FROM pg_index"
        " CROSS JOIN UNNEST(indkey) WITH ORDINALITY AS _set_0_0(x, n)"
    )


def test_unnest_of_two_arrays_becomes_two_items() -> None:
    found = rewritten(
        "SELECT koi.key, koi.option, arridx FROM pg_index i,"
        " unnest(i.indkey, i.indoption) WITH ORDINALITY koi(key, option, arridx) JOIN t ON t.a = koi.key"
    )
    assert found == (
        "SELECT koi.key, koi_0_1.option, arridx FROM pg_index AS i,"
        " UNNEST(i.indkey) WITH ORDINALITY AS koi(key, arridx)"
        " JOIN UNNEST(i.indoption) WITH ORDINALITY AS koi_0_1(option, n) ON koi_0_1.n = koi.arridx"
        " JOIN t ON t.a = koi.key"
    )


def test_pairs_of_expandarray_are_split() -> None:
    found = rewritten(
        "SELECT r.seq FROM (SELECT (information_schema._pg_expandarray(i.indkey)).n AS seq,"
        " information_schema._pg_expandarray(i.indkey) AS KEYS, a FROM pg_index i) r WHERE r.a = (r.KEYS).x"
    )
    assert found == (
        'SELECT r.seq FROM (SELECT CAST(_set_0_0.n AS INT) AS seq, _set_0_0.x AS "keys.x",'
        ' CAST(_set_0_0.n AS INT) AS "keys.n", a FROM pg_index AS i'
        ' CROSS JOIN UNNEST(i.indkey) WITH ORDINALITY AS _set_0_0(x, n)) AS r WHERE r.a = r."keys.x"'
    )


def test_registered_values_leave_as_names() -> None:
    assert rewritten(
        "SELECT conrelid::pg_catalog.regclass AS t, 'int4'::regtype, oid::regclass FROM pg_constraint"
    ) == (
        'SELECT CAST(CAST(conrelid AS pg_catalog.regclass) AS TEXT) AS "t",'
        " CAST(CAST('int4' AS regtype) AS TEXT) AS \"regtype\","
        ' CAST(CAST(oid AS regclass) AS TEXT) AS "oid" FROM pg_constraint'
    )
    assert rewritten("SELECT typinput, data_type FROM x UNION SELECT pg_catalog.to_regproc('a'), 1") == (
        'SELECT CAST(typinput AS TEXT) AS "typinput", data_type FROM x UNION'
        " SELECT CAST(pg_catalog.to_regproc('a') AS TEXT) AS \"to_regproc\", 1"
    )


def test_a_registered_value_may_come_out_of_a_case_or_a_subquery() -> None:
    assert rewritten("SELECT CASE WHEN a THEN (SELECT b::regclass FROM t) END AS p FROM u") == (
        'SELECT CAST(CASE WHEN a THEN (SELECT CAST(b AS regclass) FROM t) END AS TEXT) AS "p" FROM u'
    )


def test_registered_values_inside_a_query_stay_numbers() -> None:
    text = "SELECT a FROM t WHERE oid = CAST('t' AS regclass) AND b IN (SELECT CAST(c AS regclass) FROM u)"
    assert rewritten(text) == text


def test_casts_of_vectors_to_arrays_are_dropped() -> None:
    assert rewritten("SELECT a FROM pg_index WHERE indkey::int2[] = b::int2[]") == (
        "SELECT a FROM pg_index WHERE indkey = CAST(b AS SMALLINT[])"
    )


def test_types_of_a_vector_are_named() -> None:
    assert "LFSQL_REGTYPE_NAMES(proargtypes)" in rewritten("SELECT a, proargtypes::regtype[] FROM pg_proc")


def test_there_are_no_partitions() -> None:
    assert rewritten("SELECT 1 WHERE 2 IN (SELECT pg_catalog.pg_partition_ancestors('5'))") == (
        "SELECT 1 WHERE 2 IN (SELECT CAST(NULL AS regclass) WHERE FALSE)"
    )
    assert rewritten("SELECT a.depth FROM pg_partition_ancestors(5) WITH ORDINALITY AS a(relid, depth)") == (
        "SELECT a.depth FROM (SELECT CAST(NULL AS regclass), CAST(NULL AS int8) WHERE FALSE) AS a(relid, depth)"
    )


def test_tableoid_is_the_catalogs_own_number() -> None:
    assert rewritten("SELECT 1 FROM pg_description d, pg_catalog.pg_class c WHERE d.classoid = c.tableoid") == (
        "SELECT 1 FROM pg_description AS d, pg_catalog.pg_class AS c WHERE d.classoid = (1259)"
    )
    assert rewritten("SELECT t.tableoid FROM track AS t") == "SELECT t.tableoid FROM track AS t"


def test_keywords_are_values() -> None:
    found = rewritten("SELECT word FROM pg_catalog.pg_get_keywords() WHERE word = 'select'")
    assert found.startswith("SELECT word FROM (VALUES ('all', 'R',")
    assert "AS pg_get_keywords(word, catcode, barelabel, catdesc, baredesc)" in found


def test_a_setting_of_a_row_is_read_from_the_row() -> None:
    assert rewritten("SELECT s.name, pg_catalog.current_setting(s.name) AS v FROM pg_settings s") == (
        "SELECT s.name, s.setting AS v FROM pg_settings AS s"
    )


def test_an_array_of_a_query_is_one() -> None:
    assert rewritten("SELECT array(SELECT a FROM t ORDER BY b)") == "SELECT ARRAY(SELECT a FROM t ORDER BY b)"
