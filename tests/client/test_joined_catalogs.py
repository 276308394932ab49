"""Statements that name the catalogs and the user's tables at once."""

from __future__ import annotations

import threading

import psycopg
import pytest

from tests.client.conftest import Server, route_of

pytestmark = pytest.mark.client

Row = tuple[object, ...]


@pytest.fixture
def filled(autocommit: psycopg.Connection, table: str) -> psycopg.Connection:
    autocommit.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, name text)")
    autocommit.execute(f"INSERT INTO {table} VALUES (1, '{table}'), (2, 'pg_class'), (3, 'none such')")
    return autocommit


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        (
            "SELECT t.id, c.relkind FROM {t} t JOIN pg_class c ON c.relname = t.name ORDER BY t.id",
            [(1, "r"), (2, "r")],
        ),
        (
            """SELECT t.id, c.column_name FROM {t} t LEFT JOIN information_schema.columns c
            ON c.table_name = t.name AND c.ordinal_position = 2 AND c.table_schema = 'public' ORDER BY t.id""",
            [(1, "name"), (2, None), (3, None)],
        ),
        ("SELECT id FROM {t} WHERE name IN (SELECT relname FROM pg_catalog.pg_class) ORDER BY id", [(1,), (2,)]),
        ("SELECT '{t}'::regclass::text, count(*) FROM {t}", [("{t}", 3)]),
        ("SELECT pg_typeof(id)::text, pg_typeof(name)::text FROM {t} WHERE id = 1", [("integer", "text")]),
        ("SELECT pg_typeof(id) FROM {t} WHERE id = 1", [("integer",)]),
        (
            "WITH c AS (SELECT relname FROM pg_class WHERE relname = 'pg_type') SELECT count(*) FROM c, {t}",
            [(3,)],
        ),
        (
            "SELECT count(*) FROM {t} UNION ALL SELECT count(*) FROM pg_namespace WHERE nspname = 'public'",
            [(3,), (1,)],
        ),
    ],
)
def test_they_are_answered(filled: psycopg.Connection, table: str, query: str, rows: list[Row]) -> None:
    expected = [tuple(value.format(t=table) if isinstance(value, str) else value for value in row) for row in rows]
    assert filled.execute(query.format(t=table)).fetchall() == expected


def test_parameters_and_cursors_work_as_everywhere(filled: psycopg.Connection, table: str) -> None:
    query = f"SELECT t.id FROM {table} t, pg_class c WHERE c.relname = t.name AND t.id >= %s ORDER BY 1"
    for prepare in (False, True, True):
        assert filled.execute(query, (2,), prepare=prepare).fetchall() == [(2,)]
    with filled.transaction(), filled.cursor("walks") as cursor:
        cursor.execute(query, (1,))
        assert cursor.fetchone() == (1,)
        assert cursor.fetchall() == [(2,)]


def test_they_see_the_sessions_own_writes_and_schema(filled: psycopg.Connection, table: str) -> None:
    query = f"SELECT count(*), max(a.attname) FROM {table} t, pg_attribute a WHERE a.attrelid = '{table}'::regclass"
    for number in range(10, 20):
        filled.execute(f"INSERT INTO {table} VALUES ({number}, 'x')")
        filled.execute(f"ALTER TABLE {table} ADD COLUMN zz{number} int")
        rows = number - 6
        assert filled.execute(f"{query} AND a.attnum > 0").fetchone() == (rows * (number - 7), f"zz{number}")


def test_many_sessions_at_once(server: Server, filled: psycopg.Connection, table: str) -> None:
    wrong: list[object] = []

    def ask() -> None:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            for _ in range(5):
                found = connection.execute(
                    f"SELECT t.id FROM {table} t, pg_class c WHERE c.relname = t.name"
                ).fetchall()
                if sorted(found) != [(1,), (2,)]:
                    wrong.append(found)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_one_that_takes_too_long_is_stopped(filled: psycopg.Connection, table: str) -> None:
    filled.execute("SET statement_timeout = '200ms'")
    with pytest.raises(psycopg.errors.QueryCanceled):
        filled.execute(
            f"SELECT count(*) FROM {table}, pg_attribute a, pg_attribute b, pg_proc c WHERE a.attnum + b.attnum = 3"
        )
    filled.execute("SET statement_timeout = 0")
    assert filled.execute(f"SELECT count(*) FROM {table}, pg_namespace WHERE nspname = 'public'").fetchone() == (3,)


