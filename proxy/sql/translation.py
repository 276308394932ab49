"""What `proxy.sql.translate` answers, as a value of its own so that planner and translator share no code."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.sql.plan import ResultColumn, SessionCall


@dataclass(frozen=True, slots=True)
class Translation:
    """One SQLite statement and the types PostgreSQL would report for it.

    `sql` numbers its variables `?1 ... ?N`: first the client's `$1 ... $N` (`parameters` holds their types),
    then the lifted literals (`lifted`, their types), then one value per entry of `session_calls`.
    """

    sql: str
    columns: tuple[ResultColumn, ...] = ()
    parameters: tuple[int, ...] = ()
    lifted: tuple[int, ...] = ()
    session_calls: tuple[SessionCall, ...] = ()
    returns_rows: bool = False
    writes: bool = False
    """INSERT, UPDATE or DELETE, or a SELECT that calls nextval or setval."""
    reason: str = ""
    """Why it writes: 'insert', 'calls nextval'."""
    tag: str = "SELECT"
    catalog: bool = False
    """Reads pg_catalog, information_schema or lfsql relations, or calls their functions."""
    tables: bool = False
    """Names relations of the user's."""
