"""The node's listener: accepts connections, has them prove themselves, and keeps strangers out of peers' way.

Three separate limits, so that a flood of logins can never push out a peer and so cause an election:

- connections that have not proved anything yet: when there are too many, the oldest is dropped, so a peer that
  redials in the middle of a flood still gets its turn;
- links of peers: one per node and direction, bounded by the cluster's size;
- links of proxies and commands: beyond the limit a new one is refused.

Established links of peers share nothing with these but the process.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

import trio

from lfsql.core.ids import NodeId
from lfsql.errors import AddressInUse, ConfigError, LinkLost, LinkRefused, ProtocolViolation
from lfsql.net.connection import Connection
from lfsql.net.handshake import HANDSHAKE_FRAME_BYTES_MAX, NODE, Identity, perform

_BACKLOG: Final = 256
_STRANGERS_MAX: Final = 64
_SAY_AGAIN_S: Final = 60.0
_SAID_MAX: Final = 64
_NO_DESCRIPTORS: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

logger: Final = logging.getLogger(__name__)

ServeLink = Callable[[Connection, Identity], Awaitable[None]]
"""Serves one authenticated connection inside its `carry`; the listener closes it afterwards.  May raise LinkLost and
ProtocolViolation, as receiving does, and LinkRefused."""


def bind(address: str) -> socket.socket:
    """A listening socket on `address` ("host:port"; port 0 = any).

    Raises AddressInUse when the port is taken, ConfigError when the address cannot be listened on.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, int(port)))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(
                f"cannot listen on {address}: the port is in use",
                hint="another node may be running; choose another port or stop it",
            ) from error
        raise ConfigError(f"cannot listen on {address}: {error.strerror or error}") from error
    listening.setblocking(False)
    return listening


class Listener:
    """Serves one listening socket until cancelled.  The socket is closed at the end.

    `known`: the incarnations of other nodes, kept up to date by its owner; see `handshake.incompatible`.
    """

    def __init__(
        self,
        listening: socket.socket,
        identity: Identity,
        key: bytes,
        *,
        known: Mapping[NodeId, str] | None = None,
        serve_peer: ServeLink,
        serve_asker: ServeLink,
        peers_max: int,
        askers_max: int,
        handshake_ms_max: int,
        frame_bytes_max: int,
        queue_bytes_max: int,
    ) -> None:
        self._listening = listening
        self._identity = identity
        self._key = key
        self._known = known
        self._serve_peer = serve_peer
        self._serve_asker = serve_asker
        self._peers_max = peers_max
        self._askers_max = askers_max
        self._handshake_ms_max = handshake_ms_max
        self._frame_bytes_max = frame_bytes_max
        self._queue_bytes_max = queue_bytes_max
        self._strangers: OrderedDict[int, Connection] = OrderedDict()
        self._said: dict[str, float] = {}
        """Refusals that were logged, and when."""
        self._accepted = 0
        self._peers = 0
        self._askers = 0
        self._one_closed = trio.Event()

    async def run(self) -> None:
        """Accept until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    await trio.lowlevel.wait_readable(self._listening)
                    await self._accept_waiting(nursery)
        finally:
            self._listening.close()

    async def _accept_waiting(self, nursery: trio.Nursery) -> None:
        while True:
            try:
                connected, _ = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_DESCRIPTORS:
                    await self._wait_for_descriptor(error)
                    return
                logger.debug("a connection went away before it was accepted: %s", error)
                continue
            self._accepted += 1
            if len(self._strangers) >= _STRANGERS_MAX:
                _, oldest = self._strangers.popitem(last=False)
                oldest.close()
            connection = Connection(
                connected,
                frame_bytes_max=HANDSHAKE_FRAME_BYTES_MAX,
                queue_bytes_max=2 * HANDSHAKE_FRAME_BYTES_MAX,
            )
            self._strangers[self._accepted] = connection
            nursery.start_soon(self._serve, self._accepted, connection)

    async def _wait_for_descriptor(self, error: OSError) -> None:
        logger.warning("cannot accept connections: %s", error.strerror)
        if self._strangers:
            _, oldest = self._strangers.popitem(last=False)
            oldest.close()
        # Descriptors may also come free elsewhere in the process, which nobody would tell us: hence the time.
        self._one_closed = trio.Event()
        with trio.move_on_after(0.2):
            await self._one_closed.wait()

    async def _serve(self, number: int, connection: Connection) -> None:
        try:
            peer = await perform(
                connection,
                dialing=False,
                identity=self._identity,
                key=self._key,
                handshake_ms_max=self._handshake_ms_max,
                known=self._known,
            )
            self._strangers.pop(number, None)
            connection.allow(frame_bytes_max=self._frame_bytes_max, queue_bytes_max=self._queue_bytes_max)
            await self._serve_known(connection, peer)
        except LinkLost as error:
            logger.debug("a link ended: %s", error)
        except (LinkRefused, ProtocolViolation) as error:
            self._say(error.message)
        finally:
            self._strangers.pop(number, None)
            connection.close()
            self._one_closed.set()

    def _say(self, why: str) -> None:
        """Once a minute: who is refused dials again, several times a second."""
        now = trio.current_time()
        if now - self._said.get(why, -_SAY_AGAIN_S) < _SAY_AGAIN_S:
            return
        if len(self._said) >= _SAID_MAX:
            self._said.clear()
        self._said[why] = now
        logger.warning("a link was refused or broken off: %s", why)

    async def _serve_known(self, connection: Connection, peer: Identity) -> None:
        if peer.role == NODE:
            if self._peers >= self._peers_max:
                raise LinkRefused(f"{self._peers_max} links of nodes are open already")
            self._peers += 1
            try:
                await connection.carry(partial(self._serve_peer, connection, peer))
            finally:
                self._peers -= 1
        else:
            if self._askers >= self._askers_max:
                raise LinkRefused(f"{self._askers_max} links of proxies and commands are open already")
            self._askers += 1
            try:
                await connection.carry(partial(self._serve_asker, connection, peer))
            finally:
                self._askers -= 1
