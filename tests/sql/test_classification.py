"""Every statement of the tables is what they say, and goes where they say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.sql.cache import PlanCache
from tests.sql.classified import TABLES, Case, Judge, cases
from tests.sql.tier import Tier


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    tier = Tier(tmp_path_factory.mktemp("classification"))
    tier.run(TABLES)
    judge = Judge.of(tier)
    yield judge
    judge.reader.close()
    tier.close()


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.place)
def test_it_is_what_it_is_and_goes_where_it_belongs(judge: Judge, case: Case) -> None:
    assert judge.verdicts(case.text, case.dialect) == case.expected, case.text


def test_the_tables_are_no_short_ones() -> None:
    counted = {dialect: sum(case.dialect == dialect for case in cases()) for dialect in ("postgresql", "sqlite")}
    assert counted["postgresql"] >= 600
    assert counted["sqlite"] >= 200
    assert len({(case.dialect, case.text) for case in cases()}) == len(cases())


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.place)
def test_a_plan_that_texts_share_is_of_the_same_kind(judge: Judge, case: Case) -> None:
    """The plan cache takes literals out of a text; what is left is classified by itself."""
    if len(case.expected) > 1 or case.expected[0].kind == "refused":
        return
    cache = PlanCache()
    for _ in range(2):
        plan, _values = cache.plan(case.text, judge.tier.schema, dialect=case.dialect)
        assert (plan.kind.value, judge.route(plan, case.dialect)) == case.expected[0]
