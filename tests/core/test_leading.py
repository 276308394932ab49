"""A primary: what it appends, sends, counts, and when it calls something committed."""

from __future__ import annotations

import msgspec
import pytest

from lfsql.core.effects import (
    BACKLOG_FULL,
    NOT_PRIMARY,
    TOO_LARGE,
    TRANSFERRING,
    Committed,
    Compacted,
    Effect,
    LogRead,
    NeedSnapshot,
    PeerConnected,
    PeerFaulty,
    PeerLost,
    Persist,
    ProposalRefused,
    Propose,
    Proposed,
    ReadLog,
    Restored,
    Send,
    Transfer,
)
from lfsql.core.entry import UNIT
from lfsql.core.ids import Position
from lfsql.core.log import position_of
from lfsql.core.membership import Member
from lfsql.core.messages import Accept, Append, Mismatch
from lfsql.core.settings import ConsensusSettings
from lfsql.errors import InvariantBroken
from tests.core.lone import THREE, Lone, every, messages, only, records, restored

SMALL = ConsensusSettings(
    message_bytes_max=300,
    in_flight_bytes_max=600,
    record_bytes_max=400,
    tail_bytes_max=1000,
    uncommitted_bytes_max=2000,
)


def propose(node: Lone, *bodies: bytes) -> tuple[Effect, ...]:
    return node.step(Propose(node.consensus.term, tuple((UNIT, body) for body in bodies)))


# -- Committing --------------------------------------------------------------------------------------------


def test_a_proposal_streams_while_it_is_written() -> None:
    node = Lone()
    node.lead()
    node.writes = False
    effects = propose(node, b"a", b"b")
    kinds = [type(effect) for effect in effects]
    assert kinds == [Proposed, Send, Persist]
    assert effects[0] == Proposed(2, 3)
    (append,) = messages(effects, Append, "n2")
    assert [record.body for record in append.records] == [b"a", b"b"]
    assert only(effects, Persist).records == append.records
    assert only(effects, Persist).then == ()


def test_a_primary_counts_itself_only_when_its_disk_has_it() -> None:
    node = Lone()
    node.lead()
    node.writes = False
    propose(node, b"a")
    node.accept("n2")
    assert node.consensus.commit_index == 1
    assert only(node.finish(), Committed) == Committed(2)


def test_a_single_node_commits_only_when_its_disk_has_it() -> None:
    node = Lone(members=(Member("n1"),))
    node.wait(0.6)
    node.writes = False
    assert not every(propose(node, b"a"), Committed)
    assert only(node.finish(), Committed) == Committed(2)


def test_a_quorum_without_the_primary_commits_but_it_applies_only_what_it_holds() -> None:
    node = Lone()
    node.lead()
    node.writes = False
    propose(node, b"a")
    node.accept("n2")
    effects = node.accept("n3")
    assert node.consensus.commit_index == 2
    assert not every(effects, Committed)
    assert only(node.finish(), Committed) == Committed(2)


def test_answers_about_memory_are_not_counted() -> None:
    node = Lone()
    node.lead()
    propose(node, b"a")
    node.hear("n2", Accept(1, 1, 2, 1))
    assert node.consensus.commit_index == 1


def test_learners_are_not_counted() -> None:
    node = Lone(members=(*THREE, Member("n4", 1)))
    node.lead()
    propose(node, b"a")
    node.accept("n4")
    assert node.consensus.commit_index == 1
    assert node.consensus.matched("n4") == 2


def test_late_answers_take_nothing_back() -> None:
    node = Lone()
    node.lead()
    propose(node, b"a")
    node.accept("n2")
    node.accept("n2", 1)
    assert node.consensus.matched("n2") == 2
    assert node.consensus.matched("n1") == 2
    assert node.consensus.matched("n9") == 0


