"""A plan that takes a write for a read costs a round trip: the engine refuses it before any effect, the primary runs
it, once, and the plan remembers.

The proxy runs inside of the test, in front of a real tier, so that its plans can be made wrong on purpose, and what
its readers refuse be counted.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
import psycopg
import pytest
import trio

from lfsql.config import ProxyConfig, load_proxy
from lfsql.errors import ReadOnlyTransaction
from lfsql.storage import reader
from lfsql.testing.cluster import free_port, wait_until
from proxy.service import run_proxy
from proxy.sql import planner
from proxy.sql.plan import Kind
from tests.client.conftest import Server, route_of

pytestmark = pytest.mark.client

WAIT_S_MAX = 30.0


@dataclass
class Front:
    """A proxy in a thread of this process."""

    config: ProxyConfig
    started: threading.Event = field(default_factory=threading.Event)
    token: trio.lowlevel.TrioToken | None = None
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    refusals: int = 0
    """Statements that a reader was given and did not run because they write."""

    @property
    def dsn(self) -> str:
        return f"postgresql://lfsql@{self.config.listen}/lfsql"

    async def serve(self) -> None:
        self.token = trio.lowlevel.current_trio_token()
        with self.scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(run_proxy, self.config)
                self.started.set()

    def stop(self) -> None:
        assert self.token is not None
        self.token.run_sync_soon(self.scope.cancel)


@pytest.fixture
def front(lfsql_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    assert lfsql_server.tier is not None
    config = load_proxy(lfsql_server.tier.directory / "proxy.toml")
    front = Front(msgspec.structs.replace(config, listen=f"127.0.0.1:{free_port()}", workers=1))
    refuse = reader._read_only  # what every reader says to what writes

    def counted() -> ReadOnlyTransaction:
        front.refusals += 1
        return refuse()

    monkeypatch.setattr(reader, "_read_only", counted)
    recursion_limit = sys.getrecursionlimit()  # which a proxy raises for its process, here that of all tests
    thread = threading.Thread(target=trio.run, args=(front.serve,))
    thread.start()
    try:
        assert front.started.wait(WAIT_S_MAX)
        yield front
    finally:
        front.stop()
        thread.join(WAIT_S_MAX)
        sys.setrecursionlimit(recursion_limit)
        assert not thread.is_alive()


@pytest.fixture
def connection(front: Front) -> Iterator[psycopg.Connection]:
    """Its reads go to one replica, as it is: so they are tried in this process, where refusals are counted."""
    with psycopg.connect(front.dsn, autocommit=True) as connection:
        known = "SELECT name FROM lfsql.nodes WHERE role = 'replica' LIMIT 1"
        [replica] = wait_until(
            lambda: connection.execute(known).fetchone(), WAIT_S_MAX, "the proxy has heard of a replica"
        )
        connection.execute(f"SET lfsql.route = '{replica}'")
        connection.execute("SET lfsql.read_consistency = 'any'")
        yield connection


ON_PRIMARY = "/* lfsql: route=primary, read_consistency=session */ "


def settle(connection: psycopg.Connection, table: str) -> None:
    """Wait until the replica has the table, which was made last."""

    def read_there() -> bool:
        connection.execute(f"SELECT count(*) FROM {table}")
        return route_of(connection)["reason"] == "inline"

    wait_until(read_there, WAIT_S_MAX, "the replica has the table")


@pytest.fixture
def misled(connection: psycopg.Connection, table: str, monkeypatch: pytest.MonkeyPatch) -> psycopg.Connection:
    """A connection whose proxy takes everything for a read."""
    connection.execute(f"CREATE SEQUENCE {table}_s")
    connection.execute(f"CREATE TABLE {table} (a int PRIMARY KEY, b int)")
    settle(connection, table)
    monkeypatch.setattr(planner, "classify", lambda _tree, _translation: (Kind.READ, "made wrong on purpose"))
    return connection


def decision(connection: psycopg.Connection, sql: str) -> str:
    """The first line of EXPLAIN (ROUTE): where the statement would go, and why."""
    shown = connection.execute(f"EXPLAIN (ROUTE) {sql}").fetchone()
    assert shown is not None
    return str(shown[0])


@pytest.mark.parametrize("prepare", [False, True])
def test_a_wrong_plan_is_corrected_once_and_remembered(
    front: Front, misled: psycopg.Connection, table: str, prepare: bool
) -> None:
    insert = f"INSERT INTO {table} SELECT coalesce(max(a), 0) + 1, 0 FROM {table} RETURNING a"
    assert decision(misled, insert).startswith("Route: replica "), "the plan is not wrong"
    for count in (1, 2, 3):
        before = front.refusals
        assert misled.execute(insert, prepare=prepare).fetchall() == [(count,)], "it ran once, no more and no less"
        assert route_of(misled)["role"] == "primary"
        assert (front.refusals > before) == (count == 1), "only the first was tried as a read"
    assert "the engine found that it writes" in decision(misled, insert)
    assert misled.execute(f"{ON_PRIMARY} SELECT count(*) FROM {table}").fetchone() == (3,)
    misled.execute(f"SELECT count(*) FROM {table}")
    assert route_of(misled)["role"] == "replica", "what reads stays a read"


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO {t} VALUES (10, 10)",
        "UPDATE {t} SET b = b + 1",
        "DELETE FROM {t} WHERE a = 1 RETURNING b",
        "SELECT nextval('{t}_s')",
        "SELECT a FROM {t} WHERE a > setval('{t}_s', 9)",
        "WITH x AS (SELECT 5 AS n) UPDATE {t} SET b = n FROM x",
    ],
)
def test_it_has_no_effect_before_it_is_corrected(
    front: Front, misled: psycopg.Connection, table: str, sql: str
) -> None:
    text = sql.format(t=table)
    state = f"{ON_PRIMARY} SELECT (SELECT array_agg(b ORDER BY a) FROM {table}), last_value, is_called FROM {table}_s"
    misled.execute(f"INSERT INTO {table} VALUES (1, 1), (2, 2)")
    before = misled.execute(state).fetchone()
    refused = front.refusals
    misled.execute("BEGIN")
    misled.execute(text)
    assert front.refusals > refused
    misled.execute("ROLLBACK")
    assert misled.execute(state).fetchone() == before, "some of it ran outside of the transaction"
    misled.execute(text)
    assert misled.execute(state).fetchone() != before


def test_a_read_only_transaction_refuses_it(misled: psycopg.Connection, table: str) -> None:
    misled.execute("BEGIN READ ONLY")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        misled.execute(f"INSERT INTO {table} VALUES (1, 1)")
    misled.execute("ROLLBACK")
    assert misled.execute(f"{ON_PRIMARY} SELECT count(*) FROM {table}").fetchone() == (0,)


def test_several_wrong_plans_in_one_text_are_one_unit(misled: psycopg.Connection, table: str) -> None:
    text = f"INSERT INTO {table} VALUES (1, 1); UPDATE {table} SET b = 2; INSERT INTO {table} VALUES "
    with pytest.raises(psycopg.errors.UniqueViolation):
        misled.execute(f"{text} (1, 1)")
    assert misled.execute(f"{ON_PRIMARY} SELECT count(*) FROM {table}").fetchone() == (0,)
    misled.execute(f"{text} (2, 1)")
    assert misled.execute(f"{ON_PRIMARY} SELECT a, b FROM {table} ORDER BY a").fetchall() == [(1, 2), (2, 1)]


@pytest.mark.parametrize("dialect", ["postgresql", "sqlite"])
def test_what_only_the_engine_can_see(front: Front, connection: psycopg.Connection, table: str, dialect: str) -> None:
    """A view that draws from a sequence: no text that names it says so."""
    view = f"{table}_v"
    connection.execute(f"CREATE SEQUENCE {table}_s")
    connection.execute("SET lfsql.dialect = 'sqlite'")  # PostgreSQL's refuses such a view
    connection.execute(f"CREATE VIEW {view} AS SELECT nextval('{table}_s') AS n")
    connection.execute("SET lfsql.dialect = 'postgresql'")
    connection.execute(f"CREATE TABLE {table} (a int)")
    settle(connection, table)
    connection.execute(f"SET lfsql.dialect = '{dialect}'")
    for count in (1, 2, 3):
        before = front.refusals
        assert connection.execute(f"SELECT 'drawn ' || n FROM {view}").fetchall() == [(f"drawn {count}",)]
        assert route_of(connection)["role"] == "primary"
        assert (front.refusals > before) == (count == 1)
    connection.execute(f"DROP VIEW {view}")
