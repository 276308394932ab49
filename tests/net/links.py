"""A listener and links to it, on loopback, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec
import trio

from lfsql.core.requests import Question
from lfsql.net.connection import Connection
from lfsql.net.handshake import Identity
from lfsql.net.listener import Listener, bind

KEY = b"k" * 32
FINGERPRINT = "sqlite-3.54/abc"
MEMBERS = {"n1": "voter", "n2": "voter", "n3": "voter"}
NODE_ONE = Identity("c1", "n1", "node", FINGERPRINT, MEMBERS, "log-one")
NODE_TWO = Identity("c1", "n2", "node", FINGERPRINT, MEMBERS, "log-two")
PROXY = Identity("c1", "", "proxy", FINGERPRINT)
COMMAND = Identity("c1", "", "command")

decode_question = msgspec.msgpack.Decoder(Question).decode

Serve = Callable[[Connection, Identity], Awaitable[None]]


@dataclass
class Served:
    address: str
    listener: Listener


async def hold(connection: Connection, _peer: Identity) -> None:
    """Serve a link by listening only."""
    while True:
        await connection.receive(decode_question)


@asynccontextmanager
async def serving(
    *,
    identity: Identity = NODE_ONE,
    key: bytes = KEY,
    known: Mapping[str, str] | None = None,
    serve_peer: Serve = hold,
    serve_asker: Serve = hold,
    askers_max: int = 8,
    peers_max: int = 4,
    handshake_ms_max: int = 5000,
    frame_bytes_max: int = 1 << 20,
) -> AsyncIterator[Served]:
    listening = bind("127.0.0.1:0")
    address = f"127.0.0.1:{listening.getsockname()[1]}"
    listener = Listener(
        listening,
        identity,
        key,
        known=known,
        serve_peer=serve_peer,
        serve_asker=serve_asker,
        peers_max=peers_max,
        askers_max=askers_max,
        handshake_ms_max=handshake_ms_max,
        frame_bytes_max=frame_bytes_max,
        queue_bytes_max=4 << 20,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.run)
        yield Served(address, listener)
        nursery.cancel_scope.cancel()