def test_records_of_earlier_terms_are_committed_only_by_one_of_its_own() -> None:
    """Figure 8 of the Raft paper: a quorum may hold such a record, and it may still be replaced."""
    node = Lone(restored(*records(1, 2)))
    node.win()
    node.accept("n2", 2)
    assert node.consensus.matched("n2") == 2
    assert node.consensus.commit_index == 0
    assert only(node.accept("n2", 3), Committed) == Committed(3)


def test_a_commit_is_told_at_once_to_those_that_would_not_hear_it() -> None:
    node = Lone()
    node.lead()
    node.accept("n3")
    propose(node, b"a")
    effects = node.accept("n2")
    for other in ("n2", "n3"):
        (news,) = messages(effects, Append, other)
        assert (news.records, news.commit, news.round) == ((), 2, 0)
    assert not messages(node.accept("n3"), Append)


def test_a_commit_rides_on_the_next_records() -> None:
    node = Lone()
    node.lead()
    node.accept("n3")
    propose(node, b"a")
    node.accept("n2")
    (append,) = messages(propose(node, b"b"), Append, "n2")
    assert append.commit == 2


def test_proposals_are_refused_unless_ready_in_their_term() -> None:
    node = Lone()
    assert propose(node, b"a") == (ProposalRefused(NOT_PRIMARY, ""),)
    node.win()
    assert propose(node, b"a") == (ProposalRefused(NOT_PRIMARY, "n1"),)
    node.accept("n2")
    assert node.step(Propose(0, ((UNIT, b"a"),))) == (ProposalRefused(NOT_PRIMARY, "n1"),)
    node.hear("n3", Append(2, Position(), (), 0, 1))
    assert propose(node, b"a") == (ProposalRefused(NOT_PRIMARY, "n3"),)


def test_proposals_are_bounded() -> None:
    node = Lone(settings=SMALL)
    node.lead()
    assert propose(node, b"x" * 401) == (ProposalRefused(TOO_LARGE, "n1"),)
    assert propose(node, *[b"x" * 400] * 5) == (ProposalRefused(TOO_LARGE, "n1"),)
    assert isinstance(propose(node, *[b"x" * 400] * 4)[0], Proposed)
    assert propose(node, b"x" * 400) == (ProposalRefused(BACKLOG_FULL, "n1"),)
    node.accept("n2")
    assert isinstance(propose(node, b"x" * 400)[0], Proposed)


def test_proposals_wait_for_a_transfer_and_resume_when_it_fails() -> None:
    node = Lone()
    node.lead()
    node.step(Transfer("n3"))
    assert propose(node, b"a") == (ProposalRefused(TRANSFERRING, "n1"),)
    for _ in range(9):
        (beat,) = messages(node.wait(0.1), Append, "n2")
        node.accept("n2", round_=beat.round)
    assert isinstance(propose(node, b"a")[0], Proposed)


# -- Sending -----------------------------------------------------------------------------------------------


def test_a_new_primary_probes_from_its_end() -> None:
    node = Lone(restored(*records(1, 1)))
    effects = node.win()
    probes = messages(effects, Append)
    assert len(probes) == 2
    assert {(probe.previous.index, probe.records, probe.round) for probe in probes} == {(2, (), 1)}


def test_nothing_streams_before_the_place_is_known() -> None:
    node = Lone()
    node.win()
    assert not messages(node.step(PeerLost("n3")), Append)
    (append,) = [m for m in messages(node.accept("n3", 0), Append, "n3") if m.records]
    assert append.records[0].index == 1


def test_a_mismatch_is_followed_to_the_common_point_by_terms() -> None:
    own = records(1, 1, 3, 3, 3)
    node = Lone(restored(*own))
    node.win()
    (probe,) = messages(node.hear("n2", Mismatch(4, 1, 5, 4, 2)), Append, "n2")
    assert probe.previous == position_of(own[1])
    effects = node.hear("n2", Accept(4, 1, 2, 2))
    (append,) = messages(effects, Append, "n2")
    assert append.previous == position_of(own[1])
    assert [record.index for record in append.records] == [3, 4, 5, 6]


