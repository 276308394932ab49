"""What a client's SQL may do, decided by SQLite's own reading of it.

The authorizer is called while a statement is prepared, with SQLite's resolved names: inside views, triggers and
subqueries too.  No look at the text could do that.  It also reports what the statement is about to do (change
the schema, call a function that writes), which the engine needs before running it.

It judges only while `judging`, that is while `lfsql.storage.inspection` prepares a text for the first time under
a schema.  What runs afterwards was judged, or is a statement of our own, or is prepared inside one of our
functions.  Changing the callback would expire every prepared statement, so it is installed once.  Statements
of our own are prepared with `INTERNAL`, a flag that costs nothing but keeps them apart in APSW's cache: a client
that sends the same text gets its own, judged, statement.

Writes to the two sidecar tables come from the planner, as part of DDL.  A statement is the planner's when its
text begins with `TRUSTED`; the proxy removes that comment from the start of whatever a client sends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import apsw

from lfsql.errors import FeatureNotSupported, InsufficientPrivilege, LfsqlError

TRUSTED: Final = "/*lfsql*/"
INTERNAL: Final = apsw.SQLITE_PREPARE_PERSISTENT

OWN_PREFIX: Final = "_lfsql_"
SIDECARS: Final = frozenset({"_lfsql_columns", "_lfsql_sequences"})
CORE: Final = frozenset({"_lfsql_state", "_lfsql_clients", "_lfsql_clients_by_index", "_lfsql_migrations"})
SECRET: Final = frozenset({"_lfsql_clients"})
"""Holds other clients' results."""
PER_NODE: Final = frozenset({"dbstat", "sqlite_dbpage", "bytecode", "tables_used", "sqlite_stmt"})
"""Tables about this node's file or connection: a write that read them would differ from node to node."""

_PRAGMAS_PER_NODE: Final = """
    analysis_limit automatic_index busy_timeout cache_size cache_spill cell_size_check checkpoint_fullfsync
    count_changes data_version database_list defer_foreign_keys empty_result_callbacks freelist_count
    full_column_names fullfsync hard_heap_limit ignore_check_constraints journal_size_limit legacy_alter_table
    locking_mode max_page_count optimize page_count query_only read_uncommitted reverse_unordered_selects
    schema_version secure_delete short_column_names soft_heap_limit synchronous temp_store threads
    trusted_schema writable_schema
"""
PRAGMA_TABLES_PER_NODE: Final = frozenset(f"pragma_{name}" for name in _PRAGMAS_PER_NODE.split())
"""PRAGMAs that are refused below, by their names as tables: SQLite runs those without asking anybody."""

WRITING_FUNCTIONS: Final = frozenset({"nextval", "setval"})
"""Functions that change the database though the statement that calls them may be a plain SELECT."""

NOTIFYING_FUNCTION: Final = "lfsql_notify"
"""Changes nothing in the database, and yet makes a record of the log, see `lfsql.storage.functions.notifications`."""

FORBIDDEN_FUNCTIONS: Final = frozenset({"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"})

VIRTUAL_TABLE_MODULES: Final = frozenset({"fts3", "fts4", "fts5", "fts5vocab", "rtree", "rtree_i32", "geopoly"})

PRAGMAS: Final = frozenset(
    {
        "collation_list", "compile_options", "foreign_key_check", "foreign_key_list",
        "function_list", "index_info", "index_list", "index_xinfo", "integrity_check", "module_list",
        "pragma_list", "quick_check", "table_info", "table_list", "table_xinfo",
    }
)  # fmt: skip
"""Take arguments and only look."""

PRAGMAS_WITHOUT_ARGUMENT: Final = frozenset(
    {
        "application_id", "auto_vacuum", "encoding", "foreign_keys", "journal_mode", "page_size",
        "recursive_triggers", "user_version",
    }
)  # fmt: skip
"""With an argument they would change the connection or the file behind the log's back.

Neither list has what can differ between nodes (paths, page counts, caches): a write that read it would diverge."""

_UNREADABLE: Final = SECRET | PER_NODE | PRAGMA_TABLES_PER_NODE
_SCHEMA_CHANGES: Final = frozenset(
    {
        apsw.SQLITE_CREATE_INDEX, apsw.SQLITE_CREATE_TABLE, apsw.SQLITE_CREATE_TRIGGER,
        apsw.SQLITE_CREATE_VIEW, apsw.SQLITE_CREATE_VTABLE, apsw.SQLITE_DROP_INDEX,
        apsw.SQLITE_DROP_TABLE, apsw.SQLITE_DROP_TRIGGER, apsw.SQLITE_DROP_VIEW,
        apsw.SQLITE_DROP_VTABLE, apsw.SQLITE_ALTER_TABLE,
    }
)  # fmt: skip
_TEMPORARY: Final = frozenset(
    {
        apsw.SQLITE_CREATE_TEMP_INDEX, apsw.SQLITE_CREATE_TEMP_TABLE, apsw.SQLITE_CREATE_TEMP_TRIGGER,
        apsw.SQLITE_CREATE_TEMP_VIEW,
    }
)  # fmt: skip
_ROW_CHANGES: Final = frozenset({apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE, apsw.SQLITE_DELETE})


