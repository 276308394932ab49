"""Three real nodes: elect, write, replicate, lose the primary, go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import apsw
import pytest
import trio
import trio.testing

from lfsql.core.log_copies import LogRecords
from lfsql.core.requests import (
    ABORTED,
    COMMIT,
    COMMITTED,
    HOLD,
    OPEN,
    PRIMARY,
    QUARANTINED,
    REPLICA,
    ROLLBACK,
    Heartbeat,
    LookUp,
    Outcome,
    Run,
    Status,
    StatusRequest,
    Submit,
)
from lfsql.errors import NotPrimary
from lfsql.net.handshake import COMMAND, Identity
from lfsql.net.link import open_link
from lfsql.node.log_repair import answer_records
from lfsql.node.status import StatusService
from tests.node.clusters import MEBIBYTE, Session, cluster_of, read


async def test_writes_reach_every_node_alike(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3) as cluster:
        primary = await cluster.primary()
        async with cluster.link(primary) as link:
            session = Session(link, "a")
            created = await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY, v text, at text)")
            assert created.state == COMMITTED
            for number in range(20):
                outcome = await session.submit(f"INSERT INTO t (v, at) VALUES ('v{number}', datetime('now'))")
                assert outcome.state == COMMITTED, outcome
                assert outcome.index > created.index
        await cluster.level()
        contents = [cluster.content(name, "SELECT * FROM t") for name in cluster.configs]
        assert len(contents[0]) == 20
        assert contents[0] == contents[1] == contents[2]
        states = [cluster.content(name, "SELECT * FROM _lfsql_state") for name in cluster.configs]
        assert states[0] == states[1] == states[2]


async def test_acknowledged_writes_survive_the_primary(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3) as cluster:
        first = await cluster.primary()
        async with cluster.link(first) as link:
            session = Session(link, "a")
            await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
            for _ in range(10):
                assert (await session.submit("INSERT INTO t DEFAULT VALUES")).state == COMMITTED
        await cluster.stop(first)
        second = await cluster.primary()
        assert second != first
        async with cluster.link(second) as link:
            answer = await link.request(LookUp(link.next_request(), "a", 11))
            assert isinstance(answer, Outcome)
            assert answer.state == COMMITTED
            assert (await read(link, "SELECT count(*) FROM t", min_index=answer.index, wait_ms_max=5000)).rows == (
                (10,),
            )
            later = Session(link, "b")
            assert (await later.submit("INSERT INTO t DEFAULT VALUES")).state == COMMITTED
        await cluster.start(first)
        await cluster.level()
        assert cluster.content(first, "SELECT count(*) FROM t") == [(11,)]


async def test_a_transaction_of_several_submits(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster, cluster.link(await cluster.primary()) as link:
        session = Session(link, "a")
        await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        opened = await session.submit("INSERT INTO t VALUES (1)", end=HOLD)
        assert opened.state == OPEN
        failed = await session.submit("INSERT INTO t VALUES (1)", end=HOLD, same=True)
        assert failed.state == OPEN
        assert failed.fault is not None
        assert failed.fault.sqlstate == "23505"
        done = await session.submit("SELECT count(*) FROM t", end=COMMIT, same=True)
        assert done.state == COMMITTED
        assert done.results[0].rows == ((1,),)
        await session.submit("INSERT INTO t VALUES (2)", end=HOLD)
        back = await session.submit(end=ROLLBACK, same=True)
        assert back.state == ABORTED
        assert back.fault is None
        assert (await read(link, "SELECT id FROM t", min_index=done.index, wait_ms_max=5000)).rows == ((1,),)


async def test_a_transaction_that_idles_is_rolled_back_and_told(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster, cluster.link(await cluster.primary()) as link:
        session, other = Session(link, "a"), Session(link, "b")
        await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        await session.submit("INSERT INTO t VALUES (1)", end=HOLD, idle_ms_max=50)
        waited = await other.submit("INSERT INTO t VALUES (1)")
        assert waited.state == COMMITTED
        late = await session.submit("INSERT INTO t VALUES (2)", end=HOLD, same=True)
        assert late.state == ABORTED
        assert late.fault is not None
        assert late.fault.sqlstate == "25P03"
        assert (await session.submit("INSERT INTO t VALUES (3)")).state == COMMITTED


async def test_a_failing_unit_hurts_no_other_of_its_batch(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3) as cluster:
        async with cluster.link(await cluster.primary()) as link:
            await Session(link, "ddl").submit("CREATE TABLE t (id INTEGER PRIMARY KEY, v int CHECK (v < 90))")
            outcomes: dict[int, Outcome] = {}

            async def insert(number: int) -> None:
                verb = "INSERT OR ROLLBACK" if number % 10 == 5 else "INSERT"
                value = 99 if number % 5 == 0 else number % 50
                session = Session(link, f"c{number}")
                outcomes[number] = await session.submit(f"{verb} INTO t VALUES ({number}, {value})")

            async with trio.open_nursery() as nursery:
                for number in range(60):
                    nursery.start_soon(insert, number)
        states = {number: outcome.state for number, outcome in outcomes.items()}
        assert states == {number: ABORTED if number % 5 == 0 else COMMITTED for number in range(60)}
        await cluster.level()
        for name in cluster.configs:
            assert cluster.content(name, "SELECT count(*) FROM t WHERE id % 5") == [(48,)]
            assert cluster.content(name, "SELECT count(*) FROM t") == [(48,)]


async def test_a_repeated_unit_is_answered_not_run(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3) as cluster:
        async with cluster.link(await cluster.primary()) as link:
            session = Session(link, "a")
            await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
            first = await session.submit("INSERT INTO t DEFAULT VALUES RETURNING id")
            again = await session.submit_numbered(2, "INSERT INTO t DEFAULT VALUES RETURNING id")
            assert again.state == COMMITTED
            assert (again.results, again.index) == (first.results, first.index)
            both: list[Outcome] = []

            async def send() -> None:
                both.append(await session.submit_numbered(3, "INSERT INTO t DEFAULT VALUES"))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                nursery.start_soon(send)
            assert [outcome.state for outcome in both] == [COMMITTED, COMMITTED]
            assert both[0].index == both[1].index
            old = await session.submit_numbered(1, "INSERT INTO t DEFAULT VALUES")
            assert old.state == ABORTED
            assert old.fault is not None
        await cluster.level()
        assert cluster.content("n1", "SELECT count(*) FROM t") == [(2,)]


async def test_a_client_that_goes_away_lets_the_writer_go(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster:
        primary = await cluster.primary()
        async with cluster.link(primary) as link:
            await Session(link, "ddl").submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
            async with cluster.link(primary) as leaving:
                await Session(leaving, "a").submit("INSERT INTO t VALUES (1)", end=HOLD)
            assert (await Session(link, "b").submit("INSERT INTO t VALUES (1)")).state == COMMITTED


async def test_heartbeats_and_status(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3) as cluster:
        primary = await cluster.primary()
        heard: list[Heartbeat] = []
        async with cluster.link(primary, heard.append) as link:
            await Session(link, "a").submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
            await cluster.level()
            status = await link.request(StatusRequest(link.next_request()))
        assert isinstance(status, Status)
        assert status.primary == primary
        assert sorted(node.role for node in status.nodes) == [PRIMARY, REPLICA, REPLICA]
        assert all(node.healthy for node in status.nodes)
        assert heard[0].role == PRIMARY
        assert heard[0].primary == primary


async def test_a_node_that_differs_takes_itself_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with cluster_of(tmp_path, 3) as cluster:
        primary = await cluster.primary()
        damaged = next(name for name in cluster.configs if name != primary)
        async with cluster.link(primary) as link:
            session = Session(link, "a")
            await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY, v int)")
            await session.submit("INSERT INTO t VALUES (1, 1), (2, 2)")
            await cluster.level()
            await cluster.stop(damaged)
            connection = apsw.Connection(str(tmp_path / damaged / "data.db"))
            connection.execute("DELETE FROM t WHERE id = 2")
            connection.close()
            await cluster.start(damaged)
            assert (await session.submit("UPDATE t SET v = v + 1 WHERE id > 0")).state == COMMITTED
            out = trio.Event()

            def hear(heartbeat: Heartbeat) -> None:
                if heartbeat.role == QUARANTINED:
                    out.set()

            async with cluster.link(damaged, hear) as reading:
                await out.wait()
                refused = await read(reading, "SELECT count(*) FROM t")
                assert refused.fault is not None
                assert refused.fault.sqlstate == "XX001"
                status = await reading.request(StatusRequest(reading.next_request()))
            assert isinstance(status, Status)
            healthy = {node.name: node.healthy for node in status.nodes}
            assert healthy == {name: name != damaged for name in cluster.configs}
            # The other two go on.
            assert (await session.submit("INSERT INTO t VALUES (3, 3)")).state == COMMITTED
    assert "taken out of service" in caplog.text


async def test_a_primary_says_how_long_ago_a_quorum_confirmed_it(tmp_path: Path) -> None:
    """Without its followers it goes on talking for a while; what it says is for the time before."""
    heard: dict[str, Heartbeat] = {}
    changed = trio.Event()

    def on_push(heartbeat: Heartbeat) -> None:
        nonlocal changed
        heard[heartbeat.node] = heartbeat
        changed.set()
        changed = trio.Event()

    async with cluster_of(tmp_path, 3) as cluster:
        primary = await cluster.primary()
        followers = [name for name in cluster.configs if name != primary]
        async with cluster.link(primary, on_push), cluster.link(followers[0], on_push):
            while set(heard) != {primary, followers[0]} or heard[primary].role != PRIMARY:
                await changed.wait()
            assert heard[followers[0]].confirmed_ago_ms is None
            for _ in range(20):
                await changed.wait()
                assert heard[primary].confirmed_ago_ms is not None
            for name in followers:
                await cluster.stop(name)
            while (heard[primary].confirmed_ago_ms or 0) <= 300:
                await changed.wait()
            assert heard[primary].role == PRIMARY
            while heard[primary].role == PRIMARY:
                await changed.wait()
            assert heard[primary].confirmed_ago_ms is None


async def test_a_follower_far_behind_is_sent_no_more_than_a_frame_holds(tmp_path: Path) -> None:
    """Two records that each fit into a message, and together do not fit into a frame."""
    limits = {
        "frame_bytes_max": 8 * MEBIBYTE,
        "unit_bytes_max": 6 * MEBIBYTE,
        "append_bytes_max": 5 * MEBIBYTE,
        "log_cache_bytes_max": 8 * MEBIBYTE,
    }
    async with cluster_of(tmp_path, 3, **limits) as cluster:
        primary = await cluster.primary()
        other = next(name for name in cluster.configs if name != primary)
        async with cluster.link(primary) as link:
            await Session(link, "ddl").submit("CREATE TABLE t (v)")
            await cluster.stop(other)
            for number, size in enumerate((4, 5, 4, 5)):
                insert = Run("INSERT INTO t VALUES (?1)", ("x" * (size * MEBIBYTE),))
                answer = await link.request(Submit(link.next_request(), "a", number, (insert,)))
                assert isinstance(answer, Outcome)
                assert answer.state == COMMITTED
        await cluster.start(other)
        await cluster.level()
        assert cluster.content(other, "SELECT count(*) FROM t") == [(4,)]
        assert not any(running.ended.is_set() for running in cluster.running.values())


async def test_a_quarantined_primary_hands_over_as_soon_as_another_can_take_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with cluster_of(tmp_path, 3) as cluster:
        primary = await cluster.primary()
        node = cluster.running[primary].node
        async with cluster.link(primary) as link:
            asked = trio.Event()

            def connected(_name: str) -> bool:
                asked.set()
                return False

            with monkeypatch.context() as alone:
                alone.setattr(node.participant.peers, "connected", connected)
                node.quarantine.enter("it differs")
                refused = await Session(link, "a").submit("CREATE TABLE t (v)")
                assert refused.fault is not None
                assert refused.fault.sqlstate == NotPrimary.sqlstate
                await asked.wait()
                assert node.driver.consensus.primary == primary
            while node.driver.consensus.primary in ("", primary):
                await node.wait_changed()


async def test_answers_that_cost_much_are_made_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for a hundred at once has neither a hundred in memory nor a hundred links opened."""
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()

    def counted(what: str, real: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def run(*arguments: object) -> None:
            running[what] += 1
            most[what] = max(most[what], running[what])
            await trio.testing.wait_all_tasks_blocked()
            await real(*arguments)
            running[what] -= 1

        return run

    monkeypatch.setattr("lfsql.node.participant.answer_records", counted("copies", answer_records))
    monkeypatch.setattr(StatusService, "_ask", counted("status", StatusService._ask))
    async with cluster_of(tmp_path, 2) as cluster:
        name = await cluster.primary()
        identity = Identity("c1", "", COMMAND)
        async with open_link(cluster.address(name), identity, cluster.key) as link, trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(link.request, LogRecords(link.next_request(), 1, 1))
                nursery.start_soon(link.request, StatusRequest(link.next_request()))
    assert most == {"copies": 2, "status": 4}
