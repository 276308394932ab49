"""Pages of a replica's data.db are damaged: its clients see nothing of it."""

from __future__ import annotations

import os
import random
from pathlib import Path

import psycopg
import pytest

from lfsql.config import Balancing
from lfsql.testing.cluster import running_tier
from tests.client.conftest import route_of
from tests.client.test_balancing import remote_proxy, replicas, state_of

pytestmark = pytest.mark.client

PAGE_BYTES = 4096
ROWS = 5_000
MARK = "abcdefgh"


def damage(path: Path) -> int:
    """Overwrite the pages that hold rows; how many there were."""
    noise = random.Random(1)
    content = path.read_bytes()
    places = [at for at in range(0, len(content), PAGE_BYTES) if 2 * MARK.encode() in content[at : at + PAGE_BYTES]]
    file = os.open(path, os.O_WRONLY)
    for at in places:
        os.pwrite(file, noise.randbytes(PAGE_BYTES), at)
    os.close(file)
    return len(places)


@pytest.mark.parametrize("files", [False, True])
def test_reads_go_elsewhere_when_a_replica_has_damaged_pages(tmp_path: Path, files: bool) -> None:
    with running_tier(tmp_path / "data") as tier, psycopg.connect(tier.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
        connection.execute(f"INSERT INTO t SELECT x, repeat('{MARK}', 100) FROM generate_series(1, {ROWS}) AS g(x)")
    # Stopped, the nodes have everything in data.db, nothing in its write-ahead log.
    patient = Balancing(unanswered_ms_max=5_000)
    with (
        running_tier(tmp_path / "data") as tier,
        remote_proxy(tier, tmp_path, patient, {}, files=files) as dsn,
        psycopg.connect(dsn, autocommit=True) as reader,
    ):
        damaged = replicas(tier)[0]
        assert damage(tmp_path / "data" / damaged / "data.db") > 100
        states = set()
        for number in range(1, 121):
            way = number % 3
            if way == 0:
                found = reader.execute(f"SELECT v FROM t WHERE id = {number * 40}").fetchone()
                assert found == (MARK * 100,)
            elif way == 1:
                found = reader.execute(
                    "SELECT length(v) FROM t WHERE id = %s", (number * 40,), prepare=True
                ).fetchone()
                assert found == (8 * 100,)
            else:
                found = reader.execute("SELECT sum(length(v)), max(v) FROM t").fetchone()
                assert found == (ROWS * 800, MARK * 100)
            assert route_of(reader)["node"] != damaged
            states.add(state_of(reader, damaged))
        assert states - {"serving"}, "it is taken out of the choice"
        with psycopg.connect(dsn) as later:
            assert later.execute("SELECT 1").fetchone() == (1,), "the worker lives"
