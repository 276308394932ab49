"""Sessions whose statements are told where they would go, without a tier and without being run.

It is the proxy's own session (settings, transactions, prepared statements, cursors, plans, dialects) over the one
node there is: a file in a temporary directory that follows the statements that change a schema.  What a statement
would send to a node is left out, what it would do to its session is done.  So a BEGIN READ ONLY, a SET, a PREPARE
or a misspelt hint means for what follows what it means to a proxy.

Rejected: a planner by itself.  Where a statement goes is a question of its transaction, and of what wraps it, too.
Rejected: asking a running proxy by EXPLAIN (ROUTE).  It knows the tables of that day only, and a log of last night
would have to be planned by a production tier.

A statement that fails does not fail its transaction here: in a file whose tables are not all known, one unknown
name would keep everything up to the next ROLLBACK from being told.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from lfsql.config import ProxyConfig, Upstream
from lfsql.core.ids import Index
from lfsql.core.requests import Described, Row
from lfsql.errors import ConfigError
from lfsql.net.handshake import Identity
from lfsql.storage.reads import LocalReads
from proxy.commands import declared, locks, run_utility
from proxy.deciding import decided, deciding_plan, executed
from proxy.execution import SIMPLE
from proxy.hints import policy_of
from proxy.planning import prepare
from proxy.settings import SessionSettings
from proxy.sql.destination import Destination
from proxy.sql.plan import Kind, Plan
from proxy.sql.planner import Dialect
from proxy.sql.utility import (
    Commit,
    CopyIn,
    CopyOut,
    DeclareCursor,
    ExecutePrepared,
    Explain,
    Listen,
    Maintenance,
    Notify,
    Rollback,
    Unlisten,
)
from proxy.state import SessionState
from proxy.statements import ListRows
from proxy.unit import Outbox
from proxy.worker import Worker

SESSIONS_MAX: Final = 1_000
"""Sessions followed at a time; of more, those are forgotten that were silent longest."""
_ROUTES: Final = {"primary": "primary", "replica": "a replica"}


class Rehearsed(NamedTuple):
    """Where a statement would go: 'any copy', 'primary', 'a replica', 'node NAME', 'proxy' or 'session'."""

    kind: Kind
    route: str
    reason: str


class SchemaFile(Protocol):
    """A data.db at `path` that follows what changes a schema."""

    @property
    def path(self) -> Path: ...

    @property
    def schema_index(self) -> Index: ...

    def rows(self, sql: str) -> list[Row]: ...

    def change(self, statements: tuple[str, ...]) -> None: ...


class _Worker(Worker):
    """One that has no links, and a file instead of nodes."""

    file: SchemaFile
    reads: LocalReads

    async def read_schema(self, state: SessionState, sql: str, wanted: Index) -> tuple[list[Row], Index]:
        return self.file.rows(sql), self.file.schema_index

    async def describe(self, state: SessionState, plan: Plan) -> Described:
        known = self.reads.describe(plan.statements[-1])
        return Described(0, known.columns, known.parameters, known.readonly)


class Stage:
    """The file, and the sessions that there are.  See `stage`."""

    def __init__(self, worker: _Worker, dialect: Dialect) -> None:
        self._worker = worker
        self._dialect = dialect
        self._sessions: OrderedDict[str, Rehearsal] = OrderedDict()

    def session(self, name: str = "") -> Rehearsal:
        """The session of that name: as it was left, or a new one."""
        found = self._sessions.pop(name, None)
        if found is None:
            state = SessionState(self._worker, name, SessionSettings({"lfsql.dialect": self._dialect}), 0)
            found = Rehearsal(self._worker, state)
            if len(self._sessions) >= SESSIONS_MAX:
                self._sessions.popitem(last=False)
        self._sessions[name] = found
        return found

    def leave(self, name: str) -> None:
        """The session is over."""
        self._sessions.pop(name, None)


@asynccontextmanager
async def stage(dialect: Dialect, file: SchemaFile) -> AsyncIterator[Stage]:
    """`dialect`: of new sessions."""
    nobody = Upstream(name="n1", address="127.0.0.1:1")
    config = ProxyConfig(cluster_id="route", cluster_key_file="", nodes=(nobody,))
    worker = _Worker(config, Identity("route", "", "proxy"), b"", 0, _no_cancel, _no_file)
    worker.file = file
    async with LocalReads(file.path) as worker.reads:
        worker.schemas.heard(file.schema_index)
        yield Stage(worker, dialect)


def _no_cancel(_listen: str, _number: int, _process_id: int, _key: bytes) -> None:
    """Nobody can be connected who would cancel."""


def _no_file() -> ProxyConfig:
    raise ConfigError("there is no proxy.toml")


class Rehearsal:
    """One session."""

    def __init__(self, worker: _Worker, state: SessionState) -> None:
        self._worker = worker
        self._state = state

    @property
    def dialect(self) -> Dialect:
        self._state.refresh()
        return self._state.dialect

    def several(self, *, are: bool) -> None:
        """What follows is one text of several statements, or that text is over, and with it what it began."""
        state = self._state
        state.several = are
        if not are and not state.in_block:
            state.unit.clear()
            state.end_settings(committed=True)
            self._forget_told()

    async def rehearse(self, text: str) -> Rehearsed:
        """Where one statement would go; then the session is as it would be after it.  Raises what the proxy would."""
        state = self._state
        state.refresh()
        prepared = await prepare(state, text, lift=False)
        plan = prepared.plan
        deciding = await deciding_plan(state, plan)
        where, why = decided(state, deciding)
        route = where.value
        if where is Destination.COPY:
            route = self._choice(deciding)
            why = "its transaction may write" if route == "primary" and state.reads_to_write else ""
        elif where is not Destination.PRIMARY or deciding.kind is not Kind.READ:
            why = ""
        reason = deciding.reason or deciding.kind.value
        if why:
            reason = f"{reason}, {why}"
        writes = where is Destination.PRIMARY
        if plan.utility is not None:
            await self._follow(plan, writes=writes)
        else:
            state.queried = True
            if plan.kind is Kind.DDL:
                self._change(plan)
            self._wrote(writes=writes)
        if not state.in_block:
            state.end_settings(committed=True)
        self._forget_told()
        return Rehearsed(deciding.kind, route, reason)

    def _choice(self, plan: Plan) -> str:
        """Of a read that may go to any copy: what its session and its hints say of that."""
        route = policy_of(self._state, plan).route
        if route == "auto":
            return "primary" if self._state.reads_to_write else Destination.COPY.value
        return _ROUTES.get(route, f"node {route}")

    def _change(self, plan: Plan) -> None:
        """Carry out what changes the schema.  Raises StatementError and its kin."""
        worker = self._worker
        worker.file.change(plan.statements)
        worker.schemas.heard(worker.file.schema_index)

    def _wrote(self, *, writes: bool) -> None:
        """What follows in the transaction must see it."""
        if writes and self._state.in_block:
            self._state.unit.writes = True

    async def _follow(self, plan: Plan, *, writes: bool) -> None:
        """What a utility statement does to its session."""
        state = self._state
        utility = plan.utility
        match utility:
            case ExecutePrepared():
                await executed(state, utility)
            case DeclareCursor():
                portal = await declared(state, utility, ())
                portal.source = ListRows([])
                state.keep(portal.bytes)
                state.add_portal(portal)
            case Maintenance(tag="LOCK TABLE"):
                writes = locks(state, utility)
            case Explain() | CopyIn() | CopyOut() | Notify() | Listen() | Unlisten():
                pass
            case _:
                # With nothing written, none of these has anything to send.
                began = state.unit.writes
                state.unit.writes = False
                await run_utility(state, plan, (), SIMPLE)
                state.unit.writes = began and not isinstance(utility, Commit | Rollback)
                return
        self._wrote(writes=writes)

    def _forget_told(self) -> None:
        """What a client would be told, nobody reads."""
        self._state.outbox = Outbox()
