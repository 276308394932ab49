"""The session's settings that change how a value is printed or read.  A value: plans cache encoders by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lfsql.values.reading import Reading

Value = None | int | float | str | bytes
"""What SQLite holds; `proxy.pg.oids.STORAGE` says which for each type."""


@dataclass(frozen=True, slots=True)
class EncodeSettings(Reading):
    """client_encoding is always UTF8, which is no choice."""

    bytea_output: str = "hex"
    """'hex' or 'escape'."""
    extra_float_digits: int = 1
    interval_style: str = "postgres"
    """'postgres' or 'iso_8601'."""


DEFAULTS: Final = EncodeSettings()
