"""The files of `lfsql up` in its directory, made once and then reused.

    DIR/cluster.key        the secret that every link proves
    DIR/n1/node.toml       the node's configuration; its databases are beside it
    DIR/n1.log             what the node's process said
    DIR/proxy.toml         written last: a directory without it was never finished
    DIR/up.lock            held while `lfsql up` runs

Paths inside the files are relative, so the directory can be moved.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lfsql.config import (
    Member,
    MemberRole,
    NodeConfig,
    ProxyConfig,
    Upstream,
    load_node,
    load_proxy,
    read,
    split_address,
    to_toml,
)
from lfsql.errors import AddressInUse, ConfigError, DirectoryInUse
from lfsql.net.cluster_key import load_key, make_key

NODES = 3
HOST = "127.0.0.1"
PORTS_FROM = 5600
"""Where a node that is added looks for a port."""


@dataclass(frozen=True)
class Layout:
    """What is in the directory, paths made absolute."""

    directory: Path
    nodes: tuple[NodeConfig, ...]
    proxy: ProxyConfig

    def node_file(self, name: str) -> Path:
        return self.directory / name / "node.toml"

    @property
    def proxy_file(self) -> Path:
        return self.directory / "proxy.toml"

    def log_file(self, name: str) -> Path:
        return self.directory / f"{name}.log"


def load(directory: Path, *, to_look: bool = False) -> Layout:
    """The layout of a directory that `lfsql up` made.  Raises ConfigError.

    `to_look`: at what there is, with a node.toml that is lost or wrong as well: of that node it is what proxy.toml
    tells, which is enough to ask the node, and the others.
    """
    proxy_file = directory / "proxy.toml"
    if not proxy_file.exists():
        raise ConfigError(f"{directory} is no directory of lfsql", hint="start one with `lfsql up --dir`")
    proxy = load_proxy(proxy_file)
    nodes = tuple(_load_node(directory, proxy, upstream, to_look=to_look) for upstream in proxy.nodes)
    for node, upstream in zip(nodes, proxy.nodes, strict=True):
        path = directory / upstream.name / "node.toml"
        if node.name != upstream.name:
            raise ConfigError(f"{path}: name: expected '{upstream.name}', as in proxy.toml, got '{node.name}'")
        if node.cluster_id != proxy.cluster_id:
            raise ConfigError(
                f"{path}: cluster_id: expected '{proxy.cluster_id}', as in proxy.toml, got '{node.cluster_id}'"
            )
    return Layout(directory, nodes, proxy)


def _load_node(directory: Path, proxy: ProxyConfig, upstream: Upstream, *, to_look: bool) -> NodeConfig:
    path = directory / upstream.name / "node.toml"
    try:
        return load_node(path)
    except ConfigError as error:
        if not to_look:
            if path.exists():
                raise
            raise ConfigError(
                error.message,
                hint=f"put it back; when all of node '{upstream.name}' is lost, start the others with `lfsql node`, "
                f"and `lfsql remove-node {upstream.name}`",
            ) from error
        return NodeConfig(
            name=upstream.name,
            cluster_id=proxy.cluster_id,
            listen=upstream.address,
            peers=(Member(name=upstream.name, address=upstream.address),),
            cluster_key_file=proxy.cluster_key_file,
            data_dir=str(path.parent),
        )


def prepare(
    directory: Path,
    nodes: int | None,
    port: int,
    *,
    port_given: bool,
    workers: int | None,
    witnesses: int | None = None,
) -> Layout:
    """The directory's layout, made when there is none.  Options that were given change what may change.

    The numbers of nodes with data, `nodes`, and of witnesses may not: members join and leave a running cluster, not
    a directory.  Raises ConfigError.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--dir: {directory} cannot be made: {error.strerror}") from error
    proxy_file = directory / "proxy.toml"
    if not proxy_file.exists():
        _make(directory, nodes or NODES, witnesses or 0, port, workers or 1)
        return load(directory)
    layout = load(directory)
    found = sum(node.me.role == "witness" for node in layout.nodes)
    for option, asked, there in (("nodes", nodes, len(layout.nodes) - found), ("witnesses", witnesses, found)):
        if asked is not None and asked != there:
            raise ConfigError(
                f"--{option}: {directory} has {there} {option}, not {asked}",
                hint="members come and go by `lfsql add-node` and `lfsql remove-node`",
            )
    written = read(proxy_file, ProxyConfig)
    changed = msgspec.structs.replace(
        written,
        listen=f"{HOST}:{port}" if port_given else written.listen,
        workers=workers or written.workers,
    )
    if changed != written:
        write_file(proxy_file, to_toml(changed))
        layout = load(directory)
    return layout


