"""Values between literals, wire and storage: round trips over generated values, and what no oracle can be asked."""

from __future__ import annotations

import json
import math
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfsql.errors import (
    DatatypeMismatch,
    DatetimeOutOfRange,
    FeatureNotSupported,
    InvalidBinary,
    InvalidDatetime,
    InvalidEncoding,
    InvalidParameterValue,
    LimitExceeded,
    NumericOutOfRange,
    ProtocolViolation,
    StatementError,
    StatementTooComplex,
)
from proxy.pg import oids
from proxy.pg.settings import EncodeSettings, Value
from proxy.pg.types import coerce, decode_binary, decode_text, encoder, expand_formats, parameters_decoder

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
WEST = timezone(timedelta(hours=-5))
INFINITIES = st.sampled_from(["infinity", "-infinity"])


def stamp(moment: datetime) -> str:
    """As stored; any zone is dropped."""
    text = moment.replace(tzinfo=None).isoformat(" ")
    return text.rstrip("0") if "." in text else text


def clock(moment: time) -> str:
    text = moment.isoformat()
    return text.rstrip("0") if "." in text else text


def decimal_text(number: Decimal) -> str:
    text = format(number, "f")
    return text if number else text.lstrip("-")


NUMERICS = st.decimals(allow_nan=False, allow_infinity=False, places=5) | st.integers().map(Decimal)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
INT4S = st.integers(-(1 << 31), (1 << 31) - 1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner)
)

STORED: list[tuple[int, st.SearchStrategy[Value]]] = [
    (oids.BOOL, st.integers(0, 1)),
    (oids.INT2, st.integers(-(1 << 15), (1 << 15) - 1)),
    (oids.INT4, st.integers(-(1 << 31), (1 << 31) - 1)),
    (oids.INT8, st.integers(-(1 << 63), (1 << 63) - 1)),
    (oids.OID, st.integers(0, (1 << 32) - 1)),
    (oids.XID, st.integers(0, (1 << 32) - 1)),
    (oids.REGCLASS, st.integers(0, (1 << 32) - 1)),
    (oids.FLOAT4, st.floats(width=32, allow_nan=False)),
    (oids.FLOAT8, st.floats(allow_nan=False)),
    (oids.NUMERIC, NUMERICS.map(decimal_text) | st.sampled_from(["NaN", "Infinity", "-Infinity"])),
    (oids.TEXT, TEXT),
    (oids.VARCHAR, TEXT),
    (oids.UNKNOWN, TEXT),
    (oids.BPCHAR, TEXT.map(lambda text: text.rstrip(" "))),
    (oids.BYTEA, st.binary()),
    (oids.DATE, st.dates().map(date.isoformat) | INFINITIES),
    (oids.TIME, st.times().map(clock) | st.just("24:00:00")),
    (oids.TIMESTAMP, st.datetimes().map(stamp) | INFINITIES),
    (oids.TIMESTAMPTZ, st.datetimes().map(stamp) | INFINITIES),
    (oids.UUID, st.uuids().map(str)),
    (oids.JSON, JSON.map(lambda value: json.dumps(value, ensure_ascii=False))),
    (oids.INT2VECTOR, st.lists(st.integers(0, 100), min_size=1).map(lambda row: compact(row))),
    (oids.ARRAYS[oids.INT4], st.lists(st.none() | st.integers(-9, 9)).map(lambda row: compact(row))),
    (oids.ARRAYS[oids.TEXT], st.lists(st.none() | TEXT).map(lambda row: compact(row))),
    (
        oids.ARRAYS[oids.BYTEA],
        st.lists(st.binary()).map(lambda row: compact(["\\x" + data.hex() for data in row])),
    ),
    (
        oids.ARRAYS[oids.FLOAT8],
        st.lists(FINITE).map(lambda row: compact(row)),
    ),
    (
        oids.ARRAYS[oids.INT8],
        st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=2), min_size=1).map(lambda row: compact(row)),
    ),
]


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize(("oid", "values"), STORED, ids=[oids.NAMES.get(row[0], str(row[0])) for row in STORED])
@given(data=st.data())
def test_round_trips(oid: int, values: st.SearchStrategy[Value], data: st.DataObject) -> None:
    value = data.draw(values)
    text = encoder(oid, -1, 0)(value)
    assert decode_text(oid, text.decode()) == value
    assert decode_binary(oid, encoder(oid, -1, 1)(value)) == value


