"""What a TimeZone setting may say, and which zone that is: one reading, for the setting's check and all its users.

What `spelled` accepts, `zone` and SQL functions know: they may be called where nothing may fail.  A mere number is
hours *east* of Greenwich and kept as the POSIX zone it stands for, as in PostgreSQL; everything else is as AT TIME
ZONE reads it, but for abbreviations, which are no places.
"""

from __future__ import annotations

import re
from datetime import UTC, timezone, tzinfo
from functools import lru_cache
from typing import Final

from lfsql.errors import InvalidParameterValue
from lfsql.storage.functions import zones

_HOURS: Final = re.compile(r"[+-]?(?:\d{1,9}\.?\d{0,9}|\.\d{1,9})\Z", re.ASCII)
_UTC: Final = frozenset({"utc", "zulu", "default", "local"})
CHARACTERS_MAX: Final = 255


def spelled(name: str, value: str) -> str:
    """The text to keep for setting `name`.  Raises InvalidParameterValue."""
    word = value.strip().strip("'")
    if word.lower() in _UTC:
        return "UTC"
    if _HOURS.match(word) is not None:
        seconds = int(float(word) * 3600)
        if abs(seconds) >= zones.OFFSET_MAX.total_seconds():
            raise _out_of_range(name, value)
        if seconds % 60 == 0:
            return zones.posix_name(seconds)
    elif len(word) <= CHARACTERS_MAX:
        found = zones.named(word)
        if found is not None:
            return found.key
        offset = zones.posix_offset(word)
        if offset is not None:
            if abs(offset) >= zones.OFFSET_MAX:
                raise _out_of_range(name, value)
            return word.upper()
    raise InvalidParameterValue(f'invalid value for parameter "{name}": "{value}"')


def _out_of_range(name: str, value: str) -> InvalidParameterValue:
    return InvalidParameterValue(
        f'invalid value for parameter "{name}": "{value}"',
        detail="UTC timezone offset is out of range.",
        hint="An offset must be less than 24 hours.",
    )


@lru_cache(maxsize=1_000)
def zone(kept: str) -> tzinfo:
    """The zone of a text that `spelled` gave.  Equal texts give the same object."""
    if kept == "UTC":
        return UTC
    found = zones.named(kept)
    if found is not None:
        return found
    offset = zones.posix_offset(kept)
    if offset is None:
        raise InvalidParameterValue(f'time zone "{kept}" not recognized')
    return timezone(offset)
