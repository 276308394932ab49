"""Members come and go while the nodes run, by orders to the primary, and no acknowledged write is lost on the way."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from lfsql.config import Member, NodeConfig
from lfsql.core.effects import CHANGING, ProposalRefused
from lfsql.core.requests import COMMITTED, AddMember, Answer, Done, Drain, Heartbeat, RemoveMember, TransferLead
from lfsql.errors import LfsqlError, LinkLost, NotPrimary, OrderRefused, OutcomeUnknown
from lfsql.net.handshake import COMMAND, PROXY, Identity
from lfsql.net.link import open_link
from lfsql.net.listener import bind
from lfsql.node import membership
from tests.node.clusters import Cluster, Session, cluster_of

VOTER = 0


async def order(cluster: Cluster, kind: Any, *fields: object, to: str = "", role: Any = COMMAND) -> Done:
    """Give an order, to the primary unless said otherwise."""
    name = to or await cluster.primary()
    async with open_link(cluster.address(name), Identity("c1", "", role), cluster.key) as link:
        answer: Answer = await link.request(kind(link.next_request(), *fields))
    assert isinstance(answer, Done)
    return answer


def newcomer(cluster: Cluster, name: str, role: Any = "voter") -> NodeConfig:
    """The configuration of a node that is to join."""
    cluster.sockets[name] = bind("127.0.0.1:0")
    address = f"127.0.0.1:{cluster.sockets[name].getsockname()[1]}"
    other = cluster.configs["n1"]
    config = cluster.configs[name] = msgspec.structs.replace(
        other,
        name=name,
        listen=address,
        joins=True,
        peers=(*other.peers, Member(name=name, address=address, role=role)),
        data_dir=str(cluster.directory / name),
    )
    return config


async def join(cluster: Cluster, name: str, role: str = "voter") -> None:
    """Add a node, start it, and wait until it is what it is to be."""
    config = newcomer(cluster, name)
    done = await order(cluster, AddMember, name, config.listen, role, 100)
    assert done.fault is None, done
    assert "a learner" in done.text
    node = await cluster.start(name)
    while (member := node.membership.current.member(name)) is None or member.role != VOTER:
        await cluster.any_change()
    await cluster.level()


async def write(cluster: Cluster, sql: str, client: str) -> None:
    async with cluster.link(await cluster.primary()) as link:
        outcome = await Session(link, client).submit(sql)
    assert outcome.state == COMMITTED, outcome


async def test_a_node_is_added_and_counts(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3, deadline_s=40) as cluster:
        await write(cluster, "CREATE TABLE t (v)", "a")
        await join(cluster, "n4")
        await write(cluster, "INSERT INTO t VALUES (1)", "b")
        await cluster.level()
        assert cluster.content("n4", "SELECT v FROM t") == [(1,)]
        # Three of the four decide now: with n4 that is enough, without it it is not.
        await cluster.stop("n3")
        await write(cluster, "INSERT INTO t VALUES (2)", "c")
        await cluster.stop("n4")
        with trio.move_on_after(1.5), pytest.raises(AssertionError, match="state=2"):
            await write(cluster, "INSERT INTO t VALUES (3)", "d")


async def test_members_outlive_restarts_of_all_and_compaction(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 2, deadline_s=40, log_age_ms_max=1_000) as cluster:
        await write(cluster, "CREATE TABLE t (v)", "a")
        await join(cluster, "n3")
        await write(cluster, "INSERT INTO t VALUES (1)", "b")
        logs = [running.node._log for running in cluster.running.values()]
        while not all(log.base_configuration for log in logs):  # noqa: ASYNC110 - the log's keeper tells nobody
            await trio.sleep(0.05)
        for round_ in range(2):
            for name in list(cluster.running):
                await cluster.stop(name)
            for name in cluster.configs:
                await cluster.start(name)
            await cluster.primary()
            names = [member.node for member in cluster.running["n1"].node.membership.current.members]
            assert names == ["n1", "n2", "n3"]
            await write(cluster, f"INSERT INTO t VALUES ({round_})", f"c{round_}")
            await cluster.level()


async def test_a_removed_node_stops_and_those_left_decide_alone(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3, deadline_s=40) as cluster:
        await write(cluster, "CREATE TABLE t (v)", "a")
        primary = await cluster.primary()
        first, second = (name for name in cluster.configs if name != primary)
        done = await order(cluster, RemoveMember, first)
        assert done.text == f"node '{first}' is no longer a member of the cluster"
        await cluster.running.pop(first).ended.wait()
        # Two are left: both are needed, until one of them goes too.
        assert (await order(cluster, RemoveMember, second)).fault is None
        await cluster.running.pop(second).ended.wait()
        await write(cluster, "INSERT INTO t VALUES (1)", "b")
        refused = await order(cluster, RemoveMember, primary)
        assert refused.fault is not None
        assert "at least one voter" in refused.fault.message
        # It comes back, is told that it does not belong, and disturbs nobody.
        term = cluster.running[primary].node.driver.consensus.term
        await cluster.start(first)
        await write(cluster, "INSERT INTO t VALUES (2)", "c")
        await trio.sleep(1.5)
        assert cluster.running[primary].node.driver.consensus.term == term
        assert not cluster.running[first].node.is_serving


async def test_the_primary_itself_can_be_removed(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3, deadline_s=40) as cluster:
        await write(cluster, "CREATE TABLE t (v)", "a")
        primary = await cluster.primary()
        with suppress(LinkLost):  # it may be gone before it has answered
            assert (await order(cluster, RemoveMember, primary)).fault is None
        await cluster.running.pop(primary).ended.wait()
        await write(cluster, "INSERT INTO t VALUES (1)", "b")
        names = [member.node for member in cluster.running[await cluster.primary()].node.membership.current.members]
        assert primary not in names
        assert len(names) == 2


async def test_a_node_that_lost_its_disk_is_replaced_under_a_new_name(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3, deadline_s=40) as cluster:
        await write(cluster, "CREATE TABLE t (v)", "a")
        while await cluster.primary() == "n3":
            await order(cluster, TransferLead)
        await write(cluster, "INSERT INTO t VALUES (42)", "b")
        await cluster.stop("n3")
        shutil.rmtree(cluster.configs["n3"].data_dir)
        assert (await order(cluster, RemoveMember, "n3")).fault is None
        await join(cluster, "n4")
        assert cluster.content("n4", "SELECT v FROM t") == [(42,)]
        # Its old name is used up: what it forgot it may have promised.
        cluster.configs["n3"] = msgspec.structs.replace(cluster.configs["n3"], joins=True)
        refused = (await order(cluster, AddMember, "n3", cluster.address("n3"), "voter", 100)).fault
        assert refused is not None
        assert "a node of the name 'n3' was there before" in refused.message
        # A primary that never met the first one takes it as a member; it is refused by the others all the same.
        cluster.running[await cluster.primary()].node.membership._met = ()
        assert (await order(cluster, AddMember, "n3", cluster.address("n3"), "voter", 100)).fault is None
        await cluster.start("n3")
        await trio.sleep(1)
        assert cluster.running["n3"].node.driver.consensus.last.index == 0
        await write(cluster, "INSERT INTO t VALUES (43)", "c")


async def test_the_lead_is_handed_over_by_order(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3, deadline_s=40) as cluster:
        await write(cluster, "CREATE TABLE t (v)", "a")
        for turn in range(4):
            before = await cluster.primary()
            to = sorted(set(cluster.configs) - {before})[turn % 2]
            done = await order(cluster, TransferLead, to)
            assert done.fault is None
            assert done.text.startswith(f"node '{to}' is the primary now")
            assert await cluster.primary() == to
            await write(cluster, f"INSERT INTO t VALUES ({turn})", f"t{turn}")
        assert "already" in (await order(cluster, TransferLead, await cluster.primary())).text


async def test_a_drained_node_hands_over_and_stops(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3, deadline_s=40) as cluster:
        await write(cluster, "CREATE TABLE t (v)", "a")
        primary = await cluster.primary()
        done = await order(cluster, Drain, to=primary)
        assert "is the primary now" in done.text
        assert done.text.endswith(f"node '{primary}' stops")
        await cluster.running.pop(primary).ended.wait()
        await write(cluster, "INSERT INTO t VALUES (1)", "b")
        follower = next(name for name in cluster.running if name != serving(cluster))
        assert (await order(cluster, Drain, to=follower)).text == f"node '{follower}' stops"
        await cluster.running.pop(follower).ended.wait()


def serving(cluster: Cluster) -> str:
    return next(name for name, running in cluster.running.items() if running.node.is_serving)


async def test_a_change_in_whose_place_another_primary_wrote_is_not_said_to_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the log of a primary that nobody hears any more, and is cut off there by the next one's records."""
    async with cluster_of(tmp_path, 3, deadline_s=40) as cluster:
        await write(cluster, "CREATE TABLE t (v)", "a")
        await cluster.level()
        deposed = await cluster.primary()
        node = cluster.running[deposed].node
        answers: list[Done] = []

        async def add() -> None:
            answers.append(await order(cluster, AddMember, "n4", "127.0.0.1:1", "learner", 1, to=deposed))

        async with trio.open_nursery() as nursery:
            with monkeypatch.context() as cut_off:
                cut_off.setattr(node.driver, "_send", lambda _to, _message: None)
                nursery.start_soon(add)
                while node.membership.current.member("n4") is None:
                    await node.wait_changed()
                while node.driver.consensus.primary in ("", deposed):
                    await node.wait_changed()
        assert node.membership.current.member("n4") is None
        assert answers[0].fault is not None, answers[0].text
        assert answers[0].fault.sqlstate == NotPrimary.sqlstate


