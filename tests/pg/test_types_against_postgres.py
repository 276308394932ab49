"""Our readers and writers against a real PostgreSQL 15: the same literal in, the same bytes or the same error out."""

from __future__ import annotations

import random
import struct
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import psycopg
import pytest
from psycopg import pq

from lfsql.errors import LfsqlError
from proxy.pg import oids, types
from proxy.pg.floats import float4_text, float8_text
from proxy.pg.numeric import numeric_typmod
from proxy.pg.settings import EncodeSettings
from tests.pg.literals import LITERALS

Connection = psycopg.Connection[tuple[Any, ...]]


def zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return None


SETTINGS = EncodeSettings(zone=zone)


def type_oid(name: str) -> int:
    if name.endswith("[]"):
        return oids.ARRAYS[type_oid(name[:-2])]
    return {found: oid for oid, found in oids.NAMES.items()}[name.strip('"')]


Answer = bytes | tuple[str, str] | None


def theirs(postgres: Connection, query: str, literal: str, format_code: int) -> Answer:
    """The value as PostgreSQL sends it, or its error's SQLSTATE and message."""
    result = postgres.pgconn.exec_params(query.encode(), [literal.encode()], [oids.TEXT], [0], format_code)
    if result.status == pq.ExecStatus.TUPLES_OK:
        return result.get_value(0, 0)
    fields = (pq.DiagnosticField.SQLSTATE, pq.DiagnosticField.MESSAGE_PRIMARY)
    state, message = (result.error_field(field) or b"" for field in fields)
    return state.decode(), message.decode()


def ours(oid: int, literal: str, format_code: int, settings: EncodeSettings = SETTINGS, typmod: int = -1) -> Answer:
    try:
        value = types.coerce(oid, typmod, types.decode_text(oid, literal, settings), explicit=True)
        return types.encoder(oid, typmod, format_code, settings)(value)
    except LfsqlError as error:
        return error.sqlstate, error.message


@pytest.mark.parametrize("name", LITERALS)
@pytest.mark.parametrize("format_code", [0, 1], ids=["text", "binary"])
def test_literals(postgres: Connection, name: str, format_code: int) -> None:
    differences = []
    for literal in LITERALS[name]:
        expected = theirs(postgres, f"SELECT $1::{name}", literal, format_code)
        found = ours(type_oid(name), literal, format_code)
        if found != expected:
            differences.append((literal, expected, found))
    assert differences == []


@pytest.mark.parametrize("name", [name for name in LITERALS if name != "json"])
def test_what_postgresql_sends_in_binary_we_read_as_its_text(postgres: Connection, name: str) -> None:
    oid = type_oid(name)
    for literal in LITERALS[name]:
        binary = theirs(postgres, f"SELECT $1::{name}", literal, 1)
        if isinstance(binary, bytes):
            text = theirs(postgres, f"SELECT $1::{name}", literal, 0)
            value = types.decode_binary(oid, binary)
            assert types.encoder(oid, -1, 0)(value) == text, literal
            assert types.encoder(oid, -1, 1)(value) == binary, literal


TYPMODS: list[tuple[str, int, int, list[str]]] = [
    ("varchar(3)", oids.VARCHAR, 7, ["abc", "abcd", "ab", "abc  ", "ééé"]),
    ("char(3)", oids.BPCHAR, 7, ["a", "abcd", "abc  ", "", " a"]),
    (
        "numeric(4,2)",
        oids.NUMERIC,
        numeric_typmod(4, 2),
        ["1", "1.005", "-1.005", "99.994", "99.995", "-99.995", "100", "NaN", "Infinity", "0.001", "-0.001", "1e1"],
    ),
    ("numeric(2,4)", oids.NUMERIC, numeric_typmod(2, 4), ["0.0012", "0.01", "0.00999", "0.00995", "0"]),
    ("numeric(3,-2)", oids.NUMERIC, numeric_typmod(3, -2), ["12345", "12350", "-12350", "99949", "99950", "49"]),
    ("numeric(3)", oids.NUMERIC, numeric_typmod(3), ["1.5", "2.5", "-0.5", "999.4", "999.5"]),
    ("numeric(3,3)", oids.NUMERIC, numeric_typmod(3, 3), ["0.9994", "0.9995", "1", "-0.5"]),
    (
        "timestamp(0)",
        oids.TIMESTAMP,
        0,
        ["2024-01-01 00:00:00.5", "1999-12-31 23:59:59.5", "2024-01-01 00:00:00.49"],
    ),
    ("timestamp(3)", oids.TIMESTAMP, 3, ["2024-01-01 00:00:00.1235", "1999-12-31 23:59:59.9995", "infinity"]),
    ("timestamptz(1)", oids.TIMESTAMPTZ, 1, ["2024-01-01 00:00:00.25+00", "1990-01-01 00:00:00.25+00"]),
    ("time(0)", oids.TIME, 0, ["00:00:00.5", "23:59:59.5", "12:00:00.499999"]),
    ("timetz(2)", oids.TIMETZ, 2, ["00:00:00.555+02", "23:59:59.999-03:30"]),
    ("interval(0)", oids.INTERVAL, 0, ["1.5 seconds", "-1.5 seconds", "1 day 00:00:00.4"]),
    ("varchar(2)[]", 1015, 6, ["{abc,d,NULL}", "{}"]),
    ("numeric(4,1)[]", 1231, numeric_typmod(4, 1), ["{1.25,NULL}", "{99999}"]),
]


