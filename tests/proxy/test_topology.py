"""Who is believed to be primary, and whether a copy is fresh enough."""

from __future__ import annotations

from time import monotonic

import pytest
import trio
import trio.testing

from lfsql.core.freshness import BEHIND_TIME, UNKNOWN, CommitHistory
from lfsql.core.requests import PRIMARY, QUARANTINED, REPLICA, UNREACHABLE, Heartbeat, Ping
from lfsql.errors import Diverged, LfsqlError, LinkLost
from proxy.routing import behind, expected
from proxy.settings import SessionSettings
from proxy.state import ReadPolicy
from proxy.topology import GIVE_UP_S, PING_S, Node, Topology


class FakeLink:
    lost = False
    writes_given_up = 0

    def __init__(self) -> None:
        self.pings: list[Ping] = []

    def tell(self, ping: Ping) -> None:
        self.pings.append(ping)

    def close(self, _why: LinkLost) -> None:
        self.lost = True

    def give_up_writes(self) -> None:
        self.writes_given_up += 1


def topology(*names: str) -> Topology:
    nodes = [Node(name, f"{name}:1", "") for name in names]
    for node in nodes:
        node.link = FakeLink()  # type: ignore[assignment]  # all that a topology uses of it
    return Topology(nodes, CommitHistory(60.0, 100))


def beat(
    topology: Topology, name: str, role: str, term: int, commit: int = 0, confirmed_ago_ms: int | None = None
) -> None:
    """A heartbeat that takes no time, and answers a ping that took none."""
    if role == PRIMARY and confirmed_ago_ms is None:
        confirmed_ago_ms = 0
    node = topology.nodes[name]
    ping = node.pings.send(monotonic())
    topology.heard(node, Heartbeat(name, role, term, "", commit, 0, 0, confirmed_ago_ms=confirmed_ago_ms, ping=ping))


async def test_the_highest_term_is_believed() -> None:
    known = topology("n1", "n2", "n3")
    beat(known, "n1", PRIMARY, 3)
    beat(known, "n2", REPLICA, 3)
    assert known.primary is known.nodes["n1"]
    beat(known, "n2", PRIMARY, 4)
    assert known.primary is known.nodes["n2"]
    beat(known, "n1", PRIMARY, 3)
    assert known.primary is known.nodes["n2"]


async def test_a_deposed_primary_alone_is_no_primary() -> None:
    known = topology("n1", "n2")
    beat(known, "n1", PRIMARY, 3)
    beat(known, "n2", PRIMARY, 4)
    known.nodes["n2"].link = None
    known.lost(known.nodes["n2"])
    assert known.primary is None
    assert known.nodes["n2"].role == UNREACHABLE


async def test_who_waits_for_a_deposed_primary_is_told() -> None:
    known = topology("n1", "n2")
    links = [FakeLink(), FakeLink()]
    for node, link in zip(known.nodes.values(), links, strict=True):
        node.link = link  # type: ignore[assignment]  # all that a topology uses of it
    beat(known, "n1", PRIMARY, 3)
    assert links[0].writes_given_up == 0
    beat(known, "n1", REPLICA, 4)
    assert links[0].writes_given_up == 0, "while there is no other the old one may still answer"
    beat(known, "n2", PRIMARY, 4)
    assert links[0].writes_given_up == 1
    assert links[1].writes_given_up == 1, "when the first was elected, this one was not"


async def test_the_link_of_a_silent_node_is_closed(autojump_clock: trio.testing.MockClock) -> None:
    known = topology("n1", "n2")
    beat(known, "n1", PRIMARY, 3)
    beat(known, "n2", REPLICA, 3)
    known.nodes["n1"].heard_at -= GIVE_UP_S
    with trio.move_on_after(GIVE_UP_S / 2):
        await known.watch_silence()
    assert known.primary is None
    links = [known.nodes[name].link for name in ("n1", "n2")]
    assert [link.lost for link in links if link is not None] == [True, False]


async def test_waiting_for_a_primary_ends_when_one_is_heard() -> None:
    known = topology("n1")
    found = []

    async def wait() -> None:
        found.append(await known.wait_primary(trio.current_time() + 60))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        assert not found
        beat(known, "n1", PRIMARY, 1)
    assert found == [known.nodes["n1"]]


