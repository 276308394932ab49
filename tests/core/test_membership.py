"""Members change by records: in force when appended, undone when cut off, one at a time."""

from __future__ import annotations

from math import inf

import msgspec
import pytest

from lfsql.core.effects import (
    CHANGING,
    TRANSFERRING,
    BecamePrimary,
    Committed,
    Compacted,
    Effect,
    MembersChanged,
    PeerFaulty,
    PeerLost,
    ProposalRefused,
    Propose,
    Proposed,
    ReadConfirmed,
    ReadIndex,
    Restored,
    SteppedDown,
)
from lfsql.core.entry import CONFIGURATION, UNIT, Record
from lfsql.core.handover import GAP_RECORDS_MAX
from lfsql.core.ids import Position
from lfsql.core.log import extend, position_of
from lfsql.core.membership import (
    LEARNER,
    MEMBERS_MAX,
    VOTER,
    WITNESS,
    Configuration,
    ConfigurationHistory,
    Member,
    change_fault,
    decode_configuration,
    encode_configuration,
)
from lfsql.core.messages import Append, Mismatch, RequestVote, TimeoutNow, Vote
from lfsql.errors import ConfigError, DataCorrupted
from tests.core.lone import START, THREE, Lone, every, messages, only, records, restored

OLD = Configuration(THREE)
WITH_LEARNER = OLD.with_member(Member("n4", LEARNER, becomes=VOTER))
WITH_FOUR = OLD.with_member(Member("n4"))
WITHOUT_ONE = OLD.without("n1")
WITHOUT_THREE = OLD.without("n3")


def body(configuration: Configuration) -> tuple[int, bytes]:
    return CONFIGURATION, encode_configuration(configuration)


def change(node: Lone, configuration: Configuration) -> tuple[Effect, ...]:
    return node.step(Propose(node.consensus.term, (body(configuration),)))


def leading(members: tuple[Member, ...] = THREE) -> Lone:
    """A primary that all others answer, all of them level."""
    node = Lone(members=members)
    node.lead()
    beats = messages(node.wait(0.1), Append)
    for member in members:
        if member.node != "n1":
            node.accept(member.node, round_=beats[-1].round)
    return node


def changing(*steps: Configuration, after: Position = START) -> tuple[Record, ...]:
    return extend(after, 1, tuple(map(body, steps)))


# -- Values ------------------------------------------------------------------------------------------------


def test_a_configuration_survives_its_encoding() -> None:
    assert decode_configuration(encode_configuration(WITH_LEARNER)) == WITH_LEARNER


@pytest.mark.parametrize("bytes_", [b"", b"\xc1", b"\x91\x90", msgspec.msgpack.encode([[["n1", 1]]])])
def test_what_is_no_configuration_is_told(bytes_: bytes) -> None:
    with pytest.raises(ValueError, match="not a configuration"):
        decode_configuration(bytes_)


def test_members_are_limited_in_number() -> None:
    with pytest.raises(ConfigError, match="at most"):
        Configuration(tuple(Member(f"n{n}") for n in range(MEMBERS_MAX + 1)))


@pytest.mark.parametrize(
    ("after", "fault"),
    [
        (OLD, "nothing"),
        (WITHOUT_THREE.without("n2"), "n2 and n3 would come or go"),
        (WITHOUT_THREE.with_member(Member("n4", LEARNER)).with_member(Member("n1", LEARNER)), "n1 and n3 would"),
        (WITH_FOUR, "'n4' must come as a learner"),
        (OLD.with_member(Member("n3", WITNESS)), "'n3' cannot turn"),
        (OLD.with_member(Member("n3", LEARNER, becomes=WITNESS)), "'n3' cannot turn"),
        (WITH_LEARNER, ""),
        (WITHOUT_THREE, ""),
        (OLD.with_member(Member("n3", LEARNER)), ""),
        (OLD.with_member(Member("n3", priority=7)), ""),
    ],
)
def test_one_change_of_one_vote_at_a_time(after: Configuration, fault: str) -> None:
    assert fault in change_fault(OLD, after)
    assert bool(fault) == bool(change_fault(OLD, after))


def test_a_history_tells_what_was_in_force_where() -> None:
    history = ConfigurationHistory(OLD, [(3, WITH_LEARNER)])
    history.append([*records(1, 1), *changing(WITHOUT_THREE, after=Position(6))])
    assert [history.at(index) for index in (0, 2, 3, 6, 7, 99)] == [
        OLD,
        OLD,
        WITH_LEARNER,
        WITH_LEARNER,
        WITHOUT_THREE,
        WITHOUT_THREE,
    ]
    assert (history.current, history.index) == (WITHOUT_THREE, 7)
    assert list(history.since(2)) == [OLD, WITH_LEARNER, WITHOUT_THREE]
    assert list(history.since(3)) == [WITH_LEARNER, WITHOUT_THREE]
    history.compact(5)
    assert history.at(0) == history.at(3) == WITH_LEARNER
    history.truncate(7)
    assert (history.current, history.index) == (WITH_LEARNER, 3)


