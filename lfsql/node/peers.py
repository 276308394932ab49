"""Links to the other nodes.

Each node dials each other: what a node says goes out on the connection it dialed, what it hears comes in on those
it accepted.  Two connections a pair instead of one, and in return no tie to break about whose connection counts,
and a half-dead one harms one direction only.

Nothing is queued for a peer that is not connected, and little for one that is slow: consensus repeats what still
matters, and an old message is worth nothing.  When a peer dials us, our own next attempt to dial it starts at once:
it has just proved to be there.

Whoever has nothing to say on a link says Alive from time to time, and a link on which nothing was heard for long is
closed: of a peer that lost power, or of a cut network, TCP tells nothing to who only listens.

Who belongs changes while the node runs (`set_members`).  Whoever proved the cluster's key may speak all the same,
unless `refusal` has something against it: a node that is behind does not know all members yet, the primary among
them perhaps. Each says in the handshake where it can be reached, so it can be dialed back.

Each peer's first log.db is remembered (`StatementLog.remember`) before anything it says is heeded: it may be a vote.

A copy of a node's directory, started beside it, has the same name and the same log.db, and votes twice.  What tells
the two apart is that a node which opens a link has given up the one before: that one ends, or is silent.  So a new
link waits for that, and is refused while the older one is spoken on.  Rejected: letting the newer link take the place
of the older.  Two processes then take it from each other for ever, and nobody says why.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from secrets import SystemRandom
from typing import Final

import msgspec
import trio

from lfsql.core.effects import Input, PeerConnected, PeerLost, PeerSends, Received
from lfsql.core.ids import NodeId
from lfsql.core.messages import Alive, CheckContent, ContentChecked, NotHeard, PeerMessage, SnapshotNeeded
from lfsql.errors import LfsqlError, LinkLost, LinkRefused, ProtocolViolation, QueueFull
from lfsql.net.connection import Connection
from lfsql.net.handshake import Identity
from lfsql.net.link import connect

logger: Final = logging.getLogger(__name__)

_BACKOFF_MIN: Final = 0.05
_BACKOFF_MAX: Final = 2.0
_GIVEN_UP_TIMES: Final = 3
"""Of so many signs of life that fall due at least one comes, as one in two is skipped where something was said."""

_decode: Final = msgspec.msgpack.Decoder(PeerMessage).decode
_draw: Final = SystemRandom().random


class Peer:
    """One other node: our link to it."""

    def __init__(self, node: NodeId, address: str) -> None:
        self.node = node
        self.address = address
        self.connection: Connection | None = None
        self.incoming: set[Connection] = set()
        self.spoken = False
        """Something was sent since the last look."""
        self.dropped = 0
        """Messages that found no room since the last look."""
        self.heard_at = 0.0
        self.wake = trio.Event()
        self.gave_up = trio.Event()
        """One of `incoming` ended."""
        self.refusal = ""
        self.barred = ""
        """Why it may not speak with this node any more; '' when it may."""
        self.is_member = True
        self.dialing = trio.CancelScope()


class Peers:
    """All other nodes.  `run` must run in a task; `serve` runs for each link that a peer opened."""

    def __init__(
        self,
        addresses: Mapping[NodeId, str],
        identity: Identity,
        key: bytes,
        *,
        step: Callable[[Input], None],
        snapshot_needed: Callable[[NodeId, SnapshotNeeded], None],
        content: Callable[[NodeId, CheckContent | ContentChecked], None],
        came: Callable[[], None],
        known: Mapping[NodeId, str],
        remember: Callable[[NodeId, str], Awaitable[str]],
        refusal: Callable[[NodeId], str],
        speak_s: float,
        silence_s_max: float,
        frame_bytes_max: int,
        queue_bytes_max: int,
    ) -> None:
        """Calls from links come from the event loop, and must neither wait nor raise.

        `step`: consensus' input.  `snapshot_needed`, `content`: what is not for consensus.  `came`: there is a link
        to another node again.  `known`, `remember`: the first log.db met under each name (see StatementLog).
        `refusal`: why a node that is no member may not speak, '' when it may.  `speak_s`: after so many seconds of
        silence a node says that it lives; `silence_s_max`: after so many its links are closed.
        """
        self._peers = {node: Peer(node, address) for node, address in addresses.items()}
        self._identity = identity
        self._key = key
        self._step = step
        self._snapshot_needed = snapshot_needed
        self._content = content
        self._came = came
        self._known = known
        self._remember = remember
        self._refusal = refusal
        self._nursery: trio.Nursery | None = None
        self._speak_s = speak_s
        self._silence_s_max = silence_s_max
        self._frame_bytes_max = frame_bytes_max
        self._queue_bytes_max = queue_bytes_max

    def send(self, to: NodeId, message: PeerMessage) -> None:
        """Send to a peer that is connected; otherwise drop the message."""
        peer = self._peers.get(to)
        if peer is None or peer.connection is None:
            return
        try:
            peer.connection.send_nowait(message)
            peer.spoken = True
        except LinkLost:
            return
        except QueueFull:
            peer.dropped += 1

    def connected(self, node: NodeId) -> bool:
        peer = self._peers.get(node)
        return peer is not None and peer.connection is not None

    def address(self, node: NodeId) -> str:
        """Where it is; '' when that is not known."""
        peer = self._peers.get(node)
        return "" if peer is None else peer.address

    def close(self, node: NodeId, refusal: str = "") -> None:
        """Close the links to and from `node`; both ends will dial again, in vain when there is a `refusal`."""
        peer = self._peers.get(node)
        if peer is None:
            return
        peer.barred = f"node '{node}' is refused: {refusal}" if refusal else ""
        for connection in (*peer.incoming, peer.connection):
            if connection is not None:
                connection.close()

    def set_members(self, addresses: Mapping[NodeId, str]) -> None:
        """From now on these belong.  One that does no longer is let go after a while: it is to hear of it first."""
        for node, address in addresses.items():
            if node in self._peers:
                self._peers[node].is_member = True
            else:
                self._add(Peer(node, address))
        for node, peer in self._peers.items():
            if node not in addresses and peer.is_member:
                self._to_be_let_go(peer)

    async def run(self) -> None:
        """Dial every peer, again whenever its link is lost, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for peer in self._peers.values():
                nursery.start_soon(self._keep_connected, peer)
                if not peer.is_member:
                    nursery.start_soon(self._let_go, peer)
            nursery.start_soon(self._speak_and_listen)

    def _add(self, peer: Peer) -> None:
        self._peers[peer.node] = peer
        if self._nursery is not None:
            self._nursery.start_soon(self._keep_connected, peer)

    def _to_be_let_go(self, peer: Peer) -> None:
        peer.is_member = False
        if self._nursery is not None:
            self._nursery.start_soon(self._let_go, peer)

    async def _let_go(self, peer: Peer) -> None:
        """Dial no more, and hear no more, whom there is something against, once it had time to hear of that.  Whom
        there is nothing against may be a member that this node does not know of yet.
        """
        while not peer.is_member and self._peers.get(peer.node) is peer:
            await trio.sleep(self._silence_s_max)
            if not peer.is_member and self._refusal(peer.node):
                del self._peers[peer.node]
                peer.dialing.cancel()
                for connection in peer.incoming:
                    connection.close()
                return

    async def serve(self, connection: Connection, identity: Identity) -> None:
        """Hear a peer.  Raises LinkLost, ProtocolViolation; LinkRefused when the node is not of this cluster."""
        try:
            peer = await self._let_in(identity)
        except LinkRefused as error:
            connection.send_nowait(NotHeard(error.message))
            connection.uncork()
            raise
        peer.address = identity.address or peer.address
        peer.incoming.add(connection)
        peer.heard_at = trio.current_time()
        peer.wake.set()
        try:
            await self._know(identity)
            while True:
                messages = await connection.receive(_decode)
                peer.heard_at = trio.current_time()
                if not messages:
                    self._step(PeerSends(peer.node))
                for message in messages:
                    if isinstance(message, Alive):
                        continue
                    if isinstance(message, SnapshotNeeded):
                        self._snapshot_needed(peer.node, message)
                    elif isinstance(message, CheckContent | ContentChecked):
                        self._content(peer.node, message)
                    else:
                        self._step(Received(peer.node, message))
        finally:
            peer.incoming.discard(connection)
            peer.gave_up.set()

    async def _let_in(self, identity: Identity) -> Peer:
        """Who speaks on a new link.  Raises LinkRefused."""
        peer = self._peers.get(identity.node)
        if (peer is None or not peer.is_member) and (why := self._refusal(identity.node)):
            raise LinkRefused(why)
        if peer is None:
            peer = Peer(identity.node, identity.address)
            self._add(peer)
            self._to_be_let_go(peer)
        await self._wait_given_up(peer)
        if peer.barred:
            raise LinkRefused(peer.barred)
        return peer

    async def _wait_given_up(self, peer: Peer) -> None:
        """Return when no older link of the peer is spoken on, or raise LinkRefused."""
        since = trio.current_time()
        with trio.move_on_after(_GIVEN_UP_TIMES * self._speak_s):
            while peer.incoming:
                peer.gave_up = trio.Event() if peer.gave_up.is_set() else peer.gave_up
                await peer.gave_up.wait()
        # What was on its way when it was given up comes at once.
        if peer.incoming and peer.heard_at > since + self._speak_s / 2:
            raise LinkRefused(
                f"node '{peer.node}' speaks on another link at the same time: a copy of its directory is in use, "
                "too; stop one of the two processes"
            )
        for older in peer.incoming:
            older.close()

    async def _know(self, identity: Identity) -> None:
        first = await self._remember(identity.node, identity.incarnation)
        if first != identity.incarnation:
            raise LinkRefused(f"two log.db at once under the name of node '{identity.node}'")

    async def _keep_connected(self, peer: Peer) -> None:
        with peer.dialing:
            await self._dial(peer)

    async def _dial(self, peer: Peer) -> None:
        pause = _BACKOFF_MIN
        while True:
            peer.wake = trio.Event()
            try:
                if peer.barred:
                    raise LinkRefused(peer.barred)
                await self._stay_connected(peer)
                pause, peer.refusal = _BACKOFF_MIN, ""
            except LinkLost as error:
                logger.debug("node '%s': %s", peer.node, error)
            except (LinkRefused, ProtocolViolation) as error:
                self._report(peer, error)
            with trio.move_on_after(pause * (0.5 + _draw() / 2)):
                await peer.wake.wait()
            pause = min(2 * pause, _BACKOFF_MAX)

    async def _stay_connected(self, peer: Peer) -> None:
        """Returns when an established link is lost; raises when none could be, or the peer speaks something else."""
        connection, identity = await connect(
            peer.address,
            self._identity,
            self._key,
            expected_node=peer.node,
            known=self._known,
            frame_bytes_max=self._frame_bytes_max,
            queue_bytes_max=self._queue_bytes_max,
        )

        async def listen() -> None:
            await self._know(identity)
            peer.connection = connection
            if not peer.refusal:  # else it was said why nothing comes of it
                logger.info("connected to node '%s' at %s", peer.node, peer.address)
            self._step(PeerConnected(peer.node))
            self._came()
            answers = connection.received_already(_decode)
            while True:
                for answer in answers:
                    if isinstance(answer, NotHeard):
                        raise LinkRefused(f"the other end refused the link: {answer.why}")
                answers = await connection.receive(_decode)

        violation: LinkRefused | ProtocolViolation | None = None
        try:
            await connection.carry(listen)
        except LinkLost as error:
            logger.info("lost the link to node '%s': %s", peer.node, error)
        except (LinkRefused, ProtocolViolation) as error:
            violation = error
        finally:
            connection.close()
            peer.connection = None
        self._step(PeerLost(peer.node))
        if violation is not None:
            raise violation

    async def _speak_and_listen(self) -> None:
        """Say Alive where nothing was said, and close what is silent.  One look at all links now and then: a deadline
        for each receive would cost more than most messages."""
        looked_at = trio.current_time()
        while True:
            await trio.sleep(self._speak_s)
            now = trio.current_time()
            slept, looked_at = now - looked_at, now
            for node, peer in self._peers.items():
                if not peer.spoken and peer.connection is not None and not peer.connection.queued_bytes:
                    self.send(node, Alive())
                peer.spoken = False
                if peer.dropped:
                    logger.warning(
                        "node '%s' does not take what is sent to it: %d messages dropped", node, peer.dropped
                    )
                    peer.dropped = 0
                # Who was stopped itself has not yet read what came meanwhile.
                if slept < self._silence_s_max and now - peer.heard_at > self._silence_s_max:
                    self._close_silent(peer)

    def _close_silent(self, peer: Peer) -> None:
        for connection in peer.incoming:
            if not connection.closed:
                logger.info("node '%s' has been silent for too long; its link is closed", peer.node)
                connection.close()

    def _report(self, peer: Peer, error: LfsqlError) -> None:
        if error.message != peer.refusal:
            logger.error("node '%s' at %s: %s", peer.node, peer.address, error.message)
        peer.refusal = error.message
