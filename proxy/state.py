"""What one client's session is between two messages, as plain data.

The modules that act on it (`execution`, `transaction`, `commands`, `extended`, `simple`, `copying`) take it as their
first argument; `session` owns it together with the socket.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Mapping
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import trio

from lfsql.core.freshness import LagLimits
from lfsql.core.ids import Index, Term
from lfsql.errors import IdleInTransaction, IdleSession, InvariantBroken, LfsqlError, LimitExceeded, QueryCanceled
from lfsql.storage.functions import zones
from proxy import time_zones
from proxy.pg import encode
from proxy.pg.messages import SessionMessage
from proxy.pg.settings import EncodeSettings
from proxy.receipt import Decision, Glance, Route, Tried
from proxy.settings import SETTINGS, SessionSettings, duration_ms
from proxy.statements import ListRows, Portal, Prepared, ScrollRows
from proxy.transaction_modes import read_only
from proxy.unit import Outbox, Step, Unit, told_nothing

if TYPE_CHECKING:
    from datetime import tzinfo

    from lfsql.core.requests import Operation
    from proxy.listening import Listener
    from proxy.snapshots import Snapshot
    from proxy.sql.planner import Dialect
    from proxy.sql.schema import Schema
    from proxy.worker import Worker

T = TypeVar("T")

IDLE: Final = "I"
IN_TRANSACTION: Final = "T"
FAILED: Final = "E"

HEARSAY_MS_MAX: Final = 1_000
"""Where lag is limited in entries alone: how old what they are counted from may be.  A primary that nobody confirms
is read for as long."""
IDLE_IN_TRANSACTION: Final = "idle_in_transaction_session_timeout"

TIMED_OUT: Final = "canceling statement due to statement timeout"


def zone(name: str) -> tzinfo | None:
    """The time zone of that name as SQL functions know it, or None."""
    return zones.named(name)


class ReadPolicy:
    """The settings that decide where a read may go, as numbers.  Made anew when a setting changes."""

    __slots__ = (
        "_for_no_data",
        "_silence_ms_max",
        "by_turns",
        "lag_entries_max",
        "lag_ms_max",
        "level",
        "min_index",
        "route",
        "shared",
        "silence_s_max",
        "when_lagging",
    )

    def __init__(self, values: Mapping[str, str]) -> None:
        self._for_no_data: ReadPolicy | None = None
        self.level = values["lfsql.read_consistency"]
        self.lag_ms_max = int(values["lfsql.max_lag_ms"]) or None
        self.lag_entries_max = int(values["lfsql.max_lag_entries"]) or None
        self.when_lagging = values["lfsql.when_lagging"]
        self.route = values["lfsql.route"]
        self.by_turns = self.route in ("auto", "replica")
        """Replicas take turns at its reads."""
        self.min_index = int(values["lfsql.min_index"])
        self.shared = values["lfsql.causality"] == "proxy"
        """What any session of the proxy was told of counts as seen by this one."""
        alone = self.lag_ms_max is None and self.lag_entries_max is not None
        self._silence_ms_max = HEARSAY_MS_MAX if alone else None
        silence_ms = self.lag_ms_max if self.lag_ms_max is not None else self._silence_ms_max
        self.silence_s_max = inf if silence_ms is None else silence_ms / 1000
        """How old the news of the newest copy may be."""

    def required(self, seen: Index) -> Index:
        """The log index that a read of a session that has seen `seen` must not be older than."""
        if self.level in ("session", "strong"):
            return max(seen, self.min_index)
        return self.min_index if self.level == "bounded" else 0

    def for_no_data(self) -> ReadPolicy:
        """That of a statement which reads no relation: it is the same from a copy of any age.  A pool's `SELECT 1` is
        not to wait for a primary.  `strong` stays: who asks for that asks whether there is one."""
        if self.level in ("any", "strong"):
            return self
        if self._for_no_data is None:
            self._for_no_data = copy.copy(self)
            self._for_no_data.level = "any"
        return self._for_no_data

    def limits(self, required: Index) -> LagLimits:
        return LagLimits(self.lag_ms_max, self.lag_entries_max, self._silence_ms_max, required)


class Saved(NamedTuple):
    """A savepoint."""

    name: str
    mark: int
    """In the settings' undo log."""
    portal: int
    """The number of the next portal."""
    before_writes: bool
    """Nothing of its transaction had gone to the primary, or waited to."""
    wanted: int
    """How much of LISTEN and its kin waited for the commit."""
    constraints_immediate: bool
    """As the session's was then."""


