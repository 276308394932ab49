"""A node's life between taking its directory and leaving it: as many runs on its files as it takes.

Stopping.  Cancelling is an order to stop in an orderly way: what is logged is finished, the lead is handed to another
node, then everything closes.  That takes at most a few seconds, and what it did not achieve costs the others an
election and nobody any data.

Beginning anew, when the files are others (data from a snapshot, a log that begins elsewhere or was repaired), is
stopping without handing anything over, and starting: the directory, its lock and the listening socket are kept, so
that nobody can come in between.  What a run leaves behind in memory is what a restart leaves: nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import trio

from lfsql.config import NodeConfig
from lfsql.core.effects import Restored
from lfsql.core.ids import Index, Position
from lfsql.errors import DataCorrupted, LfsqlError
from lfsql.net.cluster_key import load_key
from lfsql.net.listener import bind
from lfsql.node.directory import DirectoryIdentity, check_members, data_directory
from lfsql.node.driver import restore
from lfsql.node.log_keeping import SEGMENTS
from lfsql.node.log_repair import repair_over_links
from lfsql.node.membership import log_names_members
from lfsql.storage.statement_log import StatementLog


class Runs(Protocol):
    """What runs on the files once they are open: a node, or a witness."""

    @property
    def anew(self) -> trio.Event:
        """The files are others: everything is to be opened again."""

    @property
    def ended(self) -> trio.Event:
        """It is to stop: it was ordered to, or removed."""

    def start(self, restored: Restored, listening: socket.socket) -> None:
        """Start all tasks in the nursery that it was made with."""

    async def quit(self) -> None:
        """Do what is owed to others before the end; gives up after a few seconds."""


Running = TypeVar("Running", bound=Runs)


class Lifetime(Generic[Running]):
    """What outlives a run."""

    tell: Callable[[Running], None]
    """Called with each run, once it takes part in the cluster."""

    def __init__(self, config: NodeConfig, key: bytes, directory: Path, listening: socket.socket) -> None:
        self.config = config
        self.key = key
        self.directory = directory
        self._whose = _identity(config)
        self._listening = listening
        self._shield = trio.CancelScope(shield=True)
        self.stop = trio.Event()
        """This node is to end."""

    async def repeat(self, run_once: Callable[[Lifetime[Running]], Awaitable[None]]) -> None:
        """Run on the files until `stop`, each time that they are others again."""
        with self._shield:
            while not self.stop.is_set():
                await run_once(self)

    def statement_log(self) -> StatementLog:
        """To be opened, in grains in which its bounds can be kept."""
        limits = self.config.limits
        return StatementLog(
            self.directory / "log.db",
            segment_bytes_max=limits.log_bytes_max // SEGMENTS,
            segment_ms_max=limits.log_age_ms_max // SEGMENTS,
        )

    async def repair_log(self, log: StatementLog, committed: Index, applied: Index | None) -> bool:
        """As repair_over_links(), which see.  Can be cancelled: it may take until another node is there, and what it
        has begun to write it finishes.
        """
        self._shield.shield = False
        try:
            return await repair_over_links(log, committed, applied, self.config, self.key)
        finally:
            self._shield.shield = True

    async def run(
        self,
        log: StatementLog,
        applied: Position,
        make: Callable[[trio.Nursery, bool], Running],
        repair: Callable[[Running | None], Awaitable[bool]],
    ) -> None:
        """One run, until `stop` or until the files are others.

        `applied`: where data.db stands.  `make`: given the nursery, and whether the cluster is being founded.
        `repair`: the log was found to be damaged, by the one that ran if there was one.
        """
        running: Running | None = None
        try:
            restored = await restore(log, applied)
            founding = not log_names_members(log, restored)
            if founding:
                check_members(self.directory, self._whose)
            async with trio.open_nursery() as nursery:
                running = make(nursery, founding)
                # A listener closes its socket; who connects meanwhile is served by the next.
                running.start(restored, self._listening.dup())
                self.tell(running)
                await _first_of(self.stop, running.anew, running.ended)
                if self.stop.is_set() or running.ended.is_set():
                    self.stop.set()
                    await running.quit()
                nursery.cancel_scope.cancel()
        except (DataCorrupted, BaseExceptionGroup) as error:
            if not log.damaged or not _is_damage(error):
                raise
            await repair(running)


async def live(
    config: NodeConfig,
    run_once: Callable[[Lifetime[Running]], Awaitable[None]],
    *,
    listening: socket.socket | None,
    renewed: Callable[[Running], None],
    task_status: trio.TaskStatus[Running],
) -> None:
    """Take the node's directory and run on it until cancelled; then stop in an orderly way.

    As `lfsql.node.running.run_node`, which see for what is raised.
    """
    key = load_key(config.cluster_key_file)
    with data_directory(config.data_dir, _identity(config)) as directory:
        listening = listening or bind(config.listen)
        try:
            lifetime: Lifetime[Running] = Lifetime(config, key, directory, listening)
            await _until_stopped(lifetime, run_once, renewed, task_status)
        except BaseExceptionGroup as group:
            raise first_error(group) from group
        finally:
            listening.close()


async def _until_stopped(
    lifetime: Lifetime[Running],
    run_once: Callable[[Lifetime[Running]], Awaitable[None]],
    renewed: Callable[[Running], None],
    task_status: trio.TaskStatus[Running],
) -> None:
    async def run_shielded(*, task_status: trio.TaskStatus[Running]) -> None:
        def tell(running: Running) -> None:
            task_status.started(running)
            lifetime.tell = renewed

        lifetime.tell = tell
        await lifetime.repeat(run_once)

    async with trio.open_nursery() as nursery:
        task_status.started(await nursery.start(run_shielded))
        try:
            await lifetime.stop.wait()
        finally:
            lifetime.stop.set()


def _identity(config: NodeConfig) -> DirectoryIdentity:
    return DirectoryIdentity(config.cluster_id, config.name, config.members)


async def _first_of(*events: trio.Event) -> None:
    """Return when one of them is set."""
    async with trio.open_nursery() as nursery:

        async def wait(event: trio.Event) -> None:
            await event.wait()
            nursery.cancel_scope.cancel()

        for event in events:
            nursery.start_soon(wait, event)


def _leaves(failure: BaseException) -> list[BaseException]:
    """What a failure consists of: the errors in a group, in groups of groups."""
    leaves: list[BaseException] = []
    pending: list[BaseException] = [failure]
    for error in pending:
        if isinstance(error, BaseExceptionGroup):
            pending.extend(error.exceptions)
        else:
            leaves.append(error)
    return leaves


def first_error(failure: BaseException) -> BaseException:
    """What ended the node: of a group the first error that is ours, or else the first."""
    leaves = _leaves(failure)
    return next((leaf for leaf in leaves if isinstance(leaf, LfsqlError)), leaves[0])


def _is_damage(failure: BaseException) -> bool:
    """Whether damaged records are all that is wrong: anything else beside them must end the process."""
    return all(isinstance(leaf, DataCorrupted) for leaf in _leaves(failure))
