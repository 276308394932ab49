"""What all tests share: the choice of a lane, and a throw-away PostgreSQL 15.

That is the oracle of the differential tests, which are skipped with the reason without one.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.lanes import LANES, lane_of

TESTS = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--lane", choices=LANES, help="run the tests of one lane only; see tests/lanes.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    lane = config.getoption("--lane")
    if lane is not None:
        left_out = [item for item in items if lane_of(item.path.relative_to(TESTS)) != lane]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if lane_of(item.path.relative_to(TESTS)) == lane]


def _binaries() -> Path | None:
    """The directory of a PostgreSQL 15 server's programs."""
    candidates = [Path("/usr/lib/postgresql/15/bin"), Path("/usr/pgsql-15/bin")]
    found = shutil.which("postgres")
    if found:
        candidates.append(Path(found).parent)
    for directory in candidates:
        if (directory / "postgres").exists() and (directory / "initdb").exists():
            version = subprocess.run(
                [directory / "postgres", "--version"], capture_output=True, text=True, check=True
            )
            if " 15." in version.stdout:
                return directory
    return None


def _unprivileged() -> list[str]:
    """What to put before a command: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    try:
        account = pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("PostgreSQL cannot run as root and there is no user postgres")
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("PostgreSQL cannot run as root and there is no setpriv")
    return [setpriv, f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """Connection string of a fresh cluster: database C, UTF8, time zone UTC, on a Unix socket only."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL 15 server programs found")
    prefix = _unprivileged()
    directory = Path(tempfile.mkdtemp(prefix="lfsql-pg-"))
    try:
        if prefix:
            account = pwd.getpwnam("postgres")
            os.chown(directory, account.pw_uid, account.pw_gid)
        data = directory / "data"
        options = ["-D", str(data), "-U", "postgres", "-A", "trust", "--locale=C", "-E", "UTF8", "-N"]
        subprocess.run(
            [*prefix, str(binaries / "initdb"), *options], check=True, stdout=subprocess.DEVNULL, cwd=directory
        )
        control = [*prefix, str(binaries / "pg_ctl"), "-D", str(data), "-w"]
        settings = f"-k {directory} -c listen_addresses='' -c fsync=off -c timezone=UTC"
        log = ["-l", str(directory / "log"), "-o", settings]
        subprocess.run([*control, *log, "start"], check=True, stdout=subprocess.DEVNULL, cwd=directory)
        try:
            yield f"host={directory} user=postgres dbname=postgres"
        finally:
            stop = [*control, "-m", "immediate", "stop"]
            subprocess.run(stop, check=True, stdout=subprocess.DEVNULL, cwd=directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def postgres(postgres_dsn: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """An autocommit connection to the oracle."""
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        yield connection
