"""What the log holds.

Two layers, so that consensus never looks into SQL:

- a `Record` is what consensus orders, persists, sends and checks: index, term, kind, an opaque body, and the
  hash that chains it to every record before it;
- a `Unit` is the body of a record of kind UNIT: one client's atomic work, with the clock and the seed under
  which every node runs it, and the digest of the effect it had on the primary.

The hash covers the previous hash, so equal hashes at equal indexes mean equal histories.  A body is encoded
once, by the primary, and stays the same bytes in every log and message.

A unit too large for one record (a bulk COPY) is cut into several with `more` set on all but the last.  They
apply as one: a run of `more` records that is followed by anything but its continuation (a new primary's
NOOP, say) never finished, and every node skips it.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import msgspec

from lfsql.core.ids import HASH_BYTES, Hash, Index, Term

if TYPE_CHECKING:
    Value = None | int | float | str | bytes
    """A SQLite value."""
else:
    # msgpack tells str from bytes, msgspec's unions refuse to; SQLite's binding rejects anything else.
    Value = Any

NOOP: Final = 0
UNIT: Final = 1
CONFIGURATION: Final = 2


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    index: Index
    term: Term
    kind: int
    hash: Hash
    body: bytes


def chain_hash(previous: Hash, index: Index, term: Term, kind: int, body: bytes) -> Hash:
    """The hash a record must carry when it follows one that carries `previous`."""
    digest = blake2b(previous, digest_size=HASH_BYTES)
    digest.update(b"%d %d %d " % (index, term, kind))
    digest.update(body)
    return digest.digest()


class Statement(msgspec.Struct, frozen=True, array_like=True):
    """One SQLite statement, run once for each of its parameter sets, in order."""

    sql: str
    parameter_sets: tuple[tuple[Value, ...], ...] = ((),)


class Effect(msgspec.Struct, frozen=True, array_like=True):
    """What a unit did; equal on every node, or the node has diverged.

    `changeset_hash` is BLAKE2b-128 over SQLite's changeset of the unit, b"" where SQLite records none (DDL).
    """

    rows_changed: int = 0
    last_rowid: int = 0
    changeset_hash: bytes = b""


class Notification(msgspec.Struct, frozen=True, array_like=True):
    """What NOTIFY says, and the process id of the session that said it, as its client knows it."""

    channel: str
    payload: str
    pid: int


class Unit(msgspec.Struct, frozen=True, array_like=True):
    """One client's atomic work.

    `clock_us` is microseconds since the Unix epoch; `seed` seeds random() and randomblob().  `client` and
    `sequence` identify the work for exactly-once; `result` is the encoded outcome a resend is answered with.
    `notifications` are what listeners hear once it is committed, in order; of a unit that is cut the last piece has
    them.  Records of older versions end before them.
    """

    clock_us: int
    seed: int
    client: str
    sequence: int
    statements: tuple[Statement, ...]
    effect: Effect = Effect()
    result: bytes = b""
    schema_changed: bool = False
    more: bool = False
    database: str = "main"
    notifications: tuple[Notification, ...] = ()


class _Told(msgspec.Struct, frozen=True, array_like=True):
    """A Unit of which only the last field is decoded: the others, which may be long, are passed over."""

    clock_us: msgspec.Raw
    seed: msgspec.Raw
    client: msgspec.Raw
    sequence: msgspec.Raw
    statements: msgspec.Raw
    effect: msgspec.Raw = msgspec.Raw()
    result: msgspec.Raw = msgspec.Raw()
    schema_changed: msgspec.Raw = msgspec.Raw()
    more: msgspec.Raw = msgspec.Raw()
    database: msgspec.Raw = msgspec.Raw()
    notifications: tuple[Notification, ...] = ()


_encoder = msgspec.msgpack.Encoder()
_unit_decoder = msgspec.msgpack.Decoder(Unit)
_told_decoder = msgspec.msgpack.Decoder(_Told)


def encode_unit(unit: Unit) -> bytes:
    return _encoder.encode(unit)


def decode_unit(body: bytes) -> Unit:
    """Raises msgspec.ValidationError or DecodeError when the body is no unit."""
    return _unit_decoder.decode(body)


def notifications_of(body: bytes) -> tuple[Notification, ...]:
    """What a unit's body notifies of.  Costs a fraction of decode_unit, and raises as that does."""
    return _told_decoder.decode(body).notifications
