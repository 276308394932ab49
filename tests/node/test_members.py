"""Members come and go by restarts, one vote at a time, and no acknowledged write is lost on the way."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from lfsql.config import Member
from lfsql.core.requests import COMMITTED
from lfsql.net.listener import bind
from lfsql.node.directory import DirectoryIdentity, accept_members
from tests.node.clusters import Cluster, Session, cluster_of


async def restart_with(cluster: Cluster, *peers: Member) -> None:
    """As docs/commands.md says: node by node, stopped, told, started."""
    for name in [name for name in cluster.configs if name in cluster.running]:
        await cluster.stop(name)
        config = cluster.configs[name] = msgspec.structs.replace(cluster.configs[name], peers=peers)
        accept_members(config.data_dir, DirectoryIdentity(config.cluster_id, name, config.members))
        await cluster.start(name)


async def test_a_node_that_lost_its_disk_is_replaced_under_a_new_name(tmp_path: Path) -> None:
    async with cluster_of(tmp_path, 3, deadline_s=40) as cluster:
        one, two, _ = cluster.configs["n1"].peers
        async with cluster.link(await cluster.primary()) as link:
            session = Session(link, "a")
            await session.submit("CREATE TABLE t (v)")
            assert (await session.submit("INSERT INTO t VALUES (42)")).state == COMMITTED
        await cluster.stop("n3")
        shutil.rmtree(cluster.configs["n3"].data_dir)
        await restart_with(cluster, one, two)
        await cluster.primary()
        await cluster.level()

        cluster.sockets["n4"] = bind("127.0.0.1:0")
        four = Member(name="n4", address=f"127.0.0.1:{cluster.sockets['n4'].getsockname()[1]}")
        cluster.configs["n4"] = msgspec.structs.replace(
            cluster.configs["n1"],
            name="n4",
            listen=four.address,
            peers=(one, two, four),
            data_dir=str(tmp_path / "n4"),
        )
        await restart_with(cluster, one, two, four)
        await cluster.start("n4")
        async with cluster.link(await cluster.primary()) as link:
            assert (await Session(link, "b").submit("INSERT INTO t VALUES (43)")).state == COMMITTED
        await cluster.level()
        assert cluster.content("n4", "SELECT v FROM t") == [(42,), (43,)]
        # It counts: with another node gone, the two that are left are most of the three.
        await cluster.stop("n1")
        async with cluster.link(await cluster.primary()) as link:
            assert (await Session(link, "c").submit("INSERT INTO t VALUES (44)")).state == COMMITTED
