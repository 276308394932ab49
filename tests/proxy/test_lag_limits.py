"""What a limit of lag counts from, and how old that may be."""

from __future__ import annotations

from time import monotonic

import pytest

from lfsql.core.freshness import BEHIND_ENTRIES, UNKNOWN, CommitHistory
from lfsql.core.requests import PRIMARY, Heartbeat
from proxy.acknowledged import Acknowledged, make_board
from proxy.routing import behind
from proxy.settings import SessionSettings
from proxy.state import HEARSAY_MS_MAX, ReadPolicy
from proxy.topology import Node, Topology


def policy(**given: int) -> ReadPolicy:
    """Of a `bounded` read; `given`: max_lag_ms, max_lag_entries, 0 where not."""
    settings = {"max_lag_ms": 0, "max_lag_entries": 0} | given
    values = {f"lfsql.{name}": str(value) for name, value in settings.items()}
    return ReadPolicy(SessionSettings({**values, "lfsql.read_consistency": "bounded"}).values)


def topology(commit: int, acknowledged: Acknowledged | None = None) -> Topology:
    """Its primary n1 was heard just now."""
    known = Topology([Node("n1", "n1:1", "")], CommitHistory(60.0, 100), acknowledged=acknowledged)
    node = known.nodes["n1"]
    ping = node.pings.send(monotonic())
    known.heard(node, Heartbeat("n1", PRIMARY, 1, "n1", commit, commit, 0, confirmed_ago_ms=0, ping=ping))
    return known


@pytest.mark.parametrize("index", [100, 95])
async def test_what_entries_are_counted_from_expires(index: int) -> None:
    known = topology(100)
    now = known.heard_at
    alone, both = policy(max_lag_entries=10), policy(max_lag_entries=10, max_lag_ms=5_000)
    young, old = now + HEARSAY_MS_MAX / 1000 * 0.9, now + HEARSAY_MS_MAX / 1000 * 1.1
    assert not behind(known, alone, 0, index, young)
    assert behind(known, alone, 0, index, old) == UNKNOWN
    assert not behind(known, policy(), 0, index, old + 86_400), "no limit, nothing to know"
    if index == 100:
        assert not behind(known, both, 0, index, old), "max_lag_ms says how old"
        assert behind(known, both, 0, index, now + 5.1)


async def test_entries_are_counted_from_what_this_worker_was_told_of_too() -> None:
    known = topology(100)
    limits = policy(max_lag_entries=10)
    assert not behind(known, limits, 0, 100, known.heard_at)
    known.committed(110)
    assert not behind(known, limits, 0, 100, known.heard_at)
    known.committed(111)
    assert behind(known, limits, 0, 100, known.heard_at) == BEHIND_ENTRIES
    assert not behind(known, policy(max_lag_ms=1_000), 0, 100, known.heard_at)


async def test_entries_are_counted_from_what_other_workers_acknowledged() -> None:
    board = make_board()
    here, there = (Acknowledged(number, board, 2) for number in (0, 1))
    known = topology(100, here)
    limits = policy(max_lag_entries=10)
    there.tell(110)
    assert not behind(known, limits, 0, 100, known.heard_at)
    there.tell(111)
    assert behind(known, limits, 0, 100, known.heard_at) == BEHIND_ENTRIES
    assert not behind(known, limits, 0, 101, known.heard_at)
