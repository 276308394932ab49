"""A node with data, put together: wires the parts and runs them.  `lfsql.node.running` has opened what is on disk.

    link ─▶ asking ─┬─▶ writer ─▶ engine thread        (when primary)
                    └─▶ reading ─▶ local reads
    participant (peers ◀─▶ driver: consensus, statement log) ─▶ applier ─▶ engine thread   (when not)

The way of a write.  `asking` takes a Submit off its link and gives it to the `writer`, which runs it on the engine in
a `batch` and remembers in its `ledger` what was promised to whom; `driver.propose` appends it to the log, which the
log's task makes durable while `peers` carry it to the others.  Consensus says `committed` when a quorum holds it:
through `participant` and this file that comes back to the writer, which answers, and has SQLite COMMIT.

The writer and the applier never use the engine at the same time: one task, `Node._execute`, runs one or the other.
"""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from typing import Final

import trio

from lfsql.config import NodeConfig
from lfsql.core.effects import Restored
from lfsql.core.ids import Index, NodeId, Term
from lfsql.core.membership import Configuration
from lfsql.core.messages import CheckContent, ContentChecked
from lfsql.core.requests import Order, VerifyRequest
from lfsql.errors import ShuttingDown
from lfsql.net.connection import Connection
from lfsql.net.handshake import Identity
from lfsql.node.admission import Admission
from lfsql.node.applier import Applier
from lfsql.node.asking import AskerLink
from lfsql.node.batch import UnitClock
from lfsql.node.content_checks import ContentChecks
from lfsql.node.driver import Driver
from lfsql.node.engine_thread import EngineThread
from lfsql.node.faults import apply_delay
from lfsql.node.member_changes import TakeAnswer
from lfsql.node.membership import Membership
from lfsql.node.participant import Participant
from lfsql.node.progress import Progress
from lfsql.node.quarantine import Quarantine
from lfsql.node.reading import ReadService
from lfsql.node.rebuilding import Rebuilder, lacks
from lfsql.node.snapshot_source import SnapshotSource
from lfsql.node.status import StatusService
from lfsql.node.succession import Succession
from lfsql.node.verification import Verification
from lfsql.node.writer import Writer
from lfsql.storage.quarantine import quarantined
from lfsql.storage.reads import LocalReads
from lfsql.storage.statement_log import StatementLog

logger: Final = logging.getLogger(__name__)

_RESIGN_PAUSE_S: Final = 1.0
_QUIT_S_MAX: Final = 3.0


