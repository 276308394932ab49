"""What reading a literal depends on besides its text.  A value: everything else is the same for everybody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Final


@dataclass(frozen=True, slots=True)
class Reading:
    """DateStyle is always ISO, and MDY for input.

    `zone` looks up a time zone's name and gives None for an unknown one.  Reading zone files is I/O, so the
    caller brings the function; without it only UTC and numeric offsets are known.  `transaction_time` is what 'now'
    and 'today' mean in a literal; without it they are refused.  Both are left out of comparisons.
    """

    timezone: tzinfo = UTC
    zone: Callable[[str], tzinfo | None] | None = field(default=None, compare=False)
    transaction_time: datetime | None = field(default=None, compare=False)
    """With its time zone."""


PLAIN: Final = Reading()
