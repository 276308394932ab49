"""PostgreSQL's lexical structure: tokens, statements of a script, and text that sqlglot reads safely.

One regular expression finds every token; only dollar quotes and nested comments, which no regular expression can
close, are finished by hand.  sqlglot's own tokenizer is not used for this: it has no positions in the client's
text, no nested comments, reads `$1,$` as a dollar quote and loses the E of E'' strings.  Everything that decides
without parsing (utility statements, DDL, splitting, lifting literals) works on these tokens, so that each rule of
the lexer exists once.

`grammar_text` is the bridge to `proxy.sql.grammar.Grammar`: comments are gone, every string is a plain '...' one,
`$n` stands alone, `OPERATOR(pg_catalog.~)` is `~` and `COLLATE pg_catalog.default` is gone.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from lfsql.errors import StatementSyntax, UnreadableStatement

Dialect = Literal["postgresql", "sqlite"]

WORD: Final = "word"
QUOTED: Final = "quoted"
STRING: Final = "string"
BITS: Final = "bits"
NUMBER: Final = "number"
PARAMETER: Final = "parameter"
OPERATOR: Final = "operator"
PUNCTUATION: Final = "punctuation"
END: Final = "end"

_HINT = re.compile(r"\s*lfsql\s*:(.*)", re.DOTALL | re.IGNORECASE)
_HINT_PAIR = re.compile(r"([A-Za-z_][\w.]*)\s*=\s*(?:'([^']*)'|([^\s,;']+))\s*[,;]?\s*")

TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<line>--[^\r\n]*)
    | (?P<block>/\*)
    | (?P<escape>[eE]'[^'\\]*(?:(?:''|\\.)[^'\\]*)*'?)
    | (?P<unicode>[uU]&'[^']*(?:''[^']*)*'?)
    | (?P<unicodename>[uU]&"[^"]*(?:""[^"]*)*"?)
    | (?P<bits>[bBxX]'[^']*'?)
    | (?P<string>[nN]?'[^']*(?:''[^']*)*'?)
    | (?P<quoted>"[^"]*(?:""[^"]*)*"?)
    | (?P<word>[A-Za-z_\u0080-\U0010ffff][\w$\u0080-\U0010ffff]*)
    | (?P<number>(?:\d+(?:\.(?!\.)\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<parameter>\$\d+)
    | (?P<dollar>\$(?:[A-Za-z_\u0080-\U0010ffff][\w\u0080-\U0010ffff]*)?\$)
    | (?P<punctuation>::|:=|\.\.|[()\[\],;.:])
    | (?P<operator>(?:(?!--|/\*)[+\-*/<>=~!@\#%^&|`?])+)
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
SQLITE_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<line>--[^\r\n]*)
    | (?P<block>/\*)
    | (?P<bits>[xX]'[^']*'?)
    | (?P<string>'[^']*(?:''[^']*)*'?)
    | (?P<quoted>"[^"]*(?:""[^"]*)*"?|`[^`]*(?:``[^`]*)*`?|\[[^\]]*\]?)
    | (?P<word>[A-Za-z_\u0080-\U0010ffff][\w$\u0080-\U0010ffff]*)
    | (?P<number>0[xX][0-9a-fA-F]+|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<parameter>\?\d*|[$:@#][\w$]+)
    | (?P<punctuation>[(),;.])
    | (?P<operator>\|\||->>?|<<|>>|<=|>=|<>|==|!=|[+\-*/%&|~<>=!])
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_COMMENT_MARK = re.compile(r"/\*|\*/")
_SPECIAL_OPERATOR = re.compile(r"[~!@#%^&|`?]")
_STRING_KINDS: Final = frozenset(("escape", "unicode", "string", "dollar"))
_UNTERMINATED: Final = {
    "escape": "quoted string",
    "unicode": "quoted string",
    "string": "quoted string",
    "bits": "bit string literal",
    "quoted": "quoted identifier",
    "unicodename": "quoted identifier",
    "dollar": "dollar-quoted string",
}


class Token(NamedTuple):
    """One token.  `value` is what it means: a folded identifier, a string's content, else the text itself."""

    kind: str
    text: str
    value: str
    start: int
    """Characters from the start of the statement's text, from 0."""

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class Source:
    """One statement of a script.  `offset`: characters before it, to be added to an error's position."""

    text: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class GrammarText:
    """Text for sqlglot and the way back: character `starts[i]` of `text` is the client's character `origins[i]`."""

    text: str
    starts: tuple[int, ...]
    origins: tuple[int, ...]

    def origin(self, offset: int) -> int:
        at = bisect_right(self.starts, offset) - 1
        return self.origins[at] if at >= 0 else 0


