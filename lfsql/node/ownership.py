"""Whose transaction holds the writer, and how it loses it: by its own word, by another's, or by saying nothing.

A transaction that is to be undone keeps the writer until the engine has undone it (`abandoned`); what its client
sends meanwhile is refused.  What the client sent after the end of its transaction takes its turn, before others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import trio

from lfsql.core.requests import Outcome, Submit
from lfsql.errors import InvariantBroken, LfsqlError, QueryCanceled, QueueFull
from lfsql.node.alarm import NEVER
from lfsql.node.clients import Clients, Owner
from lfsql.node.run_control import RunControl
from lfsql.node.work import Work
from lfsql.node.write_queue import WriteQueue

QUEUE_MAX: Final = 1_000
QUEUE_BYTES_MAX: Final = 64 << 20
"""Beyond it nothing more is queued; the last one may pass it, so that a lone one always fits."""

REBASE_SECONDS: Final = 0.03
"""After so long without a word from its owner, a transaction makes way for the COMMIT of what lies below it."""


class Ownership:
    """`owner` is None while the writer is free.  `refuse` answers a work with an error."""

    def __init__(
        self,
        clients: Clients,
        queue: WriteQueue,
        control: RunControl,
        idle_ms_max: int,
        refuse: Callable[[Work, LfsqlError], None],
    ) -> None:
        self._clients = clients
        self._queue = queue
        self._control = control
        self._idle_ms_max = idle_ms_max
        self._refuse = refuse
        self.owner: Owner | None = None
        self.abandoned = False
        """The owner's unit is to be undone; nothing else happens before."""

    @property
    def present(self) -> Owner:
        if self.owner is None:
            raise InvariantBroken("nobody owns the writer")
        return self.owner

    def is_of(self, client: str) -> bool:
        return self.owner is not None and self.owner.client == client

    @property
    def is_left(self) -> bool:
        """The owner goes on with another unit, as if its transaction had ended: what it left open is not part of
        that one, and is to be undone."""
        owner = self.owner
        if owner is None or not owner.queue:
            return False
        question = owner.queue[0].question
        return isinstance(question, Submit) and question.sequence != owner.sequence

    def take(self, work: Work) -> None:
        """The work opens a transaction, which holds the writer from now on."""
        self.owner = Owner(work)

    def ask(self, work: Work) -> None:
        """Queue the next part of the transaction, or refuse it."""
        queue = self.present.queue
        if len(queue) >= QUEUE_MAX or sum(each.size for each in queue) >= QUEUE_BYTES_MAX:
            self._refuse(work, QueueFull(f"{len(queue)} requests of one transaction wait"))
        else:
            queue.append(work)

    def ran(self, work: Work, outcome: Outcome, seconds: float) -> None:
        """A part of the transaction took `seconds` and left it open."""
        owner, question, cap = self.present, work.question, self._idle_ms_max
        if isinstance(question, Submit):
            owner.idle_ms_max = min(question.idle_ms_max or cap, cap)
        owner.ran(work, outcome, trio.current_time(), seconds)

    def abandon(self, error: LfsqlError | None, running: Sequence[Work]) -> None:
        """Have the transaction undone.  `error` is what its client hears next; None when nobody is there."""
        self.end(error, running)
        self.abandoned = True
        for work in running:
            self._control.stop(work, error or QueryCanceled("the client went away"))

    def end(self, error: LfsqlError | None, running: Sequence[Work] = ()) -> None:
        """What the client has sent or still sends for this transaction gets `error`, not a transaction anew."""
        owner = self.present
        if error is not None:
            self._clients.end(owner, error)
        for work in [work for work in owner.queue if work not in running]:
            owner.queue.remove(work)
            if error is not None:
                self._refuse(work, error)

    def give_up(self) -> None:
        """The transaction is over, and the writer free."""
        self.abandoned = False
        if self.owner is not None:
            queued, self.owner = self.owner.queue, None
            self._queue.put_back(queued)

    def idle_until(self) -> float:
        """Until when the owner may be silent; NEVER when it is not."""
        owner = self.owner
        if owner is None or owner.queue or self.abandoned:
            return NEVER
        return owner.due
