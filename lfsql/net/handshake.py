"""Who is at the other end: challenge and response with the cluster key, both ways.

    dialer                                   listener
      Hello(version, nonce a)          ──▶
                                       ◀──   Hello(version, nonce b)
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
from hashlib import sha256
from typing import Final, Literal

import msgspec
import trio

from lfsql.core.ids import NodeId
from lfsql.errors import LinkLost, LinkRefused, ProtocolViolation
from lfsql.net.connection import Connection

LINK_VERSION: Final = 1
NONCE_BYTES: Final = 32
HANDSHAKE_FRAME_BYTES_MAX: Final = 4 << 10
"""All that a stranger can make us keep."""

NODE: Final = "node"
PROXY: Final = "proxy"
COMMAND: Final = "command"
Role = Literal["node", "proxy", "command"]


class Identity(msgspec.Struct, frozen=True):
    """One end of a link.

    `node`: the node's name, '' for a proxy or a command.  `fingerprint` is of what two ends must have in common to
    compute the same from the same log: SQLite and how it was built, SQL functions, time zones, log format.  Required
    of nodes; '' is not compared.
    """

    cluster_id: str
    node: NodeId
    role: Role
    fingerprint: str = ""


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=1):
    version: int
    nonce: bytes


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


def incompatible(ours: Identity, theirs: Identity, expected_node: NodeId = "") -> str:
    """Why the two must not talk, naming both sides; '' when they may."""
    if ours.cluster_id != theirs.cluster_id:
        return f"clusters differ: {_name(ours)} is of '{ours.cluster_id}', {_name(theirs)} of '{theirs.cluster_id}'"
    if expected_node and theirs.node != expected_node:
        return f"expected node '{expected_node}' at this address, found {_name(theirs)}"
    if ours.role == NODE and theirs.role == NODE:
        if not ours.node or not theirs.node or ours.node == theirs.node:
            return f"two nodes need two names: {_name(ours)} and {_name(theirs)}"
        if not ours.fingerprint or not theirs.fingerprint:
            return f"a node must give its fingerprint: {_name(ours)} and {_name(theirs)}"
    if ours.fingerprint and theirs.fingerprint and ours.fingerprint != theirs.fingerprint:
        return (
            f"SQLite, its compile options, the SQL functions, the time zones or the log format differ: "
            f"'{ours.fingerprint}' at {_name(ours)}, '{theirs.fingerprint}' at {_name(theirs)}"
        )
    return ""


async def perform(
    connection: Connection,
    *,
    dialing: bool,
    identity: Identity,
    key: bytes,
    handshake_ms_max: int,
    expected_node: NodeId = "",
) -> Identity:
    """Shake hands on a fresh connection and return who is at the other end.

    Raises LinkRefused when the ends do not fit or the time is over, LinkLost when the connection breaks,
    ProtocolViolation when the other end speaks something else.
    """
    with trio.move_on_after(handshake_ms_max / 1000) as scope:
        if dialing:
            return await _dial(connection, identity, key, expected_node)
        return await _accept(connection, identity, key)
    if scope.cancelled_caught:
        raise LinkRefused(f"the handshake took longer than {handshake_ms_max} ms")
    raise LinkLost("the handshake ended without a result")


async def _dial(connection: Connection, identity: Identity, key: bytes, expected_node: NodeId) -> Identity:
    ours = Hello(LINK_VERSION, os.urandom(NONCE_BYTES))
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
    why = incompatible(identity, answer.identity, expected_node)
    if not why and answer.identity.role != NODE:
        why = f"only nodes listen, the other end is {_name(answer.identity)}"
    if why:
        raise LinkRefused(why)
    return answer.identity


async def _accept(connection: Connection, identity: Identity, key: bytes) -> Identity:
    theirs = _expect_hello(await connection.receive_one(_decoder.decode))
    ours = Hello(LINK_VERSION, os.urandom(NONCE_BYTES))
    connection.send_nowait(ours)
    await connection.flush()
    introduction = await connection.receive_one(_decoder.decode)
    if not isinstance(introduction, Introduction):
        raise ProtocolViolation("expected an introduction from the other end of the link")
    nonces = (theirs.nonce, ours.nonce)
    proof = prove(key, "dialer", nonces, (introduction.identity,))
    if not hmac.compare_digest(proof, introduction.proof):
        why = f"cluster keys differ: the proof was not made with the key of {_name(identity)}"
    else:
        why = incompatible(identity, introduction.identity)
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
        raise LinkRefused(f"link versions differ: {LINK_VERSION} here, {message.version} there")
    return message


def _name(identity: Identity) -> str:
    return f"{identity.role} '{identity.node}'" if identity.node else f"a {identity.role}"