def syntax_error(message: str, text: str, offset: int) -> UnreadableStatement:
    """PostgreSQL's wording: the offending text is quoted, the position counts from 1."""
    near = text.strip()
    if not near:
        return UnreadableStatement(f"{message} at end of input", position=offset + 1)
    return UnreadableStatement(f'{message} at or near "{near[:200]}"', position=offset + 1)


def fold(name: str) -> str:
    """An unquoted identifier as PostgreSQL stores it; identifiers keep 63 bytes."""
    return clip(name.lower() if name.isascii() else "".join(c.lower() if c.isascii() else c for c in name))


def clip(name: str) -> str:
    """PostgreSQL cuts identifiers at 63 bytes, silently but for a notice."""
    if len(name) <= 15 or len(encoded := name.encode()) <= 63:
        return name
    return encoded[:63].decode(errors="ignore")


def _escaped(body: str, text: str, start: int) -> str:
    """The content of an E'' string."""
    if "\\" not in body:
        return body.replace("''", "'")

    def one(match: re.Match[str]) -> str:
        found = match.group(0)
        if found == "''":
            return "'"
        mark = found[1]
        if mark in "bfnrt":
            return {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}[mark]
        if mark in "01234567":
            return chr(int(found[1:], 8) & 0xFF)
        if mark in "xuU" and len(found) > 2:
            code = int(found[2:], 16)
            if code == 0 or code > 0x10FFFF:
                raise syntax_error("invalid Unicode escape value", found, start + match.start())
            return chr(code)
        return found[1:]

    pattern = r"''|\\(?:[0-7]{1,3}|x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)"
    pieces = re.sub(pattern, one, body, flags=re.DOTALL)
    if re.search(r"\\(?:x[89a-fA-F]|[23][0-7])", body):  # bytes of UTF-8 given one by one
        try:
            pieces = pieces.encode("latin-1").decode()
        except (UnicodeEncodeError, UnicodeDecodeError):
            raise syntax_error("invalid byte sequence for encoding UTF8", text[:40], start) from None
    if re.search(r"[\ud800-\udfff]", pieces):
        try:
            pieces = pieces.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise syntax_error("invalid Unicode surrogate pair", text[:40], start) from None
    if "\0" in pieces:
        raise syntax_error("invalid byte sequence for encoding UTF8: 0x00", text[:40], start)
    return pieces


def _unicode_escaped(body: str, text: str, start: int) -> str:
    def one(match: re.Match[str]) -> str:
        found = match.group(0)
        if found == "\\\\":
            return "\\"
        digits = found[2:] if found.startswith("\\+") else found[1:]
        if not digits or int(digits, 16) in (0, *range(0xD800, 0xE000)) or int(digits, 16) > 0x10FFFF:
            raise syntax_error("invalid Unicode escape", text, start)
        return chr(int(digits, 16))

    return re.sub(r"\\(?:\\|\+[0-9a-fA-F]{6}|[0-9a-fA-F]{4}|)", one, body)


def close_comment(text: str, start: int) -> int:
    """The end of the block comment that opens at `start`; comments nest."""
    depth = 0
    for mark in _COMMENT_MARK.finditer(text, start):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return mark.end()
    raise syntax_error("unterminated /* comment", text[start:], start)


def tokens(text: str) -> list[Token]:
    """The tokens of PostgreSQL's SQL, without white space and comments.  StatementSyntax for what is no token."""
    found: list[Token] = []
    at, length = 0, len(text)
    joins = False  # a string follows another across a line break: PostgreSQL joins them
    match_at = TOKEN.match
    while at < length:
        match = match_at(text, at)
        if match is None:
            raise syntax_error("syntax error", text[at], at)
        kind = match.lastgroup or ""
        body, start, at = match.group(), at, match.end()
        if kind == "space":
            joins = joins or "\n" in body or "\r" in body
            continue
        if kind == "line":
            continue
        if kind == "block":
            at = close_comment(text, start)
            continue
        if kind == "word":
            found.append(Token(WORD, body, fold(body), start))
        elif kind == "punctuation" or kind == "parameter":
            found.append(Token(kind, body, body, start))
        elif kind == "operator":
            # An operator of several characters ends in + or - only if it has one of ~!@#%^&|`? in it.
            if len(body) > 1 and body[-1] in "+-" and not _SPECIAL_OPERATOR.search(body):
                body = body.rstrip("+-") or body[0]
                at = start + len(body)
            found.append(Token(OPERATOR, body, "<>" if body == "!=" else body, start))
        elif kind == "number":
            if at < length and (text[at].isalpha() or text[at] == "_"):
                junk = re.match(r"\w+", text[at:])
                near = body + (junk.group() if junk else "")
                raise syntax_error("trailing junk after numeric literal", near, start)
            found.append(Token(NUMBER, body, body, start))
        else:
            token, at = _quoted_token(kind, body, text, start, at)
            previous = found[-1] if found else None
            if joins and kind == "string" and previous is not None and previous.kind == STRING:
                found[-1] = Token(STRING, text[previous.start : at], previous.value + token.value, previous.start)
            else:
                found.append(token)
        joins = False
    return found


