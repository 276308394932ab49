"""Reads of every kind are spread as the weights say: each takes one turn, on whatever way it goes.

Weights without a common divisor with the number of turns that a read wrongly takes hide it, so equal ones are tried.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from lfsql.config import Balancing
from lfsql.testing.cluster import Tier, running_tier
from tests.client.conftest import Connection, route_of
from tests.client.test_balancing import remote_proxy, replicas

pytestmark = pytest.mark.client

READS = 60
ONE = "SELECT n FROM t WHERE id = 1"
PATIENT = Balancing(unanswered_ms_max=5_000)
"""On a machine that is busy with other tests a node may not answer for a moment."""


def node(connection: Connection) -> str:
    return str(route_of(connection)["node"])


def text(connection: Connection) -> str:
    connection.execute(ONE)
    return node(connection)


def prepared(connection: Connection) -> str:
    connection.execute("SELECT n FROM t WHERE id = %s", (1,), prepare=True)
    return node(connection)


def read_only(connection: Connection) -> str:
    connection.execute("BEGIN READ ONLY")
    connection.execute(ONE)
    found = node(connection)
    connection.execute(ONE)
    connection.execute("COMMIT")
    return found


def cursor(connection: Connection) -> str:
    connection.execute("BEGIN READ ONLY")
    connection.execute("DECLARE c CURSOR FOR SELECT n FROM t")
    connection.execute("FETCH 1 FROM c")
    found = node(connection)
    connection.execute("COMMIT")
    return found


def hinted(connection: Connection) -> str:
    connection.execute(f"/* lfsql: max_lag_ms=900 */ {ONE}")
    return node(connection)


def strong(connection: Connection) -> str:
    connection.execute(f"/* lfsql: read_consistency=strong */ {ONE}")
    return node(connection)


def long(connection: Connection) -> str:
    connection.execute("SELECT count(*) FROM generate_series(1, 60000) AS g(x), t")
    return node(connection)


def noticed(connection: Connection) -> str:
    connection.execute("SET lfsql.notice_route = on")
    return text(connection)


def listening(connection: Connection) -> str:
    connection.execute("LISTEN c")
    return text(connection)


def explained(connection: Connection) -> str:
    """Looking takes no turn."""
    connection.execute(f"EXPLAIN (ROUTE) {ONE}")
    return text(connection)


def beside_writers(connection: Connection) -> str:
    """Nor does a transaction that reads at the primary."""
    connection.execute("BEGIN")
    connection.execute(ONE)
    assert route_of(connection)["role"] == "primary"
    connection.execute("COMMIT")
    return text(connection)


def replicas_only(connection: Connection) -> str:
    connection.execute("SET lfsql.route = replica")
    return text(connection)


KINDS = (
    text,
    prepared,
    read_only,
    cursor,
    hinted,
    strong,
    long,
    noticed,
    listening,
    explained,
    beside_writers,
    replicas_only,
)


@pytest.fixture(scope="module")
def tier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tier]:
    with (
        running_tier(tmp_path_factory.mktemp("turns") / "data") as made,
        psycopg.connect(made.dsn, autocommit=True) as connection,
    ):
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, n int)")
        connection.execute("INSERT INTO t VALUES (1, 0)")
        yield made


@pytest.fixture(scope="module", params=list(itertools.product([False, True], [1, 2])))
def weighed(
    request: pytest.FixtureRequest, tier: Tier, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, dict[str, int]]]:
    """A proxy with or without the nodes' files, and how often it is to read each of two replicas."""
    files, weight = request.param
    light, heavy = replicas(tier)
    weights: dict[str, dict[str, object]] = {light: {"weight": 1}, heavy: {"weight": weight}}
    directory: Path = tmp_path_factory.mktemp("proxy")
    with remote_proxy(tier, directory, PATIENT, weights, files=files) as dsn:
        share = READS // (1 + weight)
        yield dsn, {light: share, heavy: READS - share}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_read_is_spread_as_the_weights_say(
    weighed: tuple[str, dict[str, int]], kind: Callable[[Connection], str]
) -> None:
    dsn, expected = weighed
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = Counter(kind(connection) for _ in range(READS))
    for name, times in expected.items():
        assert found[name] == pytest.approx(times, abs=3), found
