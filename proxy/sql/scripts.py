"""A file as psql reads it: one statement after the other, psql's own commands, and the data of COPY FROM STDIN.

`lexer.split` takes a text apart that is one message of a client, all of it in one dialect, and refuses it whole when
a quote stays open.  A file is read on: what a statement is depends on the dialect that one before it has set, data
stands between statements, and of one that never ends the next line may begin another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from lfsql.errors import StatementSyntax
from proxy.sql.lexer import SQLITE_TOKEN, TOKEN, WORDS_TO_TRIGGER_MAX, Dialect, close_comment, makes_trigger

RESUMPTIONS_MAX: Final = 100
"""So often reading is taken up again behind a statement that never ends.  Each time the rest is read through."""
_SENT_BY: Final = re.compile(r"\\(?:g|gx|gdesc|gexec|gset|crosstabview|watch)\b")
"""psql's commands that send what stands before them."""
_COPY_COMMAND: Final = re.compile(r"\\copy\b.*\bfrom\s+p?stdin\b", re.IGNORECASE)
_STRINGS: Final = frozenset(("escape", "unicode", "unicodename", "bits", "string", "quoted"))


@dataclass(frozen=True, slots=True)
class Piece:
    """`line` counts from 1: where its first word stands."""

    kind: Literal["statement", "psql"]
    text: str
    line: int


@dataclass(slots=True)
class _Reading:
    """What is known of the statement that is being read."""

    begin: int
    """Where its first word stands."""
    start: int
    """The same, or where a comment before it does, which may hold a hint."""
    depth: int = 0
    trigger: bool = False
    recent: list[str] | None = None
    semicolon: int = -1
    """The first one, be it inside of parentheses."""


class Script:
    """`next` until it gives None."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._counted = 0
        self._resumptions = 0

    def next(self, dialect: Dialect) -> Piece | None:
        """The next piece, in `dialect`."""
        text, length = self._text, len(self._text)
        pattern = TOKEN if dialect == "postgresql" else SQLITE_TOKEN
        at = self._at
        reading: _Reading | None = None
        comment = -1
        words: list[str] = []
        while at < length:
            if text[at] == "\\":
                if reading is None:
                    return self._command(at)
                if text.startswith("\\;", at):
                    return self._statement(reading, at, at + 2, words)
                if _SENT_BY.match(text, at):
                    return self._statement(reading, at, self._line_end(at), words)
            match = pattern.match(text, at)
            if match is None:
                reading = reading or _begun(at, comment)
                at += 1
                continue
            kind, body, end = match.lastgroup or "", match.group(), match.end()
            if kind in ("space", "line"):
                at = end
                continue
            if kind == "block":
                closed = _comment_end(text, at, dialect)
                if closed is None:
                    return self._unended(reading or _begun(at, comment), at)
                comment = at if comment < 0 else comment
                at = closed
                continue
            if body == ";" and reading is None:
                at, comment = end, -1
                continue
            reading = reading or _begun(at, comment)
            if kind == "dollar":
                found = text.find(body, end)
                if found < 0:
                    return self._unended(reading, at)
                at = found + len(body)
                continue
            if kind in _STRINGS and end == length and not _is_closed(body):
                return self._unended(reading, at)
            if body == ";":
                if reading.semicolon < 0:
                    reading.semicolon = at
                if reading.depth <= 0 and _ends(reading):
                    return self._statement(reading, at, end, words)
            _note(reading, kind, body, dialect)
            if len(words) < WORDS_TO_COPY_MAX:
                words.append(body.lower())
            at = end
        if reading is None:
            self._at = length
            return None
        if reading.semicolon >= 0 and self._may_resume():
            # A parenthesis that nobody closed: the statement ends where it seems to.
            return self._statement(reading, reading.semicolon, reading.semicolon + 1, words)
        return self._statement(reading, length, length, words)

    # -- Ends ----------------------------------------------------------------------------------------------

    def _statement(self, reading: _Reading, end: int, after: int, words: list[str]) -> Piece:
        self._at = after
        piece = Piece("statement", self._text[reading.start : end].rstrip(), self._line_of(reading.begin))
        if words[:1] == ["copy"] and _from_stdin(words):
            self._pass_data(after)
        return piece

    def _command(self, at: int) -> Piece:
        """psql's own: the rest of the line."""
        end = self._line_end(at)
        self._at = end
        piece = Piece("psql", self._text[at:end].rstrip(), self._line_of(at))
        if _COPY_COMMAND.match(piece.text):
            self._pass_data(end)
        return piece

    def _unended(self, reading: _Reading, at: int) -> Piece:
        """What opens at `at` is never closed: the statement is told as it is, and the next line begins another."""
        line = self._line_of(reading.begin)
        end = self._line_end(at) if self._may_resume() else len(self._text)
        self._at = end
        return Piece("statement", self._text[reading.start : end], line)

    def _may_resume(self) -> bool:
        self._resumptions += 1
        return self._resumptions <= RESUMPTIONS_MAX

    def _pass_data(self, at: int) -> None:
        """Behind COPY FROM STDIN: the lines up to one that is a backslash and a point."""
        line = self._line_end(at) + 1
        while line < len(self._text):
            end = self._line_end(line)
            if self._text[line:end].rstrip("\r") == "\\.":
                line = end + 1
                break
            line = end + 1
        self._at = min(line, len(self._text))

    def _line_end(self, at: int) -> int:
        found = self._text.find("\n", at)
        return len(self._text) if found < 0 else found

    def _line_of(self, at: int) -> int:
        self._line += self._text.count("\n", self._counted, at)
        self._counted = at
        return self._line


WORDS_TO_COPY_MAX: Final = 10_000
"""COPY t (a list of columns) FROM STDIN."""


def _begun(at: int, comment: int) -> _Reading:
    return _Reading(at, comment if comment >= 0 else at, recent=[])


def _from_stdin(words: list[str]) -> bool:
    return ("from", "stdin") in pairwise(words)


def _comment_end(text: str, at: int, dialect: Dialect) -> int | None:
    if dialect == "postgresql":
        try:
            return close_comment(text, at)
        except StatementSyntax:
            return None
    found = text.find("*/", at + 2)
    return found + 2 if found >= 0 else None


def _is_closed(body: str) -> bool:
    """Of a quoted token that ends with the text."""
    opening = body[-1] if body[0] == "[" else next(mark for mark in body if mark in "'\"`")
    if body[0] == "[":
        return len(body) > 1 and opening == "]"
    return body.count(opening) % 2 == 0 and body.endswith(opening)


def _ends(reading: _Reading) -> bool:
    """Whether a semicolon ends the statement: SQLite's CREATE TRIGGER holds some, and ends at `; END ;`."""
    recent = reading.recent or []
    if not reading.trigger or recent[-1:] == ["; end"]:
        return True
    recent[-1] = ";"
    return False


def _note(reading: _Reading, kind: str, body: str, dialect: Dialect) -> None:
    """A further token of the statement."""
    if body in ("(", "["):
        reading.depth += 1
    elif body in (")", "]"):
        reading.depth -= 1
    recent = reading.recent
    if dialect != "sqlite" or recent is None or body == ";":
        return
    word = body.lower() if kind == "word" else body
    if len(recent) < WORDS_TO_TRIGGER_MAX:
        recent.append(word)
        reading.trigger = reading.trigger or (word == "trigger" and makes_trigger(recent))
    elif reading.trigger:
        recent[-1] = "; end" if recent[-1] == ";" and word == "end" else word
