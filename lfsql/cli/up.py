"""`lfsql up`: nodes and a proxy as processes, watched until told to stop.

A child that dies after the tier was ready stays dead: restarting it here would hide from the operator, and from a
test, what the tier does without it.  A child that dies before is a mistake somebody wants to hear about: all stops.
"""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from lfsql.cli.children import Child, Children
from lfsql.cli.layout import Layout, check_addresses, held, prepare
from lfsql.cli.probe import would_write
from lfsql.cli.serving import wait_until_told
from lfsql.config import split_address
from lfsql.errors import LfsqlError, NoPrimary

DEFAULT_PORT = 5433
USER = "lfsql"
READY_S_MAX = 60.0
ASK_AGAIN_S = 0.05


class ChildFailed(LfsqlError):
    """A process of the tier ended before the tier was ready."""


def run_up(directory: Path, nodes: int | None, witnesses: int | None, port: int | None, workers: int | None) -> int:
    """Run a tier until told to stop; the exit status.  Raises LfsqlError."""
    with held(directory):
        layout = prepare(
            directory,
            nodes,
            port or DEFAULT_PORT,
            port_given=port is not None,
            workers=workers,
            witnesses=witnesses,
        )
        check_addresses(layout)
        return trio.run(_run, layout)


async def _run(layout: Layout) -> int:
    status = 0
    failure: LfsqlError | None = None
    async with trio.open_nursery() as nursery:
        children = Children(nursery)

        async def stop() -> None:
            why = await wait_until_told(None)
            _say(f"{why}: stopping")
            nursery.cancel_scope.cancel()

        nursery.start_soon(stop)
        try:
            await _start(layout, children)
            status = await _watch(layout, children)
        except LfsqlError as error:
            failure = error
        finally:
            await _stop(children)
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return status


async def _start(layout: Layout, children: Children) -> None:
    """Start all, then return when a write would succeed.  Raises ChildFailed, NoPrimary."""
    for node in layout.nodes:
        command = ["node", "--config", str(layout.node_file(node.name))]
        await children.start(node.name, command, layout.log_file(node.name))
    await children.start("proxy", ["proxy", "--config", str(layout.proxy_file)], layout.log_file("proxy"))
    why = "nothing was asked"
    ended: Child | None = None
    with trio.move_on_after(READY_S_MAX):
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                nonlocal why
                database = layout.proxy.databases[0]
                listen = layout.proxy.listen
                while why := await would_write(listen, USER, database):  # noqa: ASYNC110  # no event of ours tells it
                    await trio.sleep(ASK_AGAIN_S)
                nursery.cancel_scope.cancel()

            async def see_ends() -> None:
                nonlocal ended
                ended = await children.next_end()
                nursery.cancel_scope.cancel()

            nursery.start_soon(ask)
            nursery.start_soon(see_ends)
    if ended is not None:
        words = ended.last_words().removeprefix("lfsql node: ").removeprefix("lfsql proxy: ")
        raise ChildFailed(
            f"{ended.name} {ended.ending}{': ' if words else ''}{words}",
            hint=f"more in {ended.log}" if ended.log else "",
        )
    if why:
        raise NoPrimary(f"not ready after {READY_S_MAX:.0f} s: {why}", hint=f"see the logs in {layout.directory}")
    _, port = split_address(layout.proxy.listen)
    print(f"ready: postgresql://{USER}@127.0.0.1:{port}/{layout.proxy.databases[0]}", flush=True)


async def _watch(layout: Layout, children: Children) -> int:
    """Say which child ended; return when none is left."""
    while children.running:
        child = await children.next_end()
        file = layout.proxy_file if child.name == "proxy" else layout.node_file(child.name)
        kind = "proxy" if child.name == "proxy" else "node"
        words = child.last_words() if child.process.returncode and child.process.returncode > 0 else ""
        _say(f"{child.name} (pid {child.pid}) {child.ending}{': ' if words else ''}{words}")
        _say(f"start it again with: lfsql {kind} --config {file}")
    _say("no process is left")
    return 1


async def _stop(children: Children) -> None:
    """The proxy first, so that its clients are told; then the nodes.  Told again: at once."""
    with trio.CancelScope(shield=True):
        async with trio.open_nursery() as nursery:

            async def hurry() -> None:
                await wait_until_told(None)
                _say("told again: killing")
                children.kill()

            nursery.start_soon(hurry)
            await children.stop([child for child in children.all if child.name == "proxy"])
            await children.stop()
            nursery.cancel_scope.cancel()


def _say(line: str) -> None:
    print(f"lfsql up: {line}", file=sys.stderr, flush=True)
