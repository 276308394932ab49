"""How stale a copy of the data can be, reckoned on one clock.

Whoever wants to know keeps pairs (time, commit index): at that time, on its own clock, the commit index was at
most that.  A copy that stands at index a was the newest there was at the latest time whose pair has an index
of at most a; so it is no staler than the time that has passed since.  No two clocks are compared.

What a primary says of itself holds for the time at which a quorum last confirmed it (`Consensus.confirmed_at`), not
for the time at which it speaks: it may have been deposed in between and not know it.  So a message's pair is as old
as the primary says, a duration on its clock, taken off the time of its sending.  Forgetting a pair, or never hearing
one, can only make the answer larger: silence reads as staleness, so nothing needs to be told apart from it.

When a message was sent its receiver does not know: it may have lain in a buffer, its own included, for seconds.  So
the receiver sends numbered pings (`Pings`), and each message says which came last, and how long before.  It was sent
that long, on the sender's clock, after a ping that went out at a known time on ours.  Whatever a message's way took,
then, counts as staleness, and what a ping's took only makes the bound looser.  Rejected: half the time of a ping and
its answer for the way of one, which is wrong by as much as the ways differ; a ping before each message, which costs a
message more for each and knows no more than one per second does.
"""

from __future__ import annotations

from bisect import bisect_right
from math import ceil, inf
from typing import Final

import msgspec

from lfsql.core.ids import Index

FRESH: Final = "fresh"
BEHIND_TIME: Final = "behind by more than max_lag_ms"
BEHIND_ENTRIES: Final = "behind by more than max_lag_entries"
BEHIND_SESSION: Final = "behind what the session has seen"
UNKNOWN: Final = "not known to be fresh"

RATE_ERROR: Final = 0.001
"""How much faster a clock may run than another: durations on a node's clock are taken for so much less exact.  Clocks
are slewed by 500 parts in a million at most."""
_PINGS_MAX: Final = 16


def confirmed_ago_ms(confirmed_at: float, now: float) -> int | None:
    """How long ago a quorum confirmed a primary, both times on its own clock; rounded up, None for never."""
    return None if confirmed_at == -inf else max(ceil((now - confirmed_at) * 1000), 0)


def confirmed_time(received_at: float, ago_ms: int | None) -> float:
    """When, on the receiver's clock, a quorum confirmed the primary that sent a message; minus infinity for never.

    Too new by the message's way, so good for who is asked, not for what is promised: see `Pings.confirmed_time`.
    """
    return -inf if ago_ms is None else received_at - max(ago_ms, 0) / 1000


def ping_ago_ms(pinged_at: float, now: float) -> int:
    """How long ago a ping came, both times on the clock of who got it; rounded down."""
    return max(int((now - pinged_at) * 1000), 0)


class Pings:
    """The pings sent to one node: when, on our clock, its messages were sent at the earliest."""

    def __init__(self) -> None:
        self._number = 0
        self._sent: dict[int, float] = {}
        """When each went out, from the one that was echoed last on."""
        self._last = -inf

    def is_due(self, now: float, interval: float) -> bool:
        """Whether the last one is as old as that, in seconds."""
        return now - self._last >= interval

    def send(self, now: float) -> int:
        """The number of a ping that goes out now; 1 or more."""
        self._number += 1
        self._last = now
        self._sent[self._number] = now
        if len(self._sent) > _PINGS_MAX:
            del self._sent[next(iter(self._sent))]
        return self._number

    def confirmed_time(self, received_at: float, number: int, ago_ms: int, confirmed_ms: int | None) -> float:
        """When, on our clock and at the earliest, a quorum confirmed the primary that sent a message; minus infinity
        for never, and for a message that speaks of no ping of ours.

        The message came at `received_at` and says: ping `number` came `ago_ms` before, and the quorum's word
        `confirmed_ms` before.
        """
        sent = self._sent.get(number)
        if sent is None or confirmed_ms is None:
            return -inf
        for older in [each for each in self._sent if each < number]:
            del self._sent[older]
        error_ms = (ago_ms + confirmed_ms) * RATE_ERROR
        return min(sent + (ago_ms - confirmed_ms - error_ms) / 1000, received_at - confirmed_ms / 1000)


