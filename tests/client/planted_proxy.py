"""A proxy with one of the router's checks switched off: `python -m tests.client.planted_proxy FAULT PROXY.TOML`.

A run that finds nothing wrong says something only if it would have found it.  So beside proxies as they are it has
these, on the same nodes, and must find each one's fault.  They are processes of their own, since what is patched
here must not be in the proxies that are judged; production code has no hook for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Final
from unittest import mock

from lfsql.cli import main
from lfsql.core.ids import Index
from proxy import read_index, reading, routing, snapshots
from proxy.state import ReadPolicy, SessionState
from proxy.topology import Topology

Patch = tuple[Any, str, Any]
"""(owner, name of what is replaced, replacement)"""


def _everywhere(replacement: Callable[[Topology, ReadPolicy, Index, Index, float], str]) -> Sequence[Patch]:
    return [(owner, "behind", replacement) for owner in (routing, reading, read_index)]


def sessions_forget() -> Sequence[Patch]:
    """A replica may serve who has seen more than it has."""

    def nothing(_state: SessionState, _policy: ReadPolicy) -> Index:
        return 0

    return [(SessionState, "required", nothing)]


def limits_are_ignored() -> Sequence[Patch]:
    """A replica may serve however late it is."""
    return _everywhere(lambda _topology, _policy, required, index, _now: "" if index >= required else "behind")


def snapshots_ignore_limits() -> Sequence[Patch]:
    """A node elsewhere may be asked for the snapshot of a transaction however late it is."""
    return [(snapshots, "unfit", lambda *_given: "")]


def strong_reads_do_not_ask() -> Sequence[Patch]:
    """A strong read is content with what the proxy has heard of."""

    async def heard(_state: SessionState, _deadline: float) -> Index:
        return 0

    return [(read_index, "current_index", heard)]


def receipts_flatter() -> Sequence[Patch]:
    """A copy is told to be as fresh as the newest one."""

    def newest(topology: Topology, _index: Index, now: float) -> float:
        return now - topology.heard_at

    return [(Topology, "staleness", newest)]


FAULTS: Final[dict[str, Callable[[], Sequence[Patch]]]] = {
    "sessions-forget": sessions_forget,
    "limits-are-ignored": limits_are_ignored,
    "snapshots-ignore-limits": snapshots_ignore_limits,
    "strong-reads-do-not-ask": strong_reads_do_not_ask,
    "receipts-flatter": receipts_flatter,
}


def run(fault: str, path: str) -> None:
    for owner, name, replacement in FAULTS[fault]():
        mock.patch.object(owner, name, replacement).start()
    main(["proxy", "--config", path])


if __name__ == "__main__":
    run(*sys.argv[1:])
