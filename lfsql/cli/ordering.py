"""Giving orders to a running cluster: finding the primary, asking it, and asking the next one when it no longer is.

An order is sent once to a node that can carry it out.  When the link breaks before the answer, what became of the
order is not known, and that is said: repeating it unasked could do it twice, and most orders can safely be given
again by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio

from lfsql.cli.contacts import Contacts, ask_all, contacts_of
from lfsql.config import load_proxy
from lfsql.core.requests import Done, Order, Status
from lfsql.errors import ConfigError, LinkLost, NoPrimary, NotPrimary, OrderRefused, OutcomeUnknown
from lfsql.net.link import open_link

ORDER_S_MAX: Final = 60.0
FIND_S_MAX: Final = 15.0
AGAIN_S: Final = 0.1

MakeOrder = Callable[[int], Order]
"""The order, given the number of the request."""


def contacts(directory: Path, config: Path | None) -> Contacts:
    """Of a directory of `lfsql up`, or of a proxy.toml.  Raises ConfigError.

    Of a directory only its proxy.toml is read: a node that is to be taken out may have lost all files, node.toml too.
    """
    file = config or directory / "proxy.toml"
    if config is None and not file.exists():
        raise ConfigError(
            f"{directory} is no directory of lfsql", hint="say whose cluster is meant: --dir, or --config"
        )
    return contacts_of(load_proxy(file))


async def cluster_status(cluster: Contacts) -> Status:
    """What the node of the latest term says, of those that answer.  Raises NoPrimary when none does."""
    answers = await ask_all(cluster)
    if answers.best is None:
        raise NoPrimary(f"no node answers: {'; '.join(answers.faults)}")
    return answers.best


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
