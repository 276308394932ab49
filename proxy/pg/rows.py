"""SQLite's rows to DataRow messages: the inner loop of every result.

`row_encoder` looks at the columns once and picks one of three ways, fastest first:

- *plain*: text format, and every type prints as SQLite holds it (integers, text, numeric, timestamps, uuid).  One
  loop that looks at the values alone, no call a column.
- *fixed*: binary format, and every type is a number of fixed width.  One `struct.pack` for the whole message.
- *mixed*: anything else.  One function a column.

All three trust that SQLite holds what the column's type says.  When it does not (a NULL among fixed numbers, 3.0 in
an integer expression), they raise, and the row is written again by the lenient encoders of `proxy.pg.codecs`, which
know what can still be said and what is an error.

Compiling a function's source for each shape of row was measured, too: a tenth faster than *plain*, twice as fast as
*mixed*, and refused, because text made into code has no place where a client's bytes come in.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from proxy.pg import oids
from proxy.pg.codecs import writer
from proxy.pg.encode import data_row
from proxy.pg.settings import DEFAULTS, EncodeSettings, Value

Row = Sequence[Value]
RowEncoder = Callable[[Row], bytes]

_NULL: Final = b"\xff\xff\xff\xff"
_LENGTHS: Final = tuple(struct.pack(">I", length) for length in range(256))
_pack_length: Final = struct.Struct(">I").pack
_pack_prefix: Final = struct.Struct(">cIH").pack
"""Type byte, message length, number of columns."""

_SENT_AS_TEXT: Final = frozenset((oids.TEXT, oids.VARCHAR, oids.BPCHAR, oids.UNKNOWN, oids.NAME, oids.JSON))
_PLAIN_TEXT: Final = frozenset(
    (
        *(oids.TEXT, oids.VARCHAR, oids.UNKNOWN, oids.NAME, oids.CHAR, oids.JSON, oids.JSONB),
        *(oids.NUMERIC, oids.DATE, oids.TIME, oids.TIMETZ, oids.TIMESTAMP, oids.UUID),
        *(oids.REGCLASS, oids.REGTYPE, oids.REGPROC),
    )
)
_PLAIN: Final = _PLAIN_TEXT | {oids.INT2, oids.INT4, oids.INT8, oids.OID, oids.XID}
_FIXED: Final = {
    oids.BOOL: "?",
    oids.INT2: "h",
    oids.INT4: "i",
    oids.INT8: "q",
    oids.OID: "I",
    oids.XID: "I",
    oids.FLOAT4: "f",
    oids.FLOAT8: "d",
}
_UNFIT: Final = (TypeError, ValueError, AttributeError, OverflowError, struct.error)
"""What the fast ways raise on a value they did not expect."""


def _lenient(encoders: Sequence[Callable[[Value], bytes]], row: Row) -> bytes:
    return data_row([None if value is None else write(value) for write, value in zip(encoders, row, strict=True)])


def _plain(count: int, lenient: RowEncoder) -> RowEncoder:
    def encode_one(row: Row) -> bytes:
        value = row[0]
        if value.__class__ is int:
            data = b"%d" % value
        elif value.__class__ is str:
            data = value.encode()
        else:
            return lenient(row)
        size = len(data)
        return _pack_single(b"D", size + 10, 1, size) + data

    def encode(row: Row) -> bytes:
        pieces = [b""]
        add = pieces.append
        for value in row:
            if value.__class__ is int:
                data = b"%d" % value
            elif value.__class__ is str:
                data = value.encode()
            elif value is None:
                add(_NULL)
                continue
            else:
                return lenient(row)
            size = len(data)
            add(_LENGTHS[size] if size < 256 else _pack_length(size))
            add(data)
        body = b"".join(pieces)
        return _pack_prefix(b"D", len(body) + 6, count) + body

    return encode_one if count == 1 else encode


_pack_single: Final = struct.Struct(">cIHI").pack


def _fixed(codes: Sequence[str], lenient: RowEncoder) -> RowEncoder:
    sizes = [struct.calcsize(">" + code) for code in codes]
    pack = struct.Struct(">cIH" + "".join(f"I{code}" for code in codes)).pack
    length = 6 + sum(sizes) + 4 * len(sizes)
    count = len(codes)
    if count == 1:
        size = sizes[0]

        def encode_one(row: Row) -> bytes:
            try:
                return pack(b"D", length, 1, size, row[0])
            except _UNFIT:
                return lenient(row)

        # struct takes any object for a bool, NULL included.
        return encode_one if codes[0] != "?" else lenient
    template: list[object] = [item for size in sizes for item in (size, None)]

    def encode(row: Row) -> bytes:
        if None in row:
            return lenient(row)
        arguments = template.copy()
        try:
            arguments[1::2] = row
            return pack(b"D", length, count, *arguments)
        except _UNFIT:
            return lenient(row)

    return encode


def _direct(oid: int, code: int, encoder: Callable[[Value], bytes]) -> Callable[[Any], bytes]:
    """The shortest way for a value of the expected class, which raises for any other."""
    if code and oid in _FIXED:
        return struct.Struct(">" + _FIXED[oid]).pack
    if oid in _PLAIN_TEXT and (not code or oid in _SENT_AS_TEXT):
        return str.encode
    return encoder


def _mixed(count: int, encoders: Sequence[Callable[[Any], bytes]], lenient: RowEncoder) -> RowEncoder:
    def encode(row: Row) -> bytes:
        pieces: list[bytes] = []
        try:
            for write, value in zip(encoders, row, strict=True):
                if value is None:
                    pieces.append(_NULL)
                else:
                    data = write(value)
                    size = len(data)
                    pieces.append(_LENGTHS[size] if size < 256 else _pack_length(size))
                    pieces.append(data)
        except _UNFIT:
            return lenient(row)
        body = b"".join(pieces)
        return _pack_prefix(b"D", len(body) + 6, count) + body

    return encode


def row_encoder(
    columns: Sequence[tuple[int, int]], formats: Sequence[int] = (), settings: EncodeSettings = DEFAULTS
) -> RowEncoder:
    """A function from a row of SQLite's values to its whole DataRow message.

    `columns`: (type OID, typmod) each; `formats`: as a Bind gives them: none (text), one for all, or one each.
    The function raises DataError subclasses for a value its column's type cannot hold.
    """
    count = len(columns)
    if len(formats) <= 1:
        formats = (formats[0] if formats else 0,) * count
    if not count:
        # SQLite has no result without columns; what it gives in place of one is not shown.
        empty = data_row([])
        return lambda _row: empty
    encoders = [writer(oid, typmod, code, settings) for (oid, typmod), code in zip(columns, formats, strict=True)]
    lenient = partial(_lenient, encoders)
    if 1 not in formats and all(oid in _PLAIN for oid, _ in columns):
        return _plain(count, lenient)
    if 0 not in formats and all(oid in _FIXED for oid, _ in columns):
        return _fixed([_FIXED[oid] for oid, _ in columns], lenient)
    direct = [_direct(oid, code, encoder) for (oid, _), code, encoder in zip(columns, formats, encoders, strict=True)]
    return _mixed(count, direct, lenient)
