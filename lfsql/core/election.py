"""When to stand for election, whom to vote for, and who has won.

Two rounds: a pre-vote asks whether an election could be won, and only then the term goes up, so that a node
that was cut off cannot depose a working primary by coming back.  Priorities only shift timeouts: who may win is
decided by the log comparison alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from lfsql.core.ids import NodeId, Position, Term
from lfsql.core.membership import Configuration
from lfsql.core.settings import ConsensusSettings

WON: Final = "won"
LOST: Final = "lost"
OPEN: Final = "open"


def is_current(candidate: Position, own: Position) -> bool:
    """Whether a log that ends at `candidate` has all that one that ends at `own` can have committed."""
    return (candidate.term, candidate.index) >= (own.term, own.index)


class Timeouts:
    """Random waits in seconds, each drawn anew, so that equals rarely stand at the same time."""

    def __init__(self, settings: ConsensusSettings, rank: int, draw: Callable[[], float]) -> None:
        self._settings = settings
        self._delay = rank * settings.rank_step
        self._draw = draw

    def election(self) -> float:
        """How long silence is borne, and how long a candidate waits for votes."""
        spread = self._settings.election_timeout_max - self._settings.election_timeout_min
        return self._settings.election_timeout_min + self._draw() * spread + self._delay

    def takeover(self) -> float:
        """How long to wait after the primary's link closed: its process is gone, others notice too."""
        return self._draw() * self._settings.takeover_spread + self._delay

    def retry(self) -> float:
        """How long to wait after a split vote: everybody is awake, one only has to be first."""
        return (0.5 + 1.5 * self._draw()) * self._settings.heartbeat + self._delay


class Campaign:
    """One candidate's count of the answers for `term`."""

    def __init__(self, configuration: Configuration, term: Term, *, pre: bool, transfer: bool) -> None:
        self.term = term
        self.pre = pre
        self.transfer = transfer
        self._configuration = configuration
        self._granted: dict[NodeId, bool] = {}

    def count(self, node: NodeId, granted: bool) -> None:
        """The first answer of an elector counts, and a later grant: refusing does not bind."""
        if node in self._configuration.electors and not self._granted.get(node):
            self._granted[node] = granted

    def missing(self, node: NodeId) -> bool:
        return node in self._configuration.electors and node not in self._granted

    @property
    def result(self) -> str:
        granted = sum(self._granted.values())
        if granted >= self._configuration.quorum:
            return WON
        refused = len(self._granted) - granted
        if len(self._configuration.electors) - refused < self._configuration.quorum:
            return LOST
        return OPEN
