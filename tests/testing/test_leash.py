"""What is on a leash goes with the test run, however that ends and whatever state it is in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lfsql.testing.cluster import is_running, wait_until
from lfsql.testing.leash import Leash

HOLDER = """
import subprocess, sys, time
from lfsql.testing.leash import Leash
leash = Leash()
held = [subprocess.Popen(["sleep", "600"], start_new_session=True).pid for _ in range(2)]
for pid in held:
    leash.hold(pid)
print(*held, flush=True)
time.sleep(600)
"""


@pytest.fixture
def holder() -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A process that holds two others, and their numbers."""
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        held = [int(word) for word in process.stdout.readline().split()]
        yield process, held
        process.kill()
        for pid in held:
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)


def test_it_ends_what_it_holds_when_its_owner_is_killed_with_all_its_group(
    holder: tuple[subprocess.Popen[str], list[int]],
) -> None:
    process, held = holder
    assert all(map(is_running, held))
    os.kill(held[0], signal.SIGSTOP)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not any(map(is_running, held)), 10, "the held processes to end")


def test_it_ends_what_it_holds_when_told() -> None:
    leash = Leash()
    with subprocess.Popen(["sleep", "600"]) as held:
        leash.hold(held.pid)
        os.kill(held.pid, signal.SIGSTOP)
        leash.end()
        assert held.wait(5) == -signal.SIGKILL


def test_a_number_that_is_another_process_by_now_is_left_alone() -> None:
    leash = Leash()
    with subprocess.Popen(["sleep", "600"]) as other:
        assert leash._guard.stdin is not None
        leash._guard.stdin.write(f"{other.pid} 1\n")
        leash.end()
        assert other.poll() is None
        other.kill()
