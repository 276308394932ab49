"""What one session may expect of its own reads, wherever they are served: they never go back.

Each key is something that only grows, a counter or a list, so that a version of it is a number and an older one
is smaller.  A session that has seen or written version 5 must not be shown version 4: monotonic reads, and
read-your-writes.  Sessions promise nothing to each other.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from lfsql.testing.checkers import Anomaly


@dataclass(frozen=True)
class Saw:
    """A session read `key` at `version`."""

    session: Hashable
    key: Hashable
    version: int
    source: str = ""
    """Where, for the explanation."""


@dataclass(frozen=True)
class Wrote:
    """A session made `version` of `key`, and was told so."""

    session: Hashable
    key: Hashable
    version: int


def check_sessions(events: Iterable[Saw | Wrote]) -> tuple[Anomaly, ...]:
    """What is wrong with events, those of each session in its order.  Kinds: monotonic-reads, read-your-writes."""
    seen: dict[tuple[Hashable, Hashable], int] = {}
    written: dict[tuple[Hashable, Hashable], int] = {}
    anomalies = []
    for event in events:
        place = (event.session, event.key)
        if isinstance(event, Wrote):
            written[place] = max(event.version, written.get(place, event.version))
            continue
        where = f" from {event.source}" if event.source else ""
        what = f"session {event.session!r} read version {event.version} of {event.key!r}{where}"
        if event.version < written.get(place, event.version):
            anomalies.append(Anomaly("read-your-writes", f"{what}, after it had written version {written[place]}"))
        elif event.version < seen.get(place, event.version):
            anomalies.append(Anomaly("monotonic-reads", f"{what}, after version {seen[place]}"))
        seen[place] = max(event.version, seen.get(place, event.version))
    return tuple(anomalies)