class Node:
    """One running node with data, and the Owner of its participant."""

    driver: Driver
    membership: Membership
    quarantine: Quarantine
    checks: ContentChecks
    _status: StatusService
    _writer: Writer
    _succession: Succession
    _applier: Applier
    _verification: Verification
    _rebuilder: Rebuilder
    _snapshots: SnapshotSource

    def __init__(
        self,
        config: NodeConfig,
        key: bytes,
        log: StatementLog,
        thread: EngineThread,
        reads: LocalReads,
        nursery: trio.Nursery,
        *,
        founding: bool,
    ) -> None:
        """`founding`: who belongs is what node.toml says, as the log names nobody yet."""
        self.config = config
        self._log = log
        self._thread = thread
        self._nursery = nursery
        self.progress = Progress(thread.engine.position, thread.engine.schema_index)
        self.participant = Participant(config, key, log, self.progress, nursery, self, founding=founding)
        self.ended = self.participant.ended
        self.anew = trio.Event()
        """The data was made again from a snapshot: everything is to be opened again."""
        self._reads = ReadService(reads, self.progress, config.limits, nursery)
        self._quitting = False

    def start(self, restored: Restored, listening: socket.socket) -> None:
        """Start all tasks in the nursery."""
        config, limits, nursery, participant = self.config, self.config.limits, self._nursery, self.participant
        directory = Path(config.data_dir)
        participant.start(restored, listening, directory / "data.db")
        self.driver = driver = participant.driver
        self.membership = membership = participant.membership
        self._status = participant.status
        self._admission = Admission(
            driver,
            limits,
            membership,
            connected=participant.peers.connected,
            go_on=lambda: self._writer.pump(),
            tell=self.participant.status.change,
        )
        self._writer = Writer(
            config.name,
            self._thread,
            driver,
            self.progress,
            limits,
            clock_us=UnitClock(),
            room=self._admission.room,
        )
        self._succession = Succession(config.name, self._writer)
        self._applier = Applier(
            self._thread,
            driver,
            self.progress,
            limits.apply_entries_max,
            lambda reason: self.quarantine.enter(reason),
            apply_delay(config),
        )
        self.progress.on_schema_change = self._status.change
        self._status.throttle = self._admission.told
        self.quarantine = Quarantine(
            config,
            self._applier,
            self._reads,
            self._status,
            self._writer,
            tell=participant.tell,
            rebuild=self.rebuild,
        )
        self.checks = ContentChecks(
            config,
            self._applier,
            self.progress,
            self._log,
            driver,
            members=lambda: membership.current.members,
            leads=lambda: self._status.serving and driver.consensus.ready,
            send=participant.peers.send,
            on_fault=self.quarantine.enter,
        )
        self._verification = Verification(self.checks, membership, participant.peers.connected, driver, nursery)
        self._status.fault = lambda: self.quarantine.reason or self.checks.disagreement
        self._snapshots = SnapshotSource(
            directory,
            self._log,
            driver,
            self.progress,
            participant.identity.fingerprint,
            lambda: self._reads.fault,
        )
        self._rebuilder = Rebuilder(
            config,
            participant.identity,
            participant.key,
            self._log,
            driver,
            self._thread,
            address_of=participant.peers.address,
            wait_changed=self.wait_changed,
            halt=self._halt,
            resume=self._applier.resume,
            begin_anew=self.anew.set,
        )
        participant.run()
        nursery.start_soon(self._execute)
        nursery.start_soon(self._snapshots.run)
        nursery.start_soon(self._rebuilder.run)
        nursery.start_soon(self.checks.run)
        nursery.start_soon(self._admission.alarm.run)
        if reason := quarantined(directory):
            self.quarantine.enter(reason)
        elif lacks(self._log, self.progress.index):
            self.quarantine.enter(
                f"data.db ends at index {self.progress.index}, log.db begins after {self._log.base.index}"
            )

    async def wait_changed(self) -> None:
        """Return when the primary or this node's part changes."""
        await self.participant.wait_changed()

    def rebuild(self, reason: str) -> None:
        """Make this node's data again from a snapshot of the primary's, which is another; until then it goes on."""
        if not self._status.rebuilding:
            self._status.rebuilding = True
            self._rebuilder.request(reason)
            self._nursery.start_soon(self._keep_off_the_lead)

    async def quit(self) -> None:
        """Stop taking work, finish what is logged, hand over the lead; give up after a few seconds."""
        self._quitting = True
        self._writer.quit(ShuttingDown(f"node '{self.config.name}' is shutting down"))
        with trio.move_on_after(_QUIT_S_MAX):
            while self._status.serving:
                await self.wait_changed()
            await self.participant.hand_over()

    # -- Owner of the participant ----------------------------------------------------------------------------

    def committed(self, index: Index) -> None:
        self._writer.committed(index)
        self._admission.committed()
        self._applier.notify()

    def durable(self, index: Index) -> None:
        self._writer.durable(index)

    def became_primary(self, term: Term, index: Index) -> None:
        self._succession.became_primary(term, index)
        self._admission.begin()
        self._applier.notify()

    def stepped_down(self, _primary: NodeId) -> None:
        self._succession.stepped_down()

    def primary_changed(self, primary: NodeId) -> None:
        self._succession.primary_changed(primary, able=not self._status.quarantined)

    @property
    def is_serving(self) -> bool:
        """This node is primary and takes writes."""
        return self._status.serving

    @property
    def sending(self) -> Index | None:
        return self._snapshots.position

    def change_members(self, configuration: Configuration, answer: TakeAnswer) -> None:
        self._writer.member_changes.ask(configuration, answer)

    def lacks_log(self, source: NodeId, base: Index) -> None:
        self.rebuild(
            f"this node has records up to {self.driver.consensus.commit_index}, the log of node '{source}' begins "
            f"after {base}"
        )

    async def reads_ended(self) -> None:
        await self._reads.wait_ended()

    def node_came(self) -> None:
        self.checks.node_came()

    def content_told(self, sender: NodeId, message: CheckContent | ContentChecked) -> None:
        self.checks.heard(sender, message)

    def link(self, number: int, connection: Connection, peer: Identity) -> AskerLink:
        return AskerLink(
            number,
            connection,
            peer,
            self._writer,
            self._reads,
            self._snapshots,
            self.participant.notifications,
            self._status.answer,
            self._status.pinged,
            self._carry_out,
            self.participant.answer_records,
            self.driver,
        )

    # -- Inside ----------------------------------------------------------------------------------------------

    async def _execute(self) -> None:
        """Whoever uses the engine: the applier, and between elections won and lost the writer."""
        while True:
            await self._applier.follow(lambda applied: self._term_due(applied) is not None)
            term = self._term_due(self.progress.index)
            if term is None:
                continue
            self._status.serving = True
            self.participant.tell()
            logger.info("serving writes in term %d", term)
            try:
                await self._writer.reign(term, self.driver.consensus.committed)
            finally:
                self._status.serving = False
                self.participant.tell()

    def _term_due(self, applied: Index) -> Term | None:
        if self._quitting or self._status.quarantined or self._applier.halted:
            return None
        return self._succession.term_due(applied)

    async def _keep_off_the_lead(self) -> None:
        """A node that waits for a snapshot hands the lead on whenever it has it, until another takes it.  Not twice
        in a second: several such nodes would pass it round for ever, as fast as they can."""
        while True:
            while not self.driver.consensus.ready:
                await self.wait_changed()
            await self.participant.hand_over()
            await trio.sleep(_RESIGN_PAUSE_S)

    async def _halt(self) -> None:
        self._writer.depose()
        await self._applier.halt()

    def _carry_out(self, asker: AskerLink, question: Order | VerifyRequest) -> None:
        if isinstance(question, VerifyRequest):
            self._verification.take(asker, question)
        else:
            self.participant.orders.take(asker, question)
