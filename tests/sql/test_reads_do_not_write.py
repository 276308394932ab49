"""For random statements: what was classified as a read changes nothing where it could, and never fails for writing.

The one side runs on an engine that would let it write, inside of a unit, and every table is compared, sequences and
our own with them; the other on a reader, which refuses what writes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator

import hypothesis
import pytest

from lfsql.core.entry import Value
from lfsql.core.requests import Run
from lfsql.errors import LfsqlError, ReadOnlyTransaction
from proxy.sql.plan import Kind, Plan
from proxy.sql.planner import Dialect
from proxy.sql.utility import CopyOut, DeclareCursor, Explain
from tests.sql.classified import TABLES, Judge
from tests.sql.statement_grammar import statements
from tests.sql.tier import Tier
from tests.storage.pair import CLOCK_US, dump

EXAMPLES = 400
SESSION: dict[str, Value] = {"current_setting": "UTC", "set_config": "x", "txid_current": 7}
"""What the session answers for the calls that are its own."""


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    tier = Tier(tmp_path_factory.mktemp("reads"))
    tier.run(TABLES)
    judge = Judge.of(tier)
    yield judge
    judge.reader.close()
    tier.close()


def content_hash(judge: Judge) -> str:
    return hashlib.sha256(repr(dump(judge.tier.pair.primary)).encode()).hexdigest()


def deciding(judge: Judge, plan: Plan, dialect: Dialect) -> Plan:
    """The plan that is run: of EXPLAIN ANALYZE, COPY and DECLARE that of the statement inside."""
    match plan.utility:
        case Explain(text=text, analyze=True) | CopyOut(query=text) | DeclareCursor(text=text):
            return judge.tier.plan(text, dialect)
        case _:
            return plan


def arguments(plan: Plan) -> tuple[Value, ...]:
    return (*(None for _ in plan.parameters), *(SESSION[call.name] for call in plan.session_calls))


def changed_where_it_could(judge: Judge, plan: Plan, before: str) -> bool:
    engine = judge.tier.pair.primary
    engine.begin()
    try:
        engine.open_unit("client", 1_000, CLOCK_US, 1)
        for sql in plan.statements:
            try:
                engine.run(Run(sql, arguments(plan)))
            except LfsqlError:
                break  # a division by zero, say: what was done until then still counts
        return content_hash(judge) != before
    finally:
        engine.rollback()


def refused_as_a_write(judge: Judge, plan: Plan) -> bool:
    reader, sql = judge.reader, plan.statements[0]
    reader.begin()
    try:
        cursor = reader.start(sql, arguments(plan))
        try:
            while reader.take(cursor, sql, 1_000, 1_000_000):
                continue
        finally:
            cursor.close()
    except LfsqlError as error:
        return isinstance(error, ReadOnlyTransaction)  # what else may be wrong with it is none of this test's
    finally:
        reader.end()
    return False


def held(judge: Judge, text: str, dialect: Dialect) -> str:
    """What a statement was: its kind, or refused.  Asserts that it is no read that writes."""
    try:
        plan = deciding(judge, judge.tier.plan(text, dialect), dialect)
    except LfsqlError:
        return "refused"
    if plan.kind is Kind.READ and not (plan.catalog or plan.mixed):
        before = content_hash(judge)
        assert not changed_where_it_could(judge, plan, before), plan.statements
        assert content_hash(judge) == before
        assert not refused_as_a_write(judge, plan), plan.statements
    return plan.kind.value


@pytest.mark.parametrize("dialect", ["postgresql", "sqlite"])
def test_what_was_classified_as_a_read_changes_nothing(judge: Judge, dialect: Dialect) -> None:
    seen: Counter[str] = Counter()

    @hypothesis.given(statements(dialect))
    @hypothesis.settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
    def check(text: str) -> None:
        seen[held(judge, text, dialect)] += 1

    check()
    # A grammar of which nothing can be planned, or all is a write, would prove nothing.
    assert seen["read"] > EXAMPLES / 10, seen
    assert seen["write"] > EXAMPLES / 10, seen
