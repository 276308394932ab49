"""Many clients' sockets, watched as one.

A task that waits for its own socket pays, for every request, an epoll_ctl and a pass of trio's scheduler: more than
a point read costs.  So sessions park, and one task waits for all their sockets at once, through an epoll of its own
that is edge-triggered and never changed between requests.  What it is woken for, it gives to the session's `on_ready`
there and then; a session whose answer needs no waiting answers in that call and stays parked.

Where there is no epoll, each session waits for its own socket.
"""

from __future__ import annotations

import select
import socket
from typing import Final, Protocol

import trio

EVENTS_MAX: Final = 64
"""Sockets served before other tasks get their turn."""


class Parked(Protocol):
    def on_ready(self) -> None:
        """The socket can be read, or has failed.  Must not wait nor raise."""


class Reactor:
    """`run` must run in a task while sockets are registered."""

    def __init__(self) -> None:
        self._sessions: dict[int, Parked] = {}
        self._epoll = select.epoll() if hasattr(select, "epoll") else None

    @property
    def shared(self) -> bool:
        """Whether sockets are watched here; if not, each session must wait for its own."""
        return self._epoll is not None

    def register(self, sock: socket.socket, session: Parked) -> None:
        if self._epoll is not None:
            self._sessions[sock.fileno()] = session
            self._epoll.register(sock.fileno(), select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)

    def unregister(self, sock: socket.socket) -> None:
        """Before the socket is closed."""
        found = self._sessions.pop(sock.fileno(), None)
        if self._epoll is not None and found is not None and not self._epoll.closed:
            self._epoll.unregister(sock.fileno())

    async def run(self) -> None:
        epoll = self._epoll
        if epoll is None:
            return
        sessions = self._sessions
        try:
            while True:
                await trio.lowlevel.wait_readable(epoll.fileno())
                for descriptor, _ in epoll.poll(0, EVENTS_MAX):
                    session = sessions.get(descriptor)
                    if session is not None:
                        session.on_ready()
        finally:
            epoll.close()
