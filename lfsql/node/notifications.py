"""Tells proxies what the log notifies of: each asks for what follows the index that it knows everything up to.

Any node can be asked, as what is committed is the same everywhere and for ever: a proxy that loses one goes on at the
next with the same index, and misses nothing, nor hears anything twice.  An answer waits for the first notification,
but not for longer than the proxy asked for, so that its index moves on also where many write and nobody notifies:
else the log would one day be cut past it.

A question at a time, and no stream: a proxy that does not keep up asks less often and costs no memory here.  Nodes
keep nothing of listeners, and who has none asks nothing: then a commit costs one look at a number here.
Rejected: telling with each commit's outcome, which only the proxy that committed gets.
"""

from __future__ import annotations

from typing import Final

import msgspec
import trio

from lfsql.core.entry import UNIT, Notification, Record, notifications_of
from lfsql.core.ids import Index
from lfsql.core.notifications import NotificationsAfter, Notified
from lfsql.node.driver import Driver
from lfsql.node.work import Asker
from lfsql.storage.statement_log import StatementLog

RECORDS_MAX: Final = 1_000
RECORDS_BYTES_MAX: Final = 4 << 20
"""Looked at in one go."""
ANSWER_BYTES_MAX: Final = 1 << 20
"""Of one answer, unless a single unit's notifications take more."""
QUESTIONS_MAX: Final = 1_000
"""Of one link that may wait; what comes on top is answered with what is known at once."""

Told = tuple[Index, tuple[Notification, ...]]


class NotificationService:
    """Of one node, for all its links."""

    def __init__(self, log: StatementLog, driver: Driver, nursery: trio.Nursery) -> None:
        self._log = log
        self._driver = driver
        self._nursery = nursery
        self._open: dict[int, int] = {}
        """Questions that wait, by their link's number."""
        self._news = trio.Event()

    def committed(self) -> None:
        """The log is committed further than before."""
        if self._open:
            self._wake()

    def ask(self, asker: Asker, question: NotificationsAfter) -> None:
        """Answered with Notified, sooner or later."""
        waiting = self._open.get(asker.number, 0)
        if waiting >= QUESTIONS_MAX:
            question = msgspec.structs.replace(question, wait_ms_max=0)
        self._open[asker.number] = waiting + 1
        self._nursery.start_soon(self._answer, asker, question)

    def asker_lost(self, asker: Asker) -> None:
        """The link is gone: nobody waits for its answers."""
        if self._open.pop(asker.number, None) is not None:
            self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def _answer(self, asker: Asker, question: NotificationsAfter) -> None:
        found = await self._look(asker, question)
        waiting = self._open.get(asker.number)
        if waiting is None:
            return
        if waiting > 1:
            self._open[asker.number] = waiting - 1
        else:
            del self._open[asker.number]
        asker.answer(found)

    async def _look(self, asker: Asker, question: NotificationsAfter) -> Notified:
        request, upto = question.request, question.after
        deadline = trio.current_time() + question.wait_ms_max / 1000
        while True:
            news = self._news
            committed = self._driver.consensus.committed
            if upto < committed:
                last = min(committed, upto + RECORDS_MAX)
                records = await self._driver.records(upto + 1, last, RECORDS_BYTES_MAX)
                if not records or records[0].index != upto + 1:
                    return Notified(request, upto, base=self._log.base.index)
                upto, told = told_by(records)
                if told:
                    return Notified(request, upto, told)
                await trio.lowlevel.checkpoint()
            known = 0 < question.until <= upto
            if known or asker.number not in self._open or trio.current_time() >= deadline:
                return Notified(request, upto)
            if upto >= self._driver.consensus.committed:
                with trio.move_on_at(deadline):
                    await news.wait()


def told_by(records: tuple[Record, ...]) -> tuple[Index, tuple[Told, ...]]:
    """What the records notify of, as much as fits an answer, and the index that nothing is left out up to."""
    told: list[Told] = []
    size = 0
    for record in records:
        notifications = notifications_of(record.body) if record.kind == UNIT else ()
        if notifications:
            told.append((record.index, notifications))
            size += sum(len(each.payload) + len(each.channel) for each in notifications)
            if size >= ANSWER_BYTES_MAX:
                return record.index, tuple(told)
    return records[-1].index, tuple(told)
