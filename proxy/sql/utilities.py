"""Utility statements -> the values of `proxy.sql.utility`, after PostgreSQL 15's grammar.

Written by hand on the lexer's tokens: sqlglot reads SAVEPOINT, RELEASE, DISCARD, LISTEN and DEALLOCATE as column
aliases, does not know most of the others, and has no position to report.  COPY and the cursor statements have
modules of their own.

`parse_utility` answers None for a statement that is none of these.  What PostgreSQL has and this tier has not is
refused by name with 0A000.  Accepted without an effect, because tools send them in passing and nothing is lost:
VACUUM, ANALYZE, CHECKPOINT, CLUSTER, REINDEX, LOCK TABLE (one writer at a time), COMMENT ON, GRANT and REVOKE
(every user of a tier has the same rights), and, in `proxy.sql.ddl`,
ALTER ... OWNER TO and CREATE EXTENSION IF NOT EXISTS plpgsql.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, Literal, cast

from lfsql.errors import FeatureNotSupported, InvalidParameterValue, StatementSyntax
from proxy.sql.column_types import parse_type
from proxy.sql.copy_statement import parse_copy
from proxy.sql.cursor_statements import parse_close, parse_declare, parse_fetch
from proxy.sql.lexer import QUOTED, WORD
from proxy.sql.maintenance_statements import (
    parse_analyze,
    parse_checkpoint,
    parse_cluster,
    parse_comment,
    parse_grant,
    parse_listen,
    parse_lock,
    parse_notify,
    parse_reindex,
    parse_revoke,
    parse_unlisten,
    parse_vacuum,
)
from proxy.sql.schema import Schema
from proxy.sql.setting_statements import parse_discard, parse_reset, parse_set, parse_show, setting_value
from proxy.sql.token_cursor import Cursor
from proxy.sql.transaction_statements import (
    parse_abort,
    parse_begin,
    parse_commit,
    parse_release,
    parse_rollback,
    parse_savepoint,
    parse_start,
)
from proxy.sql.utility import (
    Begin,
    Commit,
    Deallocate,
    Discard,
    ExecutePrepared,
    Explain,
    FetchCursor,
    Maintenance,
    Prepare,
    ReleaseSavepoint,
    Rollback,
    RollbackToSavepoint,
    SetConstraints,
    SetSetting,
    SetTransaction,
    Utility,
)
from proxy.sql.verbs import CHANGES, QUERIES, says

_REFUSED: Final[dict[str, str]] = {
    "do": "DO",
    "call": "CALL",
    "load": "LOAD",
    "import": "IMPORT FOREIGN SCHEMA",
    "security": "SECURITY LABEL",
    "reassign": "REASSIGN OWNED",
    "refresh": "REFRESH MATERIALIZED VIEW",
    "merge": "MERGE",
}


def parse_utility(cursor: Cursor, schema: Schema) -> Utility | None:
    """Read a whole utility statement.  None, with the cursor unmoved, when it is not one."""
    word = cursor.token.value if cursor.token.kind == WORD else ""
    if word in _REFUSED:
        raise FeatureNotSupported(f"{_REFUSED[word]} is not supported", position=cursor.token.start + 1)
    if word == "copy":
        cursor.take()
        return parse_copy(cursor, schema)
    parse = _PARSERS.get(word)
    if parse is None:
        return None
    cursor.take()
    found = parse(cursor)
    cursor.finish()
    return found


# -- Prepared statements -----------------------------------------------------------------------------------


def _prepare(cursor: Cursor) -> Prepare:
    if cursor.looks("transaction"):
        raise cursor.unsupported("PREPARE TRANSACTION")
    name = cursor.name()
    parameters: list[int] = []
    if cursor.accept("("):
        parameters = [found.oid for found in cursor.commas(lambda: parse_type(cursor))]
        cursor.expect(")")
    cursor.expect("as")
    # REPLACE is SQLite's; in PostgreSQL's dialect planning what is prepared refuses it.
    if cursor.token.value not in QUERIES | CHANGES | {"(", "replace"}:
        raise cursor.error()
    return Prepare(name, tuple(parameters), cursor.rest())


def _execute(cursor: Cursor) -> ExecutePrepared:
    name = cursor.name()
    arguments: list[str] = []
    if cursor.accept("("):

        def argument() -> str:
            found = cursor.until(lambda token: token.text == ",")
            if not found:
                raise cursor.error()
            return cursor.slice(found)

        arguments = cursor.commas(argument)
        cursor.expect(")")
    return ExecutePrepared(name, tuple(arguments))


def _deallocate(cursor: Cursor) -> Deallocate:
    if cursor.looks("prepare") and cursor.ahead().kind in (WORD, QUOTED):
        cursor.take()
    if cursor.accept("all"):
        return Deallocate(None)
    return Deallocate(cursor.name())


def _explain(cursor: Cursor) -> Explain:
    if cursor.looks("(") and cursor.ahead().value not in ("select", "values", "with", "table", "("):
        asked = explain_options(cursor)
    else:
        asked = Explain("", cursor.one_of("analyze", "analyse") is not None)
        cursor.accept("verbose")
    start = cursor.tokens[cursor.at - 1].end
    if not asked.route or cursor.ended:  # where it would go can be asked of every statement
        _explainable(cursor)
    cursor.rest()
    return replace(asked, text=cursor.text[start:].strip())  # with its comments, which may be hints


def explain_options(cursor: Cursor) -> Explain:
    """EXPLAIN's options in parentheses, for a statement that is still to be named."""
    analyze = route = False
    shape: Literal["text", "json", "xml", "yaml"] = "text"
    cursor.expect("(")

    def option() -> tuple[str, str]:
        name = cursor.label()
        value = "true"
        if not cursor.looks(",") and not cursor.looks(")"):
            value = setting_value(cursor).lower()
        return name, value

    for name, value in cursor.commas(option):
        if name in ("analyze", "analyse"):
            analyze = boolean(value, "analyze")
        elif name == "route":
            route = boolean(value, "route")
        elif name == "format":
            if value not in ("text", "json", "xml", "yaml"):
                raise InvalidParameterValue(f'unrecognized value for EXPLAIN option "format": "{value}"')
            shape = cast(Literal["text", "json", "xml", "yaml"], value)
        elif name in ("verbose", "costs", "settings", "buffers", "wal", "timing", "summary", "generic_plan"):
            boolean(value, name)
        else:
            raise StatementSyntax(f'unrecognized EXPLAIN option "{name}"')
    cursor.expect(")")
    return Explain("", analyze, shape, route)


