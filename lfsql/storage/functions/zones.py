"""Time zones from the tzdata package alone, never from the machine: what a zone means must be the same on every node.

`zoneinfo.ZoneInfo(name)` prefers the system's files, which differ between machines that run the same program.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

VERSION: Final = version("tzdata")
"""Nodes compare it when they connect."""


@cache
def _names() -> dict[str, str]:
    """Each zone's name by its lower case: PostgreSQL takes either."""
    return {name.lower(): name for name in files("tzdata").joinpath("zones").read_text("ascii").split()}


@cache
def _load(name: str) -> ZoneInfo:
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def named(name: str) -> ZoneInfo | None:
    """The zone of that name, in upper or lower case; None when there is none."""
    known = _names().get(name.lower())
    return None if known is None else _load(known)
