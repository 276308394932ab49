"""Serial histories pass; with one anomaly planted each is named; the classics are known by their names."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lfsql.testing.checkers import Outcome, Span
from lfsql.testing.checkers.list_append import Append, Read, Transaction, check_list_append, session_events
from lfsql.testing.checkers.sessions import check_sessions
from tests.testing.histories import SerialLists, kinds, shifted

seeds = st.integers(0, 1 << 32)


def serial(seed: int, count: int = 60, keys: int = 3) -> SerialLists:
    return SerialLists(Random(seed)).run(count, keys)


def together(*operations: tuple[Append | Read, ...], outcome: Outcome = Outcome.OK) -> list[Transaction]:
    """Transactions of different sessions, all at the same time."""
    return [Transaction(number, each, Span(0, 1), outcome) for number, each in enumerate(operations)]


@given(seeds)
def test_a_serial_history_passes(seed: int) -> None:
    history = serial(seed)
    assert check_list_append(history.transactions, history.final) == ()
    assert check_sessions(session_events(history.transactions)) == ()


def test_a_long_one_passes_and_takes_its_length_not_its_square() -> None:
    history = serial(1, 5_000, 300)
    assert check_list_append(history.transactions, history.final) == ()


@given(seeds)
def test_an_acknowledged_append_that_is_gone_is_lost(seed: int) -> None:
    history = serial(seed)
    acknowledged = [
        operation
        for transaction in history.transactions
        for operation in transaction.operations
        if transaction.outcome is Outcome.OK and isinstance(operation, Append)
    ]
    assume(acknowledged)
    victim = Random(seed).choice(acknowledged)

    def without(values: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(value for value in values if value != victim.value)

    forgotten = [
        replace(
            transaction,
            operations=tuple(
                replace(operation, values=without(operation.values)) if isinstance(operation, Read) else operation
                for operation in transaction.operations
            ),
        )
        for transaction in history.transactions
    ]
    final = {key: without(tuple(values)) for key, values in history.final.items()}
    assert "lost" in kinds(check_list_append(forgotten, final))


@given(seeds)
def test_a_value_that_is_there_twice_is_doubled(seed: int) -> None:
    history = serial(seed)
    assume(history.final)
    key, values = Random(seed).choice(sorted(history.final.items()))
    assert kinds(check_list_append(history.transactions, {**history.final, key: [*values, values[0]]})) == {"doubled"}


@given(seeds)
def test_a_value_of_nobody_and_one_that_was_refused(seed: int) -> None:
    history = serial(seed)
    refused = [
        operation
        for transaction in history.transactions
        for operation in transaction.operations
        if transaction.outcome is Outcome.FAILED and isinstance(operation, Append)
    ]
    assume(refused)
    victim = refused[0]
    values = [*history.final.get(str(victim.key), []), victim.value]
    found = check_list_append(history.transactions, {**history.final, victim.key: values})
    assert "G1a" in kinds(found)
    assert "foreign" in kinds(check_list_append(history.transactions, {**history.final, "k0": [-1]}))


def with_a_last_append(history: SerialLists) -> tuple[list[Transaction], Read, Read, float]:
    """The history and one append to k0 after it; the list with and without that; when it was acknowledged."""
    end = max(transaction.span.returned for transaction in history.transactions)
    before = tuple(history.final.get("k0", ()))
    append = Transaction("writer", (Append("k0", -1),), Span(end + 1, end + 2))
    return [*history.transactions, append], Read("k0", (*before, -1)), Read("k0", before), end + 2


@given(seeds)
def test_a_read_of_the_past_by_a_strong_transaction_breaks_the_order_of_time(seed: int) -> None:
    transactions, new, old, end = with_a_last_append(serial(seed))
    late = Transaction("late", (old,), Span(end + 1, end + 2))
    seen = Transaction("seen", (new,), Span(end + 3, end + 4))
    assert kinds(check_list_append([*transactions, late])) == {"G-single-time"}
    assert kinds(check_list_append([*transactions, late, seen])) == {"G-single-time"}
    assert check_list_append([*transactions, replace(late, strong=False), seen]) == ()


@given(seeds)
def test_a_session_that_is_shown_less_than_it_saw(seed: int) -> None:
    transactions, new, old, end = with_a_last_append(serial(seed))
    transactions += [
        Transaction("reader", (new,), Span(end + 1, end + 2), strong=False),
        Transaction("reader", (old,), Span(end + 3, end + 4), strong=False),
    ]
    assert kinds(check_list_append(transactions)) == {"G-single-session"}
    assert check_list_append(transactions, sessions=False) == ()
    assert kinds(check_sessions(session_events(transactions))) == {"monotonic-reads"}


@given(seeds)
def test_two_orders_of_one_list_cannot_both_be_right(seed: int) -> None:
    history = serial(seed)
    key = next((key for key, values in history.final.items() if len(values) > 2), "")
    assume(key)
    first, second, *rest = history.final[key]
    wrong = Transaction("other", (Read(key, (second, first)),), Span(0, 1))
    assert "incompatible-order" in kinds(check_list_append([*history.transactions, wrong], history.final))
    assert rest


@given(seeds)
def test_a_lost_update_is_found_wherever_it_is(seed: int) -> None:
    """Two transactions that read the same version of a list and both append to it."""
    history = serial(seed)
    end = max(transaction.span.returned for transaction in history.transactions)
    before = tuple(history.final.get("k0", ()))
    updates = [
        Transaction(name, (Read("k0", before), Append("k0", value)), Span(end + 1, end + 2))
        for name, value in (("a", -1), ("b", -2))
    ]
    final = {**history.final, "k0": [*before, -1, -2]}
    assert kinds(check_list_append([*history.transactions, *updates], final)) == {"G-single"}


CLASSICS = {
    "G0": together(
        (Append("x", 1), Append("y", 1)),
        (Append("x", 2), Append("y", 2)),
        (Read("x", (1, 2)),),
        (Read("y", (2, 1)),),
    ),
    "G1c": together(
        (Append("x", 1), Read("y", (1,))),
        (Append("y", 1), Read("x", (1,))),
    ),
    "G-single": together(
        (Append("x", 1), Append("y", 1)),
        (Read("x", ()), Read("y", (1,))),
    ),
    "G2": together(
        (Read("x", ()), Append("y", 1)),
        (Read("y", ()), Append("x", 1)),
    ),
    "G1b": together(
        (Append("x", 1), Append("x", 2)),
        (Read("x", (1,)),),
        (Read("x", (1, 2)),),
    ),
    "internal": together(
        (Append("x", 1),),
        (Read("x", ()), Read("x", (1,))),
    ),
}


@pytest.mark.parametrize("name", CLASSICS)
def test_the_classics_are_known_by_their_names(name: str) -> None:
    found = check_list_append(CLASSICS[name])
    assert name in kinds(found)
    assert kinds(found) <= {name, "G-single"}, "G1b and internal are cycles too"


def test_a_cycle_is_told_transaction_by_transaction() -> None:
    (found,) = check_list_append(CLASSICS["G2"])
    assert str(found) == (
        "G2: 2 transactions come before each other\n"
        "  T0 read 'x' without what is appended by T1  (rw)\n"
        "  T1 read 'y' without what is appended by T0  (rw)\n"
        "  T0 = read 'x' as []; append 1 to 'y' (ok, 0.000000 to 1.000000)\n"
        "  T1 = read 'y' as []; append 1 to 'x' (ok, 0.000000 to 1.000000)"
    )


def test_long_fork_two_readers_that_see_two_writes_in_two_orders() -> None:
    history = together(
        (Append("x", 1),),
        (Append("y", 1),),
        (Read("x", (1,)), Read("y", ())),
        (Read("x", ()), Read("y", (1,))),
    )
    assert kinds(check_list_append(history)) == {"G2"}


def test_an_append_of_another_transaction_amid_ones_own_is_seen() -> None:
    own = (Read("x", ()), Append("x", 1), Read("x", (2, 1)))
    assert "internal" in kinds(check_list_append(together(own, (Append("x", 2),))))
    assert check_list_append(together((Append("x", 1), Append("x", 2), Read("x", (1, 2))))) == ()
    assert kinds(check_list_append(together((Append("x", 1), Append("x", 2), Read("x", (2,)))))) >= {"internal"}


def test_what_is_in_doubt_counts_when_somebody_has_seen_it() -> None:
    unknown = Transaction("a", (Append("x", 1), Append("y", 1)), Span(0, 1), Outcome.IN_DOUBT)
    late = Transaction("b", (Read("x", (1,)), Read("y", ())), Span(10, 11))
    assert kinds(check_list_append([unknown, late])) == {"G-single"}
    never = replace(late, operations=(Read("x", ()), Read("y", ())))
    assert check_list_append([unknown, never], {"x": []}) == ()


def test_transactions_are_in_order_of_time_only_when_one_ended_before_the_other_began() -> None:
    append = Transaction("a", (Append("x", 1),), Span(0, 1))
    read = Transaction("b", (Read("x", ()),), Span(0.5, 2))
    assert check_list_append([append, read]) == ()
    assert kinds(check_list_append([append, shifted(read, 1)])) == {"G-single-time"}


def test_of_two_that_overlapped_both_come_before_what_was_called_later() -> None:
    first = Transaction("a", (Append("x", 1),), Span(0, 1))
    second = Transaction("b", (Append("y", 1),), Span(0, 2))
    late = Transaction("c", (Read("x", ()),), Span(3, 4))
    assert kinds(check_list_append([first, second, late])) == {"G-single-time"}


def test_what_a_write_that_was_not_strong_wrote_is_there_afterwards() -> None:
    append = Transaction("a", (Append("x", 1),), Span(0, 1), strong=False)
    read = Transaction("b", (Read("x", ()),), Span(2, 3))
    assert kinds(check_list_append([append, read])) == {"G-single-time"}


def test_a_value_appended_twice_by_the_test_itself_is_the_tests_fault() -> None:
    with pytest.raises(ValueError, match="twice"):
        check_list_append(together((Append("x", 1),), (Append("x", 1),)))
