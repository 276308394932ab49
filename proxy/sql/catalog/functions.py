"""The functions that read catalogs: format_type, pg_get_constraintdef, 'x'::regclass and their kin.

Each is a closure over one schema's `Model`, registered on the proxy's reading connections when they are filled;
they answer from the value, not by querying, so SQLite may call them per row.  Names beginning `lfsql_reg` are the
casts to and from the reg* types, which SQL writes as `::regclass` (`proxy.sql.catalog.rewrite` puts them there).

reg* values are OIDs, as integers, until they are printed; vectors and arrays are JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from lfsql.errors import InvalidParameterValue, UndefinedFunction, UndefinedObject, UndefinedTable
from proxy.pg import oids
from proxy.sql.catalog.builtins import function_names, function_oid, operator_names
from proxy.sql.catalog.definitions import DATABASES, PG_CATALOG, relations
from proxy.sql.catalog.facts import Facts
from proxy.sql.catalog.model import Model, build_model, serial_sequence
from proxy.sql.catalog.procedures import arguments_text, result_text
from proxy.sql.catalog.relations import NAMESPACES
from proxy.sql.catalog.rows import text_array
from proxy.sql.catalog.server import role_oids
from proxy.sql.catalog.spelling import quoted, split_name, view_query
from proxy.sql.catalog.types_table import format_type, type_named
from proxy.sql.schema import Schema

Function = Callable[..., Any]

REGNAMESPACE: Final = 4089
REGROLE: Final = 4096

ENCODINGS: Final[dict[int, str]] = {0: "SQL_ASCII", 6: "UTF8", 8: "LATIN1"}

_VISIBLE: Final = (
    "pg_table_is_visible",
    "pg_type_is_visible",
    "pg_function_is_visible",
    "pg_operator_is_visible",
    "pg_opclass_is_visible",
    "pg_opfamily_is_visible",
    "pg_collation_is_visible",
    "pg_conversion_is_visible",
    "pg_statistics_obj_is_visible",
    "pg_ts_config_is_visible",
    "pg_ts_dict_is_visible",
    "pg_ts_parser_is_visible",
    "pg_ts_template_is_visible",
)
_ALLOWED: Final = (
    "has_table_privilege",
    "has_any_column_privilege",
    "has_column_privilege",
    "has_schema_privilege",
    "has_database_privilege",
    "has_sequence_privilege",
    "has_function_privilege",
    "has_language_privilege",
    "has_tablespace_privilege",
    "has_type_privilege",
    "has_foreign_data_wrapper_privilege",
    "has_server_privilege",
    "has_parameter_privilege",
    "pg_has_role",
    "pg_relation_is_publishable",
    "row_security_active",
)
"""There are no grants: who may connect may do everything.  (row_security_active alone is false.)"""
_UNKNOWN_TEXT: Final = (
    "obj_description",
    "shobj_description",
    "col_description",
    "pg_get_partkeydef",
    "pg_get_partition_constraintdef",
    "pg_get_statisticsobjdef",
    "pg_get_statisticsobjdef_columns",
    "pg_get_statisticsobjdef_expressions",
    "pg_get_function_arg_default",
    "pg_get_function_sqlbody",
    "pg_get_functiondef",
    "pg_get_triggerdef",
    "pg_relation_filepath",
)
"""About things that do not exist here: comments, partitions, statistics objects, functions of users."""
_UNKNOWN_SIZES: Final = (
    "pg_relation_size",
    "pg_total_relation_size",
    "pg_table_size",
    "pg_indexes_size",
    "pg_database_size",
    "pg_tablespace_size",
)
"""SQLite does not tell a table's size without reading all of it: NULL, not a made-up number."""


