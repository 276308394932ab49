"""Giving orders to a running cluster: finding the primary, asking it, and asking the next one when it no longer is.

An order is sent once to a node that can carry it out.  When the link breaks before the answer, what became of the
order is not known, and that is said: repeating it unasked could do it twice, and most orders can safely be given
again by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from lfsql.config import load_proxy
from lfsql.core.requests import Done, Order, Status, StatusRequest
from lfsql.errors import ConfigError, LfsqlError, LinkLost, NoPrimary, NotPrimary, OrderRefused, OutcomeUnknown
from lfsql.net.cluster_key import load_key
from lfsql.net.handshake import COMMAND, Identity
from lfsql.net.link import open_link

ASK_S_MAX: Final = 5.0
ORDER_S_MAX: Final = 60.0
FIND_S_MAX: Final = 15.0
AGAIN_S: Final = 0.1

MakeOrder = Callable[[int], Order]
"""The order, given the number of the request."""


@dataclass(frozen=True)
class Contacts:
    """How to reach a cluster: where its nodes may be, and the key that they ask for."""

    cluster_id: str
    key: bytes
    addresses: tuple[str, ...]

    @property
    def identity(self) -> Identity:
        return Identity(self.cluster_id, "", COMMAND)


def contacts(directory: Path, config: Path | None) -> Contacts:
    """Of a directory of `lfsql up`, or of a proxy.toml.  Raises ConfigError.

    Of a directory only its proxy.toml is read: a node that is to be taken out may have lost all files, node.toml too.
    """
    file = config or directory / "proxy.toml"
    if config is None and not file.exists():
        raise ConfigError(
            f"{directory} is no directory of lfsql", hint="say whose cluster is meant: --dir, or --config"
        )
    proxy = load_proxy(file)
    addresses = tuple(node.address for node in proxy.nodes)
    return Contacts(proxy.cluster_id, load_key(proxy.cluster_key_file), addresses)


async def cluster_status(cluster: Contacts) -> Status:
    """What the node of the latest term says, of those that answer.  Raises NoPrimary when none does."""
    answers: list[Status] = []
    faults: list[str] = []

    async def ask(address: str) -> None:
        try:
            with trio.fail_after(ASK_S_MAX):
                async with open_link(address, cluster.identity, cluster.key) as link:
                    answer = await link.request(StatusRequest(link.next_request()))
        except LfsqlError as error:
            faults.append(f"{address}: {error.message}")
        except trio.TooSlowError:
            faults.append(f"{address}: no answer within {ASK_S_MAX:.0f} s")
        else:
            if isinstance(answer, Status):
                answers.append(answer)

    async with trio.open_nursery() as nursery:
        for address in cluster.addresses:
            nursery.start_soon(ask, address)
    if not answers:
        raise NoPrimary(f"no node answers: {'; '.join(faults)}")
    return max(answers, key=lambda answer: (bool(answer.primary), answer.term, answer.commit_index))


def address_of(status: Status, node: str) -> str:
    """Raises OrderRefused when the cluster has no such node."""
    found = next((line.address for line in status.nodes if line.name == node), "")
    if not found:
        raise OrderRefused(f"there is no node '{node}': {', '.join(line.name for line in status.nodes)}")
    return found


async def order_primary(cluster: Contacts, make: MakeOrder) -> str:
    """Have the primary carry it out, whoever that is; what it says of it.

    Raises OrderRefused, OutcomeUnknown; NoPrimary when there is none for a while.
    """
    with trio.move_on_after(FIND_S_MAX):
        while True:
            status = await cluster_status(cluster)
            if status.primary:
                try:
                    return await order_node(cluster, address_of(status, status.primary), make)
                except NotPrimary:
                    pass  # it was a moment ago
            await trio.sleep(AGAIN_S)
    raise NoPrimary("the cluster has no primary", hint="see lfsql status")


async def order_node(cluster: Contacts, address: str, make: MakeOrder, *, until_gone: bool = False) -> str:
    """Have the node at `address` carry it out.  `until_gone`: wait also until it has ended."""
    sent = False
    try:
        with trio.fail_after(ORDER_S_MAX):
            async with open_link(address, cluster.identity, cluster.key) as link:
                order = make(link.next_request())
                sent = True
                answer = await link.request(order)
                if until_gone and isinstance(answer, Done) and answer.fault is None:
                    await link.wait_lost()
    except (LinkLost, trio.TooSlowError) as error:
        if not sent:
            raise
        raise OutcomeUnknown(
            f"the node at {address} did not answer: what it was ordered may have been done",
            hint="see lfsql status",
        ) from error
    if not isinstance(answer, Done):
        raise OutcomeUnknown(f"the node at {address} answered an order with something else")
    if answer.fault is not None:
        if answer.fault.sqlstate == NotPrimary.sqlstate:
            raise NotPrimary(answer.fault.message)
        kind = OutcomeUnknown if answer.fault.sqlstate == OutcomeUnknown.sqlstate else OrderRefused
        raise kind(answer.fault.message, hint=answer.fault.hint)
    return answer.text
