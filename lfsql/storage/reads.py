"""Reads of this host's copy, on trio.  (Signatures; the body follows.)"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

import apsw

from lfsql.core.entry import Value
from lfsql.core.ids import Index
from lfsql.core.requests import Row
from lfsql.storage.engine import Described

SchemaHook = Callable[[apsw.Connection], None]


class ReadCursor:
    """Rows of one statement on one snapshot, pulled in chunks.  Must be closed."""

    index: Index
    schema_index: Index

    async def fetch(self, rows_max: int = 0) -> tuple[list[Row], bool]:
        """At most rows_max rows (0: no limit but the chunk's bytes), and whether more follow."""
        raise NotImplementedError

    def interrupt(self) -> None:
        """Stop a fetch that runs: it raises QueryCanceled.  From any task."""

    async def aclose(self) -> None: ...


class ReadTransaction:
    """Many statements on one snapshot.  Must be closed, which closes its cursors."""

    index: Index
    schema_index: Index

    def try_inline(self, sql: str, parameters: Sequence[Value] = ()) -> list[Row] | None:
        raise NotImplementedError

    async def open_cursor(self, sql: str, parameters: Sequence[Value] = (), *, run_ms_max: int = 0) -> ReadCursor:
        raise NotImplementedError

    async def run(self, sql: str, parameters: Sequence[Value] = ()) -> list[Row]:
        """All rows at once: for small results."""
        raise NotImplementedError

    def interrupt(self) -> None: ...

    async def aclose(self) -> None: ...


class LocalReads:
    """`async with LocalReads(path) as reads`."""

    def __init__(
        self,
        path: str | Path,
        *,
        on_schema_change: SchemaHook | None = None,
        snapshot_age_ms_max: float = 1.0,
        steps_inline_max: int = 40_000,
        rows_inline_max: int = 500,
        bytes_inline_max: int = 1 << 20,
        readers_max: int = 8,
    ) -> None: ...

    async def __aenter__(self) -> LocalReads:
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def position(self) -> tuple[Index, Index]:
        """(index, schema_index) of the inline snapshot, renewed when older than snapshot_age_ms_max.  A
        try_inline with no await in between runs on exactly this snapshot."""
        raise NotImplementedError

    def refresh(self) -> tuple[Index, Index]:
        """position() on a snapshot taken now, for a read that needs a newer index."""
        raise NotImplementedError

    def try_inline(self, sql: str, parameters: Sequence[Value] = ()) -> list[Row] | None:
        """All rows, or None when over the budget: nothing was returned, use open_cursor."""
        raise NotImplementedError

    def describe(self, sql: str) -> Described:
        raise NotImplementedError

    async def open_cursor(self, sql: str, parameters: Sequence[Value] = (), *, run_ms_max: int = 0) -> ReadCursor:
        raise NotImplementedError

    async def open_transaction(self) -> ReadTransaction:
        raise NotImplementedError
