"""Waiting for the cluster, for no longer than the statement may take, nor than its client wants to wait.

What waits here waits for an election, which is when clients' own limits matter most.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from proxy.state import SessionState, cancellable

if TYPE_CHECKING:
    from proxy.topology import Node


async def wait_primary(state: SessionState, deadline: float) -> Node:
    """As Topology.wait_primary.  Raises NoPrimary, QueryCanceled."""
    topology = state.worker.topology
    if topology.primary is not None:
        return topology.primary
    return await cancellable(state, partial(topology.wait_primary, deadline))


async def wait_change(state: SessionState, deadline: float) -> bool:
    """As Topology.wait_change.  Raises QueryCanceled."""
    return await cancellable(state, partial(state.worker.topology.wait_change, deadline))