def _quoted_token(kind: str, body: str, text: str, start: int, at: int) -> tuple[Token, int]:
    if kind == "dollar":
        close = text.find(body, at)
        if close < 0:
            raise syntax_error("unterminated dollar-quoted string", text[start:], start)
        at = close + len(body)
        return Token(STRING, text[start:at], text[start + len(body) : close], start), at
    quote = '"' if kind in ("quoted", "unicodename") else "'"
    opening = body.index(quote) + 1
    if len(body) == opening or not _closed(body[opening:], quote, escapes=kind == "escape"):
        raise syntax_error(f"unterminated {_UNTERMINATED[kind]}", body, start)
    inner = body[opening:-1]
    if kind == "bits":
        return Token(BITS, body, body, start), at
    if kind == "escape":
        return Token(STRING, body, _escaped(inner, body, start), start), at
    inner = inner.replace(quote + quote, quote)
    if kind in ("unicode", "unicodename"):
        inner = _unicode_escaped(inner, body, start)
    if kind in _STRING_KINDS:
        return Token(STRING, body, inner, start), at
    if not inner:
        raise syntax_error("zero-length delimited identifier", body, start)
    return Token(QUOTED, body, clip(inner), start), at


def _closed(rest: str, quote: str, *, escapes: bool) -> bool:
    """Whether `rest`, which begins after the opening quote, ends in the quote that closes it."""
    if not rest.endswith(quote):
        return False
    inner = rest[:-1]
    if escapes:
        inner = re.sub(r"\\.", "", inner, flags=re.DOTALL)
        if inner.endswith("\\"):
            return False
    return inner.replace(quote + quote, "").count(quote) == 0


def sqlite_tokens(text: str) -> list[Token]:
    """The tokens of SQLite's SQL.  What is no token comes as an operator: SQLite itself will say what is wrong."""
    found: list[Token] = []
    at, length = 0, len(text)
    while at < length:
        match = SQLITE_TOKEN.match(text, at)
        if match is None:
            found.append(Token(OPERATOR, text[at], text[at], at))
            at += 1
            continue
        kind = match.lastgroup or ""
        body, start, at = match.group(), at, match.end()
        if kind in ("space", "line"):
            continue
        if kind == "block":
            close = text.find("*/", at)
            at = length if close < 0 else close + 2
            continue
        value = body
        if kind == "word":
            value = body.lower()
        elif kind in ("string", "quoted"):
            close_mark = "]" if body[0] == "[" else body[0]
            value = body[1:-1] if len(body) > 1 and body[-1] == close_mark else body[1:]
            if close_mark != "]":
                value = value.replace(close_mark * 2, close_mark)
        found.append(Token(kind, body, value, start))
    return found


WORDS_TO_TRIGGER_MAX: Final = 6
"""EXPLAIN QUERY PLAN CREATE TEMP TRIGGER, and one that takes note of what comes later."""


def split(text: str, dialect: Dialect = "postgresql") -> list[Source]:
    """The statements of a script, without the semicolons between them and without empty ones.

    StatementSyntax when a quote or comment stays open.
    """
    bare = text.rstrip()
    while bare.endswith(";"):
        bare = bare[:-1].rstrip()
    if ";" not in bare:
        return [Source(bare)] if bare and (bare[0] not in "-/" or tokens_of(bare, dialect)) else []
    found: list[Source] = []
    begin: int | None = None
    depth = 0
    trigger = False
    recent: list[str] = []
    end = after = 0
    for token in tokens_of(text, dialect):
        if begin is None:
            if token.text == ";":
                after = token.end
                continue
            begin = after if "/*" in text[after : token.start] else token.start  # a comment may be a hint
            depth, trigger, recent = 0, False, []
        if len(recent) < WORDS_TO_TRIGGER_MAX:
            recent.append(token.value)
            trigger = trigger or (dialect == "sqlite" and token.value == "trigger" and makes_trigger(recent))
        if token.text in ("(", "["):
            depth += 1
        elif token.text in (")", "]"):
            depth -= 1
        elif token.text == ";" and depth <= 0:
            # SQLite's CREATE TRIGGER holds statements; it ends at `; END ;`.
            if not trigger or recent[-1] == "; end":
                found.append(Source(text[begin:end], begin))
                begin, after = None, token.end
                continue
            recent[-1] = ";"
        elif trigger and len(recent) == WORDS_TO_TRIGGER_MAX:
            recent[-1] = "; end" if recent[-1] == ";" and token.value == "end" else token.value
        end = token.end
    if begin is not None:
        found.append(Source(text[begin:end], begin))
    return found


