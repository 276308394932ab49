"""psycopg2 with its default settings: every value is a literal in the statement's text, everything is text."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import psycopg2
import psycopg2.errors
import psycopg2.extras
import pytest

from tests.client.conftest import Server

pytestmark = pytest.mark.client


@pytest.fixture
def old(server: Server) -> Iterator[Any]:
    connection = psycopg2.connect(server.dsn)
    yield connection
    connection.close()


def test_create_insert_returning_and_fetch(old: Any, table: str) -> None:
    cursor = old.cursor()
    cursor.execute(f"CREATE TABLE {table} (id serial PRIMARY KEY, name text, price numeric(8,2))")
    cursor.execute(f"INSERT INTO {table} (name, price) VALUES (%s, %s) RETURNING id", ("it's", 12.5))
    assert cursor.fetchone() == (1,)
    old.commit()
    cursor.execute(f"SELECT name, price::text FROM {table} WHERE name = %(name)s", {"name": "it's"})
    assert cursor.fetchall() == [("it's", "12.50")]
    assert cursor.description[0].name == "name"
    old.commit()


def test_executemany_and_execute_values(old: Any, table: str) -> None:
    cursor = old.cursor()
    cursor.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, name text)")
    cursor.executemany(f"INSERT INTO {table} VALUES (%s, %s)", [(n, f"name {n}") for n in range(100)])
    found = psycopg2.extras.execute_values(
        cursor, f"INSERT INTO {table} VALUES %s RETURNING id", [(n, "more") for n in range(100, 400)], fetch=True
    )
    assert len(found) == 300
    psycopg2.extras.execute_batch(cursor, f"UPDATE {table} SET name = %s WHERE id = %s", [("x", 1), ("y", 2)])
    cursor.execute(f"SELECT count(*), max(name) FROM {table} WHERE id < 3")
    assert cursor.fetchone() == (3, "y")
    old.commit()


def test_a_named_cursor(old: Any, table: str) -> None:
    cursor = old.cursor()
    cursor.execute(f"CREATE TABLE {table} (id int)")
    cursor.execute(f"INSERT INTO {table} SELECT n FROM generate_series(1, 1000) AS g(n)")
    old.commit()
    named = old.cursor("walker")
    named.itersize = 100
    named.execute(f"SELECT id FROM {table} ORDER BY id")
    assert named.fetchmany(2) == [(1,), (2,)]
    assert sum(row[0] for row in named) == 500_500 - 3
    named.close()
    old.rollback()


def test_a_named_cursor_with_hold_outlives_its_transaction(old: Any) -> None:
    named = old.cursor("keeper", withhold=True)
    named.execute("SELECT n FROM generate_series(1, 5) AS g(n)")
    old.commit()
    assert named.fetchall() == [(1,), (2,), (3,), (4,), (5,)]
    named.close()


def test_rollback_savepoint_and_errors(old: Any, table: str) -> None:
    cursor = old.cursor()
    cursor.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
    old.commit()
    cursor.execute(f"INSERT INTO {table} VALUES (1)")
    cursor.execute("SAVEPOINT a")
    with pytest.raises(psycopg2.errors.UniqueViolation) as caught:
        cursor.execute(f"INSERT INTO {table} VALUES (1)")
    assert caught.value.pgcode == "23505"
    assert (caught.value.diag.constraint_name or "").endswith("_pkey")
    with pytest.raises(psycopg2.errors.InFailedSqlTransaction):
        cursor.execute("SELECT 1")
    cursor.execute("ROLLBACK TO SAVEPOINT a")
    cursor.execute(f"INSERT INTO {table} VALUES (2)")
    cursor.execute("RELEASE SAVEPOINT a")
    old.commit()
    cursor.execute(f"SELECT id FROM {table} ORDER BY id")
    assert cursor.fetchall() == [(1,), (2,)]
    old.rollback()


def test_copy_from_and_to_files(old: Any, table: str) -> None:
    cursor = old.cursor()
    cursor.execute(f"CREATE TABLE {table} (id int, name text)")
    cursor.copy_from(io.StringIO("1\tone\n2\t\\N\n"), table)
    cursor.copy_expert(f"COPY {table} FROM STDIN WITH CSV HEADER", io.StringIO('id,name\n3,"th,ree"\n'))
    target = io.StringIO()
    cursor.copy_expert(f"COPY (SELECT * FROM {table} ORDER BY id) TO STDOUT WITH CSV", target)
    assert target.getvalue() == '1,one\n2,\n3,"th,ree"\n'
    target = io.StringIO()
    cursor.copy_to(target, table, null="-")
    assert target.getvalue() == "1\tone\n2\t-\n3\tth,ree\n"
    old.commit()


def test_dictionaries_arrays_and_autocommit(old: Any) -> None:
    old.autocommit = True
    cursor = old.cursor(cursor_factory=psycopg2.extras.RealDictCursor)
    cursor.execute("SELECT 1 AS one, %s AS text, %s IN %s AS within", ("x", 2, (1, 2, 3)))
    assert dict(cursor.fetchone()) == {"one": 1, "text": "x", "within": True}
    cursor.execute("SELECT 2 = ANY(%s) AS found", ([1, 2],))
    assert dict(cursor.fetchone()) == {"found": True}
    assert old.get_transaction_status() == psycopg2.extensions.TRANSACTION_STATUS_IDLE


def test_notices_and_parameters(old: Any) -> None:
    assert old.server_version >= 150000
    assert old.get_parameter_status("client_encoding") == "UTF8"
    old.set_client_encoding("UTF8")
    cursor = old.cursor()
    cursor.execute("DROP TABLE IF EXISTS never_there_at_all")
    assert any("does not exist, skipping" in notice for notice in old.notices)
    old.rollback()
    old.set_session(isolation_level="SERIALIZABLE", readonly=True)
    cursor.execute("SHOW transaction_read_only")
    assert cursor.fetchone() == ("on",)
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        cursor.execute("CREATE TABLE refused (id int)")
    old.rollback()
