"""Dates, patterns, strings, json, arrays, and the functions that return rows."""

from __future__ import annotations

from typing import Any

import pytest

from lfsql.errors import (
    ArraySubscriptError,
    DatetimeOutOfRange,
    FeatureNotSupported,
    InvalidDatetime,
    InvalidEscapeSequence,
    InvalidParameterValue,
    InvalidRegularExpression,
    InvalidText,
    LfsqlError,
    LimitExceeded,
    StringTooLong,
    SubstringError,
)
from tests.storage.functions_fixture import open_functions, value


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("lfsql_to_local('2024-07-15 12:00:00', 'Europe/Berlin')", "2024-07-15 14:00:00"),
        ("lfsql_to_utc('2024-03-31 02:30:00', 'Europe/Berlin')", "2024-03-31 01:30:00"),
        ("lfsql_to_utc('2024-10-27 02:30:00', 'Europe/Berlin')", "2024-10-27 01:30:00"),
        ("lfsql_to_utc('2024-01-01 00:00:00', '<+02>-02')", "2023-12-31 22:00:00"),
        ("lfsql_to_utc('2024-01-01 00:00:00', 'UTC+2')", "2024-01-01 02:00:00"),
        ("lfsql_to_utc('infinity', 'Europe/Berlin')", "infinity"),
        ("lfsql_to_local('-infinity', 'Europe/Berlin')", "-infinity"),
        ("lfsql_timestamptz_text('2024-01-01 00:00:00', 'Asia/Kolkata')", "2024-01-01 05:30:00+05:30"),
        ("lfsql_timestamptz_text('infinity', 'UTC')", "infinity"),
        ("lfsql_timestamptz_json('2024-01-01 00:00:00.5', 'UTC')", '"2024-01-01T00:00:00.5+00:00"'),
        ("lfsql_timestamptz_json('infinity', 'UTC')", '"infinity"'),
        ("lfsql_timestamp_add('2024-03-30 12:00:00', '1 day', 1, 'Europe/Berlin')", "2024-03-31 11:00:00"),
        ("lfsql_timestamp_add('2024-03-30 12:00:00', '24:00:00', 1, 'Europe/Berlin')", "2024-03-31 12:00:00"),
        ("lfsql_timestamp_add('infinity', '1 day', 1, 'UTC')", "infinity"),
        ("lfsql_date_add('infinity', 1)", "infinity"),
        ("lfsql_age('2024-03-31 00:00:00', '2024-02-29 12:00:00')", "1 mon 1 day 12:00:00"),
        ("lfsql_round_seconds('2024-12-31 23:59:59.9999', 3)", "2025-01-01 00:00:00"),
        ("lfsql_round_seconds('10:20:30.5678', 2)", "10:20:30.57"),
        ("lfsql_round_seconds('10:20:30.5678+02', 0)", "10:20:31+02"),
        ("lfsql_round_seconds('infinity', 0)", "infinity"),
        ("date_trunc('week', '2024-01-07 10:00:00')", "2024-01-01 00:00:00"),
        ("date_trunc('millennium', '2024-01-07 10:00:00')", "2001-01-01 00:00:00"),
        ("date_trunc('milliseconds', '2024-01-07 10:00:00.123456')", "2024-01-07 10:00:00.123"),
        ("date_trunc('us', '2024-01-07 10:00:00.123456')", "2024-01-07 10:00:00.123456"),
        ("date_trunc('day', 'infinity')", "infinity"),
        ("lfsql_extract('year', 'infinity')", "Infinity"),
        ("lfsql_extract('day', 'infinity')", None),
        ("lfsql_extract('julian', '2024-05-15 12:00:00')", "2460446.50000000000000000000"),
        ("lfsql_extract_tz('timezone_hour', '2024-05-15 12:00:00', 'America/St_Johns')", "-2"),
        ("lfsql_extract_tz('timezone_minute', '2024-05-15 12:00:00', 'America/St_Johns')", "-30"),
        ("lfsql_extract_tz('year', 'infinity', 'UTC')", "Infinity"),
        ("lfsql_extract_date('epoch', 'infinity')", "Infinity"),
        ("lfsql_extract_interval('quarter', '5 mons')", "2"),
        ("lfsql_date_part('second', '2024-05-15 12:00:01.5')", 1.5),
        ("lfsql_date_part('day', 'infinity')", None),
        ("lfsql_text_to_date('1/2/2024')", "2024-01-02"),
        ("lfsql_text_to_date('20240102')", "2024-01-02"),
        ("lfsql_text_to_timestamp('2024-1-2T3:04')", "2024-01-02 03:04:00"),
        ("lfsql_text_to_timestamp('epoch')", "1970-01-01 00:00:00"),
        ("lfsql_text_to_timestamp('March 3, 2024 5:06 pm')", "2024-03-03 17:06:00"),
        ("lfsql_text_to_timestamp('2024-01-05 03:04:05 America/New_York')", "2024-01-05 03:04:05"),
        ("lfsql_text_to_timestamptz('2024-01-05 03:04:05 america/new_york', 'UTC')", "2024-01-05 08:04:05"),
        ("lfsql_text_to_timestamptz('2024-03-31 02:30', 'Europe/Paris')", "2024-03-31 01:30:00"),
        ("lfsql_text_to_time('2024-01-05 24:00:00')", "24:00:00"),
        ("lfsql_text_to_time('04:05:06.7 PM')", "16:05:06.7"),
        ("lfsql_text_to_timestamptz('2024-01-02 03:04:05.5+02', 'UTC')", "2024-01-02 01:04:05.5"),
        ("lfsql_text_to_timestamptz('2024-01-02', 'Asia/Tokyo')", "2024-01-01 15:00:00"),
        ("lfsql_text_to_time('2024-01-02 03:04')", "03:04:00"),
        ("lfsql_text_to_time('23:59:59.5')", "23:59:59.5"),
        ("lfsql_timetz('2024-01-02 03:04:00', 'Asia/Tokyo')", "12:04:00+09"),
        ("lfsql_timetz_key('12:00:00+09') < lfsql_timetz_key('04:00:00+00')", 1),
        ("lfsql_timetz_to_time('12:00:00+09')", "12:00:00"),
        ("lfsql_epoch_to_timestamp(9e999)", "infinity"),
        ("lfsql_overlaps('2024-01-01', '2024-02-01', '2024-01-15', '2024-03-01')", 1),
        ("lfsql_like('a%c', 'a\\%_')", 1),
        ("lfsql_like('ABC', 'a%')", 0),
        ("lfsql_ilike('ÄBC', 'ä%')", 1),
        ("lfsql_like('a\nb', 'a_b')", 1),
        ("lfsql_similar('abd', 'a(b|c)d')", 1),
        ("lfsql_similar('ab.', 'ab\\.')", 1),
        ("lfsql_similar('x5', '[a-z][0-9]')", 1),
        ("lfsql_regex('a\n', 'a$', 0)", 0),
        ("lfsql_regex('foo', '(?i)FOO', 0)", 1),
        ("lfsql_regex('a.c', '***=a.c', 0)", 1),
        ("lfsql_regex('x]', '[]x]+$', 0)", 1),
        ("lfsql_regex('ab', '[^[:digit:]]+$', 0)", 1),
        ("regexp_replace('abc', '', 'x', 'g')", "xaxbxcx"),
        ("regexp_replace('abc', 'b', '[\\&]\\\\')", "a[b]\\c"),
        ("regexp_like('a\nb', '^b', 'n')", 1),
        ("regexp_like('ab', 'a b', 'x')", 1),
        ("regexp_substr('abc', 'z')", None),
        ("regexp_instr('abcb', 'b')", 2),
        ("regexp_split_to_array('abc', '')", '["a","b","c"]'),
        ("lfsql_format('%2$s %1$s %3$*4$s', 'a', 'b', 'c', '3')", "b a   c"),
        ("lfsql_format('%L', NULL)", "NULL"),
        ("lfsql_format(NULL)", None),
        ("quote_literal('a\\b')", " E'a\\\\b'"),
        ("decode('\\\\001a', 'escape')", b"\\001a"),
        ("encode(x'00ff5c41', 'escape')", "\\000\\377\\\\A"),
        ("parse_ident('\"A\".b')", '["A","b"]'),
        ("unaccent('Hélène')", "Helene"),
        ("lfsql_upper('straße')", "STRAßE"),
        ("lfsql_fit('ab  ', 2)", "ab"),
        ("lfsql_hashtext('a') = lfsql_hashtext('a')", 1),
        ("length(lfsql_random_uuid(randomblob(16)))", 36),
        ("lfsql_json_get('{\"a\": 1, \"a\":  2}', 'a')", "2"),
        ("lfsql_json_path('{\"a\": [1, {\"b\":  2}]}', '[\"a\",\"1\",\"b\"]')", "2"),
        ("lfsql_json_path('[1]', '[null]')", None),
        ("lfsql_jsonb_contains('{\"a\": [1, {\"b\": 2}]}', '{\"a\": [{\"b\": 2}]}')", 1),
        ("lfsql_jsonb_contains('[true]', '[1]')", 0),
        ("lfsql_jsonb_exists('\"a\"', 'a')", 1),
        ("lfsql_jsonb_delete('{\"a\": 1, \"b\": 2}', '[\"a\",\"b\"]')", "{}"),
        ("lfsql_jsonb_delete_path('[1, [2, 3]]', '[\"1\",\"-1\"]')", "[1, [2]]"),
        ("lfsql_jsonb_delete_path('[1]', '[\"9\",\"1\"]')", "[1]"),
        ("lfsql_jsonb_set('{\"a\": 1}', '[\"b\",\"c\"]', '2', 1)", '{"a": 1}'),
        ("lfsql_jsonb_set('[1]', '[\"-5\"]', '0', 1)", "[0, 1]"),
        ("lfsql_jsonb_set('{\"a\": 1}', '[]', '2', 1)", '{"a": 1}'),
        ("lfsql_jsonb_insert('[1, 2]', '[\"-1\"]', '9', 1)", "[1, 2, 9]"),
        ("lfsql_text_to_jsonb('{\"bb\": 1.50, \"a\": [true, null]}')", '{"a": [true, null], "bb": 1.50}'),
        ("lfsql_json_strip_nulls('{\"a\": null, \"b\": [null]}')", '{"b":[null]}'),
        ("lfsql_array_slice('[1,2,3]', 2, NULL)", "[2,3]"),
        ("lfsql_array_slice(NULL, 1, 2)", None),
        ("lfsql_array_text('[[1,2],[3,null]]', 23)", "{{1,2},{3,NULL}}"),
        ("lfsql_array_text('[1,0]', 16)", "{t,f}"),
        ("lfsql_array_json('[[1],[2]]', 23)", "[[1],[2]]"),
        ("lfsql_text_to_array('{{1,2},{3,4}}', 23)", "[[1,2],[3,4]]"),
        ("lfsql_text_to_array('{\"a\\\"b\", c d ,null}', 25)", '["a\\"b","c d",null]'),
        ("lfsql_array_cast('[1,0]', 16, 25)", '["true","false"]'),
        ("lfsql_array_cast('[\"1.6\"]', 1700, 23)", "[2]"),
        ("lfsql_array_cat('[[1]]', '[2]')", "[[1],[2]]"),
        ("lfsql_array_cat(NULL, '[2]')", "[2]"),
        ("lfsql_array_position(NULL, 1)", None),
        ("lfsql_array_zip('[1]', '[2,3]', NULL)", "[[1,2,null],[null,3,null]]"),
        ("lfsql_trim_array('[1,2,3]', 2)", "[1]"),
        ("lfsql_number_to_char('-1234.567', 'S9,999.99')", "-1,234.57"),
        ("lfsql_number_to_char('5', '9th')", " 5th"),
        ("lfsql_number_to_char('5', 'SG9')", "+5"),
        ("lfsql_number_to_char('Infinity', '99')", "###"),
        ("lfsql_number_to_char('12', '\"n\" 99')", "n  12"),
        ("lfsql_timestamp_to_char('infinity', 'YYYY')", None),
        ("lfsql_timestamp_to_char('2024-01-05 00:04:05', 'rm RM a.m. AD')", "i    I    a.m. AD"),
        ("lfsql_timestamp_to_char('2024-01-05 00:04:05', 'Y,YYY SSSS FF3 TZH TZM')", "2,024 245 000 +00 00"),
        ("lfsql_interval_to_char('1 year 2 mons 3 days', 'YYYY MM DD')", "0001 02 03"),
        ("lfsql_read_timestamp('Mon 3 January 24 1:02 PM', 'Dy DD Month YY HH:MI AM')", "2024-01-03 13:02:00"),
        ("lfsql_read_timestamp('2460446', 'J')", "2024-05-15 00:00:00"),
        ("lfsql_read_timestamp('2024136', 'YYYYDDD')", "2024-05-15 00:00:00"),
        ("lfsql_read_timestamp('12.5', 'SS.MS')", "0001-01-01 00:00:12.5"),
        ("to_number('<12.5>', '99.9PR')", "-12.5"),
    ],
)  # fmt: skip
def test_scalar(sql: str, expected: Any) -> None:
    assert value(f"SELECT {sql}") == expected


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("lfsql_to_local('2024-01-01 00:00:00', 'Nowhere/Land')", InvalidParameterValue),
        ("lfsql_to_local('2024-01-01 00:00:00', '99')", InvalidParameterValue),
        ("lfsql_timestamptz_text('9999-12-31 23:00:00', 'Asia/Tokyo')", DatetimeOutOfRange),
        ("lfsql_timestamp_add('9999-12-31 00:00:00', '1 day', 1, 'UTC')", DatetimeOutOfRange),
        ("lfsql_timestamp_add('9999-12-31 00:00:00', '1 mon', 1, 'UTC')", DatetimeOutOfRange),
        ("lfsql_to_local('9999-12-31 23:00:00', 'Asia/Tokyo')", DatetimeOutOfRange),
        ("lfsql_to_utc('0001-01-01 00:00:00', 'Asia/Tokyo')", DatetimeOutOfRange),
        ("lfsql_date_add('9999-12-31', 1)", DatetimeOutOfRange),
        ("lfsql_days_between('infinity', '2024-01-01')", DatetimeOutOfRange),
        ("lfsql_timestamp_subtract('infinity', '2024-01-01 00:00:00')", DatetimeOutOfRange),
        ("lfsql_age('infinity', '2024-01-01 00:00:00')", DatetimeOutOfRange),
        ("lfsql_epoch_to_timestamp(1e15)", DatetimeOutOfRange),
        ("date_trunc('nope', '2024-01-01 00:00:00')", InvalidParameterValue),
        ("lfsql_extract('nope', '2024-01-01 00:00:00')", InvalidParameterValue),
        ("lfsql_extract('timezone', '2024-01-01 00:00:00')", FeatureNotSupported),
        ("lfsql_extract_time('day', '10:00:00')", InvalidParameterValue),
        ("lfsql_extract_interval('doy', '1 day')", InvalidParameterValue),
        ("make_date(2024, 13, 1)", DatetimeOutOfRange),
        ("make_time(25, 0, 0.0)", DatetimeOutOfRange),
        ("date_bin('1 mon', '2024-01-01 00:00:00', '2024-01-01 00:00:00')", FeatureNotSupported),
        ("date_bin('-1 day', '2024-01-01 00:00:00', '2024-01-01 00:00:00')", DatetimeOutOfRange),
        ("lfsql_text_to_date('tomorrowish')", InvalidDatetime),
        ("lfsql_text_to_date('today')", InvalidDatetime),
        ("lfsql_text_to_time('2024-01-05')", InvalidDatetime),
        ("lfsql_text_to_date('2024-13-01')", DatetimeOutOfRange),
        ("lfsql_text_to_timestamp('2024-01-01 25:00:00')", DatetimeOutOfRange),
        ("lfsql_timetz_key('12:00')", InvalidDatetime),
        ("lfsql_like('a', 'a\\')", InvalidEscapeSequence),
        ("lfsql_like('a', 'a', 'xx')", InvalidEscapeSequence),
        ("lfsql_regex('a', '[a', 0)", InvalidRegularExpression),
        ("lfsql_regex('a', '[[:nope:]]', 0)", InvalidRegularExpression),
        ("lfsql_regex('a', 'a\\', 0)", InvalidRegularExpression),
        ("lfsql_regex('a', repeat('a', 40000), 0)", InvalidRegularExpression),
        ("regexp_like('a', 'a', 'z')", InvalidParameterValue),
        ("regexp_match('a', 'a', 'g')", InvalidParameterValue),
        ("lfsql_substring('abc', 1, -1)", SubstringError),
        ("lfsql_overlay('abc', 'x', 0)", SubstringError),
        ("repeat('abc', 1000000000)", LimitExceeded),
        ("lpad('a', 1000000000)", LimitExceeded),
        ("split_part('a', ',', 0)", InvalidParameterValue),
        ("chr(0)", InvalidParameterValue),
        ("chr(55296)", InvalidParameterValue),
        ("encode(x'00', 'rot13')", InvalidParameterValue),
        ("decode('zz', 'hex')", InvalidParameterValue),
        ("decode('a', 'nope')", InvalidParameterValue),
        ("lfsql_text_to_bytea('\\xzz')", InvalidParameterValue),
        ("lfsql_text_to_uuid('{a0eebc999c0b4ef8bb6d6bb9bd380a11')", InvalidText),
        ("lfsql_text_to_bytea('\\9')", InvalidText),
        ("lfsql_text_to_uuid('zz')", InvalidText),
        ("lfsql_fit('abc', 2)", StringTooLong),
        ("lfsql_format('%s')", InvalidParameterValue),
        ("lfsql_format('%y', 'a')", InvalidParameterValue),
        ("lfsql_format('%0$s', 'a')", InvalidParameterValue),
        ("lfsql_format('%I', NULL)", InvalidParameterValue),
        ("parse_ident('')", InvalidParameterValue),
        ("lfsql_sleep(1.0)", LfsqlError),
        ("lfsql_text_to_json('{')", InvalidText),
        ("lfsql_text_to_jsonb('NaN')", InvalidText),
        ("lfsql_text_to_jsonb(repeat('[', 100000))", InvalidText),
        ("lfsql_jsonb_delete('1', 'a')", InvalidParameterValue),
        ("lfsql_jsonb_delete('{}', 1)", InvalidParameterValue),
        ("lfsql_jsonb_insert('{\"a\": 1}', '[\"a\"]', '2', 0)", InvalidParameterValue),
        ("lfsql_json_array_length('{}')", InvalidParameterValue),
        ("lfsql_jsonb_to_numeric('true')", InvalidParameterValue),
        ("lfsql_jsonb_to_bool('1')", InvalidParameterValue),
        ("lfsql_json_object('[\"a\"]')", ArraySubscriptError),
        ("lfsql_json_object('[\"a\"]', '[]')", ArraySubscriptError),
        ("lfsql_json_key(NULL)", InvalidParameterValue),
        ("lfsql_text_to_array('1,2', 23)", InvalidText),
        ("lfsql_text_to_array('{1', 23)", InvalidText),
        ("lfsql_text_to_array('{1}x', 23)", InvalidText),
        ("lfsql_text_to_array('{\"a}', 25)", InvalidText),
        ("lfsql_text_to_array('{{{{{{{1}}}}}}}', 23)", LimitExceeded),
        ("lfsql_trim_array('[1]', 2)", ArraySubscriptError),
        ("lfsql_read_timestamp('x', 'YYYY')", InvalidDatetime),
        ("lfsql_read_timestamp('Foo', 'Mon')", InvalidDatetime),
        ("lfsql_read_timestamp('2024-13', 'YYYY-MM')", DatetimeOutOfRange),
        ("to_number('x', '9')", InvalidText),
    ],
)
def test_error(sql: str, error: type[LfsqlError]) -> None:
    with pytest.raises(error):
        value(f"SELECT {sql}")


