"""The statement log, log.db, through aiosqlite on trio.  (Signatures; the body follows.)"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from lfsql.core.entry import Record
from lfsql.core.ids import Index, Position


class StatementLog:
    """`async with StatementLog(path) as log`.  Calls are carried out in the order they are made; a call that has
    begun is finished even when its task is cancelled."""

    hard_state: bytes
    """What the last write() put there, opaque to the log; b"" at first."""
    base: Position
    """Everything up to here is compacted away (or came as a snapshot); index 0 when nothing is."""
    last: Position
    """The newest record, or `base` when there is none."""
    damaged: tuple[Index, ...]
    """Records that failed their checksum or the chain when opened, bounded to the first 1000.  While not empty the
    node must not vote; read() of one raises DataCorrupted; repair() replaces them."""

    def __init__(self, path: str | Path) -> None: ...

    async def __aenter__(self) -> StatementLog:
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def write(
        self,
        records: Sequence[Record] = (),
        *,
        truncate_from: Index | None = None,
        hard_state: bytes | None = None,
    ) -> None:
        """One transaction, one fsync: drop records from `truncate_from` on, append, replace the hard state.
        Raises InvariantBroken when the records do not continue the chain; DiskFailed, DiskFull."""

    async def read(self, first: Index, last: Index, bytes_max: int) -> tuple[Record, ...]:
        """Records first..last, stopping after `bytes_max` bytes of bodies but never before one record.
        Raises DataCorrupted (a record in the range is damaged); LookupError when `first` <= base.index."""
        raise NotImplementedError

    async def repair(self, records: Sequence[Record]) -> None:
        """Put right copies, fetched from peers, in place of damaged records; the chain must hold."""

    async def compact(self, upto: Index) -> None:
        """Forget records up to and including `upto`; it becomes `base`."""

    async def reset(self, base: Position) -> None:
        """Forget all records: a snapshot that stands at `base` was installed."""
