"""Linearizable reads: by a round of heartbeats, by a lease, through another node."""

from __future__ import annotations

import pytest

from lfsql.core.effects import PeerLost, ReadConfirmed, ReadIndex, ReadRefused, Send, Transfer
from lfsql.core.ids import Position
from lfsql.core.membership import Member
from lfsql.core.messages import Append, ReadIndexAnswer, ReadIndexRequest
from lfsql.core.settings import ConsensusSettings
from tests.core.lone import Lone, every, messages, only

LEASE = ConsensusSettings(lease=0.4, drift=0.25)


def test_a_read_waits_for_a_round_begun_after_it() -> None:
    node = Lone()
    node.lead()
    effects = node.step(ReadIndex(7))
    assert not every(effects, ReadConfirmed)
    (beat,) = messages(effects, Append, "n2")
    assert not every(node.accept("n2", round_=beat.round - 1), ReadConfirmed)
    assert node.accept("n2", round_=beat.round) == (ReadConfirmed(7, 1),)


def test_reads_that_come_during_a_round_share_the_next() -> None:
    node = Lone()
    node.lead()
    (first,) = messages(node.step(ReadIndex(1)), Append, "n2")
    assert node.step(ReadIndex(2)) == ()
    assert node.step(ReadIndex(3)) == ()
    effects = node.accept("n2", round_=first.round)
    assert every(effects, ReadConfirmed) == [ReadConfirmed(1, 1)]
    (second,) = messages(effects, Append, "n2")
    assert every(node.accept("n2", round_=second.round), ReadConfirmed) == [ReadConfirmed(2, 1), ReadConfirmed(3, 1)]


def test_a_lost_round_is_made_good_by_the_next_heartbeat() -> None:
    node = Lone()
    node.lead()
    node.step(ReadIndex(1))
    beat = messages(node.wait(0.1), Append, "n2")[-1]
    assert every(node.accept("n2", round_=beat.round), ReadConfirmed) == [ReadConfirmed(1, 1)]


def test_the_round_of_a_read_is_a_heartbeat_like_any_other() -> None:
    node = Lone()
    node.lead()
    node.wait(0.05)
    assert messages(node.step(ReadIndex(1)), Append, "n2")
    assert not messages(node.wait(0.08), Append, "n2")
    assert messages(node.wait(0.05), Append, "n2")


def test_rounds_that_never_began_confirm_nothing() -> None:
    node = Lone()
    node.lead()
    node.step(ReadIndex(1))
    assert not every(node.accept("n2", round_=99), ReadConfirmed)


def test_a_single_node_confirms_at_once() -> None:
    node = Lone(members=(Member("n1"),))
    node.wait(0.6)
    assert only(node.step(ReadIndex(1)), ReadConfirmed) == ReadConfirmed(1, 1)


def test_a_primary_does_not_answer_before_its_noop_is_committed() -> None:
    node = Lone()
    node.win()
    assert node.step(ReadIndex(1)) == (ReadRefused(1, "n1"),)


def test_waiting_reads_are_bounded() -> None:
    node = Lone(settings=ConsensusSettings(reads_waiting_max=2))
    node.lead()
    for token in (1, 2):
        node.step(ReadIndex(token))
    assert node.step(ReadIndex(3)) == (ReadRefused(3, "n1"),)


def test_reads_are_refused_when_leadership_is_lost() -> None:
    node = Lone()
    node.lead()
    node.step(ReadIndex(1))
    node.hear("n3", ReadIndexRequest(2))
    effects = node.hear("n2", Append(2, Position(), (), 0, 1))
    assert only(effects, ReadRefused) == ReadRefused(1, "n2")
    assert Send("n3", ReadIndexAnswer(2, 0, granted=False)) in effects


def test_a_replica_asks_the_primary() -> None:
    node = Lone()
    node.follow()
    assert node.step(ReadIndex(1)) == (Send("n2", ReadIndexRequest(1)),)
    assert node.hear("n2", ReadIndexAnswer(1, 5, granted=True)) == (ReadConfirmed(1, 5),)
    assert node.hear("n2", ReadIndexAnswer(1, 0, granted=False)) == (ReadRefused(1, "n2"),)


def test_without_a_primary_there_is_nobody_to_ask() -> None:
    node = Lone()
    node.follow()
    node.step(PeerLost("n2"))
    assert node.step(ReadIndex(1)) == (ReadRefused(1, ""),)


def test_a_primary_answers_others_as_itself() -> None:
    node = Lone()
    node.lead()
    (beat,) = messages(node.hear("n3", ReadIndexRequest(1)), Append, "n2")
    assert messages(node.accept("n2", round_=beat.round), ReadIndexAnswer, "n3") == [
        ReadIndexAnswer(1, 1, granted=True)
    ]


def test_a_replica_that_is_asked_says_no() -> None:
    node = Lone()
    node.follow()
    assert node.hear("n3", ReadIndexRequest(1)) == (Send("n3", ReadIndexAnswer(1, 0, granted=False)),)


def leased() -> Lone:
    """A primary whose heartbeat, sent just now, was answered."""
    node = Lone(settings=LEASE)
    node.now = 1.0
    node.lead()
    (beat,) = messages(node.wait(0.1), Append, "n2")
    sent = node.now
    node.now += 0.05
    node.accept("n2", round_=beat.round)
    assert node.consensus.confirmed_at == pytest.approx(sent)
    node.now = sent
    return node


def test_a_lease_answers_without_asking_and_runs_from_the_sending() -> None:
    node = leased()
    sent = node.consensus.confirmed_at
    node.now = sent + 0.29
    assert node.step(ReadIndex(1)) == (ReadConfirmed(1, 1),)
    node.now = sent + 0.31
    assert not every(node.step(ReadIndex(2)), ReadConfirmed)


def test_telling_another_to_stand_ends_the_lease_for_good() -> None:
    node = leased()
    node.step(Transfer("n2"))
    assert not every(node.step(ReadIndex(1)), ReadConfirmed)


def test_without_a_lease_a_confirmed_round_answers_no_later_read() -> None:
    node = Lone()
    node.lead()
    (beat,) = messages(node.wait(0.1), Append, "n2")
    node.accept("n2", round_=beat.round)
    assert not every(node.step(ReadIndex(1)), ReadConfirmed)
