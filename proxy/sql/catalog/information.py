"""information_schema: the standard's view of the same things, as rows.

Only the user's relations and their parts are in `columns`; `tables` lists the catalogs too, as PostgreSQL does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

from proxy.pg import oids
from proxy.sql.catalog.definitions import DATABASES, INFORMATION_SCHEMA, relations
from proxy.sql.catalog.facts import Facts
from proxy.sql.catalog.model import Constraint, Model, default_of
from proxy.sql.catalog.relations import NAMESPACES
from proxy.sql.catalog.rows import Rows, Value, complete
from proxy.sql.catalog.spelling import view_query
from proxy.sql.catalog.types_table import builtin_types, format_type, is_array
from proxy.sql.schema import Column, Relation

_OCTETS: Final = 2**30
"""character_octet_length of text without a length, as PostgreSQL says."""
_INTEGER_BITS: Final = {oids.INT2: 16, oids.INT4: 32, oids.INT8: 64}
_FLOAT_BITS: Final = {oids.FLOAT4: 24, oids.FLOAT8: 53}
_TIMES: Final = frozenset({oids.TIME, oids.TIMETZ, oids.TIMESTAMP, oids.TIMESTAMPTZ, oids.INTERVAL})
_CONSTRAINT_WORDS: Final = {"p": "PRIMARY KEY", "u": "UNIQUE", "f": "FOREIGN KEY", "c": "CHECK"}
_PRIVILEGES: Final = ("INSERT", "SELECT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")


def information_rows(model: Model, facts: Facts) -> Rows:
    catalog = facts.database
    tables: dict[str, Iterator[Mapping[str, Value]]] = {
        "tables": _tables(model, catalog),
        "columns": _columns(model, catalog),
        "views": _views(model, catalog),
        "schemata": _schemata(facts),
        "sequences": _sequences(model, catalog),
        "table_constraints": _table_constraints(model, catalog),
        "key_column_usage": _key_columns(model, catalog),
        "constraint_column_usage": _used_columns(model, catalog),
        "constraint_table_usage": _used_tables(model, catalog),
        "referential_constraints": _referential(model, catalog),
        "check_constraints": _checks(model, catalog),
        "table_privileges": _privileges(model, facts),
        "information_schema_catalog_name": iter([{"catalog_name": catalog}]),
        "enabled_roles": iter([{"role_name": name} for name in (facts.owner, *(role.name for role in facts.roles))]),
    }
    return {(INFORMATION_SCHEMA, name): complete(INFORMATION_SCHEMA, name, rows) for name, rows in tables.items()}


def _table(catalog: str, schema: str, name: str, kind: str, insertable: bool) -> Mapping[str, Value]:
    return {
        "table_catalog": catalog,
        "table_schema": schema,
        "table_name": name,
        "table_type": "BASE TABLE" if kind == "table" else "VIEW",
        "is_insertable_into": "YES" if insertable else "NO",
        "is_typed": "NO",
    }


def _tables(model: Model, catalog: str) -> Iterator[Mapping[str, Value]]:
    for table in model.tables:
        yield _table(catalog, "public", table.name, table.kind, table.kind == "table")
    for database in DATABASES:
        for relation in relations(database).values():
            yield _table(catalog, database, relation.name, relation.kind, False)


def _columns(model: Model, catalog: str) -> Iterator[Mapping[str, Value]]:
    for table in model.tables:
        for column in table.columns:
            yield {
                "table_catalog": catalog,
                "table_schema": "public",
                "table_name": table.name,
                **_column(table, column, catalog),
            }


def _column(table: Relation, column: Column, catalog: str) -> Mapping[str, Value]:
    generated = {"a": "ALWAYS", "d": "BY DEFAULT"}.get(column.identity)
    identity: dict[str, Value] = {"is_identity": "YES" if generated else "NO", "identity_cycle": "NO"}
    if generated:
        identity |= {
            "identity_generation": generated,
            "identity_start": "1",
            "identity_increment": "1",
            "identity_minimum": "1",
            "identity_maximum": str(2 ** (_INTEGER_BITS.get(column.oid, 64) - 1) - 1),
        }
    return {
        "column_name": column.name,
        "ordinal_position": column.number,
        "column_default": default_of(table, column),
        "is_nullable": "NO" if column.not_null or column.primary_key else "YES",
        **_type_facts(column.oid, column.typmod),
        "udt_catalog": catalog,
        "udt_schema": "pg_catalog",
        "udt_name": builtin_types()[column.oid].name if column.oid in builtin_types() else "text",
        "dtd_identifier": str(column.number),
        "is_self_referencing": "NO",
        **identity,
        "is_generated": "NEVER",
        "is_updatable": "YES" if table.kind == "table" else "NO",
    }


@lru_cache(1000)
def _type_facts(oid: int, typmod: int) -> Mapping[str, Value]:
    """What the standard tells of a type.  Lengths are in characters, octets for UTF-8's four bytes each."""
    builtin = builtin_types().get(oid)
    if builtin is not None and is_array(builtin):
        return {"data_type": "ARRAY"}
    facts: dict[str, Value] = {"data_type": format_type(oid)}
    if oid in (oids.VARCHAR, oids.BPCHAR) and typmod >= 4:
        facts |= {"character_maximum_length": typmod - 4, "character_octet_length": 4 * (typmod - 4)}
    elif oid in (oids.TEXT, oids.VARCHAR):
        facts["character_octet_length"] = _OCTETS
    elif oid in _INTEGER_BITS:
        facts |= {"numeric_precision": _INTEGER_BITS[oid], "numeric_precision_radix": 2, "numeric_scale": 0}
    elif oid in _FLOAT_BITS:
        facts |= {"numeric_precision": _FLOAT_BITS[oid], "numeric_precision_radix": 2}
    elif oid == oids.NUMERIC:
        facts["numeric_precision_radix"] = 10
        if typmod >= 4:
            facts |= {"numeric_precision": (typmod - 4) >> 16, "numeric_scale": (typmod - 4) & 0xFFFF}
    elif oid == oids.DATE:
        facts["datetime_precision"] = 0
    elif oid in _TIMES:
        facts["datetime_precision"] = typmod if 0 <= typmod <= 6 else 6
    return facts


