"""Proxies of a test's own in front of a running tier."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from lfsql.config import ProxyConfig, to_toml
from lfsql.testing.cluster import wait_until


def dsn(address: str) -> str:
    return f"postgresql://lfsql@{address}/lfsql"


@contextmanager
def proxy(directory: Path, config: ProxyConfig, *command: str) -> Iterator[str]:
    """A proxy of its own, `python -m` with `command` and its file; its address, once it serves."""
    directory.mkdir()
    path = directory / "proxy.toml"
    path.write_text(to_toml(config))
    with (directory / "out").open("w") as sink:
        process = subprocess.Popen([sys.executable, "-m", *command, str(path)], stdout=sink, stderr=sink)

    def serves() -> bool:
        assert process.poll() is None, (directory / "out").read_text()
        try:
            with psycopg.connect(dsn(config.listen), connect_timeout=5) as connection:
                return connection.execute("SELECT count(*) FROM lfsql.nodes WHERE healthy").fetchone() == (3,)
        except psycopg.Error:
            return False

    try:
        wait_until(serves, 30, f"{command} to serve")
        yield config.listen
    finally:
        process.terminate()
        process.wait(20)
