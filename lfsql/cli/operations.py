"""`lfsql transfer`, `add-node`, `remove-node` and `drain`: each orders, waits until it is done, and says what was.

In a directory of `lfsql up` the files follow: a new node gets its node.toml, and proxy.toml lists who belongs, so
that the next `lfsql up` starts the same nodes.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import click
import msgspec
import trio

from lfsql.cli.contacts import Contacts
from lfsql.cli.layout import HOST, free_port, write_file
from lfsql.cli.ordering import address_of, cluster_status, contacts, order_node, order_primary
from lfsql.config import Member, MemberRole, NodeConfig, ProxyConfig, Upstream, read, split_address, to_toml
from lfsql.core.requests import AddMember, Drain, RemoveMember, Status, TransferLead
from lfsql.errors import ConfigError, OrderRefused

LOOK_S: Final = 0.2
_ROLES: Final = {"voter": ("primary", "replica", "candidate"), "witness": ("witness",), "learner": ("learner",)}


def run_transfer(directory: Path, config: Path | None, node: str) -> None:
    """Hand the lead to `node`.  Raises LfsqlError, as all here do."""
    cluster = contacts(directory, config)
    click.echo(trio.run(order_primary, cluster, lambda request: TransferLead(request, node)))


def run_drain(directory: Path, config: Path | None, node: str) -> None:
    """Have `node` hand over the lead and stop; return when it has ended."""
    cluster = contacts(directory, config)

    async def drain() -> str:
        address = address_of(await cluster_status(cluster), node)
        return await order_node(cluster, address, Drain, until_gone=True)

    click.echo(trio.run(drain).removesuffix(" stops") + " has stopped")


def run_remove(directory: Path, config: Path | None, node: str) -> None:
    """Take `node` out of the cluster, from the lead first."""
    cluster = contacts(directory, config)

    async def remove() -> None:
        if (await cluster_status(cluster)).primary == node:
            click.echo(await order_primary(cluster, TransferLead))
        click.echo(await order_primary(cluster, lambda request: RemoveMember(request, node)))

    trio.run(remove)
    if config is None:
        _list_nodes(directory, [upstream for upstream in _written(directory).nodes if upstream.name != node])
        click.echo(f"its process ends by itself; its files stay in {directory / node}")


def run_add(
    directory: Path,
    config: Path | None,
    node: str,
    *,
    address: str | None,
    role: MemberRole,
    priority: int,
    wait_s: float | None,
) -> None:
    """Make `node` a member, or change what is known of one.  `wait_s`: how long to wait until it has caught up."""
    if address is not None:
        _check(address)
    cluster = contacts(directory, config)
    status = trio.run(cluster_status, cluster)
    made: Path | None = None
    known = next((line.address for line in status.nodes if line.name == node), "")
    address = address or known
    if config is None and not known and not (directory / node / "node.toml").exists():
        address = address or f"{HOST}:{free_port([line.address for line in status.nodes])}"
        made = _make_node(directory, status, Member(name=node, address=address, role=role, priority=priority))
    if not address:
        raise ConfigError("--address: where the new node is to be reached must be given")
    place = address
    listed = _written(directory).nodes if config is None else ()
    if config is None and (directory / node / "node.toml").exists():
        # First, so that a proxy that hears of the node finds in its file where the data is.
        others = [upstream for upstream in listed if upstream.name != node]
        _list_nodes(directory, [*others, Upstream(name=node, address=place, data_dir=node)])
    try:
        said = trio.run(order_primary, cluster, lambda request: AddMember(request, node, place, role, priority))
    except OrderRefused:
        if listed:
            _list_nodes(directory, list(listed))
        if made is not None:
            made.unlink()
            made.parent.rmdir()
        raise
    click.echo(said)
    if made is not None:
        click.echo(f"start it with: lfsql node --config {made}")
    if wait_s is not None:
        trio.run(_wait_grown, cluster, node, role, wait_s)
        click.echo(f"node '{node}' has caught up and is a {role}")


async def _wait_grown(cluster: Contacts, node: str, role: str, seconds: float) -> None:
    """Return when the node is what it is to be, and knows it."""
    with trio.move_on_after(seconds if seconds > 0 else math.inf):
        while True:
            status = await cluster_status(cluster)
            if any(line.name == node and line.healthy and line.role in _ROLES[role] for line in status.nodes):
                return
            await trio.sleep(LOOK_S)
    raise OrderRefused(
        f"node '{node}' has not caught up within {seconds:.0f} s; it goes on trying",
        hint="see lfsql status, and whether the node runs",
    )


def _make_node(directory: Path, status: Status, member: Member) -> Path:
    """Its node.toml, with the times and limits of another's."""
    files = [directory / upstream.name / "node.toml" for upstream in _written(directory).nodes]
    pattern = next((read(file, NodeConfig) for file in files if file.exists()), None)
    if pattern is None:
        raise ConfigError(f"{directory} has no node.toml to go by", hint="write one, see docs/configuration.md")
    others = [Member(name=line.name, address=line.address) for line in status.nodes]
    config = msgspec.structs.replace(
        pattern, name=member.name, listen=member.address, peers=(*others, member), joins=True, data_dir="."
    )
    path = directory / member.name / "node.toml"
    try:
        path.parent.mkdir(mode=0o700)
    except OSError as error:
        raise ConfigError(f"{path.parent} cannot be made: {error.strerror}") from error
    write_file(path, to_toml(config))
    return path


def _written(directory: Path) -> ProxyConfig:
    """proxy.toml as it is written, its paths relative."""
    return read(directory / "proxy.toml", ProxyConfig)


def _list_nodes(directory: Path, nodes: list[Upstream]) -> None:
    before = _written(directory)
    after = msgspec.structs.replace(before, nodes=tuple(nodes))
    if nodes and after != before:
        write_file(directory / "proxy.toml", to_toml(after))


def _check(address: str) -> None:
    try:
        split_address(address)
    except ValueError as error:
        raise ConfigError(f"--address: {error}, got '{address}'") from error
