"""`python -m tests [options of pytest]`: all tests, in lanes side by side; exit status 0 when all are well.

Half of the tests compute, the other half wait for processes they have started: together they take little longer than
one half.  Only the lane of the parts is traced for coverage: tracing the simulator and the tests' clients would cost
their time and say nothing of the pure parts.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import IO

from tests.lanes import SIDE_BY_SIDE, Lane

COMMANDS: dict[Lane, list[str]] = {
    "parts": ["-m", "coverage", "run", "-m", "pytest"],
    "clients": ["-m", "pytest"],
    "runs": ["-m", "pytest"],
}
NO_TESTS = 5
"""pytest's exit status when the options left a lane without tests."""


def show(lane: str, output: IO[str]) -> None:
    with output:
        for line in output:
            sys.stdout.write(f"{lane}| {line}")
            sys.stdout.flush()


def start(lane: Lane, options: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, *COMMANDS[lane], f"--lane={lane}", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def stop(signum: int, _frame: FrameType | None) -> None:
    sys.exit(128 + signum)


def main() -> int:
    signal.signal(signal.SIGTERM, stop)
    return run(sys.argv[1:])


class Runs:
    """The lanes' processes, each row of lanes in a thread of its own."""

    def __init__(self, options: list[str]) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._stopped = False
        self._processes: list[subprocess.Popen[str]] = []
        self.ended: dict[Lane, int] = {}

    def follow(self, lanes: Sequence[Lane]) -> None:
        """Run the lanes one after the other."""
        for lane in lanes:
            with self._lock:
                if self._stopped:
                    return
                process = start(lane, self._options)
                self._processes.append(process)
            if process.stdout is not None:
                show(lane, process.stdout)
            self.ended[lane] = process.wait()

    def stop(self) -> None:
        """End what runs still, and begin nothing more."""
        with self._lock:
            self._stopped = True
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)  # so that pytest ends its fixtures, and they their processes
                process.wait()


def run(options: list[str]) -> int:
    """The exit status of all lanes together, all run with these options of pytest."""
    runs = Runs(options)
    try:
        rows = [threading.Thread(target=runs.follow, args=(lanes,)) for lanes in SIDE_BY_SIDE]
        for row in rows:
            row.start()
        for row in rows:
            row.join()
    finally:
        runs.stop()
    ended = runs.ended
    failed = [lane for lane, status in sorted(ended.items()) if status not in (0, NO_TESTS)]
    if failed or set(ended.values()) == {NO_TESTS}:
        print(f"failed: {', '.join(failed) or 'no tests were found'}", flush=True)
        return 1
    print("all tests passed", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
