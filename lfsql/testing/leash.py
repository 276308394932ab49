"""Processes that do not outlive the test run, however it ends.

`lfsql up` and its children end with their parent by themselves, as long as they run; one that a test has stopped
(SIGSTOP) notices nothing, and a test run that is killed with -9 cannot wake it.  So a process beyond the reach
of what ends the test run waits for the end of a pipe that only the test run holds, and kills what it was told of.

Rejected: PR_SET_PDEATHSIG, which follows the thread that started a process, is lost in children's children, and is
Linux's alone; process groups, of which a tier has one for each child.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

_GRACE_S = 10.0


def started_at(pid: int) -> str:
    """When a process started, in the kernel's ticks, which tells it from a later one of the same number; '' of one
    that has ended, whether or not its parent has noticed.  Where there is no /proc, numbers are trusted.
    """
    try:
        os.kill(pid, 0)
        if not Path("/proc/self/stat").exists():
            return "unknown"
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


class Leash:
    """Holds processes by their number, `held`, until end(), or until this process has ended."""

    def __init__(self) -> None:
        self.held: set[int] = set()
        self._guard = subprocess.Popen(
            [sys.executable, "-m", "lfsql.testing.leash"], stdin=subprocess.PIPE, text=True, start_new_session=True
        )

    def hold(self, pid: int) -> None:
        started = started_at(pid)
        if pid not in self.held and started and self._guard.stdin is not None:
            self.held.add(pid)
            self._guard.stdin.write(f"{pid} {started}\n")
            self._guard.stdin.flush()

    def end(self) -> None:
        """Kill all that still run; returns when they are gone."""
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        self._guard.wait()


def _kill(held: dict[int, str]) -> None:
    for pid, started in held.items():
        if started_at(pid) == started:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + _GRACE_S
    while any(started_at(pid) == started for pid, started in held.items()):
        if time.monotonic() > end:
            break
        time.sleep(0.01)


def _main() -> None:
    held: dict[int, str] = {}
    for line in sys.stdin:
        pid, started = line.split()
        held[int(pid)] = started
    _kill(held)


if __name__ == "__main__":
    _main()
