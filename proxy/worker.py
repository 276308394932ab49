"""One proxy process: what all its sessions share, and the tasks that keep it true."""

from __future__ import annotations

import hmac
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from math import inf
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from lfsql.config import ProxyConfig, Upstream
from lfsql.core.entry import Value
from lfsql.core.freshness import CommitHistory
from lfsql.core.ids import Index
from lfsql.core.requests import (
    Answer,
    Cancel,
    Describe,
    Described,
    Fault,
    Forget,
    LookUp,
    Outcome,
    ProxyHello,
    Read,
    ReadClose,
    ReadMore,
    Row,
    Rows,
)
from lfsql.errors import (
    ConfigError,
    LfsqlError,
    LinkLost,
    LinkRefused,
    QueryCanceled,
    ShuttingDown,
    TooManyConnections,
)
from lfsql.net.handshake import Identity
from lfsql.net.link import Asking, Link, open_link
from lfsql.storage.reads import LocalReads
from proxy.acknowledged import Acknowledged
from proxy.catalogs import Catalogs
from proxy.members import Members
from proxy.notifications import Notifications
from proxy.pg.settings import EncodeSettings
from proxy.probing import keep_probed, keep_watched
from proxy.reactor import Reactor
from proxy.receipt import Routes, answered_here
from proxy.routing import own_fault
from proxy.schemas import Schemas
from proxy.settings import SETTINGS, settings_given
from proxy.sql.cache import PlanCache
from proxy.sql.catalog import Facts
from proxy.sql.catalog.facts import Cursor as CursorFacts
from proxy.sql.catalog.facts import Node as NodeFacts
from proxy.sql.catalog.facts import Prepared as PreparedFacts
from proxy.sql.catalog.facts import Setting as SettingFacts
from proxy.sql.plan import Plan
from proxy.state import TIMED_OUT, cancellable
from proxy.statements import ListRows, RowSource
from proxy.topology import Node, Topology
from proxy.waiting import wait_primary, waiting
from proxy.writing import error_of

if TYPE_CHECKING:
    from proxy.session import Session
    from proxy.state import SessionState

LOG: Final = logging.getLogger("lfsql.proxy")

RECONNECT_S_MIN: Final = 0.05
LOOK_S: Final = 1.0
"""How often a node's file is looked at: whether it is still the one that is open."""
RECONNECT_S_MAX: Final = 1.0
PROCESS_ID_BITS: Final = 20
"""Of a session's process id; those above are its worker's number."""
HISTORY_S_MAX: Final = 3_600.0
HISTORY_ENTRIES_MAX: Final = 4_096
"""How far back lag can be told: a replica further behind than either has an unknown lag."""
SCHEMA_WAIT_MS_MAX: Final = 10_000
FAULTY_S: Final = 0.25
"""After that a node that failed, or had no room, is asked for the schema again."""
ENCODINGS_MAX: Final = 1_000
"""Combinations of settings that values are printed by, which are known by a number."""


