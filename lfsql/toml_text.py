"""Values as TOML text: strings, integers, booleans, lists of strings and tables: all that our two files need.

The standard library reads TOML and does not write it; a dependency would be more than these lines.
"""

from __future__ import annotations

import json
from typing import Any


def is_table_list(value: object) -> bool:
    """Whether it is written as [[tables]]."""
    return isinstance(value, (list, tuple)) and bool(value) and isinstance(value[0], dict)


def toml_lines(table: dict[str, Any]) -> list[str]:
    """What stands below a [table]: a line for each key."""
    return [f"{key} = {toml_value(value)}" for key, value in table.items()]


def toml_value(value: str | int | bool | list[Any] | tuple[Any, ...]) -> str:
    """What stands behind a key."""
    if isinstance(value, str):
        # JSON's string is TOML's basic string, but for DEL, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return "[" + ", ".join(toml_value(item) for item in value) + "]"
