"""Makes this node's data again from another's: for a new node, one that was away for too long, one that differs.

One way for all of them.  Somebody finds that it is needed and calls request(); the primary is asked for a snapshot,
over a link of its own, so that the many bytes do not stand in the way of heartbeats; the pieces are pulled one by
one, as fast as they can be written here.  All that time the node goes on as it can: it votes, and acknowledges what
its log takes; its readers read what it has, though nothing newer.  When the snapshot is there and sound it takes the
place of data.db (see `lfsql.storage.installation`), and the node begins anew, in the same process, with what is on
the disk then.  So what a snapshot leaves behind in memory is what a restart leaves: nothing, and one way to get it
wrong instead of two.

A link that breaks is opened again and the transfer goes on where it was, if the primary still has the same copy; with
another primary it begins again.  There is no end to trying: a node that needs a snapshot is of no use without it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from pathlib import Path
from typing import Final

import trio

from lfsql.config import NodeConfig
from lfsql.core.effects import HardState
from lfsql.core.ids import Index, NodeId
from lfsql.core.requests import SnapshotHeader, SnapshotPiece, SnapshotRead, SnapshotRequest
from lfsql.errors import DataCorrupted, DiskFailed, DiskFull, InvariantBroken, LfsqlError, LinkLost, SnapshotGone
from lfsql.net.handshake import COMMAND, Identity
from lfsql.net.link import Link, open_link
from lfsql.node.carrying import encode_state
from lfsql.node.driver import Driver, decode_state
from lfsql.node.engine_thread import EngineThread
from lfsql.storage import installation
from lfsql.storage.durable_file import disk_error, require_space
from lfsql.storage.installation import Installation
from lfsql.storage.snapshot import DIGEST_BYTES, Copy, check_copy
from lfsql.storage.statement_log import StatementLog

logger: Final = logging.getLogger(__name__)

ANSWER_S_MAX: Final = 15.0
_PAUSE_S_MIN: Final = 0.1
_PAUSE_S_MAX: Final = 5.0
_SPARE_BYTES: Final = 16 << 20


class Arriving:
    """The part of a snapshot that is here, and the digest over it."""

    def __init__(self, path: Path, digest: bytes) -> None:
        self._path = path
        self._file = path.open("wb", buffering=0)
        self._computed = blake2b(digest_size=DIGEST_BYTES)
        self.digest = digest
        self.offset = 0

    def append(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise disk_error(error, f"{self._path} cannot be written") from error
        self._computed.update(data)
        self.offset += len(data)

    def finish(self) -> None:
        """All is here: make it durable.  Raises DataCorrupted when it is not what was sent."""
        if self._computed.digest() != self.digest:
            raise DataCorrupted("a snapshot arrived damaged")
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise disk_error(error, f"{self._path} could not be made durable") from error

    def close(self) -> None:
        self._file.close()


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
        self._identity = identity
        self._key = key
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
        self._arriving: Arriving | None = None
        self._stopped = False
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
                before = self._arriving.offset if self._arriving is not None else 0
                try:
                    await self._rebuild_from(await self._wait_primary())
                    return
                except (DiskFailed, InvariantBroken):
                    raise
                except LfsqlError as error:
                    if isinstance(error, DiskFull):
                        self._forget()
                    if error.message != said:
                        logger.warning("fetching a snapshot: %s", error.message)
                    said = error.message
                self._resume()
                arrived = self._arriving.offset if self._arriving is not None else 0
                pause_s = _PAUSE_S_MIN if arrived > before else min(2 * pause_s, _PAUSE_S_MAX)
                await trio.sleep(pause_s)
        finally:
            self._stopped = True
            if self._arriving is not None:
                self._arriving.close()

    # -- Inside ----------------------------------------------------------------------------------------------

    async def _wait_primary(self) -> NodeId:
        while self._driver.consensus.primary in ("", self._config.name):
            await self._wait_changed()
        return self._driver.consensus.primary

    async def _rebuild_from(self, source: NodeId) -> None:
        address = self._address_of(source)
        if not address:
            raise LinkLost(f"where node '{source}' is, which is primary, is not known here")
        identity = Identity(self._identity.cluster_id, self._identity.node, COMMAND)
        frame_bytes_max = self._config.limits.frame_bytes_max
        # What is here stays where it is: a copy that is older by the time that it has arrived would lead back.
        await self._halt()
        async with open_link(
            address, identity, self._key, expected_node=source, frame_bytes_max=frame_bytes_max
        ) as link:
            header = await self._header(link)
            await self._receive(link, header)
            # The link stays open: it keeps what follows the snapshot in the primary's log.
            await self._install(header)

    async def _header(self, link: Link) -> SnapshotHeader:
        """What there is to fetch; waits until it is made."""
        header = SnapshotHeader(0)
        # Not before what is here: the log would have to go back, and with it what this node has acknowledged.
        while not header.bytes_total:
            min_index = max(self._thread.engine.position.index, self._log.base.index)
            answer = await self._ask(link, SnapshotRequest(link.next_request(), min_index))
            if not isinstance(answer, SnapshotHeader):
                raise LinkLost(f"node '{link.peer.node}' answered a question with something else")
            header = answer
        if header.fingerprint != self._identity.fingerprint:
            raise _Refused(
                f"the snapshot of node '{link.peer.node}' is of '{header.fingerprint}', this node of "
                f"'{self._identity.fingerprint}'"
            )
        if header.position.index < min_index:
            raise _Refused(f"the snapshot of node '{link.peer.node}' is older than this node's data")
        return header

    async def _ask(self, link: Link, question: SnapshotRequest | SnapshotRead) -> SnapshotHeader | SnapshotPiece:
        with trio.move_on_after(ANSWER_S_MAX) as scope:
            answer = await link.request(question)
        if scope.cancelled_caught:
            raise LinkLost(f"node '{link.peer.node}' did not answer for {ANSWER_S_MAX} s")
        if not isinstance(answer, SnapshotHeader | SnapshotPiece):
            raise LinkLost(f"node '{link.peer.node}' answered a question with something else")
        if answer.fault is None:
            return answer
        if answer.fault.sqlstate == SnapshotGone.sqlstate:
            raise SnapshotGone(f"node '{link.peer.node}': {answer.fault.message}")
        raise _Refused(f"node '{link.peer.node}' gives no snapshot: {answer.fault.message}")

    async def _receive(self, link: Link, header: SnapshotHeader) -> None:
        arriving = self._arriving
        if arriving is None or arriving.digest != header.digest:
            self._forget()
            try:
                arriving = self._arriving = Arriving(installation.arriving(self._directory), header.digest)
            except OSError as error:
                raise disk_error(error, "a snapshot cannot be written") from error
        # For the snapshot, and for the transaction that replaces every page of data.db.
        bytes_min = 2 * header.bytes_total - arriving.offset + _SPARE_BYTES
        require_space(self._directory, bytes_min, "a snapshot that arrives")
        size, index, source = header.bytes_total, header.position.index, link.peer.node
        logger.info("fetching a snapshot of %d bytes at index %d from node '%s'", size, index, source)
        began = trio.current_time()
        while arriving.offset < header.bytes_total:
            piece = await self._ask(link, SnapshotRead(link.next_request(), header.digest, arriving.offset))
            if not isinstance(piece, SnapshotPiece) or not piece.data:
                raise LinkLost(f"node '{source}' answered a question with something else")
            await trio.to_thread.run_sync(arriving.append, piece.data)
        copy = Copy(header.position, header.bytes_total, header.digest)
        try:
            await trio.to_thread.run_sync(arriving.finish)
            await trio.to_thread.run_sync(
                check_copy, installation.arriving(self._directory), copy, lambda: self._stopped
            )
        except DataCorrupted:
            self._forget()
            raise
        logger.info("the snapshot arrived in %.1f s", trio.current_time() - began)

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
            self._forget()
            raise
        logger.info("data.db is the snapshot at index %d now; this node begins anew", header.position.index)
        self._begin_anew()

    def _forget(self) -> None:
        """What has arrived is of no use."""
        if self._arriving is not None:
            self._arriving.close()
            self._arriving = None
        installation.arriving(self._directory).unlink(missing_ok=True)


class _Refused(LfsqlError):
    """The source does not give, or not what can be used here."""


async def adopt(log: StatementLog, plan: Installation, directory: Path) -> None:
    """The last step of an installation: have the log begin where the snapshot stands, unless it holds that record.

    Then it stays as it is: what follows was acknowledged, and counts.  A log that does not hold it is behind it, or
    holds in its place what was never committed, and all that it has is in the snapshot or void.
    """
    position = plan.position
    if position.index > log.last.index or await log.position(position.index) != position:
        state = decode_state(log.hard_state) if log.hard_state else HardState()
        if state.term < position.term:
            state = HardState(position.term)
        state = HardState(state.term, state.vote, position.index)
        await log.reset(position, configuration=plan.configuration, hard_state=encode_state(state))
    await trio.to_thread.run_sync(installation.end, directory)


def lacks(log: StatementLog, applied: Index) -> bool:
    """Whether data.db cannot be made from the log: it has lost its file, or an older one was put in its place."""
    return applied < log.base.index
