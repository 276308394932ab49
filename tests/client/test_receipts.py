"""What a session is told of where its statements ran."""

from __future__ import annotations

import psycopg
import pytest

from lfsql.testing.cluster import wait_until
from tests.client.conftest import Server, route_of

pytestmark = pytest.mark.client


@pytest.fixture
def filled(lfsql_server: Server, autocommit: psycopg.Connection, table: str) -> psycopg.Connection:
    autocommit.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
    autocommit.execute(f"INSERT INTO {table} VALUES (1)")
    return autocommit


def last_index(connection: psycopg.Connection) -> int:
    shown = connection.execute("SHOW lfsql.last_index").fetchone()
    assert shown is not None
    return int(shown[0])


@pytest.mark.parametrize("prepare", [False, True])
def test_a_write_tells_the_primary_and_its_place(filled: psycopg.Connection, table: str, prepare: bool) -> None:
    filled.execute(f"UPDATE {table} SET id = id + %s", (1,), prepare=prepare)
    told = route_of(filled)
    assert (told["role"], told["staleness_ms"], told["lag_entries"]) == ("primary", 0.0, 0)
    assert (told["level"], told["reason"], told["wait_ms"]) == (None, "update", 0.0)
    assert told["applied_index"] == last_index(filled)


@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize("level", ["any", "bounded", "session", "strong"])
def test_a_read_tells_how_stale_it_can_be(filled: psycopg.Connection, table: str, prepare: bool, level: str) -> None:
    filled.execute(f"SET lfsql.read_consistency = '{level}'")
    filled.execute(f"SELECT id FROM {table}", prepare=prepare)
    told = route_of(filled)
    assert told["level"] == level
    assert told["role"] in ("primary", "replica")
    assert isinstance(told["applied_index"], int)
    assert told["applied_index"] <= last_index(filled)
    stale, behind = told["staleness_ms"], told["lag_entries"]
    assert isinstance(stale, float)
    assert isinstance(behind, int)
    assert level == "any" or 0 <= stale <= 1000
    assert behind >= 0


def test_a_snapshot_grows_old(lfsql_server: Server, filled: psycopg.Connection, table: str) -> None:
    filled.execute("BEGIN READ ONLY")
    filled.execute(f"SELECT id FROM {table}")
    first = route_of(filled)
    with psycopg.connect(lfsql_server.dsn, autocommit=True) as other:
        for number in range(2, 5):
            other.execute(f"INSERT INTO {table} VALUES (%s)", (number,))
    assert filled.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,)
    last = route_of(filled)
    assert first["reason"] == last["reason"] == "snapshot"
    assert (first["node"], first["applied_index"]) == (last["node"], last["applied_index"])

    def lag() -> bool:
        filled.execute(f"SELECT id FROM {table}")
        behind = route_of(filled)["lag_entries"]
        return isinstance(behind, int) and behind >= 3

    wait_until(lag, 10, "the proxy to hear of the commits")
    filled.execute("COMMIT")


def test_what_the_proxy_answers_itself_says_so(filled: psycopg.Connection) -> None:
    filled.execute("SELECT count(*) FROM pg_class").fetchone()
    told = route_of(filled)
    assert (told["node"], told["role"], told["reason"]) == (None, "proxy", "system catalogs")


def test_notices_tell_the_same(filled: psycopg.Connection, table: str) -> None:
    heard: list[str] = []
    filled.add_notice_handler(lambda notice: heard.append(notice.message_primary or ""))
    filled.execute("SET lfsql.notice_route = on")
    assert filled.execute(f"SELECT id FROM {table}", prepare=True).fetchall() == [(1,)]
    told = route_of(filled)
    assert heard == [notice for notice in heard if notice.startswith(f"{told['role']} {told['node']}, at index")]
    assert len(heard) == 1
    assert heard[0].endswith(f"level session: {told['reason']}")
    filled.execute(f"UPDATE {table} SET id = 2", prepare=True)
    assert len(heard) == 2
    assert heard[1].startswith("primary ")
    filled.execute("SET lfsql.notice_route = off")
    filled.execute(f"SELECT id FROM {table}", prepare=True)
    assert len(heard) == 2


def counted(connection: psycopg.Connection, reason: str) -> int:
    sql = f"SELECT coalesce(sum(statements), 0)::int FROM lfsql.routes WHERE reason = '{reason}'"
    found = connection.execute(sql).fetchone()
    assert found is not None
    return int(found[0])


def test_the_sums_are_a_relation(filled: psycopg.Connection, table: str) -> None:
    deletes = counted(filled, "delete")
    for number in range(3):
        filled.execute(f"DELETE FROM {table} WHERE id = %s", (number,), prepare=number > 0)
    assert counted(filled, "delete") == deletes + 3
