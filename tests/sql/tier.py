"""PostgreSQL statements planned and run on a pair of real engines: what the plans say is what SQLite does."""

from __future__ import annotations

from pathlib import Path

from lfsql.core.entry import Value
from lfsql.core.requests import Result, Row, Run
from lfsql.errors import LfsqlError
from proxy.sql.plan import Kind, Plan
from proxy.sql.planner import Dialect, plan, split
from proxy.sql.schema import Relation, Schema
from proxy.sql.schema_query import SCHEMA_QUERY, schema_from_rows
from tests.storage.pair import Pair, rows


class Tier:
    def __init__(self, directory: Path) -> None:
        self.pair = Pair(directory)
        self.schema = Schema()
        self.load()

    def close(self) -> None:
        self.pair.close()

    def load(self) -> Schema:
        found = rows(self.pair.primary, SCHEMA_QUERY)
        self.schema = schema_from_rows(found, self.pair.primary.schema_index)
        return self.schema

    def plan(self, text: str, dialect: Dialect = "postgresql") -> Plan:
        return plan(text, self.schema, dialect=dialect)

    def run(self, text: str, *parameters: Value, dialect: Dialect = "postgresql") -> list[Row]:
        """Every statement of a script, each a unit of its own; the rows of the last."""
        found: list[Row] = []
        for source in split(text, dialect):
            found = self.run_plan(self.plan(source.text, dialect), parameters)
        return found

    def run_plan(self, planned: Plan, parameters: tuple[Value, ...] = ()) -> list[Row]:
        if planned.kind in (Kind.UTILITY, Kind.EMPTY):
            return []
        calls = [(call.name, call.arguments) for call in planned.session_calls]
        assert all(call == ("current_setting", ("TimeZone",)) for call in calls), calls
        parameters = (*parameters, *("UTC" for _ in calls))
        last = len(planned.statements) - 1
        operations = [Run(sql, parameters if at == last else ()) for at, sql in enumerate(planned.statements)]
        if planned.kind is Kind.READ:
            return rows(self.pair.primary, planned.statements[0], parameters)
        self.pair.primary.begin()
        try:
            results: list[Result] = self.pair.unit(*operations)
        except LfsqlError:
            self.pair.primary.rollback()
            raise
        self.pair.commit()
        if planned.kind is Kind.DDL:
            self.load()
        return list(results[-1].rows)

    def table(self, name: str) -> Relation:
        return self.schema.relations[name]

    def sqlite(self, sql: str) -> list[Row]:
        return rows(self.pair.primary, sql)
