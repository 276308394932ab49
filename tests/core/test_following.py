"""A follower: what it takes into its log, when it answers, and what it refuses to believe."""

from __future__ import annotations

import msgspec
import pytest

from lfsql.core.effects import Committed, HardState, PeerFaulty, PeerSends, Persist, Persisted, PrimaryChanged
from lfsql.core.ids import Position
from lfsql.core.log import position_of
from lfsql.core.messages import Accept, Append, Mismatch
from lfsql.core.settings import ConsensusSettings
from lfsql.errors import DataCorrupted
from tests.core.lone import Lone, every, messages, only, records, restored


def test_records_are_accepted_once_they_are_on_disk() -> None:
    node = Lone()
    node.writes = False
    sent = records(1, 1)
    effects = node.follow(*sent)
    assert not messages(effects, Accept)
    persist = only(effects, Persist)
    assert persist.hard_state == HardState(1, "", 0)
    assert persist.truncate_from is None
    assert persist.records == sent
    assert [send.message for send in persist.then] == [Accept(1, 1, 2, 2)]
    assert node.consensus.last == position_of(sent[1])


def test_a_heartbeat_is_answered_at_once_with_what_is_on_disk() -> None:
    node = Lone(restored(term=1))
    node.writes = False
    sent = records(1, 1)
    node.follow(*sent)
    effects = node.follow(after=position_of(sent[1]))
    assert messages(effects, Accept) == [Accept(1, 1, 2, 0)]
    node.finish()
    assert messages(node.follow(after=position_of(sent[1])), Accept) == [Accept(1, 1, 2, 2)]


def test_a_message_on_its_way_is_a_sign_of_life_of_the_primary() -> None:
    """A large record takes longer than an election timeout on a slow network, and heartbeats wait behind it."""
    node = Lone()
    node.follow()
    for sender, stands in (("n2", False), ("n3", True)):
        node.follow()
        for _ in range(20):
            node.step(PeerSends(sender))
            effects = node.wait(0.1)
            if every(effects, PrimaryChanged):
                break
        assert (node.consensus.primary == "") is stands


def test_a_new_term_is_on_disk_before_a_heartbeat_of_it_is_answered() -> None:
    node = Lone()
    node.writes = False
    effects = node.follow()
    assert not messages(effects, Accept)
    assert [send.message for send in only(effects, Persist).then] == [Accept(1, 1, 0, 0)]


def test_news_of_a_commit_wants_no_answer() -> None:
    node = Lone()
    sent = records(1)
    node.follow(*sent)
    assert node.hear("n2", Append(1, position_of(sent[0]), (), 1, 0)) == (Committed(1),)


def test_nothing_is_committed_that_is_not_on_disk() -> None:
    node = Lone()
    node.writes = False
    assert not every(node.follow(*records(1, 1), commit=2), Committed)
    assert node.consensus.commit_index == 2
    assert node.consensus.committed == 0
    assert only(node.finish(), Committed) == Committed(2)


def test_a_commit_covers_only_what_the_message_vouches_for() -> None:
    old = records(1, 1, 1)
    node = Lone(restored(*old))
    node.hear("n2", Append(2, position_of(old[0]), (), 3, 0))
    assert node.consensus.committed == 1


def test_a_commit_never_goes_back() -> None:
    node = Lone()
    sent = records(1, 1)
    node.follow(*sent, commit=2)
    assert not every(node.follow(*sent, commit=1), Committed)
    assert node.consensus.committed == 2


def test_repeated_and_late_messages_never_shorten_the_log() -> None:
    node = Lone()
    sent = records(1, 1, 1)
    node.follow(*sent)
    for late in ((), sent[:1], sent[:2], sent):
        effects = node.follow(*late)
        assert not every(effects, Persist)
        assert messages(effects, Accept) == [Accept(1, 1, len(late), len(late))]
    assert node.consensus.last.index == 3


def test_only_what_is_new_of_an_overlap_is_written() -> None:
    node = Lone()
    sent = records(1, 1, 1)
    node.follow(*sent[:2])
    assert only(node.follow(*sent), Persist).records == sent[2:]


def test_records_that_contradict_the_primarys_are_replaced() -> None:
    old = records(1, 1, 1)
    node = Lone(restored(*old))
    node.writes = False
    new = records(2, after=position_of(old[0]))
    persist = only(node.follow(*new, term=2, after=position_of(old[0])), Persist)
    assert (persist.truncate_from, persist.records) == (2, new)
    assert node.consensus.last == position_of(new[0])
    assert messages(node.follow(term=2, after=position_of(new[0])), Accept) == []
    node.finish()
    assert messages(node.follow(term=2, after=position_of(new[0])), Accept) == [Accept(2, 1, 2, 2)]


