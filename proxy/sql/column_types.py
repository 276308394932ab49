"""PostgreSQL's type names, as written in DDL, PREPARE and casts -> (OID, typmod).

The grammar is PostgreSQL's own, spelling by spelling; a type that exists there and not here is refused by name
(0A000), one that exists nowhere is 42704.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lfsql.errors import FeatureNotSupported, InvalidParameterValue, StatementSyntax, UndefinedObject
from proxy.pg import oids
from proxy.sql.lexer import NUMBER, QUOTED, WORD
from proxy.sql.token_cursor import Cursor

_PLAIN: Final[dict[str, int]] = {
    "bool": oids.BOOL,
    "boolean": oids.BOOL,
    "bytea": oids.BYTEA,
    "name": oids.NAME,
    "int8": oids.INT8,
    "bigint": oids.INT8,
    "int2": oids.INT2,
    "smallint": oids.INT2,
    "int4": oids.INT4,
    "int": oids.INT4,
    "integer": oids.INT4,
    "text": oids.TEXT,
    "oid": oids.OID,
    "json": oids.JSON,
    "jsonb": oids.JSONB,
    "float4": oids.FLOAT4,
    "real": oids.FLOAT4,
    "float8": oids.FLOAT8,
    "date": oids.DATE,
    "uuid": oids.UUID,
    "numeric": oids.NUMERIC,
    "decimal": oids.NUMERIC,
    "dec": oids.NUMERIC,
    "varchar": oids.VARCHAR,
    "bpchar": oids.BPCHAR,
    "timestamptz": oids.TIMESTAMPTZ,
    "timetz": oids.TIMETZ,
    "unknown": oids.UNKNOWN,
    "regclass": oids.REGCLASS,
    "regtype": oids.REGTYPE,
    "regproc": oids.REGPROC,
    "record": oids.RECORD,
    "void": oids.VOID,
    "xid": oids.XID,
}
_SERIAL: Final[dict[str, int]] = {
    "serial": oids.INT4,
    "serial4": oids.INT4,
    "bigserial": oids.INT8,
    "serial8": oids.INT8,
    "smallserial": oids.INT2,
    "serial2": oids.INT2,
}
_MISSING_WORDS: Final = """
    aclitem bit box cidr circle cstring daterange datemultirange hstore inet int4range int4multirange int8range
    int8multirange citext line lseg ltree macaddr macaddr8 money numrange nummultirange path pg_lsn pg_snapshot
    point polygon refcursor regcollation regconfig regdictionary regnamespace regoper regoperator regprocedure
    regrole tid tsquery tsrange tsmultirange tstzrange tstzmultirange tsvector txid_snapshot varbit vector xml
    xid8 geometry geography
