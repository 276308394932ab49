"""Where a transaction's reads go, and what becomes of them when others write, or the node is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lfsql.testing.cluster import Tier, running_tier, wait_until
from tests.client.conftest import Server, route_of
from tests.client.second_proxy import elsewhere

pytestmark = pytest.mark.client

REPEATABLE = "ISOLATION LEVEL REPEATABLE READ"


def filled(connection: psycopg.Connection, table: str) -> None:
    connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, n int)")
    connection.execute(f"INSERT INTO {table} SELECT g, 0 FROM generate_series(1, 5000) AS s (g)")


def total(connection: psycopg.Connection, table: str) -> object:
    row = connection.execute(f"SELECT sum(n)::int FROM {table}").fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize(
    ("modes", "role"),
    [("", "primary"), (REPEATABLE, "primary"), ("READ ONLY", "replica"), (f"{REPEATABLE} READ ONLY", "replica")],
)
def test_a_transaction_that_may_write_reads_at_the_primary(
    lfsql_server: Server, autocommit: psycopg.Connection, table: str, modes: str, role: str
) -> None:
    filled(autocommit, table)
    assert lfsql_server.tier is not None
    lfsql_server.tier.wait_level()  # a replica that does not know the table could not be read
    autocommit.execute("SET lfsql.read_consistency = 'any'")
    for _ in range(4):
        autocommit.execute(f"BEGIN {modes}")
        total(autocommit, table)
        assert route_of(autocommit)["role"] == role
        autocommit.execute("COMMIT")
    autocommit.execute("SET lfsql.route = replica")
    autocommit.execute(f"BEGIN {modes}")
    total(autocommit, table)
    assert route_of(autocommit)["role"] == "replica", "a route that was asked for is kept"
    autocommit.execute("COMMIT")


def test_the_attempt_after_an_overtaken_one_is_not_overtaken(
    lfsql_server: Server, autocommit: psycopg.Connection, table: str
) -> None:
    """While others write without a pause there is no moment to slip in."""
    filled(autocommit, table)
    enough = threading.Event()

    def write() -> None:
        with psycopg.connect(lfsql_server.dsn, autocommit=True) as other:
            while not enough.is_set():
                other.execute(f"UPDATE {table} SET n = n + 1 WHERE id = 2")

    def attempt() -> bool:
        try:
            with autocommit.transaction():
                autocommit.execute(f"SET TRANSACTION {REPEATABLE}")
                seen = autocommit.execute(f"SELECT n FROM {table} WHERE id IN (1, 2) ORDER BY id").fetchall()
                if route_of(autocommit)["reason"] == "snapshot":
                    before = written()
                    wait_until(lambda: written() > before, 10, "somebody to write")
                autocommit.execute(f"UPDATE {table} SET n = n + 1 WHERE id = 1")
                again = autocommit.execute(f"SELECT n FROM {table} WHERE id IN (1, 2) ORDER BY id").fetchall()
                assert again == [(seen[0][0] + 1,), seen[1]], "one view, and what was written in it"
        except psycopg.errors.SerializationFailure:
            return False
        return True

    with psycopg.connect(lfsql_server.dsn, autocommit=True) as watcher:
        watcher.execute("SET lfsql.read_consistency = 'strong'")

        def written() -> int:
            row = watcher.execute(f"SELECT n FROM {table} WHERE id = 2").fetchone()
            assert row is not None
            return int(row[0])

        threads = [threading.Thread(target=write, daemon=True) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(5):
                assert not attempt()
                assert attempt()
        finally:
            enough.set()
            for thread in threads:
                thread.join(10)
    assert autocommit.execute(f"SELECT n FROM {table} WHERE id = 1").fetchone() == (5,)


@pytest.fixture
def tier(tmp_path: Path) -> Iterator[Tier]:
    with running_tier(tmp_path / "data") as running:
        yield running


def test_a_snapshot_on_another_host(tier: Tier, tmp_path: Path) -> None:
    with (
        elsewhere(tier, tmp_path) as dsn,
        psycopg.connect(tier.dsn, autocommit=True) as writer,
        psycopg.connect(dsn, autocommit=True) as reader,
    ):
        filled(writer, "t")
        index = writer.execute("SHOW lfsql.last_index").fetchone()
        assert index is not None
        reader.execute(f"SET lfsql.min_index = {index[0]}")

        # One view, whoever writes; also in a cursor that began before.
        for modes, route in (("READ ONLY", "replica"), (REPEATABLE, "auto")):
            reader.execute(f"SET lfsql.route = {route}")
            reader.execute(f"BEGIN {modes}")
            reader.execute("DECLARE c CURSOR FOR SELECT id FROM t ORDER BY id")
            reader.execute("FETCH 1 FROM c")
            before = total(reader, "t")
            writer.execute("UPDATE t SET n = n + 1 WHERE id = 1")
            writer.execute("DELETE FROM t WHERE id = 5000")
            assert total(reader, "t") == before
            receipt = route_of(reader)
            assert (receipt["role"], receipt["reason"]) == ("primary" if route == "auto" else route, "snapshot")
            assert len(reader.execute("FETCH ALL FROM c").fetchall()) == 4999
            with pytest.raises(psycopg.errors.DivisionByZero):
                reader.execute("SELECT 1 / 0 FROM t")
            reader.execute("ROLLBACK")
            writer.execute("INSERT INTO t VALUES (5000, 0)")

        # What was overtaken is told so at its first write, and gets through the next time.
        reader.execute(f"BEGIN {REPEATABLE}")
        total(reader, "t")
        writer.execute("UPDATE t SET n = n + 1 WHERE id = 1")
        with pytest.raises(psycopg.errors.SerializationFailure):
            reader.execute("UPDATE t SET n = 0 WHERE id = 1")
        reader.execute("ROLLBACK")
        reader.execute(f"BEGIN {REPEATABLE}")
        total(reader, "t")
        assert route_of(reader)["reason"] != "snapshot"
        reader.execute("UPDATE t SET n = 0 WHERE id = 1")
        reader.execute("COMMIT")
        assert total(reader, "t") == 0

        # The node dies, and with it the view: only the whole transaction can be run again.
        reader.execute("SET lfsql.route = replica")
        reader.execute("BEGIN READ ONLY")
        total(reader, "t")
        node = route_of(reader)["node"]
        tier.kill(str(node))
        with pytest.raises(psycopg.errors.SerializationFailure, match=f"node '{node}'"):
            total(reader, "t")
        reader.execute("ROLLBACK")
        reader.execute("BEGIN READ ONLY")
        assert total(reader, "t") == 0
        assert route_of(reader)["node"] != node
        reader.execute("COMMIT")


def test_a_snapshot_on_this_host_outlives_its_node(tier: Tier) -> None:
    """The file is there."""
    with psycopg.connect(tier.dsn, autocommit=True) as connection:
        filled(connection, "t")
        connection.execute("BEGIN READ ONLY")
        assert total(connection, "t") == 0
        tier.kill(str(route_of(connection)["node"]))
        for _ in range(3):
            assert total(connection, "t") == 0
        connection.execute("COMMIT")
        assert total(connection, "t") == 0
