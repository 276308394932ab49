"""pg_class, pg_attribute and what hangs on a relation: types, defaults, views, sequences, dependencies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

from proxy.pg import oids
from proxy.sql.catalog.builtins import function_oid
from proxy.sql.catalog.definitions import DATABASES, INFORMATION_SCHEMA, LFSQL, PG_CATALOG, relations
from proxy.sql.catalog.facts import Facts
from proxy.sql.catalog.model import OWNER, PUBLIC, Model, Sequence, default_of
from proxy.sql.catalog.rows import Row, Rows, Value, complete
from proxy.sql.catalog.spelling import view_query
from proxy.sql.catalog.types_table import builtin_types, is_array
from proxy.sql.schema import Column, Relation

NAMESPACES: Final[dict[str, int]] = {
    PG_CATALOG: 11,
    "public": PUBLIC,
    INFORMATION_SCHEMA: 13207,
    LFSQL: 15000,
}
"""Every schema's OID."""

HEAP: Final = 2
BTREE: Final = 403
CLASS: Final = 1259
"""pg_class's own OID, and below those of the catalogs that pg_depend refers to."""
CONSTRAINT: Final = 2606
DEFAULT: Final = 2604
TYPE: Final = 1247
C_COLLATION: Final = 950
SEQUENCE_COLUMNS: Final = (("last_value", oids.INT8), ("log_cnt", oids.INT8), ("is_called", oids.BOOL))

_COMPOSITE: Final[Mapping[str, Value]] = {
    "typowner": OWNER,
    "typlen": -1,
    "typtype": "c",
    "typcategory": "C",
    "typisdefined": 1,
    "typdelim": ",",
    "typalign": "d",
    "typstorage": "x",
    "typtypmod": -1,
}


def relation_rows(model: Model, facts: Facts) -> Rows:
    """The rows of the catalogs about relations."""
    classes = list(_system_classes())
    attributes = list(_system_attributes())
    classes.extend(complete(PG_CATALOG, "pg_class", _classes(model)))
    attributes.extend(complete(PG_CATALOG, "pg_attribute", _attributes(model)))
    return {
        (PG_CATALOG, "pg_class"): classes,
        (PG_CATALOG, "pg_attribute"): attributes,
        (PG_CATALOG, "pg_attrdef"): complete(PG_CATALOG, "pg_attrdef", _defaults(model)),
        (PG_CATALOG, "pg_type"): [*_system_types(), *complete(PG_CATALOG, "pg_type", _row_types(model))],
        (PG_CATALOG, "pg_sequence"): complete(PG_CATALOG, "pg_sequence", map(_sequence, model.sequences)),
        (PG_CATALOG, "pg_sequences"): complete(PG_CATALOG, "pg_sequences", _sequences(model, facts)),
        (PG_CATALOG, "pg_depend"): complete(PG_CATALOG, "pg_depend", _dependencies(model)),
        (PG_CATALOG, "pg_rewrite"): complete(PG_CATALOG, "pg_rewrite", _rules(model)),
        (PG_CATALOG, "pg_tables"): complete(PG_CATALOG, "pg_tables", _tables(model, facts)),
        (PG_CATALOG, "pg_views"): complete(PG_CATALOG, "pg_views", _views(model, facts)),
        **_statistics(model),
    }


@cache
def _system_classes() -> tuple[Row, ...]:
    return tuple(
        complete(
            PG_CATALOG,
            "pg_class",
            (
                {
                    "oid": relation.oid,
                    "relname": name,
                    "relnamespace": NAMESPACES[database],
                    "relowner": OWNER,
                    "relam": HEAP if relation.kind == "table" else 0,
                    "reltuples": -1.0,
                    "relpersistence": "p",
                    "relkind": "r" if relation.kind == "table" else "v",
                    "relnatts": len(relation.columns),
                    "relispopulated": 1,
                    "relreplident": "n",
                }
                for database in DATABASES
                for name, relation in relations(database).items()
            ),
        )
    )


@cache
def _system_attributes() -> tuple[Row, ...]:
    return tuple(
        complete(
            PG_CATALOG,
            "pg_attribute",
            (
                _system_attribute(relation.oid, column)
                for database in DATABASES
                for relation in relations(database).values()
                for column in relation.columns
            ),
        )
    )


@cache
def _system_types() -> tuple[Row, ...]:
    return tuple(
        complete(
            PG_CATALOG,
            "pg_type",
            (
                {
                    "oid": each.oid,
                    "typname": each.name,
                    "typnamespace": NAMESPACES[PG_CATALOG],
                    "typowner": OWNER,
                    "typlen": each.length,
                    "typbyval": int(each.by_value),
                    "typtype": each.kind,
                    "typcategory": each.category,
                    "typispreferred": int(each.preferred),
                    "typisdefined": 1,
                    "typdelim": ",",
                    "typsubscript": function_oid(each.subscript),
                    "typelem": each.element,
                    "typarray": each.array,
                    "typinput": function_oid(each.functions[0]),
                    "typoutput": function_oid(each.functions[1]),
                    "typreceive": function_oid(each.functions[2]),
                    "typsend": function_oid(each.functions[3]),
                    "typmodin": function_oid(each.functions[4]),
                    "typmodout": function_oid(each.functions[5]),
                    "typalign": each.align,
                    "typstorage": each.storage,
                    "typtypmod": -1,
                    "typcollation": each.collation,
                }
                for each in builtin_types().values()
            ),
        )
    )