"""
_MISSING: Final = frozenset(_MISSING_WORDS.split())
_INTERVAL_FIELDS: Final = ("year", "month", "day", "hour", "minute", "second")


@dataclass(frozen=True, slots=True)
class TypeName:
    oid: int
    typmod: int = -1
    serial: bool = False


def parse_type(cursor: Cursor) -> TypeName:
    """Read one type name, with its modifier and array bounds."""
    start = cursor.token
    found = _scalar(cursor)
    array = False
    while cursor.looks("[") or cursor.looks("array"):
        if cursor.accept("array") and not cursor.looks("["):
            array = True
            continue
        cursor.expect("[")
        if cursor.token.kind == NUMBER:
            cursor.integer()
        cursor.expect("]")
        array = True
    if not array:
        return found
    if found.serial:
        raise FeatureNotSupported("array of serial is not implemented", position=start.start + 1)
    if found.oid not in oids.ARRAYS:
        raise UndefinedObject(f'type "{start.value}[]" does not exist', position=start.start + 1)
    return TypeName(oids.ARRAYS[found.oid])


def _scalar(cursor: Cursor) -> TypeName:
    start = cursor.token
    if cursor.looks("pg_catalog", ".") or cursor.looks("public", "."):
        cursor.at += 2
    token = cursor.take()
    if token.kind == QUOTED and token.value == "char":
        return TypeName(oids.CHAR)
    if token.kind not in (WORD, QUOTED):
        cursor.at -= 1
        raise cursor.error()
    word = token.value
    if word in _SERIAL:
        return TypeName(_SERIAL[word], serial=True)
    if word == "double":
        cursor.expect("precision")
        return TypeName(oids.FLOAT8)
    if word == "float":
        bits = _modifiers(cursor)
        if bits and not 1 <= bits[0] <= 53:
            raise InvalidParameterValue("precision for type float must be between 1 and 53 bits")
        return TypeName(oids.FLOAT4 if bits and bits[0] < 25 else oids.FLOAT8)
    if word in ("character", "char", "varchar", "bpchar", "nchar", "national"):
        return _character(cursor, word)
    if word in ("timestamp", "time", "timestamptz", "timetz"):
        return _moment(cursor, word)
    if word == "interval":
        return _interval(cursor)
    oid = _PLAIN.get(word)
    if oid == oids.NUMERIC:
        return TypeName(oid, _numeric_typmod(cursor))
    if oid is not None:
        if cursor.looks("("):
            raise StatementSyntax(f'type modifier is not allowed for type "{word}"', position=cursor.token.start + 1)
        return TypeName(oid)
    if word in _MISSING:
        raise FeatureNotSupported(f"type {word} is not supported", position=start.start + 1)
    raise UndefinedObject(f'type "{word}" does not exist', position=start.start + 1)


def _modifiers(cursor: Cursor) -> list[int]:
    if not cursor.accept("("):
        return []
    found = cursor.commas(cursor.integer)
    cursor.expect(")")
    return found


def _character(cursor: Cursor, word: str) -> TypeName:
    if word == "national":
        if cursor.one_of("character", "char") is None:
            raise cursor.error()
        word = "char"
    varying = word == "varchar" or (word not in ("bpchar", "varchar") and cursor.accept("varying"))
    length = _modifiers(cursor)
    if len(length) > 1:
        raise cursor.error("invalid type modifier")
    if length and not 1 <= length[0] <= 10_485_760:
        bound = "must be at least 1" if length[0] < 1 else "cannot exceed 10485760"
        raise InvalidParameterValue(f"length for type {'varchar' if varying else 'char'} {bound}")
    if varying:
        return TypeName(oids.VARCHAR, length[0] + 4 if length else -1)
    if not length and word == "bpchar":
        return TypeName(oids.BPCHAR)
    return TypeName(oids.BPCHAR, (length[0] if length else 1) + 4)


def _moment(cursor: Cursor, word: str) -> TypeName:
    precision = _modifiers(cursor)
    zone = word.endswith("tz")
    if not zone:
        if cursor.accept("with", "time", "zone"):
            zone = True
        elif cursor.looks("without", "time"):
            cursor.expect("without", "time", "zone")
    plain = word.removesuffix("tz")
    oid = {
        ("timestamp", False): oids.TIMESTAMP,
        ("timestamp", True): oids.TIMESTAMPTZ,
        ("time", False): oids.TIME,
        ("time", True): oids.TIMETZ,
    }[plain, zone]
    return TypeName(oid, min(precision[0], 6) if precision else -1)


def _interval(cursor: Cursor) -> TypeName:
    if cursor.looks("("):
        _modifiers(cursor)  # the precision of seconds; values keep all six digits
        return TypeName(oids.INTERVAL)
    if cursor.one_of(*_INTERVAL_FIELDS) is not None:
        if cursor.accept("to") and cursor.one_of(*_INTERVAL_FIELDS) is None:
            raise cursor.error()
        _modifiers(cursor)
    return TypeName(oids.INTERVAL)


def _numeric_typmod(cursor: Cursor) -> int:
    found = _modifiers(cursor)
    if not found:
        return -1
    if len(found) > 2:
        raise InvalidParameterValue("invalid NUMERIC type modifier")
    precision, scale = found[0], found[1] if len(found) > 1 else 0
    if not 1 <= precision <= 1000:
        raise InvalidParameterValue(f"NUMERIC precision {precision} must be between 1 and 1000")
    if not -1000 <= scale <= 1000:
        raise InvalidParameterValue(f"NUMERIC scale {scale} must be between -1000 and 1000")
    return ((precision << 16) | (scale & 0x7FF)) + 4


_LONG_NAMES: Final[dict[int, str]] = {
    oids.BOOL: "boolean",
    oids.INT2: "smallint",
    oids.INT4: "integer",
    oids.INT8: "bigint",
    oids.FLOAT4: "real",
    oids.FLOAT8: "double precision",
    oids.CHAR: '"char"',
}


def spell_type(oid: int, typmod: int = -1) -> str:
    """PostgreSQL's own spelling of a type (format_type)."""
    if oid in oids.ELEMENTS:
        return spell_type(oids.ELEMENTS[oid]) + "[]"
    if oid == oids.VARCHAR:
        return "character varying" + (f"({typmod - 4})" if typmod >= 4 else "")
    if oid == oids.BPCHAR:
        return f"character({typmod - 4})" if typmod >= 4 else "bpchar"
    if oid == oids.NUMERIC:
        return "numeric" + (f"({precision_of(typmod)},{scale_of(typmod)})" if typmod >= 4 else "")
    if oid in (oids.TIME, oids.TIMETZ, oids.TIMESTAMP, oids.TIMESTAMPTZ):
        base = "timestamp" if oid in (oids.TIMESTAMP, oids.TIMESTAMPTZ) else "time"
        zone = "with" if oid in (oids.TIMETZ, oids.TIMESTAMPTZ) else "without"
        return f"{base}{f'({typmod})' if typmod >= 0 else ''} {zone} time zone"
    return _LONG_NAMES.get(oid) or oids.NAMES.get(oid, str(oid))


def precision_of(typmod: int) -> int:
    """The p of numeric(p,s)."""
    return ((typmod - 4) >> 16) & 0xFFFF


def scale_of(typmod: int) -> int:
    """The s of numeric(p,s); PostgreSQL keeps it as an 11-bit signed number."""
    return (((typmod - 4) & 0x7FF) ^ 1024) - 1024
