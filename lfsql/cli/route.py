"""`lfsql route`: where each statement of a file or of a query log would go, without a tier.

Each goes through a session of the proxy's that runs nothing (`proxy.rehearsal`), over a database in a temporary
directory that follows the file's own CREATE and ALTER statements: a file that makes its tables first needs nothing
else.

What a running proxy adds is not told here: which copies are fresh enough just then.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import click
import trio
from rich.console import Console
from rich.table import Table

from lfsql.cli.query_log import logged
from lfsql.cli.scratch import Scratch
from lfsql.errors import ConfigError, LfsqlError
from proxy.rehearsal import Rehearsal, Stage, stage
from proxy.sql.plan import Kind
from proxy.sql.planner import Dialect
from proxy.sql.scripts import Script

SHOWN_CHARACTERS: Final = 60


@dataclass(frozen=True)
class Routed:
    """One statement's fate.  `line` counts from 1; `route` is 'error' with the SQLSTATE in `kind`, or 'psql'."""

    line: int
    kind: str
    route: str
    reason: str
    statement: str


async def _routed(session: Rehearsal, text: str, line: int) -> Routed:
    shown = " ".join(text.split())
    try:
        found = await session.rehearse(text)
    except LfsqlError as error:
        return Routed(line, error.sqlstate, "error", error.message, shown)
    return Routed(line, found.kind.value, found.route, found.reason, shown)


async def _script(session: Rehearsal, text: str, first_line: int = 1) -> AsyncIterator[Routed]:
    """The statements of a file for psql, or of one text that a client sent, in order."""
    script = Script(text)
    while (piece := script.next(session.dialect)) is not None:
        line = first_line + piece.line - 1
        if piece.kind == "psql":
            yield Routed(line, "psql", "psql", "a command of psql's own", piece.text)
        else:
            yield await _routed(session, piece.text, line)


async def _log(on: Stage, text: str) -> AsyncIterator[Routed]:
    """The statements of a PostgreSQL server's log, each in its session."""
    for found in logged(text):
        if found.event == "end":
            on.leave(found.session)
            continue
        session = on.session(found.session)
        if found.event == "statement":
            yield await _routed(session, found.text, found.line)
            continue
        session.several(are=";" in found.text.rstrip().rstrip(";"))
        async for one in _script(session, found.text, found.line):
            yield one
        session.several(are=False)


async def _all(text: str, dialect: Dialect, database: Path | None, *, log: bool) -> list[Routed]:
    with Scratch(database) as scratch:
        async with stage(dialect, scratch) as on:
            found = _log(on, text) if log else _script(on.session(), text)
            return [one async for one in found if one.kind != Kind.EMPTY.value]


def run_route(file: Path, *, dialect: Dialect, log: bool, database: Path | None, as_json: bool) -> int:
    """Print where each statement goes.  Exit status 1 when one could not be planned.  Raises ConfigError."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    routed = _alone(text, dialect, database, log=log)
    if as_json:
        for one in routed:
            click.echo(json.dumps(asdict(one)))
    else:
        _print(routed)
    return int(any(one.route == "error" for one in routed))


def _alone(text: str, dialect: Dialect, database: Path | None, *, log: bool) -> list[Routed]:
    """As `_all`; an error that ends it comes out of the nurseries it went through."""
    try:
        return trio.run(lambda: _all(text, dialect, database, log=log))
    except BaseExceptionGroup as group:
        errors: list[BaseException] = [group]
        while isinstance(errors[0], BaseExceptionGroup) and len(errors[0].exceptions) == 1:
            errors = list(errors[0].exceptions)
        if isinstance(errors[0], LfsqlError):
            raise errors[0] from group
        raise


def _print(routed: list[Routed]) -> None:
    table = Table("line", "kind", "route", "why", "statement", box=None, pad_edge=False)
    for one in routed:
        shown = one.statement
        if len(shown) > SHOWN_CHARACTERS:
            shown = shown[: SHOWN_CHARACTERS - 1] + "…"
        table.add_row(str(one.line), one.kind, one.route, one.reason, shown)
    console = Console(markup=False, highlight=False, soft_wrap=True)
    console.print(table)
    counts = Counter(one.route for one in routed)
    order = sorted(counts, key=lambda name: (-counts[name], name))
    console.print(", ".join(f"{counts[name]} to {name}" for name in order) or "no statements")
