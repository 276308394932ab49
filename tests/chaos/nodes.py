"""The processes of a tier that `lfsql up` made, each started by itself so that it can be killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from lfsql.testing.cluster import free_port, start_tier
from lfsql.testing.leash import Leash
from tests.chaos.network import Network, inside

PROXY = "proxy"
_NEWCOMERS_FROM = 5700


@dataclass
class Tier:
    """`network`: None when all are on loopback, and nothing can be cut; else one place more than nodes."""

    directory: Path
    names: tuple[str, ...]
    """The present members.  One that has left may still run, until end_strangers()."""
    port: int
    network: Network | None
    leash: Leash
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    endings: list[str] = field(default_factory=list)
    """Of processes that ended by themselves: name and exit status."""
    _killed: set[str] = field(default_factory=set)
    _places: dict[str, int] = field(init=False)
    """Of all nodes there ever were."""

    def __post_init__(self) -> None:
        self._places = {name: place for place, name in enumerate(self.names, 1)}

    @property
    def dsn(self) -> str:
        return f"postgresql://lfsql@127.0.0.1:{self.port}/lfsql?connect_timeout=10"

    def place(self, name: str) -> int:
        """Where in the network a node is."""
        return self._places[name]

    def newcomer(self) -> tuple[str, str]:
        """A name that no node has had, and where that node is to listen: the place that no member has."""
        number = len(self._places) + 1
        name = f"n{number}"
        taken = {self._places[member] for member in self.names}
        self._places[name] = next(place for place in range(1, len(taken) + 2) if place not in taken)
        if self.network is None:
            return name, f"127.0.0.1:{free_port()}"
        # The place may have been another's, who may not know yet that it has left: never the same port.
        return name, f"{self.network.address(self._places[name])}:{_NEWCOMERS_FROM + number}"

    def joined(self, name: str) -> None:
        self.names = (*self.names, name)

    def left(self, name: str) -> None:
        self.names = tuple(member for member in self.names if member != name)

    def end_strangers(self) -> list[str]:
        """Kill who runs and is no member; who that was."""
        self.reap()
        strangers = [name for name in self.running if name not in (*self.names, PROXY)]
        for name in strangers:
            self.signal(name, signal.SIGKILL)
        return strangers

    def start(self, name: str) -> None:
        """Start a node or the proxy, unless it runs."""
        self.reap()
        if name in self.running:
            return
        kind, file = ("proxy", "proxy.toml") if name == PROXY else ("node", f"{name}/node.toml")
        namespace = self.network.namespaces[self.place(name)] if self.network and name != PROXY else None
        prefix, descriptors = inside(namespace)
        command = [*prefix, sys.executable, "-m", "lfsql", kind, "--config", str(self.directory / file)]
        with (self.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=descriptors,
                start_new_session=True,
            )
        self.leash.hold(process.pid)
        self.running[name] = process
        self._killed.discard(name)

    def signal(self, name: str, number: int) -> None:
        """Send a signal, unless the process has ended."""
        self.reap()
        process = self.running.get(name)
        if process is None:
            return
        if number in (signal.SIGKILL, signal.SIGTERM):
            self._killed.add(name)
        if number == signal.SIGSTOP:
            self.stopped.add(name)
        if number in (signal.SIGCONT, signal.SIGKILL):
            self.stopped.discard(name)
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
        if number == signal.SIGKILL:
            process.wait()
            self.reap()

    def reap(self) -> None:
        """Note who has ended."""
        for name, process in list(self.running.items()):
            if process.poll() is not None:
                del self.running[name]
                self.stopped.discard(name)
                if name not in self._killed:
                    self.endings.append(f"{name} ended with status {process.returncode}: {self.last_words(name)}")

    def last_words(self, name: str) -> str:
        lines = (self.directory / f"{name}.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def start_all(self) -> None:
        """Wake who is stopped, start who is dead."""
        for name in list(self.stopped):
            self.signal(name, signal.SIGCONT)
        for name in (*self.names, PROXY):
            self.start(name)

    def kill_all(self) -> None:
        """At once: nodes that are told to stop hand over the lead, which is one more record in the log."""
        for name in (PROXY, *self.running.copy()):
            self.signal(name, signal.SIGKILL)


def make_tier(
    directory: Path, nodes: int, network: Network | None, leash: Leash, *, short_logs: bool = False
) -> Tier:
    """A tier as `lfsql up` makes it, not running; its nodes moved to their places in the network.

    `short_logs`: a second's worth of records, so that who was away for longer needs a snapshot."""
    made = start_tier(directory, nodes=nodes)
    made.end()
    names = tuple(f"n{number}" for number in range(1, nodes + 1))
    if network is not None:
        ports = {name: _port_of(directory / name / "node.toml") for name in names}
        for path in (directory / "proxy.toml", *(directory / name / "node.toml" for name in names)):
            text = path.read_text()
            for place, name in enumerate(names, 1):
                text = text.replace(f"127.0.0.1:{ports[name]}", f"{network.address(place)}:{ports[name]}")
            path.write_text(text)
    if short_logs:
        for name in names:
            with (directory / name / "node.toml").open("a") as file:
                file.write("\n[limits]\nlog_bytes_max = 1048576\nlog_age_ms_max = 1000\n")
    return Tier(directory, names, made.port, network, leash)


def _port_of(path: Path) -> int:
    line = next(line for line in path.read_text().splitlines() if line.startswith("listen"))
    return int(line.rpartition(":")[2].strip('" '))


def wait_for(seconds: float, until: float) -> None:
    """Let time pass, but not beyond a moment of the monotonic clock."""
    time.sleep(max(0.0, min(seconds, until - time.monotonic())))
