"""The schema changes under statements that are planned, prepared or running."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import pq

from lfsql.testing.cluster import free_port, wait_until
from tests.client.conftest import Server

pytestmark = pytest.mark.client


class Prepared:
    """One statement of a connection, parsed once, and executed by the protocol's own messages."""

    def __init__(self, connection: psycopg.Connection, name: str, sql: str) -> None:
        self._pg = connection.pgconn
        self._name = name.encode()
        checked(self._pg.prepare(self._name, sql.encode()))

    def run(self, *values: str) -> list[tuple[str, ...]]:
        result = checked(self._pg.exec_prepared(self._name, [value.encode() for value in values]))
        return [
            tuple((result.get_value(row, column) or b"").decode() for column in range(result.nfields))
            for row in range(result.ntuples)
        ]


def checked(result: pq.abc.PGresult) -> pq.abc.PGresult:
    if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
        raise psycopg.errors.lookup((result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode())
    return result


@pytest.fixture
def pair(autocommit: psycopg.Connection, table: str) -> psycopg.Connection:
    autocommit.execute(f"CREATE TABLE {table} (a int, b int)")
    autocommit.execute(f"INSERT INTO {table} VALUES (1, 2)")
    return autocommit


def test_a_statement_used_in_a_rolled_back_change_is_what_it_was(pair: psycopg.Connection, table: str) -> None:
    insert = Prepared(pair, "i", f"INSERT INTO {table} VALUES ($1, $2)")
    total = Prepared(pair, "t", f"SELECT sum(a) FROM {table}")
    for _ in range(2):
        pair.execute("BEGIN")
        pair.execute(f"ALTER TABLE {table} RENAME b TO z")
        insert.run("5", "6")
        assert total.run() == [("6",)]
        pair.execute("ROLLBACK")
        insert.run("7", "8")
        assert total.run() == [("8",)]
        pair.execute(f"DELETE FROM {table} WHERE a = 7")


def test_a_statement_parsed_in_a_rolled_back_change_is_planned_again(pair: psycopg.Connection, table: str) -> None:
    pair.execute("BEGIN")
    pair.execute(f"ALTER TABLE {table} RENAME b TO z")
    of_new = Prepared(pair, "n", f"SELECT a, z FROM {table}")
    of_both = Prepared(pair, "o", f"SELECT count(*) FROM {table}")
    assert of_new.run() == [("1", "2")]
    pair.execute("ROLLBACK")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        of_new.run()
    assert of_both.run() == [("1",)]
    pair.execute(f"ALTER TABLE {table} RENAME b TO z")
    assert of_new.run() == [("1", "2")]


def test_each_change_of_a_transaction_counts(pair: psycopg.Connection, table: str) -> None:
    insert = Prepared(pair, "i", f"INSERT INTO {table} (a, b) VALUES ($1, $2)")
    pair.execute("BEGIN")
    pair.execute(f"ALTER TABLE {table} ADD COLUMN c int DEFAULT 1")
    insert.run("3", "4")
    pair.execute("SAVEPOINT s")
    pair.execute(f"ALTER TABLE {table} DROP COLUMN b")
    pair.execute("SAVEPOINT t")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        insert.run("5", "6")
    pair.execute("ROLLBACK TO s")
    insert.run("7", "8")
    pair.execute("COMMIT")
    insert.run("9", "10")
    assert pair.execute(f"SELECT a, b, c FROM {table} ORDER BY a").fetchall() == [
        (1, 2, 1),
        (3, 4, 1),
        (7, 8, 1),
        (9, 10, 1),
    ]


def test_a_prepared_result_does_not_change_its_shape(pair: psycopg.Connection, table: str) -> None:
    everything = Prepared(pair, "e", f"SELECT * FROM {table}")
    pair.execute(f"PREPARE p AS SELECT * FROM {table}")
    assert everything.run() == [("1", "2")]
    pair.execute(f"ALTER TABLE {table} ADD COLUMN c int")
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        everything.run()
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="cached plan must not change result type"):
        pair.execute("EXECUTE p")
    assert pair.execute(f"SELECT * FROM {table}").fetchall() == [(1, 2, None)]


