"""How a primary brings its log to the others.

Each follower is in one of three states, as in etcd's raft.  PROBE: where the logs agree is not known; one
question without records is out at a time, renewed by every heartbeat.  STREAM: records are sent as they
come, without waiting for answers, up to a bound of bytes and messages.  SNAPSHOT: it lacks what compaction has
removed here, and is told so with each heartbeat: what it does about it, and whether it has heard, is its business.

Losing a message never needs a timer of its own: a heartbeat to a streaming follower names the last record sent
as its previous one, so a gap is answered by a Mismatch, and that leads back to PROBE.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from lfsql.core.effects import Effect, LogRead, NeedSnapshot, PeerFaulty, ReadLog, Send
from lfsql.core.entry import Record
from lfsql.core.ids import Index, NodeId, Position, Term
from lfsql.core.log import LogTail, position_of, record_bytes
from lfsql.core.messages import Accept, Append, Mismatch
from lfsql.core.settings import ConsensusSettings
from lfsql.errors import InvariantBroken

PROBE: Final = "probe"
STREAM: Final = "stream"
SNAPSHOT: Final = "snapshot"

TAKEN_BYTES_PER_S: Final = 8 << 20
"""What a follower is reckoned to take in at least: the network, and its own work, included."""


class Progress:
    """What is known of one follower.

    `matched`: its disk holds the primary's log up to here; never goes down.  `matched_in`: the newest round when that
    became known; who is asked in a later one is asked for nothing before it.  `next`: the first record not yet
    sent.  `previous`: the position before `next` when it was read from disk.  `reading`: the first index of
    the ReadLog that is out, 0 when none is.  `commit_sent`: the commit index it was last told.  `leaves_at`: the
    record that took it out of the members, 0 for a member.  `applied` and `fsync_ms`: see Accept.
    """

    def __init__(self, next_index: Index) -> None:
        self.state = PROBE
        self.matched: Index = 0
        self.matched_in = 0
        self.next = next_index
        self.previous = Position()
        self.reading: Index = 0
        self.commit_sent: Index = 0
        self.leaves_at: Index = 0
        self.applied: Index = 0
        self.fsync_ms = 0
        self.in_flight: deque[tuple[Index, int]] = deque()
        self.in_flight_bytes = 0

    def probe_from(self, next_index: Index) -> None:
        self.state = PROBE
        self.next = next_index
        self.commit_sent = 0
        self.in_flight.clear()
        self.in_flight_bytes = 0

    def sent(self, records: tuple[Record, ...]) -> None:
        size = sum(map(record_bytes, records))
        self.next = records[-1].index + 1
        self.previous = position_of(records[-1])
        self.in_flight.append((records[-1].index, size))
        self.in_flight_bytes += size

    def on_disk(self, index: Index, round_: int) -> None:
        if index > self.matched:
            self.matched, self.matched_in = index, round_
        self.next = max(self.next, self.matched + 1)
        while self.in_flight and self.in_flight[0][0] <= index:
            self.in_flight_bytes -= self.in_flight.popleft()[1]


class Replicator:
    """One primary's followers in one term.  Puts what is to be done into `emit`."""

    def __init__(
        self,
        term: Term,
        followers: tuple[NodeId, ...],
        log: LogTail,
        settings: ConsensusSettings,
        emit: Callable[[Effect], None],
    ) -> None:
        self._term = term
        self._log = log
        self._settings = settings
        self._emit = emit
        self._followers = {node: Progress(log.last.index + 1) for node in followers}

    def matched(self, node: NodeId) -> Index:
        return self._followers[node].matched if node in self._followers else 0

    def set_members(self, followers: Sequence[NodeId], index: Index) -> None:
        """The record at `index` made `followers` the members.  One that leaves is served until it knows: it would
        otherwise go on asking for votes, and its owner would not learn that it may be switched off.
        """
        for node, progress in self._followers.items():
            progress.leaves_at = 0 if node in followers else progress.leaves_at or index
        for node in followers:
            self._followers.setdefault(node, Progress(self._log.last.index + 1))

    def follows(self, node: NodeId) -> bool:
        return node in self._followers

    @property
    def busy_s(self) -> float:
        """For how long a follower may have to do with what was sent to it, and not come to answer anything else."""
        return max((each.in_flight_bytes for each in self._followers.values()), default=0) / TAKEN_BYTES_PER_S

    def applied(self, node: NodeId) -> Index:
        """How far its database is, as it last told."""
        return self._followers[node].applied if node in self._followers else 0

    def fsync_ms(self, node: NodeId) -> int:
        return self._followers[node].fsync_ms if node in self._followers else 0

    def heartbeat(self, round_: int, commit: Index) -> None:
        """Ask every follower for a sign of life, and whether it has all that it was sent."""
        for node, progress in self._followers.items():
            self._ask(node, progress, round_, commit)

    def _ask(self, node: NodeId, progress: Progress, round_: int, commit: Index) -> None:
        # Where the log begins all logs agree, so a follower whose place is unknown in memory is asked there:
        # its answer tells at least how far it is committed, and from there on it can be sent records.
        previous = Position() if progress.state == SNAPSHOT else self._previous(progress) or Position()
        self._append(node, progress, previous, (), round_, commit)

    def connected(self, node: NodeId, round_: int, commit: Index) -> None:
        """What was on its way is lost, and the follower may have been restarted."""
        progress = self._followers.get(node)
        if progress is not None:
            progress.probe_from((progress.matched or self._log.last.index) + 1)
            self._ask(node, progress, round_, commit)

    def lost(self, node: NodeId) -> None:
        """Stop streaming to it."""
        progress = self._followers.get(node)
        if progress is not None and progress.leaves_at:
            del self._followers[node]
        elif progress is not None:
            progress.probe_from((progress.matched or self._log.last.index) + 1)

    def accepted(self, node: NodeId, message: Accept, round_: int) -> None:
        progress = self._followers[node]
        progress.on_disk(message.durable, round_)
        if message.round:
            progress.applied, progress.fsync_ms = message.applied, message.fsync_ms
        if progress.state != STREAM:
            agreed = max(message.index, progress.matched)
            if agreed >= self._log.base.index:
                progress.probe_from(agreed + 1)
                progress.state = STREAM
            else:
                self._need_snapshot(node, progress)

    def mismatched(self, node: NodeId, message: Mismatch, round_: int, commit: Index) -> None:
        progress = self._followers[node]
        stale = message.index <= progress.matched
        if 0 < message.index <= progress.matched and message.round > progress.matched_in:
            self._emit(PeerFaulty(node, _forgot(message.index), lasting=True))
        if stale or (progress.state != STREAM and message.index != progress.next - 1):
            return
        common = self._log.latest_of_term(message.hint, message.hint_term)
        progress.probe_from(max(min(common + 1, message.index), progress.matched + 1))
        self._ask(node, progress, round_, commit)

    def log_read(self, given: LogRead, round_: int, commit: Index) -> None:
        progress = self._followers.get(given.to)
        if progress is None or not progress.reading or progress.reading != given.first:
            return
        progress.reading = 0
        if progress.state != STREAM:
            return
        records = given.records
        if not records:
            if given.first > self._log.base.index:
                raise InvariantBroken(f"reading the log from {given.first} gave nothing")
            return
        if records[0].index == progress.next - 1:
            progress.previous = position_of(records[0])
            records = records[1:]
        previous = self._previous(progress)
        if records and records[0].index == progress.next and previous is not None:
            self._append(given.to, progress, previous, records, round_, commit)
            progress.sent(records)

    def pump(self, round_: int, commit: Index) -> None:
        """Send what there is to send, and tell of a new commit index those who would not hear it otherwise."""
        for node, progress in self._followers.items():
            if progress.state != STREAM:
                continue
            self._stream(node, progress, round_, commit)
            news = min(commit, progress.next - 1) > progress.commit_sent
            previous = self._previous(progress)
            if news and previous is not None:
                self._append(node, progress, previous, (), 0, commit)
        for node in [node for node, progress in self._followers.items() if _has_left(progress)]:
            del self._followers[node]

    def _stream(self, node: NodeId, progress: Progress, round_: int, commit: Index) -> None:
        while (
            progress.state == STREAM
            and progress.next <= self._log.last.index
            and not progress.reading
            and progress.in_flight_bytes < self._settings.in_flight_bytes_max
            and len(progress.in_flight) < self._settings.in_flight_messages_max
        ):
            previous = self._previous(progress)
            records = self._log.batch(progress.next, self._settings.message_bytes_max)
            if previous is not None and records is not None:
                self._append(node, progress, previous, records, round_, commit)
                progress.sent(records)
            elif progress.next <= self._log.base.index:
                self._need_snapshot(node, progress)
            else:
                progress.reading = progress.next if previous is not None else progress.next - 1
                last = self._log.floor.index
                self._emit(ReadLog(node, progress.reading, last, self._settings.message_bytes_max))

    def _need_snapshot(self, node: NodeId, progress: Progress) -> None:
        progress.state = SNAPSHOT
        self._emit(NeedSnapshot(node))

    def _previous(self, progress: Progress) -> Position | None:
        """The position before `next`; None when it would have to be read from disk."""
        if progress.previous.index == progress.next - 1:
            return progress.previous
        return self._log.position(progress.next - 1)

    def _append(
        self,
        node: NodeId,
        progress: Progress,
        previous: Position,
        records: tuple[Record, ...],
        round_: int,
        commit: Index,
    ) -> None:
        end = previous.index + len(records)
        progress.commit_sent = max(progress.commit_sent, min(commit, end))
        self._emit(Send(node, Append(self._term, previous, records, min(commit, end), round_)))


def _forgot(index: Index) -> str:
    return (
        f"it had acknowledged record {index} and has it no longer, so its log.db is an older copy: "
        "`lfsql remove-node`, then add it under a new name"
    )


def _has_left(progress: Progress) -> bool:
    """It is no member any more, and has been told."""
    return 0 < progress.leaves_at <= min(progress.matched, progress.commit_sent)