def test_a_stale_mismatch_is_ignored() -> None:
    node = Lone()
    node.lead()
    assert node.hear("n2", Mismatch(1, 1, 1, 0, 0)) == ()
    assert node.hear("n3", Mismatch(1, 1, 7, 0, 0)) == ()


def test_a_follower_that_lacks_what_it_had_acknowledged_is_reported() -> None:
    """Somebody put an older copy of its log in place: it would never get on, and nobody would say so."""
    node = Lone()
    node.lead()
    propose(node, b"kept")
    node.accept("n2", 2)
    node.step(PeerLost("n2"))
    (probe,) = messages(node.step(PeerConnected("n2")), Append, "n2")
    assert probe.previous.index == 2
    assert not every(node.hear("n2", Mismatch(1, probe.round, 2, 1, 1)), PeerFaulty), "it may have been asked before"
    (beat,) = messages(node.wait(0.15), Append, "n2")
    (faulty,) = every(node.hear("n2", Mismatch(1, beat.round, 2, 1, 1)), PeerFaulty)
    assert (faulty.node, faulty.lasting) == ("n2", True)
    assert "acknowledged record 2" in faulty.reason


def test_a_gap_in_the_stream_is_found_by_the_next_heartbeat() -> None:
    node = Lone()
    node.lead()
    propose(node, b"lost")
    (beat,) = messages(node.wait(0.1), Append, "n2")
    assert beat.previous.index == 2
    (probe,) = messages(node.hear("n2", Mismatch(1, beat.round, 2, 1, 1)), Append, "n2")
    assert (probe.previous.index, probe.records) == (1, ())
    (again,) = messages(node.accept("n2", 1), Append, "n2")
    assert [record.body for record in again.records] == [b"lost"]


def test_messages_and_what_is_in_flight_are_bounded() -> None:
    node = Lone(settings=SMALL)
    node.lead()
    effects = propose(node, *[b"x" * 100] * 8)
    sent = [[record.index for record in append.records] for append in messages(effects, Append, "n2")]
    assert sent == [[2], [3], [4], [5]]
    effects = node.accept("n2", 2)
    sent = [[record.index for record in append.records] for append in messages(effects, Append, "n2")]
    assert [6] in sent
    assert [7] not in sent


def test_a_record_over_the_message_bound_goes_alone() -> None:
    node = Lone(settings=SMALL)
    node.lead()
    effects = propose(node, b"x" * 400, b"y")
    assert [len(append.records) for append in messages(effects, Append, "n2")] == [1, 1]


def test_the_number_of_messages_in_flight_is_bounded() -> None:
    node = Lone(settings=msgspec.structs.replace(SMALL, in_flight_messages_max=2, in_flight_bytes_max=10**6))
    node.lead()
    assert len(messages(propose(node, *[b"x" * 200] * 4), Append, "n2")) == 2


def test_a_new_link_is_probed_and_resent_what_the_old_one_lost() -> None:
    node = Lone()
    node.lead()
    propose(node, b"a")
    node.step(PeerLost("n2"))
    assert not messages(propose(node, b"b"), Append, "n2")
    (probe,) = messages(node.step(PeerConnected("n2")), Append, "n2")
    assert (probe.previous.index, probe.records) == (1, ())
    (append,) = messages(node.accept("n2", 1), Append, "n2")
    assert [record.index for record in append.records] == [2, 3]


def test_strangers_are_not_answered() -> None:
    node = Lone()
    node.lead()
    assert node.hear("n9", Accept(1, 1, 1, 1)) == ()
    assert node.step(PeerConnected("n9")) == ()
    assert node.step(PeerLost("n9")) == ()
    assert node.step(LogRead("n9", 1, ())) == ()


# -- Records that are no longer in memory ------------------------------------------------------------------


