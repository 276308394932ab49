"""Drives consensus: gives it a clock, the statement log and the links.

`step` is synchronous, and so are sends; only writes to the statement log wait, in a task of their own.  In which
order effects are carried out is `lfsql.node.carrying`'s to say.

The clock is CLOCK_BOOTTIME: it never steps back, and it runs on while the machine sleeps, so a primary that slept
knows that its time is over.

A failed write to the log is not caught here: it ends the node.  What the disk then holds is found out by reading it
again at the next start, never by writing it again.
"""

from __future__ import annotations

import logging
import math
import os
from array import array
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import trio

from lfsql.core.consensus import Consensus
from lfsql.core.effects import NeedSnapshot, PeerFaulty, ReadLog, Restored, Tick
from lfsql.core.entry import Record
from lfsql.core.ids import Index, NodeId, Position
from lfsql.core.membership import Configuration, decode_configuration
from lfsql.core.messages import PeerMessage, SnapshotNeeded
from lfsql.core.settings import ConsensusSettings
from lfsql.errors import DataCorrupted, InvariantBroken
from lfsql.node.carrying import Carrier, Observer, decode_state, encode_state
from lfsql.node.clock import boot_clock
from lfsql.storage.faults import MISFIT_HINT
from lfsql.storage.statement_log import StatementLog

logger: Final = logging.getLogger(__name__)

_RESTORE_BYTES_MAX: Final = 1 << 62


def draws() -> Iterator[float]:
    """Numbers evenly spread over [0, 1), for ever.

    Consensus draws one for every message of its primary, so the kernel is asked for a thousand at a time.
    """
    while True:
        for number in array("I", os.urandom(4096)):
            yield number / (1 << 32)


class Driver(Carrier):
    """One node's consensus, carried out.  `run` must run in a task."""

    def __init__(
        self,
        node: NodeId,
        configuration: Configuration,
        log: StatementLog,
        restored: Restored,
        settings: ConsensusSettings,
        *,
        send: Callable[[NodeId, PeerMessage], None],
        close_peer: Callable[[NodeId, str], None],
        observer: Observer,
    ) -> None:
        super().__init__(
            Consensus(node, configuration, restored, draws().__next__, boot_clock(), settings),
            boot_clock,
            int.from_bytes(os.urandom(6), "big"),
            send=send,
            observer=observer,
        )
        self._log = log
        self._close_peer = close_peer
        self._persists_wait = trio.Event()
        self._timer = trio.CancelScope()
        self._timer_due = math.inf
        self._nursery: trio.Nursery | None = None

    async def run(self) -> None:
        """Keep time and write the log until cancelled.  Raises DiskFailed, DiskFull, DataCorrupted."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._write_log)
            nursery.start_soon(self._keep_time)

    def configuration_at(self, index: Index) -> Configuration:
        """The cluster's members as of the record at `index`."""
        return self.consensus.configuration_at(index)

    async def records(self, first: Index, last: Index, bytes_max: int) -> tuple[Record, ...]:
        """Records from `first` on, at least one, at most to `last`, from memory or from disk."""
        found = self.consensus.records(first, last)
        if found is not None:
            return found
        return await self._log.read(first, last, bytes_max)

    def _peer_faulty(self, effect: PeerFaulty) -> None:
        logger.error("node '%s' broke the protocol, its link is closed: %s", effect.node, effect.reason)
        self._close_peer(effect.node, effect.reason if effect.lasting else "")

    def _snapshot_needed(self, effect: NeedSnapshot) -> None:
        self._send(effect.to, SnapshotNeeded(self.consensus.term, self._log.base.index))

    # -- The statement log -----------------------------------------------------------------------------------

    def _write_soon(self) -> None:
        self._persists_wait.set()

    async def _write_log(self) -> None:
        while True:
            await self._persists_wait.wait()
            self._persists_wait = trio.Event()
            write = self.take_write()
            began = boot_clock()
            if write.writes:
                state = write.hard_state
                await self._log.write(
                    write.records,
                    truncate_from=write.truncate_from,
                    hard_state=None if state is None else encode_state(state),
                )
            self.written(write, boot_clock() - began)

    def _read_soon(self, asked: ReadLog) -> None:
        if self._nursery is None:
            raise InvariantBroken("consensus asked for the log before the driver ran")
        self._nursery.start_soon(self._read_log, asked)

    async def _read_log(self, asked: ReadLog) -> None:
        self.log_was_read(asked, await self._log.read(asked.first, asked.last, asked.bytes_max))

    # -- Time ------------------------------------------------------------------------------------------------

    async def _keep_time(self) -> None:
        """Sleep until the deadline.  Most inputs move it back: noticed on waking, which is cheaper than
        waking for each.  A deadline that comes nearer moves the sleeper's own (`_set_timer`)."""
        while True:
            with trio.CancelScope() as self._timer:
                self._set_timer()
                await trio.sleep_forever()
            if self.consensus.deadline <= boot_clock():
                self.step(Tick())

    def _stepped(self) -> None:
        if self.consensus.deadline < self._timer_due:
            self._set_timer()

    def _set_timer(self) -> None:
        self._timer_due = self.consensus.deadline
        self._timer.deadline = trio.current_time() + max(0.0, self._timer_due - boot_clock())


