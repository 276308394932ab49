"""Who may stand, who votes for whom, and what has to be on disk by then."""

from __future__ import annotations

from math import inf

import pytest

from lfsql.core.effects import (
    BecamePrimary,
    HardState,
    PeerConnected,
    PeerLost,
    Persist,
    PrimaryChanged,
    SteppedDown,
    Tick,
    Transfer,
)
from lfsql.core.election import LOST, OPEN, WON, Campaign, Timeouts
from lfsql.core.entry import NOOP
from lfsql.core.ids import Position
from lfsql.core.log import position_of
from lfsql.core.membership import LEARNER, VOTER, WITNESS, Configuration, Member
from lfsql.core.messages import Accept, Append, Mismatch, RequestVote, TimeoutNow, Vote
from lfsql.core.settings import ConsensusSettings
from lfsql.errors import ConfigError, DataCorrupted, InvariantBroken
from tests.core.lone import THREE, Lone, every, messages, only, records, restored

# -- Standing ----------------------------------------------------------------------------------------------


def test_a_silent_start_leads_to_a_pre_vote_without_entering_a_term() -> None:
    node = Lone()
    assert node.consensus.deadline == pytest.approx(0.6)
    effects = node.wait(0.6)
    assert messages(effects, RequestVote) == [RequestVote(1, Position(), pre=True)] * 2
    assert not every(effects, Persist)
    assert node.consensus.term == 0
    assert node.consensus.role == "candidate"


def test_a_won_pre_vote_enters_the_term_and_asks_for_votes_once_that_is_on_disk() -> None:
    node = Lone()
    node.writes = False
    effects = node.stand()
    assert not messages(effects, RequestVote)
    persist = only(effects, Persist)
    assert persist.hard_state == HardState(1, "n1", 0)
    assert [send.message for send in persist.then] == [RequestVote(1, Position())] * 2


def test_an_own_vote_counts_only_when_it_is_on_disk() -> None:
    node = Lone()
    node.writes = False
    node.stand()
    node.hear("n2", Vote(1, 1, granted=True))
    assert node.consensus.role == "candidate"
    effects = node.finish()
    assert node.consensus.role == "primary"
    assert only(effects, PrimaryChanged) == PrimaryChanged(1, "n1")


def test_an_older_write_does_not_make_a_vote_count() -> None:
    node = Lone()
    node.writes = False
    node.follow(*records(1))
    node.now = node.consensus.deadline
    node.step(Tick())
    node.hear("n3", Vote(1, 2, granted=True, pre=True))
    node.hear("n3", Vote(2, 2, granted=True))
    *earlier, own_vote = node.unfinished
    node.unfinished = earlier
    node.finish()
    assert node.consensus.role == "candidate"
    node.unfinished = [own_vote]
    node.finish()
    assert node.consensus.role == "primary"


def test_a_winner_appends_a_noop_and_is_ready_when_it_is_committed() -> None:
    node = Lone()
    effects = node.win()
    (noop,) = effects[-1].records if isinstance(effects[-1], Persist) else every(effects, Persist)[-1].records
    assert (noop.index, noop.term, noop.kind, noop.body) == (1, 1, NOOP, b"")
    assert not node.consensus.ready
    assert node.consensus.role == "primary"
    effects = node.accept("n2")
    assert effects.index(BecamePrimary(1, 1)) > 0
    assert node.consensus.ready


def test_a_single_node_elects_itself() -> None:
    node = Lone(members=(Member("n1"),))
    effects = node.wait(0.6)
    assert only(effects, BecamePrimary) == BecamePrimary(1, 1)
    assert node.consensus.confirmed_at == pytest.approx(0.6)


def test_a_learner_never_stands_nor_votes() -> None:
    node = Lone(members=(*THREE, Member("n4", LEARNER)), node="n4")
    assert node.consensus.deadline == inf
    assert node.hear("n2", RequestVote(1, Position())) == ()
    node.follow()
    assert node.step(PeerLost("n2")) == (PrimaryChanged(1, ""),)
    assert node.consensus.deadline == inf
    assert node.hear("n2", TimeoutNow(1)) == ()
    assert node.consensus.role == "learner"


def test_nobody_votes_for_a_learner_or_a_stranger() -> None:
    node = Lone(members=(*THREE, Member("n4", LEARNER)))
    for candidate in ("n4", "n9"):
        assert node.hear(candidate, RequestVote(9, Position())) == ()
    assert node.consensus.term == 0


def test_a_vote_of_a_learner_is_not_counted() -> None:
    node = Lone(members=(*THREE, Member("n4", LEARNER)))
    node.stand()
    node.hear("n4", Vote(1, 1, granted=True))
    assert node.consensus.role == "candidate"


