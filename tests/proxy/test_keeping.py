"""What a session keeps between messages has an end in bytes, and what outlives a transaction keeps no reader."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from lfsql.core.requests import Row
from lfsql.errors import LimitExceeded
from proxy.pg.settings import EncodeSettings
from proxy.settings import SessionSettings
from proxy.sql.plan import Kind, Plan
from proxy.state import SessionState
from proxy.statements import ListRows, Portal, Prepared, RowSource, load
from proxy.transaction import hold_portals
from proxy.worker import Worker

BYTES_MAX = 1 << 20


class FakeWorker:
    limits = SimpleNamespace(session_bytes_max=BYTES_MAX)

    def encoding_key(self, _encoding: EncodeSettings) -> int:
        return 0


class FakeSource:
    """Gives rows of a kilobyte each, ten at a time."""

    def __init__(self, rows: int) -> None:
        self.left = rows
        self.closed = False

    async def fetch(self, rows_max: int) -> tuple[list[Row], bool]:
        count = min(rows_max or 10, 10, self.left)
        self.left -= count
        return [("x" * 1000,)] * count, self.left > 0

    async def aclose(self) -> None:
        self.closed = True


@pytest.fixture
def state() -> SessionState:
    return SessionState(cast(Worker, FakeWorker()), "client", SessionSettings({}), 1)


def prepared(text: str = "SELECT 1") -> Prepared:
    return Prepared(text, (), Plan(Kind.READ, "SELECT", (text,), returns_rows=True))


def portal(name: str, *parameters: str, source: RowSource | None = None, hold: bool = False) -> Portal:
    return Portal(name, prepared(), parameters, (), source=source, hold=hold)


def keep(state: SessionState, name: str, text: str) -> None:
    statement = prepared(text)
    state.keep(statement.bytes)
    state.statements[name] = statement


def test_statements_portals_and_their_rows_are_counted_together(state: SessionState) -> None:
    keep(state, "a", "x" * (BYTES_MAX // 8))  # with the plan's text twice that
    one = portal("p", "y" * (BYTES_MAX // 4))
    state.keep(one.bytes)
    state.add_portal(one)
    rows = ListRows([("z" * (BYTES_MAX // 4),)])
    state.keep(rows.bytes)
    one.source = rows
    assert 0 < state.room_bytes < BYTES_MAX // 4
    with pytest.raises(LimitExceeded):
        keep(state, "b", "x" * (BYTES_MAX // 8))
    keep(state, "c", "small")  # what was refused takes nothing
    del state.statements["a"]
    keep(state, "b", "x" * (BYTES_MAX // 8))


def test_what_is_replaced_again_and_again_takes_no_room(state: SessionState) -> None:
    for _ in range(100):
        keep(state, "", "x" * (BYTES_MAX // 8))


async def test_rows_are_loaded_within_a_limit_and_their_source_is_closed() -> None:
    source = FakeSource(25)
    assert len(await load(source, BYTES_MAX)) == 25
    assert source.closed
    source = FakeSource(10_000)
    with pytest.raises(LimitExceeded):
        await load(source, BYTES_MAX)
    assert source.closed
    assert source.left > 8_000


async def test_a_cursor_with_hold_reads_what_it_has_left_before_the_commit(state: SessionState) -> None:
    held, other = FakeSource(25), FakeSource(25)
    await held.fetch(5)
    state.add_portal(portal("held", source=held, hold=True))
    state.add_portal(portal("other", source=other))
    await hold_portals(state)
    assert (held.closed, other.closed) == (True, False)
    source = state.portals["held"].source
    assert source is not None
    rows, more = await source.fetch(0)
    assert (len(rows), more) == (20, False)
    state.add_portal(portal("much", source=FakeSource(10_000), hold=True))
    with pytest.raises(LimitExceeded):
        await hold_portals(state)
