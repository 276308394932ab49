"""SQLite's own searches in texts, made to take time that is a sum of the texts' lengths and not their product.

SQLite compares at each place anew: replace() and instr() of texts of some megabytes that nearly match would take
hours, and nothing stops a function that runs.  What they give is the same, for every kind of argument.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import apsw

from lfsql.storage.functions.limits import check_size, stoppable
from lfsql.storage.functions.registry import INNOCUOUS, strict

_Scalar = int | float | str | bytes


def _text(value: _Scalar) -> str:
    """As SQLite casts it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, int):
        return str(value)
    connection = apsw.Connection(":memory:")
    try:
        return str(connection.execute("SELECT CAST(? AS TEXT)", (value,)).get)
    finally:
        connection.close()


def replace(value: _Scalar | None, old: _Scalar | None, new: _Scalar | None) -> str | None:
    """With nothing to look for it does not matter what would be put there, not even that it is NULL."""
    if value is None or old is None:
        return None
    searched = _text(old)
    if not searched or searched[0] == "\0":
        return _text(value)
    if new is None:
        return None
    whole, put = _text(value), _text(new)
    if len(put) > len(searched):
        check_size(len(whole) + whole.count(searched) * (len(put) - len(searched)))
    return whole.replace(searched, put)


def position(value: _Scalar, searched: _Scalar) -> int:
    """From 1, in characters, or in bytes when both are bytes; 0: not there."""
    if isinstance(value, bytes) and isinstance(searched, bytes):
        return value.find(searched) + 1
    return _text(value).find(_text(searched)) + 1


def _trimming(*, left: bool, right: bool) -> Callable[..., str]:
    def trim(value: _Scalar, characters: _Scalar) -> str:
        whole, removed = _text(value), frozenset(_text(characters).partition("\0")[0])
        start, end = 0, len(whole)
        while left and start < end and whole[start] in removed:
            start += 1
        while right and start < end and whole[end - 1] in removed:
            end -= 1
        return whole[start:end]

    return trim


SEARCHES: Final[dict[str, tuple[int, Callable[..., Any]]]] = {
    "replace": (3, replace),
    "instr": (2, strict(position)),
    "trim": (2, strict(_trimming(left=True, right=True))),
    "ltrim": (2, strict(_trimming(left=True, right=False))),
    "rtrim": (2, strict(_trimming(left=False, right=True))),
}
"""Number of arguments and function."""


def register_searches(connection: apsw.Connection) -> None:
    for name, (count, function) in SEARCHES.items():
        connection.create_scalar_function(name, stoppable(name, function), count, deterministic=True, flags=INNOCUOUS)
