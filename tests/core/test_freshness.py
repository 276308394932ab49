"""Staleness bounds and lag verdicts, against examples and against their definition."""

from __future__ import annotations

from bisect import bisect_right
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfsql.core.freshness import (
    BEHIND_ENTRIES,
    BEHIND_SESSION,
    BEHIND_TIME,
    FRESH,
    UNKNOWN,
    CommitHistory,
    LagLimits,
    confirmed_ago_ms,
    confirmed_time,
    judge,
)


def history(*pairs: tuple[float, int]) -> CommitHistory:
    made = CommitHistory(age_max=60, entries_max=1000)
    for at, index in pairs:
        made.hear(at, index)
    return made


def test_a_copy_is_as_stale_as_the_last_time_it_was_the_newest() -> None:
    heard = history((10, 5), (11, 5), (12, 8), (13, 9))
    assert heard.staleness(9, 13.5) == 0.5
    assert heard.staleness(100, 13.5) == 0.5
    assert heard.staleness(8, 13.5) == 1.5
    assert heard.staleness(7, 13.5) == 2.5
    assert heard.staleness(4, 13.5) is None


def test_nothing_heard_is_nothing_known() -> None:
    assert history().staleness(10**9, 1) is None
    assert history().heard_at is None
    assert history().commit_index == 0


def test_silence_counts_as_staleness() -> None:
    assert history((10, 5)).staleness(5, 100) == 90


def test_a_commit_index_that_falls_back_does_not_rejuvenate_copies() -> None:
    heard = history((10, 5), (11, 9), (12, 6))
    assert heard.commit_index == 9
    assert heard.staleness(6, 12) == 2
    assert heard.staleness(9, 12) == 0


def test_times_that_fall_back_teach_nothing() -> None:
    heard = history((10, 5), (9, 7))
    assert heard.heard_at == 10
    assert heard.staleness(5, 10) == 0


def test_a_time_that_falls_back_still_tells_how_far_commits_have_come() -> None:
    heard = history((10, 5), (9, 7))
    assert heard.commit_index == 7
    assert heard.staleness(6, 10) == 0
    heard.hear(-inf, 9)
    assert (heard.commit_index, heard.heard_at) == (9, 10)


def test_a_primary_speaks_for_the_time_at_which_it_was_confirmed() -> None:
    assert confirmed_ago_ms(7.0, 7.25) == 250
    assert confirmed_ago_ms(7.0, 7.2501) == 251, "rounded up: a bound"
    assert confirmed_ago_ms(7.0, 6.9) == 0
    assert confirmed_ago_ms(-inf, 7.0) is None
    assert confirmed_time(100.0, 250) == 99.75
    assert confirmed_time(100.0, None) == -inf
    heard = history()
    heard.hear(confirmed_time(100.0, 800), 5)
    assert heard.staleness(5, 100.0) == pytest.approx(0.8)
    heard.hear(confirmed_time(200.0, None), 5)
    assert heard.heard_at == pytest.approx(99.2), "a primary that was never confirmed vouches for nothing"


@given(
    st.lists(st.tuples(st.floats(0.01, 2), st.booleans(), st.integers(0, 3)), min_size=1, max_size=50),
    st.floats(-1e6, 1e6),
    st.data(),
)
def test_a_deposed_primary_never_makes_a_copy_look_fresher_than_it_is(
    beats: list[tuple[float, bool, int]], offset: float, data: st.DataObject
) -> None:
    """A primary commits while a quorum confirms it; once it is cut off, another commits and it goes on talking.

    Its clock is `offset` away from the receiver's.
    """
    heard = CommitHistory(age_max=1e9, entries_max=8)
    cut_off = data.draw(st.integers(0, len(beats)))
    truth: list[tuple[float, int]] = []
    now, committed, said, confirmed_at = 0.0, 0, 0, -inf
    for number, (passed, confirmed, commits) in enumerate(beats):
        now += passed
        committed += commits
        truth.append((now, committed))
        if number < cut_off:
            said = committed
            confirmed_at = now + offset if confirmed else confirmed_at
        ago_ms = confirmed_ago_ms(confirmed_at, now + offset)
        heard.hear(confirmed_time(now, ago_ms), said)
        applied = data.draw(st.integers(0, committed))
        bound = heard.staleness(applied, now)
        if bound is not None:
            overtaken_at = next((at for at, index in truth if index > applied), now)
            assert bound >= now - overtaken_at - 1e-6


