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
    Tick,
)
from lfsql.core.entry import NOOP
from lfsql.core.ids import Position
from lfsql.core.log import position_of
from lfsql.core.membership import LEARNER, VOTER, Member
from lfsql.core.messages import RequestVote, TimeoutNow, Vote
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


@pytest.mark.parametrize("members", [THREE, (*THREE, Member("n4", LEARNER))])
def test_a_learner_or_a_stranger_never_stands(members: tuple[Member, ...]) -> None:
    node = Lone(members=members, node="n4")
    assert node.consensus.deadline == inf
    node.follow()
    assert node.step(PeerLost("n2")) == (PrimaryChanged(1, ""),)
    assert node.consensus.deadline == inf
    assert node.hear("n2", TimeoutNow(1)) == ()
    assert node.consensus.role == "learner"


@pytest.mark.parametrize("node", ["n1", "n4", "n9"])
def test_whoever_is_asked_for_a_vote_gives_it(node: str) -> None:
    """Who asks has the newer members: by those the one may be a candidate and the other an elector."""
    lone = Lone(members=(*THREE, Member("n4", LEARNER)), node=node)
    assert lone.asked("n5", 2).granted
    assert not lone.asked("n2", 2).granted


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
