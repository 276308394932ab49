"""What each level promises, seen from two sessions."""

from __future__ import annotations

import psycopg
import pytest

from lfsql.testing.cluster import wait_until
from tests.client.conftest import Server, route_of

pytestmark = pytest.mark.client


@pytest.mark.parametrize("route", ["auto", "replica"])
def test_a_strong_read_shows_every_write_acknowledged_before_it(lfsql_server: Server, table: str, route: str) -> None:
    with (
        psycopg.connect(lfsql_server.dsn, autocommit=True) as writer,
        psycopg.connect(lfsql_server.dsn, autocommit=True) as reader,
    ):
        writer.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
        reader.execute("SET lfsql.read_consistency = 'strong'")
        reader.execute(f"SET lfsql.route = '{route}'")
        for count in range(1, 41):
            writer.execute(f"INSERT INTO {table} VALUES (%s)", (count,))
            assert reader.execute(f"SELECT count(*) FROM {table}").fetchone() == (count,)


@pytest.mark.parametrize("modes", ["READ ONLY", "ISOLATION LEVEL REPEATABLE READ READ ONLY"])
def test_a_strong_snapshot_shows_every_write_acknowledged_before_it(
    lfsql_server: Server, table: str, modes: str
) -> None:
    with (
        psycopg.connect(lfsql_server.dsn, autocommit=True) as writer,
        psycopg.connect(lfsql_server.dsn, autocommit=True) as reader,
    ):
        writer.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
        reader.execute("SET lfsql.read_consistency = 'strong'")
        for count in range(1, 101):
            writer.execute(f"INSERT INTO {table} VALUES (%s)", (count,))
            reader.execute(f"BEGIN {modes}")
            assert reader.execute(f"SELECT count(*) FROM {table}").fetchone() == (count,)
            reader.execute("COMMIT")


def test_a_session_reads_its_own_writes_and_says_where(lfsql_server: Server, table: str) -> None:
    with psycopg.connect(lfsql_server.dsn, autocommit=True) as session:
        session.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
        for count in range(1, 41):
            session.execute(f"INSERT INTO {table} VALUES (%s)", (count,))
            assert session.execute(f"SELECT count(*) FROM {table}").fetchone() == (count,)
            index = session.execute("SHOW lfsql.last_index").fetchone()
            assert index is not None
            at = route_of(session)["applied_index"]
            assert isinstance(at, int)
            assert at <= int(index[0])


def test_a_token_carries_causality_to_another_session(lfsql_server: Server, table: str) -> None:
    with (
        psycopg.connect(lfsql_server.dsn, autocommit=True) as one,
        psycopg.connect(lfsql_server.dsn, autocommit=True) as other,
    ):
        one.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
        for count in range(1, 41):
            one.execute(f"INSERT INTO {table} VALUES (%s)", (count,))
            token = one.execute("SHOW lfsql.last_index").fetchone()
            assert token is not None
            other.execute(f"SET lfsql.min_index = {token[0]}")
            assert other.execute(f"SELECT count(*) FROM {table}").fetchone() == (count,)


def test_one_long_run_of_a_shape_leaves_the_short_ones_inline(lfsql_server: Server, table: str) -> None:
    with psycopg.connect(lfsql_server.dsn, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
        connection.execute(f"INSERT INTO {table} SELECT n FROM generate_series(1, 20000) AS g(n)")

        def ran(above: int) -> str:
            connection.execute(f"SELECT id FROM {table} WHERE id > {above}").fetchall()
            return str(route_of(connection)["reason"])

        wait_until(lambda: ran(19_999) == "inline", 10, "a copy on this host has the rows")
        assert ran(5) == "thread"
        assert ran(19_999) == "inline"
