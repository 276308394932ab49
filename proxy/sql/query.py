"""A query between its two steps: worked out, but with its outputs' types and text still to be settled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from proxy.sql.quoting import quote
from proxy.sql.value import Value

Render = Callable[[Sequence[Value], Sequence[str]], str]


@dataclass(slots=True)
class Query:
    outputs: list[Value]
    names: list[str]
    renderer: Render

    def render(self, outputs: Sequence[Value], names: Sequence[str] = ()) -> str:
        """SQLite text with `outputs` as its select list, called `names` (which a caller makes unique)."""
        return self.renderer(outputs, names)


def distinct_names(names: Sequence[str]) -> list[str]:
    """Names as SQLite needs them in a FROM: no two alike, in its case-insensitive eyes."""
    seen: set[str] = set()
    result = []
    for each in names:
        candidate, number = each, 1
        while candidate.lower() in seen:
            number += 1
            candidate = f"{each}:{number}"
        seen.add(candidate.lower())
        result.append(candidate)
    return result


def select_list(outputs: Sequence[Value], aliases: Sequence[str]) -> str:
    if not outputs:
        return "NULL"  # SQLite has no empty select list; the caller reports no columns
    if not aliases:
        return ", ".join(output.sql for output in outputs)
    return ", ".join(f"{output.sql} AS {quote(alias)}" for output, alias in zip(outputs, aliases, strict=True))
