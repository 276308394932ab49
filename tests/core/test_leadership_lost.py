"""What ends a primary's term, and what the others do about it."""

from __future__ import annotations

import pytest

from lfsql.core.effects import (
    BecamePrimary,
    HardState,
    PeerLost,
    Persist,
    PrimaryChanged,
    Propose,
    Restored,
    SteppedDown,
    Tick,
    Transfer,
)
from lfsql.core.election import LOST, OPEN, WON, Campaign, Timeouts
from lfsql.core.entry import UNIT
from lfsql.core.ids import Position
from lfsql.core.log import position_of
from lfsql.core.membership import LEARNER, VOTER, WITNESS, Configuration, Member
from lfsql.core.messages import Accept, Append, Mismatch, RequestVote, TimeoutNow, Vote
from lfsql.core.settings import ConsensusSettings
from lfsql.errors import DataCorrupted, InvariantBroken
from tests.core.lone import THREE, Lone, every, messages, only, records, restored

# -- Losing the primary ------------------------------------------------------------------------------------


def test_a_closed_link_to_the_primary_starts_an_election_at_once() -> None:
    node = Lone()
    node.follow()
    node.now = 0.01
    assert only(node.step(PeerLost("n2")), PrimaryChanged) == PrimaryChanged(1, "")
    assert node.consensus.deadline - node.now <= 0.03
    assert messages(node.wait(0.03), RequestVote, "n3") == [RequestVote(2, Position(), pre=True)]


def test_other_links_do_not_matter() -> None:
    node = Lone()
    node.follow()
    before = node.consensus.deadline
    assert node.step(PeerLost("n3")) == ()
    assert node.consensus.deadline == before


def test_others_that_notice_the_loss_later_are_asked_again_soon() -> None:
    node = Lone()
    node.follow()
    node.step(PeerLost("n2"))
    node.wait(0.03)
    for other in ("n2", "n3"):
        node.hear(other, Vote(1, 2, granted=False, pre=True))
    assert node.consensus.deadline - node.now < 0.21


def test_a_closed_link_does_not_break_a_promise_to_a_lease() -> None:
    node = Lone(settings=ConsensusSettings(lease=0.3))
    node.now = 1.0
    node.follow()
    node.step(PeerLost("n2"))
    assert 1.3 <= node.consensus.deadline <= 1.33
    node.now = 1.29
    assert not node.asked("n3", 2).granted
    node.now = 1.3
    assert node.asked("n3", 2).granted


def test_a_restart_does_not_break_a_promise_to_a_lease() -> None:
    node = Lone(restored(term=1), settings=ConsensusSettings(lease=0.3))
    node.now = 0.29
    assert not node.asked("n3", 2).granted
    node.now = 0.3
    assert node.asked("n3", 2).granted


def test_hearing_the_primary_again_ends_a_campaign() -> None:
    node = Lone()
    node.wait(0.6)
    node.follow(term=1)
    assert (node.consensus.role, node.consensus.primary) == ("replica", "n2")


def test_a_very_late_tick_waits_once_for_unread_messages() -> None:
    node = Lone()
    node.follow()
    node.now = 5.0
    assert node.step(Tick()) == ()
    assert node.consensus.deadline == pytest.approx(5.1)
    node.now = 6.0
    assert messages(node.step(Tick()), RequestVote)


def test_early_ticks_do_nothing() -> None:
    node = Lone()
    assert node.step(Tick()) == ()


# -- Losing leadership -------------------------------------------------------------------------------------


def test_a_primary_without_a_quorum_steps_down() -> None:
    node = Lone()
    node.lead()
    effects = node.wait(1.0)
    assert only(effects, SteppedDown) == SteppedDown(1, "")
    assert every(effects, PrimaryChanged)[0] == PrimaryChanged(1, "")
    assert node.consensus.term == 1


def test_a_primary_with_a_quorum_stays() -> None:
    node = Lone()
    node.lead()
    for _ in range(30):
        (beat,) = messages(node.wait(0.1), Append, "n2")
        node.accept("n2", round_=beat.round)
    assert node.consensus.ready
    assert node.now - node.consensus.confirmed_at < 0.11


