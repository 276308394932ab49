"""A node, put together: wires the parts and runs them.  What is on the disk `lfsql.node.running` has opened.

    link ─▶ asking ─┬─▶ writer ─▶ engine thread        (when primary)
                    └─▶ reading ─▶ local reads
    peers ◀─▶ driver (consensus, statement log) ─▶ applier ─▶ engine thread   (when not)

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
from lfsql.core.membership import MEMBERS_MAX, Configuration
from lfsql.core.messages import SnapshotNeeded
from lfsql.core.requests import LogRecords, Order, VerifyRequest
from lfsql.core.settings import ConsensusSettings
from lfsql.errors import ShuttingDown
from lfsql.net.connection import Connection
from lfsql.net.handshake import NODE, Identity
from lfsql.net.listener import Listener
from lfsql.node.applier import Applier
from lfsql.node.asking import AskerLink
from lfsql.node.batch import UnitClock
from lfsql.node.content_checks import ContentChecks
from lfsql.node.cutting import record_bytes_max
from lfsql.node.driver import Driver
from lfsql.node.engine_thread import EngineThread
from lfsql.node.faults import apply_delay
from lfsql.node.ledger import STACK_BYTES_MAX
from lfsql.node.log_keeping import LogKeeper
from lfsql.node.log_repair import answer_records
from lfsql.node.membership import Membership, first_configuration, role_name
from lfsql.node.notifications import NotificationService
from lfsql.node.orders import Orders
from lfsql.node.peers import Peers
from lfsql.node.progress import Progress
from lfsql.node.quarantine import Quarantine
from lfsql.node.reading import ReadService
from lfsql.node.rebuilding import Rebuilder, lacks
from lfsql.node.snapshot_source import SnapshotSource
from lfsql.node.status import StatusService
from lfsql.node.verification import Verification
from lfsql.node.writer import Writer
from lfsql.storage.determinism import fingerprint
from lfsql.storage.functions import register
from lfsql.storage.quarantine import quarantined
from lfsql.storage.reads import LocalReads
from lfsql.storage.statement_log import StatementLog

logger: Final = logging.getLogger(__name__)

_RESIGN_PAUSE_S: Final = 1.0
_QUIT_S_MAX: Final = 3.0
_SILENT_TIMEOUTS: Final = 5
"""Election timeouts after which the link of a silent peer is closed."""
_SPOKEN_TIMES: Final = 8
"""So many signs of life fit into the silence that is too long: a few may be late, and an idle node sleeps well."""
_SPEAK_S_MAX: Final = 1.0
_SILENCE_S_MIN: Final = 5.0
"""The two hold whatever the nodes' own configurations: none takes another for dead that is only set to be slow."""
LINKS_PER_PEER_MAX: Final = 4


