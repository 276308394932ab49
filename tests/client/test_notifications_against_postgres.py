"""LISTEN and NOTIFY as PostgreSQL has them: the same steps on the wire, here and there.

What a session notifies itself of is compared in its place among the answers; what others notify it of, which arrives
when it arrives, by what and in which order.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

import psycopg.conninfo
import pytest

from tests.client.conftest import Server
from tests.client.raw import SYNC, Raw, bind, fields, message

pytestmark = pytest.mark.client

LONG = "x" * 63
CUT = "42622"
"""PostgreSQL's notice that an identifier was cut, of which nobody is told here."""

SCRIPTS: dict[str, list[str]] = {
    "a notification reaches who listens, once each": [
        "A: LISTEN news",
        "B: LISTEN news",
        "A: NOTIFY news",
        "B: NOTIFY news, 'from b'",
        "C: NOTIFY news, 'from c'",
        "C: NOTIFY other, 'nobody'",
    ],
    "what was committed before LISTEN is not told": ["B: NOTIFY a, '1'", "A: LISTEN a", "B: NOTIFY a, '2'"],
    "order, and equal ones once": [
        "A: LISTEN a",
        "A: LISTEN b",
        "B: BEGIN",
        "B: NOTIFY b, '1'",
        "B: NOTIFY a, '1'",
        "B: NOTIFY b, '1'",
        "B: NOTIFY b, '2'",
        "B: NOTIFY a, '1'",
        "B: COMMIT",
        "B: NOTIFY b, '1'",
        "B: NOTIFY b, '1'",
    ],
    "rolled back": [
        "A: LISTEN a",
        "B: BEGIN",
        "B: NOTIFY a, 'gone'",
        "B: ROLLBACK",
        "B: BEGIN",
        "B: NOTIFY a, 'gone'",
        "B: SELECT 1/0",
        "B: COMMIT",
        "B: NOTIFY a; SELECT 1/0",
        "B: NOTIFY a, '1'; NOTIFY a, '2'",
    ],
    "savepoints": [
        "A: LISTEN a",
        "B: BEGIN",
        "B: NOTIFY a, '1'",
        "B: SAVEPOINT s",
        "B: NOTIFY a, '1'",
        "B: NOTIFY a, '2'",
        "B: SAVEPOINT t",
        "B: NOTIFY a, '3'",
        "B: SELECT 1/0",
        "B: ROLLBACK TO s",
        "B: NOTIFY a, '4'",
        "B: NOTIFY a, '2'",
        "B: SAVEPOINT u",
        "B: NOTIFY a, '5'",
        "B: RELEASE u",
        "B: COMMIT",
    ],
    "one's own come before one is ready": [
        "A: LISTEN a",
        "A: NOTIFY a, 'alone'",
        "A: SELECT pg_notify('a', 'by function')",
        "A: BEGIN",
        "A: NOTIFY a, 'in a block'",
        "A: SELECT 1",
        "A: COMMIT",
        "A: NOTIFY a, 'one'; SELECT 2; NOTIFY a, 'two'",
        "A: BEGIN; NOTIFY a, 'three'; COMMIT; SELECT 3",
    ],
    "LISTEN and NOTIFY in one transaction": [
        "A: BEGIN",
        "A: NOTIFY a, 'before'",
        "A: LISTEN a",
        "A: NOTIFY a, 'after'",
        "A: COMMIT",
        "A: BEGIN",
        "A: NOTIFY a, 'not any more'",
        "A: UNLISTEN a",
        "A: COMMIT",
    ],
    "LISTEN counts when it commits": [
        "A: BEGIN",
        "A: LISTEN a",
        "A: SELECT pg_listening_channels()",
        "A: ROLLBACK",
        "A: SELECT pg_listening_channels()",
        "A: LISTEN a; SELECT 1/0",
        "A: SELECT pg_listening_channels()",
        "B: NOTIFY a, 'nobody'",
        "A: BEGIN",
        "A: LISTEN a",
        "A: SAVEPOINT s",
        "A: LISTEN b",
        "A: UNLISTEN a",
        "A: ROLLBACK TO s",
        "A: LISTEN c",
        "A: COMMIT",
        "A: SELECT * FROM pg_listening_channels() ORDER BY 1",
        "A: SELECT count(*) FROM pg_listening_channels() AS l(channel) WHERE channel <> 'a'",
        "A: BEGIN",
        "A: UNLISTEN *",
        "A: ROLLBACK",
        "B: NOTIFY c, 'heard'",
    ],
    "UNLISTEN": [
        "A: LISTEN a",
        "A: LISTEN a",
        "A: LISTEN b",
        "A: UNLISTEN b",
        "A: UNLISTEN none",
        "B: NOTIFY a, '1'",
        "B: NOTIFY b, '1'",
        "A: UNLISTEN *",
        "B: NOTIFY a, '2'",
        "A: LISTEN a",
        "A: DISCARD ALL",
        "B: NOTIFY a, '3'",
        "A: SELECT pg_listening_channels()",
    ],
    "UNLISTEN and LISTEN again": [
        "A: LISTEN a",
        "A: BEGIN; UNLISTEN *; LISTEN a; LISTEN b; COMMIT",
        "B: NOTIFY a, '1'",
    ],
    "names": [
        "A: LISTEN News",
        'A: LISTEN "News"',
        f"A: LISTEN {LONG}yz",
        "B: NOTIFY NEWS, 'folded'",
        "B: NOTIFY \"News\", 'quoted'",
        "B: SELECT pg_notify('News', 'as it is')",
        "B: SELECT pg_notify('NEWS', 'nobody')",
        f"B: NOTIFY {LONG}ab, 'cut'",
        f"B: SELECT pg_notify('{LONG}', 'just fits')",
        f"B: SELECT pg_notify('{LONG}y', 'too long')",
        "B: SELECT pg_notify('', 'empty')",
        "B: SELECT pg_notify(NULL, 'empty')",
        "B: SELECT pg_notify('News', NULL)",
        'B: NOTIFY ""',
        "B: NOTIFY",
        "B: NOTIFY a 'b'",
        "B: NOTIFY a, b",
        "B: LISTEN",
        "B: LISTEN *",
        "B: UNLISTEN",
    ],
    "payloads": [
        "A: LISTEN a",
        f"B: NOTIFY a, '{'p' * 7999}'",
        f"B: NOTIFY a, '{'p' * 8000}'",
        "B: SELECT pg_notify('a', repeat('é', 3999))",
        "B: SELECT pg_notify('a', repeat('é', 4000))",
        "B: NOTIFY a, 'it''s \\ ü'",
        "B: SELECT pg_notify('a', 5)",
        "B: SELECT pg_notify('a')",
    ],
    "from rows": [
        "A: LISTEN rows",
        "B: CREATE TABLE notified (n int PRIMARY KEY)",
        "B: INSERT INTO notified VALUES (1), (2), (3)",
        "B: SELECT pg_notify('rows', n::text) FROM notified ORDER BY n DESC",
        "B: SELECT count(pg_notify('rows', 'counted ' || n)) FROM notified WHERE n > 1",
        "B: SELECT n FROM notified WHERE pg_notify('rows', 'where ' || n) IS NOT NULL AND n = 2",
        "B: INSERT INTO notified VALUES (4) RETURNING pg_notify('rows', 'new ' || n), n",
        "B: INSERT INTO notified VALUES (5), (1) RETURNING pg_notify('rows', 'fails ' || n)",
        "B: UPDATE notified SET n = n + 10 WHERE n = 4 RETURNING pg_notify('rows', 'now ' || n)",
        "B: SELECT pg_notify('rows', 'x') FROM notified WHERE false",
        "B: DROP TABLE notified",
    ],
    "READ ONLY transactions": [
        "A: LISTEN a",
        "B: BEGIN READ ONLY",
        "B: SELECT 1",
        "B: NOTIFY a, '1'",
        "B: SAVEPOINT s",
        "B: NOTIFY a, '2'",
        "B: ROLLBACK TO s",
        "B: NOTIFY a, '3'",
        "B: SELECT 2",
        "C: NOTIFY a, 'meanwhile'",
        "B: COMMIT",
        "B: BEGIN READ ONLY",
        "B: NOTIFY a, 'gone'",
        "B: ROLLBACK",
        "B: SET default_transaction_read_only = on",
        "B: NOTIFY a, '4'",
        "B: LISTEN a",
        "B: NOTIFY a, '5'",
    ],
    "a listener in a transaction hears when it ends": [
        "A: LISTEN a",
        "A: BEGIN",
        "B: NOTIFY a, '1'",
        "A: SELECT 1",
        "A: SELECT 1/0",
        "B: NOTIFY a, '2'",
        "A: ROLLBACK",
    ],
    "the extended protocol": [
        "A: LISTEN a",
        "A+ NOTIFY a, 'one'",
        "A+ SELECT pg_notify('a', 'two') | SELECT 1",
        "A+ NOTIFY a, 'three' | SELECT no_such_column",
        "A+ UNLISTEN a | LISTEN b",
        "B: NOTIFY a, 'nobody'",
        "B+ NOTIFY b, 'four' | NOTIFY b, 'five'",
        "A+ LISTEN c | SELECT no_such_column",
        "A: SELECT pg_listening_channels()",
    ],
    "nothing waits": ["A: SELECT pg_notification_queue_usage()", "A: SELECT pg_listening_channels()"],
}


