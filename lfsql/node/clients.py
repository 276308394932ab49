"""What the writer remembers of clients."""

from __future__ import annotations

from collections import OrderedDict, deque

from lfsql.errors import LfsqlError
from lfsql.node.work import Work


class Owner:
    """The client whose transaction holds the writer."""

    __slots__ = ("client", "idle_ms_max", "idle_since", "link", "queue", "sequence")

    def __init__(self, work: Work) -> None:
        self.client = work.client
        self.sequence = work.sequence
        self.link = work.asker.number
        self.queue: deque[Work] = deque([work])
        """What it sent; the first is the one that runs, if one runs."""
        self.idle_since = 0.0
        self.idle_ms_max = 0


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

    def spoke(self, name: str, link: int) -> Client | None:
        """The client, now known to speak on `link`; None when it already spoke on a newer one.

        A proxy that lost its link asks again on a new one.  What then still arrives on the old link must not run:
        the proxy may have been told already that it never did.
        """
        client = self._clients.get(name)
        if client is None:
            if len(self._clients) >= self._clients_max:
                self._clients.popitem(last=False)
            client = self._clients[name] = Client(link)
            return client
        if link < client.link:
            return None
        if link > client.link:
            client.link, client.ended = link, None
        self._clients.move_to_end(name)
        return client

    def find(self, name: str) -> Client | None:
        return self._clients.get(name)

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