def test_learners_do_not_keep_a_primary() -> None:
    node = Lone(members=(*THREE, Member("n4", LEARNER)))
    node.lead()
    for _ in range(10):
        beats = messages(node.wait(0.1), Append, "n4")
        if beats:
            node.accept("n4", round_=beats[-1].round)
    assert not node.consensus.ready


def test_a_primary_that_stood_still_gets_time_to_read_answers() -> None:
    node = Lone()
    node.lead()
    node.now += 5
    beats = messages(node.step(Tick()), Append, "n2")
    assert node.consensus.ready
    node.accept("n2", round_=beats[0].round)
    node.wait(0.5)
    assert node.consensus.ready


def test_a_primary_bears_the_silence_of_a_follower_that_takes_in_a_large_record() -> None:
    """Its answers come after the record: deposed meanwhile, no primary would ever get the record across."""
    node = Lone()
    node.lead()
    node.step(Propose(1, ((UNIT, b"x" * (8 << 20)),)))
    node.wait(1.5)
    assert node.consensus.ready
    node.wait(0.5)
    assert not node.consensus.ready, "it is borne for no longer than the record may take"


def test_a_primary_that_stood_still_and_is_alone_steps_down() -> None:
    node = Lone()
    node.lead()
    node.now += 5
    node.step(Tick())
    node.wait(0.31)
    assert not node.consensus.ready


@pytest.mark.parametrize("message", [Accept(9, 1, 1, 1), Mismatch(9, 1, 0, 0, 0), Vote(9, 1, granted=False)])
def test_a_primary_steps_down_for_a_higher_term(message: Accept | Mismatch | Vote) -> None:
    node = Lone()
    node.lead()
    effects = node.hear("n3", message)
    assert only(effects, SteppedDown) == SteppedDown(9, "")
    assert only(effects, Persist).hard_state == HardState(9, "", 1)


def test_a_primary_steps_down_for_a_newer_one() -> None:
    node = Lone()
    node.lead()
    effects = node.hear("n3", Append(2, Position(), (), 0, 1))
    assert only(effects, PrimaryChanged) == PrimaryChanged(2, "n3")
    assert only(effects, SteppedDown) == SteppedDown(2, "n3")


def test_stepping_down_before_being_ready_is_not_announced() -> None:
    node = Lone()
    node.win()
    assert not every(node.hear("n3", Append(2, Position(), (), 0, 1)), SteppedDown)


def test_stepping_down_within_a_term_keeps_the_vote() -> None:
    node = Lone()
    node.lead()
    node.wait(0.9)
    assert not node.asked("n2", 1, node.consensus.last).granted


def test_two_primaries_in_a_term_are_a_broken_invariant() -> None:
    node = Lone()
    node.lead()
    with pytest.raises(InvariantBroken, match="n3 is primary in term 1"):
        node.hear("n3", Append(1, Position(), (), 0, 1))


def test_a_deposed_primary_is_told() -> None:
    node = Lone(restored(term=5))
    (answer,) = messages(node.hear("n2", Append(4, Position(), (), 0, 1)), Mismatch)
    assert answer.term == 5
    assert node.consensus.primary == ""


def test_a_primary_again_takes_nothing_from_answers_to_its_earlier_term() -> None:
    """Its old message arrives late, at a node that has heard of the new term from others; and that node has all that
    the new term's log begins after, though it does not know yet that this is committed."""
    log = records(1, 1, 1, 1, 1)
    start = position_of(log[2])
    again = Lone(Restored(HardState(1), base=start, floor=start, records=log[3:], commit=3))
    (beat, *_) = messages(again.win(), Append, "n2")
    assert beat.previous == position_of(log[4])
    other = Lone(restored(*log[:3], term=2, commit=2), node="n2")
    (answer,) = messages(other.hear("n1", Append(1, beat.previous, (), 3, beat.round)), Mismatch)
    assert (answer.term, answer.round) == (2, 0)
    assert again.hear("n2", answer) == ()


