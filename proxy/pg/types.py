"""Values between the wire and SQLite: the one door to the type codecs.

A value of SQLite (`Value`) is what `proxy.pg.oids.STORAGE` says for its type.  Functions that build functions
(`encoder`, `row_encoder`, `parameters_decoder`) are called once a statement; what they return runs once a value, row
or Bind.  All raise DataError subclasses with PostgreSQL's words and SQLSTATEs when the input is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lfsql.errors import InvalidParameterValue, ProtocolViolation
from proxy.pg.codecs import codec, writer
from proxy.pg.rows import RowEncoder, row_encoder
from proxy.pg.settings import DEFAULTS, EncodeSettings, Value
from proxy.pg.text import decode_utf8

__all__ = [
    "DEFAULTS",
    "EncodeSettings",
    "RowEncoder",
    "Value",
    "coerce",
    "decode_binary",
    "decode_text",
    "encoder",
    "expand_formats",
    "parameters_decoder",
    "row_encoder",
]


def decode_text(oid: int, text: str, settings: EncodeSettings = DEFAULTS) -> Value:
    """A literal, or a parameter in text format, to its stored form.  Raises DataError subclasses."""
    return codec(oid).parser(settings)(text)


def decode_binary(oid: int, data: bytes) -> Value:
    """A parameter in binary format to its stored form.  Raises DataError subclasses, InvalidBinary above all."""
    return codec(oid).receive(data)


def coerce(oid: int, typmod: int, value: Value, *, explicit: bool = False) -> Value:
    """Apply a column's typmod: cut or refuse over-long text, round numeric, time and interval.

    `explicit` is a cast, which cuts over-long text silently where an assignment refuses it.
    """
    if value is None or typmod < 0:
        return value
    apply = codec(oid).coerce
    return value if apply is None else apply(value, typmod, explicit)


def encoder(
    oid: int, typmod: int = -1, format_code: int = 0, settings: EncodeSettings = DEFAULTS
) -> Callable[[Value], bytes]:
    """A function from a stored value, never None, to its wire form, without a length."""
    return writer(oid, typmod, format_code, settings)


def expand_formats(formats: Sequence[int], count: int, what: str = "result") -> tuple[int, ...]:
    """A Bind's format list, which may be empty or a single one, to one format each.

    Raises ProtocolViolation when the list does not fit, InvalidParameterValue for a code that is neither 0 nor 1.
    """
    for code in formats:
        if code not in (0, 1):
            raise InvalidParameterValue(f"unsupported format code: {code}")
    if not formats:
        return (0,) * count
    if len(formats) == 1:
        return tuple(formats) * count
    if len(formats) != count:
        noun = "columns" if what == "result" else "parameters"
        raise ProtocolViolation(f"bind message has {len(formats)} {what} formats but query has {count} {noun}")
    return tuple(formats)


def parameters_decoder(
    oids: Sequence[int], formats: Sequence[int] = (), settings: EncodeSettings = DEFAULTS
) -> Callable[[Sequence[bytes | None]], tuple[Value, ...]]:
    """A function from a Bind's parameters to stored values.

    Raises ProtocolViolation for a wrong number of parameters, DataError subclasses for wrong values.
    """
    count = len(oids)
    readers = [
        codec(oid).receive if code else _text_reader(oid, settings)
        for oid, code in zip(oids, expand_formats(formats, count, "parameter"), strict=True)
    ]

    def wrong_count(given: int) -> ProtocolViolation:
        return ProtocolViolation(f"bind message supplies {given} parameters, but prepared statement requires {count}")

    if count == 1:
        only = readers[0]

        def decode_one(parameters: Sequence[bytes | None]) -> tuple[Value, ...]:
            if len(parameters) != 1:
                raise wrong_count(len(parameters))
            data = parameters[0]
            return (None if data is None else only(data),)

        return decode_one

    def decode(parameters: Sequence[bytes | None]) -> tuple[Value, ...]:
        if len(parameters) != count:
            raise wrong_count(len(parameters))
        return tuple([None if data is None else read(data) for read, data in zip(readers, parameters, strict=True)])

    return decode


def _text_reader(oid: int, settings: EncodeSettings) -> Callable[[bytes], Value]:
    parse = codec(oid).parser(settings)

    def read(data: bytes) -> Value:
        return parse(decode_utf8(data))

    return read
