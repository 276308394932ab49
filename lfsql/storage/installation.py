"""What is left to do when a snapshot has arrived: found again after a crash, and done again from the start.

A snapshot replaces two files, data.db and, where its records do not reach, log.db; no two files change at once.  So
first it is written down, durably, that the snapshot is to be put in place; from then on there is only the way
forward, and the node walks it before it does anything else.  Until then there is only the old state.

    snapshot.in       arrives, is checked, fsynced            crash: thrown away, the old state
    snapshot.json     written                                 crash: all of what follows is done at the next start
    data.db           replaced in one transaction
    snapshot.json     written again: the data is there        crash: what follows is done
    log.db            begins at the snapshot's position, unless it holds that and what follows it
    snapshot.json     removed, then snapshot.in
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from lfsql.core.ids import Position
from lfsql.errors import DataCorrupted, DiskFailed, DiskFull
from lfsql.storage.durable_file import disk_error, remove_file, write_file
from lfsql.storage.snapshot import install_copy, settle


class Installation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`configuration`: the cluster's members at `position`, encoded.  `copied`: data.db is the snapshot."""

    position: Position
    configuration: bytes
    copied: bool = False


def arriving(directory: Path) -> Path:
    """The file in which a snapshot arrives."""
    return directory / "snapshot.in"


def resume(directory: Path) -> Installation | None:
    """At the start of a node, before it opens data.db: do what was begun with it, or throw away what was not.

    Blocks.  Returns the installation whose log is still to be seen to; then end() is due.  Raises DataCorrupted,
    DiskFull, DiskFailed.
    """
    installation = _find(_marker(directory))
    try:
        if installation is None:
            arriving(directory).unlink(missing_ok=True)
    except OSError as error:
        raise DiskFailed(f"the file of a snapshot cannot be removed: {error.strerror}") from error
    if installation is not None:
        copy_data(directory, directory / "data.db", installation)
    return installation


def _find(path: Path) -> Installation | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DiskFailed(f"{path} cannot be read: {error.strerror}") from error
    try:
        return msgspec.json.decode(content, type=Installation)
    except msgspec.MsgspecError as error:
        raise DataCorrupted(
            f"{path} is damaged: {error}",
            hint="Move it away, with data.db, data.db-wal and data.db-shm: the node then asks for a snapshot again.",
        ) from error


def is_begun(directory: Path) -> bool:
    """Whether resume() has something to do: data.db and log.db may not fit each other before it has."""
    return _marker(directory).exists()


def check(directory: Path) -> None:
    """Raises DataCorrupted when resume() would, for what is written down of an installation."""
    _find(_marker(directory))


def begin(directory: Path, installation: Installation) -> None:
    """From now on the snapshot that arrived counts.  Raises DiskFailed, DiskFull."""
    _write(directory, installation)


def copy_data(directory: Path, database: Path, installation: Installation) -> None:
    """Make `database` what the snapshot is, unless it is already.  Blocks.

    Raises DiskFailed: what is there is found out at the next start.  After any other LfsqlError the old content is
    there, and end() gives the snapshot up.
    """
    if not installation.copied:
        install_copy(arriving(directory), database)
        try:
            _write(directory, msgspec.structs.replace(installation, copied=True))
        except DiskFull as error:
            raise DiskFailed(error.message) from error
        settle(database)


def end(directory: Path) -> None:
    """Everything is in place; or, while data.db has its old content, nothing is to be.  Raises DiskFailed."""
    try:
        remove_file(_marker(directory))
        remove_file(arriving(directory))
    except OSError as error:
        raise DiskFailed(f"the files of a snapshot cannot be removed: {error.strerror}") from error


def _marker(directory: Path) -> Path:
    return directory / "snapshot.json"


def _write(directory: Path, installation: Installation) -> None:
    path = _marker(directory)
    try:
        write_file(path, msgspec.json.encode(installation))
    except OSError as error:
        raise disk_error(error, f"{path} cannot be written") from error
