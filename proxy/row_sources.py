"""Rows of reads that have more to give: they are fetched from where they are as their client takes them.

Each counts as one session of its node until it is closed, by whoever holds it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from lfsql.core.requests import ReadClose, ReadMore, Row, Rows
from lfsql.errors import LfsqlError, LinkLost
from proxy.routing import own_fault
from proxy.state import SessionState, cancellable
from proxy.writing import error_of

if TYPE_CHECKING:
    from lfsql.net.link import Link
    from lfsql.storage.reads import ReadCursor
    from proxy.topology import Node

CHUNK_ROWS: Final = 1_000


class LocalRows:
    """A cursor on a file of this host, in a thread."""

    __slots__ = ("_cursor", "_node", "_open", "_state")

    def __init__(self, state: SessionState, node: Node, cursor: ReadCursor) -> None:
        self._state = state
        self._node = node
        self._cursor = cursor
        self._open = True

    async def fetch(self, rows_max: int) -> tuple[list[Row], bool]:
        try:
            return await cancellable(self._state, partial(self._cursor.fetch, rows_max or CHUNK_ROWS))
        except LfsqlError as error:
            own_fault(self._state.worker.topology, self._node, error)
            raise

    async def aclose(self) -> None:
        try:
            await self._cursor.aclose()
        finally:
            # Now there is room: who waits for that is told.
            if self._open:
                self._open = False
                self._state.worker.topology.balancer.end(self._node)


class RemoteRows:
    """A read that another node keeps open for us."""

    __slots__ = ("_ahead", "_link", "_more", "_node", "_open", "_request", "_state")

    def __init__(self, state: SessionState, node: Node, link: Link, request: int, first: Rows) -> None:
        self._state = state
        self._node = node
        self._link = link
        self._request = request
        self._ahead: list[Row] = list(first.rows)
        self._more = first.more
        self._open = True

    async def fetch(self, rows_max: int) -> tuple[list[Row], bool]:
        wanted = rows_max or CHUNK_ROWS
        if not self._ahead and self._more:
            answer = await self._state.worker.ask(self._state, self._link, ReadMore(self._request, wanted))
            if not isinstance(answer, Rows):
                raise LinkLost(f"node '{self._node.name}' answered a read with something else")
            if answer.fault is not None:
                self._more = False
                raise error_of(answer.fault)
            self._ahead = list(answer.rows)
            self._more = answer.more
        rows, self._ahead = self._ahead[:wanted], self._ahead[wanted:]
        return rows, bool(self._ahead) or self._more

    async def aclose(self) -> None:
        if self._open:
            self._open = False
            self._state.worker.topology.balancer.end(self._node)
        if self._more:
            self._link.tell(ReadClose(self._request))
        self._more = False
