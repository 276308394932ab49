"""One session's LISTEN, UNLISTEN and NOTIFY, as PostgreSQL has them.

LISTEN and UNLISTEN count from the commit of their transaction.  Before it, `stage` asks the primary how far the log
is committed: what is notified after that index is told, so nothing that is committed after LISTEN returned is missed,
and nothing that was committed before it was sent is told.  To listen begins with that index and not with the commit,
so that a transaction that listens and notifies tells itself.

A notification is told only while the session is in no transaction: at once when its client waits for nothing, else
before ReadyForQuery.  Until then it waits here, within a limit.  A client that does not take what waits for it is
ended with the reason; PostgreSQL has one queue for all, and when it is full those fail who notify, for the fault of
one who does not read.

NOTIFY goes to the primary with the transaction's other work; in a READ ONLY transaction, which PostgreSQL lets
notify, it waits for the commit.
"""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Final

from lfsql.core.ids import Index
from lfsql.core.requests import Run
from lfsql.errors import InvalidParameterValue, LfsqlError, NotificationsLost, ReadOnlyTransaction
from proxy.pg import encode
from proxy.read_index import current_index
from proxy.sql.utility import Listen, Notify, Unlisten
from proxy.state import IDLE, SessionState
from proxy.transaction_modes import read_only
from proxy.unit import Step, told_nothing

if TYPE_CHECKING:
    from proxy.notifications import Notifications

PAYLOAD_BYTES_MAX: Final = 7_999
OWN_S_MAX: Final = 1.0
"""How long a session that committed waits for its own notifications, before it says that it is ready.  It takes as
long as a question to the primary; only when that is lost in between they come later."""

Wanted = Listen | Unlisten | Notify


class Listener:
    """A Hearer, see `proxy.notifications`; there is one while a session listens, or has said that it will."""

    def __init__(self, state: SessionState, bytes_max: int) -> None:
        self._state = state
        self._hub: Notifications = state.worker.notifications
        self._bytes_max = bytes_max
        self.channels: dict[str, Index] = {}
        """What it listens to, and after which index."""
        self.wanted: list[Wanted] = []
        """What counts when the transaction commits."""
        self.committed: Index = 0
        """The session's newest commit."""
        self._staged: dict[str, Index] | None = None
        """The channels as they will be, during a commit."""
        self._queue: deque[tuple[Index, str, bytes]] = deque()
        self.bytes = 0
        """Of what waits to be told."""
        self._over = False

    # -- Hearing -------------------------------------------------------------------------------------------

    def hear(self, index: Index, channel: str, message: bytes) -> None:
        since = self.channels.get(channel)
        if since is None and self._staged is not None:
            since = self._staged.get(channel)
        if since is None or index <= since or self._over:
            return
        self._queue.append((index, channel, message))
        self.bytes += len(message)
        if self.bytes > self._bytes_max:
            self.lose(
                NotificationsLost(
                    "the client does not take its notifications",
                    detail=f"More than {self._bytes_max} bytes of them waited for it.",
                    hint="Read them, keep transactions short, or raise notification_bytes_max.",
                )
            )

    def tell(self) -> None:
        if self._queue:
            self._state.offer()

    def lose(self, error: LfsqlError) -> None:
        self._over = True
        self._queue.clear()
        self.bytes = 0
        self._state.end(error)

    @property
    def fullness(self) -> float:
        """Of what may wait, the part that does: 0 to 1."""
        return min(self.bytes / self._bytes_max, 1.0)

    def due(self) -> bytes:
        """What is to be told now that the client waits for nothing; b"" when it does, or there is nothing."""
        return self.take() if self._queue and self._state.settled and self._state.status == IDLE else b""

    def take(self) -> bytes:
        """All that waits, for a session that is in no transaction."""
        if not self._queue:
            return b""
        told = b"".join(message for _, channel, message in self._queue if channel in self.channels)
        self._state.seen_index = max(self._state.seen_index, self._queue[-1][0])
        self._queue.clear()
        self.bytes = 0
        return told

    async def catch_up(self) -> None:
        """The session's own notifications are told before it is ready for the next query."""
        if self.channels and not self._state.local:
            await self._hub.reach(self.committed, OWN_S_MAX)

    # -- Transactions --------------------------------------------------------------------------------------

    def stage(self, since: Index) -> None:
        """Listen to what is wanted, from `since` on, until `finish` says whether it was committed."""
        self._unstage()
        staged = dict(self.channels)
        for each in self.wanted:
            if isinstance(each, Listen):
                staged.setdefault(each.channel, since)
            elif isinstance(each, Unlisten) and each.channel is None:
                staged.clear()
            elif isinstance(each, Unlisten) and each.channel is not None:
                staged.pop(each.channel, None)
        self._staged = staged
        for channel in staged:
            if channel not in self.channels:
                staged[channel] = self._hub.add(channel, self, since)

    def _unstage(self) -> None:
        if self._staged is not None:
            for channel in self._staged:
                if channel not in self.channels:
                    self._hub.remove(channel, self)
            self._staged = None

    def finish(self, *, committed: bool) -> None:
        if committed and self._staged is not None:
            for channel in self.channels:
                if channel not in self._staged:
                    self._hub.remove(channel, self)
            self.channels, self._staged = self._staged, None
        self._unstage()
        self.wanted.clear()

    def leave(self) -> None:
        """The session is over."""
        self._over = True
        self.finish(committed=False)
        for channel in self.channels:
            self._hub.remove(channel, self)


