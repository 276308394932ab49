"""The queue before the writer: bounded in number and in bytes, in order of arrival."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from lfsql.core.requests import HOLD, Submit
from lfsql.errors import QueueFull
from lfsql.node.work import Work

BYTES_MAX: Final = 256 << 20


class WriteQueue:
    def __init__(self, units_max: int) -> None:
        self._units_max = units_max
        self._works: deque[Work] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._works)

    def append(self, work: Work) -> None:
        """Raises QueueFull; the work is not taken then."""
        if len(self._works) >= self._units_max or self._bytes >= BYTES_MAX:
            raise QueueFull(f"{len(self._works)} units wait to be written")
        self._works.append(work)
        self._bytes += work.size

    def put_back(self, works: Iterable[Work]) -> None:
        """Before all others, in their order; never refused."""
        for work in reversed(tuple(works)):
            self._works.appendleft(work)
            self._bytes += work.size

    def drop(self, is_meant: Callable[[Work], bool]) -> list[Work]:
        """Remove what is meant and return it."""
        dropped = [work for work in self._works if is_meant(work)]
        if dropped:
            self._works = deque(work for work in self._works if not is_meant(work))
            self._bytes -= sum(work.size for work in dropped)
        return dropped

    def take(
        self, units_max: int, bytes_max: int, is_answered: Callable[[Work], bool]
    ) -> tuple[tuple[Work, ...], bool]:
        """(works, whether they are one Submit that holds the writer) from the front.

        Otherwise a run of one-shot works of different clients, so that a repeated unit never meets its first copy
        in one batch.  Works that `is_answered` are passed over.
        """
        taken: list[Work] = []
        clients: set[str] = set()
        size = 0
        while self._works and len(taken) < units_max and size < bytes_max:
            work = self._works[0]
            holds = isinstance(work.question, Submit) and work.question.end == HOLD
            if taken and (holds or work.client in clients):
                break
            self._works.popleft()
            self._bytes -= work.size
            if is_answered(work):
                continue
            taken.append(work)
            if holds:
                return (work,), True
            clients.add(work.client)
            size += work.size
        return tuple(taken), False