@dataclass(slots=True)
class Intent:
    """What the statement that was prepared last is about to do, as far as SQLite says."""

    kind: int = 0
    """INSERT, UPDATE or DELETE, by SQLite's number; 0 for none of them."""
    target: str = ""
    """The table that it changes itself."""
    updated: set[str] = field(default_factory=set)
    """Columns of it that are set, in lower case."""
    read: set[str] = field(default_factory=set)
    """Tables, in lower case."""
    selects: int = 0
    """Queries within; two or more rows of VALUES count as one."""
    others: bool = False
    """Further tables are changed: by triggers, or by foreign keys' actions."""
    triggered: bool = False
    """A trigger or a view takes part."""
    created: str = ""
    """A table that it makes."""
    maintains: bool = False
    """ANALYZE or REINDEX: no rows of a table change."""


class Authorizer:
    """One per connection.  Prepare between begin() and end(); read the findings after."""

    def __init__(self) -> None:
        self.judging = False
        self.trusted = False
        """The statement is the planner's: the sidecar tables may be written, `_lfsql_` names made and dropped."""
        self.denied: LfsqlError | None = None
        """Why the last denial; SQLite itself says no more than "not authorized"."""
        self.changes_schema = False
        self.calls_writer = False
        self.notifies = False
        self.intent = Intent()

    def begin(self, sql: str) -> None:
        """A client's statement is about to be prepared."""
        self.judging = True
        self.trusted = sql.startswith(TRUSTED)
        self.denied = None
        self.changes_schema = self.calls_writer = self.notifies = False
        self.intent = Intent()

    def end(self) -> None:
        self.judging = False

    def __call__(
        self, action: int, first: str | None, second: str | None, database: str | None, via: str | None
    ) -> int:
        if not self.judging:
            return apsw.SQLITE_OK
        if action in (apsw.SQLITE_SELECT, apsw.SQLITE_RECURSIVE):
            self.intent.selects += 1
            return apsw.SQLITE_OK
        if via is not None:
            self.intent.triggered = True
        if action == apsw.SQLITE_READ:
            self.intent.read.add((first or "").lower())
        elif action in _ROW_CHANGES:
            self._note_change(action, first or "", second or "")
        elif action == apsw.SQLITE_CREATE_TABLE:
            self.intent.created = first or ""
        elif action in (apsw.SQLITE_ANALYZE, apsw.SQLITE_REINDEX):
            self.intent.maintains = True
        denied = self._judge(action, first or "", second or "", database or "")
        if denied is None:
            return apsw.SQLITE_OK
        self.denied = denied
        return apsw.SQLITE_DENY

    def _note_change(self, action: int, table: str, column: str) -> None:
        intent = self.intent
        if not intent.target:
            intent.kind, intent.target = action, table
        if table != intent.target:
            intent.others = True
        elif action == apsw.SQLITE_UPDATE:
            intent.updated.add(column.lower())

    def _judge(self, action: int, first: str, second: str, database: str) -> LfsqlError | None:
        if action == apsw.SQLITE_READ:
            return _not_for_you(first) if first.lower() in _UNREADABLE else None
        if action == apsw.SQLITE_FUNCTION:
            return self._judge_function(second.lower())
        if action in _ROW_CHANGES:
            # The planner writes the sidecars, and fills a table it rebuilds under a name of our own.
            own = first.lower().startswith(OWN_PREFIX)
            return _not_for_you(first) if own and (not self.trusted or first.lower() in CORE) else None
        if action in _SCHEMA_CHANGES:
            if database.lower() == "temp":  # CREATE TABLE temp.x; with the word TEMP it is another action
                return _no_temporary()
            return self._judge_schema_change(action, first, second)
        if action == apsw.SQLITE_PRAGMA:
            return _judge_pragma(first.lower(), second)
        if action in _TEMPORARY:
            return _no_temporary()
        if action in (apsw.SQLITE_TRANSACTION, apsw.SQLITE_SAVEPOINT):
            return InsufficientPrivilege(f"{first} must be sent as a statement of its own")
        if action in (apsw.SQLITE_ATTACH, apsw.SQLITE_DETACH):
            return InsufficientPrivilege("other files cannot be attached, written or detached")
        return None

    def _judge_function(self, name: str) -> LfsqlError | None:
        if name in WRITING_FUNCTIONS:
            self.calls_writer = True
        elif name == NOTIFYING_FUNCTION:
            self.notifies = True
        if name in FORBIDDEN_FUNCTIONS:
            return InsufficientPrivilege(f"permission denied for function {name}")
        return None

    def _judge_schema_change(self, action: int, first: str, second: str) -> LfsqlError | None:
        self.changes_schema = True
        if action in (apsw.SQLITE_CREATE_VTABLE, apsw.SQLITE_DROP_VTABLE):
            if second.lower() not in VIRTUAL_TABLE_MODULES:
                return FeatureNotSupported(f'virtual table module "{second}" is not supported')
            second = ""
        if action == apsw.SQLITE_ALTER_TABLE:
            first = ""  # the database's name
        for name in (first.lower(), second.lower()):
            if name in CORE or name in SIDECARS or (name.startswith(OWN_PREFIX) and not self.trusted):
                return _not_for_you(name)
        return None


def _no_temporary() -> FeatureNotSupported:
    return FeatureNotSupported("temporary tables, views and triggers are not supported")


def _judge_pragma(name: str, argument: str) -> LfsqlError | None:
    if name in PRAGMAS or (name in PRAGMAS_WITHOUT_ARGUMENT and not argument):
        return None
    return InsufficientPrivilege(f"PRAGMA {name} is not allowed here")


def _not_for_you(name: str) -> LfsqlError:
    return InsufficientPrivilege(f"permission denied for table {name}", hint="Names beginning with _lfsql_ are ours.")
