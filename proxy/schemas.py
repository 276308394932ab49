"""The schema this worker plans with.

One value for all sessions, replaced when a newer schema is seen: a read's snapshot, a heartbeat or an outcome tells
the log index of the newest schema change, and the next plan loads that schema from whoever has it.

A transaction that changes the schema sees its own, asked of the primary inside the transaction; so does one that
reads a snapshot from before the newest change, asked of the snapshot.  Its index is a number that no other schema
ever has, so that what was planned for it is not taken for a plan of anything else: neither after the transaction nor
after its next change.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import trio

from lfsql.core.ids import Index
from lfsql.core.requests import HOLD, Row, Run
from lfsql.errors import LfsqlError, NoPrimary
from proxy.routing import own_fault
from proxy.sql.plan import ANY_SCHEMA
from proxy.sql.schema import Schema
from proxy.sql.schema_query import SCHEMA_QUERY, schema_from_rows
from proxy.state import cancellable
from proxy.statements import load
from proxy.waiting import waiting
from proxy.writing import error_of, submit

if TYPE_CHECKING:
    from proxy.state import SessionState
    from proxy.worker import Worker


class Schemas:
    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._loading = trio.Lock()
        self.current = Schema(index=-1)
        self._heard: Index = 0
        self._own: Index = ANY_SCHEMA
        """Index of the newest schema that is a transaction's own.  They count down."""

    @property
    def wanted(self) -> Index:
        """The newest schema index heard of."""
        return max(self._heard, self._worker.topology.schema_index)

    def heard(self, index: Index) -> None:
        if index > self._heard:
            self._heard = index

    def look(self) -> None:
        """Hear of what the nodes of this host can show already."""
        for node in self._worker.topology.nodes.values():
            if node.reads is not None:
                try:
                    self.heard(node.reads.position()[1])
                except LfsqlError as error:
                    if not own_fault(self._worker.topology, node, error):
                        raise

    async def get(self, state: SessionState) -> Schema:
        """The schema to plan this session's next statement with."""
        if state.own_schema is not None:
            return state.own_schema
        seen = state.read_transaction
        if seen is not None and seen.schema_index < self.wanted:
            state.own_schema = self._make_own(await load(await seen.rows(state, SCHEMA_QUERY, ()), state.room_bytes))
            return state.own_schema
        if self.current.index < self.wanted:
            await self.refresh(state, self.wanted)
        return self.current

    async def refresh(self, state: SessionState, index: Index) -> None:
        """Load the schema as of `index` or later.

        One session loads it for all; each of the others waits for that by its own limits, and when the one gives up
        by its, the next goes on.  Raises NoPrimary, QueryCanceled.
        """
        self.heard(index)
        with trio.move_on_after(state.failover_s):
            await cancellable(state, partial(self._load, state))
            return
        raise NoPrimary("no node can be read: none showed its schema in time", hint="see lfsql status")

    async def _load(self, state: SessionState) -> None:
        with waiting(state):
            await self._loading.acquire()
        try:
            if self.current.index < self.wanted:
                rows, at = await self._worker.read_schema(state, SCHEMA_QUERY, self.wanted)
                self.current = schema_from_rows(rows, at)
                self.heard(at)
        finally:
            self._loading.release()

    async def load_own(self, state: SessionState) -> None:
        """The schema inside the session's transaction, which has changed it."""
        outcome = await submit(state, (Run(SCHEMA_QUERY),), HOLD, -1)
        if outcome.fault is not None:
            raise error_of(outcome.fault)
        state.own_schema = self._make_own(outcome.results[-1].rows)

    def _make_own(self, rows: Sequence[Row]) -> Schema:
        self._own -= 1
        return schema_from_rows(rows, self._own)
