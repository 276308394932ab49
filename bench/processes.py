"""Servers of a benchmark: started as a user that they accept, waited for, ended by their own number."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg

from lfsql.testing.cluster import TierFailed, wait_until

USER = "lfsql"
START_S_MAX = 60.0
STOP_S_MAX = 20.0

# PostgreSQL, Pgpool-II and PgBouncer refuse to run as root.
_ACCOUNT = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
_USER = _ACCOUNT.pw_uid if _ACCOUNT else None
_GROUP = _ACCOUNT.pw_gid if _ACCOUNT else None
_OTHER_GROUPS: list[int] | None = [] if _ACCOUNT else None


def program(name: str) -> str:
    """The path of a program, also where Debian keeps those of a server.  Raises TierFailed naming the package."""
    packages = {"pgpool": "pgpool2", "pgbouncer": "pgbouncer"}
    places = [f"/usr/sbin/{name}", *map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True))]
    found = shutil.which(name) if name in ("pgbench", "psql") else None
    for place in [*places, found]:
        if place and os.access(place, os.X_OK):
            return place
    raise TierFailed(f"{name} is not installed: apt-get install {packages.get(name, 'postgresql')}")


def own(path: Path) -> Path:
    """A new directory that the servers' account may use alone."""
    path.mkdir(mode=0o700)
    if _ACCOUNT is not None:
        os.chown(path, _ACCOUNT.pw_uid, _ACCOUNT.pw_gid)
    return path


def run(command: Sequence[str], log: Path) -> None:
    """Run a program to its end in the servers' account.  Raises TierFailed with what it said."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        user=_USER,
        group=_GROUP,
        extra_groups=_OTHER_GROUPS,
    )
    with log.open("a") as file:
        file.write(done.stdout + done.stderr)
    if done.returncode:
        raise TierFailed(f"{' '.join(command)}: exit {done.returncode}: {done.stderr[-1000:]}")


class Server:
    """A running server process."""

    def __init__(self, command: Sequence[str], log: Path, stop_signal: int, environment: Mapping[str, str]) -> None:
        self._stop_signal = stop_signal
        self.log = log
        with log.open("a") as output:
            self.process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd="/",
                env={**os.environ, **environment},
                start_new_session=True,
                user=_USER,
                group=_GROUP,
                extra_groups=_OTHER_GROUPS,
            )

    def wait_answer(self, dsn: str, query: str = "SELECT 1") -> None:
        """Return when `query` gives a true value.  Raises TierFailed when the process ends or it takes too long."""

        def answers() -> bool:
            if self.process.poll() is not None:
                raise TierFailed(f"{self.log.name}: exit {self.process.returncode}: {self.log.read_text()[-2000:]}")
            try:
                with psycopg.connect(dsn, autocommit=True, connect_timeout=2) as connection:
                    row = connection.execute(query).fetchone()
                    return bool(row and row[0])
            except psycopg.Error:
                return False

        wait_until(answers, START_S_MAX, f"an answer of {dsn}", every_s=0.2)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(self._stop_signal)
            try:
                self.process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


def descendants(pid: int) -> list[int]:
    """`pid` and all processes below it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found.extend(int(child) for child in task.read_text().split())
            except OSError:
                continue  # it ended meanwhile
    return found
