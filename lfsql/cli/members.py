"""`lfsql members`: a stopped node takes over the changed members of its node.toml.

A command and not an option of `lfsql node`: an option stays in whatever starts the node, and then accepts every later
slip of an editor too.
"""

from __future__ import annotations

from pathlib import Path

import click

from lfsql.config import load_node
from lfsql.node.directory import DirectoryIdentity, accept_members


def run_members(path: Path) -> None:
    """Accept what `peers` in the file says, and print what that changed.  Raises ConfigError."""
    config = load_node(path)
    changed = accept_members(config.data_dir, DirectoryIdentity(config.cluster_id, config.name, config.members))
    click.echo(f"{config.name}: {changed or 'the members are as they were'}")
