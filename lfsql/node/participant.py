"""What votes and keeps the log: the part that a node with data and a witness have in common.

Who belongs to the cluster, the links to the others, consensus and its log, orders of operators and what the node
says of itself: none of it asks whether there is a database beside it.  So it stands here once, and what builds on it,
the node of `lfsql.node.service` or the witness of `lfsql.node.witness`, is told what consensus says (`Owner`).

Rejected: a base class.  The two have nothing of each other but this, and what one overrides the other would inherit.
"""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from typing import Final, Protocol

import trio

from lfsql.config import NodeConfig
from lfsql.core.effects import Restored
from lfsql.core.ids import Index, NodeId, Term
from lfsql.core.log_copies import LogRecords
from lfsql.core.membership import MEMBERS_MAX, Configuration
from lfsql.core.messages import CheckContent, ContentChecked, SnapshotNeeded
from lfsql.core.settings import ConsensusSettings
from lfsql.net.connection import Connection
from lfsql.net.handshake import NODE, Identity
from lfsql.net.listener import Listener
from lfsql.node.answering import AnsweringLink
from lfsql.node.cutting import record_bytes_max
from lfsql.node.driver import Driver
from lfsql.node.ledger import STACK_BYTES_MAX
from lfsql.node.log_keeping import LogKeeper
from lfsql.node.log_repair import answer_records
from lfsql.node.member_changes import TakeAnswer
from lfsql.node.membership import Membership, first_configuration, role_name
from lfsql.node.notifications import NotificationService
from lfsql.node.orders import Orders
from lfsql.node.peers import Peers
from lfsql.node.progress import Progress
from lfsql.node.status import StatusService
from lfsql.storage.determinism import fingerprint
from lfsql.storage.functions import register
from lfsql.storage.statement_log import StatementLog

logger: Final = logging.getLogger(__name__)

_SILENT_TIMEOUTS: Final = 5
"""Election timeouts after which the link of a silent peer is closed."""
_SPOKEN_TIMES: Final = 8
"""So many signs of life fit into the silence that is too long: a few may be late, and an idle node sleeps well."""
_SPEAK_S_MAX: Final = 1.0
_SILENCE_S_MIN: Final = 5.0
"""The two hold whatever the nodes' own configurations: none takes another for dead that is only set to be slow."""
_LINKS_PER_PEER_MAX: Final = 4
_COPIES_MAX: Final = 2
"""Answers with records of the log, megabytes each, that are in memory at a time: others wait for the log longer."""


class Owner(Protocol):
    """What builds on a participant.  All calls come from the event loop; none may wait or raise.

    The first five are consensus': see `lfsql.node.carrying.Observer`.
    """

    def committed(self, index: Index) -> None: ...

    def durable(self, index: Index) -> None: ...

    def became_primary(self, term: Term, index: Index) -> None: ...

    def stepped_down(self, primary: NodeId) -> None: ...

    def primary_changed(self, primary: NodeId) -> None: ...

    @property
    def is_serving(self) -> bool:
        """This node is primary and takes writes."""

    @property
    def sending(self) -> Index | None:
        """Where a copy of the data stands that is being sent: the log that follows it is kept.  None without one."""

    def change_members(self, configuration: Configuration, answer: TakeAnswer) -> None:
        """Log that these are the members; see MemberChanges.ask()."""

    def lacks_log(self, source: NodeId, base: Index) -> None:
        """The log of `source`, which is primary, begins after record `base`, and this node has fewer."""

    def node_came(self) -> None:
        """There is a link to another node again."""

    def content_told(self, sender: NodeId, message: CheckContent | ContentChecked) -> None:
        """Another node compares contents."""

    async def reads_ended(self) -> None:
        """Return when no read is open that a proxy has asked for."""

    def link(self, number: int, connection: Connection, peer: Identity) -> AnsweringLink:
        """What serves the link of a proxy or a command."""


