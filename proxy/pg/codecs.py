"""Which functions read and write each type: the table behind `proxy.pg.types` and `proxy.pg.rows`.

A type that is not in the table (an enum, a domain, something newer) is text in both formats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from lfsql.errors import FeatureNotSupported
from lfsql.values.datetimes import parse_date, parse_time, parse_timestamp, parse_timestamptz, parse_timetz
from lfsql.values.floats import parse_float4, parse_float8, storable
from lfsql.values.intervals import parse_interval
from lfsql.values.numeric import parse_numeric
from lfsql.values.scalars import parse_bool, parse_bytea, parse_int2, parse_int4, parse_int8, parse_oid, parse_uuid
from proxy.pg import arrays, datetimes, floats, intervals, jsons, numeric, oids, scalars
from proxy.pg.settings import EncodeSettings, Value

Parser = Callable[[EncodeSettings], Callable[[str], Value]]
"""Settings to a function from a literal to its stored value."""
Receive = Callable[[bytes], Value]
Print = Callable[[EncodeSettings, int], Callable[[Value], bytes]]
"""Settings and typmod to a function from a value, never None, to its text format."""
Send = Callable[[Value], bytes]
Coerce = Callable[[Value, int, bool], Value]
"""Value, typmod, whether the cast is explicit."""


@dataclass(frozen=True, slots=True)
class Codec:
    parser: Parser
    receive: Receive
    print: Print
    send: Send
    coerce: Coerce | None = None
    """Applies a typmod of 0 or more; None where the type has none."""


def _plain(parse: Callable[[str], Value]) -> Parser:
    """A literal that no setting changes."""
    return lambda _settings: parse


def _by_settings(parse: Callable[[str, EncodeSettings], Value]) -> Parser:
    return lambda settings: lambda text: parse(text, settings)


def _fixed(write: Callable[[Value], bytes]) -> Print:
    """An output that no setting changes."""
    return lambda _settings, _typmod: write


def _print_float8(settings: EncodeSettings, _typmod: int) -> Callable[[Value], bytes]:
    return partial(floats.print_float8, extra_float_digits=settings.extra_float_digits)


def _print_float4(settings: EncodeSettings, _typmod: int) -> Callable[[Value], bytes]:
    return partial(floats.print_float4, extra_float_digits=settings.extra_float_digits)


def _print_bytea(settings: EncodeSettings, _typmod: int) -> Callable[[Value], bytes]:
    return scalars.print_bytea_escape if settings.bytea_output == "escape" else scalars.print_bytea_hex


def _print_timestamptz(settings: EncodeSettings, _typmod: int) -> Callable[[Value], bytes]:
    return partial(datetimes.print_timestamptz, zone=settings.timezone)


def _print_interval(settings: EncodeSettings, _typmod: int) -> Callable[[Value], bytes]:
    return intervals.print_interval_iso if settings.interval_style == "iso_8601" else scalars.print_text


def _print_bpchar(_settings: EncodeSettings, typmod: int) -> Callable[[Value], bytes]:
    """Stored without its padding; PostgreSQL sends it padded to the declared length."""
    width = typmod - 4
    if width <= 0:
        return scalars.print_text
    return lambda value: scalars.as_text(value).ljust(width).encode()


def _coerce_varchar(value: Value, typmod: int, explicit: bool) -> Value:
    return scalars.coerce_length(scalars.as_text(value), typmod, explicit, "character varying")


def _coerce_bpchar(value: Value, typmod: int, explicit: bool) -> Value:
    return scalars.coerce_length(scalars.as_text(value), typmod, explicit, "character").rstrip(" ")


def _coerce_numeric(value: Value, typmod: int, _explicit: bool) -> Value:
    return numeric.coerce_numeric(numeric.as_numeric(value), typmod)


def _coerce_time(value: Value, typmod: int, _explicit: bool) -> Value:
    return datetimes.coerce_time(scalars.as_text(value), typmod)


def _coerce_timestamp(value: Value, typmod: int, _explicit: bool) -> Value:
    return datetimes.coerce_timestamp(scalars.as_text(value), typmod)


def _coerce_interval(value: Value, typmod: int, _explicit: bool) -> Value:
    return intervals.coerce_interval(scalars.as_text(value), typmod)


def _parse_registered(text: str) -> Value:
    """regclass and its kin: a number is one, a name stays a name; looking it up is the planner's business."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else scalars.parse_text(text)


