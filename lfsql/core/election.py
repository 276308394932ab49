"""When to stand for election, whom to vote for, and who has won.

Two rounds: a pre-vote asks whether an election could be won, and only then the term goes up, so that a node
that was cut off cannot depose a working primary by coming back.  Priorities, a slow disk and a database that is
behind its log only shift timeouts: who may win is decided by the log comparison alone.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

from lfsql.core.ids import NodeId, Position, Term
from lfsql.core.membership import Configuration
from lfsql.core.settings import ConsensusSettings

WON: Final = "won"
LOST: Final = "lost"
OPEN: Final = "open"

APPLIED_PER_SECOND: Final = 10_000
"""Records that a node is reckoned to apply in a second when it must catch up."""


def is_current(candidate: Position, own: Position) -> bool:
    """Whether a log that ends at `candidate` has all that one that ends at `own` can have committed."""
    return (candidate.term, candidate.index) >= (own.term, own.index)


def goes_first(configuration: Configuration, node: NodeId, last: Position, rival: NodeId, rivals: Position) -> bool:
    """Of two that ask for pre-votes at the same time one yields, by log, rank and name, or both would win the
    pre-vote and split the vote.
    """
    own_current, rival_current = is_current(last, rivals), is_current(rivals, last)
    if own_current != rival_current:
        return own_current
    return (configuration.rank(node), node) < (configuration.rank(rival), rival)


def handicap(fsync_s: float, backlog: int, settings: ConsensusSettings) -> float:
    """For how many seconds a node should let others go first that could serve sooner: about what it takes it to apply
    `backlog` records, and to write to its disk.  Bounded, as all others may be gone.
    """
    return min(fsync_s + backlog / APPLIED_PER_SECOND, settings.election_timeout_min / 2)


class Timeouts:
    """Random waits in seconds, each drawn anew, so that equals rarely stand at the same time.

    `rank` and `handicap` may change at any time.
    """

    def __init__(self, settings: ConsensusSettings, rank: int, draw: Callable[[], float]) -> None:
        self._settings = settings
        self.rank = rank
        self.handicap = 0.0
        self._draw = draw

    @property
    def _delay(self) -> float:
        return self.rank * self._settings.rank_step + self.handicap

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


class Watch:
    """One node's patience with silence, and the promises it has given: `deadline` is when it stands for election.

    A node that does not stand, a learner, waits for ever.
    """

    def __init__(self, settings: ConsensusSettings, timeouts: Timeouts, now: float, *, stands: bool) -> None:
        self._settings = settings
        self._timeouts = timeouts
        self._stands = stands
        self._heard_at = -inf
        self._lost_at = -inf
        self._stood_at = -inf
        # A promise to an earlier primary's lease may have been given just before a restart.
        self._promised_until = now + settings.lease
        self.deadline = inf
        self.restart(now)

    def set_stands(self, now: float, *, stands: bool) -> None:
        """The node has come to be an elector, or is none any more."""
        if stands != self._stands:
            self._stands = stands
            self.restart(now)

    def _wait(self, now: float, seconds: float) -> None:
        self.deadline = max(now + seconds, self._promised_until) if self._stands else inf

    def restart(self, now: float) -> None:
        """Be patient for a whole election timeout: somebody has a primary, or a vote, from this node."""
        self._wait(now, self._timeouts.election())

    def heard(self, now: float) -> None:
        """The primary spoke."""
        self._heard_at = now
        self._promised_until = now + self._settings.lease
        self.restart(now)

    def lost(self, now: float) -> None:
        """The link to the primary closed."""
        self._lost_at = now
        self._wait(now, max(self._promised_until - now, 0) + self._timeouts.takeover())

    def _just_lost(self, now: float) -> bool:
        """The others know it too, or will very soon."""
        return now < self._lost_at + self._settings.election_timeout_min

    def stood(self, now: float, *, pre: bool) -> None:
        """Wait for the answers.  Asking for pre-votes again does no harm."""
        self._stood_at = now
        self._wait(now, self._timeouts.retry() if pre and self._just_lost(now) else self._timeouts.election())

    def refused(self, now: float, *, pre: bool) -> None:
        """A split vote is settled quickly.  But others that still hear a primary, which this node does not, need
        not be asked often.
        """
        soon = not pre or self._just_lost(now)
        self._wait(now, self._timeouts.retry() if soon else self._timeouts.election())

    def split(self, now: float) -> None:
        """A rival of the same term asked for the vote: with a third node gone neither can win it any more."""
        self._wait(now, min(self._timeouts.retry(), self.deadline - now))

    def hold(self, now: float) -> None:
        """Give another, or unread messages, the time of a heartbeat."""
        self._wait(now, max(self._settings.heartbeat, self.deadline - now))

    def just_stood(self, now: float) -> bool:
        """Answers may still be on their way."""
        return now <= self._stood_at + self._settings.heartbeat

    def is_promised(self, now: float) -> bool:
        """A primary may hold a lease on this node's promise."""
        return now < self._promised_until

    def hears(self, now: float) -> bool:
        """The primary spoke so recently that it works as far as this node can tell."""
        return now < self._heard_at + self._settings.election_timeout_min


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
