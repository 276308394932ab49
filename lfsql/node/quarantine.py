"""A node whose data is not as the others' takes itself out of service, until it was made again.

Its log is right and goes on to count: it votes, and acknowledges records.  Its database is wrong: nobody is shown
it, not the rest of a read that has begun either, nothing is applied to it, and the lead is handed on.  It is written
down, so that a restart does not forget (`lfsql.storage.quarantine`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lfsql.config import NodeConfig
from lfsql.errors import DiskFailed, DiskFull, Diverged
from lfsql.node.applier import Applier
from lfsql.node.reading import ReadService
from lfsql.node.status import StatusService
from lfsql.node.writer import Writer
from lfsql.storage.quarantine import quarantine

logger: Final = logging.getLogger(__name__)


class Quarantine:
    """One node's."""

    def __init__(
        self,
        config: NodeConfig,
        applier: Applier,
        reads: ReadService,
        status: StatusService,
        writer: Writer,
        *,
        tell: Callable[[], None],
        rebuild: Callable[[str], None],
    ) -> None:
        """`tell`: whoever waits for a change of this node's part.  `rebuild`: have the data made again."""
        self._name = config.name
        self._directory = Path(config.data_dir)
        self._applier = applier
        self._reads = reads
        self._status = status
        self._writer = writer
        self._tell = tell
        self._rebuild = rebuild
        self.reason = ""
        """Why the node is quarantined; '' when it is not."""

    def enter(self, reason: str) -> None:
        """From now on.  The first reason counts."""
        if self.reason:
            return
        self.reason = reason
        logger.critical("this node is taken out of service: %s", reason)
        self._status.quarantined = self._applier.quarantined = True
        self._reads.condemn(Diverged(f"node '{self._name}' is quarantined: {reason}"))
        self._writer.depose()
        self._tell()
        try:
            quarantine(self._directory, reason)
        except (DiskFailed, DiskFull) as error:
            logger.error("a restart will forget that: %s", error.message)
        self._rebuild(reason)