class Player(Raw):
    """One session."""

    def __init__(self, address: dict[str, Any]) -> None:
        host = str(address["host"])
        if host.startswith("/"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(10)
            self.socket.connect(f"{host}/.s.PGSQL.5432")
        else:
            self.socket = socket.create_connection((host, address["port"]), timeout=10)
        self.pending = b""
        body = struct.pack("!i", 196608) + f"user\0{address['user']}\0database\0{address['dbname']}\0\0".encode()
        self.send(struct.pack("!i", len(body) + 4) + body)
        started = dict(self.until(b"Z"))
        self.pid = struct.unpack("!i", started[b"K"][:4])[0]
        self.others: list[tuple[int, bytes]] = []
        """What other sessions notified this one of: process id, channel and payload."""

    def play(self, data: bytes) -> list[object]:
        self.send(data)
        told: list[object] = []
        for kind, body in self.until(b"Z"):
            if kind == b"A":
                pid = struct.unpack("!i", body[:4])[0]
                if pid != self.pid:
                    self.others.append((pid, body[4:]))
                    continue
                body = body[4:]
            if kind in b"EN":
                found = fields(body)
                if found["C"] == CUT:
                    continue
                told.append((kind, found["C"], found["M"]))
            elif kind not in b"ST":
                told.append((kind, body))
        return told

    def finish(self) -> None:
        """What was notified before this comes before it."""
        self.play(query("LISTEN the_end"))
        told = self.play(query("NOTIFY the_end"))
        assert (b"A", b"the_end\0\0") in told


def query(text: str) -> bytes:
    return message(b"Q", text.encode() + b"\0")


def pipeline(text: str) -> bytes:
    pieces = [
        message(b"P", b"\0" + each.strip().encode() + b"\0\0\0") + bind(b"") + message(b"E", b"\0\0\0\0\0")
        for each in text.split("|")
    ]
    return b"".join(pieces) + SYNC


def play(address: dict[str, Any], steps: list[str]) -> tuple[list[object], dict[str, list[tuple[str, bytes]]]]:
    players: dict[str, Player] = {}
    told: list[object] = []
    try:
        for step in steps:
            name, mark, text = step[0], step[1], step[3:]
            if name not in players:
                players[name] = Player(address)
            told.append(players[name].play(query(text) if mark == ":" else pipeline(text)))
        names = {player.pid: name for name, player in players.items()}
        for player in players.values():
            player.finish()
        heard = {
            name: [(names[pid], body) for pid, body in player.others if body != b"the_end\0\0"]
            for name, player in players.items()
        }
    finally:
        for player in players.values():
            player.socket.close()
    return told, heard


@pytest.mark.parametrize("name", SCRIPTS)
def test_notifications_are_postgres(lfsql_server: Server, postgres_dsn: str, name: str) -> None:
    steps = SCRIPTS[name]
    there, heard_there = play(psycopg.conninfo.conninfo_to_dict(postgres_dsn), steps)
    server = lfsql_server
    here, heard_here = play(
        {"host": server.host, "port": server.port, "user": server.user, "dbname": server.database}, steps
    )
    differ = [
        f"{step}\n    PostgreSQL {wanted}\n    lfsql      {found}"
        for step, wanted, found in zip(steps, there, here, strict=True)
        if wanted != found
    ]
    assert not differ, "\n".join(differ)
    assert heard_here == heard_there
