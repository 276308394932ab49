"""ORDER BY items: PostgreSQL's keys, directions and places of NULL in SQLite's words."""

from __future__ import annotations

from sqlglot import exp

from proxy.sql import operators
from proxy.sql.casts import checked
from proxy.sql.value import Value


def ordering(value: Value, item: exp.Expression) -> str:
    """One item of ORDER BY.  PostgreSQL has NULLs last, SQLite first."""
    return direction(operators.sort_key(checked(value)), item, not_null=value.not_null)


def direction(key: str, item: exp.Expression, *, not_null: bool) -> str:
    down = bool(item.args.get("desc"))
    nulls_first = bool(item.args.get("nulls_first"))
    text = f"{key} DESC" if down else key
    if not_null or nulls_first == (not down):
        return text
    return f"{text} NULLS {'FIRST' if nulls_first else 'LAST'}"
