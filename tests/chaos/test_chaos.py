"""A minute of chaos; `make chaos` is ten.  And a run that is killed leaves no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lfsql.testing.cluster import wait_until

pytestmark = [pytest.mark.client, pytest.mark.slow]

COMMAND = [sys.executable, "-m", "tests.chaos"]
ROOT = Path(__file__).resolve().parents[2]


def processes_with(word: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue  # it ended meanwhile
    return found


@pytest.mark.parametrize(("options", "seconds"), [([], "60"), (["--short-logs"], "30")])
def test_a_minute_of_faults_breaks_no_promise(options: list[str], seconds: str) -> None:
    done = subprocess.run(
        [*COMMAND, *options, "--seconds", os.environ.get("LFSQL_CHAOS_S", seconds)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=ROOT,
    )
    print(done.stdout)
    assert done.returncode == 0, f"{done.stdout[-20_000:]}\n{done.stderr[-5_000:]}"
    assert "nothing is wrong" in done.stdout


def test_a_run_that_is_killed_leaves_nothing_running(tmp_path: Path) -> None:
    temporary = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [*COMMAND, "--seconds", "60"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=temporary,
        start_new_session=True,
    ) as run:
        assert run.stdout is not None
        lines = iter(run.stdout.readline, "")
        # The first stopped node is the one that would stay.
        assert any("stopped n" in line or "killed" in line for line in lines)
        nodes = processes_with(str(tmp_path))
        os.kill(nodes[0], signal.SIGSTOP)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    wait_until(lambda: not processes_with(str(tmp_path)), 20, "the tier's processes to end")
