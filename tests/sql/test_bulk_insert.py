"""Many-row INSERTs, planned by kinds of rows, against the same rows planned one by one."""

from __future__ import annotations

import pytest

from lfsql.errors import InvalidText, LfsqlError
from proxy.sql import planner
from proxy.sql.bulk_insert import KINDS_MAX, ROWS_MIN, sqlite_literal
from proxy.sql.translate import translate
from tests.sql.tier import Tier

ROWS = [
    "(1, 'plain', 1.5, '2024-01-01', true)",
    "(-2, 'it''s', -2, NULL, false)",
    "(3, NULL, '7.25', '2024-02-29 12:30:00.5', NULL)",
    "(+4, '', 1e3, DEFAULT, 'on')",
    "(5, E'tab\\there', 0.005, '2024-01-01', true)",
    "(2 * 3, 'a' || 'b', (1 + 2) / 2.0, '2024-01-01'::timestamp + interval '1 day', NOT true)",
    "('7', '-5', -0.0, '2024-01-01', '0')",
]
TABLE = "CREATE TABLE t (a int, b varchar(9), c numeric(10,2), d timestamp, e boolean)"


def whole(tier: Tier, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run it as if it were short."""
    with monkeypatch.context() as patched:
        patched.setattr(planner, "BULK_TOKENS_MIN", 10**9)
        tier.run(text)


@pytest.mark.parametrize("tail", ["", " RETURNING a", " ON CONFLICT DO NOTHING"])
def test_many_rows_mean_what_each_means_alone(tier: Tier, monkeypatch: pytest.MonkeyPatch, tail: str) -> None:
    tier.run(TABLE)
    rows = ROWS * (ROWS_MIN // len(ROWS) + 8)
    tier.run(f"INSERT INTO t VALUES {', '.join(rows)}{tail}")
    bulk = tier.sqlite("SELECT *, typeof(a), typeof(b), typeof(c) FROM t")
    assert len(bulk) == len(rows)
    tier.run("TRUNCATE t")
    for row in rows:
        whole(tier, f"INSERT INTO t VALUES {row}{tail}", monkeypatch)
    assert tier.sqlite("SELECT *, typeof(a), typeof(b), typeof(c) FROM t") == bulk


def test_only_one_row_of_a_kind_is_parsed(tier: Tier, monkeypatch: pytest.MonkeyPatch) -> None:
    tier.run(TABLE)
    kinds: list[int] = []

    def counting(*arguments: object) -> object:
        kinds.append(1)
        return translate(*arguments)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(planner, "translate", counting)
    text = ", ".join(f"({number}, 'row {number}', {number}.5, NULL, true)" for number in range(2000))
    planned = tier.plan(f"INSERT INTO t (a, b, c, d, e) VALUES {text}")
    assert len(kinds) == 1
    tier.run_plan(planned)
    assert tier.sqlite("SELECT count(*), sum(a), max(b) FROM t") == [(2000, 1999000, "row 999")]


def test_what_is_out_of_the_ordinary_is_planned_whole(tier: Tier) -> None:
    tier.run("CREATE TABLE t (a int, b text); CREATE TABLE p (a int); CREATE INDEX i ON p (a) WHERE a > 5")
    for text in (
        "INSERT INTO t SELECT * FROM (VALUES " + ", ".join(["(1, 'x')"] * 100) + ") AS v (a, b)",
        "INSERT INTO p VALUES " + ", ".join(["(1)"] * 100),
        "INSERT INTO t VALUES " + ", ".join([f"({'1 + ' * number}1, 'x')" for number in range(KINDS_MAX + 20)]),
        "INSERT INTO t VALUES " + ", ".join(["(1, to_char(5, '9'))"] * 100),
    ):
        planned = tier.plan(text)
        assert planned.tag == "INSERT"
        tier.run_plan(planned)
    assert tier.plan("INSERT INTO t VALUES " + ", ".join(["($1, 'x')"] * 100)).parameters == (23,)


def test_errors_are_those_of_the_row(tier: Tier) -> None:
    tier.run(TABLE)
    good = ", ".join(["(1, 'x', 1, NULL, true)"] * 50)
    with pytest.raises(InvalidText, match="invalid input syntax for type integer"):
        tier.plan(f"INSERT INTO t VALUES {good}, ('five', 'x', 1, NULL, true)")
    for tail in (", (1, 'x', 1, NULL, true, 5)", ", (1,", ", ()", " nonsense 5 5"):
        with pytest.raises(LfsqlError):
            tier.plan(f"INSERT INTO t VALUES {good}{tail}")


def test_literals() -> None:
    values = [None, "it's", b"\x00\xff", 1, -1, True, 1.5, -1.5, float("inf"), float("-inf"), float("nan")]
    assert [sqlite_literal(value) for value in values] == [
        "NULL",
        "'it''s'",
        "x'00ff'",
        "1",
        "(-1)",
        "1",
        "1.5",
        "(-1.5)",
        "9e999",
        "(-9e999)",
        "NULL",
    ]
