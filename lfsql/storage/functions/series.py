"""Functions that return rows, as eponymous virtual tables: generate_series, the json_ and regexp_ ones.

Rows are made one at a time, so `generate_series(1, 1000000000)` costs no memory.  Columns are the function's, then
`ordinal`, then one hidden column an argument; SQLite writes `f(a, b)` as constraints on those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import apsw

from lfsql.errors import InvalidParameterValue
from lfsql.storage.functions import decimals, intervals, jsons, moments, patterns
from lfsql.values.intervals import read_interval

Rows = Callable[..., Iterator[tuple[Any, ...]]]


class Module:
    """One table-valued function, as apsw's VTModule."""

    def __init__(self, columns: Sequence[str], arguments: int, rows: Rows) -> None:
        self.columns = tuple(columns)
        self.arguments = arguments
        self.rows = rows

    def Connect(self, connection: apsw.Connection, *words: str) -> tuple[str, Table]:  # noqa: N802 - apsw's name
        connection.vtab_config(apsw.SQLITE_VTAB_INNOCUOUS)
        hidden = [f"argument{at} HIDDEN" for at in range(self.arguments)]
        return f"CREATE TABLE x({', '.join([*self.columns, 'ordinal', *hidden])})", Table(self)

    Create = Connect


class Table:
    def __init__(self, module: Module) -> None:
        self.module = module
        self.first = len(module.columns) + 1

    def BestIndex(self, constraints: Sequence[tuple[int, int]], orderbys: Any) -> Any:  # noqa: N802 - apsw's name
        """Every argument must be given; anything else SQLite checks itself."""
        used: list[Any] = [None] * len(constraints)
        found: dict[int, int] = {}
        for at, (column, operator) in enumerate(constraints):
            if column >= self.first and operator == apsw.SQLITE_INDEX_CONSTRAINT_EQ and column not in found:
                found[column] = at
        for place, column in enumerate(sorted(found)):
            used[found[column]] = (place, True)
        words = ",".join(str(column - self.first) for column in sorted(found))
        complete = len(found) == self.module.arguments
        return used, len(found), words, False, 10 if complete else 1e12

    def Open(self) -> Cursor:  # noqa: N802 - apsw's name
        return Cursor(self)

    def Disconnect(self) -> None:  # noqa: N802 - apsw's name
        pass

    Destroy = Disconnect


class Cursor:
    def __init__(self, table: Table) -> None:
        self.table = table
        self.iterator: Iterator[tuple[Any, ...]] = iter(())
        self.row: tuple[Any, ...] | None = None
        self.place = 0
        self.given: list[Any] = []

    def Filter(self, number: int, words: str | None, arguments: Sequence[Any]) -> None:  # noqa: N802 - apsw's name
        module = self.table.module
        self.given = [None] * module.arguments
        for word, value in zip(filter(None, (words or "").split(",")), arguments, strict=True):
            self.given[int(word)] = value
        self.iterator = iter(()) if None in self.given else module.rows(*self.given)
        self.place = 0
        self.Next()

    def Next(self) -> None:  # noqa: N802 - apsw's name
        self.row = next(self.iterator, None)
        self.place += 1

    def Eof(self) -> bool:  # noqa: N802 - apsw's name
        return self.row is None

    def Rowid(self) -> int:  # noqa: N802 - apsw's name
        return self.place

    def Column(self, number: int) -> Any:  # noqa: N802 - apsw's name
        if number == -1 or number == self.table.first - 1:
            return self.place
        if number >= self.table.first:
            return self.given[number - self.table.first]
        return None if self.row is None else self.row[number]

    def Close(self) -> None:  # noqa: N802 - apsw's name
        self.iterator = iter(())


def _stepless() -> InvalidParameterValue:
    return InvalidParameterValue("step size cannot equal zero")


def integers(start: int, stop: int, step: int) -> Iterator[tuple[Any, ...]]:
    if step == 0:
        raise _stepless()
    return ((value,) for value in range(start, stop + (1 if step > 0 else -1), step))


def numerics(start: str, stop: str, step: str) -> Iterator[tuple[Any, ...]]:
    value, last, by = decimals.number(start), decimals.number(stop), decimals.number(step)
    if not by:
        raise _stepless()
    scale = max(decimals.scale_of(value), decimals.scale_of(by))

    def rows() -> Iterator[tuple[Any, ...]]:
        current = value
        while current <= last if by > 0 else current >= last:
            yield (decimals.text(decimals.rounded(current, scale) if current is not value else current),)
            current = decimals.EXACT.add(current, by)

    return rows()


def timestamps(start: str, stop: str, step: str, zone: str) -> Iterator[tuple[Any, ...]]:
    whole = intervals.span(read_interval(step))
    if whole == 0:
        raise _stepless()

    def rows() -> Iterator[tuple[Any, ...]]:
        current = start
        while current <= stop if whole > 0 else current >= stop:
            yield (current,)
            current = moments.add_interval(current, step, 1, zone)

    return rows()


def _single(values: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    return ((value,) for value in values)


MODULES: Final[dict[str, Module]] = {
    "lfsql_series": Module(("value",), 3, integers),
    "lfsql_numeric_series": Module(("value",), 3, numerics),
    "lfsql_timestamp_series": Module(("value",), 4, timestamps),
    "lfsql_json_elements": Module(("value",), 2, lambda source, how: _single(jsons.elements(source, how))),
    "lfsql_json_keys": Module(("value",), 1, lambda source: _single(jsons.keys_of(source))),
    "lfsql_json_pairs": Module(("key", "value"), 2, lambda source, how: iter(jsons.pairs(source, how))),
    "lfsql_regex_matches": Module(("value",), 3, lambda *given: _single(patterns.all_matches(*given))),
}


def register_modules(connection: apsw.Connection) -> None:
    for name, module in MODULES.items():
        connection.create_module(name, module, eponymous_only=True, read_only=True)  # type: ignore[arg-type]  # apsw's protocol asks for methods read_only leaves out
