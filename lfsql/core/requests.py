"""What proxies and command lines ask of a node, and what it answers.

One link carries many requests at once; `request` numbers, chosen by the asker and unique among its open ones,
pair answers with questions.  Answers come in any order.  `Heartbeat` is pushed, never asked for.

A client's work is a sequence of `Submit`s.  A one-shot unit is one Submit that ends in COMMIT: one round trip.
A transaction is several that end in HOLD, then one that ends in COMMIT or ROLLBACK; the node keeps the writer
for that client in between.  Statements arrive as SQLite's SQL: translation is the proxy's business.

Rows travel in bounded chunks that the asker pulls, so a slow client holds up nobody else on the link.
"""

from __future__ import annotations

from typing import Final

import msgspec

from lfsql.core.entry import Value
from lfsql.core.ids import Index, NodeId, Position, Term
from lfsql.core.log_copies import LogCopies, LogRecords
from lfsql.core.notifications import NotificationsAfter, Notified

Row = tuple[Value, ...]

# How a Submit ends.
HOLD: Final = 0
COMMIT: Final = 1
ROLLBACK: Final = 2

# In which state an Outcome leaves the client's unit.
OPEN: Final = 0  # the transaction waits for the next Submit (also after a failed statement)
COMMITTED: Final = 1  # durable as asked; `index` is its place in the log
ABORTED: Final = 2  # rolled back, nothing logged

# Roles, as `lfsql status` prints them.
PRIMARY: Final = "primary"
REPLICA: Final = "replica"
LEARNER: Final = "learner"
WITNESS: Final = "witness"
CANDIDATE: Final = "candidate"
UNREACHABLE: Final = "unreachable"
QUARANTINED: Final = "quarantined"
"""Its data is not as the others': it counts for the log, and is read by nobody until it was made again."""


class Fault(msgspec.Struct, frozen=True, array_like=True):
    """An error as a value: the fields of LfsqlError, in its order."""

    sqlstate: str
    message: str
    detail: str = ""
    hint: str = ""
    schema: str = ""
    table: str = ""
    column: str = ""
    datatype: str = ""
    constraint: str = ""


# -- Operations of a unit ----------------------------------------------------------------------------------


