"""pg_index, pg_constraint and the view pg_indexes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from proxy.pg import oids
from proxy.sql.catalog.builtins import operator_classes
from proxy.sql.catalog.definitions import PG_CATALOG
from proxy.sql.catalog.model import PUBLIC, Constraint, IndexObject, Model
from proxy.sql.catalog.rows import Rows, Value, array, complete
from proxy.sql.catalog.types_table import builtin_types

_ACTIONS: Final[dict[str, str]] = {
    "": "a",
    "NO ACTION": "a",
    "RESTRICT": "r",
    "CASCADE": "c",
    "SET NULL": "n",
    "SET DEFAULT": "d",
}
_DESCENDING: Final = 3
"""indoption of a DESC column: descending, nulls first."""

_EQUALITY: Final[dict[int, int]] = {
    oids.BOOL: 91,
    oids.BYTEA: 1955,
    oids.INT8: 410,
    oids.INT2: 94,
    oids.INT4: 96,
    oids.TEXT: 98,
    oids.VARCHAR: 98,
    oids.BPCHAR: 1054,
    oids.FLOAT8: 670,
    oids.DATE: 1093,
    oids.TIMESTAMP: 2060,
    oids.TIMESTAMPTZ: 1320,
    oids.NUMERIC: 1752,
    oids.UUID: 2972,
}
"""The `=` operator a foreign key compares by; 0 for other types."""


def constraint_rows(model: Model) -> Rows:
    return {
        (PG_CATALOG, "pg_index"): complete(PG_CATALOG, "pg_index", map(_index, model.indexes)),
        (PG_CATALOG, "pg_constraint"): complete(PG_CATALOG, "pg_constraint", map(_constraint, model.constraints)),
        (PG_CATALOG, "pg_indexes"): complete(PG_CATALOG, "pg_indexes", _indexes(model)),
    }


def _index(index: IndexObject) -> Mapping[str, Value]:
    types = {column.number: column.oid for column in index.relation.columns}
    keys = [types.get(number, oids.TEXT) for number in index.columns]
    classes = operator_classes()
    expressions = [term for term, number in zip(index.terms, index.columns, strict=True) if number == 0]
    return {
        "indexrelid": index.oid,
        "indrelid": index.relation.oid,
        "indnatts": len(index.columns),
        "indnkeyatts": len(index.columns),
        "indisunique": int(index.unique),
        "indisprimary": int(index.primary),
        "indimmediate": 1,
        "indisvalid": 1,
        "indisready": 1,
        "indislive": 1,
        "indkey": array(index.columns),
        "indcollation": array(builtin_types()[oid].collation if oid in builtin_types() else 0 for oid in keys),
        "indclass": array(classes.get(oid, 0) for oid in keys),
        "indoption": array(_DESCENDING if down else 0 for down in index.descending),
        "indexprs": ", ".join(expressions) or None,
        "indpred": index.predicate,
    }


def _constraint(constraint: Constraint) -> Mapping[str, Value]:
    row: dict[str, Value] = {
        "oid": constraint.oid,
        "conname": constraint.name,
        "connamespace": PUBLIC,
        "contype": constraint.kind,
        "convalidated": 1,
        "conrelid": constraint.relation.oid,
        "conindid": constraint.index_oid,
        "confupdtype": " ",
        "confdeltype": " ",
        "confmatchtype": " ",
        "conislocal": 1,
        "connoinherit": int(constraint.kind != "c"),
        "conkey": array(constraint.columns) if constraint.columns else None,
        "conbin": constraint.expression if constraint.kind == "c" else None,
    }
    key = constraint.key
    if key is not None:
        types = {column.number: column.oid for column in constraint.relation.columns}
        operators = array(_EQUALITY.get(types[number], 0) for number in constraint.columns)
        row |= {
            "condeferrable": int(key.deferrable),
            "condeferred": int(key.deferrable and key.initially_deferred),
            "confrelid": constraint.target.oid if constraint.target is not None else 0,
            "confupdtype": _ACTIONS[key.on_update.upper()],
            "confdeltype": _ACTIONS[key.on_delete.upper()],
            "confmatchtype": "s",
            "confkey": array(constraint.target_columns),
            "conpfeqop": operators,
            "conppeqop": operators,
            "conffeqop": operators,
        }
    return row


def _indexes(model: Model) -> Iterator[Mapping[str, Value]]:
    for index in model.indexes:
        yield {
            "schemaname": "public",
            "tablename": index.relation.name,
            "indexname": index.name,
            "indexdef": index.definition(),
        }
