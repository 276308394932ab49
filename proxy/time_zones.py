"""What a TimeZone setting may say, and which zone that is: one reading, for the setting's check and all its users.

What `spelled` accepts, `zone` and `for_functions` know: they may be called where nothing may fail.
"""

from __future__ import annotations

import re
from datetime import UTC, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final

from lfsql.errors import InvalidParameterValue
from lfsql.storage.functions import zones

_OFFSET: Final = re.compile(r"(<[^<>]*>)?([+-]?)(\d{1,2})(?::?([0-5]\d))?\Z", re.ASCII)
_UTC: Final = frozenset({"utc", "zulu", "default", "local"})
OFFSET_MAX: Final = timedelta(hours=24)
"""Beyond all offsets.  PostgreSQL takes up to a week; no place on earth needs more than 14 hours."""
CHARACTERS_MAX: Final = 255


def spelled(name: str, value: str) -> str:
    """The text to keep for setting `name`.  Raises InvalidParameterValue."""
    word = value.strip().strip("'")
    if word.lower() in _UTC:
        return "UTC"
    if len(word) <= CHARACTERS_MAX:
        if _OFFSET.match(word) is not None:
            if abs(_offset(word)) < OFFSET_MAX:
                return word
            raise InvalidParameterValue(
                f'invalid value for parameter "{name}": "{value}"',
                detail="UTC timezone offset is out of range.",
                hint="An offset must be less than 24 hours.",
            )
        found = zones.named(word)
        if found is not None:
            return found.key
    raise InvalidParameterValue(f'invalid value for parameter "{name}": "{value}"')


@lru_cache(maxsize=1_000)
def zone(kept: str) -> tzinfo:
    """The zone of a text that `spelled` gave.  Equal texts give the same object."""
    if kept == "UTC":
        return UTC
    found = zones.named(kept)
    return timezone(_offset(kept)) if found is None else found


def for_functions(kept: str) -> str:
    """The same zone as SQL functions spell it: a name, or an ISO offset."""
    if _OFFSET.match(kept) is None:
        return kept
    minutes = round(_offset(kept) / timedelta(minutes=1))
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def _offset(text: str) -> timedelta:
    """As PostgreSQL reads them: '+2' and '2' are hours east, '<+02>-02' is POSIX, which counts westwards."""
    found = _OFFSET.match(text)
    if found is None:
        raise InvalidParameterValue(f'time zone "{text}" not recognized')
    posix, sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
    return -offset if (sign == "-") != (posix is not None) else offset
