"""What the readers of all types share: what they skip, and the error for what they cannot read."""

from __future__ import annotations

from typing import Final

from lfsql.errors import InvalidText

SPACES: Final = " \t\n\r\v\f"
"""What PostgreSQL skips around most literals."""


def bad_literal(type_name: str, text: str) -> InvalidText:
    return InvalidText(f'invalid input syntax for type {type_name}: "{text}"')
