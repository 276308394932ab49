"""Which copy of the data is of use to whom: what a node that fetches one and the primary that gives it decide.

Apart from both, since neither the files nor the links that a copy takes decide anything.  Three things could go
wrong, and each loses what was acknowledged: a copy that is older than what its receiver has; one whose successors in
the log nobody has any more; and one that another engine wrote, which may read it differently.
"""

from __future__ import annotations

from lfsql.core.ids import Index
from lfsql.core.requests import SnapshotHeader


def least_of_use(applied: Index, base: Index) -> Index:
    """Where a copy must stand, at least, for a node whose data stands at `applied` and whose log begins after `base`:
    not before either, or its log would have to go back, and with it what the node has acknowledged.
    """
    return max(applied, base)


def is_of_use(stands: Index, least: Index, base: Index) -> bool:
    """Whether a copy that stands at `stands` helps who needs one at `least` or later.  `base`: of the giver's log, in
    which the records after the copy must be.
    """
    return stands >= max(least, base)


def refusal(header: SnapshotHeader, fingerprint: str, least: Index) -> str:
    """Why the copy offered is not to be taken by a node with this engine's `fingerprint`; '' when it is."""
    if header.fingerprint != fingerprint:
        return f"is of '{header.fingerprint}', this node of '{fingerprint}'"
    if header.position.index < least:
        return "is older than this node's data"
    return ""
