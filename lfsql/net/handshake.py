"""Who is at the other end: challenge and response with the cluster key, both ways.

    dialer                                   listener
      Hello(version, nonce a, digest)  ──▶
                                       ◀──   Hello(version, nonce b, digest)
      Introduction(identity A, proof)  ──▶
                                       ◀──   Introduction(identity B, proof), or Refusal(why)

A proof is HMAC-SHA256 under the cluster key over the prover's part ("dialer" or "listener"), both nonces and all
identities sent so far.  The key never travels; a proof cannot be replayed (fresh nonces), reflected (the part is
in it), or put under another name (the identity is in it).  Everything but the nonces is compared only after the key
was proved, so a stranger learns nothing but that this is a link.

What is not here: encryption.  The frames after the handshake are neither encrypted nor authenticated one by one;
links belong on loopback or on a private network until TLS wraps them.

The functions take and return values; `perform` at the end is the only one that waits.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from hashlib import sha256
from typing import Final, Literal

import msgspec
import trio

from lfsql.core.ids import NodeId
from lfsql.errors import LinkLost, LinkRefused, ProtocolViolation
from lfsql.net.connection import Connection
from lfsql.net.protocol import message_digest

LINK_VERSION: Final = 2
"""Of the handshake itself; `message_digest` is of what follows it."""
NONCE_BYTES: Final = 32
HANDSHAKE_FRAME_BYTES_MAX: Final = 8 << 10
"""All that a stranger can make us keep.  The longest list of members fits."""

NODE: Final = "node"
PROXY: Final = "proxy"
COMMAND: Final = "command"
Role = Literal["node", "proxy", "command"]


class Identity(msgspec.Struct, frozen=True):
    """One end of a link.

    `node`: the node's name, '' for a proxy or a command.  `fingerprint` is of what two ends must have in common to
    compute the same from the same log: SQLite and how it was built, SQL functions, time zones, log format.  '' is not
    compared.  `incarnation` is of the node's log.db: another one under the same name has forgotten what the first
    promised.  Nodes give both.  `members`: the role of every member that the cluster is to begin with, as long as
    this node's log tells no others; quorums of two different lists need not meet.  `address`: where a node can be
    reached, as it says itself.
    """

    cluster_id: str
    node: NodeId
    role: Role
    fingerprint: str = ""
    members: dict[NodeId, str] = {}
    incarnation: str = ""
    address: str = ""


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=1):
    version: int
    nonce: bytes
    messages: str = ""
    """Digest of the messages that this end understands."""


class Introduction(msgspec.Struct, frozen=True, array_like=True, tag=2):
    identity: Identity
    proof: bytes


class Refusal(msgspec.Struct, frozen=True, array_like=True, tag=3):
    why: str


_decoder: Final = msgspec.msgpack.Decoder(Hello | Introduction | Refusal)
_encoder: Final = msgspec.msgpack.Encoder()


def prove(key: bytes, part: str, nonces: tuple[bytes, bytes], identities: tuple[Identity, ...]) -> bytes:
    """The proof of `part` ("dialer" or "listener"): nonces in the order dialer, listener."""
    transcript = _encoder.encode((LINK_VERSION, part, nonces, identities))
    return hmac.digest(key, transcript, sha256)


def incompatible(
    ours: Identity, theirs: Identity, expected_node: NodeId = "", known: Mapping[NodeId, str] | None = None
) -> str:
    """Why the two must not talk, naming both sides; '' when they may.

    `known`: the incarnations under which this end has met other nodes before.
    """
    if ours.cluster_id != theirs.cluster_id:
        return f"clusters differ: {_name(ours)} is of '{ours.cluster_id}', {_name(theirs)} of '{theirs.cluster_id}'"
    if expected_node and theirs.node != expected_node:
        return f"expected node '{expected_node}' at this address, found {_name(theirs)}"
    if ours.role == NODE and theirs.role == NODE:
        if not ours.node or not theirs.node or ours.node == theirs.node:
            return f"two nodes need two names: {_name(ours)} and {_name(theirs)}"
        if not all(end.fingerprint and end.incarnation for end in (ours, theirs)):
            return f"a node must give its fingerprint and incarnation: {_name(ours)} and {_name(theirs)}"
    if ours.fingerprint and theirs.fingerprint and ours.fingerprint != theirs.fingerprint:
        return (
            f"SQLite, its compile options, the SQL functions, the time zones or the log format differ: "
            f"'{ours.fingerprint}' at {_name(ours)}, '{theirs.fingerprint}' at {_name(theirs)}"
        )
    if ours.role == NODE and theirs.role == NODE:
        if ours.members and theirs.members and ours.members != theirs.members:
            return (
                f"`peers` differ: {_name(ours)} has {_members(ours, theirs)}, {_name(theirs)} has "
                f"{_members(theirs, ours)}; every node.toml must list the same members"
            )
        if known and known.get(theirs.node, theirs.incarnation) != theirs.incarnation:
            return (
                f"{_name(theirs)} has another log.db than the one {_name(ours)} has met under this name: what it "
                f"acknowledged before may be lost; `lfsql remove-node {theirs.node}`, then add it under a new name"
            )
    return ""


def _members(of: Identity, other: Identity) -> str:
    """What the one list has and the other has not, in words."""
    only = [f"'{name}' ({role})" for name, role in sorted(of.members.items()) if other.members.get(name) != role]
    return ", ".join(only) or "nobody else"


async def perform(
    connection: Connection,
    *,
    dialing: bool,
    identity: Identity,
    key: bytes,
    handshake_ms_max: int,
    expected_node: NodeId = "",
    known: Mapping[NodeId, str] | None = None,
) -> Identity:
    """Shake hands on a fresh connection and return who is at the other end.  `known`: see `incompatible`.

    Raises LinkRefused when the ends do not fit or the time is over, LinkLost when the connection breaks,
    ProtocolViolation when the other end speaks something else.
    """
    with trio.move_on_after(handshake_ms_max / 1000) as scope:
        if dialing:
            return await _dial(connection, identity, key, expected_node, known)
        return await _accept(connection, identity, key, known)
    if scope.cancelled_caught:
        raise LinkRefused(f"the handshake took longer than {handshake_ms_max} ms")
    raise LinkLost("the handshake ended without a result")


async def _dial(
    connection: Connection, identity: Identity, key: bytes, expected_node: NodeId, known: Mapping[NodeId, str] | None
) -> Identity:
    ours = Hello(LINK_VERSION, os.urandom(NONCE_BYTES), message_digest())
    connection.send_nowait(ours)
    await connection.flush()
    theirs = _expect_hello(await connection.receive_one(_decoder.decode))
    nonces = (ours.nonce, theirs.nonce)
    connection.send_nowait(Introduction(identity, prove(key, "dialer", nonces, (identity,))))
    await connection.flush()
    answer = await connection.receive_one(_decoder.decode)
    if isinstance(answer, Refusal):
        raise LinkRefused(f"the other end refused the link: {answer.why}")
    if not isinstance(answer, Introduction):
        raise ProtocolViolation("expected an introduction from the other end of the link")
    proof = prove(key, "listener", nonces, (identity, answer.identity))
    if not hmac.compare_digest(proof, answer.proof):
        raise LinkRefused(f"cluster keys differ: the other end did not prove that it holds {_name(identity)}'s key")
    why = incompatible(identity, answer.identity, expected_node, known)
    if not why and answer.identity.role != NODE:
        why = f"only nodes listen, the other end is {_name(answer.identity)}"
    if why:
        raise LinkRefused(why)
    return answer.identity


async def _accept(
    connection: Connection, identity: Identity, key: bytes, known: Mapping[NodeId, str] | None
) -> Identity:
    greeting = await connection.receive_one(_decoder.decode)
    # Before the other's is looked at: it must see ours, to say by itself why the two do not talk.
    ours = Hello(LINK_VERSION, os.urandom(NONCE_BYTES), message_digest())
    connection.send_nowait(ours)
    await connection.flush()
    theirs = _expect_hello(greeting)
    introduction = await connection.receive_one(_decoder.decode)
    if not isinstance(introduction, Introduction):
        raise ProtocolViolation("expected an introduction from the other end of the link")
    nonces = (theirs.nonce, ours.nonce)
    proof = prove(key, "dialer", nonces, (introduction.identity,))
    if not hmac.compare_digest(proof, introduction.proof):
        why = f"cluster keys differ: the proof was not made with the key of {_name(identity)}"
    else:
        why = incompatible(identity, introduction.identity, known=known)
    if why:
        connection.send_nowait(Refusal(why))
        await connection.flush()
        raise LinkRefused(why)
    proof = prove(key, "listener", nonces, (introduction.identity, identity))
    connection.send_nowait(Introduction(identity, proof))
    await connection.flush()
    return introduction.identity


def _expect_hello(message: Hello | Introduction | Refusal) -> Hello:
    if isinstance(message, Refusal):
        raise LinkRefused(f"the other end refused the link: {message.why}")
    if not isinstance(message, Hello) or len(message.nonce) != NONCE_BYTES:
        raise ProtocolViolation("expected the greeting of an lfsql link")
    if message.version != LINK_VERSION:
        raise LinkRefused(f"versions of lfsql differ: links are of {LINK_VERSION} here, of {message.version} there")
    if message.messages != message_digest():
        raise LinkRefused(
            f"versions of lfsql differ: messages are '{message_digest()}' here, '{message.messages}' there"
        )
    return message


def _name(identity: Identity) -> str:
    return f"{identity.role} '{identity.node}'" if identity.node else f"a {identity.role}"
