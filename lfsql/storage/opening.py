"""How every connection to data.db is set up, so that all nodes and all readers read SQL alike.

The limits are constants, not configuration: a statement that fits on the primary must fit on every replica.
VARIABLE_NUMBER is what SQLite was built with; PostgreSQL's protocol would allow 65,535.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import apsw

from lfsql.errors import ConfigError
from lfsql.storage.authorizer import INTERNAL, Authorizer
from lfsql.storage.faults import UNUSABLE, unusable
from lfsql.storage.functions import register
from lfsql.storage.functions.limits import VALUE_BYTES_MAX

LENGTH_BYTES_MAX: Final = VALUE_BYTES_MAX
"""Of one text or blob, and of one row."""

_LIMITS: Final = {
    apsw.SQLITE_LIMIT_LENGTH: LENGTH_BYTES_MAX,
    apsw.SQLITE_LIMIT_SQL_LENGTH: 16 << 20,
    apsw.SQLITE_LIMIT_EXPR_DEPTH: 1_000,
    apsw.SQLITE_LIMIT_COLUMN: 2_000,
    apsw.SQLITE_LIMIT_COMPOUND_SELECT: 500,
    apsw.SQLITE_LIMIT_VDBE_OP: 10_000_000,
    apsw.SQLITE_LIMIT_FUNCTION_ARG: 127,
    apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 10_000,
    apsw.SQLITE_LIMIT_VARIABLE_NUMBER: 32_766,
    apsw.SQLITE_LIMIT_TRIGGER_DEPTH: 100,
    apsw.SQLITE_LIMIT_WORKER_THREADS: 0,
}

_SWITCHES: Final = {
    apsw.SQLITE_DBCONFIG_DEFENSIVE: 1,
    apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA: 0,
    apsw.SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION: 0,
    apsw.SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER: 0,
    apsw.SQLITE_DBCONFIG_DQS_DDL: 0,
    apsw.SQLITE_DBCONFIG_DQS_DML: 0,
    apsw.SQLITE_DBCONFIG_LEGACY_ALTER_TABLE: 0,
    apsw.SQLITE_DBCONFIG_ENABLE_FKEY: 1,
}

_PRAGMAS: Final = ("recursive_triggers=ON", "cell_size_check=ON", "mmap_size=0", "temp_store=MEMORY")

STATEMENT_CACHE_SIZE: Final = 512


def open_for_writing(
    path: str | Path, vfs: str, clock_us: Callable[[], int], authorizer: Authorizer
) -> apsw.Connection:
    """The engine's connection; makes the file when there is none.  Raises DataCorrupted, ConfigError."""
    connection = _open(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE, vfs)
    with _closing_on_error(connection, path):
        _set_up(connection, clock_us, authorizer)
        # The log is the truth and the applied index is in the same transaction: losing the newest transactions
        # with the power only means applying them again.
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "journal_size_limit=67108864"):
            connection.execute(f"PRAGMA {pragma}", prepare_flags=INTERNAL)
        # Plans must not depend on the values bound, or two nodes could visit rows in two orders.
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    return connection


def open_for_reading(
    path: str | Path, clock_us: Callable[[], int], authorizer: Authorizer, attached: tuple[str, ...] = ()
) -> apsw.Connection:
    """A connection that cannot write `path`; `attached` names empty databases in memory beside it.

    They and everything else are read-only until `PRAGMA query_only` is switched off, which is ours alone to do.
    """
    connection = _open(path, apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI, "")
    with _closing_on_error(connection, path):
        _set_up(connection, clock_us, authorizer)
        for name in attached:
            # Plain ':memory:' would inherit that the connection is read-only.
            connection.execute(f"ATTACH 'file::memory:?mode=memory' AS \"{name}\"", prepare_flags=INTERNAL)
        connection.limit(apsw.SQLITE_LIMIT_ATTACHED, len(attached))
        connection.execute("PRAGMA query_only=ON", prepare_flags=INTERNAL)
    return connection


def _open(path: str | Path, flags: int, vfs: str) -> apsw.Connection:
    try:
        return apsw.Connection(str(path), flags=flags, vfs=vfs or None, statementcachesize=STATEMENT_CACHE_SIZE)
    except apsw.CantOpenError as error:
        raise ConfigError(f"cannot open the database {path}", detail=str(error)) from error


@contextlib.contextmanager
def _closing_on_error(connection: apsw.Connection, path: str | Path) -> Iterator[None]:
    try:
        yield
    except UNUSABLE as error:
        connection.close()
        raise unusable(error, path) from error
    except BaseException:
        connection.close()
        raise


def _set_up(connection: apsw.Connection, clock_us: Callable[[], int], authorizer: Authorizer) -> None:
    for limit, value in _LIMITS.items():
        connection.limit(limit, value)
    for switch, value in _SWITCHES.items():
        connection.config(switch, value)
    connection.set_busy_timeout(5_000)  # only checkpoints and recovery after a crash ever wait
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}", prepare_flags=INTERNAL)
    register(connection, clock_us)
    connection.authorizer = authorizer


def copy_database(source: Path, target: Path) -> None:
    """A copy of a data.db as it is now; others may be using it.  Raises ConfigError when it cannot be read."""
    try:
        with (
            contextlib.closing(apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)) as readable,
            contextlib.closing(apsw.Connection(str(target))) as copy,
            copy.backup("main", readable, "main") as backup,
        ):
            backup.step()
    except apsw.Error as error:
        raise ConfigError(f"{source} cannot be read as a node's data.db: {error}") from error
