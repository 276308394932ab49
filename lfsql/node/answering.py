"""One link of a proxy or a command: what every node answers on it, with data or without.

An answer is dropped when the link is gone: whoever asked will ask again, or nobody is left to hear it.  An asker that
does not read its answers loses its link, since what is queued for it is memory that others need.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import Final

from lfsql.core.requests import Answer, ProxyHello
from lfsql.errors import LimitExceeded, LinkLost, QueueFull
from lfsql.net.connection import Connection
from lfsql.net.handshake import Identity

logger: Final = logging.getLogger(__name__)

NEVER_PINGED: Final = (0, 0.0)


class AnsweringLink(ABC):
    """An Asker (see `lfsql.node.work`).  `number` grows in the order in which links were accepted."""

    def __init__(self, number: int, connection: Connection, peer: Identity) -> None:
        self.number = number
        self.peer = peer
        self.hello: ProxyHello | None = None
        """What the proxy at the other end said of itself; None for a command."""
        self.pinged = NEVER_PINGED
        """The number of its last Ping, and when that came, by boot_clock()."""
        self._connection = connection

    def answer(self, message: Answer) -> None:
        """Send an answer.  Dropped when the link is gone; an asker that does not read its answers loses it."""
        try:
            self._connection.send_nowait(message)
        except LinkLost:
            return
        except QueueFull as error:
            logger.warning("a %s does not read its answers, its link is closed: %s", self.peer.role, error.message)
            self._connection.close()
        except LimitExceeded as error:
            self._too_large(message, error)

    def _too_large(self, message: Answer, error: LimitExceeded) -> None:
        """`message` does not fit into a frame."""
        kind = type(message).__name__
        logger.warning("the link of a %s is closed: its %s cannot be sent: %s", self.peer.role, kind, error.message)
        self._connection.close()

    @abstractmethod
    async def serve(self) -> None:
        """Take questions until the link is lost; raises LinkLost, ProtocolViolation."""
