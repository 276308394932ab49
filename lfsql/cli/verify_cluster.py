"""The half of `lfsql verify` that asks a running cluster."""

from __future__ import annotations

from typing import Any

import msgspec
import trio
from rich.console import Console
from rich.table import Table

from lfsql.cli.contacts import contacts_of
from lfsql.cli.layout import Layout
from lfsql.cli.status import ask
from lfsql.core.requests import EQUAL, NO_DATA, SILENT, Status, Verified, VerifyRequest
from lfsql.errors import LfsqlError, NoPrimary
from lfsql.net.link import open_link

ANSWER_S_SPARE = 10.0
"""For the way to the primary and back."""


async def is_running(layout: Layout, addresses: list[str]) -> Status | None:
    """The cluster's status, None when no node answers."""
    status, faults = await ask(layout, addresses)
    return status if len(faults) < len(addresses) else None


async def verify_cluster(layout: Layout, status: Status, wait_s: int) -> dict[str, Any]:
    """The document that is printed.  Raises NoPrimary, and what the link or the primary answers with."""
    address = next((node.address for node in status.nodes if node.name == status.primary), None)
    if address is None:
        raise NoPrimary(
            "there is no primary: contents can be compared only while there is one", hint="see lfsql status"
        )
    cluster = contacts_of(layout.proxy)
    answer: object = None
    with trio.move_on_after(wait_s + ANSWER_S_SPARE):
        async with open_link(address, cluster.identity, cluster.key) as link:
            answer = await link.request(VerifyRequest(link.next_request(), wait_s * 1000))
    if not isinstance(answer, Verified) or (not answer.index and answer.fault is None):
        raise LfsqlError(f"the primary could not check its content within {wait_s} s", hint="give it more: --wait")
    if answer.fault is not None:
        raise LfsqlError(answer.fault.message, hint=answer.fault.hint)
    nodes = [msgspec.structs.asdict(node) for node in answer.nodes]
    # A node that cannot be asked is no news to who has seen `lfsql status`, but nothing is proved of it either.
    well = all(node["state"] in (EQUAL, NO_DATA) and not (node["fault"] or node["log_fault"]) for node in nodes)
    return {"live": True, "ok": well, "index": answer.index, "nodes": nodes, "faults": _told(nodes)}


def print_cluster(console: Console, document: dict[str, Any]) -> None:
    console.print(f"at index {document['index']}:", highlight=False)
    table = Table(box=None, pad_edge=False)
    for name in ("node", "content", "hash", "log"):
        table.add_column(name)
    for node in document["nodes"]:
        unknown = node["state"] in (SILENT, NO_DATA)
        log = "-" if unknown else "damaged" if node["log_fault"] else f"whole, from {node['log_base'] + 1}"
        table.add_row(node["name"], node["state"], node["content"] or "-", log)
    console.print(table)
    for fault in document["faults"]:
        console.print(fault, highlight=False, style="red")


def _told(nodes: list[dict[str, Any]]) -> list[str]:
    found: list[str] = []
    for node in nodes:
        found += [f"{node['name']}: {node['fault']}"] if node["fault"] else []
        found += [f"{node['name']}: log.db: {node['log_fault']}"] if node["log_fault"] else []
        if node["state"] not in (EQUAL, NO_DATA):
            found.append(f"{node['name']}: {_MEANS[node['state']]}")
    return found


_MEANS = {
    "differs": "its content differs from that of the majority",
    "undecided": "the contents differ, and no majority has the same",
    "silent": "no answer",
}
