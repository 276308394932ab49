"""What a session may choose when every copy is further behind than it allows, and everywhere it may choose it.

One replica applies nothing any more, as if its disk had stopped, and stays alive: how late it is grows without end.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import msgspec
import psycopg
import pytest

from lfsql.config import NodeConfig, NodeFaults, ProxyDefaults, UserDefaults, load_proxy, read, to_toml
from lfsql.testing.cluster import Tier, free_port, is_running, running_tier, wait_until
from proxy.worker import PROCESS_ID_BITS
from tests.client.conftest import route_of
from tests.client.proxies import proxy

pytestmark = pytest.mark.client

A_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Late:
    """A tier, and the name of its late replica."""

    tier: Tier
    node: str

    @property
    def dsn(self) -> str:
        return self.tier.dsn


def rows(connection: psycopg.Connection) -> int:
    found = connection.execute("SELECT count(*) FROM t").fetchone()
    assert found is not None
    return int(found[0])


_numbers = count(1)


def insert(connection: psycopg.Connection) -> int:
    """How many rows there are now."""
    number = next(_numbers)
    connection.execute("INSERT INTO t VALUES (%s)", (number,))
    return number


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Late]:
    if os.environ.get("LFSQL_TEST_DSN"):
        pytest.skip("LFSQL_TEST_DSN: a test of lfsql's own")
    with running_tier(tmp_path_factory.mktemp("lagging") / "tier") as tier:
        with psycopg.connect(tier.dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE t (id int PRIMARY KEY)")
            name = next(node["name"] for node in tier.status()["nodes"] if node["role"] == "replica")
            connection.execute(f"SET lfsql.route = '{name}'")
            connection.execute("SET lfsql.when_lagging = 'wait'")
            assert rows(connection) == 0, "the replica knows the table"
            path = tier.directory / name / "node.toml"
            faults = NodeFaults(apply_delay_ms_max=A_DAY_MS)
            path.write_text(to_toml(msgspec.structs.replace(read(path, NodeConfig), faults=faults)))
            pid = tier.kill(name)
            wait_until(lambda: not is_running(pid), 10, "the replica to end")
            tier.start_node(name)
            connection.execute("RESET lfsql.route")
            insert(connection)
            seen = f"SELECT lag_entries > 0 AND healthy FROM lfsql.nodes WHERE name = '{name}'"
            wait_until(lambda: connection.execute(seen).fetchone() == (True,), 20, "a replica that lives and lags")
        yield Late(tier, name)


@pytest.fixture
def session(late: Late) -> Iterator[psycopg.Connection]:
    """One that can read the late replica only, and sees it as too late."""
    with psycopg.connect(late.dsn, autocommit=True) as connection:
        insert(connection)
        connection.execute("SET lfsql.read_consistency = 'bounded'")
        connection.execute(f"SET lfsql.route = '{late.node}'")
        connection.execute("SET lfsql.max_lag_ms = 50")
        time.sleep(0.06)  # the row is older than that
        yield connection


def test_an_error_is_told_with_its_reason(session: psycopg.Connection, late: Late) -> None:
    session.execute("SET lfsql.when_lagging = 'error'")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as raised:
        rows(session)
    assert raised.value.sqlstate == "55000"
    assert (raised.value.diag.message_detail or "").startswith(f"{late.node}: ")


def test_the_freshest_is_taken_however_late(session: psycopg.Connection, late: Late) -> None:
    session.execute("SET lfsql.when_lagging = 'freshest'")
    assert rows(session) == 0
    told = route_of(session)
    assert told["node"] == late.node
    lag, stale_ms = told["lag_entries"], told["staleness_ms"]
    assert isinstance(lag, int)
    assert lag > 0
    assert stale_ms is None or (isinstance(stale_ms, float) and stale_ms > 50)


def test_waiting_ends_with_the_statements_time(session: psycopg.Connection) -> None:
    session.execute("SET lfsql.when_lagging = 'wait'")
    for timeout_s in (0.4, 1.5):  # the proxy asks each node for a second at a time
        session.execute(f"SET statement_timeout = {int(timeout_s * 1000)}")
        began = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled) as raised:
            rows(session)
        assert raised.value.sqlstate == "57014"
        assert timeout_s - 0.05 < time.monotonic() - began < timeout_s + 0.9
    session.execute("SET lfsql.route = 'auto'")
    rows(session)


def test_who_waits_reads_what_was_there_when_it_asked(late: Late) -> None:
    """On a replica that is not late: it may wait for its limits, and then they hold."""
    other = next(
        node["name"]
        for node in late.tier.status()["nodes"]
        if node["role"] == "replica" and node["name"] != late.node
    )
    with (
        psycopg.connect(late.dsn, autocommit=True) as writer,
        psycopg.connect(late.dsn, autocommit=True) as reader,
    ):
        reader.execute("SET lfsql.read_consistency = 'bounded'")
        reader.execute("SET lfsql.when_lagging = 'wait'")
        reader.execute(f"SET lfsql.route = '{other}'")
        reader.execute("SET lfsql.max_lag_ms = 1")
        for _ in range(20):
            there = insert(writer)
            time.sleep(0.002)
            assert rows(reader) == there
            assert route_of(reader)["node"] == other


def test_the_primary_answers_for_what_is_committed_not_for_what_it_has_heard(late: Late) -> None:
    """Its own file counts as one more copy, fresh for as long as a quorum's word for it is young."""
    with (
        psycopg.connect(late.dsn, autocommit=True) as writer,
        psycopg.connect(late.dsn, autocommit=True) as reader,
    ):
        reader.execute("SET lfsql.read_consistency = 'bounded'")
        reader.execute("SET lfsql.max_lag_ms = 1")
        ways = set()
        for _ in range(20):
            there = insert(writer)
            time.sleep(0.002)
            assert rows(reader) == there
            told = route_of(reader)
            ways.add(told["reason"])
        assert "link" in ways, "1 ms after each heartbeat of 150 the file cannot be known to be fresh"


