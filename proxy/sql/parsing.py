"""Tokens -> sqlglot's tree, with PostgreSQL's errors.

What sqlglot cannot parse is an error here: no PostgreSQL stands behind this tier that could be handed the text.
Nesting is limited before sqlglot sees it, since its recursion would end in the interpreter's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError

from lfsql.errors import StatementTooComplex, UnreadableStatement
from proxy.sql.grammar import Grammar
from proxy.sql.lexer import PUNCTUATION, WORD, GrammarText, Token, grammar_text, syntax_error

NESTING_MAX: Final = 200
"""Parentheses within parentheses, and CASE within CASE."""


def parse_statement(found: Sequence[Token], lifted: Collection[int] = (), first_number: int = 0) -> exp.Expression:
    """The tree of one SELECT, INSERT, UPDATE, DELETE or VALUES.  `lifted`: see `lexer.grammar_text`."""
    check_nesting(found)
    return _parse(found, grammar_text(found, lifted, first_number))


def parse_expression(found: Sequence[Token]) -> exp.Expression:
    """The tree of one expression."""
    if not found:
        raise UnreadableStatement("syntax error at end of input")
    check_nesting(found)
    inner = grammar_text(found)
    prefix = "SELECT ("
    shifted = GrammarText(
        f"{prefix}{inner.text})", tuple(start + len(prefix) for start in inner.starts), inner.origins
    )
    tree = _parse(found, shifted)
    items = tree.expressions
    if not isinstance(tree, exp.Select) or len(items) != 1 or not isinstance(items[0], exp.Paren):
        if len(items) == 1 and isinstance(items[0], exp.Subquery):
            return items[0]
        raise syntax_error("syntax error", found[0].text, found[0].start)
    inside = items[0].this
    if not isinstance(inside, exp.Expression) or isinstance(inside, exp.Alias):
        raise syntax_error("syntax error", found[-1].text, found[-1].start)
    return inside


def check_nesting(found: Sequence[Token]) -> None:
    """StatementTooComplex when parentheses nest too deeply; syntax error when they do not pair, or end in a comma."""
    open_marks: list[Token] = []
    after_comma = False
    for token in found:
        if after_comma and (token.text in (")", ",") or (token.kind == WORD and token.value == "from")):
            raise syntax_error("syntax error", token.text, token.start)  # sqlglot allows a trailing comma
        after_comma = token.text == "," and token.kind == PUNCTUATION
        if token.kind != PUNCTUATION:
            continue
        if token.text in ("(", "["):
            open_marks.append(token)
            if len(open_marks) > NESTING_MAX:
                raise StatementTooComplex(
                    "stack depth limit exceeded",
                    detail=f"Parentheses nest deeper than {NESTING_MAX}.",
                    position=token.start + 1,
                )
        elif token.text in (")", "]") and (
            not open_marks or open_marks.pop().text != {")": "(", "]": "["}[token.text]
        ):
            raise syntax_error("syntax error", token.text, token.start)
    if open_marks:
        end = found[-1].end
        raise syntax_error("syntax error", "", end)


def _parse(found: Sequence[Token], source: GrammarText) -> exp.Expression:
    try:
        trees = sqlglot.parse(source.text, dialect=Grammar)
    except ParseError as error:
        raise _at_token(found, source, error) from error
    except SqlglotError as error:
        raise syntax_error("syntax error", found[0].text, found[0].start) from error
    except RecursionError:
        # Without the cause: its traceback would keep a thousand frames alive.
        raise StatementTooComplex("stack depth limit exceeded") from None
    tree = trees[0] if len(trees) == 1 else None
    if not isinstance(tree, exp.Expression) or isinstance(tree, exp.Command):
        raise syntax_error("syntax error", found[0].text, found[0].start)
    return tree


def _at_token(found: Sequence[Token], source: GrammarText, error: ParseError) -> UnreadableStatement:
    """PostgreSQL's error, at the token where sqlglot stopped."""
    told = error.errors[0] if error.errors else {}
    line, column, mark = told.get("line"), told.get("col"), str(told.get("highlight") or "")
    if not line or not column:
        return syntax_error("syntax error", "", found[-1].end)
    lines = source.text.split("\n")
    offset = sum(len(text) + 1 for text in lines[: line - 1]) + column - len(mark)
    origin = source.origin(max(offset, 0))
    for token in found:
        if token.start == origin:
            return syntax_error("syntax error", token.text, token.start)
    return syntax_error("syntax error", found[-1].text, found[-1].start)
