"""Changes of members on their way into the primary's log, in turn with the units of clients.

They go through the writer, since SQLite is told of every record that the primary logs: of one that it did not know
of, it would for ever be one short of the log's end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from lfsql.core.effects import NOT_PRIMARY, ProposalRefused, Proposed
from lfsql.core.entry import CONFIGURATION
from lfsql.core.ids import Term
from lfsql.core.membership import Configuration, encode_configuration
from lfsql.node.carrying import Carrier
from lfsql.node.ledger import Ledger

WAITING_MAX: Final = 64

TakeAnswer = Callable[[Proposed | ProposalRefused], None]


class MemberChanges:
    """What waits to be logged.  The writer calls `log` when its order of records allows it."""

    def __init__(self, carrier: Carrier, ledger: Ledger, pump: Callable[[], None]) -> None:
        self._carrier = carrier
        self._ledger = ledger
        self._pump = pump
        self._waiting: deque[tuple[Configuration, TakeAnswer]] = deque()

    def ask(self, configuration: Configuration, answer: TakeAnswer) -> None:
        """Log it at the next opportunity.  `answer` is called once, at once or later; it must not wait or raise."""
        if len(self._waiting) >= WAITING_MAX:
            answer(ProposalRefused("too many changes of members wait", ""))
            return
        self._waiting.append((configuration, answer))
        self._pump()

    def log(self, term: Term) -> None:
        """Put all that waits into the log of `term`."""
        while self._waiting:
            configuration, answer = self._waiting.popleft()
            result = self._carrier.propose(term, ((CONFIGURATION, encode_configuration(configuration)),))
            if isinstance(result, Proposed):
                self._ledger.log_members(self._carrier.consensus.last)
            answer(result)

    def refuse(self) -> None:
        """This node takes no more work."""
        while self._waiting:
            self._waiting.popleft()[1](ProposalRefused(NOT_PRIMARY, self._carrier.consensus.primary))
