"""The catalogs' relations: their columns, their CREATE TABLE texts, and the same as a `Schema`.

Everything is a table in one of three in-memory databases attached as `pg_catalog`, `information_schema` and
`lfsql`.  SQL views were rejected: a view in an attached database sees no other database, so information_schema
could not be built on pg_catalog, and nothing could be built on the user's tables.  Virtual tables were rejected:
every row of every join would cross into Python, where a filled table costs one insert per schema change.

Declared types carry PostgreSQL's type and SQLite's affinity, as user columns do (`proxy.pg.oids.STORAGE`).
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from proxy.sql.catalog.columns_information import INFORMATION
from proxy.sql.catalog.columns_tables import TABLES
from proxy.sql.catalog.columns_views import STATISTICS, VIEWS
from proxy.sql.catalog.types_table import type_oid
from proxy.sql.schema import Column, Relation, Schema

PG_CATALOG: Final = "pg_catalog"
INFORMATION_SCHEMA: Final = "information_schema"
LFSQL: Final = "lfsql"

DATABASES: Final = (PG_CATALOG, INFORMATION_SCHEMA, LFSQL)
"""In the order they are attached, which is the order SQLite looks an unqualified name up in."""

CONSOLE: Final = """
nodes 15001 r: name text!, address text, role text!, healthy bool!, term int8, applied_index int8, lag_entries int8,
    lag_ms float8, zone text, weight int4, state text, share_percent float8, reads int8, priority int4,
    outstanding int4, latency_ms float8,
    fault text, throttle text
proxies 15002 r: pid int4, address text
cluster 15003 r: primary_node text, term int8, commit_index int8, schema_index int8
settings 15004 r: name text!, setting text, description text
routes 15005 r: node text, role text, level text, reason text, statements int8!, staleness_ms_max float8,
    lag_entries_max int8, wait_ms_total float8, wait_ms_max float8
"""
"""The `lfsql` schema: the tier's state, for an administrator with nothing but a PostgreSQL client."""

KEYS: Final[dict[str, tuple[str, ...]]] = {
    "pg_attribute": ("attrelid, attnum", "attname"),
    "pg_attrdef": ("adrelid, adnum",),
    "pg_class": ("oid", "relname"),
    "pg_constraint": ("oid", "conrelid", "confrelid", "conindid"),
    "pg_depend": ("refobjid", "objid"),
    "pg_index": ("indexrelid", "indrelid"),
    "pg_namespace": ("oid",),
    "pg_proc": ("oid", "proname"),
    "pg_type": ("oid", "typname"),
    "columns": ("table_name",),
}
"""Columns indexed, because clients join by them; the rest are small or scanned whole."""

_STORED: Final[dict[str, str]] = {
    "bool": "integer",
    "int2": "integer",
    "int4": "integer",
    "int8": "integer",
    "oid": "integer",
    "regproc": "integer",
    "regtype": "integer",
    "xid": "integer",
    "float4": "real",
    "float8": "real",
    "bytea": "blob",
}
_ENTRY = re.compile(r"^(\w+) (\d+) ([rv]): (.*)$")
_COLUMN = re.compile(r"^(\w+) ([\w ]+?)(?:\((\d+)\))?(\[\])?(!)?$")


def _entries(text: str) -> list[str]:
    """One string per relation, continuation lines joined."""
    return text.strip().replace("\n    ", " ").splitlines()


def _relation(entry: str) -> Relation:
    match = _ENTRY.match(entry)
    if match is None:
        raise ValueError(f"not a relation's definition: {entry!r}")
    name, oid, kind, columns = match.groups()
    return Relation(
        name=name,
        oid=int(oid),
        kind="table" if kind == "r" else "view",
        columns=tuple(_column(text, number) for number, text in enumerate(columns.split(", "), 1)),
        sql="",
    )


def _column(text: str, number: int) -> Column:
    match = _COLUMN.match(text)
    if match is None:
        raise ValueError(f"not a column's definition: {text!r}")
    name, type_name, length, array, required = match.groups()
    if type_name in ("aclitem", "regtype") and array:
        type_name = "text"  # there are no access lists here, and types are listed by name
    oid = type_oid(f"_{type_name}" if array else type_name)
    typmod = int(length) + 4 if length else -1
    if array or type_name in ("int2vector", "oidvector", "anyarray"):
        declared = f"array text({oid})"
    elif type_name == "interval":
        declared = "duration text"
    elif type_name == "text":
        declared = "text"
    else:
        declared = f"{type_name} {_STORED.get(type_name, 'text')}" + (f"({length})" if length else "")
    return Column(name=name, oid=oid, typmod=typmod, number=number, declared=declared, not_null=bool(required))


@cache
def relations(database: str) -> dict[str, Relation]:
    """The relations of one of `DATABASES`, by name."""
    text = {
        PG_CATALOG: TABLES + VIEWS.lstrip() + STATISTICS.lstrip(),
        INFORMATION_SCHEMA: INFORMATION,
        LFSQL: CONSOLE,
    }
    found = [_relation(entry) for entry in _entries(text[database])]
    return {relation.name: relation for relation in found}


@cache
def relation_schema() -> Schema:
    """The catalogs' own relations, keyed with their schema: "pg_catalog.pg_class", "lfsql.nodes".

    The translator resolves names and types of catalog columns here, as it does a user's in the user's Schema.
    """
    return Schema(
        index=-1,
        relations={
            f"{database}.{name}": relation for database in DATABASES for name, relation in relations(database).items()
        },
    )


@cache
def catalog_ddl() -> dict[str, tuple[str, ...]]:
    """For each attached database the statements that create its empty tables, in order."""
    statements: dict[str, tuple[str, ...]] = {}
    for database in DATABASES:
        texts: list[str] = []
        for relation in relations(database).values():
            columns = ", ".join(f'"{column.name}" {column.declared}' for column in relation.columns)
            texts.append(f'CREATE TABLE {database}."{relation.name}" ({columns})')
            for number, key in enumerate(KEYS.get(relation.name, ())):
                texts.append(f'CREATE INDEX {database}."{relation.name}_{number}" ON "{relation.name}" ({key})')
        statements[database] = tuple(texts)
    return statements
