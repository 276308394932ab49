"""The statement log: log.db, opened by aiosqlite and by nothing else.

One write() is one transaction and one fsync (WAL, synchronous=FULL); when it returns, what it was given survives
a power loss.  A write that fails is never tried again here: after a failed fsync nobody knows what is on the
disk, so the log refuses everything from then on and the process is to end.

SQLite's transactions leave no torn tail, so a record that does not fit is damage, wherever it stands: never a
reason to cut the log there.  Each row has a checksum, which tells a damaged row from a broken chain, and is
checked when the log is opened and whenever a record is read.  Right copies, from wherever the owner has them, can
be put in place of damaged ones by repair(); the node has no source for them and does not start.

The file has an incarnation: a random name made with it.  A node is as good as its log, so this is what its peers
go by; one that comes back with another log has forgotten its votes and acknowledgements, whatever its name is.

Rejected: files of our own with framing and preallocation.  They are faster by one seek, and have to find again
what SQLite's recovery has been tested for.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Concatenate, Final, ParamSpec, TypeVar

import aiosqlite
import apsw

from lfsql.core.entry import Record
from lfsql.core.ids import Index, NodeId, Position
from lfsql.core.log import RECORD_OVERHEAD_BYTES
from lfsql.errors import ConfigError, DataCorrupted, DiskFailed, DiskFull, InvariantBroken
from lfsql.storage import migrations
from lfsql.storage.aiosqlite_trio import Blocking, TrioConnection, connect
from lfsql.storage.log_rows import DAMAGED_MAX, follow, is_intact, links, row_of, verify

P = ParamSpec("P")
T = TypeVar("T")

_COMPACT_ROWS: Final = 2_000
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
    last: Position
    """The newest record, or `base` when there is none."""
    incarnation: str
    """Which log this is, a random name; another one as soon as the file is made anew."""
    met: Mapping[NodeId, str]
    """The incarnations of other nodes that remember() was given, kept up to date."""
    damaged: tuple[Index, ...]
    """Records missing, failing their checksum, or breaking the chain; the first DAMAGED_MAX.  While not empty the
    node must not vote; read() of one raises DataCorrupted; repair() replaces them."""

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._connection: TrioConnection = connect(path, isolation_level=None, cached_statements=32)
        self._failure: Exception | None = None
        self.hard_state = b""
        self.incarnation = ""
        self._met: dict[NodeId, str] = {}
        self.met = MappingProxyType(self._met)
        self.base = self.last = Position()
        self.damaged = ()

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

    async def repair(self, records: Sequence[Record]) -> None:
        """Put right copies, fetched from a quorum of peers, in place of damaged records.

        Raises InvariantBroken (nothing is written) when one is not damaged or does not fit its neighbours.
        """
        await self._call(self._repair, records)

    async def compact(self, upto: Index) -> None:
        """Forget records up to and including `upto`, which becomes `base`; in steps that let other calls in.

        Only what a copy of the data holds, fsynced, may go: see Engine.checkpoint.
        """
        while self.base.index < upto:
            await self._call(self._compact, min(upto, self.base.index + _COMPACT_ROWS))

    async def reset(self, base: Position) -> None:
        """Forget all records: a snapshot that stands at `base` was installed."""
        await self._call(self._reset, base)

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
            return DiskFull(f"no space left to write the statement log {self._path}")
        if code in (apsw.SQLITE_CORRUPT, apsw.SQLITE_NOTADB):
            return DataCorrupted(f"the statement log {self._path} is damaged: {error}")
        self._failure = error
        return DiskFailed(f"the statement log {self._path} failed: {error}")

    # -- In aiosqlite's thread -----------------------------------------------------------------------------

    def _open(self, connection: Blocking) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "cell_size_check=ON", "mmap_size=0"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        migrations.migrate(
            lambda sql, parameters: connection.execute(sql, tuple(parameters)).fetchall(),
            migrations.load("log"),
        )
        rows = connection.execute(
            "SELECT base_index, base_term, base_hash, hard_state, checksum FROM state"
        ).fetchall()
        if len(rows) != 1 or zlib.crc32(rows[0][3]) != rows[0][4]:
            raise DataCorrupted(
                f"the statement log {self._path} has lost what this node voted for",
                hint="The node cannot take part any more: remove it and add it again under a new name.",
            )
        index, term, chain, self.hard_state, _ = rows[0]
        self.base = Position(index, term, chain)
        (self.incarnation,) = connection.execute("SELECT value FROM incarnation").fetchone()
        self._met.update(connection.execute("SELECT node, incarnation FROM met").fetchall())
        self._verify(connection)

    def _remember(self, connection: Blocking, node: NodeId, incarnation: str) -> str:
        with _transaction(connection):
            connection.execute("INSERT OR IGNORE INTO met VALUES (?, ?)", (node, incarnation))
        row = connection.execute("SELECT incarnation FROM met WHERE node = ?", (node,)).fetchone()
        return str(row[0])

    def _verify(self, connection: Blocking) -> None:
        """Check every record, and find `last` and `damaged`."""
        self.last, self.damaged = verify(
            self.base,
            connection.execute(f"SELECT {_ROW} FROM records ORDER BY log_index"),  # noqa: S608 - built of constants only
        )

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
        with _transaction(connection):
            if truncate_from is not None:
                connection.execute("DELETE FROM records WHERE log_index >= ?", (truncate_from,))
            connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)", map(row_of, records))
            if hard_state is not None:
                connection.execute(
                    "UPDATE state SET hard_state = ?, checksum = ?", (hard_state, zlib.crc32(hard_state))
                )
        self.last = after
        if truncate_from is not None:
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

    def _repair(self, connection: Blocking, records: Sequence[Record]) -> None:
        unknown = [record.index for record in records if record.index not in self.damaged]
        if unknown:
            raise InvariantBroken(f"records {unknown[:10]} are not damaged")
        repaired = {record.index for record in records}
        left = tuple(index for index in self.damaged if index not in repaired)
        last = self.last
        with _transaction(connection):
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
        row = connection.execute(f"SELECT {_ROW} FROM records WHERE log_index = ?", (index,)).fetchone()  # noqa: S608 - built of constants only
        if not links(previous.hash, row):
            raise InvariantBroken(f"the copy of record {index} does not fit its neighbours")

    def _compact(self, connection: Blocking, upto: Index) -> None:
        if upto > self.last.index:
            raise InvariantBroken(f"record {upto} cannot be compacted: the log ends at {self.last.index}")
        if upto > self.base.index:  # else another compaction was faster
            self._cut(connection, self._position_at(connection, upto))

    def _reset(self, connection: Blocking, base: Position) -> None:
        self.last = base
        self._cut(connection, base, everything=True)

    def _cut(self, connection: Blocking, base: Position, *, everything: bool = False) -> None:
        with _transaction(connection):
            if everything:
                connection.execute("DELETE FROM records")
            else:
                connection.execute("DELETE FROM records WHERE log_index <= ?", (base.index,))
            connection.execute(
                "UPDATE state SET base_index = ?, base_term = ?, base_hash = ?", (base.index, base.term, base.hash)
            )
        self.base = base
        self.damaged = () if everything else tuple(index for index in self.damaged if index > base.index)

    def _position_at(self, connection: Blocking, index: Index) -> Position:
        if index in self.damaged:
            raise InvariantBroken(f"record {index} is damaged")
        return self._stored_position(connection, index)

    def _stored_position(self, connection: Blocking, index: Index) -> Position:
        if index == self.base.index:
            return self.base
        row = connection.execute("SELECT log_index, term, hash FROM records WHERE log_index = ?", (index,)).fetchone()
        if row is None:
            raise InvariantBroken(f"record {index} is not in the log")
        return Position(*row)


@contextmanager
def _transaction(connection: Blocking) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