class LogAtStart(Protocol):
    """What restore() asks of the statement log, which see."""

    @property
    def hard_state(self) -> bytes: ...

    @property
    def base(self) -> Position: ...

    @property
    def last(self) -> Position: ...

    @property
    def damaged(self) -> tuple[Index, ...]: ...

    async def read(self, first: Index, last: Index, bytes_max: int) -> tuple[Record, ...]: ...

    async def configurations(self, upto: Index) -> tuple[Record, ...]: ...


def refuse_damage(log: LogAtStart) -> None:
    """Raises DataCorrupted when records of the log are damaged."""
    if log.damaged:
        raise DataCorrupted(
            f"log.db: {len(log.damaged)} records are damaged, the first at index {log.damaged[0]}",
            hint="take the node out with `lfsql remove-node` and add it under a new name, see docs/commands.md: "
            "another node's files would not hold what this one promised",
        )


def committed_at_start(log: LogAtStart, applied: Position) -> Index:
    """Up to where the log is known to be committed."""
    hard_state = decode_state(log.hard_state)
    return max(applied.index, log.base.index, min(hard_state.commit, log.last.index))


async def restore(log: LogAtStart, applied: Position) -> Restored:
    """What consensus starts from: the log's end, and that everything `applied` is committed.

    A data.db that ends before the log begins says nothing about it: it must be made again from a snapshot.  Raises
    DataCorrupted when log.db is damaged or does not hold what data.db was made from.
    """
    refuse_damage(log)
    if applied.index > log.last.index:
        raise DataCorrupted(
            f"data.db stands at index {applied.index}, log.db holds {log.base.index} to {log.last.index}",
            hint=MISFIT_HINT,
        )
    commit = committed_at_start(log, applied)
    floor = await _position_at(log, commit)
    if applied.index >= log.base.index and applied != await _position_at(log, applied.index):
        raise DataCorrupted(
            f"data.db and log.db disagree on the record at index {applied.index}",
            hint=MISFIT_HINT,
        )
    records: tuple[Record, ...] = ()
    if log.last.index > commit:
        records = await log.read(commit + 1, log.last.index, _RESTORE_BYTES_MAX)
        # Opening looks at the newest records only.  A node that took a log for shorter than what it has acknowledged
        # would vote for whoever lacks the rest.
        refuse_damage(log)
    configurations = [
        (record.index, decode_configuration(record.body)) for record in await log.configurations(commit)
    ]
    return Restored(decode_state(log.hard_state), log.base, floor, records, commit, tuple(configurations))


async def _position_at(log: LogAtStart, index: Index) -> Position:
    if index == log.base.index:
        return log.base
    (record,) = await log.read(index, index, 1)
    return Position(record.index, record.term, record.hash)
