"""Sets, banks and sessions: what is right passes, and each kind of fault is found and named."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfsql.testing.checkers import Outcome, Span
from lfsql.testing.checkers.bank import Balances, check_bank
from lfsql.testing.checkers.sessions import Saw, Wrote, check_sessions
from lfsql.testing.checkers.sets import Added, check_set
from tests.testing.histories import kinds

outcomes = st.lists(st.sampled_from(list(Outcome)), min_size=1, max_size=50)


@given(outcomes, st.randoms(use_true_random=False))
def test_a_set_of_what_was_acknowledged_and_of_some_in_doubt_passes(drawn: list[Outcome], random: Random) -> None:
    attempts = [Added(value, outcome) for value, outcome in enumerate(drawn)]
    there = [each.value for each in attempts if each.outcome is Outcome.OK]
    there += [each.value for each in attempts if each.outcome is Outcome.IN_DOUBT and random.random() < 0.5]
    random.shuffle(there)
    assert check_set(attempts, there) == ()


@given(outcomes, st.integers(0, 49))
def test_each_fault_of_a_set_is_found(drawn: list[Outcome], at: int) -> None:
    attempts = [Added(value, outcome) for value, outcome in enumerate(drawn)]
    there = [each.value for each in attempts if each.outcome is Outcome.OK]
    victim = attempts[at % len(attempts)]
    without = [value for value in there if value != victim.value]
    assert kinds(check_set(attempts, without)) == ({"lost"} if victim.outcome is Outcome.OK else set())
    twice = {"doubled", "undead"} if victim.outcome is Outcome.FAILED else {"doubled"}
    assert kinds(check_set(attempts, [*without, victim.value, victim.value])) == twice
    assert kinds(check_set(attempts, [*there, "new"])) == {"foreign"}


def test_a_fault_of_a_set_names_the_values() -> None:
    (found,) = check_set([Added(value, Outcome.OK) for value in range(12)], [0])
    assert str(found) == "lost: 11 acknowledged values are missing: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 1 more"


OPENING = {"a": 10, "b": 10}


@pytest.mark.parametrize(
    ("accounts", "kind"),
    [
        ({"a": 10, "b": 10}, None),
        ({"a": 20, "b": 0}, None),
        ({"a": 9, "b": 10}, "sum"),
        ({"a": 21, "b": -1}, "overdrawn"),
        ({"a": 20}, "accounts"),
        ({"a": 10, "b": 10, "c": 0}, "accounts"),
    ],
)
def test_a_bank_keeps_its_money(accounts: dict[str, int], kind: str | None) -> None:
    found = check_bank([Balances("n1", accounts)], OPENING)
    assert kinds(found) == ({kind} if kind else set())
    assert all("n1" in anomaly.explanation for anomaly in found)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.booleans()), max_size=40))
def test_sessions_that_only_go_forward_pass(drawn: list[tuple[str, str, bool]]) -> None:
    events = [
        (Wrote if writes else Saw)(session, key, version) for version, (session, key, writes) in enumerate(drawn)
    ]
    assert check_sessions(events) == ()


@given(st.lists(st.integers(0, 100), min_size=1, max_size=20), st.booleans())
def test_a_session_that_goes_back_is_found(versions: list[int], wrote: bool) -> None:
    newest = max(versions)
    events: list[Saw | Wrote] = [Saw("s", "x", version) for version in sorted(versions)]
    if wrote:
        events.append(Wrote("s", "x", newest))
    found = check_sessions([*events, Saw("s", "x", newest - 1, "n2")])
    assert kinds(found) == {"read-your-writes" if wrote else "monotonic-reads"}
    assert "from n2" in found[0].explanation
    assert check_sessions([*events, Saw("other", "x", newest - 1), Saw("s", "y", 0)]) == ()


def test_an_operation_does_not_return_before_it_is_called() -> None:
    with pytest.raises(ValueError, match="before"):
        Span(2, 1)
