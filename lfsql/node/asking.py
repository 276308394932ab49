"""One link of a proxy or a command, from this node's side: questions in, answers and heartbeats out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from lfsql.core.effects import ReadConfirmed, ReadRefused
from lfsql.core.log_copies import LogRecords
from lfsql.core.notifications import NotificationsAfter
from lfsql.core.requests import (
    COMMITTED,
    AddMember,
    Answer,
    Cancel,
    CurrentIndex,
    Describe,
    Described,
    Drain,
    Forget,
    LookUp,
    Order,
    Outcome,
    Ping,
    ProxyHello,
    Question,
    Read,
    ReadClose,
    ReadMore,
    RemoveMember,
    Rows,
    SnapshotRead,
    SnapshotRequest,
    StatusRequest,
    Submit,
    TransferLead,
    VerifyRequest,
)
from lfsql.errors import LimitExceeded, NotPrimary
from lfsql.net.connection import Connection
from lfsql.net.handshake import Identity
from lfsql.node.answering import AnsweringLink
from lfsql.node.driver import Driver
from lfsql.node.notifications import NotificationService
from lfsql.node.reading import LinkReads, ReadService
from lfsql.node.snapshot_source import SnapshotSource
from lfsql.node.work import Work, fault_of, refusal
from lfsql.node.writer import Writer

_decode_question: Final = msgspec.msgpack.Decoder(Question).decode


def _sized(frame: memoryview) -> tuple[int, Question]:
    return len(frame), _decode_question(frame)


class AskerLink(AnsweringLink):
    """Of a node with data."""

    def __init__(
        self,
        number: int,
        connection: Connection,
        peer: Identity,
        writer: Writer,
        reads: ReadService,
        snapshots: SnapshotSource,
        notifications: NotificationService,
        answer_status: Callable[[AskerLink, StatusRequest], None],
        pinged: Callable[[AskerLink, int], None],
        carry_out: Callable[[AskerLink, Order | VerifyRequest], None],
        answer_records: Callable[[AskerLink, LogRecords], None],
        driver: Driver,
    ) -> None:
        super().__init__(number, connection, peer)
        self._writer = writer
        self._reads = LinkReads(reads, self)
        self._snapshots = snapshots
        self._notifications = notifications
        self._answer_status = answer_status
        self._pinged = pinged
        self._carry_out = carry_out
        self._answer_records = answer_records
        self._driver = driver

    async def serve(self) -> None:
        connection = self._connection
        try:
            while True:
                questions = await connection.receive(_sized)
                connection.cork()
                for size, question in questions:
                    self._take(size, question)
                connection.uncork()
        finally:
            self._writer.asker_lost(self)
            self._reads.close_all()
            self._snapshots.asker_lost(self)
            self._notifications.asker_lost(self)

    def _take(self, size: int, question: Question) -> None:
        match question:
            case Submit() | LookUp():
                self._writer.ask(Work(self, question, size))
            case Read():
                self._reads.read(question)
            case ReadMore():
                self._reads.more(question)
            case ReadClose():
                self._reads.close(question.request)
            case Describe():
                if question.client and self._writer.owns(question.client):
                    self._writer.ask(Work(self, question, size))
                else:
                    self._reads.describe(question)
            case Cancel():
                self._reads.cancel(question.request)
                self._writer.cancel(self, question.request)
            case Forget():
                self._writer.forget(self, question.client)
            case StatusRequest():
                self._answer_status(self, question)
            case TransferLead() | AddMember() | RemoveMember() | Drain() | VerifyRequest():
                self._carry_out(self, question)
            case LogRecords():
                self._answer_records(self, question)
            case CurrentIndex():
                self._current_index(question.request)
            case NotificationsAfter():
                self._notifications.ask(self, question)
            case SnapshotRequest() | SnapshotRead():
                self._snapshots.ask(self, question)
            case Ping():
                self._pinged(self, question.number)
            case ProxyHello():
                self.hello = question

    def _current_index(self, request: int) -> None:
        def tell(effect: ReadConfirmed | ReadRefused) -> None:
            if isinstance(effect, ReadConfirmed):
                self.answer(Outcome(request, COMMITTED, index=effect.index))
            else:
                self.answer(refusal(request, NotPrimary(primary=effect.primary)))

        if self._driver.consensus.ready:
            self._driver.read_index(tell)
        else:
            self.answer(refusal(request, NotPrimary(primary=self._driver.consensus.primary)))

    def _too_large(self, message: Answer, error: LimitExceeded) -> None:
        """The work is done, only its rows cannot travel: say so, and what state it left."""
        match message:
            case Outcome():
                self.answer(Outcome(message.request, message.state, (), fault_of(error), message.index))
            case Rows():
                self.answer(Rows(message.request, fault=fault_of(error)))
            case Described():
                self.answer(Described(message.request, fault=fault_of(error)))
            case _:
                super()._too_large(message, error)
