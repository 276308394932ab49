"""COPY through psycopg 3: both text formats, in both directions, in parts, large, wrong and broken off."""

from __future__ import annotations

import struct
import time

import psycopg
import pytest

from tests.client.conftest import Server
from tests.client.raw import SYNC, Message, Raw, bind, errors, message, startup

pytestmark = pytest.mark.client


@pytest.fixture
def filled(autocommit: psycopg.Connection, table: str) -> str:
    autocommit.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, name text, price numeric(8,2), at timestamptz)")
    return table


def copied(connection: psycopg.Connection, statement: str, *parts: str | bytes) -> str | None:
    cursor = connection.cursor()
    with cursor.copy(statement) as copy:
        for part in parts:
            copy.write(part)
    return cursor.statusmessage


def received(connection: psycopg.Connection, statement: str) -> bytes:
    with connection.cursor().copy(statement) as copy:
        return b"".join(copy)


def test_text_with_every_escape(autocommit: psycopg.Connection, filled: str) -> None:
    lines = "1\ta\\tb\\\\c\\nd\\x41\\101\t1.5\t2026-01-01 00:00:00+00\n2\t\\N\t\\N\t\\N\n3\t\t0\t\\N\n"
    assert copied(autocommit, f"COPY {filled} FROM STDIN", lines) == "COPY 3"
    found = autocommit.execute(f"SELECT name, price::text FROM {filled} ORDER BY id").fetchall()
    assert found == [("a\tb\\c\ndAA", "1.50"), (None, None), ("", "0.00")]
    autocommit.execute("SET timezone = 'UTC'")
    assert received(autocommit, f"COPY (SELECT * FROM {filled} ORDER BY id) TO STDOUT") == (
        b"1\ta\\tb\\\\c\\ndAA\t1.50\t2026-01-01 00:00:00+00\n2\t\\N\t\\N\t\\N\n3\t\t0.00\t\\N\n"
    )


def test_csv_with_quotes_and_lines_within(autocommit: psycopg.Connection, filled: str) -> None:
    text = 'id,name,price\r\n1,"a ""quoted"", one\nline two",1.5\r\n2,,\r\n3,"",\r\n'
    statement = f"COPY {filled} (id, name, price) FROM STDIN WITH (FORMAT csv, HEADER true)"
    assert copied(autocommit, statement, text) == "COPY 3"
    found = autocommit.execute(f"SELECT name FROM {filled} ORDER BY id").fetchall()
    assert found == [('a "quoted", one\nline two',), (None,), ("",)]
    back = received(autocommit, f"COPY (SELECT id, name, price FROM {filled} ORDER BY id) TO STDOUT WITH CSV HEADER")
    assert back == b'id,name,price\n1,"a ""quoted"", one\nline two",1.50\n2,,\n3,"",\n'


def test_options(autocommit: psycopg.Connection, filled: str) -> None:
    statement = f"COPY {filled} (id, name) FROM STDIN WITH (FORMAT csv, DELIMITER ';', NULL '-', QUOTE '''')"
    assert copied(autocommit, statement, "1;-\n2;'a;b'\n") == "COPY 2"
    back = received(
        autocommit, f"COPY (SELECT id, name FROM {filled} ORDER BY id) TO STDOUT (DELIMITER '|', NULL '')"
    )
    assert back == b"1|\n2|a;b\n"


@pytest.mark.parametrize("size", [1, 7, 8192])
def test_parts_are_cut_anywhere(autocommit: psycopg.Connection, filled: str, size: int) -> None:
    data = "".join(f"{n}\tnäme \\\\ {n}\\n\t{n}.25\t\\N\n" for n in range(200)).encode()
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    assert copied(autocommit, f"COPY {filled} FROM STDIN", *parts) == "COPY 200"
    found = autocommit.execute(f"SELECT count(*), max(name), sum(price) FROM {filled}").fetchone()
    assert found is not None
    assert (found[0], found[1], str(found[2])) == (200, "näme \\ 99\n", "19950.00")


def test_rows_as_python_values(autocommit: psycopg.Connection, filled: str) -> None:
    with autocommit.cursor().copy(f"COPY {filled} (id, name) FROM STDIN") as copy:
        for number in range(1000):
            copy.write_row((number, None if number % 2 else "ä\t"))
    with autocommit.cursor().copy(f"COPY (SELECT id, name FROM {filled} ORDER BY id) TO STDOUT") as copy:
        copy.set_types(["int4", "text"])
        rows = list(copy.rows())
    assert rows[:2] == [(0, "ä\t"), (1, None)]
    assert len(rows) == 1000


def test_many_rows_both_ways(autocommit: psycopg.Connection, filled: str) -> None:
    data = "".join(f"{n}\t{'x' * 100}\t1\t\\N\n" for n in range(50_000))
    assert copied(autocommit, f"COPY {filled} FROM STDIN", data) == "COPY 50000"
    assert len(received(autocommit, f"COPY {filled} (id, name) TO STDOUT")) == sum(
        len(str(n)) + 102 for n in range(50_000)
    )


@pytest.mark.parametrize(
    ("options", "data", "sqlstate", "place"),
    [
        ("", "1\ta\t1\n", "22P04", "line 1"),
        ("", "1\ta\t1\t\\N\textra\n", "22P04", "line 1"),
        ("", "1\ta\t1\t\\N\nx\tb\t2\t\\N\n", "22P02", "line 2"),
        ("", "1\ta\t1\t\\N\n1\tb\t2\t\\N\n", "23505", "COPY "),  # which row of a set failed, SQLite does not say
        ("", "1\ta\t12345678\t\\N\n", "22003", "line 1"),
        ("WITH CSV", '1,"open,1,\n', "22P04", "line"),
    ],
)
def test_a_wrong_row_undoes_all_of_it(
    autocommit: psycopg.Connection, filled: str, options: str, data: str, sqlstate: str, place: str
) -> None:
    with pytest.raises(psycopg.Error) as caught:
        copied(autocommit, f"COPY {filled} FROM STDIN {options}", data)
    assert caught.value.sqlstate == sqlstate
    assert place in (caught.value.diag.context or "")
    assert autocommit.execute(f"SELECT count(*) FROM {filled}").fetchone() == (0,)


