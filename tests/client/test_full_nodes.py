"""Nodes have open what they can: other reads go elsewhere, and are told when there is nowhere left."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from lfsql.config import Balancing
from lfsql.storage.reads import READERS_MAX
from lfsql.testing.cluster import running_tier
from tests.client.conftest import route_of
from tests.client.test_balancing import remote_proxy

pytestmark = pytest.mark.client

PATIENT = "-c idle_in_transaction_session_timeout=0"
LONG = "SELECT count(*) FROM generate_series(1, 60000) AS g(x), t"


@pytest.mark.parametrize("files", [False, True])
def test_what_finds_no_room_goes_elsewhere_and_is_told_when_there_is_none(tmp_path: Path, files: bool) -> None:
    patient = Balancing(unanswered_ms_max=10_000)
    with (
        running_tier(tmp_path / "data") as tier,
        psycopg.connect(tier.dsn, autocommit=True) as connection,
        ExitStack() as stack,
    ):
        connection.execute("CREATE TABLE t (id int PRIMARY KEY)")
        connection.execute("INSERT INTO t VALUES (1)")
        dsn = stack.enter_context(remote_proxy(tier, tmp_path, patient, {}, files=files))
        reader = stack.enter_context(psycopg.connect(dsn, autocommit=True))
        holders = []
        for _ in range(2 * READERS_MAX):
            holder = stack.enter_context(psycopg.connect(dsn, options=PATIENT))
            holder.read_only = True
            holder.execute("SELECT id FROM t")
            holders.append(holder)
        taken = Counter(route_of(holder)["role"] for holder in holders)
        assert taken["replica"] >= 2 * READERS_MAX - 4, taken
        reader.execute(LONG)
        assert route_of(reader)["role"] == "primary"
        for _ in range(READERS_MAX + 4 - taken["primary"]):
            holder = stack.enter_context(psycopg.connect(dsn, options=PATIENT))
            holder.read_only = True
            holder.execute("SET lfsql.failover_wait_ms = 500")
            try:
                holder.execute("SELECT id FROM t")
            except psycopg.errors.TooManyConnections:
                break
            holders.append(holder)
        else:
            pytest.fail("there is no end to it")
        for setting in ("lfsql.failover_wait_ms = 500", "statement_timeout = 500"):
            reader.execute(f"SET {setting}")
            began = time.monotonic()
            with pytest.raises(psycopg.Error) as caught:
                reader.execute(LONG)
            assert caught.value.sqlstate in ("53300", "57014")
            assert time.monotonic() - began < 5
            reader.execute("RESET ALL")
        for holder in holders:
            holder.rollback()
        assert reader.execute(LONG).fetchone() == (60_000,)
