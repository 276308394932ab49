"""The space that log.db takes on the disk: what cut records leave free is given back, a little at a time.

A file of SQLite never shrinks by itself.  Cut records leave free pages, which the next records take, so a log that
is cut as fast as it grows needs nothing done.  After a burst, or a snapshot that had to be waited for, far more is
free than will be taken again soon.  Then pages from the file's end are moved into free ones, as many as one short
transaction can, between other calls; SQLite keeps for that purpose which page each page is referred to from
(auto_vacuum=INCREMENTAL), which is settled when a file is made.  A log.db made without it works as it is, and keeps
its size.

Rejected: VACUUM, which writes the whole log anew, while nothing can be appended.  auto_vacuum=FULL, which moves pages
in every transaction that frees some.
"""

from __future__ import annotations

from typing import Final

from lfsql.storage.aiosqlite_trio import Blocking

STEP_PAGES: Final = 64
"""Moved in one transaction: with 4 KiB each it takes a disk about as long as one larger append."""


def keep_references(connection: Blocking) -> None:
    """Before anything else is done with a file: when it is new, have it shrink later.  Does nothing to others."""
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL").fetchall()


def give_back(connection: Blocking, free_bytes_max: int) -> bool:
    """Shrink the file by one step while more than `free_bytes_max` is free; whether there may be more to do."""
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (mode,) = connection.execute("PRAGMA auto_vacuum").fetchone()
    over = free - free_bytes_max // page_bytes
    if not mode or over <= 0:
        return False
    connection.execute(f"PRAGMA incremental_vacuum({min(over, STEP_PAGES)})").fetchall()
    if over > STEP_PAGES:
        return True
    # What the last steps took off the file's end is there until they are copied from the write-ahead log.
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    return False
