"""What was found out about statements, remembered by their exact text: bounded in number and in length.

Of one connection and one schema: whoever keeps one calls forget() when the schema changed.  When it is full it is
emptied, not thinned out: a working set that fits is found again at once, and for one that does not fit no statement
pays with book-keeping.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

KNOWN_MAX: Final = 4096
TEXT_MAX: Final = 16_384
"""Characters.  Longer texts are bulk one-offs: looked at each time, never remembered."""

Fact = TypeVar("Fact")


class KnownTexts(Generic[Fact]):
    """`get` is the dictionary's own: the hot path looks there first, and pays for no call of ours."""

    def __init__(self) -> None:
        self._facts: dict[str, Fact] = {}
        self.get = self._facts.get

    def __len__(self) -> int:
        return len(self._facts)

    def remember(self, sql: str, fact: Fact) -> Fact:
        if len(sql) <= TEXT_MAX:
            if len(self._facts) >= KNOWN_MAX:
                self._facts.clear()
            self._facts[sql] = fact
        return fact

    def forget(self) -> None:
        self._facts.clear()
