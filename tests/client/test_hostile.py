"""Bytes no client would send, at every state of the protocol: an answer, a closed socket, and nobody else harmed.

A witness session is open throughout each test and must not notice.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator

import psycopg
import pytest

from tests.client.conftest import Server
from tests.client.raw import Raw, errors, message, startup

pytestmark = pytest.mark.client


@pytest.fixture
def witness(server: Server) -> Iterator[None]:
    """A session with a transaction open while others misbehave."""
    with psycopg.connect(server.dsn) as connection:
        connection.execute("SELECT 1")
        yield
        started = time.monotonic()
        assert connection.execute("SELECT 42").fetchone() == (42,)
        assert time.monotonic() - started < 2
    with psycopg.connect(server.dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.usefixtures("witness")
@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        bytes(8),
        b"\xff" * 64,
        struct.pack("!ii", 7, 196608),
        struct.pack("!ii", 0x7FFFFFFF, 196608),
        struct.pack("!ii", 1 << 20, 196608),
        struct.pack("!ii", -1, 196608),
        struct.pack("!ii", 8, 1 << 16),
        struct.pack("!ii", 8, 131072),
        struct.pack("!ii", 9, 196608) + b"x",
        struct.pack("!ii", 13, 196608) + b"user\0",
        struct.pack("!ii", 8, 80877105),
    ],
    ids=range(13),
)
def test_a_startup_that_is_none(stranger: Raw, data: bytes) -> None:
    stranger.send(data)
    stranger.socket.shutdown(socket.SHUT_WR)
    assert b"Z" not in [kind for kind, _ in stranger.rest()]


@pytest.mark.usefixtures("witness")
def test_ssl_and_gss_are_declined_and_startup_goes_on(server: Server, stranger: Raw) -> None:
    # Debian's PostgreSQL agrees to GSS and then wants it; lfsql has none.
    for code in (80877103, 80877104) if server.tier is not None else (80877103,):
        stranger.send(struct.pack("!ii", 8, code))
        assert stranger.socket.recv(1) == b"N"
    stranger.send(startup(server))
    assert stranger.until(b"Z")[-1] == (b"Z", b"I")


@pytest.mark.usefixtures("witness")
def test_a_newer_minor_version_is_negotiated(server: Server, stranger: Raw) -> None:
    body = struct.pack("!i", 196608 + 2) + f"user\0{server.user}\0database\0{server.database}\0".encode()
    body += b"_pq_.unheard_of\0on\0\0"
    stranger.send(struct.pack("!i", len(body) + 4) + body)
    messages = stranger.until(b"Z")
    negotiated = [body for kind, body in messages if kind == b"v"]
    assert len(negotiated) == 1
    assert b"_pq_.unheard_of" in negotiated[0]


@pytest.mark.usefixtures("witness")
@pytest.mark.parametrize(
    ("more", "sqlstate"),
    [
        ({"database": "no_such_database"}, "3D000"),
        ({"no_such_setting": "1"}, "42704"),
        ({"timezone": "Mars"}, "22023"),
        ({"statement_timeout": "9" * 400}, "22023"),
        ({"server_version": "1"}, "55P02"),
    ],
)
def test_a_startup_with_a_wrong_value(server: Server, stranger: Raw, more: dict[str, str], sqlstate: str) -> None:
    stranger.send(startup(server, **more))
    assert errors(stranger.rest()) == [sqlstate]


@pytest.mark.usefixtures("witness")
@pytest.mark.parametrize("zone", ["99", "<x>99", "24:00"])
def test_a_time_zone_further_away_than_any(lfsql_server: Server, stranger: Raw, zone: str) -> None:
    stranger.send(startup(lfsql_server, TimeZone=zone))
    assert errors(stranger.rest()) == ["22023"]


@pytest.mark.usefixtures("witness")
@pytest.mark.parametrize(
    ("data", "sqlstate"),
    [
        (b"\x00\x00\x00\x00\x00", "08P01"),
        (b"\xfe" + struct.pack("!i", 4), "08P01"),
        (b"Q" + struct.pack("!i", 3), "08P01"),
        (b"Q" + struct.pack("!i", 0), "08P01"),
        (b"Q" + struct.pack("!i", -5), "08P01"),
        (b"Q" + struct.pack("!i", 0x7FFFFFFF), "08P01"),
        (b"R" + struct.pack("!i", 8) + bytes(4), "08P01"),
        (b"p" + struct.pack("!i", 6) + b"x\0", "08P01"),
    ],
    ids=range(8),
)
def test_framing_that_is_lost_ends_the_session(raw: Raw, data: bytes, sqlstate: str) -> None:
    raw.send(data)
    assert errors(raw.rest()) in ([sqlstate], [])


@pytest.mark.usefixtures("witness")
@pytest.mark.parametrize(
    ("data", "sqlstate"),
    [
        (message(b"Q", b"SELECT 1"), "08P01"),
        (message(b"Q", b"SELECT 1\0trailing\0"), "08P01"),
        (message(b"P", b"\0SELECT 1\0\x00\x05"), "08P01"),
        (message(b"P", b""), "08P01"),
        (message(b"B", b"\0absent\0\x00\x00\x00\x00\x00\x00"), "26000"),
        (message(b"P", b"\0SELECT 1\0\x00\x00") + message(b"B", b"\0\0\x00\x01"), "08P01"),
        (message(b"P", b"\0SELECT 1\0\x00\x00") + message(b"B", b"\0\0\xff\xff\xff\xff"), "08P01"),
        (message(b"D", b"X\0"), "08P01"),
        (message(b"D", b"Sabsent\0"), "26000"),
        (message(b"D", b"Pabsent\0"), "34000"),
        (message(b"E", b"absent\0\x00\x00\x00\x00"), "34000"),
        (message(b"E", b"absent"), "08P01"),
        (message(b"C", b"Zx\0"), "08P01"),
        (message(b"F", bytes(8)), "*"),
    ],
    ids=range(14),
)
def test_a_malformed_message_is_answered_and_the_session_goes_on(raw: Raw, data: bytes, sqlstate: str) -> None:
    raw.send(data)
    if data[:1] not in (b"Q", b"F"):
        raw.send(message(b"S"))
    messages = raw.until(b"Z")
    assert len(errors(messages)) == 1
    assert sqlstate in ("*", errors(messages)[0])
    raw.send(message(b"Q", b"SELECT 7\0"))
    messages = raw.until(b"Z")
    assert (b"D", b"\x00\x01\x00\x00\x00\x017") in messages


@pytest.mark.usefixtures("witness")
def test_after_an_error_everything_up_to_sync_is_skipped(raw: Raw) -> None:
    raw.send(
        message(b"P", b"bad\0SELEC\0\x00\x00")
        + message(b"P", b"good\0SELECT 1\0\x00\x00")
        + message(b"B", b"\0good\0\x00\x00\x00\x00\x00\x00")
        + message(b"E", b"\0\x00\x00\x00\x00")
        + message(b"H")
        + message(b"S")
        + message(b"D", b"Sgood\0")
        + message(b"S")
    )
    first, second = raw.until(b"Z"), raw.until(b"Z")
    assert [kind for kind, _ in first] == [b"E", b"Z"]
    assert errors(first) == ["42601"]
    assert errors(second) == ["26000"]


@pytest.mark.usefixtures("witness")
@pytest.mark.parametrize(
    ("parameter", "sqlstate"),
    [(b"\x00", "08P01"), (b"\x00\x00\x00\x00\x00", "22P03"), (b"", "08P01")],
    ids=["short", "long", "empty"],
)
def test_a_binary_parameter_of_a_wrong_length(raw: Raw, parameter: bytes, sqlstate: str) -> None:
    bind = b"\0\0\x00\x01\x00\x01\x00\x01" + struct.pack("!i", len(parameter)) + parameter + b"\x00\x00"
    raw.send(message(b"P", b"\0SELECT $1\0\x00\x01\x00\x00\x00\x17") + message(b"B", bind) + message(b"S"))
    assert errors(raw.until(b"Z")) == [sqlstate]


@pytest.mark.usefixtures("witness")
def test_the_wrong_number_of_parameters(raw: Raw) -> None:
    raw.send(message(b"P", b"\0SELECT $1::int\0\x00\x00") + message(b"B", b"\0\0\x00\x00\x00\x00\x00\x00"))
    raw.send(message(b"S"))
    assert errors(raw.until(b"Z")) == ["08P01"]


@pytest.mark.usefixtures("witness")
@pytest.mark.parametrize("body", [b"SELECT '\xff\xfe'\0", b"SELECT '\xc3\0", b"\xed\xa0\x80\0"])
def test_text_that_is_no_utf8(raw: Raw, body: bytes) -> None:
    raw.send(message(b"Q", body))
    assert errors(raw.until(b"Z")) == ["22021"]


@pytest.mark.usefixtures("witness")
def test_a_query_during_copy_in_fails_the_copy(raw: Raw) -> None:
    raw.send(message(b"Q", b"BEGIN; CREATE TABLE hostile_copy (id int); COPY hostile_copy FROM STDIN\0"))
    raw.until(b"G")
    raw.send(message(b"d", b"1\nnot a number\n") + message(b"c"))
    messages = raw.until(b"Z")
    assert errors(messages) == ["22P02"]
    assert messages[-1] == (b"Z", b"E")
    raw.send(message(b"Q", b"ROLLBACK\0"))
    assert raw.until(b"Z")[-1] == (b"Z", b"I")


@pytest.mark.usefixtures("witness")
def test_copy_messages_without_a_copy_are_ignored(raw: Raw) -> None:
    raw.send(message(b"d", b"1\n") + message(b"c") + message(b"f", b"why\0") + message(b"Q", b"SELECT 7\0"))
    assert errors(raw.until(b"Z")) == []


@pytest.mark.usefixtures("witness")
def test_vanishing_at_every_point(server: Server) -> None:
    whole = startup(server) + message(b"P", b"\0SELECT 1\0\x00\x00") + message(b"S") + message(b"X")
    for cut in range(0, len(whole), 3):
        raw = Raw(server)
        raw.send(whole[:cut])
        raw.socket.close()


@pytest.mark.usefixtures("witness")
def test_bytes_that_arrive_one_at_a_time(server: Server, stranger: Raw) -> None:
    stranger.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in startup(server) + message(b"Q", b"SELECT 7\0"):
        stranger.send(bytes([byte]))
    stranger.until(b"Z")
    assert (b"D", b"\x00\x01\x00\x00\x00\x017") in stranger.until(b"Z")


@pytest.mark.usefixtures("witness")
def test_a_client_that_does_not_read(server: Server) -> None:
    """Results that nobody takes must not pile up: the server waits, and the others go on."""
    raw = Raw(server)
    raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.send(startup(server))
    raw.until(b"Z")
    raw.send(message(b"Q", b"SELECT repeat('x', 1000) FROM generate_series(1, 200000) AS g(n)\0"))
    with psycopg.connect(server.dsn) as other:
        for _ in range(20):
            assert other.execute("SELECT 1").fetchone() == (1,)
    raw.socket.close()


@pytest.mark.usefixtures("witness")
def test_a_cancel_with_a_wrong_key_does_nothing(server: Server, stranger: Raw) -> None:
    with psycopg.connect(server.dsn) as other:
        stranger.send(struct.pack("!iiii", 16, 80877102, other.info.backend_pid, 12345))
        assert stranger.rest() == []
        assert other.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.usefixtures("witness")
def test_a_message_over_the_limit(lfsql_server: Server, raw: Raw) -> None:
    raw.send(b"Q" + struct.pack("!i", (64 << 20) + 5))
    assert errors(raw.rest()) == ["08P01"]


@pytest.mark.usefixtures("witness")
def test_nesting_without_end_is_refused(raw: Raw) -> None:
    for text in (b"SELECT " + b"(" * 100_000 + b"1" + b")" * 100_000, b"SELECT 1" + b"+1" * 200_000):
        raw.send(message(b"Q", text + b"\0"))
        # PostgreSQL's grammar runs out of its own stack (42601) before its limit of depth does.
        assert errors(raw.until(b"Z")) in (["54001"], ["42601"])
