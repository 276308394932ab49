"""Waiting for the cluster, for no longer than the statement may take, nor than its client wants to wait.

What waits here waits for an election, which is when clients' own limits matter most.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from proxy.state import SessionState, cancellable

if TYPE_CHECKING:
    from proxy.topology import Node


@contextmanager
def waiting(state: SessionState) -> Iterator[None]:
    """What passes in the block is told in the statement's receipt as time waited."""
    began = monotonic()
    try:
        yield
    finally:
        state.waited_s += monotonic() - began


async def wait_primary(state: SessionState, deadline: float) -> Node:
    """As Topology.wait_primary.  Raises NoPrimary, QueryCanceled."""
    topology = state.worker.topology
    if topology.primary is not None:
        return topology.primary
    with waiting(state):
        return await cancellable(state, partial(topology.wait_primary, deadline))


async def wait_change(state: SessionState, deadline: float) -> bool:
    """As Topology.wait_change.  Raises QueryCanceled."""
    with waiting(state):
        return await cancellable(state, partial(state.worker.topology.wait_change, deadline))
