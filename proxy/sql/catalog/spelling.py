"""How PostgreSQL prints identifiers and the parts of an index."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from proxy.sql.schema import Index

_PLAIN: Final = re.compile(r"[a-z_][a-z0-9_$]*\Z")

_RESERVED_WORDS: Final = """
all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case cast
char character check coalesce collate collation column concurrently constraint create cross current_catalog
current_date current_role current_schema current_time current_timestamp current_user dec decimal default
deferrable desc distinct do else end except exists extract false fetch float for foreign freeze from full grant
greatest group grouping having ilike in initially inner inout int integer intersect interval into is isnull join
lateral leading least left like limit localtime localtimestamp national natural nchar none normalize not notnull
null nullif numeric offset on only or order out outer overlaps overlay placing position precision primary real
references returning right row select session_user setof similar smallint some substring symmetric table
tablesample then time timestamp to trailing treat trim true union unique user using values varchar variadic
verbose when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi
xmlroot xmlserialize xmltable
"""

RESERVED: Final = frozenset(_RESERVED_WORDS.split())
"""Words that quote_ident() quotes: every keyword of PostgreSQL 15 that is not unreserved."""


def quoted(name: str) -> str:
    """The name as PostgreSQL's quote_ident() prints it: quoted only where it must be."""
    if _PLAIN.match(name) and name not in RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def index_terms(index: Index) -> tuple[tuple[str, ...], tuple[bool, ...]]:
    """Each key column or expression of an index as printed, and whether it descends.

    Expressions come from the index's SQL text, which is the only place that has them.
    """
    written = _key_texts(index.sql) if index.sql else []
    terms: list[str] = []
    descending: list[bool] = []
    for place, column in enumerate(index.columns):
        text = written[place] if place < len(written) else ""
        bare = re.sub(r"\s+(asc|desc)?(\s+nulls\s+(first|last))?\s*\Z", "", text + " ", flags=re.IGNORECASE).strip()
        descending.append(re.search(r"\bdesc\b(\s+nulls\s+(first|last))?\s*\Z", text, re.IGNORECASE) is not None)
        terms.append(quoted(column) if column is not None else _expression(bare))
    return tuple(terms), tuple(descending)


def _expression(text: str) -> str:
    """PostgreSQL puts index expressions in parentheses unless they are one call."""
    inner = shown(text)
    call = re.match(r"[\w.]+\(", inner)
    return inner if call is not None and _closing(inner, call.end() - 1) == len(inner) - 1 else f"({inner})"


def index_predicate(index: Index) -> str | None:
    """The WHERE of a partial index, without outer parentheses; None when its text has none."""
    if index.sql is None:
        return None
    end = _key_span(index.sql)[1]
    match = re.match(r"\s*where\s+(.*?)\s*;?\s*\Z", index.sql[end + 1 :], re.IGNORECASE | re.DOTALL)
    if match is None:
        return None
    return shown(match.group(1))


_SHOWN: Final = re.compile(r"""'(?:[^']|'')*'|"((?:[^"]|"")*)"|(\s+COLLATE\s+"?lfsql_numeric"?)""", re.IGNORECASE)


def shown(sql: str) -> str:
    """An expression kept for SQLite, as a PostgreSQL user would write it.

    Names lose quotes they do not need, and the collation that makes decimal text compare as numbers goes, which is
    no business of the reader's; outer parentheses go too.
    """

    def one(match: re.Match[str]) -> str:
        name, collation = match.groups()
        if collation is not None:
            return ""
        return match.group() if name is None else quoted(name.replace('""', '"'))

    text = _SHOWN.sub(one, sql).strip()
    while text.startswith("(") and _closing(text, 0) == len(text) - 1:
        text = text[1:-1].strip()
    return text


def view_query(sql: str) -> str:
    """A view's SELECT, out of its CREATE VIEW, as pg_get_viewdef prints it: with a leading blank and a semicolon."""
    match = re.match(r".*?\bAS\s+(?=select\b|with\b|values\b|\()", sql, re.IGNORECASE | re.DOTALL)
    query = sql[match.end() :] if match else sql
    return f" {shown(query.rstrip().rstrip(';'))};"


def _key_texts(sql: str) -> list[str]:
    start, end = _key_span(sql)
    texts: list[str] = []
    begin = start + 1
    depth = 0
    for place, character in _outside_quotes(sql, begin, end):
        if character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
        elif character == "," and depth == 0:
            texts.append(sql[begin:place].strip())
            begin = place + 1
    texts.append(sql[begin:end].strip())
    return texts


def _key_span(sql: str) -> tuple[int, int]:
    """Where the key list's parentheses open and close."""
    for place, character in _outside_quotes(sql, 0, len(sql)):
        if character == "(":
            return place, _closing(sql, place)
    return len(sql), len(sql)


def _closing(text: str, start: int) -> int:
    depth = 0
    for place, character in _outside_quotes(text, start, len(text)):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return place
    return len(text)


def _outside_quotes(text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    """The characters of text[start:end] that are in neither a string nor a quoted name."""
    quote = ""
    for place in range(start, end):
        character = text[place]
        if quote:
            if character == quote:
                quote = ""
        elif character in "'\"`":
            quote = character
        else:
            yield place, character


def split_name(text: str) -> list[str]:
    """`public."My Table"` -> ["public", "My Table"]: unquoted parts folded to lower case, as SQL does."""
    parts: list[str] = []
    for match in re.finditer(r'\s*(?:"((?:[^"]|"")*)"|([^".]+))\s*(?:\.|\Z)', text):
        part_quoted, plain = match.groups()
        parts.append(part_quoted.replace('""', '"') if plain is None else plain.strip().lower())
    return parts or [text]
