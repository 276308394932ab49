"""BEGIN to ROLLBACK, savepoints, and the modes of SET TRANSACTION."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from proxy.sql.lexer import QUOTED, WORD
from proxy.sql.token_cursor import Cursor
from proxy.sql.utility import Begin, Commit, ReleaseSavepoint, Rollback, RollbackToSavepoint, Savepoint

Isolation = Literal["read uncommitted", "read committed", "repeatable read", "serializable"]


def parse_begin(cursor: Cursor) -> Begin:
    cursor.one_of("work", "transaction")
    return parse_modes(cursor)


def parse_start(cursor: Cursor) -> Begin:
    cursor.expect("transaction")
    return replace(parse_modes(cursor), tag="START TRANSACTION")


def parse_modes(cursor: Cursor, required: bool = False) -> Begin:
    """transaction_mode_list: commas between the modes may be left out."""
    isolation: Isolation | None = None
    read_only: bool | None = None
    deferrable: bool | None = None
    count = 0
    while True:
        if cursor.accept("isolation", "level"):
            isolation = _isolation(cursor)
        elif cursor.accept("read", "only"):
            read_only = True
        elif cursor.accept("read", "write"):
            read_only = False
        elif cursor.accept("deferrable"):
            deferrable = True
        elif cursor.accept("not", "deferrable"):
            deferrable = False
        elif count == 0 and not required:
            break
        else:
            raise cursor.error()
        count += 1
        if not cursor.accept(",") and cursor.ended:
            break
    return Begin(isolation, read_only, deferrable)


def _isolation(cursor: Cursor) -> Isolation:
    if cursor.accept("serializable"):
        return "serializable"
    if cursor.accept("repeatable", "read"):
        return "repeatable read"
    if cursor.accept("read", "committed"):
        return "read committed"
    if cursor.accept("read", "uncommitted"):
        return "read uncommitted"
    raise cursor.error()


def _chain(cursor: Cursor) -> bool:
    if cursor.accept("and"):
        no = cursor.accept("no")
        cursor.expect("chain")
        return not no
    return False


def parse_commit(cursor: Cursor) -> Commit:
    if cursor.looks("prepared"):
        raise cursor.unsupported("COMMIT PREPARED")
    cursor.one_of("work", "transaction")
    return Commit(_chain(cursor))


def parse_rollback(cursor: Cursor) -> Rollback | RollbackToSavepoint:
    if cursor.looks("prepared"):
        raise cursor.unsupported("ROLLBACK PREPARED")
    cursor.one_of("work", "transaction")
    if cursor.accept("to"):
        cursor.accept("savepoint")
        return RollbackToSavepoint(cursor.name())
    return Rollback(_chain(cursor))


def parse_abort(cursor: Cursor) -> Rollback:
    cursor.one_of("work", "transaction")
    return Rollback(_chain(cursor))


def parse_savepoint(cursor: Cursor) -> Savepoint:
    return Savepoint(cursor.name())


def parse_release(cursor: Cursor) -> ReleaseSavepoint:
    if cursor.looks("savepoint") and cursor.ahead().kind in (WORD, QUOTED):
        cursor.take()
    return ReleaseSavepoint(cursor.name())
