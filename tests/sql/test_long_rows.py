"""Statements that are long without being deep: SQLite limits the depth of an expression, and a row of ORs is one."""

from __future__ import annotations

import pytest

from lfsql.errors import StatementTooComplex
from tests.sql.tier import Tier

LENGTH = 2_500
NUMBERS = range(LENGTH)


@pytest.mark.parametrize(
    ("statement", "answer"),
    [
        (f"SELECT count(*) FROM t WHERE {' OR '.join(f'a = {n} AND b <> {n}' for n in NUMBERS)}", 1),
        (f"SELECT count(*) FROM t WHERE {' AND '.join(f'a <> {n}' for n in NUMBERS)}", 2),
        (f"SELECT count(*) FROM t WHERE (a, b) IN ({', '.join(f'({n}, {n + 1})' for n in NUMBERS)})", 1),
        (f"SELECT {' || '.join(['s'] * LENGTH)} FROM t WHERE a = 3", "xyz" * LENGTH),
        (f"SELECT a || {' || '.join(['s'] * 100)} || b FROM t WHERE a = 3", f"3{'xyz' * 100}4"),
        (f"SELECT (ARRAY[]::int[] || {' || '.join(['a'] * 60)})[60] FROM t WHERE a = 3", 3),
        (f"SELECT cardinality(ARRAY[{', '.join(map(str, NUMBERS))}])", LENGTH),
        (f"SELECT (ARRAY[{', '.join(map(str, NUMBERS))}])[2001]", 2000),
        (f"SELECT count(*) FROM t WHERE a = ANY (ARRAY[{', '.join(map(str, NUMBERS))}])", 1),
        (f"SELECT cardinality(ARRAY[{', '.join(f'[{n}, a]' for n in range(300))}]) FROM t WHERE a = 3", 600),
    ],
    ids=["or", "and", "rows", "text", "mixed", "append", "array", "element", "any", "nested"],
)
def test_a_long_row_is_planned_and_runs(tier: Tier, statement: str, answer: object) -> None:
    tier.run("CREATE TABLE t (a int, b int, s text)")
    tier.run("INSERT INTO t VALUES (3, 4, 'xyz'), (-1, -1, 'a'), (-2, -2, NULL)")
    assert tier.run(statement) == [(answer,)]


def test_what_nests_too_deeply_is_refused_before_it_is_read(tier: Tier) -> None:
    with pytest.raises(StatementTooComplex) as raised:
        tier.run(f"SELECT {'(' * 201}1{')' * 201}")
    assert (raised.value.sqlstate, raised.value.detail) == ("54001", "Parentheses nest deeper than 200.")
