"""The tables of `classification/`, and what the planner and the engine make of their statements.

A line is `kind route  statement`; `¶` is a line break in the statement.  For a refusal the route is the SQLSTATE.  Of
several statements kinds and routes are joined by `+`.  The tables were written from PostgreSQL's and SQLite's
grammars, and the former's are checked against PostgreSQL itself (`test_classification_against_postgres`).

Routes: `any` node that is fresh enough, the `primary`, or the `session` itself.  A statement inside of another
(COPY, DECLARE, EXPLAIN ANALYZE, EXECUTE) decides where that one goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple, cast

from lfsql.errors import LfsqlError
from lfsql.storage.reader import Reader
from proxy.sql.lexer import split
from proxy.sql.plan import Kind, Plan
from proxy.sql.planner import Dialect
from proxy.sql.utility import (
    CopyIn,
    CopyOut,
    DeclareCursor,
    ExecutePrepared,
    Explain,
    Maintenance,
    Notify,
    Prepare,
)
from tests.sql.tier import Tier

DIRECTORY = Path(__file__).parent / "classification"

TABLES = """
CREATE TABLE t (a int PRIMARY KEY, b text, c jsonb, d timestamptz DEFAULT now(), e int[]);
CREATE TABLE u (id serial PRIMARY KEY, a int REFERENCES t, n numeric(10,2));
CREATE TABLE "select" ("from" int, "update" text);
CREATE VIEW v AS SELECT a, b FROM t;
CREATE SEQUENCE s;
INSERT INTO t (a, b) VALUES (1, 'one'), (2, 'two'), (3, NULL);
INSERT INTO u (a, n) VALUES (1, 1.5), (2, 2.5);
INSERT INTO "select" VALUES (7, 'seven')
"""


class Verdict(NamedTuple):
    kind: str
    """Of `Kind`, or `refused`."""
    route: str
    """`any`, `primary`, `session`, or the SQLSTATE of a refusal."""


@dataclass(frozen=True)
class Case:
    place: str
    """File and line."""
    dialect: Dialect
    text: str
    expected: tuple[Verdict, ...]
    unread: bool = False
    """PostgreSQL takes it, and this tier refuses it."""


UNREAD = "# What PostgreSQL takes and this tier does not read"


@cache
def cases() -> tuple[Case, ...]:
    return tuple(case for path in sorted(DIRECTORY.glob("*.txt")) for case in _read(path))


def _read(path: Path) -> Iterator[Case]:
    dialect = cast(Dialect, path.stem.partition("_")[0])
    unread = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        unread = unread or line.startswith(UNREAD)
        if not line or line.startswith("# "):
            continue
        head, _, text = line.partition("  ")
        kinds, routes = (part.split("+") for part in head.split())
        expected = tuple(Verdict(*both) for both in zip(kinds, routes, strict=True))
        yield Case(f"{path.stem}:{number}", dialect, text.replace("¶", "\n"), expected, unread)


@dataclass
class Judge:
    """Classifies texts as a session would, short of running them."""

    tier: Tier
    reader: Reader
    prepared: dict[str, Plan] = field(default_factory=dict)

    @classmethod
    def of(cls, tier: Tier) -> Judge:
        return cls(tier, Reader(str(tier.pair.primary.connection.filename)))

    def verdicts(self, text: str, dialect: Dialect) -> tuple[Verdict, ...]:
        """One for each statement, up to the first that is refused."""
        self.prepared.clear()
        try:
            sources = split(text, dialect)
        except LfsqlError as error:
            return (Verdict("refused", error.sqlstate),)
        found: list[Verdict] = []
        for source in sources:
            try:
                plan = self.tier.plan(source.text, dialect)
                self.ask_engine(plan)
                found.append(Verdict(plan.kind.value, self.route(plan, dialect)))
            except LfsqlError as error:
                found.append(Verdict("refused", error.sqlstate))
                break
        return tuple(found) or (Verdict("empty", "session"),)

    def ask_engine(self, plan: Plan) -> None:
        """What SQLite says of the plan's SQL without running it.  Raises what the client would be told."""
        if plan.kind not in (Kind.READ, Kind.WRITE, Kind.DDL) or plan.catalog or plan.mixed:
            return
        # Of several statements the later ones need what the earlier ones make.
        first = next(sql for sql in plan.statements if not sql.startswith("PRAGMA lfsql_rebuild"))
        if plan.kind is Kind.READ:
            self.reader.begin()
            try:
                assert self.reader.describe(first).readonly, f"a read that writes: {first}"
            finally:
                self.reader.end()
        else:
            self.tier.pair.primary.describe(first)

    def route(self, plan: Plan, dialect: Dialect) -> str:
        if plan.kind is Kind.EMPTY or plan.catalog:
            return "session"
        if plan.kind is not Kind.UTILITY:
            return "any" if plan.kind is Kind.READ else "primary"
        match plan.utility:
            case CopyIn() | Notify() | Maintenance(tag="LOCK TABLE"):
                return "primary"
            case CopyOut(query=text) | DeclareCursor(text=text):
                return self.inner(text, dialect)
            case Explain(route=True):
                return "session"
            case Explain(text=text, analyze=analyze):
                inner = self.inner(text, dialect)
                return inner if analyze else "any"
            case Prepare(name=name, text=text):
                self.prepared[name] = self.tier.plan(text, dialect)
                self.ask_engine(self.prepared[name])
                return "session"
            case ExecutePrepared(name=name):
                return self.route(self.prepared[name], dialect)
            case _:
                return "session"

    def inner(self, text: str, dialect: Dialect) -> str:
        plan = self.tier.plan(text, dialect)
        self.ask_engine(plan)
        return self.route(plan, dialect)
