"""SET in its many spellings, SHOW, RESET, SET CONSTRAINTS and DISCARD."""

from __future__ import annotations

from typing import Literal, cast

from proxy.sql.lexer import NUMBER, QUOTED, STRING, WORD
from proxy.sql.token_cursor import Cursor
from proxy.sql.transaction_statements import parse_modes
from proxy.sql.utility import (
    Discard,
    ResetSetting,
    SetConstraints,
    SetSetting,
    SetTransaction,
    ShowSetting,
    Utility,
)


def parse_set(cursor: Cursor) -> Utility:
    if cursor.accept("constraints"):
        return _set_constraints(cursor)
    if cursor.accept("transaction"):
        if cursor.looks("snapshot"):
            raise cursor.unsupported("SET TRANSACTION SNAPSHOT")
        return SetTransaction(parse_modes(cursor, required=True))
    if cursor.accept("session", "characteristics", "as", "transaction"):
        return SetTransaction(parse_modes(cursor, required=True), session=True)
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
        return SetTransaction(parse_modes(cursor, required=True))
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
    return SetSetting(name, ", ".join(cursor.commas(lambda: setting_value(cursor))), local)


def setting_name(cursor: Cursor) -> str:
    """A setting's name, with its dots, in lower case: names of settings know no case."""
    parts = [cursor.name()]
    while cursor.accept("."):
        parts.append(cursor.label())
    return ".".join(parts).lower()


def _set_value(cursor: Cursor, name: str, local: bool) -> SetSetting:
    if cursor.accept("default") or (name == "role" and cursor.accept("none")):
        return SetSetting(name, None, local)
    return SetSetting(name, setting_value(cursor), local)


def setting_value(cursor: Cursor) -> str:
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
        digits = cursor.take().text
        # A number is no text: 010 is ten, where '010' is for the setting to read.
        return sign + (digits.lstrip("0") or "0" if digits.isdigit() else digits)
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
    return setting_value(cursor)


def _set_constraints(cursor: Cursor) -> SetConstraints:
    names: tuple[str, ...] = ()
    if not cursor.accept("all"):
        names = tuple(cursor.commas(lambda: cursor.qualified()[-1]))
    mode = cursor.one_of("deferred", "immediate")
    if mode is None:
        raise cursor.error()
    return SetConstraints(names, mode == "deferred")


def parse_show(cursor: Cursor) -> ShowSetting:
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


def parse_reset(cursor: Cursor) -> ResetSetting:
    if cursor.accept("all"):
        return ResetSetting("all")
    return ResetSetting(_spelled_setting(cursor))


def parse_discard(cursor: Cursor) -> Discard:
    what = cursor.one_of("all", "plans", "sequences", "temporary", "temp")
    if what is None:
        raise cursor.error()
    return Discard(cast(Literal["all", "plans", "sequences", "temp"], "temp" if what == "temporary" else what))
