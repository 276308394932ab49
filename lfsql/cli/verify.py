"""`lfsql verify`: whether nodes hold what they must, a running cluster's or those of directories at rest."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import trio
from rich.console import Console

from lfsql.cli.contacts import addresses_asked
from lfsql.cli.layout import load
from lfsql.cli.verify_cluster import is_running, print_cluster, verify_cluster
from lfsql.cli.verify_directory import is_data_directory, print_directories, verify_directories
from lfsql.errors import LinkLost

WAIT_S = 600


def run_verify(directory: Path, address: str | None = None, wait_s: int = WAIT_S, *, as_json: bool) -> int:
    """Print what was found; 0 when nothing is wrong.

    Raises ConfigError, DirectoryInUse when nodes of the directory run that do not answer; NoPrimary, LinkLost.
    """
    if is_data_directory(directory) and address is None:
        document = verify_directories([directory])
    else:
        layout = load(directory, to_look=True)
        status = trio.run(is_running, layout, addresses_asked(layout, address))
        if status is not None:
            document = trio.run(verify_cluster, layout, status, wait_s)
        elif address is not None:
            raise LinkLost(f"node at {address} does not answer")
        else:
            directories = [Path(node.data_dir) for node in layout.nodes]
            document = verify_directories(directories)
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
    elif document["live"]:
        print_cluster(Console(), document)
    else:
        print_directories(Console(), document)
    return 0 if document["ok"] else 1
