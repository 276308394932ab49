"""Links between nodes: who may speak on them, and that dead ones are noticed."""

from __future__ import annotations

import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import trio

from lfsql.config import Member
from lfsql.core.effects import Input, PeerConnected, PeerLost, PeerSends, Received
from lfsql.core.messages import Alive, NotHeard, PeerMessage, SnapshotNeeded, Vote
from lfsql.core.requests import COMMITTED, ReadClose
from lfsql.errors import ConfigError, LinkLost
from lfsql.net.connection import Connection
from lfsql.net.link import connect
from lfsql.node.peers import Peers
from lfsql.node.running import run_node
from tests.net.links import KEY, NODE_ONE, NODE_TWO, serving
from tests.node.clusters import Session, cluster_of

decode = msgspec.msgpack.Decoder(PeerMessage).decode


class Heard:
    """Node n1 without its consensus, and what n2 says to it."""

    def __init__(self, addresses: dict[str, str], *, speak_s: float = 60, silence_s_max: float = 60) -> None:
        self.inputs: list[Input] = []
        self.needed: list[SnapshotNeeded] = []
        self.stepped = trio.Event()
        self.connected = trio.Event()
        self.lost = trio.Event()
        self.met: dict[str, str] = {}
        self.belongs = set(addresses)
        self.looks = 0
        """How often it was asked whom there is something against."""
        self.looked = trio.Event()
        self.peers = Peers(
            addresses,
            NODE_ONE,
            KEY,
            step=self.step,
            snapshot_needed=lambda _node, message: self.needed.append(message),
            content=lambda sender, message: None,
            came=lambda: None,
            known=self.met,
            remember=self.remember,
            refusal=self.refusal,
            speak_s=speak_s,
            silence_s_max=silence_s_max,
            frame_bytes_max=1 << 20,
            queue_bytes_max=1 << 20,
        )

    def refusal(self, node: str) -> str:
        self.looks += 1
        self.looked.set()
        self.looked = trio.Event()
        return "" if node in self.belongs else f"node '{node}' is not a member"

    def step(self, given: Input) -> None:
        self.inputs.append(given)
        self.stepped.set()
        if isinstance(given, PeerConnected):
            self.connected.set()
        if isinstance(given, PeerLost):
            self.lost.set()

    async def remember(self, node: str, incarnation: str) -> str:
        return self.met.setdefault(node, incarnation)


@asynccontextmanager
async def listening(heard: Heard) -> AsyncIterator[str]:
    async with serving(serve_peer=heard.peers.serve, known=heard.met) as served:
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(heard.peers.run)
                yield served.address
                nursery.cancel_scope.cancel()


async def ended(connection: Connection) -> None:
    with pytest.raises(LinkLost):
        await connection.receive(bytes)
    connection.close()


async def test_a_silent_peers_link_is_closed() -> None:
    """A host that lost its power closes nothing, and TCP tells nothing to who only listens."""
    heard = Heard({"n2": "127.0.0.1:1"}, speak_s=0.01, silence_s_max=0.2)
    async with listening(heard) as address:
        connection, _ = await connect(address, NODE_TWO, KEY)
        await ended(connection)


async def test_a_peer_that_says_that_it_lives_is_heard() -> None:
    """It is more than the time of silence on the clock until the link ends, and nothing of it reaches consensus."""
    heard = Heard({"n2": "127.0.0.1:1"}, speak_s=0.01, silence_s_max=0.4)
    async with listening(heard) as address:
        connection, _ = await connect(address, NODE_TWO, KEY)
        started = trio.current_time()
        for message in (*[Alive()] * 6, Vote(1, 1, granted=True)):
            connection.send_nowait(message)
            await connection.flush()
            await trio.sleep(0.1)
        await ended(connection)
    assert trio.current_time() - started > 0.8
    assert [type(given) for given in heard.inputs] == [Received]


async def test_a_part_of_a_message_tells_that_its_sender_lives() -> None:
    heard = Heard({"n2": "127.0.0.1:1"})
    async with listening(heard) as address:
        connection, _ = await connect(address, NODE_TWO, KEY)
        connection.socket.send(b"\0\0\1\0" + b"half of it")
        await heard.stepped.wait()
        assert heard.inputs == [PeerSends("n2")]
        connection.close()