def want(state: SessionState, action: Wanted) -> None:
    """LISTEN or UNLISTEN, or a NOTIFY that waits: what counts from the commit on."""
    listener = state.listener
    if listener is None:
        if isinstance(action, Unlisten):
            return
        listener = Listener(state, state.worker.limits.notification_bytes_max)
        state.listen(listener)
    listener.wanted.append(action)


def notify(state: SessionState, action: Notify) -> None:
    """Raises InvalidParameterValue, ReadOnlyTransaction."""
    if len(action.payload.encode()) > PAYLOAD_BYTES_MAX:
        raise InvalidParameterValue("payload string too long")
    if state.settings.values["in_hot_standby"] == "on":
        raise ReadOnlyTransaction("cannot execute NOTIFY during recovery")
    if read_only(state):
        want(state, action)
    else:
        _add(state, action)


def _add(state: SessionState, action: Notify) -> None:
    arguments = (action.channel, action.payload, state.process_id)
    step = Step((Run("SELECT lfsql_notify(?1, ?2, ?3)", arguments),), told_nothing, reason="notify")
    state.unit.add(step, writes=True)
    state.outbox.expect(step)


async def stage(state: SessionState) -> bool:
    """A transaction is about to commit: begin to listen to what it says, and notify of what has waited for that;
    whether there was any.  Raises NoPrimary, QueryCanceled."""
    listener = state.listener
    if listener is None or not listener.wanted:
        return False
    since: Index = 0
    if any(isinstance(each, Listen) for each in listener.wanted):
        since = await current_index(state, monotonic() + state.failover_s)
    listener.stage(since)
    waited = [each for each in listener.wanted if isinstance(each, Notify)]
    for each in waited:
        _add(state, each)
    return bool(waited)


def finish(state: SessionState, *, committed: bool) -> None:
    """A transaction has ended."""
    listener = state.listener
    if listener is not None:
        listener.finish(committed=committed)
        if not listener.channels:
            state.listen(None)


async def ready(state: SessionState) -> None:
    """ReadyForQuery, and before it the notifications that are due."""
    listener = state.listener
    if listener is not None and state.status == IDLE:
        await listener.catch_up()
        state.outbox.write(listener.take())
    state.outbox.write(encode.READY[state.status])
    state.settled = True
