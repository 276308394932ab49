"""aiosqlite on trio.

aiosqlite runs every call in a thread of its own and hands results back through asyncio's futures.  Of a future its
thread uses little: `get_loop().call_soon_threadsafe(callback, future, result)`, and the callback `done`,
`set_result` and `set_exception`.  `_Answer` offers exactly that, backed by a trio event; the connection
class overrides the three methods that make futures.

A call that was handed to the thread is waited for even when the task is cancelled: what follows could not know
whether it happened.  Cancellation is delivered before the call or after it.

Rejected: trio-asyncio (a second event loop for forty lines), and trio's worker threads with sqlite3 (aiosqlite's
thread is the same idea, kept by others).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

import aiosqlite
import outcome
import trio
from aiosqlite.core import _STOP_RUNNING_SENTINEL

P = ParamSpec("P")
T = TypeVar("T")


class Blocking(Protocol):
    """What a call may do with the connection in its thread: the part of Python's sqlite3 that is used."""

    text_factory: Any

    @property
    def in_transaction(self) -> bool: ...

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any: ...

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Any: ...


class _Answer(Generic[T]):
    """The part of asyncio.Future that aiosqlite's thread uses."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._arrived = trio.Event()
        self._outcome: outcome.Outcome[T]

    def get_loop(self) -> _Answer[T]:
        return self

    def call_soon_threadsafe(self, callback: Callable[..., None], *arguments: Any) -> None:
        self._token.run_sync_soon(callback, *arguments)

    def done(self) -> bool:
        return self._arrived.is_set()

    def set_result(self, result: T) -> None:
        self._outcome = outcome.Value(result)
        self._arrived.set()

    def set_exception(self, error: BaseException) -> None:
        self._outcome = outcome.Error(error)
        self._arrived.set()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._wait().__await__()

    async def _wait(self) -> T:
        with trio.CancelScope(shield=True):
            await self._arrived.wait()
        return self._outcome.unwrap()


class TrioConnection(aiosqlite.Connection):
    """An aiosqlite connection whose caller is a trio task.  Everything else of aiosqlite works on it."""

    async def call(
        self, function: Callable[Concatenate[Blocking, P], T], *arguments: P.args, **options: P.kwargs
    ) -> T:
        """Run function(connection, *arguments) in the connection's thread: many steps, one hop."""
        result: T = await self._execute(function, self._conn, *arguments, **options)
        return result

    async def _execute(self, fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        if not self._running or self._connection is None:
            raise ValueError("connection closed")
        await trio.lowlevel.checkpoint_if_cancelled()
        answer: _Answer[T] = _Answer()
        self._hand_over(answer, partial(fn, *args, **kwargs))
        return await answer

    async def _connect(self) -> TrioConnection:
        if self._connection is None:
            try:
                answer: _Answer[Any] = _Answer()
                self._hand_over(answer, self._connector)
                self._connection = await answer
            except BaseException:
                await self.stop()
                raise
        return self

    async def close(self) -> None:
        """Finish what is queued, close, end the thread; also when cancelled."""
        if self._connection is not None:
            await self.stop()

    def stop(self) -> Any:  # awaitable inside of trio; aiosqlite calls it from __del__ too
        self._running = False
        answer: _Answer[object] | None = _Answer() if trio.lowlevel.in_trio_run() else None

        def close_and_stop() -> object:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()
            return _STOP_RUNNING_SENTINEL

        self._hand_over(answer, close_and_stop)
        return answer

    def _hand_over(self, answer: _Answer[Any] | None, job: Callable[[], object]) -> None:
        self._tx.put_nowait((answer, job))  # type: ignore[arg-type]  # the queue is typed for asyncio's futures


def connect(path: str | Path, **options: Any) -> TrioConnection:
    """As aiosqlite.connect: await it, or use it with `async with`.  `options` go to sqlite3.connect."""
    connector = aiosqlite.connect(path, **options)._connector  # noqa: SLF001 - how aiosqlite reaches its SQLite
    return TrioConnection(connector, iter_chunk_size=64)


@contextmanager
def transaction(connection: Blocking) -> Iterator[None]:
    """In the connection's thread: all of the body or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
