"""Time zones from the tzdata package alone, never from the machine: what a zone means must be the same on every node.

`zoneinfo.ZoneInfo(name)` prefers the system's files, which differ between machines that run the same program.

What is no name may be an offset, as POSIX spells it: a name of any kind, also none, and hours and minutes *west* of
Greenwich.  So '-08:00' is eight hours east here, as in PostgreSQL, though it is eight hours west in a timestamp.
"""

from __future__ import annotations

import re
from datetime import timedelta, timezone, tzinfo
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

from lfsql.values.datetime_literals import ABBREVIATIONS
from lfsql.values.datetimes import offset_text

VERSION: Final = version("tzdata")
"""Nodes compare it when they connect."""

OFFSET_MAX: Final = timedelta(hours=24)
"""Beyond all offsets.  PostgreSQL takes up to a week; no place on earth needs more than 14 hours."""

_POSIX: Final = re.compile(r"(?:<[^<>]*>|[A-Za-z]*)([+-]?)(\d{1,2})(?::([0-5]\d))?\Z", re.ASCII)


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
    found = _names().get(name.lower())
    return None if found is None else _load(found)


def posix_offset(name: str) -> timedelta | None:
    """How far east of Greenwich a POSIX zone is; None for what is none or has a summer time.  Up to 99:59 hours."""
    found = _POSIX.match(name)
    if found is None:
        return None
    sign, hours, minutes = found.groups()
    west = timedelta(hours=int(hours), minutes=int(minutes or 0))
    return west if sign == "-" else -west


def posix_name(seconds: int) -> str:
    """PostgreSQL's name for a zone so many seconds east of Greenwich: `<+05:30>-05:30`."""
    return f"<{offset_text(seconds)}>{offset_text(-seconds) if seconds else '-00'}"


def known(name: str) -> tzinfo | None:
    """The zone of that name, abbreviation or offset, as AT TIME ZONE takes it; None when there is none."""
    found = named(name)
    if found is not None:
        return found
    hours = ABBREVIATIONS.get(name.lower())
    offset = timedelta(hours=hours) if hours is not None else posix_offset(name)
    return timezone(offset) if offset is not None and abs(offset) < OFFSET_MAX else None