@pytest.mark.parametrize(("name", "oid", "typmod", "literals"), TYPMODS, ids=[row[0] for row in TYPMODS])
def test_typmods(postgres: Connection, name: str, oid: int, typmod: int, literals: list[str]) -> None:
    for literal in literals:
        expected = theirs(postgres, f"SELECT $1::{name}", literal, 0)
        assert ours(oid, literal, 0, typmod=typmod) == expected, literal


@pytest.mark.parametrize(("name", "oid", "typmod"), [("varchar(3)", oids.VARCHAR, 7), ("char(3)", oids.BPCHAR, 7)])
def test_assigning_text_that_is_too_long(postgres: Connection, name: str, oid: int, typmod: int) -> None:
    postgres.execute(f"CREATE TEMP TABLE long_text (c {name})")
    for literal in ("abc", "abc  ", "abcd", "éééé"):
        expected = theirs(postgres, "INSERT INTO long_text VALUES ($1) RETURNING c", literal, 0)
        found: Answer
        try:
            found = types.encoder(oid, typmod)(types.coerce(oid, typmod, types.decode_text(oid, literal)))
        except LfsqlError as error:
            found = error.sqlstate, error.message
        assert found == expected, literal


SETTINGS_CASES: list[tuple[str, EncodeSettings, list[tuple[str, str]]]] = [
    (
        "SET timezone = 'America/New_York'",
        EncodeSettings(timezone=ZoneInfo("America/New_York"), zone=zone),
        [
            ("timestamptz", "2024-01-05 12:34:56"),
            ("timestamptz", "2024-07-05 12:34:56.5"),
            ("timestamptz", "2024-03-10 02:30"),
            ("timestamptz", "2024-11-03 01:30"),
            ("timestamptz", "1850-01-01 00:00:00"),
            ("timestamptz", "infinity"),
            ("timestamp", "2024-07-05 12:34:56+02"),
            ("timestamptz[]", "{2024-07-05 12:34:56}"),
            ("timetz", "2024-07-05 12:34:56 America/New_York"),
        ],
    ),
    (
        "SET timezone = 'Asia/Kolkata'",
        EncodeSettings(timezone=ZoneInfo("Asia/Kolkata")),
        [("timestamptz", "2024-01-05 12:34:56"), ("timetz", "12:34:56"), ("timestamptz", "2024-01-05 00:00:00Z")],
    ),
    (
        "SET bytea_output = 'escape'",
        EncodeSettings(bytea_output="escape"),
        [("bytea", "\\x005c27ff61"), ("bytea[]", '{"\\\\x005c"}')],
    ),
    (
        "SET extra_float_digits = 0",
        EncodeSettings(extra_float_digits=0),
        [
            ("float8", "0.1"),
            ("float8", "123456789012345678"),
            ("float4", "0.1"),
            ("float4", "1e10"),
            ("float8", "NaN"),
        ],
    ),
    (
        "SET extra_float_digits = -15",
        EncodeSettings(extra_float_digits=-15),
        [("float8", "0.1234"), ("float4", "1234.5")],
    ),
    (
        "SET intervalstyle = 'iso_8601'",
        EncodeSettings(interval_style="iso_8601"),
        [
            ("interval", literal)
            for literal in ("1 year 2 mons 3 days 04:05:06.7", "0", "-1 mons +2 days", "-00:00:01.5")
        ]
        + [("interval", "1 day"), ("interval", "-13 mons"), ("interval", "04:00"), ("interval", "00:00:00.000001")],
    ),
]


@pytest.mark.parametrize(("command", "settings", "cases"), SETTINGS_CASES, ids=[row[0] for row in SETTINGS_CASES])
def test_settings(postgres: Connection, command: str, settings: EncodeSettings, cases: list[tuple[str, str]]) -> None:
    postgres.pgconn.exec_(command.encode())
    for name, literal in cases:
        expected = theirs(postgres, f"SELECT $1::{name}", literal, 0)
        assert ours(type_oid(name), literal, 0, settings) == expected, (name, literal)


def _floats(form: str, bits: int, seed: int, count: int) -> list[float]:
    draw = random.Random(seed)
    packed = (draw.getrandbits(bits).to_bytes(bits // 8, "big") for _ in range(count))
    values = [float(struct.unpack(form, data)[0]) for data in packed]
    return [value for value in values if value - value == 0]


def _printed(postgres: Connection, name: str, values: list[float]) -> list[str]:
    query = f"SELECT array(SELECT x::{name}::text FROM unnest(%b::float8[]) WITH ORDINALITY AS u(x, o) ORDER BY o)"
    row = postgres.execute(query, [values]).fetchone()
    assert row is not None
    return list(row[0])


def test_float8_text_digit_for_digit(postgres: Connection) -> None:
    draw = random.Random(1)
    values = _floats(">d", 64, 2, 5000)
    values += [2.0**power for power in range(-1074, 1024)]
    values += [float(f"1e{power}") for power in range(-300, 300)]
    values += [draw.uniform(1e14, 1e17) for _ in range(2000)]
    assert [float8_text(value) for value in values] == _printed(postgres, "float8", values)


def test_float4_text_digit_for_digit(postgres: Connection) -> None:
    values = _floats(">f", 32, 3, 5000)
    values += [2.0**power for power in range(-149, 128)]
    assert [float4_text(value) for value in values] == _printed(postgres, "float4", values)
