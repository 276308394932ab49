"""Reads over the link: chunks, freshness, cancelling."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from lfsql.config import NodeLimits
from lfsql.core.ids import Position
from lfsql.core.requests import COMMITTED, Answer, Cancel, Read, ReadClose, ReadMore, Row, Rows
from lfsql.node.progress import Progress
from lfsql.node.reading import LinkReads, ReadService
from lfsql.storage.engine import Engine
from lfsql.storage.reads import LocalReads, ReadCursor
from tests.node.clusters import Session, cluster_of, read

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"


@pytest.mark.parametrize("count", [2500, 60_000])
async def test_a_large_result_is_pulled_in_chunks(tmp_path: Path, count: int) -> None:
    async with cluster_of(tmp_path, 1) as cluster, cluster.link(await cluster.primary()) as link:
        number = link.next_request()
        answer = await link.request(Read(number, f"{ENDLESS} LIMIT {count}", rows_max=1000))
        rows: list[object] = []
        while True:
            assert isinstance(answer, Rows)
            assert answer.fault is None
            assert len(answer.rows) <= 1000
            rows += answer.rows
            if not answer.more:
                break
            answer = await link.request(ReadMore(number, 1000))
        assert rows == [(i,) for i in range(1, count + 1)]


async def test_a_replica_waits_for_what_the_session_has_written(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3) as cluster:
        primary = await cluster.primary()
        replica = next(name for name in cluster.configs if name != primary)
        async with cluster.link(primary) as writing, cluster.link(replica) as reading:
            session = Session(writing, "a")
            await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
            for number in range(1, 30):
                outcome = await session.submit("INSERT INTO t DEFAULT VALUES")
                assert outcome.state == COMMITTED
                answer = await read(reading, "SELECT count(*) FROM t", min_index=outcome.index, wait_ms_max=5000)
                assert answer.rows == ((number,),)
                assert answer.index >= outcome.index


async def test_a_copy_that_does_not_get_there_in_time_says_so(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster, cluster.link(await cluster.primary()) as link:
        for wait_ms_max in (0, 30):
            answer = await read(link, "SELECT 1", min_index=1_000_000, wait_ms_max=wait_ms_max)
            assert answer.fault is not None
            assert answer.fault.sqlstate == "55000"


async def test_errors_and_attempts_to_write_are_answered(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster, cluster.link(await cluster.primary()) as link:
        states = []
        for sql in ("SELECT * FROM missing", "CREATE TABLE t (x)", "SELEC 1"):
            answer = await read(link, sql)
            assert answer.fault is not None
            states.append(answer.fault.sqlstate)
        assert states == ["42P01", "25006", "42601"]


async def test_a_long_read_is_cancelled_and_one_that_waits_is_closed(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster, cluster.link(await cluster.primary()) as link:
        number = link.next_request()
        answers: list[Rows] = []

        async def count_for_ever() -> None:
            answer = await link.request(Read(number, f"SELECT count(*) FROM ({ENDLESS})"))
            assert isinstance(answer, Rows)
            answers.append(answer)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count_for_ever)
            # Another question's answer shows that the node has taken the first.
            await read(link, "SELECT 1")
            link.send_nowait(Cancel(number))
        assert answers[0].fault is not None
        assert answers[0].fault.sqlstate == "57014"

        number = link.next_request()
        first = await link.request(Read(number, ENDLESS, rows_max=10))
        assert isinstance(first, Rows)
        assert first.more
        link.send_nowait(ReadClose(number))
        gone = await link.request(ReadMore(number, 10))
        assert isinstance(gone, Rows)
        assert gone.fault is not None
        assert gone.fault.sqlstate == "34000"


async def test_a_read_over_its_time_is_stopped(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster, cluster.link(await cluster.primary()) as link:
        answer = await read(link, f"SELECT count(*) FROM ({ENDLESS})", run_ms_max=50)
        assert answer.fault is not None
        assert answer.fault.sqlstate == "57014"


async def test_open_reads_are_limited(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1, open_reads_max=2) as cluster, cluster.link(await cluster.primary()) as link:
        for _ in range(2):
            assert (await read(link, ENDLESS, rows_max=10)).more
        third = await read(link, ENDLESS, rows_max=10)
        assert third.fault is not None
        assert third.fault.sqlstate == "53400"


class Link:
    """An Asker that keeps what it is answered."""

    number = 1

    def __init__(self) -> None:
        self.answers: list[Answer] = []

    def answer(self, message: Answer) -> None:
        self.answers.append(message)


async def test_a_read_whose_link_ends_when_its_rows_come_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are there and its task is to run next, when the link closes it."""
    Engine(tmp_path / "data.db").close()
    come, closed = trio.Event(), trio.Event()

    async def fetch(_cursor: ReadCursor, _rows_max: int = 0) -> tuple[list[Row], bool]:
        await come.wait()
        return [(1,)], True

    async def aclose(_cursor: ReadCursor) -> None:
        closed.set()

    monkeypatch.setattr(ReadCursor, "fetch", fetch)
    monkeypatch.setattr(ReadCursor, "aclose", aclose)
    async with LocalReads(tmp_path / "data.db") as local, trio.open_nursery() as nursery:
        service = ReadService(local, Progress(Position(), 0), NodeLimits(), nursery)
        reads = LinkReads(service, Link())
        reads.read(Read(1, f"{ENDLESS} LIMIT 100000"))
        while service.open_reads and not reads._open[1].cursor:
            await trio.testing.wait_all_tasks_blocked(0.01)
        come.set()
        reads.close_all()
        with trio.fail_after(5):
            await closed.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert service.open_reads == 0


