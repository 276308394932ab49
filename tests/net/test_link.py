"""Questions and answers over real sockets: pairing, limits, loss."""

from __future__ import annotations

import socket

import pytest
import trio

from lfsql.core.requests import (
    Answer,
    Cancel,
    Forget,
    Heartbeat,
    LookUp,
    Outcome,
    Question,
    Status,
    StatusRequest,
    Submit,
)
from lfsql.errors import AddressInUse, LimitExceeded, LinkLost, QueueFull
from lfsql.net.connection import Connection
from lfsql.net.handshake import Identity
from lfsql.net.link import Link, open_link
from lfsql.net.listener import bind
from tests.net.links import KEY, PROXY, decode_question, serving


async def answer_backwards(connection: Connection, _peer: Identity) -> None:
    """Collect ten questions, then answer the last one first."""
    waiting: list[LookUp] = []
    while True:
        for question in await connection.receive(decode_question):
            assert isinstance(question, LookUp)
            waiting.append(question)
        if len(waiting) == 10:
            for question in reversed(waiting):
                connection.send_nowait(Outcome(question.request, 1, index=question.sequence))
            waiting.clear()


async def test_answers_find_their_askers_in_any_order() -> None:
    found: dict[int, int] = {}
    async with serving(serve_asker=answer_backwards) as served, open_link(served.address, PROXY, KEY) as link:

        async def ask(sequence: int) -> None:
            answer = await link.request(LookUp(link.next_request(), "c", sequence))
            assert isinstance(answer, Outcome)
            found[sequence] = answer.index

        async with trio.open_nursery() as nursery:
            for sequence in range(10):
                nursery.start_soon(ask, sequence)
        assert link.outstanding == 0
    assert found == {sequence: sequence for sequence in range(10)}


async def test_pushes_sent_with_the_handshakes_last_frame_arrive() -> None:
    async def push(connection: Connection, _peer: Identity) -> None:
        for commit in range(3):
            connection.send_nowait(Heartbeat("n1", "primary", 1, "n1", commit, commit, 0))
        await trio.sleep_forever()

    heard: list[int] = []
    enough = trio.Event()

    def on_push(heartbeat: Heartbeat) -> None:
        heard.append(heartbeat.commit_index)
        if len(heard) == 3:
            enough.set()

    async with serving(serve_asker=push) as served, open_link(served.address, PROXY, KEY, on_push=on_push):
        with trio.fail_after(5):
            await enough.wait()
    assert heard == [0, 1, 2]


async def test_a_lost_link_fails_every_asker_and_every_later_question() -> None:
    async def slam(connection: Connection, _peer: Identity) -> None:
        await connection.receive(decode_question)

    lost = 0
    async with serving(serve_asker=slam) as served, open_link(served.address, PROXY, KEY) as link:

        async def ask() -> None:
            nonlocal lost
            with pytest.raises(LinkLost):
                await link.request(StatusRequest(link.next_request()))
            lost += 1

        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(ask)
            await link.wait_lost()
        with pytest.raises(LinkLost):
            await link.request(StatusRequest(link.next_request()))
    assert lost == 5


async def test_questions_that_wait_are_limited() -> None:
    async with serving() as served, open_link(served.address, PROXY, KEY, requests_max=2) as link:
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(link.request, StatusRequest(link.next_request()))
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(QueueFull):
                await link.request(StatusRequest(link.next_request()))
            nursery.cancel_scope.cancel()
        assert link.outstanding == 0


async def test_what_is_no_longer_wanted_can_be_told_on_a_full_link() -> None:
    heard: list[Question] = []
    go_on = trio.Event()

    async def listen_late(connection: Connection, _peer: Identity) -> None:
        await go_on.wait()
        while True:
            heard.extend(await connection.receive(decode_question))

    async with (
        serving(serve_asker=listen_late) as served,
        open_link(served.address, PROXY, KEY, queue_bytes_max=4 << 20) as link,
    ):
        fill(link)
        with pytest.raises(QueueFull):
            link.send_nowait(Forget("one"))
        link.tell(Forget("two"))
        go_on.set()
        with trio.fail_after(20):
            while heard[-1:] != [Forget("two")]:
                await trio.lowlevel.checkpoint()
        assert not link.lost


