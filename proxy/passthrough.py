"""Results of the sqlite dialect: SQLite's own values, typed by what SQLite says of their columns.

A column of SQLite may hold a value of any class whatever it was declared as.  In text that is no trouble: each value
is printed by its own class.  In binary a client decodes by the announced type, so a value of another class is an
error there rather than bytes it would misread.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final

from lfsql.core.entry import Value
from lfsql.core.requests import ColumnDescription, Row
from lfsql.errors import DatatypeMismatch
from proxy.pg.oids import BYTEA, FLOAT8, INT8, TEXT
from proxy.sql.plan import ResultColumn

_LENGTH: Final = struct.Struct(">i").pack
_INT8: Final = struct.Struct(">q").pack
_FLOAT8: Final = struct.Struct(">d").pack
_HEAD: Final = struct.Struct(">cIH").pack


def affinity_oid(declared: str) -> int:
    """PostgreSQL's type for SQLite's affinity of a declared type (sqlite.org/datatype3.html, section 3.1).

    Numeric affinity and expressions may give anything, so they are text.
    """
    word = declared.upper()
    if "INT" in word:
        return INT8
    if "CHAR" in word or "CLOB" in word or "TEXT" in word:
        return TEXT
    if "BLOB" in word:
        return BYTEA
    if "REAL" in word or "FLOA" in word or "DOUB" in word:
        return FLOAT8
    return TEXT


def result_columns(columns: Sequence[ColumnDescription]) -> tuple[ResultColumn, ...]:
    return tuple(ResultColumn(column.name, affinity_oid(column.declared)) for column in columns)


def text_of(value: Value) -> bytes:
    """The value as SQLite's shell would print it; blobs as PostgreSQL prints bytea."""
    if isinstance(value, str):
        return value.encode(errors="replace")
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, float):
        return _float_text(value).encode()
    if isinstance(value, bytes):
        return b"\\x" + value.hex().encode()
    raise DatatypeMismatch("NULL has no text")


def _float_text(value: float) -> str:
    if value != value or value in (float("inf"), float("-inf")):
        return {"inf": "Inf", "-inf": "-Inf"}.get(str(value), "NaN")
    text = f"{value:.15g}"
    if float(text) != value:
        text = repr(value)
    if "e" in text:
        mantissa, _, exponent = text.partition("e")
        return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{exponent}"
    return text if "." in text else text + ".0"


def binary_of(value: Value, oid: int) -> bytes:
    if oid == INT8 and isinstance(value, int):
        return _INT8(value)
    if oid == FLOAT8 and isinstance(value, int | float):
        return _FLOAT8(value)
    if oid == BYTEA and isinstance(value, bytes):
        return value
    if oid == TEXT:
        return value if isinstance(value, bytes) else text_of(value)
    raise DatatypeMismatch(
        f"the column holds a value of class {type(value).__name__}, which its declared type does not tell",
        hint="Ask for results in text format, or CAST the column.",
    )


def row_encoder(columns: Sequence[ResultColumn], formats: Sequence[int]) -> Callable[[Row], bytes]:
    """A row to its DataRow message; `formats` as in Bind."""
    per_column = tuple(formats) * len(columns) if len(formats) == 1 else tuple(formats) or (0,) * len(columns)
    oids = tuple(column.oid for column in columns)

    def encode(row: Row) -> bytes:
        pieces: list[bytes] = []
        for value, oid, code in zip(row, oids, per_column, strict=True):
            if value is None:
                pieces.append(b"\xff\xff\xff\xff")
                continue
            data = binary_of(value, oid) if code else text_of(value)
            pieces.append(_LENGTH(len(data)))
            pieces.append(data)
        body = b"".join(pieces)
        return _HEAD(b"D", len(body) + 6, len(row)) + body

    return encode
