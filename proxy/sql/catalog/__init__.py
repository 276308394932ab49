"""pg_catalog, information_schema and lfsql.* as relations SQLite can query.

Reading order: `definitions` (the relations), `model` (the user's schema with OIDs), `relations`, `constraints`,
`information`, `server`, `builtins` (rows), `functions`, `attach` (filling a connection), `rewrite` (what catalog
queries write that no other query does).
"""

from __future__ import annotations

from proxy.sql.catalog.attach import ATTACHMENTS, catalog_rows, create, fill, refresh
from proxy.sql.catalog.definitions import DATABASES, catalog_ddl, relation_schema
from proxy.sql.catalog.facts import LIVE_RELATIONS, Facts
from proxy.sql.catalog.functions import RESULT_TYPES, catalog_functions
from proxy.sql.catalog.server import live_rows

__all__ = [
    "ATTACHMENTS",
    "DATABASES",
    "LIVE_RELATIONS",
    "RESULT_TYPES",
    "Facts",
    "catalog_ddl",
    "catalog_functions",
    "catalog_rows",
    "create",
    "fill",
    "live_rows",
    "refresh",
    "relation_schema",
]
