"""PostgreSQL's SELECT, INSERT, UPDATE, DELETE and VALUES as SQLite's, with PostgreSQL's types."""

from __future__ import annotations

from sqlglot import exp

from proxy.sql.plan import ResultColumn
from proxy.sql.schema import Relation, Schema
from proxy.sql.translation import Translation

__all__ = ["Translation", "infer_columns", "translate", "translate_expression"]


def translate(
    tree: exp.Expression,
    schema: Schema,
    parameter_oids: tuple[int, ...] = (),
    lifted: tuple[int, ...] = (),
) -> Translation:
    """Translate one statement that `proxy.sql.grammar.Grammar` parsed.

    `parameter_oids` are the types the client gave to Parse (0: infer).  `lifted` are the types of the literals
    the lexer lifted out, numbered after the client's parameters: UNKNOWN for strings, INT4, INT8 or NUMERIC for
    numbers as PostgreSQL's lexer types them; the answer's `lifted` says what each must be decoded as.
    """
    raise NotImplementedError


def translate_expression(tree: exp.Expression, schema: Schema, relation: Relation | None = None) -> str:
    """SQLite's text of an expression in a DEFAULT, CHECK or index; column names are of `relation`, unqualified."""
    raise NotImplementedError


def infer_columns(tree: exp.Expression, schema: Schema) -> tuple[ResultColumn, ...]:
    """The result columns of a query, for CREATE VIEW and CREATE TABLE AS."""
    return translate(tree, schema).columns
