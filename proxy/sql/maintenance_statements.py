"""VACUUM, ANALYZE and their kin, LOCK, COMMENT, GRANT and REVOKE, LISTEN and NOTIFY: read whole, word for word."""

from __future__ import annotations

from typing import Final

from proxy.sql.lexer import WORD
from proxy.sql.setting_statements import setting_value
from proxy.sql.token_cursor import Cursor
from proxy.sql.utility import Listen, Maintenance, Notify, Unlisten

_LOCK_MODES: Final = (
    "access share",
    "row share",
    "row exclusive",
    "share update exclusive",
    "share",
    "share row exclusive",
    "exclusive",
    "access exclusive",
)


def parse_vacuum(cursor: Cursor) -> Maintenance:
    if cursor.accept("("):
        cursor.commas(lambda: _vacuum_option(cursor))
        cursor.expect(")")
    else:
        for word in ("full", "freeze", "verbose", "analyze", "analyse"):
            cursor.accept(word)
    return Maintenance("VACUUM", _relation_list(cursor))


def parse_analyze(cursor: Cursor) -> Maintenance:
    if cursor.accept("("):
        cursor.commas(lambda: _vacuum_option(cursor))
        cursor.expect(")")
    else:
        cursor.accept("verbose")
    return Maintenance("ANALYZE", _relation_list(cursor))


def _vacuum_option(cursor: Cursor) -> None:
    cursor.label()
    if not cursor.looks(",") and not cursor.looks(")"):
        setting_value(cursor)


def _relation_list(cursor: Cursor) -> str | None:
    if cursor.ended:
        return None

    def one() -> str:
        name = cursor.qualified()[-1]
        if cursor.looks("("):
            cursor.names()
        return name

    return cursor.commas(one)[0]


def parse_checkpoint(cursor: Cursor) -> Maintenance:
    return Maintenance("CHECKPOINT")


def parse_cluster(cursor: Cursor) -> Maintenance:
    cursor.accept("verbose")
    table = None
    if not cursor.ended:
        table = cursor.qualified()[-1]
        if cursor.one_of("using", "on") is not None:
            cursor.qualified()
    return Maintenance("CLUSTER", table)


def parse_reindex(cursor: Cursor) -> Maintenance:
    if cursor.accept("("):
        cursor.commas(lambda: _vacuum_option(cursor))
        cursor.expect(")")
    what = cursor.one_of("index", "table", "schema", "system", "database")
    if what is None:
        raise cursor.error()
    cursor.accept("concurrently")
    name = None if cursor.ended else cursor.qualified()[-1]
    return Maintenance("REINDEX", name if what == "table" else None)


def parse_lock(cursor: Cursor) -> Maintenance:
    cursor.accept("table")

    def one() -> str:
        cursor.accept("only")
        name = cursor.relation()
        cursor.accept("*")
        return name

    table = cursor.commas(one)[0]
    mode = "access exclusive"
    if cursor.accept("in"):
        found = next((mode for mode in _LOCK_MODES if cursor.accept(*mode.split(), "mode")), None)
        if found is None:
            raise cursor.error()
        mode = found
    return Maintenance("LOCK TABLE", table, nowait=cursor.accept("nowait"), mode=mode)


def parse_comment(cursor: Cursor) -> Maintenance:
    cursor.expect("on")
    cursor.until(lambda token: token.kind == WORD and token.value == "is")
    cursor.expect("is")
    if not cursor.accept("null"):
        cursor.string()
    return Maintenance("COMMENT")


def parse_grant(cursor: Cursor) -> Maintenance:
    return _privileges(cursor, "GRANT", "to")


def parse_revoke(cursor: Cursor) -> Maintenance:
    return _privileges(cursor, "REVOKE", "from")


def _privileges(cursor: Cursor, tag: str, direction: str) -> Maintenance:
    found = cursor.until(lambda token: token.kind == WORD and token.value == direction)
    cursor.expect(direction)
    if not found or cursor.ended:
        raise cursor.error()
    cursor.rest()
    return Maintenance(tag if any(token.value == "on" for token in found) else f"{tag} ROLE")


def parse_listen(cursor: Cursor) -> Listen:
    return Listen(cursor.name())


def parse_unlisten(cursor: Cursor) -> Unlisten:
    return Unlisten(None if cursor.accept("*") else cursor.name())


def parse_notify(cursor: Cursor) -> Notify:
    channel = cursor.name()
    return Notify(channel, cursor.string() if cursor.accept(",") else "")
