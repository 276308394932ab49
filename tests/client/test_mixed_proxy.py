"""A proxy on the host of one replica: it reads that one's file, and the other nodes over their links."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import psycopg
import pytest

from lfsql.config import load_proxy
from lfsql.testing.cluster import Tier, free_port, running_tier
from tests.client.conftest import route_of
from tests.client.proxies import dsn, proxy
from tests.client.test_balancing import replicas

pytestmark = pytest.mark.client

ONE = "SELECT n FROM t WHERE id = 1"


@pytest.fixture(scope="module")
def tier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tier]:
    with (
        running_tier(tmp_path_factory.mktemp("mixed") / "data") as made,
        psycopg.connect(made.dsn, autocommit=True) as connection,
    ):
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, n int)")
        connection.execute("INSERT INTO t VALUES (1, 0)")
        yield made


@pytest.fixture(scope="module")
def mixed(tier: Tier, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    config = load_proxy(tier.directory / "proxy.toml")
    here = replicas(tier)[0]
    config = msgspec.structs.replace(
        config,
        listen=f"127.0.0.1:{free_port()}",
        nodes=tuple(
            msgspec.structs.replace(node, data_dir=node.data_dir if node.name == here else "")
            for node in config.nodes
        ),
    )
    with proxy(tmp_path_factory.mktemp("proxy") / "own", config, "lfsql", "proxy", "--config") as address:
        yield dsn(address)


def test_a_transaction_that_may_write_reads_at_the_primary_beside_a_file_of_a_replica(mixed: str) -> None:
    with psycopg.connect(mixed) as connection:
        for level in ("any", "bounded", "session", "strong"):
            connection.execute(f"SET LOCAL lfsql.read_consistency = '{level}'")
            for _ in range(3):
                connection.execute(ONE)
                assert route_of(connection)["role"] == "primary", level
            told = connection.execute(f"EXPLAIN (ROUTE) {ONE}").fetchone()
            assert told is not None
            assert told[0].startswith("Route: primary"), level
            connection.rollback()
        connection.read_only = True
        connection.execute(ONE)
        assert route_of(connection)["role"] == "replica"


def test_a_transaction_that_reads_one_view_and_may_write_has_it_of_the_primary(mixed: str) -> None:
    with psycopg.connect(mixed) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute(ONE)
        assert route_of(connection)["role"] == "primary"


def test_such_a_transaction_can_join_the_catalogs_all_the_same(mixed: str) -> None:
    with psycopg.connect(mixed) as connection:
        found = connection.execute("SELECT c.relname, t.n FROM pg_class c, t WHERE c.relname = 't'").fetchone()
        assert found is not None
        assert found[0] == "t"


@pytest.mark.parametrize("level", ["any", "bounded", "session", "strong"])
def test_it_sees_what_this_proxy_has_acknowledged_to_others(tier: Tier, mixed: str, level: str) -> None:
    """Through files and through links: the primary acknowledges before its own file shows a write."""
    for address in (tier.dsn, mixed):
        with psycopg.connect(address, autocommit=True) as writer, psycopg.connect(address) as reader:
            for number in range(1, 301):
                reader.rollback()
                reader.execute(f"SET LOCAL lfsql.read_consistency = '{level}'")
                writer.execute("UPDATE t SET n = %s WHERE id = 1", (number,))
                assert reader.execute(ONE).fetchone() == (number,), route_of(reader)


def test_it_does_not_fail_for_the_moment_that_a_file_is_behind(tier: Tier) -> None:
    with psycopg.connect(tier.dsn, autocommit=True) as writer, psycopg.connect(tier.dsn) as reader:
        reader.execute("SET lfsql.when_lagging = error")
        reader.commit()
        for number in range(1, 301):
            reader.rollback()
            writer.execute("UPDATE t SET n = %s WHERE id = 1", (number,))
            assert reader.execute(ONE).fetchone() == (number,)