def rows(sql: str) -> list[Any]:
    connection = open_functions()
    try:
        return list(connection.execute(sql))
    finally:
        connection.close()


def test_series() -> None:
    assert rows("SELECT value, ordinal FROM lfsql_series(3, 1, -1)") == [(3, 1), (2, 2), (1, 3)]
    assert rows("SELECT value FROM lfsql_series(1, NULL, 1)") == []
    assert rows("SELECT value FROM lfsql_series(1, 1000000000000, 1) LIMIT 2") == [(1,), (2,)]
    assert rows("SELECT value FROM lfsql_numeric_series('2', '1', '-0.5')") == [("2",), ("1.5",), ("1.0",)]
    assert rows("SELECT g.value FROM lfsql_series(1, 5, 1) AS g WHERE g.value > 3 ORDER BY 1 DESC") == [(5,), (4,)]
    assert rows("SELECT a.value, b.value FROM lfsql_series(1, 2, 1) a, lfsql_series(1, a.value, 1) b") == [
        (1, 1),
        (2, 1),
        (2, 2),
    ]
    assert rows(
        "SELECT value FROM lfsql_timestamp_series('2024-01-31 00:00:00', '2023-12-01 00:00:00', '-1 mon', 'UTC')"
    ) == [
        ("2024-01-31 00:00:00",),
        ("2023-12-31 00:00:00",),
    ]
    for series in ("lfsql_series(1, 2, 0)", "lfsql_numeric_series('1', '2', '0')"):
        with pytest.raises(InvalidParameterValue, match="step size cannot equal zero"):
            rows(f"SELECT value FROM {series}")
    with pytest.raises(InvalidParameterValue):
        rows("SELECT value FROM lfsql_timestamp_series('2024-01-31 00:00:00', '2024-01-31 00:00:00', '0', 'UTC')")