RESULT_TYPES: Final[dict[str, int]] = {
    **dict.fromkeys(_VISIBLE, oids.BOOL),
    **dict.fromkeys(_ALLOWED, oids.BOOL),
    **dict.fromkeys(_UNKNOWN_TEXT, oids.TEXT),
    **dict.fromkeys(_UNKNOWN_SIZES, oids.INT8),
    "format_type": oids.TEXT,
    "pg_get_expr": oids.TEXT,
    "pg_get_constraintdef": oids.TEXT,
    "pg_get_indexdef": oids.TEXT,
    "pg_get_viewdef": oids.TEXT,
    "pg_get_ruledef": oids.TEXT,
    "pg_get_userbyid": oids.NAME,
    "pg_get_serial_sequence": oids.TEXT,
    "pg_get_function_arguments": oids.TEXT,
    "pg_get_function_identity_arguments": oids.TEXT,
    "pg_get_function_result": oids.TEXT,
    "pg_encoding_to_char": oids.NAME,
    "pg_char_to_encoding": oids.INT4,
    "pg_size_pretty": oids.TEXT,
    "pg_relation_filenode": oids.OID,
    "pg_tablespace_location": oids.TEXT,
    "pg_is_other_temp_schema": oids.BOOL,
    "pg_my_temp_schema": oids.OID,
    "pg_index_column_has_property": oids.BOOL,
    "pg_index_has_property": oids.BOOL,
    "pg_indexam_has_property": oids.BOOL,
    "to_regclass": oids.REGCLASS,
    "to_regtype": oids.REGTYPE,
    "to_regproc": oids.REGPROC,
    "to_regnamespace": REGNAMESPACE,
    "to_regrole": REGROLE,
    "lfsql_regclass": oids.REGCLASS,
    "lfsql_regtype": oids.REGTYPE,
    "lfsql_regproc": oids.REGPROC,
    "lfsql_regnamespace": REGNAMESPACE,
    "lfsql_regrole": REGROLE,
    "lfsql_regclass_out": oids.TEXT,
    "lfsql_regtype_out": oids.TEXT,
    "lfsql_regproc_out": oids.TEXT,
    "lfsql_regoper_out": oids.TEXT,
    "lfsql_regnamespace_out": oids.TEXT,
    "lfsql_regrole_out": oids.TEXT,
    "lfsql_regtype_names": oids.ARRAYS[oids.TEXT],
    "getdatabaseencoding": oids.NAME,
}
"""The result type of every function in `catalog_functions`, for the translator."""


def catalog_functions(schema: Schema, facts: Facts | None = None) -> dict[str, Function]:
    """Every catalog function by name, the casts between names and reg* OIDs among them.

    Each is registered for any number of arguments (-1), as deterministic: a value of it holds for one schema.
    """
    catalog = _Catalog(build_model(schema), facts or Facts())
    functions: dict[str, Function] = {}
    for name in _VISIBLE:
        functions[name] = _strict(lambda oid: 1)
    functions["pg_table_is_visible"] = _strict(catalog.table_is_visible)
    for name in _ALLOWED:
        functions[name] = _strict(lambda *arguments: 1)
    functions["row_security_active"] = _strict(lambda table: 0)
    for name in _UNKNOWN_TEXT + _UNKNOWN_SIZES:
        functions[name] = lambda *arguments: None
    functions |= catalog.functions()
    return functions


def _strict(function: Function) -> Function:
    """NULL in, NULL out."""

    def called(*arguments: Any) -> Any:
        return None if None in arguments else function(*arguments)

    return called


