"""A proxy follows who belongs to the cluster, by what its nodes tell."""

from __future__ import annotations

import trio
import trio.testing

from lfsql.core.freshness import CommitHistory
from lfsql.core.requests import PRIMARY, REPLICA, Belongs, Heartbeat
from proxy.members import Members
from proxy.topology import Node, Topology
from tests.proxy.test_topology import FakeLink


class Proxy:
    """Nodes n1 and n2 from the file.  `kept`: whom it keeps a link to."""

    def __init__(self) -> None:
        nodes = [Node("n1", "h1:1", "/n1"), Node("n2", "h2:1", "/n2")]
        self.topology = Topology(nodes, CommitHistory(60.0, 100))
        self.kept: dict[str, str] = {}
        self.members = Members(self.topology, self.keep)

    @property
    def primary(self) -> str:
        return self.topology.primary.name if self.topology.primary else ""

    async def keep(self, node: Node) -> None:
        node.link = FakeLink()  # type: ignore[assignment]  # all that a topology uses of it
        self.kept[node.name] = node.address
        try:
            await trio.sleep_forever()
        finally:
            del self.kept[node.name]
            self.topology.lost(node)

    async def hear(self, name: str, role: str, index: int, *members: str, term: int = 1) -> None:
        told = tuple(Belongs(member, f"{member}:9", has_data=True) for member in members)
        beat = Heartbeat(name, role, term, "", 0, 0, 0, confirmed_ago_ms=0, members_index=index, members=told)
        self.members.heard(self.topology.nodes[name], beat)
        await trio.testing.wait_all_tasks_blocked()


async def test_nodes_come_and_go_as_the_primary_says(nursery: trio.Nursery) -> None:
    proxy = Proxy()
    await nursery.start(proxy.members.run)
    await trio.testing.wait_all_tasks_blocked()
    assert proxy.kept == {"n1": "h1:1", "n2": "h2:1"}
    await proxy.hear("n1", PRIMARY, 5, "n1", "n3")
    assert proxy.kept == {"n1": "h1:1", "n3": "n3:9"}
    assert list(proxy.topology.nodes) == ["n1", "n3"]
    # A change that was cut off is undone: the next primary's log is what counts, though its record is older.
    await proxy.hear("n3", PRIMARY, 4, "n1", "n2", "n3", term=2)
    assert list(proxy.topology.nodes) == ["n1", "n3", "n2"]
    nursery.cancel_scope.cancel()


async def test_another_node_is_believed_when_it_knows_more(nursery: trio.Nursery) -> None:
    proxy = Proxy()
    await nursery.start(proxy.members.run)
    await proxy.hear("n1", REPLICA, 5, "n1", "n2", "n3")
    assert "n3" in proxy.kept
    await proxy.hear("n2", REPLICA, 4, "n1", "n2")
    assert "n3" in proxy.kept
    nursery.cancel_scope.cancel()


async def test_the_members_a_cluster_began_with_are_those_of_the_file(nursery: trio.Nursery) -> None:
    proxy = Proxy()
    await nursery.start(proxy.members.run)
    await proxy.hear("n1", PRIMARY, 0, "n1", "n2", "n3")
    assert sorted(proxy.kept) == ["n1", "n2"]
    nursery.cancel_scope.cancel()


async def test_a_primary_that_is_removed_is_primary_no_more(nursery: trio.Nursery) -> None:
    proxy = Proxy()
    await nursery.start(proxy.members.run)
    await trio.testing.wait_all_tasks_blocked()
    await proxy.hear("n1", PRIMARY, 0)
    assert proxy.primary == "n1"
    await proxy.hear("n2", REPLICA, 7, "n2")
    assert proxy.primary == ""
    nursery.cancel_scope.cancel()


async def test_a_node_that_is_added_is_what_the_file_says_by_then(nursery: trio.Nursery) -> None:
    proxy = Proxy()
    proxy.members = Members(proxy.topology, proxy.keep, lambda name, address: Node(name, address, f"/data/{name}"))
    await nursery.start(proxy.members.run)
    await proxy.hear("n1", PRIMARY, 5, "n1", "n2", "n3")
    assert (proxy.topology.nodes["n3"].data_dir, proxy.kept["n3"]) == ("/data/n3", "n3:9")
    nursery.cancel_scope.cancel()
