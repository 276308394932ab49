"""Both ends prove the key; clusters, names and fingerprints must fit; strangers are limited in bytes and time."""

from __future__ import annotations

import contextlib
import socket

import msgspec
import pytest
import trio

from lfsql.errors import LfsqlError, LinkLost, LinkRefused
from lfsql.net.connection import Connection
from lfsql.net.handshake import LINK_VERSION, Hello, Identity, Introduction, incompatible, perform, prove
from lfsql.net.link import connect, open_link
from lfsql.net.protocol import digest_of, message_digest
from tests.net.links import COMMAND, KEY, NODE_ONE, NODE_TWO, PROXY, serving


async def test_both_ends_learn_who_the_other_is() -> None:
    seen: list[Identity] = []

    async def serve(_connection: Connection, peer: Identity) -> None:
        seen.append(peer)

    async with serving(serve_peer=serve, serve_asker=serve) as served:
        for identity in (NODE_TWO, PROXY, COMMAND):
            connection, peer = await connect(served.address, identity, KEY)
            assert peer == NODE_ONE
            with pytest.raises(LinkLost):
                await connection.receive(bytes)
            connection.close()
    assert seen == [NODE_TWO, PROXY, COMMAND]


@pytest.mark.parametrize(
    ("identity", "key", "match"),
    [
        (PROXY, b"x" * 32, "cluster keys differ"),
        (msgspec.structs.replace(PROXY, cluster_id="c2"), KEY, "clusters differ.*'c1'.*'c2'"),
        (msgspec.structs.replace(NODE_TWO, node="n1"), KEY, "two names"),
        (msgspec.structs.replace(NODE_TWO, fingerprint=""), KEY, "fingerprint"),
        (msgspec.structs.replace(NODE_TWO, incarnation=""), KEY, "incarnation"),
        (
            msgspec.structs.replace(NODE_TWO, members={"n1": "voter", "n2": "voter", "n3": "learner", "n4": "voter"}),
            KEY,
            r"`peers` differ: node 'n1' has 'n3' \(voter\), node 'n2' has 'n3' \(learner\), 'n4' \(voter\)",
        ),
    ],
)
async def test_refusals_say_why(identity: Identity, key: bytes, match: str) -> None:
    async with serving() as served:
        with pytest.raises(LinkRefused, match=match):
            async with open_link(served.address, identity, key):
                raise AssertionError("must not open")


async def test_a_node_whose_log_names_the_members_is_taken_whatever_it_began_with() -> None:
    async with serving() as served:
        connection, _ = await connect(served.address, msgspec.structs.replace(NODE_TWO, members={}), KEY)
        connection.close()


LOST = r"node 'n2' has another log\.db than the one node 'n1' has met.*`lfsql remove-node n2`"


async def test_a_node_that_lost_its_log_is_refused_whoever_dials() -> None:
    known = {"n2": "the log that n2 had before"}
    async with serving(known=known) as served:
        with pytest.raises(LinkRefused, match=f"the other end refused the link: {LOST}"):
            await connect(served.address, NODE_TWO, KEY)
    async with serving(identity=NODE_TWO) as served:
        with pytest.raises(LinkRefused, match=LOST):
            await connect(served.address, NODE_ONE, KEY, known=known)
        connection, _ = await connect(served.address, NODE_ONE, KEY, known={"n2": NODE_TWO.incarnation})
        connection.close()


