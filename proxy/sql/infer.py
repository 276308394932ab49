"""PostgreSQL's type rules: names to OIDs, which type turns into which unasked, what UNION and CASE settle on.

The numbers and names come from `proxy.pg.oids`; the casts below are pg_cast's rows for the types lfsql stores.
"Implicit" casts happen anywhere, "assignment" casts when storing, the rest only when written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from sqlglot import exp

from lfsql.errors import (
    DatatypeMismatch,
    FeatureNotSupported,
    InvalidParameterValue,
    StatementSyntax,
    UndefinedObject,
)
from proxy.pg import oids
from proxy.pg.oids import (
    BOOL,
    BPCHAR,
    BYTEA,
    CHAR,
    DATE,
    FLOAT4,
    FLOAT8,
    INT2,
    INT4,
    INT8,
    INTERVAL,
    JSON,
    JSONB,
    NAME,
    NUMERIC,
    OID,
    RECORD,
    REGCLASS,
    REGPROC,
    REGTYPE,
    TEXT,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    TIMETZ,
    UNKNOWN,
    UUID,
    VARCHAR,
    XID,
)
from proxy.sql.number_text import number_oid, whole

REGNAMESPACE: Final = 4089
REGROLE: Final = 4096

SPELLED: Final[dict[int, str]] = {
    BOOL: "boolean",
    BYTEA: "bytea",
    CHAR: '"char"',
    INT2: "smallint",
    INT4: "integer",
    INT8: "bigint",
    FLOAT4: "real",
    FLOAT8: "double precision",
    BPCHAR: "character",
    VARCHAR: "character varying",
    TIME: "time without time zone",
    TIMETZ: "time with time zone",
    TIMESTAMP: "timestamp without time zone",
    TIMESTAMPTZ: "timestamp with time zone",
    REGNAMESPACE: "regnamespace",
}

_PARSED: Final[dict[exp.DType, int]] = {
    exp.DType.BOOLEAN: BOOL,
    exp.DType.SMALLINT: INT2,
    exp.DType.INT: INT4,
    exp.DType.BIGINT: INT8,
    exp.DType.FLOAT: FLOAT4,
    exp.DType.DOUBLE: FLOAT8,
    exp.DType.DECIMAL: NUMERIC,
    exp.DType.TEXT: TEXT,
    exp.DType.VARCHAR: VARCHAR,
    exp.DType.CHAR: BPCHAR,
    exp.DType.NCHAR: BPCHAR,
    exp.DType.BPCHAR: BPCHAR,
    exp.DType.NAME: NAME,
    exp.DType.VARBINARY: BYTEA,
    exp.DType.DATE: DATE,
    exp.DType.TIME: TIME,
    exp.DType.TIMETZ: TIMETZ,
    exp.DType.TIMESTAMP: TIMESTAMP,
    exp.DType.TIMESTAMPTZ: TIMESTAMPTZ,
    exp.DType.INTERVAL: INTERVAL,
    exp.DType.UUID: UUID,
    exp.DType.JSON: JSON,
    exp.DType.JSONB: JSONB,
}

_NAMED: Final[dict[str, int]] = {name: oid for oid, name in oids.NAMES.items()} | {
    "boolean": BOOL,
    "integer": INT4,
    "int": INT4,
    "smallint": INT2,
    "bigint": INT8,
    "real": FLOAT4,
    "decimal": NUMERIC,
    "regnamespace": REGNAMESPACE,
    "regrole": REGROLE,
    "regprocedure": REGPROC,
}

INTEGERS: Final = frozenset((INT2, INT4, INT8, OID, REGCLASS, REGTYPE, REGPROC, REGNAMESPACE, REGROLE, XID))
FLOATS: Final = frozenset((FLOAT4, FLOAT8))
NUMBERS: Final = frozenset((INT2, INT4, INT8, FLOAT4, FLOAT8, NUMERIC))
REG: Final = frozenset((REGCLASS, REGTYPE, REGPROC, REGNAMESPACE, REGROLE))
STRINGS: Final = frozenset((TEXT, VARCHAR, BPCHAR, NAME, CHAR))
MOMENTS: Final = frozenset((DATE, TIMESTAMP, TIMESTAMPTZ))
INTEGER_RANGE: Final[dict[int, tuple[int, int]]] = {
    INT2: (-(2**15), 2**15 - 1),
    INT4: (-(2**31), 2**31 - 1),
    INT8: (-(2**63), 2**63 - 1),
    OID: (0, 2**32 - 1),
}

_TOWER: Final = (INT2, INT4, INT8, NUMERIC, FLOAT4, FLOAT8)

_IMPLICIT: Final[frozenset[tuple[int, int]]] = frozenset(
    [(small, large) for at, small in enumerate(_TOWER) for large in _TOWER[at + 1 :]]
    + [(number, reference) for number in (INT2, INT4, INT8) for reference in (OID, *REG)]
    + [(reference, OID) for reference in REG]
    + [(OID, reference) for reference in REG]
    + [(reference, INT8) for reference in (OID, *REG)]
    + [(DATE, TIMESTAMP), (DATE, TIMESTAMPTZ), (TIMESTAMP, TIMESTAMPTZ), (TIME, INTERVAL), (TIME, TIMETZ)]
    + [(one, other) for one in (TEXT, VARCHAR, BPCHAR) for other in (TEXT, VARCHAR, BPCHAR) if one != other]
    + [(NAME, TEXT), (CHAR, TEXT), (TEXT, NAME), (VARCHAR, NAME), (TEXT, REGCLASS), (VARCHAR, REGCLASS)]
)
_ASSIGNMENT: Final[frozenset[tuple[int, int]]] = frozenset(
    [(one, other) for one in NUMBERS for other in NUMBERS]
    + [(reference, INT4) for reference in (OID, *REG)]
    + [
        (TIMESTAMPTZ, TIMESTAMP),
        (TIMESTAMPTZ, DATE),
        (TIMESTAMPTZ, TIME),
        (TIMESTAMPTZ, TIMETZ),
        (TIMESTAMP, DATE),
        (TIMESTAMP, TIME),
        (INTERVAL, TIME),
        (TIMETZ, TIME),
        (JSON, JSONB),
        (JSONB, JSON),
        (NAME, VARCHAR),
        (NAME, BPCHAR),
        (TEXT, CHAR),
    ]
)
_EXPLICIT: Final[frozenset[tuple[int, int]]] = frozenset(
    [(INT4, BOOL), (BOOL, INT4), (INT4, CHAR), (CHAR, INT4)] + [(JSONB, number) for number in (*NUMBERS, BOOL)]
)


def spelled(oid: int) -> str:
    """A type's name as PostgreSQL's messages and format_type give it."""
    if oid in oids.ELEMENTS:
        return f"{spelled(oids.ELEMENTS[oid])}[]"
    return SPELLED.get(oid) or oids.NAMES.get(oid) or str(oid)


def category(oid: int) -> str:
    """pg_type.typcategory: N numbers, S strings, D dates and times, T intervals, B, A arrays, X unknown, U others."""
    if oid in NUMBERS or oid == OID or oid in REG:
        return "N"
    if oid in (TEXT, VARCHAR, BPCHAR, NAME):
        return "S"
    if oid in (DATE, TIME, TIMETZ, TIMESTAMP, TIMESTAMPTZ):
        return "D"
    if oid in oids.ELEMENTS:
        return "A"
    return {BOOL: "B", INTERVAL: "T", UNKNOWN: "X", RECORD: "P", CHAR: "Z"}.get(oid, "U")


PREFERRED: Final = frozenset((FLOAT8, OID, TEXT, TIMESTAMPTZ, INTERVAL, BOOL))

Level = Literal["implicit", "assignment", "explicit"]


def castable(source: int, target: int, level: Level) -> bool:
    """Whether `source` turns into `target` where `level` casts are allowed."""
    if source in (target, UNKNOWN):
        return True
    pair = (source, target)
    if pair in _IMPLICIT:
        return True
    if source in oids.ELEMENTS and target in oids.ELEMENTS:
        return castable(oids.ELEMENTS[source], oids.ELEMENTS[target], level)
    if level == "implicit":
        return False
    if pair in _ASSIGNMENT or target in (TEXT, VARCHAR, BPCHAR):
        return True
    if level == "assignment":
        return False
    return pair in _EXPLICIT or source in STRINGS


def common_type(types: Iterable[int], what: str) -> int:
    """The type UNION, CASE, COALESCE, VALUES, ARRAY and IN settle on (PostgreSQL manual, 10.5).

    All unknown gives TEXT.  Raises DatatypeMismatch naming `what` ("CASE", "UNION", ...).
    """
    chosen = UNKNOWN
    for each in types:
        if each in (UNKNOWN, chosen):
            continue
        if chosen == UNKNOWN:
            chosen = each
        elif category(each) != category(chosen):
            raise DatatypeMismatch(f"{what} types {spelled(chosen)} and {spelled(each)} cannot be matched")
        elif (
            chosen not in PREFERRED
            and castable(chosen, each, "implicit")
            and not (castable(each, chosen, "implicit") and each not in PREFERRED)
        ):
            chosen = each
        elif not castable(each, chosen, "implicit"):
            raise DatatypeMismatch(f"{what} types {spelled(chosen)} and {spelled(each)} cannot be matched")
    return TEXT if chosen == UNKNOWN else chosen


def number_type(left: int, right: int) -> int:
    """Result of arithmetic on two number types."""
    if left == right:
        return left
    if left in FLOATS or right in FLOATS:
        return FLOAT8
    if NUMERIC in (left, right):
        return NUMERIC
    return INT8 if INT8 in (left, right) else INT4


def _parameters(kind: exp.DataType) -> list[int]:
    found = []
    for each in kind.expressions:
        inner = each.this if isinstance(each, exp.DataTypeParam) else each
        negative = isinstance(inner, exp.Neg)
        number = inner.this if negative else inner
        if isinstance(number, exp.Literal) and not number.is_string and number_oid(number.name) == INT4:
            found.append(-whole(number.name) if negative else whole(number.name))
        else:
            raise InvalidParameterValue("type modifiers must be simple constants")
    return found


def typmod_of(oid: int, parameters: Sequence[int]) -> int:
    """pg_attribute.atttypmod for a type with `parameters` in parentheses."""
    if oid == BPCHAR and not parameters:
        return 5
    if not parameters:
        return -1
    if oid in (VARCHAR, BPCHAR):
        length = parameters[0]
        if length < 1:
            raise InvalidParameterValue(
                f"length for type {'varchar' if oid == VARCHAR else 'char'} must be at least 1"
            )
        if length > 10485760:
            raise InvalidParameterValue(
                f"length for type {'varchar' if oid == VARCHAR else 'char'} cannot exceed 10485760"
            )
        return length + 4
    if oid == NUMERIC:
        precision = parameters[0]
        scale = parameters[1] if len(parameters) > 1 else 0
        if not 1 <= precision <= 1000:
            raise InvalidParameterValue(f"NUMERIC precision {precision} must be between 1 and 1000")
        if not -1000 <= scale <= 1000:
            raise InvalidParameterValue(f"NUMERIC scale {scale} must be between -1000 and 1000")
        return ((precision << 16) | (scale & 0x7FF)) + 4
    if oid in (TIME, TIMETZ, TIMESTAMP, TIMESTAMPTZ):
        return min(parameters[0], 6)
    return -1


def type_named(name: str, schema: str = "") -> int:
    """OID of a type by its catalog name.  Raises UndefinedObject."""
    if schema in ("", "pg_catalog"):
        if name in _NAMED:
            return _NAMED[name]
        if name.startswith("_") and name[1:] in _NAMED and _NAMED[name[1:]] in oids.ARRAYS:
            return oids.ARRAYS[_NAMED[name[1:]]]
    full = f"{schema}.{name}" if schema else name
    raise UndefinedObject(f'type "{full}" does not exist')


def array_of(element: int) -> int:
    """Raises UndefinedObject when arrays of `element` are not kept."""
    if element in oids.ELEMENTS:
        return element
    if element in REG:
        return oids.ARRAYS[OID]
    if element not in oids.ARRAYS:
        raise UndefinedObject(f"could not find array type for data type {spelled(element)}")
    return oids.ARRAYS[element]


def type_of(kind: exp.Expression) -> tuple[int, int]:
    """(OID, typmod) of a type as parsed.  Raises UndefinedObject, FeatureNotSupported, InvalidParameterValue."""
    if not isinstance(kind, exp.DataType):
        return type_named(kind.name.lower()), -1
    parsed = kind.this
    if isinstance(parsed, exp.Interval):
        return INTERVAL, -1
    if parsed == exp.DType.ARRAY:
        if not kind.expressions:
            raise StatementSyntax("syntax error: an array of what type?")
        element, typmod = type_of(kind.expressions[0])
        return array_of(element), typmod
    if parsed == exp.DType.USERDEFINED:
        name = kind.args["kind"]
        if isinstance(name, exp.Dot):
            schema = name.this.name
            oid = type_named(name.expression.name, schema)
            return oid, typmod_of(oid, _parameters(kind))
        text = name.name if isinstance(name, exp.Expression) else str(name)
        quoted = isinstance(name, exp.Identifier) and name.quoted
        return type_named(text if quoted else text.lower()), -1
    if parsed == exp.DType.DOUBLE and kind.expressions:
        return (FLOAT4 if _parameters(kind)[0] <= 24 else FLOAT8), -1
    oid = _PARSED.get(parsed, 0)
    if not oid:
        if parsed in (exp.DType.SERIAL, exp.DType.BIGSERIAL, exp.DType.SMALLSERIAL):
            raise UndefinedObject(f'type "{parsed.value.lower()}" does not exist')
        raise FeatureNotSupported(f"type {str(parsed.value).lower()} is not supported")
    if oid == BPCHAR and parsed == exp.DType.BPCHAR and not kind.expressions:
        return BPCHAR, -1
    return oid, typmod_of(oid, _parameters(kind))


def type_label(oid: int) -> str:
    """pg_type.typname: what a cast's column is called."""
    if oid in oids.ELEMENTS:
        return type_label(oids.ELEMENTS[oid])
    return {REGNAMESPACE: "regnamespace", REGROLE: "regrole"}.get(oid) or oids.NAMES.get(oid, "unknown")


