"""Forms of PostgreSQL's statements that sqlglot does not read, or reads too willingly, set right in the tokens.

`TABLE t`, `WITH ... VALUES` and `FOR READ ONLY` have another wording that means the same.  INSERT without INTO, what
is no verb behind WITH, and WHERE CURRENT OF are errors here, because sqlglot's would be no error or say nothing.

Tokens that are put in stand where the one they replace stood, for the positions of errors.  They change the numbers
of the others; literals are lifted by those, but never out of a statement that sqlglot cannot read as it is.
"""

from __future__ import annotations

from lfsql.errors import FeatureNotSupported
from proxy.sql.lexer import OPERATOR, PUNCTUATION, WORD, Token, syntax_error
from proxy.sql.verbs import CHANGES, QUERIES, verb_place

_BEHIND_WITH = QUERIES | CHANGES | {"search", "cycle"}


def as_sqlglot_reads_it(found: list[Token]) -> list[Token]:
    """The tokens of one query or change.  Raises StatementSyntax, FeatureNotSupported."""
    at = verb_place(found)
    verb = found[at]
    word = verb.value if verb.kind == WORD else ""
    if at and word not in _BEHIND_WITH and verb.text != "(":
        raise syntax_error("syntax error", verb.text, verb.start)
    if word == "merge":
        raise FeatureNotSupported("MERGE is not supported", position=verb.start + 1)
    if word == "insert" and (at + 1 == len(found) or found[at + 1].value != "into"):
        ahead = found[at + 1] if at + 1 < len(found) else None
        raise syntax_error("syntax error", ahead.text if ahead else "", ahead.start if ahead else verb.end)
    _refuse_current_of(found)
    if word == "table":
        found = [*found[:at], *_written(verb, "select * from"), *found[at + 1 :]]
    elif word == "values" and at:
        found = [*found[:at], *_written(verb, "select * from ("), *found[at:], *_written(verb, ") as _values")]
    return _without_read_only(found)


def _written(place: Token, text: str) -> list[Token]:
    kinds = {"*": OPERATOR, "(": PUNCTUATION, ")": PUNCTUATION}
    return [Token(kinds.get(word, WORD), word, word, place.start) for word in text.split()]


def _refuse_current_of(found: list[Token]) -> None:
    for at in range(len(found) - 2):
        if found[at].value == "where" and found[at + 1].value == "current" and found[at + 2].value == "of":
            raise FeatureNotSupported("WHERE CURRENT OF is not supported", position=found[at + 1].start + 1)


def _without_read_only(found: list[Token]) -> list[Token]:
    """FOR READ ONLY locks nothing.  No name and no literal can be part of the three words."""
    said = [
        at
        for at in range(1, len(found) - 1)
        if found[at].value == "read" and found[at - 1].value == "for" and found[at + 1].value == "only"
    ]
    gone = {at + step for at in said for step in (-1, 0, 1)}
    return [token for at, token in enumerate(found) if at not in gone] if gone else found
