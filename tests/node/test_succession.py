"""The writer begins where SQLite stands at the end of what it goes on from, and not before."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from lfsql.core.ids import Index, Term
from lfsql.core.requests import ABORTED, COMMITTED, Outcome
from lfsql.node.succession import Succession
from tests.node.clusters import Session, cluster_of


class Writer:
    """Says what it was told, and that it has logged up to `proposed` in `term`."""

    def __init__(self) -> None:
        self.term: Term = 0
        self.proposed: Index = 0
        self.told: list[str] = []

    def resume_index(self, term: Term) -> Index:
        return self.proposed if term == self.term else 0

    def expect_reign(self) -> None:
        self.told.append("expect")

    def depose(self) -> None:
        self.told.append("depose")


@pytest.fixture
def writer() -> Writer:
    return Writer()


@pytest.fixture
def succession(writer: Writer) -> Succession:
    return Succession("n1", writer)


def test_a_primary_reigns_once_its_database_has_all_that_its_predecessors_logged(succession: Succession) -> None:
    assert succession.term_due(100) is None
    succession.became_primary(3, 7)
    assert [succession.term_due(applied) for applied in (6, 7, 8)] == [None, 3, 3]
    succession.stepped_down()
    assert succession.term_due(100) is None


def test_an_interrupted_reign_goes_on_behind_what_it_has_logged(succession: Succession, writer: Writer) -> None:
    writer.term, writer.proposed = 3, 9
    succession.became_primary(3, 7)
    assert [succession.term_due(applied) for applied in (8, 9)] == [None, 3]
    # What it logged in an earlier term may never be committed.
    succession.became_primary(4, 8)
    assert succession.term_due(8) == 4


def test_questions_wait_for_a_node_that_leads_and_can_serve(succession: Succession, writer: Writer) -> None:
    succession.primary_changed("n1")
    succession.primary_changed("n2")
    succession.primary_changed("")
    succession.primary_changed("n1", able=False)
    assert writer.told == ["expect", "depose", "depose", "depose"]


async def test_what_is_lost_of_sqlite_and_waits_for_its_quorum_is_there_before_anything_else_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OR ROLLBACK takes back the whole transaction, with what is in the log and not yet committed."""
    async with cluster_of(tmp_path, 3) as cluster:
        name = await cluster.primary()
        writer, driver = cluster.running[name].node._writer, cluster.running[name].node.driver
        async with cluster.link(name) as link:
            await Session(link, "ddl").submit("CREATE TABLE t (id INTEGER PRIMARY KEY, v int)")
            await cluster.level()
            outcomes: dict[str, Outcome] = {}

            async def run(client: str, sql: str) -> None:
                outcomes[client] = await Session(link, client).submit(sql)

            async with trio.open_nursery() as nursery:
                with monkeypatch.context() as cut_off:
                    cut_off.setattr(driver, "_send", lambda _to, _message: None)
                    nursery.start_soon(run, "first", "INSERT INTO t VALUES (1, 1)")
                    while not writer._stack.layers:
                        await trio.testing.wait_all_tasks_blocked()
                    nursery.start_soon(run, "culprit", "INSERT OR ROLLBACK INTO t VALUES (1, 2)")
                    while writer._stack.layers:
                        await trio.testing.wait_all_tasks_blocked()
                    nursery.start_soon(run, "next", "INSERT INTO t SELECT max(id) + 1, 3 FROM t")
                    await trio.testing.wait_all_tasks_blocked(0.02)
        assert {client: outcome.state for client, outcome in outcomes.items()} == {
            "first": COMMITTED,
            "culprit": ABORTED,
            "next": COMMITTED,
        }
        await cluster.level()
        for node in cluster.configs:
            assert cluster.content(node, "SELECT * FROM t ORDER BY id") == [(1, 1), (2, 3)]
