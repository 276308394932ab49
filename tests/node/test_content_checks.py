"""Nodes compare what their databases hold, under load too; the one that differs takes itself out, whichever it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import pytest
import trio
import trio.testing
from rich.console import Console

from lfsql.cli.layout import Layout
from lfsql.cli.verify_cluster import is_running, print_cluster, verify_cluster
from lfsql.config import ProxyConfig, Upstream
from lfsql.core.contents import Comparison
from lfsql.core.ids import Position
from lfsql.core.messages import CheckContent
from lfsql.core.requests import COMMITTED, QUARANTINED, Heartbeat, Read, ReadMore, Rows, Status, StatusRequest
from lfsql.net.link import Link
from lfsql.node import content_checks
from lfsql.node.rebuilding import Rebuilder
from lfsql.node.service import Node
from lfsql.storage.quarantine import quarantined
from tests.node.clusters import Cluster, Session, cluster_of, read


@pytest.fixture
def not_rebuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is quarantined stays so, to be looked at."""
    monkeypatch.setattr(Rebuilder, "run", never)


async def never(_rebuilder: Rebuilder) -> None:
    await trio.sleep_forever()


def change(cluster: Cluster, name: str, sql: str) -> None:
    """Behind the node's back, as a flipped bit would, or somebody with sqlite3."""
    connection = apsw.Connection(str(Path(cluster.configs[name].data_dir) / "data.db"))
    connection.set_busy_timeout(5_000)
    connection.execute(sql)
    connection.close()


def node_of(cluster: Cluster, name: str) -> Node:
    return cluster.running[name].node


async def all_agree(cluster: Cluster, index: int = 1) -> None:
    """Return when every node has been found right at `index` or later."""
    for running in cluster.running.values():
        checks = running.node.checks
        while checks.agreed_index < index:
            await checks.wait_changed()


async def out_of_service(cluster: Cluster, name: str) -> str:
    """Wait until the node says that it is quarantined, and return why."""
    told: list[str] = []
    out = trio.Event()

    def hear(heartbeat: Heartbeat) -> None:
        if heartbeat.role == QUARANTINED:
            told.append(heartbeat.fault)
            out.set()

    async with cluster.link(name, hear):
        await out.wait()
    return told[0]


async def fill(session: Session, rows: int = 200) -> None:
    await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY, v int)")
    outcome = await session.submit(f"INSERT INTO t (v) SELECT value FROM lfsql_series(1, {rows}, 1)")
    assert outcome.state == COMMITTED


class Filled(NamedTuple):
    """A cluster whose nodes all hold the same rows, and a client of its primary."""

    cluster: Cluster
    primary: str
    others: tuple[str, ...]
    link: Link
    session: Session

    def node(self, name: str = "") -> Node:
        """The primary's, unless said otherwise."""
        return node_of(self.cluster, name or self.primary)


@asynccontextmanager
async def filled(directory: Path, count: int, **limits: Any) -> AsyncIterator[Filled]:
    async with cluster_of(directory, count, **limits) as cluster:
        primary = await cluster.primary()
        async with cluster.link(primary) as link:
            session = Session(link, "a")
            await fill(session)
            await cluster.level()
            yield Filled(cluster, primary, tuple(name for name in cluster.configs if name != primary), link, session)


async def test_contents_are_compared_at_one_position_while_writes_go_on(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3) as cluster:
        primary = await cluster.primary()
        async with cluster.link(primary) as link, trio.open_nursery() as nursery:
            await fill(Session(link, "a"))

            async def write(client: str) -> None:
                session = Session(link, client)
                while True:
                    assert (await session.submit("UPDATE t SET v = v + 1 WHERE id = 7")).state == COMMITTED

            for number in range(4):
                nursery.start_soon(write, f"w{number}")
            index = 0
            for _ in range(5):
                node_of(cluster, primary).checks.start(hurry=True)
                await all_agree(cluster, index + 1)
                index = min(running.node.checks.agreed_index for running in cluster.running.values())
            assert not any(running.node._status.quarantined for running in cluster.running.values())
            nursery.cancel_scope.cancel()
        checks = node_of(cluster, primary).checks
        assert checks.comparison() == Comparison(True)
        answers = [checks.answer_of(name) for name in cluster.configs]
        assert len({answer.content for answer in answers if answer is not None and answer.content}) == 1
        await cluster.level()


