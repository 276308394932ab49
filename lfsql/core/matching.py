"""How a follower fits what the primary sends into its own log.

Raft's Log Matching: records of equal index and term are equal, and so is all before them.  The hash chain
checks that claim instead of trusting it.  A message that contradicts itself is its sender's fault and is not
taken; a message that contradicts a record which cannot differ means that this node's history is damaged or has
diverged, and that it must stop before it serves the difference.
"""

from __future__ import annotations

from collections.abc import Sequence

from lfsql.core.durability import Durability
from lfsql.core.entry import CONFIGURATION, Record
from lfsql.core.ids import Index, Position
from lfsql.core.log import LogTail, chain_fault, position_of
from lfsql.core.membership import decode_configuration
from lfsql.core.messages import Append
from lfsql.errors import DataCorrupted, InvariantBroken


def append_fault(message: Append) -> str:
    """Why no correct primary can have sent this; '' when one can."""
    if message.previous.index < 1 and message.previous != Position():
        return f"its records follow record {message.previous.index}, which cannot exist"
    if message.records and message.records[-1].term > message.term:
        return f"it was sent in term {message.term} with a record of term {message.records[-1].term}"
    for record in message.records:
        if record.kind == CONFIGURATION:
            try:
                decode_configuration(record.body)
            except ValueError as error:
                return f"record {record.index} names no members: {error}"
    return chain_fault(message.previous, message.records)


def fit(log: LogTail, disk: Durability, message: Append, commit: Index) -> Position | None:
    """Take the message's records; when they do not fit, return the newest position that both logs may share.

    Raises DataCorrupted when the message denies what is committed here.
    """
    previous, records = message.previous, message.records
    # Up to the commit index all logs agree, and records before it may not be in memory: pass over them.
    skipped = min(max(commit - previous.index, 0), len(records))
    if skipped:
        previous, records = position_of(records[skipped - 1]), records[skipped:]
    if previous.index < commit:
        return None
    if not _agrees(log, previous):
        if previous.index == commit:
            raise DataCorrupted(f"record {commit} is committed here, but the primary has another")
        return _common_point(log, previous, commit)
    _take(log, disk, records)
    return None


def _agrees(log: LogTail, position: Position) -> bool:
    """Whether the log has the record at `position`, which is not before its commit index.

    Raises DataCorrupted when it has another that claims to be the same.
    """
    own = log.position(position.index)
    if own is None or own.term != position.term:
        return False
    if own.hash != position.hash:
        raise DataCorrupted(f"this node's record {own.index} of term {own.term} is not the primary's")
    return True


def _common_point(log: LogTail, wanted: Position, commit: Index) -> Position:
    hint = log.latest_of_term(min(wanted.index, log.last.index), wanted.term)
    agreed = log.position(max(hint, commit))
    if agreed is None:
        raise InvariantBroken(f"record {max(hint, commit)} is neither committed nor in memory")
    return agreed


def _take(log: LogTail, disk: Durability, records: Sequence[Record]) -> None:
    """Add what is new of `records`, which follow a position that agrees; drop what contradicts them.

    What agrees is left alone, so a message that was late or repeated never shortens the log.
    """
    new = next((at for at, record in enumerate(records) if not _agrees(log, position_of(record))), None)
    if new is None:
        return
    first = records[new].index
    if first <= log.last.index:
        log.truncate(first)
        disk.truncate(first)
    log.append(records[new:])
    disk.append(records[new:])
