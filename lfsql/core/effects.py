"""What goes into consensus, and what comes out of it.

`Consensus.step` takes one input and returns effects; whoever drives it carries them out in the order given.
The order is the order of durability, and it has three rules:

1. A `Send` outside of a `Persist` may go at once, even while earlier Persists are still being written.
2. Persists are written in order.  The sends in a Persist's `then` go only when it, and so every one before
   it, is fsynced.  A Persist that writes nothing is a barrier: its `then` waits for those before it.
3. After its `then` is sent, the Persist's number is fed back as a `Persisted`.  Several may share one fsync;
   feeding back the last number covers them all.

A write that fails is never retried and never fed back: the process ends.  Rejected: letting consensus wait for
the disk, as the driver would then have to choose between hearing peers and writing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from lfsql.core.entry import Record
from lfsql.core.ids import Index, NodeId, Position, Term
from lfsql.core.membership import Configuration
from lfsql.core.messages import ConsensusMessage


class HardState(msgspec.Struct, frozen=True, array_like=True):
    """What a node must never forget: its term, and whom it voted for in it ('' = nobody).

    `commit` is a hint that may lag: it only bounds how much of the log is read back into memory at start.
    """

    term: Term = 0
    vote: NodeId = ""
    commit: Index = 0


class Restored(msgspec.Struct, frozen=True):
    """What a node finds on its disk at start; the defaults are a new node's.

    `base`: the position just before the oldest record on disk (compaction moves it).
    `records`: the newest records, with no gap: at least all after `commit`.  `floor`: the position just before
    the first of them, which is the log's last position when there are none.
    `commit`: the highest index known to be committed, the larger of the hard state's and the applied one.
    `configurations`: those that records on disk up to `floor` brought, by index, the oldest first.
    """

    hard_state: HardState = HardState()
    base: Position = Position()
    floor: Position = Position()
    records: tuple[Record, ...] = ()
    commit: Index = 0
    configurations: tuple[tuple[Index, Configuration], ...] = ()


# -- Inputs ------------------------------------------------------------------------------------------------


class Tick(msgspec.Struct, frozen=True):
    """`Consensus.deadline` has come.  Early or extra ticks do nothing."""


class Received(msgspec.Struct, frozen=True, gc=False):
    """A message came from `sender`, whom the link's handshake authenticated."""

    sender: NodeId
    message: ConsensusMessage


class Propose(msgspec.Struct, frozen=True, gc=False):
    """Append records with these (kind, body) pairs, in order and without others in between, all or none.

    `term` is that of the BecamePrimary under which they were made; work done under an older one is refused,
    as it was done on top of what may no longer be there.  Gives one Proposed or one ProposalRefused.

    A record of kind CONFIGURATION is proposed alone, and taken when it may follow the one in force: see
    `membership.change_fault` and `Leadership.refusal`.
    """

    term: Term
    bodies: tuple[tuple[int, bytes], ...]


class Persisted(msgspec.Struct, frozen=True):
    """All Persists up to `number` are fsynced, and their `then` is sent.  The last write took `seconds`."""

    number: int
    seconds: float = 0.0


class Applied(msgspec.Struct, frozen=True):
    """The database stands at `index`; `fit` False: it cannot be served from, as it waits for a snapshot, say.

    Only says how good a primary this node would be: tell it now and then.
    """

    index: Index
    fit: bool = True


class LogRead(msgspec.Struct, frozen=True, gc=False):
    """The answer to ReadLog with the same `to` and `first`: records from `first` on, at least one.

    Empty only when compaction took them meanwhile: feed the Compacted first.
    """

    to: NodeId
    first: Index
    records: tuple[Record, ...]


class Compacted(msgspec.Struct, frozen=True):
    """The log on disk now begins after `base`.  Only what is committed may be compacted."""

    base: Position


class PeerConnected(msgspec.Struct, frozen=True):
    """The link to `node` is up: what is sent to it from now on arrives, unless the link is lost again."""

    node: NodeId


class PeerLost(msgspec.Struct, frozen=True):
    """The link to `node` closed.  When `node` is the primary, an election begins at once."""

    node: NodeId


class PeerSends(msgspec.Struct, frozen=True):
    """A part of a message from `node` has arrived.

    A large one takes longer than an election timeout where the network is slow, and all else waits behind it.
    """

    node: NodeId


class ReadIndex(msgspec.Struct, frozen=True):
    """From which index on is a read, begun now, linearizable?  Works on any node with a known primary.

    `token` names the question in ReadConfirmed or ReadRefused; never reuse one, not over restarts either
    (start counting at a random number).  On a node that is not primary the answer may be lost with the link:
    ask again after a while, with a new token.
    """

    token: int