class Run(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Run one statement.  With `portal` set, return at most `rows_max` rows and keep the rest for Fetch."""

    sql: str
    parameters: Row = ()
    portal: int = 0
    rows_max: int = 0


class RunMany(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Run one statement without result rows once per parameter set (COPY, executemany)."""

    sql: str
    parameter_sets: tuple[Row, ...]


class Fetch(msgspec.Struct, frozen=True, array_like=True, tag=3):
    portal: int
    rows_max: int = 0


class ClosePortal(msgspec.Struct, frozen=True, array_like=True, tag=4):
    portal: int


class SetSavepoint(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """Names nest as in PostgreSQL: a second savepoint of the same name shadows the first."""

    name: str


class ReleaseSavepoint(msgspec.Struct, frozen=True, array_like=True, tag=6):
    name: str


class RollbackToSavepoint(msgspec.Struct, frozen=True, array_like=True, tag=7):
    name: str


Operation = Run | RunMany | Fetch | ClosePortal | SetSavepoint | ReleaseSavepoint | RollbackToSavepoint


class Result(msgspec.Struct, frozen=True, array_like=True):
    """What one operation gave.  `more`: the portal has further rows."""

    rows: tuple[Row, ...] = ()
    rows_changed: int = 0
    more: bool = False


# -- Questions ---------------------------------------------------------------------------------------------


class Submit(msgspec.Struct, frozen=True, array_like=True, tag=20):
    """Run `operations` in order in the client's unit, opening it when there is none; then `end` it.

    The first operation that fails stops the rest.  In a unit opened and ended by one Submit that rolls it
    back; in a held one the failed statement alone is undone and the unit stays OPEN.

    `schema_index`: the schema the plans were made for; another one at the node answers StalePlan before any
    effect; -1 means any.  `idle_ms_max`: after a HOLD, how long the next Submit may take before the node rolls
    back (0 = no limit).  `run_ms_max`: how long the operations may run (0 = no limit).
    `local`: acknowledge when this node alone has it on disk.
    `base_index`: of a Submit that opens a unit and ends in HOLD, what its transaction has read stands there: when
    the log has gone on since, nothing is run and the answer is 40001; -1 when it has read nothing.
    `lock_ms_max`: how long it may wait for the writer (0 = no limit), after which the answer is 55P03.  `nowait`:
    the same answer at once when a transaction has the writer, or waits for it.
    """

    request: int
    client: str
    sequence: int
    operations: tuple[Operation, ...]
    end: int = COMMIT
    schema_index: Index = -1
    idle_ms_max: int = 0
    run_ms_max: int = 0
    local: bool = False
    base_index: Index = -1
    lock_ms_max: int = 0
    nowait: bool = False


class Read(msgspec.Struct, frozen=True, array_like=True, tag=21):
    """Run a read on the node's own copy, at `min_index` or later, waiting up to `wait_ms_max` for it.

    `keep`: run nothing, but take a snapshot and keep it until a ReadClose of this request; answered without rows.
    `within`: on the snapshot that the request of that number keeps; 0: on one of its own.
    """

    request: int
    sql: str
    parameters: Row = ()
    min_index: Index = 0
    wait_ms_max: int = 0
    rows_max: int = 0
    run_ms_max: int = 0
    keep: bool = False
    within: int = 0


class ReadMore(msgspec.Struct, frozen=True, array_like=True, tag=22):
    """Pull the next chunk of a Read that answered `more`; answered with the same number."""

    request: int
    rows_max: int = 0


class ReadClose(msgspec.Struct, frozen=True, array_like=True, tag=23):
    """Drop a Read that answered `more`, or a snapshot that is kept.  No answer."""

    request: int


class Describe(msgspec.Struct, frozen=True, array_like=True, tag=24):
    """Prepare a statement without running it, in `client`'s open unit when it has one."""

    request: int
    sql: str
    client: str = ""


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag=25):
    """Stop the given request if it still runs: its answer is then 57014.  No answer of its own."""

    request: int


class Forget(msgspec.Struct, frozen=True, array_like=True, tag=26):
    """The client's session ended: roll back what it holds.  No answer."""

    client: str


class StatusRequest(msgspec.Struct, frozen=True, array_like=True, tag=27):
    request: int


class LookUp(msgspec.Struct, frozen=True, array_like=True, tag=28):
    """What became of (client, sequence)?  Answered by an Outcome: COMMITTED with its result, or ABORTED."""

    request: int
    client: str
    sequence: int


class CurrentIndex(msgspec.Struct, frozen=True, array_like=True, tag=29):
    """From which index on is a read that begins now linearizable?  Answered by an Outcome with that `index`, once a
    quorum has confirmed that the node asked is still primary; or with NotPrimary."""

    request: int


class SnapshotRequest(msgspec.Struct, frozen=True, array_like=True, tag=36):
    """Which copy of the data can be had, at `min_index` or later?  Answered by a SnapshotHeader, in a second or two.

    From then on, and as long as the link lasts, the copy is kept for the asker.
    """

    request: int
    min_index: Index


class SnapshotRead(msgspec.Struct, frozen=True, array_like=True, tag=37):
    """The bytes from `offset` on of the copy with this digest; answered by a SnapshotPiece."""

    request: int
    digest: bytes
    offset: int


# Orders: what an operator has done by a command.  Each is answered by one Done.


class TransferLead(msgspec.Struct, frozen=True, array_like=True, tag=30):
    """To the primary: hand the lead to `to`, '' for the voter that can take it soonest."""

    request: int
    to: NodeId = ""


class AddMember(msgspec.Struct, frozen=True, array_like=True, tag=31):
    """To the primary: make a node a member, or change what is known of one.  It comes as a learner, and becomes what
    `role` says (as in `lfsql.config`) once it has caught up."""

    request: int
    node: NodeId
    address: str
    role: str
    priority: int


class RemoveMember(msgspec.Struct, frozen=True, array_like=True, tag=32):
    """To the primary, which may be the one that goes: it hands the lead over afterwards."""

    request: int
    node: NodeId


class Drain(msgspec.Struct, frozen=True, array_like=True, tag=33):
    """To any node: hand the lead over if it has it, let the reads that are open there end, and stop."""

    request: int


class VerifyRequest(msgspec.Struct, frozen=True, array_like=True, tag=34):
    """Asks the primary to have all nodes check what they hold, log and data, at one index.  Answered by a Verified,
    after `wait_ms_max` at the latest, whoever has not answered by then."""

    request: int
    wait_ms_max: int


# -- Answers -----------------------------------------------------------------------------------------------


class Outcome(msgspec.Struct, frozen=True, array_like=True, tag=40):
    """`results` holds one for each operation that succeeded; `fault` is why the next one, or the end, failed.

    `schema_index` is the log index of the newest schema change the node has executed.
    """

    request: int
    state: int
    results: tuple[Result, ...] = ()
    fault: Fault | None = None
    index: Index = 0
    schema_index: Index = 0


class Rows(msgspec.Struct, frozen=True, array_like=True, tag=41):
    """A chunk of a Read.  `index` is the log index its snapshot stands at."""

    request: int
    rows: tuple[Row, ...] = ()
    more: bool = False
    index: Index = 0
    schema_index: Index = 0
    fault: Fault | None = None


class ColumnDescription(msgspec.Struct, frozen=True, array_like=True):
    """What SQLite knows of a result column; '' where it knows nothing (an expression)."""

    name: str
    declared: str = ""
    table: str = ""
    column: str = ""


class Described(msgspec.Struct, frozen=True, array_like=True, tag=42):
    request: int
    columns: tuple[ColumnDescription, ...] = ()
    parameters: int = 0
    readonly: bool = True
    fault: Fault | None = None


class Done(msgspec.Struct, frozen=True, array_like=True, tag=46):
    """What became of an order, in words.  With `fault` nothing was done, unless that says otherwise."""

    request: int
    text: str = ""
    fault: Fault | None = None


class Belongs(msgspec.Struct, frozen=True, array_like=True):
    """A member as proxies need to know it: `has_data` when there is something to read."""

    node: NodeId
    address: str
    has_data: bool


class NodeStatus(msgspec.Struct, frozen=True):
    """One row of `lfsql status`."""

    name: NodeId
    role: str
    pid: int
    address: str
    healthy: bool
    applied_index: Index
    lag_entries: int
    lag_ms: int
    fault: str = ""
    """Why it is quarantined, or what is known to be wrong with it; '' when nothing is."""
    throttle: str = ""
    """Of a primary: how much it slows writes, and for whom; '' when it does not."""


class ProxyStatus(msgspec.Struct, frozen=True):
    pid: int
    address: str


class Status(msgspec.Struct, frozen=True, array_like=True, tag=43):
    request: int
    primary: NodeId
    term: Term
    commit_index: Index
    nodes: tuple[NodeStatus, ...]
    proxies: tuple[ProxyStatus, ...]


# What a node was found to hold.
EQUAL: Final = "equal"
DIFFERS: Final = "differs"
UNDECIDED: Final = "undecided"  # the contents differ, and no majority has the same
SILENT: Final = "silent"  # no answer
NO_DATA: Final = "no data"  # a witness


class Held(msgspec.Struct, frozen=True):
    """What one node holds.  `content` is the hash in hexadecimal, '' when it is not known."""

    name: NodeId
    state: str
    content: str = ""
    fault: str = ""
    """What SQLite finds wrong with the database, or why it is not looked at."""
    log_base: Index = 0
    """The oldest record follows this index."""
    log_fault: str = ""


class Verified(msgspec.Struct, frozen=True, array_like=True, tag=49):
    """What the nodes hold at `index`; 0 when the primary itself could not tell in time."""

    request: int
    index: Index = 0
    nodes: tuple[Held, ...] = ()
    fault: Fault | None = None


class Heartbeat(msgspec.Struct, frozen=True, array_like=True, tag=44):
    """Pushed to every proxy at an interval, and at once when role, term or primary change.

    `confirmed_ago_ms`: of a primary, how long before the sending a quorum is known to have held it for one; up to
    then nothing beyond `commit_index` was committed.  A duration, since clocks of two machines are not compared.
    None when it cannot tell, and of all others.  `fault`, `throttle`: as in NodeStatus.
    `members`: who belongs to the cluster as of the record at `members_index`; 0: those that it began with.
    `ping`: the number of the receiver's last Ping, `ping_ago_ms` old when this was sent, rounded down; 0 without one.
    `draining`: it is about to stop, and gets no new reads.
    """

    node: NodeId
    role: str
    term: Term
    primary: NodeId
    commit_index: Index
    applied_index: Index
    schema_index: Index
    pid: int = 0
    confirmed_ago_ms: int | None = None
    members_index: Index = 0
    members: tuple[Belongs, ...] = ()
    fault: str = ""
    ping: int = 0
    ping_ago_ms: int = 0
    throttle: str = ""
    draining: bool = False


class ProxyHello(msgspec.Struct, frozen=True, array_like=True, tag=45):
    """Sent by a proxy once after the handshake, so that nodes can list it."""

    pid: int
    address: str


class Ping(msgspec.Struct, frozen=True, array_like=True, tag=35):
    """Sent by a proxy now and then, so that heartbeats tell when they were sent: see `lfsql.core.freshness.Pings`."""

    number: int


class SnapshotHeader(msgspec.Struct, frozen=True, array_like=True, tag=50):
    """A copy of the data that stands at `position`; while it is still being made, `bytes_total` is 0: ask again.

    `digest`: BLAKE2b-128 of its bytes.  `configuration`: the cluster's members at `position`, encoded.
    `fingerprint`: of the SQLite and the functions it was written by.
    """

    request: int
    position: Position = Position()
    bytes_total: int = 0
    digest: bytes = b""
    configuration: bytes = b""
    fingerprint: str = ""
    fault: Fault | None = None


class SnapshotPiece(msgspec.Struct, frozen=True, array_like=True, tag=51):
    request: int
    data: bytes = b""
    fault: Fault | None = None


Order = TransferLead | AddMember | RemoveMember | Drain


Question = (
    Submit
    | Read
    | ReadMore
    | ReadClose
    | Describe
    | Cancel
    | Forget
    | StatusRequest
    | LookUp
    | ProxyHello
    | Ping
    | CurrentIndex
    | NotificationsAfter
    | SnapshotRequest
    | SnapshotRead
    | Order
    | LogRecords
    | VerifyRequest
)
Answer = (
    Outcome
    | Rows
    | Described
    | Status
    | Heartbeat
    | Done
    | LogCopies
    | SnapshotHeader
    | SnapshotPiece
    | Verified
    | Notified
)
