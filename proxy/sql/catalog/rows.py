"""How a catalog row is written down: by column name, with PostgreSQL's blanks for what is not said.

Catalog rows have up to 44 columns of which a few are interesting.  A row is a mapping of those few; `complete`
lays it over the relation's blanks (NULL, or zero where the column is NOT NULL) and gives the tuple to insert.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

from proxy.sql.catalog.definitions import relations

Value = str | int | float | bytes | None
Row = tuple[Value, ...]
Rows = dict[tuple[str, str], list[Row]]
"""Rows by (attached database, relation)."""

_BLANKS: Final[dict[str, Value]] = {"integer": 0, "real": 0.0, "text": ""}


@cache
def _blank(database: str, relation: str) -> Mapping[str, Value]:
    columns = relations(database)[relation].columns
    return {
        column.name: (
            None if not column.not_null else "[]" if column.declared.startswith("array") else _zero(column.declared)
        )
        for column in columns
    }


def _zero(declared: str) -> Value:
    return _BLANKS[declared.split()[-1].partition("(")[0]]


def complete(database: str, relation: str, rows: Iterable[Mapping[str, Value]]) -> list[Row]:
    """The rows as full tuples in column order.  KeyError for a column the relation does not have."""
    blank = _blank(database, relation)
    names = list(blank)
    empty = list(blank.values())
    places: dict[tuple[str, ...], list[int]] = {}
    result: list[Row] = []
    for row in rows:
        given = tuple(row)
        columns = places.get(given)
        if columns is None:
            if not blank.keys() >= row.keys():
                raise KeyError(f"{database}.{relation} has no column {', '.join(row.keys() - blank.keys())}")
            columns = places[given] = [names.index(name) for name in given]
        values = empty.copy()
        for place, value in zip(columns, row.values(), strict=True):
            values[place] = value
        result.append(tuple(values))
    return result


def array(values: Iterable[int]) -> str:
    """The stored form of an array or vector of numbers: JSON text."""
    return f"[{','.join(map(str, values))}]"


def text_array(values: Iterable[str]) -> str:
    """The stored form of a text[] or name[]: JSON text."""
    return json.dumps(list(values), ensure_ascii=False, separators=(",", ":"))