def test_answers_to_another_campaign_are_not_counted() -> None:
    node = Lone()
    node.stand()
    node.hear("n2", Vote(1, 1, granted=True, pre=True))
    node.hear("n3", Vote(1, 0, granted=True))
    assert node.consensus.role == "candidate"


def test_an_unanswered_campaign_starts_over_with_a_pre_vote() -> None:
    node = Lone()
    node.stand()
    effects = node.wait(0.6)
    assert set(messages(effects, RequestVote)) == {RequestVote(2, Position(), pre=True)}
    assert node.consensus.term == 1


def test_a_split_vote_is_tried_again_soon() -> None:
    node = Lone()
    node.stand()
    node.hear("n2", Vote(1, 1, granted=False))
    assert node.consensus.role == "candidate"
    node.hear("n3", Vote(1, 1, granted=False))
    assert node.consensus.role == "replica"
    assert node.consensus.deadline - node.now < 0.21


def test_a_refused_pre_vote_is_not_repeated_often() -> None:
    node = Lone()
    node.wait(0.6)
    for other in ("n2", "n3"):
        node.hear(other, Vote(0, 1, granted=False, pre=True))
    assert node.consensus.deadline - node.now == pytest.approx(0.6)


def test_a_higher_term_in_an_answer_is_entered() -> None:
    node = Lone()
    node.wait(0.6)
    effects = node.hear("n2", Vote(7, 1, granted=False, pre=True))
    assert only(effects, Persist).hard_state == HardState(7, "", 0)
    assert node.consensus.role == "replica"


def test_whoever_connects_during_a_campaign_is_asked_then() -> None:
    node = Lone()
    node.wait(0.6)
    assert messages(node.step(PeerConnected("n3")), RequestVote, "n3") == [RequestVote(1, Position(), pre=True)]
    node.hear("n3", Vote(0, 1, granted=False, pre=True))
    assert not messages(node.step(PeerConnected("n3")), RequestVote)


def test_a_vote_not_on_disk_is_not_asked_for_by_a_new_link_either() -> None:
    node = Lone()
    node.writes = False
    node.stand()
    assert not messages(node.step(PeerConnected("n3")), RequestVote)
    node.finish()
    assert messages(node.step(PeerConnected("n3")), RequestVote) == [RequestVote(1, Position())]


# -- Voting ------------------------------------------------------------------------------------------------


def test_a_vote_is_given_once_it_is_on_disk() -> None:
    node = Lone()
    node.writes = False
    effects = node.hear("n2", RequestVote(1, Position()))
    assert not messages(effects, Vote)
    persist = only(effects, Persist)
    assert persist.hard_state == HardState(1, "n2", 0)
    assert [send.message for send in persist.then] == [Vote(1, 1, granted=True)]


def test_a_vote_is_given_to_one_and_repeated_only_to_it() -> None:
    node = Lone()
    assert node.asked("n2", 1).granted
    assert not node.asked("n3", 1).granted
    assert node.asked("n2", 1).granted


def test_a_repeated_vote_waits_for_the_disk_as_the_first_does() -> None:
    node = Lone()
    node.writes = False
    node.hear("n2", RequestVote(1, Position()))
    effects = node.hear("n2", RequestVote(1, Position()))
    assert not messages(effects, Vote)
    barrier = only(effects, Persist)
    assert (barrier.hard_state, barrier.truncate_from, barrier.records) == (None, None, ())
    assert len(barrier.then) == 1


def test_a_vote_survives_a_restart() -> None:
    node = Lone(restored(term=3, vote="n2"))
    assert not node.asked("n3", 3).granted
    assert node.asked("n2", 3).granted


def test_a_vote_is_for_one_term() -> None:
    node = Lone(restored(term=3, vote="n2"))
    assert node.asked("n3", 4).granted


def test_an_older_term_gets_no_vote_but_the_newer_term() -> None:
    assert Lone(restored(term=3)).asked("n2", 2) == Vote(3, 2, granted=False)


@pytest.mark.parametrize("pre", [True, False])
def test_the_log_decides(pre: bool) -> None:
    own = records(1, 1, 2)
    for last, granted in (
        (position_of(own[2]), True),
        (Position(4, 2), True),
        (Position(1, 3), True),
        (position_of(own[1]), False),
        (Position(9, 1), False),
        (Position(2, 2), False),
    ):
        assert Lone(restored(*own)).asked("n2", 5, last, pre=pre).granted == granted


def test_a_pre_vote_changes_nothing_and_binds_nobody() -> None:
    node = Lone()
    effects = node.hear("n2", RequestVote(1, Position(), pre=True))
    assert not every(effects, Persist)
    assert messages(effects, Vote) == [Vote(0, 1, granted=True, pre=True)]
    assert node.asked("n3", 1, pre=True).granted
    assert node.asked("n3", 1).granted


