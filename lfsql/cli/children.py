"""Child processes that end when their parent does, and are told apart when they end by themselves.

Each gets a pipe's read end (`--lifeline`) whose write end only this process holds: the kernel closes it however this
process ends.  Each is the leader of its own process group, so that a terminal's Ctrl-C reaches the parent alone,
which then stops the children in order.

What a child says goes straight into a file.  Passing it through a pipe and this process would stop a child whenever
this process is slow or stopped.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio

GRACE_S = 10.0


@dataclass
class Child:
    name: str
    process: trio.Process
    log: Path | None
    log_start: int
    """Where in the log this process' own lines begin."""
    ended: trio.Event = field(default_factory=trio.Event)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def ending(self) -> str:
        """How it ended: 'was killed by SIGKILL', 'ended with status 1'."""
        status = self.process.returncode
        if status is None:
            return "is running"
        return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"

    def last_words(self) -> str:
        """The error with which the process ended, or else its last line, '' when it wrote none."""
        if self.log is None:
            return ""
        with self.log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(self.log_start, size - 8192))
            lines = file.read().decode(errors="replace").strip().splitlines()
        told = [line for line in lines if line.startswith("lfsql ")]
        return (told or lines or [""])[-1]


class Children:
    """Starts children, waits for their ends, stops them.  Must be used in `nursery`'s task tree."""

    def __init__(self, nursery: trio.Nursery, passed: Sequence[int] = ()) -> None:
        """`passed`: descriptors that each inherits."""
        self._nursery = nursery
        self._passed = tuple(passed)
        self._lifeline_read, self._lifeline_write = os.pipe2(os.O_CLOEXEC)
        self._send_end, self._receive_end = trio.open_memory_channel[Child](1000)
        self.all: list[Child] = []

    @property
    def running(self) -> list[Child]:
        return [child for child in self.all if not child.ended.is_set()]

    async def start(self, name: str, arguments: Sequence[str], log: Path | None) -> Child:
        """Start `lfsql ARGUMENTS`; its output goes to `log`, or where this process' goes."""
        command = [sys.executable, "-m", "lfsql", *arguments, "--lifeline", str(self._lifeline_read)]
        if log is None:
            process = await self._open(command, None)
            child = Child(name, process, None, 0)
        else:
            with log.open("ab") as output:
                process = await self._open(command, output.fileno())
                child = Child(name, process, log, output.tell())
        self.all.append(child)
        self._nursery.start_soon(self._wait, child)
        return child

    async def next_end(self) -> Child:
        """The next child that ends, in the order they do."""
        return await self._receive_end.receive()

    async def stop(self, children: Sequence[Child] | None = None) -> None:
        """SIGTERM to those that run, SIGKILL to those that still do after the time of grace."""
        stopping = [child for child in self._chosen(children) if not child.ended.is_set()]
        for child in stopping:
            child.process.send_signal(signal.SIGTERM)
        with trio.move_on_after(GRACE_S):
            for child in stopping:
                await child.ended.wait()
        self.kill(stopping)
        for child in stopping:
            await child.ended.wait()

    def kill(self, children: Sequence[Child] | None = None) -> None:
        for child in self._chosen(children):
            if not child.ended.is_set():
                child.process.kill()

    def _chosen(self, children: Sequence[Child] | None) -> Sequence[Child]:
        return self.all if children is None else children

    async def _open(self, command: list[str], output: int | None) -> trio.Process:
        return await trio.lowlevel.open_process(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(self._lifeline_read, *self._passed),
            process_group=0,
        )

    async def _wait(self, child: Child) -> None:
        # Shielded: a child that is being stopped is waited for, or it would stay a zombie and a question.
        with trio.CancelScope(shield=True):
            await child.process.wait()
        child.ended.set()
        self._send_end.send_nowait(child)
