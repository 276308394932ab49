"""LIKE, SIMILAR TO and PostgreSQL's regular expressions, on the `regex` package.

`re` cannot be stopped: a pattern like '(a+)+$' would hold its process for as long as it likes.  `regex` takes a time
limit, and lets other threads run meanwhile.  The limit is the primary's and the readers' alone (`patience`): a
replica repeats what succeeded, however slow it is.

Patterns are translated once and kept in a bounded cache.  PostgreSQL's ARE syntax is close to Python's; what
differs is translated (bracket classes, \\m \\M \\y, \\A \\Z, the newline modes).  Python takes the first alternative
that matches where POSIX takes the longest: a pattern that depends on it differs, which is documented.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, Final

import regex as engine

from lfsql.errors import InvalidEscapeSequence, InvalidParameterValue, InvalidRegularExpression
from lfsql.storage.functions.limits import check_size, patience

CACHE: Final = 512
PATTERN_MAX: Final = 32768


def _limit() -> dict[str, Any]:
    return {"timeout": patience.left(), "concurrent": True}


_CLASSES: Final = {
    "alpha": "^\\W\\d_",
    "digit": "\\d",
    "alnum": "^\\W_",
    "upper": "A-ZÀ-ÖØ-Þ",
    "lower": "a-zß-öø-ÿ",
    "space": "\\s",
    "blank": " \\t",
    "punct": "!-/:-@\\[-`{-~",
    "cntrl": "\\x00-\\x1f\\x7f",
    "xdigit": "0-9A-Fa-f",
    "graph": "!-~",
    "print": " -~",
    "word": "\\w",
}
_INSIDE: Final = {**_CLASSES, "alpha": "a-zA-ZÀ-ÖØ-öø-ÿ", "alnum": "a-zA-Z0-9À-ÖØ-öø-ÿ"}
_ESCAPES: Final = {"m": r"\b(?=\w)", "M": r"\b(?<=\w)", "y": r"\b", "Y": r"\B", "A": r"\A", "Z": r"\Z"}


@lru_cache(maxsize=CACHE)
def like_pattern(pattern: str, escape: str, ignore_case: bool) -> engine.Pattern[str]:
    parts: list[str] = []
    characters = iter(pattern)
    for character in characters:
        if escape and character == escape:
            following = next(characters, None)
            if following is None:
                raise InvalidEscapeSequence("LIKE pattern must not end with escape character")
            parts.append(re.escape(following))
        elif character == "%":
            if not parts or parts[-1] != ".*":
                parts.append(".*")
        else:
            parts.append("." if character == "_" else re.escape(character))
    return engine.compile("".join(parts), engine.DOTALL | (engine.IGNORECASE if ignore_case else 0))


def _escape(given: str) -> str:
    if len(given) > 1:
        raise InvalidEscapeSequence("invalid escape string", hint="Escape string must be empty or one character.")
    return given


def like(subject: str, pattern: str, escape: str = "\\") -> int:
    return int(like_pattern(pattern, _escape(escape), False).fullmatch(subject, **_limit()) is not None)


def ilike(subject: str, pattern: str, escape: str = "\\") -> int:
    return int(like_pattern(pattern, _escape(escape), True).fullmatch(subject, **_limit()) is not None)


@lru_cache(maxsize=CACHE)
def similar_pattern(pattern: str, escape: str) -> engine.Pattern[str]:
    parts: list[str] = []
    inside = False
    characters = iter(pattern)
    for character in characters:
        if escape and character == escape:
            parts.append(re.escape(next(characters, "")))
        elif inside:
            parts.append("\\\\" if character == "\\" else character)
            inside = character != "]"
        elif character == "[":
            parts.append("[")
            inside = True
        elif character in "%_":
            parts.append(".*" if character == "%" else ".")
        elif character in "|*+?{}()":
            parts.append("(?:" if character == "(" else character)
        else:
            parts.append(re.escape(character))
    return _compiled("".join(parts), engine.DOTALL, pattern)


def similar(subject: str, pattern: str, escape: str = "\\") -> int:
    return int(similar_pattern(pattern, _escape(escape)).fullmatch(subject, **_limit()) is not None)


def _compiled(translated: str, flags: int, pattern: str) -> engine.Pattern[str]:
    try:
        return engine.compile(translated, flags)
    except (engine.error, OverflowError, RecursionError) as error:
        raise InvalidRegularExpression(f"invalid regular expression: {error}") from None


def _bracket(pattern: str, at: int) -> tuple[str, int]:
    """A bracket expression from its [ to behind its ]."""
    end = at + 1
    text = "["
    if pattern[end : end + 1] == "^":
        text += "^"
        end += 1
    if pattern[end : end + 1] == "]":
        text += "\\]"
        end += 1
    while end < len(pattern) and pattern[end] != "]":
        if pattern.startswith("[:", end):
            close = pattern.find(":]", end)
            word = pattern[end + 2 : close] if close > 0 else ""
            if word not in _INSIDE:
                raise InvalidRegularExpression("invalid regular expression: invalid character class")
            text += _INSIDE[word]
            end = close + 2
        elif pattern[end] == "\\" and end + 1 < len(pattern):
            text += pattern[end : end + 2]
            end += 2
        else:
            text += "\\" + pattern[end] if pattern[end] in "[&~|" else pattern[end]
            end += 1
    if end >= len(pattern):
        raise InvalidRegularExpression("invalid regular expression: brackets [] not balanced")
    return text + "]", end + 1


@lru_cache(maxsize=CACHE)
def regex(pattern: str, options: str = "") -> engine.Pattern[str]:
    """A PostgreSQL regular expression (ARE) with its option letters.  Raises InvalidRegularExpression."""
    if len(pattern) > PATTERN_MAX:
        raise InvalidRegularExpression("invalid regular expression: regular expression is too complex")
    if pattern.startswith("***="):
        options, pattern = options + "q", pattern[4:]
    elif pattern.startswith("***:"):
        pattern = pattern[4:]
    embedded = re.match(r"\(\?([a-z]+)\)", pattern)
    if embedded is not None:
        options, pattern = options + embedded.group(1), pattern[embedded.end() :]
    flags = engine.DOTALL
    verbose = False
    for letter in options:
        if letter == "i":
            flags |= engine.IGNORECASE
        elif letter == "c":
            flags &= ~engine.IGNORECASE
        elif letter in "nm":
            flags = (flags | engine.MULTILINE) & ~engine.DOTALL
        elif letter == "s":
            flags = (flags | engine.DOTALL) & ~engine.MULTILINE
        elif letter == "p":
            flags &= ~engine.DOTALL
        elif letter == "w":
            flags |= engine.MULTILINE
        elif letter == "x":
            verbose = True
        elif letter == "q":
            return engine.compile(re.escape(pattern), flags)
        elif letter not in "gbet":
            raise InvalidParameterValue(f'invalid regular expression option: "{letter}"')
    if verbose:
        flags |= engine.VERBOSE
    return _compiled(_translated(pattern, bool(flags & engine.MULTILINE)), flags, pattern)


def _translated(pattern: str, multiline: bool) -> str:
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        if character == "[":
            text, at = _bracket(pattern, at)
            parts.append(text)
            continue
        if character == "\\":
            following = pattern[at + 1 : at + 2]
            if not following:
                raise InvalidRegularExpression("invalid regular expression: invalid escape \\ sequence")
            parts.append(_ESCAPES.get(following, "\\" + following))
            at += 2
            continue
        if character == "$" and not multiline:
            parts.append(r"\Z")  # Python's $ also matches before a final newline
        else:
            parts.append(character)
        at += 1
    return "".join(parts)


def matches(subject: str, pattern: str, ignore_case: int = 0) -> int:
    return int(regex(pattern, "i" if ignore_case else "").search(subject, **_limit()) is not None)


_TEMPLATE: Final = re.compile(r"([^\\]+)|\\(.?)", re.DOTALL)


@lru_cache(maxsize=CACHE)
def _replacement(template: str) -> tuple[str | int, ...]:
    """Text and group numbers of a replacement: \\1 to \\9, \\& for all, \\\\ for a backslash."""
    parts: list[str | int] = []
    for text, escaped in _TEMPLATE.findall(template):
        if text or escaped == "":
            parts.append(text or "\\")
        elif escaped.isdigit() and escaped != "0":
            parts.append(int(escaped))
        elif escaped == "&":
            parts.append(0)
        else:
            parts.append("\\" if escaped == "\\" else "\\" + escaped)
    return tuple(parts)


def replace(subject: str, pattern: str, template: str, options: str = "") -> str:
    compiled = regex(pattern, options.replace("g", ""))
    parts = _replacement(template)

    made = 0

    def one(match: engine.Match[str]) -> str:
        nonlocal made
        text = "".join(
            part if isinstance(part, str) else (match.group(part) or "") if part <= compiled.groups else ""
            for part in parts
        )
        made += len(text)
        check_size(made)
        return text

    return compiled.sub(one, subject, count=0 if "g" in options else 1, **_limit())


def _groups(match: engine.Match[str]) -> str:
    found: list[Any] = list(match.groups()) if match.re.groups else [match.group(0)]
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def first_match(subject: str, pattern: str, options: str = "") -> str | None:
    if "g" in options:
        raise InvalidParameterValue('regexp_match() does not support the "global" option')
    match = regex(pattern, options).search(subject, **_limit())
    return None if match is None else _groups(match)


def all_matches(subject: str, pattern: str, options: str = "") -> list[str]:
    compiled = regex(pattern, options.replace("g", ""))
    if "g" in options:
        return [_groups(match) for match in compiled.finditer(subject, **_limit())]
    match = compiled.search(subject, **_limit())
    return [] if match is None else [_groups(match)]


def split(subject: str, pattern: str, options: str = "") -> str:
    parts: list[str] = []
    at = 0
    for match in regex(pattern, options).finditer(subject, **_limit()):
        if match.end() == match.start() and (match.start() == 0 or match.start() == len(subject)):
            continue
        parts.append(subject[at : match.start()])
        at = match.end()
    parts.append(subject[at:])
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))


def substring(subject: str, pattern: str) -> str | None:
    match = regex(pattern).search(subject, **_limit())
    if match is None:
        return None
    found: str | None = match.group(1) if match.re.groups else match.group(0)
    return found


def position(subject: str, pattern: str) -> int:
    match = regex(pattern).search(subject, **_limit())
    return 0 if match is None else match.start() + 1


SCALARS: Final = {
    "lfsql_like": like,
    "lfsql_ilike": ilike,
    "lfsql_similar": similar,
    "lfsql_regex": matches,
    "regexp_replace": replace,
    "regexp_match": first_match,
    "regexp_split_to_array": split,
    "regexp_count": lambda subject, pattern: sum(1 for _ in regex(pattern).finditer(subject, **_limit())),
    "regexp_like": lambda subject, pattern, options="": int(
        regex(pattern, options).search(subject, **_limit()) is not None
    ),
    "regexp_substr": substring,
    "regexp_instr": position,
}