def _no_binary_record(_data: bytes) -> Value:
    raise FeatureNotSupported("binary input of anonymous composite types is not supported")


def _no_send_record(_value: Value) -> bytes:
    raise FeatureNotSupported("binary output of anonymous composite types is not supported")


_TEXT: Final = Codec(_plain(scalars.parse_text), scalars.receive_text, _fixed(scalars.print_text), scalars.print_text)
_OID: Final = Codec(_plain(parse_oid), scalars.receive_oid, _fixed(scalars.print_integer), scalars.send_oid)
_REGISTERED: Final = Codec(
    _plain(_parse_registered), scalars.receive_oid, _fixed(scalars.print_text), scalars.send_oid
)

CODECS: Final[dict[int, Codec]] = {
    oids.BOOL: Codec(_plain(parse_bool), scalars.receive_bool, _fixed(scalars.print_bool), scalars.send_bool),
    oids.INT2: Codec(_plain(parse_int2), scalars.receive_int2, _fixed(scalars.print_integer), scalars.send_int2),
    oids.INT4: Codec(_plain(parse_int4), scalars.receive_int4, _fixed(scalars.print_integer), scalars.send_int4),
    oids.INT8: Codec(_plain(parse_int8), scalars.receive_int8, _fixed(scalars.print_integer), scalars.send_int8),
    oids.OID: _OID,
    oids.XID: _OID,
    oids.REGPROC: _REGISTERED,
    oids.REGCLASS: _REGISTERED,
    oids.REGTYPE: _REGISTERED,
    oids.FLOAT4: Codec(
        _plain(lambda text: storable(parse_float4(text))),
        lambda data: storable(floats.receive_float4(data)),
        _print_float4,
        floats.send_float4,
    ),
    oids.FLOAT8: Codec(
        _plain(lambda text: storable(parse_float8(text))),
        lambda data: storable(floats.receive_float8(data)),
        _print_float8,
        floats.send_float8,
    ),
    oids.NUMERIC: Codec(
        _plain(parse_numeric),
        numeric.receive_numeric,
        _fixed(numeric.print_numeric),
        numeric.send_numeric,
        _coerce_numeric,
    ),
    oids.TEXT: _TEXT,
    oids.UNKNOWN: _TEXT,
    oids.VARCHAR: Codec(_TEXT.parser, _TEXT.receive, _TEXT.print, _TEXT.send, _coerce_varchar),
    oids.BPCHAR: Codec(
        _plain(scalars.parse_bpchar), scalars.receive_bpchar, _print_bpchar, scalars.print_text, _coerce_bpchar
    ),
    oids.NAME: Codec(_plain(scalars.parse_name), _TEXT.receive, _TEXT.print, _TEXT.send),
    oids.CHAR: Codec(_plain(scalars.parse_char), scalars.receive_char, _TEXT.print, scalars.send_char),
    oids.BYTEA: Codec(_plain(parse_bytea), scalars.receive_bytea, _print_bytea, scalars.as_bytes),
    oids.UUID: Codec(_plain(parse_uuid), scalars.receive_uuid, _fixed(scalars.print_uuid), scalars.send_uuid),
    oids.JSON: Codec(_plain(jsons.parse_json), jsons.receive_json, _TEXT.print, _TEXT.send),
    oids.JSONB: Codec(_plain(jsons.parse_jsonb), jsons.receive_jsonb, _TEXT.print, jsons.send_jsonb),
    oids.DATE: Codec(_by_settings(parse_date), datetimes.receive_date, _TEXT.print, datetimes.send_date),
    oids.TIME: Codec(
        _by_settings(parse_time),
        datetimes.receive_time,
        _TEXT.print,
        datetimes.send_time,
        _coerce_time,
    ),
    oids.TIMETZ: Codec(
        _by_settings(parse_timetz),
        datetimes.receive_timetz,
        _TEXT.print,
        datetimes.send_timetz,
        _coerce_time,
    ),
    oids.TIMESTAMP: Codec(
        _by_settings(parse_timestamp),
        datetimes.receive_timestamp,
        _TEXT.print,
        datetimes.send_timestamp,
        _coerce_timestamp,
    ),
    oids.TIMESTAMPTZ: Codec(
        _by_settings(parse_timestamptz),
        datetimes.receive_timestamp,
        _print_timestamptz,
        datetimes.send_timestamp,
        _coerce_timestamp,
    ),
    oids.INTERVAL: Codec(
        _plain(parse_interval),
        intervals.receive_interval,
        _print_interval,
        intervals.send_interval,
        _coerce_interval,
    ),
    oids.VOID: Codec(_plain(lambda _text: ""), lambda _data: "", _fixed(lambda _value: b""), lambda _value: b""),
    oids.RECORD: Codec(_TEXT.parser, _no_binary_record, _TEXT.print, _no_send_record),
}