# -- Transfer ----------------------------------------------------------------------------------------------


def test_a_transfer_waits_for_the_target_to_catch_up() -> None:
    node = Lone()
    node.lead()
    assert not messages(node.step(Transfer("n3")), TimeoutNow)
    assert messages(node.accept("n3"), TimeoutNow, "n3") == [TimeoutNow(1)]
    assert not messages(node.accept("n3"), TimeoutNow)


@pytest.mark.parametrize("target", ["n1", "n4", "n5", "n9"])
def test_a_transfer_goes_only_to_another_voter(target: str) -> None:
    node = Lone(members=(*THREE, Member("n4", LEARNER), Member("n5", WITNESS)))
    node.win()
    node.accept("n2")
    node.accept("n3")
    node.accept("n4")
    node.accept("n5")
    assert node.step(Transfer(target)) == ()


def test_a_transfer_by_a_node_that_is_not_primary_is_ignored() -> None:
    assert Lone().step(Transfer("n2")) == ()


def test_whoever_is_told_to_stand_does_so_without_a_pre_vote() -> None:
    node = Lone()
    node.follow()
    asked = messages(node.hear("n2", TimeoutNow(1)), RequestVote)
    assert asked == [RequestVote(2, Position(), transfer=True)] * 2


@pytest.mark.parametrize(("sender", "term"), [("n3", 1), ("n2", 0)])
def test_only_the_primary_of_the_term_can_tell_one_to_stand(sender: str, term: int) -> None:
    node = Lone()
    node.follow()
    assert not messages(node.hear(sender, TimeoutNow(term)), RequestVote)


def test_a_witness_leads_only_to_hand_over() -> None:
    node = Lone(members=(Member("n1", WITNESS), Member("n2"), Member("n3")))
    assert node.consensus.role == "witness"
    effects = node.lead()
    assert not every(effects, BecamePrimary)
    assert not node.consensus.ready
    (beat, *_) = messages(node.wait(0.1), Append, "n2")
    node.accept("n2", round_=beat.round)
    assert messages(node.wait(0.1), TimeoutNow, "n2") == [TimeoutNow(1)]


# -- Timeouts, campaigns, what is restored -----------------------------------------------------------------


def test_timeouts_are_in_their_ranges_and_lower_ranks_wait_longer() -> None:
    settings = ConsensusSettings()
    for draw in (0.0, 0.999):
        first, second = (Timeouts(settings, rank, lambda: draw) for rank in (0, 1))  # noqa: B023 - used at once
        assert 0.4 <= first.election() <= 0.8
        assert 0 <= first.takeover() <= 0.03
        assert 0.05 <= first.retry() <= 0.2
        assert second.election() - first.election() == pytest.approx(0.05)
        assert second.takeover() - first.takeover() == pytest.approx(0.05)


def test_a_campaign_counts_each_elector_once() -> None:
    campaign = Campaign(Configuration(tuple(Member(f"n{n}", VOTER) for n in range(5))), 1, pre=False, transfer=False)
    for _ in range(5):
        campaign.count("n0", granted=True)
    assert campaign.result == OPEN
    campaign.count("n1", granted=False)
    campaign.count("n2", granted=False)
    assert campaign.result == OPEN
    campaign.count("n3", granted=False)
    assert campaign.result == LOST
    campaign.count("n3", granted=True)
    campaign.count("n0", granted=False)
    campaign.count("n4", granted=True)
    assert campaign.result == WON


def test_a_log_that_contradicts_its_state_does_not_start() -> None:
    log = records(1, 2)
    with pytest.raises(DataCorrupted, match="3 records are committed"):
        Lone(restored(*log, commit=3))
    with pytest.raises(DataCorrupted, match="the log holds term 2"):
        Lone(type(restored())(HardState(1), records=log))
    with pytest.raises(DataCorrupted):
        Lone(restored(log[1]))