@pytest.mark.parametrize("watched", [False, True])
async def test_a_link_without_room_even_for_that_is_closed(watched: bool) -> None:
    async def listen_never(_connection: Connection, _peer: Identity) -> None:
        await trio.sleep_forever()

    heard: list[Answer | None] = []
    watch = OneWatch() if watched else None
    async with (
        serving(serve_asker=listen_never) as served,
        open_link(served.address, PROXY, KEY, watch=watch, queue_bytes_max=4 << 20) as link,
    ):
        await trio.testing.wait_all_tasks_blocked()
        link.ask(LookUp(link.next_request(), "c", 1), heard.append)
        fill(link)
        with trio.fail_after(5):
            while not link.lost:
                link.tell(Forget("x" * 10_000))
            await link.wait_lost()
        link.tell(Forget("x"))
        assert heard == [None]
        assert watch is None or watch.watched is None


def fill(link: Link) -> None:
    """Send until the queue is full."""
    filling = Forget("x" * 500_000)
    with pytest.raises(QueueFull):
        while True:
            link.send_nowait(filling)


async def test_a_question_whose_time_is_over_is_cancelled_and_its_answer_waited_for() -> None:
    async def answer_when_cancelled(connection: Connection, _peer: Identity) -> None:
        asked: list[int] = []
        while True:
            for question in await connection.receive(decode_question):
                if isinstance(question, Cancel):
                    assert question.request == asked[0]
                    connection.send_nowait(Outcome(question.request, 2))
                elif isinstance(question, LookUp):
                    asked.append(question.request)

    async with (
        serving(serve_asker=answer_when_cancelled) as served,
        open_link(served.address, PROXY, KEY, requests_max=1) as link,
    ):
        started = trio.current_time()
        with trio.fail_after(5):
            answer = await link.request(LookUp(link.next_request(), "c", 1), stop_at=started + 0.1)
        assert isinstance(answer, Outcome)
        assert trio.current_time() - started >= 0.1
        assert link.outstanding == 0
        link.ask(LookUp(link.next_request(), "c", 1), lambda _answer: None)
        with pytest.raises(QueueFull):  # as it is, in no group
            await link.request(LookUp(link.next_request(), "c", 1), stop_at=started + 10)


async def test_a_question_with_a_time_hears_that_the_link_is_lost() -> None:
    async with serving() as served, open_link(served.address, PROXY, KEY) as link, trio.open_nursery() as nursery:
        nursery.start_soon(close_soon, link)
        with trio.fail_after(5), pytest.raises(LinkLost):
            await link.request(LookUp(link.next_request(), "c", 1), stop_at=trio.current_time() + 60)


async def close_soon(link: Link) -> None:
    await trio.testing.wait_all_tasks_blocked()
    link.close(LinkLost("given up"))


async def test_an_answer_to_a_cancelled_asker_is_dropped() -> None:
    async def answer_late(connection: Connection, _peer: Identity) -> None:
        first, *rest = await connection.receive(decode_question)
        assert isinstance(first, StatusRequest)
        while not rest:
            rest = await connection.receive(decode_question)
        second = rest[0]
        assert isinstance(second, StatusRequest)
        for number in (first.request, second.request):
            connection.send_nowait(Status(number, "n1", 1, 0, (), ()))
        await trio.sleep_forever()

    async with serving(serve_asker=answer_late) as served, open_link(served.address, PROXY, KEY) as link:
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(link.request, StatusRequest(link.next_request()))
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
            number = link.next_request()
            answer = await link.request(StatusRequest(number))
        assert isinstance(answer, Status)
        assert answer.request == number


async def test_exceptions_of_the_block_come_out_ungrouped() -> None:
    async with serving() as served:
        with pytest.raises(ZeroDivisionError):
            async with open_link(served.address, PROXY, KEY):
                raise ZeroDivisionError


async def test_a_question_too_large_is_refused_and_the_link_lives() -> None:
    async with serving() as served, open_link(served.address, PROXY, KEY, frame_bytes_max=1000) as link:
        with pytest.raises(LimitExceeded):
            await link.request(LookUp(link.next_request(), "c" * 2000, 1))
        assert not link.lost


@pytest.mark.parametrize("address", ["", "nowhere", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "a..b:1", ":"])
async def test_what_is_no_address_is_link_lost(address: str) -> None:
    """A node says itself where it is: what it says must not end whoever dials it."""
    with pytest.raises(LinkLost):
        async with open_link(address, PROXY, KEY):
            pass


async def test_nobody_there_is_link_lost() -> None:
    listening = bind("127.0.0.1:0")
    port = listening.getsockname()[1]
    listening.close()
    with pytest.raises(LinkLost, match=f"127.0.0.1:{port}"):
        async with open_link(f"127.0.0.1:{port}", PROXY, KEY):
            raise AssertionError("must not open")


async def test_a_taken_port_is_named() -> None:
    async with serving() as served:
        with pytest.raises(AddressInUse, match=served.address):
            bind(served.address)