class Transfer(msgspec.Struct, frozen=True):
    """Hand leadership to `to` once it has caught up.  Ignored unless this is the primary and `to` a voter.

    Proposals are refused only while the last of it is under way, for `ConsensusSettings.transfer_pause` at most.
    What came of it is told by PrimaryChanged, or by TransferGivenUp.
    """

    to: NodeId


Input = (
    Tick
    | Received
    | Propose
    | Persisted
    | Applied
    | LogRead
    | Compacted
    | PeerConnected
    | PeerLost
    | PeerSends
    | ReadIndex
    | Transfer
)


# -- Effects -----------------------------------------------------------------------------------------------


class Send(msgspec.Struct, frozen=True, gc=False):
    """Hand the message to the link to `to`; drop it when that is down (never queue it for a later link)."""

    to: NodeId
    message: ConsensusMessage


class Persist(msgspec.Struct, frozen=True, gc=False):
    """In one fsynced transaction: store `hard_state` unless None; drop all records from index `truncate_from`
    on unless None; append `records`.  Then carry out `then` and feed back Persisted(number).

    With nothing to write no fsync is needed, only its turn.  Numbers count up by one from 1.
    """

    number: int
    hard_state: HardState | None = None
    truncate_from: Index | None = None
    records: tuple[Record, ...] = ()
    then: tuple[Send, ...] = ()


class Committed(msgspec.Struct, frozen=True):
    """All records up to `index` are committed and on this node's disk: apply them, answer their clients."""

    index: Index


class ReadLog(msgspec.Struct, frozen=True):
    """Read records from `first` to at most `last` from disk, as many as fit into `bytes_max` but at least one;
    feed them back as LogRead.  Asked for at most once at a time per `to`.
    """

    to: NodeId
    first: Index
    last: Index
    bytes_max: int


class NeedSnapshot(msgspec.Struct, frozen=True):
    """The log here begins after what `to` lacks: tell it.  Said again each time `to` answers a heartbeat."""

    to: NodeId


class Proposed(msgspec.Struct, frozen=True):
    """The proposal's records are in this node's log at `first`..`last`; Committed will cover them, or a
    SteppedDown comes first and their fate is unknown here.
    """

    first: Index
    last: Index


NOT_PRIMARY: Final = "not primary"  # or not yet ready, or of another term
TRANSFERRING: Final = "leadership is being transferred"
BACKLOG_FULL: Final = "too many bytes wait to be committed"
TOO_LARGE: Final = "a body is over the limit of one record"
CHANGING: Final = "an earlier change of members is not committed yet"


class ProposalRefused(msgspec.Struct, frozen=True):
    """Nothing was appended.  `reason` is one of the five above, or says what is wrong with a change of members;
    `primary` is '' when unknown.
    """

    reason: str
    primary: NodeId


class BecamePrimary(msgspec.Struct, frozen=True):
    """This node is primary in `term` and its NOOP at `index` is committed: once everything up to `index` is
    applied, it may serve.  Comes after the Committed that covers `index`.
    """

    term: Term
    index: Index


class SteppedDown(msgspec.Struct, frozen=True):
    """Ends what BecamePrimary began: roll back what is not committed.  `term` is the term now, `primary` the
    one known now, mostly ''.
    """

    term: Term
    primary: NodeId


class PrimaryChanged(msgspec.Struct, frozen=True):
    """The primary this node knows of is now `primary` ('' = none known), in `term`.  It may be this node,
    before it is ready to serve.
    """

    term: Term
    primary: NodeId


class MembersChanged(msgspec.Struct, frozen=True):
    """`configuration` is in force from now on.  It came with a record, or the one that it replaces was cut off."""

    configuration: Configuration


class TransferGivenUp(msgspec.Struct, frozen=True):
    """The lead was to go to `to`, which did not catch up or did not take it.  This node serves on."""

    to: NodeId


class ReadConfirmed(msgspec.Struct, frozen=True):
    """A read that waits until `index` is applied is linearizable."""

    token: int
    index: Index


class ReadRefused(msgspec.Struct, frozen=True):
    """No primary is known, it is not ready, it lost its place meanwhile, or too many reads wait."""

    token: int
    primary: NodeId


class PeerFaulty(msgspec.Struct, frozen=True):
    """`node` sent what no correct node sends; it was ignored.  Report it and close the link.

    `lasting`: it will be so again when it comes back; refuse its links.
    """

    node: NodeId
    reason: str
    lasting: bool = False


Effect = (
    Send
    | Persist
    | Committed
    | ReadLog
    | NeedSnapshot
    | Proposed
    | ProposalRefused
    | BecamePrimary
    | SteppedDown
    | PrimaryChanged
    | MembersChanged
    | TransferGivenUp
    | ReadConfirmed
    | ReadRefused
    | PeerFaulty
)
