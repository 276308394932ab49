"""A statement's text -> its Plan: a pure function of text, schema and what the client said of its parameters.

The first word decides who reads the statement: the utility grammar, the DDL grammar, or sqlglot and the translator.
What none of them can read is an error with PostgreSQL's words; nothing is passed on unread.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from typing import Final

from lfsql.errors import (
    FeatureNotSupported,
    InsufficientPrivilege,
    StatementError,
    StatementSyntax,
    StatementTooComplex,
)
from proxy.sql.bulk_insert import plan_bulk
from proxy.sql.catalog.rewrite import concerns_catalogs, rewrite
from proxy.sql.classify import classify
from proxy.sql.create_table import parse_select_into
from proxy.sql.ddl import parse_ddl
from proxy.sql.ddl_text import Ddl
from proxy.sql.lexer import PUNCTUATION, WORD, Dialect, Source, Token, hints, split, tokens
from proxy.sql.locking import unlocked, waits_for_nobody
from proxy.sql.parsing import parse_statement
from proxy.sql.passthrough import plan_sqlite
from proxy.sql.plan import ANY_SCHEMA, Kind, Plan
from proxy.sql.schema import Schema
from proxy.sql.token_cursor import Cursor
from proxy.sql.translate import translate
from proxy.sql.utilities import parse_utility, tag_of
from proxy.sql.utility import CopyIn, CopyOut, Maintenance, Utility
from proxy.sql.verbs import into_target
from proxy.sql.wording import as_sqlglot_reads_it

__all__ = ["Dialect", "Source", "plan", "plan_tokens", "split"]

BULK_TOKENS_MIN: Final = 200
"""Shorter statements are not worth looking at twice."""

TOKENS_MAX: Final = 50_000
"""Of one statement that is no bulk INSERT: planning more would hold up every other client of the worker."""

_QUERIES = frozenset(("select", "insert", "update", "delete", "values", "with", "table"))


def plan(
    text: str,
    schema: Schema,
    *,
    dialect: Dialect = "postgresql",
    parameter_oids: tuple[int, ...] = (),
) -> Plan:
    """Plan one statement (see `split`); '' and comments alone give Kind.EMPTY.

    `parameter_oids` are those of the client's Parse; 0 and what is missing are inferred.  Raises StatementError
    subclasses and FeatureNotSupported; positions count from 1 within `text`.
    """
    if dialect == "sqlite":
        return plan_sqlite(text, schema, parameter_oids)
    return plan_tokens(text, tokens(text), schema, parameter_oids)


def plan_tokens(
    text: str,
    found: list[Token],
    schema: Schema,
    parameter_oids: tuple[int, ...] = (),
    lifted: Collection[int] = (),
    lifted_oids: tuple[int, ...] = (),
    first_number: int = 0,
) -> Plan:
    """`plan`, for tokens; those numbered in `lifted` become variables from `first_number` on (`proxy.sql.cache`)."""
    while found and found[-1].text == ";":
        found = found[:-1]
    if not found:
        return Plan(Kind.EMPTY, "", hints=hints(text))
    _only_one(found)
    first = found[0]
    try:
        if first.text == "(" or (first.kind == WORD and first.value in _QUERIES):
            found_plan = _query(text, found, schema, parameter_oids, lifted, lifted_oids, first_number)
        else:
            found_plan = _other(text, found, schema, parameter_oids)
    except RecursionError:
        raise StatementTooComplex("stack depth limit exceeded") from None
    except StatementError as error:
        if not error.position:
            error.position = _place(error.message, found)
        raise
    return found_plan


_NAMED = re.compile(r'(?:"([^"]+)"|(?:column|function) ([\w.]+))')


def _place(message: str, found: list[Token]) -> int:
    """Where the name stands that an error is about: sqlglot's trees do not say where their parts came from."""
    named = _NAMED.search(message)
    if named is None:
        return 0
    name = (named[1] or named[2]).rpartition(".")[2]
    for token in found:
        if token.kind == WORD and token.value == name:
            return token.start + 1
    return 0