async def test_checks_come_by_themselves(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3, content_check_interval_ms=50) as cluster:
        primary = await cluster.primary()
        async with cluster.link(primary) as link:
            await fill(Session(link, "a"))
            writing = Session(link, "b")
            for _ in range(3):
                index = min(running.node.checks.agreed_index for running in cluster.running.values())
                await writing.submit("INSERT INTO t DEFAULT VALUES")
                await all_agree(cluster, index + 1)


async def test_a_node_that_comes_back_is_looked_at_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_checks, "SOON_S", 0.05)
    async with cluster_of(tmp_path, 3, content_check_interval_ms=3_600_000) as cluster:
        primary = await cluster.primary()
        wrong = next(name for name in cluster.configs if name != primary)
        async with cluster.link(primary) as link:
            await fill(Session(link, "a"))
            await cluster.level()
            await cluster.stop(wrong)
            change(cluster, wrong, "UPDATE t SET v = 0 WHERE id = 100")
            await cluster.start(wrong)
            await cluster.running[wrong].renewed.wait()
        await cluster.level()
        assert cluster.content(wrong, "SELECT v FROM t WHERE id = 100") == [(100,)]


@pytest.mark.usefixtures("not_rebuilt")
async def test_a_replica_that_differs_takes_itself_out_and_shows_nothing_of_what_it_holds(tmp_path: Path) -> None:
    async with filled(tmp_path, 3, chunk_rows_max=10) as here:
        cluster, primary, link, session = here.cluster, here.primary, here.link, here.session
        wrong = here.others[0]
        async with cluster.link(wrong) as reading:
            change(cluster, wrong, "UPDATE t SET v = 0 WHERE id = 100")
            begun = await reading.request(Read(1, "SELECT * FROM t"))
            assert isinstance(begun, Rows)
            assert begun.more
            in_memory = await reading.request(Read(2, "SELECT * FROM t LIMIT 8", rows_max=3))
            assert isinstance(in_memory, Rows)
            assert in_memory.more
            node_of(cluster, primary).checks.start(hurry=True)
            why = await out_of_service(cluster, wrong)
            assert "differs from that of the majority" in why
            for request in (1, 2):
                rest = await reading.request(ReadMore(request))
                assert isinstance(rest, Rows)
                assert rest.fault is not None
            refused = await read(reading, "SELECT count(*) FROM t")
            assert refused.fault is not None
            assert refused.fault.sqlstate == "XX001"
            status = await link.request(StatusRequest(link.next_request()))
            assert isinstance(status, Status)
            assert {
                node.name: (node.role == QUARANTINED, node.healthy, bool(node.fault)) for node in status.nodes
            } == {name: (name == wrong, name != wrong, name == wrong) for name in cluster.configs}
            assert (await session.submit("INSERT INTO t DEFAULT VALUES")).state == COMMITTED
        assert quarantined(Path(cluster.configs[wrong].data_dir)) == why


@pytest.mark.usefixtures("not_rebuilt")
async def test_the_primary_may_be_the_one_that_differs(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3) as cluster:
        primary = await cluster.primary()
        node = node_of(cluster, primary)
        async with cluster.link(primary) as link:
            await fill(Session(link, "a"))
            await cluster.level()
            change(cluster, primary, "DELETE FROM t WHERE id = 100")
            node.checks.start(hurry=True)
            assert "differs" in await out_of_service(cluster, primary)
        while node.driver.consensus.primary in ("", primary):
            await node.wait_changed()
        other = await cluster.primary()
        assert other != primary
        async with cluster.link(other) as link:
            found = await read(link, "SELECT count(*) FROM t")
            assert found.rows == ((200,),)


