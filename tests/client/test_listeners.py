"""Listeners for a purpose beside the one for all."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import msgspec
import psycopg
import pytest

from lfsql.config import ListenerConfig, load_proxy
from lfsql.testing.cluster import Tier, free_port, running_tier, wait_until
from tests.client.conftest import Server, route_of
from tests.client.second_proxy import answers, serving

pytestmark = pytest.mark.client


@pytest.fixture(scope="module")
def ports(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int, int]]:
    if server.tier is None:
        pytest.skip("LFSQL_TEST_DSN: a test of lfsql's own")
    with three_listeners(server.tier, tmp_path_factory.mktemp("proxy")) as found:
        yield found


@contextmanager
def three_listeners(tier: Tier, directory: Path) -> Iterator[tuple[int, int, int]]:
    """The ports of a second proxy on the tier's nodes: for all, for reading and writing, for reading only."""
    every, write, read = free_port(), free_port(), free_port()
    config = msgspec.structs.replace(
        load_proxy(tier.directory / "proxy.toml"),
        listen=f"127.0.0.1:{every}",
        listeners=(
            ListenerConfig(address=f"127.0.0.1:{write}", purpose="read-write"),
            ListenerConfig(address=f"127.0.0.1:{read}", purpose="read-only"),
        ),
    )
    with serving(config, directory):
        wait_until(lambda: all(answers(dsn(port)) for port in (every, write, read)), 20, "the proxy to serve")
        yield every, write, read


def dsn(port: int, *more: int, **options: str) -> str:
    listed = ",".join(str(each) for each in (port, *more))
    hosts = ",".join("127.0.0.1" for _ in (port, *more))
    return " ".join(
        [f"host={hosts} port={listed} user=lfsql dbname=lfsql", *(f"{k}={v}" for k, v in options.items())]
    )


@pytest.fixture
def filled(autocommit: psycopg.Connection, table: str) -> psycopg.Connection:
    autocommit.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
    autocommit.execute(f"INSERT INTO {table} VALUES (1)")
    return autocommit


def index_of(connection: psycopg.Connection) -> str:
    shown = connection.execute("SHOW lfsql.last_index").fetchone()
    assert shown is not None
    return str(shown[0])


def test_a_read_write_listener_reads_at_the_primary(
    ports: tuple[int, int, int], filled: psycopg.Connection, table: str
) -> None:
    with psycopg.connect(dsn(ports[1]), autocommit=True) as connection:
        connection.execute(f"SET lfsql.min_index = {index_of(filled)}")
        connection.execute(f"INSERT INTO {table} VALUES (2)")
        for _ in range(3):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (2,)
            assert route_of(connection)["role"] == "primary"
        assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)


@pytest.mark.parametrize("prepare", [False, True])
def test_a_read_only_listener_writes_nothing(
    ports: tuple[int, int, int], filled: psycopg.Connection, table: str, prepare: bool
) -> None:
    with psycopg.connect(dsn(ports[2]), autocommit=True) as connection:
        connection.execute(f"SET lfsql.min_index = {index_of(filled)}")
        assert connection.execute(f"SELECT id FROM {table}", prepare=prepare).fetchall() == [(1,)]
        assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
        assert connection.execute("SHOW transaction_read_only").fetchone() == ("on",)
        assert connection.info.parameter_status("in_hot_standby") == "on"
        connection.execute("SET default_transaction_read_only = off")
        for sql in (
            f"INSERT INTO {table} VALUES (2)",
            f"SELECT id FROM {table} FOR UPDATE",
            "CREATE TABLE no (a int)",
        ):
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                connection.execute(sql, prepare=prepare)
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="during recovery"):
            connection.execute("BEGIN READ WRITE")
        connection.execute("BEGIN")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute(f"DELETE FROM {table}", prepare=prepare)
        connection.execute("ROLLBACK")
    assert filled.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,)