@pytest.mark.parametrize(
    ("waits", "kind"), [(False, OrderRefused), (True, OutcomeUnknown)], ids=["refused", "waiting to be logged"]
)
async def test_a_change_that_may_still_be_logged_is_not_said_to_be_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: bool, kind: type[LfsqlError]
) -> None:
    """It was refused at first, as another was on its way; then it waited for the writer, and time was over."""
    monkeypatch.setattr(membership, "_COMMIT_S_MAX", 0.5)
    async with cluster_of(tmp_path, 1, deadline_s=40) as cluster:
        node = cluster.running[await cluster.primary()].node

        def propose(*_layer: object) -> ProposalRefused:
            if waits:
                monkeypatch.setattr(node._writer.member_changes, "log", lambda _term: None)
            return ProposalRefused(CHANGING, "")

        monkeypatch.setattr(node.driver, "propose", propose)
        answer = await order(cluster, AddMember, "n4", "127.0.0.1:1", "learner", 1)
        assert answer.fault is not None
        assert answer.fault.sqlstate == kind.sqlstate


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (TransferLead, ("n9",), "'n9' cannot take the lead"),
        (RemoveMember, ("n9",), "'n9' is not a member"),
        (AddMember, ("n4", "127.0.0.1:1", "king", 1), "'king' is no role"),
        (AddMember, ("n4", "nowhere", "voter", 1), "'nowhere' is no address"),
        (AddMember, ("n1", "127.0.0.1:1", "witness", 1), "at least one voter"),
        (RemoveMember, ("n1",), "at least one voter"),
    ],
)
async def test_orders_that_make_no_sense_are_refused(
    tmp_path: Path, kind: Any, fields: tuple[object, ...], message: str
) -> None:
    async with cluster_of(tmp_path, 1) as cluster:
        done = await order(cluster, kind, *fields)
        assert done.fault is not None
        assert message in done.fault.message


