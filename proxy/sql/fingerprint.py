"""A statement's shape and its literals, in one regular-expression pass over the text.

Clients that write their values into the text (psql, psycopg2, Django, pgbench -M simple) send a new text each
time; without its literals it is one of few.  The shape keeps the class of each literal, since PostgreSQL types 5,
5000000000 and 5.0 differently and a plan depends on it.

The pass knows just enough to be certain: it stops with None at dollar quotes, nested comments and anything else
that would need the lexer, and the statement is then planned by its exact text.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from proxy.pg.oids import INT4, INT8, NUMERIC, UNKNOWN
from proxy.sql.number_text import number_oid

LITERALS_MAX: Final = 200
CHARACTERS_MAX: Final = 16_384
"""Longer texts are bulk work: each is its own."""

_MARK: Final = "\x01"
# Every alternative begins with a character of its own: Python's engine then leaps from one possible start to the
# next, three times as fast as with \d.
_NUMBERS = "|".join(rf"{digit}[0-9]*(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?" for digit in "0123456789")
_PIECE = re.compile(
    r"""'[^']*(?:''[^']*)*'"""
    r"""|"[^"]*(?:""[^"]*)*"|""" + _NUMBERS + r"""|\$"""
    r"""|--[^\r\n]*"""
    r"""|/\*[^*]*\*+(?:[^/*][^*]*\*+)*/"""
    r"""|'|"|\x01|/\*"""
)


_MARKS: Final = {INT4: _MARK + "i", INT8: _MARK + "l", NUMERIC: _MARK + "n"}


class Literal(NamedTuple):
    oid: int
    """INT4, INT8, NUMERIC; UNKNOWN for a string."""
    text: str
    """Its digits, or a string's content."""


class Fingerprint(NamedTuple):
    shape: str
    literals: tuple[Literal, ...]


class _Unclear(Exception):
    """The text needs the lexer."""


def fingerprint(text: str) -> Fingerprint | None:
    """None when the text is too long or too unusual to be taken apart here."""
    if len(text) > CHARACTERS_MAX:
        return None
    literals: list[Literal] = []

    def piece(match: re.Match[str]) -> str:
        found = match.group()
        first = found[0]
        start = match.start()
        before = text[start - 1] if start else " "
        if first == "'":
            if len(found) == 1 or before.isalnum() or before in "_&$":
                raise _Unclear  # an open quote, or E'', B'', U&''
            literals.append(Literal(UNKNOWN, found[1:-1].replace("''", "'")))
            return _MARK + "s"
        if first in "0123456789":
            if before.isalnum() or before in "_$":
                return found  # inside a name, or $1
            end = match.end()
            after = text[end] if end < len(text) else " "
            if before == "." or after == "." or after.isalnum() or after == "_":
                raise _Unclear
            return number(found)
        if first == "$":
            end = match.end()
            if before.isalnum() or before == "_" or (end < len(text) and text[end] in "0123456789"):
                return found
            raise _Unclear
        if first == '"' and len(found) > 1:
            return found
        if first in "-/" and len(found) > 1 and found != "/*" and "/*" not in found[2:]:
            return found  # a comment stays: it may hold hints
        raise _Unclear

    def number(found: str) -> str:
        oid = number_oid(found)
        literals.append(Literal(oid, found))
        return _MARKS[oid]

    try:
        shape = _PIECE.sub(piece, text)
    except _Unclear:
        return None
    if len(literals) > LITERALS_MAX:
        return None
    return Fingerprint(shape, tuple(literals))
