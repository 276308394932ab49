"""The simulator bites: each planted fault is found, and soon."""

from __future__ import annotations

import pytest

from tests.testing.planted import PLANTED, Planted
from tests.testing.planting import search


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_a_planted_fault_is_found(planted: Planted) -> None:
    seeds, found = search(planted)
    assert found is not None, f"not within {seeds} seeds"


def test_there_are_enough_of_them() -> None:
    assert len({planted.name for planted in PLANTED}) == len(PLANTED) >= 15
