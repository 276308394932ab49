"""How fast a primary takes writes, so that its replicas' databases stay near.

A quorum's disks bound how fast the log grows; nothing bounds how far behind it databases fall, since a replica
acknowledges what it has not applied.  Then reads leave it for the primary, a failover takes as long as the backlog,
and neither ends by itself while clients write faster than the replica applies.

So what matters is how long a replica needs for what it has not applied, at the rate at which it has applied of late.
Above half the lag that is allowed, writes are admitted at that rate times a factor that falls with this time: without
bound at half, 1 at the limit, less beyond.  So lag comes to rest at the limit, and writes at the replica's own rate;
and since the factor falls steadily, nothing swings.  As it is reckoned in time, small records and large are alike.

Who counts is the caller's to say: voters with data that can be reached.  One that is down must not stop writes, nor
must one whose database stands still: waiting cannot help it, so after a while it is left out.  And writes never stop:
a slow trickle is always admitted.

Rejected: going by the age of the oldest record not applied.  That tells how fast writes were admitted so long ago: a
simulation swings, and at twenty times a replica's rate its lag is twelve times the limit before it turns.  A limit on
entries, of which nobody knows how long they take; refusing writes beyond the limit, which
clients answer by sending them again; a fixed delay for each write, which is too much for some clients and nothing for
many; the second slowest, which would let one replica fall behind without end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from math import inf
from typing import Final

from lfsql.core.ids import Index, NodeId

RATE_MIN: Final = 20.0
"""Records a second that are admitted whatever happens."""
BURST_S: Final = 0.05
"""So much of a second's records may go at once."""
_SAMPLES: Final = 100
"""Looks within the time that a replica may lag."""
_INTERVAL_S_MIN: Final = 0.1
_WINDOW_S: Final = (1.0, 10.0)
"""Over how long a rate is measured, at least and at most."""
_STILL_S_MIN: Final = 10.0
_FORESIGHT: Final = 10
"""So many times its age a backlog may be said to last: a rate that has just risen is measured too low."""
_UNSEEN_S: Final = 0.3
"""What is younger may have been applied without our having heard of it."""


class _Series:
    """(time, index) pairs in order, of the last `age_max` seconds and the one before."""

    def __init__(self, age_max: float) -> None:
        self._age_max = age_max
        self.times: list[float] = []
        self.indexes: list[Index] = []

    def add(self, now: float, index: Index) -> None:
        self.times.append(now)
        self.indexes.append(index)
        expired = bisect_right(self.times, now - self._age_max) - 1
        if expired > 0:
            del self.times[:expired], self.indexes[:expired]


class _Replica:
    def __init__(self, window_s: float, now: float) -> None:
        self.series = _Series(window_s)
        self.moved_at = now

    def see(self, now: float, applied: Index) -> None:
        if not self.series.indexes or applied > self.series.indexes[-1]:
            self.moved_at = now
        self.series.add(now, applied)

    @property
    def rate(self) -> float:
        """Records applied a second."""
        times, indexes = self.series.times, self.series.indexes
        passed = times[-1] - times[0]
        return (indexes[-1] - indexes[0]) / passed if passed > 0 else inf

    def backlog_s(self, committed: Index) -> float:
        """How many seconds it needs for what it has not applied."""
        return max(committed - self.series.indexes[-1], 0) / self.rate if self.rate else inf


class BackPressure:
    """All times are of one clock, in seconds."""

    def __init__(self, lag_s_max: float) -> None:
        self.interval_s = max(lag_s_max / _SAMPLES, _INTERVAL_S_MIN)
        """Looking more often teaches nothing."""
        self.rate = inf
        """Records a second that may be admitted."""
        self.node: NodeId = ""
        """Whose database is the furthest behind of those that count, and how many seconds; '' when none is."""
        self.lag_s = 0.0
        self._lag_s_max = lag_s_max
        self._window_s = min(max(lag_s_max / 2, _WINDOW_S[0]), _WINDOW_S[1])
        self._still_s_max = max(2 * lag_s_max, _STILL_S_MIN)
        self._commits = _Series(3 * lag_s_max)
        self._replicas: dict[NodeId, _Replica] = {}
        self._metered = False
        self._logged: Index = 0
        self._due = -inf

    def observe(self, now: float, committed: Index, applied: Mapping[NodeId, Index]) -> None:
        """`applied`: how far the database of each replica that counts is, as it last told."""
        self._commits.add(now, committed)
        self._replicas = {node: self._replicas.get(node) or _Replica(self._window_s, now) for node in applied}
        self.node, self.lag_s = "", 0.0
        for node, replica in self._replicas.items():
            replica.see(now, applied[node])
            lag_s = self._age_s(applied[node], now)
            if lag_s > self.lag_s and min(now - replica.moved_at, lag_s) < self._still_s_max:
                self.node, self.lag_s = node, lag_s
        self.rate = self._rate()

    def _age_s(self, applied: Index, now: float) -> float:
        """For how long there has been more, as far back as is known."""
        place = bisect_right(self._commits.indexes, applied)
        return now - self._commits.times[place] if place < len(self._commits.times) else 0.0

    def _rate(self) -> float:
        if not self.node:
            return inf
        replica = self._replicas[self.node]
        age_s = max(self.lag_s - _UNSEEN_S, 0.0)
        backlog_s = min(replica.backlog_s(self._commits.indexes[-1]), age_s * _FORESIGHT)
        excess = 2 * backlog_s / self._lag_s_max - 1
        return max(replica.rate / excess, RATE_MIN) if excess > 0 else inf

    def wait_s(self, now: float, logged: Index) -> float:
        """How long to wait before more is admitted; 0 for not at all.  `logged`: where the log ends."""
        if self.rate == inf:
            self._metered = False
            return 0.0
        if not self._metered:
            self._metered, self._logged, self._due = True, logged, now
        came, self._logged = logged - self._logged, logged
        self._due = max(self._due, now - BURST_S) + came / self.rate
        return max(self._due - now, 0.0)

    @property
    def burst(self) -> int:
        """How many records may be admitted at once when any may; only where there is a rate."""
        return max(int(self.rate * BURST_S), 1)
