"""A node's data.db is moved away and made again, as docs say: the proxy on its host has the old one open."""

from __future__ import annotations

import signal
from pathlib import Path

import psycopg

from lfsql.testing.cluster import is_running, running_tier, wait_until


def test_what_was_moved_away_is_not_read_on(tmp_path: Path) -> None:
    with running_tier(tmp_path / "data", nodes=1) as tier, psycopg.connect(tier.dsn, autocommit=True) as session:
        session.execute("CREATE TABLE t (id int PRIMARY KEY)")
        session.execute("INSERT INTO t VALUES (1)")
        pid = tier.kill("n1", signal.SIGKILL)
        wait_until(lambda: not is_running(pid), 20, "the node's end")
        for name in ("data.db", "data.db-wal", "data.db-shm"):
            (tier.directory / "n1" / name).unlink()
        tier.start_node("n1")
        session.execute("INSERT INTO t VALUES (2)")
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        assert session.execute("SELECT id FROM t ORDER BY id").fetchall() == [(1,), (2,)]
        session.execute("COMMIT")

        def read() -> bool:
            hint = "/* lfsql: read_consistency=any, max_lag_ms=0, max_lag_entries=0 */"
            return session.execute(f"{hint} SELECT id FROM t").fetchall() == [(1,), (2,)]

        wait_until(read, 20, "the new file to be read")