def _views(model: Model, catalog: str) -> Iterator[Mapping[str, Value]]:
    for view in model.tables:
        if view.kind == "view":
            yield {
                "table_catalog": catalog,
                "table_schema": "public",
                "table_name": view.name,
                "view_definition": view_query(view.sql),
                "check_option": "NONE",
                "is_updatable": "NO",
                "is_insertable_into": "NO",
                "is_trigger_updatable": "NO",
                "is_trigger_deletable": "NO",
                "is_trigger_insertable_into": "NO",
            }


def _schemata(facts: Facts) -> Iterator[Mapping[str, Value]]:
    for name in NAMESPACES:
        yield {"catalog_name": facts.database, "schema_name": name, "schema_owner": facts.owner}


def _sequences(model: Model, catalog: str) -> Iterator[Mapping[str, Value]]:
    for sequence in model.sequences:
        if sequence.identity in ("a", "d"):
            continue
        yield {
            "sequence_catalog": catalog,
            "sequence_schema": "public",
            "sequence_name": sequence.name,
            "data_type": format_type(sequence.type_oid),
            "numeric_precision": _INTEGER_BITS.get(sequence.type_oid, 64),
            "numeric_precision_radix": 2,
            "numeric_scale": 0,
            "start_value": "1",
            "minimum_value": "1",
            "maximum_value": str(sequence.maximum),
            "increment": "1",
            "cycle_option": "NO",
        }


def _named(constraint: Constraint, catalog: str) -> dict[str, Value]:
    return {
        "constraint_catalog": catalog,
        "constraint_schema": "public",
        "constraint_name": constraint.name,
    }


def _of_table(relation: Relation, catalog: str) -> dict[str, Value]:
    return {"table_catalog": catalog, "table_schema": "public", "table_name": relation.name}


def _not_nulls(model: Model) -> Iterator[tuple[Relation, Column, str]]:
    """PostgreSQL 15 shows each NOT NULL as a CHECK with a name made of OIDs."""
    for table in model.tables:
        for column in table.columns:
            if table.kind == "table" and (column.not_null or column.primary_key):
                yield table, column, f"2200_{table.oid}_{column.number}_not_null"


