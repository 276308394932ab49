"""A witness: a vote and the log, without the data.  Two nodes with data and a witness outlive the loss of any one.

It takes part in consensus like any node, with log.db alone; there is no data.db, no engine, nothing to read or to
write for clients.  When it holds the newest record, which may be so after the primary was lost, it leads for as
long as it takes to bring a node with data up to date, and hands on (`lfsql.core.leadership`).

It keeps its log as long as the log's size allows, not by age: for a node that was away while the other was lost, it
may be the only place where the rest is.  When it is itself behind the primary's log, it needs no data to begin
anew: where the primary's data stands, and who belongs there, is all that a log has to begin with.
"""

from __future__ import annotations

import logging
import socket
from typing import Final

import msgspec
import trio

from lfsql.config import NodeConfig
from lfsql.core.effects import NOT_PRIMARY, HardState, ProposalRefused, Restored
from lfsql.core.ids import Index, NodeId, Position, Term
from lfsql.core.membership import MEMBERS_MAX, Configuration
from lfsql.core.messages import SnapshotNeeded
from lfsql.core.requests import (
    AddMember,
    Answer,
    CurrentIndex,
    Describe,
    Described,
    Drain,
    LogRecords,
    LookUp,
    ProxyHello,
    Question,
    Read,
    RemoveMember,
    Rows,
    SnapshotHeader,
    SnapshotRead,
    SnapshotRequest,
    StatusRequest,
    Submit,
    TransferLead,
    Verified,
    VerifyRequest,
)
from lfsql.errors import LimitExceeded, LinkLost, LinkRefused, NotPrimary, QueueFull
from lfsql.net.connection import Connection
from lfsql.net.handshake import COMMAND, NODE, Identity
from lfsql.net.link import open_link
from lfsql.net.listener import Listener
from lfsql.node.carrying import encode_state
from lfsql.node.driver import Driver, decode_state
from lfsql.node.log_keeping import LogKeeper
from lfsql.node.log_repair import answer_records
from lfsql.node.member_changes import TakeAnswer
from lfsql.node.membership import Membership, first_configuration, role_name
from lfsql.node.orders import Orders
from lfsql.node.peers import Peers
from lfsql.node.progress import Progress
from lfsql.node.service import LINKS_PER_PEER_MAX, settings_of, silence_of
from lfsql.node.status import StatusService
from lfsql.node.work import fault_of, refusal
from lfsql.storage.determinism import fingerprint
from lfsql.storage.functions import register
from lfsql.storage.statement_log import StatementLog

logger: Final = logging.getLogger(__name__)

_QUIT_S_MAX: Final = 3.0
_AGAIN_S: Final = 1.0
_ANSWER_S_MAX: Final = 15.0

_decode_question: Final = msgspec.msgpack.Decoder(Question).decode


class WitnessLink:
    """One link of a proxy or a command: whoever wants data or a primary is told that there is neither here."""

    def __init__(self, number: int, connection: Connection, peer: Identity, witness: Witness) -> None:
        self.number = number
        self.peer = peer
        self.hello: ProxyHello | None = None
        self._connection = connection
        self._witness = witness

    def answer(self, message: Answer) -> None:
        """Send an answer; drop it when the link is gone.  Who does not read his answers loses it."""
        try:
            self._connection.send_nowait(message)
        except LinkLost:
            return
        except (QueueFull, LimitExceeded) as error:
            logger.warning("the link of a %s is closed: %s", self.peer.role, error.message)
            self._connection.close()

    async def serve(self) -> None:
        """Take questions until the link is lost; raises LinkLost, ProtocolViolation."""
        while True:
            for question in await self._connection.receive(_decode_question):
                self._take(question)

    def _take(self, question: Question) -> None:
        no_data = NotPrimary("a witness has no data", primary=self._witness.other_primary)
        match question:
            case Submit() | LookUp() | CurrentIndex():
                self.answer(refusal(question.request, no_data))
            case Read():
                self.answer(Rows(question.request, fault=fault_of(no_data)))
            case Describe():
                self.answer(Described(question.request, fault=fault_of(no_data)))
            case SnapshotRequest() | SnapshotRead():
                self.answer(SnapshotHeader(question.request, fault=fault_of(no_data)))
            case VerifyRequest():
                self.answer(Verified(question.request, fault=fault_of(no_data)))
            case StatusRequest():
                self._witness.status.answer(self, question)
            case TransferLead() | AddMember() | RemoveMember() | Drain():
                self._witness.orders.take(self, question)
            case LogRecords():
                self._witness.answer_records(self, question)
            case ProxyHello():
                self.hello = question


class _NoChanges:
    """A witness changes no members: it leads only to hand on."""

    def ask(self, _configuration: Configuration, answer: TakeAnswer) -> None:
        answer(ProposalRefused(NOT_PRIMARY, ""))


