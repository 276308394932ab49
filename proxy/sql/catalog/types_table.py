"""pg_type as values: every type a client can meet, with its array type, and how PostgreSQL spells it.

The built-in rows are PostgreSQL's own (`builtin_types`).  Each table and view also has a row type there, made by
`relations`, because clients reach a relation from its `reltype` and back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from proxy.pg import oids
from proxy.sql.catalog.builtin_types import TYPES


@dataclass(frozen=True, slots=True)
class BuiltinType:
    """One row of pg_type.  Functions are named, not numbered; '-' is none."""

    oid: int
    name: str
    length: int
    by_value: bool
    kind: str
    category: str
    preferred: bool
    element: int
    array: int
    functions: tuple[str, str, str, str, str, str]
    """typinput, typoutput, typreceive, typsend, typmodin, typmodout."""
    align: str
    storage: str
    collation: int
    subscript: str


ARRAY_FUNCTIONS: Final = ("array_in", "array_out", "array_recv", "array_send")

SQL_NAMES: Final[dict[int, str]] = {
    oids.BOOL: "boolean",
    oids.CHAR: '"char"',
    oids.INT8: "bigint",
    oids.INT2: "smallint",
    oids.INT4: "integer",
    oids.FLOAT4: "real",
    oids.FLOAT8: "double precision",
    oids.BPCHAR: "character",
    oids.VARCHAR: "character varying",
    oids.TIME: "time without time zone",
    oids.TIMETZ: "time with time zone",
    oids.TIMESTAMP: "timestamp without time zone",
    oids.TIMESTAMPTZ: "timestamp with time zone",
    2276: '"any"',
}
"""Where format_type() says something else than typname."""

SYNONYMS: Final[dict[str, str]] = {
    "int": "int4",
    "integer": "int4",
    "smallint": "int2",
    "bigint": "int8",
    "boolean": "bool",
    "real": "float4",
    "float": "float8",
    "double precision": "float8",
    "decimal": "numeric",
    "dec": "numeric",
    "character varying": "varchar",
    "character": "bpchar",
    "time without time zone": "time",
    "time with time zone": "timetz",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
    "serial": "int4",
    "bigserial": "int8",
    "smallserial": "int2",
    '"char"': "char",
    "char": "bpchar",
    "any": "any",
}


_BRACKETS: Final = re.compile(r"( ?\[ ?\d* ?\])+\Z")


@cache
def builtin_types() -> dict[int, BuiltinType]:
    """Every built-in type by OID, element types before the arrays made of them."""
    found: dict[int, BuiltinType] = {}
    for line in TYPES.strip().replace("\n    ", " ").splitlines():
        field = line.split()
        oid = int(field[0])
        found[oid] = BuiltinType(
            oid=oid,
            name=field[1],
            length=int(field[2]),
            by_value=field[3] == "1",
            kind=field[4],
            category=field[5],
            preferred=field[6] == "1",
            element=int(field[7]),
            array=int(field[8]),
            functions=(field[9], field[10], field[11], field[12], field[13], field[14]),
            align=field[15],
            storage=field[16],
            collation=int(field[17]),
            subscript=field[18],
        )
    for element in list(found.values()):
        if element.array and element.array not in found:
            found[element.array] = _array_of(element)
    return found


def _array_of(element: BuiltinType) -> BuiltinType:
    return BuiltinType(
        oid=element.array,
        name=f"_{element.name}",
        length=-1,
        by_value=False,
        kind="p" if element.kind == "p" and element.name == "record" else "b",
        category="A",
        preferred=False,
        element=element.oid,
        array=0,
        functions=(*ARRAY_FUNCTIONS, element.functions[4], element.functions[5]),
        align="d" if element.align == "d" else "i",
        storage="x",
        collation=element.collation,
        subscript="array_subscript_handler",
    )


@cache
def _oids_by_name() -> dict[str, int]:
    return {each.name: each.oid for each in builtin_types().values()}


def is_array(builtin: BuiltinType) -> bool:
    """Whether it is the array type of its element: int2vector has elements too, and is not."""
    return builtin.element != 0 and builtin_types()[builtin.element].array == builtin.oid


def type_oid(name: str) -> int:
    """The OID of a type's catalog name (int4, _text).  KeyError when there is none."""
    return _oids_by_name()[name]


def type_named(text: str) -> int | None:
    """The OID of a type as SQL spells it (`character varying`, `int[]`, `pg_catalog.int4`, `_text`); None: unknown.

    A length or precision is accepted and ignored, as PostgreSQL's to_regtype does.
    """
    written = " ".join(text.split())
    name = _BRACKETS.sub("", written)
    arrays = name != written
    if name.startswith("pg_catalog."):
        name = name.removeprefix("pg_catalog.")
    quoted = name.startswith('"') and name.endswith('"') and len(name) > 2
    if quoted:
        name = name[1:-1]
    else:
        name = _without_length(name.lower())
        name = SYNONYMS.get(name, name)
    oid = _oids_by_name().get(name)
    if oid is None or not arrays:
        return oid
    return builtin_types()[oid].array or None


def _without_length(name: str) -> str:
    """`varchar(20)` -> `varchar`, `timestamp(3) with time zone` -> `timestamp with time zone`."""
    start = name.find("(")
    if start < 0:
        return name
    end = name.find(")", start)
    return " ".join((name[:start] + " " + name[end + 1 :]).split()) if end > 0 else name


def format_type(oid: int | None, typmod: int | None = None) -> str | None:
    """PostgreSQL's format_type(): `character varying(20)`, `numeric(10,2)`, `integer[]`, `???` when unknown."""
    if oid is None:
        return None
    if oid == 0:
        return "-"
    builtin = builtin_types().get(oid)
    if builtin is None:
        return "???"
    if is_array(builtin):
        return f"{format_type(builtin.element, typmod)}[]"
    name = SQL_NAMES.get(oid, builtin.name)
    if typmod is None or typmod < 0:
        # Without a length "character" would read as character(1); PostgreSQL says bpchar when it knows of none.
        return "bpchar" if oid == oids.BPCHAR and typmod is not None else name
    return _with_modifier(oid, name, typmod)


def _with_modifier(oid: int, name: str, typmod: int) -> str:
    if oid in (oids.VARCHAR, oids.BPCHAR):
        return f"{name}({typmod - 4})"
    if oid == oids.NUMERIC:
        scale = (typmod - 4) & 0x7FF
        return f"{name}({(typmod - 4) >> 16},{scale - 0x800 if scale & 0x400 else scale})"
    if oid in (oids.TIME, oids.TIMETZ, oids.TIMESTAMP, oids.TIMESTAMPTZ):
        first, rest = name.split(" ", 1)
        return f"{first}({typmod}) {rest}"
    return name
