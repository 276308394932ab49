"""Sending to a client's socket, which is non-blocking, at the client's own speed."""

from __future__ import annotations

import socket

import trio


class ClientGone(Exception):
    """The client closed its connection, or the network did."""


async def send_all(sock: socket.socket, data: bytes) -> None:
    """Raises ClientGone."""
    try:
        sent = sock.send(data)
    except BlockingIOError:
        sent = 0
    except ConnectionError as error:
        raise ClientGone from error
    if sent == len(data):
        return
    rest = memoryview(data)[sent:]
    while rest:
        await trio.lowlevel.wait_writable(sock)
        try:
            sent = sock.send(rest)
        except BlockingIOError:
            continue
        except ConnectionError as error:
            raise ClientGone from error
        rest = rest[sent:]