async def test_a_refusal_is_logged_once_not_with_each_attempt(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(known={"n2": "the log that n2 had before"}) as served:
        for _ in range(5):
            with pytest.raises(LinkRefused):
                await connect(served.address, NODE_TWO, KEY)
        with pytest.raises(LinkRefused):
            await connect(served.address, PROXY, b"x" * 32)
    logged = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [("log.db" in line, "keys differ" in line) for line in logged] == [(True, False), (False, True)]


class Told(msgspec.Struct, array_like=True, tag=1):
    old: int


class ToldMore(msgspec.Struct, array_like=True, tag=1):
    old: int
    new: tuple[Told, ...] = ()


def test_the_digest_is_of_all_that_messages_are_made_of() -> None:
    others = (
        msgspec.defstruct("Told", [("young", int)], array_like=True, tag=1),
        msgspec.defstruct("Told", [("old", str)], array_like=True, tag=1),
        msgspec.defstruct("Told", [("old", int)], array_like=True, tag=2),
        msgspec.defstruct("Told", [("old", int, 0)], array_like=True, tag=1),
        ToldMore,
    )
    assert len({digest_of(kind) for kind in (Told, *others)}) == 6
    assert digest_of(Told) == digest_of(msgspec.defstruct("Told", [("old", int)], array_like=True, tag=1))
    # What is inside counts too.
    inside, other_inside = (msgspec.defstruct("Outer", [("told", kind)]) for kind in (Told, others[0]))
    assert digest_of(inside) != digest_of(other_inside)


OTHER_VERSIONS = [
    (Hello(LINK_VERSION + 1, b"n" * 32, message_digest()), "links are of"),
    (Hello(LINK_VERSION, b"n" * 32, "0000"), "messages are"),
    (Hello(1, b"n" * 32), "links are of"),
]


@pytest.mark.parametrize("dialing", [True, False])
@pytest.mark.parametrize(("greeting", "said"), OTHER_VERSIONS)
async def test_both_ends_say_that_their_versions_differ(greeting: Hello, said: str, *, dialing: bool) -> None:
    """A proxy that runs on while its nodes are upgraded must not look like one whose nodes are down."""
    ours, theirs = socket.socketpair()
    end = Connection(ours, frame_bytes_max=1 << 16, queue_bytes_max=1 << 16)
    other = Connection(theirs, frame_bytes_max=1 << 16, queue_bytes_max=1 << 16)
    other.send_nowait(greeting)
    await other.flush()
    with pytest.raises(LinkRefused, match=f"versions of lfsql differ: {said}"):
        await perform(end, dialing=dialing, identity=NODE_ONE, key=KEY, handshake_ms_max=5000)
    end.close()
    # What the other needs to say the same by itself.
    hello = await other.receive_one(msgspec.msgpack.Decoder(Hello).decode)
    assert (hello.version, hello.messages) == (LINK_VERSION, message_digest())
    other.close()


async def test_a_listener_without_the_key_is_found_out() -> None:
    """A thief who lets everybody in still cannot prove that it is the node."""
    ours, thief = socket.socketpair()
    client = Connection(ours, frame_bytes_max=1 << 16, queue_bytes_max=1 << 16)
    server = Connection(thief, frame_bytes_max=1 << 16, queue_bytes_max=1 << 16)

    async def steal() -> None:
        # All it can do is to send back the proof it was given.
        decode = msgspec.msgpack.Decoder(Hello | Introduction).decode
        await server.receive_one(decode)
        server.send_nowait(Hello(LINK_VERSION, b"n" * 32, message_digest()))
        await server.flush()
        introduction = await server.receive_one(decode)
        assert isinstance(introduction, Introduction)
        server.send_nowait(Introduction(NODE_TWO, introduction.proof))
        await server.flush()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(steal)
        with pytest.raises(LinkRefused, match="did not prove"):
            await perform(client, dialing=True, identity=PROXY, key=KEY, handshake_ms_max=5000)
    client.close()
    server.close()


async def test_another_node_at_the_address_is_refused() -> None:
    async with serving() as served:
        with pytest.raises(LinkRefused, match=r"expected node 'n9'.*'n1'"):
            await connect(served.address, PROXY, KEY, expected_node="n9")


def test_fingerprints_that_differ_are_named_on_both_sides() -> None:
    why = incompatible(NODE_ONE, msgspec.structs.replace(NODE_TWO, fingerprint="sqlite-3.55/def"))
    with pytest.raises(LinkRefused, match=r"'sqlite-3.54/abc' at node 'n1', 'sqlite-3.55/def' at node 'n2'"):
        raise LinkRefused(why)


def test_a_proof_depends_on_everything() -> None:
    nonces = (b"a" * 32, b"b" * 32)
    proofs = {
        prove(KEY, "dialer", nonces, (PROXY,)),
        prove(b"x" * 32, "dialer", nonces, (PROXY,)),
        prove(KEY, "listener", nonces, (PROXY,)),
        prove(KEY, "dialer", nonces[::-1], (PROXY,)),
        prove(KEY, "dialer", nonces, (COMMAND,)),
    }
    assert len(proofs) == 5
    assert KEY not in b"".join(proofs)


async def test_silence_is_refused_after_the_deadline() -> None:
    async with serving(handshake_ms_max=50) as served:
        host, port = served.address.split(":")
        stream = await trio.open_tcp_stream(host, int(port))
        with trio.fail_after(5):
            assert await stream.receive_some() == b""
        await stream.aclose()


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff\xff\xff\xff",
        b"\0\0\0\1\xc1",
        b"\0\0\0\2\x91\x09",
        b"\x7f\xff\xff\xff" + b"x" * 9,
    ],
)
async def test_garbage_closes_the_connection_and_nothing_else(garbage: bytes) -> None:
    async with serving() as served:
        host, port = served.address.split(":")
        stream = await trio.open_tcp_stream(host, int(port))
        await stream.send_all(garbage)
        with trio.fail_after(5):
            await _read_to_the_end(stream)
        await stream.aclose()
        async with open_link(served.address, PROXY, KEY) as link:
            assert link.peer == NODE_ONE


async def _read_to_the_end(stream: trio.SocketStream) -> None:
    # The node closes with bytes unread, which the kernel may report as a reset instead of an end.
    with contextlib.suppress(trio.BrokenResourceError):
        while await stream.receive_some():
            pass


async def test_a_flood_of_strangers_does_not_keep_a_peer_out() -> None:
    async with serving() as served:
        host, port = served.address.split(":")
        flood = [await trio.open_tcp_stream(host, int(port)) for _ in range(100)]
        with trio.fail_after(5):
            connection, peer = await connect(served.address, NODE_TWO, KEY)
        assert peer == NODE_ONE
        connection.close()
        for stream in flood:
            await stream.aclose()


async def test_askers_are_limited_without_touching_peers() -> None:
    async with serving(askers_max=1) as served, open_link(served.address, PROXY, KEY) as first:
        async with open_link(served.address, PROXY, KEY) as second:
            with trio.fail_after(5):
                why = await second.wait_lost()
            assert isinstance(why, LfsqlError)
        connection, _ = await connect(served.address, NODE_TWO, KEY)
        connection.close()
        assert not first.lost
