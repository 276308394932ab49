"""How a command reaches a cluster, and what the cluster's nodes say of themselves when they are asked all at once.

Nobody knows beforehand which node is right: one that was cut off may still take itself for the primary.  So all are
asked, and the answer of the latest term is believed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import trio

from lfsql.cli.layout import Layout
from lfsql.config import ProxyConfig, split_address
from lfsql.core.requests import Status, StatusRequest
from lfsql.errors import ConfigError, LfsqlError
from lfsql.net.cluster_key import load_key
from lfsql.net.handshake import COMMAND, Identity
from lfsql.net.link import open_link

ANSWER_S_MAX: Final = 5.0


@dataclass(frozen=True)
class Contacts:
    """How to reach a cluster: where its nodes may be, and the key that they ask for."""

    cluster_id: str
    key: bytes
    addresses: tuple[str, ...]

    @property
    def identity(self) -> Identity:
        return Identity(self.cluster_id, "", COMMAND)


def contacts_of(proxy: ProxyConfig, addresses: Iterable[str] | None = None) -> Contacts:
    """The nodes that a proxy.toml names, or those at `addresses` instead.  Raises ConfigError for the key's file."""
    if addresses is None:
        addresses = (node.address for node in proxy.nodes)
    return Contacts(proxy.cluster_id, load_key(proxy.cluster_key_file), tuple(addresses))


def addresses_asked(layout: Layout, address: str | None) -> list[str]:
    """The nodes of a directory, or only the one that was given as --node.  Raises ConfigError for what is none."""
    if address is None:
        return [node.me.address for node in layout.nodes]
    try:
        split_address(address)
    except ValueError as error:
        raise ConfigError(f"--node: {error}, got '{address}'") from error
    return [address]


@dataclass(frozen=True)
class Answers:
    """What the nodes said of themselves; `faults`: why others did not, an address and a reason each."""

    statuses: tuple[Status, ...]
    faults: tuple[str, ...]

    @property
    def best(self) -> Status | None:
        """The answer to believe: of those that know of a primary the one of the latest term.  None without any."""
        return max(
            self.statuses, key=lambda status: (bool(status.primary), status.term, status.commit_index), default=None
        )


async def ask_all(cluster: Contacts) -> Answers:
    """Ask all nodes at once for the cluster's status; over within ANSWER_S_MAX seconds."""
    statuses: list[Status] = []
    faults: list[str] = []

    async def ask(address: str) -> None:
        try:
            with trio.fail_after(ANSWER_S_MAX):
                async with open_link(address, cluster.identity, cluster.key) as link:
                    answer = await link.request(StatusRequest(link.next_request()))
        except LfsqlError as error:
            faults.append(f"{address}: {error.message}")
        except trio.TooSlowError:
            faults.append(f"{address}: no answer within {ANSWER_S_MAX:.0f} s")
        else:
            if isinstance(answer, Status):
                statuses.append(answer)
            else:
                faults.append(f"{address}: it answered a question with something else")

    async with trio.open_nursery() as nursery:
        for address in cluster.addresses:
            nursery.start_soon(ask, address)
    return Answers(tuple(statuses), tuple(faults))
