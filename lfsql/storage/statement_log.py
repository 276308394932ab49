"""The statement log: log.db, opened by aiosqlite and by nothing else.

One write() is one transaction and one fsync (WAL, synchronous=FULL); when it returns, what it was given survives
a power loss.  A write that fails is never tried again here: after a failed fsync nobody knows what is on the
disk, so the log refuses everything from then on and the process is to end.

SQLite's transactions leave no torn tail, so a record that does not fit is damage, wherever it stands: never a
reason to cut the log there.  Each row has a checksum, which tells a damaged row from a broken chain.  The newest
records are checked when the log is opened, so that opening takes no longer the longer the log is; the others by
verify(), while the node runs, and each whenever it is read.  Right copies, from wherever the owner has them, can be
put in place of damaged ones by repair(): see `lfsql.node.log_repair`.

The log is cut at its old end: compact() forgets what copies of the data hold, begin_at() what a snapshot that came
from elsewhere does.  `base` is where it begins then, and with it goes the configuration of the cluster at that place.

The file has an incarnation: a random name made with it.  A node is as good as its log, so this is what its peers
go by; one that comes back with another log has forgotten its votes and acknowledgements, whatever its name is.

Rejected: files of our own with framing and preallocation.  They are faster by one seek, and have to find again
what SQLite's recovery has been tested for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Concatenate, Final, ParamSpec, TypeVar

import aiosqlite
import apsw

from lfsql.core.entry import CONFIGURATION, Record
from lfsql.core.ids import Index, NodeId, Position
from lfsql.core.log import RECORD_OVERHEAD_BYTES
from lfsql.errors import ConfigError, DataCorrupted, DiskFailed, DiskFull, InvariantBroken
from lfsql.storage import log_space, migrations
from lfsql.storage.aiosqlite_trio import Blocking, TrioConnection, connect, transaction
from lfsql.storage.faults import FULL_HINT, REPLACE_HINT
from lfsql.storage.log_rows import (
    DAMAGED_MAX,
    Row,
    follow,
    is_intact,
    is_state_intact,
    links,
    may_follow,
    row_of,
    state_checksum,
    verify,
)
from lfsql.storage.segments import SEGMENT_BYTES, SEGMENT_MS, Segment, Segments

P = ParamSpec("P")
T = TypeVar("T")

TAIL_BYTES: Final = 16 << 20
"""Of the newest records, checked on opening; and how much verify() checks in one step is a part of it."""
_VERIFY_BYTES: Final = 1 << 20
_COMPACT_BYTES: Final = 1 << 20
_COMPACT_ROWS: Final = 2_000
_WAL_LIMIT: Final = "journal_size_limit=67108864"
_ROW: Final = "log_index, term, kind, hash, body, checksum"


class StatementLog:
    """`async with StatementLog(path) as log`.

    Calls are carried out in the order they are made; one that has begun is finished even when its task is
    cancelled.  Opening raises ConfigError, DataCorrupted (the file as a whole, or the hard state, is damaged).
    """

    hard_state: bytes
    """What the last write() put there, opaque to the log; b"" at first."""
    base: Position
    """Everything up to here is compacted away (or came as a snapshot); index 0 when nothing is."""
    base_configuration: bytes
    """What compact() or begin_at() was told of the cluster's members at `base`; b"" when neither was."""
    last: Position
    """The newest record, or `base` when there is none."""
    incarnation: str
    """Which log this is, a random name; another one as soon as the file is made anew."""
    met: Mapping[NodeId, str]
    """The incarnations of other nodes that remember() was given, kept up to date."""
    damaged: tuple[Index, ...]
    """Records missing, failing their checksum, or breaking the chain; the first DAMAGED_MAX found.  While not empty
    the node must not vote; read() of one raises DataCorrupted; repair() replaces them."""

    def __init__(
        self, path: str | Path, *, segment_bytes_max: int = SEGMENT_BYTES, segment_ms_max: int = SEGMENT_MS
    ) -> None:
        """The segments' limits are the grain in which `segments` tells sizes and ages."""
        self._path = path
        self._connection: TrioConnection = connect(path, isolation_level=None, cached_statements=32)
        self._failure: Exception | None = None
        self.hard_state = b""
        self.incarnation = ""
        self._met: dict[NodeId, str] = {}
        self.met = MappingProxyType(self._met)
        self.base = self.last = Position()
        self.base_configuration = b""
        self.damaged = ()
        self._segments = Segments(segment_bytes_max, segment_ms_max)
        self._unverified: Index = 0
        """Records up to here have not been checked since the log was opened."""

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What there is, the oldest first: for whoever decides how much of it to keep."""
        return self._segments.all()

    async def __aenter__(self) -> StatementLog:
        try:
            await self._connection
        except aiosqlite.Error as error:
            raise ConfigError(f"cannot open the statement log {self._path}", detail=str(error)) from error
        try:
            await self._call(self._open)
        except BaseException:
            await self._connection.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.close()

    async def write(
        self,
        records: Sequence[Record] = (),
        *,
        truncate_from: Index | None = None,
        hard_state: bytes | None = None,
    ) -> None:
        """One transaction, one fsync: drop records from `truncate_from` on, append, replace the hard state.

        Raises InvariantBroken (nothing is written) when the records do not continue the chain or what is compacted
        would be dropped; DiskFailed, DiskFull.
        """
        await self._call(self._write, records, truncate_from, hard_state)

    async def remember(self, node: NodeId, incarnation: str) -> str:
        """Keep, before returning, which log this node has met under a name; returns the first it ever met."""
        if node not in self._met:
            self._met[node] = await self._call(self._remember, node, incarnation)
        return self._met[node]

    async def read(self, first: Index, last: Index, bytes_max: int) -> tuple[Record, ...]:
        """Records first..last, as many as fit into `bytes_max` in a message, but at least one.

        Empty when `first` is compacted away or does not exist yet.  Raises DataCorrupted when one is damaged.
        """
        return await self._call(self._read, first, last, bytes_max)

    async def configurations(self, upto: Index) -> tuple[Record, ...]:
        """The records up to `upto` that change the cluster's members.  Raises DataCorrupted when one is damaged."""
        return await self._call(self._configurations, upto)

    async def repair(self, records: Sequence[Record]) -> None:
        """Put right copies, fetched from a quorum of peers, in place of damaged records.

        Raises InvariantBroken (nothing is written) when one is not damaged or does not fit its neighbours.
        """
        await self._call(self._repair, records)

    async def verify(self) -> bool:
        """Check a further piece of what opening left unchecked, the newest first; False when nothing is left."""
        if self._unverified <= self.base.index:
            return False
        await self._call(self._verify_piece)
        return True

    async def position(self, index: Index) -> Position:
        """Of a record that is there, or of `base`.  Raises InvariantBroken when it is neither, DataCorrupted."""
        return await self._call(self._position_at, index)

    async def compact(self, upto: Index, configuration: bytes = b"") -> None:
        """Forget records up to and including `upto`, which becomes `base`; in steps that let other calls in.

        Only what data.db holds, fsynced, may go: see `lfsql.storage.durability`.  `configuration`: the cluster's at
        `upto`, as bytes of the owner's.
        """
        while self.base.index < upto:
            await self._call(self._compact, upto, configuration)

    async def shrink(self, free_bytes_max: int) -> bool:
        """Give back to the disk a piece of the file's free space; False when `free_bytes_max` or less is left."""
        return await self._call(log_space.give_back, free_bytes_max)

    async def begin_at(self, base: Position, *, configuration: bytes, hard_state: bytes) -> None:
        """Forget what a snapshot at `base` holds, damaged or not; all records when none of them can follow it.

        What may have been acknowledged after it stays, and so do damaged records there.  One transaction.
        """
        await self._call(self._begin_anew, base, configuration, hard_state)

    async def _call(
        self, function: Callable[Concatenate[Blocking, P], T], *arguments: P.args, **options: P.kwargs
    ) -> T:
        if self._failure is not None:
            raise DiskFailed("the statement log failed before; the process must end") from self._failure
        try:
            return await self._connection.call(function, *arguments, **options)
        except aiosqlite.Error as error:
            raise self._translate(error) from error

    def _translate(self, error: aiosqlite.Error) -> Exception:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == apsw.SQLITE_FULL:
            return DiskFull(f"no space left to write the statement log {self._path}", hint=FULL_HINT)
        if code in (apsw.SQLITE_CORRUPT, apsw.SQLITE_NOTADB):
            return DataCorrupted(f"the statement log {self._path} is damaged: {error}", hint=REPLACE_HINT)
        self._failure = error
        return DiskFailed(f"the statement log {self._path} failed: {error}")

    # -- In aiosqlite's thread -----------------------------------------------------------------------------

    def _open(self, connection: Blocking) -> None:
        # A flipped bit turns bytes into text: which then is no error of the database, but a damaged record.
        connection.text_factory = lambda text: text.decode(errors="replace")
        log_space.keep_references(connection)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "cell_size_check=ON", "mmap_size=0", _WAL_LIMIT):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        migrations.migrate(
            lambda sql, parameters: connection.execute(sql, tuple(parameters)).fetchall(),
            migrations.load("log"),
        )
        rows = connection.execute(
            "SELECT base_index, base_term, base_hash, base_configuration, hard_state, checksum FROM state"
        ).fetchall()
        if len(rows) != 1 or not is_state_intact(rows[0]):
            raise DataCorrupted(
                f"the statement log {self._path} has lost what this node voted for, or where it begins",
                hint=REPLACE_HINT,
            )
        index, term, chain, self.base_configuration, self.hard_state, _ = rows[0]
        self.base = Position(index, term, chain)
        (self.incarnation,) = connection.execute("SELECT value FROM incarnation").fetchone()
        self._met.update(connection.execute("SELECT node, incarnation FROM met").fetchall())
        self._find_end(connection)
        self._segments.load(connection, self.base.index, self.last.index)

    def _remember(self, connection: Blocking, node: NodeId, incarnation: str) -> str:
        with transaction(connection):
            connection.execute("INSERT OR IGNORE INTO met VALUES (?, ?)", (node, incarnation))
        row = connection.execute("SELECT incarnation FROM met WHERE node = ?", (node,)).fetchone()
        return str(row[0])

    def _find_end(self, connection: Blocking) -> None:
        """Find `last`, and check the newest records."""
        (oldest,) = connection.execute("SELECT min(log_index) FROM records").fetchone()
        if oldest is not None and oldest <= self.base.index:
            raise DataCorrupted(f"the statement log {self._path} holds record {oldest}, before its base")
        row = connection.execute(
            "SELECT log_index, term, hash FROM records ORDER BY log_index DESC LIMIT 1"
        ).fetchone()
        self.last = self.base if row is None else Position(*row)
        first = self._reach_back(connection, self.last.index, TAIL_BYTES)
        self._check(connection, first, self.last.index)
        self._unverified = first - 1

    def _verify_piece(self, connection: Blocking) -> None:
        upto = min(self._unverified, self.last.index)
        first = self._reach_back(connection, upto, _VERIFY_BYTES)
        self._check(connection, first, upto)
        self._unverified = first - 1

    def _reach_back(self, connection: Blocking, upto: Index, bytes_max: int) -> Index:
        """The first of the newest records up to `upto` that take `bytes_max`; it reads their sizes only."""
        size = 0
        first: Index = upto + 1
        for index, body_bytes in connection.execute(
            "SELECT log_index, length(body) FROM records WHERE log_index BETWEEN ? AND ? ORDER BY log_index DESC",
            (self.base.index + 1, upto),
        ):
            size += (body_bytes or 0) + RECORD_OVERHEAD_BYTES
            first = int(index)
            if size > bytes_max:
                return first
        return min(first, self.base.index + 1)

    def _check(self, connection: Blocking, first: Index, upto: Index) -> None:
        """Add to `damaged` what is of records `first`..`upto`."""
        base, linked = self.base, True
        if first > base.index + 1:
            row = self._row(connection, first - 1)
            linked = row is not None and is_intact(row)
            base = Position(first - 1, row[1], row[3]) if row is not None and linked else Position(first - 1)
        rows = connection.execute(
            f"SELECT {_ROW} FROM records WHERE log_index BETWEEN ? AND ? ORDER BY log_index",  # noqa: S608 - built of constants only
            (first, upto),
        )
        end, found = verify(base, rows, linked=linked)
        missing = range(end.index + 1, upto + 1)[:DAMAGED_MAX]
        self.damaged = tuple(sorted({*self.damaged, *found, *missing})[:DAMAGED_MAX])

    def _write(
        self,
        connection: Blocking,
        records: Sequence[Record],
        truncate_from: Index | None,
        hard_state: bytes | None,
    ) -> None:
        last = self.last
        if truncate_from is not None and truncate_from <= last.index:
            last = self._position_at(connection, truncate_from - 1)
        after = follow(last, records)
        with transaction(connection):
            if truncate_from is not None:
                connection.execute("DELETE FROM records WHERE log_index >= ?", (truncate_from,))
                connection.execute("DELETE FROM segments WHERE last_index >= ?", (truncate_from,))
            connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)", map(row_of, records))
            if hard_state is not None:
                connection.execute(
                    "UPDATE state SET hard_state = ?, checksum = ?",
                    (hard_state, state_checksum(self.base, self.base_configuration, hard_state)),
                )
            closed = self._segments.write(connection, records)
        self.last = after
        if truncate_from is None:
            self._segments.wrote(records, closed)
        else:
            self._segments.load(connection, self.base.index, self.last.index)
            self.damaged = tuple(index for index in self.damaged if index < truncate_from)
        if hard_state is not None:
            self.hard_state = hard_state

    def _read(self, connection: Blocking, first: Index, last: Index, bytes_max: int) -> tuple[Record, ...]:
        if first <= self.base.index:
            return ()
        records: list[Record] = []
        size = 0
        expected = first
        for row in connection.execute(
            f"SELECT {_ROW} FROM records WHERE log_index BETWEEN ? AND ? ORDER BY log_index",  # noqa: S608 - built of constants only
            (first, min(last, self.last.index)),
        ):
            if row[0] != expected or not is_intact(row) or expected in self.damaged:
                break
            size += len(row[4]) + RECORD_OVERHEAD_BYTES
            if records and size > bytes_max:
                return tuple(records)
            records.append(Record(*row[:5]))
            expected += 1
        if expected <= min(last, self.last.index):
            self.damaged = tuple(sorted({*self.damaged, expected})[:DAMAGED_MAX])
            if not records:
                raise DataCorrupted(f"record {expected} of the statement log {self._path} is damaged")
        return tuple(records)

    def _configurations(self, connection: Blocking, upto: Index) -> tuple[Record, ...]:
        rows = connection.execute(
            f"SELECT {_ROW} FROM records WHERE kind = {CONFIGURATION} AND log_index <= ? ORDER BY log_index",  # noqa: S608 - built of constants only
            (upto,),
        ).fetchall()
        for row in rows:
            if not is_intact(row):
                raise DataCorrupted(f"record {row[0]} of the statement log {self._path} is damaged")
        return tuple(Record(*row[:5]) for row in rows)

    def _repair(self, connection: Blocking, records: Sequence[Record]) -> None:
        unknown = [record.index for record in records if record.index not in self.damaged]
        if unknown:
            raise InvariantBroken(f"records {unknown[:10]} are not damaged")
        repaired = {record.index for record in records}
        left = tuple(index for index in self.damaged if index not in repaired)
        last = self.last
        with transaction(connection):
            connection.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?)", map(row_of, records))
            for index in sorted(repaired | {index + 1 for index in repaired}):
                if self.base.index < index <= self.last.index and not {index, index - 1} & set(left):
                    self._check_link(connection, index)
            if last.index in repaired:
                last = self._stored_position(connection, last.index)
        self.damaged = left
        self.last = last

    def _check_link(self, connection: Blocking, index: Index) -> None:
        previous = self._stored_position(connection, index - 1)
        row = self._row(connection, index)
        if row is None or not links(previous.hash, row):
            raise InvariantBroken(f"the copy of record {index} does not fit its neighbours")

    def _compact(self, connection: Blocking, upto: Index, configuration: bytes) -> None:
        if upto > self.last.index:
            raise InvariantBroken(f"record {upto} cannot be compacted: the log ends at {self.last.index}")
        if upto <= self.base.index:
            return  # another compaction was faster
        base = self._position_at(connection, self._compact_step(connection, upto))
        with transaction(connection):
            connection.execute("DELETE FROM records WHERE log_index <= ?", (base.index,))
            # That of `upto` in the middle of the way, too: a later one is in the log, and an earlier not in force.
            self._begin_at(connection, base, configuration, self.hard_state)
        self._moved_to(base, configuration)

    def _compact_step(self, connection: Blocking, upto: Index) -> Index:
        """How far one step goes: other calls wait meanwhile, and pages of large bodies are freed one by one."""
        size = 0
        step = self.base.index
        for index, body_bytes in connection.execute(
            "SELECT log_index, length(body) FROM records WHERE log_index BETWEEN ? AND ? ORDER BY log_index LIMIT ?",
            (self.base.index + 1, upto, _COMPACT_ROWS),
        ):
            size += body_bytes or 0
            if step > self.base.index and size > _COMPACT_BYTES:
                break
            step = index
        step = max(step, self.base.index + 1)
        while step in self.damaged and step < upto:
            step += 1
        return step

    def _reset(self, connection: Blocking, base: Position, configuration: bytes, hard_state: bytes) -> None:
        with transaction(connection):
            connection.execute("DELETE FROM records")
            connection.execute("DELETE FROM segments")
            self._begin_at(connection, base, configuration, hard_state)
        self.last = base
        self._moved_to(base, configuration)
        self.damaged = ()
        self.hard_state = hard_state
        self._segments.load(connection, base.index, base.index)

    def _begin_anew(self, connection: Blocking, base: Position, configuration: bytes, hard_state: bytes) -> None:
        if base.index < self.base.index:
            raise InvariantBroken(f"the log begins after record {self.base.index}, not as early as {base.index}")
        at, after = self._row(connection, base.index), self._row(connection, base.index + 1)
        if base.index >= self.last.index or not may_follow(base, at, after):
            self._reset(connection, base, configuration, hard_state)
            return
        with transaction(connection):
            connection.execute("DELETE FROM records WHERE log_index <= ?", (base.index,))
            self._begin_at(connection, base, configuration, hard_state)
        self._moved_to(base, configuration)
        self.hard_state = hard_state

    def _begin_at(self, connection: Blocking, base: Position, configuration: bytes, hard_state: bytes) -> None:
        connection.execute("DELETE FROM segments WHERE last_index <= ?", (base.index,))
        connection.execute(
            "UPDATE state SET base_index = ?, base_term = ?, base_hash = ?, base_configuration = ?, "
            "hard_state = ?, checksum = ?",
            (
                base.index,
                base.term,
                base.hash,
                configuration,
                hard_state,
                state_checksum(base, configuration, hard_state),
            ),
        )

    def _moved_to(self, base: Position, configuration: bytes) -> None:
        self.base, self.base_configuration = base, configuration
        self.damaged = tuple(index for index in self.damaged if index > base.index)
        self._segments.cut(base.index)

    def _position_at(self, connection: Blocking, index: Index) -> Position:
        """As _stored_position, of a record that was looked at."""
        position = self._stored_position(connection, index)
        if index > self.base.index:
            row = self._row(connection, index)
            if index in self.damaged or row is None or not is_intact(row):
                raise DataCorrupted(f"record {index} of the statement log {self._path} is damaged")
        return position

    def _row(self, connection: Blocking, index: Index) -> Row | None:
        found: Row | None = connection.execute(f"SELECT {_ROW} FROM records WHERE log_index = ?", (index,)).fetchone()  # noqa: S608 - built of constants only
        return found

    def _stored_position(self, connection: Blocking, index: Index) -> Position:
        if index == self.base.index:
            return self.base
        row = connection.execute("SELECT log_index, term, hash FROM records WHERE log_index = ?", (index,)).fetchone()
        if row is None:
            raise InvariantBroken(f"record {index} is not in the log")
        return Position(*row)
