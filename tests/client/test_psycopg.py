"""psycopg 3 with its default settings: transactions by themselves, parameters apart from the text."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest
from psycopg import sql

from tests.client.conftest import Server

pytestmark = pytest.mark.client

ENDLESS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2000000000) SELECT max(n) FROM c"


def test_create_insert_returning_and_fetch(server: Server, table: str) -> None:
    with psycopg.connect(server.dsn) as connection:
        connection.execute(
            f"CREATE TABLE {table} (id bigserial PRIMARY KEY, name text, at timestamptz DEFAULT now())"
        )
        cursor = connection.execute(f"INSERT INTO {table} (name) VALUES (%s) RETURNING id, name, at", ("one",))
        row = cursor.fetchone()
        assert row is not None
        assert row[:2] == (1, "one")
        assert cursor.statusmessage == "INSERT 0 1"
    # Leaving the block committed it.
    with psycopg.connect(server.dsn) as connection:
        assert connection.execute(f"SELECT name FROM {table}").fetchall() == [("one",)]


def test_leaving_with_an_error_rolls_back(server: Server, autocommit: psycopg.Connection, table: str) -> None:
    autocommit.execute(f"CREATE TABLE {table} (id int)")
    with pytest.raises(ZeroDivisionError), psycopg.connect(server.dsn) as connection:
        connection.execute(f"INSERT INTO {table} VALUES (1)")
        raise ZeroDivisionError
    assert autocommit.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_executemany_with_and_without_returning(autocommit: psycopg.Connection, table: str) -> None:
    autocommit.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, name text)")
    cursor = autocommit.cursor()
    cursor.executemany(f"INSERT INTO {table} VALUES (%s, %s)", [(n, f"name {n}") for n in range(300)])
    assert cursor.rowcount == 300
    cursor.executemany(
        f"UPDATE {table} SET name = %s WHERE id = %s RETURNING id", [("x", 1), ("y", 2)], returning=True
    )
    seen = []
    while True:
        seen += cursor.fetchall()
        if not cursor.nextset():
            break
    assert seen == [(1,), (2,)]


def test_a_failed_transaction_is_refused_until_its_end(connection: psycopg.Connection, table: str) -> None:
    connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
    connection.commit()
    connection.execute(f"INSERT INTO {table} VALUES (1)")
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        connection.execute(f"INSERT INTO {table} VALUES (1)")
    assert caught.value.diag.constraint_name == f"{table}_pkey"
    assert caught.value.diag.table_name == table
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        connection.execute("SELECT 1")
    connection.rollback()
    assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_savepoints(connection: psycopg.Connection, table: str) -> None:
    connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
    with connection.transaction():
        connection.execute(f"INSERT INTO {table} VALUES (1)")
        with pytest.raises(psycopg.errors.UniqueViolation), connection.transaction():
            connection.execute(f"INSERT INTO {table} VALUES (2)")
            connection.execute(f"INSERT INTO {table} VALUES (1)")
        with connection.transaction(force_rollback=True):
            connection.execute(f"INSERT INTO {table} VALUES (3)")
        with connection.transaction("named"):
            connection.execute(f"INSERT INTO {table} VALUES (4)")
    connection.commit()
    assert connection.execute(f"SELECT id FROM {table} ORDER BY id").fetchall() == [(1,), (4,)]
    with pytest.raises(psycopg.errors.InvalidSavepointSpecification):
        connection.execute("ROLLBACK TO SAVEPOINT absent")


def test_a_server_side_cursor(connection: psycopg.Connection, table: str) -> None:
    connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, name text)")
    connection.cursor().executemany(f"INSERT INTO {table} VALUES (%s, %s)", [(n, str(n)) for n in range(500)])
    connection.commit()
    with connection.cursor(name="reader") as cursor:
        cursor.itersize = 64
        cursor.execute(f"SELECT id, name FROM {table} WHERE id >= %s ORDER BY id", (100,))
        assert cursor.fetchone() == (100, "100")
        assert cursor.fetchmany(3) == [(101, "101"), (102, "102"), (103, "103")]
        assert [row[0] for row in cursor] == list(range(104, 500))
    with connection.cursor(name="scroller", scrollable=True) as cursor:
        cursor.execute(f"SELECT id FROM {table} ORDER BY id")
        cursor.scroll(10)
        assert cursor.fetchone() == (10,)
        cursor.scroll(-2)
        assert cursor.fetchone() == (9,)
    connection.rollback()


def test_cursors_declared_in_sql(connection: psycopg.Connection) -> None:
    connection.execute("DECLARE counted CURSOR FOR SELECT n FROM generate_series(1, 10) AS g(n)")
    assert connection.execute("FETCH 3 FROM counted").fetchall() == [(1,), (2,), (3,)]
    assert connection.execute("FETCH FORWARD 2 FROM counted").fetchall() == [(4,), (5,)]
    assert connection.execute("MOVE 2 FROM counted").statusmessage == "MOVE 2"
    assert connection.execute("FETCH ALL FROM counted").fetchall() == [(8,), (9,), (10,)]
    connection.execute("CLOSE counted")
    with pytest.raises(psycopg.errors.InvalidCursorName):
        connection.execute("FETCH 1 FROM counted")


def test_a_statement_used_often_is_prepared(autocommit: psycopg.Connection, table: str) -> None:
    """psycopg prepares a statement by itself when it sees it the fifth time."""
    autocommit.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, name text)")
    for number in range(20):
        autocommit.execute(f"INSERT INTO {table} VALUES (%s, %s)", (number, "x"))
    for number in range(20):
        assert autocommit.execute(f"SELECT name FROM {table} WHERE id = %s", (number,)).fetchone() == ("x",)
    prepared = autocommit.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
    assert prepared is not None
    assert prepared[0] >= 2
    autocommit.execute("DEALLOCATE ALL")
    assert autocommit.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)


def test_prepare_and_execute_in_sql(autocommit: psycopg.Connection) -> None:
    autocommit.execute("PREPARE adding (int, int) AS SELECT $1 + $2")
    assert autocommit.execute("EXECUTE adding (40, 2)").fetchone() == (42,)
    with pytest.raises(psycopg.errors.DuplicatePreparedStatement):
        autocommit.execute("PREPARE adding AS SELECT 1")
    autocommit.execute("DEALLOCATE adding")
    with pytest.raises(psycopg.errors.InvalidSqlStatementName):
        autocommit.execute("EXECUTE adding (1, 2)")


def test_a_pipeline(autocommit: psycopg.Connection, table: str) -> None:
    autocommit.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
    with autocommit.pipeline() as pipeline:
        for number in range(100):
            autocommit.execute(f"INSERT INTO {table} VALUES (%s)", (number,))
        counted = autocommit.execute(f"SELECT count(*) FROM {table}")
        pipeline.sync()
        assert counted.fetchone() == (100,)


def test_an_error_in_a_pipeline_undoes_up_to_the_sync(autocommit: psycopg.Connection, table: str) -> None:
    autocommit.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
    with pytest.raises(psycopg.errors.UniqueViolation), autocommit.pipeline() as pipeline:
        autocommit.execute(f"INSERT INTO {table} VALUES (1)")
        pipeline.sync()
        autocommit.execute(f"INSERT INTO {table} VALUES (2)")
        autocommit.execute(f"INSERT INTO {table} VALUES (1)")
        autocommit.execute(f"INSERT INTO {table} VALUES (3)")
        pipeline.sync()
    assert autocommit.execute(f"SELECT id FROM {table}").fetchall() == [(1,)]


def test_several_statements_in_one_text_are_one_transaction(autocommit: psycopg.Connection, table: str) -> None:
    autocommit.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        autocommit.execute(f"INSERT INTO {table} VALUES (1); INSERT INTO {table} VALUES (1); SELECT 1")
    assert autocommit.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    cursor = autocommit.execute(f"INSERT INTO {table} VALUES (1); SELECT 'second'; BEGIN; SELECT 'third'; COMMIT")
    messages = [cursor.statusmessage]
    while cursor.nextset():
        messages.append(cursor.statusmessage)
    assert messages == ["INSERT 0 1", "SELECT 1", "BEGIN", "SELECT 1", "COMMIT"]


def test_cancel(autocommit: psycopg.Connection) -> None:
    started = time.monotonic()
    timer = threading.Timer(0.3, autocommit.cancel)
    timer.start()
    with pytest.raises(psycopg.errors.QueryCanceled):
        autocommit.execute(ENDLESS)
    timer.join()
    assert time.monotonic() - started < 5
    assert autocommit.execute("SELECT 1").fetchone() == (1,)


def test_statement_timeout(autocommit: psycopg.Connection) -> None:
    autocommit.execute("SET statement_timeout = '200ms'")
    with pytest.raises(psycopg.errors.QueryCanceled):
        autocommit.execute(ENDLESS)
    autocommit.execute("RESET statement_timeout")
    assert autocommit.execute("SHOW statement_timeout").fetchone() == ("0",)


def test_an_idle_transaction_is_ended(server: Server, autocommit: psycopg.Connection, table: str) -> None:
    autocommit.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
    with psycopg.connect(server.dsn) as idle:
        idle.execute("SET idle_in_transaction_session_timeout = '300ms'")
        idle.commit()
        idle.execute(f"INSERT INTO {table} VALUES (1)")
        time.sleep(0.8)  # being idle is what is tested
        with pytest.raises(psycopg.Error) as caught:
            idle.execute("SELECT 1")
        assert caught.value.sqlstate in ("25P03", None)  # None: libpq saw the closed socket first
        idle.close()
    autocommit.execute(f"INSERT INTO {table} VALUES (1)")
    assert autocommit.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,)


def test_set_show_and_local(autocommit: psycopg.Connection) -> None:
    autocommit.execute("SET application_name = 'someone'")
    with autocommit.transaction():
        autocommit.execute("SET LOCAL application_name = 'within'")
        assert autocommit.execute("SHOW application_name").fetchone() == ("within",)
    assert autocommit.execute("SELECT current_setting('application_name')").fetchone() == ("someone",)
    with pytest.raises(psycopg.errors.UndefinedObject):
        autocommit.execute("SET no_such_setting = 1")
    autocommit.execute("RESET ALL")
    autocommit.execute("DISCARD ALL")
    assert autocommit.execute("SHOW application_name").fetchone() != ("someone",)


def test_session_facts(server: Server, autocommit: psycopg.Connection) -> None:
    facts = autocommit.execute("SELECT current_user, current_database(), current_schema(), version()").fetchone()
    assert facts is not None
    assert facts[:3] == (server.user, server.database, "public")
    assert facts[3].startswith("PostgreSQL 15")
    assert autocommit.execute("SELECT pg_backend_pid()").fetchone() == (autocommit.info.backend_pid,)
    assert autocommit.info.server_version >= 150000
    assert autocommit.info.parameter_status("server_encoding") == "UTF8"
    assert autocommit.info.parameter_status("integer_datetimes") == "on"
    assert autocommit.info.parameter_status("standard_conforming_strings") == "on"


def test_names_are_quoted_and_folded(autocommit: psycopg.Connection, table: str) -> None:
    odd = sql.Identifier('Odd "name"')
    autocommit.execute(sql.SQL("CREATE TABLE {} (Plain int, {} text)").format(sql.Identifier(table), odd))
    autocommit.execute(sql.SQL("INSERT INTO {} (PLAIN, {}) VALUES (1, 'x')").format(sql.Identifier(table), odd))
    cursor = autocommit.execute(f"SELECT * FROM {table.upper()}")
    assert cursor.description is not None
    assert [column.name for column in cursor.description] == ["plain", 'Odd "name"']


def test_upsert(autocommit: psycopg.Connection, table: str) -> None:
    autocommit.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, hits int NOT NULL DEFAULT 1)")
    for _ in range(3):
        found = autocommit.execute(
            f"INSERT INTO {table} AS t (id) VALUES (%s) "
            "ON CONFLICT (id) DO UPDATE SET hits = t.hits + 1 RETURNING hits",
            (7,),
        ).fetchone()
    assert found == (3,)
    done = autocommit.execute(f"INSERT INTO {table} (id) VALUES (7) ON CONFLICT DO NOTHING")
    assert done.statusmessage == "INSERT 0 0"


def test_others_see_a_commit_and_not_before(server: Server, connection: psycopg.Connection, table: str) -> None:
    connection.execute(f"CREATE TABLE {table} (id int)")
    connection.commit()
    connection.execute(f"INSERT INTO {table} VALUES (1)")
    with psycopg.connect(server.dsn, autocommit=True) as other:
        assert other.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    connection.commit()
    with psycopg.connect(server.dsn, autocommit=True) as other:
        if server.tier is not None:
            other.execute("SET lfsql.read_consistency = 'strong'")
        assert other.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,)


def test_text_that_postgresql_refuses(autocommit: psycopg.Connection) -> None:
    with pytest.raises(psycopg.DataError):
        autocommit.execute("SELECT %s::text", ("nul \0 inside",))
    refused = autocommit.pgconn.exec_(b"SELECT '\xff\xfe'")
    assert refused.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"22021"
    assert autocommit.execute("SELECT 1").fetchone() == (1,)