# -- Followers ---------------------------------------------------------------------------------------------


def test_members_are_in_force_when_appended_and_not_when_cut_off() -> None:
    node = Lone()
    log = changing(WITH_LEARNER)
    assert only(node.follow(*log), MembersChanged).configuration == WITH_LEARNER
    assert node.consensus.configuration == WITH_LEARNER
    (other,) = records(2)
    assert only(node.hear("n3", Append(2, Position(), (other,), 0, 1)), MembersChanged).configuration == OLD
    assert node.consensus.configuration == OLD


def test_two_changes_can_be_cut_off_at_once() -> None:
    """A node that was started again does not know that the first is committed, and its primary may be behind both."""
    node = Lone(restored(*changing(WITH_LEARNER, WITH_LEARNER.without("n3")), term=1))
    assert node.consensus.configuration == WITH_LEARNER.without("n3")
    (other,) = records(2)
    effects = node.hear("n2", Append(2, Position(), (other,), 0, 1))
    assert only(effects, MembersChanged).configuration == OLD
    assert node.consensus.configuration == OLD
    assert node.consensus.configuration_index_at(1) == 0


def test_members_are_found_again_after_a_restart() -> None:
    log = (*records(1), *changing(WITH_LEARNER, after=position_of(records(1)[0])))
    assert Lone(restored(*log)).consensus.configuration == WITH_LEARNER
    old = Restored(
        restored(*log).hard_state, floor=position_of(log[1]), commit=2, configurations=((2, WITH_LEARNER),)
    )
    node = Lone(old)
    assert node.consensus.configuration == WITH_LEARNER
    assert node.consensus.configuration_at(1) == OLD
    node.step(Compacted(position_of(log[1])))
    assert node.consensus.configuration_at(2) == WITH_LEARNER


def test_a_log_that_names_no_members_where_it_should_is_damaged() -> None:
    log = extend(Position(), 1, ((CONFIGURATION, b"\xc1"),))
    with pytest.raises(DataCorrupted, match="names no members"):
        Lone(restored(*log))
    node = Lone()
    assert "names no members" in only(node.follow(*log), PeerFaulty).reason
    assert node.consensus.last == Position()


def test_a_new_node_waits_until_the_log_makes_it_a_member() -> None:
    node = Lone(node="n4")
    log = changing(WITH_LEARNER)
    node.follow(*log, commit=1)
    assert (node.consensus.role, node.consensus.deadline) == ("learner", inf)
    promoted = changing(WITH_FOUR, after=position_of(log[0]))
    node.follow(*promoted, after=position_of(log[0]))
    assert node.consensus.role == "replica"
    assert node.consensus.deadline < inf


def test_whose_vote_goes_stands_until_that_is_committed() -> None:
    """The record that takes its vote may be on its disk alone: then nobody else can be elected."""
    pair = (Member("n1"), Member("n2"))
    log = changing(Configuration((Member("n2"),)))
    node = Lone(restored(*log), members=pair)
    assert node.consensus.deadline < inf
    node.now = node.consensus.deadline
    effects = node.wait(0)
    assert [ballot.pre for ballot in messages(effects, RequestVote, "n2")] == [True]
    node.hear("n2", Vote(1, 2, granted=True, pre=True))
    node.hear("n2", Vote(2, 2, granted=True))
    assert node.consensus.role == "primary"
    assert only(node.accept("n2"), Committed).index == 2
    lone = Lone(restored(*log, commit=1), members=pair)
    assert lone.consensus.deadline == inf


# -- Primaries ---------------------------------------------------------------------------------------------


def test_a_learner_comes_and_is_promoted_once_it_has_caught_up() -> None:
    node = leading()
    effects = change(node, WITH_LEARNER)
    assert only(effects, Proposed) == Proposed(2, 2)
    assert only(effects, MembersChanged).configuration == WITH_LEARNER
    node.accept("n2")
    assert node.consensus.committed == 2
    assert "has not caught up" in only(change(node, WITH_FOUR), ProposalRefused).reason
    (beat,) = messages(node.wait(0.1), Append, "n4")
    node.hear("n4", Mismatch(1, beat.round, beat.previous.index, 0, 0))
    assert not node.consensus.is_level("n4")
    assert messages(node.accept("n4", 0, round_=beat.round), Append, "n4")
    node.accept("n4", round_=beat.round)
    node.accept("n2", round_=beat.round)
    assert node.consensus.is_level("n4")
    assert only(change(node, WITH_FOUR), Proposed)
    # From now on three of four decide.
    node.accept("n2")
    assert node.consensus.committed == 2
    node.accept("n4")
    assert node.consensus.committed == 3


