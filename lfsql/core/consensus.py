"""One node's part in consensus, as a state machine without I/O, clock or chance.

Raft, with pre-vote, check-quorum and read index.  See `lfsql.core.effects` for what goes in and comes out,
and for the order in which effects are carried out.
"""

from __future__ import annotations

from collections.abc import Callable

from lfsql.core.effects import Effect, Input, Restored
from lfsql.core.entry import Record
from lfsql.core.ids import Index, NodeId, Position, Term
from lfsql.core.membership import Configuration
from lfsql.core.settings import ConsensusSettings


class Consensus:
    """`draw` gives numbers evenly spread over [0, 1); `now` is seconds on any clock that never steps back and
    runs on while the machine sleeps (CLOCK_BOOTTIME), the same one for all calls.

    Raises ConfigError when `node` is not in `configuration`, DataCorrupted when what was restored contradicts
    itself.
    """

    def __init__(
        self,
        node: NodeId,
        configuration: Configuration,
        restored: Restored,
        draw: Callable[[], float],
        now: float,
        settings: ConsensusSettings = ConsensusSettings(),
    ) -> None:
        raise NotImplementedError

    def step(self, given: Input, now: float) -> tuple[Effect, ...]:
        """Take one input; return what is to be done, in order.

        Raises DataCorrupted when this node's history contradicts the primary's: the node must stop.
        """
        raise NotImplementedError

    @property
    def deadline(self) -> float:
        """When the next Tick is due; infinite when none is.  Changes with every step."""
        raise NotImplementedError

    @property
    def term(self) -> Term:
        raise NotImplementedError

    @property
    def primary(self) -> NodeId:
        """The primary this node knows of, itself included; '' when none."""
        raise NotImplementedError

    @property
    def ready(self) -> bool:
        """This node is primary and its NOOP is committed: between BecamePrimary and SteppedDown."""
        raise NotImplementedError

    @property
    def role(self) -> str:
        """One of the roles in `lfsql.core.requests`."""
        raise NotImplementedError

    @property
    def last(self) -> Position:
        """The end of this node's log, written or being written."""
        raise NotImplementedError

    @property
    def commit_index(self) -> Index:
        """The highest index known to be committed by a quorum; this node may still be writing it."""
        raise NotImplementedError

    @property
    def committed(self) -> Index:
        """The highest index committed and on this node's disk: what the latest Committed said, and at start
        `Restored.commit`, which no Committed announces.
        """
        raise NotImplementedError

    @property
    def confirmed_at(self) -> float:
        """On a primary: a time at which it certainly still was one, so that its `commit_index` was no staler
        than that.  On others, minus infinity.
        """
        raise NotImplementedError

    def matched(self, node: NodeId) -> Index:
        """On a primary: how far `node`'s disk is known to hold its log; 0 elsewhere or when unknown."""
        raise NotImplementedError

    def records(self, first: Index, last: Index) -> tuple[Record, ...] | None:
        """The records `first`..`last` (both at most `last.index`) when all are in memory, else None."""
        raise NotImplementedError
