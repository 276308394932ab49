"""The numbers and names everything else is written in.

Plain aliases, not wrapper classes: they sit in every log record and message, where a wrapper's allocation
would be paid on each of them.
"""

from __future__ import annotations

import msgspec

NodeId = str
"""A node's name, unique in its cluster, e.g. ``n1``.  '' means none or unknown."""

Term = int
"""An election's number, from 1; 0 means no term yet."""

Index = int
"""A record's place in the log, from 1; 0 means before the first."""

Hash = bytes
"""A chain hash: 16 bytes of BLAKE2b."""

HASH_BYTES = 16
ZERO_HASH: Hash = bytes(HASH_BYTES)


class Position(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A point in the log.  Two nodes at equal positions have equal databases."""

    index: Index = 0
    term: Term = 0
    hash: Hash = ZERO_HASH
