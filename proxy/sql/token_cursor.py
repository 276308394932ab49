"""Reading tokens in order, for the grammars written by hand: utility statements and DDL.

A grammar function takes the cursor, moves it past what it understood and returns a value; where nothing fits it
raises PostgreSQL's syntax error at the token that does not fit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from lfsql.errors import FeatureNotSupported, InsufficientPrivilege, LfsqlError, UndefinedSchema
from proxy.sql.lexer import END, NUMBER, PUNCTUATION, QUOTED, STRING, WORD, Token, syntax_error, tokens

_RESERVED_WORDS: Final = """
    all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create
    current_catalog current_date current_role current_time current_timestamp current_user default deferrable
    desc distinct do else end except false fetch for foreign from grant group having in initially intersect into
    lateral leading limit localtime localtimestamp not null offset on only or order placing primary references
    returning select session_user some symmetric system_user table then to trailing true union unique user using
    variadic when where window with
"""
RESERVED: Final = frozenset(_RESERVED_WORDS.split())
"""PostgreSQL's reserved words: no unquoted table or column can be named so."""

_Item = TypeVar("_Item")


class Cursor:
    def __init__(self, text: str, found: list[Token] | None = None) -> None:
        self.text = text
        self.tokens = tokens(text) if found is None else found
        self.at = 0
        self.notices: list[str] = []
        """What IF [NOT] EXISTS passed over, in PostgreSQL's words."""
        self._end = Token(END, "", "", len(text.rstrip()))

    @property
    def token(self) -> Token:
        return self.tokens[self.at] if self.at < len(self.tokens) else self._end

    def ahead(self, distance: int = 1) -> Token:
        at = self.at + distance
        return self.tokens[at] if at < len(self.tokens) else self._end

    @property
    def ended(self) -> bool:
        return self.at >= len(self.tokens)

    def error(self, message: str = "syntax error", token: Token | None = None) -> LfsqlError:
        where = self.token if token is None else token
        return syntax_error(message, where.text, where.start)

    def unsupported(self, what: str, hint: str = "") -> FeatureNotSupported:
        return FeatureNotSupported(f"{what} is not supported", hint=hint, position=self.token.start + 1)

    def looks(self, *words: str) -> bool:
        """Whether the next tokens are these keywords or punctuation marks."""
        for distance, word in enumerate(words):
            token = self.ahead(distance)
            if token.value != word or token.kind in (QUOTED, STRING):
                return False
        return True

    def accept(self, *words: str) -> bool:
        """Move past these keywords if all of them come next."""
        if not self.looks(*words):
            return False
        self.at += len(words)
        return True

    def one_of(self, *words: str) -> str | None:
        for word in words:
            if self.accept(word):
                return word
        return None

    def expect(self, *words: str) -> None:
        for word in words:
            if not self.accept(word):
                raise self.error()

    def finish(self) -> None:
        if not self.ended:
            raise self.error()

    def is_name(self) -> bool:
        token = self.token
        return token.kind == QUOTED or (token.kind == WORD and token.value not in RESERVED)

    def name(self) -> str:
        if not self.is_name():
            raise self.error()
        return self.take().value

    def label(self) -> str:
        """A name where PostgreSQL allows any keyword too (ColLabel)."""
        if self.token.kind not in (QUOTED, WORD):
            raise self.error()
        return self.take().value

    def names(self) -> tuple[str, ...]:
        """(a, b, ...)"""
        self.expect("(")
        found = self.commas(self.name)
        self.expect(")")
        return tuple(found)

    def commas(self, item: Callable[[], _Item]) -> list[_Item]:
        found = [item()]
        while self.accept(","):
            found.append(item())
        return found

    def string(self) -> str:
        if self.token.kind != STRING:
            raise self.error()
        return self.take().value

    def integer(self) -> int:
        negative = self.accept("-")
        if not negative:
            self.accept("+")
        token = self.token
        if token.kind != NUMBER or not token.text.isdigit():
            raise self.error()
        self.at += 1
        return -int(token.text) if negative else int(token.text)

    def qualified(self) -> tuple[str, ...]:
        """a, a.b or a.b.c"""
        parts = [self.name()]
        while self.accept("."):
            parts.append(self.label())
        if len(parts) > 3:
            raise self.error("improper qualified name (too many dotted names)")
        return tuple(parts)

    def relation(self) -> str:
        """The name of one of the user's relations.  The only schema is public."""
        where = self.token.start + 1
        parts = self.qualified()
        if len(parts) > 1:
            schema = parts[-2]
            if schema in ("pg_catalog", "information_schema", "lfsql"):
                raise InsufficientPrivilege(
                    f'permission denied: "{parts[-1]}" is a system catalog', position=where, schema=schema
                )
            if schema != "public":
                raise UndefinedSchema(f'schema "{schema}" does not exist', position=where, schema=schema)
        if parts[-1].startswith("_lfsql_"):
            raise InsufficientPrivilege(
                f'permission denied for table "{parts[-1]}": names beginning with "_lfsql_" are reserved',
                position=where,
            )
        return parts[-1]

    def parenthesised(self) -> list[Token]:
        """The tokens between the parentheses that come next."""
        self.expect("(")
        begin = self.at
        depth = 1
        while not self.ended:
            mark = self.token.text if self.token.kind == PUNCTUATION else ""
            depth += (mark == "(") - (mark == ")")
            self.at += 1
            if depth == 0:
                return self.tokens[begin : self.at - 1]
        raise self.error()

    def until(self, stop: Callable[[Token], bool]) -> list[Token]:
        """The tokens up to the first one outside parentheses for which `stop` holds, or that closes a parenthesis."""
        begin = self.at
        depth = 0
        while not self.ended:
            token = self.token
            if depth == 0 and (stop(token) or (token.kind == PUNCTUATION and token.text in (")", "]"))):
                break
            if token.kind == PUNCTUATION:
                depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
            self.at += 1
        return self.tokens[begin : self.at]

    def rest(self) -> str:
        """The client's text from here to the end."""
        text = self.text[self.token.start :].rstrip()
        self.at = len(self.tokens)
        return text

    def slice(self, found: list[Token]) -> str:
        """The client's text of consecutive tokens."""
        return self.text[found[0].start : found[-1].end] if found else ""

    def take(self) -> Token:
        token = self.token
        self.at += 1
        return token
