"""Keeps the statement log within its bounds, and looks through it for damage.

What may go is decided each second, segment by segment, oldest first.

- Over its size the log is cut, whoever may still need what goes: he is given a snapshot.
- What is over its age goes, too, unless a replica that is connected and on its way still needs it.
- While a copy of the data is being sent, the records that follow it stay, or the copy would be of no use by the time
  that it has arrived; but not past twice the size.
- What data.db does not hold, on the disk, never goes, whatever the size: log.db is what it would be made again from.

The file gives back what that leaves free in it, when it is much: `lfsql.storage.log_space`.

Every node bounds its own log, by the same rules: the primary's choices bind nobody, so nothing needs to be agreed on,
and a replica that becomes primary has what it then needs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import trio

from lfsql.config import NodeLimits
from lfsql.core.effects import Compacted
from lfsql.core.ids import Index, NodeId
from lfsql.core.inquiry import Inquiry
from lfsql.core.membership import encode_configuration
from lfsql.core.requests import PRIMARY
from lfsql.node.driver import Driver, refuse_damage
from lfsql.node.progress import Progress
from lfsql.storage.segments import Segment, wall_clock_ms
from lfsql.storage.statement_log import StatementLog
from lfsql.storage.wal_sync import sync_commits

logger: Final = logging.getLogger(__name__)

_LOOK_S: Final = 1.0
_VERIFY_PAUSE_S: Final = 0.05
_SHRINK_PAUSE_S: Final = 0.1
"""A step holds up appends for a few milliseconds; what is free is no hurry."""
_FREE_BYTES_MIN: Final = 1 << 20
_FREE_PART: Final = 16
"""Of the log's bound this part may be free in the file: more than is cut at once, which the next records take."""
SEGMENTS: Final = 64
"""Into how many parts a bound is divided: the log is kept to it within one."""


def removable(
    segments: Iterable[Segment],
    now_ms: int,
    limits: NodeLimits,
    *,
    applied: Index,
    needed: Index,
    sending: Index | None = None,
) -> Index:
    """Up to which record the log may be cut; 0 when nothing is to go.

    `applied`: what data.db holds.  `needed`: the last record that no replica on its way needs any more.
    `sending`: where a copy stands that is being sent.
    """
    segments = tuple(segments)
    size = sum(segment.bytes for segment in segments)
    upto: Index = 0
    for segment in segments:
        kept_for_copy = sending is not None and segment.last > sending
        over = size > limits.log_bytes_max * (2 if kept_for_copy else 1)
        old = now_ms - segment.closed_at_ms > limits.log_age_ms_max
        goes = over or (old and segment.last <= needed and not kept_for_copy)
        if segment.last > applied or not goes:
            break
        upto = segment.last
        size -= segment.bytes
    return upto


def members_at(consensus: Inquiry, base_configuration: bytes, index: Index) -> bytes:
    """The cluster's members at `index`, encoded; b"" when the log says nothing of them up to there.

    `base_configuration`: what the log holds of those where it begins.
    """
    if consensus.configuration_index_at(index):
        return encode_configuration(consensus.configuration_at(index))
    return base_configuration


class LogKeeper:
    """`run` must run in a task.  It raises DiskFailed, DiskFull, DataCorrupted: the node must end."""

    def __init__(
        self,
        log: StatementLog,
        driver: Driver,
        progress: Progress,
        limits: NodeLimits,
        database: Path | None,
        *,
        connected: Callable[[NodeId], bool],
        sending: Callable[[], Index | None],
    ) -> None:
        """`database`: data.db; None on a witness, which keeps its log by size alone.

        `sending`: where the copy stands that is being sent, None when none is."""
        self._log = log
        self._driver = driver
        self._progress = progress
        self._limits = limits
        self._database = database
        self._connected = connected
        self._sending = sending
        self._cut = trio.Event()
        self._cut.set()  # a log may have been cut that was not given time to shrink

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._verify)
            nursery.start_soon(self._shrink)
            while True:
                await trio.sleep(_LOOK_S)
                await self.compact()

    async def compact(self) -> None:
        """Remove now what is to go."""
        upto = removable(
            self._log.segments,
            wall_clock_ms(),
            self._limits,
            applied=self._progress.index,
            needed=self._needed(),
            sending=self._sending(),
        )
        if upto <= self._log.base.index:
            return
        if self._database is not None:
            await trio.to_thread.run_sync(sync_commits, self._database)
        base = await self._log.position(upto)
        configuration = members_at(self._driver.consensus, self._log.base_configuration, upto)
        # First consensus, then the file: it must not ask for records that are gone already.
        self._driver.step(Compacted(base))
        before = self._log.base.index
        await self._log.compact(upto, configuration)
        self._cut.set()
        logger.info("the log begins after record %d now, before it was %d", upto, before)

    async def _shrink(self) -> None:
        """At the start, and after records were cut: give back what is free, with pauses."""
        free_bytes_max = max(self._limits.log_bytes_max // _FREE_PART, _FREE_BYTES_MIN)
        while True:
            await self._cut.wait()
            self._cut = trio.Event()
            more = True
            while more:
                more = await self._log.shrink(free_bytes_max)
                await trio.sleep(_SHRINK_PAUSE_S)

    def _needed(self) -> Index:
        """Up to where no replica on its way needs the log: one that is connected, and not before its beginning."""
        consensus, base = self._driver.consensus, self._log.base.index
        if self._database is None:
            return base
        on_their_way = [self._log.last.index]
        if consensus.role == PRIMARY:
            on_their_way += [
                matched
                for member in consensus.configuration.members
                if self._connected(member.node) and (matched := consensus.matched(member.node)) >= base
            ]
        return min(on_their_way)

    async def _verify(self) -> None:
        more = True
        while more:
            more = await self._log.verify()
            refuse_damage(self._log)
            await trio.sleep(_VERIFY_PAUSE_S)  # nobody waits for it, and it reads as much as there is
