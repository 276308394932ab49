"""That a directory's data.db is not to be shown, written down beside it, so that a restart does not forget.

Not in data.db itself: it may be too damaged to be written.  Whoever puts a sound copy in its place lifts it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from lfsql.errors import DiskFailed
from lfsql.storage.durable_file import disk_error, remove_file, write_file

NAME: Final = "quarantined"


def quarantine(directory: Path, reason: str) -> None:
    """Durable when it returns.  Raises DiskFailed, DiskFull."""
    try:
        write_file(directory / NAME, reason.encode())
    except OSError as error:
        raise disk_error(error, f"{directory / NAME} cannot be written") from error


def quarantined(directory: Path) -> str:
    """Why data.db is not to be shown, '' when it may be.  Raises DiskFailed."""
    try:
        return (directory / NAME).read_text(encoding="utf-8", errors="replace") or "it was quarantined"
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise DiskFailed(f"{directory / NAME} cannot be read: {error.strerror}") from error


def lift(directory: Path) -> None:
    """A sound copy is in its place.  Raises DiskFailed, DiskFull."""
    try:
        remove_file(directory / NAME)
    except OSError as error:
        raise disk_error(error, f"{directory / NAME} cannot be removed") from error
