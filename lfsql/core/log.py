"""The part of the log that consensus keeps in memory: its newest records.

Whatever is not yet both committed and on disk is always here, so that whether another log agrees with this one
can be told without reading the disk: below the commit index all logs agree by Raft's own proof, above it the
records are at hand.  Older records go when the tail outgrows its limit; a follower that lacks them is served
from disk.  Rejected: caching the whole log (unbounded), or only positions (every resend would read the disk).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

from lfsql.core.entry import Record, chain_hash
from lfsql.core.ids import Index, Position, Term
from lfsql.core.membership import ConfigurationHistory
from lfsql.errors import DataCorrupted

RECORD_OVERHEAD_BYTES: Final = 64
"""What a record is reckoned to take besides its body, so that empty bodies are bounded too."""


def position_of(record: Record) -> Position:
    return Position(record.index, record.term, record.hash)


def record_bytes(record: Record) -> int:
    return len(record.body) + RECORD_OVERHEAD_BYTES


def extend(position: Position, term: Term, bodies: Iterable[tuple[int, bytes]]) -> tuple[Record, ...]:
    """The records of `term` that carry these (kind, body) pairs and follow `position`."""
    records = []
    index, previous = position.index, position.hash
    for kind, body in bodies:
        index += 1
        previous = chain_hash(previous, index, term, kind, body)
        records.append(Record(index, term, kind, previous, body))
    return tuple(records)


def chain_fault(position: Position, records: Iterable[Record]) -> str:
    """Why `records` cannot follow `position`; '' when they can."""
    for record in records:
        if record.index != position.index + 1:
            return f"record {record.index} follows record {position.index}"
        if record.term < position.term:
            return f"record {record.index} is of term {record.term}, the one before it of {position.term}"
        if record.hash != chain_hash(position.hash, record.index, record.term, record.kind, record.body):
            return f"record {record.index} does not continue the hash chain"
        position = position_of(record)
    return ""


class LogTail:
    """`base` is the position just before the oldest record on disk, `floor` just before the oldest here.
    `configurations` has those up to `floor`; those of the records are kept up to date here.

    Raises DataCorrupted when the records do not continue `floor`, or `floor` lies before `base`.
    """

    def __init__(
        self,
        base: Position,
        floor: Position,
        records: Iterable[Record],
        bytes_max: int,
        configurations: ConfigurationHistory,
    ) -> None:
        self.configurations = configurations
        self.base = base
        self.floor = floor
        self.last = floor
        self.bytes = 0
        self._bytes_max = bytes_max
        self._records: list[Record] = []
        kept = tuple(records)
        fault = chain_fault(floor, kept)
        if fault or floor.index < base.index:
            raise DataCorrupted("the log on disk contradicts itself", detail=fault or "its base is after its end")
        try:
            self.append(kept)
        except ValueError as error:
            raise DataCorrupted("the log on disk names no members where it should", detail=str(error)) from error

    def append(self, records: Sequence[Record]) -> None:
        """Add records that are known to continue the log."""
        if records:
            self.configurations.append(records)
            self._records.extend(records)
            self.bytes += sum(map(record_bytes, records))
            self.last = position_of(records[-1])

    def truncate(self, first: Index) -> None:
        """Drop all records from `first` on, which must be in memory."""
        self.configurations.truncate(first)
        dropped = self._records[first - self.floor.index - 1 :]
        del self._records[first - self.floor.index - 1 :]
        self.bytes -= sum(map(record_bytes, dropped))
        self.last = position_of(self._records[-1]) if self._records else self.floor

    def trim(self, index: Index) -> None:
        """Forget old records, none after `index`, when the tail is over its limit.

        Goes down to three quarters of the limit, so that the list's head is not moved for every record.
        """
        if self.bytes <= self._bytes_max:
            return
        target = self._bytes_max * 3 // 4
        count = 0
        while self.bytes > target and self.floor.index + count < index:
            self.bytes -= record_bytes(self._records[count])
            count += 1
        self._forget(count)

    def compact(self, base: Position) -> None:
        """The disk holds nothing up to `base` any more."""
        if base.index > self.base.index:
            self.base = base
            self.configurations.compact(base.index)
            gone = self._records[: max(base.index - self.floor.index, 0)]
            self.bytes -= sum(map(record_bytes, gone))
            self._forget(len(gone))

    def _forget(self, count: int) -> None:
        if count:
            self.floor = position_of(self._records[count - 1])
            del self._records[:count]

    def position(self, index: Index) -> Position | None:
        """None when the record is not in memory, or there is none."""
        offset = index - self.floor.index
        if 0 < offset <= len(self._records):
            return position_of(self._records[offset - 1])
        if offset == 0:
            return self.floor
        if index == self.base.index:
            return self.base
        return Position() if index == 0 else None

    def records(self, first: Index, last: Index) -> tuple[Record, ...] | None:
        """None when one of them is not in memory."""
        start = first - self.floor.index - 1
        if start < 0 or last > self.last.index:
            return None
        return tuple(self._records[start : last - self.floor.index])

    def batch(self, first: Index, bytes_max: int) -> tuple[Record, ...] | None:
        """Records from `first` on that fit in `bytes_max`, at least one; None when `first` is not in memory."""
        start = first - self.floor.index - 1
        if not 0 <= start < len(self._records):
            return None
        total = 0
        end = start
        while end < len(self._records):
            total += record_bytes(self._records[end])
            if total > bytes_max and end > start:
                break
            end += 1
        return tuple(self._records[start:end])

    def latest_of_term(self, index: Index, term: Term) -> Index:
        """The highest index up to `index` whose term is at most `term`; the floor's when memory has none."""
        end = min(index - self.floor.index, len(self._records))
        if end <= 0:
            return min(index, self.floor.index)
        return self.floor.index + bisect_right(self._records, term, hi=end, key=lambda record: record.term)

    def bytes_after(self, index: Index) -> int:
        """The size of the records after `index`, which must be in memory or the floor."""
        return sum(map(record_bytes, self._records[index - self.floor.index :]))
