"""sqllogictest scripts, parsed into values and judged; no I/O, so that any client can run them.

The format is SQLite's (https://sqlite.org/sqllogictest/doc/trunk/about.wiki): records divided by blank lines, each a
statement that must succeed or fail, or a query with the types, order and text (or MD5 hash) of its values.
Results are judged as SQLite's own runner prints them: integers as %d, reals as %.3f, '' as (empty), NULL as NULL,
and anything unprintable as @.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import md5

from lfsql.errors import StatementError

Cell = None | int | float | str | bytes


@dataclass(frozen=True)
class Statement:
    """`sql` must succeed when `succeeds`, else fail."""

    line: int
    sql: str
    succeeds: bool


@dataclass(frozen=True)
class Query:
    """`types`: one of I, R, T a column.  `order`: nosort, rowsort or valuesort.  `expected`: lines as in the file."""

    line: int
    sql: str
    types: str
    order: str
    expected: tuple[str, ...]


Record = Statement | Query


def parse(text: str, engine: str) -> Iterator[Record]:
    """The records that `engine` (sqlite, postgresql) is to run.  Raises StatementError for an unknown directive."""
    lines = text.splitlines()
    position = 0
    while position < len(lines):
        block: list[str] = []
        start = position
        while position < len(lines) and lines[position].strip():
            block.append(lines[position])
            position += 1
        position += 1
        wanted = True
        while block:
            word, _, rest = block[0].partition("#")[0].strip().partition(" ")
            if not word:
                pass
            elif word == "onlyif":
                wanted = wanted and rest.strip() == engine
            elif word == "skipif":
                wanted = wanted and rest.strip() != engine
            elif word == "halt":
                if wanted:
                    return
            elif word != "hash-threshold":
                break
            block.pop(0)
            start += 1
        if block and wanted:
            yield _record(block, start + 1)


def _record(block: Sequence[str], line: int) -> Record:
    words = block[0].split()
    if words[0] == "statement" and words[1:2] in (["ok"], ["error"]):
        return Statement(line, "\n".join(block[1:]), words[1] == "ok")
    if words[0] == "query" and len(words) > 1:
        order = words[2] if len(words) > 2 else "nosort"
        body = list(block[1:])
        divider = body.index("----") if "----" in body else len(body)
        return Query(line, "\n".join(body[:divider]), words[1], order, tuple(body[divider + 1 :]))
    raise StatementError(f"line {line}: no sqllogictest record: {block[0]}")


def shown(value: Cell, kind: str) -> str:
    """One value as SQLite's runner prints it in a column of type `kind`."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if kind == "I":
        return str(_as_integer(value))
    if kind == "R":
        # SQLite's printf gives 16 significant digits and goes on with zeros.
        return f"{Decimal(f'{_as_real(value):.15e}'):.3f}"
    text = f"{value:.15g}" if isinstance(value, float) else str(value)
    return re.sub(r"[^ -~]", "@", text) or "(empty)"


def judge(query: Query, rows: Sequence[Sequence[Cell]]) -> str | None:
    """None when `rows` is what the query must give, else what differs."""
    if any(len(row) != len(query.types) for row in rows):
        return f"expected {len(query.types)} columns, got {len(rows[0])}"
    table = [[shown(value, kind) for value, kind in zip(row, query.types, strict=True)] for row in rows]
    if query.order == "rowsort":
        table.sort()
    values = [value for row in table for value in row]
    if query.order == "valuesort":
        values.sort()
    hashed = re.fullmatch(r"(\d+) values hashing to ([0-9a-f]{32})", query.expected[0]) if query.expected else None
    if hashed is not None:
        digest = md5("".join(f"{value}\n" for value in values).encode(), usedforsecurity=False).hexdigest()
        if (len(values), digest) != (int(hashed[1]), hashed[2]):
            return f"expected {query.expected[0]}, got {len(values)} values hashing to {digest}"
        return None
    if tuple(values) == query.expected:
        return None
    return f"expected {list(query.expected)[:20]}, got {values[:20]}"


def judge_failure(query: Query, error: str) -> str | None:
    """None when the query may fail with `error`: SQLite's runner counts the rows before a failure while running,
    so a sum that overflows is written as a query without values."""
    overflowed = "overflow" in error or "out of range" in error
    return None if overflowed and not query.expected else error


def _as_integer(value: Cell) -> int:
    # What C's %d of sqlite3_column_int gives: the leading number of a text, 0 without one.
    if isinstance(value, str):
        leading = re.match(r"\s*[+-]?\d+", value)
        return int(leading[0]) if leading else 0
    return int(value or 0)


def _as_real(value: Cell) -> float:
    if isinstance(value, str):
        leading = re.match(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", value)
        return float(leading[0]) if leading else 0.0
    return float(value or 0)
