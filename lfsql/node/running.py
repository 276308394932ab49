"""Runs a node: opens what is on the disk, has it serve, and closes it in order; again, when its data was made anew.

Stopping.  Cancelling `run_node` is an order to stop in an orderly way: the writer refuses new work and finishes what
is logged, the lead is handed to another node, then everything closes.  That takes at most a few seconds, and what it
did not achieve costs the others an election and nobody any data.

Beginning anew, after a snapshot was installed, is stopping without handing anything over, and starting: the
directory, its lock and the listening socket are kept, so that nobody can come in between.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import trio

from lfsql.config import NodeConfig
from lfsql.errors import DataCorrupted, LfsqlError
from lfsql.net.cluster_key import load_key
from lfsql.net.listener import bind
from lfsql.node.directory import DirectoryIdentity, check_members, data_directory
from lfsql.node.driver import committed_at_start, restore
from lfsql.node.engine_thread import EngineThread
from lfsql.node.log_keeping import SEGMENTS
from lfsql.node.log_repair import repair_over_links
from lfsql.node.membership import log_names_members
from lfsql.node.rebuilding import adopt
from lfsql.node.service import Node
from lfsql.storage import installation
from lfsql.storage.heap import limit_heap
from lfsql.storage.quarantine import lift
from lfsql.storage.reads import LocalReads
from lfsql.storage.statement_log import StatementLog


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
    key = load_key(config.cluster_key_file)
    whose = DirectoryIdentity(config.cluster_id, config.name, config.members)
    with data_directory(config.data_dir, whose) as directory:
        listening = listening or bind(config.listen)
        try:
            await _run_in(directory, config, key, listening, renewed, task_status)
        except BaseExceptionGroup as group:
            raise first_error(group) from group
        finally:
            listening.close()


async def _run_in(
    directory: Path,
    config: NodeConfig,
    key: bytes,
    listening: socket.socket,
    renewed: Callable[[Node], None],
    task_status: trio.TaskStatus[Node],
) -> None:
    stop = trio.Event()
    limit_heap(config.limits.heap_bytes_max)

    async def run_shielded(*, task_status: trio.TaskStatus[Node]) -> None:
        told = False

        def tell(node: Node) -> None:
            nonlocal told
            if told:
                renewed(node)
            else:
                told = True
                task_status.started(node)

        with trio.CancelScope(shield=True) as shield:
            while not stop.is_set():
                await _run_once(directory, config, key, listening, stop, shield, tell)

    async with trio.open_nursery() as nursery:
        node = await nursery.start(run_shielded)
        task_status.started(node)
        try:
            await stop.wait()
        finally:
            stop.set()


async def _run_once(
    directory: Path,
    config: NodeConfig,
    key: bytes,
    listening: socket.socket,
    stop: trio.Event,
    shield: trio.CancelScope,
    tell: Callable[[Node], None],
) -> None:
    """Run a node on its files until `stop`, or until they are others: its log was repaired, its data made again."""
    node: Node | None = None
    plan = await trio.to_thread.run_sync(installation.resume, directory)
    if not (directory / "data.db").exists():
        lift(directory)  # what was wrong is gone
    async with AsyncExitStack() as stack:
        thread = await stack.enter_async_context(
            EngineThread(directory / "data.db", unit_bytes_max=config.limits.unit_bytes_max)
        )
        log = await stack.enter_async_context(
            StatementLog(
                directory / "log.db",
                segment_bytes_max=config.limits.log_bytes_max // SEGMENTS,
                segment_ms_max=config.limits.log_age_ms_max // SEGMENTS,
            )
        )

        async def repair_log() -> bool:
            applied = thread.engine.position
            committed = node.driver.consensus.committed if node else committed_at_start(log, applied)
            shield.shield = False  # it may take until another node is there; what it has begun to write it finishes
            try:
                return await repair_over_links(log, committed, applied.index, config, key)
            finally:
                shield.shield = True

        if plan is not None:
            await adopt(log, plan, directory)
            lift(directory)
        if log.damaged and not await repair_log():
            return
        reads = await stack.enter_async_context(
            LocalReads(
                directory / "data.db",
                threads_max=config.limits.read_threads_max,
                rows_inline_max=config.limits.chunk_rows_max,
                bytes_inline_max=config.limits.chunk_bytes_max,
            )
        )
        try:
            restored = await restore(log, thread.engine.position)
            founding = not log_names_members(log, restored)
            if founding:
                check_members(directory, DirectoryIdentity(config.cluster_id, config.name, config.members))
            async with trio.open_nursery() as nursery:
                node = Node(config, key, log, thread, reads, nursery, founding=founding)
                # A listener closes its socket; who connects meanwhile is served by the next.
                node.start(restored, listening.dup())
                tell(node)
                await first_of(stop, node.anew, node.ended)
                if stop.is_set() or node.ended.is_set():
                    stop.set()
                    await node.quit()
                nursery.cancel_scope.cancel()
        except (DataCorrupted, BaseExceptionGroup) as error:
            if not log.damaged or not isinstance(first_error(error), DataCorrupted):
                raise
            await repair_log()


async def first_of(*events: trio.Event) -> None:
    """Return when one of them is set."""
    async with trio.open_nursery() as nursery:

        async def wait(event: trio.Event) -> None:
            await event.wait()
            nursery.cancel_scope.cancel()

        for event in events:
            nursery.start_soon(wait, event)


def first_error(failure: BaseException) -> BaseException:
    """What ended the node: of a group the first error that is ours, or else the first."""
    leaves: list[BaseException] = []
    pending: list[BaseException] = [failure]
    for error in pending:
        if isinstance(error, BaseExceptionGroup):
            pending.extend(error.exceptions)
        else:
            leaves.append(error)
    return next((leaf for leaf in leaves if isinstance(leaf, LfsqlError)), leaves[0])
