"""`python -m tests`: what its exit status says, and which lane a test is in."""

from __future__ import annotations

from pathlib import PurePath

import pytest

from tests import __main__ as runner
from tests.lanes import lane_of

LANE = """
import os, sys
status = int(sys.argv[1])
print(sys.argv[2:], flush=True)
if status < 0:
    os.kill(os.getpid(), -status)
sys.exit(status)
"""


@pytest.mark.parametrize(
    ("parts", "whole", "status", "told"),
    [
        (0, 0, 0, "all tests passed"),
        (0, 5, 0, "all tests passed"),
        (5, 0, 0, "all tests passed"),
        (1, 0, 1, "failed: parts"),
        (0, 2, 1, "failed: whole"),
        (1, 5, 1, "failed: parts"),
        (-9, 0, 1, "failed: parts"),
        (5, 5, 1, "failed: no tests were found"),
    ],
)
def test_both_lanes_have_to_be_well(
    parts: int,
    whole: int,
    status: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    commands = {"parts": ["-c", LANE, str(parts)], "whole": ["-c", LANE, str(whole)]}
    monkeypatch.setattr(runner, "COMMANDS", commands)
    assert runner.run(["-k", "x"]) == status
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines[:-1]) == ["parts| ['--lane=parts', '-k', 'x']", "whole| ['--lane=whole', '-k', 'x']"]
    assert lines[-1] == told


def test_tests_with_whole_tiers_are_in_a_lane_of_their_own() -> None:
    found = {path: lane_of(PurePath(path)) for path in ("client/test_psql.py", "core/test_values.py", "test_docs.py")}
    assert found == {"client/test_psql.py": "whole", "core/test_values.py": "parts", "test_docs.py": "parts"}
