"""What real clients ask the catalogs, planned and run, against what PostgreSQL 15 answered (`catalog_queries`).

The recording is of PostgreSQL's own server; where lfsql is bound to answer otherwise the query is in
`DIFFERENCES` with the reason, and then only its columns are compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from lfsql.errors import FeatureNotSupported, UndefinedColumn, UndefinedTable
from lfsql.storage import functions
from proxy.pg import types
from proxy.sql import catalog
from proxy.sql.cache import PlanCache
from proxy.sql.catalog.facts import Facts, Setting
from proxy.sql.plan import Kind, Plan, SessionCall
from proxy.sql.planner import plan, split
from proxy.sql.schema import Schema
from proxy.sql.schema_query import SCHEMA_QUERY, schema_from_rows
from tests.sql.catalog_fixture import SCHEMA
from tests.sql.catalog_queries.record import masked, queries

FOLDER = Path(__file__).parent / "catalog_queries"
ROOT = Path(__file__).parents[2]
FACTS = Facts(settings=(Setting("port", "5432", context="postmaster", kind="integer"),))
ONE_CLOCK_US = 1_700_000_000_000_000

PRINTED = {24: 25, 2205: 25, 2206: 25, 4089: 25, 1034: 1009}
"""Types we report otherwise: reg* values leave as text, access lists are text[]."""

NO_SIZES = "the size of a table or database is not told"
ONE_DATABASE = "there is one database, without templates"
OWN_SCHEMA = "the schema lfsql is there beside public, and public is owned by the user"
NOT_OFFERED = "what is not offered is not listed: languages, text search, other types' functions"
OWN_TEXT = "expressions and view definitions are printed as they were written"
NO_SYSTEM_COLUMNS = "ctid, xmin and the like do not exist"
NO_COMMENTS = "built-in objects have no comments"

DIFFERENCES: dict[str, str] = {
    r"psql:\l": ONE_DATABASE,
    r"psql:\l+": ONE_DATABASE,
    r"psql:\d typed 5": OWN_TEXT,
    r"psql:\dn": OWN_SCHEMA,
    r"psql:\dn+": OWN_SCHEMA,
    r"psql:\dt+": NO_SIZES,
    r"psql:\d+": NO_SIZES,
    r"psql:\di+": NO_SIZES,
    r"psql:\dv+": NO_SIZES,
    r"psql:\dx": NOT_OFFERED,
    r"psql:\dL": NOT_OFFERED,
    r"psql:\dA": NOT_OFFERED,
    r"psql:\do +": NOT_OFFERED,
    r"psql:\dF": NOT_OFFERED,
    r"psql:\df+ lower": NOT_OFFERED,
    r"psql:\dT+ int4": NO_COMMENTS,
    r"psql:\dS pg_class 2": "catalogs have no indexes a client could see",
    r"psql:\dS pg_class 3": "access lists are text[]",
    r"psql:\dS pg_class 4": "catalogs have no indexes a client could see",
    "django:2": NO_SYSTEM_COLUMNS,
    "django:9": NO_SYSTEM_COLUMNS,
    "sqlalchemy:2": "version() is our own",
    "sqlalchemy:3": OWN_SCHEMA,
    "sqlalchemy:12": NOT_OFFERED,
    "sqlalchemy:24": OWN_TEXT,
    "sqlalchemy:27": OWN_TEXT,
    "sqlalchemy:39": OWN_TEXT,
    "others:information_schema tables": "views cannot be written",
    "others:information_schema views": "views cannot be written",
    "pgcli:1": OWN_SCHEMA,
    "pgcli:4": ONE_DATABASE,
    "pgcli:9": ONE_DATABASE,
    "pgcli:20": ONE_DATABASE,
    "pgcli:21": "there are no predefined roles",
    "pgcli:22": OWN_SCHEMA,
    "asyncpg:2": "any one row",
}
REFUSED = {"pgcli:8": "a set-returning function beside an aggregate"}
"""Queries without a translation: an error, never a wrong answer."""

SESSION: dict[SessionCall, Any] = {
    SessionCall("current_database"): "lfsql",
    SessionCall("current_user"): "lfsql",
    SessionCall("current_schema"): "public",
    SessionCall("version"): "PostgreSQL 15.0",
    SessionCall("current_schemas", ("true",)): '["pg_catalog","public"]',
    SessionCall("current_schemas", ("false",)): '["public"]',
    SessionCall("current_setting", ("default_table_access_method",)): "heap",
    SessionCall("current_setting", ("TimeZone",)): "UTC",
}


BY_OID = frozenset({"sqlalchemy:34", "sqlalchemy:36"})
"""Ordered by OIDs, which are numbered otherwise."""

Reader = tuple[apsw.Connection, Schema, Callable[[str, Schema], tuple[Plan, tuple[Any, ...]]]]


def cases() -> Iterator[str]:
    for path in sorted(FOLDER.glob("*.sql")):
        for name in queries(path):
            yield f"{path.stem}:{name}"


def schema_of_a_file() -> Schema:
    """The fixture's DDL planned and run, and read back from SQLite."""
    connection = apsw.Connection(":memory:")
    functions.register(connection, lambda: ONE_CLOCK_US)
    for migration in sorted((ROOT / "migrations" / "data").glob("*.sql")):
        connection.execute(migration.read_text())
    schema = Schema()
    for source in split((FOLDER.parent / "catalog_fixture.sql").read_text()):
        for statement in plan(source.text, schema).statements:
            connection.execute(statement)
        schema = schema_from_rows(connection.execute(SCHEMA_QUERY), 1)
    return schema


