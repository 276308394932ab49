"""A hash over all that a database holds: equal on two nodes that stand at the same log index, or one is wrong.

Over the contents, not the file: pages lie where each node's history put them.  Tables in the order of their names,
rows in that of their keys, each value with its type.  Left out is what may differ without being wrong: the planner's
statistics, when a migration was applied, and columns that are computed when they are read.  What virtual tables hold
is in their shadow tables, which are tables like others.

One pass over every table, in a thread, on a snapshot: writers wait for nothing.  `pace` is called after each chunk
and says how fast it goes.  Indexes are not in the hash; `find_damage` looks at them, and at the pages.

Rejected: sums kept up to date by each write.  They cost every write, say nothing of what the disk did to rows that
nobody wrote, and have to be made anew by a full pass after each ALTER TABLE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import islice
from typing import Final

import apsw
import msgspec

from lfsql.core.ids import HASH_BYTES, Position
from lfsql.errors import DataCorrupted
from lfsql.storage.authorizer import INTERNAL
from lfsql.storage.rerun import Row, own, quoted

CONTENT_BYTES: Final = 16
_CHUNK_ROWS: Final = 128
_VIRTUAL: Final = 2
_LEFT_OUT: Final = frozenset(("_lfsql_migrations", "sqlite_schema", "sqlite_stat1", "sqlite_stat3", "sqlite_stat4"))

_encode: Final = msgspec.msgpack.Encoder().encode


def read_position(connection: apsw.Connection) -> Position:
    """Where in the log the snapshot stands.  Raises DataCorrupted."""
    rows = own(connection, "SELECT applied_index, applied_term, applied_hash FROM _lfsql_state")
    if len(rows) == 1:
        index, term, chain = rows[0]
        if isinstance(index, int) and isinstance(term, int) and isinstance(chain, bytes) and len(chain) == HASH_BYTES:
            return Position(index, term, chain)
    raise DataCorrupted("the database does not say where in the log it stands")


def content_hash(connection: apsw.Connection, pace: Callable[[], None]) -> bytes:
    """CONTENT_BYTES over the snapshot that the connection stands on.

    Raises DataCorrupted when it cannot be read, and what `pace` raises.
    """
    digest = blake2b(digest_size=CONTENT_BYTES)
    try:
        for row in own(
            connection,
            "SELECT type, name, tbl_name, sql FROM main.sqlite_schema"
            " WHERE name NOT LIKE 'sqlite\\_stat%' ESCAPE '\\' ORDER BY type, name",
        ):
            digest.update(_encode(row))
        for name in _tables(connection):
            digest.update(_encode(name))
            rows = _rows(connection, name)
            while chunk := list(islice(rows, _CHUNK_ROWS)):
                digest.update(b"".join(map(_encode, chunk)))
                pace()
    except (apsw.CorruptError, apsw.NotADBError, UnicodeDecodeError) as error:
        raise DataCorrupted("the database cannot be read to its end", detail=str(error)) from error
    return digest.digest()


def find_damage(connection: apsw.Connection) -> str:
    """What SQLite finds wrong with the file's pages, tables and indexes; '' when nothing is.

    Takes as long as reading the whole file; interrupt() ends it with apsw.InterruptError.
    """
    try:
        ((found,),) = own(connection, "PRAGMA main.integrity_check(1)")
    except (apsw.CorruptError, apsw.NotADBError) as error:
        return str(error)
    return "" if found == "ok" else str(found)


def _tables(connection: apsw.Connection) -> list[str]:
    rows = own(
        connection,
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'shadow') ORDER BY name",
    )
    return [str(name) for (name,) in rows if name not in _LEFT_OUT]


def _rows(connection: apsw.Connection, name: str) -> Iterator[Row]:
    columns = own(connection, "SELECT name, pk, hidden FROM pragma_table_xinfo(?, 'main') ORDER BY cid", (name,))
    ((without_rowid,),) = own(
        connection, "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?", (name,)
    )
    read = [quoted(str(column)) for column, _, hidden in columns if hidden != _VIRTUAL]
    if name == "sqlite_sequence":
        order = "name"  # which table's number was drawn first is not in the log
    elif without_rowid:
        keys = sorted((int(str(place)), quoted(str(column))) for column, place, _ in columns if place)
        order = ", ".join(column for _, column in keys)
    else:
        taken = {str(column).lower() for column, _, _ in columns}
        free = [each for each in ("_rowid_", "rowid", "oid") if each not in taken]
        read = free[:1] + read
        order = free[0] if free else ", ".join(f"{column} COLLATE BINARY" for column in read)
    text = f"SELECT {', '.join(read)} FROM main.{quoted(name)} NOT INDEXED ORDER BY {order}"  # noqa: S608 - names of the schema, quoted
    return iter(connection.execute(text, None, prepare_flags=INTERNAL, can_cache=False))
