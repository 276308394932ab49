"""The schema of a data file, read with one query.  (Signatures; the body follows.)"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from proxy.sql.schema import Schema

SCHEMA_QUERY: str = ""
"""Takes no parameters, runs on any connection to a data file.  Its rows, in any order, go to `schema_from_rows`."""


def schema_from_rows(rows: Iterable[tuple[Any, ...]], index: int) -> Schema:
    raise NotImplementedError


def relation_oid(name: str) -> int:
    """A relation's OID: stable across nodes and restarts, derived from its name (also for indexes)."""
    raise NotImplementedError