def makes_trigger(words: list[str]) -> bool:
    """Whether the words up to TRIGGER, [EXPLAIN [QUERY PLAN]] CREATE [TEMP], begin the making of one."""
    *before, _trigger = [word for word in words if word not in ("explain", "query", "plan", "temp", "temporary")]
    return before == ["create"]


def tokens_of(text: str, dialect: Dialect) -> list[Token]:
    return tokens(text) if dialect == "postgresql" else sqlite_tokens(text)


def hints(text: str, dialect: Dialect = "postgresql") -> tuple[tuple[str, str], ...]:
    """The settings of `/* lfsql: name=value, name=value */` comments, in order.  Names come without a prefix.

    StatementSyntax for a hint that cannot be read: a consistency level misspelt must not be ignored.
    """
    if "/*" not in text or "lfsql" not in text.lower():
        return ()
    found: list[tuple[str, str]] = []
    at = 0
    nests = dialect == "postgresql"
    pattern = TOKEN if nests else SQLITE_TOKEN
    while at < len(text):
        match = pattern.match(text, at)
        if match is None:
            if nests:
                break
            at += 1
            continue
        at = match.end()
        if match.lastgroup == "dollar":
            close = text.find(match.group(), at)
            at = len(text) if close < 0 else close + len(match.group())
        elif match.lastgroup == "block":
            end = close_comment(text, match.start()) if nests else text.find("*/", at) + 2
            if end == 1:
                break  # never closed, which is the text's end in SQLite
            hint = _HINT.fullmatch(text, at, end - 2)
            if hint:
                found.extend(_hint_pairs(hint.group(1).strip(), match.start()))
            at = end
    return tuple(found)


def _hint_pairs(body: str, offset: int) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    at = 0
    while at < len(body):
        match = _HINT_PAIR.match(body, at)
        if match is None:
            raise StatementSyntax(
                f'unreadable lfsql hint "{body[:100]}"',
                hint="Write /* lfsql: name=value, name=value */.",
                position=offset + 1,
            )
        name = match.group(1).lower().removeprefix("lfsql.")
        pairs.append((name, match.group(2) if match.group(2) is not None else match.group(3)))
        at = match.end()
    return pairs


def literal(content: str) -> str:
    """A standard string literal."""
    return "'" + content.replace("'", "''") + "'"


def grammar_text(
    found: Sequence[Token], lifted: Collection[int] = (), first_number: int = 0, text: str = ""
) -> GrammarText:
    """`found` as text for `proxy.sql.grammar`.

    Token numbers in `lifted` are replaced by `$first_number`, `$first_number + 1`, ... in order.  `text`, the
    client's, is only looked at for whether tokens touch.
    """
    pieces: list[str] = []
    starts: list[int] = []
    origins: list[int] = []
    length = 0
    number = first_number
    previous_end = -1
    skip_to = -1
    for place, token in enumerate(found):
        if place < skip_to:
            continue
        kind, written = token.kind, token.text
        if place in lifted:
            written = f" ${number} "
            number += 1
        elif kind == STRING:
            written = literal(token.value)
        elif kind == PARAMETER:
            written += " "
        elif kind == QUOTED and written[0] != '"':
            written = '"' + token.value.replace('"', '""') + '"'
        elif kind == WORD and token.value == "operator":
            symbol, skip_to = _named_operator(found, place)
            written = symbol or written
        elif kind == WORD and token.value == "collate":
            skip_to = _default_collation(found, place)
            if skip_to > place:
                previous_end = -1
                continue
        # U&'..' and E'..' lost their prefix: keep a gap before anything that replaced a longer token.
        if pieces and (token.start != previous_end or written[0] == "'"):
            pieces.append(" ")
            length += 1
        starts.append(length)
        origins.append(token.start)
        pieces.append(written)
        length += len(written)
        previous_end = token.end if skip_to <= place else -1
    return GrammarText("".join(pieces), tuple(starts), tuple(origins))


def _named_operator(found: Sequence[Token], place: int) -> tuple[str, int]:
    """`OPERATOR(pg_catalog.~)` as psql writes it -> ('~', the token after it); ('', -1) when it is no such thing."""
    at = place + 1
    if at >= len(found) or found[at].text != "(":
        return "", -1
    at += 1
    while at + 1 < len(found) and found[at].kind in (WORD, QUOTED) and found[at + 1].text == ".":
        at += 2
    if at + 1 < len(found) and found[at].kind == OPERATOR and found[at + 1].text == ")":
        return found[at].text, at + 2
    return "", -1


def _default_collation(found: Sequence[Token], place: int) -> int:
    """The token after `COLLATE [pg_catalog.]"default"`, or -1: the database has one collation."""
    at = place + 1
    if at + 1 < len(found) and found[at].value == "pg_catalog" and found[at + 1].text == ".":
        at += 2
    return at + 1 if at < len(found) and found[at].value == "default" else -1
