"""log.db after bits have flipped anywhere: it says what it said before, or that it is damaged."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from random import Random

import pytest

from lfsql.core.entry import UNIT, Record
from lfsql.core.ids import Position
from lfsql.core.log import extend
from lfsql.errors import ConfigError, DataCorrupted
from lfsql.storage.statement_log import StatementLog

Content = tuple[bytes, bytes, Position, Position, tuple[Record, ...]]


async def read_all(path: Path) -> Content | None:
    """Everything that the node goes by, checked as it does; None when records are damaged."""
    async with StatementLog(path) as log:
        more = True
        while more:
            more = await log.verify()
        if log.damaged:
            return None
        records = await log.read(log.base.index + 1, log.last.index, 1 << 30)
        return log.hard_state, log.base_configuration, log.base, log.last, records


@pytest.mark.parametrize(
    "change",
    [
        "base_index = 9",
        "base_term = 2",
        "base_hash = zeroblob(15)",
        "base_configuration = x'01'",
        "hard_state = x''",
        "checksum = checksum + 1",
        "base_hash = 'text'",
        "base_configuration = 7",
    ],
)
@pytest.mark.parametrize("cut", [0, 10])
async def test_what_the_log_holds_besides_records_is_checked_too(tmp_path: Path, change: str, cut: int) -> None:
    path = tmp_path / "log.db"
    async with StatementLog(path) as log:
        await log.write(extend(Position(), 1, [(UNIT, b"")] * 20), hard_state=b"term 7, voted for n2")
        if cut:
            await log.compact(cut, b"the members")
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(f"UPDATE state SET {change}")
    connection.close()
    with pytest.raises(DataCorrupted, match="where it begins") as raised:
        await read_all(path)
    assert "replace the node" in raised.value.hint


@pytest.mark.parametrize("seed", range(4))
async def test_a_flipped_bit_is_harmless_or_noticed(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    whole = tmp_path / "whole.db"
    records = extend(Position(), 1, [(UNIT, random.randbytes(random.randrange(2_000))) for _ in range(60)])
    async with StatementLog(whole) as log:
        await log.write(records, hard_state=b"term 7, voted for n2")
        await log.compact(10, b"the members")
    said = await read_all(whole)
    assert said is not None
    content = whole.read_bytes()
    noticed = 0
    hints: set[str] = set()
    for number in range(150):
        path = tmp_path / f"{number}.db"
        flipped = bytearray(content)
        flipped[random.randrange(len(content))] ^= 1 << random.randrange(8)
        path.write_bytes(flipped)
        try:
            found = await read_all(path)
        except (DataCorrupted, ConfigError) as error:
            hints.add(error.hint)
            noticed += 1
            continue
        assert found in (None, said)
        noticed += found is None
    assert noticed > 50
    assert "" not in hints, "each says what to do"
