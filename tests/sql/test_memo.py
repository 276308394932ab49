"""What sessions leave in plans they share: little, and nothing for ever."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

from proxy.execution import description, row_writer
from proxy.pg.oids import INT4
from proxy.pg.settings import EncodeSettings
from proxy.planning import bind
from proxy.sql.memo import FORMATS_MAX, SKIPS_MAX, Memo, keep
from proxy.sql.plan import Kind, Plan, ResultColumn
from proxy.statements import Prepared


def test_the_oldest_makes_room() -> None:
    kept: dict[int, str] = {}
    for number in range(FORMATS_MAX + 3):
        assert keep(kept, number, str(number)) == str(number)
    assert list(kept) == list(range(3, FORMATS_MAX + 3))


def test_a_plan_keeps_few_of_the_formats_it_is_asked_for() -> None:
    columns = tuple(ResultColumn(f"c{number}", INT4) for number in range(8))
    plan = Plan(Kind.READ, "SELECT", columns=columns, parameters=(INT4,) * 8, returns_rows=True)
    state: Any = SimpleNamespace(encoding_key=0, encoding=EncodeSettings(), refresh=lambda: None)
    row = tuple(range(8))
    for formats in itertools.product((0, 1), repeat=8):
        assert row_writer(state, plan, formats)(row)[:1] == b"D"
        assert description(plan, formats)[:1] == b"T"
        raw = tuple(
            value.to_bytes(4, "big") if code else b"%d" % value for code, value in zip(formats, row, strict=True)
        )
        assert bind(state, Prepared("", (), plan), raw, formats) == row
    memo = plan.memo
    assert [len(kept) for kept in (memo.row_writers, memo.descriptions, memo.decoders)] == [FORMATS_MAX] * 3


def runs(memo: Memo, count: int, *, long: bool) -> int:
    """How many of so many executions are tried inline."""
    tried = 0
    for _ in range(count):
        if not memo.skips:
            tried += 1
            if not long:
                memo.long_runs = 0
                continue
            memo.ran_long()
        memo.skips -= 1
    return tried


def test_what_runs_long_is_tried_again_ever_more_seldom() -> None:
    memo = Memo()
    assert runs(memo, SKIPS_MAX * 100, long=True) < 120
    assert 0 < runs(memo, SKIPS_MAX, long=True) <= 2


def test_one_long_run_costs_the_next_nothing() -> None:
    memo = Memo()
    runs(memo, 1, long=True)
    assert runs(memo, 100, long=False) == 100


def test_many_long_runs_are_forgotten_with_the_first_short_one() -> None:
    memo = Memo()
    runs(memo, 1_000, long=True)
    assert runs(memo, SKIPS_MAX + 100, long=False) >= 100
    runs(memo, 1, long=True)
    assert runs(memo, 100, long=False) == 100
