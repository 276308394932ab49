"""What a statement is, found out once by preparing it under the authorizer, without running it.

Everything a client sends is inspected before it first runs under a schema.  That judges it, tells whether it
must be logged, and refuses a second statement hidden behind the first: APSW would run both, and only the last
would be seen.  The prepared statement stays in APSW's cache, so the run does not prepare again.
"""

from __future__ import annotations

import re
from typing import Final

import apsw
import msgspec

from lfsql.core.requests import ColumnDescription
from lfsql.errors import StatementSyntax
from lfsql.storage.authorizer import Authorizer
from lfsql.storage.faults import translate
from lfsql.storage.known_texts import KnownTexts
from lfsql.storage.row_order import depends_on_order

_NOTHING: Final = re.compile(r"(?:[\s;]++|--[^\n]*+|/\*.*?(?:\*/|\Z))*+", re.DOTALL)
"""Each character is looked at once: nothing that was matched is given back, so no text makes it search."""


class Described(msgspec.Struct, frozen=True):
    columns: tuple[ColumnDescription, ...]
    parameters: int
    readonly: bool


class Inspected(msgspec.Struct, frozen=True, gc=False):
    writes: bool
    """Belongs in the log: it may change the database, also when only a function it calls does."""
    readonly: bool
    """A plain query in SQLite's eyes; with `writes`, a SELECT that calls nextval or the like."""
    changes_schema: bool
    indirect: bool
    """A trigger, or a foreign key's action, may change further rows."""
    order_dependent: bool = False
    """What it does may depend on the order of a scan: the log must hold its row changes, not its text."""
    notifies: bool = False
    """Calls pg_notify."""
    creates: str = ""
    """The table that CREATE TABLE ... AS makes and fills."""


class Inspector:
    """For one connection.  forget() when the schema changed."""

    def __init__(self, connection: apsw.Connection, authorizer: Authorizer) -> None:
        self._connection = connection
        self._authorizer = authorizer
        self.known: KnownTexts[Inspected] = KnownTexts()

    def forget(self) -> None:
        self.known.forget()

    def inspect(self, sql: str) -> Inspected:
        """Raises LfsqlError: syntax, unknown names, what is not allowed."""
        found: list[Inspected] = []

        def trace(cursor: apsw.Cursor, text: str, _bindings: object) -> bool:
            authorizer = self._authorizer
            intent = authorizer.intent
            readonly = cursor.is_readonly or bool(cursor.is_explain)
            found.append(
                Inspected(
                    writes=not readonly or (authorizer.calls_writer and not cursor.is_explain),
                    readonly=readonly,
                    changes_schema=authorizer.changes_schema and not cursor.is_explain,
                    indirect=intent.triggered,
                    notifies=authorizer.notifies and not cursor.is_explain,
                    creates=intent.created if intent.selects and not intent.triggered else "",
                )
            )
            _refuse_more(sql, text)
            return False

        self._prepare(sql, trace)
        result = found[0] if found else Inspected(False, True, False, False)
        if result.writes and not result.changes_schema:
            ordered = depends_on_order(self._connection, sql, self._authorizer.intent)
            result = msgspec.structs.replace(result, order_dependent=ordered)
        return self.known.remember(sql, result)

    def describe(self, sql: str) -> Described:
        """Raises what inspect() does."""
        found: list[Described] = []

        def trace(cursor: apsw.Cursor, text: str, _bindings: object) -> bool:
            columns = tuple(
                ColumnDescription(name, declared or "", table or "", column or "")
                for name, declared, _database, table, column in cursor.description_full
            )
            authorizer = self._authorizer
            effects = authorizer.calls_writer or authorizer.notifies
            readonly = cursor.is_explain != 0 or (cursor.is_readonly and not effects)
            found.append(Described(columns, cursor.bindings_count, readonly))
            _refuse_more(sql, text)
            return False

        self._prepare(sql, trace)
        return found[0] if found else Described((), 0, True)

    def _prepare(self, sql: str, trace: apsw.ExecTracer) -> None:
        cursor = self._connection.cursor()
        cursor.exec_trace = trace
        self._authorizer.begin(sql)
        try:
            # Null bindings stand for whatever parameters there are; apsw.ext.query_info does the same.
            # A statement out of APSW's cache was judged under another schema, and would not be judged again.
            cursor.execute(sql, apsw._null_bindings, can_cache=False)  # type: ignore[attr-defined]  # noqa: SLF001 - see above
        except apsw.ExecTraceAbort:
            pass
        except StatementSyntax:
            raise
        except Exception as error:
            raise translate(error, self._connection, sql, self._authorizer.denied) from error
        finally:
            self._authorizer.end()
            cursor.exec_trace = None
            cursor.close()


def _refuse_more(sql: str, first: str) -> None:
    if len(first) != len(sql) and not _NOTHING.fullmatch(sql, len(first)):
        raise StatementSyntax("cannot insert multiple commands into a prepared statement")
