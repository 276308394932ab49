"""Leadership goes to another node in two phases, on order or because that node would lead better."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest

from lfsql.core.durability import Durability
from lfsql.core.effects import (
    TRANSFERRING,
    Applied,
    Effect,
    HardState,
    Persisted,
    ProposalRefused,
    Propose,
    Proposed,
    Transfer,
    TransferGivenUp,
)
from lfsql.core.election import handicap
from lfsql.core.entry import UNIT
from lfsql.core.handover import GAP_RECORDS_MAX, SLOW_MS, UNFIT_MS, preferred
from lfsql.core.membership import LEARNER, VOTER, WITNESS, Configuration, Member
from lfsql.core.messages import Accept, Append, TimeoutNow
from lfsql.core.settings import ConsensusSettings
from tests.core.lone import Lone, every, messages, only

SETTINGS = ConsensusSettings()
RANKED = (Member("n1", VOTER, 1), Member("n2", VOTER, 2), Member("n3", VOTER, 3))
EQUAL = tuple(msgspec.structs.replace(member, priority=1) for member in RANKED)


def propose(node: Lone, *bodies: bytes) -> tuple[Effect, ...]:
    return node.step(Propose(node.consensus.term, tuple((UNIT, body) for body in bodies)))


def beat(node: Lone, **told: int) -> list[TimeoutNow]:
    """A heartbeat that both others answer, n3 with `told` about itself; who was told to stand."""
    effects = node.wait(0.1)
    round_ = messages(effects, Append, "n2")[-1].round
    last, term = node.consensus.last.index, node.consensus.term
    effects += node.hear("n2", Accept(term, round_, last, last))
    effects += node.hear("n3", Accept(term, round_, last, last, **told))
    return messages(effects, TimeoutNow, "n3")


def test_work_goes_on_while_the_other_catches_up() -> None:
    node = Lone()
    node.lead()
    propose(node, *[b""] * (GAP_RECORDS_MAX + 1))
    node.accept("n2")
    assert not messages(node.step(Transfer("n3")), TimeoutNow)
    assert node.consensus.transferring_to == "n3"
    assert only(propose(node, b"x"), Proposed)
    effects = node.accept("n3", GAP_RECORDS_MAX)
    assert not messages(effects, TimeoutNow)
    assert only(propose(node, b"x"), ProposalRefused).reason == TRANSFERRING
    assert messages(node.accept("n3"), TimeoutNow, "n3") == [TimeoutNow(1)]


def test_what_the_others_database_lacks_counts_too() -> None:
    """It must have applied that before it serves."""
    node = Lone()
    node.lead()
    propose(node, *[b""] * (GAP_RECORDS_MAX + 9))
    node.accept("n2")
    assert beat(node, applied=3) == []
    node.step(Transfer("n3"))
    assert beat(node, applied=4) == []
    assert only(propose(node, b"x"), Proposed)
    node.accept("n2")
    assert beat(node, applied=500) == [TimeoutNow(1)]


def test_writes_wait_no_longer_than_the_pause() -> None:
    node = Lone()
    node.lead()
    node.accept("n3")
    assert messages(node.step(Transfer("n3")), TimeoutNow)
    node.now += 0.14
    assert only(propose(node, b"x"), ProposalRefused).reason == TRANSFERRING
    assert only(node.wait(0.01), TransferGivenUp).to == "n3"
    assert only(propose(node, b"x"), Proposed)
    assert node.consensus.transferring_to == ""


def test_one_that_does_not_catch_up_is_given_up() -> None:
    node = Lone()
    node.lead()
    propose(node, *[b""] * (GAP_RECORDS_MAX + 1))
    node.step(Transfer("n3"))
    given_up = []
    for _ in range(101):
        given_up += every(node.wait(0.1), TransferGivenUp)
        node.accept("n2", round_=10**9)
        beat_round = node.consensus._leadership.rounds.current if node.consensus._leadership else 0
        node.accept("n2", round_=beat_round)
    assert given_up == [TransferGivenUp("n3")]


@pytest.mark.parametrize(("members", "write_s"), [(RANKED, 0.0), (EQUAL, 0.6)])
def test_a_better_node_gets_the_lead_after_a_while(members: tuple[Member, ...], write_s: float) -> None:
    node = Lone(members=members)
    node.lead()
    beats = 0
    while not beat(node, fsync_ms=5):
        node.step(Persisted(10**6, write_s))
        beats += 1
        assert beats < 70
    assert beats >= 45


def test_a_better_node_that_did_not_take_the_lead_is_asked_again_only_after_a_while() -> None:
    """Else every write would wait for the pause of one transfer after the other."""
    node = Lone(members=(*EQUAL[:2], RANKED[2]))
    node.lead()
    told = [count for count in range(160) if beat(node)]
    assert len(told) == 3
    assert min(later - sooner for sooner, later in pairwise(told)) >= 45


def test_a_better_node_that_lags_does_not_get_the_lead() -> None:
    node = Lone(members=(*EQUAL[:2], RANKED[2]))
    node.lead()
    for _ in range(100):
        effects = node.wait(0.1)
        node.accept("n2", round_=messages(effects, Append, "n2")[-1].round)
        assert node.consensus.transferring_to == ""


def test_a_better_node_that_could_not_serve_does_not_get_the_lead() -> None:
    node = Lone(members=(*EQUAL[:2], RANKED[2]))
    node.lead()
    assert not any(beat(node, fsync_ms=UNFIT_MS) for _ in range(100))
    follower = Lone()
    follower.step(Applied(7, fit=False))
    (accept,) = messages(follower.follow(), Accept, "n2")
    assert (accept.applied, accept.fsync_ms) == (7, UNFIT_MS)
    patient = follower.consensus.deadline
    follower.step(Applied(7))
    follower.follow()
    assert patient - follower.consensus.deadline == pytest.approx(SETTINGS.election_timeout_min / 2)


def test_an_equal_node_does_not_get_the_lead() -> None:
    node = Lone(members=EQUAL)
    node.lead()
    assert not any(beat(node) for _ in range(100))


def test_a_disk_that_hangs_gives_the_lead_away_at_once() -> None:
    node = Lone(members=EQUAL)
    node.lead()
    beat(node)
    node.writes = False
    propose(node, b"x")
    beats = next(count for count in range(20) if beat(node))
    assert beats * 0.1 < 2 * SETTINGS.election_timeout_max


def test_who_would_lead_better() -> None:
    members = Configuration((*RANKED, Member("n4", LEARNER, 9), Member("n5", WITNESS, 9)))

    def better(node: str, **fsync_ms: int) -> tuple[str, ...]:
        return preferred(members, node, lambda name: fsync_ms.get(name, 0))

    assert better("n1") == ("n3", "n2")
    assert better("n3") == ()
    assert better("n9") == ()
    # A slow disk costs all priority, and is no reason to move when nobody is much faster.
    assert better("n1", n3=SLOW_MS + 1) == ("n2",)
    assert better("n3", n3=SLOW_MS + 1) == ("n2", "n1")
    assert better("n3", n3=1000, n1=300, n2=100) == ("n2",)


def test_slow_nodes_let_others_go_first_but_not_for_ever() -> None:
    assert handicap(0.0, 0, SETTINGS) == 0
    assert handicap(0.05, 1_000, SETTINGS) == pytest.approx(0.15)
    assert handicap(9.0, 10**9, SETTINGS) == SETTINGS.election_timeout_min / 2


def test_what_a_write_takes_is_an_average_or_how_long_one_hangs() -> None:
    disk = Durability(0, (0, ""))
    assert disk.write_s(5.0) == 0
    disk.flush(HardState(1), 0, [], 5.0)
    assert disk.write_s(7.0) == pytest.approx(2.0)
    for _ in range(50):
        disk.persisted(1, 0.01)
    assert disk.write_s(7.0) == pytest.approx(0.01, abs=0.001)