class _Catalog:
    """Look-ups over one model.  OIDs may come as digits in text, as clients quote them."""

    def __init__(self, model: Model, facts: Facts) -> None:
        self._relations = {table.name: table.oid for table in model.tables}
        self._relations |= {index.name: index.oid for index in model.indexes}
        self._relations |= {sequence.name: sequence.oid for sequence in model.sequences}
        self._names: dict[int, tuple[str, str]] = {
            relation.oid: (database, name) for database in DATABASES for name, relation in relations(database).items()
        }
        self._names |= {oid: ("public", name) for name, oid in self._relations.items()}
        self._row_types = {oid: name for name, oid in model.row_types.items()}
        self._tables = {table.oid: table for table in model.tables}
        self._indexes = {index.oid: index for index in model.indexes}
        self._constraints = {each.oid: each for each in model.constraints}
        self._schema = model.schema
        self._roles = role_oids(facts)

    def functions(self) -> dict[str, Function]:
        strict: Mapping[str, Function] = {
            "pg_get_expr": lambda expression, relation, pretty=0: expression,
            "pg_get_constraintdef": self.constraint_definition,
            "pg_get_indexdef": self.index_definition,
            "pg_get_viewdef": self.view_definition,
            "pg_get_ruledef": self.rule_definition,
            "pg_get_userbyid": self.role_name,
            "pg_get_serial_sequence": partial(serial_sequence, self._schema),
            "pg_get_function_arguments": arguments_text,
            "pg_get_function_identity_arguments": arguments_text,
            "pg_get_function_result": result_text,
            "pg_encoding_to_char": lambda encoding: ENCODINGS.get(encoding, ""),
            "pg_char_to_encoding": encoding_number,
            "pg_size_pretty": size_pretty,
            "pg_relation_filenode": lambda oid: int(oid) if int(oid) in self._tables else None,
            "pg_tablespace_location": lambda oid: "",
            "pg_is_other_temp_schema": lambda oid: 0,
            "pg_my_temp_schema": lambda: 0,
            "pg_index_column_has_property": self.column_property,
            "pg_index_has_property": lambda oid, name: int(name in ("clusterable", "index_scan", "backward_scan")),
            "pg_indexam_has_property": lambda oid, name: int(name in ("can_order", "can_unique", "can_multi_col")),
            "to_regclass": self.find_relation,
            "to_regtype": self.find_type,
            "to_regproc": lambda name: function_oid(_last(name)) or None,
            "to_regnamespace": lambda name: NAMESPACES.get(_last(name)),
            "to_regrole": lambda name: self.find_role(_last(name)),
            "lfsql_regclass": self.relation_oid,
            "lfsql_regtype": self.type_oid,
            "lfsql_regproc": self.function_oid,
            "lfsql_regnamespace": self.namespace_oid,
            "lfsql_regrole": self.role_oid,
            "lfsql_regclass_out": self.relation_text,
            "lfsql_regtype_out": self.type_text,
            "lfsql_regproc_out": lambda oid: function_names().get(int(oid), str(oid)) if int(oid) else "-",
            "lfsql_regoper_out": lambda oid: operator_names().get(int(oid), str(oid)) if int(oid) else "0",
            "lfsql_regnamespace_out": self.namespace_text,
            "lfsql_regrole_out": lambda oid: quoted(self._roles[int(oid)]) if int(oid) in self._roles else str(oid),
            "lfsql_regtype_names": lambda vector: text_array(self.type_text(oid) for oid in json.loads(vector)),
            "getdatabaseencoding": lambda: ENCODINGS[6],
        }
        functions = {name: _strict(function) for name, function in strict.items()}
        functions["format_type"] = self.type_text_with_modifier
        return functions

    # -- definitions ---------------------------------------------------------------------------------------

    def constraint_definition(self, oid: int | str, pretty: int = 0) -> str | None:
        constraint = self._constraints.get(int(oid))
        if constraint is None:
            return None
        if constraint.kind == "c" and not pretty:
            return f"CHECK (({constraint.expression}))"
        return constraint.definition

    def index_definition(self, oid: int | str, column: int = 0, pretty: int = 0) -> str | None:
        index = self._indexes.get(int(oid))
        if index is None:
            return None
        if column == 0:
            return index.definition(pretty=bool(pretty))
        return index.terms[column - 1] if column <= len(index.terms) else None

    def view_definition(self, view: int | str, pretty: int = 0) -> str | None:
        relation = self._tables.get(self.relation_oid(view))
        return view_query(relation.sql) if relation is not None and relation.kind == "view" else None

    def rule_definition(self, oid: int | str, pretty: int = 0) -> str | None:
        """A rule's OID is its view's row type's with the last bit turned (`relations._rules`)."""
        name = self._row_types.get(int(oid) ^ 1)
        if name is None:
            return None
        query = view_query(self._tables[self._relations[name]].sql).strip()
        return f'CREATE RULE "_RETURN" AS\n    ON SELECT TO public.{quoted(name)} DO INSTEAD  {query}'

    def column_property(self, oid: int | str, column: int, name: str) -> int | None:
        index = self._indexes.get(int(oid))
        if index is None or not 0 < column <= len(index.descending):
            return None
        down = index.descending[column - 1]
        answers = {"asc": not down, "desc": down, "nulls_first": down, "nulls_last": not down, "orderable": True}
        return int(answers.get(name, name in ("search_nulls", "search_array", "returnable")))

    # -- names and numbers ---------------------------------------------------------------------------------

    def table_is_visible(self, oid: int | str) -> int | None:
        found = self._names.get(int(oid))
        return None if found is None else int(found[0] in ("public", PG_CATALOG))

    def find_relation(self, text: str) -> int | None:
        """to_regclass: `track`, `public.track`, `"Track"`, `pg_class`; None when there is none."""
        path = split_name(text)
        name = path[-1]
        schema = path[-2] if len(path) > 1 else None
        if schema in (None, PG_CATALOG) and name in relations(PG_CATALOG):
            return relations(PG_CATALOG)[name].oid
        if schema in (None, "public"):
            return self._relations.get(name)
        return relations(schema)[name].oid if schema in DATABASES and name in relations(schema) else None

    def relation_oid(self, value: int | str) -> int:
        if isinstance(value, int) or value.isdigit():
            return int(value)
        if value == "-":
            return 0
        found = self.find_relation(value)
        if found is None:
            raise UndefinedTable(f'relation "{value}" does not exist')
        return found

    def relation_text(self, oid: int | str) -> str:
        """As regclass prints: without the schema when the name alone is enough."""
        if not int(oid):
            return "-"
        found = self._names.get(int(oid))
        if found is None:
            return str(oid)
        schema, name = found
        return quoted(name) if schema in ("public", PG_CATALOG) else f"{quoted(schema)}.{quoted(name)}"

    def find_type(self, text: str) -> int | None:
        found = type_named(text)
        if found is None:
            name = _last(text)
            found = next((oid for oid, table in self._row_types.items() if table == name), None)
        return found

    def type_oid(self, value: int | str) -> int:
        if isinstance(value, int) or value.isdigit():
            return int(value)
        if value == "-":
            return 0
        found = self.find_type(value)
        if found is None:
            raise UndefinedObject(f'type "{value}" does not exist')
        return found

    def type_text(self, oid: int | str) -> str:
        return self._type_text(int(oid), None)

    def type_text_with_modifier(self, oid: int | str | None, modifier: int | None = None) -> str | None:
        return None if oid is None else self._type_text(int(oid), modifier)

    def _type_text(self, oid: int, modifier: int | None) -> str:
        name = self._row_types.get(oid)
        return quoted(name) if name is not None else format_type(oid, modifier) or "-"

    def function_oid(self, value: int | str) -> int:
        if isinstance(value, int) or value.isdigit():
            return int(value)
        found = function_oid(_last(value))
        if not found and value != "-":
            raise UndefinedFunction(f'function "{value}" does not exist')
        return found

    def namespace_oid(self, value: int | str) -> int:
        if isinstance(value, int) or value.isdigit():
            return int(value)
        found = NAMESPACES.get(_last(value))
        if found is None:
            raise UndefinedObject(f'schema "{value}" does not exist')
        return found

    def namespace_text(self, oid: int | str) -> str:
        return next((quoted(name) for name, number in NAMESPACES.items() if number == int(oid)), str(oid))

    def find_role(self, name: str) -> int | None:
        return next((oid for oid, role in self._roles.items() if role == name), None)

    def role_oid(self, value: int | str) -> int:
        if isinstance(value, int) or value.isdigit():
            return int(value)
        found = self.find_role(_last(value))
        if found is None:
            raise UndefinedObject(f'role "{value}" does not exist')
        return found

    def role_name(self, oid: int | str) -> str:
        return self._roles.get(int(oid), f"unknown (OID={oid})")


def _last(name: str) -> str:
    """The object's own name in `pg_catalog.array_in`."""
    return split_name(name)[-1]


def encoding_number(name: str) -> int:
    """-1 for an unknown encoding, as PostgreSQL's pg_char_to_encoding."""
    plain = name.upper().replace("-", "").replace("_", "")
    return next((number for number, each in ENCODINGS.items() if each.replace("_", "") == plain), -1)


def size_pretty(size: int | str) -> str:
    """pg_size_pretty(): whole units, changed at 10240 of the smaller one, rounded half away from zero."""
    try:
        left = int(size)
    except ValueError:
        raise InvalidParameterValue(f'invalid size: "{size}"') from None
    if abs(left) < 10240:
        return f"{left} bytes"
    left = int(left / 512)
    for unit in ("kB", "MB", "GB", "TB"):
        rounded = int((left + (1 if left > 0 else -1)) / 2)
        if abs(rounded) < 10240:
            return f"{rounded} {unit}"
        left = int(left / 1024)
    return f"{int((left + (1 if left > 0 else -1)) / 2)} PB"
