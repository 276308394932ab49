"""Runs a node with data: opens what is on the disk, has it serve, and closes it in order.

How it stops, and how it begins anew when its data was made again, is `lfsql.node.lifetime`'s to say.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

import trio

from lfsql.config import NodeConfig
from lfsql.node.driver import committed_at_start
from lfsql.node.engine_thread import EngineThread
from lfsql.node.lifetime import Lifetime, live
from lfsql.node.rebuilding import adopt
from lfsql.node.service import Node
from lfsql.storage import installation
from lfsql.storage.heap import limit_heap
from lfsql.storage.quarantine import lift
from lfsql.storage.reads import LocalReads

ROOM_S_MAX: Final = 0.2
"""How long a read waits here for others to end, when all that can be open are: then its proxy asks another node."""


async def run_node(
    config: NodeConfig,
    *,
    listening: socket.socket | None = None,
    renewed: Callable[[Node], None] = lambda _node: None,
    task_status: trio.TaskStatus[Node] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a node until cancelled; then stop it in an orderly way.

    `listening`: a bound socket to serve instead of binding `config.listen`.  `task_status` is told when the node
    takes part in the cluster, `renewed` each time that it does so again, with data from a snapshot.  Raises
    ConfigError and its children before that (directory, key, address), and DiskFailed, DiskFull, DataCorrupted,
    InvariantBroken whenever going on could lose data: start again, which replays the log.
    """
    limit_heap(config.limits.heap_bytes_max)
    await live(config, _run_once, listening=listening, renewed=renewed, task_status=task_status)


async def _run_once(lifetime: Lifetime[Node]) -> None:
    """Run a node on its files until it is to stop, or they are others: its log was repaired, its data made again."""
    directory, config = lifetime.directory, lifetime.config
    database = directory / "data.db"
    plan = await trio.to_thread.run_sync(installation.resume, directory)
    if not database.exists():
        lift(directory)  # what was wrong is gone
    async with AsyncExitStack() as stack:
        thread = await stack.enter_async_context(EngineThread(database, unit_bytes_max=config.limits.unit_bytes_max))
        log = await stack.enter_async_context(lifetime.statement_log())

        async def repair_log(node: Node | None = None) -> bool:
            applied = thread.engine.position
            committed = node.driver.consensus.committed if node else committed_at_start(log, applied)
            return await lifetime.repair_log(log, committed, applied.index)

        if plan is not None:
            await adopt(log, plan, directory)
            lift(directory)
        if log.damaged and not await repair_log():
            return
        reads = await stack.enter_async_context(
            LocalReads(
                database,
                threads_max=config.limits.read_threads_max,
                rows_inline_max=config.limits.chunk_rows_max,
                bytes_inline_max=config.limits.chunk_bytes_max,
                room_s_max=ROOM_S_MAX,
            )
        )

        def make(nursery: trio.Nursery, founding: bool) -> Node:
            return Node(config, lifetime.key, log, thread, reads, nursery, founding=founding)

        await lifetime.run(log, thread.engine.position, make, repair_log)
