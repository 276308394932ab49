"""A node's two files, and what a crash, a power loss or a bad sector makes of them.

The statement log is a list of rows in production's form, checked by production's rules when a node starts and when a
record is read.  A write is one transaction with one fsync, as SQLite gives it: SQLite drops a torn transaction as a
whole, so a write that was under way when the node went down is there completely or not at all, and nothing after it.
The transactions themselves are SQLite's, and are tested with real files elsewhere.

data.db is an image of SQLite's own pages.  A killed process leaves what was committed; a power loss may take back
everything since the last checkpoint, as the file is written with synchronous=NORMAL.
"""

from __future__ import annotations

import zlib
from collections.abc import Coroutine
from random import Random
from typing import Any, TypeVar

from lfsql.core.effects import HardState
from lfsql.core.entry import CONFIGURATION, Record
from lfsql.core.ids import Index, Position
from lfsql.core.log import RECORD_OVERHEAD_BYTES, position_of
from lfsql.errors import DataCorrupted, DiskFailed, DiskFull, InvariantBroken
from lfsql.node.carrying import LogWrite, decode_state, encode_state
from lfsql.storage.log_rows import Row, follow, is_intact, may_follow, row_of, verify
from lfsql.storage.segments import Segment

SEGMENT_RECORDS = 3

Given = TypeVar("Given")


