"""A node, put together: opens what is on disk, wires the parts, runs them, and stops them in order.

    link ─▶ asking ─┬─▶ writer ─▶ engine thread        (when primary)
                    └─▶ reading ─▶ local reads
    peers ◀─▶ driver (consensus, statement log) ─▶ applier ─▶ engine thread   (when not)

The writer and the applier never use the engine at the same time: one task, `Node._execute`, runs one or the other.

Stopping.  Cancelling `run_node` is an order to stop in an orderly way: the writer refuses new work and finishes what
is logged, the lead is handed to another node, then everything closes.  That takes at most a few seconds, and what it
did not achieve costs the others an election and nobody any data.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import trio

from lfsql.config import NodeConfig
from lfsql.core.effects import Restored
from lfsql.core.ids import Index, NodeId, Term
from lfsql.core.membership import MEMBERS_MAX, Configuration
from lfsql.core.requests import LogRecords
from lfsql.core.settings import ConsensusSettings
from lfsql.errors import DataCorrupted, Diverged, LfsqlError, ShuttingDown
from lfsql.net.cluster_key import load_key
from lfsql.net.connection import Connection
from lfsql.net.handshake import NODE, Identity
from lfsql.net.listener import Listener, bind
from lfsql.node.applier import Applier
from lfsql.node.asking import AskerLink
from lfsql.node.batch import UnitClock
from lfsql.node.cutting import record_bytes_max
from lfsql.node.directory import DirectoryIdentity, check_members, data_directory
from lfsql.node.driver import Driver, committed_at_start, restore
from lfsql.node.engine_thread import EngineThread
from lfsql.node.ledger import STACK_BYTES_MAX
from lfsql.node.log_keeping import SEGMENTS, LogKeeper
from lfsql.node.log_repair import answer_records, repair_over_links
from lfsql.node.membership import Membership, first_configuration, log_names_members, role_name
from lfsql.node.orders import Orders
from lfsql.node.peers import Peers
from lfsql.node.progress import Progress
from lfsql.node.reading import ReadService
from lfsql.node.status import StatusService
from lfsql.node.writer import Writer
from lfsql.storage.determinism import fingerprint
from lfsql.storage.functions import register
from lfsql.storage.heap import limit_heap
from lfsql.storage.reads import LocalReads
from lfsql.storage.statement_log import StatementLog

logger: Final = logging.getLogger(__name__)

_RESIGN_PAUSE_S: Final = 1.0
_QUIT_S_MAX: Final = 3.0
_SILENT_TIMEOUTS: Final = 5
"""Election timeouts after which the link of a silent peer is closed."""
_SPEAK_S_MAX: Final = 1.0
_SILENCE_S_MIN: Final = 5.0
"""The two hold whatever the nodes' own configurations: none takes another for dead that is only set to be slow."""
_LINKS_PER_PEER_MAX: Final = 4


