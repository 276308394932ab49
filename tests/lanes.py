"""The lanes of tests that `python -m tests` runs, told apart by their folders, and which of them run side by side."""

from __future__ import annotations

from pathlib import PurePath
from typing import Final, Literal

Lane = Literal["parts", "clients", "runs"]
LANES: Final[tuple[Lane, ...]] = ("parts", "clients", "runs")
SIDE_BY_SIDE: Final[tuple[tuple[Lane, ...], ...]] = (("parts", "runs"), ("clients",))
"""Lanes that follow each other; these rows run at the same time, and take about as long as each other."""
FOLDERS: Final[dict[str, Lane]] = {"client": "clients", "chaos": "runs", "testing": "runs"}
"""Of real clients at real tiers, and of long runs of whole tiers, real or simulated; all others test parts."""


def lane_of(path: PurePath) -> Lane:
    """The lane of a test file; `path` is relative to the folder of all tests."""
    return FOLDERS.get(path.parts[0], "parts")
