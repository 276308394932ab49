"""While there is no primary, who waits for one waits no longer than it said it would, and can be cancelled."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from lfsql.testing.cluster import Tier, running_tier, wait_until

pytestmark = pytest.mark.client


@pytest.fixture(scope="module")
def headless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tier]:
    """A tier two of whose three nodes are stopped, which its proxy knows."""
    directory: Path = tmp_path_factory.mktemp("headless") / "data"
    with running_tier(directory) as tier, psycopg.connect(tier.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (id int)")
        status = tier.status()
        primary = status["primary"]
        stopped = [node["pid"] for node in sorted(status["nodes"], key=lambda node: node["name"] != primary)[:2]]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:

            def is_headless() -> bool:
                found = connection.execute("SELECT count(*) FROM lfsql.nodes WHERE role = 'primary'").fetchone()
                return found == (0,)

            wait_until(is_headless, 20, "the proxy gives the primary up")
            yield tier
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)


STATEMENTS = [
    ("", "INSERT INTO t VALUES (1)"),
    ("SET lfsql.read_consistency = 'strong'", "SELECT id FROM t"),
    ("SET lfsql.route = 'primary'", "SELECT id FROM t"),
    ("SET lfsql.max_lag_ms = 1", "SELECT id FROM t"),
]


@pytest.mark.parametrize(("before", "statement"), STATEMENTS)
def test_statement_timeout_counts_while_there_is_no_primary(headless: Tier, before: str, statement: str) -> None:
    with psycopg.connect(headless.dsn, autocommit=True) as connection:
        if before:
            connection.execute(before)
        connection.execute("SET statement_timeout = '400ms'")
        for prepare in (False, True):
            started = time.monotonic()
            with pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout"):
                connection.execute(statement, prepare=prepare)
            assert 0.35 < time.monotonic() - started < 3
        assert connection.execute("SHOW lfsql.route").fetchone() is not None


@pytest.mark.parametrize(("before", "statement"), STATEMENTS)
def test_waiting_for_a_primary_can_be_cancelled(headless: Tier, before: str, statement: str) -> None:
    with psycopg.connect(headless.dsn, autocommit=True) as connection:
        if before:
            connection.execute(before)
        timer = threading.Timer(0.4, connection.cancel)
        timer.start()
        started = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled, match="user request"):
            connection.execute(statement)
        assert time.monotonic() - started < 3
        timer.join()
