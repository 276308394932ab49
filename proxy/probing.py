"""Asking nodes whether they live: those that keep a read waiting, and those that are out of the choice.

A read over a link that is not answered for `unanswered_ms_max` is either long or at a node that has stopped; only
the node can tell which.  So it is asked something cheap, which it answers at once if it can answer anything.
Without an answer for as long again, all that waits there is moved to other nodes, which is harmless for reads, and
the node is ejected.  Rejected: a limit for the read itself, which would move a long one from node to node and never
end it; asking two nodes at once (hedging), which doubles what long reads cost, just when nodes are slow because
there are many.

A node that is ejected or new gets no client's read before it has answered one of ours, which also opens its file,
reads the schema's pages and so begins to warm it up.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

import trio

from lfsql.core.requests import Answer, Read, Rows
from lfsql.errors import LfsqlError, LinkLost
from proxy.routing import NO_ROOM

if TYPE_CHECKING:
    from lfsql.net.link import Link
    from proxy.state import SessionState
    from proxy.topology import Node, Topology

PROBE: Final = "SELECT count(*) FROM sqlite_schema"


async def ask_in_time(state: SessionState, node: Node, link: Link, question: Read) -> Answer:
    """As Worker.ask, of a read that may be run again elsewhere.  Raises LinkLost also when the node shows no life."""
    with trio.CancelScope() as scope:
        node.waiting[scope] = monotonic()
        node.asked.set()
        try:
            return await state.worker.ask(state, link, question)
        finally:
            node.waiting.pop(scope, None)
    raise LinkLost(f"node '{node.name}' does not answer")


async def keep_probed(topology: Topology, node: Node, unanswered_s_max: float) -> None:
    """Probe the node whenever that is due, until cancelled."""
    while True:
        health = node.health
        now = monotonic()
        if health.probe_due(now):
            topology.balancer.probed(node, monotonic(), await _probe(node, unanswered_s_max))
        elif health.state in ("joining", "ejected"):
            with trio.move_on_after(health.until - now):
                await node.stirred.wait()
        else:
            await node.stirred.wait()


async def keep_watched(topology: Topology, node: Node, unanswered_s_max: float) -> None:
    """See that no read waits in vain at the node, until cancelled."""
    while True:
        node.asked = trio.Event()
        if not node.waiting:
            await node.asked.wait()
            continue
        # Whoever was asked last knows least: the oldest counts, and whatever the node answered since.
        due = max(next(iter(node.waiting.values())), node.lived_at) + unanswered_s_max
        now = monotonic()
        if now < due:
            await trio.sleep(due - now)
            continue
        # Over its link, where they wait, also where its file can be read: a process that has stopped answers nothing.
        fault = await _probe_link(node, unanswered_s_max)
        passed_s = monotonic() - now
        if not fault:
            node.lived_at = monotonic()
        elif passed_s < 1.5 * unanswered_s_max:
            topology.balancer.stalled(node, monotonic())
            for scope in list(node.waiting):
                scope.cancel()
            node.waiting.clear()
        # Else it is this process that was stopped for a while, and what the node said may wait to be read.


async def _probe(node: Node, seconds_max: float) -> str:
    """What is wrong with the node, '' when it could be read."""
    if node.reads is None:
        return await _probe_link(node, seconds_max)
    try:
        node.reads.refresh()
        node.reads.try_inline(PROBE, ())
    except LfsqlError as error:
        return error.message
    return ""


async def _probe_link(node: Node, seconds_max: float) -> str:
    """What is wrong with the node, '' when it answered over its link."""
    try:
        if node.link is None:
            return "its link is lost"
        answer: Answer | None = None
        with trio.move_on_after(seconds_max):
            answer = await node.link.request(Read(node.link.next_request(), PROBE))
    except LfsqlError as error:
        return error.message
    if answer is None:
        return "it does not answer"
    fault = answer.fault if isinstance(answer, Rows) else None
    # That it has no room for one more read it says for itself.
    return fault.message if fault is not None and fault.sqlstate != NO_ROOM else ""
