"""The two lanes of tests that `python -m tests` runs side by side, told apart by their folders."""

from __future__ import annotations

from pathlib import PurePath
from typing import Final, Literal

Lane = Literal["parts", "whole"]
LANES: Final[tuple[Lane, ...]] = ("parts", "whole")
WHOLE: Final = frozenset({"chaos", "client", "testing"})
"""Folders of tests that run whole tiers, real or simulated; all others test parts in their own process."""


def lane_of(path: PurePath) -> Lane:
    """The lane of a test file; `path` is relative to the folder of all tests."""
    return "whole" if path.parts[0] in WHOLE else "parts"
