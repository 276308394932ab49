"""The sqlite dialect: SQLite's own SQL goes through as it is.

Only what belongs to the session is taken out: transactions, settings, prepared statements, COPY and cursors have
PostgreSQL's grammar in both dialects.  A look at the first words says whether a statement reads; the engine's
authorizer and the readers' read-only connections decide for good.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Final

from lfsql.errors import InsufficientPrivilege
from proxy.pg import oids
from proxy.sql.ddl_text import TRUSTED
from proxy.sql.lexer import PARAMETER, QUOTED, WORD, Token, hints, sqlite_tokens, syntax_error, tokens
from proxy.sql.plan import Kind, Plan
from proxy.sql.schema import Schema
from proxy.sql.token_cursor import Cursor
from proxy.sql.utilities import explain_options, parse_utility, tag_of
from proxy.sql.utility import Maintenance
from proxy.sql.verbs import says, verb_place

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
_STATEMENTS: Final = frozenset(
    (
        *("select", "values", "with", "insert", "replace", "update", "delete"),
        *("create", "alter", "drop", "analyze", "reindex", "explain", "pragma", "attach", "detach"),
    )
)
"""Words that SQLite's statements begin with, beside the session's and VACUUM."""
_READS: Final = frozenset(("select", "values", "explain", "pragma"))
_WRITES: Final = frozenset(("insert", "update", "delete", "replace"))
_WRITING_FUNCTIONS: Final = frozenset(("nextval", "setval"))
_WRITING_PRAGMAS: Final = frozenset(("journal_mode",))
"""SQLite takes asking for it for a write, as it may be one."""
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
    said = hints(text, "sqlite")
    if not found:
        return Plan(Kind.EMPTY, "", hints=said)
    first = found[0].value if found[0].kind == WORD else ""
    if first in _SESSION_WORDS:
        return _session(text, found, schema, said)
    if first == "vacuum":
        return _vacuum(found, said)
    if first == "explain" and len(found) > 1 and found[1].text == "(":
        return _explain(text, found, said)
    if first not in _STATEMENTS:
        raise syntax_error("syntax error", found[0].text, found[0].start)
    verb = _verb(found)
    body, highest = _numbered(text, found)
    given = (*parameter_oids, *(0 for _ in range(highest - len(parameter_oids))))
    statements: tuple[str, ...] = (body,)
    kind = Kind.DDL
    reason = verb or "cannot be parsed"
    writer = _writer(found, verb) if verb in _READS else ""
    if writer:
        kind, reason = Kind.WRITE, writer
    elif verb in _READS:
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
        returns_rows=verb in _READS or (verb in _WRITES and says(found, "returning")),
        reason=reason,
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


def _explain(text: str, found: list[Token], said: tuple[tuple[str, str], ...]) -> Plan:
    """EXPLAIN (...) is PostgreSQL's, with SQLite's SQL behind it: SQLite's own EXPLAIN knows no options."""
    close = next((place for place, token in enumerate(found) if token.text == ")"), len(found) - 1)
    start, end = found[1].start, found[close].end
    cursor = Cursor(text[:end], [token for token in tokens(text[:end]) if token.start >= start])
    asked = explain_options(cursor)
    if close + 1 == len(found):
        raise syntax_error("syntax error", "", end)
    inner = replace(asked, text=text[end : found[-1].end].strip())  # with its comments, which may be hints
    return Plan(Kind.UTILITY, tag_of(inner), utility=inner, reason="utility", hints=said)


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


def _verb(found: list[Token]) -> str:
    token = found[verb_place(found)]
    return token.value if token.kind == WORD else ""


def _writer(found: list[Token], verb: str) -> str:
    """What makes a write of a statement that begins like a read; '' for nothing."""
    if verb == "explain":
        return ""
    for token, ahead in pairwise(found):
        name = token.value.lower()
        if ahead.text == "(" and token.kind in (WORD, QUOTED) and name in _WRITING_FUNCTIONS:
            return f"calls {name}"
        if verb == "pragma" and ahead.kind == WORD and ahead.value in _WRITING_PRAGMAS:
            return f"pragma {ahead.value}"
    return ""


def _vacuum(found: list[Token], said: tuple[tuple[str, str], ...]) -> Plan:
    """VACUUM [schema]: each node does that in its own time.  With INTO it would write a file on one of them."""
    rest = found[1:]
    if rest and rest[0].value != "into":
        rest = rest[1:]
    if len(rest) > 1 and rest[0].value == "into":
        raise InsufficientPrivilege("VACUUM INTO is not supported: it would write a file of a node")
    if rest:
        raise syntax_error("syntax error", rest[0].text, rest[0].start)
    return Plan(Kind.UTILITY, "VACUUM", utility=Maintenance("VACUUM"), reason="utility", hints=said)


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
