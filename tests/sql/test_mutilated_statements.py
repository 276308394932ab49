"""Whatever is done to a statement's words, planning it ends in a plan or in an error of ours, never in a fault.

A fault would end the client's session.  The statements are those of the classification's tables, with words left
out, exchanged, put in from others, and cut off.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TypeVar

import hypothesis
import hypothesis.strategies as st
import pytest

from lfsql.errors import LfsqlError
from proxy.sql.cache import PlanCache
from proxy.sql.lexer import Dialect, split, tokens_of
from proxy.sql.schema import Schema
from tests.sql.classified import TABLES, cases
from tests.sql.tier import Tier

T = TypeVar("T")
Draw = Callable[[st.SearchStrategy[T]], T]


@cache
def words(dialect: Dialect) -> tuple[tuple[str, ...], ...]:
    """Each statement's words, of those that have any."""
    found = []
    for case in cases():
        try:
            said = (
                tuple(token.text for token in tokens_of(case.text, case.dialect)) if case.dialect == dialect else ()
            )
        except LfsqlError:
            continue
        if said:
            found.append(said)
    return tuple(found)


@st.composite
def mutilated(draw: Draw[int], dialect: Dialect) -> str:
    known = words(dialect)

    def place(size: int) -> int:
        return draw(st.integers(0, max(size - 1, 0)))

    said = list(known[place(len(known))])
    for _ in range(draw(st.integers(1, 3))):
        at, other = place(len(said)), known[place(len(known))]
        match draw(st.integers(0, 4)):
            case 0:
                del said[at : at + 1]
            case 1:
                said.insert(at, other[place(len(other))])
            case 2:
                said[at : at + 1] = [other[place(len(other))]]
            case 3:
                to = place(len(said))
                said[at : at + 1], said[to : to + 1] = said[to : to + 1], said[at : at + 1]
            case _:
                del said[at:]
    return " ".join(said)


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Schema:
    tier = Tier(tmp_path_factory.mktemp("mutilated"))
    tier.run(TABLES)
    tier.close()
    return tier.schema


def planned(text: str, dialect: Dialect, schema: Schema) -> None:
    """Twice, as the second time a text's shape is known."""
    cache = PlanCache()
    try:
        for source in split(text, dialect):
            for _ in range(2):
                cache.plan(source.text, schema, dialect=dialect)
    except LfsqlError:
        return


@pytest.mark.parametrize("dialect", ["postgresql", "sqlite"])
def test_no_words_are_a_fault(schema: Schema, dialect: Dialect) -> None:
    @hypothesis.given(mutilated(dialect))
    @hypothesis.settings(max_examples=2_000, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
    def check(text: str) -> None:
        planned(text, dialect, schema)

    check()


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1 AS into",
        "SELECT 1 INTO",
        "SELECT pg_typeof()",
        "SELECT current_timestamp()",
        "SELECT ARRAY(SELECT FROM t)",
        "SELECT x FROM unnest(ARRAY 1[, 2])",
        "COPY () TO STDOUT",
        "DECLARE c CURSOR FOR",
    ],
)
def test_those_that_were(schema: Schema, text: str) -> None:
    planned(text, "postgresql", schema)
