"""LISTEN and NOTIFY with real clients: through several proxies and a failover, and what they promise of reads."""

from __future__ import annotations

import asyncio
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import psycopg
import psycopg2
import pytest

from lfsql.config import ListenerConfig, ProxyLimits, load_proxy, to_toml
from lfsql.testing.cluster import Tier, free_port, running_tier, wait_until
from tests.client.conftest import Server, program
from tests.client.raw import Raw, fields, message, startup

pytestmark = pytest.mark.client

HEARD_S_MAX = 20.0


class Proxy:
    """One more proxy on a tier's nodes, as a process of its own."""

    def __init__(self, tier: Tier, directory: Path, **changes: Any) -> None:
        self.port = free_port()
        config = load_proxy(tier.directory / "proxy.toml")
        config = msgspec.structs.replace(config, listen=f"127.0.0.1:{self.port}", workers=1, **changes)
        directory.mkdir()
        (directory / "proxy.toml").write_text(to_toml(config))
        self.dsn = f"postgresql://lfsql@127.0.0.1:{self.port}/lfsql"
        with (directory / "out").open("w") as sink:
            command = [sys.executable, "-m", "lfsql", "proxy", "--config", str(directory / "proxy.toml")]
            self.process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT)  # our own program
        wait_until(self.answers, 20, "the second proxy")

    def answers(self) -> bool:
        try:
            with psycopg.connect(self.dsn, connect_timeout=5) as connection:
                return connection.execute("SELECT count(*) FROM lfsql.nodes WHERE healthy").fetchone() == (3,)
        except psycopg.Error:
            return False

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture(scope="module")
def small(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy that lets little wait, with an address for reading only."""
    if server.tier is None:
        pytest.skip("LFSQL_TEST_DSN: a test of lfsql's own")
    read_only = ListenerConfig(address=f"127.0.0.1:{free_port()}", purpose="read-only")
    proxy = Proxy(
        server.tier,
        tmp_path_factory.mktemp("small") / "proxy",
        limits=ProxyLimits(notification_bytes_max=100_000),
        listeners=(read_only,),
    )
    yield proxy
    proxy.end()


def payloads(connection: psycopg.Connection[Any], count: int) -> list[str]:
    return [each.payload for each in connection.notifies(timeout=HEARD_S_MAX, stop_after=count)]


# -- Drivers -----------------------------------------------------------------------------------------------


def test_psycopg(server: Server, autocommit: psycopg.Connection) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as listener:
        listener.execute("LISTEN news")
        autocommit.execute("SELECT pg_notify(%s, %s)", ("news", "by parameters"))
        with autocommit.transaction():
            autocommit.execute("NOTIFY news, 'in a block'")
        found = list(listener.notifies(timeout=HEARD_S_MAX, stop_after=2))
        assert [(each.channel, each.payload) for each in found] == [("news", "by parameters"), ("news", "in a block")]
        assert {each.pid for each in found} == {autocommit.info.backend_pid}
        assert autocommit.execute("SELECT pg_backend_pid()").fetchone() == (autocommit.info.backend_pid,)


def test_psycopg2(server: Server, autocommit: psycopg.Connection) -> None:
    listener = psycopg2.connect(server.dsn)
    try:
        listener.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_AUTOCOMMIT)
        cursor = listener.cursor()
        cursor.execute("LISTEN old")
        cursor.execute("NOTIFY old, 'own'")
        assert [(each.pid, each.payload) for each in listener.notifies] == [(listener.get_backend_pid(), "own")]
        listener.notifies.clear()
        autocommit.execute("NOTIFY old, 'asleep'")
        assert select.select([listener], [], [], HEARD_S_MAX)[0] == [listener]
        listener.poll()
        assert [(each.channel, each.payload) for each in listener.notifies] == [("old", "asleep")]
    finally:
        listener.close()


def test_asyncpg(server: Server) -> None:
    async def body() -> list[tuple[int, str, str]]:
        listener, other = await asyncpg.connect(server.dsn), await asyncpg.connect(server.dsn)
        heard: asyncio.Queue[tuple[int, str, str]] = asyncio.Queue()
        try:
            await listener.add_listener("jobs", lambda _, *told: heard.put_nowait(told))
            await other.execute("NOTIFY jobs, 'one'")
            async with other.transaction():
                await other.execute("SELECT pg_notify($1, $2)", "jobs", "two")
            own, others = listener.get_server_pid(), other.get_server_pid()
            assert own != others
            found = [await asyncio.wait_for(heard.get(), HEARD_S_MAX) for _ in range(2)]
            assert found == [(others, "jobs", "one"), (others, "jobs", "two")]
            await listener.remove_listener("jobs", print)
            return found
        finally:
            await listener.close()
            await other.close()

    asyncio.run(body())


def test_psql_prints_them(server: Server) -> None:
    text = "LISTEN news;\nNOTIFY news, 'hello';\nSELECT 1;\n"
    command = [program("psql"), "-X", "-q", "-A", "-t"]
    done = subprocess.run(
        command, env=server.environment, input=text, capture_output=True, text=True, timeout=60, check=True
    )
    first, second = done.stdout.splitlines()
    assert first.startswith('Asynchronous notification "news" with payload "hello" received from server process with')
    assert second == "1"


# -- Promises ----------------------------------------------------------------------------------------------


def test_who_is_told_of_a_transaction_sees_it(server: Server, autocommit: psycopg.Connection, table: str) -> None:
    """In the session that is told, and in every other of the same worker, at the consistency that is the default."""
    autocommit.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
    dsn = server.dsn
    with psycopg.connect(dsn, autocommit=True) as listener, psycopg.connect(dsn, autocommit=True) as reader:
        listener.execute("LISTEN rows")
        for number in range(50):
            autocommit.execute(
                f"INSERT INTO {table} VALUES (%s) RETURNING pg_notify('rows', id::text)",
                (number,),
            )
            assert payloads(listener, 1) == [str(number)]
            assert reader.execute(f"SELECT max(id) FROM {table}").fetchone() == (number,)
            assert listener.execute(f"SELECT max(id) FROM {table}").fetchone() == (number,)


def test_a_transaction_that_listens_is_told_when_it_ends(server: Server, autocommit: psycopg.Connection) -> None:
    with psycopg.connect(server.dsn) as listener, psycopg.connect(server.dsn, autocommit=True) as idle:
        listener.execute("LISTEN later")
        listener.commit()
        listener.execute("SELECT 1")
        idle.execute("LISTEN later")
        autocommit.execute("NOTIFY later, 'while it is open'")
        assert payloads(idle, 1) == ["while it is open"]
        assert list(listener.notifies(timeout=0.1)) == []
        listener.commit()
        assert payloads(listener, 1) == ["while it is open"]


def test_an_address_for_reading_listens_and_does_not_notify(small: Proxy, autocommit: psycopg.Connection) -> None:
    address = load_proxy(Path(small.process.args[-1])).listeners[0].address  # type: ignore[index,arg-type]  # our own list
    with psycopg.connect(f"postgresql://lfsql@{address}/lfsql", autocommit=True) as listener:
        listener.execute("LISTEN news")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction, match="cannot execute NOTIFY during recovery"):
            listener.execute("NOTIFY news")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            listener.execute("SELECT pg_notify('news', '')")
        autocommit.execute("NOTIFY news, 'heard'")
        assert payloads(listener, 1) == ["heard"]


@pytest.mark.parametrize("in_block", [False, True])
def test_a_client_that_does_not_take_its_notifications_is_ended(
    lfsql_server: Server, small: Proxy, autocommit: psycopg.Connection, in_block: bool
) -> None:
    """And others hear everything."""
    slow = Raw(Server("127.0.0.1", small.port, "lfsql", "lfsql"))
    with psycopg.connect(small.dsn, autocommit=True) as quick:
        quick.execute("LISTEN flood")
        slow.send(startup(lfsql_server))
        slow.until(b"Z")
        slow.send(message(b"Q", b"LISTEN flood\0"))
        slow.until(b"Z")
        if in_block:
            slow.send(message(b"Q", b"BEGIN\0"))
            slow.until(b"Z")
        count = 30 if in_block else 1_500
        for number in range(count):
            autocommit.execute(f"SELECT pg_notify('flood', '{number:7}' || repeat('x', 7000))")
            assert payloads(quick, 1)[0].startswith(f"{number:7}")
        assert quick.execute("SELECT pg_notification_queue_usage()").fetchone() == (0.0,)
        rest = slow.rest()
        if in_block:
            ((kind, body),) = rest
            assert kind == b"E"
            assert fields(body)["C"] == "53000"
            assert fields(body)["S"] == "FATAL"
        else:
            # It was ended in the middle of what had been sent: nothing more can be said to it.
            assert 10 < len([kind for kind, _ in rest if kind == b"A"]) < count
    slow.socket.close()


def test_a_client_that_reads_late_is_told_everything(lfsql_server: Server, autocommit: psycopg.Connection) -> None:
    """More than its socket holds: what comes while it is being sent waits, and goes out with the rest."""
    late, count = Raw(lfsql_server), 1_000
    late.send(startup(lfsql_server))
    late.until(b"Z")
    late.send(message(b"Q", b"LISTEN late\0"))
    late.until(b"Z")
    for number in range(count):
        autocommit.execute(f"SELECT pg_notify('late', '{number:7}' || repeat('x', 7000))")
    for number in range(count):
        found = late.receive()
        assert found is not None
        assert found[0] == b"A"
        assert found[1][4:16] == b"late\0" + b"%7d" % number
    late.socket.close()


# -- Failover ----------------------------------------------------------------------------------------------


class Listening(threading.Thread):
    """Hears everything until 'the end'."""

    def __init__(self, dsn: str) -> None:
        super().__init__(daemon=True)
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.connection.execute("LISTEN events")
        self.heard: list[str] = []
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            for each in self.connection.notifies():
                if each.payload == "the end":
                    break
                self.heard.append(each.payload)
        except psycopg.Error as error:
            self.error = error
        finally:
            self.connection.close()


class Notifying(threading.Thread):
    """Notifies of ever higher numbers, by turns alone and with a row."""

    def __init__(self, dsn: str, name: str) -> None:
        super().__init__(daemon=True, name=name)
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.acknowledged: list[str] = []
        self.error: Exception | None = None
        self.enough = threading.Event()

    def run(self) -> None:
        number = 0
        try:
            while not self.enough.is_set():
                number += 1
                payload = f"{self.name} {number}"
                if number % 3:
                    self.connection.execute(f"NOTIFY events, '{payload}'")
                else:
                    self.connection.execute(
                        "INSERT INTO rows (value) VALUES (%s) RETURNING pg_notify('events', value)", (payload,)
                    )
                self.acknowledged.append(payload)
        except psycopg.Error as error:
            self.error = error
        finally:
            self.connection.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_every_listener_hears_the_same_once_through_a_failover(tmp_path: Path, number: signal.Signals) -> None:
    with running_tier(tmp_path / "data", "--workers", "2") as tier:
        second = Proxy(tier, tmp_path / "second")
        try:
            with psycopg.connect(tier.dsn, autocommit=True) as connection:
                connection.execute("CREATE TABLE rows (id bigserial PRIMARY KEY, value text)")
            dsns = [tier.dsn, tier.dsn, tier.dsn, tier.dsn, second.dsn, second.dsn]
            listeners = [Listening(dsn) for dsn in dsns]
            writers = [Notifying(dsn, f"w{place}") for place, dsn in enumerate([tier.dsn, tier.dsn, second.dsn])]
            for thread in (*listeners, *writers):
                thread.start()
            wait_until(lambda: all(len(writer.acknowledged) > 100 for writer in writers), 30, "notifications before")
            tier.kill(tier.primary()["name"], number)
            counts = [len(writer.acknowledged) for writer in writers]
            wait_until(
                lambda: all(
                    len(writer.acknowledged) > count + 100 or writer.error
                    for writer, count in zip(writers, counts, strict=True)
                ),
                30,
                "notifications after",
            )
            for writer in writers:
                writer.enough.set()
            for writer in writers:
                writer.join(20)
            assert [writer.error for writer in writers] == [None] * len(writers)
            with psycopg.connect(second.dsn, autocommit=True) as connection:
                connection.execute("NOTIFY events, 'the end'")
            for listener in listeners:
                listener.join(20)
            assert [listener.error for listener in listeners] == [None] * len(listeners)
            assert not any(listener.is_alive() for listener in listeners)
        finally:
            second.end()
    heard = listeners[0].heard
    assert all(listener.heard == heard for listener in listeners), "all hear the same, in the same order"
    assert len(heard) == len(set(heard)), "nothing is heard twice"
    for writer in writers:
        own = [payload for payload in heard if payload.split()[0] == writer.name]
        assert own == sorted(own, key=lambda payload: int(payload.split()[1]))
        assert set(writer.acknowledged) <= set(own), "what was acknowledged is heard"
    assert len(heard) > 600
