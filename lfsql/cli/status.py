"""`lfsql status`: asks the nodes themselves, over the link, and believes the one of the latest term."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import trio
from rich.console import Console
from rich.table import Table

from lfsql.cli.contacts import addresses_asked, ask_all, contacts_of
from lfsql.cli.layout import Layout, load
from lfsql.core.requests import UNREACHABLE, NodeStatus, Status


def run_status(directory: Path, address: str | None, *, as_json: bool) -> int:
    """Print the cluster's status; 0 when there is a primary.  Raises ConfigError."""
    layout = load(directory, to_look=True)
    status, faults = trio.run(ask, layout, addresses_asked(layout, address))
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(as_document(status)), indent=2).decode() + "\n")
    else:
        _print(status)
    for fault in faults:
        print(f"lfsql status: {fault}", file=sys.stderr)
    return 0 if status.primary else 1


async def ask(layout: Layout, addresses: list[str]) -> tuple[Status, tuple[str, ...]]:
    """The best of the answers; without any all nodes are unreachable, and why, an address and a reason each."""
    answers = await ask_all(contacts_of(layout.proxy, addresses))
    if answers.best is None:
        absent = tuple(
            NodeStatus(node.name, UNREACHABLE, 0, node.me.address, False, 0, 0, 0) for node in layout.nodes
        )
        return Status(0, "", 0, 0, absent, ()), answers.faults
    # Every proxy links to every node; one that just started may not yet have reached the one that answers best.
    proxies = dict.fromkeys(proxy for status in answers.statuses for proxy in status.proxies)
    return msgspec.structs.replace(answers.best, proxies=tuple(sorted(proxies, key=lambda proxy: proxy.pid))), ()


def as_document(status: Status) -> dict[str, Any]:
    """The JSON that tools rely on.  What is unknown is null: the primary without one, all of an unreachable node."""
    nodes = []
    for node in status.nodes:
        line = msgspec.structs.asdict(node)
        if node.role == UNREACHABLE and not node.pid:
            line.update(pid=None, applied_index=None, lag_entries=None, lag_ms=None)
        nodes.append(line)
    return {
        "primary": status.primary or None,
        "term": status.term,
        "commit_index": status.commit_index,
        "nodes": nodes,
        "proxies": [msgspec.structs.asdict(proxy) for proxy in status.proxies],
    }


def _print(status: Status) -> None:
    console = Console()
    primary = f"primary {status.primary}" if status.primary else "no primary"
    console.print(f"{primary}, term {status.term}, commit index {status.commit_index}", highlight=False)
    table = Table(box=None, pad_edge=False)
    for name in ("node", "role", "pid", "address", "healthy", "applied", "lag entries", "lag ms"):
        table.add_column(name, justify="right" if name in ("pid", "applied", "lag entries", "lag ms") else "left")
    for node in status.nodes:
        known = node.role != UNREACHABLE or bool(node.pid)
        numbers = (node.pid, node.applied_index, node.lag_entries, node.lag_ms)
        pid, *rest = (str(number) if known else "-" for number in numbers)
        table.add_row(node.name, node.role, pid, node.address, "yes" if node.healthy else "no", *rest)
    console.print(table)
    for node in status.nodes:
        if node.fault:
            console.print(f"{node.name}: {node.fault}", highlight=False, style="red")
        if node.throttle:
            console.print(f"{node.name}: {node.throttle}", highlight=False, style="yellow")
    for proxy in status.proxies:
        console.print(f"proxy {proxy.pid} at {proxy.address}", highlight=False)
