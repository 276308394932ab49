"""Configurations, settings, messages, the log in memory: values and what they refuse."""

from __future__ import annotations

from itertools import chain
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfsql.core import messages, requests
from lfsql.core.ids import Position
from lfsql.core.log import RECORD_OVERHEAD_BYTES, LogTail, chain_fault, extend, position_of
from lfsql.core.membership import LEARNER, VOTER, WITNESS, Configuration, ConfigurationHistory, Member
from lfsql.core.settings import ConsensusSettings
from lfsql.errors import ConfigError, DataCorrupted
from tests.core.lone import records

# -- Configurations ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "members",
    [(), (Member("a"), Member("a")), (Member(""),), (Member("a", LEARNER), Member("b", WITNESS))],
)
def test_a_configuration_that_cannot_work_is_refused(members: tuple[Member, ...]) -> None:
    with pytest.raises(ConfigError):
        Configuration(members)


@pytest.mark.parametrize(("electors", "quorum"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_a_quorum_is_more_than_half_of_the_electors(electors: int, quorum: int) -> None:
    members = (*(Member(f"n{n}") for n in range(electors)), Member("l", LEARNER))
    assert Configuration(members).quorum == quorum


def test_witnesses_elect_and_learners_do_not() -> None:
    configuration = Configuration((Member("a"), Member("b", LEARNER), Member("c", WITNESS)))
    assert configuration.electors == ("a", "c")
    assert configuration.member("b") == Member("b", LEARNER)
    assert configuration.member("z") is None


@given(st.lists(st.integers(0, 9), min_size=1, max_size=7))
def test_a_quorum_has_reached_what_it_has_reached(values: list[int]) -> None:
    configuration = Configuration(tuple(Member(str(at)) for at in range(len(values))))
    reached = configuration.reached(lambda node: values[int(node)])
    assert sum(value >= reached for value in values) >= configuration.quorum
    assert sum(value > reached for value in values) < configuration.quorum


def test_ranks_follow_priorities_and_put_witnesses_last() -> None:
    configuration = Configuration(
        (Member("a", VOTER, 1), Member("b", VOTER, 2), Member("c", WITNESS, 9), Member("d", VOTER, 1))
    )
    assert [configuration.rank(node) for node in "badcz"] == [0, 1, 1, 3, 4]


def test_a_configuration_survives_the_wire() -> None:
    configuration = Configuration((Member("a", VOTER, 1, "127.0.0.1:1"), Member("b", WITNESS)))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(configuration), type=Configuration) == configuration


# -- Settings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"heartbeat": 0.0},
        {"heartbeat": 0.3},
        {"election_timeout_min": 0.9},
        {"lease": 0.5},
        {"lease": -0.1},
        {"drift": 1.0},
        {"rank_step": -1.0},
        {"takeover_spread": -1.0},
        {"message_bytes_max": 0},
        {"reads_waiting_max": 0},
        {"in_flight_bytes_max": 1},
        {"uncommitted_bytes_max": 1},
        {"tail_bytes_max": 1},
    ],
)
def test_settings_that_cannot_work_together_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ConsensusSettings(**wrong)


# -- Messages ----------------------------------------------------------------------------------------------

LOG = records(1, 1)
EXAMPLES: list[messages.PeerMessage] = [
    messages.RequestVote(3, Position(2, 1, LOG[1].hash), pre=True, transfer=True),
    messages.Vote(3, 4, granted=True, pre=True),
    messages.Append(3, position_of(LOG[0]), LOG[1:], 1, 9),
    messages.Accept(3, 9, 2, 1),
    messages.Mismatch(3, 9, 2, 1, 1),
    messages.TimeoutNow(3),
    messages.ReadIndexRequest(2**63),
    messages.ReadIndexAnswer(2**63, 5, granted=True),
    messages.SnapshotNeeded(3, 5),
    messages.CheckContent(Position(9, 3, b"h" * 16), 4, with_log=True),
    messages.ContentChecked(Position(9, 3, b"h" * 16), 4, b"content", "a fault", 2, "another"),
    messages.Alive(),
    messages.NotHeard("it is no member"),
]


def test_every_message_survives_the_wire() -> None:
    decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(messages.PeerMessage)
    assert {type(message) for message in EXAMPLES} == set(get_args(messages.PeerMessage))
    for message in EXAMPLES:
        assert decoder.decode(msgspec.msgpack.encode(message)) == message


