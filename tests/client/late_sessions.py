"""Clients of a tier whose replicas are late, and what they were told: a history for the checkers.

Registers only grow (`value = value + 1`), so a value is a version, whoever wrote it.  A client is one session, which
never breaks: nothing fails in these runs but punctuality, so any error fails the run.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from math import inf
from random import Random
from typing import Any, Final

import psycopg

from lfsql.testing.checkers import Anomaly, Outcome, Span
from lfsql.testing.checkers.registers import RegisterOperation, RegisterRead, RegisterWrite, check_registers
from lfsql.testing.checkers.sessions import Saw, Wrote, check_sessions
from lfsql.testing.checkers.staleness import Made, Showed, Staleness, check_staleness
from proxy.state import HEARSAY_MS_MAX
from tests.client.conftest import route_of

KEYS: Final = tuple("abcd")
PAUSE_S_MAX: Final = 0.03
"""Between two operations of a session: the machine is not what is tested."""


@dataclass
class Token:
    """What one session hands another: an index of the log, and what can be seen there."""

    index: int = 0
    key: str = KEYS[0]
    version: int = 0


@dataclass
class Told:
    """What the sessions of one proxy were told."""

    events: list[Saw | Wrote] = field(default_factory=list)
    bounded: list[Showed] = field(default_factory=list)
    snapshots: list[Showed] = field(default_factory=list)
    """Those of them that were in a READ ONLY transaction."""
    other: list[Showed] = field(default_factory=list)
    """Reads of levels without limits."""
    strong: list[RegisterRead] = field(default_factory=list)
    nodes: set[tuple[object, object]] = field(default_factory=set)
    """(level, role) of those who answered."""


@dataclass
class History:
    """What all sessions wrote, whatever proxy they were at; and by proxy what they read."""

    made: list[Made] = field(default_factory=list)
    made_by: dict[str, list[Made]] = field(default_factory=dict)
    """The same, by proxy."""
    of_proxy: dict[str, Told] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    token: Token = field(default_factory=Token)

    def sessions(self, proxy: str) -> tuple[Anomaly, ...]:
        return check_sessions(self.of_proxy[proxy].events)

    def staleness(self, proxy: str) -> tuple[Anomaly, ...]:
        """What others wrote the proxy need not have heard of at once; what it acknowledged itself it knows."""
        told = self.of_proxy[proxy]
        own = [replace(each, told_s=None, limit_s=inf, heard_s=0.0, told_entries=0) for each in told.bounded]
        found = check_staleness(self.made, [*told.bounded, *told.other])
        return (*found, *check_staleness(self.made_by.get(proxy, []), own))

    def strong(self, proxy: str) -> tuple[Anomaly, ...]:
        writes = [RegisterWrite(each.key, each.version, each.span, Outcome.OK) for each in self.made]
        operations: list[RegisterOperation] = [*writes, *self.of_proxy[proxy].strong]
        return check_registers(operations, initial=0)

    def stalest_s(self, proxy: str) -> float:
        """Of the reads without limits."""
        staleness = Staleness(self.made)
        return max((staleness.of(read) for read in self.of_proxy[proxy].other), default=0.0)


class Client(threading.Thread):
    """One session that does what `level` is about until `enough` is set."""

    def __init__(
        self, proxy: str, dsn: str, level: str, number: int, history: History, random: Random, enough: threading.Event
    ) -> None:
        super().__init__(name=f"{proxy} {level} {number}")
        self.told = history.of_proxy.setdefault(proxy, Told())
        self._made_here = history.made_by.setdefault(proxy, [])
        self._history = history
        self._dsn = dsn
        self._level = level
        self._random = random
        self._enough = enough
        self._connection: psycopg.Connection[Any]

    def run(self) -> None:
        try:
            with psycopg.connect(self._dsn, autocommit=True) as self._connection:
                self._set()
                while not self._enough.wait(self._random.random() * PAUSE_S_MAX):
                    getattr(self, self._level)()
        except Exception as error:
            self._history.failures.append(f"{self.name}: {type(error).__name__}: {error}")

    def _set(self) -> None:
        level = "session" if self._level in ("write", "follow") else self._level
        self._connection.execute(f"SET lfsql.read_consistency = '{level}'")
        if level != "bounded":
            self._connection.execute("SET lfsql.max_lag_ms = 0")
            self._connection.execute("SET lfsql.max_lag_entries = 0")

    # -- what a session does -------------------------------------------------------------------------------

    def write(self) -> None:
        """Write, and hand on what was written."""
        key = self._random.choice(KEYS)
        called = time.monotonic()
        row = self._connection.execute(
            "UPDATE registers SET value = value + 1 WHERE key = %s RETURNING value", (key,)
        ).fetchone()
        span = Span(called, time.monotonic())
        assert row is not None
        index = self._last_index()
        made = Made(key, row[0], span, index)
        self._history.made.append(made)
        self._made_here.append(made)
        self.told.events.append(Wrote(self.name, key, row[0]))
        self._history.token = Token(index, key, row[0])
        self.session(key)

    def session(self, key: str = "") -> None:
        showed = self._read(key or self._random.choice(KEYS))
        self.told.other.append(showed)
        self.told.events.append(Saw(self.name, showed.key, showed.version, showed.source))

    def follow(self) -> None:
        """Take over what another session has written, and read."""
        token = self._history.token
        self._connection.execute(f"SET lfsql.min_index = {token.index}")
        self.told.events.append(Wrote(self.name, token.key, token.version))
        self.session(token.key)

    def bounded(self) -> None:
        """A read within limits, alone or as the first of a READ ONLY transaction."""
        limit_ms = self._random.choice((0, 0, 20, 100, 300, 500, 1500))
        entries_max = self._random.choice((2, 5, 50, 100_000))
        self._connection.execute(f"SET lfsql.max_lag_ms = {limit_ms}")
        self._connection.execute(f"SET lfsql.max_lag_entries = {entries_max}")
        in_transaction = self._random.random() < 0.5
        if in_transaction:
            self._connection.execute("BEGIN READ ONLY")
        heard_ms = limit_ms or HEARSAY_MS_MAX
        limit_s = limit_ms / 1000 if limit_ms else inf
        showed = self._read(self._random.choice(KEYS), limit_s, entries_max, heard_ms / 1000)
        self.told.bounded.append(showed)
        if in_transaction:
            self._connection.execute("COMMIT")
            self.told.snapshots.append(showed)

    def strong(self) -> None:
        showed = self._read(self._random.choice(KEYS))
        self.told.strong.append(RegisterRead(showed.key, showed.version, showed.span, self.name))

    def any(self) -> None:
        self.told.other.append(self._read(self._random.choice(KEYS)))

    def _read(self, key: str, limit_s: float = inf, entries_max: float = inf, heard_s: float | None = None) -> Showed:
        called = time.monotonic()
        row = self._connection.execute("SELECT value FROM registers WHERE key = %s", (key,)).fetchone()
        span = Span(called, time.monotonic())
        assert row is not None
        told = route_of(self._connection)
        stale_ms, index = told["staleness_ms"], told["applied_index"]
        assert isinstance(index, int)
        self.told.nodes.add((told["level"], told["role"]))
        told_s = stale_ms / 1000 if isinstance(stale_ms, float) else None
        source = f"{told['role']} {told['node']} at {index}, {told['level']}, {told['reason']}"
        entries = told["lag_entries"]
        assert isinstance(entries, int)
        return Showed(key, row[0], span, index, limit_s, told_s, entries_max, source, heard_s, entries)

    def _last_index(self) -> int:
        shown = self._connection.execute("SHOW lfsql.last_index").fetchone()
        assert shown is not None
        return int(shown[0])
