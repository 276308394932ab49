"""Shares, cycles and orders for any population."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.balancing.health import Health, HealthLimits
from proxy.balancing.latency import FORGOTTEN_S, SAMPLES_MIN, Latency, slower
from proxy.balancing.shares import SLOTS_MAX, Copy, arrange
from proxy.balancing.turns import Turns, cycle, orders

replicas = st.builds(
    Copy,
    primary=st.just(False),
    near=st.booleans(),
    weight=st.integers(0, 100),
    state=st.sampled_from(["away", "joining", "warming", "serving", "ejected"]),
    draining=st.booleans(),
    warmth=st.integers(1, 16),
    slower=st.sampled_from([1, 2, 4, 8]),
    until=st.floats(0, 100),
)
populations = st.builds(
    lambda copies, primary: [*copies, *primary],
    st.lists(replicas, max_size=10),
    st.lists(st.just(Copy(primary=True)), max_size=1),
)


@given(populations, st.integers(0, 100))
def test_everybody_who_can_be_read_is_tried_once_and_in_order(copies: list[Copy], percent: int) -> None:
    arrangement = arrange(copies, percent)
    readable = [place for place, copy in enumerate(copies) if copy.state != "away"]
    for order in orders(arrangement):
        assert sorted(order) == readable
        assert set(order[len(order) - len(arrangement.avoided) :]) == set(arrangement.avoided)
        before = order[: len(order) - len(arrangement.avoided)]
        assert all(not copies[place].primary for place in before[:-1]), "the primary after its replicas"
        assert all(copies[place].weight and not copies[place].draining for place in before)


@given(populations, st.integers(0, 100))
def test_only_who_is_in_the_choice_has_a_share_and_the_floor_holds(copies: list[Copy], percent: int) -> None:
    arrangement = arrange(copies, percent)
    assert sum(arrangement.shares) <= SLOTS_MAX
    ejected = {place for place, copy in enumerate(copies) if copy.state == "ejected" and not copy.primary}
    usable = {place for place in ejected if copies[place].weight and not copies[place].draining}
    out = usable & set(arrangement.avoided)
    assert len(out) <= sum(copy.state != "away" for copy in copies) * percent // 100
    for place, copy in enumerate(copies):
        if arrangement.shares[place]:
            assert copy.weight > 0
            assert not copy.primary
            assert not copy.draining
            assert copy.state in ("serving", "warming") or place in ejected - out


@given(st.lists(st.integers(1, 100), min_size=1, max_size=6))
def test_shares_are_as_the_weights(weights: list[int]) -> None:
    shares = arrange([Copy(weight=weight) for weight in weights], 50).shares
    for share, weight in zip(shares, weights, strict=True):
        wanted = sum(shares) * weight / sum(weights)
        assert abs(share - wanted) <= max(1.0, 0.1 * wanted)


@given(st.lists(st.integers(0, 12), max_size=6))
def test_a_cycle_gives_each_its_share_at_even_distances(shares: list[int]) -> None:
    turns = cycle(shares)
    assert Counter(turns) == {place: share for place, share in enumerate(shares) if share}
    for place, share in enumerate(shares):
        for end in range(len(turns) + 1):
            wanted = end * share / sum(shares) if share else 0
            assert abs(turns[:end].count(place) - wanted) < len(shares), (turns, place, end)


@given(st.lists(st.integers(1, 5), min_size=2, max_size=5))
def test_after_the_first_come_the_others_as_their_turns_would(shares: list[int]) -> None:
    arrangement = arrange([Copy(weight=share) for share in shares], 50)
    found = orders(arrangement)
    turns = cycle(arrangement.shares)
    for number, order in enumerate(found):
        following = turns[number:] + turns[:number]
        assert list(order) == list(dict.fromkeys(following))


def test_spare_copies_take_turns() -> None:
    arrangement = arrange([Copy(), Copy(near=False), Copy(near=False)], 50)
    assert arrangement.shares == (1, 0, 0)
    assert {order[1] for order in orders(arrangement)} == {1, 2}


class Busy:
    def __init__(self, outstanding: int = 0) -> None:
        self.outstanding = outstanding


def test_of_two_the_less_loaded_for_its_share_is_asked() -> None:
    small, large = Busy(), Busy()
    turns: Turns[Busy] = Turns()
    turns.set([small, large], arrange([Copy(weight=1), Copy(weight=3)], 50))

    def first() -> set[str]:
        found = set()
        for _ in range(8):
            found.add("small" if turns.order()[0] is small else "large")
            turns.take()
        return found

    assert first() == {"small", "large"}
    small.outstanding, large.outstanding = 2, 6
    assert first() == {"small", "large"}, "in proportion"
    small.outstanding, large.outstanding = 2, 0
    assert first() == {"large"}
    small.outstanding, large.outstanding = 0, 5
    assert first() == {"small"}


@given(st.lists(st.floats(0.001, 1), min_size=SAMPLES_MIN, max_size=20), st.floats(0.01, 2))
def test_a_mean_lies_between_its_samples_and_is_forgotten(samples: list[float], step_s: float) -> None:
    latency = Latency()
    now = 0.0
    for sample in samples:
        now += step_s
        latency.add(sample, now)
    mean_s = latency.mean_s(now)
    assert mean_s is not None
    assert min(samples) <= mean_s * 1.001
    assert mean_s <= max(samples) * 1.001
    assert latency.mean_s(now + FORGOTTEN_S + 1) is None


def test_one_long_read_does_not_make_a_copy_slow() -> None:
    cold, warm = Latency(), Latency()
    for number in range(20):
        cold.add(0.005 if number else 0.3, number / 50)
        warm.add(0.005, number / 50)
    mean_s, usual_s = cold.mean_s(0.4), warm.mean_s(0.4)
    assert mean_s is not None
    assert usual_s is not None
    assert slower(mean_s, [usual_s]) == 1


def test_slowness_comes_in_steps() -> None:
    assert [slower(mean, [1.0, 1.0]) for mean in (0.5, 2.0, 2.1, 4.1, 8.1, 100.0)] == [1, 1, 2, 4, 8, 8]
    assert slower(0.005, [0.001]) == 1
    assert slower(None, [1.0]) == slower(5.0, []) == 1


def test_each_ejection_is_longer_up_to_the_limit() -> None:
    health = Health(HealthLimits(ejection_s_min=1.0, ejection_s_max=5.0), 0.0, known=True)
    health.came(0.0, cold=True)
    now, found = 0.0, []
    health.eject(now, 1.0, "test")
    for _ in range(5):
        assert not health.probe_due(health.until - 0.01)
        assert health.probe_due(health.until)
        found.append(health.until - now)
        now = health.until
        health.probed(now, 1.0, "still")
    assert found == [1.0, 2.0, 4.0, 5.0, 5.0]
    health.probed(health.until, 1.0, "")
    assert health.state == "warming"
    now = health.until + 100.0
    assert (health.warmth(now), health.state) == (16, "serving")
    health.eject(now, 0.0, "test")
    assert health.until - now == 0.5, "forgiven after a while; and half of it is drawn"


def test_a_failure_between_answers_is_forgiven() -> None:
    health = Health(HealthLimits(failures_max=2), 0.0, known=True)
    health.came(0.0, cold=True)
    for _ in range(5):
        health.failed(1.0, 0.0, "test")
        health.answered(1.0)
    assert health.state == "serving"
    health.failed(1.0, 0.0, "test")
    health.failed(1.0, 0.0, "test")
    assert (health.state, health.why) == ("ejected", "test")


def test_who_was_there_at_the_start_and_who_is_read_from_a_file_need_no_warming_up() -> None:
    limits = HealthLimits(warm_up_s=5.0)
    for known, cold, at, state in [
        (True, True, 1.0, "serving"),
        (True, True, 6.0, "joining"),
        (False, True, 1.0, "joining"),
        (False, False, 1.0, "serving"),
    ]:
        health = Health(limits, 0.0, known=known)
        health.came(at, cold=cold)
        assert health.state == state
    health.left(7.0, 0.0)
    health.came(8.0, cold=True)
    assert health.state == "joining"


@pytest.mark.parametrize("weights", [(1, 1), (1, 2), (1, 1, 1), (1, 2, 3)])
def test_who_looks_several_times_and_takes_one_turn_is_spread_as_the_weights_say(weights: tuple[int, ...]) -> None:
    copies = [Busy() for _ in weights]
    turns: Turns[Busy] = Turns(begin=7)
    turns.set(copies, arrange([Copy(weight=weight) for weight in weights], 50))
    found: Counter[int] = Counter()
    for _ in range(60):
        turns.order()
        turns.order()
        found[copies.index(turns.order()[0])] += 1
        turns.take()
    assert found == {place: 60 * weight // sum(weights) for place, weight in enumerate(weights)}
