"""pgbench, unmodified: its tables, its three scripts, in each protocol mode, with 16 clients and no failure."""

from __future__ import annotations

import re
import subprocess

import psycopg
import pytest

from tests.client.conftest import Server, program

pytestmark = pytest.mark.client


def pgbench(server: Server, *arguments: str) -> str:
    done = subprocess.run(
        [program("pgbench"), *arguments],
        env=server.environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def initialised(server: Server) -> Server:
    pgbench(server, "-i", "-s", "1", "-q")
    return server


def test_initialisation_fills_the_tables(initialised: Server) -> None:
    with psycopg.connect(initialised.dsn) as connection:
        counts = connection.execute(
            "SELECT (SELECT count(*) FROM pgbench_accounts), (SELECT count(*) FROM pgbench_branches), "
            "(SELECT count(*) FROM pgbench_tellers), (SELECT sum(abalance) FROM pgbench_accounts)"
        ).fetchone()
        assert counts == (100_000, 1, 10, 0)


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
@pytest.mark.parametrize("script", ["tpcb-like", "simple-update", "select-only"])
def test_no_transaction_fails(initialised: Server, script: str, mode: str) -> None:
    transactions = 100 if script == "select-only" else 20
    output = pgbench(initialised, "-n", "-b", script, "-M", mode, "-c", "16", "-j", "2", "-t", str(transactions))
    wanted = 16 * transactions
    assert f"number of transactions actually processed: {wanted}/{wanted}" in output
    failed = re.search(r"number of failed transactions: (\d+) ", output)
    assert failed is not None
    assert failed[1] == "0"


def test_the_books_balance(initialised: Server) -> None:
    """Each of the default script's transactions adds one delta to three tables and writes it to the fourth."""
    pgbench(initialised, "-i", "-s", "1", "-q")
    pgbench(initialised, "-n", "-M", "prepared", "-c", "16", "-j", "2", "-t", "10")
    with psycopg.connect(initialised.dsn) as connection:
        sums = connection.execute(
            "SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(bbalance) FROM pgbench_branches), "
            "(SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(delta) FROM pgbench_history), "
            "(SELECT count(*) FROM pgbench_history)"
        ).fetchone()
    assert sums is not None
    assert sums[4] == 160
    assert len(set(sums[:4])) == 1, sums


def test_the_other_ways_to_initialise(initialised: Server) -> None:
    """Rows made by the server (G), foreign keys (f), vacuum (v), primary keys (p)."""
    pgbench(initialised, "-i", "-s", "1", "-q", "-I", "dtGvpf")
    with psycopg.connect(initialised.dsn) as connection:
        counted = connection.execute("SELECT count(*), min(aid), max(aid) FROM pgbench_accounts").fetchone()
        assert counted == (100_000, 1, 100_000)
    pgbench(initialised, "-i", "-I", "d")
    pgbench(initialised, "-i", "-s", "1", "-q")
