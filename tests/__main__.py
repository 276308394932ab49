"""`python -m tests [options of pytest]`: all tests, in two lanes side by side; exit status 0 when both are well.

Half of the tests compute, the other half wait for processes they have started: together they take little longer than
one half.  Only the first lane, which has the tests of the pure parts, is traced for coverage; tracing the simulator
and the tests' clients
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from types import FrameType
from typing import IO

from tests.lanes import LANES, Lane

COMMANDS: dict[Lane, list[str]] = {"parts": ["-m", "coverage", "run", "-m", "pytest"], "whole": ["-m", "pytest"]}
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


def run(options: list[str]) -> int:
    """The exit status of both lanes together, both run with these options of pytest."""
    running = {lane: start(lane, options) for lane in LANES}
    try:
        readers = [threading.Thread(target=show, args=(lane, process.stdout)) for lane, process in running.items()]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        ended = {lane: process.wait() for lane, process in running.items()}
    finally:
        for process in running.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)  # so that pytest ends its fixtures, and they their processes
                process.wait()
    failed = [lane for lane, status in ended.items() if status not in (0, NO_TESTS)]
    if failed or set(ended.values()) == {NO_TESTS}:
        print(f"failed: {', '.join(failed) or 'no tests were found'}", flush=True)
        return 1
    print("all tests passed", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
