"""How old was what a read showed, at the least, and was that allowed?

Each key is something that only grows, so that what was written to it has versions.  A read that shows a version is
stale since the next one was there; and a version was there, at the latest, when its writer was told so.  Both times
are the clients', by one clock, so this is a lower bound of the staleness and needs nobody's word.  Whoever promised
less, or told less, was wrong.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from math import inf

from lfsql.testing.checkers import Anomaly, Span


@dataclass(frozen=True)
class Made:
    """`version` of `key` was written, as the record of the log at `index`, and acknowledged at the end of `span`."""

    key: Hashable
    version: int
    span: Span
    index: int = 0


@dataclass(frozen=True)
class Showed:
    """A read showed `version` of `key`, from a copy at `index` of the log.

    `limit_s`: how stale it may be.  `told_s`: how stale it can be at most, as the database says; None when it does
    not say.  `entries_max`: how many records may follow `index` of those that were there `heard_s` before the read
    began, by default `limit_s`; nobody need have heard of newer ones.  `told_entries`: how many the database says it
    was behind.
    """

    key: Hashable
    version: int
    span: Span
    index: int = 0
    limit_s: float = inf
    told_s: float | None = None
    entries_max: float = inf
    source: str = ""
    heard_s: float | None = None
    told_entries: int = 0


class Staleness:
    """All writes of a history: what is asked about reads is reckoned from them."""

    def __init__(self, writes: Iterable[Made]) -> None:
        of_key: dict[Hashable, list[Made]] = defaultdict(list)
        indexes: list[tuple[float, int]] = []
        for write in writes:
            of_key[write.key].append(write)
            indexes.append((write.span.returned, write.index))
        self._versions: dict[Hashable, list[int]] = {}
        self._there: dict[Hashable, list[float]] = {}
        """Beside each version when it, or a later one, was acknowledged first."""
        for key, its in of_key.items():
            its.sort(key=lambda write: write.version)
            there = inf
            times = []
            for write in reversed(its):
                there = min(there, write.span.returned)
                times.append(there)
            self._versions[key] = [write.version for write in its]
            self._there[key] = times[::-1]
        indexes.sort()
        self._acknowledged_at = [at for at, _ in indexes]
        self._newest: list[int] = []
        for _, index in indexes:
            self._newest.append(max(index, self._newest[-1] if self._newest else 0))

    def of(self, read: Showed) -> float:
        """How many seconds stale it was when it began, at the least; 0 when it may have been fresh."""
        place = bisect_right(self._versions.get(read.key, []), read.version)
        there = self._there.get(read.key, [])
        return max(read.span.called - there[place], 0.0) if place < len(there) else 0.0

    def entries(self, read: Showed) -> int:
        """How many records that were acknowledged `heard_s` before it began it did not show, at the most."""
        heard_s = read.limit_s if read.heard_s is None else read.heard_s
        place = bisect_right(self._acknowledged_at, read.span.called - heard_s)
        return max(self._newest[place - 1] - read.index, 0) if place else 0


def check_staleness(writes: Iterable[Made], reads: Iterable[Showed]) -> tuple[Anomaly, ...]:
    """What is wrong with `reads`.  Kinds: too-stale, too-many-entries, staleness-understated,
    told-over-limit."""
    staleness = Staleness(writes)
    anomalies = []
    for read in reads:
        stale_s = staleness.of(read)
        where = f" from {read.source}" if read.source else ""
        what = f"version {read.version} of {read.key!r}{where}, at least {stale_s:.3f} s stale"
        if stale_s > read.limit_s:
            anomalies.append(Anomaly("too-stale", f"{what}, was shown where {read.limit_s:.3f} s are allowed"))
        if read.told_s is not None and stale_s > read.told_s:
            anomalies.append(Anomaly("staleness-understated", f"{what}, was said to be {read.told_s:.3f} s at most"))
        if (entries := staleness.entries(read)) > read.entries_max:
            explanation = f"{what}, was shown {entries} records behind, where {read.entries_max} are allowed"
            anomalies.append(Anomaly("too-many-entries", explanation))
        if (read.told_s or 0.0) > read.limit_s or read.told_entries > read.entries_max:
            told = f"{read.told_s} s and {read.told_entries} records behind at most, over its limits"
            anomalies.append(Anomaly("told-over-limit", f"{what}, was said to be {told}"))
    return tuple(anomalies)
