"""Linearizability: correct histories pass, stale and impossible reads are found, and memory is bounded."""

from __future__ import annotations

from itertools import permutations
from random import Random

from hypothesis import assume, given
from hypothesis import strategies as st

from lfsql.testing.checkers import Outcome, Span
from lfsql.testing.checkers.registers import RegisterOperation, RegisterRead, RegisterWrite, check_registers
from tests.testing.histories import kinds, serial_registers

seeds = st.integers(0, 1 << 32)


def write(value: int, called: float, returned: float, outcome: Outcome = Outcome.OK) -> RegisterWrite:
    return RegisterWrite("r", value, Span(called, returned), outcome)


def read(value: int | None, called: float, returned: float) -> RegisterRead:
    return RegisterRead("r", value, Span(called, returned))


@given(seeds)
def test_a_serial_history_passes(seed: int) -> None:
    assert check_registers(serial_registers(Random(seed), 100, 2)) == ()


def test_a_long_one_passes() -> None:
    assert check_registers(serial_registers(Random(1), 20_000, 3)) == ()


@given(seeds)
def test_a_read_of_what_had_been_overwritten_is_found(seed: int) -> None:
    random = Random(seed)
    operations = serial_registers(random, 60, 1)
    acknowledged = [
        operation
        for operation in operations
        if isinstance(operation, RegisterWrite) and operation.outcome is Outcome.OK
    ]
    assume(len(acknowledged) > 1)
    old = acknowledged[0]
    newer = [operation for operation in acknowledged if operation.span.called > old.span.returned]
    assume(newer)
    after = newer[0].span.returned + 0.1
    stale = RegisterRead(old.key, old.value, Span(after, after + random.random()))
    assert kinds(check_registers([*operations, stale])) == {"not-linearizable"}


def test_a_write_that_was_refused_and_one_of_nobody_are_not_read() -> None:
    assert kinds(check_registers([write(1, 0, 1, Outcome.FAILED), read(1, 2, 3)])) == {"not-linearizable"}
    assert kinds(check_registers([read(9, 2, 3)])) == {"not-linearizable"}
    assert kinds(check_registers([read(1, 0, 1), write(1, 2, 3)])) == {"not-linearizable"}


def test_a_write_in_doubt_takes_place_at_any_time_but_once() -> None:
    doubtful = write(1, 0, 1, Outcome.IN_DOUBT)
    assert check_registers([doubtful, write(2, 2, 3), read(2, 4, 5), read(1, 6, 7)]) == ()
    turns = [read(1, 4, 5), read(2, 6, 7), read(1, 8, 9)]
    assert kinds(check_registers([doubtful, write(2, 2, 3), *turns])) == {"not-linearizable"}


def test_two_readers_must_agree_on_which_write_was_later() -> None:
    both = [write(1, 0, 10), write(2, 0, 10)]
    assert check_registers([*both, read(1, 11, 12), read(1, 13, 14)]) == ()
    assert kinds(check_registers([*both, read(1, 11, 12), read(2, 13, 14)])) == {"not-linearizable"}


def test_each_key_is_judged_for_itself() -> None:
    operations: list[RegisterOperation] = [
        RegisterWrite("a", 1, Span(0, 1), Outcome.OK),
        RegisterWrite("b", 2, Span(0, 1), Outcome.OK),
        RegisterRead("a", 1, Span(2, 3)),
        RegisterRead("b", None, Span(2, 3)),
    ]
    (found,) = check_registers(operations)
    assert "'b'" in found.explanation
    assert "read None" in found.explanation


def test_what_needs_more_memory_than_allowed_is_undecided_not_passed() -> None:
    operations: list[RegisterOperation] = [write(value, 0, 1) for value in range(20)]
    operations += [read(value, 0, 1) for value in range(20)]
    operations.append(read(99, 2, 3))
    assert kinds(check_registers(operations, memory_max=1_000)) == {"undecided"}


def test_many_writes_in_doubt_that_nobody_read_cost_nothing() -> None:
    operations: list[RegisterOperation] = [write(value, value, value, Outcome.IN_DOUBT) for value in range(1, 200)]
    operations += [write(1_000, 0, 1), read(1_000, 500, 501)]
    assert check_registers(operations, memory_max=1_000) == ()


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(1, 3), st.integers(0, 5), st.integers(0, 3), st.booleans()), max_size=6
    )
)
def test_the_search_finds_what_trying_all_orders_finds(
    drawn: list[tuple[bool, int, int, int, bool]],
) -> None:
    operations: list[RegisterOperation] = []
    for number, (is_write, value, called, length, doubt) in enumerate(drawn):
        if is_write:
            # Values of different writes differ; reads ask for any of the first three.
            outcome = Outcome.IN_DOUBT if doubt else Outcome.OK
            operations.append(write(number + 1, called, called + length, outcome))
        else:
            operations.append(read(value, called, called + length))
    assert (check_registers(operations) == ()) == _is_linearizable(operations)


def _is_linearizable(operations: list[RegisterOperation]) -> bool:
    doubtful = [
        operation
        for operation in operations
        if isinstance(operation, RegisterWrite) and operation.outcome is Outcome.IN_DOUBT
    ]
    for chosen in range(1 << len(doubtful)):
        left_out = {id(operation) for number, operation in enumerate(doubtful) if not chosen >> number & 1}
        kept = [operation for operation in operations if id(operation) not in left_out]
        if any(_explains(order) for order in permutations(kept)):
            return True
    return False


def _explains(order: tuple[RegisterOperation, ...]) -> bool:
    value: object = None
    for place, operation in enumerate(order):
        for later in order[place + 1 :]:
            in_doubt = isinstance(later, RegisterWrite) and later.outcome is Outcome.IN_DOUBT
            if not in_doubt and later.span.returned < operation.span.called:
                return False
        if isinstance(operation, RegisterWrite):
            value = operation.value
        elif operation.value != value:
            return False
    return True