async def test_turns_go_round_the_replicas_and_end_with_the_primary() -> None:
    known = topology("n1", "n2", "n3")
    beat(known, "n1", PRIMARY, 1)
    beat(known, "n2", REPLICA, 1)
    beat(known, "n3", REPLICA, 1)
    turns = []
    for _ in range(4):
        turns.append([node.name for node in known.order()])
        known.balancer.take_turn()
    assert all(turn[-1] == "n1" for turn in turns)
    assert {turn[0] for turn in turns} == {"n2", "n3"}
    assert turns[0] != turns[1] == turns[3]


def policy(**values: str) -> ReadPolicy:
    return ReadPolicy(SessionSettings({f"lfsql.{name}": value for name, value in values.items()}).values)


async def test_freshness_by_level() -> None:
    known = topology("n1")
    history = known.history
    history.hear(10.0, 100)
    history.hear(20.0, 200)
    known.heard_at = 20.0
    session = policy(max_lag_ms="5000")
    assert not behind(known, session, 0, 200, 21.0)
    assert behind(known, session, 0, 199, 21.0)  # was the newest at 10.0, eleven seconds ago
    assert behind(known, session, 201, 200, 21.0)  # the session has seen 201
    assert behind(known, session, 0, 200, 26.0)  # the primary was not heard for six seconds
    bounded = policy(max_lag_ms="5000", read_consistency="bounded")
    assert not behind(known, bounded, bounded.required(201), 200, 21.0)
    assert behind(known, bounded, 0, 199, 21.0)
    assert not behind(known, policy(read_consistency="any"), 999, 0, 1e9)
    entries = policy(max_lag_ms="0", max_lag_entries="10")
    assert not behind(known, entries, 0, 190, 21.0)
    assert behind(known, entries, 0, 189, 21.0)


async def test_what_a_read_must_see_by_level() -> None:
    for level in ("session", "strong"):
        assert policy(read_consistency=level, min_index="7").required(5) == 7
        assert policy(read_consistency=level, min_index="7").required(9) == 9
    assert policy(read_consistency="bounded", min_index="7").required(9) == 7, "what was asked for, not what was seen"
    assert policy(read_consistency="any", min_index="7").required(9) == 0


async def test_a_primary_vouches_for_the_time_at_which_a_quorum_confirmed_it() -> None:
    known = topology("n1", "n2")
    beat(known, "n1", PRIMARY, 3, commit=100, confirmed_ago_ms=600)
    now = monotonic()
    assert known.primary is known.nodes["n1"]
    assert behind(known, policy(max_lag_ms="500"), 0, 100, now) == BEHIND_TIME
    assert not behind(known, policy(max_lag_ms="5000"), 0, 100, now)
    assert known.nodes["n1"].readable(now)
    assert not known.nodes["n1"].readable(now + 0.5), "the quorum's word is what counts, not the primary's"
    beat(known, "n1", PRIMARY, 3, commit=100, confirmed_ago_ms=0)
    assert not behind(known, policy(max_lag_ms="500"), 0, 100, monotonic())


async def test_a_heartbeat_counts_from_when_it_was_sent() -> None:
    known = topology("n1")
    node = known.nodes["n1"]
    now = monotonic()
    ping = node.pings.send(now - 3.0)
    # Said 200 ms after the ping had come; on its way for up to 2.8 s.
    late = Heartbeat("n1", PRIMARY, 3, "n1", 100, 0, 0, confirmed_ago_ms=0, ping=ping, ping_ago_ms=200)
    known.heard(node, late)
    assert known.primary is node, "it may be asked all the same"
    assert behind(known, policy(max_lag_ms="2700"), 0, 100, now) == BEHIND_TIME
    assert not behind(known, policy(max_lag_ms="2900"), 0, 100, now)


async def test_a_heartbeat_that_speaks_of_no_ping_tells_no_time() -> None:
    known = topology("n1")
    node = known.nodes["n1"]
    known.heard(node, Heartbeat("n1", PRIMARY, 3, "n1", 100, 0, 0, confirmed_ago_ms=0))
    assert known.commit_index == 100
    assert known.primary is node
    assert behind(known, policy(max_lag_ms="5000"), 0, 100, monotonic()) == UNKNOWN


