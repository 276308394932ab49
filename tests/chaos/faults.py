"""What goes wrong, at random, under one seed: each fault is begun, lasts for a while, and is healed.

A few overlap.  Between bouts of them all is healed, and a write must succeed in bounded time: a tier that keeps its
promises by standing still has not kept them all.
"""

from __future__ import annotations

import heapq
import itertools
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import psycopg

from tests.chaos.disk import SmallDisk
from tests.chaos.network import Network
from tests.chaos.nodes import PROXY, Tier, wait_for
from tests.chaos.replacement import Replacement

ACTIVE_MAX = 2
BOUT_S = 12.0
RECOVERY_S_MAX = 20.0
"""From healing all to the first acknowledged write."""
REPLACED_S_MAX = 30.0
"""From healing all until the member that was being replaced has left, and the new one votes."""

Heal = Callable[[], None]


class NotRecovered(Exception):
    """All faults are healed, and still no write succeeds."""


def ask_primary(tier: Tier) -> str | None:
    """Who is primary, as the proxy sees it; None when it does not say at once."""
    try:
        with psycopg.connect(tier.dsn, autocommit=True, connect_timeout=2) as connection:
            row = connection.execute("SELECT name FROM lfsql.nodes WHERE role = 'primary'").fetchone()
            return str(row[0]) if row else None
    except psycopg.Error:
        return None


