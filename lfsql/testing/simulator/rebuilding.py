"""A node's data made again from the primary's, as `lfsql.node.rebuilding` and `lfsql.node.snapshot_source` do it.

What is decided (which copy is of use, who is behind, where the log begins afterwards) is production's; the waits,
the links and the files are made up here.  A copy arrives as a whole or not at all; an installation that was begun is
found again by the next process, wherever the one before ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from lfsql.core import snapshots
from lfsql.core.effects import ReadConfirmed, ReadRefused, Transfer
from lfsql.core.ids import Index, NodeId
from lfsql.core.membership import VOTER
from lfsql.core.requests import SnapshotHeader
from lfsql.node import rebuilding
from lfsql.node.log_keeping import members_at
from lfsql.storage.installation import Installation
from lfsql.testing.simulator.disk import run_now

if TYPE_CHECKING:
    from lfsql.testing.simulator.node import Node

FINGERPRINT: Final = "simulated"
AGAIN_S_MAX: Final = 0.4
"""How long a node waits before it asks for a copy again."""
TRANSFER_S_MAX: Final = 0.2
STEP_S_MAX: Final = 0.05
"""Between two steps of an installation: a crash may come there."""
KEPT_S: Final = 1.0
"""How long a copy is kept; the log that follows it as long."""
RESIGN_S: Final = 0.3


class Copy(msgspec.Struct, frozen=True):
    """Of data.db, and where it stands."""

    header: SnapshotHeader
    image: bytes


class Rebuilding:
    """One node's.  `begun` is on its disk, all else in its process."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.begun: Copy | None = None
        """A copy that is to be put in place."""
        self.done = 0
        """How often its data was made again."""
        self.wanted = ""
        """Why the data must be made again; '' when it need not."""
        self.quarantined = False
        """It is not what the log says: it is not shown, nothing is applied to it."""
        self.halted = False
        self._copy: Copy | None = None
        self._attempt = 0

    @property
    def sending(self) -> Index | None:
        """Where the copy stands that others fetch."""
        return None if self._copy is None else self._copy.header.position.index

    # -- The process that needs a copy -----------------------------------------------------------------------

    def begins(self) -> None:
        """A process starts: of what was in the one before nothing is left."""
        self.wanted = ""
        self.quarantined = self.halted = False
        self._copy = None
        self._attempt += 1
        if rebuilding.lacks(self._node.log, self._node.progress.index):
            self.quarantined = True
            self.request("its log begins after its data")

    def request(self, reason: str) -> None:
        if not self.wanted:
            self.wanted = reason
            self._node.told_unfit()
            self._node.note(f"needs a snapshot: {reason}")
            self._try()
            self._keep_off_the_lead()

    def _try(self) -> None:
        self._attempt += 1
        attempt, node = self._attempt, self._node

        def again() -> None:
            if attempt == self._attempt and self.begun is None:
                self.halted = False
                self._try()

        node.soon(again, 0.1 + node.world.random.random() * AGAIN_S_MAX)
        primary = node.carrier.consensus.primary
        if primary not in ("", node.name):
            node.writer.depose()
            self.halted = True
            self._ask(primary, attempt)

    def _ask(self, primary: NodeId, attempt: int) -> None:
        """Once nobody uses the engine: what is here stays where it is until the copy is."""
        node = self._node
        if attempt != self._attempt:
            return
        if node.uses_engine:
            node.soon(lambda: self._ask(primary, attempt), 0.001)
            return
        least = snapshots.least_of_use(node.engine.position.index, node.log.base.index)

        def answer(copy: Copy) -> None:
            if attempt == self._attempt and not snapshots.refusal(copy.header, FINGERPRINT, least):
                node.soon(lambda: self._begin(copy, attempt), node.world.random.random() * STEP_S_MAX)

        node.call(primary, lambda source: source.rebuilding.offer(node.name, least, answer))

    def _begin(self, copy: Copy, attempt: int) -> None:
        if attempt == self._attempt and self.begun is None:
            self.begun = copy
            self._node.note(f"puts a snapshot at {copy.header.position.index} in place")
            self._node.soon(self._node.begin_anew, self._node.world.random.random() * STEP_S_MAX)

    def _keep_off_the_lead(self) -> None:
        node = self._node
        if node.carrier.consensus.ready:
            consensus = node.carrier.consensus
            voters = [member.node for member in consensus.configuration.members if member.role == VOTER]
            others = [name for name in voters if name != node.name]
            if others:
                best = max(others, key=lambda name: (consensus.is_fit(name), consensus.matched(name)))
                node.carrier.step(Transfer(best))
        node.soon(self._keep_off_the_lead, RESIGN_S)

    # -- The next process --------------------------------------------------------------------------------------

    def finish(self) -> None:
        """The copy is data.db; have the log begin where that stands, unless it holds the record."""
        copy = self.begun
        if copy is not None:
            plan = Installation(copy.header.position, copy.header.configuration, copied=True)
            run_now(rebuilding.settle(self._node.log, plan))
            self.begun = None
            self.done += 1

    # -- The primary ---------------------------------------------------------------------------------------------

    def offer(self, to: NodeId, least: Index, answer: Callable[[Copy], None]) -> None:
        """Give a copy once a quorum has confirmed this primary; say nothing when it has none to give."""
        node = self._node

        def confirmed(effect: ReadConfirmed | ReadRefused) -> None:
            if isinstance(effect, ReadConfirmed):
                node.soon(lambda: self._give(to, least, answer), 0)

        if self.quarantined:
            return
        if node.carrier.consensus.is_opening:
            self._give(to, least, answer)
        elif node.carrier.consensus.ready:
            node.carrier.read_index(confirmed)

    def _give(self, to: NodeId, least: Index, answer: Callable[[Copy], None]) -> None:
        node = self._node
        copy = self._copy
        if copy is None or not self._helps(copy, least):
            copy = self._make_copy()
        if self._helps(copy, least):
            delay = node.world.random.random() * TRANSFER_S_MAX
            node.soon(lambda: node.call(to, lambda _receiver: answer(copy)), delay)

    def _helps(self, copy: Copy, least: Index) -> bool:
        return snapshots.is_of_use(copy.header.position.index, least, self._node.log.base.index)

    def _make_copy(self) -> Copy:
        """Of what is committed, whatever transaction is open."""
        node = self._node
        position, image = node.committed_position, node.committed_file
        configuration = members_at(node.carrier.consensus, node.log.base_configuration, position.index)
        header = SnapshotHeader(0, position, len(image), b"", configuration, FINGERPRINT)
        copy = self._copy = Copy(header, image)

        def drop() -> None:
            if self._copy is copy:
                self._copy = None

        node.soon(drop, KEPT_S)
        return copy
