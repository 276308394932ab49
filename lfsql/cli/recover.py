"""`lfsql recover`: asked once it says what would be lost, asked again with the code it gave it does it."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec
import trio

from lfsql.cli.layout import write_file
from lfsql.config import ProxyConfig, load_node, read, to_toml
from lfsql.node.recovery import Recovery, lost_in_words, plan_recovery, recover


def run_recover(file: Path, code: str | None) -> int:
    """The exit status: 0 when it was done.  Raises LfsqlError."""
    config = load_node(file)
    if code is None:
        _explain(trio.run(plan_recovery, config), file)
        return 1
    plan, kept = trio.run(recover, config, code)
    click.echo(f"{plan.node} is the only member now; what may be lost is written in {kept}")
    click.echo(f"may be lost: {lost_in_words(plan)}")
    proxy_file = file.resolve().parent.parent / "proxy.toml"
    if proxy_file.exists() and _list_alone(proxy_file, plan.node):
        click.echo(f"{proxy_file} lists no other node any more")
    click.echo(f"start it with: lfsql node --config {file}")
    click.echo("then add nodes, under new names, with `lfsql add-node`, and destroy the files of the lost ones")
    return 0


def _explain(plan: Recovery, file: Path) -> None:
    others = ", ".join(name for name in plan.members if name != plan.node)
    click.echo(f"nothing was done. {plan.node} would go on alone{f', without {others}' if others else ''}.")
    if plan.forgotten:
        click.echo(
            f"records of log.db are damaged; those up to {plan.forgotten} would be cut off: data.db has what they did"
        )
    click.echo(f"lost would be: {lost_in_words(plan)}")
    click.echo(
        "do this only when a majority is gone for good. Of several nodes that are left take the one that keeps"
    )
    click.echo(
        "most (the highest index above). The others must never be started again: two of them could still decide,"
    )
    click.echo("and acknowledge writes that this one does not know of.")
    click.echo(f"to do it: lfsql recover --config {file} --confirm {plan.code}")


def _list_alone(proxy_file: Path, node: str) -> bool:
    """A later `lfsql up` in the directory would start the others again, and they could decide without this one."""
    before = read(proxy_file, ProxyConfig)
    alone = tuple(upstream for upstream in before.nodes if upstream.name == node)
    if not alone or alone == before.nodes:
        return False
    write_file(proxy_file, to_toml(msgspec.structs.replace(before, nodes=alone)))
    return True