def test_a_copy_broken_off_by_the_client(autocommit: psycopg.Connection, filled: str) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled), autocommit.cursor().copy(f"COPY {filled} FROM STDIN") as copy:
        copy.write("1\ta\t1\t\\N\n")
        raise psycopg.errors.QueryCanceled("changed my mind")
    assert autocommit.execute(f"SELECT count(*) FROM {filled}").fetchone() == (0,)


def test_a_copy_in_a_transaction_rolls_back(autocommit: psycopg.Connection, filled: str) -> None:
    with autocommit.transaction(force_rollback=True):
        copied(autocommit, f"COPY {filled} FROM STDIN", "1\ta\t1\t\\N\n")
        assert autocommit.execute(f"SELECT count(*) FROM {filled}").fetchone() == (1,)
    assert autocommit.execute(f"SELECT count(*) FROM {filled}").fetchone() == (0,)


@pytest.mark.parametrize(
    ("statement", "sqlstate"),
    [
        ("COPY nowhere_at_all FROM STDIN", "42P01"),
        ("COPY {table} (id, missing) FROM STDIN", "42703"),
        ("COPY {table} FROM STDIN WITH (FORMAT xml)", "22023"),
        ("COPY {table} FROM STDIN WITH (COLOUR red)", "42601"),
        ("COPY {table} FROM STDIN WITH (DELIMITER 'ab')", "0A000"),
    ],
)
def test_a_wrong_copy_is_refused_before_data(
    autocommit: psycopg.Connection, filled: str, statement: str, sqlstate: str
) -> None:
    with pytest.raises(psycopg.Error) as caught, autocommit.cursor().copy(statement.format(table=filled)):
        pass
    assert caught.value.sqlstate == sqlstate
    assert autocommit.execute("SELECT 1").fetchone() == (1,)


class Copier:
    """A client that has begun to copy into a table, by bytes, and can cancel itself."""

    def __init__(self, server: Server, table: str, *, extended: bool = False, before: str = "") -> None:
        self._server = server
        self.raw = Raw(server)
        self.raw.send(startup(server))
        self.key = next(body for kind, body in self.raw.until(b"Z") if kind == b"K")
        for statement in filter(None, before.split(";")):
            self.query(statement)
        copy = f"COPY {table} (id) FROM STDIN".encode()
        if extended:
            self.raw.send(message(b"P", b"\0" + copy + b"\0\0\0") + bind(b"") + message(b"E", b"\0\0\0\0\0") + SYNC)
        else:
            self.raw.send(message(b"Q", copy + b"\0"))
        self.raw.until(b"G")

    def query(self, statement: str) -> list[Message]:
        self.raw.send(message(b"Q", statement.encode() + b"\0"))
        return self.raw.until(b"Z")

    def cancel(self) -> None:
        stranger = Raw(self._server)
        with stranger.socket:
            stranger.send(struct.pack("!ii", 16, 80877102) + self.key)
            assert stranger.rest() == []


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize("before", ["", "BEGIN", "SET statement_timeout = 200"])
def test_a_copy_that_waits_for_its_client_is_stopped(
    server: Server, filled: str, extended: bool, before: str
) -> None:
    copier = Copier(server, filled, extended=extended, before=before)
    raw = copier.raw
    with raw.socket:
        raw.send(message(b"d", b"1\n"))
        if "timeout" not in before:
            copier.cancel()
        assert errors(raw.until(b"E")) == ["57014"]
        # The client has not heard it yet.
        raw.send(message(b"d", b"2\n") + message(b"c") + (SYNC if extended else b""))
        assert raw.until(b"Z") == [(b"Z", b"E" if before == "BEGIN" else b"I")]
        if before == "BEGIN":
            copier.query("ROLLBACK")
        assert (b"D", b"\0\1\0\0\0\0010") in copier.query(f"SELECT count(*) FROM {filled}")


def test_a_copy_that_has_the_writer_gives_it_back_when_it_is_cancelled(
    server: Server, autocommit: psycopg.Connection, filled: str
) -> None:
    copier = Copier(server, filled)
    ids = b"".join(b"%d\n" % number for number in range(100_000, 800_000))  # takes a second
    with copier.raw.socket:
        copier.raw.send(message(b"d", ids) + message(b"c"))
        copier.cancel()
        assert errors(copier.raw.until(b"Z")) == ["57014"]
        autocommit.execute("SET statement_timeout = '5s'")
        autocommit.execute(f"INSERT INTO {filled} (id) VALUES (1)")
    assert autocommit.execute(f"SELECT count(*) FROM {filled}").fetchone() == (1,)


def test_a_copy_whose_client_does_not_read_is_cancelled(server: Server, filled: str) -> None:
    copier = Copier(server, filled)
    raw = copier.raw
    with raw.socket:
        raw.send(message(b"c"))
        raw.until(b"Z")
        raw.send(message(b"Q", b"COPY (SELECT repeat('x', 10000) FROM generate_series(1, 20000)) TO STDOUT\0"))
        raw.until(b"H")
        time.sleep(0.5)  # until all that lies between is full; sooner is only easier
        copier.cancel()
        assert errors(raw.until(b"Z")) == ["57014"]
