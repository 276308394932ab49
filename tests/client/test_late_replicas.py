"""Levels and limits hold when replicas are up to five seconds late, and what receipts tell is true.

One run: real nodes that hold back what they apply at random, three proxies as they are (two workers that read files,
one that reads over links), and for each check of the router a proxy that has it switched off.  Sessions of every
level write and read at all of them; then the checkers must find nothing at the first, and its fault at each of the
others.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import msgspec
import psycopg
import pytest

from lfsql.cli import layout
from lfsql.config import NodeFaults, load_proxy, read, to_toml
from lfsql.testing.checkers.staleness import check_staleness
from lfsql.testing.cluster import free_port, running_tier, wait_until
from tests.client.late_sessions import KEYS, Client, History
from tests.client.planted_proxy import FAULTS
from tests.client.proxies import dsn, proxy

pytestmark = pytest.mark.client

RUN_S = 20.0
DELAY_MS_MAX = 5_000
LEVELS = ("write", "write", "session", "follow", "bounded", "bounded", "strong", "strong", "any")
OF_FAULT = {
    "sessions-forget": ("write", "session", "follow"),
    "limits-are-ignored": ("bounded", "bounded"),
    "snapshots-ignore-limits": ("bounded", "bounded"),
    "strong-reads-do-not-ask": ("strong", "strong"),
    "receipts-flatter": ("any",),
}
"""What the sessions at a proxy with a fault do: what should find it."""


@contextmanager
def late_tier(directory: Path, seed: int) -> Iterator[dict[str, str]]:
    """The addresses of proxies by name: of those as they are "files" and "links", of the others their faults."""
    made = layout.prepare(directory, 3, free_port(), port_given=True, workers=2)
    for node in made.nodes:
        path = made.node_file(node.name)
        faults = NodeFaults(apply_delay_ms_max=DELAY_MS_MAX, seed=seed)
        path.write_text(to_toml(msgspec.structs.replace(read(path, type(node)), faults=faults)))
    with ExitStack() as stack:
        tier = stack.enter_context(running_tier(directory))
        config = msgspec.structs.replace(load_proxy(directory / "proxy.toml"), workers=1)
        found = {"files": f"127.0.0.1:{tier.port}"}
        remote = tuple(msgspec.structs.replace(node, data_dir="") for node in config.nodes)
        alone = msgspec.structs.replace(config, nodes=remote, listen=f"127.0.0.1:{free_port()}")
        found["links"] = stack.enter_context(proxy(directory / "links", alone, "lfsql", "proxy", "--config"))
        for fault in FAULTS:
            known = remote if fault == "snapshots-ignore-limits" else config.nodes
            planted = msgspec.structs.replace(config, nodes=known, listen=f"127.0.0.1:{free_port()}")
            command = ("tests.client.planted_proxy", fault)
            found[fault] = stack.enter_context(proxy(directory / fault, planted, *command))
        yield found


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    if os.environ.get("LFSQL_TEST_DSN"):
        pytest.skip("LFSQL_TEST_DSN: a test of lfsql's own")
    seed = int(os.environ.get("LFSQL_TEST_SEED") or time.time_ns() % 1_000_000)
    print(f"seed {seed}")
    random = Random(seed)
    history = History()
    enough = threading.Event()
    with late_tier(tmp_path_factory.mktemp("late") / "tier", seed) as proxies:
        with psycopg.connect(dsn(proxies["files"]), autocommit=True) as connection:
            connection.execute("CREATE TABLE registers (key text PRIMARY KEY, value bigint NOT NULL)")
            for key in KEYS:
                connection.execute("INSERT INTO registers VALUES (%s, 0)", (key,))
            token = connection.execute("SHOW lfsql.last_index").fetchone()
            assert token is not None
            history.token.index = int(token[0])
            reached = f"SELECT min(applied_index) >= {history.token.index} FROM lfsql.nodes"
            wait_until(lambda: connection.execute(reached).fetchone() == (True,), 30, "replicas that know the table")
        clients = [
            Client(name, dsn(address), level, number, history, Random(random.random()), enough)
            for name, address in proxies.items()
            for number, level in enumerate(OF_FAULT.get(name, LEVELS))
        ]
        for client in clients:
            client.start()
        enough.wait(RUN_S)
        enough.set()
        for client in clients:
            client.join()
    assert history.failures == []
    return history


HONEST = ("files", "links")


def kinds(found: object) -> set[str]:
    assert isinstance(found, tuple)
    return {anomaly.kind for anomaly in found}


def test_the_run_was_one(history: History) -> None:
    assert len(history.made) > 100
    for name in HONEST:
        told = history.of_proxy[name]
        assert len(told.bounded) > 100
        assert len(told.snapshots) > 30
        assert len(told.strong) > 100
        assert ("session", "replica") in told.nodes
        assert ("bounded", "replica") in told.nodes
        assert history.stalest_s(name) > 1, "replicas were late, and `any` shows it"


@pytest.mark.parametrize("name", HONEST)
def test_sessions_read_what_they_wrote_saw_and_were_handed(history: History, name: str) -> None:
    assert history.sessions(name) == ()


@pytest.mark.parametrize("name", HONEST)
def test_no_read_is_staler_than_its_limits_nor_than_it_was_told(history: History, name: str) -> None:
    assert history.staleness(name) == ()


@pytest.mark.parametrize("name", HONEST)
def test_strong_reads_are_linearizable(history: History, name: str) -> None:
    assert history.strong(name) == ()


def test_sessions_that_forget_are_found(history: History) -> None:
    assert kinds(history.sessions("sessions-forget")) == {"read-your-writes", "monotonic-reads"}


def test_limits_that_are_ignored_are_found(history: History) -> None:
    assert kinds(history.staleness("limits-are-ignored")) == {"too-stale", "too-many-entries", "told-over-limit"}


def test_snapshots_that_ignore_limits_are_found(history: History) -> None:
    name = "snapshots-ignore-limits"
    assert {"too-stale", "too-many-entries", "told-over-limit"} <= kinds(history.staleness(name))
    told = history.of_proxy[name]
    alone = [each for each in told.bounded if each not in told.snapshots]
    assert check_staleness(history.made, alone) == (), "reads alone keep them"


def test_strong_reads_that_do_not_ask_are_found(history: History) -> None:
    assert kinds(history.strong("strong-reads-do-not-ask")) == {"not-linearizable"}


def test_receipts_that_flatter_are_found(history: History) -> None:
    assert kinds(history.staleness("receipts-flatter")) == {"staleness-understated"}
