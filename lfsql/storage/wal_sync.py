"""Making sure that what data.db has committed survives a power loss.

data.db is written with synchronous=NORMAL: a COMMIT is in the write-ahead log, and that is fsynced at checkpoints
only.  What a power loss takes is applied again from log.db; so before log.db forgets a record, the commit that
holds it must be on the disk.  One fsync of the write-ahead log does that.  What is no longer in it, because SQLite
began it anew, was copied into the file and fsynced before SQLite did so.

Rejected: a checkpoint.  It is held back by the oldest reader, so one cursor left open would let log.db grow past its
bound; and it writes data.db, while the primary is busy, for what needs no writing.  synchronous=FULL: a second fsync
for each batch, of the same data.
"""

from __future__ import annotations

import os
from pathlib import Path

from lfsql.errors import DiskFailed


def sync_commits(database: Path) -> None:
    """Return when every transaction that was committed before the call is on the disk.  Blocks.

    Raises DiskFailed: nobody knows then what is on the disk, and the process must end.
    """
    wal = database.with_name(f"{database.name}-wal")
    try:
        # Only this file: closing a descriptor of data.db itself would drop the locks of SQLite in this process.
        descriptor = os.open(wal, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # Nothing was written since the file was closed, which copied and fsynced everything.
    except OSError as error:
        raise DiskFailed(f"{wal} cannot be opened: {error.strerror}") from error
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise DiskFailed(f"{wal} could not be made durable: {error.strerror}") from error
    finally:
        os.close(descriptor)