def plan_as_written(text: str, schema: Schema) -> tuple[Plan, tuple[Any, ...]]:
    return plan(text, schema), ()


def plan_of_shape(text: str, schema: Schema) -> tuple[Plan, tuple[Any, ...]]:
    """The plan cache's, with literals lifted out."""
    return PlanCache().plan(text, schema)


@pytest.fixture(scope="module", params=["given schema", "schema of a file, literals lifted"])
def reader(request: pytest.FixtureRequest) -> Iterator[Reader]:
    given = request.param == "given schema"
    schema = SCHEMA if given else schema_of_a_file()
    flags = apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    connection = apsw.Connection(":memory:", flags=flags)
    for statement in catalog.ATTACHMENTS:
        connection.execute(statement)
    catalog.create(connection)
    catalog.fill(connection, catalog.catalog_rows(schema, FACTS))
    functions.register(connection, lambda: ONE_CLOCK_US)
    for name, function in catalog.catalog_functions(schema, FACTS).items():
        connection.create_scalar_function(name, function, deterministic=True)
    yield connection, schema, plan_as_written if given else plan_of_shape
    connection.close()


def relation_oid(connection: apsw.Connection, name: str) -> str:
    return str(next(iter(connection.execute("SELECT oid FROM pg_class WHERE relname = ?", (name,))))[0])


def answer(
    reader: Reader, text: str, parameters: list[str | None]
) -> tuple[list[tuple[str, int]], list[list[str | None]]]:
    """Columns (name, type) and rows as text, OIDs masked as the recording masks them."""
    connection, schema, make_plan = reader
    known = re.sub(r"\{oid (\w+)\}", lambda match: relation_oid(connection, match.group(1)), text)
    planned, lifted = make_plan(known, schema)
    assert planned.kind is Kind.READ
    (statement,) = planned.statements
    values: list[Any] = [
        None if value is None else types.decode_text(oid, value)
        for oid, value in zip(planned.parameters, parameters, strict=True)
    ]
    values.extend(lifted)
    values.extend(SESSION[call] for call in planned.session_calls)
    columns = planned.columns
    encoders = [types.encoder(column.oid, column.typmod, 0) for column in columns]
    rows = [
        [
            None if value is None else masked(column.oid, encode(value).decode())
            for column, encode, value in zip(columns, encoders, row, strict=True)
        ]
        for row in connection.execute(statement, values)
    ]
    return [(column.name, column.oid) for column in columns], rows


@pytest.mark.parametrize("case", list(cases()))
def test_a_clients_query_is_answered_as_by_postgresql(case: str, reader: Reader) -> None:
    stem, _, name = case.partition(":")
    if case in REFUSED:
        with pytest.raises(FeatureNotSupported):
            answer(reader, *queries(FOLDER / f"{stem}.sql")[name])
        return
    text, parameters = queries(FOLDER / f"{stem}.sql")[name]
    recorded = json.loads((FOLDER / f"{stem}.json").read_text())[name]
    columns, rows = answer(reader, text, parameters)
    assert columns == [(column, PRINTED.get(oid, oid)) for column, oid in recorded["columns"]]
    wanted = recorded["rows"]
    if wanted is None:
        return
    if case in BY_OID or re.search(r"ORDER BY[^)]*$", text, re.IGNORECASE) is None:
        rows, wanted = sorted(rows, key=str), sorted(wanted, key=str)
    if case in DIFFERENCES:
        assert rows != wanted, "no difference any more"
    else:
        assert rows == wanted


@pytest.mark.parametrize(
    "text",
    [
        "SELECT relname FROM pg_class",
        "SELECT table_name FROM information_schema.tables",
        "SELECT name FROM lfsql.nodes",
        "SELECT 'track'::regclass",
        "SELECT $1::regtype",
        "SELECT 1043::regtype::text",
        "SELECT pg_get_viewdef('track_names')",
    ],
)
def test_a_plan_says_that_it_needs_the_catalogs(text: str) -> None:
    assert plan(text, SCHEMA).catalog


def test_a_plan_of_the_users_tables_needs_none() -> None:
    assert not plan("SELECT name FROM track", SCHEMA).catalog


def test_a_serial_columns_sequence_is_known_where_the_catalogs_are_not() -> None:
    planned = plan("""SELECT setval(pg_get_serial_sequence('"typed"', 'id'), max(id)) FROM typed""", SCHEMA)
    assert planned.kind is Kind.WRITE
    assert not planned.catalog
    assert planned.statements == ("""SELECT setval('typed_id_seq', max("typed"."id")) FROM "typed\"""",)
    with pytest.raises(UndefinedColumn):
        plan("SELECT pg_get_serial_sequence('typed', 'nothing')", SCHEMA)
    with pytest.raises(UndefinedTable):
        plan("SELECT pg_get_serial_sequence('nothing', 'id')", SCHEMA)
