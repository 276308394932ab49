"""Plans by exact text, then by shape.  (Signatures; the body follows.)"""

from __future__ import annotations

from lfsql.core.entry import Value
from proxy.sql.lexer import Dialect
from proxy.sql.plan import Plan
from proxy.sql.schema import Schema


class PlanCache:
    """Bounded; one per proxy worker.  Plans are kept per Schema *object*, so a session that sees its own
    uncommitted DDL simply passes the Schema it loaded, and never disturbs the others."""

    def __init__(self, plans_max: int = 4096, characters_max: int = 16 * 1024 * 1024) -> None:
        raise NotImplementedError

    def plan(
        self,
        text: str,
        schema: Schema,
        *,
        dialect: Dialect = "postgresql",
        parameter_oids: tuple[int, ...] = (),
        search_path: tuple[str, ...] = ("public",),
        lift: bool = True,
    ) -> tuple[Plan, tuple[Value, ...]]:
        """The plan and the values of its lifted literals, to be bound after the client's parameters.

        Plans it when it is not there; errors are those of `planner.plan` and are not cached.  `lift` False: keep
        literals in the text (a statement that is parsed once and executed often).
        """
        raise NotImplementedError
