"""The schema changes under statements that are planned, prepared or running."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import pq

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
