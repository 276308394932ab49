"""A statement's text -> its Plan.  (Signatures; the body follows.)"""

from __future__ import annotations

from proxy.sql.lexer import Dialect, Source, split
from proxy.sql.plan import Plan
from proxy.sql.schema import Schema

__all__ = ["Dialect", "Source", "plan", "split"]


def plan(
    text: str,
    schema: Schema,
    *,
    dialect: Dialect = "postgresql",
    parameter_oids: tuple[int, ...] = (),
    search_path: tuple[str, ...] = ("public",),
) -> Plan:
    """Plan one statement (see `split`); '' and comments alone give Kind.EMPTY.

    Raises StatementError subclasses and FeatureNotSupported; positions count within `text`.
    """
    raise NotImplementedError
