"""Rows that no schema changes: namespaces, functions, operators, access methods, collations, languages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

from proxy.pg import oids
from proxy.sql.catalog.builtin_operators import OPERATORS
from proxy.sql.catalog.builtin_procedures import PROCEDURES
from proxy.sql.catalog.definitions import PG_CATALOG
from proxy.sql.catalog.model import OWNER
from proxy.sql.catalog.rows import Rows, Value, array, complete

CATALOG_NAMESPACE: Final = 11
INTERNAL: Final = 12
BTREE: Final = 403

_ACCESS_METHODS: Final = ((2, "heap", 3, "t"), (BTREE, "btree", 330, "i"))
_COLLATIONS: Final = ((100, "default", "d", None), (950, "C", "c", "C"), (951, "POSIX", "c", "POSIX"))
_LANGUAGES: Final = ((INTERNAL, "internal", 0), (14, "sql", 1))
_OPERATOR_CLASSES: Final = """
1978 int4_ops 1976 23 1 integer_ops; 1979 int2_ops 1976 21 1 integer_ops; 1981 oid_ops 1989 26 1 oid_ops;
3122 date_ops 434 1082 1 datetime_ops; 3123 float8_ops 1970 701 1 float_ops; 3124 int8_ops 1976 20 1 integer_ops;
3125 numeric_ops 1988 1700 1 numeric_ops; 3126 text_ops 1994 25 1 text_ops;
3128 timestamp_ops 434 1114 1 datetime_ops;
3127 timestamptz_ops 434 1184 1 datetime_ops; 4217 text_pattern_ops 2095 25 0 text_pattern_ops;
4218 varchar_pattern_ops 2095 25 0 text_pattern_ops; 4219 bpchar_pattern_ops 2097 1042 0 bpchar_pattern_ops;
10003 bool_ops 424 16 1 bool_ops; 10004 bpchar_ops 426 1042 1 bpchar_ops; 10006 bytea_ops 428 17 1 bytea_ops;
10007 char_ops 429 18 1 char_ops; 10012 float4_ops 1970 700 1 float_ops; 10022 interval_ops 1982 1186 1 interval_ops;
10028 name_ops 1994 19 1 text_ops; 10038 time_ops 1996 1083 1 time_ops; 10041 timetz_ops 2000 1266 1 timetz_ops;
10044 varchar_ops 1994 25 0 text_ops; 10065 uuid_ops 2968 2950 1 uuid_ops; 10088 jsonb_ops 4033 3802 1 jsonb_ops;
"""
"""oid, opcname, opcfamily, opcintype, opcdefault, opfname: PostgreSQL 15's btree classes of the types here."""


def _fields(text: str) -> Iterator[list[str]]:
    for entry in text.split(";"):
        fields = entry.split()
        if fields:
            yield fields


@cache
def _function_oids() -> dict[str, int]:
    found: dict[str, int] = {"-": 0}
    for field in _fields(PROCEDURES):
        found.setdefault(field[1], int(field[0]))
    return found


def function_oid(name: str) -> int:
    """The OID of a built-in function, of its first signature when it is overloaded; 0: none such."""
    return _function_oids().get(name, 0)


@cache
def function_names() -> dict[int, str]:
    return {int(field[0]): field[1] for field in _fields(PROCEDURES)}


@cache
def operator_names() -> dict[int, str]:
    return {int(field[0]): field[1] for field in _fields(OPERATORS)}


@cache
def operator_classes() -> dict[int, int]:
    """The default btree operator class of each type.  varchar is indexed by text's, as in PostgreSQL."""
    found = {int(field[3]): int(field[0]) for field in _fields(_OPERATOR_CLASSES) if field[4] == "1"}
    found[oids.VARCHAR] = found[oids.TEXT]
    return found


@cache
def builtin_rows() -> Rows:
    """Made once per process; the lists are shared and must not be changed."""
    classes = list(_fields(_OPERATOR_CLASSES))
    tables: dict[str, Iterator[Mapping[str, Value]]] = {
        "pg_proc": _procedures(),
        "pg_operator": _operators(),
        "pg_opclass": (
            {
                "oid": int(oid),
                "opcmethod": BTREE,
                "opcname": name,
                "opcnamespace": CATALOG_NAMESPACE,
                "opcowner": OWNER,
                "opcfamily": int(family),
                "opcintype": int(kind),
                "opcdefault": int(default),
            }
            for oid, name, family, kind, default, _ in classes
        ),
        "pg_opfamily": (
            {
                "oid": int(oid),
                "opfmethod": BTREE,
                "opfname": name,
                "opfnamespace": CATALOG_NAMESPACE,
                "opfowner": OWNER,
            }
            for oid, name in sorted({(field[2], field[5]) for field in classes})
        ),
        "pg_am": (
            {"oid": oid, "amname": name, "amhandler": handler, "amtype": kind}
            for oid, name, handler, kind in _ACCESS_METHODS
        ),
        "pg_collation": (
            {
                "oid": oid,
                "collname": name,
                "collnamespace": CATALOG_NAMESPACE,
                "collowner": OWNER,
                "collprovider": provider,
                "collisdeterministic": 1,
                "collencoding": -1,
                "collcollate": locale,
                "collctype": locale,
            }
            for oid, name, provider, locale in _COLLATIONS
        ),
        "pg_language": (
            {"oid": oid, "lanname": name, "lanowner": OWNER, "lanispl": 0, "lanpltrusted": trusted}
            for oid, name, trusted in _LANGUAGES
        ),
        "pg_tablespace": (
            {"oid": oid, "spcname": name, "spcowner": OWNER}
            for oid, name in ((1663, "pg_default"), (1664, "pg_global"))
        ),
    }
    return {(PG_CATALOG, name): complete(PG_CATALOG, name, rows) for name, rows in tables.items()}


def _procedures() -> Iterator[Mapping[str, Value]]:
    for oid, name, kind, result, returns_set, volatile, strict, arguments in _fields(PROCEDURES):
        types = [] if arguments == "-" else [int(each) for each in arguments.split(",")]
        yield {
            "oid": int(oid),
            "proname": name,
            "pronamespace": CATALOG_NAMESPACE,
            "proowner": OWNER,
            "prolang": INTERNAL,
            "procost": 1.0,
            "prorows": 1000.0 if returns_set == "1" else 0.0,
            "prokind": kind,
            "proisstrict": int(strict),
            "proretset": int(returns_set),
            "provolatile": volatile,
            "proparallel": "s",
            "pronargs": len(types),
            "prorettype": int(result),
            "proargtypes": array(types),
            "prosrc": name,
        }


def _operators() -> Iterator[Mapping[str, Value]]:
    for oid, name, kind, left, right, result, commutator, negator, code, merge, hashes in _fields(OPERATORS):
        yield {
            "oid": int(oid),
            "oprname": name,
            "oprnamespace": CATALOG_NAMESPACE,
            "oprowner": OWNER,
            "oprkind": kind,
            "oprcanmerge": int(merge),
            "oprcanhash": int(hashes),
            "oprleft": int(left),
            "oprright": int(right),
            "oprresult": int(result),
            "oprcom": int(commutator),
            "oprnegate": int(negator),
            "oprcode": int(code),
        }
