"""A thousand sessions write when the primary is killed: nothing acknowledged is lost, nothing is there twice.

Half of them use autocommit and must see no error at all; the others transactions of two rows, which may be told
40001 while they are open, but whose COMMIT, once it was sent, gets its true outcome.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import psycopg
import pytest

from lfsql.testing.cluster import Tier, running_tier

pytestmark = pytest.mark.client

SESSIONS = 1_000
ROUNDS = 2
"""Units each session has acknowledged before the kill, and again after it."""
UNANSWERED_S = 0.2
"""So long the primary cannot reach a quorum, which is too short for it to step down."""
INSERT = "INSERT INTO written (value) VALUES ($1)"


@dataclass
class Seen:
    """What the clients were told."""

    acknowledged: set[int] = field(default_factory=set)
    cut: set[int] = field(default_factory=set)
    """Values of transactions that were told 40001: they must not be there."""
    errors: list[str] = field(default_factory=list)
    before: int = 0
    """Sessions that have had their rounds before the kill."""
    after: int = 0
    all_write: asyncio.Event = field(default_factory=asyncio.Event)
    killed: asyncio.Event = field(default_factory=asyncio.Event)


async def write(connection: asyncpg.Connection, value: int, seen: Seen, *, block: bool) -> None:
    values = [value, -value] if block else [value]
    try:
        if block:
            async with connection.transaction():
                for one in values:
                    await connection.execute(INSERT, one)
        else:
            await connection.execute(INSERT, value)
    except asyncpg.SerializationError as error:
        seen.cut.update(values)
        if not block:
            seen.errors.append(f"autocommit: {error}")
    except (asyncpg.PostgresError, OSError, asyncpg.InterfaceError) as error:
        seen.errors.append(f"{'block' if block else 'autocommit'}: {error!r}")
    else:
        seen.acknowledged.update(values)


async def session(tier: Tier, number: int, seen: Seen, admit: asyncio.Semaphore) -> None:
    async with admit:  # the tier is to be full of sessions, not of connection attempts
        connection = await asyncpg.connect(tier.dsn, timeout=60)
    try:
        values = itertools.count(number * 1_000 + 1)
        for _ in range(ROUNDS):
            await write(connection, next(values), seen, block=number % 2 == 1)
        seen.before += 1
        if seen.before == SESSIONS:
            seen.all_write.set()
        while not seen.killed.is_set():
            await write(connection, next(values), seen, block=number % 2 == 1)
        for _ in range(ROUNDS):
            await write(connection, next(values), seen, block=number % 2 == 1)
        seen.after += 1
    finally:
        connection.terminate()


async def kill_when_all_write(primary: int, replicas: list[int], seen: Seen) -> None:
    """The replicas stand still until the primary is dead: they wake to writes that are in no one's answer yet, and
    have been sent again by then."""
    await seen.all_write.wait()
    for pid in replicas:
        os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(UNANSWERED_S)
    os.kill(primary, signal.SIGKILL)
    for pid in replicas:
        os.kill(pid, signal.SIGCONT)
    seen.killed.set()


async def storm(tier: Tier, primary: int, replicas: list[int]) -> Seen:
    seen, admit = Seen(), asyncio.Semaphore(20)
    sessions = (session(tier, number, seen, admit) for number in range(SESSIONS))
    await asyncio.gather(kill_when_all_write(primary, replicas, seen), *sessions)
    return seen


def test_a_thousand_sessions_when_the_primary_is_killed(tmp_path: Path) -> None:
    with running_tier(tmp_path / "data") as tier:
        with psycopg.connect(tier.dsn, autocommit=True) as connection:
            # No key on value: a statement that were run twice would show.
            connection.execute("CREATE TABLE written (id bigserial PRIMARY KEY, value bigint NOT NULL)")
        primary = tier.primary()
        replicas = [node["pid"] for node in tier.status()["nodes"] if node["name"] != primary["name"]]
        seen = asyncio.run(storm(tier, primary["pid"], replicas))
        with psycopg.connect(tier.dsn, autocommit=True) as connection:
            connection.execute("SET lfsql.read_consistency = 'strong'")
            rows = [row[0] for row in connection.execute("SELECT value FROM written")]
        assert tier.primary()["name"] != primary["name"]
    assert seen.errors == []
    assert (seen.before, seen.after) == (SESSIONS, SESSIONS)
    found = set(rows)
    assert len(rows) == len(found), "a statement was executed twice"
    assert not seen.acknowledged - found, "an acknowledged write is lost"
    assert not found - seen.acknowledged, "a write that was not acknowledged is there"
    assert not seen.cut & found, "a transaction that was told 40001 is there"
