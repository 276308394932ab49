"""Time and chance as a unit's inputs, so that every node computes the same bytes.

*Clock.*  A VFS whose xCurrentTimeInt64 gives the unit's clock.  It freezes `now`, CURRENT_TIMESTAMP, column
defaults and triggers alike, and date functions stay legal in indexes and generated columns.  Rejected: replacing
the date functions with our own, which loses that legality, and rewriting SQL text, which misses what defaults,
views and triggers call.

*Chance.*  random() and randomblob() draw from a generator that is restarted for each parameter set of a statement,
from the unit's seed and the set's number among those logged.  A restart, and not one stream per unit, keeps what is
never logged (reads, failed statements, a cursor read half) from shifting the draws of what is; a restart per set, and
not per statement, so that a long list of sets may be cut for the log anywhere.
"""

from __future__ import annotations

import itertools
import time
import unicodedata
from collections.abc import Callable
from hashlib import blake2b, shake_256
from typing import Final

import apsw

from lfsql.core.entry import Value
from lfsql.errors import LimitExceeded
from lfsql.storage.functions import zones

_MASK: Final = (1 << 64) - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
UNIX_EPOCH_JULIAN_MS: Final = 210_866_760_000_000
"""1970-01-01 in milliseconds of the Julian day, SQLite's time scale."""

RANDOMBLOB_BYTES_MAX: Final = 16 << 20

_numbers = itertools.count(1)


class UnitClock(apsw.VFS):
    """The system's VFS with a clock that stands where it is put.  One per engine; close() it after its files."""

    def __init__(self) -> None:
        self.name = f"lfsql-unit-clock-{next(_numbers)}"
        self.clock_us = 0
        """Microseconds since the Unix epoch."""
        super().__init__(self.name, "")

    def xCurrentTimeInt64(self) -> int:  # noqa: N802 - SQLite's name
        return self.clock_us // 1000 + UNIX_EPOCH_JULIAN_MS

    def xCurrentTime(self) -> float:  # noqa: N802 - SQLite's name
        return self.xCurrentTimeInt64() / 86_400_000

    def microseconds(self) -> int:
        return self.clock_us


class StatementRandom:
    """SplitMix64, restarted for each run of a statement.  Few draw anything, so a restart is only noted."""

    def __init__(self) -> None:
        self._state = 0
        self._restarted: tuple[int, int, int] | None = None
        self.drawn = False
        """Something was drawn since the last restart."""

    def restart(self, seed: int, logged: int, read: int = 0) -> None:
        """`logged`: parameter sets logged before; `read`: counts the unlogged statements since."""
        self._restarted = (seed, logged, read)
        self.drawn = False

    def save(self) -> int:
        if self._restarted is not None:
            seed, logged, read = self._restarted
            self._state = _mix(_mix((seed + logged * _GOLDEN) & _MASK) + read * _GOLDEN)
            self._restarted = None
        return self._state

    def resume(self, state: int) -> None:
        self._state = state
        self._restarted = None

    def integer(self) -> int:
        """A signed 64-bit integer, as random() gives."""
        self.drawn = True
        self._state = (self.save() + _GOLDEN) & _MASK
        value = _mix(self._state)
        return value - (1 << 64) if value >> 63 else value

    def blob(self, size: Value) -> bytes:
        """randomblob(N): at least one byte, whatever N is."""
        count = size if isinstance(size, int) else int(size) if isinstance(size, float) else 1
        if count > RANDOMBLOB_BYTES_MAX:
            raise LimitExceeded(f"randomblob() gives at most {RANDOMBLOB_BYTES_MAX} bytes")
        return shake_256(self.integer().to_bytes(8, "little", signed=True)).digest(max(count, 1))

    def register(self, connection: apsw.Connection) -> None:
        """Take the place of SQLite's own.  INNOCUOUS: defaults and triggers may call them, as they may SQLite's."""
        connection.create_scalar_function("random", lambda *_: self.integer(), 0, flags=apsw.SQLITE_INNOCUOUS)
        connection.create_scalar_function(
            "randomblob", lambda *arguments: self.blob(arguments[0]), 1, flags=apsw.SQLITE_INNOCUOUS
        )


class StatementClock:
    """A reader's clock: wall time, read at most once a statement, so that two calls in one statement agree."""

    def __init__(self) -> None:
        self._us = 0

    def restart(self) -> None:
        self._us = 0

    def microseconds(self) -> int:
        if not self._us:
            self._us = time.time_ns() // 1000
        return self._us


def _mix(value: int) -> int:
    value &= _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


LOG_FORMAT: Final = 3
"""Counts up when a log written by this program would have another effect when applied by an older one."""


def fingerprint(register: Callable[[apsw.Connection, Callable[[], int]], None]) -> str:
    """What must be equal for two nodes to compute the same: SQLite, how it was built, the functions, the format, the
    rules of time zones and of letters, and what SQLite's 'localtime' is.

    Three parts, readable: SQLite's version, that of the time zones, a digest.  Peers compare it when they connect.
    """
    connection = apsw.Connection(":memory:")
    try:
        register(connection, int)
        functions = sorted(
            connection.execute("SELECT name, type, narg, flags FROM pragma_function_list").fetchall(), key=str
        )
    finally:
        connection.close()
    facts = (
        apsw.sqlite3_sourceid(),
        sorted(apsw.compile_options),
        functions,
        LOG_FORMAT,
        unicodedata.unidata_version,
        (time.tzname, time.timezone, time.altzone),
    )
    digest = blake2b(repr(facts).encode(), digest_size=8).hexdigest()
    return f"sqlite-{apsw.sqlite_lib_version()}/tzdata-{zones.VERSION}/{digest}"