class SessionState:
    """See the module's docstring.  `client` names this session on the primary, unique among all proxies."""

    def __init__(self, worker: Worker, client: str, settings: SessionSettings, process_id: int) -> None:
        self.worker = worker
        self.client = client
        self.settings = settings
        self.process_id = process_id
        self.user = "lfsql"
        self.database = "lfsql"
        self.outbox = Outbox()
        self.unit = Unit()
        self.sequence = 0
        # -- transaction -----------------------------------------------------------------------------------
        self.status = IDLE
        self.several = False
        """The text that is carried out has several statements: where no block is open it counts as one."""
        self.pipelining = False
        """A statement before, since the last Sync, is a part of the same implicit transaction."""
        self.savepoints: list[Saved] = []
        """Outermost first."""
        self.prelude: list[Operation] = []
        """The savepoints that stand before the first write, as `savepoints` does: sent along with it, or never."""
        self.read_transaction: Snapshot | None = None
        """The one snapshot of a transaction that reads one view."""
        self.overtaken = False
        """Such a transaction failed as others had written since: the next has the writer from its first read on."""
        self.queried = False
        """A statement of this transaction has looked at the database, so its isolation level is settled."""
        self.snapshot_route = ("", "", "")
        """Its node, the node's role and the level it was taken at."""
        self.snapshot_opened: Decision | None = None
        """By what it was opened, until the statement is told that it was opened for."""
        self.constraints_immediate = False
        """The transaction has said SET CONSTRAINTS ... IMMEDIATE."""
        self.own_schema: Schema | None = None
        """The schema inside a transaction that has changed it."""
        self.schema_changed = False
        # -- what lives between messages -------------------------------------------------------------------
        self.statements: dict[str, Prepared] = {}
        self.portals: dict[str, Portal] = {}
        self.next_portal = 0
        self._kept_bytes = 0
        """Of statements and portals, and of those let go since it was counted."""
        self.seen_index: Index = 0
        """The newest log index this session has read or written: its reads never go behind it.  Committed."""
        self.confirmed: tuple[float, Index] = (-inf, 0)
        """When this session last asked, and beyond which index a quorum said that nothing was committed by then."""
        self._local_index: Index = 0
        self._local_term: Term = 0
        """Of the newest write that was acknowledged `local`: see `seen`."""
        self.listener: Listener | None = None
        """Set by `listen`, while the session listens to anything or has said that it will."""
        self.settled = False
        """The client has been told that the session is ready, and has sent nothing since."""
        self.receipt: Route | Glance = Route()
        """Of the previous statement, see `receipt.last_route`."""
        self.receipt_open = False
        """It waits for the commit of its implicit transaction, and is not told yet."""
        self.earlier_receipt: Route | Glance = self.receipt
        """As it was when the statement began that runs now."""
        self.tried: Tried | None = None
        """The copy at which that statement, a read, failed."""
        self.aside = False
        """What runs now is the proxy's own question."""
        self.waited_s = 0.0
        """How long the statement that runs now has waited for the cluster."""
        self.cancel: Callable[[], None] | None = None
        """Stops what runs now; None while nothing that can be stopped runs."""
        self.cancelled = False
        """The client has asked for an end of what runs now."""
        self.stop_at = inf
        """When statement_timeout ends what runs now, by trio's clock."""
        self.flush: Callable[[], Awaitable[None]] = _nowhere
        """Sends what the outbox has ready, waiting for the client when it is slow."""
        self.pace: Callable[[], Awaitable[None]] = _nowhere
        """To be called after each statement: holds up a client that does not read, lets others have their turn."""
        self.receive: Callable[[], Awaitable[SessionMessage]] = _nothing
        """The client's next message, for COPY."""
        self.offer: Callable[[], None] = _nobody
        """Sends the notifications that are due, when the client waits for nothing.  Neither waits nor raises."""
        self.end: Callable[[LfsqlError], None] = _no_end
        """Ends the session from outside; the client is told why."""
        self._policy = ReadPolicy(settings.values)
        self._encoding = EncodeSettings(zone=zone)
        self.encoding_key = 0
        """Stands for `encoding` in the plans' memos: equal numbers, equal settings."""
        self._version = settings.version
        self._derive()

    def _derive(self) -> None:
        """Work out again what depends on the settings."""
        values = self.settings.values
        self._version = self.settings.version
        self._policy = ReadPolicy(values)
        self._encoding = EncodeSettings(
            timezone=time_zones.zone(values["TimeZone"]),
            bytea_output=values["bytea_output"],
            extra_float_digits=int(values["extra_float_digits"]),
            zone=zone,
        )
        self.encoding_key = self.worker.encoding_key(self._encoding)
        self.statement_ms_max = duration_ms(values["statement_timeout"])
        self.lock_ms_max = duration_ms(values["lock_timeout"])
        self.idle_ms_max = duration_ms(values[IDLE_IN_TRANSACTION])
        self.idle_by_default = values[IDLE_IN_TRANSACTION] == SETTINGS[IDLE_IN_TRANSACTION].default
        self.idle_session_ms_max = duration_ms(values["idle_session_timeout"])
        self.failover_s = int(values["lfsql.failover_wait_ms"]) / 1000
        self.local = values["lfsql.durability"] == "local"
        self.plain = (
            values["lfsql.notice_route"] == "off"
            and values["default_transaction_read_only"] == "off"
            and self.settings.settled
            and self.listener is None
        )
        """Nothing is set that a short way through the proxy would not heed."""
        self.dialect: Dialect = "sqlite" if values["lfsql.dialect"] == "sqlite" else "postgresql"

    def listen(self, listener: Listener | None) -> None:
        """A session that listens takes no short way through the proxy, where nothing is looked for to be told."""
        self.listener = listener
        self._derive()

    def refresh(self) -> None:
        if self._version != self.settings.version:
            self._derive()

    def start_clock(self) -> None:
        """A statement begins, or a message that is part of one: it has statement_timeout from now on."""
        self.refresh()
        self.settled = False
        self.earlier_receipt = self.receipt
        self.tried = None
        self.cancelled = False
        limit_ms = self.statement_ms_max
        self.stop_at = trio.current_time() + limit_ms / 1000 if limit_ms else inf

    def check_stopped(self) -> None:
        """For what is carried out here in many steps.  Raises QueryCanceled when the client has cancelled it, or the
        statement's time is over."""
        if trio.current_time() >= self.stop_at:
            raise QueryCanceled(TIMED_OUT)
        if self.cancelled:
            raise QueryCanceled("canceling statement due to user request")

    @property
    def policy(self) -> ReadPolicy:
        self.refresh()
        return self._policy

    def wrote_locally(self, index: Index, term: Term) -> None:
        """A write was acknowledged that only the primary of `term` is known to have on disk."""
        self._local_index, self._local_term = index, term

    @property
    def seen(self) -> Index:
        """`seen_index`, and what was written `local`.

        Such a write may be lost with its primary, and nobody ever gets to its index then, or somebody else's write
        does.  So once there is another primary it counts only as far as commits are known to have come.  One that
        was not lost was before what that primary commits first: it is missed by nobody who reads after that.
        """
        topology = self.worker.topology
        local = self._local_index
        if topology.term != self._local_term:
            local = min(local, topology.commit_index)
        return max(self.seen_index, local)

    def required(self, policy: ReadPolicy) -> Index:
        """The log index that a read of this session must not be older than."""
        if policy.shared:
            self.seen_index = max(self.seen_index, self.worker.acknowledged.index)
        required = policy.required(self.seen if self._local_index else self.seen_index)
        if self.reads_to_write:
            # The primary acknowledges a write a moment before its own file shows it.
            acknowledged = self.worker.acknowledged.index
            self.worker.topology.committed(acknowledged)
            required = max(required, acknowledged)
        return required

    @property
    def encoding(self) -> EncodeSettings:
        self.refresh()
        return self._encoding

    @property
    def in_unit(self) -> bool:
        """Statements must run on the primary in our unit: it has begun, or writes wait to be sent."""
        return self.unit.held or self.unit.writes

    @property
    def reads_to_write(self) -> bool:
        """In a transaction that may write back what it reads."""
        return self.status != IDLE and not read_only(self)

    @property
    def keeps_others_waiting(self) -> bool:
        """Its transaction has the writer, or one of the readers, of which a node has only so many."""
        if self.unit.held or self.read_transaction is not None:
            return True
        sources = (portal.source for portal in self.portals.values())
        return self.status != IDLE and any(not isinstance(source, ListRows | ScrollRows | None) for source in sources)

    @property
    def idle_limit_ms(self) -> int:
        """How long the client may be silent now; 0: for as long as it likes.

        In the midst of a pipeline or a COPY it is not idle.  The limit that a transaction has by default is for the
        others' sake: who says another means every transaction, as in PostgreSQL, where there is none by default.
        """
        self.refresh()
        if self.keeps_others_waiting:
            return self.idle_ms_max
        if not self.settled:
            return 0
        if self.status == IDLE:
            return self.idle_session_ms_max
        return 0 if self.idle_by_default else self.idle_ms_max

    def idled_too_long(self) -> LfsqlError:
        """What the client is told that has been silent for longer."""
        if self.status != IDLE or self.keeps_others_waiting:
            return IdleInTransaction("terminating connection due to idle-in-transaction timeout")
        return IdleSession("terminating connection due to idle-session timeout")

    @property
    def in_block(self) -> bool:
        """Inside of what PostgreSQL calls a transaction block, be it BEGIN's or a text's of several statements."""
        return self.status != IDLE or self.several

    def end_settings(self, *, committed: bool) -> None:
        """The implicit transaction has ended, if that is what the session is in: as `committed` says of its SETs."""
        if self.status == IDLE:
            self.queried = False
            self.pipelining = False
            self.tell(self.settings.end(committed=committed))

    def tell(self, names: list[str]) -> None:
        """ParameterStatus for settings that changed."""
        for name in names:
            self.outbox.write(encode.parameter_status(name, self.settings.values.get(name, "")))

    def add_operation(self, operation: Operation) -> None:
        """An operation of the unit, whose success the client hears of by other means."""
        step = Step((operation,), told_nothing)
        self.unit.add(step, writes=False)
        self.outbox.expect(step)

    def keep(self, size: int) -> None:
        """So many bytes more are to be kept, of statements, portals and their rows.  Raises LimitExceeded."""
        bytes_max = self.worker.limits.session_bytes_max
        self._kept_bytes += size
        if self._kept_bytes > bytes_max:
            self._kept_bytes = self._count_kept()
            if self._kept_bytes + size > bytes_max:
                raise LimitExceeded(
                    f"a session's prepared statements, portals and cursors may take at most {bytes_max} bytes",
                    hint="Close what is not needed, or raise session_bytes_max.",
                )
            self._kept_bytes += size

    @property
    def room_bytes(self) -> int:
        """How much more may be kept."""
        return max(self.worker.limits.session_bytes_max - self._count_kept(), 0)

    def _count_kept(self) -> int:
        statements = sum(prepared.bytes for prepared in self.statements.values())
        return statements + sum(portal.bytes for portal in self.portals.values())

    def add_portal(self, portal: Portal) -> None:
        portal.number = self.next_portal
        self.next_portal += 1
        self.portals[portal.name] = portal


async def cancellable(state: SessionState, work: Callable[[], Awaitable[T]]) -> T:
    """Run local work until the client cancels it, or the statement's time is over.  Raises QueryCanceled."""
    with trio.CancelScope(deadline=state.stop_at) as scope:
        state.cancel = scope.cancel
        try:
            return await work()
        finally:
            state.cancel = None
    if trio.current_time() >= state.stop_at:
        raise QueryCanceled(TIMED_OUT)
    raise QueryCanceled("canceling statement due to user request")


async def _nowhere() -> None:
    return None


def _nobody() -> None:
    return None


def _no_end(error: LfsqlError) -> None:
    raise InvariantBroken("the session has no connection") from error


async def _nothing() -> SessionMessage:
    raise InvariantBroken("the session has no connection")