async def test_a_kept_snapshot_shows_the_same_until_it_is_closed(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1, open_reads_max=3) as cluster:
        primary = await cluster.primary()
        async with cluster.link(primary) as link:
            session = Session(link, "a")
            await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
            made = await session.submit("INSERT INTO t VALUES (1), (2), (3)")
            number = link.next_request()
            kept = await link.request(Read(number, "", min_index=made.index, wait_ms_max=5000, keep=True))
            assert isinstance(kept, Rows)
            assert (kept.fault, kept.rows, kept.more) == (None, (), False)
            assert kept.index >= made.index
            later = await session.submit("DELETE FROM t")
            assert (await read(link, "SELECT count(*) FROM t", min_index=later.index, wait_ms_max=5000)).rows == (
                (0,),
            )
            seen = await read(link, "SELECT id FROM t", within=number)
            assert (seen.rows, seen.index) == (((1,), (2,), (3,)), kept.index)

            # In chunks, from a thread; and an error ends the statement alone.
            long = link.next_request()
            first = await link.request(Read(long, f"{ENDLESS}, t", rows_max=10, within=number))
            assert isinstance(first, Rows)
            assert first.more
            assert first.rows == tuple((place // 3 + 1,) for place in range(10))
            wrong = await read(link, "SELECT * FROM missing", within=number)
            assert wrong.fault is not None
            link.send_nowait(ReadClose(long))
            assert (await read(link, "SELECT count(*) FROM t", within=number)).rows == ((3,),)

            # It counts as an open read; closed, it is gone, and so is its place.
            link.send_nowait(ReadClose(number))
            gone = await read(link, "SELECT 1", within=number)
            assert gone.fault is not None
            assert gone.fault.sqlstate == "34000"
            for _ in range(3):
                again = await read(link, "", keep=True, wait_ms_max=5000)
                assert again.fault is None
            refused = await read(link, "", keep=True)
            assert refused.fault is not None
            assert refused.fault.sqlstate == "53400"
        async with cluster.link(primary) as link:
            # Those of a link that is gone are closed with it.
            assert (await read(link, "", keep=True)).fault is None
            late = await read(link, "", keep=True, min_index=1_000_000)
            assert late.fault is not None
            assert late.fault.sqlstate == "55000"
