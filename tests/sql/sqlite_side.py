"""SQLite's side of the differential tests: the tables of `against_postgres/schema.sql` and statements run on them.

Statements go the way they go in production, short of the wire: lexer, grammar, translation, apsw with lfsql's
functions, and the text encoders of `proxy.pg`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import apsw

from lfsql.errors import LfsqlError
from lfsql.storage.functions import register
from proxy.pg import oids
from proxy.pg.types import Value, encoder
from proxy.sql.catalog.functions import catalog_functions
from proxy.sql.lexer import tokens
from proxy.sql.parsing import parse_statement
from proxy.sql.plan import SessionCall
from proxy.sql.schema import Column, Relation, Schema
from proxy.sql.translate import Translation, translate

DIRECTORY = Path(__file__).parent / "against_postgres"
CLOCK_US = 1_700_000_000_123_456

_TYPES = {
    "int": (oids.INT4, -1),
    "bigint": (oids.INT8, -1),
    "smallint": (oids.INT2, -1),
    "text": (oids.TEXT, -1),
    "numeric": (oids.NUMERIC, -1),
    "numeric(10,2)": (oids.NUMERIC, ((10 << 16) | 2) + 4),
    "float8": (oids.FLOAT8, -1),
    "real": (oids.FLOAT4, -1),
    "date": (oids.DATE, -1),
    "time": (oids.TIME, -1),
    "timestamp": (oids.TIMESTAMP, -1),
    "timestamptz": (oids.TIMESTAMPTZ, -1),
    "bool": (oids.BOOL, -1),
    "json": (oids.JSON, -1),
    "jsonb": (oids.JSONB, -1),
    "int[]": (oids.ARRAYS[oids.INT4], -1),
    "text[]": (oids.ARRAYS[oids.TEXT], -1),
    "interval": (oids.INTERVAL, -1),
    "uuid": (oids.UUID, -1),
    "bytea": (oids.BYTEA, -1),
    "varchar(20)": (oids.VARCHAR, 24),
    "varchar(50)": (oids.VARCHAR, 54),
    "char(5)": (oids.BPCHAR, 9),
}


def lines(name: str) -> list[str]:
    """The statements of a file, one a line; `--` lines are comments."""
    return [
        line for line in (DIRECTORY / name).read_text().splitlines() if line.strip() and not line.startswith("--")
    ]


def _column(text: str, number: int) -> Column:
    name, rest = text.split(" ", 1)
    kind, *extra = rest.split(" ", 1)
    options = extra[0] if extra else ""
    oid, typmod = _TYPES[kind]
    default = options.split("default ")[1].split()[0] if "default " in options else None
    declared = f"array text({oid})" if oid in oids.ELEMENTS else oids.DECLARED[oid]
    key = "primary key" in options
    return Column(
        name,
        oid,
        typmod,
        number,
        "INTEGER" if key and oid == oids.INT4 else declared,
        not_null=key or "not null" in options,
        default=default,
        primary_key=int(key),
    )


@cache
def schema() -> Schema:
    relations = {}
    for at, line in enumerate(each for each in lines("schema.sql") if each.startswith("create")):
        head, body = line.removeprefix("create table ").rstrip(";").split(" (", 1)
        texts = body.removesuffix(")").replace("numeric(10,2)", "numeric(10;2)").split(", ")
        columns = tuple(_column(text.replace(";", ","), number) for number, text in enumerate(texts, 1))
        relations[head] = Relation(head, 16400 + at, "table", columns, line)
    return Schema(1, relations)


def _definition(relation: Relation) -> str:
    parts = []
    for column in relation.columns:
        text = f'"{column.name}" {column.declared}'
        if column.primary_key:
            text += " PRIMARY KEY"
        if column.not_null:
            text += " NOT NULL"
        if column.default:
            text += f" DEFAULT {column.default}"
        if column.oid == oids.NUMERIC:
            text += " COLLATE lfsql_numeric"
        parts.append(text)
    return f'CREATE TABLE "{relation.name}" ({", ".join(parts)})'


@dataclass(frozen=True)
class Answer:
    """What a client sees: column names and types, rows as text; or an error's SQLSTATE."""

    names: tuple[str, ...] = ()
    types: tuple[int, ...] = ()
    rows: tuple[tuple[str | None, ...], ...] = ()
    sqlstate: str = ""
    message: str = ""


def planned(text: str, parameter_oids: tuple[int, ...] = (), lifted: tuple[int, ...] = ()) -> Translation:
    return translate(parse_statement(tokens(text)), schema(), parameter_oids, lifted)


def session_answer(call: SessionCall) -> Value:
    if call == SessionCall("current_setting", ("TimeZone",)):
        return "UTC"
    return {"current_user": "postgres", "current_database": "postgres", "current_schema": "public"}.get(call.name)


def open_tables() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    register(connection, lambda: CLOCK_US)
    for name, function in catalog_functions(schema()).items():
        connection.create_scalar_function(name, function, -1)
    for relation in schema().relations.values():
        connection.execute(_definition(relation))
    for line in lines("schema.sql"):
        if line.startswith("insert"):
            run(connection, line.rstrip(";"))
    return connection


def run(connection: apsw.Connection, text: str, parameters: Sequence[Value] = ()) -> Answer:
    """Translate and execute.  Errors become answers; anything else than an error of ours is a bug and is raised."""
    try:
        translation = planned(text)
    except LfsqlError as error:
        return Answer(sqlstate=error.sqlstate, message=error.message)
    bound = [*parameters, *(session_answer(call) for call in translation.session_calls)]
    try:
        rows = list(connection.execute(translation.sql, bound))
    except LfsqlError as error:
        return Answer(sqlstate=error.sqlstate, message=error.message)
    except apsw.ConstraintError as error:
        return Answer(sqlstate="23502" if "NOT NULL" in str(error) else "23505", message=str(error))
    encoders = [encoder(column.oid, column.typmod) for column in translation.columns]
    shown = tuple(
        tuple(None if value is None else encode(value).decode() for value, encode in zip(row, encoders, strict=True))
        for row in rows
    )
    if not translation.returns_rows:
        shown = ()
    return Answer(
        tuple(column.name for column in translation.columns),
        tuple(column.oid for column in translation.columns),
        shown,
    )
