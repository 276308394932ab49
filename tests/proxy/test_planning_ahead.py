"""The look at a whole text before it runs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
import trio.testing

from lfsql.errors import InFailedTransaction, LfsqlError, QueryCanceled, UnreadableStatement
from proxy.planning import prepare, prepare_ahead
from proxy.settings import SessionSettings
from proxy.sql.cache import PlanCache
from proxy.sql.planner import split
from proxy.sql.schema import Schema
from proxy.state import FAILED, SessionState
from proxy.worker import Worker


class FakeSchemas:
    def __init__(self, error: LfsqlError | None) -> None:
        self.error = error

    async def get(self, _state: SessionState) -> Schema:
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        return Schema()


def session(error: LfsqlError | None = None) -> SessionState:
    worker = SimpleNamespace(encoding_key=lambda _encoding: 0, schemas=FakeSchemas(error), plans=PlanCache())
    state = SessionState(cast(Worker, worker), "client", SessionSettings({}), 1)

    async def pace() -> None:
        await trio.lowlevel.checkpoint()

    state.pace = pace
    return state


async def test_what_the_text_shows_counts_and_names_do_not() -> None:
    assert await prepare_ahead(session(), split("SELECT nope FROM nothing; SELECT 1")) == {}
    with pytest.raises(UnreadableStatement) as caught:
        await prepare_ahead(session(), split("SELECT nope FROM nothing; SELEC 1"))
    assert caught.value.position == len("SELECT nope FROM nothing; ") + 1


async def test_only_long_statements_are_kept_and_the_others_are_in_the_cache() -> None:
    state = session()
    long = await prepare_ahead(state, split(f"SELECT 1; SELECT '{'x' * 20_000}'; SELECT 2"))
    assert list(long) == [1]
    assert len(state.worker.plans) == 2


@pytest.mark.parametrize("failed", [False, True])
async def test_a_cancel_is_not_taken_for_a_statement_that_cannot_be_planned(failed: bool) -> None:
    state = session(QueryCanceled("canceling statement due to user request"))
    if failed:
        state.status = FAILED
    with pytest.raises(QueryCanceled):
        await prepare_ahead(state, split("SELECT 1; SELECT 2"))
    with pytest.raises(QueryCanceled):
        await prepare(state, "SELECT 1", lift=True)


async def test_a_failed_transaction_looks_up_no_names() -> None:
    state = session()
    state.status = FAILED
    with pytest.raises(InFailedTransaction):
        await prepare(state, "SELECT nope", lift=True)
    with pytest.raises(UnreadableStatement):
        await prepare(state, "SELEC 1", lift=True)