class Witness:
    """One running witness, and the Observer of its own consensus."""

    def __init__(
        self, config: NodeConfig, key: bytes, log: StatementLog, nursery: trio.Nursery, *, founding: bool
    ) -> None:
        """`founding`: who belongs is what node.toml says, as the log names nobody yet."""
        self.config = config
        self._key = key
        self._log = log
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
        self.ended = trio.Event()
        """It is to stop: it was ordered to, or removed."""
        self.anew = trio.Event()
        """The log begins elsewhere now: everything is to be opened again."""
        self.driver: Driver
        self.membership: Membership
        self.status: StatusService
        self.orders: Orders
        self._peers: Peers
        self._progress = Progress(Position(), 0)
        self._wanted = trio.Event()
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
            content=lambda _sender, _message: None,  # there is none to compare
            came=lambda: None,
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
        self._progress.advance(Position(driver.consensus.committed), 0)
        self.membership = Membership(
            config,
            driver,
            self._progress,
            _NoChanges(),
            connected=peers.connected,
            serving=lambda: False,
            change=lambda: self._changed,
            end=self.ended.set,
        )
        peers.set_members(self.membership.addresses())
        self.orders = Orders(self.membership, nursery, self.ended.set)
        self.status = StatusService(config, self._identity, self._key, driver, self._progress, self.membership)
        keeper = LogKeeper(
            self._log,
            driver,
            self._progress,
            limits,
            None,
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
            peers_max=LINKS_PER_PEER_MAX * MEMBERS_MAX,
            askers_max=limits.links_max,
            handshake_ms_max=limits.handshake_ms_max,
            frame_bytes_max=limits.frame_bytes_max,
            queue_bytes_max=limits.link_queue_bytes_max,
        )
        nursery.start_soon(driver.run)
        nursery.start_soon(keeper.run)
        nursery.start_soon(self.status.run)
        nursery.start_soon(peers.run)
        nursery.start_soon(listener.run)
        nursery.start_soon(self._begin_elsewhere)

    @property
    def other_primary(self) -> NodeId:
        """The primary as far as it is known, '' when it is this node, which does no work."""
        primary = self.driver.consensus.primary
        return "" if primary == self.config.name else primary

    async def quit(self) -> None:
        """Hand the lead on if it is here; give up after a few seconds."""
        with trio.move_on_after(_QUIT_S_MAX):
            successor = self.membership.successor()
            if self.driver.consensus.primary == self.config.name and successor:
                await self.membership.hand_over(successor)

    def answer_records(self, asker: WitnessLink, question: LogRecords) -> None:
        self._nursery.start_soon(answer_records, self._log, self.driver, asker, question)

    # -- Observer --------------------------------------------------------------------------------------------

    def committed(self, index: Index) -> None:
        self._progress.advance(Position(index), 0)
        self.membership.committed()

    def durable(self, index: Index) -> None: ...

    def became_primary(self, term: Term, index: Index) -> None: ...

    def stepped_down(self, primary: NodeId) -> None: ...

    def primary_changed(self, primary: NodeId) -> None:
        if primary == self.config.name:
            logger.info("leading in term %d, to bring a node with data up to date", self.driver.consensus.term)
        elif primary:
            logger.info("node '%s' is primary in term %d", primary, self.driver.consensus.term)
        self._tell()

    def members_changed(self, configuration: Configuration) -> None:
        names = ", ".join(f"{member.node} ({role_name(member)})" for member in configuration.members)
        logger.info("the members are now: %s", names)
        self._peers.set_members(self.membership.addresses())
        self._tell()

    def transfer_given_up(self, to: NodeId) -> None:
        logger.warning("node '%s' did not take the lead in time", to)
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
        self.status.change()

    # -- Inside ----------------------------------------------------------------------------------------------

    async def _serve_asker(self, connection: Connection, peer: Identity) -> None:
        self._links += 1
        link = WitnessLink(self._links, connection, peer, self)
        self.status.links[link.number] = link
        link.answer(self.status.heartbeat())
        try:
            await link.serve()
        finally:
            del self.status.links[link.number]

    def _snapshot_needed(self, sender: NodeId, message: SnapshotNeeded) -> None:
        consensus = self.driver.consensus
        if (sender, message.term) == (consensus.primary, consensus.term) and consensus.commit_index < message.base:
            self._wanted.set()

    async def _begin_elsewhere(self) -> None:
        """When the primary's log begins after the end of this one: begin where the primary's data stands."""
        await self._wanted.wait()
        logger.warning(
            "the primary's log begins after what is here: this log begins anew where the primary's data is"
        )
        while True:
            try:
                header = await self._header()
            except (LinkLost, LinkRefused) as error:
                logger.info("asking where to begin: %s", error.message)
                await trio.sleep(_AGAIN_S)
                continue
            if header is not None and header.position.index > self._log.base.index:
                break
            await trio.sleep(_AGAIN_S)
        state = decode_state(self._log.hard_state) if self._log.hard_state else HardState()
        if state.term < header.position.term:
            state = HardState(header.position.term)
        state = HardState(state.term, state.vote, header.position.index)
        await self._log.reset(header.position, configuration=header.configuration, hard_state=encode_state(state))
        self.anew.set()

    async def _header(self) -> SnapshotHeader | None:
        """Where the primary's data stands; None while that cannot be told."""
        primary = self.other_primary
        address = self._peers.address(primary)
        if not address:
            return None
        identity = Identity(self.config.cluster_id, self.config.name, COMMAND)
        with trio.move_on_after(_ANSWER_S_MAX):
            async with open_link(address, identity, self._key, expected_node=primary) as link:
                answer = await link.request(SnapshotRequest(link.next_request(), self._log.last.index))
                if isinstance(answer, SnapshotHeader) and answer.fault is None and answer.bytes_total:
                    return answer
        return None


def is_witness(config: NodeConfig) -> bool:
    """Whether this configuration is of a node without data."""
    return config.me.role == "witness"
