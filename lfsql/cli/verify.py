"""`lfsql verify`: whether nodes hold what they must, a running cluster's or those of directories at rest."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
from rich.console import Console

from lfsql.cli.layout import load
from lfsql.cli.verify_directory import is_data_directory, print_directories, verify_directories


def run_verify(directory: Path, *, as_json: bool) -> int:
    """Print what was found; 0 when nothing is wrong.  Raises ConfigError, DirectoryInUse."""
    if is_data_directory(directory):
        directories = [directory]
    else:
        directories = [Path(node.data_dir) for node in load(directory).nodes]
    document = verify_directories([each for each in directories if is_data_directory(each)])
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
    else:
        print_directories(Console(), document)
    return 0 if document["ok"] else 1
