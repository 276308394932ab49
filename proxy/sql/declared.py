"""Declared types in SQLite <-> PostgreSQL's (OID, typmod).

Columns made here carry two words, `varchar text(20)`: the first names PostgreSQL's type, the second gives SQLite
the affinity.  A table made by another SQLite tool has one-word types; those are read by SQLite's affinity rules,
and where its contents may be anything the type is text, which can show every value.
"""

from __future__ import annotations

import re
from typing import Final

from proxy.pg import oids
from proxy.sql.column_types import precision_of, scale_of

_TWO_WORDS = re.compile(r"(\w+) (integer|real|text|blob)(?:\((\d+)(?:,(-?\d+))?\))?")
_BY_NAME: Final[dict[str, int]] = {
    ("duration" if oid == oids.INTERVAL else oids.NAMES[oid]): oid for oid in oids.STORAGE
}
NUMERIC_COLLATION: Final = "lfsql_numeric"


def declared_type(oid: int, typmod: int) -> str:
    """The two words a column of this type is declared with."""
    if oid in oids.ELEMENTS:
        return f"array text({oid})"
    base = oids.DECLARED[oid]
    if typmod < 0:
        return base
    if oid in (oids.VARCHAR, oids.BPCHAR):
        return f"{base}({typmod - 4})"
    if oid == oids.NUMERIC:
        return f"{base}({precision_of(typmod)},{scale_of(typmod)})"
    return f"{base}({typmod})"


def type_of_declared(declared: str) -> tuple[int, int]:
    """(OID, typmod) of a declared type, whoever wrote it."""
    match = _TWO_WORDS.fullmatch(declared)
    if match:
        word, _, first, second = match.groups()
        if word == "array" and first is not None and int(first) in oids.ELEMENTS:
            return int(first), -1
        oid = _BY_NAME.get(word)
        if oid is not None:
            return oid, _typmod(oid, first, second)
    return _by_affinity(declared.upper()), -1


def _typmod(oid: int, first: str | None, second: str | None) -> int:
    if first is None:
        return -1
    if oid in (oids.VARCHAR, oids.BPCHAR):
        return int(first) + 4
    if oid == oids.NUMERIC:
        return ((int(first) << 16) | (int(second or 0) & 0x7FF)) + 4
    return int(first)


def _by_affinity(declared: str) -> int:
    word = declared.split("(")[0].strip()
    if word in ("BOOL", "BOOLEAN"):
        return oids.BOOL
    if word in ("JSON", "JSONB"):
        return oids.JSON
    if "INT" in declared:
        return oids.INT8
    if any(mark in declared for mark in ("CHAR", "CLOB", "TEXT")):
        return oids.TEXT
    if "BLOB" in declared:
        return oids.BYTEA
    if any(mark in declared for mark in ("REAL", "FLOA", "DOUB")):
        return oids.FLOAT8
    if word in ("NUMERIC", "DECIMAL", "NUMBER"):
        return oids.NUMERIC
    return oids.TEXT