async def test_who_has_nothing_to_say_says_so() -> None:
    arrived = trio.Event()
    decode = msgspec.msgpack.Decoder(Alive).decode

    async def serve(connection: Connection, _peer: object) -> None:
        said: list[Alive] = []
        while len(said) < 3:
            said += await connection.receive(decode)
        arrived.set()

    async with serving(identity=NODE_TWO, serve_peer=serve) as served, trio.open_nursery() as nursery:
        nursery.start_soon(Heard({"n2": served.address}, speak_s=0.01).peers.run)
        with trio.fail_after(5):
            await arrived.wait()
        nursery.cancel_scope.cancel()


async def test_consensus_hears_of_a_link_that_ends_by_garbage() -> None:
    async def serve(connection: Connection, _peer: object) -> None:
        connection.send_nowait(ReadClose(1))
        await connection.receive(bytes)

    async with serving(identity=NODE_TWO, serve_peer=serve) as served, trio.open_nursery() as nursery:
        heard = Heard({"n2": served.address})
        nursery.start_soon(heard.peers.run)
        with trio.fail_after(5):
            await heard.lost.wait()
        nursery.cancel_scope.cancel()
    assert heard.inputs[:2] == [PeerConnected("n2"), PeerLost("n2")]


async def test_a_newer_link_of_a_peer_replaces_the_older() -> None:
    """However often the network cuts links without telling, a peer that dials again finds room."""
    async with listening(Heard({"n2": "127.0.0.1:1"}, speak_s=0.01)) as address:
        older, _ = await connect(address, NODE_TWO, KEY)
        for _ in range(20):
            newer, _ = await connect(address, NODE_TWO, KEY)
            await ended(older)
            older = newer
        older.close()


async def test_a_second_process_of_the_same_node_is_refused_while_the_first_one_speaks() -> None:
    """A copy of a node's directory has its name and its log.db: with both, the node would vote twice."""
    heard = Heard({"n2": "127.0.0.1:1"}, speak_s=0.05)
    async with listening(heard) as address, trio.open_nursery() as nursery:
        first, _ = await connect(address, NODE_TWO, KEY)

        async def speak() -> None:
            while True:
                first.send_nowait(Alive())
                await first.flush()
                await trio.sleep(0.01)

        nursery.start_soon(speak)
        copy, _ = await connect(address, NODE_TWO, KEY)
        copy.send_nowait(Vote(1, 1, granted=True))
        await copy.flush()
        told = await copy.receive_one(decode)
        assert isinstance(told, NotHeard)
        assert "a copy of its directory is in use" in told.why
        assert not heard.inputs, "nothing that the copy said was heeded"
        copy.close()
        nursery.cancel_scope.cancel()
        first.close()


async def test_who_is_refused_for_good_is_told_why_and_not_dialed() -> None:
    async with serving(identity=NODE_TWO) as served:
        heard = Heard({"n2": served.address})
        async with listening(heard) as address:
            await heard.connected.wait()
            heard.peers.close("n2", "it forgot what it had acknowledged")
            await heard.lost.wait()
            connection, _ = await connect(address, NODE_TWO, KEY)
            told = await connection.receive_one(decode)
            assert told == NotHeard("node 'n2' is refused: it forgot what it had acknowledged")
            connection.close()
            assert [type(given) for given in heard.inputs] == [PeerConnected, PeerLost]


async def test_who_belongs_no_longer_is_not_dialed_for_ever() -> None:
    """It was removed before this node started, and only this node's own file still names it."""
    heard = Heard({"n2": "127.0.0.1:1"}, silence_s_max=0.05)
    heard.belongs = set()
    heard.peers.set_members({})
    async with listening(heard):
        with trio.fail_after(5):
            while heard.peers.address("n2"):  # noqa: ASYNC110 - it is forgotten without a word
                await trio.sleep(0.01)


