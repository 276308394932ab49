"""What a session reads that wrote `local`, once the primary that had the write is another."""

from __future__ import annotations

from time import monotonic

import pytest
import trio

from lfsql.core.requests import COMMITTED, PRIMARY, REPLICA, UNREACHABLE, Heartbeat, Outcome
from lfsql.errors import TooStale
from proxy.writing import settle
from tests.proxy.test_limits_over_links import HEARD, Proxy, ways

WRITTEN = HEARD + 50


def wrote(proxy: Proxy, *, durability: str) -> None:
    proxy.state.settings.set("lfsql.durability", durability)
    proxy.state.refresh()
    node = proxy.topology.nodes["n1"]
    settle(proxy.state, node, node.link, Outcome(1, COMMITTED, index=WRITTEN))


def elect(proxy: Proxy, commit: int) -> None:
    """n1 is gone, and n2 primary of the next term; its copy, and what it has committed, is at `commit`."""
    proxy.links["n2"].index = commit
    proxy.links["n2"].confirms = commit
    proxy.links["n2"].moved.set()
    topology = proxy.topology
    topology.nodes["n1"].link = None
    topology.lost(topology.nodes["n1"])
    assert topology.nodes["n1"].role == UNREACHABLE
    for name, role in (("n2", PRIMARY), ("n3", REPLICA)):
        at = commit if name == "n2" else HEARD
        topology.heard(topology.nodes[name], Heartbeat(name, role, 2, "n2", commit, at, 0, confirmed_ago_ms=0))


@ways
async def test_it_is_waited_for_as_long_as_its_primary_is_there(way: str) -> None:
    proxy = Proxy(way, read_consistency="session")
    proxy.links["n1"].index = HEARD
    wrote(proxy, durability="local")
    assert proxy.state.seen == WRITTEN
    with pytest.raises(TooStale):
        await proxy.read()
    proxy.links["n1"].index = WRITTEN
    assert await proxy.read() == WRITTEN


@ways
@pytest.mark.parametrize("level", ["session", "strong"])
async def test_reads_go_on_when_it_is_lost(way: str, level: str) -> None:
    proxy = Proxy(way, read_consistency=level, failover_wait_ms=10_000)
    wrote(proxy, durability="local")
    elect(proxy, WRITTEN - 10)
    began = monotonic()
    assert await proxy.read() == WRITTEN - 10
    assert proxy.state.seen == WRITTEN - 10
    assert monotonic() - began < 1


@ways
async def test_reads_that_wait_for_it_go_on_when_it_is_lost(way: str) -> None:
    proxy = Proxy(way, read_consistency="session", failover_wait_ms=10_000)
    proxy.links["n1"].index = HEARD
    wrote(proxy, durability="local")
    found: list[int] = []

    async def read() -> None:
        found.append(await proxy.read())

    with trio.fail_after(4):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await proxy.links["n1"].asked_once.wait()
            elect(proxy, WRITTEN - 10)
            while not found:
                proxy.worker.beat(primary="n2", term=2, commit=WRITTEN - 10)
                await trio.sleep(0.1)
    assert found == [WRITTEN - 10]


@ways
async def test_one_that_was_not_lost_is_read(way: str) -> None:
    proxy = Proxy(way, read_consistency="session")
    wrote(proxy, durability="local")
    elect(proxy, WRITTEN + 1)
    assert proxy.state.seen == WRITTEN
    assert await proxy.read() == WRITTEN + 1


@ways
async def test_what_a_quorum_has_is_waited_for_whoever_is_primary(way: str) -> None:
    proxy = Proxy(way, read_consistency="session")
    wrote(proxy, durability="quorum")
    elect(proxy, WRITTEN - 10)
    assert proxy.state.seen == WRITTEN
    with pytest.raises(TooStale):
        await proxy.read()


async def test_nobody_else_waits_for_it() -> None:
    proxy = Proxy("read", max_lag_entries=10)
    wrote(proxy, durability="local")
    assert proxy.topology.commit_index == HEARD
    assert proxy.worker.acknowledged.index == 0
