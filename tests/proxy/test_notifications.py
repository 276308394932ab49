"""A worker follows the log for its sessions: whom it asks, from where on, and what it does when nobody can tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import trio
import trio.testing

from lfsql.core.entry import Notification
from lfsql.core.freshness import CommitHistory
from lfsql.core.ids import Index
from lfsql.core.notifications import NotificationsAfter, Notified
from lfsql.core.requests import PRIMARY, REPLICA, WITNESS, Answer, Heartbeat
from lfsql.errors import LfsqlError, NotificationsLost, QueueFull
from proxy.listening import Listener
from proxy.notifications import Notifications
from proxy.sql.utility import Listen, Unlisten
from proxy.state import IDLE, IN_TRANSACTION, SessionState
from proxy.topology import Node, Topology


class FakeLink:
    """Keeps what is asked until the test answers."""

    def __init__(self) -> None:
        self.lost = False
        self.full = False
        self.asked: dict[int, tuple[NotificationsAfter, Callable[[Answer | None], None]]] = {}
        self._last = 0

    def next_request(self) -> int:
        self._last += 1
        return self._last

    def ask(self, question: NotificationsAfter, take: Callable[[Answer | None], None]) -> None:
        if self.full:
            raise QueueFull("full")
        self.asked[question.request] = question, take

    def withdraw(self, request: int) -> None:
        self.asked.pop(request, None)

    def give_up_writes(self) -> None:
        """Nobody writes."""

    def close(self, _why: LfsqlError) -> None:
        self.lose()

    def tell(self, _ping: object) -> None:
        """How old a heartbeat is concerns nobody here."""

    @property
    def questions(self) -> list[tuple[Index, Index]]:
        return [(question.after, question.until) for question, _ in self.asked.values()]

    def answer(self, upto: Index, *told: tuple[Index, str], base: Index = 0) -> None:
        """The oldest question."""
        request = next(iter(self.asked))
        _, take = self.asked.pop(request)
        take(Notified(request, upto, tuple((index, (Notification("c", text, 1),)) for index, text in told), base))

    def lose(self) -> None:
        self.lost = True
        while self.asked:
            _, (_, take) = self.asked.popitem()
            take(None)


class FakeHearer:
    def __init__(self) -> None:
        self.heard: list[tuple[Index, bytes]] = []
        self.told = 0
        self.fullness = 0.0
        self.lost: LfsqlError | None = None

    def hear(self, index: Index, channel: str, message: bytes) -> None:
        assert channel == "c"
        self.heard.append((index, message[11:-1]))

    def tell(self) -> None:
        self.told += 1

    def lose(self, error: LfsqlError) -> None:
        self.lost = error


class Bench:
    """Two nodes that can be asked, of which n1 is primary, and one that cannot."""

    def __init__(self) -> None:
        self.nodes = {name: Node(name, f"{name}:1", "") for name in ("n1", "n2", "n3")}
        self.links = {name: FakeLink() for name in self.nodes}
        for name, node in self.nodes.items():
            node.link = self.links[name]  # type: ignore[assignment]  # all that is used of a link
        self.topology = Topology(self.nodes.values(), CommitHistory(60.0, 100))
        self.beat("n1", PRIMARY, 1)
        self.beat("n2", REPLICA, 1)
        self.beat("n3", WITNESS, 1)
        self.seen: list[Index] = []
        self.notifications = Notifications(self.topology, self.seen.append)
        self.hearer = FakeHearer()

    def beat(self, name: str, role: str, term: int) -> None:
        self.topology.heard(self.nodes[name], Heartbeat(name, role, term, "", 0, 0, 0, confirmed_ago_ms=0))

    def lose(self, name: str) -> None:
        self.links[name].lose()
        self.nodes[name].link = None
        self.topology.lost(self.nodes[name])


def test_nobody_is_asked_until_somebody_listens() -> None:
    bench = Bench()
    assert bench.links["n1"].questions == []
    assert bench.notifications.add("c", bench.hearer, 10) == 10
    assert bench.links["n1"].questions == [(10, 0)]
    assert bench.links["n2"].questions == []
    bench.notifications.remove("c", bench.hearer)
    assert bench.links["n1"].questions == []


def test_each_question_begins_where_the_answer_before_ended() -> None:
    bench = Bench()
    bench.notifications.add("c", bench.hearer, 10)
    bench.links["n1"].answer(12, (11, "a"), (12, "b"))
    bench.links["n1"].answer(30)
    assert bench.links["n1"].questions == [(30, 0)]
    bench.links["n1"].answer(31, (31, "c"))
    assert bench.hearer.heard == [(11, b"a"), (12, b"b"), (31, b"c")]
    assert bench.hearer.told == 2
    assert bench.seen == [12, 31]
    assert bench.topology.commit_index == 31


async def test_another_node_goes_on_where_a_lost_one_was() -> None:
    bench = Bench()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.notifications.run)
        bench.notifications.add("c", bench.hearer, 10)
        bench.links["n1"].answer(12, (12, "a"))
        bench.lose("n1")
        await trio.testing.wait_all_tasks_blocked()
        assert bench.links["n2"].questions == [(12, 0)]
        bench.links["n2"].answer(14, (13, "b"), (14, "c"))
        assert [text for _, text in bench.hearer.heard] == [b"a", b"b", b"c"]
        nursery.cancel_scope.cancel()


async def test_a_new_primary_is_asked_instead_of_the_old_one() -> None:
    """Which may have been stopped, and would tell when it wakes up."""
    bench = Bench()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.notifications.run)
        bench.notifications.add("c", bench.hearer, 10)
        await trio.testing.wait_all_tasks_blocked()
        bench.beat("n2", PRIMARY, 2)
        await trio.testing.wait_all_tasks_blocked()
        assert bench.links["n1"].questions == []
        assert bench.links["n2"].questions == [(10, 0)]
        nursery.cancel_scope.cancel()


async def test_who_could_not_be_asked_is_asked_again(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.notifications.run)
        bench.links["n1"].full = True
        bench.notifications.add("c", bench.hearer, 10)
        assert bench.links["n1"].questions == []
        bench.links["n1"].full = False
        bench.beat("n3", REPLICA, 1)
        await trio.testing.wait_all_tasks_blocked()
        assert bench.links["n1"].questions == [(10, 0)]
        nursery.cancel_scope.cancel()


def test_what_one_node_has_cut_off_another_is_asked_for() -> None:
    bench = Bench()
    bench.notifications.add("c", bench.hearer, 10)
    bench.links["n1"].answer(10, base=20)
    assert bench.hearer.lost is None
    assert bench.links["n1"].questions == []
    assert bench.links["n2"].questions == [(10, 0)]
    bench.links["n2"].answer(25, (15, "a"))
    assert bench.hearer.heard == [(15, b"a")]
    assert bench.links["n1"].questions == [(25, 0)], "the primary again, which reaches back far enough now"


def test_what_all_have_cut_off_ends_who_listens() -> None:
    bench = Bench()
    bench.notifications.add("c", bench.hearer, 10)
    bench.links["n1"].answer(10, base=20)
    bench.links["n2"].answer(10, base=30)
    assert isinstance(bench.hearer.lost, NotificationsLost)
    assert bench.links["n1"].questions == bench.links["n2"].questions == []
    other = FakeHearer()
    assert bench.notifications.add("c", other, 40) == 40
    assert bench.links["n1"].questions == [(40, 0)]


def test_nothing_is_heard_twice_nor_from_before() -> None:
    bench = Bench()
    bench.notifications.add("c", bench.hearer, 10)
    assert bench.notifications.add("d", bench.hearer, 12) == 12
    bench.links["n1"].answer(15, (15, "a"))
    assert bench.notifications.add("e", bench.hearer, 12) == 15
    # As a question from before would be answered that was asked elsewhere.
    bench.links["n1"].answer(16, (15, "a"), (16, "b"))
    assert bench.hearer.heard == [(15, b"a"), (16, b"b")]


async def test_a_session_waits_for_its_own_commit(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    bench.notifications.add("c", bench.hearer, 10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.notifications.reach, 12, 1.0)
        await trio.testing.wait_all_tasks_blocked()
        assert bench.links["n1"].questions == [(10, 0), (10, 12)]
        link = bench.links["n1"]
        (waiting, (_, _)), (asked, (_, take)) = link.asked.items()
        del link.asked[asked]
        take(Notified(asked, 12))
    assert list(link.asked) == [waiting]
    began = trio.current_time()
    await bench.notifications.reach(12, 1.0)
    assert trio.current_time() == began
    await bench.notifications.reach(13, 1.0)
    assert trio.current_time() == began + 1.0, "not for ever: it will be told later"


# -- One session -------------------------------------------------------------------------------------------


class FakeState:
    """What a Listener uses of a session."""

    def __init__(self, bench: Bench) -> None:
        self.worker = bench
        self.settled = True
        self.status = IDLE
        self.seen_index = 0
        self.offered = 0
        self.ended: LfsqlError | None = None

    def offer(self) -> None:
        self.offered += 1

    def end(self, error: LfsqlError) -> None:
        self.ended = error


def listening(bench: Bench, *channels: str, bytes_max: int = 1_000) -> tuple[Listener, FakeState]:
    state = FakeState(bench)
    listener = Listener(cast(SessionState, state), bytes_max)
    listener.wanted += [Listen(channel) for channel in channels]
    listener.stage(10)
    listener.finish(committed=True)
    return listener, state


def test_nothing_is_told_while_the_client_waits_for_an_answer_or_is_in_a_transaction() -> None:
    bench = Bench()
    listener, state = listening(bench, "c")
    bench.links["n1"].answer(11, (11, "a"))
    assert state.offered == 1
    state.settled = False
    assert listener.due() == b""
    state.settled, state.status = True, IN_TRANSACTION
    assert listener.due() == b""
    assert state.seen_index == 0
    state.status = IDLE
    assert listener.due().endswith(b"c\0a\0")
    assert state.seen_index == 11
    assert listener.due() == b""


def test_what_a_rolled_back_listen_heard_is_not_told() -> None:
    bench = Bench()
    listener, _ = listening(bench)
    listener.wanted.append(Listen("c"))
    listener.stage(10)
    bench.links["n1"].answer(11, (11, "a"))
    listener.finish(committed=False)
    assert listener.take() == b""
    assert bench.links["n1"].questions == []


def test_what_was_heard_before_unlisten_is_not_told_after_it() -> None:
    bench = Bench()
    listener, _ = listening(bench, "c", "d")
    bench.links["n1"].answer(11, (11, "a"))
    listener.wanted.append(Unlisten("c"))
    listener.stage(0)
    listener.finish(committed=True)
    assert listener.channels == {"d": 10}
    assert listener.take() == b""


def test_what_is_notified_before_listen_is_not_told() -> None:
    bench = Bench()
    listening(bench, "d")
    late, _ = listening(bench)
    late.wanted.append(Listen("c"))
    late.stage(12)
    late.finish(committed=True)
    bench.links["n1"].answer(13, (11, "a"), (12, "b"), (13, "c"))
    assert late.take().endswith(b"c\0c\0")
    assert late.take() == b""


def test_more_than_may_wait_ends_the_session_and_keeps_nothing() -> None:
    bench = Bench()
    slow, state = listening(bench, "c", bytes_max=100)
    quick, _ = listening(bench, "c")
    bench.links["n1"].answer(12, (11, "x" * 30), (12, "y" * 30))
    assert bench.notifications.fullness > 0.5
    bench.links["n1"].answer(13, (13, "z" * 100))
    assert isinstance(state.ended, NotificationsLost)
    assert slow.bytes == 0
    bench.links["n1"].answer(14, (14, "z" * 100))
    assert slow.bytes == 0
    assert quick.take().count(b"c\0") == 4
    slow.leave()
    assert bench.links["n1"].questions == [(14, 0)]
    quick.leave()
    assert bench.links["n1"].questions == []
