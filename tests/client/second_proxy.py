"""A proxy beside the one a tier has, with another configuration."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psycopg

from lfsql.config import ProxyConfig, load_proxy, to_toml
from lfsql.testing.cluster import Tier, free_port, wait_until


@contextmanager
def serving(config: ProxyConfig, directory: Path) -> Iterator[None]:
    """It runs while the block does; that it serves is for the block to find out."""
    path = directory / "proxy.toml"
    path.write_text(to_toml(config))
    with (directory / "out").open("w") as sink:
        command = [sys.executable, "-m", "lfsql", "proxy", "--config", str(path)]
        process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT)  # our own program
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def answers(dsn: str) -> bool:
    """Whether it serves and knows three healthy nodes."""
    try:
        with psycopg.connect(dsn, connect_timeout=5) as connection:
            return connection.execute("SELECT count(*) FROM lfsql.nodes WHERE healthy").fetchone() == (3,)
    except psycopg.Error:
        return False


@contextmanager
def elsewhere(tier: Tier, directory: Path) -> Iterator[str]:
    """The connection string of a proxy that is on no node's host: it knows of no node's file."""
    listed = load_proxy(tier.directory / "proxy.toml")
    nodes = tuple(msgspec.structs.replace(node, data_dir="") for node in listed.nodes)
    port = free_port()
    with serving(msgspec.structs.replace(listed, nodes=nodes, listen=f"127.0.0.1:{port}"), directory):
        dsn = f"postgresql://lfsql@127.0.0.1:{port}/lfsql"
        wait_until(lambda: answers(dsn), 20, "the proxy to serve")
        yield dsn