def test_one_that_runs_or_waits_its_turn_can_be_cancelled(
    server: Server, filled: psycopg.Connection, table: str
) -> None:
    endless = (
        f"SELECT count(*) FROM {table}, pg_attribute a, pg_attribute b, pg_proc c WHERE a.attnum + b.attnum = 99"
    )
    told: list[str | None] = []

    def ask(connection: psycopg.Connection) -> None:
        try:
            connection.execute(endless)
        except psycopg.Error as error:
            told.append(error.sqlstate)

    connections = [psycopg.connect(server.dsn, autocommit=True) for _ in range(4)]
    threads = [threading.Thread(target=ask, args=(connection,)) for connection in connections]
    for thread in threads:
        thread.start()
    for thread, connection in reversed(list(zip(threads, connections, strict=True))):
        while thread.is_alive():  # a cancel that comes before its statement does nothing
            connection.cancel()
            thread.join(0.1)
        connection.close()
    assert told == ["57014"] * 4
    assert filled.execute(f"SELECT count(*) FROM {table}, pg_namespace WHERE nspname = 'public'").fetchone() == (3,)


def test_an_error_in_one_leaves_the_next_alone(filled: psycopg.Connection, table: str) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        filled.execute(f"SELECT 1 / (t.id - 1) FROM {table} t, pg_namespace")
    assert filled.execute(f"SELECT count(*) FROM {table}, pg_namespace WHERE nspname = 'public'").fetchone() == (3,)


def test_in_a_transaction_they_work_until_it_writes(
    lfsql_server: Server, filled: psycopg.Connection, table: str
) -> None:
    query = f"SELECT count(*) FROM {table}, pg_namespace WHERE nspname = 'public'"
    filled.execute("BEGIN")
    assert filled.execute(query).fetchone() == (3,)
    filled.execute(f"DELETE FROM {table} WHERE id = 3")
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="after a write of the same transaction"):
        filled.execute(query)
    filled.execute("ROLLBACK")
    for modes in ("ISOLATION LEVEL REPEATABLE READ", "READ ONLY"):
        filled.execute(f"BEGIN {modes}")
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="reads one snapshot"):
            filled.execute(query)
        filled.execute("ROLLBACK")


def test_a_write_that_reads_the_catalogs_is_refused(
    lfsql_server: Server, filled: psycopg.Connection, table: str
) -> None:
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="cannot read the system catalogs"):
        filled.execute(f"INSERT INTO {table} SELECT 9, relname FROM pg_class")
    assert filled.execute(f"SELECT count(*) FROM {table}").fetchone() == (3,)


def test_a_table_may_be_named_as_a_catalog_is(lfsql_server: Server, autocommit: psycopg.Connection) -> None:
    autocommit.execute("CREATE TABLE proxies (id int)")
    try:
        autocommit.execute("INSERT INTO proxies VALUES (42)")
        rows = autocommit.execute("SELECT p.id FROM proxies p, pg_namespace WHERE nspname = 'public'").fetchall()
        assert rows == [(42,)]
    finally:
        autocommit.execute("DROP TABLE proxies")


def test_what_they_give_is_bounded(lfsql_server: Server, filled: psycopg.Connection, table: str) -> None:
    with pytest.raises(psycopg.errors.ProgramLimitExceeded):
        filled.execute(f"SELECT repeat('x', 1000000) FROM {table}, pg_attribute LIMIT 100")
    assert filled.execute(f"SELECT count(*) FROM {table}, pg_namespace WHERE nspname = 'public'").fetchone() == (3,)


@pytest.mark.parametrize("level", ["any", "bounded", "session", "strong"])
@pytest.mark.parametrize("route", ["auto", "primary", "replica"])
def test_they_go_where_reads_go(
    lfsql_server: Server, filled: psycopg.Connection, table: str, level: str, route: str
) -> None:
    filled.execute(f"SET lfsql.read_consistency = '{level}'")
    filled.execute(f"SET lfsql.route = '{route}'")
    filled.execute(f"SET lfsql.max_lag_ms = {0 if level == 'any' else 1000}")
    found = filled.execute(f"SELECT count(*) FROM {table}, pg_namespace WHERE nspname = 'public'").fetchone()
    assert found == (3,) or level in ("any", "bounded")
    told = route_of(filled)
    assert told["reason"] == "joined with the catalogs"
    assert told["level"] == level
    assert route in ("auto", told["role"])
