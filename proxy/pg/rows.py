"""SQLite's rows to DataRow messages: the inner loop of every result.

For each shape of row, that is, each combination of type and format, one function is written as source text and
compiled: no loop, no lookup, no call a column where the type is plain.  Against a loop over per-column functions it
takes a third of the time.  Compiling costs some 0.2 ms, so the last shapes are remembered.

The compiled function trusts that SQLite holds what the column's type says.  When it does not (3.0 in an integer
column's expression, a number in a text column), the fast form raises and the row is written again by the lenient
encoders, which know what can still be said and what is an error.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from proxy.pg import oids
from proxy.pg.codecs import codec
from proxy.pg.encode import data_row
from proxy.pg.settings import DEFAULTS, EncodeSettings, Value

Row = Sequence[Value]
RowEncoder = Callable[[Row], bytes]

SHAPES_MAX: Final = 512

_LENGTHS: Final = tuple(struct.pack(">I", length) for length in range(256))
_PREFIX: Final = struct.Struct(">cIH").pack
"""Type byte, message length, number of columns."""

_TEXT_LIKE: Final = frozenset((oids.TEXT, oids.VARCHAR, oids.UNKNOWN, oids.NAME, oids.JSON, oids.JSONB))
_INTEGERS: Final = {oids.INT2: "h", oids.INT4: "i", oids.INT8: "q", oids.OID: "I", oids.XID: "I"}
_FLOATS: Final = {oids.FLOAT4: "f", oids.FLOAT8: "d"}
_TEXT_STORED_AS_PRINTED: Final = frozenset(
    (oids.NUMERIC, oids.TIMESTAMP, oids.TIME, oids.TIMETZ, oids.UUID, oids.DATE)
)

# Kinds of column the compiled function writes itself; any other is a call of the column's encoder.
_PRINT_INTEGER: Final = "b'%d' % {v}"
_PRINT_TEXT: Final = "{v}.encode()"


def _lenient(encoders: Sequence[Callable[[Value], bytes]]) -> RowEncoder:
    def encode(row: Row) -> bytes:
        return data_row([None if value is None else write(value) for write, value in zip(encoders, row, strict=True)])

    return encode


def _expression(oid: int, code: int, typmod: int, settings: EncodeSettings, place: int) -> tuple[str, int]:
    """How to write a value called `{v}`, and its size when that never varies, else 0."""
    if code:
        if oid in _INTEGERS or oid in _FLOATS:
            size = struct.calcsize(">" + (_INTEGERS | _FLOATS)[oid])
            return f"pack{place}({{v}})", size
        if oid == oids.BOOL:
            return "(b'\\x01' if {v} else b'\\x00')", 1
        if oid in _TEXT_LIKE and oid != oids.JSONB:
            return _PRINT_TEXT, 0
        return f"write{place}({{v}})", 0
    if oid in _INTEGERS:
        return _PRINT_INTEGER, 0
    if oid == oids.BOOL:
        return "(b't' if {v} else b'f')", 1
    if oid in _TEXT_LIKE or oid in _TEXT_STORED_AS_PRINTED:
        return _PRINT_TEXT, 0
    return f"write{place}({{v}})", 0


@lru_cache(maxsize=SHAPES_MAX)
def _compiled(columns: tuple[tuple[int, int], ...], formats: tuple[int, ...], settings: EncodeSettings) -> RowEncoder:
    count = len(columns)
    encoders: list[Callable[[Value], bytes]] = []
    names: dict[str, object] = {
        "prefix": _PREFIX,
        "lengths": _LENGTHS,
        "pack_length": struct.Struct(">I").pack,
        "slow_cases": (TypeError, AttributeError, struct.error, OverflowError, ValueError),
    }
    values = [f"v{place}" for place in range(count)]
    lines = ["def encode(row):", "    try:"]
    if count:
        lines.append(f"        {', '.join(values)}, = row")
    else:
        lines.append("        if row: raise ValueError")
    for place, ((oid, typmod), code) in enumerate(zip(columns, formats, strict=True)):
        found = codec(oid)
        write = found.send if code else found.print(settings, typmod)
        encoders.append(write)
        expression, size = _expression(oid, code, typmod, settings, place)
        value = values[place]
        if f"write{place}(" in expression:
            names[f"write{place}"] = write
        if f"pack{place}(" in expression:
            names[f"pack{place}"] = struct.Struct(">" + (_INTEGERS | _FLOATS)[oid]).pack
        data = expression.format(v=value)
        lines.append(f"        if {value} is None: {value} = b'\\xff\\xff\\xff\\xff'")
        if size:
            lines.append(f"        else: {value} = {_LENGTHS[size]!r} + {data}")
        else:
            lines.append("        else:")
            lines.append(f"            d = {data}; n = len(d)")
            lines.append(f"            {value} = (lengths[n] if n < 256 else pack_length(n)) + d")
    body = " + ".join(values) if count <= 3 else f"b''.join(({', '.join(values)}))"
    lines.append(f"        body = {body or repr(b'')}")
    lines.append(f"        return prefix(b'D', len(body) + 6, {count}) + body")
    lines.append("    except slow_cases:")
    lines.append("        return lenient(row)")
    names["lenient"] = _lenient(encoders)
    # The text is made of numbers and fixed words alone: nothing a client sends gets into it.
    exec("\n".join(lines), names)  # noqa: S102 - see above; dataclasses and namedtuple do the same
    encode: Any = names["encode"]
    result: RowEncoder = encode
    return result


def row_encoder(
    columns: Sequence[tuple[int, int]], formats: Sequence[int] = (), settings: EncodeSettings = DEFAULTS
) -> RowEncoder:
    """A function from a row of SQLite's values to its whole DataRow message.

    `columns`: (type OID, typmod) each; `formats`: one each, see `proxy.pg.types.expand_formats`, or none for text.
    The function raises DataError subclasses for a value its column's type cannot hold.
    """
    if len(formats) == 1:
        formats = tuple(formats) * len(columns)
    return _compiled(tuple(columns), tuple(formats) or (0,) * len(columns), settings)
