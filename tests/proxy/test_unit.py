"""Answers keep their order behind writes that wait."""

from __future__ import annotations

import pytest

from lfsql.core.requests import Result, Run, SetSavepoint
from lfsql.errors import InvariantBroken
from proxy.unit import BYTES_MAX, STEPS_MAX, Outbox, Step, Unit, told_nothing


def step(name: str) -> Step:
    return Step((Run("SELECT 1"),), lambda result: f"<{name}:{result.rows_changed}>".encode())


def test_without_steps_everything_is_ready_at_once() -> None:
    outbox = Outbox()
    outbox.write(b"a")
    outbox.write(b"b")
    assert outbox.take() == b"ab"
    assert outbox.take() == b""


def test_what_stands_behind_a_step_waits_for_it_in_order() -> None:
    outbox = Outbox()
    outbox.write(b"a")
    outbox.expect(step("one"))
    outbox.write(b"b")
    outbox.expect(step("two"))
    outbox.write(b"c")
    assert outbox.take() == b"a"
    outbox.resolve((Result(rows_changed=1), Result(rows_changed=2)), failed=False)
    assert outbox.take() == b"<one:1>b<two:2>c"


def test_after_a_failure_what_stood_behind_the_failed_step_is_dropped() -> None:
    outbox = Outbox()
    outbox.expect(step("one"))
    outbox.write(b"b")
    outbox.expect(step("two"))
    outbox.write(b"c")
    outbox.resolve((Result(rows_changed=1),), failed=True)
    assert outbox.take() == b"<one:1>b"
    outbox.write(b"d")
    assert outbox.take() == b"d"


@pytest.mark.parametrize(("failed", "told"), [(False, b"<one:1>bendc"), (True, b"<one:1>b")])
def test_a_step_without_operations_is_told_at_the_end(failed: bool, told: bytes) -> None:
    outbox = Outbox()
    outbox.expect(step("one"))
    outbox.write(b"b")
    awaits = [outbox.awaits_end]
    outbox.expect(Step((), lambda _: b"end"))
    outbox.write(b"c")
    awaits.append(outbox.awaits_end)
    outbox.resolve((Result(rows_changed=1),), failed=failed)
    awaits.append(outbox.awaits_end)
    assert outbox.take() == told
    assert awaits == [False, True, False]


def test_a_result_too_many_or_too_few_is_a_bug_and_said_so() -> None:
    for results in ((), (Result(), Result())):
        outbox = Outbox()
        outbox.expect(step("one"))
        with pytest.raises(InvariantBroken):
            outbox.resolve(results, failed=False)


def test_many_answers_behind_a_step_are_a_crowd() -> None:
    outbox = Outbox()
    outbox.write(b"x" * BYTES_MAX)
    crowded = [outbox.crowded]
    outbox.expect(step("one"))
    while not crowded[-1] and len(crowded) < BYTES_MAX:
        outbox.write(b"")
        crowded.append(outbox.crowded)
    assert crowded[-1]
    outbox.resolve((Result(),), failed=False)
    assert (crowded[0], outbox.crowded) == (False, False)


def test_a_unit_is_full_by_number_and_by_size() -> None:
    unit = Unit()
    fullness = []
    for _ in range(STEPS_MAX):
        fullness.append((unit.full, unit.writes))
        unit.add(Step((SetSavepoint("x"),), told_nothing), writes=len(fullness) == STEPS_MAX)
    assert set(fullness) == {(False, False)}
    assert (unit.full, unit.writes) == (True, True)
    assert len(unit.take()) == STEPS_MAX
    unit = Unit()
    unit.add(Step((Run("INSERT", ("x" * BYTES_MAX,)),), told_nothing), writes=True)
    assert unit.full


def test_savepoints_alone_are_no_writes() -> None:
    unit = Unit()
    unit.add(Step((SetSavepoint("x"),), told_nothing), writes=False)
    assert not unit.writes
