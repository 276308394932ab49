"""A timer whose time may be set again and again at next to no cost.

Most limits here are set for every statement and almost never reached.  So a time that moves back is noticed only when
the old one comes: the sleeper asks what is due and sleeps on.  Only a time that comes nearer disturbs it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

NEVER: Final = float("inf")


class Alarm:
    """Calls `check` at the time that was set, or later than set if it was moved; `check` returns when to call it
    again (trio's clock, NEVER for not before `set`).  `run` must run in a task.
    """

    def __init__(self, check: Callable[[], float]) -> None:
        self._check = check
        self._due = NEVER
        self._scope = trio.CancelScope()

    def set(self, due: float) -> None:
        """Call `check` at `due`, or earlier if that was set before."""
        if due < self._due:
            self._due = self._scope.deadline = due

    async def run(self) -> None:
        while True:
            with trio.CancelScope(deadline=self._due) as self._scope:
                await trio.sleep_forever()
            self._due = NEVER
            self.set(self._check())