class Participant:
    """One running node's.  `start` must be called before anything else; the tasks run in the node's nursery."""

    driver: Driver
    peers: Peers
    membership: Membership
    status: StatusService
    orders: Orders
    notifications: NotificationService

    def __init__(
        self,
        config: NodeConfig,
        key: bytes,
        log: StatementLog,
        progress: Progress,
        nursery: trio.Nursery,
        owner: Owner,
        *,
        founding: bool,
    ) -> None:
        """`founding`: who belongs is what node.toml says, as the log names nobody yet."""
        self.config = config
        self.key = key
        self.log = log
        self.progress = progress
        self.nursery = nursery
        self.identity = Identity(
            config.cluster_id,
            config.name,
            NODE,
            fingerprint(register),
            config.members if founding else {},
            log.incarnation,
            config.me.address,
        )
        self.ended = trio.Event()
        """The node is to stop: it was ordered to, or removed."""
        self._owner = owner
        self.change = trio.Event()
        """The next change of the primary, the members or this node's part: for who must not miss one."""
        self._links = 0
        self._copies = trio.Semaphore(_COPIES_MAX)

    def start(self, restored: Restored, listening: socket.socket, database: Path | None) -> None:
        """Put the parts together; nothing runs before run().  `database`: data.db; None for a node without data."""
        config, limits, owner = self.config, self.config.limits, self._owner
        speak_s, silence_s_max = _silence_of(config)
        self.peers = peers = Peers(
            {peer.name: peer.address for peer in config.peers if peer.name != config.name},
            self.identity,
            self.key,
            step=lambda given: self.driver.step(given),
            snapshot_needed=self._snapshot_needed,
            content=owner.content_told,
            came=owner.node_came,
            known=self.log.met,
            remember=self.log.remember,
            refusal=lambda node: self.membership.refusal(node),
            speak_s=speak_s,
            silence_s_max=silence_s_max,
            frame_bytes_max=limits.frame_bytes_max,
            queue_bytes_max=limits.link_queue_bytes_max,
        )
        self.driver = driver = Driver(
            config.name,
            first_configuration(config, self.log),
            self.log,
            restored,
            settings_of(config),
            send=peers.send,
            close_peer=peers.close,
            observer=self,
        )
        self.membership = membership = Membership(
            config,
            driver,
            self.progress,
            owner.change_members,
            met=self.log.met,
            connected=lambda node: peers.connected(node),
            serving=lambda: owner.is_serving,
            change=lambda: self.change,
            end=self.ended.set,
        )
        peers.set_members(membership.addresses())
        self.orders = Orders(membership, self.nursery, self.ended.set, self._leave)
        self.status = StatusService(config, self.identity, self.key, driver, self.progress, membership)
        self.notifications = NotificationService(self.log, driver, self.nursery)
        self._keeper = LogKeeper(
            self.log,
            driver,
            self.progress,
            limits,
            database,
            connected=peers.connected,
            sending=lambda: owner.sending,
        )
        self._listener = Listener(
            listening,
            self.identity,
            self.key,
            known=self.log.met,
            serve_peer=peers.serve,
            serve_asker=self._serve_asker,
            peers_max=_LINKS_PER_PEER_MAX * MEMBERS_MAX,
            askers_max=limits.links_max,
            handshake_ms_max=limits.handshake_ms_max,
            frame_bytes_max=limits.frame_bytes_max,
            queue_bytes_max=limits.link_queue_bytes_max,
        )

    def run(self) -> None:
        """Start all tasks in the nursery, once the owner is ready for what they bring."""
        for task in (
            self.driver.run,
            self._keeper.run,
            self.status.run,
            self.peers.run,
            self.membership.promote,
            self._listener.run,
        ):
            self.nursery.start_soon(task)

    @property
    def primary_elsewhere(self) -> NodeId:
        """The primary as far as it is known; '' when that is nobody, or this node."""
        primary = self.driver.consensus.primary
        return "" if primary == self.config.name else primary

    async def wait_changed(self) -> None:
        """Return when the primary, the members or this node's part changes."""
        await self.change.wait()

    def tell(self) -> None:
        """This node's part changed: tell who waits for that, and the proxies."""
        self.change.set()
        self.change = trio.Event()
        self.status.change()

    async def _leave(self) -> None:
        """Tell proxies that this node is about to stop, and wait until nobody reads from it."""
        self.status.draining = True
        self.status.change()
        await self._owner.reads_ended()

    def answer_records(self, asker: AnsweringLink, question: LogRecords) -> None:
        self.nursery.start_soon(self._answer_records, asker, question)

    async def _answer_records(self, asker: AnsweringLink, question: LogRecords) -> None:
        async with self._copies:
            await answer_records(self.log, self.driver, asker, question)

    async def hand_over(self) -> None:
        """Have another node lead, when this one does and another can; returns when it does, or did not in time."""
        successor = self.membership.successor()
        if self.driver.consensus.primary != self.config.name or not successor:
            return
        logger.info("handing the lead to node '%s'", successor)
        with trio.move_on_after(self.config.election_timeout_ms_min / 1000):
            await self.membership.hand_over(successor)

    # -- Observer --------------------------------------------------------------------------------------------

    def committed(self, index: Index) -> None:
        self._owner.committed(index)
        self.notifications.committed()
        self.membership.committed()

    def durable(self, index: Index) -> None:
        self._owner.durable(index)

    def became_primary(self, term: Term, index: Index) -> None:
        self._owner.became_primary(term, index)
        self.tell()

    def stepped_down(self, primary: NodeId) -> None:
        logger.warning("no longer primary%s", f", node '{primary}' is" if primary else "")
        self._owner.stepped_down(primary)

    def primary_changed(self, primary: NodeId) -> None:
        if primary:
            logger.info("node '%s' is primary in term %d", primary, self.driver.consensus.term)
        self._owner.primary_changed(primary)
        self.tell()

    def members_changed(self, configuration: Configuration) -> None:
        names = ", ".join(f"{member.node} ({role_name(member)})" for member in configuration.members)
        logger.info("the members are now: %s", names)
        self.peers.set_members(self.membership.addresses())
        self.tell()

    def transfer_given_up(self, to: NodeId) -> None:
        logger.warning("node '%s' did not take the lead in time", to)
        self.tell()

    # -- Inside ----------------------------------------------------------------------------------------------

    def _snapshot_needed(self, sender: NodeId, message: SnapshotNeeded) -> None:
        if self.driver.consensus.is_behind(sender, message.term, message.base):
            self._owner.lacks_log(sender, message.base)

    async def _serve_asker(self, connection: Connection, peer: Identity) -> None:
        self._links += 1
        link = self._owner.link(self._links, connection, peer)
        self.status.links[link.number] = link
        link.answer(self.status.heartbeat())
        try:
            await link.serve()
        finally:
            del self.status.links[link.number]


def _silence_of(config: NodeConfig) -> tuple[float, float]:
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
