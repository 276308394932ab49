"""Filling a connection's attached catalogs: what to run, in order, on whatever runs SQL.

`connection` is an apsw connection, or anything with its two methods.  The databases are attached by the caller
(`ATTACHMENTS`): `mode=memory` in the URI is what lets a connection that is read-only otherwise have them.
query_only must be off while one is filled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, Final, Protocol

from proxy.sql.catalog.builtins import builtin_rows
from proxy.sql.catalog.constraints import constraint_rows
from proxy.sql.catalog.definitions import DATABASES, catalog_ddl, relations
from proxy.sql.catalog.facts import Facts
from proxy.sql.catalog.information import information_rows
from proxy.sql.catalog.model import build_model
from proxy.sql.catalog.relations import relation_rows
from proxy.sql.catalog.rows import Row, Rows
from proxy.sql.catalog.server import live_rows, server_rows
from proxy.sql.schema import Schema

ATTACHMENTS: Final = tuple(f"ATTACH 'file:?mode=memory' AS {database}" for database in DATABASES)
"""Need a connection opened with SQLITE_OPEN_URI."""


class Connection(Protocol):
    @property
    def execute(self) -> Callable[..., Any]: ...

    @property
    def executemany(self) -> Callable[[str, Sequence[Row]], Any]: ...


def catalog_rows(schema: Schema, facts: Facts) -> Rows:
    """Every row of every catalog relation that has any, by (attached database, relation).

    Some lists are shared between calls: read them, do not change them.
    """
    model = build_model(schema)
    return {
        **builtin_rows(),
        **relation_rows(model, facts),
        **constraint_rows(model),
        **information_rows(model, facts),
        **server_rows(facts),
        **live_rows(facts),
    }


@cache
def _insert(database: str, relation: str) -> str:
    places = ", ".join("?" for _ in relations(database)[relation].columns)
    return f'INSERT INTO {database}."{relation}" VALUES ({places})'


def _delete(database: str, relation: str) -> str:
    return f'DELETE FROM {database}."{relation}"'


def create(connection: Connection) -> None:
    """Create the empty relations in the attached databases, once per connection."""
    _in_transaction(connection, (statement for each in catalog_ddl().values() for statement in each), {})


def fill(connection: Connection, rows: Rows) -> None:
    """Replace the rows of every relation that `rows` names, in one transaction.

    Relations without rows stay as they are: `catalog_rows` always names the same ones.
    """
    _in_transaction(connection, (_delete(*name) for name in rows), rows)


def refresh(connection: Connection, facts: Facts) -> None:
    """Replace the live rows only: before a statement that names one of `LIVE_RELATIONS`."""
    fill(connection, live_rows(facts))


def _in_transaction(connection: Connection, statements: Iterable[str], rows: Rows) -> None:
    connection.execute("SAVEPOINT lfsql_catalog")
    try:
        for statement in statements:
            connection.execute(statement)
        for (database, relation), each in rows.items():
            if each:
                connection.executemany(_insert(database, relation), each)
    except BaseException:
        connection.execute("ROLLBACK TO lfsql_catalog")
        connection.execute("RELEASE lfsql_catalog")
        raise
    connection.execute("RELEASE lfsql_catalog")