def test_a_read_only_listener_stays_so(ports: tuple[int, int, int]) -> None:
    with psycopg.connect(dsn(ports[2]), autocommit=True) as connection:
        for local in (True, False):
            with pytest.raises(psycopg.errors.ActiveSqlTransaction):
                connection.execute("SELECT set_config('Transaction_Read_Only', 'off', %s)", (local,))
        assert connection.execute("SHOW transaction_read_only").fetchone() == ("on",)
        connection.execute("SET lfsql.dialect = sqlite")
        with pytest.raises(psycopg.errors.SyntaxError, match='at or near "frob"'):
            connection.execute("frob")


def test_a_read_only_listener_keeps_nobody_from_writing(
    ports: tuple[int, int, int], filled: psycopg.Connection, table: str
) -> None:
    with psycopg.connect(dsn(ports[2]), autocommit=True) as connection:
        connection.execute(f"SET lfsql.min_index = {index_of(filled)}")
        for mode in ("ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE"):
            connection.execute("BEGIN")
            connection.execute(f"LOCK TABLE {table} IN {mode} MODE")
            filled.execute(f"UPDATE {table} SET id = id")
            connection.execute("ROLLBACK")
        for mode in ("SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"):
            connection.execute("BEGIN")
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction, match="LOCK TABLE during recovery"):
                connection.execute(f"LOCK TABLE {table} IN {mode} MODE")
            connection.execute("ROLLBACK")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("primary", 1), ("read-write", 1), ("standby", 2), ("read-only", 2), ("prefer-standby", 2), ("any", 2)],
)
def test_libpq_tells_them_apart(ports: tuple[int, int, int], wanted: str, found: int) -> None:
    with psycopg.connect(dsn(ports[2], ports[1], target_session_attrs=wanted)) as connection:
        assert connection.info.port == ports[found]
    with psycopg.connect(dsn(ports[0], ports[2], target_session_attrs=wanted)) as connection:
        assert connection.info.port == (ports[0] if found == 1 or wanted == "any" else ports[2])


@pytest.mark.parametrize(
    ("wanted", "standby"),
    [("primary", False), ("read-write", False), ("standby", True), ("read-only", True), ("prefer-standby", True)],
)
def test_asyncpg_tells_them_apart(ports: tuple[int, int, int], wanted: str, standby: bool) -> None:
    async def found(*listed: int) -> bool:
        """Whether it stands by, in its own words."""
        connection = await asyncpg.connect(
            host=["127.0.0.1"] * len(listed),
            port=list(listed),
            user="lfsql",
            database="lfsql",
            target_session_attrs=wanted,
        )
        try:
            return bool(await connection.fetchval("SELECT pg_is_in_recovery()"))
        finally:
            await connection.close()

    _, write, read = ports
    assert asyncio.run(found(write, read)) is standby
    assert asyncio.run(found(read, write)) is standby


def test_what_a_listener_is_for_stays_so_through_a_failover(tmp_path: Path) -> None:
    with running_tier(tmp_path / "data") as tier, three_listeners(tier, tmp_path) as listening:
        with psycopg.connect(tier.dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE t (id int PRIMARY KEY)")
        every, write, read = [psycopg.connect(dsn(port), autocommit=True) for port in listening]
        with every, write, read:
            for number in range(2):
                for session, standby in ((every, False), (write, False), (read, True)):
                    assert session.execute("SELECT pg_is_in_recovery()").fetchone() == (standby,)
                    assert session.execute("SHOW transaction_read_only").fetchone() == ("on" if standby else "off",)
                    assert session.info.parameter_status("in_hot_standby") == ("on" if standby else "off")
                    if not standby:
                        session.execute("INSERT INTO t SELECT count(*) FROM t")
                    assert session.execute("/* lfsql: read_consistency=strong */ SELECT count(*) FROM t").fetchone()
                    assert route_of(session)["role"] in (
                        ("replica", "primary") if session is not write else ("primary",)
                    )
                with psycopg.connect(dsn(listening[2], listening[1], target_session_attrs="primary")) as found:
                    assert found.info.port == listening[1]
                with psycopg.connect(dsn(listening[1], listening[2], target_session_attrs="standby")) as found:
                    assert found.info.port == listening[2]
                if number == 0:
                    tier.kill(tier.primary()["name"], signal.SIGKILL)