async def test_an_asker_without_a_task_is_called_with_its_answer() -> None:
    heard: list[Answer | None] = []
    async with serving(serve_asker=answer_backwards) as served, open_link(served.address, PROXY, KEY) as link:
        last = trio.Event()
        for sequence in range(9):
            link.ask(LookUp(link.next_request(), "c", sequence), heard.append)
        link.withdraw(3)
        link.ask(LookUp(link.next_request(), "c", 9), lambda _answer: last.set())
        with trio.fail_after(5):
            await last.wait()
            while link.outstanding:
                await trio.lowlevel.checkpoint()
    assert [answer.request for answer in heard if isinstance(answer, Outcome)] == [9, 8, 7, 6, 5, 4, 2, 1]


async def test_an_asker_without_a_task_hears_that_the_link_is_lost() -> None:
    async def leave(connection: Connection, _peer: Identity) -> None:
        await connection.receive(decode_question)
        connection.close()
        raise LinkLost("left")

    heard: list[Answer | None] = []
    async with serving(serve_asker=leave) as served, open_link(served.address, PROXY, KEY) as link:
        link.ask(LookUp(link.next_request(), "c", 1), heard.append)
        with trio.fail_after(5):
            await link.wait_lost()
        assert heard == [None]
        with pytest.raises(LinkLost):
            link.ask(LookUp(link.next_request(), "c", 2), heard.append)
        assert heard == [None]


async def test_who_waits_for_a_write_hears_that_the_node_is_deposed() -> None:
    async def never_answer(connection: Connection, _peer: Identity) -> None:
        while True:
            await connection.receive(decode_question)

    writes: list[Answer | None] = []
    others: list[Answer | None] = []
    async with serving(serve_asker=never_answer) as served, open_link(served.address, PROXY, KEY) as link:
        link.ask(Submit(link.next_request(), "c", 1, ()), writes.append)
        link.ask(StatusRequest(link.next_request()), others.append)
        withdrawn = link.next_request()
        link.ask(LookUp(withdrawn, "c", 1), writes.append)
        link.withdraw(withdrawn)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(give_up_soon, link)
            with trio.fail_after(5), pytest.raises(LinkLost):
                await link.request(LookUp(link.next_request(), "c", 1))
        assert writes == [None]
        assert others == []
        assert link.outstanding == 1
        assert not link.lost


async def give_up_soon(link: Link) -> None:
    await trio.testing.wait_all_tasks_blocked()
    link.give_up_writes()


class OneWatch:
    """Watches one socket, by level, with a task of its own."""

    def __init__(self) -> None:
        self.watched: Link | None = None
        self.registered = trio.Event()
        self.sock: socket.socket | None = None

    def register(self, sock: socket.socket, watched: Link) -> None:
        self.sock, self.watched = sock, watched
        self.registered.set()

    def unregister(self, sock: socket.socket) -> None:
        assert sock is self.sock
        self.watched = None

    async def run(self) -> None:
        await self.registered.wait()
        while self.sock is not None and self.watched is not None:
            try:
                await trio.lowlevel.wait_readable(self.sock)
            except trio.ClosedResourceError:
                return
            if self.watched is not None:
                self.watched.on_ready()


async def test_a_watched_link_is_read_by_its_watch_alone() -> None:
    watch = OneWatch()
    async with serving(serve_asker=answer_backwards) as served, trio.open_nursery() as nursery:
        async with open_link(served.address, PROXY, KEY, watch=watch) as link:
            found: list[int] = []

            async def ask(sequence: int) -> None:
                answer = await link.request(LookUp(link.next_request(), "c", sequence))
                assert isinstance(answer, Outcome)
                found.append(answer.index)

            async with trio.open_nursery() as askers:
                for sequence in range(10):
                    askers.start_soon(ask, sequence)
                with trio.move_on_after(0.2):
                    while not found:
                        await trio.lowlevel.checkpoint()
                assert not found, "nobody watches yet"
                nursery.start_soon(watch.run)
            assert sorted(found) == list(range(10))
        assert watch.watched is None
        nursery.cancel_scope.cancel()


async def test_a_watched_link_that_breaks_is_lost() -> None:
    async def leave(connection: Connection, _peer: Identity) -> None:
        await connection.receive(decode_question)
        connection.close()
        raise LinkLost("left")

    watch = OneWatch()
    async with serving(serve_asker=leave) as served, trio.open_nursery() as nursery:
        nursery.start_soon(watch.run)
        async with open_link(served.address, PROXY, KEY, watch=watch) as link:
            with trio.fail_after(5), pytest.raises(LinkLost):
                await link.request(LookUp(link.next_request(), "c", 1))
            assert link.lost
        nursery.cancel_scope.cancel()
