"""Any node tells what the log notifies of, after any index that its log still reaches back to."""

from __future__ import annotations

from pathlib import Path

import trio

from lfsql.core.entry import NOOP, UNIT, Notification, Record, Unit, encode_unit
from lfsql.core.ids import Index
from lfsql.core.notifications import NotificationsAfter, Notified
from lfsql.core.requests import COMMITTED
from lfsql.net.link import Link
from lfsql.node.notifications import ANSWER_BYTES_MAX, told_by
from tests.node.clusters import MEBIBYTE, Session, cluster_of
from tests.node.test_log_keeping import until

WAIT_MS = 10_000


async def after(link: Link, index: Index, until: Index = 0, wait_ms: int = WAIT_MS) -> Notified:
    answer = await link.request(NotificationsAfter(link.next_request(), index, until, wait_ms))
    assert isinstance(answer, Notified)
    return answer


def payloads(answer: Notified) -> list[str]:
    return [each.payload for _, notifications in answer.told for each in notifications]


async def notify(session: Session, *payloads: str) -> Index:
    outcome = await session.submit(*(f"SELECT lfsql_notify('news', '{payload}', 5)" for payload in payloads))
    assert outcome.fault is None
    assert outcome.state == COMMITTED
    return outcome.index


async def test_every_node_tells_the_same_in_the_order_of_the_log(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3) as cluster, cluster.link(await cluster.primary()) as link:
        session = Session(link, "writer")
        first = await notify(session, "one", "two")
        await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        second = await notify(session, "three")
        for name in cluster.running:
            async with cluster.link(name) as asked:
                found = await after(asked, first - 1, until=second)
                while found.upto < second:  # a replica hears later of what is committed
                    more = await after(asked, found.upto, until=second)
                    found = Notified(0, more.upto, found.told + more.told)
                assert found.told == (
                    (first, (Notification("news", "one", 5), Notification("news", "two", 5))),
                    (second, (Notification("news", "three", 5),)),
                )
                assert payloads(await after(asked, first, until=second)) == ["three"]


async def test_an_answer_waits_for_the_first_notification(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster, cluster.link(await cluster.primary()) as link:
        session = Session(link, "writer")
        index = await notify(session, "before")
        heard: list[Notified] = []
        async with trio.open_nursery() as nursery:

            async def listen() -> None:
                heard.append(await after(link, index))

            nursery.start_soon(listen)
            await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
            await session.submit("INSERT INTO t VALUES (1)")
            assert heard == []
            later = await notify(session, "after")
        assert payloads(heard[0]) == ["after"]
        assert heard[0].upto == later


async def test_an_answer_without_notifications_tells_how_far_it_looked(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster, cluster.link(await cluster.primary()) as link:
        outcome = await Session(link, "writer").submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        assert await after(link, 0, until=outcome.index) == Notified(1 + 1, outcome.index)
        assert (await after(link, 0, wait_ms=20)).upto == outcome.index


async def test_who_asks_for_what_is_cut_off_is_told_so(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1, log_bytes_max=MEBIBYTE) as cluster:
        name = await cluster.primary()
        async with cluster.link(name) as link:
            first = await notify(Session(link, "writer"), "lost")
            await Session(link, "schema").submit("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)")
            node = cluster.running[name].node
            filler = Session(link, "filler")
            for _ in range(25):
                await filler.submit(f"INSERT INTO t (body) VALUES ('{'x' * 100_000}')")
            await until(lambda: node._log.base.index >= first)
            found = await after(link, first - 1)
            assert found == Notified(found.request, first - 1, base=node._log.base.index)
            assert (await after(link, node._log.base.index, wait_ms=0)).base == 0


async def test_a_lost_link_leaves_no_question_behind(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 1) as cluster:
        name = await cluster.primary()
        service = cluster.running[name].node.participant.notifications
        async with cluster.link(name) as link, trio.open_nursery() as nursery:
            nursery.start_soon(after, link, 1_000_000)
            await until(lambda: bool(service._open))
            nursery.cancel_scope.cancel()
        await until(lambda: not service._open)


def test_an_answer_is_cut_between_records() -> None:
    unit = Unit(0, 0, "c", 1, (), notifications=(Notification("news", "x" * (ANSWER_BYTES_MAX // 2), 1),))
    body = encode_unit(unit)
    records = tuple(Record(index, 1, NOOP if index == 2 else UNIT, b"", body) for index in range(1, 6))
    upto, told = told_by(records)
    assert upto == 3
    assert [index for index, _ in told] == [1, 3]
    assert told_by(records[1:2]) == (2, ())
