"""Handing leadership over, on order or because another node would lead better, without making writes wait.

A transfer has two phases.  While the other catches up, work goes on.  Once it nearly has everything, proposals are
refused, so that it can get all, and be told to stand; that phase is as short as `transfer_pause`, whatever comes of
it. Rejected: refusing from the start.  A node that is a minute behind would stop all writes for that minute.

Who would lead better is a matter of disks and priorities: a disk that takes long for a write holds up every write
there is, so it comes before any priority.  A better node must stay so for a while, and the primary must have led
for a while: two nodes that each find the other better would pass the lead to and fro.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

from lfsql.core.ids import NodeId
from lfsql.core.membership import VOTER, Configuration
from lfsql.core.settings import ConsensusSettings

GAP_BYTES_MAX: Final = 64 << 10
"""What the other may lack of the log when proposals begin to be refused: it has that in milliseconds."""
GAP_RECORDS_MAX: Final = 2_000
"""What its database may lack: it must have applied that before it serves."""
SLOW_MS: Final = 250
"""A disk that takes longer for a write on average is slow ..."""
UNFIT_MS: Final = 3_600_000
"""What a node tells that could not serve at all: slower than any disk."""
SLOWER: Final = 4
"""... when another's is so many times as fast."""


def preferred(configuration: Configuration, node: NodeId, fsync_ms: Callable[[NodeId], int]) -> tuple[NodeId, ...]:
    """Voters that would lead better than `node`, the best first.  `fsync_ms`: what a write takes each one's disk."""
    own = configuration.member(node)
    if own is None:
        return ()
    slow = fsync_ms(node) > SLOW_MS
    better = []
    for member in configuration.members:
        if member.role != VOTER or member.node == node:
            continue
        if slow and fsync_ms(member.node) * SLOWER < fsync_ms(node):
            better.append((True, member.priority, member.node))
        elif member.priority > own.priority and fsync_ms(member.node) <= SLOW_MS:
            better.append((not slow, member.priority, member.node))
    return tuple(name for _, _, name in sorted(better, reverse=True))


class Handover:
    """One primary's transfer, when there is one.  `to` is '' when there is none."""

    def __init__(self, settings: ConsensusSettings) -> None:
        self._settings = settings
        self.to: NodeId = ""
        self.closed = False
        """Proposals are refused."""
        self._told = False
        self.until = inf
        """When this phase ends whatever has come of it; infinite when there is no transfer."""

    def begin(self, to: NodeId, now: float) -> None:
        self.to = to
        self.closed = self._told = False
        self.until = now + self._settings.transfer_patience

    def end(self) -> None:
        self.to = ""
        self.closed = self._told = False
        self.until = inf

    def proceed(self, *, near: bool, level: bool, now: float) -> bool:
        """Whether the other is to be told now that it should stand, as it has all that is in the log (`level`).

        `near`: what it lacks will be there in no time.
        """
        if self.to and near and not self.closed:
            self.closed = True
            self.until = now + self._settings.transfer_pause
        tell = self.closed and level and not self._told
        self._told = self._told or tell
        return tell


class Preference:
    """For how long another node has been the better primary."""

    def __init__(self, settings: ConsensusSettings, now: float) -> None:
        self._settings = settings
        self._led_since = now
        self._node: NodeId = ""
        self._since = now

    def weigh(self, node: NodeId, now: float) -> bool:
        """`node` is the best that is ready to lead, '' when none is better.  Whether to hand over to it now."""
        if node != self._node:
            self._node, self._since = node, now
        patience = self._settings.preference_patience
        return bool(node) and now >= max(self._since, self._led_since) + patience

    def restart(self, now: float) -> None:
        """A transfer came to nothing: the next is not before another while."""
        self._led_since = now
