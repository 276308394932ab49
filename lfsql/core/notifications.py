"""What a proxy asks a node about notifications, and is answered: two of the messages of `lfsql.core.requests`.

They name positions in the log, which are the same on all nodes, so that the next question may go to another node.
"""

from __future__ import annotations

import msgspec

from lfsql.core.entry import Notification
from lfsql.core.ids import Index


class NotificationsAfter(msgspec.Struct, frozen=True, array_like=True, tag=39):
    """What does the log notify of after the record at index `after`?  Answered by Notified: when there is something,
    when the node has waited for `wait_ms_max`, or knows that there is nothing up to `until` (0: not asked for)."""

    request: int
    after: Index
    until: Index = 0
    wait_ms_max: int = 0


class Notified(msgspec.Struct, frozen=True, array_like=True, tag=59):
    """All notifications of the records after the one asked for, up to the one at `upto`, in their order: (index of
    the record, what it notifies of).  With `base` the node has cut its log up to there, and cannot tell."""

    request: int
    upto: Index
    told: tuple[tuple[Index, tuple[Notification, ...]], ...] = ()
    base: Index = 0
