"""Copies of data.db: made while others write it, checked, and put in place of another data.db while others read that.

*Making one.*  SQLite's backup, on a connection that stands on one snapshot of its own: in WAL mode the writer goes
on, and what it writes does not concern the copy.  The copy is a file, sent from there: a slow receiver holds neither
a snapshot nor the write-ahead log, and one that lost its link goes on where it was.

*Putting it in place.*  Also SQLite's backup, the other way: one transaction that replaces every page.  So whoever
reads data.db, in this process or another, sees the old content until the COMMIT and the new one after it, and a
crash leaves one of the two: that is SQLite's own promise about any transaction.  It costs writing the content twice,
and space for it in the write-ahead log.

Rejected: renaming the new file over the old one.  A reader in another process holds the old file with the old
write-ahead log, one that comes in between opens the old file with the new log or the other way round, and both read a
mixture.  A link to numbered files: every reader would have to look whether it has moved, before every snapshot.
VACUUM INTO: it may number rows anew in tables without an INTEGER PRIMARY KEY, and then nodes differ.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Final
from urllib.parse import quote

import apsw
import msgspec

from lfsql.core.ids import Position
from lfsql.errors import DataCorrupted, DiskFailed, ShuttingDown
from lfsql.storage.authorizer import INTERNAL, Authorizer
from lfsql.storage.faults import translate
from lfsql.storage.opening import open_for_reading
from lfsql.storage.wal_sync import sync_commits

logger: Final = logging.getLogger(__name__)

DIGEST_BYTES: Final = 16
_STEP_PAGES: Final = 256
_READ_BYTES: Final = 1 << 20
_STEPS_A_LOOK: Final = 1_000_000
_BUSY_MS_MAX: Final = 5_000


class Copy(msgspec.Struct, frozen=True):
    """A copy of data.db in a file, `digest` being BLAKE2b-128 of its bytes."""

    position: Position
    bytes_total: int
    digest: bytes


def make_copy(database: Path, target: Path, is_stopped: Callable[[], bool]) -> Copy:
    """Copy `database` as it stands now to a new file `target`.  Blocks, a time in proportion to the size.

    Raises ShuttingDown when `is_stopped()`, DataCorrupted, DiskFull, DiskFailed; `target` is of no use then.
    """
    target.unlink(missing_ok=True)
    try:
        source = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    except apsw.Error as error:
        raise DiskFailed(f"{database} cannot be opened to be copied: {error}") from error
    try:
        source.set_busy_timeout(_BUSY_MS_MAX)
        source.execute("BEGIN")
        position = _position_of(source)
        destination = apsw.Connection(str(target))
        try:
            # A copy that a crash leaves behind is thrown away, so nothing of it needs to be safe.
            destination.execute("PRAGMA journal_mode=OFF")
            destination.execute("PRAGMA synchronous=OFF")
            _transfer(destination, source, is_stopped)
        finally:
            destination.close(True)
    except apsw.Error as error:
        raise translate(error, source, "") from error
    finally:
        source.close(True)
    return Copy(position, target.stat().st_size, _digest_of(target, is_stopped))


def check_copy(path: Path, copy: Copy, is_stopped: Callable[[], bool]) -> None:
    """Whether the file is what it should be: a sound database that stands at `copy.position`.  Blocks.

    Its bytes were compared already; this finds damage that it was copied with.  Raises DataCorrupted, ShuttingDown.
    """
    connection = open_for_reading(_immutable(path), lambda: 0, Authorizer())
    try:
        connection.set_progress_handler(is_stopped, _STEPS_A_LOOK)
        found = _position_of(connection)
        if found != copy.position:
            raise DataCorrupted(f"the snapshot stands at index {found.index}, not at {copy.position.index}")
        rows = connection.execute("PRAGMA quick_check(1)", prepare_flags=INTERNAL).fetchall()
        if rows != [("ok",)]:
            raise DataCorrupted("the snapshot is damaged", detail=str(rows[0][0]) if rows else "")
    except apsw.InterruptError as error:
        raise ShuttingDown("the node is shutting down") from error
    except apsw.Error as error:
        raise translate(error, connection, "") from error
    finally:
        connection.close(True)


def install_copy(path: Path, database: Path) -> None:
    """Give `database`, which nobody else writes, the content of the copy at `path`, durably, in one transaction.

    Blocks.  Raises DiskFull, DiskFailed, DataCorrupted: the old content is there then.
    """
    source = apsw.Connection(_immutable(path), flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    try:
        destination = apsw.Connection(str(database))
        try:
            destination.set_busy_timeout(_BUSY_MS_MAX)
            destination.execute("PRAGMA journal_mode=WAL")
            _transfer(destination, source, lambda: False)
            sync_commits(database)
        except apsw.Error as error:
            raise translate(error, destination, "") from error
        finally:
            destination.close(True)
    finally:
        source.close(True)


def settle(database: Path) -> None:
    """Give back the space that install_copy() took in the write-ahead log.

    When a reader is in the way, or there is no room, a later checkpoint does it.  Blocks.  Raises DiskFailed.
    """
    connection = apsw.Connection(str(database))
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.IOError as error:
        raise translate(error, connection, "") from error
    except apsw.Error as error:
        logger.info("the write-ahead log of %s keeps its size for now: %s", database, error)
    finally:
        connection.close(True)


def _transfer(destination: apsw.Connection, source: apsw.Connection, is_stopped: Callable[[], bool]) -> None:
    with destination.backup("main", source, "main") as backup:
        while not _step(backup):
            if is_stopped():
                raise ShuttingDown("the node is shutting down")


def _step(backup: apsw.Backup) -> bool:
    """Copy some pages; whether that was all."""
    return backup.step(_STEP_PAGES)


def _position_of(connection: apsw.Connection) -> Position:
    rows = connection.execute(
        "SELECT applied_index, applied_term, applied_hash FROM _lfsql_state", prepare_flags=INTERNAL
    ).fetchall()
    if len(rows) != 1:
        raise DataCorrupted("the database does not say where in the log it stands")
    return msgspec.convert(rows[0], Position)


def _digest_of(path: Path, is_stopped: Callable[[], bool]) -> bytes:
    digest = blake2b(digest_size=DIGEST_BYTES)
    try:
        with path.open("rb", buffering=0) as file:
            while data := file.read(_READ_BYTES):
                digest.update(data)
                if is_stopped():
                    raise ShuttingDown("the node is shutting down")
    except OSError as error:
        raise DiskFailed(f"{path} cannot be read: {error.strerror}") from error
    return digest.digest()


def _immutable(path: Path) -> str:
    """As SQLite is told that nobody writes the file, so that it makes none of its own beside it."""
    return f"file:{quote(os.fspath(path.absolute()))}?immutable=1"
