"""What a node with damaged records asks the others, and is answered: two of the messages of `lfsql.core.requests`."""

from __future__ import annotations

import msgspec

from lfsql.core.entry import Record
from lfsql.core.ids import Index


class LogRecords(msgspec.Struct, frozen=True, array_like=True, tag=38):
    """Of records `first`..`last` those that the node has and knows to be committed, for a node whose own are damaged.
    Answered by LogCopies."""

    request: int
    first: Index
    last: Index


class LogCopies(msgspec.Struct, frozen=True, array_like=True, tag=58):
    """Records from the first that was asked for on; none when it is compacted away (it is not after `base`), or not
    known to be committed yet."""

    request: int
    records: tuple[Record, ...] = ()
    base: Index = 0
