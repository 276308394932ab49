"""The checker of staleness finds what is too old, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from random import Random

import pytest

from lfsql.testing.checkers import Span
from lfsql.testing.checkers.staleness import Made, Showed, Staleness, check_staleness


def made(version: int, called: float, returned: float, index: int = 0) -> Made:
    return Made("k", version, Span(called, returned), index)


def kinds(writes: list[Made], *reads: Showed) -> list[str]:
    return [anomaly.kind for anomaly in check_staleness(writes, reads)]


WRITES = [made(1, 0, 1, 10), made(2, 2, 3, 20), made(3, 4, 9, 30), made(4, 5, 6, 40)]


@pytest.mark.parametrize(
    ("version", "called", "stale_s"),
    [
        (1, 2.5, 0),  # the next one may not have been there
        (1, 3.5, 0.5),
        (2, 5.5, 0),
        (2, 7, 1),  # the third was there before the fourth, which was told first
        (3, 7, 1),
        (4, 99, 0),
        (0, 99, 98),  # nothing at all was there
    ],
)
def test_a_version_is_stale_since_a_later_one_was_acknowledged(version: int, called: float, stale_s: float) -> None:
    read = Showed("k", version, Span(called, called + 1))
    assert Staleness(WRITES).of(read) == pytest.approx(stale_s)


def test_a_key_that_nobody_wrote_is_never_stale() -> None:
    assert Staleness(WRITES).of(Showed("other", 0, Span(99, 100))) == 0
    assert Staleness([]).of(Showed("k", 0, Span(99, 100))) == 0


def test_limits_and_what_was_told_are_held_against_it() -> None:
    read = Span(3.5, 4)
    assert kinds(WRITES, Showed("k", 1, read, limit_s=0.5, told_s=0.5)) == []
    assert kinds(WRITES, Showed("k", 1, read, limit_s=0.4)) == ["too-stale"]
    assert kinds(WRITES, Showed("k", 1, read, told_s=0.4)) == ["staleness-understated"]
    assert kinds(WRITES, Showed("k", 1, read)) == []


def test_records_count_from_when_they_must_have_been_heard_of() -> None:
    assert kinds(WRITES, Showed("k", 1, Span(3.5, 4), 10, limit_s=0.5, entries_max=10)) == []
    assert kinds(WRITES, Showed("k", 1, Span(3.5, 4), 10, limit_s=0.5, entries_max=9)) == ["too-many-entries"]
    assert kinds(WRITES, Showed("k", 1, Span(3.4, 4), 10, limit_s=0.5, entries_max=9)) == []
    assert kinds(WRITES, Showed("k", 4, Span(99, 99), 40, limit_s=0.5, entries_max=0)) == []


def test_records_count_without_a_limit_of_time_too() -> None:
    read = Showed("k", 1, Span(3.5, 4), 10, entries_max=9, heard_s=0.5)
    assert kinds(WRITES, read) == ["too-many-entries"]
    assert kinds(WRITES, replace(read, heard_s=0.6)) == []
    assert kinds(WRITES, replace(read, heard_s=None)) == [], "nobody said how old what was heard may be"


def test_what_is_told_is_held_against_the_limits() -> None:
    read = Showed("k", 4, Span(99, 99), 40, limit_s=0.5, told_s=0.5, entries_max=3, told_entries=3)
    assert kinds(WRITES, read) == []
    assert kinds(WRITES, replace(read, told_s=0.6)) == ["told-over-limit"]
    assert kinds(WRITES, replace(read, told_entries=4)) == ["told-over-limit"]
    assert kinds(WRITES, replace(read, limit_s=inf, told_s=None)) == []


@pytest.mark.parametrize("seed", range(20))
def test_a_copy_that_is_late_by_less_than_its_limit_passes_and_one_by_more_is_found(seed: int) -> None:
    """Against copies made by the definition: what was there `late` seconds before some time within the read."""
    random = Random(seed)
    there: list[float] = []
    writes = []
    now = 0.0
    for version in range(1, 200):
        now += random.random() * 0.1
        writes.append(made(version, now - random.random() * 0.05, now + random.random() * 0.05, version))
        there.append(now)
    reads = []
    for _ in range(500):
        at = random.random() * now
        late = random.random() * 2
        version = sum(moment <= at - late for moment in there)
        span = Span(at - random.random() * 0.05, at + random.random() * 0.05)
        reads.append(Showed("k", version, span, version, limit_s=late, told_s=late))
    assert check_staleness(writes, reads) == (), seed
    halved = [Showed("k", each.version, each.span, limit_s=each.limit_s / 2) for each in reads]
    assert check_staleness(writes, halved), seed
