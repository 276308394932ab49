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
from typing import Final, Literal, cast

from lfsql.errors import FeatureNotSupported, InvalidParameterValue, StatementSyntax
from proxy.sql.column_types import parse_type
from proxy.sql.copy_statement import parse_copy
from proxy.sql.cursor_statements import parse_close, parse_declare, parse_fetch
from proxy.sql.lexer import NUMBER, QUOTED, STRING, WORD
from proxy.sql.schema import Schema
from proxy.sql.token_cursor import Cursor
from proxy.sql.utility import (
    Begin,
    Commit,
    Deallocate,
    Discard,
    ExecutePrepared,
    Explain,
    FetchCursor,
    Listen,
    Maintenance,
    Notify,
    Prepare,
    ReleaseSavepoint,
    ResetSetting,
    Rollback,
    RollbackToSavepoint,
    Savepoint,
    SetConstraints,
    SetSetting,
    SetTransaction,
    ShowSetting,
    Unlisten,
    Utility,
)

Isolation = Literal["read uncommitted", "read committed", "repeatable read", "serializable"]

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


# -- Transactions ------------------------------------------------------------------------------------------


def _begin(cursor: Cursor) -> Begin:
    cursor.one_of("work", "transaction")
    return _modes(cursor)


def _start(cursor: Cursor) -> Begin:
    cursor.expect("transaction")
    return _modes(cursor)


def _modes(cursor: Cursor, required: bool = False) -> Begin:
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


def _commit(cursor: Cursor) -> Commit:
    if cursor.looks("prepared"):
        raise cursor.unsupported("COMMIT PREPARED")
    cursor.one_of("work", "transaction")
    return Commit(_chain(cursor))


def _rollback(cursor: Cursor) -> Rollback | RollbackToSavepoint:
    if cursor.looks("prepared"):
        raise cursor.unsupported("ROLLBACK PREPARED")
    cursor.one_of("work", "transaction")
    if cursor.accept("to"):
        cursor.accept("savepoint")
        return RollbackToSavepoint(cursor.name())
    return Rollback(_chain(cursor))


def _abort(cursor: Cursor) -> Rollback:
    cursor.one_of("work", "transaction")
    return Rollback(_chain(cursor))


def _savepoint(cursor: Cursor) -> Savepoint:
    return Savepoint(cursor.name())


def _release(cursor: Cursor) -> ReleaseSavepoint:
    if cursor.looks("savepoint") and cursor.ahead().kind in (WORD, QUOTED):
        cursor.take()
    return ReleaseSavepoint(cursor.name())


# -- Settings ----------------------------------------------------------------------------------------------


def _set(cursor: Cursor) -> Utility:
    if cursor.accept("constraints"):
        return _set_constraints(cursor)
    if cursor.accept("transaction"):
        if cursor.looks("snapshot"):
            raise cursor.unsupported("SET TRANSACTION SNAPSHOT")
        return SetTransaction(_modes(cursor, required=True))
    if cursor.accept("session", "characteristics", "as", "transaction"):
        return SetTransaction(_modes(cursor, required=True), session=True)
    local = False
    if cursor.looks("local") and cursor.ahead().text not in ("=", "to", "TO", "."):
        cursor.take()
        local = True
    elif cursor.looks("session") and cursor.ahead().text not in ("=", "to", "TO", "."):
        cursor.take()
        if cursor.accept("authorization"):
            return _set_value(cursor, "session_authorization", local)
    if cursor.accept("session", "authorization"):
        return _set_value(cursor, "session_authorization", local)
    if cursor.accept("local", "transaction") or cursor.accept("transaction"):
        return SetTransaction(_modes(cursor, required=True))
    if cursor.accept("time", "zone"):
        return SetSetting("timezone", _time_zone(cursor), local)
    if cursor.accept("names"):
        value = None if cursor.ended or cursor.accept("default") else cursor.string()
        return SetSetting("client_encoding", value, local)
    for special, setting in (("schema", "search_path"), ("role", "role")):
        if cursor.looks(special) and cursor.ahead().text not in ("=", "to", "TO", "."):
            cursor.take()
            return _set_value(cursor, setting, local)
    if cursor.looks("xml", "option") or cursor.looks("catalog"):
        raise cursor.unsupported(f"SET {cursor.token.text.upper()}")
    name = setting_name(cursor)
    if not cursor.accept("=") and not cursor.accept("to"):
        if cursor.accept("from", "current"):
            raise cursor.unsupported("SET ... FROM CURRENT")
        raise cursor.error()
    if cursor.accept("default"):
        return SetSetting(name, None, local)
    return SetSetting(name, ", ".join(cursor.commas(lambda: _setting_value(cursor))), local)