def test_a_pre_vote_for_a_term_already_begun_is_refused() -> None:
    assert not Lone(restored(term=3)).asked("n2", 3, pre=True).granted


@pytest.mark.parametrize(
    ("rival", "last", "granted"),
    [
        ("n3", Position(1, 1), False),  # its name comes later
        ("n0", Position(1, 1), True),
        ("n3", Position(2, 1), True),  # its log is longer
        ("n0", Position(), False),
    ],
)
def test_of_two_that_ask_each_other_one_yields(rival: str, last: Position, granted: bool) -> None:
    node = Lone(restored(*records(1)), members=(Member("n0"), Member("n1"), Member("n3")))
    node.wait(0.6)
    assert node.consensus.role == "candidate"
    assert node.asked(rival, 2, last, pre=True).granted == granted
    assert node.consensus.role == ("replica" if granted else "candidate")


def test_a_candidate_that_nobody_hears_yields_after_a_while() -> None:
    node = Lone()
    node.wait(0.6)
    assert not node.asked("n3", 1, pre=True).granted
    node.now += 0.11
    assert node.asked("n3", 1, pre=True).granted


def test_a_higher_rank_goes_first() -> None:
    node = Lone(members=(Member("n1", VOTER, 1), Member("n2"), Member("n3", VOTER, 2)))
    node.wait(0.65)
    assert node.consensus.role == "candidate"
    assert node.asked("n3", 1, pre=True).granted


def test_a_candidate_that_meets_a_rival_of_its_term_tries_again_soon() -> None:
    node = Lone()
    node.stand()
    assert not node.asked("n3", 1).granted
    assert node.consensus.deadline - node.now < 0.21
    assert node.consensus.role == "candidate"


def test_a_pre_vote_given_puts_off_standing_oneself() -> None:
    node = Lone()
    node.follow()
    node.step(PeerLost("n2"))
    node.asked("n3", 2, pre=True)
    assert node.consensus.deadline >= node.now + 0.1


@pytest.mark.parametrize("pre", [True, False])
def test_a_node_that_hears_a_primary_is_loyal_to_it(pre: bool) -> None:
    node = Lone()
    node.follow()
    node.now = 0.39
    assert node.asked("n3", 2, pre=pre) == Vote(1, 2, granted=False, pre=pre)
    assert node.consensus.term == 1
    node.now = 0.41
    assert node.asked("n3", 2, pre=pre).granted


def test_loyalty_ends_with_the_link() -> None:
    node = Lone()
    node.follow()
    node.step(PeerLost("n2"))
    assert node.asked("n3", 2).granted


def test_loyalty_does_not_outlast_the_primary_itself() -> None:
    node = Lone()
    node.follow()
    assert node.asked("n2", 2).granted


def test_a_transfer_overrides_loyalty() -> None:
    node = Lone()
    node.follow()
    assert node.asked("n3", 2, transfer=True).granted


def test_a_primary_is_not_deposed_by_asking_for_votes() -> None:
    node = Lone()
    node.lead()
    last = node.consensus.last
    assert not node.asked("n3", 9, last).granted
    assert node.consensus.ready


def test_a_vote_given_ends_an_own_pre_campaign() -> None:
    node = Lone(restored(term=1))
    node.wait(0.6)
    assert node.asked("n3", 1).granted
    node.hear("n2", Vote(1, 2, granted=True, pre=True))
    assert node.consensus.term == 1


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


# -- Transfer ----------------------------------------------------------------------------------------------


def test_a_transfer_waits_for_the_target_to_catch_up() -> None:
    node = Lone()
    node.lead()
    assert not messages(node.step(Transfer("n3")), TimeoutNow)
    assert messages(node.accept("n3"), TimeoutNow, "n3") == [TimeoutNow(1)]
    assert not messages(node.accept("n3"), TimeoutNow)


@pytest.mark.parametrize("target", ["n1", "n4", "n9"])
def test_a_transfer_goes_only_to_another_elector(target: str) -> None:
    node = Lone(members=(*THREE, Member("n4", LEARNER)))
    node.lead()
    node.accept("n4")
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


def test_a_stranger_does_not_start() -> None:
    with pytest.raises(ConfigError, match="'n9' is not in the cluster's configuration"):
        Lone(node="n9")


def test_a_log_that_contradicts_its_state_does_not_start() -> None:
    log = records(1, 2)
    with pytest.raises(DataCorrupted, match="3 records are committed"):
        Lone(restored(*log, commit=3))
    with pytest.raises(DataCorrupted, match="the log holds term 2"):
        Lone(type(restored())(HardState(1), records=log))
    with pytest.raises(DataCorrupted):
        Lone(restored(log[1]))
