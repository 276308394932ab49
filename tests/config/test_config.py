"""The two configuration files: what is read is what was written, and every mistake names file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from lfsql.config import (
    Member,
    NodeConfig,
    NodeFaults,
    NodeLimits,
    ProxyConfig,
    ProxyDefaults,
    ProxyLimits,
    Upstream,
    UserDefaults,
    is_loopback,
    load_node,
    load_proxy,
    split_address,
    to_toml,
)
from lfsql.errors import ConfigError

NODE = """
name = "n1"
cluster_id = "c1"
listen = "127.0.0.1:7001"
cluster_key_file = "../cluster.key"
peers = [{ name = "n1", address = "127.0.0.1:7001" }, { name = "n2", address = "127.0.0.1:7002" }]
"""

PROXY = """
cluster_id = "c1"
cluster_key_file = "cluster.key"
nodes = [{ name = "n1", address = "127.0.0.1:7001", data_dir = "n1" }]
"""


def node_file(directory: Path, text: str) -> Path:
    path = directory / "node.toml"
    path.write_text(text)
    return path


def proxy_file(directory: Path, text: str) -> Path:
    path = directory / "proxy.toml"
    path.write_text(text)
    return path


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    directory = tmp_path / "n1"
    directory.mkdir()
    config = load_node(node_file(directory, NODE))
    assert Path(config.data_dir) == directory
    assert Path(config.cluster_key_file).resolve() == tmp_path / "cluster.key"
    proxy = load_proxy(proxy_file(tmp_path, PROXY))
    assert Path(proxy.nodes[0].data_dir) == directory


def test_an_absolute_path_stays(tmp_path: Path) -> None:
    config = load_node(node_file(tmp_path, NODE + 'data_dir = "/srv/data"\n'))
    assert config.data_dir == "/srv/data"


def test_a_node_without_data_dir_is_read_over_the_link(tmp_path: Path) -> None:
    proxy = load_proxy(proxy_file(tmp_path, PROXY.replace(', data_dir = "n1"', "")))
    assert proxy.nodes[0].data_dir == ""


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    node = NodeConfig(
        name="n1",
        cluster_id="c1",
        listen="0.0.0.0:7001",
        cluster_key_file="/k",
        data_dir='/a "quoted" \\ path\twith\x7fé',
        peers=(
            Member(name="n1", address="127.0.0.1:7001"),
            Member(name="n2", address="[::1]:7002", role="witness", priority=0),
        ),
        limits=NodeLimits(links_max=7),
        faults=NodeFaults(apply_delay_ms_max=5_000, seed=7),
    )
    assert load_node(node_file(tmp_path, to_toml(node))) == node
    proxy = ProxyConfig(
        cluster_id="c1",
        cluster_key_file="/k",
        nodes=(Upstream(name="n1", address="h:1", data_dir="/d"),),
        databases=("lfsql", "second"),
        defaults=ProxyDefaults(read_consistency="strong", max_lag_ms=0),
        users={
            "reporting": UserDefaults(max_lag_ms=0),
            "batch": UserDefaults(max_lag_ms=60_000),
            'Anna "A."': UserDefaults(read_consistency="any"),
        },
        limits=ProxyLimits(connections_max=3),
    )
    assert load_proxy(proxy_file(tmp_path, to_toml(proxy))) == proxy


def test_standard_limits_are_not_written_out(tmp_path: Path) -> None:
    proxy = ProxyConfig(cluster_id="c1", cluster_key_file="k", nodes=(Upstream(name="n1", address="h:1"),))
    assert "limits" not in to_toml(proxy)
    assert "faults" not in to_toml(load_node(node_file(tmp_path, NODE)))
    assert "defaults" not in to_toml(proxy)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("cluster_id", "cluster"), "node.toml: cluster: is no setting"),
        (('name = "n1"\n', ""), "node.toml: name: is missing"),
        (('name = "n1"\n', "name = 5\n"), "node.toml: name: expected str, got int"),
        (('name = "n1"\n', 'name = "N 1"\n'), "node.toml: name: expected a lower-case letter"),
        (('name = "n1"\n', 'name = "n9"\n'), "node.toml: peers: this node, 'n9', is not among them"),
        (('listen = "127.0.0.1:7001"', 'listen = "7001"'), "node.toml: listen: expected 'host:port', got \"7001\""),
        (('address = "127.0.0.1:7002"', 'address = "h:0"'), "node.toml: peers[1].address: expected a port from 1"),
        (('name = "n2"', 'name = "n1"'), "node.toml: peers[1].name: 'n1' is listed twice"),
        (("127.0.0.1:7002", "127.0.0.1:7001"), "node.toml: peers[1].address: '127.0.0.1:7001' is listed twice"),
        (('name = "n2"', 'name = "n2", role = "boss"'), "node.toml: peers[1].role: invalid enum value 'boss'"),
        (('name = "n2"', 'name = "n2", colour = "red"'), "node.toml: peers[1].colour: is no setting"),
        (('address = "127.0.0.1:7001"', 'priority = 1, role="learner", address = "h:1"'), None),
    ],
)
def test_a_mistake_in_a_node_file_names_file_and_key(
    tmp_path: Path, change: tuple[str, str], fault: str | None
) -> None:
    path = node_file(tmp_path, NODE.replace(*change))
    if fault is None:
        assert load_node(path).me.role == "learner"
        return
    with pytest.raises(ConfigError) as caught:
        load_node(path)
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("heartbeat_ms = 0", "heartbeat_ms: expected int >= 1"),
        ("heartbeat_ms = 500", "election_timeout_ms_min: expected at least three heartbeats (1500), got 450"),
        ("election_timeout_ms_max = 400", "election_timeout_ms_max: expected more than election_timeout_ms_min"),
        ("[limits]\nlinks_max = 'many'", "limits.links_max: expected int, got str"),
        ("[limits]\nlinks = 5", "limits.links: is no setting"),
        ("[limits]\nappend_bytes_max = 1073741824", "limits.append_bytes_max: expected less than limits.frame_bytes"),
        ("[limits]\nframe_bytes_max = 1073741824", "limits.frame_bytes_max: expected at most limits.link_queue_byt"),
        ("limits = 5", "limits: expected object, got int"),
        ("heartbeat_ms = ", "not TOML"),
    ],
)
def test_a_limit_out_of_bounds_names_file_and_key(tmp_path: Path, line: str, fault: str) -> None:
    path = node_file(tmp_path, NODE + line)
    with pytest.raises(ConfigError) as caught:
        load_node(path)
    assert str(caught.value).startswith(f"{path}: {fault}")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("workers = 0", "workers: expected int >= 1"),
        ("databases = []", "databases: expected at least one name"),
        ("databases = ['']", "databases: expected names of 1 to 63 bytes"),
        ("databases = ['a', 'a']", "databases: a name is listed twice"),
        ("listen = '0.0.0.0:5433'", "listen: '0.0.0.0:5433' is reachable from other hosts"),
        ("listen = '::1:5433'", "listen: an IPv6 address is written in brackets"),
        ("[[listeners]]\naddress = '10.0.0.1:1'", "listeners[0].address: '10.0.0.1:1' is reachable from other hosts"),
        ("[[listeners]]\naddress = '127.0.0.1:5433'", "listeners: an address is listed twice"),
        ("[[listeners]]\naddress = '::1:1'", "listeners[0].address: an IPv6 address is written in brackets"),
        ("[defaults]\nread_consistency = 'some'", "defaults.read_consistency: invalid enum value 'some'"),
        ("[limits]\nmessage_bytes_max = 1073741824", "limits.message_bytes_max: expected less than limits.frame_by"),
    ],
)
def test_a_mistake_in_a_proxy_file_names_file_and_key(tmp_path: Path, line: str, fault: str) -> None:
    path = proxy_file(tmp_path, PROXY + line)
    with pytest.raises(ConfigError) as caught:
        load_proxy(path)
    assert str(caught.value).startswith(f"{path}: {fault}")


def test_no_nodes_or_no_voter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nodes: expected 1 to 64 nodes, got 0"):
        load_proxy(proxy_file(tmp_path, 'cluster_id = "c"\ncluster_key_file = "k"\nnodes = []\n'))
    only_learner = 'name = "n1"\ncluster_id = "c"\nlisten = "h:1"\ncluster_key_file = "k"\n'
    only_learner += '[[peers]]\nname = "n1"\naddress = "h:1"\nrole = "learner"\n'
    with pytest.raises(ConfigError, match="expected at least one with role 'voter'"):
        load_node(node_file(tmp_path, only_learner))


def test_a_file_that_is_absent_or_binary(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: cannot be read: No such file"):
        load_node(tmp_path / "absent.toml")
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\x00\xfe")
    with pytest.raises(ConfigError, match=r"binary\.toml: not TOML"):
        load_proxy(path)


@pytest.mark.parametrize("address", ["", ":1", "h", "h:", "h:x", "h:-1", "h:65536", " h:1", "h:\u0661", "::1:5"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ValueError, match=r"expected|brackets"):
        split_address(address)


def test_addresses_and_loopback() -> None:
    assert split_address("[::1]:5433") == ("::1", 5433)
    assert split_address("db.example.com:1") == ("db.example.com", 1)
    assert all(is_loopback(host) for host in ("localhost", "127.0.0.1", "127.1.2.3", "::1"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "127.evil.example", "10.0.0.1", ""))