class Node:
    """One running node, and the Observer of its own consensus."""

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
        self._key = key
        self._log = log
        self._thread = thread
        self._nursery = nursery
        self._identity = Identity(
            config.cluster_id,
            config.name,
            NODE,
            fingerprint(register),
            config.members if founding else {},
            log.incarnation,
            config.me.address,
        )
        self.membership: Membership
        self.ended = trio.Event()
        """The node is to stop: it was ordered to, or removed."""
        self.progress = Progress(thread.engine.position, thread.engine.schema_index)
        self._reads = ReadService(reads, self.progress, config.limits, nursery)
        self.driver: Driver
        self._peers: Peers
        self._writer: Writer
        self._applier: Applier
        self._status: StatusService
        self.checks: ContentChecks
        self._verification: Verification
        self.quarantine: Quarantine
        self._rebuilder: Rebuilder
        self._snapshots: SnapshotSource
        self._notifications: NotificationService
        self.anew = trio.Event()
        """The data was made again from a snapshot: everything is to be opened again."""
        self._elected: tuple[Term, Index] | None = None
        self._quitting = False
        self._changed = trio.Event()
        self._links = 0

    def start(self, restored: Restored, listening: socket.socket) -> None:
        """Start all tasks in the nursery."""
        config, limits, nursery = self.config, self.config.limits, self._nursery
        speak_s, silence_s_max = silence_of(config)
        self._peers = peers = Peers(
            {peer.name: peer.address for peer in config.peers if peer.name != config.name},
            self._identity,
            self._key,
            step=lambda given: self.driver.step(given),
            snapshot_needed=self._snapshot_needed,
            content=lambda sender, message: self.checks.heard(sender, message),
            came=lambda: self.checks.node_came(),
            known=self._log.met,
            remember=self._log.remember,
            refusal=lambda node: self.membership.refusal(node),
            speak_s=speak_s,
            silence_s_max=silence_s_max,
            frame_bytes_max=limits.frame_bytes_max,
            queue_bytes_max=limits.link_queue_bytes_max,
        )
        self.driver = driver = Driver(
            config.name,
            first_configuration(config, self._log),
            self._log,
            restored,
            settings_of(config),
            send=peers.send,
            close_peer=peers.close,
            observer=self,
        )
        self._writer = Writer(config.name, self._thread, driver, self.progress, limits, clock_us=UnitClock())
        self._applier = Applier(
            self._thread,
            driver,
            self.progress,
            limits.apply_entries_max,
            lambda reason: self.quarantine.enter(reason),
            apply_delay(config),
        )
        self.membership = membership = Membership(
            config,
            driver,
            self.progress,
            self._writer.member_changes,
            connected=lambda node: peers.connected(node),
            serving=lambda: self.is_serving,
            change=lambda: self._changed,
            end=self.ended.set,
        )
        peers.set_members(membership.addresses())
        self._orders = Orders(membership, nursery, self.ended.set)
        self._status = StatusService(config, self._identity, self._key, driver, self.progress, membership)
        self.progress.on_schema_change = self._status.change
        self.quarantine = Quarantine(
            config, self._applier, self._reads, self._status, self._writer, tell=self._tell, rebuild=self.rebuild
        )
        self.checks = ContentChecks(
            config,
            self._applier,
            self.progress,
            self._log,
            driver,
            members=lambda: membership.current.members,
            leads=lambda: self._status.serving and driver.consensus.ready,
            send=peers.send,
            on_fault=self.quarantine.enter,
        )
        self._verification = Verification(self.checks, membership, peers.connected, driver, nursery)
        self._status.fault = lambda: self.quarantine.reason or self.checks.disagreement
        self._snapshots = SnapshotSource(
            Path(config.data_dir),
            self._log,
            driver,
            self.progress,
            self._identity.fingerprint,
            lambda: self._reads.fault,
        )
        self._notifications = NotificationService(self._log, driver, nursery)
        self._rebuilder = Rebuilder(
            config,
            self._identity,
            self._key,
            self._log,
            driver,
            self._thread,
            address_of=peers.address,
            wait_changed=self.wait_changed,
            halt=self._halt,
            resume=self._applier.resume,
            begin_anew=self.anew.set,
        )
        keeper = LogKeeper(
            self._log,
            driver,
            self.progress,
            limits,
            Path(config.data_dir) / "data.db",
            connected=peers.connected,
            sending=lambda: self._snapshots.position,
        )
        listener = Listener(
            listening,
            self._identity,
            self._key,
            known=self._log.met,
            serve_peer=peers.serve,
            serve_asker=self._serve_asker,
            peers_max=LINKS_PER_PEER_MAX * MEMBERS_MAX,
            askers_max=limits.links_max,
            handshake_ms_max=limits.handshake_ms_max,
            frame_bytes_max=limits.frame_bytes_max,
            queue_bytes_max=limits.link_queue_bytes_max,
        )
        nursery.start_soon(driver.run)
        nursery.start_soon(self._execute)
        nursery.start_soon(keeper.run)
        nursery.start_soon(self._snapshots.run)
        nursery.start_soon(self._rebuilder.run)
        nursery.start_soon(self.checks.run)
        nursery.start_soon(self._status.run)
        nursery.start_soon(peers.run)
        nursery.start_soon(membership.promote)
        nursery.start_soon(listener.run)
        if reason := quarantined(Path(config.data_dir)):
            self.quarantine.enter(reason)
        elif lacks(self._log, self.progress.index):
            self.quarantine.enter(
                f"data.db ends at index {self.progress.index}, log.db begins after {self._log.base.index}"
            )

    @property
    def is_serving(self) -> bool:
        """This node is primary and takes writes."""
        return self._status.serving

    async def wait_changed(self) -> None:
        """Return when the primary or this node's part changes."""
        await self._changed.wait()

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
            await self._hand_over()

    # -- Observer --------------------------------------------------------------------------------------------

    def committed(self, index: Index) -> None:
        self._writer.committed(index)
        self._applier.notify()
        self._notifications.committed()
        self.membership.committed()

    def durable(self, index: Index) -> None:
        self._writer.durable(index)

    def became_primary(self, term: Term, index: Index) -> None:
        self._elected = (term, index)
        self._applier.notify()
        self._tell()

    def stepped_down(self, primary: NodeId) -> None:
        logger.warning("no longer primary%s", f", node '{primary}' is" if primary else "")
        self._elected = None
        self._writer.depose()

    def primary_changed(self, primary: NodeId) -> None:
        if primary:
            logger.info("node '%s' is primary in term %d", primary, self.driver.consensus.term)
        if primary == self.config.name and not self._status.quarantined:
            self._writer.expect_reign()
        else:
            self._writer.depose()
        self._tell()

    def members_changed(self, configuration: Configuration) -> None:
        names = ", ".join(f"{member.node} ({role_name(member)})" for member in configuration.members)
        logger.info("the members are now: %s", names)
        self._peers.set_members(self.membership.addresses())
        self._tell()

    def transfer_given_up(self, to: NodeId) -> None:
        logger.warning("node '%s' did not take the lead in time", to)
        self._tell()

    # -- Inside ----------------------------------------------------------------------------------------------

    async def _execute(self) -> None:
        """Whoever uses the engine: the applier, and between elections won and lost the writer."""
        while True:
            await self._applier.follow(self._may_reign)
            if self._elected is None:
                continue
            term, _ = self._elected
            self._status.serving = True
            self._tell()
            logger.info("serving writes in term %d", term)
            try:
                await self._writer.reign(term, self.driver.consensus.committed)
            finally:
                self._status.serving = False
                self._tell()

    async def _keep_off_the_lead(self) -> None:
        """A node that waits for a snapshot hands the lead on whenever it has it, until another takes it.  Not twice
        in a second: several such nodes would pass it round for ever, as fast as they can."""
        while True:
            while not self.driver.consensus.ready:
                await self.wait_changed()
            await self._hand_over()
            await trio.sleep(_RESIGN_PAUSE_S)

    async def _hand_over(self) -> None:
        """Have another node lead, when this one does and another can; returns when it does, or did not in time."""
        successor = self.membership.successor()
        if self.driver.consensus.primary != self.config.name or not successor:
            return
        logger.info("handing the lead to node '%s'", successor)
        with trio.move_on_after(self.config.election_timeout_ms_min / 1000):
            await self.membership.hand_over(successor)

    def _may_reign(self, applied: Index) -> bool:
        if self._elected is None or self._quitting or self._status.quarantined or self._applier.halted:
            return False
        term, index = self._elected
        return applied >= max(index, self._writer.resume_index(term))

    def _snapshot_needed(self, sender: NodeId, message: SnapshotNeeded) -> None:
        consensus = self.driver.consensus
        if (sender, message.term) == (consensus.primary, consensus.term) and consensus.commit_index < message.base:
            self.rebuild(
                f"this node has records up to {consensus.commit_index}, the log of node '{sender}' begins after "
                f"{message.base}"
            )

    async def _halt(self) -> None:
        self._writer.depose()
        await self._applier.halt()

    def _carry_out(self, asker: AskerLink, question: Order | VerifyRequest) -> None:
        if isinstance(question, VerifyRequest):
            self._verification.take(asker, question)
        else:
            self._orders.take(asker, question)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
        self._status.change()

    def _answer_records(self, asker: AskerLink, question: LogRecords) -> None:
        self._nursery.start_soon(answer_records, self._log, self.driver, asker, question)

    async def _serve_asker(self, connection: Connection, peer: Identity) -> None:
        self._links += 1
        link = AskerLink(
            self._links,
            connection,
            peer,
            self._writer,
            self._reads,
            self._snapshots,
            self._notifications,
            self._status.answer,
            self._carry_out,
            self._answer_records,
            self.driver,
        )
        self._status.links[link.number] = link
        link.answer(self._status.heartbeat())
        try:
            await link.serve()
        finally:
            del self._status.links[link.number]


