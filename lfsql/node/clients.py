"""What the writer remembers of clients."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

from lfsql.core.requests import Outcome, Submit
from lfsql.errors import LfsqlError, LinkLost
from lfsql.node.batch import chain_results
from lfsql.node.work import Work

REBASE_BYTES_MAX: Final = 256 << 10
"""Of Submits: a transaction that has sent more is not run again."""

REBASE_SECONDS_MAX: Final = 0.25
"""Nor is one that ran for longer: all others would wait for it once more."""


class Owner:
    """The client whose transaction holds the writer."""

    __slots__ = (
        "client", "digest", "done", "idle_ms_max", "idle_since", "link", "queue", "seconds", "sequence", "size",
    )  # fmt: skip

    def __init__(self, work: Work) -> None:
        self.client = work.client
        self.sequence = work.sequence
        self.link = work.asker.number
        self.queue: deque[Work] = deque([work])
        """What it sent; the first is the one that runs, if one runs."""
        self.idle_since = 0.0
        self.idle_ms_max = 0
        self.done: list[Work] | None = []
        """What has run, to be run again when it is rebased; None when it cannot be."""
        self.digest = b""
        self.size = 0
        self.seconds = 0.0
        """How long it has run, all together."""

    def ran(self, work: Work, outcome: Outcome, now: float, seconds: float) -> None:
        """A Submit ran for so long and left the transaction open."""
        self.idle_since = now
        self.size += work.size
        self.seconds += seconds
        failed = outcome.fault is not None or work.stopped is not None
        if failed or self.size > REBASE_BYTES_MAX or self.seconds > REBASE_SECONDS_MAX:
            self.done = None
        if self.done is not None:
            self.done.append(work)
            self.digest = chain_results(self.digest, outcome.results)

    @property
    def due(self) -> float:
        """When it will have been idle for too long."""
        return self.idle_since + self.idle_ms_max / 1000


class Client:
    __slots__ = ("ended", "link", "sequence")

    def __init__(self, link: int) -> None:
        self.link = link
        """The newest link it spoke on."""
        self.sequence = -1
        """The newest unit that was logged in this term."""
        self.ended: tuple[int, LfsqlError] | None = None
        """(sequence, why) of a transaction that ended by another's word than the client's."""


class Clients:
    """Clients by name, the longest silent forgotten first.

    Forgetting is safe: what the log holds of a client is looked up in the database then.
    """

    def __init__(self, clients_max: int) -> None:
        self._clients_max = clients_max
        self._clients: OrderedDict[str, Client] = OrderedDict()

    def spoke(self, work: Work) -> LfsqlError | None:
        """The client asks for `work`; returns why it must not run, or None.

        A proxy that lost its link asks again on a new one.  What then still arrives on the old link must not run:
        the proxy may have been told already that it never did.  Nor must the rest of a transaction that ended.
        """
        name, link = work.client, work.asker.number
        client = self._clients.get(name)
        if client is None:
            if len(self._clients) >= self._clients_max:
                self._clients.popitem(last=False)
            self._clients[name] = Client(link)
            return None
        if link < client.link:
            return LinkLost(f"client '{name}' speaks on a newer link")
        if link > client.link:
            client.link, client.ended = link, None
        self._clients.move_to_end(name)
        if client.ended is not None and isinstance(work.question, Submit):
            sequence, why = client.ended
            if sequence == work.sequence:
                return why
            client.ended = None
        return None

    def end(self, owner: Owner, why: LfsqlError) -> None:
        """The owner's transaction ended by another's word than its own: what it still sends for it gets `why`."""
        client = self._clients.get(owner.client)
        if client is not None:
            client.ended = (owner.sequence, why)

    def forget(self, name: str, link: int) -> bool:
        """The client is gone, says `link`; False when it speaks on another one."""
        client = self._clients.get(name)
        if client is None or client.link != link:
            return False
        del self._clients[name]
        return True

    def is_new(self, name: str, sequence: int) -> bool:
        """Whether nothing can be recorded of the unit, as this term logged an earlier one and no later."""
        client = self._clients.get(name)
        return client is not None and 0 <= client.sequence < sequence

    def ran(self, name: str, sequence: int) -> None:
        """The client's unit was logged."""
        client = self._clients.get(name)
        if client is not None:
            client.sequence = max(client.sequence, sequence)

    def new_term(self) -> None:
        """Another primary may have run later units meanwhile."""
        for client in self._clients.values():
            client.sequence = -1
