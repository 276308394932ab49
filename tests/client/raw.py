"""A client that sends what bytes it likes: the protocol without a driver that would forbid them."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.client.conftest import Server

Message = tuple[bytes, bytes]


def startup(server: Server, **more: str) -> bytes:
    pairs = {"user": server.user, "database": server.database, **more}
    body = struct.pack("!i", 196608)
    body += b"".join(f"{key}\0{value}\0".encode() for key, value in pairs.items()) + b"\0"
    return struct.pack("!i", len(body) + 4) + body


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


class Raw:
    """A socket that reads whole backend messages and gives up after ten seconds."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection((server.host, server.port), timeout=10)
        self.pending = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self) -> Message | None:
        """The next message, None when the server closed."""
        while len(self.pending) < 5 or len(self.pending) < 1 + struct.unpack("!i", self.pending[1:5])[0]:
            try:
                data = self.socket.recv(65536)
            except ConnectionError:
                return None
            if not data:
                return None
            self.pending += data
        length = 1 + struct.unpack("!i", self.pending[1:5])[0]
        found = self.pending[:1], self.pending[5:length]
        self.pending = self.pending[length:]
        return found

    def until(self, kind: bytes) -> list[Message]:
        """Messages up to and with the first of `kind`; fails when the server closes before."""
        seen: list[Message] = []
        while not seen or seen[-1][0] != kind:
            found = self.receive()
            assert found is not None, f"closed after {seen}"
            seen.append(found)
        return seen

    def rest(self) -> list[Message]:
        """Everything until the server closes."""
        seen: list[Message] = []
        while (found := self.receive()) is not None:
            seen.append(found)
        return seen


def fields(body: bytes) -> dict[str, str]:
    return {part[:1].decode(): part[1:].decode() for part in body.split(b"\0") if part}


def errors(messages: list[Message]) -> list[str]:
    return [fields(body)["C"] for kind, body in messages if kind == b"E"]


def bind(statement: bytes, *parameters: bytes, portal: bytes = b"") -> bytes:
    body = portal + b"\0" + statement + b"\0\0\0" + struct.pack("!h", len(parameters))
    body += b"".join(struct.pack("!i", len(value)) + value for value in parameters)
    return message(b"B", body + b"\0\0")


SYNC = message(b"S")
