"""Whether this node was still primary after a question came: what an answer that was only read depends on.

A primary that was stopped, or cut off, does not know that another has taken its place and written since.  So before
it answers a read it has a quorum say that it still leads.  All who ask while one such round is on its way share the
next one; who asked before the newest heartbeat that a quorum has answered needs none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from lfsql.core.effects import ReadConfirmed, ReadRefused
from lfsql.errors import LfsqlError, NotPrimary
from lfsql.node.carrying import Carrier

Told = Callable[[LfsqlError | None], None]
"""Called once: with None when the node was primary, or else with the error for whoever asked."""


class Confirmations:
    def __init__(self, driver: Carrier) -> None:
        self._driver = driver
        self._waiting: list[Told] = []
        self._asking = False

    def known(self, since: float) -> bool:
        """Whether a quorum has confirmed already that this node was primary at some time after `since`."""
        return self._driver.consensus.confirmed_at >= since

    def ask(self, tell: Told) -> None:
        """Find out whether this node is still primary now."""
        self._waiting.append(tell)
        if not self._asking:
            self._ask()

    def _ask(self) -> None:
        waiting, self._waiting = self._waiting, []
        consensus = self._driver.consensus
        if not consensus.ready:  # another one would answer for itself
            for tell in waiting:
                tell(NotPrimary(primary=consensus.primary))
            return
        self._asking = True
        self._driver.read_index(partial(self._told, waiting))

    def _told(self, waiting: list[Told], effect: ReadConfirmed | ReadRefused) -> None:
        self._asking = False
        error = None if isinstance(effect, ReadConfirmed) else NotPrimary(primary=effect.primary)
        for tell in waiting:
            tell(error)
        if self._waiting and not self._asking:
            self._ask()
