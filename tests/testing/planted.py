"""Faults planted into production code, to see that the simulator finds them.

Each is what somebody could plausibly write, or forget, and is put in place of the real thing while a test runs;
production code has no hook for it.  `seeds_max` says within how many seeds, counted from 0, it must be found; that is
some times what it took, as every change of production code makes other runs of the same seeds.

`focus` narrows a seed's own plan to where the fault can show, which saves time and nothing else: all that is narrowed
is drawn by seeds without it, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from lfsql.core import consensus, matching
from lfsql.core.consensus import Consensus
from lfsql.core.durability import Durability
from lfsql.core.effects import HardState, Persist, Send
from lfsql.core.entry import Record
from lfsql.core.ids import Index, NodeId, Position
from lfsql.core.inquiry import Inquiry
from lfsql.core.leadership import Leadership
from lfsql.core.log import LogTail
from lfsql.core.membership import Configuration
from lfsql.core.messages import Accept, Append, Mismatch
from lfsql.core.replication import Progress, Replicator
from lfsql.core.rounds import Rounds
from lfsql.node import carrying, log_keeping, rebuilding
from lfsql.node.batch import Ran
from lfsql.node.carrying import Carrier, encode_state
from lfsql.node.clients import Clients
from lfsql.node.ledger import Ledger, Promise, Waiting
from lfsql.storage.authorizer import INTERNAL
from lfsql.storage.determinism import StatementRandom
from lfsql.storage.engine import Engine
from lfsql.storage.installation import Installation
from lfsql.testing.simulator.network import Roughness
from lfsql.testing.simulator.node import Machine
from lfsql.testing.simulator.plan import SHAPES

Patch = tuple[Any, str, Any]
"""(owner, name of what is replaced, replacement)"""


class Planted(msgspec.Struct, frozen=True):
    name: str
    seeds_max: int
    patches: Callable[[], Sequence[Patch]]
    focus: dict[str, Any] = {}


# -- Elections ---------------------------------------------------------------------------------------------


def vote_not_persisted() -> list[Patch]:
    merge = carrying.merge

    def forget(batch: Sequence[Persist]) -> tuple[list[Record], Index | None, HardState | None]:
        records, truncate_from, state = merge(batch)
        return records, truncate_from, None if state is None else HardState(state.term, "", state.commit)

    return [(carrying, "merge", forget)]


def vote_told_before_it_is_on_disk() -> list[Patch]:
    return [(Consensus, "_vote_is_durable", property(lambda _self: True))]


def longer_log_wins() -> list[Patch]:
    def is_current(candidate: Position, own: Position) -> bool:
        return candidate.index >= own.index

    return [(consensus, "is_current", is_current)]


def any_log_wins() -> list[Patch]:
    return [(consensus, "is_current", lambda _candidate, _own: True)]


def vote_ignores_the_lease() -> list[Patch]:
    return [(Consensus, "_is_loyal", lambda _self, _sender, _message: False)]


def quorum_is_half() -> list[Patch]:
    return [(Configuration, "quorum", property(lambda self: max(len(self.electors) // 2, 1)))]


# -- The log -----------------------------------------------------------------------------------------------


def older_terms_committed_by_count() -> list[Patch]:
    def quorum_holds(self: Leadership, durable: Index) -> Index:
        matched = self.replicator.matched
        return int(self._configuration.reached(lambda node: durable if node == self._node else matched(node)))

    return [(Leadership, "quorum_holds", quorum_holds)]


def accepted_before_fsync() -> list[Patch]:
    def accept(self: Consensus, sender: NodeId, message: Append, end: Index) -> None:
        self._effects.append(Send(sender, Accept(self._term, message.round, end, end)))

    return [(Consensus, "_accept", accept)]


def matched_counts_memory() -> list[Patch]:
    accepted = Replicator.accepted

    def count(self: Replicator, node: NodeId, message: Accept, round_: int) -> None:
        accepted(self, node, msgspec.structs.replace(message, durable=message.index), round_)

    return [(Replicator, "accepted", count)]


def stale_append_truncates() -> list[Patch]:
    def take(log: LogTail, disk: Durability, records: Sequence[Record]) -> None:
        if records:
            if records[0].index <= log.last.index:
                log.truncate(records[0].index)
                disk.truncate(records[0].index)
            log.append(records)
            disk.append(records)

    return [(matching, "_take", take)]


def truncation_keeps_the_durable_index() -> list[Patch]:
    def truncate(self: Durability, first: Index) -> None:
        self._truncate_from = first

    return [(Durability, "truncate", truncate)]


def hint_off_by_one() -> list[Patch]:
    def mismatched(self: Replicator, node: NodeId, message: Mismatch, round_: int, commit: Index) -> None:
        progress = self._followers[node]
        if message.index > progress.matched:
            progress.probe_from(self._log.latest_of_term(message.hint, message.hint_term) + 2)
            self._ask(node, progress, round_, commit)

    return [(Replicator, "mismatched", mismatched)]


def learner_counts() -> list[Patch]:
    def reached(self: Configuration, value_of: Callable[[NodeId], float]) -> float:
        return sorted((value_of(member.node) for member in self.members), reverse=True)[self.quorum - 1]

    return [(Configuration, "reached", reached)]


def commit_beyond_what_matched() -> list[Patch]:
    append = Replicator._append
    receive = Consensus._append

    def send(
        self: Replicator,
        node: NodeId,
        progress: Progress,
        previous: Position,
        records: tuple[Record, ...],
        round_: int,
        commit: Index,
    ) -> None:
        emit = self._emit

        def with_all(effect: Any) -> None:
            emit(Send(node, msgspec.structs.replace(effect.message, commit=commit)))

        self._emit = with_all
        append(self, node, progress, previous, records, round_, commit)
        self._emit = emit

    def believe(self: Consensus, sender: NodeId, message: Append) -> None:
        receive(self, sender, message)
        if message.term == self._term and not self._leadership:
            self._commit = max(self._commit, min(message.commit, self._log.last.index))

    return [(Replicator, "_append", send), (Consensus, "_append", believe)]


def sends_overtake_the_fsync() -> list[Patch]:
    take_write = Carrier.take_write

    def take(self: Carrier) -> carrying.LogWrite:
        write = take_write(self)
        for persist in write.persists:
            for send in persist.then:
                self._send(send.to, send.message)
        return write

    return [(Carrier, "take_write", take)]


def merged_writes_keep_the_last_state_only() -> list[Patch]:
    merge = carrying.merge

    def keep_last(batch: Sequence[Persist]) -> tuple[list[Record], Index | None, HardState | None]:
        records, truncate_from, _ = merge(batch)
        return records, truncate_from, batch[-1].hard_state if batch else None

    return [(carrying, "merge", keep_last)]


def compacted_beyond_the_database() -> list[Patch]:
    removable = log_keeping.removable

    def all_old(
        segments: Any, now_ms: int, limits: Any, *, applied: Index, needed: Index, sending: Index | None
    ) -> Index:
        return removable(segments, now_ms, limits, applied=max(applied, needed), needed=needed, sending=sending)

    return [(log_keeping, "removable", all_old)]


def answers_of_earlier_terms_count() -> list[Patch]:
    receive = Consensus._append

    def answer(self: Consensus, sender: NodeId, message: Append) -> None:
        if message.term < self._term:
            self._answer(sender, Mismatch(self._term, message.round, message.previous.index, 0, 0))
        else:
            receive(self, sender, message)

    return [(Consensus, "_append", answer)]


# -- Snapshots ---------------------------------------------------------------------------------------------


def snapshot_without_its_members() -> list[Patch]:
    begin = rebuilding.begin_log_at

    async def begin_without(log: rebuilding.LogToBegin, position: Position, _configuration: bytes) -> None:
        await begin(log, position, b"")

    return [(rebuilding, "begin_log_at", begin_without)]


def snapshot_forgets_the_vote() -> list[Patch]:
    async def begin(log: rebuilding.LogToBegin, position: Position, configuration: bytes) -> None:
        state = encode_state(HardState(position.term, "", position.index))
        await log.begin_at(position, configuration=configuration, hard_state=state)

    return [(rebuilding, "begin_log_at", begin)]


def snapshot_leaves_the_log() -> list[Patch]:
    async def settle(_log: rebuilding.LogToBegin, _plan: Installation) -> None: ...

    return [(rebuilding, "settle", settle)]


def snapshot_keeps_a_log_that_contradicts_it() -> list[Patch]:
    async def holds(log: Any, position: Position) -> bool:
        return bool(position.index <= log.last.index)

    return [(rebuilding, "_holds", holds)]


def empty_data_is_taken_for_sound() -> list[Patch]:
    return [(rebuilding, "lacks", lambda _log, _applied: False)]


def compacted_past_a_copy_on_its_way() -> list[Patch]:
    removable = log_keeping.removable

    def regardless(*arguments: Any, sending: Index | None, **named: Any) -> Index:
        return removable(*arguments, **named, sending=None)

    return [(log_keeping, "removable", regardless)]


def snapshots_wait_for_the_term() -> list[Patch]:
    return [(Inquiry, "is_opening", property(lambda _self: False))]


# -- Linearizable reads ------------------------------------------------------------------------------------


def lease_survives_a_transfer() -> list[Patch]:
    hand_over = Leadership._hand_over

    def keep(self: Leadership, now: float) -> None:
        leased = self._leased
        hand_over(self, now)
        self._leased = leased

    return [(Leadership, "_hand_over", keep)]


def reads_without_asking_a_quorum() -> list[Patch]:
    def read(self: Leadership, origin: NodeId, token: int, _now: float) -> None:
        if self._established:
            self._answer_read(origin, token, self._commit)
        else:
            self._refuse_read(origin, token, self._node)

    return [(Leadership, "read", read)]


def reads_before_the_first_record_of_the_term() -> list[Patch]:
    def read(self: Leadership, origin: NodeId, token: int, _now: float) -> None:
        self.rounds.wait(origin, token, self._commit)

    return [(Leadership, "read", read)]


def reads_take_the_current_round() -> list[Patch]:
    wait = Rounds.wait

    def sooner(self: Rounds, origin: NodeId, token: int, index: Index) -> None:
        wait(self, origin, token, index)
        newest = self._reads.pop()
        self._reads.append(msgspec.structs.replace(newest, round=self.confirmed))

    return [(Rounds, "wait", sooner)]


# -- Exactly once, and the database ------------------------------------------------------------------------


def acknowledged_before_the_quorum() -> list[Patch]:
    def add(self: Waiting, promise: Promise, *, logged: bool) -> None:
        promise.keep()

    return [(Waiting, "add", add)]


def recorded_outside_of_the_transaction() -> list[Patch]:
    commit = Engine.commit
    late: dict[int, list[tuple[Any, ...]]] = {}

    def commit_first(self: Engine, position: Position, indexes: Sequence[Index]) -> None:
        units = [
            (unit.client, unit.sequence, at, unit.result) for unit, at in zip(self._closed, indexes, strict=True)
        ]
        names = [unit.client for unit in self._closed]
        self._closed = [msgspec.structs.replace(unit, client="") for unit in self._closed]
        self._own_cursor.executemany(
            "INSERT OR REPLACE INTO _lfsql_clients VALUES (?, ?, ?, ?)",
            late.get(id(self), []),
            prepare_flags=INTERNAL,
        )
        late[id(self)] = [unit for unit, name in zip(units, names, strict=True) if name]
        commit(self, position, indexes)

    return [(Engine, "commit", commit_first)]


def nothing_is_looked_up() -> list[Patch]:
    return [(Engine, "look_up", lambda _self, _client, _sequence: None)]


def every_unit_is_taken_for_new() -> list[Patch]:
    return [(Clients, "is_new", lambda _self, _name, _sequence: True)]


def clients_are_remembered_over_terms() -> list[Patch]:
    return [(Clients, "new_term", lambda _self: None)]


def repetitions_in_flight_run_again() -> list[Patch]:
    def look_up(self: Engine, client: str, sequence: int) -> None:
        return None

    return [(Ledger, "repetition", lambda _self, _work: None), (Engine, "look_up", look_up)]


def layers_miscounted() -> list[Patch]:
    log = Ledger.log

    def without_pieces(self: Ledger, layer: Sequence[Ran], first: Index, top: Position) -> None:
        log(self, layer, first, top)
        if self.stack.unit_indexes and sum(len(ran.bodies) for ran in layer) > len(layer):
            self.stack.unit_indexes[-1] = first

    return [(Ledger, "log", without_pieces)]


def chance_differs_between_nodes() -> list[Patch]:
    restart = StatementRandom.restart

    def differently(self: StatementRandom, seed: int, statement: int, read: int = 0) -> None:
        restart(self, seed ^ id(self), statement, read)

    return [(StatementRandom, "restart", differently)]


BUSY = {"clients": 6, "think_max": 0.02, "spares": ()}
ISOLATED = {**BUSY, "faults": ("primary isolated", "primary paused"), "writes": (0.05, 0.5)}
TRANSFERRED = {**BUSY, "faults": ("transfer and isolation",), "writes": (0.05, 0.5), "lease": 0.3}
HALF_HEARD = {
    **BUSY,
    "shape": "three",
    "members": SHAPES["three"],
    "pauses": (0.3, 0.8),
    "core_only": False,
    "faults": ("cut in two places", "cut one way"),
    "writes": (0.02,),
    "lease": 0.3,
    "roughness": Roughness(lost=0.02, delay_max=0.02),
}
LEARNER_AMONG_FOUR = {"shape": "learner", "members": SHAPES["learner"]}
KILLED = {**BUSY, "faults": ("kill", "power", "power of all", "primary isolated", "cut in two places", "pause")}

CROWNED_AGAIN = {
    **BUSY,
    "shape": "three",
    "members": SHAPES["three"],
    "pauses": (0.1, 0.4),
    "core_only": False,
    "faults": ("primary isolated", "power of all", "kill"),
    "writes": (0.9,),
}
SLOWLY_WRITTEN = {**CROWNED_AGAIN, "pauses": (0.01, 0.05, 0.3), "machine": Machine(fsync_max=0.3)}
LEFT_BEHIND = {**BUSY, "core_only": False, "faults": ("left behind", "compaction", "kill", "primary isolated")}
JOINED = {**LEFT_BEHIND, "spares": ("s1", "s2"), "faults": ("members change", "left behind", "compaction", "kill")}
QUORUM_LEFT = {
    **LEFT_BEHIND,
    "core_only": True,
    "shape": "three",
    "members": SHAPES["three"],
    "pauses": (0.005, 0.02),
    "faults": ("left behind", "power of all"),
}
LOST = {**LEFT_BEHIND, "faults": ("data lost", "compaction", "kill")}
COMPACTED = {**BUSY, "faults": ("compaction", "power", "power of all")}

PLANTED = (
    Planted("vote not persisted", 10, vote_not_persisted),
    Planted("vote told before it is on disk", 10, vote_told_before_it_is_on_disk),
    Planted("the longer log wins", 200, longer_log_wins, CROWNED_AGAIN),
    Planted("any log wins", 100, any_log_wins),
    Planted("a vote ignores the lease", 400, vote_ignores_the_lease, HALF_HEARD),
    Planted("half is a quorum", 50, quorum_is_half),
    Planted("older terms committed by count", 50, older_terms_committed_by_count),
    Planted("accepted before fsync", 10, accepted_before_fsync),
    Planted("matched counts what is in memory", 300, matched_counts_memory, SLOWLY_WRITTEN),
    Planted("a stale append truncates", 200, stale_append_truncates),
    Planted("a truncation keeps the durable index", 100, truncation_keeps_the_durable_index),
    Planted("conflict hint off by one", 50, hint_off_by_one),
    Planted("a learner counts", 100, learner_counts, {**KILLED, **LEARNER_AMONG_FOUR}),
    Planted("commit beyond what matched", 100, commit_beyond_what_matched),
    Planted("sends overtake the fsync", 10, sends_overtake_the_fsync),
    Planted("merged writes keep the last hard state only", 100, merged_writes_keep_the_last_state_only),
    Planted("compacted beyond the database", 100, compacted_beyond_the_database, COMPACTED),
    Planted("answers to an earlier term's messages count", 20, answers_of_earlier_terms_count),
    Planted("a snapshot without its members", 20, snapshot_without_its_members, JOINED),
    Planted("a snapshot forgets the vote", 20, snapshot_forgets_the_vote, LEFT_BEHIND),
    Planted("a snapshot leaves the log as it is", 20, snapshot_leaves_the_log, LEFT_BEHIND),
    Planted("a snapshot keeps a log that contradicts it", 300, snapshot_keeps_a_log_that_contradicts_it, LEFT_BEHIND),
    Planted("empty data is taken for sound", 50, empty_data_is_taken_for_sound, LOST),
    Planted("compacted past a copy on its way", 100, compacted_past_a_copy_on_its_way, LEFT_BEHIND),
    Planted("snapshots wait for a record that waits", 30, snapshots_wait_for_the_term, QUORUM_LEFT),
    Planted("a lease survives a transfer", 400, lease_survives_a_transfer, TRANSFERRED),
    Planted("reads without asking a quorum", 200, reads_without_asking_a_quorum, ISOLATED),
    Planted("reads before the first record of the term", 200, reads_before_the_first_record_of_the_term, ISOLATED),
    Planted("reads take the current round", 200, reads_take_the_current_round, ISOLATED),
    Planted("acknowledged before the quorum", 10, acknowledged_before_the_quorum),
    Planted("recorded outside of the transaction", 10, recorded_outside_of_the_transaction),
    Planted("nothing is looked up", 50, nothing_is_looked_up),
    Planted("every unit is taken for new", 50, every_unit_is_taken_for_new),
    Planted("clients are remembered over terms", 500, clients_are_remembered_over_terms, KILLED),
    Planted("repetitions in flight run again", 50, repetitions_in_flight_run_again),
    Planted("layers miscounted", 50, layers_miscounted),
    Planted("chance differs between nodes", 10, chance_differs_between_nodes),
)
