"""Whether one copy is in the choice: a state machine over what was seen of it.

    AWAY ──heard──▶ JOINING ──probed──▶ WARMING ──in time──▶ SERVING
                       ▲                   │                    │
                       └── probe is due ── EJECTED ◀── it fails ┘

A copy is ejected after `failures_max` reads in a row that failed for its own fault, at once when it does not answer,
and when it was much slower than its peers for SLOW_S.  It stays out for twice as long each time, up to a limit, and
comes back by a read of the proxy's own, never by a client's.  A link that breaks again and again counts like failing.

A copy that was there when the proxy began is not warmed up: all of them are as cold as each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from proxy.balancing.latency import SLOWER_MAX

State = Literal["away", "joining", "warming", "serving", "ejected"]

WARM: Final = 16
"""Steps of warming up: a copy takes so many sixteenths of its share."""
SLOW_S: Final = 1.0
"""A copy is ejected when it was slow for so long."""
SLOW_MEAN_S_MIN: Final = 0.02
"""Below this no copy is too slow, however quick its peers are."""


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """As in proxy.toml's `[balancing]`; times in seconds."""

    warm_up_s: float = 5.0
    failures_max: int = 3
    ejection_s_min: float = 1.0
    ejection_s_max: float = 30.0


class Health:
    """Of one copy.  `now`: seconds on a clock that does not go back; `draw`: from 0 up to 1, by chance."""

    __slots__ = (
        "_failures",
        "_known_since",
        "_limits",
        "_slow_since",
        "_strikes",
        "_struck_at",
        "since",
        "state",
        "until",
        "why",
    )

    def __init__(self, limits: HealthLimits, now: float, *, known: bool) -> None:
        """`known`: it was there when the proxy began."""
        self._limits = limits
        self._known_since = now if known else None
        self._failures = 0
        self._strikes = 0
        self._struck_at = now
        self._slow_since: float | None = None
        self.state: State = "away"
        self.since = now
        """In its state."""
        self.until = now
        """From when on it may be probed, while it is ejected or joins."""
        self.why = ""
        """What it was ejected for last."""

    def came(self, now: float, *, cold: bool) -> None:
        """It can be read.  `cold`: it is not read from a file of this host, which needs no warming up."""
        if self.state != "away":
            return
        began, self._known_since = self._known_since, None
        if self._strikes > 1 and now < self.until:
            self.state, self.since = "ejected", now
            return
        new = cold and (began is None or now - began > self._limits.warm_up_s)
        self.state, self.since, self.until = "joining" if new else "serving", now, now

    def left(self, now: float, draw: float) -> None:
        """It cannot be read any more: its link broke, it is silent, or it has no data to show."""
        if self.state == "away":
            return
        self._strike(now, draw, "its link broke")
        self.state, self.since = "away", now

    def answered(self, now: float) -> None:
        """A read of it was answered."""
        self._failures = 0

    def failed(self, now: float, draw: float, why: str) -> None:
        """A read failed, and it was the copy's fault."""
        self._failures += 1
        if self._failures >= self._limits.failures_max:
            self.eject(now, draw, why)

    def eject(self, now: float, draw: float, why: str) -> None:
        if self.state in ("serving", "warming"):
            self._strike(now, draw, why)
            self.state, self.since = "ejected", now

    def timed(self, now: float, draw: float, mean_s: float | None, slower: int) -> None:
        """How its reads compare with its peers', looked at from time to time."""
        if slower < SLOWER_MAX or mean_s is None or mean_s < SLOW_MEAN_S_MIN:
            self._slow_since = None
        elif self._slow_since is None:
            self._slow_since = now
        elif now - self._slow_since >= SLOW_S:
            self._slow_since = None
            self.eject(now, draw, f"its reads take {mean_s * 1000:.0f} ms")

    def probe_due(self, now: float) -> bool:
        return self.state in ("joining", "ejected") and now >= self.until

    def probed(self, now: float, draw: float, fault: str) -> None:
        """The proxy's own read of it was answered, or failed with `fault`."""
        if self.state not in ("joining", "ejected"):
            return
        if fault:
            self._strike(now, draw, fault)
            self.state, self.since = "ejected", now
            return
        self._failures = 0
        self.state, self.since = "warming", now

    def warmth(self, now: float) -> int:
        """The sixteenths of its share that it takes, 1 at least; a copy that has warmed up is serving from now on."""
        if self.state != "warming":
            return WARM
        passed_s, all_s = now - self.since, self._limits.warm_up_s
        if passed_s >= all_s:
            self.state, self.since = "serving", now
            return WARM
        return max(1, int(WARM * passed_s / all_s))

    def _strike(self, now: float, draw: float, why: str) -> None:
        limits = self._limits
        if now - self._struck_at > 2 * limits.ejection_s_max:
            self._strikes = 0
        self._struck_at = now
        self._failures = 0
        self._slow_since = None
        self.why = why
        # Half is drawn, so that proxies that ejected a copy together do not come back to it together.
        seconds = min(limits.ejection_s_min * 2.0 ** min(self._strikes, 30), limits.ejection_s_max)
        self._strikes += 1
        self.until = now + seconds * (1 + draw) / 2
