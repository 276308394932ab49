"""`python -m tests`: what its exit status says, and which lane a test is in."""

from __future__ import annotations

import threading
from pathlib import PurePath
from typing import IO

import pytest

from tests import __main__ as runner
from tests.lanes import LANES, SIDE_BY_SIDE, lane_of

LANE = """
import os, sys
status = int(sys.argv[1])
print(sys.argv[2:], flush=True)
if status < 0:
    os.kill(os.getpid(), -status)
sys.exit(status)
"""


ENDLESS = """
import time
print("begun", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("parts", "clients", "runs", "status", "told"),
    [
        (0, 0, 0, 0, "all tests passed"),
        (0, 5, 5, 0, "all tests passed"),
        (5, 5, 0, 0, "all tests passed"),
        (1, 0, 0, 1, "failed: parts"),
        (0, 2, 0, 1, "failed: clients"),
        (1, 5, 1, 1, "failed: parts, runs"),
        (-9, 0, 0, 1, "failed: parts"),
        (5, 5, 5, 1, "failed: no tests were found"),
    ],
)
def test_all_lanes_have_to_be_well(
    parts: int,
    clients: int,
    runs: int,
    status: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ends = {"parts": parts, "clients": clients, "runs": runs}
    commands = {lane: ["-c", LANE, str(end)] for lane, end in ends.items()}
    monkeypatch.setattr(runner, "COMMANDS", commands)
    assert runner.run(["-k", "x"]) == status
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines[:-1]) == [f"{lane}| ['--lane={lane}', '-k', 'x']" for lane in sorted(ends)]
    assert lines[-1] == told


def test_no_lane_begins_once_they_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()
    commands = {lane: ["-c", ENDLESS] for lane in LANES}
    monkeypatch.setattr(runner, "COMMANDS", commands)

    def show(_lane: str, output: IO[str]) -> None:
        with output:
            for _ in output:
                begun.set()

    monkeypatch.setattr(runner, "show", show)
    runs = runner.Runs([])
    row = threading.Thread(target=runs.follow, args=(("parts", "runs"),))
    row.start()
    assert begun.wait(20)
    runs.stop()
    row.join(20)
    assert not row.is_alive()
    assert set(runs.ended) == {"parts"}


def test_each_test_is_in_the_lane_of_its_folder() -> None:
    paths = ("client/test_psql.py", "chaos/test_chaos.py", "core/test_values.py", "test_docs.py")
    assert [lane_of(PurePath(path)) for path in paths] == ["clients", "runs", "parts", "parts"]
    assert sorted(lane for row in SIDE_BY_SIDE for lane in row) == sorted(LANES)