def _explainable(cursor: Cursor) -> None:
    """What EXPLAIN takes, which with ANALYZE it runs: queries, changes, and what has a query inside."""
    if cursor.looks("execute") or cursor.looks("declare"):
        raise cursor.unsupported(f"EXPLAIN {cursor.token.value.upper()}")
    if cursor.looks("create"):
        ahead = cursor.tokens[cursor.at + 1 :]
        if any(token.value == "table" for token in ahead[:3]) and says(ahead, "as"):
            return
    elif (cursor.token.kind == WORD and cursor.token.value in QUERIES | CHANGES) or cursor.looks("("):
        return
    raise cursor.error()


def boolean(value: str, option: str) -> bool:
    """A utility option's truth value."""
    if value in ("true", "on", "1"):
        return True
    if value in ("false", "off", "0"):
        return False
    raise StatementSyntax(f"{option} requires a Boolean value")


_PARSERS: Final[dict[str, Callable[[Cursor], Utility]]] = {
    "begin": parse_begin,
    "start": parse_start,
    "commit": parse_commit,
    "end": parse_commit,
    "rollback": parse_rollback,
    "abort": parse_abort,
    "savepoint": parse_savepoint,
    "release": parse_release,
    "set": parse_set,
    "show": parse_show,
    "reset": parse_reset,
    "discard": parse_discard,
    "prepare": _prepare,
    "execute": _execute,
    "deallocate": _deallocate,
    "explain": _explain,
    "declare": parse_declare,
    "fetch": lambda cursor: parse_fetch(cursor, move=False),
    "move": lambda cursor: parse_fetch(cursor, move=True),
    "close": parse_close,
    "vacuum": parse_vacuum,
    "analyze": parse_analyze,
    "analyse": parse_analyze,
    "checkpoint": parse_checkpoint,
    "cluster": parse_cluster,
    "reindex": parse_reindex,
    "lock": parse_lock,
    "comment": parse_comment,
    "grant": parse_grant,
    "revoke": parse_revoke,
    "listen": parse_listen,
    "unlisten": parse_unlisten,
    "notify": parse_notify,
}


def tag_of(found: Utility) -> str:
    """The command tag, without a count."""
    match found:
        case Begin():
            return found.tag
        case Commit():
            return "COMMIT"
        case Rollback() | RollbackToSavepoint():
            return "ROLLBACK"
        case SetTransaction() | SetSetting():
            return "SET"
        case SetConstraints():
            return "SET CONSTRAINTS"
        case ReleaseSavepoint():
            return "RELEASE"
        case Deallocate(name=None):
            return "DEALLOCATE ALL"
        case Discard(what=what):
            return f"DISCARD {what.upper()}"
        case Maintenance(tag=tag):
            return tag
        case FetchCursor(move=True):
            return "MOVE"
        case _:
            return _TAGS[type(found).__name__]


_TAGS: Final[dict[str, str]] = {
    "Savepoint": "SAVEPOINT",
    "ShowSetting": "SHOW",
    "ResetSetting": "RESET",
    "Prepare": "PREPARE",
    "ExecutePrepared": "EXECUTE",
    "Deallocate": "DEALLOCATE",
    "CopyIn": "COPY",
    "CopyOut": "COPY",
    "Explain": "EXPLAIN",
    "DeclareCursor": "DECLARE CURSOR",
    "FetchCursor": "FETCH",
    "CloseCursor": "CLOSE CURSOR",
    "Listen": "LISTEN",
    "Unlisten": "UNLISTEN",
    "Notify": "NOTIFY",
}
