"""Whether a stopped node's files are what they must be: each in itself, and the two with each other.

Reads everything and changes nothing.  Only APSW opens the files here, log.db too: the node, which opens that one with
another SQLite library, is not in this process, and the caller sees to it that it is not in any.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw
import msgspec

from lfsql.core.ids import Index, Position
from lfsql.errors import ConfigError, DataCorrupted
from lfsql.storage import installation
from lfsql.storage.authorizer import INTERNAL, Authorizer
from lfsql.storage.content import content_hash, find_damage, read_position
from lfsql.storage.faults import DAMAGED_HINT, MISFIT_HINT, REPLACE_HINT
from lfsql.storage.log_rows import is_state_intact, verify
from lfsql.storage.opening import open_for_reading
from lfsql.storage.rerun import own

_SHOWN: Final = 5
_RECORDS_HINT: Final = "Start the node: it takes no part until it has these records from another node."


class DirectoryReport(msgspec.Struct, frozen=True):
    """`faults` says in words all that is wrong, `advice` what to do; None where something could not be found out."""

    log_base: Index | None = None
    """Records after this one are in the log."""
    log_last: Index | None = None
    applied_index: Index | None = None
    content: str | None = None
    """The content hash at `applied_index`, in hexadecimal."""
    faults: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()


def check_directory(directory: Path, pace: Callable[[], None]) -> DirectoryReport:
    """Raises ConfigError when a file is not there or may not be read.  A witness has no data.db: that is no fault."""
    faults: list[str] = []
    advice: dict[str, None] = {}
    applied: Position | None = None
    content: str | None = None
    if (directory / "data.db").exists() or not (directory / "log.db").exists():
        try:
            connection = open_for_reading(directory / "data.db", lambda: 0, Authorizer())
            try:
                own(connection, "BEGIN")
                applied = read_position(connection)
                content = content_hash(connection, pace).hex()
                if damage := find_damage(connection):
                    faults.append(f"data.db: {damage}")
            finally:
                connection.close(True)
        except (DataCorrupted, apsw.Error) as error:
            faults.append(f"data.db: {_words(error)}")
    if faults:
        advice[DAMAGED_HINT] = None
    base, last = None, None
    try:
        base, last = _check_log(directory / "log.db", applied, faults, advice)
    except (DataCorrupted, apsw.Error, TypeError, ValueError) as error:
        faults.append(f"log.db: {_words(error)}")
        advice[REPLACE_HINT] = None
    try:
        installation.check(directory)
    except DataCorrupted as error:
        faults.append(error.message)
        advice[error.hint] = None
    return DirectoryReport(
        None if base is None else base.index,
        None if last is None else last.index,
        None if applied is None else applied.index,
        content,
        tuple(faults),
        tuple(advice),
    )


def position_of_sound(database: Path) -> Position:
    """Where a data.db stands, read to its end.  Blocks.  Raises DataCorrupted, ConfigError."""
    connection = open_for_reading(database, lambda: 0, Authorizer())
    try:
        position = read_position(connection)
        damage = find_damage(connection)
    except apsw.Error as error:
        raise DataCorrupted(str(error)) from error
    finally:
        connection.close(True)
    if damage:
        raise DataCorrupted(damage)
    return position


def _check_log(
    path: Path, applied: Position | None, faults: list[str], advice: dict[str, None]
) -> tuple[Position, Position]:
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    except apsw.CantOpenError as error:
        raise ConfigError(f"cannot open {path}", detail=str(error), hint=REPLACE_HINT) from error
    try:
        own(connection, "PRAGMA cell_size_check=ON")
        own(connection, "BEGIN")
        (row,) = connection.execute(
            "SELECT base_index, base_term, base_hash, base_configuration, hard_state, checksum FROM state"
        )
        base = Position(*row[:3])
        if not is_state_intact(row):
            faults.append("log.db: what the node voted for, or where the log begins, is damaged")
            advice[REPLACE_HINT] = None
        last, damaged = verify(
            base,
            connection.execute(
                "SELECT log_index, term, kind, hash, body, checksum FROM records ORDER BY log_index",
                prepare_flags=INTERNAL,
            ),
        )
        if damaged:
            shown = ", ".join(map(str, damaged[:_SHOWN])) + (", …" if len(damaged) > _SHOWN else "")
            faults.append(f"log.db: records {shown} are missing, damaged, or no continuation of those before")
            advice[_RECORDS_HINT] = None
        if damage := find_damage(connection):
            faults.append(f"log.db: {damage}")
            advice[REPLACE_HINT] = None
        if applied is not None and (fault := _misplaced(connection, base, last, applied)):
            faults.append(fault)
            advice[MISFIT_HINT] = None
        return base, last
    finally:
        connection.close(True)


def _misplaced(connection: apsw.Connection, base: Position, last: Position, applied: Position) -> str:
    """What is wrong with where data.db says that it stands; '' when nothing is."""
    if applied == base:
        return ""
    if not base.index <= applied.index <= last.index:
        return f"data.db stands at index {applied.index}, log.db holds {base.index + 1} to {last.index}"
    rows = own(connection, "SELECT term, hash FROM records WHERE log_index = ?", (applied.index,))
    if rows != [(applied.term, applied.hash)]:
        return f"data.db was made from another record {applied.index} than the one in log.db"
    return ""


def _words(error: Exception) -> str:
    detail = error.detail if isinstance(error, DataCorrupted) else ""
    return f"{error} ({detail})" if detail else str(error)