@pytest.fixture(params=["files", "links"])
def other_proxy(
    request: pytest.FixtureRequest, lfsql_server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Another proxy of the same cluster, which hears of schema changes only from the nodes.

    It reads their files, or asks over links as a proxy on another host does.
    """
    tier = lfsql_server.tier
    assert tier is not None
    port = free_port()
    config = tier.directory / f"proxy_{port}.toml"
    text = (tier.directory / "proxy.toml").read_text()
    text = text.replace(f'"127.0.0.1:{tier.port}"', f'"127.0.0.1:{port}"')
    if request.param == "links":
        text = re.sub(r"^data_dir = .*\n", "", text, flags=re.MULTILINE)
    config.write_text(text)
    command = [sys.executable, "-m", "lfsql", "proxy", "--config", str(config)]
    with (tmp_path_factory.mktemp("proxy") / "proxy.out").open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)  # our own program
    dsn = f"postgresql://lfsql@127.0.0.1:{port}/lfsql"

    def answers() -> bool:
        try:
            psycopg.connect(dsn).close()
        except psycopg.OperationalError:
            return False
        return True

    try:
        wait_until(answers, 20, "a second proxy")
        yield dsn
    finally:
        process.terminate()
        process.wait(20)


def test_a_query_is_planned_again_when_its_columns_changed(
    other_proxy: str, pair: psycopg.Connection, table: str
) -> None:
    everything = f"SELECT * FROM {table}"
    with psycopg.connect(other_proxy, autocommit=True) as other:
        for number in range(40):
            pair.execute(f"ALTER TABLE {table} ADD COLUMN c{number} int")
            pair.execute(f"ALTER TABLE {table} RENAME c{number} TO d{number}")
            for _ in range(3):
                checked(other.pgconn.exec_(everything.encode()))
                checked(other.pgconn.exec_params(everything.encode(), []))
        wait_until(lambda: len(other.execute(everything).fetchall()[0]) == 42, 10, "all columns")


def test_reads_and_writes_go_on_beside_a_migration(other_proxy: str, pair: psycopg.Connection, table: str) -> None:
    over = threading.Event()
    changes = 0

    def migrate() -> None:
        nonlocal changes
        while not over.is_set():
            pair.execute(f"CREATE TABLE {table}_{changes} (a int)")
            pair.execute(f"DROP TABLE {table}_{changes}")
            changes += 1

    migration = threading.Thread(target=migrate)
    filled_at = pair.execute("SHOW lfsql.last_index").fetchone()
    assert filled_at is not None
    with psycopg.connect(other_proxy, autocommit=True) as other:
        other.execute(f"SET lfsql.min_index = {filled_at[0]}")
        total = Prepared(other, "t", f"SELECT sum(a) FROM {table}")
        migration.start()
        try:
            end = time.monotonic() + 4
            while time.monotonic() < end:
                assert other.execute(f"SELECT b FROM {table} WHERE a = 1").fetchall() == [(2,)]
                assert total.run() == [("1",)]
                other.execute(f"UPDATE {table} SET b = 2 WHERE a = 1")
        finally:
            over.set()
            migration.join()
    assert changes > 5


def test_a_cursor_keeps_the_columns_it_was_opened_with(
    other_proxy: str, pair: psycopg.Connection, table: str
) -> None:
    with psycopg.connect(other_proxy, autocommit=True) as other:
        other.execute(f"DECLARE c CURSOR WITH HOLD FOR SELECT * FROM {table}")
        pair.execute(f"ALTER TABLE {table} ADD COLUMN c int")
        wait_until(lambda: len(other.execute(f"SELECT * FROM {table}").fetchall()[0]) == 3, 10, "the column")
        assert checked(other.pgconn.describe_portal(b"c")).nfields == 2
        assert other.execute("FETCH c").fetchall() == [(1, 2)]


def test_a_snapshot_keeps_its_schema(lfsql_server: Server, pair: psycopg.Connection, table: str) -> None:
    everything = f"SELECT * FROM {table}"
    with psycopg.connect(lfsql_server.dsn, autocommit=True) as other:
        first = Prepared(other, "f", f"SELECT a FROM {table}")
        other.execute("BEGIN READ ONLY")
        assert other.execute(everything).fetchall() == [(1, 2)]
        pair.execute(f"ALTER TABLE {table} ADD COLUMN c int DEFAULT 7")
        pair.execute(f"ALTER TABLE {table} RENAME a TO z")
        for _ in range(2):
            assert other.execute(everything).fetchall() == [(1, 2)]
            assert other.execute(f"SELECT b FROM {table} WHERE a = %s", (1,)).fetchall() == [(2,)]
            assert first.run() == [("1",)]
        other.execute("COMMIT")
        assert other.execute(everything).fetchall() == [(1, 2, 7)]
        with pytest.raises(psycopg.errors.UndefinedColumn):
            first.run()


def test_explain_sees_the_transactions_own_schema(pair: psycopg.Connection, table: str) -> None:
    pair.execute("BEGIN")
    pair.execute(f"ALTER TABLE {table} RENAME b TO z")
    assert pair.execute(f"EXPLAIN SELECT z FROM {table}").fetchall()
    pair.execute("ROLLBACK")
    assert pair.execute(f"EXPLAIN SELECT b FROM {table}").fetchall()
