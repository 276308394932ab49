"""COPY's three formats: the one door, and what they share.

A reader takes the stream in whatever pieces CopyData brings and gives rows as lists of fields, NULL as None: text for
the text and CSV formats, bytes for binary.  `copied_row_decoder` makes SQLite's values of a row, `copied_row_encoder`
goes the other way, and gives whole CopyData messages.

A reader holds at most one incomplete line of `line_bytes_max` bytes; more is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, Final

from proxy.pg.codecs import codec
from proxy.pg.copy_binary import SIGNATURE, TRAILER, BinaryReader
from proxy.pg.copy_csv import CsvReader, csv_line
from proxy.pg.copy_format import LINE_BYTES_MAX, CopyOptions
from proxy.pg.copy_text import TextReader, text_line
from proxy.pg.encode import copy_data
from proxy.pg.rows import Row, row_encoder
from proxy.pg.settings import DEFAULTS, EncodeSettings, Value

__all__ = [
    "LINE_BYTES_MAX",
    "BinaryReader",
    "CopyOptions",
    "CsvReader",
    "TextReader",
    "copied_row_decoder",
    "copied_row_encoder",
    "copy_reader",
    "copy_start",
    "copy_stop",
]

CopyReader = TextReader | CsvReader | BinaryReader

_COPY_DATA: Final = Struct(">cI").pack


def copy_reader(options: CopyOptions, columns: Sequence[str], line_bytes_max: int = LINE_BYTES_MAX) -> CopyReader:
    """A reader of `columns`: `feed(data)` gives the rows completed by it, `finish()` those left at CopyDone.

    Both raise BadCopyFormat, naming the line, and InvalidEncoding.
    """
    if options.format == "binary":
        return BinaryReader(columns, line_bytes_max)
    if options.format == "csv":
        return CsvReader(options, columns, line_bytes_max)
    return TextReader(options, columns, line_bytes_max)


def copied_row_decoder(
    oids: Sequence[int], typmods: Sequence[int], options: CopyOptions, settings: EncodeSettings = DEFAULTS
) -> Callable[[Sequence[str | bytes | None]], tuple[Value, ...]]:
    """A function from a reader's row to stored values, typmods applied.  Raises DataError subclasses."""
    readers = [
        _field_reader(oid, typmod, options.format == "binary", settings)
        for oid, typmod in zip(oids, typmods, strict=True)
    ]

    def decode(row: Sequence[str | bytes | None]) -> tuple[Value, ...]:
        return tuple([None if field is None else read(field) for read, field in zip(readers, row, strict=True)])

    return decode


def _field_reader(oid: int, typmod: int, binary: bool, settings: EncodeSettings) -> Callable[[Any], Value]:
    """Takes what the format's reader gives: str, or bytes for binary."""
    found = codec(oid)
    parse, receive, coerce = found.parser(settings), found.receive, found.coerce

    read: Callable[[Any], Value] = receive if binary else parse
    if coerce is None or typmod < 0:
        return read
    return lambda field: coerce(read(field), typmod, False)


def copy_start(options: CopyOptions, names: Sequence[str]) -> bytes:
    """What comes before the rows: the binary signature, or the header line; b'' when nothing does."""
    if options.format == "binary":
        return copy_data(SIGNATURE)
    if not options.header:
        return b""
    quoted = [False] * len(names)
    line = csv_line(names, quoted, options) if options.format == "csv" else text_line(names, options)
    return copy_data(line.encode())


def copy_stop(options: CopyOptions) -> bytes:
    """What comes after the rows, before CopyDone."""
    return copy_data(TRAILER) if options.format == "binary" else b""


def copied_row_encoder(
    columns: Sequence[tuple[str, int, int]], options: CopyOptions, settings: EncodeSettings = DEFAULTS
) -> Callable[[Row], bytes]:
    """A function from a row of SQLite's values to one CopyData message.  `columns`: (name, OID, typmod) each."""
    types = [(oid, typmod) for _, oid, typmod in columns]
    if options.format == "binary":
        encode_row = row_encoder(types, (1,), settings)

        def encode_binary(row: Row) -> bytes:
            # A DataRow's body, a count and then lengths and values, is a binary COPY tuple as it stands.
            return b"d" + encode_row(row)[1:]

        return encode_binary

    printers = [codec(oid).print(settings, typmod) for oid, typmod in types]
    forced = options.force_quote
    quoted = [forced is None or name in forced for name, _, _ in columns]
    csv = options.format == "csv"

    def encode(row: Row) -> bytes:
        fields = [
            None if value is None else write(value).decode() for write, value in zip(printers, row, strict=True)
        ]
        line = csv_line(fields, quoted, options) if csv else text_line(fields, options)
        data = line.encode()
        return _COPY_DATA(b"d", len(data) + 4) + data

    return encode
