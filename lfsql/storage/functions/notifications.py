"""lfsql_notify(channel, payload, pid), which pg_notify and NOTIFY become: what a unit tells when it commits.

The open unit collects; its record in the log carries the list, and the nodes tell proxies from there.  A statement
that only notifies is not logged as text: the list is all that there is of it.  One that writes too runs as text on
every node, where nothing is collected a second time.

As in PostgreSQL, of equal notifications of one transaction the first is told alone, and what is undone by a savepoint
was never notified.  On a reader there is nobody to tell: the statement is refused, and the proxy sends it to the
primary.
"""

from __future__ import annotations

from typing import Any, Final

import apsw

from lfsql.core.entry import Notification
from lfsql.errors import InvalidParameterValue, LimitExceeded, ReadOnlyTransaction
from lfsql.storage.functions.registry import INNOCUOUS

CHANNEL_BYTES_MAX: Final = 63
PAYLOAD_BYTES_MAX: Final = 7_999
UNIT_NOTIFICATIONS_BYTES_MAX: Final = 8 << 20
"""Of one unit: they travel in one record, and reach each client in one piece."""

AROUND_BYTES: Final = 16
"""What a notification takes beside its texts."""


def checked(channel: object, payload: object, pid: object) -> Notification:
    """Raises InvalidParameterValue in PostgreSQL's words.  NULL is '', as there."""
    name, text = (_text(value) for value in (channel, payload))
    if not name:
        raise InvalidParameterValue("channel name cannot be empty")
    if len(name.encode()) > CHANNEL_BYTES_MAX:
        raise InvalidParameterValue("channel name too long")
    if len(text.encode()) > PAYLOAD_BYTES_MAX:
        raise InvalidParameterValue("payload string too long")
    return Notification(name, text, pid if isinstance(pid, int) else 0)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def register_refusal(connection: apsw.Connection) -> None:
    """For readers."""

    def refuse(*_arguments: Any) -> str:
        raise ReadOnlyTransaction("cannot execute pg_notify() in a read-only transaction")

    connection.create_scalar_function("lfsql_notify", refuse, 3, flags=INNOCUOUS)


class Collector:
    """Of one engine; the open unit's."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.bytes_max = UNIT_NOTIFICATIONS_BYTES_MAX
        self._found: dict[Notification, None] = {}
        self._bytes = 0
        self._collecting = False
        connection.create_scalar_function("lfsql_notify", self._notify, 3, flags=INNOCUOUS)

    def restart(self, *, collecting: bool) -> None:
        """A unit begins; one that is applied from the log collects nothing."""
        self._collecting = collecting
        if self._found:
            self.back_to(0)

    def __len__(self) -> int:
        return len(self._found)

    def back_to(self, count: int) -> None:
        """Forget all but the first `count`."""
        while len(self._found) > count:
            notification, _ = self._found.popitem()
            self._bytes -= _size(notification)

    @property
    def found(self) -> tuple[Notification, ...]:
        return tuple(self._found)

    def _notify(self, *arguments: object) -> str:
        notification = checked(*arguments)
        if self._collecting and notification not in self._found:
            self._bytes += _size(notification)
            if self._bytes > self.bytes_max:
                self._bytes -= _size(notification)
                raise LimitExceeded(
                    f"a transaction's notifications take more than {self.bytes_max} bytes",
                    hint="Commit in between.",
                )
            self._found[notification] = None
        return ""


def _size(notification: Notification) -> int:
    return len(notification.channel.encode()) + len(notification.payload.encode()) + AROUND_BYTES
