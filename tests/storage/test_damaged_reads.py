"""Reads of a file whose pages are damaged fail with an error of ours, and nothing else ends for it."""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import apsw
import pytest
import trio

from lfsql.core.ids import Position
from lfsql.core.requests import Run
from lfsql.errors import Diverged, LfsqlError
from lfsql.storage.engine import Engine
from lfsql.storage.reads import LocalReads

PAGE_BYTES = 4096
MARK = b"abcdefgh" * 8


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A file with a large table and nothing in its write-ahead log."""
    path = tmp_path / "data.db"
    engine = Engine(path)
    engine.begin()
    engine.open_unit("c", 1, 1, 1)
    engine.run(Run("CREATE TABLE t (a INTEGER PRIMARY KEY, b text)"))
    engine.run(
        Run(
            "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 500)"
            " INSERT INTO t SELECT x, replace(hex(zeroblob(100)), '00', 'abcdefgh') FROM c"
        )
    )
    engine.close_unit()
    engine.commit(Position(1, 1, b"h" * 16), [1])
    engine.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    yield path
    engine.close()


def damage(path: Path, *, whole: bool = False) -> None:
    """Overwrite the rows' pages; `whole`: every page but the first."""
    noise = random.Random(1)
    content = path.read_bytes()
    file = os.open(path, os.O_WRONLY)
    for at in range(PAGE_BYTES, len(content), PAGE_BYTES):
        if whole or MARK in content[at : at + PAGE_BYTES]:
            os.pwrite(file, noise.randbytes(PAGE_BYTES), at)
    os.close(file)


async def read_inline(reads: LocalReads) -> None:
    reads.refresh()
    reads.try_inline("SELECT b FROM t WHERE a = 250")


async def read_in_a_thread(reads: LocalReads) -> None:
    cursor = await reads.open_cursor("SELECT b FROM t ORDER BY a DESC")
    await cursor.aclose()


async def read_in_a_transaction(reads: LocalReads) -> None:
    transaction = await reads.open_transaction()
    try:
        transaction.try_inline("SELECT b FROM t WHERE a = 250")
    finally:
        await transaction.aclose()


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("read", [read_inline, read_in_a_thread, read_in_a_transaction])
async def test_reads_of_damaged_pages_fail_and_the_reader_goes_on(
    path: Path, read: Callable[[LocalReads], Awaitable[None]], whole: bool
) -> None:
    async with LocalReads(path, snapshot_age_ms_max=0.0) as reads:
        reads.refresh()
        damage(path, whole=whole)
        for _ in range(5):
            with pytest.raises(LfsqlError) as caught:
                await read(reads)
            assert caught.value.sqlstate.startswith(("58", "XX")), caught.value
            await trio.sleep(0.02)  # longer than a snapshot is kept for
        reads.condemn(Diverged("it is damaged"))