async def test_who_is_heard_is_pinged_now_and_then_the_primary_more_often() -> None:
    known = topology("n1", "n2")
    links: dict[str, FakeLink] = {}
    for name, node in known.nodes.items():
        links[name] = node.link = FakeLink()  # type: ignore[assignment]  # all that a topology uses of it
    for name, role in (("n1", PRIMARY), ("n2", REPLICA)):
        node = known.nodes[name]
        for _ in range(5):
            known.heard(node, Heartbeat(name, role, 3, "n1", 1, 0, 0, confirmed_ago_ms=0))
    assert [len(link.pings) for link in links.values()] == [1, 1]
    for name, role in (("n1", PRIMARY), ("n2", REPLICA)):
        node = known.nodes[name]
        node.pings.send(monotonic() - PING_S)
        known.heard(node, Heartbeat(name, role, 3, "n1", 1, 0, 0, confirmed_ago_ms=0))
    assert [len(link.pings) for link in links.values()] == [2, 1]
    beat(known, "n2", PRIMARY, 4)
    known.nodes["n2"].pings.send(monotonic() - PING_S)
    known.heard(known.nodes["n2"], Heartbeat("n2", PRIMARY, 4, "n2", 1, 0, 0, confirmed_ago_ms=0))
    assert len(links["n2"].pings) == 2


async def test_a_primary_not_confirmed_for_long_is_one_copy_among_others() -> None:
    known = topology("n1", "n2")
    beat(known, "n1", PRIMARY, 3, commit=100, confirmed_ago_ms=60_000)
    assert known.primary is None
    assert known.nodes["n1"].role == REPLICA
    assert behind(known, policy(max_lag_ms="5000"), 0, 100, monotonic())
    assert known.nodes["n1"].readable(monotonic()), "for those who ask for no freshness"
    beat(known, "n1", PRIMARY, 3, commit=100)
    assert known.primary is known.nodes["n1"]


async def test_what_the_primary_confirms_when_asked_counts_from_the_asking() -> None:
    known = topology("n1", "n2")
    beat(known, "n1", PRIMARY, 3, commit=100, confirmed_ago_ms=600)
    now = monotonic()
    close = policy(max_lag_ms="500")
    assert behind(known, close, 0, 120, now)
    known.confirmed(now, 120)
    assert not behind(known, close, 0, 120, now + 0.4)
    assert behind(known, close, 0, 119, now + 0.4)
    assert behind(known, close, 0, 120, now + 0.6)
    assert known.staleness(120, now + 0.25) == pytest.approx(0.25)
    known.confirmed(now - 0.2, 120)
    assert not behind(known, close, 0, 120, now + 0.4), "an answer that was overtaken takes nothing back"


async def test_a_quarantined_node_is_not_read_and_what_is_open_on_its_file_ends() -> None:
    class Reads:
        def __init__(self) -> None:
            self.faults: list[LfsqlError] = []

        def condemn(self, fault: LfsqlError) -> None:
            self.faults.append(fault)

    known = topology("n1", "n2")
    node, reads = known.nodes["n2"], Reads()
    node.reads = reads  # type: ignore[assignment]  # all that a topology uses of it
    beat(known, "n2", REPLICA, 3)
    assert node.readable(monotonic())
    for _ in range(2):
        known.heard(node, Heartbeat("n2", QUARANTINED, 3, "", 0, 0, 0, fault="it differs"))
    assert not node.readable(monotonic())
    assert node.fault == "it differs"
    assert [type(fault) for fault in reads.faults] == [Diverged], "once"
    beat(known, "n2", REPLICA, 3)
    assert node.readable(monotonic())
    assert node.fault == ""


async def test_a_replica_that_keeps_up_can_be_expected_to_have_what_is_committed() -> None:
    known = topology("n1", "n2")
    beat(known, "n1", PRIMARY, 3, commit=90)
    replica = known.nodes["n2"]
    known.heard(replica, Heartbeat("n2", REPLICA, 3, "n1", 90, 80, 0))
    assert expected(known, replica, 85, replica.applied_index) == 85
    assert expected(known, replica, 70, replica.applied_index) == 80
    assert expected(known, replica, 91, replica.applied_index) == 80, "nobody knows that such an index exists"
    assert not known.falls_short(replica, 86, 85), "what failed there was something else"
    assert not known.falls_short(replica, 0, 85)
    assert known.falls_short(replica, 81, 85)
    known.stands(replica, 84)
    assert expected(known, replica, 85, replica.applied_index) == 84
    known.heard(replica, Heartbeat("n2", REPLICA, 3, "n1", 90, 85, 0))
    assert expected(known, replica, 88, replica.applied_index) == 88
