"""How large the statement log is and how old its parts are, without looking at its records.

The log is thought of as segments of a bounded size and time.  A closed one is a row in log.db: where it ends, its
bytes, and when it was closed, so that a restart knows both bounds' numbers from a few dozen rows.  The newest is
counted in memory; what it has is counted again when the log is opened, which reads no more than one segment.

Rejected: a time and a running sum in each record (paid by every write for what is asked once a second); sizes from
SQLite's page counts (they tell how full the file is, not where to cut).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from lfsql.core.entry import Record
from lfsql.core.ids import Index
from lfsql.core.log import RECORD_OVERHEAD_BYTES, record_bytes
from lfsql.storage.aiosqlite_trio import Blocking

SEGMENT_BYTES: Final = 16 << 20
SEGMENT_MS: Final = 10 * 60 * 1000


class Segment(NamedTuple):
    """The records after the segment before, up to `last`; none was written after `closed_at_ms` (Unix time)."""

    last: Index
    bytes: int
    closed_at_ms: int


def wall_clock_ms() -> int:
    """Milliseconds since the Unix epoch: ages must be comparable over restarts of the machine."""
    return time.time_ns() // 1_000_000


class Segments:
    """Used in the log's thread.  The owner calls `wrote` and the like after the transaction that they describe."""

    def __init__(self, bytes_max: int, ms_max: int) -> None:
        """When a segment is closed: it has `bytes_max`, or is `ms_max` old when something is written."""
        self._bytes_max = bytes_max
        self._ms_max = ms_max
        self._closed: list[Segment] = []
        self._last: Index = 0
        self._bytes = 0
        self._opened_at_ms = self._written_at_ms = wall_clock_ms()

    def all(self) -> tuple[Segment, ...]:
        """The oldest first; the last is the one that still grows, when it has anything."""
        if not self._bytes:
            return tuple(self._closed)
        return (*self._closed, Segment(self._last, self._bytes, self._written_at_ms))

    def load(self, connection: Blocking, base: Index, last: Index) -> None:
        """Take over what the file says."""
        rows = connection.execute(
            "SELECT last_index, bytes, closed_at_ms FROM segments WHERE last_index > ? ORDER BY last_index", (base,)
        )
        self._closed = [Segment(*row) for row in rows]
        end = self._closed[-1].last if self._closed else base
        (self._bytes,) = connection.execute(
            "SELECT coalesce(sum(length(body) + ?), 0) FROM records WHERE log_index > ?", (RECORD_OVERHEAD_BYTES, end)
        ).fetchone()
        self._last = last
        self._opened_at_ms = self._written_at_ms = wall_clock_ms()

    def write(self, connection: Blocking, records: Sequence[Record]) -> Segment | None:
        """Inside the transaction that appends `records`: store the segment that they complete."""
        if not records:
            return None
        size = self._bytes + sum(map(record_bytes, records))
        now_ms = wall_clock_ms()
        if size < self._bytes_max and not (self._bytes and now_ms - self._opened_at_ms >= self._ms_max):
            return None
        closed = Segment(records[-1].index, size, now_ms)
        connection.execute("INSERT INTO segments VALUES (?, ?, ?)", closed)
        return closed

    def wrote(self, records: Sequence[Record], closed: Segment | None) -> None:
        """After it; `closed` is what `write` gave."""
        if not records:
            return
        self._written_at_ms = wall_clock_ms()
        self._last = records[-1].index
        if closed is not None:
            self._closed.append(closed)
            self._bytes = 0
            return
        if not self._bytes:
            self._opened_at_ms = self._written_at_ms
        self._bytes += sum(map(record_bytes, records))

    def cut(self, base: Index) -> None:
        """Everything up to `base` is gone; it may lie in the middle of a segment, which then counts too much."""
        while self._closed and self._closed[0].last <= base:
            self._closed.pop(0)
        if not self._closed and self._last <= base:
            self._bytes = 0
