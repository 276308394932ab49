"""Runs a witness: opens its log, has it take part, and closes it in order; again, when its log begins elsewhere.

As `lfsql.node.running` does for a node with data, with what there is to open here: a log.
"""

from __future__ import annotations

import socket

import trio

from lfsql.config import NodeConfig
from lfsql.errors import ConfigError
from lfsql.node.driver import committed_at_start
from lfsql.node.lifetime import Lifetime, live
from lfsql.node.rebuilding import begin_log_at
from lfsql.node.witness import Witness


async def run_witness(
    config: NodeConfig,
    *,
    listening: socket.socket | None = None,
    task_status: trio.TaskStatus[Witness] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a witness until cancelled or told to stop; then stop it in order.  As `run_node`, which see."""
    await live(config, _run_once, listening=listening, renewed=lambda _witness: None, task_status=task_status)


async def _run_once(lifetime: Lifetime[Witness]) -> None:
    """Until it is to stop, or until the log is another: repaired, or begun elsewhere."""
    directory = lifetime.directory
    if (directory / "data.db").exists():
        raise ConfigError(
            f"peers: this node is a witness, but {directory} holds data",
            hint="a node does not turn into a witness: remove it, and add the witness under another name",
        )
    async with lifetime.statement_log() as log:
        ran: Witness | None = None

        def make(nursery: trio.Nursery, founding: bool) -> Witness:
            nonlocal ran
            ran = Witness(lifetime.config, lifetime.key, log, nursery, founding=founding)
            return ran

        async def repair_log(_witness: Witness | None = None) -> bool:
            return await lifetime.repair_log(log, committed_at_start(log, log.base), None)

        if log.damaged and not await repair_log():
            return
        await lifetime.run(log, log.base, make, repair_log)
        if ran is not None and ran.begins_at is not None:
            # Not before consensus has ended: what it writes last may be a vote, which must not be undone.
            await begin_log_at(log, ran.begins_at.position, ran.begins_at.configuration)
