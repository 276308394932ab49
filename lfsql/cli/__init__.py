"""The command line: `lfsql up`, `node`, `proxy`, `status`, `verify`, `route`, and orders to a cluster.

The one place that knows both the nodes and the proxy.  Heavy parts are imported by the command that needs them, so
that `lfsql --help` and a mistake in the arguments answer at once.

Every error that is ours becomes one line on stderr and exit status 1 (2 for wrong arguments); a traceback is left for
what is a bug.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import click

from lfsql.errors import LfsqlError

if TYPE_CHECKING:
    from lfsql.config import MemberRole

Command = TypeVar("Command", bound=Callable[..., None])

DIRECTORY = "data"
PORT = 5433


class Commands(click.Group):
    """Turns our errors, of whatever command, into one line and exit status 1."""

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except LfsqlError as error:
            name = f"lfsql {context.invoked_subcommand}" if context.invoked_subcommand else "lfsql"
            hint = f" ({error.hint})" if error.hint else ""
            click.echo(f"{name}: {error.message}{hint}", err=True)
            context.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lfsql")
def main() -> None:
    """SQLite files as a replicated database tier that PostgreSQL clients use."""


def _directory(
    help_text: str = "The directory of `lfsql up`: whom to ask, and the cluster's key.",
) -> Callable[[Command], Command]:
    """The option `--dir`, the same for every command but for what it is there."""
    return click.option(
        "--dir",
        "directory",
        type=click.Path(path_type=Path),
        default=DIRECTORY,
        show_default=True,
        help=help_text,
    )


def _whom(command: Command) -> Command:
    """The options that say which cluster is meant."""
    command = click.option(
        "--config",
        type=click.Path(path_type=Path),
        default=None,
        help="A proxy.toml, instead of --dir: of a cluster that `lfsql up` did not make.",
    )(command)
    return _directory()(command)


@main.command()
@_directory("Where to keep all.")
@click.option("--nodes", type=click.IntRange(1, 9), default=None, help="Nodes with data.  [default: 3]")
@click.option(
    "--witnesses", type=click.IntRange(0, 4), default=None, help="Nodes with a vote and no data.  [default: 0]"
)
@click.option(
    "--port", type=click.IntRange(1, 65535), default=None, help=f"Where clients connect.  [default: {PORT}]"
)
@click.option("--workers", type=click.IntRange(1, 64), default=None, help="Proxy processes.  [default: 1]")
def up(directory: Path, nodes: int | None, witnesses: int | None, port: int | None, workers: int | None) -> None:
    """Start nodes and a proxy on this machine, until Ctrl-C.

    Prints one line, "ready: postgresql://…", when a write would succeed.  A directory that was used before is used
    again, with the nodes and settings it was made with.
    """
    from lfsql.cli.up import run_up

    sys.exit(run_up(directory, nodes, witnesses, port, workers))


@main.command()
@click.option("--config", type=click.Path(path_type=Path), required=True, help="The node's node.toml.")
@click.option("--lifeline", type=int, default=None, help="A pipe's descriptor: stop when it ends.  For `lfsql up`.")
def node(config: Path, lifeline: int | None) -> None:
    """Run one node, until SIGINT or SIGTERM."""
    from lfsql.cli.serving import serve_node

    _log_to_stderr()
    serve_node(config, lifeline)


@main.command()
@click.option("--config", type=click.Path(path_type=Path), required=True, help="The proxy's proxy.toml.")
@click.option("--worker", type=click.IntRange(0, 63), default=None, help="Run only this worker, in this process.")
@click.option("--lifeline", type=int, default=None, help="A pipe's descriptor: stop when it ends.  For `lfsql up`.")
@click.option("--board", type=int, default=None, help="Memory that the workers share.  For themselves.")
def proxy(config: Path, worker: int | None, lifeline: int | None, board: int | None) -> None:
    """Run a proxy, until SIGINT or SIGTERM: one process for each of its workers."""
    from lfsql.cli.serving import serve_proxy

    _log_to_stderr()
    sys.exit(serve_proxy(config, worker, lifeline, board))


@main.command()
@_directory()
@click.option("--node", "address", metavar="HOST:PORT", default=None, help="Ask this node only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(directory: Path, address: str | None, *, as_json: bool) -> None:
    """Show the nodes and proxies.  Exit status 0 when there is a primary, else 1."""
    from lfsql.cli.status import run_status

    sys.exit(run_status(directory, address, as_json=as_json))


@main.command()
@_directory("The directory of `lfsql up`, running or not, or one node's data directory, at rest.")
@click.option("--node", "address", metavar="HOST:PORT", default=None, help="Find the cluster by this node.")
@click.option(
    "--wait",
    "wait_s",
    type=click.IntRange(1, 86_400),
    default=600,
    show_default=True,
    help="Seconds that the nodes of a running cluster have to answer.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(directory: Path, address: str | None, wait_s: int, *, as_json: bool) -> None:
    """Check that the nodes hold what they must: logs, databases, and that these are equal.

    Of a running cluster all nodes are asked, at one index; of nodes at rest the files are read.  Exit status 0 when
    nothing is wrong, else 1.
    """
    from lfsql.cli.verify import run_verify

    sys.exit(run_verify(directory, address, wait_s, as_json=as_json))


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dialect", type=click.Choice(["postgresql", "sqlite"]), default="postgresql", show_default=True)
@click.option("--log", is_flag=True, help="FILE is a PostgreSQL server's log.")
@click.option(
    "--database",
    type=click.Path(path_type=Path),
    default=None,
    help="A data.db whose tables there are to begin with.  It is copied.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def route(file: Path, dialect: str, database: Path | None, *, log: bool, as_json: bool) -> None:
    """Show where each statement of FILE ("-": of stdin) would go, and why, without running it.

    Exit status 1 when there is a statement that cannot be planned.
    """
    from lfsql.cli.route import run_route

    chosen: Literal["postgresql", "sqlite"] = "sqlite" if dialect == "sqlite" else "postgresql"
    sys.exit(run_route(file, dialect=chosen, log=log, database=database, as_json=as_json))


@main.command()
@click.argument("node")
@_whom
def transfer(node: str, directory: Path, config: Path | None) -> None:
    """Hand the lead to NODE, which must be a voter.  Writes go on until the last moment."""
    from lfsql.cli.operations import run_transfer

    run_transfer(directory, config, node)


@main.command()
@click.argument("node")
@_whom
@click.option("--address", metavar="HOST:PORT", default=None, help="Where the others reach it.")
@click.option(
    "--role", type=click.Choice(["voter", "learner", "witness"]), default="voter", show_default=True, help="Its part."
)
@click.option("--priority", type=click.IntRange(0, 1000), default=100, show_default=True, help="Higher leads first.")
@click.option("--wait", "wait_s", type=float, default=None, help="Wait so many seconds until it has caught up.")
def add_node(
    node: str,
    directory: Path,
    config: Path | None,
    address: str | None,
    role: MemberRole,
    priority: int,
    wait_s: float | None,
) -> None:
    """Make NODE a member of the running cluster, or change its address, role or priority.

    It gets its vote once it has caught up.
    """
    from lfsql.cli.operations import run_add

    run_add(directory, config, node, address=address, role=role, priority=priority, wait_s=wait_s)


@main.command()
@click.argument("node")
@_whom
def remove_node(node: str, directory: Path, config: Path | None) -> None:
    """Take NODE out of the running cluster; it may be gone already.  Its process ends, its files stay."""
    from lfsql.cli.operations import run_remove

    run_remove(directory, config, node)


@main.command()
@click.argument("node")
@_whom
def drain(node: str, directory: Path, config: Path | None) -> None:
    """Have NODE hand over the lead, if it has it, and stop.  It stays a member."""
    from lfsql.cli.operations import run_drain

    run_drain(directory, config, node)


@main.command()
@click.option(
    "--config", type=click.Path(path_type=Path), required=True, help="The node.toml of the node that is left."
)
@click.option("--confirm", "code", metavar="CODE", default=None, help="What the command said without this option.")
def recover(config: Path, code: str | None) -> None:
    """Have a stopped node go on alone, after a majority of the nodes was lost for good.  Writes may be lost.

    Without --confirm it only says what would be lost, and exits with 1.
    """
    from lfsql.cli.recover import run_recover

    sys.exit(run_recover(config, code))


def _log_to_stderr() -> None:
    """One line an event, with UTC time."""
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
