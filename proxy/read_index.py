"""From which log index on a copy may serve a read: what a level, a limit or a session needs, once a node has it.

What was heard last is such an index for as long as it is within the limits.  Past that only the primary can tell, and
only after a quorum has confirmed it: the index heard last no longer moves when the primary is cut off from here,
and a primary that is cut off from the others may have been succeeded.
"""

from __future__ import annotations

import contextlib
from time import monotonic
from typing import TYPE_CHECKING

from lfsql.core.requests import CurrentIndex, Outcome
from lfsql.errors import LinkLost, NoPrimary
from proxy.routing import behind
from proxy.waiting import wait_change, wait_primary

if TYPE_CHECKING:
    from lfsql.core.ids import Index
    from lfsql.core.requests import Answer
    from proxy.state import ReadPolicy, SessionState


async def required_index(state: SessionState, policy: ReadPolicy, deadline: float) -> Index:
    """The log index that the read must not be older than.  Raises NoPrimary."""
    if policy.level == "strong":
        # What is at this index has been seen by whoever was answered before this read began.
        index = await current_index(state, deadline)
        return max(index, state.required(policy))
    return state.required(policy)


async def fresh_index(state: SessionState, policy: ReadPolicy, required: Index, deadline: float) -> Index:
    """A log index, not before `required`, at which any copy is within the limits.  Raises NoPrimary."""
    if not behind(state.worker.topology, policy, required, required, monotonic()):
        return required
    return max(required, await current_index(state, deadline))


async def current_index(state: SessionState, deadline: float) -> Index:
    """A log index that holds all that was acknowledged until now, confirmed by a quorum.  Raises NoPrimary."""
    topology = state.worker.topology
    while True:
        node = await wait_primary(state, deadline)
        if node.link is not None:
            answer: Answer | None = None
            asked_at = monotonic()
            with contextlib.suppress(LinkLost):
                answer = await state.worker.ask(state, node.link, CurrentIndex(node.link.next_request()))
            if isinstance(answer, Outcome) and answer.fault is None:
                topology.confirmed(asked_at, answer.index)
                state.confirmed = (asked_at, answer.index)
                return answer.index
        # Also after a lost link: what keeps the loop from spinning is the news that the primary is another, or none.
        if topology.primary is node and not await wait_change(state, deadline):
            raise NoPrimary("there is no primary to confirm a strong read: no node was elected in time")