async def run_node(
    config: NodeConfig,
    *,
    listening: socket.socket | None = None,
    task_status: trio.TaskStatus[Node] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a node until cancelled; then stop it in an orderly way.

    `listening`: a bound socket to serve instead of binding `config.listen`.  `task_status` is told when the node
    takes part in the cluster.  Raises ConfigError and its children before that (directory, key, address), and
    DiskFailed, DiskFull, DataCorrupted, InvariantBroken whenever going on could lose data: start again, which
    replays the log.
    """
    key = load_key(config.cluster_key_file)
    whose = DirectoryIdentity(config.cluster_id, config.name, config.members)
    with data_directory(config.data_dir, whose) as directory:
        listening = listening or bind(config.listen)
        try:
            await _run_in(directory, config, key, listening, task_status)
        except BaseExceptionGroup as group:
            raise _first(group) from group
        finally:
            listening.close()


async def _run_in(
    directory: Path,
    config: NodeConfig,
    key: bytes,
    listening: socket.socket,
    task_status: trio.TaskStatus[Node],
) -> None:
    stop = trio.Event()
    limit_heap(config.limits.heap_bytes_max)

    async def run_shielded(*, task_status: trio.TaskStatus[Node]) -> None:
        told = False

        def tell(node: Node) -> None:
            nonlocal told
            if not told:
                told = True
                task_status.started(node)

        with trio.CancelScope(shield=True) as shield:
            again = True
            while again:
                again = await _run_once(directory, config, key, listening, stop, shield, tell)

    async with trio.open_nursery() as nursery:
        node = await nursery.start(run_shielded)
        task_status.started(node)
        try:
            await node.ended.wait()
        finally:
            stop.set()


async def _run_once(
    directory: Path,
    config: NodeConfig,
    key: bytes,
    listening: socket.socket,
    stop: trio.Event,
    shield: trio.CancelScope,
    tell: Callable[[Node], None],
) -> bool:
    """Run a node on its files until told to stop; True when its log had to be repaired, and it is to run again."""
    node: Node | None = None
    async with AsyncExitStack() as stack:
        thread = await stack.enter_async_context(
            EngineThread(directory / "data.db", unit_bytes_max=config.limits.unit_bytes_max)
        )
        log = await stack.enter_async_context(
            StatementLog(
                directory / "log.db",
                segment_bytes_max=config.limits.log_bytes_max // SEGMENTS,
                segment_ms_max=config.limits.log_age_ms_max // SEGMENTS,
            )
        )

        async def repair_log() -> None:
            committed = node.driver.consensus.committed if node else committed_at_start(log, thread.engine.position)
            shield.shield = False  # it may take until another node is there; what it has begun to write it finishes
            try:
                await repair_over_links(log, committed, config, key)
            finally:
                shield.shield = True

        if log.damaged:
            await repair_log()
        reads = await stack.enter_async_context(
            LocalReads(
                directory / "data.db",
                threads_max=config.limits.read_threads_max,
                rows_inline_max=config.limits.chunk_rows_max,
                bytes_inline_max=config.limits.chunk_bytes_max,
            )
        )
        try:
            restored = await restore(log, thread.engine.position)
            founding = not log_names_members(log, restored)
            if founding:
                check_members(directory, DirectoryIdentity(config.cluster_id, config.name, config.members))
            async with trio.open_nursery() as nursery:
                node = Node(config, key, log, thread, reads, nursery, founding=founding)
                # A listener closes its socket; who connects while a log is repaired is served after it.
                node.start(restored, listening.dup())
                tell(node)
                await stop.wait()
                await node.quit()
                nursery.cancel_scope.cancel()
        except (DataCorrupted, BaseExceptionGroup) as error:
            if not log.damaged or not isinstance(_first(error), DataCorrupted):
                raise
            await repair_log()
            return True
    return False


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
        self._elected: tuple[Term, Index] | None = None
        self._quitting = False
        self._changed = trio.Event()
        self._links = 0

    def start(self, restored: Restored, listening: socket.socket) -> None:
        """Start all tasks in the nursery."""
        config, limits, nursery = self.config, self.config.limits, self._nursery
        self._peers = peers = Peers(
            {peer.name: peer.address for peer in config.peers if peer.name != config.name},
            self._identity,
            self._key,
            step=lambda given: self.driver.step(given),
            known=self._log.met,
            remember=self._log.remember,
            refusal=lambda node: self.membership.refusal(node),
            speak_s=min(config.election_timeout_ms_min / 2000, _SPEAK_S_MAX),
            silence_s_max=max(config.election_timeout_ms_max * _SILENT_TIMEOUTS / 1000, _SILENCE_S_MIN),
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
        self._applier = Applier(self._thread, driver, self.progress, limits.apply_entries_max, self._quarantine)
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
        keeper = LogKeeper(
            self._log,
            driver,
            self.progress,
            limits,
            Path(config.data_dir) / "data.db",
            connected=peers.connected,
            sending=lambda: None,
        )
        listener = Listener(
            listening,
            self._identity,
            self._key,
            known=self._log.met,
            serve_peer=peers.serve,
            serve_asker=self._serve_asker,
            peers_max=_LINKS_PER_PEER_MAX * MEMBERS_MAX,
            askers_max=limits.links_max,
            handshake_ms_max=limits.handshake_ms_max,
            frame_bytes_max=limits.frame_bytes_max,
            queue_bytes_max=limits.link_queue_bytes_max,
        )
        nursery.start_soon(driver.run)
        nursery.start_soon(self._execute)
        nursery.start_soon(keeper.run)
        nursery.start_soon(self._status.run)
        nursery.start_soon(peers.run)
        nursery.start_soon(membership.promote)
        nursery.start_soon(listener.run)

    @property
    def is_serving(self) -> bool:
        """This node is primary and takes writes."""
        return self._status.serving

    async def wait_changed(self) -> None:
        """Return when the primary or this node's part changes."""
        await self._changed.wait()

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
        """A quarantined node hands the lead on whenever it has it, until another takes it.  Not twice in a second:
        several such nodes would pass it round for ever, as fast as they can."""
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
        if self._elected is None or self._quitting or self._status.quarantined:
            return False
        term, index = self._elected
        return applied >= max(index, self._writer.resume_index(term))

    def _quarantine(self) -> None:
        self._status.quarantined = True
        self._reads.fault = Diverged(f"the database of node '{self.config.name}' differs from the primary's")
        self._writer.depose()
        self._tell()
        self._nursery.start_soon(self._keep_off_the_lead)

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
            self._status.answer,
            self._orders.take,
            self._answer_records,
            self.driver,
        )
        self._status.links[link.number] = link
        link.answer(self._status.heartbeat())
        try:
            await link.serve()
        finally:
            del self._status.links[link.number]


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


def _first(failure: BaseException) -> BaseException:
    """What ended the node: of a group the first error that is ours, or else the first."""
    leaves: list[BaseException] = []
    pending: list[BaseException] = [failure]
    for error in pending:
        if isinstance(error, BaseExceptionGroup):
            pending.extend(error.exceptions)
        else:
            leaves.append(error)
    return next((leaf for leaf in leaves if isinstance(leaf, LfsqlError)), leaves[0])