@pytest.mark.parametrize("wrong_is_primary", [False, True])
async def test_a_node_that_differs_is_made_again_and_is_back_in_service(
    tmp_path: Path, wrong_is_primary: bool
) -> None:
    async with cluster_of(tmp_path, 3) as cluster:
        primary = await cluster.primary()
        wrong = primary if wrong_is_primary else next(name for name in cluster.configs if name != primary)
        async with cluster.link(primary) as link:
            await fill(Session(link, "a"))
            await cluster.level()
            change(cluster, wrong, "UPDATE t SET v = 0 WHERE id = 100")
            node_of(cluster, primary).checks.start(hurry=True)
            await cluster.running[wrong].renewed.wait()
        assert quarantined(Path(cluster.configs[wrong].data_dir)) == ""
        other = await cluster.primary()
        async with cluster.link(other) as link:
            assert (await Session(link, "b").submit("INSERT INTO t DEFAULT VALUES")).state == COMMITTED
        await cluster.level()
        assert cluster.content(wrong, "SELECT v FROM t WHERE id = 100") == [(100,)]
        node_of(cluster, other).checks.start(hurry=True)
        await all_agree(cluster)


async def test_a_restart_does_not_forget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with cluster_of(tmp_path, 3) as cluster:
        primary = await cluster.primary()
        wrong = next(name for name in cluster.configs if name != primary)
        async with cluster.link(primary) as link:
            await fill(Session(link, "a"))
            await cluster.level()
            with monkeypatch.context() as patched:
                patched.setattr(Rebuilder, "run", never)
                change(cluster, wrong, "UPDATE t SET v = 0 WHERE id = 100")
                node_of(cluster, primary).checks.start(hurry=True)
                why = await out_of_service(cluster, wrong)
                await cluster.stop(wrong)
                await cluster.start(wrong)
                assert node_of(cluster, wrong).quarantine.reason == why
                async with cluster.link(wrong) as reading:
                    refused = await read(reading, "SELECT count(*) FROM t")
                    assert refused.fault is not None
                await cluster.stop(wrong)
            await cluster.start(wrong)
            await cluster.running[wrong].renewed.wait()
            assert node_of(cluster, wrong).quarantine.reason == ""
        await cluster.level()
        assert cluster.content(wrong, "SELECT v FROM t WHERE id = 100") == [(100,)]


@pytest.mark.usefixtures("not_rebuilt")
async def test_an_index_that_lacks_a_row_is_a_difference_too(tmp_path: Path) -> None:
    async with filled(tmp_path, 3) as here:
        cluster, session, wrong = here.cluster, here.session, here.others[0]
        await session.submit("CREATE INDEX i ON t (v)")
        await cluster.level()
        await cluster.stop(wrong)
        connection = apsw.Connection(str(Path(cluster.configs[wrong].data_dir) / "data.db"))
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON t (v) WHERE v <> 100' WHERE name = 'i'")
        connection.execute("PRAGMA writable_schema=RESET; REINDEX; PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON t (v)' WHERE name = 'i'")
        connection.close()
        await cluster.start(wrong)
        await session.submit("INSERT INTO t DEFAULT VALUES")  # which needs its links
        await cluster.level()
        here.node().checks.start(hurry=True)
        assert "index i" in await out_of_service(cluster, wrong)


async def test_of_two_that_differ_nobody_goes_and_both_say_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with filled(tmp_path, 2) as here:
        change(here.cluster, here.primary, "DELETE FROM t WHERE id = 100")
        checks = here.node().checks
        checks.start(hurry=True)
        while not checks.disagreement:
            await checks.wait_changed()
        assert "no majority" in caplog.text
        status = await here.link.request(StatusRequest(here.link.next_request()))
        assert isinstance(status, Status)
        assert any("no majority" in node.fault for node in status.nodes)
        assert status.primary == here.primary


