"""`lfsql route`: where each statement of a file or of a query log would go, without a tier.

The same planner as the proxy's, over a database in a temporary directory that follows the file's own CREATE and ALTER
statements: a file that makes its tables first needs nothing else.  Rejected: asking a running proxy by EXPLAIN
(ROUTE).  It knows the tables of that day only, and a log of last night would have to be planned by a production tier.

What a running proxy adds is not told here: which copies are fresh enough just then.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from lfsql.core.ids import Position
from lfsql.core.requests import Row, Run
from lfsql.errors import ConfigError, LfsqlError
from lfsql.storage.engine import Engine
from lfsql.storage.opening import copy_database
from proxy.sql.destination import Destination, destination
from proxy.sql.plan import Kind, Plan
from proxy.sql.planner import Dialect, plan, split
from proxy.sql.schema import Schema
from proxy.sql.schema_query import SCHEMA_QUERY, schema_from_rows

SHOWN_CHARACTERS: Final = 60
_LOGGED: Final = re.compile(r"LOG:\s+(?:duration: [\d.]+ ms\s+)?(?:statement|execute [^:]*): ")
"""What stands before a statement in PostgreSQL's log (log_statement, log_min_duration_statement), not as CSV."""


@dataclass(frozen=True)
class Routed:
    """One statement's fate.  `line` counts from 1; `route` is 'error' with the SQLSTATE in `kind`."""

    line: int
    kind: str
    route: str
    reason: str
    statement: str


class Scratch:
    """A database that follows the statements that change a schema.  Use as a context manager."""

    def __init__(self, dialect: Dialect, database: Path | None) -> None:
        self._dialect: Dialect = dialect
        self._directory = tempfile.TemporaryDirectory(prefix="lfsql-route-")
        path = Path(self._directory.name) / "data.db"
        try:
            if database is not None:
                copy_database(database, path)
            self._engine = Engine(path)
        except BaseException:
            self._directory.cleanup()
            raise
        self._sequence = 0
        self._schema = self._load()

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()
        self._directory.cleanup()

    def _load(self) -> Schema:
        rows: list[Row] = self._engine.connection.execute(SCHEMA_QUERY).fetchall()
        return schema_from_rows(rows, self._engine.schema_index)

    def route(self, text: str, line: int) -> Routed:
        """Plan one statement; one that changes the schema is also run here."""
        shown = " ".join(text.split())
        try:
            planned = plan(text, self._schema, dialect=self._dialect)
            to = destination(planned)
            if planned.kind is Kind.DDL:
                self._follow(planned)
        except LfsqlError as error:
            return Routed(line, error.sqlstate, "error", error.message, shown)
        return Routed(line, planned.kind.value, to.value, planned.reason or planned.kind.value, shown)

    def _follow(self, planned: Plan) -> None:
        engine = self._engine
        self._sequence += 1
        engine.begin()
        try:
            engine.open_unit("route", self._sequence, engine.clock_us, 1)
            for sql in planned.statements:
                engine.run(Run(sql))
            engine.close_unit()
        except LfsqlError:
            engine.rollback()
            raise
        at = engine.position
        engine.commit(Position(at.index + 1, max(at.term, 1), at.hash), [at.index + 1])
        self._schema = self._load()


def logged(text: str) -> Iterator[tuple[str, int]]:
    """The statements of a PostgreSQL server's log, with their lines.  Continuation lines begin with a tab."""
    statement: list[str] = []
    began = 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("\t") and statement:
            statement.append(line[1:])
            continue
        if statement:
            yield "\n".join(statement), began
            statement = []
        if (found := _LOGGED.search(line)) is not None:
            statement, began = [line[found.end() :]], number
    if statement:
        yield "\n".join(statement), began


def scripted(text: str, dialect: Dialect) -> Iterator[tuple[str, int]]:
    """The statements of a file of SQL, with their lines.  The data after a COPY FROM STDIN must not be among them."""
    for source in split(text, dialect):
        start = source.offset + len(source.text) - len(source.text.lstrip())
        yield source.text, text.count("\n", 0, start) + 1


def run_route(file: Path, *, dialect: Dialect, log: bool, database: Path | None, as_json: bool) -> int:
    """Print where each statement goes.  Exit status 1 when one could not be planned.  Raises ConfigError."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    with Scratch(dialect, database) as scratch:
        found = logged(text) if log else scripted(text, dialect)
        routed = [one for sql, line in found if (one := scratch.route(sql, line)).kind != Kind.EMPTY.value]
    if as_json:
        for one in routed:
            click.echo(json.dumps(asdict(one)))
    else:
        _print(routed)
    return int(any(one.route == "error" for one in routed))


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
    order = [*(each.value for each in Destination), "error"]
    console.print(", ".join(f"{counts[name]} to {name}" for name in order if counts[name]) or "no statements")
