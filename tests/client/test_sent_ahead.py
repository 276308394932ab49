"""Clients that send far ahead, and do not read: their answers wait for them, and all others are served meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.client.conftest import Server
from tests.client.raw import SYNC, Raw, bind, message

pytestmark = pytest.mark.client

GROWTH_BYTES_MAX = 100 << 20
WAIT_S_MAX = 1.0
PAGE_BYTES = 4096


class Watch:
    """Another client, asking all the time, and the proxy's memory."""

    def __init__(self, server: Server) -> None:
        assert server.tier is not None
        self._pids = [proxy["pid"] for proxy in server.tier.status()["proxies"]]
        self._server = server
        self._over = threading.Event()
        self.resident_before = self.resident()
        self.resident_most = 0
        self.longest_s = 0.0
        self.asked = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def resident(self) -> int:
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES for pid in self._pids)

    def _run(self) -> None:
        with psycopg.connect(self._server.dsn, autocommit=True) as other:
            while not self._over.is_set():
                started = time.monotonic()
                other.execute("SELECT 1")
                self.longest_s = max(self.longest_s, time.monotonic() - started)
                self.resident_most = max(self.resident_most, self.resident())
                self.asked += 1

    def end(self) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture
def watch(lfsql_server: Server) -> Iterator[Watch]:
    watching = Watch(lfsql_server)
    yield watching
    watching.end()


def run(raw: Raw, sql: str) -> None:
    raw.send(message(b"Q", sql.encode() + b"\0"))
    raw.until(b"Z")


EXECUTE = message(b"E", b"\0\0\0\0\0")


def watched(watch: Watch) -> None:
    """Wait until the other client has been served for long enough to tell."""
    enough = watch.asked + 200
    while watch.asked < enough:
        time.sleep(0.01)
    watch.end()
    assert watch.longest_s < WAIT_S_MAX
    assert watch.resident_most - watch.resident_before < GROWTH_BYTES_MAX


def test_point_reads_sent_ahead_are_answered_as_they_are_read(table: str, raw: Raw, watch: Watch) -> None:
    run(raw, f"CREATE TABLE {table} (id int PRIMARY KEY, v text)")
    run(raw, f"INSERT INTO {table} VALUES (1, repeat('x', 900000))")
    raw.send(message(b"P", b"s\0SELECT v FROM " + table.encode() + b" WHERE id = $1\0\0\0") + SYNC)
    raw.until(b"Z")
    raw.send(bind(b"s", b"1") + EXECUTE + SYNC)
    raw.until(b"Z")
    count = 400
    raw.send((bind(b"s", b"1") + EXECUTE + SYNC) * count)
    watched(watch)
    for _ in range(count):
        kinds = [kind for kind, _ in raw.until(b"Z")]
        assert kinds == [b"2", b"D", b"C", b"Z"]


def test_the_statements_of_one_text_are_answered_as_they_are_read(raw: Raw, watch: Watch) -> None:
    count = 3_000
    raw.send(message(b"Q", b"SELECT repeat('x', 120000);" * count + b"\0"))
    watched(watch)
    assert len([kind for kind, _ in raw.until(b"Z") if kind == b"D"]) == count


def test_small_requests_sent_ahead_let_others_have_their_turn(table: str, raw: Raw, watch: Watch) -> None:
    run(raw, f"CREATE TABLE {table} (id int PRIMARY KEY, v int)")
    run(raw, f"INSERT INTO {table} SELECT n, n FROM generate_series(1, 1500) AS g(n)")
    text = f"s\0SELECT count(*) FROM {table} WHERE v * v <> $1\0".encode()
    raw.send(message(b"P", text + b"\0\0") + SYNC)
    raw.until(b"Z")
    count = 3_000

    def read() -> None:
        for _ in range(count):
            raw.until(b"Z")

    reader = threading.Thread(target=read)
    reader.start()
    began = time.monotonic()
    raw.send((bind(b"s", b"1") + EXECUTE + SYNC) * count)
    reader.join()
    took_s = time.monotonic() - began
    watch.end()
    assert watch.longest_s < took_s / 5, "without turns it waits for all of them"


def test_a_copy_in_one_message_lets_others_have_their_turn(table: str, raw: Raw, watch: Watch) -> None:
    run(raw, f"CREATE TABLE {table} (id int PRIMARY KEY, at timestamptz, price numeric(10, 2), name text)")
    raw.send(message(b"Q", f"COPY {table} FROM STDIN\0".encode()))
    raw.until(b"G")
    rows = [f"{n}\t2024-01-01 00:00:00+00\t{n % 1000}.25\tname {n}\n".encode() for n in range(60_000)]
    began = time.monotonic()
    raw.send(message(b"d", b"".join(rows)) + message(b"c"))
    raw.until(b"Z")
    took_s = time.monotonic() - began
    watch.end()
    assert watch.longest_s < took_s / 4, "without turns it waits for all of it"


@pytest.mark.parametrize(
    ("begins", "sent", "times"),
    [
        (("INSERT INTO {t} VALUES (1)",), ("SHOW ALL",), 8_000),
        (("BEGIN", "INSERT INTO {t} VALUES (1)"), ("SAVEPOINT a", "RELEASE a"), 50_000),
    ],
)
def test_what_waits_behind_a_write_is_bounded(
    table: str, raw: Raw, watch: Watch, begins: tuple[str, ...], sent: tuple[str, ...], times: int
) -> None:
    """One pipeline, whose Sync comes late."""
    run(raw, f"CREATE TABLE {table} (id int)")
    # Its write may hold the writer for all of the pipeline.
    run(raw, "SET idle_in_transaction_session_timeout = 0")
    texts = (*begins, *sent)
    for number, sql in enumerate(texts):
        raw.send(message(b"P", f"s{number}\0{sql.format(t=table)}\0".encode() + b"\0\0"))
    once = [bind(f"s{number}".encode()) + EXECUTE for number in range(len(texts))]
    data = b"".join(once[: len(begins)]) + b"".join(once[len(begins) :]) * times + SYNC
    ahead = threading.Thread(target=raw.send, args=(data,))
    ahead.start()
    end = message(b"Z", b"T" if len(begins) > 1 else b"I")
    tail = b""
    while not tail.endswith(end):  # parsing as many answers would take longest
        tail = tail[-len(end) :] + raw.socket.recv(1 << 20)
    ahead.join()
    watch.end()
    assert watch.resident_most - watch.resident_before < 20 << 20
