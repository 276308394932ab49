"""Makes this node's data again from another's: for a new node, one that was away for too long, one that differs.

One way for all of them.  Somebody finds that it is needed and calls request(); the primary is asked for a snapshot
(see `lfsql.node.snapshot_fetching`).  All that time the node goes on as it can: it votes, and acknowledges what
its log takes; its readers read what it has, though nothing newer.  When the snapshot is there and sound it takes the
place of data.db (see `lfsql.storage.installation`), and the node begins anew, in the same process, with what is on
the disk then.  So what a snapshot leaves behind in memory is what a restart leaves: nothing, and one way to get it
wrong instead of two.

A link that breaks is opened again and the transfer goes on where it was, if the primary still has the same copy; with
another primary it begins again.  There is no end to trying: a node that needs a snapshot is of no use without it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

import trio

from lfsql.config import NodeConfig
from lfsql.core.effects import HardState
from lfsql.core.entry import Record
from lfsql.core.ids import Index, NodeId, Position
from lfsql.core.log import position_of
from lfsql.core.requests import SnapshotHeader
from lfsql.core.snapshots import least_of_use
from lfsql.errors import DataCorrupted, DiskFailed, DiskFull, InvariantBroken, LfsqlError, LinkLost
from lfsql.net.handshake import Identity
from lfsql.node.carrying import decode_state, encode_state
from lfsql.node.driver import Driver
from lfsql.node.engine_thread import EngineThread
from lfsql.node.snapshot_fetching import SnapshotFetcher
from lfsql.storage import installation
from lfsql.storage.installation import Installation
from lfsql.storage.statement_log import StatementLog

logger: Final = logging.getLogger(__name__)

_PAUSE_S_MIN: Final = 0.1
_PAUSE_S_MAX: Final = 5.0


class Rebuilder:
    """`run` must run in a task."""

    def __init__(
        self,
        config: NodeConfig,
        identity: Identity,
        key: bytes,
        log: StatementLog,
        driver: Driver,
        thread: EngineThread,
        *,
        address_of: Callable[[NodeId], str],
        wait_changed: Callable[[], Awaitable[None]],
        halt: Callable[[], Awaitable[None]],
        resume: Callable[[], None],
        begin_anew: Callable[[], None],
    ) -> None:
        """`wait_changed` returns when the primary may have changed.  After `halt` nobody uses the engine, until
        `resume`.  `begin_anew`: open everything again, and begin with what installation.find() gives."""
        self._config = config
        self._fetcher = SnapshotFetcher(config, identity.fingerprint, key)
        self._directory = Path(config.data_dir)
        self._log = log
        self._driver = driver
        self._thread = thread
        self._address_of = address_of
        self._wait_changed = wait_changed
        self._halt = halt
        self._resume = resume
        self._begin_anew = begin_anew
        self._wanted = trio.Event()
        self.reason = ""
        """Why the data must be made again; '' when it need not."""

    def request(self, reason: str) -> None:
        """Make this node's data again, from a primary that a quorum confirms.  Repeating it does nothing."""
        if not self.reason:
            logger.warning("this node's data must be made again from a snapshot: %s", reason)
            self.reason = reason
            self._wanted.set()

    async def run(self) -> None:
        """Do what is requested.  Raises DiskFailed: the node must end."""
        await self._wanted.wait()
        pause_s, said = _PAUSE_S_MIN, ""
        try:
            while True:
                before = self._fetcher.bytes_arrived
                try:
                    await self._rebuild_from(await self._wait_primary())
                    return
                except (DiskFailed, InvariantBroken):
                    raise
                except LfsqlError as error:
                    if isinstance(error, DiskFull):
                        self._fetcher.forget()
                    if error.message != said:
                        logger.warning("fetching a snapshot: %s", error.message)
                    said = error.message
                self._resume()
                pause_s = _PAUSE_S_MIN if self._fetcher.bytes_arrived > before else min(2 * pause_s, _PAUSE_S_MAX)
                await trio.sleep(pause_s)
        finally:
            self._fetcher.close()

    # -- Inside ----------------------------------------------------------------------------------------------

    async def _wait_primary(self) -> NodeId:
        while self._driver.consensus.primary in ("", self._config.name):
            await self._wait_changed()
        return self._driver.consensus.primary

    async def _rebuild_from(self, source: NodeId) -> None:
        address = self._address_of(source)
        if not address:
            raise LinkLost(f"where node '{source}' is, which is primary, is not known here")
        # What is here stays where it is: a copy that is older by the time that it has arrived would lead back.
        await self._halt()
        async with self._fetcher.fetch(source, address, self._min_index) as header:
            await self._install(header)

    def _min_index(self) -> Index:
        """Not before what is here: the log would have to go back, and with it what this node has acknowledged."""
        return least_of_use(self._thread.engine.position.index, self._log.base.index)

    async def _install(self, header: SnapshotHeader) -> None:
        plan = Installation(header.position, header.configuration)
        await trio.to_thread.run_sync(installation.begin, self._directory, plan)
        try:
            database = self._directory / "data.db"
            await self._thread.call(lambda _engine: installation.copy_data(self._directory, database, plan))
        except DiskFailed:
            raise
        except LfsqlError:
            await trio.to_thread.run_sync(installation.end, self._directory)
            self._fetcher.forget()
            raise
        logger.info("data.db is the snapshot at index %d now; this node begins anew", header.position.index)
        self._begin_anew()


class LogToBegin(Protocol):
    """What settle() asks of the statement log, which see."""

    @property
    def hard_state(self) -> bytes: ...

    @property
    def base(self) -> Position: ...

    @property
    def damaged(self) -> tuple[Index, ...]: ...

    async def read(self, first: Index, last: Index, bytes_max: int) -> tuple[Record, ...]: ...

    async def begin_at(self, base: Position, *, configuration: bytes, hard_state: bytes) -> None: ...


async def adopt(log: StatementLog, plan: Installation, directory: Path) -> None:
    """The last step of an installation: settle() the log.  After it nothing is left to be done."""
    await settle(log, plan)
    await trio.to_thread.run_sync(installation.end, directory)


async def settle(log: LogToBegin, plan: Installation) -> None:
    """Have the log begin where the snapshot stands, unless it holds that record.

    Then it stays as it is: what follows was acknowledged, and counts.  A log that does not hold it is behind it, or
    holds in its place what was never committed, and all that it has is in the snapshot or void.  Where records up to
    there are damaged, they go: the snapshot holds them.
    """
    if not await _holds(log, plan.position):
        await begin_log_at(log, plan.position, plan.configuration)


async def begin_log_at(log: LogToBegin, position: Position, configuration: bytes) -> None:
    """Have the log begin at `position`, with what may follow it, and know all up to there to be committed."""
    state = decode_state(log.hard_state)
    if state.term < position.term:
        state = HardState(position.term)
    state = HardState(state.term, state.vote, max(state.commit, position.index))
    await log.begin_at(position, configuration=configuration, hard_state=encode_state(state))


async def _holds(log: LogToBegin, position: Position) -> bool:
    if position.index == log.base.index:
        return position == log.base
    try:
        records = await log.read(position.index, position.index, 1)
    except DataCorrupted:
        pass  # it is among the damaged from now on
    else:
        if tuple(map(position_of, records)) != (position,):
            return False
    return not any(index <= position.index for index in log.damaged)


def lacks(log: LogToBegin, applied: Index) -> bool:
    """Whether data.db cannot be made from the log: it has lost its file, or an older one was put in its place."""
    return applied < log.base.index
