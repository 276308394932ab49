"""Listeners for a purpose beside the one for all."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import psycopg
import pytest

from lfsql.config import ListenerConfig, load_proxy
from lfsql.testing.cluster import free_port, wait_until
from tests.client.conftest import Server, route_of
from tests.client.second_proxy import answers, serving

pytestmark = pytest.mark.client


@pytest.fixture(scope="module")
def ports(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int, int]]:
    """Of a second proxy on the tier's nodes: for all, for reading and writing, for reading only."""
    if server.tier is None:
        pytest.skip("LFSQL_TEST_DSN: a test of lfsql's own")
    every, write, read = free_port(), free_port(), free_port()
    config = msgspec.structs.replace(
        load_proxy(server.tier.directory / "proxy.toml"),
        listen=f"127.0.0.1:{every}",
        listeners=(
            ListenerConfig(address=f"127.0.0.1:{write}", purpose="read-write"),
            ListenerConfig(address=f"127.0.0.1:{read}", purpose="read-only"),
        ),
    )
    with serving(config, tmp_path_factory.mktemp("proxy")):
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


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("primary", 1), ("read-write", 1), ("standby", 2), ("read-only", 2), ("prefer-standby", 2), ("any", 2)],
)
def test_libpq_tells_them_apart(ports: tuple[int, int, int], wanted: str, found: int) -> None:
    with psycopg.connect(dsn(ports[2], ports[1], target_session_attrs=wanted)) as connection:
        assert connection.info.port == ports[found]
    with psycopg.connect(dsn(ports[0], ports[2], target_session_attrs=wanted)) as connection:
        assert connection.info.port == (ports[0] if found == 1 or wanted == "any" else ports[2])