class Worker:
    def __init__(
        self,
        config: ProxyConfig,
        identity: Identity,
        key: bytes,
        number: int,
        pass_on_cancel: Callable[[str, int, int, bytes], None],
        read_again: Callable[[], ProxyConfig],
        board: int | None = None,
    ) -> None:
        """`read_again`: the proxy's file as it is now; raises ConfigError.  `board`: see Acknowledged."""
        self.config = config
        self.limits = config.limits
        self.name = f"{os.getpid()}-{os.urandom(6).hex()}"
        """Names this worker's sessions on the primary; new at each start, so no sequence is ever reused."""
        self.databases = frozenset(config.databases)
        self._defaults = settings_given(config.defaults)
        self._defaults_of = {
            user: {**self._defaults, **settings_given(given)} for user, given in config.users.items()
        }
        self.acknowledged = Acknowledged(number, board, config.workers)
        self.topology = Topology(
            [_node_of(upstream) for upstream in config.nodes],
            CommitHistory(HISTORY_S_MAX, HISTORY_ENTRIES_MAX),
            config.balancing,
            self.acknowledged if board is not None else None,  # of its own the topology is told
        )
        self.notifications = Notifications(self.topology, self._heard)
        self.members = Members(self.topology, self._keep, self._known)
        self._read_again = read_again
        self.schemas = Schemas(self)
        self.plans = PlanCache(self.limits.plan_cache_entries_max, self.limits.plan_cache_bytes_max)
        self.catalogs = Catalogs()
        self.routes = Routes()
        self.reactor = Reactor()
        self.started_at: str = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        self._identity = identity
        self._key = key
        self._number = number
        self._pass_on_cancel = pass_on_cancel
        self._sessions: dict[int, Session] = {}
        self._last_process_id = int.from_bytes(os.urandom(4)) % (1 << PROCESS_ID_BITS)
        """They begin anywhere: a client takes a notification from another host's session of its own number for its
        own, and two proxies that both count from 1 would have the same."""
        self._encodings: dict[EncodeSettings, int] = {}
        self._last_encoding = 0

    def defaults(self, user: str) -> Mapping[str, str]:
        """What the settings of the user's new session are, where they are not the built-in ones."""
        return self._defaults_of.get(user, self._defaults)

    # -- sessions ------------------------------------------------------------------------------------------

    def admit(self) -> None:
        """Raises TooManyConnections when this worker is full."""
        if len(self._sessions) >= self.limits.connections_max:
            raise TooManyConnections("sorry, too many clients already")

    def enter(self, session: Session) -> int:
        """A process id for the session, unique among this worker's and, by the worker's number, its host's."""
        while True:
            self._last_process_id = self._last_process_id % ((1 << PROCESS_ID_BITS) - 1) + 1
            process_id = self._number << PROCESS_ID_BITS | self._last_process_id
            if process_id not in self._sessions:
                self._sessions[process_id] = session
                return process_id

    def forget(self, process_id: int, state: SessionState | None) -> None:
        """The session is over: whoever holds its transaction may drop it.  `state` is None when it never began."""
        self._sessions.pop(process_id, None)
        if state is not None and state.unit.held and state.unit.link is not None:
            state.unit.link.tell(Forget(state.client))

    def cancel(self, process_id: int, key: bytes) -> None:
        """A CancelRequest.  A wrong key is ignored, as in PostgreSQL."""
        number = process_id >> PROCESS_ID_BITS
        if number != self._number:
            if number < self.config.workers:
                self._pass_on_cancel(self.config.listen, number, process_id, key)
            return
        session = self._sessions.get(process_id)
        if session is not None and hmac.compare_digest(session.key, key):
            session.cancel()

    def _heard(self, index: Index) -> None:
        """Clients are about to be told of what is at `index`: none of their sessions may read what was before it."""
        for session in self._sessions.values():
            session.see(index)

    def end_sessions(self) -> None:
        for session in list(self._sessions.values()):
            session.end(ShuttingDown("terminating connection due to administrator command"))

    @property
    def sessions(self) -> int:
        return len(self._sessions)

    def encoding_key(self, encoding: EncodeSettings) -> int:
        """A number for these settings.  Hashing them for every row written would cost more than writing it."""
        number = self._encodings.get(encoding)
        if number is None:
            if len(self._encodings) >= ENCODINGS_MAX:
                self._encodings.clear()  # those in use get another number beside the one they have
            self._last_encoding += 1
            number = self._encodings[encoding] = self._last_encoding
        return number

    # -- asking nodes --------------------------------------------------------------------------------------

    async def ask(self, state: SessionState, link: Link, question: Asking) -> Answer:
        """A request that the session's client can cancel, and that is cancelled when the statement's time is over.
        Its answer is waited for all the same: only that tells what became of it.  A LookUp is not cancelled: it asks
        just that.  When the asker itself is given up, a read is closed at the node, which would keep it open.  A node
        knows how long a statement ran, not how long it waited: which limit it was that ended it is told here.

        Raises LinkLost, also when the node is given up, or a write's outcome is asked of one that is deposed.
        """
        if isinstance(question, LookUp):
            return await link.request(question)
        state.cancel = partial(link.tell, Cancel(question.request))
        try:
            answer = await _request(link, question, state.stop_at)
        finally:
            state.cancel = None
        fault = answer.fault if isinstance(answer, Outcome | Rows) else None
        if fault is None or fault.sqlstate != QueryCanceled.sqlstate or trio.current_time() < state.stop_at:
            return answer
        return msgspec.structs.replace(answer, fault=Fault(QueryCanceled.sqlstate, TIMED_OUT))

    async def _from_any_node(
        self, state: SessionState, wanted: Index, ask: Callable[[Node], Awaitable[RowsAt | None]]
    ) -> RowsAt:
        """Ask the nodes in turn, the primary last, until one can answer, or it is cancelled."""
        while True:
            again_at = inf
            for node in self.topology.order():
                if node.schema_index < wanted and node is not self.topology.primary and node.reads is None:
                    continue
                try:
                    found = await ask(node)
                except LfsqlError as error:
                    if not own_fault(self.topology, node, error):
                        raise
                    again_at = monotonic() + FAULTY_S
                    continue
                if found is not None:
                    return found
            with waiting(state):
                await self.topology.wait_change(again_at)

    async def read_schema(self, state: SessionState, sql: str, wanted: Index) -> RowsAt:
        """The rows of a schema query, and the schema index they show, at least `wanted`.  It goes on until it is
        cancelled, which the session's own limits and its client do: see Schemas.refresh."""

        async def ask(node: Node) -> RowsAt | None:
            if node.reads is not None:
                _, schema_index = node.reads.refresh()
                if schema_index < wanted:
                    return None if node.link is None else await self._schema_over_link(node, sql, wanted)
                cursor = await node.reads.open_cursor(sql)
                rows: list[Row] = []
                more = True
                try:
                    while more:
                        chunk, more = await cursor.fetch()
                        rows += chunk
                finally:
                    await cursor.aclose()
                return rows, cursor.schema_index
            return await self._schema_over_link(node, sql, wanted)

        return await self._from_any_node(state, wanted, ask)

    async def _schema_over_link(self, node: Node, sql: str, wanted: Index) -> RowsAt | None:
        if node.link is None:
            return None
        if node.reads is not None and node is not self.topology.primary:
            return None  # its file told already that it is behind
        question = Read(node.link.next_request(), sql, min_index=wanted, wait_ms_max=SCHEMA_WAIT_MS_MAX)
        answer = await _request(node.link, question)
        if not isinstance(answer, Rows):
            return None
        if answer.fault is not None:
            raise error_of(answer.fault)
        return list(answer.rows), answer.schema_index

    async def describe(self, state: SessionState, plan: Plan) -> Described:
        """What SQLite knows of a statement's columns.  Raises StatementError and its kin."""
        sql = plan.statements[-1]
        if not state.in_unit:
            for node in self.topology.order():
                try:
                    if node.reads is not None and node.reads.refresh()[1] >= self.schemas.wanted:
                        known = node.reads.describe(sql)
                        return Described(0, known.columns, known.parameters, known.readonly)
                except LfsqlError as error:
                    if not own_fault(self.topology, node, error):
                        raise
        node = state.unit.node if state.unit.held else await wait_primary(state, _soon(state))
        if node.link is None:
            raise LinkLost(f"there is no link to node '{node.name}'")
        client = state.client if state.unit.held else ""
        answer = await self.ask(state, node.link, Describe(node.link.next_request(), sql, client))
        if not isinstance(answer, Described):
            raise LinkLost(f"node '{node.name}' answered a question with something else")
        if answer.fault is not None:
            raise error_of(answer.fault)
        return answer

    async def read_catalog(self, state: SessionState, plan: Plan, values: tuple[Value, ...]) -> RowSource:
        schema = await self.schemas.get(state)
        query, limit = plan.statements[-1], state.statement_ms_max
        running = partial(self.catalogs.run, query, values, schema, self.facts(state), run_ms_max=limit)
        rows = await cancellable(state, running)
        answered_here(state, "system catalogs")
        return ListRows(rows)

    def facts(self, state: SessionState) -> Facts:
        """What the catalogs tell beyond the schema."""
        topology = self.topology
        now = monotonic()
        reads = self.routes.reads()
        return Facts(
            database=state.database,
            owner=state.user,
            settings=tuple(
                SettingFacts(name, value, description=SETTINGS[name].description if name in SETTINGS else "")
                for name, value in state.settings.values.items()
            ),
            nodes=tuple(
                NodeFacts(
                    node.name,
                    node.role,
                    node.address,
                    node.readable(now),
                    node.term,
                    node.applied_index,
                    max(0, topology.commit_index - node.applied_index),
                    zone=node.zone or None,
                    weight=node.weight,
                    state=node.state,
                    share_percent=round(node.share_percent, 1),
                    reads=reads[node.name],
                    outstanding=node.outstanding,
                    latency_ms=None if (mean_s := node.latency.mean_s(now)) is None else round(mean_s * 1000, 3),
                    fault=node.fault or None,
                    throttle=node.throttle or None,
                )
                for node in topology.nodes.values()
            ),
            prepared=tuple(
                PreparedFacts(name, prepared.text, prepared.plan.parameters, prepared.from_sql)
                for name, prepared in state.statements.items()
                if name
            ),
            cursors=tuple(
                CursorFacts(name, portal.prepared.text, portal.hold)
                for name, portal in state.portals.items()
                if portal.cursor
            ),
            primary=topology.primary.name if topology.primary is not None else "",
            term=topology.term,
            commit_index=topology.commit_index,
            routes=self.routes.rows(),
        )

    # -- tasks ---------------------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep links and local readers while it runs."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.topology.watch_silence)
            nursery.start_soon(self.reactor.run)
            nursery.start_soon(self.notifications.run)
            await nursery.start(self.members.run)
            task_status.started()

    def _known(self, name: str, address: str) -> Node:
        """A node that was added: `lfsql add-node` has written what it knows of it into the file."""
        try:
            nodes = self._read_again().nodes
        except ConfigError as error:
            LOG.warning("node %s is read over its link, as the proxy's file cannot be read: %s", name, error.message)
            nodes = ()
        upstream = next((each for each in nodes if each.name == name), Upstream(name=name, address=address))
        return _node_of(msgspec.structs.replace(upstream, address=address))

    async def _keep(self, node: Node) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_link, node)
            if node.data_dir:
                nursery.start_soon(self._keep_reads, node)
            unanswered_s_max = self.config.balancing.unanswered_ms_max / 1000
            nursery.start_soon(keep_probed, self.topology, node, unanswered_s_max)
            nursery.start_soon(keep_watched, self.topology, node, unanswered_s_max)

    async def _keep_link(self, node: Node) -> None:
        pause_s = RECONNECT_S_MIN
        refused = ""
        while True:
            try:
                async with open_link(
                    node.address,
                    self._identity,
                    self._key,
                    expected_node=node.name,
                    on_push=partial(self.members.heard, node),
                    requests_max=self.limits.node_requests_max,
                    frame_bytes_max=self.limits.frame_bytes_max,
                    watch=self.reactor if self.reactor.shared else None,
                ) as link:
                    link.send_nowait(ProxyHello(os.getpid(), self.config.listen))
                    node.link = link
                    self.topology.ping(node, monotonic(), 0)
                    pause_s = RECONNECT_S_MIN
                    await link.wait_lost()
            except LinkRefused as error:
                if error.message != refused:
                    LOG.error("node %s: %s", node.name, error.message)
                    refused = error.message
            except LfsqlError as error:
                LOG.debug("node %s: %s", node.name, error.message)
            finally:
                node.link = None
                self.topology.lost(node)
            await trio.sleep(pause_s)
            pause_s = min(pause_s * 2, RECONNECT_S_MAX)

    async def _keep_reads(self, node: Node) -> None:
        """Open the node's database file, once there is one, and keep it open; again, when another is in its place."""
        path = Path(node.data_dir) / "data.db"
        pause_s = RECONNECT_S_MIN
        while True:
            opened = _which(path)
            try:
                async with LocalReads(
                    path,
                    snapshot_age_ms_max=self.limits.snapshot_age_ms_max,
                    steps_inline_max=self.limits.inline_steps_max,
                    rows_inline_max=self.limits.inline_rows_max,
                    threads_max=self.limits.read_threads_max,
                ) as reads:
                    reads.position()
                    node.reads = reads
                    # Nobody tells of it; until it is seen, reads find by the index that the old file is behind.
                    while _which(path) == opened:  # noqa: ASYNC110 - a file's name has no event
                        await trio.sleep(LOOK_S)
            except LfsqlError as error:
                LOG.debug("node %s: its database cannot be read yet: %s", node.name, error.message)
            finally:
                node.reads = None
            await trio.sleep(pause_s)
            pause_s = min(pause_s * 2, RECONNECT_S_MAX)


def _which(path: Path) -> tuple[int, int] | None:
    """The file itself, whatever it is called; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


async def _request(link: Link, question: Asking, stop_at: float = inf) -> Answer:
    try:
        return await link.request(question, stop_at=stop_at)
    except trio.Cancelled:
        if isinstance(question, Read | ReadMore):
            link.tell(ReadClose(question.request))
        raise


RowsAt = tuple[list[Row], Index]


def _soon(state: SessionState) -> float:
    return monotonic() + state.failover_s


def _node_of(upstream: Upstream) -> Node:
    return Node(
        upstream.name,
        upstream.address,
        upstream.data_dir,
        weight=upstream.weight,
        zone=upstream.zone,
        max_sessions=upstream.max_sessions,
    )