def test_series_may_stand_in_views_and_feed_writes() -> None:
    connection = open_functions()
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("CREATE VIEW v AS SELECT value, md5(value) AS hash FROM lfsql_series(1, 3, 1)")
    connection.execute("CREATE TABLE x (a CHECK (lfsql_like(a, 'a%'))); INSERT INTO x SELECT 'a' || value FROM v")
    assert connection.execute("SELECT count(*) FROM x").get == 3
    connection.close()


def test_rows_of_json() -> None:
    assert rows("SELECT value FROM lfsql_json_elements('[1, {\"a\":2}]', 'json')") == [("1",), ('{"a":2}',)]
    assert rows("SELECT key, value FROM lfsql_json_pairs('{\"b\": 1, \"a\": null}', 'text')") == [
        ("a", None),
        ("b", "1"),
    ]
    assert rows("SELECT value FROM lfsql_json_keys('{\"b\": 1}')") == [("b",)]
    for call in ("lfsql_json_elements('1', 'text')", "lfsql_json_keys('[]')", "lfsql_json_pairs('[]', 'json')"):
        with pytest.raises(InvalidParameterValue):
            rows(f"SELECT * FROM {call}")


def test_rows_of_matches() -> None:
    assert rows("SELECT value FROM lfsql_regex_matches('a1b2', '([a-z])(\\d)', 'g')") == [
        ('["a","1"]',),
        ('["b","2"]',),
    ]
    assert rows("SELECT value FROM lfsql_regex_matches('a', 'z', '')") == []


def test_constant_calls_are_worked_out_once() -> None:
    connection = open_functions()
    connection.execute("CREATE TABLE x (a); CREATE INDEX i ON x (lfsql_upper(a))")
    plan = connection.execute("EXPLAIN QUERY PLAN SELECT * FROM x WHERE lfsql_upper(a) = 'B'").fetchall()
    assert "USING INDEX i" in str(plan)
    with pytest.raises(Exception, match="non-deterministic"):
        connection.execute("CREATE INDEX j ON x (lfsql_now())")
    connection.close()
