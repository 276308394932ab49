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
    nextval setval lastval currval pg_advisory_lock pg_advisory_lock_shared pg_advisory_unlock
    pg_advisory_unlock_shared pg_advisory_unlock_all pg_advisory_xact_lock pg_advisory_xact_lock_shared
    pg_try_advisory_lock pg_try_advisory_lock_shared pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared
    pg_notify txid_current pg_current_xact_id pg_export_snapshot lo_create lo_creat lo_unlink lo_put lo_import
    lo_from_bytea lowrite loread lo_open
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


def unlocked(tree: exp.Expression) -> exp.Expression:
    """The tree without FOR UPDATE and its kin: the one writer holds everything locked anyway."""
    if not any(query.args.get("locks") for query in tree.find_all(exp.Query)):
        return tree
    copy = tree.copy()
    for query in copy.find_all(exp.Query):
        if query.args.get("locks"):
            query.set("locks", None)
    return copy