def _only_one(found: list[Token]) -> None:
    depth = 0
    for token in found:
        if token.kind == PUNCTUATION:
            depth += (token.text in "([") - (token.text in ")]")
            if token.text == ";" and depth <= 0:
                raise StatementSyntax("cannot insert multiple commands into a prepared statement")


def _query(
    text: str,
    found: list[Token],
    schema: Schema,
    parameter_oids: tuple[int, ...],
    lifted: Collection[int],
    lifted_oids: tuple[int, ...],
    first_number: int,
) -> Plan:
    if into_target(found) is not None:
        ddl = parse_select_into(Cursor(text, found), schema, parameter_oids)
        if ddl is not None:
            return _ddl(text, ddl, schema)
    if not lifted and len(found) > BULK_TOKENS_MIN:
        bulk = plan_bulk(
            found, schema, lambda row, places, classes: _query(text, row, schema, (), places, classes, 1)
        )
        if bulk is not None:
            return bulk
    if len(found) > TOKENS_MAX:
        raise StatementTooComplex(
            f"the statement has {len(found)} words and signs, at most {TOKENS_MAX} are planned",
            hint="Send values as parameters, as an array, or by COPY.",
        )
    tree = parse_statement(as_sqlglot_reads_it(found), lifted, first_number)
    if concerns_catalogs(text):
        rewritten = rewrite(tree)
        tree = rewritten if isinstance(rewritten, type(tree)) else tree
    translation = translate(unlocked(tree, found), schema, parameter_oids, lifted_oids)
    kind, reason = classify(tree, translation)
    if kind is Kind.WRITE and "_lfsql_" in text and any(token.value.startswith("_lfsql_") for token in found):
        raise InsufficientPrivilege('names beginning with "_lfsql_" are reserved')
    if kind is Kind.WRITE and translation.catalog:
        raise FeatureNotSupported(
            "a statement that writes cannot read the system catalogs",
            hint="Read them with a SELECT first, and write what it found.",
        )
    reads_nothing = kind is Kind.READ and not translation.tables and not translation.catalog
    return Plan(
        kind=kind,
        tag=translation.tag,
        statements=(translation.sql,),
        parameters=translation.parameters,
        columns=translation.columns,
        returns_rows=translation.returns_rows,
        reason=reason,
        lifted=translation.lifted,
        session_calls=translation.session_calls,
        schema_index=ANY_SCHEMA if reads_nothing else schema.index,
        hints=hints(text),
        reads_nothing=reads_nothing,
        catalog=translation.catalog and not translation.tables,
        mixed=translation.catalog and translation.tables,
        nowait=kind is Kind.WRITE and waits_for_nobody(tree),
    )


def _other(text: str, found: list[Token], schema: Schema, parameter_oids: tuple[int, ...]) -> Plan:
    cursor = Cursor(text, found)
    ddl = parse_ddl(cursor, schema, parameter_oids)
    if ddl is not None:
        made = _ddl(text, ddl, schema)
        return replace(made, notices=tuple(cursor.notices)) if cursor.notices else made
    utility = parse_utility(cursor, schema)
    if utility is None:
        raise cursor.error()
    return plan_utility(utility, schema, hints(text))


def plan_utility(utility: Utility, schema: Schema, said: tuple[tuple[str, str], ...] = ()) -> Plan:
    return Plan(
        kind=Kind.UTILITY,
        tag=tag_of(utility),
        utility=utility,
        reason="utility",
        schema_index=schema.index if isinstance(utility, (CopyIn, CopyOut)) else -1,
        hints=said,
    )


def _ddl(text: str, ddl: Ddl, schema: Schema) -> Plan:
    if not ddl.statements:
        # Nothing to do: IF EXISTS of what is not there, or what this tier has no use for.
        return Plan(
            Kind.UTILITY, ddl.tag, utility=Maintenance(ddl.tag), reason="no effect", schema_index=schema.index
        )
    return Plan(
        kind=Kind.WRITE if ddl.writes_only else Kind.DDL,
        tag=ddl.tag,
        statements=ddl.statements,
        parameters=ddl.parameters,
        reason=ddl.tag.lower(),
        schema_index=schema.index,
        hints=hints(text),
        alone=ddl.alone,
    )
