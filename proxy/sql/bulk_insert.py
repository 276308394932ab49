"""INSERT ... VALUES with many rows of literals, planned by one row of each kind.

Scripts and ORMs send thousands of rows in one statement, and sqlglot needs half a second for 90 KB.  Rows that
differ in their literals only translate alike, so each kind of row is planned once, with its literals as variables,
and the text of every other row is put together from the answer and its own values, decoded by their types.  Where
anything is out of the ordinary the answer is None, and the statement is planned whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from proxy.pg.oids import INT2, INT4, INT8, UNKNOWN
from proxy.pg.types import Value, decode_text
from proxy.sql.lexer import NUMBER, PARAMETER, PUNCTUATION, STRING, WORD, Token, sqlite_tokens
from proxy.sql.lifting import liftable
from proxy.sql.number_text import number_oid, whole
from proxy.sql.plan import Plan
from proxy.sql.quoting import string
from proxy.sql.schema import Schema

ROWS_MIN: Final = 16
KINDS_MAX: Final = 64

PlanRow = Callable[[list[Token], set[int], tuple[int, ...]], Plan]
"""(tokens, the numbers of those to lift, their classes) -> the plan, with variables from 1."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What rows of one kind become: `head` and `tail` of the statement, and the row's text around its values."""

    plan: Plan
    head: str
    tail: str
    pieces: tuple[str, ...]
    places: tuple[int, ...]
    """For each gap between pieces, the ordinal of the literal that fills it, among the row's lifted ones."""
    lifted: tuple[int, ...]
    """The places, in the row's tokens, of the lifted literals."""


def plan_bulk(found: list[Token], schema: Schema, plan_row: PlanRow) -> Plan | None:
    """The plan of an INSERT of many literal rows; None for any other statement."""
    if found[0].value != "insert" or any(token.kind == PARAMETER for token in found):
        return None
    begin = _values(found)
    if begin is None:
        return None
    rows, end = _rows(found, begin)
    if len(rows) < ROWS_MIN:
        return None
    head, tail = found[:begin], found[end:]
    kinds: dict[tuple[str, ...], _Kind] = {}
    written: list[str] = []
    for row in rows:
        key = tuple([_class(token) for token in row])
        kind = kinds.get(key)
        if kind is None:
            made = _kind(head, row, tail, schema, plan_row) if len(kinds) < KINDS_MAX else None
            if made is None:
                return None
            kind = kinds[key] = made
        written.append(_written(kind, row))
    first = next(iter(kinds.values()))
    if any((kind.head, kind.tail) != (first.head, first.tail) for kind in kinds.values()):
        return None
    return replace(first.plan, statements=(first.head + ", ".join(written) + first.tail,), lifted=())


def _values(found: list[Token]) -> int | None:
    """Where the first row begins."""
    depth = 0
    for place, token in enumerate(found):
        if token.kind == PUNCTUATION:
            depth += (token.text == "(") - (token.text == ")")
        elif depth == 0 and token.kind == WORD and token.value in ("values", "select", "with", "default"):
            return place + 1 if token.value == "values" else None
    return None


def _rows(found: list[Token], begin: int) -> tuple[list[list[Token]], int]:
    """The rows, each with its parentheses, and the number of the token after them."""
    rows: list[list[Token]] = []
    at = begin
    while at < len(found) and found[at].text == "(":
        depth, start = 0, at
        while at < len(found):
            token = found[at]
            at += 1
            if token.kind == PUNCTUATION:
                depth += (token.text == "(") - (token.text == ")")
                if depth == 0:
                    break
        rows.append(found[start:at])
        if at + 1 >= len(found) or found[at].text != "," or found[at + 1].text != "(":
            break
        at += 1
    return rows, at


def _class(token: Token) -> str:
    """What a token means for its row's kind: a literal's class, anything else itself."""
    if token.kind == STRING:
        return "'"
    if token.kind == NUMBER:
        return f"{number_oid(token.text)}"
    return token.text


def _kind(head: list[Token], row: list[Token], tail: list[Token], schema: Schema, plan_row: PlanRow) -> _Kind | None:
    template = [*head, *row, *tail]
    literals = [place for place, token in enumerate(template) if token.kind in (STRING, NUMBER)]
    may = {literals[ordinal] for ordinal in liftable(template, schema)}
    inside = [place for place in literals if len(head) <= place < len(head) + len(row)]
    if not inside or not may.issuperset(inside):
        return None
    classes = tuple(
        UNKNOWN if template[place].kind == STRING else number_oid(template[place].text) for place in inside
    )
    made = plan_row(template, set(inside), classes)
    if len(made.statements) != 1 or made.session_calls or made.parameters:
        return None
    sql = made.statements[0]
    lexed = sqlite_tokens(sql)
    begin = _values(lexed)
    if begin is None:
        return None
    found, end = _rows(lexed, begin)
    if len(found) != 1 or any(token.kind == PARAMETER for token in (*lexed[:begin], *lexed[end:])):
        return None
    start = found[0][0].start
    pieces: list[str] = []
    places: list[int] = []
    for token in found[0]:
        if token.kind == PARAMETER:
            pieces.append(sql[start : token.start])
            places.append(int(token.text[1:]) - 1)
            start = token.end
    stop = found[0][-1].end
    pieces.append(sql[start:stop])
    lifted = tuple(place - len(head) for place in inside)
    return _Kind(made, sql[: found[0][0].start], sql[stop:], tuple(pieces), tuple(places), lifted)


def _written(kind: _Kind, row: Sequence[Token]) -> str:
    oids = kind.plan.lifted
    values = [_literal(row[place], oids[ordinal]) for ordinal, place in enumerate(kind.lifted)]
    parts = [kind.pieces[0]]
    for piece, place in zip(kind.pieces[1:], kind.places, strict=True):
        parts.append(values[place])
        parts.append(piece)
    return "".join(parts)


def _literal(token: Token, oid: int) -> str:
    """A literal as SQLite's, decoded by the type it was found to have."""
    if oid in (INT2, INT4, INT8) and token.kind == NUMBER:
        return str(whole(token.text))
    return sqlite_literal(decode_text(oid, token.value))


def sqlite_literal(value: Value) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return string(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"x'{bytes(value).hex()}'"
    if isinstance(value, float):
        if value != value:  # SQLite has no NaN: it stores NULL
            return "NULL"
        text = repr(value).replace("inf", "9e999")
    else:
        text = str(int(value))
    # `- -5` without the space would be a comment.
    return f"({text})" if text[0] == "-" else text
