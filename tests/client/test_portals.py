"""How long portals and cursors live: to the end of their transaction, however that comes."""

from __future__ import annotations

import psycopg
import pytest

from tests.client.conftest import Server
from tests.client.raw import SYNC, Raw, bind, errors, message, startup

pytestmark = pytest.mark.client

TWO_ROWS = message(b"P", b"\0SELECT 1 UNION ALL SELECT 2\0\0\0")
FIRST_ROW = bind(b"", portal=b"p") + message(b"E", b"p\0\0\0\0\1")


@pytest.mark.parametrize("failure", [message(b"P", b"\0SELEC\0\0\0") + SYNC, message(b"Q", b"SELEC\0") + SYNC])
def test_an_error_outside_of_a_block_ends_the_portals_before_it(raw: Raw, failure: bytes) -> None:
    for _ in range(3):
        raw.send(TWO_ROWS + FIRST_ROW + failure)
        assert errors(raw.until(b"Z")) == ["42601"]
        if failure[:1] == b"Q":
            raw.until(b"Z")
    raw.send(TWO_ROWS + FIRST_ROW + SYNC)
    assert errors(raw.until(b"Z")) == []


def test_a_portal_of_a_failed_block_cannot_be_run(raw: Raw) -> None:
    raw.send(message(b"Q", b"BEGIN\0") + TWO_ROWS + FIRST_ROW + message(b"P", b"\0SELEC\0\0\0") + SYNC)
    raw.until(b"Z")
    assert errors(raw.until(b"Z")) == ["42601"]
    raw.send(message(b"E", b"p\0\0\0\0\1") + SYNC)
    assert errors(raw.until(b"Z")) == ["25P02"]
    raw.send(message(b"Q", b"ROLLBACK\0") + message(b"E", b"p\0\0\0\0\1") + SYNC)
    raw.until(b"Z")
    assert errors(raw.until(b"Z")) == ["34000"]


def is_open(connection: psycopg.Connection, name: str) -> bool:
    return connection.execute("SELECT 1 FROM pg_cursors WHERE name = %s", [name]).fetchone() is not None


@pytest.mark.parametrize(("end", "stays"), [("COMMIT", True), ("ROLLBACK", False)])
def test_a_cursor_with_hold_stays_when_its_transaction_is_committed(
    autocommit: psycopg.Connection, end: str, stays: bool
) -> None:
    autocommit.execute("BEGIN")
    autocommit.execute("DECLARE h CURSOR WITH HOLD FOR SELECT n FROM generate_series(1, 3) AS g(n)")
    autocommit.execute(end)
    assert is_open(autocommit, "h") is stays
    if stays:
        assert autocommit.execute("FETCH h").fetchone() == (1,)
        autocommit.execute("BEGIN")
        autocommit.execute("ROLLBACK")  # of another transaction
        assert autocommit.execute("FETCH h").fetchone() == (2,)
        with pytest.raises(psycopg.errors.SyntaxError):
            autocommit.execute("SELEC")
        assert autocommit.execute("FETCH h").fetchone() == (3,)


def test_discard_all_closes_cursors_with_hold(autocommit: psycopg.Connection) -> None:
    autocommit.execute("DECLARE h CURSOR WITH HOLD FOR SELECT 1")
    autocommit.execute("DISCARD ALL")
    assert not is_open(autocommit, "h")


def test_rolling_back_to_a_savepoint_closes_the_cursors_declared_since(autocommit: psycopg.Connection) -> None:
    autocommit.execute("BEGIN")
    autocommit.execute("DECLARE before CURSOR FOR SELECT n FROM generate_series(1, 3) AS g(n)")
    autocommit.execute("SAVEPOINT s")
    autocommit.execute("DECLARE since CURSOR FOR SELECT 1")
    autocommit.execute("ROLLBACK TO s")
    assert not is_open(autocommit, "since")
    assert autocommit.execute("FETCH before").fetchone() == (1,)
    autocommit.execute("ROLLBACK")


def test_what_portals_keep_is_bounded_in_bytes(lfsql_server: Server) -> None:
    raw = Raw(lfsql_server)
    raw.send(startup(lfsql_server) + message(b"P", b"s\0SELECT $1::text\0\0\0") + message(b"Q", b"BEGIN\0"))
    value = b"x" * (60 << 20)
    for number in range(5):
        raw.send(bind(b"s", value, portal=b"%d" % number))
    raw.send(SYNC)
    seen = [*raw.until(b"Z"), *raw.until(b"Z"), *raw.until(b"Z")]
    assert (errors(seen), [kind for kind, _ in seen].count(b"2")) == (["54000"], 4)
    raw.send(message(b"Q", b"ROLLBACK\0") + bind(b"s", value) + message(b"E", b"\0\0\0\0\0") + SYNC)
    raw.until(b"Z")
    assert errors(raw.until(b"Z")) == []
    raw.socket.close()


def test_rows_that_scroll_are_bounded_in_bytes(lfsql_server: Server) -> None:
    with psycopg.connect(lfsql_server.dsn) as connection:
        large = "SELECT repeat('x', 1000000) || n FROM generate_series(1, 140) AS g (n)"
        connection.execute(f"DECLARE a SCROLL CURSOR FOR {large}")
        connection.execute("SAVEPOINT s")
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(f"DECLARE b SCROLL CURSOR FOR {large}")
        assert caught.value.sqlstate == "54000"
        connection.execute("ROLLBACK TO s")
        connection.execute("CLOSE a")
        connection.execute(f"DECLARE b SCROLL CURSOR FOR {large}")


def test_a_cursor_with_hold_that_is_too_large_ends_its_transaction(lfsql_server: Server, table: str) -> None:
    with psycopg.connect(lfsql_server.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {table} (n int)")
        connection.execute("BEGIN")
        connection.execute(
            "DECLARE h CURSOR WITH HOLD FOR SELECT repeat('x', 1000000) || n FROM generate_series(1, 280) AS g (n)"
        )
        connection.execute(f"INSERT INTO {table} VALUES (1)")
        with pytest.raises(psycopg.Error) as caught:
            connection.execute("COMMIT")
        assert caught.value.sqlstate == "54000"
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
