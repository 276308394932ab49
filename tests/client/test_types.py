"""Values of every type, through three drivers: what goes in as a parameter comes out equal, and typed.

asyncpg speaks binary only, psycopg2 puts literals in the text, psycopg 3 sends text parameters and takes either
format: together they cover both directions of both formats.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import math
import uuid
from decimal import Decimal
from typing import Any

import asyncpg
import psycopg
import psycopg2
import psycopg2.extras
import pytest
from psycopg.types.json import Json, Jsonb

from tests.client.conftest import Server

pytestmark = pytest.mark.client

UTC = datetime.UTC
PLUS_5_30 = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
LONG = "0123456789abcdef" * 65_536  # 1 MiB
UNICODE = "grüße, 世界, \U0001f418 e\u0301 ‘’ \\ ' \" \t\r\n \x01 end"  # noqa: RUF001  # look-alikes are the point

VALUES: list[tuple[str, list[Any]]] = [
    ("bool", [True, False]),
    ("int2", [0, 1, -1, 32767, -32768]),
    ("int4", [0, 2147483647, -2147483648]),
    ("int8", [0, 9223372036854775807, -9223372036854775808]),
    ("float4", [0.0, 1.5, -2.25, 16777216.0, math.inf, -math.inf, math.nan]),
    ("float8", [0.0, -0.0, 0.1, 1e-300, 1.7976931348623157e308, 5e-324, math.inf, -math.inf, math.nan]),
    (
        "numeric",
        [
            Decimal(text)
            for text in (
                "0",
                "1",
                "-1.50",
                "0.00001",
                "12345678901234567890.123456789012345678901234567890",
                "10000",
                "1e20",
                "NaN",
            )
        ],
    ),
    ("numeric(10,2)", [Decimal("12345678.90"), Decimal("-0.01"), Decimal("0.00")]),
    ("text", ["", "plain", UNICODE, "NULL", "\\N", LONG]),
    ("varchar", ["", UNICODE]),
    ("varchar(10)", ["", "0123456789", "äöüßäöüßäö"]),
    ("bytea", [b"", bytes(range(256)), b"\\x41", bytes(1 << 20)]),
    (
        "date",
        [
            datetime.date(2026, 2, 28),
            datetime.date(2000, 2, 29),
            datetime.date(1, 1, 1),
            datetime.date(1969, 12, 31),
            datetime.date(9999, 12, 31),
        ],
    ),
    (
        "time",
        [
            datetime.time(0, 0),
            datetime.time(23, 59, 59, 999999),
            datetime.time(12, 30, 0, 120000),
        ],
    ),
    (
        "timestamp",
        [
            datetime.datetime(2026, 11, 23, 7, 15, 37, 123456),  # noqa: DTZ001  # the type has no zone
            datetime.datetime(1999, 12, 31, 23, 59, 59),  # noqa: DTZ001  # the type has no zone
            datetime.datetime(1, 1, 1),  # noqa: DTZ001  # the type has no zone
        ],
    ),
    (
        "timestamptz",
        [
            datetime.datetime(2026, 11, 23, 7, 15, 37, 123456, UTC),
            datetime.datetime(2026, 11, 23, 7, 15, 37, 500000, PLUS_5_30),
            datetime.datetime(1900, 1, 1, tzinfo=UTC),
        ],
    ),
    ("uuid", [uuid.UUID(int=0), uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), uuid.UUID(int=(1 << 128) - 1)]),
]
DOCUMENTS: list[Any] = [None, {}, [], {"a": [1, 2.5, "ü", None, True]}, "text", 3, {"nested": {"deep": [[]]}}]
IDS = [kind for kind, _ in VALUES]


def equal(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    if isinstance(left, Decimal) and left.is_nan():
        return isinstance(right, Decimal) and right.is_nan()
    # asyncpg's UUID is a subclass; a bool for an int, or a str for a date, is what must not pass.
    return isinstance(right, type(left)) and isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def assert_equal(expected: list[Any], given: list[Any]) -> None:
    assert len(given) == len(expected)
    for one, other in zip(expected, given, strict=True):
        assert equal(one, other), f"{str(one)[:100]!r} came back as {str(other)[:100]!r}"


@pytest.mark.parametrize(("kind", "values"), VALUES, ids=IDS)
def test_asyncpg(server: Server, table: str, kind: str, values: list[Any]) -> None:
    async def body() -> list[Any]:
        connection = await asyncpg.connect(server.dsn)
        try:
            await connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, v {kind})")
            back = [
                await connection.fetchval(f"INSERT INTO {table} VALUES ($1, $2) RETURNING v", number, value)
                for number, value in enumerate([*values, None])
            ]
            assert_equal([*values, None], back)
            rows = await connection.fetch(f"SELECT v FROM {table} ORDER BY id")
            cast = [await connection.fetchval(f"SELECT $1::{kind}", value) for value in values]
            assert_equal(values, cast)
            for number, value in enumerate(values):
                if value == value:  # not NaN, whose equality drivers see differently
                    found = await connection.fetch(f"SELECT id FROM {table} WHERE v = $1", value)
                    assert number in [row["id"] for row in found]
            return [row["v"] for row in rows]
        finally:
            await connection.close()

    assert_equal([*values, None], asyncio.run(body()))


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
@pytest.mark.parametrize(("kind", "values"), VALUES, ids=IDS)
def test_psycopg(autocommit: psycopg.Connection, table: str, kind: str, values: list[Any], *, binary: bool) -> None:
    cursor = autocommit.cursor(binary=binary)
    cursor.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, v {kind})")
    mark = "%b" if binary else "%s"
    for number, value in enumerate([*values, None]):
        cursor.execute(f"INSERT INTO {table} VALUES (%s, {mark}) RETURNING v", (number, value))
        back = cursor.fetchone()
        assert back is not None
        assert equal(value, back[0]), (value, back[0])
    cursor.execute(f"SELECT v FROM {table} ORDER BY id")
    assert_equal([*values, None], [row[0] for row in cursor.fetchall()])
    cursor.execute(f"SELECT count(*) FROM {table} WHERE v IS NULL")
    assert cursor.fetchone() == (1,)


@pytest.mark.parametrize(("kind", "values"), VALUES, ids=IDS)
def test_psycopg2(server: Server, table: str, kind: str, values: list[Any]) -> None:
    psycopg2.extras.register_uuid()
    connection = psycopg2.connect(server.dsn)
    try:
        cursor = connection.cursor()
        cursor.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, v {kind})")
        for number, value in enumerate([*values, None]):
            cursor.execute(f"INSERT INTO {table} VALUES (%s, %s)", (number, value))
        connection.commit()
        cursor.execute(f"SELECT v FROM {table} ORDER BY id")
        back = [bytes(row[0]) if isinstance(row[0], memoryview) else row[0] for row in cursor.fetchall()]
        connection.commit()
        assert_equal([*values, None], back)
    finally:
        connection.close()


@pytest.mark.parametrize("kind", ["json", "jsonb"])
def test_documents(server: Server, autocommit: psycopg.Connection, table: str, kind: str) -> None:
    wrap = Json if kind == "json" else Jsonb
    autocommit.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, v {kind})")
    for number, document in enumerate(DOCUMENTS):
        autocommit.execute(f"INSERT INTO {table} VALUES (%s, %s)", (number, wrap(document)))
    autocommit.execute(f"INSERT INTO {table} VALUES (100, NULL)")
    for binary in (False, True):
        found = autocommit.cursor(binary=binary).execute(f"SELECT v FROM {table} ORDER BY id").fetchall()
        assert [row[0] for row in found] == [*DOCUMENTS, None]

    async def body() -> list[Any]:
        connection = await asyncpg.connect(server.dsn)
        try:
            await connection.execute(f"INSERT INTO {table} VALUES (101, $1)", '{"b": 1, "a": [2]}')
            return [row["v"] for row in await connection.fetch(f"SELECT v FROM {table} ORDER BY id")]
        finally:
            await connection.close()

    back = asyncio.run(body())
    assert [json.loads(text) for text in back[: len(DOCUMENTS)]] == DOCUMENTS
    assert back[-2] is None
    assert json.loads(back[-1]) == {"a": [2], "b": 1}
    assert back[-1] == ('{"a": [2], "b": 1}' if kind == "jsonb" else '{"b": 1, "a": [2]}')


def test_json_keeps_its_text_and_jsonb_does_not(autocommit: psycopg.Connection) -> None:
    document = '{"b":1,  "a":2.0, "b":3}'
    shown = autocommit.execute(f"SELECT '{document}'::json::text, '{document}'::jsonb::text").fetchone()
    assert shown == (document, '{"a": 2.0, "b": 3}')


def test_char_is_padded(autocommit: psycopg.Connection, table: str) -> None:
    autocommit.execute(f"CREATE TABLE {table} (v char(5))")
    autocommit.execute(f"INSERT INTO {table} VALUES ('ab'), ('abcde'), (NULL)")
    found = autocommit.execute(f"SELECT v, length(v), v = 'ab' FROM {table}").fetchall()
    assert found == [("ab   ", 2, True), ("abcde", 5, False), (None, None, None)]


def test_zones_are_shown_as_the_session_wants(autocommit: psycopg.Connection, table: str) -> None:
    autocommit.execute(f"CREATE TABLE {table} (v timestamptz)")
    autocommit.execute("SET timezone = 'Europe/Berlin'")
    autocommit.execute(f"INSERT INTO {table} VALUES ('2026-07-01 12:00:00'), ('2026-01-01 12:00:00+00')")
    shown = autocommit.execute(f"SELECT v::text FROM {table} ORDER BY v").fetchall()
    assert shown == [("2026-01-01 13:00:00+01",), ("2026-07-01 12:00:00+02",)]
    autocommit.execute("SET timezone = 'UTC'")
    shown = autocommit.execute(f"SELECT v::text FROM {table} ORDER BY v").fetchall()
    assert shown == [("2026-01-01 12:00:00+00",), ("2026-07-01 10:00:00+00",)]


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("'t'::bool", "t"),
        ("1.0::float8", "1"),
        ("0.1::float4", "0.1"),
        ("1e20::float8", "1e+20"),
        ("'1.500'::numeric", "1.500"),
        ("1.5::numeric(6,3)", "1.500"),
        ("'\\xDEADbeef'::bytea", "\\xdeadbeef"),
        ("'2026-1-2'::date", "2026-01-02"),
        ("'12:00:00.100'::time", "12:00:00.1"),
        ("'2026-01-02T03:04:05.600'::timestamp", "2026-01-02 03:04:05.6"),
        ("'2026-01-02 03:04:05+02'::timestamptz", "2026-01-02 01:04:05+00"),
        ("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("'1 day 02:03:04'::interval", "1 day 02:03:04"),
        ("null::int", None),
        ("1::int2 + 1::int8", "2"),
        ("7 / 2", "3"),
        ("7 / 2.0", "3.5000000000000000"),
        ("2 ^ 10", "1024"),
        ("'a' || 1", "a1"),
    ],
)
def test_text_output_is_postgresqls(server: Server, expression: str, shown: str | None) -> None:
    with psycopg.connect(server.dsn, autocommit=True, options="-c timezone=UTC") as connection:
        result = connection.pgconn.exec_(f"SELECT {expression}".encode())
        value = result.get_value(0, 0)
        assert (None if value is None else value.decode()) == shown


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("1", "int4"),
        ("3000000000", "int8"),
        ("1.5", "numeric"),
        ("1.5::float4", "float4"),
        ("'a'", "text"),
        ("true", "bool"),
        ("count(*)", "int8"),
        ("sum(1)", "int8"),
        ("avg(1)", "numeric"),
        ("max('a'::varchar)", "text"),
        ("now()", "timestamptz"),
        ("current_date", "date"),
        ("1 + 1.5", "numeric"),
        ("1::int2 + 1::int4", "int4"),
        ("coalesce(null, 1::int8)", "int8"),
        ("case when true then 1 else 2.5 end", "numeric"),
        ("'a' || 'b'", "text"),
        ("length('abc')", "int4"),
        ("null", "text"),
        ("'x'::bytea", "bytea"),
        ("current_date - 1", "date"),
        ("'2026-01-02'::date - '2026-01-01'::date", "int4"),
        ("exists (select 1)", "bool"),
        ("1 = 2", "bool"),
        ("(select 1::int8)", "int8"),
    ],
)
def test_an_expression_has_postgresqls_type(autocommit: psycopg.Connection, expression: str, kind: str) -> None:
    cursor = autocommit.execute(f"SELECT {expression}")
    assert cursor.description is not None
    assert cursor.description[0].type_code == psycopg.adapters.types[kind].oid


@pytest.mark.parametrize(
    ("kind", "literal", "sqlstate"),
    [
        ("int4", "'x'", "22P02"),
        ("int4", "2147483648", "22003"),
        ("int2", "40000", "22003"),
        ("int8", "'9223372036854775808'", "22003"),
        ("bool", "'maybe'", "22P02"),
        ("numeric(4,2)", "100", "22003"),
        ("varchar(3)", "'long'", "22001"),
        ("date", "'2026-02-30'", "22008"),
        ("date", "'yesterday-ish'", "22007"),
        ("timestamptz", "'soon'", "22007"),
        ("uuid", "'1234'", "22P02"),
        ("jsonb", "'{'", "22P02"),
        ("bytea", "'\\xzz'", "22023"),
    ],
)
def test_a_wrong_literal_is_refused(
    autocommit: psycopg.Connection, table: str, kind: str, literal: str, sqlstate: str
) -> None:
    autocommit.execute(f"CREATE TABLE {table} (v {kind})")
    with pytest.raises(psycopg.Error) as caught:
        autocommit.execute(f"INSERT INTO {table} VALUES ({literal})")
    assert caught.value.sqlstate == sqlstate
    assert autocommit.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
