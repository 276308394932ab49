"""The half of `lfsql verify` that looks at the files of stopped nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from lfsql.errors import ConfigError, DirectoryInUse
from lfsql.node.directory import IDENTITY, stopped_directory
from lfsql.storage.directory_check import DirectoryReport, check_directory


def is_data_directory(directory: Path) -> bool:
    return (directory / IDENTITY).exists()


def verify_directories(directories: list[Path]) -> dict[str, Any]:
    """The document that is printed: what was found in each, and whether those at one index are equal.

    Raises DirectoryInUse when a node runs in one of them.
    """
    nodes: list[dict[str, Any]] = []
    for directory in directories:
        name = directory.name
        try:
            with stopped_directory(directory) as identity:
                name = identity.node
                report = check_directory(directory, lambda: None)
        except DirectoryInUse:
            raise
        except ConfigError as error:  # of this one; the others are looked at all the same
            report = DirectoryReport(faults=(error.message,), advice=(error.hint,) if error.hint else ())
        nodes.append({"name": name, "directory": str(directory), **msgspec.structs.asdict(report)})
    faults = _differences(nodes)
    return {
        "live": False,
        "ok": not faults and not any(node["faults"] for node in nodes),
        "nodes": nodes,
        "faults": faults,
    }


def print_directories(console: Console, document: dict[str, Any]) -> None:
    for node in document["nodes"]:
        report = msgspec.convert(node, DirectoryReport)
        console.print(f"{node['name']} in {node['directory']}: {_told(report)}", highlight=False)
        for fault in report.faults:
            console.print(f"  {fault}", highlight=False, style="red")
        for advice in report.advice:
            console.print(f"  {advice}", highlight=False)
    for fault in document["faults"]:
        console.print(fault, highlight=False, style="red")


def _told(report: DirectoryReport) -> str:
    log = "log.db could not be read"
    if report.log_base is not None and report.log_last is not None:
        log = f"log.db holds records {report.log_base + 1} to {report.log_last}"
        if report.log_last == report.log_base:
            log = f"log.db holds no records after {report.log_base}"
    data = "data.db has no content to compare"
    if report.content is not None:
        data = f"data.db stands at index {report.applied_index} with content {report.content}"
    return f"{log}, {data}{'' if report.faults else ', all is well'}"


def _differences(nodes: list[dict[str, Any]]) -> list[str]:
    found: list[str] = []
    for index in sorted({node["applied_index"] for node in nodes if node["content"] is not None}):
        contents = {
            node["name"]: node["content"] for node in nodes if node["applied_index"] == index and node["content"]
        }
        if len(set(contents.values())) > 1:
            told = ", ".join(f"{name} {content}" for name, content in contents.items())
            found.append(f"at index {index} the contents differ: {told}")
    return found