@given(
    st.integers(-(1 << 31) + 1, (1 << 31) - 1),
    st.integers(-(1 << 31), (1 << 31) - 1),
    st.integers(-(1 << 62), 1 << 62),
)
def test_intervals_round_trip(months: int, days: int, microseconds: int) -> None:
    binary = microseconds.to_bytes(8, "big", signed=True) + b"".join(
        number.to_bytes(4, "big", signed=True) for number in (days, months)
    )
    value = decode_binary(oids.INTERVAL, binary)
    assert encoder(oids.INTERVAL, -1, 1)(value) == binary
    iso = encoder(oids.INTERVAL, -1, 0, EncodeSettings(interval_style="iso_8601"))(value)
    assert decode_text(oids.INTERVAL, iso.decode()) == value


@given(st.times(), st.integers(-15 * 3600, 15 * 3600))
def test_timetz_round_trips(moment: time, east: int) -> None:
    seconds = abs(east)
    offset = f"{'-' if east < 0 else '+'}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    value = decode_text(oids.TIMETZ, clock(moment) + offset)
    assert decode_binary(oids.TIMETZ, encoder(oids.TIMETZ, -1, 1)(value)) == value
    assert decode_text(oids.TIMETZ, encoder(oids.TIMETZ)(value).decode()) == value


@given(st.datetimes(timezones=st.timezones()), st.timezones())
def test_timestamptz_means_the_same_moment_in_any_zone(moment: datetime, session: timezone) -> None:
    try:
        utc = moment.astimezone(UTC)
        expected = utc.astimezone(session)
    except OverflowError:
        return
    settings = EncodeSettings(timezone=session)
    value = decode_text(oids.TIMESTAMPTZ, utc.isoformat())
    assert value == stamp(utc)
    printed = encoder(oids.TIMESTAMPTZ, -1, 0, settings)(value).decode()
    # As moments: datetimes of different zones never compare equal around a change of the clocks.
    assert datetime.fromisoformat(printed).timestamp() == expected.timestamp()
    assert decode_text(oids.TIMESTAMPTZ, printed) == value


@given(JSON)
def test_jsonb_is_normal_and_means_the_same(value: object) -> None:
    sent = json.dumps(value)
    try:
        stored = decode_text(oids.JSONB, sent)
    except StatementError:
        assert "\\u0000" in sent
        return
    assert isinstance(stored, str)
    assert json.loads(stored) == value
    assert decode_text(oids.JSONB, stored) == stored
    assert decode_binary(oids.JSONB, encoder(oids.JSONB, -1, 1)(stored)) == stored


@pytest.mark.parametrize("oid", [*oids.NAMES, *oids.ELEMENTS])
@given(text=TEXT, data=st.binary(max_size=40))
def test_any_input_is_a_value_or_a_clean_error(oid: int, text: str, data: bytes) -> None:
    settings = EncodeSettings(zone=lambda _name: None)
    for sent in (text, data):
        try:
            value = decode_text(oid, sent, settings) if isinstance(sent, str) else decode_binary(oid, sent)
        except (StatementError, FeatureNotSupported, ProtocolViolation):
            continue
        if isinstance(value, float) and math.isnan(value):
            continue
        encoder(oid, -1, 0, settings)(value)


def test_now_needs_a_clock() -> None:
    with pytest.raises(InvalidDatetime) as caught:
        decode_text(oids.TIMESTAMPTZ, "now")
    assert "CURRENT_TIMESTAMP" in caught.value.hint
    berlin = timezone(timedelta(hours=2))
    settings = EncodeSettings(timezone=berlin, transaction_time=datetime(2024, 7, 5, 22, 30, 1, 5000, tzinfo=UTC))
    expected = {
        (oids.TIMESTAMPTZ, "now"): "2024-07-05 22:30:01.005",
        (oids.TIMESTAMP, "now"): "2024-07-06 00:30:01.005",
        (oids.DATE, "today"): "2024-07-06",
        (oids.DATE, "Yesterday"): "2024-07-05",
        (oids.DATE, "now"): "2024-07-06",
        (oids.TIME, "now"): "00:30:01.005",
        (oids.TIMETZ, "now"): "00:30:01.005+02",
        (oids.TIMESTAMPTZ, "tomorrow"): "2024-07-06 22:00:00",
        (oids.TIMESTAMP, "today 10:30"): "2024-07-06 10:30:00",
    }
    for (oid, literal), value in expected.items():
        assert decode_text(oid, literal, settings) == value


