"""The balancing policies on simulated replicas: who gets how much, and what becomes of those that misbehave."""

from __future__ import annotations

import pytest

from lfsql.config import Balancing
from tests.balancing.population import LEFT_S, Population, percentile, spread

SEEDS = range(3)
RATES = [20, 300, 1500]
"""Reads a second; each takes 5 ms, so from nothing under way to several on each replica."""


def population(seed: int, *weights: int, settings: Balancing | None = None) -> Population:
    """A primary n0 and a replica n1, n2, … for each weight."""
    made = Population(seed, settings or Balancing())
    made.add("n0", primary=True)
    for number, weight in enumerate(weights, start=1):
        made.add(f"n{number}", weight=weight)
    made.start()
    return made


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("weights", [(1, 1), (1, 2, 5), (3, 4), (1, 1, 1, 1, 1)])
@pytest.mark.parametrize("seed", SEEDS)
def test_reads_are_spread_by_weight(seed: int, weights: tuple[int, ...], rate: int) -> None:
    tier = population(seed, *weights)
    found = spread(tier.run(4000 / rate, rate))
    for number, weight in enumerate(weights, start=1):
        wanted = weight / sum(weights)
        assert found[f"n{number}"] == pytest.approx(wanted, rel=0.1), (seed, found)
    assert "n0" not in found


@pytest.mark.parametrize("seed", SEEDS)
def test_a_weight_of_zero_is_for_when_there_is_nothing_else(seed: int) -> None:
    tier = population(seed, 1, 0)
    assert set(spread(tier.run(2, 200))) == {"n1"}
    tier.behaviours["n1"].away = True
    tier.run(0.1, 200)
    assert set(spread(tier.run(2, 200))) == {"n0"}
    tier.behaviours["n0"].away = True
    tier.run(0.1, 200)
    assert set(spread(tier.run(2, 200))) == {"n2"}


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_slow_replica_gets_less(seed: int, rate: int) -> None:
    tier = population(seed, 1, 1, 1)
    tier.behaviours["n2"].seconds = 0.015
    tier.run(5, rate)
    found = spread(tier.run(4000 / rate, rate))
    assert 0 < found["n2"] < 0.75 / 3, (seed, found)
    assert found["n1"] == pytest.approx(found["n3"], rel=0.1), (seed, found)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_much_slower_replica_is_ejected_and_comes_back_when_it_has_recovered(seed: int) -> None:
    tier = population(seed, 1, 1)
    tier.behaviours["n2"].seconds = 0.15
    found = spread(tier.run(10, 300))
    assert found["n2"] < 0.1, (seed, found)
    assert "its reads take" in tier.nodes["n2"].health.why
    tier.behaviours["n2"].seconds = 0.005
    tier.run(30, 300)
    assert tier.nodes["n2"].state == "serving"
    found = spread(tier.run(10, 300))
    assert found["n2"] == pytest.approx(0.5, rel=0.1), (seed, found)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_failing_replica_costs_few_reads_a_second_attempt(seed: int) -> None:
    tier = population(seed, 1, 1, 1)
    tier.run(1, 300)
    tier.behaviours["n2"].fails = True
    during = tier.run(30, 300)
    assert sum(each.tried > 1 for each in during) <= 6, "those under way when it was found out"
    probes = [at for at, name in tier.probed if name == "n2"]
    assert len(probes) <= 7, "each time it is left alone for longer"
    assert percentile(during, 1.0) < 0.05
    tier.behaviours["n2"].fails = False
    tier.run(40, 300)
    assert tier.nodes["n2"].state == "serving"


@pytest.mark.parametrize("seed", SEEDS)
def test_nobody_waits_for_long_at_a_replica_that_hangs(seed: int) -> None:
    tier = population(seed, 1, 1)
    tier.run(1, 300)
    tier.behaviours["n2"].hangs = True
    found_out = tier.run(LEFT_S + 0.05, 300)
    assert percentile(found_out, 1.0) < 0.25
    assert tier.nodes["n2"].state == "ejected"
    after = tier.run(20, 300)
    assert percentile(after, 1.0) < 0.02, "it is probed back in by the proxy's own reads, not by clients'"
    assert len([name for _, name in tier.probed]) >= 3


@pytest.mark.parametrize("seed", SEEDS)
def test_a_replica_that_comes_back_is_not_overrun(seed: int) -> None:
    tier = population(seed, 1, 1, settings=Balancing(warm_up_ms=4000))
    tier.run(1, 1000)
    tier.behaviours["n2"].away = True
    tier.run(5, 1000)
    tier.behaviours["n2"].away = False
    parts = [spread(tier.run(1, 1000)).get("n2", 0.0) for _ in range(5)]
    assert parts[0] < 0.15, (seed, parts)
    assert parts == sorted(parts), (seed, parts)
    assert parts[-1] == pytest.approx(0.5, rel=0.1), (seed, parts)
    first = next(at for at, name in tier.tried if name == "n2" and at > 6)
    assert any(6 < at <= first for at, name in tier.probed if name == "n2"), "probed first"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_replica_that_comes_and_goes_is_left_alone(seed: int) -> None:
    tier = population(seed, 1, 1)
    asked = []
    for _ in range(20):
        tier.behaviours["n2"].away = True
        tier.run(0.5, 200)
        tier.behaviours["n2"].away = False
        before = len(tier.tried)
        tier.run(1.0, 200)
        asked.append(sum(name == "n2" for _, name in tier.tried[before:]))
    assert sum(asked[10:]) < 20, (seed, asked)


@pytest.mark.parametrize("percent", [0, 34, 50, 100])
@pytest.mark.parametrize("seed", SEEDS)
def test_never_more_than_a_part_is_out(seed: int, percent: int) -> None:
    tier = population(seed, 1, 1, 1, 1, 1, settings=Balancing(ejected_percent_max=percent))
    for number in range(1, 6):
        tier.behaviours[f"n{number}"].fails = True
    for _ in range(50):
        tier.run(0.1, 300)
        out = [node.name for node in tier.nodes.values() if node.state == "ejected"]
        assert len(out) <= 6 * percent // 100, seed
    states = [node.state for node in tier.nodes.values()]
    assert states.count("ejected") == min(5, 6 * percent // 100)
    assert states.count("kept") == 5 - states.count("ejected")


@pytest.mark.parametrize("seed", SEEDS)
def test_reads_stay_in_the_zone_while_it_has_the_strength(seed: int) -> None:
    tier = Population(seed, Balancing(zone="a"))
    tier.add("n0", primary=True, zone="a")
    for name, zone in [("n1", "a"), ("n2", "a"), ("n3", "b"), ("n4", "b")]:
        tier.add(name, zone=zone)
        tier.behaviours[name].seconds = 0.005 if zone == "a" else 0.04
    tier.start()
    assert set(spread(tier.run(10, 300))) == {"n1", "n2"}, "however far off the others are"
    for behaviour in tier.behaviours.values():
        behaviour.seconds = 0.005
    tier.behaviours["n2"].fails = True
    tier.run(1, 300)
    found = spread(tier.run(20, 300))
    assert found["n1"] == pytest.approx(0.5 / 0.7, rel=0.1), (seed, found)
    assert found["n3"] == pytest.approx(found["n4"], rel=0.1), (seed, found)
    tier.behaviours["n1"].away = True
    tier.run(0.1, 300)
    assert set(spread(tier.run(5, 300))) == {"n3", "n4"}
