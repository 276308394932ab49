"""What carries out consensus' effects in a simulated node, and does the engine's work, each after a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import outcome

from lfsql.core.consensus import Consensus
from lfsql.core.effects import NeedSnapshot, PeerFaulty, ReadLog, Restored
from lfsql.core.membership import decode_configuration
from lfsql.core.messages import SnapshotNeeded
from lfsql.core.settings import ConsensusSettings
from lfsql.node.carrying import Carrier
from lfsql.node.engine_thread import Done
from lfsql.storage.engine import Engine

if TYPE_CHECKING:
    from lfsql.testing.simulator.node import Node

Given = TypeVar("Given")


class SimulatedCarrier(Carrier):
    """Production's order of effects; the node does what it asks for."""

    def __init__(self, node: Node, restored: Restored, settings: ConsensusSettings, token: int) -> None:
        random = node.world.random
        begins = node.log.base_configuration
        first = decode_configuration(begins) if begins else node.configuration
        consensus = Consensus(node.name, first, restored, random.random, node.clock(), settings)
        super().__init__(consensus, node.clock, token, send=node.send, observer=node)
        self._node = node

    def _write_soon(self) -> None:
        self._node.write_soon()

    def _read_soon(self, asked: ReadLog) -> None:
        self._node.read_soon(asked)

    def _peer_faulty(self, effect: PeerFaulty) -> None:
        self._node.close_peer(effect)

    def _snapshot_needed(self, effect: NeedSnapshot) -> None:
        self._send(effect.to, SnapshotNeeded(self.consensus.term, self._node.log.base.index))

    def _stepped(self) -> None:
        self._node.stepped()


class SimulatedThread:
    """The engine's thread: a job is done after a while, and is lost when the process ends before."""

    def __init__(self, node: Node) -> None:
        self._node = node

    @property
    def engine(self) -> Engine:
        return self._node.engine

    def start(self, job: Callable[[Engine], Given], done: Callable[[Done[Given]], None]) -> None:
        node = self._node
        delay = node.world.random.random() * node.machine.engine_max
        node.soon(lambda: done(outcome.capture(job, node.engine)), delay)