def test_years_that_cannot_be_stored_are_refused() -> None:
    for oid, literal in ((oids.DATE, "44-03-15 BC"), (oids.TIMESTAMP, "10000-01-01"), (oids.DATE, "0044-03-15 BC")):
        with pytest.raises(DatetimeOutOfRange):
            decode_text(oid, literal)
    for oid, data in ((oids.DATE, (3_000_000).to_bytes(4, "big")), (oids.TIMESTAMP, (1 << 62).to_bytes(8, "big"))):
        with pytest.raises(DatetimeOutOfRange):
            decode_binary(oid, data)
    with pytest.raises(DatetimeOutOfRange):
        decode_text(oids.TIMESTAMPTZ, "9999-12-31 23:00:00-05")
    with pytest.raises(DatetimeOutOfRange):
        encoder(oids.TIMESTAMPTZ, -1, 0, EncodeSettings(timezone=WEST))("0001-01-01 00:00:00")


def test_zero_characters_and_bad_utf8() -> None:
    with pytest.raises(InvalidEncoding):
        decode_text(oids.TEXT, "a\x00b")
    for data in (b"\xff", b"a\x00b", b"\xc3", b"\xed\xa0\x80"):
        with pytest.raises(InvalidEncoding):
            decode_binary(oids.TEXT, data)


def test_what_sqlite_may_hold_instead() -> None:
    """An expression's value need not be of its type's storage class; what can be said is said."""
    assert encoder(oids.INT4)(3.0) == b"3"
    assert encoder(oids.INT4, -1, 1)("7") == b"\x00\x00\x00\x07"
    assert encoder(oids.FLOAT8)(3) == b"3"
    assert encoder(oids.NUMERIC)(3) == b"3"
    assert encoder(oids.NUMERIC)(2.5) == b"2.5"
    assert encoder(oids.NUMERIC, -1, 1)(2.5) == encoder(oids.NUMERIC, -1, 1)("2.5")
    assert encoder(oids.TEXT)(3.0) == b"3"
    assert encoder(oids.TEXT)(b"\x01") == b"\\x01"
    assert encoder(oids.BYTEA, -1, 1)("é") == "é".encode()
    assert encoder(oids.BOOL)("true") == b"t"
    assert encoder(oids.UUID)(uuid.UUID(int=5).bytes) == str(uuid.UUID(int=5)).encode()
    assert encoder(99999)("enum label") == b"enum label"
    assert encoder(oids.VOID)("") == b""
    for oid, value in ((oids.INT4, "abc"), (oids.INT4, 2.5), (oids.FLOAT8, b""), (oids.NUMERIC, b"1")):
        with pytest.raises(StatementError):
            encoder(oid)(value)
    with pytest.raises(NumericOutOfRange):
        encoder(oids.INT2, -1, 1)(70_000)
    for stored in ("no json", '{"a":1}', 5):
        with pytest.raises(DatatypeMismatch):
            encoder(oids.ARRAYS[oids.INT4])(stored)
    with pytest.raises(DatatypeMismatch):
        encoder(oids.ARRAYS[oids.INT4], -1, 1)("[[1],[2,3]]")
    assert encoder(oids.ARRAYS[oids.BOOL])("[true,0,null]") == b"{t,f,NULL}"
    with pytest.raises(FeatureNotSupported):
        encoder(oids.RECORD, -1, 1)("(1)")


