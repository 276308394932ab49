"""`lfsql node` and `lfsql proxy`: run one service until told to stop.

Told by SIGINT, by SIGTERM, or by the end of a pipe that the parent holds (`--lifeline`): a child of `lfsql up` must
not outlive it, and a parent that was killed with -9 sends no signal.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import trio

from lfsql.cli.children import Children
from lfsql.config import load_node, load_proxy
from lfsql.errors import ConfigError, LfsqlError

LOG = logging.getLogger("lfsql.command")


def serve_node(path: Path, lifeline: int | None) -> None:
    """Run a node until told to stop.  Raises LfsqlError."""
    from lfsql.node.running import run_node
    from lfsql.node.witness import is_witness
    from lfsql.node.witness_running import run_witness

    config = load_node(path)
    _forget_local_time()
    _allow_many_files()
    _run(path, partial(run_witness if is_witness(config) else run_node, config), lifeline)


def serve_proxy(path: Path, worker: int | None, lifeline: int | None, board: int | None = None) -> int:
    """Run a proxy until told to stop, with a process for each worker when there are several.

    `board`: memory that its workers share, see `proxy.acknowledged`.
    Returns the exit status: 1 when all workers died.  Raises LfsqlError.
    """
    config = load_proxy(path)
    _forget_local_time()
    _allow_many_files()
    if config.workers > 1 and worker is None:
        return trio.run(_run_workers, path, config.workers, lifeline)
    from proxy.service import run_proxy

    again = partial(load_proxy, path)
    _run(path, partial(run_proxy, config, worker or 0, read_again=again, board=board), lifeline)
    return 0


async def wait_until_told(lifeline: int | None) -> str:
    """Return, saying why, at SIGINT, SIGTERM, SIGHUP, or the end of the lifeline."""
    why = ""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:

            async def at_signal() -> None:
                nonlocal why
                why = signal.Signals(await anext(aiter(signals))).name
                nursery.cancel_scope.cancel()

            async def at_end() -> None:
                nonlocal why
                if lifeline is not None:
                    await _wait_end(lifeline)
                    why = "the parent process ended"
                    nursery.cancel_scope.cancel()

            nursery.start_soon(at_signal)
            nursery.start_soon(at_end)
    return why


def _run(path: Path, service: Callable[[], Awaitable[None]], lifeline: int | None) -> None:
    try:
        trio.run(_until_told, service, lifeline)
    except ConfigError as error:
        # What the service finds wrong with a setting, it names by its key alone.
        raise type(error)(f"{path}: {error.message}", hint=error.hint) from error


async def _until_told(service: Callable[[], Awaitable[None]], lifeline: int | None) -> None:
    failure: LfsqlError | None = None
    async with trio.open_nursery() as nursery:

        async def stop() -> None:
            LOG.info("stopping: %s", await wait_until_told(lifeline))
            nursery.cancel_scope.cancel()

        nursery.start_soon(stop)
        try:
            await service()
        except LfsqlError as error:
            failure = error
        except BaseExceptionGroup as group:
            # Cancellation stays trio's; of our own errors the first says what happened.
            ours, others = group.split(LfsqlError)
            if ours is None:
                raise
            failure = _first(ours)
            if others is not None and others.split(trio.Cancelled)[1] is not None:
                raise
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


def _first(group: BaseExceptionGroup[LfsqlError]) -> LfsqlError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, LfsqlError):
        raise TypeError("split by type gave another type")
    return error


async def _run_workers(path: Path, workers: int, lifeline: int | None) -> int:
    from proxy.acknowledged import make_board

    status = 1
    board = make_board()
    async with trio.open_nursery() as nursery:
        children = Children(nursery, (board,))

        async def watch() -> None:
            while children.running:
                child = await children.next_end()
                LOG.error("%s (pid %d) %s", child.name, child.pid, child.ending)
            nursery.cancel_scope.cancel()

        try:
            for number in range(workers):
                command = ["proxy", "--config", str(path), "--worker", str(number), "--board", str(board)]
                await children.start(f"worker {number}", command, None)
            nursery.start_soon(watch)
            LOG.info("stopping: %s", await wait_until_told(lifeline))
            status = 0
        finally:
            with trio.CancelScope(shield=True):
                await children.stop()
        nursery.cancel_scope.cancel()
    return status


async def _wait_end(descriptor: int) -> None:
    while True:
        await trio.lowlevel.wait_readable(descriptor)
        if not os.read(descriptor, 1024):
            return


def _forget_local_time() -> None:
    """SQLite's 'localtime' asks the C library, whose answer must be the same on every node, and at a proxy that reads
    a node's file: UTC, spelled so that no file of the machine is needed to know it.
    """
    os.environ["TZ"] = "UTC0"
    time.tzset()


def _allow_many_files() -> None:
    """Each client is a descriptor: take what the system allows, not the low default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:
            print(f"lfsql: at most {soft} open files: {error}", file=sys.stderr)