def check_addresses(layout: Layout) -> None:
    """Raises AddressInUse, naming the file, when somebody else has one of the ports: before anything is started."""
    listeners = [(layout.node_file(node.name), node.listen) for node in layout.nodes]
    for path, address in [(layout.proxy_file, layout.proxy.listen), *listeners]:
        if not _is_free(address):
            raise AddressInUse(f"{path}: listen: {address} is in use", hint="stop who uses it, or take another port")


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Keep other `lfsql up` out of the directory; the kernel lets go when this process ends, however it does."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(directory / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"--dir: {directory} cannot be used: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryInUse(f"--dir: {directory} is in use by another `lfsql up`") from None
        yield
    finally:
        os.close(lock)


def _make(directory: Path, nodes: int, witnesses: int, port: int, workers: int) -> None:
    leftover = sorted(path.parent.name for path in directory.glob("*/log.db"))
    if leftover:
        raise ConfigError(
            f"{directory / 'proxy.toml'} is missing, but there is data of {', '.join(leftover)}",
            hint="restore the file, or choose another --dir",
        )
    key = directory / "cluster.key"
    if key.exists():
        load_key(key)
    else:
        make_key(key)
    cluster_id = f"c{secrets.token_hex(8)}"
    roles: dict[str, MemberRole] = {f"n{number}": "voter" for number in range(1, nodes + 1)}
    roles |= {f"w{number}": "witness" for number in range(1, witnesses + 1)}
    ports = _free_ports(port + 1, len(roles))
    members = tuple(
        Member(name=name, address=f"{HOST}:{port}", role=role)
        for (name, role), port in zip(roles.items(), ports, strict=True)
    )
    for member in members:
        node = NodeConfig(
            name=member.name,
            cluster_id=cluster_id,
            listen=member.address,
            peers=members,
            cluster_key_file="../cluster.key",
        )
        (directory / member.name).mkdir(mode=0o700, exist_ok=True)
        write_file(directory / member.name / "node.toml", to_toml(node))
    proxy = ProxyConfig(
        cluster_id=cluster_id,
        cluster_key_file="cluster.key",
        nodes=tuple(
            Upstream(
                name=member.name, address=member.address, data_dir="" if member.role == "witness" else member.name
            )
            for member in members
        ),
        listen=f"{HOST}:{port}",
        workers=workers,
    )
    write_file(directory / "proxy.toml", to_toml(proxy))


def write_file(path: Path, content: str) -> None:
    """All of it or nothing: renamed into place."""
    temporary = path.with_suffix(".new")
    try:
        temporary.write_text(content)
        temporary.rename(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


def free_port(taken: Collection[str] = ()) -> int:
    """One that nobody listens on now, of those that `lfsql up` does not begin with; nor one of the addresses `taken`,
    of nodes that may be down."""
    return _free_ports(PORTS_FROM, 1, taken)[0]


def _free_ports(first: int, count: int, taken: Collection[str] = ()) -> list[int]:
    found: list[int] = []
    for port in [*range(first, 65536), *range(1024, first - 1)]:
        if f"{HOST}:{port}" not in taken and _is_free(f"{HOST}:{port}"):
            found.append(port)
            if len(found) == count:
                return found
    raise AddressInUse(f"there are no {count} free ports on {HOST}")


def _is_free(address: str) -> bool:
    host, port = split_address(address)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