def silence_of(config: NodeConfig) -> tuple[float, float]:
    """After how many seconds a node says that it lives, and after how many a silent one is given up."""
    silence_s_max = max(config.election_timeout_ms_max * _SILENT_TIMEOUTS / 1000, _SILENCE_S_MIN)
    return min(silence_s_max / _SPOKEN_TIMES, _SPEAK_S_MAX), silence_s_max


def settings_of(config: NodeConfig) -> ConsensusSettings:
    """Consensus' times and limits from the node's."""
    limits = config.limits
    record_max = record_bytes_max(limits)
    return ConsensusSettings(
        heartbeat=config.heartbeat_ms / 1000,
        election_timeout_min=config.election_timeout_ms_min / 1000,
        election_timeout_max=config.election_timeout_ms_max / 1000,
        message_bytes_max=min(limits.append_bytes_max, record_max),
        in_flight_bytes_max=limits.append_bytes_max * limits.inflight_appends_max,
        in_flight_messages_max=limits.inflight_appends_max,
        tail_bytes_max=max(limits.log_cache_bytes_max, record_max),
        # More than the writer can have on its way, so that its order in SQLite is always that of the log.
        uncommitted_bytes_max=2 * (STACK_BYTES_MAX + limits.batch_bytes_max + 2 * limits.frame_bytes_max),
        record_bytes_max=record_max,
    )