def _classes(model: Model) -> Iterator[Mapping[str, Value]]:
    indexed = {index.relation.oid for index in model.indexes}
    keyed = {each.relation.oid for each in model.constraints if each.kind == "f"}
    keyed |= {each.target.oid for each in model.constraints if each.kind == "f" and each.target is not None}
    checks: dict[int, int] = {}
    for constraint in model.constraints:
        if constraint.kind == "c":
            checks[constraint.relation.oid] = checks.get(constraint.relation.oid, 0) + 1
    common: Mapping[str, Value] = {
        "relnamespace": PUBLIC,
        "relowner": OWNER,
        "reltuples": -1.0,
        "relpersistence": "p",
        "relispopulated": 1,
        "relreplident": "n",
    }
    for table in model.tables:
        is_table = table.kind == "table"
        yield {
            **common,
            "oid": table.oid,
            "relname": table.name,
            "reltype": model.row_types[table.name],
            "relam": HEAP if is_table else 0,
            "relfilenode": table.oid if is_table else 0,
            "relhasindex": int(table.oid in indexed),
            "relkind": "r" if is_table else "v",
            "relnatts": len(table.columns),
            "relchecks": checks.get(table.oid, 0),
            "relhasrules": int(not is_table),
            "relhastriggers": int(table.oid in keyed),
            "relreplident": "d" if is_table else "n",
        }
    for index in model.indexes:
        yield {
            **common,
            "oid": index.oid,
            "relname": index.name,
            "relam": BTREE,
            "relfilenode": index.oid,
            "relkind": "i",
            "relnatts": len(index.columns),
        }
    for sequence in model.sequences:
        yield {
            **common,
            "oid": sequence.oid,
            "relname": sequence.name,
            "relfilenode": sequence.oid,
            "reltuples": 1.0,
            "relkind": "S",
            "relnatts": len(SEQUENCE_COLUMNS),
        }


def _attributes(model: Model) -> Iterator[Mapping[str, Value]]:
    for table in model.tables:
        for column in table.columns:
            has_default = (table.name, column.name) in model.defaults
            yield _attribute(table.oid, column, has_default)
    for index in model.indexes:
        for place, number in enumerate(index.columns, 1):
            source = next((column for column in index.relation.columns if column.number == number), None)
            name, oid, typmod = (
                (source.name, source.oid, source.typmod) if source else (f"expr{place}", oids.TEXT, -1)
            )
            yield _attribute(index.oid, Column(name, oid, typmod, place, ""))
    for sequence in model.sequences:
        for place, (name, oid) in enumerate(SEQUENCE_COLUMNS, 1):
            yield _attribute(sequence.oid, Column(name, oid, -1, place, "", not_null=True))


def _attribute(relation_oid: int, column: Column, has_default: bool = False) -> Mapping[str, Value]:
    kind = builtin_types().get(column.oid) or builtin_types()[oids.TEXT]
    return {
        "attrelid": relation_oid,
        "attname": column.name,
        "atttypid": column.oid,
        "attstattarget": -1,
        "attlen": kind.length,
        "attnum": column.number,
        "attndims": int(is_array(kind)),
        "attcacheoff": -1,
        "atttypmod": column.typmod,
        "attbyval": int(kind.by_value),
        "attalign": kind.align,
        "attstorage": kind.storage,
        "attnotnull": int(column.not_null or column.primary_key > 0),
        "atthasdef": int(has_default),
        "attidentity": column.identity if column.identity in ("a", "d") else "",
        "attislocal": 1,
        "attcollation": kind.collation,
    }


def _system_attribute(relation_oid: int, column: Column) -> Mapping[str, Value]:
    """Text in the catalogs is of collation "C", whatever the database's is."""
    attribute = _attribute(relation_oid, column)
    return {**attribute, "attcollation": C_COLLATION} if attribute["attcollation"] else attribute


def _defaults(model: Model) -> Iterator[Mapping[str, Value]]:
    for table in model.tables:
        for column in table.columns:
            oid = model.defaults.get((table.name, column.name))
            if oid is not None:
                text = default_of(table, column)
                yield {"oid": oid, "adrelid": table.oid, "adnum": column.number, "adbin": text}


def _row_types(model: Model) -> Iterator[Mapping[str, Value]]:
    functions: Mapping[str, Value] = {
        "typinput": function_oid("record_in"),
        "typoutput": function_oid("record_out"),
        "typreceive": function_oid("record_recv"),
        "typsend": function_oid("record_send"),
    }
    for table in model.tables:
        yield {
            **_COMPOSITE,
            **functions,
            "oid": model.row_types[table.name],
            "typname": table.name,
            "typnamespace": PUBLIC,
            "typrelid": table.oid,
        }


