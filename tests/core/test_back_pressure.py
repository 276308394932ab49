"""Replicas that apply slower than clients write: lag comes to rest at its limit, writes at the replica's rate."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from random import Random

import pytest

from lfsql.core.back_pressure import RATE_MIN, BackPressure

STEP_S = 0.01
HEARD_S = 0.15
"""How old what a primary knows of its replicas is."""


@dataclass
class Run:
    """A primary whose clients want `offered` records a second, and replicas that apply by `rates`, until `now`."""

    limit_s: float
    offered: float
    rates: dict[str, Callable[[float], float]]
    random: Random = field(default_factory=lambda: Random(1))
    now: float = 0.0
    logged: float = 0.0
    applied: dict[str, float] = field(default_factory=dict)
    committed_at: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    """Of the slowest, in seconds, each step."""
    admitted: list[float] = field(default_factory=list)
    """Records, each step."""
    told: deque[dict[str, int]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.pressure = BackPressure(self.limit_s)
        self.applied = dict.fromkeys(self.rates, 0.0)
        self.observed_at = -inf

    def go(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.step()

    def step(self) -> None:
        self.now += STEP_S
        self.told.append({node: int(index) for node, index in self.applied.items()})
        if len(self.told) > HEARD_S / STEP_S:
            self.told.popleft()
        if self.now - self.observed_at >= self.pressure.interval_s:
            self.observed_at = self.now
            self.pressure.observe(self.now, int(self.logged), self.told[0])
        wanted = self.offered * STEP_S
        came = 0.0
        while wanted > came and not self.pressure.wait_s(self.now, int(self.logged)):
            some = min(wanted - came, self.pressure.burst if self.pressure.rate != inf else wanted)
            came += some
            self.logged += some
        self.committed_at += [self.now] * (int(self.logged) - len(self.committed_at))
        for node, rate in self.rates.items():
            drawn = rate(self.now) * STEP_S * self.random.uniform(0.5, 1.5)
            self.applied[node] = min(self.applied[node] + drawn, self.logged)
        self.admitted.append(came)
        slowest = int(min(self.applied.values()))
        self.lags.append(self.now - self.committed_at[slowest] if slowest < len(self.committed_at) else 0.0)

    def rate(self, seconds: float) -> float:
        """Admitted a second, lately."""
        return sum(self.admitted[-round(seconds / STEP_S) :]) / seconds


@pytest.mark.parametrize("limit_s", [1.0, 10.0])
@pytest.mark.parametrize("slow", [50.0, 2_000.0])
@pytest.mark.parametrize("times", [1.5, 20.0])
def test_lag_rests_at_its_limit_and_writes_at_the_replicas_rate(limit_s: float, slow: float, times: float) -> None:
    run = Run(limit_s, slow * times, {"n2": lambda _now: slow, "n3": lambda _now: slow * 100})
    run.go(12 * limit_s + 10)
    unseen_s = 0.3 + HEARD_S + run.pressure.interval_s
    assert max(run.lags) < 1.5 * limit_s + times * unseen_s, "what came before the primary could be sure"
    settled = run.lags[-round(4 * limit_s / STEP_S) :]
    assert max(settled) < 1.3 * limit_s + HEARD_S
    assert min(settled) > 0.5 * limit_s
    assert max(settled) - min(settled) < 0.4 * limit_s + HEARD_S, "it does not swing"
    assert run.rate(4 * limit_s) == pytest.approx(slow, rel=0.1)
    assert run.pressure.node == "n2"


def test_replicas_that_keep_up_cost_nothing() -> None:
    run = Run(10.0, 1_000.0, {"n2": lambda _now: 1_500.0, "n3": lambda _now: 5_000.0})
    run.go(60)
    assert run.rate(60) == pytest.approx(1_000.0)
    assert run.pressure.rate == inf


def test_a_burst_after_an_idle_time_is_not_taken_for_lag() -> None:
    for limit_s in (1.0, 10.0):
        run = Run(limit_s, 0.0, {"n2": lambda _now: 20_000.0})
        run.go(10)
        run.offered = 5_000.0
        for _ in range(500):
            run.step()
            assert run.pressure.rate == inf


def test_a_replica_that_was_slow_for_a_while_is_waited_for_and_then_no_more() -> None:
    run = Run(10.0, 1_000.0, {"n2": lambda now: 100.0 if now < 60 else 3_000.0})
    run.go(60)
    assert run.rate(10) < 200
    run.go(30)
    assert run.rate(5) == pytest.approx(1_000.0, rel=0.01)
    assert run.pressure.rate == inf
    assert run.lags[-1] < 1


def test_a_database_that_stands_still_slows_writes_for_a_while_only() -> None:
    run = Run(5.0, 1_000.0, {"n2": lambda now: 2_000.0 if now < 10 else 0.0, "n3": lambda _now: 2_000.0})
    run.go(10)
    assert run.pressure.rate == inf
    run.go(9)
    assert run.pressure.node == "n2"
    assert run.rate(1) == pytest.approx(RATE_MIN, rel=0.2), "writes go on"
    run.go(3)
    assert run.pressure.rate == inf
    assert run.rate(1) == pytest.approx(1_000.0, rel=0.01)


def test_who_cannot_be_reached_does_not_count() -> None:
    pressure = BackPressure(1.0)
    for tenth in range(20):
        pressure.observe(tenth / 10, tenth * 100, {"n2": tenth, "n3": tenth * 100})
    assert pressure.node == "n2"
    assert pressure.rate < inf
    pressure.observe(2.0, 2_000, {"n3": 2_000})
    assert (pressure.node, pressure.rate) == ("", inf)


def test_an_idle_hour_is_no_lag() -> None:
    pressure = BackPressure(1.0)
    pressure.observe(0.0, 100, {"n2": 100})
    pressure.observe(3_600.0, 101, {"n2": 100})
    assert pressure.lag_s == 0
    pressure.observe(3_600.3, 101, {"n2": 100})
    assert pressure.lag_s == pytest.approx(0.3)


def test_what_is_kept_is_bounded() -> None:
    pressure = BackPressure(10.0)
    for look in range(10_000):
        pressure.observe(look / 10, look, {f"n{look % 7}": 0, "n9": 0})
    assert len(pressure._commits.times) <= 302
    assert set(pressure._replicas) == {f"n{9_999 % 7}", "n9"}
    assert len(pressure._replicas["n9"].series.times) <= 102
