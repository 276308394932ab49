"""sqlglot's PostgreSQL grammar, kept from being clever.

sqlglot parses in order to write another dialect, so it folds what PostgreSQL keeps apart: `date_part` becomes
EXTRACT, `'a' -> 'b'` a JSON path, `a[1]` an index from 0, `interval '1 day'` a number and a unit, and some 300
functions become classes that have lost their names.  Types are then guesswork.  Here every function stays an
`exp.Anonymous` with its name and arguments, every operator that sqlglot would rewrite stays an `exp.Operator`,
and subscripts and intervals stay as written.  Only functions with a syntax of their own (CAST, EXTRACT,
OVERLAY, POSITION, SUBSTRING, TRIM) keep sqlglot's parsers.

`$` is a parameter here, never a dollar quote (sqlglot reads `$1,$` as one): the lexer turns dollar-quoted
strings into ordinary ones first.  `$n` parses to `exp.Parameter(this=Literal(n))`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import sqlglot
from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import SqlglotError
from sqlglot.parsers.postgres import PostgresParser
from sqlglot.tokenizer_core import TokenType

from lfsql.errors import StatementSyntax

INTERVAL_FIELDS = frozenset(("YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"))


def _operator(symbol: str) -> Callable[[Any, Any, Any], Any]:
    def build(parser: Any, left: Any, right: Any) -> Any:
        return parser.expression(exp.Operator(this=left, operator=symbol, expression=right))

    return build


def _range_operator(symbol: str) -> Callable[[Any, Any], Any]:
    def build(parser: Any, left: Any) -> Any:
        right = parser._parse_bitwise()  # noqa: SLF001 - sqlglot's parsers are extended from inside
        return parser.expression(exp.Operator(this=left, operator=symbol, expression=right))

    return build


class GrammarParser(PostgresParser):
    FUNCTIONS: ClassVar[dict[str, Any]] = {}
    FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
        name: PostgresParser.FUNCTION_PARSERS[name]
        for name in ("CAST", "EXTRACT", "OVERLAY", "POSITION", "SUBSTRING", "TRIM")
    }
    NO_PAREN_FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
        name: PostgresParser.NO_PAREN_FUNCTION_PARSERS[name] for name in ("ANY", "CASE", "VARIADIC")
    }
    LAMBDAS: ClassVar[dict[Any, Any]] = {TokenType.FARROW: PostgresParser.LAMBDAS[TokenType.FARROW]}
    """A named argument; `f(a -> b)` is no function of one in PostgreSQL's SQL."""
    JSON_OPERATORS: ClassVar[dict[Any, Any]] = {
        TokenType.ARROW: _operator("->"),
        TokenType.DARROW: _operator("->>"),
        TokenType.HASH_ARROW: _operator("#>"),
        TokenType.DHASH_ARROW: _operator("#>>"),
        TokenType.PLACEHOLDER: _operator("?"),
    }
    RANGE_PARSERS: ClassVar[dict[Any, Any]] = {
        **PostgresParser.RANGE_PARSERS,
        TokenType.AT_GT: _range_operator("@>"),
        TokenType.LT_AT: _range_operator("<@"),
        TokenType.DAMP: _range_operator("&&"),
        TokenType.QMARK_AMP: _range_operator("?&"),
        TokenType.QMARK_PIPE: _range_operator("?|"),
        TokenType.HASH_DASH: _range_operator("#-"),
        TokenType.CARET_AT: _range_operator("^@"),
        TokenType.DAT: _range_operator("@@"),
    }

    def _parse_command(self) -> Any:
        """sqlglot hands what it does not know to a database that may: there is none here, so it is an error."""
        self.raise_error("syntax error", self._prev)

    def _parse_as_command(self, start: Any) -> Any:
        self.raise_error("syntax error", start)

    def _parse_interval(self, require_interval: bool = True, parse_function_unit: bool = True) -> Any:
        index = self._index
        if not self._match(TokenType.INTERVAL):
            return None
        literal = self._parse_string()
        if literal is None:
            self._retreat(index)
            return None
        unit = None
        if self._curr and self._curr.text.upper() in INTERVAL_FIELDS:
            unit = exp.var(self._curr.text.upper())
            self._advance()
            if self._match_text_seq("TO") and self._curr:
                unit = exp.var(f"{unit.name} TO {self._curr.text.upper()}")
                self._advance()
        if unit is None:
            return self.expression(exp.Cast(this=literal, to=exp.DataType.build("interval", dialect="postgres")))
        return self.expression(exp.Interval(this=literal, unit=unit))

    def _parse_type(self, parse_interval: bool = True, fallback_to_identifier: bool = False) -> Any:
        """`date '2024-01-01'::text` casts the date; sqlglot would cast the string first."""
        index = self._index
        interval = self._parse_interval() if parse_interval else None
        if interval is not None:
            return self._parse_column_ops(interval)
        if self._curr and self._curr.token_type in self.TYPE_TOKENS:
            kind = self._parse_types(check_func=True, allow_identifiers=False)
            literal = self._parse_string() if isinstance(kind, exp.DataType) else None
            if literal is not None:
                return self._parse_column_ops(self.expression(exp.Cast(this=literal, to=kind)))
            self._retreat(index)
        return super()._parse_type(parse_interval=False, fallback_to_identifier=fallback_to_identifier)


class Grammar(Postgres):
    INDEX_OFFSET = 0

    class Tokenizer(Postgres.Tokenizer):
        HEREDOC_STRINGS: ClassVar[list[Any]] = []
        SINGLE_TOKENS: ClassVar[dict[str, TokenType]] = {
            **Postgres.Tokenizer.SINGLE_TOKENS,
            "$": TokenType.PARAMETER,
        }
        # As keywords, oid and regclass cannot be an array's element (`oid[]`); as words they are types like others.
        KEYWORDS: ClassVar[dict[str, TokenType]] = {
            word: kind for word, kind in Postgres.Tokenizer.KEYWORDS.items() if kind != TokenType.OBJECT_IDENTIFIER
        }

    Parser = GrammarParser


def parse_expression(text: str) -> exp.Expression:
    """An expression kept in the schema, such as a column's default.  Raises StatementSyntax."""
    try:
        tree = sqlglot.parse_one(text, read=Grammar)
    except SqlglotError:
        tree = None
    if not isinstance(tree, exp.Expression):
        raise StatementSyntax(f"cannot read the expression {text!r}")
    return tree
