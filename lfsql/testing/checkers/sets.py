"""An append-only set: nothing acknowledged is missing, nothing is there twice, nothing is there that nobody added.

The plainest test and the sharpest for failover: every value is added once, and a retry that the database did not
recognise, or a write that a new primary lost, shows at the end as what it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass

from lfsql.testing.checkers import Anomaly, Outcome, listed


@dataclass(frozen=True)
class Added:
    """One attempt to add `value`, which is nobody else's."""

    value: Hashable
    outcome: Outcome


def check_set(attempts: Iterable[Added], found: Iterable[Hashable]) -> tuple[Anomaly, ...]:
    """What is wrong with `found`, all values that are there after the last attempt.

    Kinds: lost, doubled, undead (refused, and there), foreign (never added).
    """
    outcomes = {attempt.value: attempt.outcome for attempt in attempts}
    counts = Counter(found)
    return tuple(_anomalies(outcomes, counts))


def _anomalies(outcomes: dict[Hashable, Outcome], counts: Counter[Hashable]) -> Iterator[Anomaly]:
    lost = [value for value, outcome in outcomes.items() if outcome is Outcome.OK and value not in counts]
    if lost:
        yield Anomaly("lost", f"{len(lost)} acknowledged values are missing: {listed(lost)}")
    doubled = {value: count for value, count in counts.items() if count > 1}
    if doubled:
        yield Anomaly("doubled", f"{len(doubled)} values are there more than once: {listed(doubled.items())}")
    undead = [value for value in counts if outcomes.get(value) is Outcome.FAILED]
    if undead:
        yield Anomaly("undead", f"{len(undead)} values are there although they were refused: {listed(undead)}")
    foreign = [value for value in counts if value not in outcomes]
    if foreign:
        yield Anomaly("foreign", f"{len(foreign)} values are there that nobody added: {listed(foreign)}")
