"""The thread that owns the writing engine.

SQLite blocks: on its disk, and on statements of any length.  So the engine lives in one thread, and the event loop
hands it jobs.  A job is a function of the engine; jobs run in order, and their results come back to the loop.

trio.to_thread would take a thread from a pool for each job, with a limiter, a context copy and two task switches;
a queue and one callback cost less than half (about 60 µs there and back on the development machine), which every
statement of an interactive transaction pays.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Protocol, TypeVar

import outcome
import trio

from lfsql.storage.engine import UNIT_BYTES_MAX, Engine

Given = TypeVar("Given")


Done = outcome.Outcome[Given]
"""A job's result, or what it raised."""


class EngineJobs(Protocol):
    """What the writer asks of the engine's thread."""

    @property
    def engine(self) -> Engine: ...

    def start(self, job: Callable[[Engine], Given], done: Callable[[Done[Given]], None]) -> None: ...


class EngineThread:
    """`async with EngineThread(path) as thread`.  Opening raises what opening the Engine raises."""

    def __init__(self, path: Path, *, unit_bytes_max: int = UNIT_BYTES_MAX) -> None:
        self._path = path
        self._unit_bytes_max = unit_bytes_max
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._ended = trio.Event()
        self.engine: Engine
        """Only for jobs, and for interrupt(), which may be called from anywhere."""

    async def __aenter__(self) -> EngineThread:
        self._token = trio.lowlevel.current_trio_token()
        thread = threading.Thread(target=self._run, name="lfsql-engine", daemon=True)
        thread.start()
        try:
            self.engine = await self._call(lambda: Engine(self._path, unit_bytes_max=self._unit_bytes_max))
        except BaseException:
            self._jobs.put(None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with trio.CancelScope(shield=True):
            await self._call(self.engine.close)
            self._jobs.put(None)
            await self._ended.wait()

    def start(self, job: Callable[[Engine], Given], done: Callable[[Done[Given]], None]) -> None:
        """Queue `job`; `done` is called in the event loop with its result.  `done` must not raise."""
        engine = self.engine
        self._start(lambda: job(engine), done)

    async def call(self, job: Callable[[Engine], Given]) -> Given:
        """Run `job` and return its result or raise its error.  A cancelled caller waits for the job all the same."""
        engine = self.engine
        return await self._call(lambda: job(engine))

    def _start(self, job: Callable[[], Given], done: Callable[[Done[Given]], None]) -> None:
        token = self._token

        def run() -> None:
            token.run_sync_soon(done, outcome.capture(job))

        self._jobs.put(run)

    async def _call(self, job: Callable[[], Given]) -> Given:
        results: list[Done[Given]] = []
        task = trio.lowlevel.current_task()

        def done(result: Done[Given]) -> None:
            results.append(result)
            trio.lowlevel.reschedule(task)

        def abort(_raise_cancel: object) -> trio.lowlevel.Abort:
            return trio.lowlevel.Abort.FAILED

        self._start(job, done)
        await trio.lowlevel.wait_task_rescheduled(abort)
        return results[0].unwrap()

    def _run(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                job()
            self._token.run_sync_soon(self._ended.set)
        except trio.RunFinishedError:
            return  # The event loop is gone, and with it whoever wanted the result.