def _array_codec(element_oid: int) -> Codec:
    element = CODECS[element_oid]

    def leaf(value: Value) -> Value:
        """JSON has no bytes: a bytea element is its hex form there."""
        return parse_bytea(value) if element_oid == oids.BYTEA and isinstance(value, str) else value

    def parser(settings: EncodeSettings) -> Callable[[str], Value]:
        parse_element = element.parser(settings)
        return lambda text: arrays.store(arrays.read_literal(text, parse_element))

    def receive(data: bytes) -> Value:
        return arrays.store(arrays.receive(data, element_oid, element.receive))

    def printer(settings: EncodeSettings, typmod: int) -> Callable[[Value], bytes]:
        print_element = element.print(settings, typmod)
        return lambda value: arrays.write_literal(arrays.load(value), lambda part: print_element(leaf(part))).encode()

    def send(value: Value) -> bytes:
        return arrays.send(arrays.load(value), element_oid, lambda part: element.send(leaf(part)))

    def coerce(value: Value, typmod: int, explicit: bool) -> Value:
        coerce_element = element.coerce
        if coerce_element is None:
            return value
        return arrays.store(
            arrays.map_leaves(arrays.load(value), lambda part: coerce_element(part, typmod, explicit))
        )

    return Codec(parser, receive, printer, send, coerce if element.coerce is not None else None)


def _vector_codec(element_oid: int) -> Codec:
    element = CODECS[element_oid]

    def parser(settings: EncodeSettings) -> Callable[[str], Value]:
        parse_element = element.parser(settings)
        return lambda text: arrays.write_vector([parse_element(part) for part in text.split()])

    def receive(data: bytes) -> Value:
        return arrays.write_vector(arrays.receive(data, element_oid, element.receive))

    def send(value: Value) -> bytes:
        return arrays.send(arrays.read_vector(scalars.as_text(value)), element_oid, element.send, 0)

    def print_vector(value: Value) -> bytes:
        return " ".join(map(str, arrays.read_vector(scalars.as_text(value)))).encode()

    return Codec(parser, receive, _fixed(print_vector), send)


CODECS.update({array: _array_codec(element) for array, element in oids.ELEMENTS.items()})
CODECS[oids.INT2VECTOR] = _vector_codec(oids.INT2)
CODECS[oids.OIDVECTOR] = _vector_codec(oids.OID)


def codec(oid: int) -> Codec:
    return CODECS.get(oid, _TEXT)


def writer(oid: int, typmod: int, format_code: int, settings: EncodeSettings) -> Callable[[Value], bytes]:
    """A function from a stored value, never None, to its wire form, without a length."""
    found = codec(oid)
    # char(n) has the same bytes in both formats, and only printing knows how many.
    return found.send if format_code and oid != oids.BPCHAR else found.print(settings, typmod)