def test_staleness_is_never_negative() -> None:
    assert history((10, 5)).staleness(5, 9.9) == 0


def test_old_pairs_are_forgotten() -> None:
    heard = CommitHistory(age_max=5, entries_max=1000)
    heard.hear(0, 1)
    heard.hear(4, 2)
    assert heard.staleness(1, 4) == 4
    heard.hear(5, 3)
    assert heard.staleness(1, 5) is None
    assert heard.staleness(2, 5) == 1


def test_the_number_of_pairs_is_bounded_and_forgetting_only_adds_staleness() -> None:
    heard = CommitHistory(age_max=1e9, entries_max=10)
    for at in range(1000):
        heard.hear(at, at)
        assert len(heard._times) <= 10
        assert heard.staleness(at, at) == 0
        assert heard.staleness(at - 5, at) in (5, None)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 30)), max_size=60),
    st.integers(0, 35),
    st.integers(1, 8),
)
def test_the_bound_is_never_below_the_truth(commits: list[tuple[int, int]], applied: int, entries_max: int) -> None:
    """Against the definition, with the whole history at hand."""
    truth: list[tuple[int, int]] = []
    heard = CommitHistory(age_max=40, entries_max=entries_max)
    for at, index in sorted(commits):
        truth.append((at, max(index, truth[-1][1] if truth else 0)))
        heard.hear(at, index)
    bound = heard.staleness(applied, 60)
    place = bisect_right([index for _, index in truth], applied)
    if bound is not None:
        assert place
        assert bound >= 60 - truth[place - 1][0]


def test_verdicts_name_the_reason() -> None:
    heard = history((10, 100), (11, 110))
    exact = LagLimits(lag_ms_max=1000, lag_entries_max=10, min_index=100)
    assert judge(heard, 100, 11, exact).reason == FRESH
    assert judge(heard, 100, 11, exact).eligible
    assert judge(heard, 99, 11, exact).reason == BEHIND_SESSION
    assert judge(heard, 99, 11, LagLimits(lag_entries_max=10)).reason == BEHIND_ENTRIES
    assert judge(heard, 100, 11.5, exact).reason == BEHIND_TIME
    assert judge(heard, 99, 11, LagLimits(lag_ms_max=1000)).reason == UNKNOWN
    assert not judge(heard, 99, 11, LagLimits(lag_ms_max=1000)).eligible
    assert judge(heard, 0, 99, LagLimits()).eligible


def test_verdicts_carry_the_figures() -> None:
    verdict = judge(history((10, 100), (11, 110)), 105, 11.25, LagLimits())
    assert verdict.staleness_ms == 1250
    assert verdict.lag_entries == 5


def test_nothing_heard_fails_any_limit_and_only_limits() -> None:
    assert judge(history(), 5, 1, LagLimits(lag_entries_max=0)).reason == UNKNOWN
    assert judge(history(), 5, 1, LagLimits(lag_ms_max=1e9)).reason == UNKNOWN
    assert judge(history(), 5, 1, LagLimits(min_index=5)).eligible


def test_silence_beyond_its_limit_is_unknown_even_for_the_newest_copy() -> None:
    limits = LagLimits(lag_entries_max=10, silence_ms_max=500)
    assert judge(history((10, 100)), 100, 10.5, limits).reason == FRESH
    assert judge(history((10, 100)), 100, 10.75, limits).reason == UNKNOWN
    assert judge(history((10, 100)), 100, 10.75, LagLimits(silence_ms_max=500)).reason == UNKNOWN
