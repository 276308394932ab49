"""The queue before the writer: bounded in number and in bytes, in order of arrival, left by who waits too long."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import trio

from lfsql.core.requests import HOLD, Submit
from lfsql.errors import LfsqlError, LockNotAvailable, QueueFull
from lfsql.node.alarm import NEVER, Alarm
from lfsql.node.work import Work

BYTES_MAX: Final = 256 << 20


class WriteQueue:
    def __init__(self, units_max: int, refuse: Callable[[Work, LfsqlError], None]) -> None:
        """`refuse` answers a work with an error."""
        self._units_max = units_max
        self._refuse = refuse
        self.alarm = Alarm(self._check_patience)
        """Rings for works that have waited for the writer for as long as they may; to be run while there is one."""
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

    def take_in(self, work: Work, *, free: bool) -> bool:
        """Append the work, or refuse it.  `free`: no transaction has the writer."""
        question = work.question
        try:
            if isinstance(question, Submit):
                if question.nowait and not (free and not any(map(_holds, self._works))):
                    raise LockNotAvailable("could not obtain the lock: another transaction has the writer")
                if question.lock_ms_max:
                    work.waits_until = trio.current_time() + question.lock_ms_max / 1000
            self.append(work)
        except (QueueFull, LockNotAvailable) as error:
            self._refuse(work, error)
            return False
        self.alarm.set(work.waits_until)
        return True

    def refuse(self, is_meant: Callable[[Work], bool], error: LfsqlError | None) -> None:
        """Remove what is meant, answering with `error` unless nobody is there to hear it."""
        for work in self.drop(is_meant):
            if error is not None:
                self._refuse(work, error)

    def _check_patience(self) -> float:
        now = trio.current_time()
        self.refuse(lambda work: work.waits_until <= now, LockNotAvailable("canceling statement due to lock timeout"))
        return min((work.waits_until for work in self._works), default=NEVER)

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
            holds = _holds(work)
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


def _holds(work: Work) -> bool:
    """Whether it will have the writer until its transaction ends."""
    return isinstance(work.question, Submit) and work.question.end == HOLD