def setting_name(cursor: Cursor) -> str:
    """A setting's name, with its dots, in lower case: names of settings know no case."""
    parts = [cursor.name()]
    while cursor.accept("."):
        parts.append(cursor.label())
    return ".".join(parts).lower()


def _set_value(cursor: Cursor, name: str, local: bool) -> SetSetting:
    if cursor.accept("default") or (name == "role" and cursor.accept("none")):
        return SetSetting(name, None, local)
    return SetSetting(name, _setting_value(cursor), local)


def _setting_value(cursor: Cursor) -> str:
    """One value: a string, a number with a sign, or a word.  Words keep the case in which they are folded."""
    token = cursor.token
    if token.kind in (STRING, QUOTED):
        return cursor.take().value
    if token.text in ("+", "-") or token.kind == NUMBER:
        sign = "-" if cursor.accept("-") else ""
        if not sign:
            cursor.accept("+")
        if cursor.token.kind != NUMBER:
            raise cursor.error()
        return sign + cursor.take().text
    if token.kind != WORD or not (cursor.is_name() or token.value in ("true", "false", "on")):
        raise cursor.error()
    return cursor.take().value


def _time_zone(cursor: Cursor) -> str | None:
    if cursor.one_of("default", "local") is not None:
        return None
    if cursor.accept("interval"):
        text = cursor.string()
        if cursor.accept("hour") and cursor.accept("to"):
            cursor.expect("minute")
        return text
    return _setting_value(cursor)


def _set_constraints(cursor: Cursor) -> SetConstraints:
    names: tuple[str, ...] = ()
    if not cursor.accept("all"):
        names = tuple(cursor.commas(lambda: cursor.qualified()[-1]))
    mode = cursor.one_of("deferred", "immediate")
    if mode is None:
        raise cursor.error()
    return SetConstraints(names, mode == "deferred")


def _show(cursor: Cursor) -> ShowSetting:
    if cursor.accept("all"):
        return ShowSetting("all")
    return ShowSetting(_spelled_setting(cursor))


def _spelled_setting(cursor: Cursor) -> str:
    if cursor.accept("time", "zone"):
        return "timezone"
    if cursor.accept("transaction", "isolation", "level"):
        return "transaction_isolation"
    if cursor.accept("session", "authorization"):
        return "session_authorization"
    return setting_name(cursor)


def _reset(cursor: Cursor) -> ResetSetting:
    if cursor.accept("all"):
        return ResetSetting("all")
    return ResetSetting(_spelled_setting(cursor))


def _discard(cursor: Cursor) -> Discard:
    what = cursor.one_of("all", "plans", "sequences", "temporary", "temp")
    if what is None:
        raise cursor.error()
    return Discard(cast(Literal["all", "plans", "sequences", "temp"], "temp" if what == "temporary" else what))


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
    if cursor.token.value not in ("select", "insert", "update", "delete", "values", "with", "table", "("):
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
    analyze = False
    shape: Literal["text", "json", "xml", "yaml"] = "text"
    if cursor.looks("(") and cursor.ahead().value not in ("select", "values", "with", "table", "("):
        cursor.expect("(")

        def option() -> tuple[str, str]:
            name = cursor.label()
            value = "true"
            if not cursor.looks(",") and not cursor.looks(")"):
                value = _setting_value(cursor).lower()
            return name, value

        for name, value in cursor.commas(option):
            if name in ("analyze", "analyse"):
                analyze = boolean(value, "analyze")
            elif name == "format":
                if value not in ("text", "json", "xml", "yaml"):
                    raise InvalidParameterValue(f'unrecognized value for EXPLAIN option "format": "{value}"')
                shape = cast(Literal["text", "json", "xml", "yaml"], value)
            elif name in ("verbose", "costs", "settings", "buffers", "wal", "timing", "summary", "generic_plan"):
                boolean(value, name)
            else:
                raise StatementSyntax(f'unrecognized EXPLAIN option "{name}"')
        cursor.expect(")")
    else:
        analyze = cursor.one_of("analyze", "analyse") is not None
        cursor.accept("verbose")
    if cursor.ended:
        raise cursor.error()
    return Explain(cursor.rest(), analyze, shape)


def boolean(value: str, option: str) -> bool:
    """A utility option's truth value."""
    if value in ("true", "on", "1"):
        return True
    if value in ("false", "off", "0"):
        return False
    raise StatementSyntax(f"{option} requires a Boolean value")


# -- Maintenance and notifications -------------------------------------------------------------------------


def _vacuum(cursor: Cursor) -> Maintenance:
    if cursor.accept("("):
        cursor.commas(lambda: _vacuum_option(cursor))
        cursor.expect(")")
    else:
        for word in ("full", "freeze", "verbose", "analyze", "analyse"):
            cursor.accept(word)
    return Maintenance("VACUUM", _relation_list(cursor))


