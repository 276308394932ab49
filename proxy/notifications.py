"""What the log notifies of, followed for all sessions of this worker that listen; `proxy.listening` is one session's.

One question at a time goes to one node, the primary when there is one, as it knows first: "what is there after the
index up to which everything was heard?".  The next may go to any other node, so losing one costs time and loses
nothing, and nothing is heard twice.  Who has nobody that listens asks nothing.

An index that all nodes at hand have cut off their logs is lost.  Then the sessions that listen are ended, with the
reason: a client that goes on listening would believe that nothing had happened.

A client is told by one session and reads in another.  So before anything is told, all sessions of this worker count
as having seen it: at `session` consistency they read nothing older.
Rejected: a link and a stream of its own for each session that listens, which a thousand of them would not share.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

import trio

from lfsql.core.ids import Index
from lfsql.core.notifications import NotificationsAfter, Notified
from lfsql.core.requests import Answer
from lfsql.errors import InvariantBroken, LfsqlError, NotificationsLost
from proxy.pg import encode
from proxy.topology import READABLE, Node, Topology

if TYPE_CHECKING:
    from lfsql.net.link import Link

LOG: Final = logging.getLogger("lfsql.proxy")

WAIT_MS: Final = 5_000
"""After so long a node tells that there was nothing, and up to where it looked."""
AGAIN_S: Final = 1.0
"""A node that could not be asked is asked again, if nothing else was heard by then."""


class Hearer(Protocol):
    """None of these may wait or raise."""

    @property
    def fullness(self) -> float:
        """Of what may wait to be told, the part that does: 0 to 1."""

    def hear(self, index: Index, channel: str, message: bytes) -> None:
        """One notification, as the client is to be told."""

    def tell(self) -> None:
        """All that came together was heard."""

    def lose(self, error: LfsqlError) -> None:
        """It cannot be known what was missed."""


class Notifications:
    """`run` must run in a task while any session listens."""

    def __init__(self, topology: Topology, on_heard: Callable[[Index], None]) -> None:
        """`on_heard` is called with an index before anybody is told what was notified there."""
        self._topology = topology
        self._on_heard = on_heard
        self._channels: dict[str, dict[Hearer, None]] = {}
        self._asked: tuple[Node, Link, int] | None = None
        """Whom, and by which number, the question that waits for its answer."""
        self._cut: set[str] = set()
        """Nodes that have cut their log past `position`."""
        self._wanted = trio.Event()
        self._news = trio.Event()
        self.position: Index = 0
        """Everything up to here was heard, by those that listened."""
        self.heard: Index = 0
        """Of the newest notification that somebody was told."""

    async def run(self) -> None:
        while True:
            await self._wanted.wait()
            self._ask()
            await self._topology.wait_change(monotonic() + AGAIN_S)

    # -- Who listens ---------------------------------------------------------------------------------------

    def add(self, channel: str, hearer: Hearer, since: Index) -> Index:
        """From now on the hearer hears the channel: all that is notified after the index given back, which is at
        least `since`, and perhaps what is before it."""
        if not self._channels:
            self.position = since
            self._cut.clear()
            self._wanted.set()
        self._channels.setdefault(channel, {})[hearer] = None
        self._ask()
        return max(since, self.position)

    def remove(self, channel: str, hearer: Hearer) -> None:
        """Idempotent."""
        hearers = self._channels.get(channel)
        if hearers is None:
            return
        hearers.pop(hearer, None)
        if not hearers:
            del self._channels[channel]
            if not self._channels:
                self._rest()

    def _rest(self) -> None:
        self._channels.clear()
        self._wanted = trio.Event()
        self._withdraw()

    async def reach(self, index: Index, seconds_max: float) -> None:
        """Return when everything up to `index` was heard; or when that takes too long: then it will be later."""
        if self.position >= index:
            return
        with trio.move_on_after(seconds_max):
            self._ask_upto(index)
            while self.position < index:
                await self._news.wait()

    @property
    def fullness(self) -> float:
        """Of what may wait for one client, the part that does for the one for which most does: 0 to 1."""
        return max((hearer.fullness for found in self._channels.values() for hearer in found), default=0.0)

    # -- Asking --------------------------------------------------------------------------------------------

    def _nodes(self) -> list[Node]:
        """Who can be asked, the best first."""
        primary = self._topology.primary
        asked = self._asked[0] if self._asked is not None else None
        linked = [node for node in self._topology.nodes.values() if node.link is not None and not node.link.lost]
        known = [node for node in linked if node.role in READABLE and node.name not in self._cut]
        return sorted(known, key=lambda node: (node is not primary, node is not asked))

    def _ask(self) -> None:
        """See to it that the best node has our question."""
        nodes = self._nodes() if self._channels else []
        if not nodes:
            return
        node, link = nodes[0], nodes[0].link
        if link is None or (self._asked is not None and self._asked[1] is link):
            return
        self._withdraw()
        question = NotificationsAfter(link.next_request(), self.position, 0, WAIT_MS)
        try:
            link.ask(question, partial(self._answered, node, question))
        except LfsqlError as error:
            LOG.debug("node %s cannot be asked for notifications: %s", node.name, error.message)
        else:
            self._asked = node, link, question.request

    def _ask_upto(self, index: Index) -> None:
        """Besides the question that waits: tell at once when there is nothing up to there."""
        for node in self._nodes()[:1]:
            if node.link is None:
                continue
            question = NotificationsAfter(node.link.next_request(), self.position, index, WAIT_MS)
            try:
                node.link.ask(question, partial(self._take, node, question))
            except LfsqlError as error:
                LOG.debug("node %s cannot be asked for notifications: %s", node.name, error.message)

    def _withdraw(self) -> None:
        if self._asked is not None:
            _, link, request = self._asked
            self._asked = None
            link.withdraw(request)

    # -- Answers -------------------------------------------------------------------------------------------

    def _answered(self, node: Node, question: NotificationsAfter, answer: Answer | None) -> None:
        self._asked = None
        self._take(node, question, answer)
        self._ask()

    def _take(self, node: Node, question: NotificationsAfter, answer: Answer | None) -> None:
        """Of a link that was lost nothing is heard here: that is news of the topology."""
        if not isinstance(answer, Notified) or question.after > self.position or not self._channels:
            return
        if answer.base > self.position:
            self._cut.add(node.name)
            if not self._nodes():
                self._lose(answer.base)
            return
        try:
            self._tell(answer)
        except Exception as error:  # a fault of ours; here it would end the task that reads the link
            LOG.error("notifications could not be told", exc_info=error)
            self._end(InvariantBroken("notifications could not be told"))

    def _tell(self, answer: Notified) -> None:
        heard: dict[Hearer, None] = {}
        for index, notifications in answer.told:
            if index <= self.position:
                continue
            for each in notifications:
                hearers = self._channels.get(each.channel)
                if not hearers:
                    continue
                message = encode.notification_response(each.pid, each.channel, each.payload)
                for hearer in hearers:
                    hearer.hear(index, each.channel, message)
                heard.update(hearers)
                self.heard = index
        if answer.upto > self.position:
            self.position = answer.upto
            self._cut.clear()
            self._topology.committed(answer.upto)
            self._news.set()
            self._news = trio.Event()
        if heard:
            self._on_heard(self.heard)
            for hearer in heard:
                hearer.tell()

    def _lose(self, base: Index) -> None:
        LOG.error("notifications after record %d are lost: the log begins after %d", self.position, base)
        self._end(
            NotificationsLost(
                "notifications were lost: they are not in the log any more",
                detail=f"They were heard up to record {self.position}, and no node has the one that follows it.",
                hint="Connect again, LISTEN, and look at what the notifications are about.",
            )
        )

    def _end(self, error: LfsqlError) -> None:
        hearers = {hearer: None for found in self._channels.values() for hearer in found}
        self._rest()
        for hearer in hearers:
            hearer.lose(error)
