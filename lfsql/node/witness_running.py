"""Runs a witness: opens its log, has it take part, and closes it in order; again, when its log begins elsewhere.

As `lfsql.node.running` does for a node with data, with what there is to open here: a log.
"""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from typing import Final

import trio

from lfsql.config import NodeConfig
from lfsql.errors import ConfigError, DataCorrupted
from lfsql.net.cluster_key import load_key
from lfsql.net.listener import bind
from lfsql.node.directory import DirectoryIdentity, check_members, data_directory
from lfsql.node.driver import committed_at_start, restore
from lfsql.node.log_keeping import SEGMENTS
from lfsql.node.log_repair import repair_over_links
from lfsql.node.membership import log_names_members
from lfsql.node.running import first_error, first_of
from lfsql.node.witness import Witness
from lfsql.storage.statement_log import StatementLog

logger: Final = logging.getLogger(__name__)


async def run_witness(
    config: NodeConfig,
    *,
    listening: socket.socket | None = None,
    task_status: trio.TaskStatus[Witness] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a witness until cancelled or told to stop; then stop it in order.  As `run_node`, which see."""
    key = load_key(config.cluster_key_file)
    whose = DirectoryIdentity(config.cluster_id, config.name, config.members)
    with data_directory(config.data_dir, whose) as directory:
        if (directory / "data.db").exists():
            raise ConfigError(
                f"peers: this node is a witness, but {directory} holds data",
                hint="a node does not turn into a witness: remove it, and add the witness under another name",
            )
        listening = listening or bind(config.listen)
        stop = trio.Event()

        async def run_shielded(*, task_status: trio.TaskStatus[Witness]) -> None:
            with trio.CancelScope(shield=True) as shield:
                while not stop.is_set():
                    await _run_once(directory, config, key, listening, stop, shield, task_status)
                    task_status = trio.TASK_STATUS_IGNORED

        try:
            async with trio.open_nursery() as nursery:
                witness = await nursery.start(run_shielded)
                task_status.started(witness)
                try:
                    await stop.wait()
                finally:
                    stop.set()
        except BaseExceptionGroup as group:
            raise first_error(group) from group
        finally:
            listening.close()


async def _run_once(
    directory: Path,
    config: NodeConfig,
    key: bytes,
    listening: socket.socket,
    stop: trio.Event,
    shield: trio.CancelScope,
    task_status: trio.TaskStatus[Witness],
) -> None:
    """Until `stop`, or until the log is another: repaired, or begun elsewhere."""
    limits = config.limits
    async with StatementLog(
        directory / "log.db",
        segment_bytes_max=limits.log_bytes_max // SEGMENTS,
        segment_ms_max=limits.log_age_ms_max // SEGMENTS,
    ) as log:

        async def repair_log() -> bool:
            committed = committed_at_start(log, log.base)
            shield.shield = False  # it may take until another node is there
            try:
                return await repair_over_links(log, committed, None, config, key)
            finally:
                shield.shield = True

        if log.damaged and not await repair_log():
            return
        try:
            restored = await restore(log, log.base)
            founding = not log_names_members(log, restored)
            if founding:
                check_members(directory, DirectoryIdentity(config.cluster_id, config.name, config.members))
            async with trio.open_nursery() as nursery:
                witness = Witness(config, key, log, nursery, founding=founding)
                witness.start(restored, listening.dup())
                task_status.started(witness)
                await first_of(stop, witness.anew, witness.ended)
                if stop.is_set() or witness.ended.is_set():
                    stop.set()
                    await witness.quit()
                nursery.cancel_scope.cancel()
        except (DataCorrupted, BaseExceptionGroup) as error:
            if not log.damaged or not isinstance(first_error(error), DataCorrupted):
                raise
            await repair_log()