def settings(dsn: str, **given: str) -> psycopg.Connection:
    options = " ".join(f"-c lfsql.{name}={value}" for name, value in given.items())
    return psycopg.connect(dsn, autocommit=True, options=options)


def refused(connection: psycopg.Connection, before: str = "") -> bool:
    try:
        connection.execute(f"{before}SELECT count(*) FROM t")
    except psycopg.errors.ObjectNotInPrerequisiteState:
        return True
    return False


STRICT = {"read_consistency": "bounded", "max_lag_entries": "1", "max_lag_ms": "50", "when_lagging": "error"}


def test_a_users_sessions_begin_with_the_users_settings(late: Late, tmp_path: Path) -> None:
    users = {
        "reporting": UserDefaults(read_consistency="bounded", max_lag_ms=50, when_lagging="error"),
        "idler": UserDefaults(read_consistency="any"),
    }
    config = msgspec.structs.replace(
        load_proxy(late.tier.directory / "proxy.toml"),
        users=users,
        defaults=ProxyDefaults(max_lag_ms=777),
        listen=f"127.0.0.1:{free_port()}",
    )
    with psycopg.connect(late.dsn, autocommit=True) as writer:
        insert(writer)
    with proxy(tmp_path / "proxy", config, "lfsql", "proxy", "--config") as address:

        def shown(user: str, name: str, **given: str) -> str:
            with settings(f"postgresql://{user}@{address}/lfsql", **given) as connection:
                found = connection.execute(f"SHOW lfsql.{name}").fetchone()
                assert found is not None
                return str(found[0])

        assert shown("reporting", "read_consistency") == "bounded"
        assert shown("reporting", "max_lag_ms") == "50"
        assert shown("reporting", "max_lag_ms", max_lag_ms="99") == "99", "what the connection asks for comes first"
        assert shown("idler", "read_consistency") == "any"
        assert shown("idler", "max_lag_ms") == "777"
        assert shown("somebody", "read_consistency") == "session"
        time.sleep(0.06)
        for user, is_refused in (("reporting", True), ("idler", False)):
            with settings(f"postgresql://{user}@{address}/lfsql", route=late.node) as connection:
                assert refused(connection) is is_refused
                connection.execute("SET lfsql.read_consistency = 'any'")
                assert not refused(connection)
                connection.execute("RESET lfsql.read_consistency")
                assert refused(connection) is is_refused