def layout_of(cluster: Cluster) -> Layout:
    nodes = tuple(cluster.configs.values())
    proxy = ProxyConfig(
        cluster_id="c1",
        cluster_key_file=str(cluster.directory / "key"),
        nodes=tuple(Upstream(name=node.name, address=node.me.address, data_dir=node.data_dir) for node in nodes),
    )
    return Layout(cluster.directory, nodes, proxy)


@pytest.mark.usefixtures("not_rebuilt")
async def test_verify_asks_all_nodes_at_one_index_and_names_who_differs(tmp_path: Path) -> None:
    async with filled(tmp_path, 3) as here:
        cluster, primary, (wrong, silent) = here.cluster, here.primary, here.others
        layout = layout_of(cluster)
        status = await is_running(layout, [cluster.address(wrong)])
        assert status is not None
        found = await verify_cluster(layout, status, 10)
        assert found["ok"], found
        assert {node["state"] for node in found["nodes"]} == {"equal"}
        assert len({node["content"] for node in found["nodes"]}) == 1
        assert found["index"] == here.node().progress.index
        print_cluster(Console(), found)

        change(cluster, wrong, "UPDATE t SET v = 0 WHERE id = 100")
        found = await verify_cluster(layout, status, 10)
        assert {node["name"]: node["state"] for node in found["nodes"]} == {
            primary: "equal",
            wrong: "differs",
            silent: "equal",
        }
        assert not found["ok"]
        assert found["faults"] == [f"{wrong}: its content differs from that of the majority"]
        await out_of_service(cluster, wrong)


async def test_verify_checks_the_logs_and_says_who_did_not_answer(tmp_path: Path) -> None:
    async with filled(tmp_path, 3) as here:
        cluster, primary, (damaged, silent) = here.cluster, here.primary, here.others
        layout = layout_of(cluster)
        await cluster.stop(silent)
        log = here.node(damaged)._log
        await log._call(lambda connection: connection.execute("UPDATE records SET term = 7 WHERE log_index = 2"))
        status = await is_running(layout, [cluster.address(primary)])
        assert status is not None
        found = await verify_cluster(layout, status, 10)
        nodes = {node["name"]: node for node in found["nodes"]}
        assert nodes[silent]["state"] == "silent"
        assert nodes[damaged]["state"] == "equal", "its data is what it must be"
        assert "record 2" in nodes[damaged]["log_fault"]
        assert len(found["faults"]) == 2
    assert await is_running(layout, [cluster.address(silent)]) is None


async def test_a_replica_that_has_passed_the_position_is_not_compared_and_not_held_up(tmp_path: Path) -> None:
    async with filled(tmp_path, 3) as here:
        cluster, session, other = here.cluster, here.session, here.others[0]
        applier = here.node(other)._applier
        last = here.node().driver.consensus.last.index
        applier.stop_at(last)
        await applier.stopped()
        for _ in range(4):
            await session.submit("INSERT INTO t DEFAULT VALUES")
        while here.node(other).driver.consensus.committed < last + 4:
            await trio.testing.wait_all_tasks_blocked(0.01)
        applier.stop_at(last + 2)  # and not where the transaction would end that applies all of them
        await applier.stopped()
        stopped_at = here.node(other).progress.index
        assert stopped_at == last + 2
        applier.go_on(stopped_at - 1)
        assert here.node(other).progress.index == stopped_at, "another stop than the one it is told of"
        applier.go_on(stopped_at)
        await cluster.level()
        applier.stop_at(1)
        await applier.stopped()
        applier.go_on(1)
        await session.submit("INSERT INTO t DEFAULT VALUES")
        await cluster.level()


async def test_a_check_that_another_takes_the_place_of_does_not_hold_up_the_applier(tmp_path: Path) -> None:
    async with filled(tmp_path, 3) as here:
        told = here.node().progress.position
        checks = here.node(here.others[0]).checks
        checks.heard(here.primary, CheckContent(Position(told.index + 1, told.term, told.hash), 1))
        checks.start()  # in the same moment: nobody has looked at the first yet
        for _ in range(4):
            await here.session.submit("INSERT INTO t DEFAULT VALUES")
        await here.cluster.level()
