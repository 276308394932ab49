"""Faults that a node does to itself do what they say, and nothing unless asked for."""

from __future__ import annotations

from pathlib import Path

import msgspec

from lfsql.config import Member, NodeConfig, NodeFaults
from lfsql.core.requests import COMMITTED
from lfsql.node.faults import apply_delay
from tests.node.clusters import Session, cluster_of, read


def config(name: str, **faults: int) -> NodeConfig:
    return NodeConfig(
        name=name,
        cluster_id="c1",
        listen="127.0.0.1:1",
        peers=(Member(name=name, address="127.0.0.1:1"),),
        cluster_key_file="k",
        faults=NodeFaults(**faults),
    )


def test_there_is_no_fault_unless_it_is_asked_for() -> None:
    assert apply_delay(config("n1")) is None
    assert apply_delay(config("n1", seed=7)) is None


def test_a_seed_draws_the_same_delays_again_and_others_for_each_node() -> None:
    def drawn(name: str, seed: int) -> list[float]:
        delay_s = apply_delay(config(name, apply_delay_ms_max=5_000, seed=seed))
        assert delay_s is not None
        return [delay_s() for _ in range(100)]

    delays = drawn("n1", 7)
    assert delays == drawn("n1", 7)
    assert delays != drawn("n2", 7)
    assert delays != drawn("n1", 8)
    assert 0 <= min(delays) < 1
    assert 4 < max(delays) <= 5


async def test_a_replica_that_is_held_back_acknowledges_and_is_late(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3, late=1) as cluster:
        late = "n3"
        cluster.configs[late] = msgspec.structs.replace(
            cluster.configs[late], faults=NodeFaults(apply_delay_ms_max=86_400_000)
        )
        primary = await cluster.primary()
        async with cluster.link(primary) as link:
            session = Session(link, "a")
            assert (await session.submit("CREATE TABLE t (id INTEGER PRIMARY KEY)")).state == COMMITTED
            held = await cluster.start(late)
            other = next(name for name in cluster.running if name not in (primary, late))
            await cluster.stop(other)
            outcome = await session.submit("INSERT INTO t VALUES (1)")
            assert outcome.state == COMMITTED, "its acknowledgement is half of the quorum"
            assert held.progress.index < outcome.index
            async with cluster.link(late) as late_link:
                answer = await read(late_link, "SELECT id FROM t", min_index=outcome.index, wait_ms_max=50)
                assert answer.fault is not None
