"""What can be asked of a node's consensus between two steps: reading changes nothing.

Apart from `Consensus`, which changes these and says how: whoever drives or watches a node needs only what is here.
"""

from __future__ import annotations

from math import inf

from lfsql.core import requests
from lfsql.core.durability import Durability
from lfsql.core.election import Campaign, Watch
from lfsql.core.entry import Record
from lfsql.core.ids import Index, NodeId, Position, Term
from lfsql.core.leadership import Leadership
from lfsql.core.log import LogTail
from lfsql.core.membership import LEARNER, WITNESS, Configuration


class Inquiry:
    """The state, set and changed by `Consensus` alone, and questions about it."""

    _node: NodeId
    _term: Term
    _log: LogTail
    _disk: Durability
    _watch: Watch
    _configuration: Configuration
    _commit: Index
    _committed: Index
    _primary: NodeId
    _campaign: Campaign | None
    _leadership: Leadership | None

    @property
    def deadline(self) -> float:
        """When the next Tick is due; infinite when none is.  Changes with every step."""
        return self._leadership.deadline if self._leadership else self._watch.deadline

    @property
    def term(self) -> Term:
        return self._term

    @property
    def primary(self) -> NodeId:
        """The primary this node knows of, itself included; '' when none."""
        return self._primary

    @property
    def ready(self) -> bool:
        """This node is primary and its NOOP is committed: between BecamePrimary and SteppedDown."""
        return self._leadership is not None and self._leadership.ready

    @property
    def is_opening(self) -> bool:
        """This node was elected, and the record that opens its term is not committed yet: it is not `ready`."""
        return self._leadership is not None and not self._leadership.ready

    @property
    def role(self) -> str:
        """One of the roles in `lfsql.core.requests`."""
        if self._leadership:
            return requests.PRIMARY
        if self._campaign:
            return requests.CANDIDATE
        own = self._configuration.member(self._node)
        roles = {LEARNER: requests.LEARNER, WITNESS: requests.WITNESS}
        return roles.get(own.role, requests.REPLICA) if own else requests.LEARNER

    @property
    def configuration(self) -> Configuration:
        """The members in force: of the newest record that names any, committed or not."""
        return self._configuration

    def configuration_at(self, index: Index) -> Configuration:
        """What is in force where the log ends at `index`, which is not before the log's base."""
        return self._log.configurations.at(index)

    def configuration_index_at(self, index: Index) -> Index:
        """Of the record that brought the members in force at `index`; 0 for those this node was started with."""
        return self._log.configurations.index_at(index)

    def has_left(self, node: NodeId) -> bool:
        """It was a member, as far as this log goes back, and is none."""
        history = self._log.configurations
        return self._configuration.member(node) is None and any(old.member(node) for old in history.since(0))

    def is_behind(self, source: NodeId, term: Term, base: Index) -> bool:
        """`source`, which is primary of `term`, has no record up to `base` any more, and this node lacks some.

        Believed of the primary alone: a deposed one may have forgotten what this node's log does not lack.
        """
        return (source, term) == (self._primary, self._term) and self._commit < base

    @property
    def transferring_to(self) -> NodeId:
        """On a primary: whom it is handing leadership to, '' for nobody."""
        return self._leadership.transferring_to if self._leadership else ""

    def is_fit(self, node: NodeId) -> bool:
        """On a primary: `node` has not told that it could not serve."""
        return self._leadership is not None and self._leadership.is_fit(node)

    def applied_by(self, node: NodeId) -> Index | None:
        """On a primary: how far the database of `node` is; None when it has not told, or cannot serve."""
        if self._leadership is None or not self._leadership.is_fit(node):
            return None
        return self._leadership.replicator.applied(node) or None

    def is_level(self, node: NodeId) -> bool:
        """On a primary: `node` answers and has caught up, so that it may have a vote."""
        return self._leadership is not None and self._leadership.is_level(node)

    @property
    def last(self) -> Position:
        """The end of this node's log, written or being written."""
        return self._log.last

    @property
    def commit_index(self) -> Index:
        """The highest index known to be committed by a quorum; this node may still be writing it."""
        return self._commit

    @property
    def committed(self) -> Index:
        """The highest index committed and on this node's disk: what the latest Committed said, and at start
        `Restored.commit`, which no Committed announces.
        """
        return self._committed

    @property
    def confirmed_at(self) -> float:
        """On a primary that is ready: a time at which it certainly still was primary, so that nothing beyond its
        `commit_index` was committed by then.  Minus infinity on others, and before the NOOP is committed, when it
        does not know how far its predecessors committed.
        """
        return self._leadership.rounds.confirmed_at if self._leadership and self._leadership.ready else -inf

    def matched(self, node: NodeId) -> Index:
        """On a primary: how far `node`'s disk is known to hold its log; 0 elsewhere or when unknown."""
        if self._leadership is None:
            return 0
        return self._disk.index if node == self._node else self._leadership.replicator.matched(node)

    def records(self, first: Index, last: Index) -> tuple[Record, ...] | None:
        """The records `first`..`last` (both at most `last.index`) when all are in memory, else None."""
        return self._log.records(first, last)
