"""Running a failed statement once more, under watch, to learn which row it failed at.

SQLite names the columns of a violated constraint and never the row.  A temporary trigger sees each row a statement is
about to write, defaults and all, whatever wrote it: values, a query, a trigger, a foreign key's action.  So on the
error path the statement runs again between a savepoint and its rollback, with such triggers in place: 0.4 ms, paid
by who erred.  Rejected: reading the rows out of the statement's text, which knows no defaults and no UPDATE; a watch
that is always there, which all would pay for.

SQLite has undone the failed run before this one begins, so both start from the same rows and end alike.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import apsw

from lfsql.core.entry import Statement, Value
from lfsql.errors import LfsqlError
from lfsql.storage.authorizer import INTERNAL
from lfsql.storage.functions.registry import INNOCUOUS

SEEN: Final = "_lfsql_seen"
"""The function that a watching trigger calls."""

_SAVEPOINT: Final = "_lfsql_rerun"

Row = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Rerun:
    """A statement that failed on `connection`, and what puts the dice back before it is run again."""

    connection: apsw.Connection
    statement: Statement
    """With the one parameter set it failed at."""
    restart: Callable[[], None]

    @property
    def sql(self) -> str:
        return self.statement.sql

    def watched(
        self, triggers: Sequence[str], seen: Callable[..., None], look: Callable[[], None] | None = None
    ) -> None:
        """Run it with `triggers`, bodies of CREATE TEMP TRIGGER, whose calls of SEEN go to `seen`; `look` after it.

        Everything is taken back.  An interrupt may take the whole transaction with it, as it would any statement's:
        ask `connection.in_transaction` afterwards.
        """
        connection = self.connection
        connection.create_scalar_function(SEEN, seen, -1, flags=INNOCUOUS)
        own(connection, f"SAVEPOINT {_SAVEPOINT}")
        try:
            for number, trigger in enumerate(triggers):
                own(connection, f"CREATE TEMP TRIGGER _lfsql_watch_{number} {trigger}")
            self.restart()
            self._run()
            if look is not None:
                look()
        finally:
            if connection.in_transaction:
                own(connection, f"ROLLBACK TO {_SAVEPOINT}")
                own(connection, f"RELEASE {_SAVEPOINT}")
            connection.create_scalar_function(SEEN, None, -1)

    def _run(self) -> None:
        # It fails as it did before, and that error is already told.
        with contextlib.suppress(apsw.Error, LfsqlError):
            for _ in self.connection.execute(self.sql, self.statement.parameter_sets[0], can_cache=False):
                pass


def own(connection: apsw.Connection, sql: str, parameters: Sequence[Value] = ()) -> list[Row]:
    """A statement of ours."""
    return list(connection.execute(sql, tuple(parameters), prepare_flags=INTERNAL))


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
