"""One running tier for the tests with real clients.

LFSQL_TEST_DSN runs the same tests against another server, such as a real PostgreSQL 15: what they claim of its
behaviour is then checked against PostgreSQL itself.  That server needs the C collation and a role that may create
tables.  Tests of lfsql's own commands and settings are skipped there.
"""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
import psycopg.conninfo
import psycopg.rows
import pytest

from lfsql.testing.cluster import Tier, running_tier
from tests.client.raw import Raw, startup

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
Connection = psycopg.Connection[tuple[object, ...]]
TEST_S_MAX = int(os.environ.get("LFSQL_TEST_S_MAX", "120"))


@dataclass(frozen=True)
class Server:
    """Where the server under test listens.  `tier` is None when it is not lfsql."""

    host: str
    port: int
    user: str
    database: str
    tier: Tier | None = None

    @property
    def dsn(self) -> str:
        return f"postgresql://{self.user}@{self.host}:{self.port}/{self.database}"

    @property
    def environment(self) -> dict[str, str]:
        """For libpq's programs; nothing of the caller's own PG settings comes through."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        address = {"PGHOST": self.host, "PGPORT": str(self.port), "PGUSER": self.user, "PGDATABASE": self.database}
        return {**kept, **address, "PGCONNECT_TIMEOUT": "10", "LC_ALL": "C.UTF-8"}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if given := os.environ.get("LFSQL_TEST_DSN"):
        parts = psycopg.conninfo.conninfo_to_dict(given)
        yield Server(str(parts["host"]), int(str(parts["port"])), str(parts["user"]), str(parts["dbname"]))
        return
    with running_tier(tmp_path_factory.mktemp("tier") / "data") as tier:
        yield Server("127.0.0.1", tier.port, "lfsql", "lfsql", tier)


def route_of(connection: psycopg.Connection[Any]) -> dict[str, object]:
    """Where the connection's previous statement ran: its receipt, by column."""
    shown = connection.cursor(row_factory=psycopg.rows.dict_row).execute("SHOW lfsql.last_route").fetchone()
    assert shown is not None
    return dict(shown)


@pytest.fixture(autouse=True)
def deadline() -> Iterator[None]:
    """An answer that never comes fails the one test, not the whole run."""

    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"the test took longer than {TEST_S_MAX} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(TEST_S_MAX)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def lfsql_server(server: Server) -> Server:
    if server.tier is None:
        pytest.skip("LFSQL_TEST_DSN: a test of lfsql's own")
    return server


@functools.cache
def _installed(name: str) -> str | None:
    """Debian's /usr/bin/pgbench is a wrapper that is there even when what it wraps is not: so it is tried."""
    found = shutil.which(name)
    if found is not None and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0:
        return found
    return None


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs; skips the test when it is not installed."""
    found = _installed(name)
    if found is None:
        pytest.skip(f"PostgreSQL's {name} is not installed")
    return found


_numbers = itertools.count(1)


@pytest.fixture
def table(server: Server) -> Iterator[str]:
    """A table name nobody else uses; the table, if the test makes one, is dropped."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    yield name
    with psycopg.connect(server.dsn, autocommit=True) as cleaner:
        cleaner.execute(f"DROP TABLE IF EXISTS {name}")


@pytest.fixture
def connection(server: Server, table: str) -> Iterator[psycopg.Connection]:
    """psycopg 3, as it comes.  Needs `table` so as to be closed before that is dropped: it may hold locks."""
    with psycopg.connect(server.dsn) as opened:
        yield opened
        opened.rollback()


@pytest.fixture
def autocommit(server: Server, table: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server.dsn, autocommit=True) as opened:
        yield opened


@pytest.fixture
def two(server: Server, table: str) -> Iterator[tuple[Connection, Connection]]:
    """Two sessions and an empty table (id, n)."""
    with (
        psycopg.connect(server.dsn, autocommit=True) as one,
        psycopg.connect(server.dsn, autocommit=True) as other,
    ):
        one.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, n int NOT NULL)")
        yield one, other


def prepared(connection: Connection, sql: str, *values: object) -> list[tuple[object, ...]]:
    """Run a statement that is parsed once, and give its rows."""
    cursor = connection.execute(sql, values, prepare=True)
    return cursor.fetchall() if cursor.description is not None else []


@pytest.fixture
def stranger(server: Server) -> Iterator[Raw]:
    """A client that has said nothing yet."""
    opened = Raw(server)
    yield opened
    opened.socket.close()


@pytest.fixture
def raw(server: Server, stranger: Raw) -> Raw:
    """A client that has logged in."""
    stranger.send(startup(server))
    stranger.until(b"Z")
    return stranger
