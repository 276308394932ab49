"""Of what is known of all copies, the share of reads that each takes and the order in which the others are tried.

*The floor.*  No more than `ejected_percent_max` of the copies that can be read, the primary counted, are out for
being ejected, rounded down.  Beyond it those that would be back soonest stay in, with the smallest share.  When
most copies fail it is the network, the proxy or the statements, and asking the few that are left for everything
makes it worse.

*Zones.*  Reads stay in the proxy's zone while the copies there have the strength for them: up to seven tenths of what
the zone's copies come to by their weights when all are well.  Of what is missing to that the others take over a part,
rather than nothing and then all at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Final, NamedTuple

from proxy.balancing.health import WARM, State
from proxy.balancing.latency import SLOWER_MAX

SLOTS_MAX: Final = 512
"""The longest cycle of turns."""
STRENGTH_PERCENT: Final = 70
"""A zone with so much of its strength still takes all reads."""


class Copy(NamedTuple):
    """What counts of one node.  `warmth`: see `health.WARM`; `slower`: see `latency.slower`."""

    primary: bool = False
    near: bool = True
    weight: int = 1
    state: State = "serving"
    draining: bool = False
    warmth: int = WARM
    slower: int = 1
    until: float = 0.0

    @property
    def strength(self) -> int:
        """Its weight as things are, in 128ths."""
        return self.weight * self.warmth * SLOWER_MAX // self.slower


class Arrangement(NamedTuple):
    """`shares`: one for each copy, in their order, of the cycle that they add up to.  Places of the copies that have
    none: `spare` are as good, elsewhere, and tried in turn; `avoided` only when there is nothing else.  The primary
    comes between these."""

    shares: tuple[int, ...]
    spare: tuple[int, ...]
    primary: tuple[int, ...]
    avoided: tuple[int, ...]


def arrange(copies: Sequence[Copy], ejected_percent_max: int) -> Arrangement:
    readable = sum(copy.state != "away" for copy in copies)
    ejected = [place for place, copy in enumerate(copies) if copy.state == "ejected" and not copy.primary]
    ejected.sort(key=lambda place: copies[place].until, reverse=True)
    out = set(ejected[: readable * ejected_percent_max // 100])
    seen = [
        copy._replace(state="serving", warmth=1, slower=SLOWER_MAX) if place in ejected and place not in out else copy
        for place, copy in enumerate(copies)
    ]
    chosen = [
        copy.state in ("serving", "warming") and copy.weight > 0 and not copy.primary and not copy.draining
        for copy in seen
    ]
    shares = _shares(seen, chosen)
    rest = [place for place, copy in enumerate(seen) if not shares[place] and copy.state != "away"]
    primary = tuple(place for place in rest if seen[place].primary and _last(seen[place]) == (0, 0.0))
    avoided = [place for place in rest if not chosen[place] and place not in primary]
    avoided.sort(key=lambda place: _last(seen[place]))
    return Arrangement(shares, tuple(place for place in rest if chosen[place]), primary, tuple(avoided))


def _last(copy: Copy) -> tuple[int, float]:
    """Why a copy is to be avoided, as a number to sort by; (0, 0.0) when it is not."""
    if copy.draining:
        return 3, 0.0
    if copy.weight == 0:
        return 2, 0.0
    if copy.primary:
        return 0, 0.0
    return (4, copy.until) if copy.state == "ejected" else (1, 0.0)


def _shares(copies: Sequence[Copy], chosen: Sequence[bool]) -> tuple[int, ...]:
    strengths = [copy.strength if chosen[place] else 0 for place, copy in enumerate(copies)]
    near = sum(strength for copy, strength in zip(copies, strengths, strict=True) if copy.near)
    far = sum(strengths) - near
    whole = sum(copy.weight for copy in copies if copy.near and not copy.primary) * WARM * SLOWER_MAX
    # Of `enough` parts of all reads `stay` are for the zone: all, when it has its seven tenths.
    enough = STRENGTH_PERCENT * whole
    stay = min(100 * near, enough)
    if near and far:
        parts = [
            strength * (stay * far if copy.near else (enough - stay) * near)
            for copy, strength in zip(copies, strengths, strict=True)
        ]
    else:
        parts = strengths
    return _reduced(parts)


def _reduced(parts: Sequence[int]) -> tuple[int, ...]:
    """The same proportions in numbers that add up to SLOTS_MAX at most; nobody who has a part loses it."""
    divisor = gcd(*parts) or 1
    least = [part // divisor for part in parts]
    total = sum(least)
    if total <= SLOTS_MAX:
        return tuple(least)
    # Rounded down, so that with one slot for each of the smallest the sum keeps to the limit.
    room = SLOTS_MAX - len(least)
    return tuple(max(1, part * room // total) if part else 0 for part in least)
