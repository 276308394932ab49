"""Loading the schema: one session does it for all, and each waits by its own limits."""

from __future__ import annotations

from typing import cast

import pytest
import trio
import trio.testing

from lfsql.core.freshness import CommitHistory
from lfsql.errors import LfsqlError, NoPrimary, QueryCanceled
from proxy.pg.settings import EncodeSettings
from proxy.schemas import Schemas
from proxy.settings import SessionSettings
from proxy.state import SessionState
from proxy.topology import Topology
from proxy.worker import RowsAt, Worker


class FakeWorker:
    """Shows the schema of index 7 once `shows` is set."""

    def __init__(self) -> None:
        self.topology = Topology([], CommitHistory(60.0, 100))
        self.topology.schema_index = 7
        self.shows = trio.Event()
        self.asked = 0

    def encoding_key(self, _encoding: EncodeSettings) -> int:
        return 0

    async def read_schema(self, _state: SessionState, _sql: str, wanted: int) -> RowsAt:
        self.asked += 1
        await self.shows.wait()
        return [], wanted


class Loading:
    def __init__(self) -> None:
        self.worker = FakeWorker()
        self.schemas = Schemas(cast(Worker, self.worker))
        self.ended: list[tuple[float, type[LfsqlError] | None]] = []
        """When each session went on, and with what error."""

    def session(self, **settings: str) -> SessionState:
        given = {name.replace("__", "."): value for name, value in settings.items()}
        return SessionState(cast(Worker, self.worker), "client", SessionSettings(given), 1)

    async def load(self, state: SessionState) -> None:
        state.start_clock()
        error: type[LfsqlError] | None = None
        try:
            await self.schemas.get(state)
        except LfsqlError as raised:
            error = type(raised)
        self.ended.append((round(trio.current_time(), 3), error))


@pytest.fixture
def loading() -> Loading:
    return Loading()


async def test_sessions_wait_at_the_same_time_not_one_after_the_other(
    loading: Loading, autojump_clock: trio.testing.MockClock
) -> None:
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(loading.load, loading.session(lfsql__failover_wait_ms="500"))
    assert loading.ended == [(round(began + 0.5, 3), NoPrimary)] * 8


async def test_each_waits_by_its_own_limits(loading: Loading, autojump_clock: trio.testing.MockClock) -> None:
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(loading.load, loading.session(lfsql__failover_wait_ms="2000"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(loading.load, loading.session(statement_timeout="200"))
        nursery.start_soon(loading.load, loading.session(lfsql__failover_wait_ms="700"))
        nursery.start_soon(loading.load, loading.session(lfsql__failover_wait_ms="9000"))
        await trio.sleep(5)
        loading.worker.shows.set()
    passed = [(round(at - began, 3), error) for at, error in loading.ended]
    assert passed == [(0.2, QueryCanceled), (0.7, NoPrimary), (2.0, NoPrimary), (5.0, None)]


async def test_one_loads_for_all(loading: Loading) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(loading.load, loading.session())
        await trio.testing.wait_all_tasks_blocked()
        loading.worker.shows.set()
    assert [error for _, error in loading.ended] == [None] * 8
    assert loading.worker.asked == 1
    assert loading.schemas.current.index == 7


@pytest.mark.parametrize("who", [0, 1])
async def test_waiting_is_cancelled_for_who_asks_for_it(loading: Loading, who: int) -> None:
    sessions = [loading.session(), loading.session()]
    async with trio.open_nursery() as nursery:
        for session in sessions:
            nursery.start_soon(loading.load, session)
            await trio.testing.wait_all_tasks_blocked()
        cancel = sessions[who].cancel
        assert cancel is not None
        cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert [error for _, error in loading.ended] == [QueryCanceled]
        loading.worker.shows.set()
    assert [error for _, error in loading.ended] == [QueryCanceled, None]