def test_a_learner_that_has_only_begun_or_is_silent_gets_no_vote() -> None:
    """Its vote would count for the quorum from that moment on, and it could not give it for a while."""
    node = leading((*THREE, Member("n4", LEARNER, becomes=VOTER)))
    assert node.consensus.is_level("n4")
    for _ in range(GAP_RECORDS_MAX + 1):
        node.step(Propose(1, ((UNIT, b""),)))
    node.accept("n2")
    assert not node.consensus.is_level("n4"), "it has not what came since"
    assert "has not caught up" in only(change(node, WITH_FOUR), ProposalRefused).reason
    beat = messages(node.wait(0.1), Append, "n2")[-1]
    node.accept("n4")
    node.accept("n2", round_=beat.round)
    assert not node.consensus.is_level("n4"), "it did not answer when it was last asked"
    node.accept("n4", round_=beat.round)
    assert node.consensus.is_level("n4")


def test_a_second_change_waits_for_the_first() -> None:
    node = leading()
    change(node, WITH_LEARNER)
    assert only(change(node, WITHOUT_THREE), ProposalRefused).reason == CHANGING
    node.accept("n3")
    assert only(change(node, WITH_LEARNER.without("n3")), Proposed)


def test_no_change_before_the_noop_is_committed() -> None:
    """Else two primaries in a row could each add another node, and both find majorities."""
    node = Lone()
    node.win()
    refused = only(change(node, WITH_LEARNER), ProposalRefused)
    assert refused.reason == "not primary"


def test_a_change_is_proposed_alone_and_must_be_one() -> None:
    node = leading()
    both = node.step(Propose(1, (body(WITH_LEARNER), (UNIT, b""))))
    assert "alone" in only(both, ProposalRefused).reason
    assert "not a configuration" in only(node.step(Propose(1, ((CONFIGURATION, b""),))), ProposalRefused).reason
    assert "would change nothing" in only(change(node, OLD), ProposalRefused).reason


def test_a_change_after_which_no_majority_answers_is_refused() -> None:
    """It could not be committed, and not be taken back either."""
    node = Lone()
    node.lead()
    (beat, *_) = messages(node.wait(0.1), Append, "n2")
    node.accept("n2", round_=beat.round)
    assert "only 1 of the 2" in only(change(node, OLD.without("n2")), ProposalRefused).reason
    assert only(change(node, WITHOUT_THREE), Proposed)


def test_who_leaves_is_told_before_it_is_left_alone() -> None:
    node = leading()
    effects = change(node, WITHOUT_THREE)
    (append,) = messages(effects, Append, "n3")
    assert append.records[-1].kind == CONFIGURATION
    node.accept("n3")
    assert messages(node.accept("n2"), Append, "n3")[-1].commit == 2
    assert not messages(node.wait(0.1), Append, "n3")


def test_who_leaves_and_is_gone_is_left_alone() -> None:
    node = leading()
    change(node, WITHOUT_THREE)
    node.step(PeerLost("n3"))
    assert not messages(node.wait(0.1), Append, "n3")
    assert messages(node.wait(0.1), Append, "n2")


def test_a_primary_that_leaves_commits_that_without_itself_and_hands_over() -> None:
    node = leading()
    change(node, WITHOUT_ONE)
    node.accept("n2")
    assert node.consensus.committed == 1
    effects = node.accept("n3")
    assert only(effects, Committed).index == 2
    assert messages(effects, TimeoutNow) == [TimeoutNow(1)]
    refused = only(node.step(Propose(1, ((UNIT, b"late"),))), ProposalRefused)
    assert refused.reason == TRANSFERRING
    # Nobody takes it: it goes all the same, and does not come back.
    assert only(node.wait(0.3), SteppedDown)
    assert node.consensus.deadline == inf


def test_who_has_left_confirms_no_read() -> None:
    """Reads are confirmed by the electors in force, as commits are."""
    node = leading()
    change(node, WITHOUT_THREE)
    (beat,) = messages(node.step(ReadIndex(7)), Append, "n3")
    assert not every(node.accept("n3", 1, round_=beat.round), ReadConfirmed)
    assert only(node.accept("n2", 1, round_=beat.round), ReadConfirmed) == ReadConfirmed(7, 1)


def test_a_single_node_grows_to_two() -> None:
    one = (Member("n1"),)
    node = Lone(members=one)
    node.now = node.consensus.deadline
    assert only(node.wait(0), BecamePrimary)
    pair = Configuration((Member("n1"), Member("n2", LEARNER, becomes=VOTER)))
    assert only(change(node, pair), Committed).index == 2
    (beat,) = messages(node.wait(0.1), Append, "n2")
    node.accept("n2", round_=beat.round)
    voters = Configuration((Member("n1"), Member("n2")))
    assert not every(change(node, voters), Committed)
    assert only(node.accept("n2"), Committed).index == 3
