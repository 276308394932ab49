"""Reads go on from the replicas while there is no primary."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import psycopg
import pytest

from lfsql.testing.cluster import running_tier, wait_until
from tests.client.second_proxy import elsewhere

pytestmark = pytest.mark.client


class Reader(threading.Thread):
    """Reads again and again, and counts."""

    def __init__(self, dsn: str, level: str, modes: str) -> None:
        super().__init__(daemon=True)
        self.dsn = dsn
        self.level = level
        self.modes = modes
        self.count = 0
        self.error: Exception | None = None
        self.enough = threading.Event()

    def run(self) -> None:
        try:
            with psycopg.connect(self.dsn, autocommit=True) as connection:
                connection.execute(f"SET lfsql.read_consistency = '{self.level}'")
                while not self.enough.is_set():
                    if self.modes:
                        connection.execute(f"BEGIN {self.modes}")
                    assert connection.execute("SELECT count(*) FROM t WHERE id = %s", (1,)).fetchone() == (1,)
                    if self.modes:
                        connection.execute("COMMIT")
                    self.count += 1
        except (psycopg.Error, AssertionError) as error:
            self.error = error


def test_no_read_waits_for_a_primary(tmp_path: Path) -> None:
    with (
        running_tier(tmp_path / "data") as tier,
        elsewhere(tier, tmp_path) as remote,
        psycopg.connect(tier.dsn, autocommit=True) as writer,
    ):
        writer.execute("CREATE TABLE t (id int PRIMARY KEY)")
        writer.execute("INSERT INTO t VALUES (1)")
        tier.wait_level()
        kinds = [("any", ""), ("bounded", ""), ("session", ""), ("session", "READ ONLY")]
        readers = [Reader(dsn, level, modes) for dsn in (tier.dsn, remote) for level, modes in kinds]
        for reader in readers:
            reader.start()
        try:
            wait_until(lambda: all(reader.count > 50 or reader.error for reader in readers), 20, "reads before")
            pid = tier.kill(tier.primary()["name"], signal.SIGSTOP)
            before = [reader.count for reader in readers]
            writer.execute("INSERT INTO t VALUES (2)")
            meanwhile = {
                (reader.dsn, reader.level, reader.modes): reader.count - count
                for reader, count in zip(readers, before, strict=True)
            }
            counts = [reader.count for reader in readers]
            wait_until(
                lambda: all(r.count > c + 50 or r.error for r, c in zip(readers, counts, strict=True)),
                20,
                "reads after",
            )
        finally:
            for reader in readers:
                reader.enough.set()
            for reader in readers:
                reader.join(10)
        assert [reader.error for reader in readers] == [None] * len(readers)
        assert min(meanwhile.values()) > 2, f"{meanwhile} reads while a write waited: one may have been under way"
        os.kill(pid, signal.SIGCONT)
