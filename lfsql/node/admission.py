"""Lets the writer take as much as the replicas can apply: `lfsql.core.back_pressure`, fed and obeyed.

Looked at when something is committed, some times a second at most, so that a node that is idle, or not primary, does
nothing for it.  While writes are slowed the writer asks before each batch, and an alarm calls it again; and where
none are committed the alarm looks, as what was said of them must not stay.

Who counts: voters that have data, are connected, and could serve.  A learner is there to be late; who fetches a
snapshot, or is quarantined, catches up by other means.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import inf
from typing import Final

import trio

from lfsql.config import NodeLimits
from lfsql.core.back_pressure import BackPressure
from lfsql.core.ids import Index, NodeId
from lfsql.core.membership import VOTER
from lfsql.node.alarm import NEVER, Alarm
from lfsql.node.driver import Driver
from lfsql.node.membership import Membership

logger: Final = logging.getLogger(__name__)

_LOG_S: Final = 10.0
"""Between two lines of the log about it: near its limit a lag comes and goes."""

_UNSEEN_S: Final = 1.0
"""While writes are slowed, the longest without a look."""


class Admission:
    """`room` is for the writer.  `alarm` must run in a task; all calls come from the event loop."""

    def __init__(
        self,
        driver: Driver,
        limits: NodeLimits,
        membership: Membership,
        *,
        connected: Callable[[NodeId], bool],
        go_on: Callable[[], None],
        tell: Callable[[], None],
    ) -> None:
        """`go_on`: the writer may ask again; `tell`: what `told` says is another thing now."""
        self._driver = driver
        self._units_max = limits.batch_units_max
        self._lag_s_max = limits.replica_lag_ms_max / 1000
        self._membership = membership
        self._connected = connected
        self._go_on = go_on
        self._tell = tell
        self._pressure: BackPressure | None = None
        self._look_at = -inf
        self._looked_at = -inf
        self._log_at = -inf
        self.alarm = Alarm(self._ring)

    def begin(self) -> None:
        """This node was elected: what was known is of another time."""
        self._pressure = BackPressure(self._lag_s_max) if self._lag_s_max else None
        self._look_at = -inf

    def committed(self) -> None:
        """More is committed."""
        if self._pressure is not None and (now := self._driver.clock()) >= self._look_at:
            self._look(self._pressure, now)

    def room(self) -> int:
        """How many units may be taken now; after 0 `go_on` is called in time."""
        pressure = self._pressure
        if pressure is None or pressure.rate == inf:
            return self._units_max
        now = self._driver.clock()
        if now >= self._look_at:
            self._look(pressure, now)
        wait_s = pressure.wait_s(now, self._driver.consensus.last.index)
        if wait_s:
            self.alarm.set(trio.current_time() + wait_s)
            return 0
        return self._units_max if pressure.rate == inf else min(self._units_max, pressure.burst)

    def told(self) -> str:
        """For people: how much writes are slowed, and for whom; '' when they are not, or not by this node."""
        pressure = self._pressure
        if pressure is None or pressure.rate == inf or not self._driver.consensus.ready:
            return ""
        return (
            f"writes are slowed to {pressure.rate:.0f} records/s: the data of node '{pressure.node}' is "
            f"{pressure.lag_s:.1f} s late"
        )

    def _look(self, pressure: BackPressure, now: float) -> None:
        consensus = self._driver.consensus
        self._looked_at = now
        self._look_at = now + pressure.interval_s
        slowed = pressure.rate < inf
        applied: dict[NodeId, Index] = {}
        for member in self._membership.current.members:
            if member.role == VOTER and self._connected(member.node):
                index = consensus.applied_by(member.node)
                if index is not None:
                    applied[member.node] = index
        pressure.observe(now, consensus.commit_index, applied)
        if pressure.rate < inf:
            self.alarm.set(trio.current_time() + _UNSEEN_S)
        if slowed != (pressure.rate < inf):
            self._tell()
            if now >= self._log_at:
                self._log_at = now + _LOG_S
                logger.warning("%s", self.told() or "writes are no longer slowed")

    def _ring(self) -> float:
        pressure = self._pressure
        if pressure is None or pressure.rate == inf or not self._driver.consensus.ready:
            self._go_on()
            return NEVER
        now = self._driver.clock()
        if now >= self._looked_at + _UNSEEN_S:
            self._look(pressure, now)
        self._go_on()
        return trio.current_time() + self._looked_at + _UNSEEN_S - now