@pytest.mark.parametrize(
    ("oid", "data"),
    [
        (oids.INT4, b"\x00"),
        (oids.BOOL, b""),
        (oids.UUID, b"\x00" * 15),
        (oids.JSONB, b"\x02{}"),
        (oids.JSONB, b""),
        (oids.NUMERIC, b"\x00" * 7),
        (oids.NUMERIC, b"\x00\x01\x00\x00\x00\x00\x00\x00"),
        (oids.NUMERIC, b"\x00\x01\x00\x00\x00\x00\x00\x00\x27\x10"),
        (oids.NUMERIC, b"\x00\x00\x00\x00\x12\x34\x00\x00"),
        (oids.NUMERIC, b"\x00\x00\x00\x00\x00\x00\x40\x00"),
        (oids.NUMERIC, b"\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
        (oids.ARRAYS[oids.INT4], b"\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x17\x7f\xff\xff\xff\x00\x00\x00\x01"),
        (oids.ARRAYS[oids.INT4], b"\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x17"),
        (oids.ARRAYS[oids.INT4], b"\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x17"),
        (oids.ARRAYS[oids.INT4], b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x17\x00"),
        (oids.ARRAYS[oids.INT4], b"\x00\x00"),
    ],
)
def test_bad_binary_values(oid: int, data: bytes) -> None:
    # Too short is the message's fault, as PostgreSQL sees it, anything else the value's.
    with pytest.raises((InvalidBinary, ProtocolViolation)):
        decode_binary(oid, data)


def test_array_limits() -> None:
    with pytest.raises(LimitExceeded):
        decode_text(oids.ARRAYS[oids.INT4], "{" * 7 + "1" + "}" * 7)
    with pytest.raises(LimitExceeded):
        decode_binary(oids.ARRAYS[oids.INT4], b"\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x17")
    with pytest.raises(DatatypeMismatch):
        decode_binary(oids.ARRAYS[oids.INT4], b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x19")


@pytest.mark.parametrize("oid", [oids.JSON, oids.JSONB])
def test_deep_json_is_refused_not_a_crash(oid: int) -> None:
    with pytest.raises(StatementTooComplex):
        decode_text(oid, "[" * 100_000 + "]" * 100_000)


def test_a_few_bytes_do_not_become_many() -> None:
    """Numbers are kept as text: what an exponent may add is bounded, for one number and for a value of many."""
    assert decode_text(oids.NUMERIC, "1e1000") == "1" + "0" * 1000
    assert decode_text(oids.NUMERIC, "1e-1000") == "0." + "0" * 999 + "1"
    for literal in ("1e2000", "1e-2000", "1e99999999999"):
        with pytest.raises(NumericOutOfRange):
            decode_text(oids.NUMERIC, literal)
    for weight in (20_000, -20_000):
        data = b"\x00\x01" + weight.to_bytes(2, "big", signed=True) + b"\x00\x00\x00\x00\x00\x01"
        with pytest.raises(NumericOutOfRange):
            decode_binary(oids.NUMERIC, data)
    with pytest.raises(NumericOutOfRange):
        decode_text(oids.NUMERIC, "9" * 131_073)
    many = ",".join(["1e1000"] * 20_000)
    for oid, literal in ((oids.ARRAYS[oids.NUMERIC], f"{{{many}}}"), (oids.JSONB, f"[{many}]")):
        with pytest.raises(LimitExceeded):
            decode_text(oid, literal)


def test_coerce_leaves_what_has_no_typmod() -> None:
    assert coerce(oids.INT4, 5, 7) == 7
    assert coerce(oids.VARCHAR, -1, "abc") == "abc"
    assert coerce(oids.VARCHAR, 6, None) is None
    assert coerce(oids.ARRAYS[oids.INT4], 5, "[1]") == "[1]"


def test_formats() -> None:
    assert expand_formats((), 2) == (0, 0)
    assert expand_formats((1,), 3) == (1, 1, 1)
    assert expand_formats((1, 0), 2) == (1, 0)
    with pytest.raises(InvalidParameterValue, match="unsupported format code: 2"):
        expand_formats((2,), 1)
    with pytest.raises(ProtocolViolation, match="bind message has 3 result formats but query has 2 columns"):
        expand_formats((0, 0, 0), 2)
    with pytest.raises(ProtocolViolation, match="bind message has 2 parameter formats but query has 1 parameters"):
        parameters_decoder((23,), (0, 0))


def test_parameters() -> None:
    decode = parameters_decoder((oids.INT4, oids.TEXT, oids.NUMERIC), (1, 0, 0))
    assert decode([b"\x00\x00\x00\x05", b"x", None]) == (5, "x", None)
    assert parameters_decoder((oids.INT4,))([None]) == (None,)
    assert parameters_decoder(())([]) == ()
    for decoder, given_ in ((decode, [b""]), (parameters_decoder((23,)), []), (parameters_decoder(()), [b"x"])):
        with pytest.raises(ProtocolViolation, match="bind message supplies"):
            decoder(given_)
