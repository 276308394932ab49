"""A record as a row of the statement log, and what tells a right row from a damaged one.

Each row has a checksum, which tells a damaged row from a broken chain.  Nothing here knows of SQLite, so that the
simulator keeps its logs in the same form, damages them, and reads them back by the same rules.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from lfsql.core.entry import Record, chain_hash
from lfsql.core.ids import Hash, Index, Position
from lfsql.errors import DataCorrupted, InvariantBroken

DAMAGED_MAX: Final = 1_000

Row = tuple[Any, ...]
"""(log_index, term, kind, hash, body, checksum); a damaged one may hold values of any type."""

_HEADER: Final = struct.Struct(">QQQ")


def row_of(record: Record) -> Row:
    fields = (record.index, record.term, record.kind, record.hash, record.body)
    return (*fields, _checksum(*fields))


def is_intact(row: Row) -> bool:
    try:
        return bool(_checksum(*row[:5]) == row[5])
    except (TypeError, struct.error):
        return False


def links(previous: Hash, row: Row) -> bool:
    """Whether the row continues the chain that stands at `previous`."""
    index, term, kind, chain, body, _ = row
    return bool(chain_hash(previous, index, term, kind, body) == chain)


def may_follow(base: Position, at: Row | None, after: Row | None) -> bool:
    """Whether what a log holds after `base`, which is committed, may be its continuation.

    `at`: what the log holds in its place, `after`: the record after it; None when missing.  What is damaged says
    nothing; what is intact and contradicts was never counted on by anybody, nor was what follows it.
    """
    if at is not None and is_intact(at):
        return Position(at[0], at[1], at[3]) == base
    return after is None or not is_intact(after) or links(base.hash, after)


def follow(last: Position, records: Sequence[Record]) -> Position:
    """The position after `records`.  Raises InvariantBroken when they do not continue the chain."""
    chain: Hash = last.hash
    index = last.index
    term = last.term
    for record in records:
        index += 1
        if record.index != index or record.term < term:
            raise InvariantBroken(f"record {record.index} of term {record.term} cannot follow {index - 1} of {term}")
        chain = chain_hash(chain, index, record.term, record.kind, record.body)
        if chain != record.hash:
            raise InvariantBroken(f"record {index} does not continue the chain")
        term = record.term
    return Position(index, term, chain)


def verify(base: Position, rows: Iterable[Row], *, linked: bool = True) -> tuple[Position, tuple[Index, ...]]:
    """Check every row of a log that begins after `base`, in order: where it ends, and the records that are missing,
    fail their checksum or break the chain (the first DAMAGED_MAX).

    `linked`: the first row must continue the chain at `base`; False when the hash there is not known.
    Raises DataCorrupted when a row stands before the base.
    """
    damaged: set[Index] = set()
    previous: Position | None = base if linked else None
    last = base
    for row in rows:
        index = row[0]
        if index <= base.index:
            raise DataCorrupted(f"the statement log holds record {index}, before its base {base.index}")
        missing = range(last.index + 1, index)
        if missing:
            previous = None
        found: set[Index] = set(missing[:DAMAGED_MAX])
        last = Position(index, row[1], row[3])
        if not is_intact(row):
            found.add(index)
            previous = None
        else:
            if previous is not None and not links(previous.hash, row):
                found |= {previous.index, index} - {base.index}
            previous = last
        if len(damaged) < DAMAGED_MAX:
            damaged |= found
    return last, tuple(sorted(damaged)[:DAMAGED_MAX])


def state_checksum(base: Position, configuration: bytes, hard_state: bytes) -> int:
    """Of what the log holds besides records.  A log that was never cut begins nowhere, which needs no checksum: so
    those of before bases had one are right.
    """
    begins = b"" if base == Position() and not configuration else msgspec.msgpack.encode((base, configuration))
    return zlib.crc32(hard_state, zlib.crc32(begins))


def is_state_intact(row: Row) -> bool:
    """The row of `state`, base's index, term and hash, configuration, hard state, checksum; a damaged one may hold
    values of any type."""
    index, term, chain, configuration, hard_state, checksum = row
    try:
        return bool(state_checksum(Position(index, term, chain), configuration, hard_state) == checksum)
    except TypeError:
        return False


def _checksum(index: Index, term: int, kind: int, chain: Hash, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(chain, zlib.crc32(_HEADER.pack(index, term, kind))))