class SimulatedLog:
    """log.db.  `full` and `failing` make the next write fail; `was_damaged` says that bits were flipped."""

    def __init__(self) -> None:
        self.hard_state = b""
        self.base = self.last = Position()
        self.damaged: tuple[Index, ...] = ()
        self.full = False
        self.failing = False
        self.was_damaged = False
        self._checksum = zlib.crc32(b"")
        self._rows: list[Row] = []
        self._records: list[Record] = []
        """The same as it was written: flipped bits do not show here."""
        self.base_configuration = b""
        """In force at `base`, encoded; b"" when the log says nothing of members up to there."""
        self.state = HardState()
        """The hard state as it was written."""

    def open(self) -> None:
        """Look at every row, as a node does when it starts.  Raises DataCorrupted."""
        if zlib.crc32(self.hard_state) != self._checksum:
            raise DataCorrupted("the statement log has lost what this node voted for")
        self.last, self.damaged = verify(self.base, self._rows)

    def write(self, write: LogWrite) -> None:
        """Raises DiskFull, DiskFailed, DataCorrupted; nothing is written then."""
        if self.full:
            raise DiskFull("no space left to write the statement log")
        if self.failing:
            self.failing = False
            raise DiskFailed("the statement log failed")
        if write.truncate_from is not None:
            # Whoever cuts the log reads the record that is then its last, and finds the damage.
            at = write.truncate_from - self.base.index - 2
            if 0 <= at < len(self._rows) and not is_intact(self._rows[at]):
                raise DataCorrupted(f"record {write.truncate_from - 1} of the statement log is damaged")
        self.store(write)

    def store(self, write: LogWrite) -> None:
        """Put the write on the platter, whatever fails."""
        kept = len(self._rows)
        last = self.last
        if write.truncate_from is not None and write.truncate_from <= last.index:
            kept = write.truncate_from - self.base.index - 1
            if kept < 0:
                raise InvariantBroken(f"record {write.truncate_from} is compacted and cannot be dropped")
            last = position_of(self._records[kept - 1]) if kept else self.base
        after = follow(last, write.records)
        del self._rows[kept:]
        del self._records[kept:]
        self._rows.extend(map(row_of, write.records))
        self._records.extend(write.records)
        self.last = after
        if write.hard_state is not None:
            self.hard_state = encode_state(write.hard_state)
            self._checksum = zlib.crc32(self.hard_state)
            self.state = write.hard_state

    def read_now(self, first: Index, last: Index, bytes_max: int) -> tuple[Record, ...]:
        """Records first..last, as many as fit into `bytes_max`, but at least one.  Raises DataCorrupted."""
        if first <= self.base.index:
            return ()
        records: list[Record] = []
        size = 0
        for row in self._rows[first - self.base.index - 1 : last - self.base.index]:
            if not is_intact(row):
                if records:
                    break
                raise DataCorrupted(f"record {first} of the statement log is damaged")
            size += len(row[4]) + RECORD_OVERHEAD_BYTES
            if records and size > bytes_max:
                break
            records.append(Record(*row[:5]))
        return tuple(records)

    async def read(self, first: Index, last: Index, bytes_max: int) -> tuple[Record, ...]:
        """As StatementLog.read; never waits."""
        return self.read_now(first, last, bytes_max)

    def position(self, index: Index) -> Position:
        """Of a record that is there, or of the base."""
        return self.base if index == self.base.index else _position(self._rows[index - self.base.index - 1])

    def record(self, index: Index) -> Record | None:
        """What was written to the platter, damaged since or not."""
        offset = index - self.base.index - 1
        return self._records[offset] if 0 <= offset < len(self._records) else None

    def segments(self) -> list[Segment]:
        """The log in parts of a few records, all of them old."""
        ends = range(self.base.index + SEGMENT_RECORDS, self.last.index + 1, SEGMENT_RECORDS)
        return [Segment(last, 1, 0) for last in ends]

    def compact(self, upto: Index, configuration: bytes) -> None:
        """Forget all records up to `upto`, where `configuration` is in force."""
        count = upto - self.base.index
        if count > 0:
            self.base_configuration = configuration
            self.base = _position(self._rows[count - 1])
            del self._rows[:count], self._records[:count]

    async def begin_at(self, base: Position, *, configuration: bytes, hard_state: bytes) -> None:
        """As StatementLog.begin_at; never waits."""
        if base.index < self.base.index:
            raise InvariantBroken(f"the log begins after record {self.base.index}, not as early as {base.index}")
        count = base.index - self.base.index
        at = self._rows[count - 1] if 0 < count <= len(self._rows) else None
        after = self._rows[count] if count < len(self._rows) else None
        if base.index >= self.last.index or not may_follow(base, at, after):
            count, self.last = len(self._rows), base
        del self._rows[:count], self._records[:count]
        self.base, self.base_configuration = base, configuration
        self.damaged = tuple(index for index in self.damaged if index > base.index)
        self.hard_state, self._checksum = hard_state, zlib.crc32(hard_state)
        self.state = decode_state(hard_state)

    async def configurations(self, upto: Index) -> tuple[Record, ...]:
        """The records up to `upto` that change the cluster's members."""
        return tuple(record for record in self._records if record.kind == CONFIGURATION and record.index <= upto)

    def flip(self, random: Random) -> str:
        """Change a bit of a row, or of the hard state; returns where."""
        self.was_damaged = True
        if not self._rows or random.random() < 0.1:
            self.hard_state = _flipped(self.hard_state or b"\x00", random)
            return "its hard state"
        at = random.randrange(len(self._rows))
        fields = list(self._rows[at])
        field = random.choice([1, 3, 4, 5]) if fields[4] else random.choice([1, 3, 5])
        value = fields[field]
        fields[field] = _flipped(value, random) if isinstance(value, bytes) else value ^ (1 << random.randrange(16))
        self._rows[at] = tuple(fields)
        return f"record {fields[0]}"


def _position(row: Row) -> Position:
    return Position(row[0], row[1], row[3])


def _flipped(value: bytes, random: Random) -> bytes:
    at = random.randrange(len(value))
    return value[:at] + bytes([value[at] ^ (1 << random.randrange(8))]) + value[at + 1 :]


def run_now(coroutine: Coroutine[Any, Any, Given]) -> Given:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as finished:
        result: Given = finished.value
        return result
    raise InvariantBroken("a coroutine waited that must not")
