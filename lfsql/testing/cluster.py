"""A whole tier as real processes, for tests and benchmarks: `with running_tier(directory) as tier`.

It uses what a user uses (`lfsql up`, `lfsql status --json`, signals) and nothing inside, so a test that passes here
says something about the product.  Processes are ended by their own number, the children's too, also when `lfsql up`
itself was killed, or the test run was: a test must not leave orphans, whatever it proves.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lfsql.errors import LfsqlError
from lfsql.testing.leash import Leash, started_at

READY_S_MAX = 30.0
STOP_S_MAX = 20.0


class TierFailed(LfsqlError):
    """The tier under test did not do what the test needs to go on; the message holds its output."""


def free_port() -> int:
    """A TCP port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], Any], seconds_max: float, what: str, every_s: float = 0.05) -> Any:
    """The first true value of `condition`; TierFailed naming `what` when there is none in time."""
    end = time.monotonic() + seconds_max
    while True:
        if value := condition():
            return value
        if time.monotonic() > end:
            raise TierFailed(f"not within {seconds_max} s: {what}")
        time.sleep(every_s)


def is_running(pid: int) -> bool:
    """Whether `pid` is a live process; one that ended and waits for its parent to notice is not."""
    return bool(started_at(pid))


@dataclass
class Tier:
    """A started `lfsql up`."""

    directory: Path
    port: int
    process: subprocess.Popen[str]
    output: Path
    leash: Leash = field(default_factory=Leash)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    """Nodes that start_node() started; not children of `lfsql up`, which does not stop them."""

    @property
    def dsn(self) -> str:
        return f"postgresql://lfsql@127.0.0.1:{self.port}/lfsql"

    @property
    def pids(self) -> frozenset[int]:
        """All processes of the tier that were ever seen."""
        return frozenset(self.leash.held)

    def status(self) -> dict[str, Any]:
        """`lfsql status --json`, whatever its exit status."""
        command = [sys.executable, "-m", "lfsql", "status", "--dir", str(self.directory), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603  # our own program
        try:
            status: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            raise TierFailed(f"lfsql status: exit {done.returncode}: {done.stdout}{done.stderr}") from None
        for process in (*status["nodes"], *status["proxies"]):
            # A proxy of the test's own, inside of this process, is not the tier's to end.
            if process["pid"] and process["pid"] != os.getpid():
                self.leash.hold(process["pid"])
        return status

    def node(self, name: str) -> dict[str, Any]:
        return next(node for node in self.status()["nodes"] if node["name"] == name)

    def primary(self) -> dict[str, Any]:
        """The primary's entry of the status; waits for one to be elected."""

        def elected() -> dict[str, Any] | None:
            status = self.status()
            return next((node for node in status["nodes"] if node["name"] == status["primary"]), None)

        found: dict[str, Any] = wait_until(elected, READY_S_MAX, "a primary")
        return found

    def wait_level(self) -> None:
        """Wait until every node has what the others have."""
        wait_until(
            lambda: all(node["lag_entries"] == 0 for node in self.status()["nodes"]), READY_S_MAX, "level nodes"
        )

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Send a signal to the named node; its process id."""
        pid = int(self.node(name)["pid"])
        os.kill(pid, number)
        return pid

    def start_node(self, name: str) -> None:
        """Start a node that has ended again, by itself as an operator would."""
        command = [sys.executable, "-m", "lfsql", "node", "--config", str(self.directory / name / "node.toml")]
        with (self.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603  # our own program
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.leash.hold(process.pid)
        self.started.append(process)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop the whole tier in order, nodes that were started again apart; the exit status of `lfsql up`."""
        self.process.send_signal(number)
        return self.process.wait(STOP_S_MAX)

    def end(self) -> None:
        """Leave nothing running, however the test ended."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.leash.end()
        for process in self.started:
            process.wait()


def start_tier(directory: Path, *options: str, nodes: int = 3, port: int = 0) -> Tier:
    """`lfsql up`, waited for until it is ready.  The caller calls `end`.  Raises TierFailed with its output."""
    port = port or free_port()
    directory.parent.mkdir(parents=True, exist_ok=True)
    output = directory.parent / f"{directory.name}.out"
    command = [sys.executable, "-m", "lfsql", "up", "--dir", str(directory), "--nodes", str(nodes)]
    command += ["--port", str(port), *options]
    with output.open("w") as sink:
        # Its own group: a Ctrl-C in the terminal of the test run is the test's to pass on.
        process = subprocess.Popen(  # noqa: S603  # our own program
            command, stdout=sink, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
    tier = Tier(directory, port, process, output)
    tier.leash.hold(process.pid)

    def ready() -> bool:
        if process.poll() is not None:
            raise TierFailed(f"lfsql up: exit {process.returncode}: {output.read_text()}")
        return any(line.startswith("ready: ") for line in output.read_text().splitlines())

    try:
        wait_until(ready, READY_S_MAX, "the ready line")
        tier.status()
    except LfsqlError as error:
        tier.end()
        logs = "".join(f"\n--- {path.name}\n{path.read_text()[-3000:]}" for path in sorted(directory.glob("*.log")))
        raise TierFailed(f"{error.message}\n{output.read_text()}{logs}") from error
    return tier


@contextmanager
def running_tier(directory: Path, *options: str, nodes: int = 3, port: int = 0) -> Iterator[Tier]:
    """A ready tier for a block; nothing of it runs afterwards."""
    tier = start_tier(directory, *options, nodes=nodes, port=port)
    try:
        yield tier
    finally:
        tier.end()