class CommitHistory:
    """Pairs of at most `age_max` seconds and `entries_max` in number: the oldest are forgotten first."""

    def __init__(self, age_max: float, entries_max: int) -> None:
        self._age_max = age_max
        self._entries_max = entries_max
        self._indexes: list[Index] = []
        self._times: list[float] = []
        self._commit_index: Index = 0

    @property
    def commit_index(self) -> Index:
        """The highest heard; 0 when nothing was."""
        return self._commit_index

    @property
    def heard_at(self) -> float | None:
        """The time of the newest pair."""
        return self._times[-1] if self._times else None

    def hear(self, at: float, commit_index: Index) -> None:
        """At time `at` the commit index was at most `commit_index`.

        One that falls back comes from a primary that does not yet know how far its predecessor committed: the
        index never does, so the highest heard stands.  Times that fall back, minus infinity among them, teach
        nothing but how far commits have come.
        """
        index = self._commit_index = max(commit_index, self._commit_index)
        if at == -inf or (self._times and at < self._times[-1]):
            return
        if self._indexes and self._indexes[-1] == index:
            self._times[-1] = at
        else:
            self._indexes.append(index)
            self._times.append(at)
        self._forget(bisect_right(self._times, at - self._age_max))

    def _forget(self, expired: int) -> None:
        # By quarters, so that a full history does not move its whole list for every pair.
        excess = len(self._times) - self._entries_max
        count = max(expired, self._entries_max // 4 + 1 if excess > 0 else 0)
        if count:
            del self._indexes[:count]
            del self._times[:count]

    def staleness(self, applied: Index, now: float) -> float | None:
        """How many seconds stale a copy at index `applied` can be; None when older than the history."""
        place = bisect_right(self._indexes, applied)
        return max(now - self._times[place - 1], 0.0) if place else None


class LagLimits(msgspec.Struct, frozen=True):
    """What a read puts up with; None is no limit.  `min_index` is what its session has read or written.

    `silence_ms_max`: how old the newest pair may be.  A lag in entries says nothing without it, being reckoned
    from the commit index last heard.
    """

    lag_ms_max: float | None = None
    lag_entries_max: int | None = None
    silence_ms_max: float | None = None
    min_index: Index = 0


class Verdict(msgspec.Struct, frozen=True):
    """`reason` is one of the five above.  `staleness_ms` is a bound, None when there is none to give."""

    eligible: bool
    reason: str
    staleness_ms: float | None
    lag_entries: int


def judge(history: CommitHistory, applied: Index, now: float, limits: LagLimits, commit_index: Index = 0) -> Verdict:
    """Whether a copy at index `applied` is fresh enough, and why not.

    `commit_index`: how far commits are known to have come from elsewhere than the history, at no time that is known.
    """
    staleness = history.staleness(applied, now)
    staleness_ms = None if staleness is None else staleness * 1000
    lag_entries = max(max(history.commit_index, commit_index) - applied, 0)
    limited = any(limit is not None for limit in (limits.lag_ms_max, limits.lag_entries_max, limits.silence_ms_max))
    reason = FRESH
    if applied < limits.min_index:
        reason = BEHIND_SESSION
    elif limited and _is_silent(history, now, limits.silence_ms_max):
        reason = UNKNOWN
    elif limits.lag_entries_max is not None and lag_entries > limits.lag_entries_max:
        reason = BEHIND_ENTRIES
    elif limits.lag_ms_max is not None and staleness_ms is None:
        reason = UNKNOWN
    elif limits.lag_ms_max is not None and (staleness_ms or 0) > limits.lag_ms_max:
        reason = BEHIND_TIME
    return Verdict(reason == FRESH, reason, staleness_ms, lag_entries)


def _is_silent(history: CommitHistory, now: float, silence_ms_max: float | None) -> bool:
    if history.heard_at is None:
        return True
    return silence_ms_max is not None and (now - history.heard_at) * 1000 > silence_ms_max
