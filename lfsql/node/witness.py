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
from lfsql.core.effects import NOT_PRIMARY, ProposalRefused, Restored
from lfsql.core.ids import Index, NodeId, Position, Term
from lfsql.core.log_copies import LogRecords
from lfsql.core.membership import Configuration
from lfsql.core.messages import CheckContent, ContentChecked
from lfsql.core.notifications import NotificationsAfter
from lfsql.core.requests import (
    AddMember,
    CurrentIndex,
    Describe,
    Described,
    Drain,
    LookUp,
    Ping,
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
from lfsql.errors import LfsqlError, NotPrimary
from lfsql.net.connection import Connection
from lfsql.net.handshake import COMMAND, Identity
from lfsql.net.link import open_link
from lfsql.node.answering import AnsweringLink
from lfsql.node.member_changes import TakeAnswer
from lfsql.node.participant import Participant
from lfsql.node.progress import Progress
from lfsql.node.work import fault_of, refusal
from lfsql.storage.statement_log import StatementLog

logger: Final = logging.getLogger(__name__)

_QUIT_S_MAX: Final = 3.0
_AGAIN_S: Final = 1.0
_ANSWER_S_MAX: Final = 15.0

_decode_question: Final = msgspec.msgpack.Decoder(Question).decode


class WitnessLink(AnsweringLink):
    """Whoever wants data or a primary is told that there is neither here."""

    def __init__(self, number: int, connection: Connection, peer: Identity, participant: Participant) -> None:
        super().__init__(number, connection, peer)
        self._participant = participant

    async def serve(self) -> None:
        try:
            while True:
                for question in await self._connection.receive(_decode_question):
                    self._take(question)
        finally:
            self._participant.notifications.asker_lost(self)

    def _take(self, question: Question) -> None:
        participant = self._participant
        no_data = NotPrimary("a witness has no data", primary=participant.primary_elsewhere)
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
                participant.status.answer(self, question)
            case TransferLead() | AddMember() | RemoveMember() | Drain():
                participant.orders.take(self, question)
            case LogRecords():
                participant.answer_records(self, question)
            case NotificationsAfter():
                participant.notifications.ask(self, question)
            case Ping():
                participant.status.pinged(self, question.number)
            case ProxyHello():
                self.hello = question


class Witness:
    """One running witness, and the Owner of its participant."""

    sending = None
    is_serving = False

    def __init__(
        self, config: NodeConfig, key: bytes, log: StatementLog, nursery: trio.Nursery, *, founding: bool
    ) -> None:
        """`founding`: who belongs is what node.toml says, as the log names nobody yet."""
        self._name = config.name
        self._key = key
        self._log = log
        self._nursery = nursery
        self._progress = Progress(Position(), 0)
        self.participant = Participant(config, key, log, self._progress, nursery, self, founding=founding)
        self.ended = self.participant.ended
        self.anew = trio.Event()
        """The log is to begin at `begins_at`, once nothing writes it any more: everything is to be opened again."""
        self.begins_at: SnapshotHeader | None = None
        self._lacking = trio.Event()

    def start(self, restored: Restored, listening: socket.socket) -> None:
        """Start all tasks in the nursery."""
        self.participant.start(restored, listening, None)
        self._progress.advance(Position(self.participant.driver.consensus.committed), 0)
        self.participant.run()
        self._nursery.start_soon(self._begin_elsewhere)

    async def quit(self) -> None:
        """Hand the lead on if it is here; give up after a few seconds."""
        with trio.move_on_after(_QUIT_S_MAX):
            await self.participant.hand_over()

    # -- Owner of the participant ----------------------------------------------------------------------------

    def committed(self, index: Index) -> None:
        self._progress.advance(Position(index), 0)

    def durable(self, index: Index) -> None: ...

    def became_primary(self, term: Term, index: Index) -> None: ...

    def stepped_down(self, primary: NodeId) -> None: ...

    def primary_changed(self, primary: NodeId) -> None:
        if primary == self._name:
            logger.info("a witness leads only to bring a node with data up to date")

    def change_members(self, _configuration: Configuration, answer: TakeAnswer) -> None:
        answer(ProposalRefused(NOT_PRIMARY, ""))

    def lacks_log(self, source: NodeId, base: Index) -> None:
        if not self._lacking.is_set():
            logger.warning("the log of node '%s' begins after record %d, which is not here", source, base)
            self._lacking.set()

    def node_came(self) -> None: ...

    def content_told(self, sender: NodeId, message: CheckContent | ContentChecked) -> None: ...

    async def reads_ended(self) -> None: ...

    def link(self, number: int, connection: Connection, peer: Identity) -> WitnessLink:
        return WitnessLink(number, connection, peer, self.participant)

    # -- Inside ----------------------------------------------------------------------------------------------

    async def _begin_elsewhere(self) -> None:
        """When the primary's log begins after the end of this one: begin where the primary's data stands."""
        await self._lacking.wait()
        while self.begins_at is None:
            try:
                header = await self._header()
            except LfsqlError as error:
                logger.info("asking where to begin: %s", error.message)
                header = None
            if header is not None and header.position.index > self._log.base.index:
                self.begins_at = header
            else:
                await trio.sleep(_AGAIN_S)
        logger.warning("this log begins anew, where the data of the primary stands")
        self.anew.set()

    async def _header(self) -> SnapshotHeader | None:
        """Where the primary's data stands; None while that cannot be told.  Raises LinkLost, LinkRefused."""
        participant = self.participant
        primary = participant.primary_elsewhere
        address = participant.peers.address(primary)
        if not address:
            return None
        identity = Identity(participant.identity.cluster_id, self._name, COMMAND)
        with trio.move_on_after(_ANSWER_S_MAX):
            async with open_link(address, identity, self._key, expected_node=primary) as link:
                answer = await link.request(SnapshotRequest(link.next_request(), self._log.last.index))
                if isinstance(answer, SnapshotHeader) and answer.fault is None and answer.bytes_total:
                    return answer
        return None


def is_witness(config: NodeConfig) -> bool:
    """Whether this configuration is of a node without data."""
    return config.me.role == "witness"
