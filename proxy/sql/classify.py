"""Read or write: which node may run a statement.

The engine has the last word (a "read" that tries to write fails on a read-only connection before any effect), so
an error here costs a round trip and never correctness.  Whatever is not certainly a read goes to the primary.
"""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from proxy.sql.plan import Kind
from proxy.sql.translation import Translation

_NAMES: Final = """
    nextval setval pg_advisory_lock pg_advisory_lock_shared pg_advisory_unlock
    pg_advisory_unlock_shared pg_advisory_unlock_all pg_advisory_xact_lock pg_advisory_xact_lock_shared
    pg_try_advisory_lock pg_try_advisory_lock_shared pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared
    txid_current
"""
PRIMARY_FUNCTIONS: Final = frozenset(_NAMES.split())
"""Functions that change something, or whose answer only the primary has."""


def classify(tree: exp.Expression, translation: Translation) -> tuple[Kind, str]:
    """(READ or WRITE, why)."""
    if translation.writes:
        return Kind.WRITE, translation.reason
    for node in tree.walk():
        if isinstance(node, exp.Lock):
            return Kind.WRITE, "locks rows"
        if isinstance(node, (exp.Insert, exp.Update, exp.Delete, exp.Merge)):
            return Kind.WRITE, f"{type(node).__name__.lower()} in a WITH clause"
        if isinstance(node, exp.Anonymous) and node.name.lower() in PRIMARY_FUNCTIONS:
            return Kind.WRITE, f"calls {node.name.lower()}"
    return Kind.READ, "select"
