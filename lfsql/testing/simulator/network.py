"""What nodes send each other, and what becomes of it.

Consensus is promised little: a message may be lost, repeated and overtaken, and a link that closed may be heard of or
not.  `cut` holds the pairs (from, to) between which nothing arrives, so a partition may be one-way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from lfsql.core.effects import PeerConnected, PeerLost, Received
from lfsql.core.ids import NodeId
from lfsql.core.messages import ConsensusMessage, PeerMessage, SnapshotNeeded
from lfsql.testing.simulator.world import World

if TYPE_CHECKING:
    from lfsql.testing.simulator.node import Node


LATE_S_MAX = 2.0
"""Longer than elections take: who sent a message may have lost the lead and won it again before it is there."""


class Roughness(msgspec.Struct):
    """Chances for each message; delays in seconds.  `late`: that it hangs, for up to LATE_S_MAX."""

    lost: float = 0.0
    repeated: float = 0.0
    late: float = 0.0
    delay_min: float = 0.0005
    delay_max: float = 0.002


class Network:
    """`nodes` is filled by its owner, and may grow.  `hears` is told of what arrives: (node, sender, message)."""

    def __init__(
        self,
        world: World,
        roughness: Roughness,
        nodes: Mapping[NodeId, Node],
        hears: Callable[[NodeId, NodeId, ConsensusMessage], None],
    ) -> None:
        self.roughness = roughness
        self.cut: set[tuple[NodeId, NodeId]] = set()
        self.sent = 0
        self._world = world
        self._nodes = nodes
        self._hears = hears

    def delay(self) -> float:
        rough, random = self.roughness, self._world.random
        if rough.late and random.random() < rough.late:
            return random.random() * LATE_S_MAX
        return rough.delay_min + random.random() * (rough.delay_max - rough.delay_min)

    def send(self, sender: NodeId, to: NodeId, message: PeerMessage) -> None:
        self.sent += 1
        world, rough = self._world, self.roughness
        node = self._nodes.get(to)
        lost = node is None or not node.running or (sender, to) in self.cut or world.random.random() < rough.lost
        if world.trace is not None:
            world.note(sender, f"{'loses' if lost else 'sends'} {to} {message}")
        if node is not None and not lost and isinstance(message, SnapshotNeeded):
            node.soon(lambda: node.log_is_gone(sender, message), self.delay())
        if node is None or lost or not isinstance(message, ConsensusMessage):
            return
        received = self._receipt(node, sender, message)
        node.soon(received, self.delay())
        if world.random.random() < rough.repeated:
            node.soon(received, self.delay())

    def call(self, sender: NodeId, to: NodeId, event: Callable[[Node], None]) -> None:
        """Let something happen at `to`, on a link of its own: it is lost only when nothing gets through at all."""
        node = self._nodes.get(to)
        if node is not None and node.running and (sender, to) not in self.cut:
            node.soon(lambda: event(node), self.delay())

    def _receipt(self, node: Node, sender: NodeId, message: ConsensusMessage) -> Callable[[], None]:
        def receive() -> None:
            self._hears(node.name, sender, message)
            node.carrier.step(Received(sender, message))

        return receive

    def connect(self, node: Node, peer: NodeId) -> None:
        node.soon(lambda: node.carrier.step(PeerConnected(peer)), self.delay())

    def disconnect(self, node: Node, peer: NodeId) -> None:
        node.soon(lambda: node.carrier.step(PeerLost(peer)), self.delay())

    def joined(self, node: Node) -> None:
        """A process started: links come up, both ways."""
        for peer in self._nodes.values():
            if peer is not node and peer.running and (node.name, peer.name) not in self.cut:
                self.connect(node, peer.name)
                self.connect(peer, node.name)

    def left(self, node: NodeId) -> None:
        """A process ended: its links close, for whoever can hear it."""
        for peer in self._nodes.values():
            if peer.name != node and peer.running and (node, peer.name) not in self.cut:
                self.disconnect(peer, node)