_SYNTAX_NAMES: Final[dict[type[exp.Expression], str]] = {
    exp.CurrentDate: "current_date",
    exp.CurrentTime: "current_time",
    exp.CurrentTimestamp: "current_timestamp",
    exp.Localtime: "localtime",
    exp.Localtimestamp: "localtimestamp",
    exp.CurrentUser: "current_user",
    exp.CurrentRole: "current_role",
    exp.SessionUser: "session_user",
    exp.CurrentCatalog: "current_catalog",
    exp.CurrentSchema: "current_schema",
    exp.Extract: "extract",
    exp.Substring: "substring",
    exp.StrPosition: "position",
    exp.Overlay: "overlay",
    exp.AtTimeZone: "timezone",
    exp.Exists: "exists",
    exp.Array: "array",
}
UNNAMED: Final = "?column?"


def function_name(node: exp.Anonymous) -> str:
    """PostgreSQL folds an unquoted name to lower case."""
    this = node.this
    if isinstance(this, exp.Identifier):
        return this.name if this.quoted else this.name.lower()
    return str(this).lower()


def column_name(node: exp.Expression) -> str:
    """What PostgreSQL calls a result column without an alias (FigureColname)."""
    name, _ = _figured(node)
    return name or UNNAMED


def _figured(node: exp.Expression | None) -> tuple[str, int]:
    """(name, strength): 0 none, 1 only a type's name, 2 a good one."""
    if node is None:
        return "", 0
    if isinstance(node, exp.Alias):
        return node.alias, 2
    if isinstance(node, (exp.Paren, exp.Collate, exp.Filter, exp.Window, exp.WithinGroup, exp.Bracket)):
        return _figured(node.this)
    if isinstance(node, exp.Column):
        return identifier_name(node.this), 2
    if isinstance(node, exp.Dot):
        return _figured(node.expression) if isinstance(node.expression, exp.Anonymous) else (node.expression.name, 2)
    if isinstance(node, exp.Anonymous):
        name = function_name(node)
        return ("", 0) if name in ("all", "some") else (name, 2)
    if isinstance(node, exp.Cast):
        inner, strength = _figured(node.this)
        if strength == 2:
            return inner, strength
        return type_label(type_of(node.args["to"])[0]), 1
    if isinstance(node, exp.Interval):
        return "interval", 1
    if isinstance(node, exp.Case):
        inner, strength = _figured(node.args.get("default"))
        return (inner, 2) if strength == 2 else ("case", 1)
    if isinstance(node, exp.Subquery):
        return _figured(_first_output(node.this))
    if isinstance(node, exp.Trim):
        side = str(node.args.get("position") or "BOTH").upper()
        return {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(side, "btrim"), 2
    found = _SYNTAX_NAMES.get(type(node))
    return (found, 2) if found else ("", 0)


def _first_output(query: exp.Expression) -> exp.Expression | None:
    while isinstance(query, (exp.SetOperation, exp.Subquery)):
        query = query.this
    if isinstance(query, exp.Values):
        return exp.column("column1")
    return query.expressions[0] if isinstance(query, exp.Select) and query.expressions else None


def identifier_name(node: exp.Expression | str | None) -> str:
    """An identifier as PostgreSQL folds it: lower case (ASCII) unless quoted."""
    if isinstance(node, exp.Identifier):
        return node.name if node.quoted else _folded(node.name)
    if isinstance(node, exp.Expression):
        return _folded(node.name)
    return _folded(node or "")


def _folded(name: str) -> str:
    return name.lower() if name.isascii() else "".join(c.lower() if c.isascii() else c for c in name)
