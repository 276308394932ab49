"""Which word says what a statement does, found in its tokens: what comes after WITH, INTO, RETURNING.

Asked where a tree is not there yet, or never is: before sqlglot reads a text, for the statement inside of COPY,
DECLARE and EXPLAIN, and for SQLite's own SQL.  The first verb in the text would be the wrong one where a common table
expression is named like one (`WITH replace AS ...`), so it is looked for where the grammar has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxy.sql.lexer import PUNCTUATION, WORD, Token

QUERIES: Final = frozenset(("select", "values", "table", "with"))
CHANGES: Final = frozenset(("insert", "update", "delete", "merge"))
_AFTER_TARGETS: Final = frozenset(("from", "where", "union", "except", "intersect", "order", "group", "limit"))


def verb_place(found: Sequence[Token]) -> int:
    """The number of the token that says what a statement does: the first, or the one behind the last query of WITH.

    0, the WITH itself, when nothing comes behind.
    """
    if not found or found[0].kind != WORD or found[0].value != "with":
        return 0
    depth = 0
    closed = False
    for place, token in enumerate(found):
        if token.kind == PUNCTUATION:
            if token.text == "(":
                if closed:
                    return place  # WITH x AS (...) (SELECT ...)
                depth += 1
            elif token.text == ")":
                depth -= 1
                closed = depth == 0
            elif depth == 0:
                closed = False
        elif closed:
            # Behind the list of columns, `WITH x (a) AS (...)`, comes AS.
            if token.kind != WORD or token.value != "as":
                return place
            closed = False
    return 0


def verb(found: Sequence[Token]) -> str:
    """The word itself, in lower case; '(' for a query in parentheses, '' where no keyword stands."""
    if not found:
        return ""
    token = found[verb_place(found)]
    return token.value if token.kind == WORD or token.text == "(" else ""


def says(found: Sequence[Token], word: str) -> bool:
    """Whether a keyword stands outside of all parentheses.  Behind AS or a point it would be a name."""
    return _keyword(found, word, frozenset()) is not None


def into_target(found: Sequence[Token]) -> tuple[int, int] | None:
    """Where INTO [UNLOGGED] [TABLE] name stands in a SELECT: the numbers of its first token and the one after."""
    begin = verb_place(found)
    if not found or found[begin].value != "select":
        return None
    place = _keyword(found[begin:], "into", _AFTER_TARGETS)
    if place is None:
        return None
    place += begin
    end = place + 1
    while end < len(found) and found[end].value in ("unlogged", "table"):
        end += 1
    end += 1
    while end + 1 < len(found) and found[end].text == ".":
        end += 2
    return place, end


def _keyword(found: Sequence[Token], word: str, before: frozenset[str]) -> int | None:
    """The first `word` outside of parentheses, unless one of `before` comes first."""
    depth = 0
    name = False
    for place, token in enumerate(found):
        if token.kind == PUNCTUATION:
            depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
        elif depth == 0 and not name and token.kind == WORD:
            if token.value == word:
                return place
            if token.value in before:
                return None
        name = token.text == "." or (token.kind == WORD and token.value == "as")
    return None
