"""The session's settings that change how a value is printed or read.  A value: plans cache encoders by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Final

Value = None | int | float | str | bytes
"""What SQLite holds; `proxy.pg.oids.STORAGE` says which for each type."""


@dataclass(frozen=True, slots=True)
class EncodeSettings:
    """DateStyle is always ISO (and MDY for input), client_encoding always UTF8: neither is a choice.

    `zone` looks up a time zone's name and gives None for an unknown one.  Reading zone files is I/O, so the
    caller brings the function; without it only UTC and numeric offsets are known.  `now` is the transaction's
    start, which 'now' and 'today' mean in a literal; without it they are refused.  Neither changes output, so
    both are left out of comparisons.
    """

    timezone: tzinfo = UTC
    bytea_output: str = "hex"
    """'hex' or 'escape'."""
    extra_float_digits: int = 1
    interval_style: str = "postgres"
    """'postgres' or 'iso_8601'."""
    zone: Callable[[str], tzinfo | None] | None = field(default=None, compare=False)
    transaction_time: datetime | None = field(default=None, compare=False)
    """With its time zone."""


DEFAULTS: Final = EncodeSettings()
