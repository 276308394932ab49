"""DECLARE, FETCH, MOVE and CLOSE."""

from __future__ import annotations

from typing import Literal

from lfsql.errors import UnreadableStatement
from proxy.sql.lexer import NUMBER
from proxy.sql.token_cursor import Cursor
from proxy.sql.utility import CloseCursor, DeclareCursor, FetchCursor
from proxy.sql.verbs import QUERIES, into_target, verb, verb_place

Direction = Literal["forward", "backward", "absolute", "relative", "first", "last"]


def parse_declare(cursor: Cursor) -> DeclareCursor:
    name = cursor.name()
    binary, scroll, hold = False, None, False
    while not cursor.accept("cursor"):
        if cursor.accept("binary"):
            binary = True
        elif cursor.accept("no", "scroll"):
            scroll = False
        elif cursor.accept("scroll"):
            scroll = True
        elif cursor.one_of("insensitive", "asensitive") is None:
            raise cursor.error()
    if cursor.accept("with", "hold"):
        hold = True
    else:
        cursor.accept("without", "hold")
    cursor.expect("for")
    query = cursor.tokens[cursor.at :]
    at = verb_place(query)
    if verb(query) not in QUERIES | {"("}:
        raise cursor.error(token=query[at] if query else None)
    target = into_target(query)
    if target is not None:
        raise cursor.error(token=query[target[0]])
    return DeclareCursor(name, cursor.rest(), hold, scroll, binary)


def parse_fetch(cursor: Cursor, *, move: bool) -> FetchCursor:
    """`FETCH NEXT` is forward 1, `FETCH PRIOR` backward 1; a negative count turns the direction round."""
    direction: Direction = "forward"
    count: int | None = 1
    if cursor.accept("next"):
        pass
    elif cursor.accept("prior"):
        direction = "backward"
    elif cursor.accept("first"):
        direction = "first"
    elif cursor.accept("last"):
        direction = "last"
    elif cursor.accept("absolute"):
        direction, count = "absolute", cursor.integer()
    elif cursor.accept("relative"):
        direction, count = "relative", cursor.integer()
    elif cursor.accept("all"):
        count = None
    else:
        if cursor.accept("backward"):
            direction = "backward"
        else:
            cursor.accept("forward")
        if cursor.accept("all"):
            count = None
        elif cursor.token.kind == NUMBER or cursor.token.text in ("+", "-"):
            count = cursor.integer()
    if count is not None and count < 0 and direction in ("forward", "backward"):
        direction, count = ("backward" if direction == "forward" else "forward"), -count
    cursor.one_of("from", "in")
    return FetchCursor(cursor.name(), direction, count, move)


def parse_close(cursor: Cursor) -> CloseCursor:
    if cursor.accept("all"):
        return CloseCursor(None)
    if cursor.ended:
        raise UnreadableStatement("syntax error at end of input", position=len(cursor.text) + 1)
    return CloseCursor(cursor.name())
