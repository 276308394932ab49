"""Values in the words of PostgreSQL's error details, by the type their column is declared with.

A column's declared type begins with PostgreSQL's own word for it (`timestamptz text`), so no catalog is needed.  The
session's time zone and DateStyle are not known here: moments are shown in UTC, in ISO's order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from lfsql.core.entry import Value
from lfsql.storage.functions import arrays, numbers

FIELD_BYTES_MAX: Final = 64
"""Of one value where a whole row is shown, as in PostgreSQL."""

_PLAIN_NAME: Final = re.compile(r"[a-z_][a-z0-9_$]*")
_ARRAY: Final = re.compile(r"array text\((\d+)\)", re.IGNORECASE)
_LENGTH: Final = re.compile(r"bpchar text\((\d+)\)", re.IGNORECASE)
_ELEMENTS: Final = {1000: 16, 1021: 700, 1022: 701, 1185: 1184}
"""Element types of the array types whose elements do not print as they are stored."""


def shown_value(value: Value, declared: str) -> str:
    """One value as PostgreSQL prints it; `declared` is its column's type in SQLite."""
    if value is None:
        return "null"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "\\x" + bytes(value).hex()
    word = declared.split(" ", 1)[0].lower()
    if isinstance(value, str):
        array = _ARRAY.fullmatch(declared)
        if array is not None:
            return arrays.array_text(value, _ELEMENTS.get(int(array[1]), 0))
        padded = _LENGTH.fullmatch(declared)
        if padded is not None:
            return value.ljust(int(padded[1]))
        return f"{value}+00" if word == "timestamptz" and value[:1].isdigit() else value
    if word == "bool":
        return "t" if value else "f"
    if isinstance(value, float):
        return numbers.float4_text(value) if word == "float4" else numbers.float8_text(value)
    return str(value)


def shown_row(values: Sequence[Value], declared: Sequence[str]) -> str:
    """(1, null, t), long values cut."""
    parts = []
    for value, kind in zip(values, declared, strict=True):
        text = shown_value(value, kind)
        encoded = text.encode()
        if len(encoded) > FIELD_BYTES_MAX:
            text = encoded[:FIELD_BYTES_MAX].decode(errors="ignore") + "..."
        parts.append(text)
    return f"({', '.join(parts)})"


def shown_key(names: Sequence[str], values: Sequence[Value], declared: Sequence[str]) -> str:
    """Key (a, b)=(1, q)"""
    texts = (shown_value(value, kind) for value, kind in zip(values, declared, strict=True))
    return f"Key ({', '.join(names)})=({', '.join(texts)})"


def shown_name(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) else '"' + name.replace('"', '""') + '"'