def _table_constraints(model: Model, catalog: str) -> Iterator[Mapping[str, Value]]:
    for constraint in model.constraints:
        key = constraint.key
        deferrable = key is not None and key.deferrable
        deferred = key is not None and key.initially_deferred
        yield {
            **_named(constraint, catalog),
            **_of_table(constraint.relation, catalog),
            "constraint_type": _CONSTRAINT_WORDS[constraint.kind],
            "is_deferrable": "YES" if deferrable else "NO",
            "initially_deferred": "YES" if deferred else "NO",
            "enforced": "YES",
            "nulls_distinct": "YES" if constraint.kind == "u" else None,
        }
    for table, _, name in _not_nulls(model):
        yield {
            "constraint_catalog": catalog,
            "constraint_schema": "public",
            "constraint_name": name,
            **_of_table(table, catalog),
            "constraint_type": "CHECK",
            "is_deferrable": "NO",
            "initially_deferred": "NO",
            "enforced": "YES",
        }


def _column_names(relation: Relation, numbers: tuple[int, ...]) -> list[str]:
    names = {column.number: column.name for column in relation.columns}
    return [names[number] for number in numbers if number in names]


def _key_columns(model: Model, catalog: str) -> Iterator[Mapping[str, Value]]:
    for constraint in model.constraints:
        if constraint.kind == "c":
            continue
        for place, name in enumerate(_column_names(constraint.relation, constraint.columns), 1):
            yield {
                **_named(constraint, catalog),
                **_of_table(constraint.relation, catalog),
                "column_name": name,
                "ordinal_position": place,
                "position_in_unique_constraint": place if constraint.kind == "f" else None,
            }


def _used_columns(model: Model, catalog: str) -> Iterator[Mapping[str, Value]]:
    for constraint in model.constraints:
        relation, numbers = constraint.relation, constraint.columns
        if constraint.kind == "f":
            if constraint.target is None:
                continue
            relation, numbers = constraint.target, constraint.target_columns
        for name in _column_names(relation, numbers):
            yield {**_of_table(relation, catalog), "column_name": name, **_named(constraint, catalog)}


def _used_tables(model: Model, catalog: str) -> Iterator[Mapping[str, Value]]:
    for constraint in model.constraints:
        relation = constraint.target if constraint.kind == "f" else constraint.relation
        if relation is not None and constraint.kind != "c":
            yield {**_of_table(relation, catalog), **_named(constraint, catalog)}


def _referential(model: Model, catalog: str) -> Iterator[Mapping[str, Value]]:
    unique_names = {each.index_oid: each.name for each in model.constraints if each.kind in "pu"}
    for constraint in model.constraints:
        if constraint.key is None:
            continue
        name = unique_names.get(constraint.index_oid)
        yield {
            **_named(constraint, catalog),
            "unique_constraint_catalog": catalog if name else None,
            "unique_constraint_schema": "public" if name else None,
            "unique_constraint_name": name,
            "match_option": "NONE",
            "update_rule": constraint.key.on_update.upper() or "NO ACTION",
            "delete_rule": constraint.key.on_delete.upper() or "NO ACTION",
        }


def _checks(model: Model, catalog: str) -> Iterator[Mapping[str, Value]]:
    for constraint in model.constraints:
        if constraint.kind == "c":
            yield {**_named(constraint, catalog), "check_clause": f"({constraint.expression})"}
    for _, column, name in _not_nulls(model):
        yield {
            "constraint_catalog": catalog,
            "constraint_schema": "public",
            "constraint_name": name,
            "check_clause": f"{column.name} IS NOT NULL",
        }


def _privileges(model: Model, facts: Facts) -> Iterator[Mapping[str, Value]]:
    for table in model.tables:
        for privilege in _PRIVILEGES:
            yield {
                "grantor": facts.owner,
                "grantee": facts.owner,
                **_of_table(table, facts.database),
                "privilege_type": privilege,
                "is_grantable": "YES",
                "with_hierarchy": "YES" if privilege == "SELECT" else "NO",
            }