@dataclass
class Faults:
    """`say` is told of everything that is done."""

    tier: Tier
    disk: SmallDisk | None
    random: Random
    say: Callable[[str], None]
    short_logs: bool = False
    """Others may have forgotten what one node lost of its log."""
    replacements_max: int = 0
    """In the whole run."""
    replaced: int = 0
    recoveries_s: list[float] = field(default_factory=list)
    _files_spoilt: bool = False
    """In this bout: what one node lost it must be able to have from the others."""
    _active: list[tuple[float, int, str, Heal]] = field(default_factory=list)
    _replacement: Replacement | None = None
    """At most one at a time, beside the faults that are active."""
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def run(self, until: float) -> None:
        """Until a moment of the monotonic clock; everything is healed then.  Raises NotRecovered."""
        while time.monotonic() < until:
            bout = min(until, time.monotonic() + BOUT_S * (0.5 + self.random.random()))
            replace_at = time.monotonic() + 2 * BOUT_S * self.random.random()  # so not in every bout
            while time.monotonic() < bout:
                if self._replacement is None and time.monotonic() > replace_at:
                    self._replace()
                    replace_at = bout
                self._go_on_replacing()
                if len(self._active) < ACTIVE_MAX:
                    self._begin()
                wait_for(0.2 + 2 * self.random.random(), bout)
                self._heal(time.monotonic())
            self.recover()

    def recover(self) -> None:
        """Heal all and wait for a write.  Raises NotRecovered."""
        self._heal(float("inf"))
        self.tier.start_all()
        began = time.monotonic()
        while True:
            try:
                with psycopg.connect(self.tier.dsn, autocommit=True, connect_timeout=2) as connection:
                    connection.execute("INSERT INTO lists VALUES ('recovered', '') ON CONFLICT DO NOTHING")
                self.recoveries_s.append(time.monotonic() - began)
                self.say(f"all healed; a write took {self.recoveries_s[-1]:.2f} s")
                break
            except psycopg.Error as error:
                if time.monotonic() - began > RECOVERY_S_MAX:
                    raise NotRecovered(
                        f"no write within {RECOVERY_S_MAX} s of the end of all faults: {error}"
                    ) from error
                wait_for(0.1, began + RECOVERY_S_MAX)
        self._await_replacement(began)
        self._files_spoilt = False

    def _replace(self) -> None:
        """One member by another, from now on until that is done, while all else goes on."""
        if self.replaced < self.replacements_max:
            self.replaced += 1
            self._replacement = Replacement(self.tier, self._victim(), self.say)

    def _go_on_replacing(self) -> None:
        if self._replacement is not None and self._replacement.advance():
            self._replacement = None

    def _await_replacement(self, healed: float) -> None:
        """Raises NotRecovered.  Afterwards nobody runs who does not belong."""
        while self._replacement is not None:
            self._go_on_replacing()
            if self._replacement is not None and time.monotonic() - healed > REPLACED_S_MAX:
                self._replacement.end()
                raise NotRecovered(
                    f"within {REPLACED_S_MAX} s of the end of all faults it was not done: {self._replacement}"
                )
            wait_for(0.1, healed + REPLACED_S_MAX)
        for name in self.tier.end_strangers():
            self.say(f"{name} is no member, and was killed")

    def _begin(self) -> None:
        kinds = [self._kill_one, self._kill_one, self._stop_one, self._stop_one, self._kill_all, self._transfer]
        if not self._files_spoilt:
            kinds += [self._lose_data] if self.short_logs else [self._damage_log, self._lose_data]
        if self.tier.network is not None:
            kinds += [self._isolate, self._isolate_from_peers, self._cut_one_way]
        if self.disk is not None:
            kinds.append(self._fill_disk)
        if self.random.random() < 0.05:
            kinds = [self._kill_proxy]
        begun = self.random.choice(kinds)()
        if begun is not None:
            what, seconds, heal = begun
            self.say(f"{what} for {seconds:.1f} s")
            heapq.heappush(self._active, (time.monotonic() + seconds, next(self._numbers), what, heal))

    def _heal(self, now: float) -> None:
        while self._active and self._active[0][0] <= now:
            _, _, what, heal = heapq.heappop(self._active)
            heal()
            self.say(f"healed: {what}")

    def _victim(self) -> str:
        """The primary as often as all others together."""
        primary = ask_primary(self.tier) if self.random.random() < 0.5 else None
        return primary if primary in self.tier.names else self.random.choice(self.tier.names)

    # -- Each returns what it did, for how long, and how to undo it; or None when it cannot be done now. --

    def _kill_one(self) -> tuple[str, float, Heal] | None:
        victim = self._victim()
        self.tier.signal(victim, signal.SIGKILL)
        return f"killed {victim}", 4 * self.random.random(), lambda: self.tier.start(victim)

    def _kill_all(self) -> tuple[str, float, Heal] | None:
        for name in self.tier.names:
            self.tier.signal(name, signal.SIGKILL)

        def start() -> None:
            for name in self.tier.names:
                self.tier.start(name)

        return "killed all nodes", 2 * self.random.random(), start

    def _kill_proxy(self) -> tuple[str, float, Heal] | None:
        self.tier.signal(PROXY, signal.SIGKILL)
        return "killed the proxy", self.random.random(), lambda: self.tier.start(PROXY)

    def _transfer(self) -> tuple[str, float, Heal] | None:
        """It may well fail: what matters is that nothing else does."""
        target = self.random.choice(self.tier.names)
        command = [sys.executable, "-m", "lfsql", "transfer", target, "--dir", str(self.tier.directory)]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.tier.leash.hold(process.pid)

        def end() -> None:
            process.kill()
            process.wait()

        return f"told {target} to take the lead", 1 + self.random.random(), end

    def _damage_log(self) -> tuple[str, float, Heal] | None:
        """A few of a node's newest records, of which others have not committed all, perhaps."""
        victim = self._victim()
        self.tier.signal(victim, signal.SIGKILL)
        connection = sqlite3.connect(self.tier.directory / victim / "log.db")
        (last,) = connection.execute("SELECT max(log_index) FROM records").fetchone()
        if last is None:
            connection.close()
            return f"killed {victim}", 0, lambda: self.tier.start(victim)
        damaged = sorted({max(1, last - int(200 * self.random.random() ** 3)) for _ in range(3)})
        try:
            with connection:
                for index in damaged:
                    connection.execute("UPDATE records SET body = x'00' WHERE log_index = ?", (index,))
        except sqlite3.OperationalError as error:  # its disk may be full
            self.say(f"could not damage the log of {victim}: {error}")
        finally:
            connection.close()
        self._files_spoilt = True
        what = f"killed {victim} and damaged records {', '.join(map(str, damaged))} of {last}"
        return what, 2 * self.random.random(), lambda: self.tier.start(victim)

    def _lose_data(self) -> tuple[str, float, Heal] | None:
        victim = self._victim()
        self.tier.signal(victim, signal.SIGKILL)
        for name in ("data.db", "data.db-wal", "data.db-shm"):
            (self.tier.directory / victim / name).unlink(missing_ok=True)
        self._files_spoilt = True
        return f"killed {victim} and deleted its data.db", self.random.random(), lambda: self.tier.start(victim)

    def _stop_one(self) -> tuple[str, float, Heal] | None:
        victim = self._victim()
        if victim in self.tier.stopped:
            return None
        self.tier.signal(victim, signal.SIGSTOP)
        seconds = 5 * self.random.random() ** 2
        return f"stopped {victim}", seconds, lambda: self.tier.signal(victim, signal.SIGCONT)

    def _cut(self, paths: list[tuple[int, int]]) -> Heal:
        network = self._network
        for sender, receiver in paths:
            network.cut(sender, receiver)

        def join() -> None:
            for sender, receiver in paths:
                network.join(sender, receiver)

        return join

    @property
    def _network(self) -> Network:
        if self.tier.network is None:
            raise NotRecovered("there is no network to cut")
        return self.tier.network

    def _seconds_cut(self) -> float:
        return 0.5 + 5 * self.random.random()

    def _isolate(self) -> tuple[str, float, Heal] | None:
        victim = self._victim()
        place = self.tier.place(victim)
        others = [other for other in self._network.namespaces if other != place]
        heal = self._cut([(place, other) for other in others] + [(other, place) for other in others])
        return f"cut off {victim}", self._seconds_cut(), heal

    def _isolate_from_peers(self) -> tuple[str, float, Heal] | None:
        victim = self._victim()
        place = self.tier.place(victim)
        others = [self.tier.place(name) for name in self.tier.names if name != victim]
        heal = self._cut([(place, other) for other in others] + [(other, place) for other in others])
        return f"cut off {victim} from its peers, not from the proxy", self._seconds_cut(), heal

    def _cut_one_way(self) -> tuple[str, float, Heal] | None:
        sender, receiver = self.random.sample([*self.tier.names], 2)
        heal = self._cut([(self.tier.place(sender), self.tier.place(receiver))])
        return f"cut {sender} -> {receiver}", self._seconds_cut(), heal

    def _fill_disk(self) -> tuple[str, float, Heal] | None:
        disk = self.disk
        if disk is None or disk.path.name not in self.tier.names:
            return None
        disk.fill()
        name = disk.path.name

        def free() -> None:
            disk.free()
            self.tier.start(name)

        return f"filled the disk of {name}", 0.5 + 4 * self.random.random(), free
