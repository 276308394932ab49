"""What a session does in the moment between the loss of a link and the news of it: wait, and let others run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from lfsql.core.freshness import CommitHistory
from lfsql.core.requests import (
    ABORTED,
    COMMIT,
    COMMITTED,
    HOLD,
    PRIMARY,
    Answer,
    CurrentIndex,
    Heartbeat,
    LookUp,
    Outcome,
    Ping,
    Submit,
)
from lfsql.errors import (
    LfsqlError,
    LinkLost,
    LockNotAvailable,
    NoPrimary,
    OutcomeUnknown,
    QueryCanceled,
    QueueFull,
)
from lfsql.node.work import refusal
from proxy.acknowledged import Acknowledged
from proxy.read_index import current_index
from proxy.state import SessionState
from proxy.topology import Node, Topology
from proxy.unit import Unit
from proxy.worker import Worker
from proxy.writing import after_loss, submit


class FakeLink:
    def __init__(self, *, breaks: bool = False, refuses: LfsqlError | None = None, recorded: int = COMMITTED) -> None:
        self.breaks = breaks
        self.refuses = refuses
        self.recorded = recorded
        self.lost = False
        self.asked = 0

    def next_request(self) -> int:
        self.asked += 1
        return self.asked

    def tell(self, _ping: Ping) -> None:
        """It is not listened to."""

    def give_up_writes(self) -> None:
        """Nobody waits: what is asked here is answered, or fails, at once."""


class FakeWorker:
    """Asks a link that breaks in vain, another with success."""

    def __init__(self) -> None:
        nodes = [Node(name, f"{name}:1", "") for name in ("n1", "n2")]
        self.topology = Topology(nodes, CommitHistory(60.0, 100))
        self.acknowledged = Acknowledged(0)

    async def ask(
        self,
        _state: object,
        link: FakeLink,
        question: LookUp | CurrentIndex | Submit,
        *,
        stop_at: float = float("inf"),
    ) -> Answer:
        if link.breaks:
            link.lost = True
            raise LinkLost("lost, and nobody has heard yet")
        await trio.lowlevel.checkpoint()
        if link.refuses and isinstance(question, Submit):
            return refusal(question.request, link.refuses)
        return Outcome(question.request, link.recorded, index=7)


def session() -> tuple[SessionState, FakeWorker, FakeLink]:
    """A session whose primary n1 is lost; the topology still believes in it."""
    worker = FakeWorker()
    lost = FakeLink(breaks=True)
    elect(worker, "n1", 1, lost)
    unit = Unit()
    unit.held = True
    unit.sequence = 3
    fake: Any = SimpleNamespace(
        worker=worker,
        unit=unit,
        client="c",
        sequence=3,
        seen_index=0,
        waited_s=0.0,
        failover_s=5.0,
        stop_at=float("inf"),
        statement_ms_max=0,
        lock_ms_max=0,
        idle_ms_max=0,
        local=False,
        listener=None,
        read_transaction=None,
        refresh=lambda: None,
    )
    return cast(SessionState, fake), worker, lost


def elect(worker: FakeWorker, name: str, term: int, link: FakeLink) -> None:
    node = worker.topology.nodes[name]
    node.link = link  # type: ignore[assignment]  # all that a session uses of a link
    worker.topology.heard(node, Heartbeat(name, PRIMARY, term, name, 5, 5, 0, confirmed_ago_ms=0))


@pytest.mark.parametrize("stop_after_s", [0.05, float("inf")])
@pytest.mark.parametrize(("end", "kind"), [(COMMIT, OutcomeUnknown), (HOLD, LfsqlError)])
async def test_what_may_have_been_carried_out_is_not_said_to_have_failed(
    end: int, kind: type[LfsqlError], stop_after_s: float
) -> None:
    state, _, lost = session()
    state.unit.held = False
    state.failover_s = 0.1
    state.stop_at = trio.current_time() + stop_after_s
    with trio.fail_after(5), pytest.raises(kind) as caught:
        await submit(state, (), end, -1)
    assert lost.asked == 1
    if end == HOLD:
        assert type(caught.value) is (NoPrimary if stop_after_s > 1 else QueryCanceled)


async def test_what_was_never_sent_is_not_in_doubt() -> None:
    state, _, lost = session()
    lost.lost = True
    state.unit.held = False
    state.failover_s = 0.1
    with trio.fail_after(5), pytest.raises(NoPrimary):
        await submit(state, (), COMMIT, -1)
    assert lost.asked == 0


async def test_what_was_sent_before_keeps_its_sequence() -> None:
    state, worker, _ = session()
    state.unit.held = False
    elect(worker, "n2", 2, FakeLink(breaks=False))
    with trio.fail_after(5):
        await submit(state, (), COMMIT, -1, again=True)
    assert state.unit.sequence == state.sequence == 3
    with trio.fail_after(5):
        await submit(state, (), COMMIT, -1)
    assert state.unit.sequence == state.sequence == 4


async def commit_resolved(state: SessionState) -> None:
    assert (await after_loss(state, COMMIT)).state == COMMITTED
    assert state.seen_index == 7


async def index_confirmed(state: SessionState) -> None:
    assert await current_index(state, float("inf")) == 7


@pytest.mark.parametrize("asks", [commit_resolved, index_confirmed])
async def test_what_only_a_primary_can_tell_waits_for_the_next_one(
    asks: Callable[[SessionState], Awaitable[None]],
) -> None:
    state, worker, lost = session()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asks, state)
            for _ in range(10):
                await trio.lowlevel.checkpoint()
            assert lost.asked == 1, "asked again before there was any news"
            elect(worker, "n2", 2, FakeLink(breaks=False))


async def test_a_cancel_does_not_end_the_wait_for_what_became_of_a_commit() -> None:
    """Sent at once with its only statement, or at the end of a transaction."""
    for held in (False, True):
        state, worker, _ = session()
        state.unit.held = held
        state.stop_at = trio.current_time() + 0.01
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(commit, state, held)
                await trio.sleep_until(state.stop_at + 0.05)
                elect(worker, "n2", 2, FakeLink())


async def commit(state: SessionState, held: bool) -> None:
    outcome = await (after_loss(state, COMMIT) if held else submit(state, (), COMMIT, -1))
    assert outcome.state == COMMITTED


@pytest.mark.parametrize("recorded", [COMMITTED, ABORTED])
@pytest.mark.parametrize("refused", [QueryCanceled("stop"), QueueFull("full"), LockNotAvailable("locked")])
async def test_that_a_second_copy_was_refused_says_nothing_of_the_first(refused: LfsqlError, recorded: int) -> None:
    state, worker, _ = session()
    state.unit.held = False
    elect(worker, "n2", 2, FakeLink(refuses=refused, recorded=recorded))
    with trio.fail_after(5):
        outcome = await submit(state, (), COMMIT, -1, again=True)
        assert outcome.state == recorded
        assert (outcome.fault is None) == (recorded == COMMITTED)
        # Where there was no first one there is nothing to ask.
        assert (await submit(state, (), COMMIT, -1)).fault is not None


class SilentWorker(FakeWorker):
    """Its links do not answer."""

    async def ask(self, *_question: object, **_options: object) -> Answer:
        await trio.sleep_forever()
        raise AssertionError


async def test_what_a_session_was_opening_when_it_ended_is_known_to_be_open() -> None:
    for end in (HOLD, COMMIT):
        state, _, _ = session()
        worker = SilentWorker()
        state.worker = cast(Worker, worker)
        elect(worker, "n1", 1, FakeLink())
        state.unit = Unit()
        with trio.move_on_after(0.01):
            await submit(state, (), end, -1)
        assert state.unit.held == (end == HOLD)
        if end == HOLD:
            assert state.unit.link is worker.topology.nodes["n1"].link
