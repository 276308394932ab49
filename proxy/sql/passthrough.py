"""The sqlite dialect: SQLite's own SQL goes through as it is.

Only what belongs to the session is taken out: transactions, settings, prepared statements, COPY and cursors have
PostgreSQL's grammar in both dialects.  A look at the first words says whether a statement reads; the engine's
authorizer and the readers' read-only connections decide for good.
"""

from __future__ import annotations

from typing import Final

from proxy.pg import oids
from proxy.sql.ddl_text import TRUSTED
from proxy.sql.lexer import PARAMETER, PUNCTUATION, WORD, Token, hints, sqlite_tokens, tokens
from proxy.sql.plan import Kind, Plan
from proxy.sql.schema import Schema
from proxy.sql.token_cursor import Cursor
from proxy.sql.utilities import parse_utility, tag_of
from proxy.sql.utility import Maintenance

_SESSION_WORDS: Final = frozenset(
    (
        "begin",
        "start",
        "commit",
        "end",
        "rollback",
        "abort",
        "savepoint",
        "release",
        "set",
        "show",
        "reset",
        "discard",
        "prepare",
        "execute",
        "deallocate",
        "copy",
        "declare",
        "fetch",
        "move",
        "close",
        "listen",
        "unlisten",
        "notify",
    )
)
_READS: Final = frozenset(("select", "values", "explain", "pragma"))
_WRITES: Final = frozenset(("insert", "update", "delete", "replace"))
_FORGET: Final = (
    f"{TRUSTED}DELETE FROM _lfsql_columns WHERE table_name NOT IN (SELECT name FROM main.sqlite_schema)",
    f"{TRUSTED}DELETE FROM _lfsql_sequences WHERE owner_table NOT IN (SELECT name FROM main.sqlite_schema)",
)
"""After SQLite's own DROP or ALTER: what was kept of tables that are gone must not describe new ones."""


def plan_sqlite(text: str, schema: Schema, parameter_oids: tuple[int, ...]) -> Plan:
    """Plan one statement of SQLite's SQL."""
    found = sqlite_tokens(text)
    while found and found[-1].text == ";":
        found.pop()
    said = hints(text)
    if not found:
        return Plan(Kind.EMPTY, "", hints=said)
    first = found[0].value if found[0].kind == WORD else ""
    if first in _SESSION_WORDS:
        return _session(text, found, schema, said)
    if first == "vacuum":
        return Plan(Kind.UTILITY, "VACUUM", utility=Maintenance("VACUUM"), reason="utility", hints=said)
    verb = _main_verb(found) if first == "with" else first
    body, highest = _numbered(text, found)
    given = (*parameter_oids, *(0 for _ in range(highest - len(parameter_oids))))
    statements: tuple[str, ...] = (body,)
    kind = Kind.DDL
    if verb in _READS:
        kind = Kind.READ
    elif verb in _WRITES:
        kind = Kind.WRITE
    elif verb in ("drop", "alter"):
        statements = (body, *_FORGET)
    return Plan(
        kind=kind,
        tag=_tag(verb, found),
        statements=statements,
        parameters=tuple(oid or oids.TEXT for oid in given[:highest]),
        returns_rows=verb in _READS or (verb in _WRITES and _top_level(found, "returning")),
        reason=verb or "cannot be parsed",
        typed_by_value=True,
        hints=said,
    )


def _session(text: str, found: list[Token], schema: Schema, said: tuple[tuple[str, str], ...]) -> Plan:
    if found[0].value == "begin" and len(found) > 1 and found[1].value in ("deferred", "immediate", "exclusive"):
        # There is one writer, and it is taken at the first write.
        text = text[: found[1].start] + text[found[1].end :]
    utility = parse_utility(Cursor(text, _trimmed(tokens(text))), schema)
    if utility is None:
        raise Cursor(text).error()
    return Plan(Kind.UTILITY, tag_of(utility), utility=utility, reason="utility", hints=said)


def _trimmed(found: list[Token]) -> list[Token]:
    while found and found[-1].text == ";":
        found.pop()
    return found


def _numbered(text: str, found: list[Token]) -> tuple[str, int]:
    """The text from its first token, with $1 as ?1 (SQLite would number $2, $1 by appearance), and the highest n.

    It begins at the first token, so a client's comment cannot pass for the planner's mark.
    """
    start, end = found[0].start, found[-1].end
    pieces: list[str] = []
    at = start
    highest = 0
    bare = 0
    for token in found:
        if token.kind != PARAMETER:
            continue
        digits = token.text[1:]
        if digits.isdigit() and token.text[0] in "$?":
            highest = max(highest, int(digits))
            pieces += [text[at : token.start], f"?{digits}"]
            at = token.end
        elif token.text == "?":
            bare += 1
    pieces.append(text[at:end])
    return "".join(pieces), highest + bare


def _main_verb(found: list[Token]) -> str:
    """The verb after the common table expressions."""
    depth = 0
    for token in found:
        if token.kind == PUNCTUATION:
            depth += (token.text == "(") - (token.text == ")")
        elif depth == 0 and token.kind == WORD and token.value in _WRITES | {"select", "values"}:
            return token.value
    return "with"


def _top_level(found: list[Token], word: str) -> bool:
    depth = 0
    for token in found:
        if token.kind == PUNCTUATION:
            depth += (token.text == "(") - (token.text == ")")
        elif depth == 0 and token.kind == WORD and token.value == word:
            return True
    return False


def _tag(verb: str, found: list[Token]) -> str:
    if verb in ("create", "drop", "alter"):
        for token in found[1:5]:
            if token.value in ("table", "index", "view", "trigger"):
                return f"{verb} {token.value}".upper()
    if verb == "replace":
        return "INSERT"
    if verb in ("values", "with", "pragma"):
        return "SELECT"
    return verb.upper()
