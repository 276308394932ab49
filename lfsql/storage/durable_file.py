"""Small files that say what a directory's databases are: after a crash there is the old one or the new one, whole.

Written beside, fsynced, renamed, and the directory fsynced: a name is durable only when its directory is.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from lfsql.errors import DiskFailed, DiskFull, LfsqlError


def write_file(path: Path, content: bytes) -> None:
    """Put a file with `content` at `path`, durably.  Raises OSError."""
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_directory(path.parent)


def remove_file(path: Path) -> None:
    """Remove the file, durably; that there is none is no error.  Raises OSError."""
    path.unlink(missing_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the directory's names durable.  Raises OSError."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def require_space(directory: Path, bytes_min: int, what: str) -> None:
    """Raises DiskFull, naming `what`, when there is less room in the directory's file system."""
    found = os.statvfs(directory)
    free = found.f_bavail * found.f_frsize
    if free < bytes_min:
        raise DiskFull(f"{what} needs {bytes_min} bytes of disk space in {directory}, there are {free}")


def disk_error(error: OSError, what: str) -> LfsqlError:
    """The error as one of ours, DiskFull or DiskFailed; `what` did not go."""
    kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else DiskFailed
    return kind(f"{what}: {error.strerror}")