def _analyze(cursor: Cursor) -> Maintenance:
    if cursor.accept("("):
        cursor.commas(lambda: _vacuum_option(cursor))
        cursor.expect(")")
    else:
        cursor.accept("verbose")
    return Maintenance("ANALYZE", _relation_list(cursor))


def _vacuum_option(cursor: Cursor) -> None:
    cursor.label()
    if not cursor.looks(",") and not cursor.looks(")"):
        _setting_value(cursor)


def _relation_list(cursor: Cursor) -> str | None:
    if cursor.ended:
        return None

    def one() -> str:
        name = cursor.qualified()[-1]
        if cursor.looks("("):
            cursor.names()
        return name

    return cursor.commas(one)[0]


def _checkpoint(cursor: Cursor) -> Maintenance:
    return Maintenance("CHECKPOINT")


def _cluster(cursor: Cursor) -> Maintenance:
    cursor.accept("verbose")
    table = None
    if not cursor.ended:
        table = cursor.qualified()[-1]
        if cursor.one_of("using", "on") is not None:
            cursor.qualified()
    return Maintenance("CLUSTER", table)


def _reindex(cursor: Cursor) -> Maintenance:
    if cursor.accept("("):
        cursor.commas(lambda: _vacuum_option(cursor))
        cursor.expect(")")
    what = cursor.one_of("index", "table", "schema", "system", "database")
    if what is None:
        raise cursor.error()
    cursor.accept("concurrently")
    name = None if cursor.ended else cursor.qualified()[-1]
    return Maintenance("REINDEX", name if what == "table" else None)


def _lock(cursor: Cursor) -> Maintenance:
    cursor.accept("table")

    def one() -> str:
        cursor.accept("only")
        name = cursor.relation()
        cursor.accept("*")
        return name

    table = cursor.commas(one)[0]
    if cursor.accept("in"):
        words = ("access", "share", "row", "exclusive", "update")
        if cursor.one_of(*words) is None:
            raise cursor.error()
        while cursor.one_of(*words) is not None:
            pass
        cursor.expect("mode")
    cursor.accept("nowait")
    return Maintenance("LOCK TABLE", table)


def _comment(cursor: Cursor) -> Maintenance:
    cursor.expect("on")
    cursor.until(lambda token: token.kind == WORD and token.value == "is")
    cursor.expect("is")
    if not cursor.accept("null"):
        cursor.string()
    return Maintenance("COMMENT")


def _grant(cursor: Cursor) -> Maintenance:
    return _privileges(cursor, "GRANT", "to")


def _revoke(cursor: Cursor) -> Maintenance:
    return _privileges(cursor, "REVOKE", "from")


def _privileges(cursor: Cursor, tag: str, direction: str) -> Maintenance:
    found = cursor.until(lambda token: token.kind == WORD and token.value == direction)
    cursor.expect(direction)
    if not found or cursor.ended:
        raise cursor.error()
    cursor.rest()
    return Maintenance(tag if any(token.value == "on" for token in found) else f"{tag} ROLE")


def _listen(cursor: Cursor) -> Listen:
    return Listen(cursor.name())


def _unlisten(cursor: Cursor) -> Unlisten:
    return Unlisten(None if cursor.accept("*") else cursor.name())


def _notify(cursor: Cursor) -> Notify:
    channel = cursor.name()
    return Notify(channel, cursor.string() if cursor.accept(",") else "")


_PARSERS: Final[dict[str, Callable[[Cursor], Utility]]] = {
    "begin": _begin,
    "start": _start,
    "commit": _commit,
    "end": _commit,
    "rollback": _rollback,
    "abort": _abort,
    "savepoint": _savepoint,
    "release": _release,
    "set": _set,
    "show": _show,
    "reset": _reset,
    "discard": _discard,
    "prepare": _prepare,
    "execute": _execute,
    "deallocate": _deallocate,
    "explain": _explain,
    "declare": parse_declare,
    "fetch": lambda cursor: parse_fetch(cursor, move=False),
    "move": lambda cursor: parse_fetch(cursor, move=True),
    "close": parse_close,
    "vacuum": _vacuum,
    "analyze": _analyze,
    "analyse": _analyze,
    "checkpoint": _checkpoint,
    "cluster": _cluster,
    "reindex": _reindex,
    "lock": _lock,
    "comment": _comment,
    "grant": _grant,
    "revoke": _revoke,
    "listen": _listen,
    "unlisten": _unlisten,
    "notify": _notify,
}


def tag_of(found: Utility) -> str:
    """The command tag, without a count."""
    match found:
        case Begin():
            return "BEGIN"
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
