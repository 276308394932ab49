"""PostgreSQL's built-in types by number and name.  Constants only; the one list both halves of the proxy use.

`STORAGE` is how a value of each type is kept in SQLite: the declared type's second word, which decides
SQLite's affinity.  A column is declared with both words, e.g. ``timestamptz text`` or ``numeric text(10,2)``.
Two names differ from PostgreSQL's because "INT" anywhere in a declared type would give INTEGER affinity:
interval is declared ``duration text`` and an array ``array text(OID of the array type)``.
"""

from __future__ import annotations

from typing import Final

BOOL: Final = 16
BYTEA: Final = 17
CHAR: Final = 18
NAME: Final = 19
INT8: Final = 20
INT2: Final = 21
INT2VECTOR: Final = 22
INT4: Final = 23
REGPROC: Final = 24
TEXT: Final = 25
OID: Final = 26
XID: Final = 28
OIDVECTOR: Final = 30
JSON: Final = 114
FLOAT4: Final = 700
FLOAT8: Final = 701
UNKNOWN: Final = 705
BPCHAR: Final = 1042
VARCHAR: Final = 1043
DATE: Final = 1082
TIME: Final = 1083
TIMESTAMP: Final = 1114
TIMESTAMPTZ: Final = 1184
INTERVAL: Final = 1186
TIMETZ: Final = 1266
NUMERIC: Final = 1700
REGCLASS: Final = 2205
REGTYPE: Final = 2206
RECORD: Final = 2249
VOID: Final = 2278
UUID: Final = 2950
JSONB: Final = 3802

NAMES: Final[dict[int, str]] = {
    BOOL: "bool",
    BYTEA: "bytea",
    CHAR: "char",
    NAME: "name",
    INT8: "int8",
    INT2: "int2",
    INT2VECTOR: "int2vector",
    INT4: "int4",
    REGPROC: "regproc",
    TEXT: "text",
    OID: "oid",
    XID: "xid",
    OIDVECTOR: "oidvector",
    JSON: "json",
    FLOAT4: "float4",
    FLOAT8: "float8",
    UNKNOWN: "unknown",
    BPCHAR: "bpchar",
    VARCHAR: "varchar",
    DATE: "date",
    TIME: "time",
    TIMESTAMP: "timestamp",
    TIMESTAMPTZ: "timestamptz",
    INTERVAL: "interval",
    TIMETZ: "timetz",
    NUMERIC: "numeric",
    REGCLASS: "regclass",
    REGTYPE: "regtype",
    RECORD: "record",
    VOID: "void",
    UUID: "uuid",
    JSONB: "jsonb",
}

ARRAYS: Final[dict[int, int]] = {
    BOOL: 1000,
    BYTEA: 1001,
    CHAR: 1002,
    NAME: 1003,
    INT2: 1005,
    INT4: 1007,
    TEXT: 1009,
    BPCHAR: 1014,
    VARCHAR: 1015,
    INT8: 1016,
    FLOAT4: 1021,
    FLOAT8: 1022,
    OID: 1028,
    TIMESTAMP: 1115,
    DATE: 1182,
    TIME: 1183,
    TIMESTAMPTZ: 1185,
    INTERVAL: 1187,
    NUMERIC: 1231,
    TIMETZ: 1270,
    JSON: 199,
    UUID: 2951,
    JSONB: 3807,
}
"""The array type of each element type."""

ELEMENTS: Final[dict[int, int]] = {array: element for element, array in ARRAYS.items()}

STORAGE: Final[dict[int, str]] = {
    BOOL: "integer",  # 0 or 1
    INT2: "integer",
    INT4: "integer",
    INT8: "integer",
    OID: "integer",
    FLOAT4: "real",
    FLOAT8: "real",
    BYTEA: "blob",
    TEXT: "text",
    VARCHAR: "text",
    BPCHAR: "text",  # without its padding; the wire format adds it
    NAME: "text",
    CHAR: "text",
    NUMERIC: "text",  # canonical decimal text, e.g. 12.50 in numeric(4,2); NaN and Infinity as PostgreSQL prints
    DATE: "text",  # YYYY-MM-DD
    TIME: "text",  # HH:MM:SS[.ffffff], trailing zeros trimmed, as PostgreSQL prints it
    TIMETZ: "text",
    TIMESTAMP: "text",  # YYYY-MM-DD HH:MM:SS[.ffffff], sorts as text; years 0001 to 9999
    TIMESTAMPTZ: "text",  # the same, in UTC, without an offset
    INTERVAL: "text",  # as PostgreSQL prints it, IntervalStyle postgres
    UUID: "text",  # lower case with hyphens
    JSON: "text",  # as sent
    JSONB: "text",  # as PostgreSQL prints jsonb
}

DECLARED: Final[dict[int, str]] = {
    oid: f"{'duration' if oid == INTERVAL else NAMES[oid]} {storage}" for oid, storage in STORAGE.items()
} | {TEXT: "text"}
"""The declared type of a column, without length or precision; arrays are ``array text(oid)``."""

WIRE_SIZES: Final[dict[int, int]] = {
    BOOL: 1,
    CHAR: 1,
    INT2: 2,
    INT4: 4,
    OID: 4,
    REGPROC: 4,
    XID: 4,
    FLOAT4: 4,
    DATE: 4,
    REGCLASS: 4,
    REGTYPE: 4,
    VOID: 4,
    INT8: 8,
    FLOAT8: 8,
    TIME: 8,
    TIMESTAMP: 8,
    TIMESTAMPTZ: 8,
    TIMETZ: 12,
    INTERVAL: 16,
    UUID: 16,
    NAME: 64,
    UNKNOWN: -2,
}
"""pg_type.typlen, as RowDescription reports it; all other types are -1 (variable)."""