async def test_who_may_be_a_member_yet_is_let_go_once_it_is_known_to_be_none() -> None:
    heard = Heard({}, silence_s_max=0.05)
    heard.belongs = {"n2"}
    async with listening(heard) as address:
        connection, _ = await connect(address, NODE_TWO, KEY)
        while heard.looks < 3:
            await heard.looked.wait()
        assert not heard.lost.is_set()
        assert "n2" in heard.peers._peers, "there is nothing against it"
        heard.belongs.clear()
        await ended(connection)
        assert "n2" not in heard.peers._peers


class Said(logging.Handler):
    """Tells when all of some words were logged."""

    def __init__(self, *words: str) -> None:
        super().__init__()
        self._words = set(words)
        self.all = trio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self._words = {words for words in self._words if words not in record.getMessage()}
        if not self._words:
            self.all.set()


async def test_a_node_that_lost_its_disk_cannot_elect_who_lacks_a_write(tmp_path: Path) -> None:
    """It acknowledged the write, forgot it, and would vote for one that never had it."""
    async with cluster_of(tmp_path, 3, deadline_s=40) as cluster:
        primary = await cluster.primary()
        wiped, behind = (name for name in cluster.configs if name != primary)
        async with cluster.link(primary) as link:
            session = Session(link, "a")
            await session.submit("CREATE TABLE t (v)")
            await cluster.level()
            await cluster.stop(behind)
            outcome = await session.submit("INSERT INTO t VALUES (42)")
            assert outcome.state == COMMITTED
        await cluster.stop(primary)
        await cluster.stop(wiped)
        shutil.rmtree(cluster.configs[wiped].data_dir)
        refused = f"node '{wiped}' has another log.db than the one node '{behind}' has met under this name"
        said = Said(f"refused or broken off: {refused}", f"refused the link: {refused}")
        logging.getLogger("lfsql").addHandler(said)
        try:
            await cluster.start(wiped)
            await cluster.start(behind)
            await said.all.wait()
        finally:
            logging.getLogger("lfsql").removeHandler(said)
        await cluster.start(primary)
        elected = await cluster.primary()
        assert elected != wiped
        await cluster.running[elected].node.progress.wait_for(outcome.index)
        assert cluster.content(elected, "SELECT v FROM t") == [(42,)]


async def test_a_node_with_an_older_copy_of_its_log_is_refused_by_the_primary_that_heard_it(tmp_path: Path) -> None:
    """It would wait for ever, and look healthy: the primary passes over a question that it had an answer to."""
    async with cluster_of(tmp_path, 3) as cluster:
        primary = await cluster.primary()
        older = next(name for name in cluster.configs if name != primary)
        directory = Path(cluster.configs[older].data_dir)
        async with cluster.link(primary) as link:
            session = Session(link, "a")
            await session.submit("CREATE TABLE t (v)")
            await cluster.level()
            await cluster.stop(older)
            shutil.copytree(directory, tmp_path / "copy")
            await cluster.start(older)
            await session.submit("INSERT INTO t VALUES (42)")
            await cluster.level()
        await cluster.stop(older)
        shutil.rmtree(directory)
        shutil.copytree(tmp_path / "copy", directory)
        said = Said(f"refused the link: node '{older}' is refused: it had acknowledged record")
        logging.getLogger("lfsql").addHandler(said)
        try:
            node = await cluster.start(older)
            await said.all.wait()
        finally:
            logging.getLogger("lfsql").removeHandler(said)
        assert await cluster.primary() == primary
        assert node.driver.consensus.primary == ""


async def test_nodes_that_come_back_with_their_logs_are_taken(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3) as cluster:
        for _ in range(2):
            await cluster.primary()
            await cluster.level()
            for name in cluster.configs:
                await cluster.stop(name)
            for name in cluster.configs:
                await cluster.start(name)
        await cluster.primary()
        await cluster.level()


async def test_a_node_whose_list_of_members_was_edited_does_not_start(tmp_path: Path) -> None:
    """Two nodes with the old list and three with the new would each find a majority."""
    async with cluster_of(tmp_path, 1) as cluster:
        await cluster.primary()
        await cluster.stop("n1")
        config = cluster.configs["n1"]
        more = (*config.peers, Member(name="n2", address="127.0.0.1:1"))
        with pytest.raises(ConfigError, match=r"the members have changed: 'n2' \(voter\) came"):
            await run_node(msgspec.structs.replace(config, peers=more))