def test_tags_are_in_their_range_and_unlike_those_of_requests() -> None:
    tags = [kind.__struct_config__.tag for kind in get_args(messages.PeerMessage)]
    assert len(set(tags)) == len(tags)
    assert all(60 <= tag <= 79 for tag in tags)
    others = chain(get_args(requests.Question), get_args(requests.Answer))
    assert not set(tags) & {kind.__struct_config__.tag for kind in others}


# -- The log in memory -------------------------------------------------------------------------------------

SIZE = RECORD_OVERHEAD_BYTES + 10


def tail(*terms: int, bytes_max: int = 10**6) -> LogTail:
    return LogTail(Position(), Position(), records(*terms, body=b"0123456789"), bytes_max, history())


def history() -> ConfigurationHistory:
    return ConfigurationHistory(Configuration((Member("n1"),)))


def test_extending_continues_the_chain() -> None:
    first = records(1)
    more = extend(position_of(first[0]), 2, ((1, b"a"), (2, b"b")))
    assert [(record.index, record.term, record.kind) for record in more] == [(2, 2, 1), (3, 2, 2)]
    assert chain_fault(Position(), first + more) == ""
    assert chain_fault(Position(), more) == "record 2 follows record 0"
    assert "term 1" in chain_fault(Position(1, 5, first[0].hash), records(1, after=position_of(first[0])))
    assert "hash chain" in chain_fault(Position(1, 1), more)


def test_a_tail_tells_its_positions() -> None:
    log = tail(1, 1, 2)
    assert log.last == log.position(3)
    assert log.position(0) == Position()
    assert log.position(4) is None
    assert log.records(2, 3) == records(1, 1, 2, body=b"0123456789")[1:]
    assert log.records(3, 4) is None
    assert log.records(1, 0) == ()
    assert log.bytes == 3 * SIZE
    assert log.bytes_after(1) == 2 * SIZE


def test_a_tail_finds_the_latest_of_a_term() -> None:
    log = tail(1, 1, 3, 3, 5)
    assert [log.latest_of_term(5, term) for term in (0, 1, 2, 3, 4, 5, 6)] == [0, 2, 2, 4, 4, 5, 5]
    assert log.latest_of_term(3, 5) == 3
    assert log.latest_of_term(0, 5) == 0


def test_batches_are_bounded_and_never_empty() -> None:
    log = tail(1, 1, 1)
    for bytes_max, count in ((1, 1), (SIZE, 1), (2 * SIZE - 1, 1), (2 * SIZE, 2), (9 * SIZE, 3)):
        batch = log.batch(1, bytes_max)
        assert batch is not None
        assert len(batch) == count
    assert log.batch(4, 100) is None


def test_truncating_forgets_the_newest() -> None:
    log = tail(1, 2, 3)
    log.truncate(2)
    assert (log.last.index, log.bytes) == (1, SIZE)
    log.truncate(1)
    assert (log.last, log.bytes) == (Position(), 0)


def test_trimming_forgets_the_oldest_only_over_the_limit_and_only_what_it_may() -> None:
    log = tail(*[1] * 10, bytes_max=8 * SIZE)
    log.trim(1)
    assert log.floor.index == 1
    log.trim(10)
    assert log.floor.index == 4
    assert log.position(3) is None
    assert log.batch(4, 100) is None
    assert log.records(4, 5) is None
    assert log.latest_of_term(3, 9) == 3
    log.trim(10)
    assert log.floor.index == 4
    assert log.bytes == 6 * SIZE


def test_compacting_moves_the_base_and_what_is_in_memory_behind_it() -> None:
    log = tail(1, 1, 1)
    base = position_of(records(1, 1, body=b"0123456789")[1])
    log.compact(base)
    assert (log.base, log.floor, log.bytes) == (base, base, SIZE)
    log.compact(Position(1))
    assert log.base == base
    assert log.position(2) == base


def test_a_tail_that_contradicts_itself_is_refused() -> None:
    log = records(1, 1)
    with pytest.raises(DataCorrupted, match="contradicts itself"):
        LogTail(Position(), Position(), log[1:], 1, history())
    with pytest.raises(DataCorrupted, match="contradicts itself"):
        LogTail(position_of(log[1]), position_of(log[0]), (), 1, history())