def test_limits_come_with_the_session_the_transaction_or_the_statement(late: Late) -> None:
    with psycopg.connect(late.dsn, autocommit=True) as writer:
        for _ in range(3):
            insert(writer)
    time.sleep(0.06)
    with settings(late.dsn, route=late.node, **STRICT) as connection:
        assert refused(connection), "by the options of the connection"
        hint = "/* lfsql: when_lagging=freshest */ "
        assert not refused(connection, hint)
        assert not refused(connection, "/* lfsql: read_consistency=any */ ")
        assert not refused(connection, "/* lfsql: max_lag_ms=0, max_lag_entries=0 */ ")
        assert refused(connection), "a comment is for its statement alone"
        connection.execute("SET lfsql.read_consistency = 'any'")
        assert not refused(connection)
        connection.execute("RESET lfsql.read_consistency")
        assert refused(connection), "RESET goes back to what the connection began with"
        connection.execute("BEGIN")
        connection.execute("SET LOCAL lfsql.read_consistency = 'any'")
        assert not refused(connection)
        connection.execute("COMMIT")
        assert refused(connection), "SET LOCAL ends with its transaction"
    with settings(late.dsn, route=late.node) as connection:
        hint = "/* lfsql: " + ", ".join(f"{name}={value}" for name, value in STRICT.items()) + " */ "
        assert refused(connection, hint)


def is_behind(connection: psycopg.Connection, before: str = "") -> bool:
    """Whether the late replica has not what the connection is sure to see."""
    return refused(connection, before)


AT_THE_LATE_ONE = {"max_lag_ms": "0", "max_lag_entries": "0", "when_lagging": "error"}


def test_a_new_session_begins_at_what_its_proxy_acknowledged(late: Late) -> None:
    with psycopg.connect(late.dsn, autocommit=True) as writer:
        with settings(late.dsn, route=late.node, **AT_THE_LATE_ONE) as before:
            insert(writer)
            assert is_behind(before), "the fixture's writes were acknowledged before it began"
        with settings(late.dsn, route=late.node, **AT_THE_LATE_ONE) as after:
            assert is_behind(after)
            assert not is_behind(after, "/* lfsql: read_consistency=bounded */ ")


def test_whose_writes_a_session_is_sure_to_see(late: Late, tmp_path: Path) -> None:
    """On a proxy of two workers, which has acknowledged nothing when its sessions begin."""
    config = msgspec.structs.replace(
        load_proxy(late.tier.directory / "proxy.toml"), listen=f"127.0.0.1:{free_port()}", workers=2
    )
    with proxy(tmp_path / "proxy", config, "lfsql", "proxy", "--config") as address, contextlib.ExitStack() as stack:
        dsn = f"postgresql://lfsql@{address}/lfsql"

        def connect(**given: str) -> tuple[int, psycopg.Connection]:
            """The number of its worker, and a connection."""
            connection = stack.enter_context(settings(dsn, **given))
            return connection.info.backend_pid >> PROCESS_ID_BITS, connection

        alone: dict[int, psycopg.Connection] = {}
        pooled: dict[int, psycopg.Connection] = {}
        writers: dict[int, psycopg.Connection] = {}
        while len(alone) < 2 or len(pooled) < 2 or len(writers) < 2:
            for found, given in ((alone, "session"), (pooled, "proxy")):
                worker, connection = connect(route=late.node, causality=given, **AT_THE_LATE_ONE)
                found[worker] = connection
            worker, connection = connect()
            writers[worker] = connection
        assert not any(map(is_behind, [*alone.values(), *pooled.values()]))
        insert(writers[1])
        assert not any(map(is_behind, alone.values()))
        assert all(is_behind(each, "/* lfsql: causality=proxy */ ") for each in alone.values())
        assert not is_behind(pooled[0], "/* lfsql: causality=session */ ")
        assert all(map(is_behind, pooled.values()))
        assert is_behind(pooled[0], "/* lfsql: causality=session */ "), "what it was sure to see once it has seen"
