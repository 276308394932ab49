"""Waiting for the cluster, for no longer than the statement may take, nor than its client wants to wait.

What waits here waits for an election, which is when clients' own limits matter most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final

import trio

from lfsql.errors import QueryCanceled, TooManyConnections
from proxy.state import SessionState, cancellable

if TYPE_CHECKING:
    from proxy.topology import Node

CATCH_UP_MS_MAX: Final = 20
"""How long a replica is given for what the session has seen, before the next is tried: a few times what a commit
takes to get there, and little for whoever waits in vain."""
TURN_MS_MAX: Final = 1_000
"""How long one node is waited for: another may have got there, or be primary by then."""


def patience_ms(deadline: float) -> int:
    """How long to wait for the last node to ask: a turn, but not beyond `deadline` (monotonic seconds), or a moment
    if that is past."""
    return max(min(round((deadline - monotonic()) * 1000), TURN_MS_MAX), CATCH_UP_MS_MAX)


@contextmanager
def waiting(state: SessionState) -> Iterator[None]:
    """What passes in the block is told in the statement's receipt as time waited."""
    began = monotonic()
    try:
        yield
    finally:
        state.waited_s += monotonic() - began


async def wait_primary(state: SessionState, deadline: float, *, stoppable: bool = True) -> Node:
    """As Topology.wait_primary.  Raises NoPrimary, and QueryCanceled when `stoppable`."""
    topology = state.worker.topology
    if topology.primary is not None:
        return topology.primary
    wait = partial(topology.wait_primary, deadline)
    with waiting(state):
        return await (cancellable(state, wait) if stoppable else wait())


async def wait_change(state: SessionState, deadline: float, *, stoppable: bool = True) -> bool:
    """As Topology.wait_change.  Raises QueryCanceled when `stoppable`."""
    wait = partial(state.worker.topology.wait_change, deadline)
    with waiting(state):
        return await (cancellable(state, wait) if stoppable else wait())


async def wait_room(state: SessionState, full: Sequence[Node], deadline: float) -> None:
    """Wait until one of the nodes has less than its `max_sessions` and can have one more read open, until `deadline`
    (monotonic seconds) or the end of the statement's time.  Raises TooManyConnections then, and QueryCanceled when
    the client asks for it."""
    room = state.worker.topology.balancer.room
    with waiting(state):
        while True:
            # First: a node elsewhere may have room as far as is known whenever it has just been asked in vain.
            left_s = min(deadline - monotonic(), state.stop_at - trio.current_time())
            if left_s <= 0:
                names = ", ".join(node.name for node in full)
                raise TooManyConnections(
                    f"each node that may serve this read has its max_sessions, or no room for one more: {names}",
                    hint="End transactions and close cursors that are not needed, or raise the limit in proxy.toml.",
                )
            if not all(node.full for node in full):
                return
            try:
                # A node elsewhere does not tell that it has room again: it is asked.
                crowded_s = [each.crowded_until - monotonic() for each in full]
                again_s = min((each for each in crowded_s if each > 0), default=left_s)
                with trio.move_on_after(min(left_s, again_s)):
                    await cancellable(state, room.park)
            except QueryCanceled:
                if trio.current_time() < state.stop_at:
                    raise  # by the client
