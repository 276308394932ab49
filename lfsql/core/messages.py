"""What consensus says from node to node.

Terms here are the sender's own, so that every message, answer or not, teaches its receiver of a newer term.
Answers name what they answer (`asked`, `round`, `index`): links may lose, repeat or reorder, and an answer to
an older question must never pass for one to a newer.  Rejected: pairing answers with requests by number, as
proxies' links do.  Consensus has no use for it, since every answer is a statement that stays true.

Tags 60 to 79 are this module's: one link carries these and `lfsql.core.requests` side by side.
"""

from __future__ import annotations

import msgspec

from lfsql.core.entry import Record
from lfsql.core.ids import Index, Position, Term


class RequestVote(msgspec.Struct, frozen=True, array_like=True, tag=60):
    """Asks for a vote in `term`, for a log that ends at `last`.

    `pre`: only asks whether the vote would be given; `term` is then one the sender has not entered, and
    nothing changes at the receiver.  `transfer`: the primary itself asked the sender to take over, so a
    receiver that still hears that primary does not refuse for it.
    """

    term: Term
    last: Position
    pre: bool = False
    transfer: bool = False


class Vote(msgspec.Struct, frozen=True, array_like=True, tag=61):
    """Answers the RequestVote for term `asked`; `term` is the voter's own.  Given only once it is on disk."""

    term: Term
    asked: Term
    granted: bool
    pre: bool = False


class Append(msgspec.Struct, frozen=True, array_like=True, tag=62):
    """From the primary: `records` follow `previous`; everything up to `commit` is committed.

    Without records it is a heartbeat, a probe, or news of a commit.  `round` counts the primary's rounds of
    heartbeats: the answer repeats it and so confirms that the sender still was primary when it began that
    round.  0: no answer wanted unless the records do not fit.
    """

    term: Term
    previous: Position
    records: tuple[Record, ...] = ()
    commit: Index = 0
    round: int = 0


class Accept(msgspec.Struct, frozen=True, array_like=True, tag=63):
    """The Append that ended at `index` fits; the sender's disk holds the primary's log up to `durable`.

    `durable` below `index`: the rest is being written and will be reported by a further Accept.  How good a primary
    the sender would be: its database stands at `applied`, and its disk takes `fsync_ms` for a write; 0 where it does
    not tell.
    """

    term: Term
    round: int
    index: Index
    durable: Index
    applied: Index = 0
    fsync_ms: int = 0


class Mismatch(msgspec.Struct, frozen=True, array_like=True, tag=64):
    """The Append whose previous record was `index` does not fit here.

    `hint` is the newest index at which the two logs can still agree and `hint_term` its term here: the
    primary passes over all its records above `hint` and all of newer terms than `hint_term`, so it finds the
    common point in one round per diverging term, not one per record.

    All but the term is 0 when the Append was of an earlier term: that it was is all there is to say.
    """

    term: Term
    round: int
    index: Index
    hint: Index
    hint_term: Term


class TimeoutNow(msgspec.Struct, frozen=True, array_like=True, tag=65):
    """From the primary to a caught-up voter: stand for election now."""

    term: Term


class ReadIndexRequest(msgspec.Struct, frozen=True, array_like=True, tag=66):
    """Asks the primary for an index that a linearizable read begun now must wait for."""

    token: int


class ReadIndexAnswer(msgspec.Struct, frozen=True, array_like=True, tag=67):
    """`granted` False: the sender is not the primary, or too much waits already; ask again."""

    token: int
    index: Index
    granted: bool


class SnapshotNeeded(msgspec.Struct, frozen=True, array_like=True, tag=70):
    """From the primary of `term`: its log begins after `base`, and the receiver lacks what came before.

    The receiver asks for a snapshot, when and as fast as it likes; see `lfsql.core.requests`.
    """

    term: Term
    base: Index


class Alive(msgspec.Struct, frozen=True, array_like=True, tag=72):
    """Says nothing but that the sender lives, on a link on which nothing else was said for a while."""


class NotHeard(msgspec.Struct, frozen=True, array_like=True, tag=75):
    """To who opened the link, before it is closed: why nothing that is said on it is heeded."""

    why: str


class CheckContent(msgspec.Struct, frozen=True, array_like=True, tag=73):
    """From the primary, before any record that follows `position`: hash what the database holds there.

    `round` tells one check from others at the same position.  `with_log`: check every record of the log as well.
    """

    position: Position
    round: int
    with_log: bool = False


class ContentChecked(msgspec.Struct, frozen=True, array_like=True, tag=74):
    """To all: what the sender's database holds at `position`, in the check of that `round`.

    `content` is b"" when it could not be read whole; `fault` says in words what is wrong with it, `log_fault` with
    the log, of which the oldest record follows `log_base`.
    """

    position: Position
    round: int
    content: bytes
    fault: str = ""
    log_base: Index = 0
    log_fault: str = ""


ConsensusMessage = RequestVote | Vote | Append | Accept | Mismatch | TimeoutNow | ReadIndexRequest | ReadIndexAnswer
"""What `Consensus.step` takes, in a Received."""

ContentMessage = CheckContent | ContentChecked

PeerMessage = ConsensusMessage | SnapshotNeeded | ContentMessage | Alive | NotHeard
"""Consensus never sees the others: who has which files decides nothing."""
