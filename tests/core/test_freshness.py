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
    Pings,
    confirmed_ago_ms,
    confirmed_time,
    judge,
    ping_ago_ms,
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


def test_a_message_is_as_old_as_the_ping_that_it_speaks_of() -> None:
    pings = Pings()
    assert pings.is_due(0.0, 1.0)
    first = pings.send(10.0)
    assert not pings.is_due(10.9, 1.0)
    assert pings.is_due(11.0, 1.0)
    # It came to the node, and 200 ms later the node spoke, 50 ms after a quorum had confirmed it.
    told = pings.confirmed_time(13.0, first, 200, 50)
    assert told == pytest.approx(10.15, abs=0.001)
    assert told < 10.15, "two clocks may run at different rates"
    assert pings.confirmed_time(10.1, first, 200, 50) == pytest.approx(10.05), "it was not sent after it came"
    assert pings.confirmed_time(13.0, 0, 0, 50) == -inf
    assert pings.confirmed_time(13.0, first + 1, 0, 50) == -inf
    assert pings.confirmed_time(13.0, first, 200, None) == -inf


def test_pings_that_were_overtaken_and_those_nobody_speaks_of_are_forgotten() -> None:
    pings = Pings()
    numbers = [pings.send(float(at)) for at in range(3)]
    assert pings.confirmed_time(9.0, numbers[1], 0, 0) == 1.0
    assert pings.confirmed_time(9.0, numbers[0], 0, 0) == -inf
    assert pings.confirmed_time(9.0, numbers[2], 0, 0) == 2.0
    for at in range(1_000):
        pings.send(float(at))
    assert len(pings._sent) <= 16


def test_how_long_ago_a_ping_came_is_not_overstated() -> None:
    assert ping_ago_ms(7.0, 7.2509) == 250
    assert ping_ago_ms(7.0, 6.0) == 0


ways = st.one_of(st.floats(0, 0.01), st.floats(0, 5))


@given(
    st.lists(st.tuples(st.floats(0.01, 1), st.integers(0, 3), ways, ways, st.booleans()), min_size=1, max_size=40),
    st.floats(-1e6, 1e6),
    st.floats(0.9995, 1.0005),
    st.data(),
)
def test_what_takes_its_time_on_the_way_makes_no_copy_look_fresher(
    beats: list[tuple[float, int, float, float, bool]], offset: float, rate: float, data: st.DataObject
) -> None:
    """A primary that is confirmed and commits at each beat, and says so; its messages take up to 5 seconds, and so do
    our pings, in order.  Its clock is `offset` away from ours and runs at another `rate`.
    """
    pings = Pings()
    heard = CommitHistory(age_max=1e9, entries_max=10_000)
    truth: list[tuple[float, int]] = []
    came: list[tuple[float, int]] = []
    arriving: list[tuple[float, int, int, int]] = []
    now, committed, ping_here, beat_there = 0.0, 0, 0.0, 0.0

    def clock(at: float) -> float:
        return at * rate + offset

    for passed, commits, ping_takes, beat_takes, sends in beats:
        now += passed
        if sends:
            ping_here = max(ping_here, now + ping_takes)
            came.append((ping_here, pings.send(now)))
        committed += commits
        truth.append((now, committed))
        last = max((each for each in came if each[0] <= now), default=None)
        number, ago_ms = (last[1], ping_ago_ms(clock(last[0]), clock(now))) if last else (0, 0)
        beat_there = max(beat_there, now + beat_takes)
        arriving.append((beat_there, number, ago_ms, committed))
    for at, number, ago_ms, index in arriving:
        heard.hear(pings.confirmed_time(at, number, ago_ms, 0), index)
        applied = data.draw(st.integers(0, committed))
        bound = heard.staleness(applied, at)
        if bound is not None:
            overtaken_at = next((when for when, index in truth if index > applied), at)
            assert bound >= at - overtaken_at - 1e-6
