"""Limits on what clients take give errors of their own class, and end when room is there again."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from pathlib import Path

import msgspec
import psycopg
import pytest

from lfsql.config import ProxyLimits, load_proxy
from lfsql.testing.cluster import free_port, wait_until
from tests.client.conftest import Server
from tests.client.proxies import dsn, proxy
from tests.client.raw import Raw, errors, startup

pytestmark = pytest.mark.client

CONNECTIONS_MAX = 3


def test_one_connection_too_many_is_refused_until_another_ends(lfsql_server: Server, tmp_path: Path) -> None:
    assert lfsql_server.tier is not None
    config = msgspec.structs.replace(
        load_proxy(lfsql_server.tier.directory / "proxy.toml"),
        listen=f"127.0.0.1:{free_port()}",
        workers=1,
        limits=ProxyLimits(connections_max=CONNECTIONS_MAX),
    )
    with proxy(tmp_path / "proxy", config, "lfsql", "proxy", "--config") as address, ExitStack() as stack:
        host, _, port = address.rpartition(":")
        server = dataclasses.replace(lfsql_server, host=host, port=int(port))

        def admitted() -> list[str]:
            raw = Raw(server)
            with raw.socket:
                raw.send(startup(server))
                found = raw.receive()
                return errors([found] if found is not None else [])

        opened = [stack.enter_context(psycopg.connect(dsn(address), autocommit=True)) for _ in range(CONNECTIONS_MAX)]
        assert admitted() == ["53300"]
        for connection in opened:
            assert connection.execute("SELECT 1").fetchone() == (1,), "who is there is not disturbed"
        opened[0].close()
        wait_until(lambda: admitted() == [], 10, "the room of the one that ended")
