"""Numbers longer than any integer, and numbers where only places may stand."""

from __future__ import annotations

import pytest

from lfsql.errors import InvalidColumnReference, InvalidParameterValue, LfsqlError, NumericOutOfRange, StatementSyntax
from proxy.pg.oids import INT4, INT8, NUMERIC
from proxy.sql.cache import PlanCache
from proxy.sql.number_text import number_oid
from tests.sql.tier import Tier

LONG = "1" * 5_000


@pytest.mark.parametrize(
    ("text", "oid"),
    [
        ("0", INT4),
        ("2147483647", INT4),
        ("0" * 5_000 + "7", INT4),
        ("2147483648", INT8),
        ("9223372036854775807", INT8),
        ("9223372036854775808", NUMERIC),
        (LONG, NUMERIC),
        ("1.0", NUMERIC),
        ("1e3", NUMERIC),
    ],
)
def test_a_number_has_the_type_it_fits(text: str, oid: int) -> None:
    assert number_oid(text) == oid


def test_a_long_number_is_a_numeric(tier: Tier) -> None:
    assert tier.run(f"SELECT {LONG} > 1, length(({LONG})::text), -{LONG} < 0") == [(1, 5_000, 1)]
    plan, values = PlanCache().plan(f"SELECT 1 WHERE 5 < {LONG}", tier.schema)
    assert (plan.lifted, values) == ((INT4, NUMERIC, NUMERIC), (1, "5", LONG))


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        (f"SELECT {LONG}::int", NumericOutOfRange),
        (f"SELECT 1 LIMIT {LONG}", NumericOutOfRange),
        (f"SELECT 1 ORDER BY {LONG}", StatementSyntax),
        ("SELECT 1 ORDER BY 1.5", StatementSyntax),
        ("SELECT 1 GROUP BY 1.5", StatementSyntax),
        ("SELECT 1 UNION SELECT 2 ORDER BY 1.5", StatementSyntax),
        ("SELECT 1 ORDER BY 2", InvalidColumnReference),
        ("SELECT 1::numeric(1.5)", InvalidParameterValue),
    ],
)
def test_what_is_no_place_or_too_long_is_refused(tier: Tier, statement: str, error: type[LfsqlError]) -> None:
    with pytest.raises(error):
        tier.run(statement)
