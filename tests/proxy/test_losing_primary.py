"""What a session does in the moment between the loss of a link and the news of it: wait, and let others run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from lfsql.core.freshness import CommitHistory
from lfsql.core.requests import (
    COMMIT,
    COMMITTED,
    HOLD,
    PRIMARY,
    Answer,
    CurrentIndex,
    Heartbeat,
    LookUp,
    Outcome,
    Submit,
)
from lfsql.errors import LfsqlError, LinkLost, NoPrimary, OutcomeUnknown, QueryCanceled
from proxy.reading import _current_index
from proxy.state import SessionState
from proxy.topology import Node, Topology
from proxy.unit import Unit
from proxy.writing import after_loss, submit


class FakeLink:
    def __init__(self, *, lost: bool) -> None:
        self.lost = lost
        self.asked = 0

    def next_request(self) -> int:
        self.asked += 1
        return self.asked


class FakeWorker:
    """Asks a link that is lost in vain, another with success."""

    def __init__(self) -> None:
        nodes = [Node(name, f"{name}:1", "") for name in ("n1", "n2")]
        self.topology = Topology(nodes, CommitHistory(60.0, 100))

    async def ask(
        self,
        _state: object,
        _node: Node,
        link: FakeLink,
        question: LookUp | CurrentIndex | Submit,
        *,
        writes: bool = False,
        stop_at: float = float("inf"),
    ) -> Answer:
        if link.lost:
            raise LinkLost("lost, and nobody has heard yet")
        await trio.lowlevel.checkpoint()
        return Outcome(question.request, COMMITTED, index=7)


def session() -> tuple[SessionState, FakeWorker, FakeLink]:
    """A session whose primary n1 is lost; the topology still believes in it."""
    worker = FakeWorker()
    lost = FakeLink(lost=True)
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
        failover_s=5.0,
        stop_at=float("inf"),
        statement_ms_max=0,
        lock_ms_max=0,
        idle_ms_max=0,
        local=False,
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


async def test_a_commit_whose_answer_was_lost_is_looked_up_at_the_next_primary() -> None:
    state, worker, lost = session()
    found: list[Outcome] = []

    async def resolve() -> None:
        found.append(await after_loss(state, COMMIT))

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(resolve)
            for _ in range(10):
                await trio.lowlevel.checkpoint()
            assert lost.asked == 1, "asked again before there was any news"
            elect(worker, "n2", 2, FakeLink(lost=False))
    assert found[0].state == COMMITTED
    assert state.seen_index == 7


async def test_a_strong_read_waits_for_the_next_primary() -> None:
    state, worker, lost = session()
    found: list[int] = []

    async def confirm() -> None:
        found.append(await _current_index(state, float("inf")))

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(confirm)
            for _ in range(10):
                await trio.lowlevel.checkpoint()
            assert lost.asked == 1, "asked again before there was any news"
            elect(worker, "n2", 2, FakeLink(lost=False))
    assert found == [7]
