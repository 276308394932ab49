"""DEFAULT clauses: where they end, what they become in SQLite, and how PostgreSQL would print them."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from itertools import pairwise

from sqlglot import exp

from lfsql.errors import CannotCoerce, DatatypeMismatch, FeatureNotSupported
from proxy.pg import oids
from proxy.sql.column_types import scale_of, spell_type
from proxy.sql.lexer import WORD, Token
from proxy.sql.parsing import parse_expression
from proxy.sql.quoting import string
from proxy.sql.schema import Schema
from proxy.sql.table_draft import INTEGERS, DraftColumn
from proxy.sql.token_cursor import Cursor
from proxy.sql.translate import translate_expression

_CLAUSE_WORDS = frozenset(
    (
        "constraint",
        "not",
        "null",
        "check",
        "default",
        "generated",
        "unique",
        "primary",
        "references",
        "collate",
        "deferrable",
        "initially",
        "storage",
        "compression",
    )
)


def default_tokens(cursor: Cursor) -> list[Token]:
    """The tokens of a DEFAULT expression: up to the next clause, comma, or closing parenthesis."""
    begin = cursor.at

    def stop(token: Token) -> bool:
        if token.text == ",":
            return True
        if token.kind != WORD or token.value not in _CLAUSE_WORDS or cursor.at == begin:
            return False
        if token.value == "null" or token.value == "default":
            # DEFAULT x NULL ends here; DEFAULT x IS NULL does not.
            return cursor.tokens[cursor.at - 1].value not in ("is", "not")
        if token.value == "not":
            return cursor.ahead().value == "null" and cursor.tokens[cursor.at - 1].value != "is"
        return True

    found = cursor.until(stop)
    if not found:
        raise cursor.error()
    return found


def set_default(column: DraftColumn, tokens: list[Token], schema: Schema) -> None:
    """Translate a default, as an assignment to the column's type."""
    tree = parse_expression(tokens)
    if any(isinstance(node, exp.Column) for node in tree.walk()):
        raise FeatureNotSupported("cannot use column reference in DEFAULT expression", position=tokens[0].start + 1)
    if any(isinstance(node, exp.Query) for node in tree.walk()):
        raise FeatureNotSupported("cannot use subquery in DEFAULT expression", position=tokens[0].start + 1)
    if isinstance(tree, exp.Null):
        column.default = column.default_text = None
        return
    column.default = _constant(tree, column)
    if column.default is None:
        try:
            column.default = f"({translate_expression(tree, schema, None, column.oid, column.typmod)})"
        except (CannotCoerce, DatatypeMismatch) as error:
            raise DatatypeMismatch(
                f'column "{column.name}" is of type {spell_type(column.oid)} '
                "but its default expression is of another",
                detail=error.message,
                hint="You will need to rewrite or cast the expression.",
                position=tokens[0].start + 1,
            ) from error
    inner = tree.this if isinstance(tree, exp.Cast) else tree
    if isinstance(inner, exp.Literal) and inner.is_string:
        column.default_text = f"{string(inner.name)}::{spell_type(column.oid)}"
    else:
        column.default_text = _spelled(tokens)


def _spelled(tokens: list[Token]) -> str:
    """The client's words, with a space wherever there was any."""
    text = tokens[0].text
    for previous, token in pairwise(tokens):
        text += (" " if token.start > previous.end else "") + token.text
    return text


def _constant(tree: exp.Expression, column: DraftColumn) -> str | None:
    """The default as a literal of SQLite's, when it is one; ALTER TABLE ADD COLUMN wants one."""
    negative = isinstance(tree, exp.Neg)
    inner = tree.this if negative else tree
    if isinstance(tree, exp.Boolean) and column.oid == oids.BOOL:
        return str(int(bool(tree.this)))
    if not isinstance(inner, exp.Literal):
        return None
    if inner.is_string:
        text = str(inner.name)
        length = column.typmod - 4
        if column.typmod >= 4 and not text[length:].strip(" "):
            text = text[:length]  # blanks too many are cut off, as they are from any value
        return string(text) if column.oid in (oids.TEXT, oids.VARCHAR) and not negative else None
    sign = "-" if negative else ""
    whole = str(inner.name).isdigit()
    if column.oid in INTEGERS:
        return f"{sign}{inner.name}" if whole else None
    if column.oid in (oids.FLOAT4, oids.FLOAT8):
        return f"{sign}{inner.name}.0" if whole else None
    if column.oid == oids.NUMERIC:
        try:
            value = Decimal(sign + str(inner.name))
            if column.typmod >= 4:
                value = value.quantize(Decimal(1).scaleb(-max(scale_of(column.typmod), 0)))
        except InvalidOperation:
            return None
        return string(f"{value:f}")
    return None