def _sequence(sequence: Sequence) -> Mapping[str, Value]:
    return {
        "seqrelid": sequence.oid,
        "seqtypid": sequence.type_oid,
        "seqstart": 1,
        "seqincrement": 1,
        "seqmax": sequence.maximum,
        "seqmin": 1,
        "seqcache": 1,
    }


def _sequences(model: Model, facts: Facts) -> Iterator[Mapping[str, Value]]:
    for sequence in model.sequences:
        yield {
            "schemaname": "public",
            "sequencename": sequence.name,
            "sequenceowner": facts.owner,
            "data_type": sequence.type_oid,
            "start_value": 1,
            "min_value": 1,
            "max_value": sequence.maximum,
            "increment_by": 1,
            "cycle": 0,
            "cache_size": 1,
        }


def _dependencies(model: Model) -> Iterator[Mapping[str, Value]]:
    """What clients follow: a sequence to its column, a default to its sequence, an index to its constraint."""
    for sequence in model.sequences:
        if sequence.owner_oid:
            yield {
                "classid": CLASS,
                "objid": sequence.oid,
                "refclassid": CLASS,
                "refobjid": sequence.owner_oid,
                "refobjsubid": sequence.owner_column,
                "deptype": "a" if sequence.identity == "s" else "i",
            }
    owners = {(sequence.owner_oid, sequence.owner_column): sequence for sequence in model.sequences}
    for table in model.tables:
        for column in table.columns:
            oid = model.defaults.get((table.name, column.name))
            if oid is None:
                continue
            dependency: dict[str, Value] = {"classid": DEFAULT, "objid": oid, "refclassid": CLASS}
            yield {**dependency, "refobjid": table.oid, "refobjsubid": column.number, "deptype": "a"}
            source = owners.get((table.oid, column.number))
            if source is not None:
                yield {**dependency, "refobjid": source.oid, "deptype": "n"}
    for constraint in model.constraints:
        own: dict[str, Value] = {"classid": CONSTRAINT, "objid": constraint.oid, "refclassid": CLASS}
        for number in constraint.columns:
            yield {**own, "refobjid": constraint.relation.oid, "refobjsubid": number, "deptype": "a"}
        if constraint.kind in "pu":
            yield {
                "classid": CLASS,
                "objid": constraint.index_oid,
                "refclassid": CONSTRAINT,
                "refobjid": constraint.oid,
                "deptype": "i",
            }
        elif constraint.kind == "f":
            yield {**own, "refobjid": constraint.index_oid, "deptype": "n"}


def _rules(model: Model) -> Iterator[Mapping[str, Value]]:
    for view in model.tables:
        if view.kind == "view":
            yield {
                "oid": model.row_types[view.name] ^ 1,
                "rulename": "_RETURN",
                "ev_class": view.oid,
                "ev_type": "1",
                "ev_enabled": "O",
                "is_instead": 1,
                "ev_qual": "<>",
                "ev_action": view_query(view.sql),
            }


def _tables(model: Model, facts: Facts) -> Iterator[Mapping[str, Value]]:
    indexed = {index.relation.oid for index in model.indexes}
    keyed = {each.relation.oid for each in model.constraints if each.kind == "f"}
    for table in model.tables:
        if table.kind == "table":
            yield _table("public", table, facts, table.oid in indexed, table.oid in keyed)
    for database in DATABASES:
        for table in relations(database).values():
            if table.kind == "table":
                yield _table(database, table, facts, False, False)


def _table(schema: str, table: Relation, facts: Facts, indexed: bool, keyed: bool) -> Mapping[str, Value]:
    return {
        "schemaname": schema,
        "tablename": table.name,
        "tableowner": facts.owner,
        "hasindexes": int(indexed),
        "hasrules": 0,
        "hastriggers": int(keyed),
        "rowsecurity": 0,
    }


def _views(model: Model, facts: Facts) -> Iterator[Mapping[str, Value]]:
    for view in model.tables:
        if view.kind == "view":
            yield {
                "schemaname": "public",
                "viewname": view.name,
                "viewowner": facts.owner,
                "definition": view_query(view.sql),
            }


def _statistics(model: Model) -> Rows:
    """The statistics views list what there is; the counters are NULL, because nothing here counts them."""
    tables: list[Mapping[str, Value]] = [
        {"relid": table.oid, "schemaname": "public", "relname": table.name}
        for table in model.tables
        if table.kind == "table"
    ]
    indexes: list[Mapping[str, Value]] = [
        {
            "relid": index.relation.oid,
            "indexrelid": index.oid,
            "schemaname": "public",
            "relname": index.relation.name,
            "indexrelname": index.name,
        }
        for index in model.indexes
    ]
    table_views = ("pg_stat_all_tables", "pg_stat_user_tables", "pg_statio_all_tables", "pg_statio_user_tables")
    index_views = ("pg_stat_all_indexes", "pg_stat_user_indexes", "pg_statio_all_indexes", "pg_statio_user_indexes")
    found: Rows = {(PG_CATALOG, name): complete(PG_CATALOG, name, tables) for name in table_views}
    found.update({(PG_CATALOG, name): complete(PG_CATALOG, name, indexes) for name in index_views})
    return found