async def test_only_commands_give_orders_and_only_primaries_take_them(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 2) as cluster:
        primary = await cluster.primary()
        refused = await order(cluster, TransferLead, role=PROXY)
        assert refused.fault is not None
        assert "only a command" in refused.fault.message
        other = next(name for name in cluster.configs if name != primary)
        for kind, fields in ((TransferLead, ()), (RemoveMember, ("n1",)), (AddMember, ("n4", "h:1", "voter", 1))):
            done = await order(cluster, kind, *fields, to=other)
            assert done.fault is not None
            assert done.fault.sqlstate == "57P03"
            assert primary in done.fault.hint


async def test_proxies_hear_of_members_from_every_node(tmp_path: Path) -> None:
    heard: dict[str, Heartbeat] = {}
    async with cluster_of(tmp_path, 2, deadline_s=40) as cluster:
        async with trio.open_nursery() as nursery:

            async def listen(name: str) -> None:
                async with cluster.link(name, on_push=lambda beat: heard.update({name: beat})):
                    await trio.sleep_forever()

            for name in ("n1", "n2"):
                nursery.start_soon(listen, name)
            await join(cluster, "n3")
            while {name: len(beat.members) for name, beat in heard.items()} != {"n1": 3, "n2": 3}:  # noqa: ASYNC110 - in their own time
                await trio.sleep(0.02)
            nursery.cancel_scope.cancel()
        known = heard["n1"].members
        assert [(member.node, member.address) for member in known] == [
            (name, cluster.address(name)) for name in ("n1", "n2", "n3")
        ]
        assert heard["n1"].members_index > 0