def test_a_write_of_replaced_records_does_not_count_for_their_successors() -> None:
    node = Lone(restored(term=1))
    node.writes = False
    old = records(1, 1, 1)
    first = only(node.follow(*old), Persist)
    node.follow(*records(2, 2, 2), term=2, commit=3)
    assert not every(node.consensus.step(Persisted(first.number), node.now), Committed)
    assert node.consensus.committed == 0


@pytest.mark.parametrize(
    ("own", "previous", "hint"),
    [
        ((1, 1), Position(5, 1), (2, 1)),  # too short
        ((1, 1, 2, 2), Position(3, 1), (2, 1)),  # newer term here: passed over
        ((1, 1, 1, 1), Position(3, 2), (3, 1)),  # older term here: the primary passes over its newer one
        ((2, 2, 2), Position(3, 1), (0, 0)),
        ((1, 3), Position(9, 2), (1, 1)),
    ],
)
def test_what_does_not_fit_is_answered_with_where_the_logs_can_agree(
    own: tuple[int, ...], previous: Position, hint: tuple[int, int]
) -> None:
    node = Lone(restored(*records(*own)))
    (answer,) = messages(node.hear("n2", Append(4, previous, (), 9, 3)), Mismatch)
    assert answer == Mismatch(4, 3, previous.index, *hint)
    assert node.consensus.commit_index == 0


def test_a_hint_never_lies_before_the_commit_index() -> None:
    own = records(2, 2, 2)
    node = Lone(restored(*own, commit=2))
    (answer,) = messages(node.hear("n2", Append(3, Position(3, 1), (), 0, 1)), Mismatch)
    assert (answer.hint, answer.hint_term) == (2, 2)


def test_committed_records_need_not_be_in_memory_to_be_accepted_again() -> None:
    log = records(1, 1, 1, 1)
    node = Lone(msgspec.structs.replace(restored(*log, commit=4), floor=position_of(log[3]), records=()))
    assert messages(node.follow(log[1], after=position_of(log[0])), Accept) == [Accept(1, 1, 2, 4)]
    more = records(1, after=position_of(log[3]))
    assert only(node.follow(*log[1:], *more, after=position_of(log[0])), Persist).records == more


def test_an_answer_tells_at_least_what_is_committed() -> None:
    node = Lone(restored(*records(1, 1, 1), commit=2))
    assert messages(node.follow(), Accept) == [Accept(1, 1, 0, 2)]


def test_memory_is_bounded_but_keeps_what_is_not_committed() -> None:
    small = ConsensusSettings(
        tail_bytes_max=2000, uncommitted_bytes_max=2000, record_bytes_max=500, in_flight_bytes_max=10**6
    )
    node = Lone(settings=small)
    log = records(*[1] * 100, body=b"x" * 100)
    for at, record in enumerate(log):
        node.follow(record, after=position_of(log[at - 1]) if at else Position())
    assert node.consensus.records(1, 100) == log
    node.hear("n2", Append(1, position_of(log[-1]), (), 90, 0))
    assert node.consensus.records(90, 100) is None
    assert node.consensus.records(91, 100) == log[90:]


def test_the_primary_is_made_known_once() -> None:
    node = Lone()
    assert only(node.follow(), PrimaryChanged) == PrimaryChanged(1, "n2")
    assert not every(node.follow(), PrimaryChanged)


# -- What no correct primary sends -------------------------------------------------------------------------


def broken(*log: object) -> list[Append]:
    good = records(1, 1, 1)
    other = records(1, body=b"other")
    return [
        Append(1, Position(), (good[0], good[2])),
        Append(1, Position(), (good[1],)),
        Append(1, Position(), (good[0], msgspec.structs.replace(good[1], body=b"flipped"))),
        Append(1, position_of(other[0]), (good[1],)),
        Append(1, Position(), records(2)),
        Append(3, Position(), records(2, 1)),
        Append(1, Position(-1), ()),
        Append(1, Position(0, 1), ()),
    ]


@pytest.mark.parametrize("message", broken())
def test_a_message_that_contradicts_itself_is_not_taken(message: Append) -> None:
    node = Lone()
    effects = node.hear("n2", message)
    assert only(effects, PeerFaulty).node == "n2"
    assert only(effects, PeerFaulty).reason
    assert len(effects) == 1
    assert node.consensus.term == 0


def test_a_node_whose_history_differs_stops() -> None:
    own = records(1, 1)
    other = records(1, 1, body=b"other")
    with pytest.raises(DataCorrupted, match="record 2 of term 1"):
        Lone(restored(*own)).follow(after=position_of(other[1]))
    with pytest.raises(DataCorrupted, match="record 1 of term 1"):
        Lone(restored(*own)).follow(*other)


def test_a_node_whose_committed_history_is_denied_stops() -> None:
    own = records(1, 2)
    node = Lone(restored(*own, commit=2))
    with pytest.raises(DataCorrupted, match="record 2 is committed here"):
        node.follow(*records(1, 1), term=3)
