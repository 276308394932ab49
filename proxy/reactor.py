"""Many clients' sockets, watched as one.

A task that waits for its own socket pays, for every request, an epoll_ctl and a pass of trio's scheduler: more than
a point read costs.  So sessions park, and one task waits for all their sockets at once, through an epoll of its own
that is edge-triggered and never changed between requests.  What it is woken for, it gives to the session's `on_ready`
there and then; a session whose answer needs no waiting answers in that call and stays parked.

The links to the nodes are watched with them: an answer that comes while clients are being served, as the primary's to
a held transaction does, is passed on without going to sleep in between.

Where there is no epoll, each session and each link waits for its own socket.
"""

from __future__ import annotations

import select
import socket
from typing import Final, Protocol

import trio

EVENTS_MAX: Final = 64
PASSES_MAX: Final = 8
"""So many sockets, so often, are served before other tasks get their turn."""


class Watched(Protocol):
    def on_ready(self) -> None:
        """The socket can be read, or has failed.  Must not wait nor raise."""


class Parked(Watched, Protocol):
    def send_now(self, data: bytes) -> bool:
        """Send without waiting; False when the task must see to the rest."""

    def wake(self) -> None:
        """Let the session's task run."""


class Reactor:
    """`run` must run in a task while sockets are registered."""

    def __init__(self) -> None:
        self._watched: dict[int, Watched] = {}
        self._deferred: list[tuple[Parked, bytes]] | None = None
        self._epoll = select.epoll() if hasattr(select, "epoll") else None

    @property
    def shared(self) -> bool:
        """Whether sockets are watched here; if not, each session must wait for its own."""
        return self._epoll is not None

    def register(self, sock: socket.socket, watched: Watched) -> None:
        if self._epoll is not None:
            self._epoll.register(sock.fileno(), select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)
            self._watched[sock.fileno()] = watched

    def unregister(self, sock: socket.socket) -> None:
        """Before the socket is closed."""
        found = self._watched.pop(sock.fileno(), None)
        if self._epoll is not None and found is not None and not self._epoll.closed:
            self._epoll.unregister(sock.fileno())

    def defer(self, session: Parked, data: bytes) -> bool:
        """Keep an answer until all that is readable has been read: clients then wake up to several at once, instead
        of taking the processor after each.  False when it must be sent at once."""
        if self._deferred is None:
            return False
        self._deferred.append((session, data))
        return True

    async def run(self) -> None:
        epoll = self._epoll
        if epoll is None:
            return
        try:
            while True:
                await trio.lowlevel.wait_readable(epoll.fileno())
                for _ in range(PASSES_MAX):
                    events = epoll.poll(0, EVENTS_MAX)
                    if not events:
                        break
                    self._serve(events)
        finally:
            epoll.close()

    def _serve(self, events: list[tuple[int, int]]) -> None:
        deferred = self._deferred = []
        for descriptor, _ in events:
            watched = self._watched.get(descriptor)
            if watched is not None:
                watched.on_ready()
        self._deferred = None
        for session, data in deferred:
            if not session.send_now(data):
                session.wake()
