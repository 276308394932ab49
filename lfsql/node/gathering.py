"""Finished transactions that wait a moment to go into the log together.

Each trip of the log costs every node an fsync and some wake-ups, however little it carries.  While other clients wait
for the writer anyway, a transaction that has ended is kept back for some milliseconds, and those that end meanwhile
go with it: whoever waits gets the writer sooner than the trips would have allowed.  With nobody waiting nothing is
kept.

One-shot units need none of this: they wait in the queue while the engine works, and leave it as one batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from lfsql.node.alarm import NEVER, Alarm
from lfsql.node.batch import Ran

GATHER_SECONDS: Final = 0.012
"""About three trips of a log under load: long enough that those who run one after the other, each for a round trip of
its client, go into one; and less than they would wait for trips of their own, so who is kept back loses nothing."""
GATHERED_MAX: Final = 16
GATHERED_BYTES_MAX: Final = 1 << 20


class Gathering:
    """Units the engine has closed and consensus has not seen, oldest first.  `log` hands a layer of them over."""

    def __init__(self, log: Callable[[list[Ran]], None]) -> None:
        self._log = log
        self._units: list[Ran] = []
        self._size = 0
        self.alarm = Alarm(self._check)

    def __bool__(self) -> bool:
        return bool(self._units)

    def add(self, ran: Ran, *, others_wait: bool) -> None:
        """Keep a unit back for a moment; log all there is when nobody waits, or when it is enough."""
        self._units.append(ran)
        self._size += sum(map(len, ran.bodies))
        if not others_wait or len(self._units) >= GATHERED_MAX or self._size >= GATHERED_BYTES_MAX:
            self.flush()
        else:
            self.alarm.set(trio.current_time() + GATHER_SECONDS)

    def has(self, client: str) -> bool:
        return any(ran.work.client == client for ran in self._units)

    def flush(self) -> None:
        """Log what is kept back."""
        units = self.take()
        if units:
            self._log(units)

    def take(self) -> list[Ran]:
        units, self._units, self._size = self._units, [], 0
        return units

    def _check(self) -> float:
        self.flush()
        return NEVER
