"""Turns: who is asked next, and who after it if it may not serve.

Shares become a fixed cycle by smooth weighted round robin (nginx's): each copy comes as often as its share says, at
distances as even as they can be.  Everything is worked out when the shares change; a turn is a step in a list, as it
is taken for every read, most of which take a few microseconds in all.

Looking whose turn it is and taking the turn are two things.  One read may look several times, on the ways that it
tries one after the other, and takes one turn, when a copy is asked; who only looks, as EXPLAIN (ROUTE) does, takes
none.  Were each look a turn, then with two copies and two looks a read all reads would be for one of the two.

The second pick is the copy of the next different turn.  It is taken instead when the first has more outstanding, for
its share, than the second would have with this read: so a copy that answers slowly, for whatever reason, is relieved
within one answer's time, while load that is spread as the shares say moves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from proxy.balancing.shares import Arrangement


class Loaded(Protocol):
    outstanding: int
    """Reads and transactions under way there."""


N = TypeVar("N", bound=Loaded)


class _Rival(NamedTuple, Generic[N]):
    first: N
    first_share: int
    second: N
    second_share: int
    order: list[N]
    """With the second first."""


class Turns(Generic[N]):
    """`begin`: at which turn to begin, so that proxies that start together do not go in step."""

    def __init__(self, begin: int = 0) -> None:
        self._begin = begin
        self._turn = 0
        self._slots: list[tuple[list[N], _Rival[N] | None]] = [([], None)]

    def set(self, nodes: Sequence[N], arrangement: Arrangement) -> None:
        """From now on: the nodes as arranged."""
        shares = arrangement.shares
        known: dict[tuple[int, ...], tuple[list[N], _Rival[N] | None]] = {}
        slots = []
        for places in orders(arrangement):
            slot = known.get(places)
            if slot is None:
                slot = known[places] = _slot([nodes[place] for place in places], [shares[place] for place in places])
            slots.append(slot)
        self._slots = slots
        self._turn, self._begin = (self._turn + self._begin) % len(slots), 0

    def order(self) -> list[N]:
        """The nodes in the order in which to try them: whose turn it is, and then the others."""
        order, rival = self._slots[self._turn]
        if (
            rival is not None
            and (load := rival.first.outstanding)
            and load * rival.second_share > (rival.second.outstanding + 1) * rival.first_share
        ):
            return rival.order
        return order

    def take(self) -> None:
        """A read goes to a node: the next one looks at the next turn."""
        self._turn = (self._turn + 1) % len(self._slots)


def _slot(order: list[N], shares: list[int]) -> tuple[list[N], _Rival[N] | None]:
    if len(order) < 2 or not shares[1]:
        return order, None
    first, second = order[:2]
    return order, _Rival(first, shares[0], second, shares[1], [second, first, *order[2:]])


def cycle(shares: Sequence[int]) -> list[int]:
    """The places of the shares, each as often as its share is, evenly spread."""
    total = sum(shares)
    credit = [0] * len(shares)
    found = []
    for _ in range(total):
        for place, share in enumerate(shares):
            credit[place] += share
        best = max(range(len(shares)), key=credit.__getitem__)
        credit[best] -= total
        found.append(best)
    return found


def orders(arrangement: Arrangement) -> list[tuple[int, ...]]:
    """For each turn of the cycle all places in order: as their next turns come, then those without a share."""
    spare, last = arrangement.spare, arrangement.primary + arrangement.avoided
    turns = cycle(arrangement.shares)
    if not turns:
        return [last]
    # With more than one to fall back on, the cycle is gone round once for each.
    turns *= max(1, len(spare))
    recent: list[int] = []
    found: list[tuple[int, ...]] = []
    # Backwards, twice round: whose next turn is nearest has been moved to the front last.
    for number, place in enumerate(reversed(turns + turns)):
        if place in recent:
            recent.remove(place)
        recent.insert(0, place)
        if number >= len(turns):
            first = number % len(spare) if spare else 0
            found.append((*recent, *spare[first:], *spare[:first], *last))
    found.reverse()
    return found
