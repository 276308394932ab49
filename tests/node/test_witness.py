"""A witness in this process: it follows the log, answers what a log can answer, and begins elsewhere when it must."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from lfsql.core.ids import Position
from lfsql.core.log_copies import LogCopies, LogRecords
from lfsql.core.notifications import NotificationsAfter, Notified
from lfsql.core.requests import AddMember, Outcome, Submit
from lfsql.node import witness_running
from lfsql.node.rebuilding import begin_log_at
from lfsql.node.witness import Witness
from lfsql.node.witness_running import run_witness
from lfsql.storage.statement_log import StatementLog
from tests.node.clusters import Cluster, cluster_of
from tests.node.test_members import newcomer, order, write


@asynccontextmanager
async def running(cluster: Cluster, name: str) -> AsyncIterator[Witness]:
    listening = cluster.sockets.pop(name)
    async with trio.open_nursery() as nursery:

        async def run(*, task_status: trio.TaskStatus[Witness]) -> None:
            await run_witness(cluster.configs[name], listening=listening, task_status=task_status)

        yield await nursery.start(run)
        nursery.cancel_scope.cancel()


async def add(cluster: Cluster, name: str) -> None:
    config = newcomer(cluster, name, "witness")
    assert (await order(cluster, AddMember, name, config.listen, "witness", 100)).fault is None


async def level(cluster: Cluster, witness: Witness) -> None:
    """Return when the witness knows that all is committed that the primary does."""
    primary = cluster.running[await cluster.primary()].node.driver.consensus
    while witness.participant.driver.consensus.committed < primary.commit_index:  # noqa: ASYNC110 - it tells nobody
        await trio.sleep(0.01)


async def test_a_witness_answers_what_its_log_can_and_nothing_else(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 2, deadline_s=40) as cluster:
        await add(cluster, "n3")
        async with running(cluster, "n3") as witness, cluster.link("n3") as link:
            await write(cluster, "CREATE TABLE t (v)", "a")
            await write(cluster, "SELECT lfsql_notify('news', 'first', 5)", "b")
            await level(cluster, witness)
            refused = await link.request(Submit(link.next_request(), "c", 1, ()))
            assert isinstance(refused, Outcome)
            assert refused.fault is not None
            assert "a witness has no data" in refused.fault.message
            copies = await link.request(LogRecords(link.next_request(), 1, 2))
            assert isinstance(copies, LogCopies)
            assert [record.index for record in copies.records] == [1, 2]
            told = await link.request(NotificationsAfter(link.next_request(), 0, wait_ms_max=5_000))
            assert isinstance(told, Notified)
            assert [(each.channel, each.payload) for _, unit in told.told for each in unit] == [("news", "first")]


async def test_its_log_begins_elsewhere_only_when_nothing_writes_it_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What consensus writes last may be a vote: the log must not go back to before it."""
    begun: list[Position] = []
    writing: list[int] = []

    async def observed(log: StatementLog, position: Position, configuration: bytes) -> None:
        writing.append(len(witness.participant.nursery.child_tasks))
        begun.append(position)
        await begin_log_at(log, position, configuration)

    monkeypatch.setattr(witness_running, "begin_log_at", observed)
    async with cluster_of(tmp_path, 2, deadline_s=60, log_age_ms_max=1_000) as cluster:
        await add(cluster, "n3")
        await write(cluster, "CREATE TABLE t (v)", "a")
        logs = [running.node._log for running in cluster.running.values()]
        while not all(log.base.index for log in logs):  # noqa: ASYNC110 - the log's keeper tells nobody
            await trio.sleep(0.05)
        async with running(cluster, "n3") as witness:
            while not begun:  # noqa: ASYNC110 - nobody is told but the witness itself
                await trio.sleep(0.05)
            assert writing == [0]
            # It takes part again: with it and one data node there is a majority.
            primary = await cluster.primary()
            while not cluster.running[primary].node.membership.current.elects("n3"):
                await cluster.any_change()
            await cluster.stop(next(name for name in cluster.running if name != primary))
            await write(cluster, "INSERT INTO t VALUES (1)", "b")