def old(length: int) -> Restored:
    """A log of which only the last record is in memory."""
    log = records(*[1] * length)
    return msgspec.structs.replace(restored(*log, commit=length), floor=position_of(log[-2]), records=log[-1:])


def test_a_follower_far_behind_is_served_from_disk() -> None:
    log = records(*[1] * 10)
    node = Lone(old(10))
    node.win()
    (probe,) = messages(node.hear("n2", Mismatch(2, 1, 10, 3, 1)), Append, "n2")
    assert (probe.previous, probe.records) == (Position(), ())
    effects = node.accept("n2", 3)
    assert only(effects, ReadLog) == ReadLog("n2", 3, 9, node.consensus._settings.message_bytes_max)
    assert not messages(effects, Append, "n2")
    effects = node.step(LogRead("n2", 3, log[2:6]))
    (append,) = messages(effects, Append, "n2")
    assert (append.previous, append.records) == (position_of(log[2]), log[3:6])
    assert only(effects, ReadLog).first == 7
    effects = node.step(LogRead("n2", 7, log[6:9]))
    assert [[record.index for record in append.records] for append in messages(effects, Append, "n2")] == [
        [7, 8, 9],
        [10, 11],
    ]


def test_a_large_record_before_the_first_wanted_does_not_stop_the_reading() -> None:
    log = records(*[1] * 10)
    node = Lone(old(10))
    node.win()
    node.accept("n2", 3)
    effects = node.step(LogRead("n2", 3, log[2:3]))
    assert only(effects, ReadLog).first == 4
    (append,) = messages(node.step(LogRead("n2", 4, log[3:5])), Append, "n2")
    assert append.previous == position_of(log[2])


def test_a_new_follower_is_served_from_the_first_record() -> None:
    node = Lone(old(4))
    node.win()
    assert only(node.accept("n2", 0), ReadLog).first == 1


def test_a_reading_that_nobody_waits_for_is_dropped() -> None:
    log = records(*[1] * 10)
    node = Lone(old(10))
    assert node.step(LogRead("n2", 3, log[2:])) == ()
    node.win()
    node.accept("n2", 3)
    assert node.step(LogRead("n2", 2, log[1:])) == ()
    node.step(PeerLost("n2"))
    assert node.step(LogRead("n2", 3, log[2:])) == ()


def test_a_reading_that_gives_nothing_is_a_broken_invariant() -> None:
    node = Lone(old(10))
    node.win()
    node.accept("n2", 3)
    with pytest.raises(InvariantBroken, match="from 3 gave nothing"):
        node.step(LogRead("n2", 3, ()))


def test_a_follower_behind_the_log_needs_a_snapshot_and_goes_on_from_it() -> None:
    log = records(*[1] * 10)
    node = Lone(msgspec.structs.replace(old(10), base=position_of(log[4])))
    node.win()
    effects = node.accept("n2", 3)
    assert only(effects, NeedSnapshot) == NeedSnapshot("n2")
    assert every(node.accept("n2", 3), NeedSnapshot), "it is told again: the first time it may not have heard"
    (beat,) = messages(node.wait(0.1), Append, "n2")
    assert (beat.previous, beat.records) == (Position(), ())
    assert only(node.hear("n2", Accept(2, 1, 0, 5)), ReadLog).first == 6


def test_compaction_during_a_reading_leads_to_a_snapshot() -> None:
    log = records(*[1] * 10)
    node = Lone(old(10))
    node.win()
    node.accept("n2", 3)
    node.step(Compacted(position_of(log[7])))
    assert only(node.step(LogRead("n2", 3, ())), NeedSnapshot) == NeedSnapshot("n2")


def test_only_what_is_committed_may_be_compacted() -> None:
    log = records(1, 1)
    node = Lone(restored(*log, commit=1))
    assert node.step(Compacted(position_of(log[0]))) == ()
    with pytest.raises(InvariantBroken, match="compacted up to 2"):
        node.step(Compacted(position_of(log[1])))
