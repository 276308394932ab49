"""Fetches a snapshot from another node: a file beside data.db, complete and checked when `fetch` gives it.

Over a link of its own, so that the many bytes do not stand in the way of heartbeats; the pieces are pulled one by
one, as fast as they can be written here.  When a link breaks what has arrived is kept, and the next attempt goes on
there, if the source still has the same copy.  What becomes of the file is the caller's to say: see
`lfsql.storage.installation`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Final

import trio

from lfsql.config import NodeConfig
from lfsql.core import snapshots
from lfsql.core.ids import Index, NodeId
from lfsql.core.requests import SnapshotHeader, SnapshotPiece, SnapshotRead, SnapshotRequest
from lfsql.errors import DataCorrupted, LfsqlError, LinkLost, SnapshotGone
from lfsql.net.handshake import COMMAND, Identity
from lfsql.net.link import Link, open_link
from lfsql.storage import installation
from lfsql.storage.durable_file import disk_error, require_space
from lfsql.storage.snapshot import DIGEST_BYTES, Copy, check_copy

logger: Final = logging.getLogger(__name__)

ANSWER_S_MAX: Final = 15.0
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


class SnapshotFetcher:
    """One node's, used by one task at a time.  close() when nothing is to be fetched any more."""

    def __init__(self, config: NodeConfig, fingerprint: str, key: bytes) -> None:
        """`fingerprint`: this node's; a copy made by another engine is not taken."""
        self._config = config
        self._fingerprint = fingerprint
        self._key = key
        self._directory = Path(config.data_dir)
        self._arriving: Arriving | None = None
        self._stopped = False

    @property
    def bytes_arrived(self) -> int:
        """Of the snapshot that is on its way; 0 when none is."""
        return 0 if self._arriving is None else self._arriving.offset

    @asynccontextmanager
    async def fetch(
        self, source: NodeId, address: str, min_index: Callable[[], Index]
    ) -> AsyncIterator[SnapshotHeader]:
        """What has arrived, whole, at installation.arriving(), and stands no earlier than `min_index`.

        While the body runs the link stays open: it keeps what follows the snapshot in the source's log.  Raises
        LfsqlError when the source is not primary or its link is lost, DataCorrupted, DiskFull, DiskFailed.
        """
        identity = Identity(self._config.cluster_id, self._config.name, COMMAND)
        frame_bytes_max = self._config.limits.frame_bytes_max
        async with open_link(
            address, identity, self._key, expected_node=source, frame_bytes_max=frame_bytes_max
        ) as link:
            header = await self._header(link, min_index)
            await self._receive(link, header)
            yield header

    def forget(self) -> None:
        """What has arrived is of no use."""
        if self._arriving is not None:
            self._arriving.close()
            self._arriving = None
        installation.arriving(self._directory).unlink(missing_ok=True)

    def close(self) -> None:
        """Stop checking; leaves the file as it is."""
        self._stopped = True
        if self._arriving is not None:
            self._arriving.close()

    # -- Inside ----------------------------------------------------------------------------------------------

    async def _header(self, link: Link, min_index: Callable[[], Index]) -> SnapshotHeader:
        """What there is to fetch; waits until it is made."""
        header = SnapshotHeader(0)
        while not header.bytes_total:
            least = min_index()
            answer = await self._ask(link, SnapshotRequest(link.next_request(), least))
            if not isinstance(answer, SnapshotHeader):
                raise LinkLost(f"node '{link.peer.node}' answered a question with something else")
            header = answer
        why = snapshots.refusal(header, self._fingerprint, least)
        if why:
            raise _Refused(f"the snapshot of node '{link.peer.node}' {why}")
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
            self.forget()
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
            self.forget()
            raise
        logger.info("the snapshot arrived in %.1f s", trio.current_time() - began)


class _Refused(LfsqlError):
    """The source does not give, or not what can be used here."""
