"""Which column a name means: the relations of one FROM, inside the scopes around it.

SQLite would take an unknown double-quoted name for a string and search tables its own way, so every column is
resolved here and written out qualified; an unknown one fails while planning, in PostgreSQL's words.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from lfsql.errors import (
    AmbiguousColumn,
    DuplicateAlias,
    FeatureNotSupported,
    GroupingError,
    UndefinedColumn,
    UndefinedTable,
)
from proxy.sql.quoting import quote
from proxy.sql.schema import Relation
from proxy.sql.value import Value


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a source: what it is called and how SQLite is asked for it."""

    name: str
    value: Value
    alias: str = ""
    """The source it belongs to; empty for one that USING merged."""


@dataclass(slots=True)
class Source:
    """One item of FROM under its alias."""

    alias: str
    fields: list[Field]
    relation: Relation | None = None
    rowid: str = ""
    """SQL of the row's number, for tables."""

    def named(self, column: str) -> list[Field]:
        return [each for each in self.fields if each.name == column]


@dataclass(frozen=True, slots=True)
class Table:
    """A query under a name (WITH), or what a recursive one is known by while it is being worked out."""

    name: str
    fields: tuple[tuple[str, Value], ...]
    """Name and type of each column; SQLite's column has `columns` at the same place."""
    columns: tuple[str, ...]


@dataclass(slots=True)
class Scope:
    """What names mean at one level of a query, and what that level has used."""

    outer: Scope | None = None
    tables: dict[str, Table] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)
    shown: list[Field] = field(default_factory=list)
    """The columns of `*`, and what unqualified names mean: those a USING merged come first, once."""
    columns_allowed: bool = True
    aggregates: bool = False
    """An aggregate was used at this level."""
    inside_aggregate: int = 0
    aggregates_forbidden: str = ""
    """The clause, where aggregates are an error: WHERE, JOIN, ..."""
    references: list[tuple[str, str]] = field(default_factory=list)
    """(alias, column) used outside aggregates."""
    grouped: dict[str, tuple[str, str] | None] = field(default_factory=dict)
    """SQL of each GROUP BY expression."""
    series: list[str] | None = None
    """FROM items that set-returning functions of the select list ask for; None where they are not allowed."""
    series_count: int = 0
    windows_allowed: bool = False

    def table(self, table_name: str) -> Table | None:
        scope: Scope | None = self
        while scope is not None:
            if table_name in scope.tables:
                return scope.tables[table_name]
            scope = scope.outer
        return None

    def add(self, source: Source) -> None:
        if any(each.alias == source.alias for each in self.sources):
            raise DuplicateAlias(f'table name "{source.alias}" specified more than once')
        self.sources.append(source)

    def source(self, alias: str) -> Source | None:
        return next((each for each in self.sources if each.alias == alias), None)

    def resolve(self, column: str, qualifier: str = "") -> Value:
        """Raises UndefinedColumn, UndefinedTable or AmbiguousColumn in PostgreSQL's words."""
        scope: Scope | None = self
        while scope is not None:
            found = scope.find(column, qualifier)
            if found is not None:
                alias, value = found
                if not scope.inside_aggregate:
                    scope.references.append((alias, column))
                return value
            scope = scope.outer
        if qualifier:
            raise UndefinedTable(f'missing FROM-clause entry for table "{qualifier}"')
        if self.whole_row(column) is not None:
            raise FeatureNotSupported(f'whole-row reference to "{column}" is not supported')
        raise UndefinedColumn(f'column "{column}" does not exist')

    def whole_row(self, alias: str) -> Source | None:
        scope: Scope | None = self
        while scope is not None:
            found = scope.source(alias)
            if found is not None:
                return found
            scope = scope.outer
        return None

    def find(self, column: str, qualifier: str) -> tuple[str, Value] | None:
        """(alias, value) of a column at this level, None when it has none."""
        if qualifier:
            source = self.source(qualifier)
            if source is None:
                return None
            fields = source.named(column)
            if not fields:
                raise UndefinedColumn(f"column {qualifier}.{column} does not exist")
            if len(fields) > 1:
                raise AmbiguousColumn(f'column reference "{column}" is ambiguous')
            return qualifier, fields[0].value
        found = [each for each in self.shown if each.name == column]
        if len(found) > 1:
            raise AmbiguousColumn(f'column reference "{column}" is ambiguous')
        if not found:
            return None
        return found[0].alias, found[0].value

    def check_grouping(self) -> None:
        """Raises GroupingError for a column that is neither grouped by nor inside an aggregate."""
        if not self.grouped and not self.aggregates:
            return
        columns = {column for column in self.grouped.values() if column is not None}
        for alias, column in self.references:
            if (alias, column) in columns or self._determined(alias, columns):
                continue
            shown = f"{alias}.{column}" if alias else column
            raise GroupingError(
                f'column "{shown}" must appear in the GROUP BY clause or be used in an aggregate function'
            )

    def _determined(self, alias: str, columns: set[tuple[str, str]]) -> bool:
        """Whether the primary key of `alias` is grouped by, which determines its other columns."""
        source = self.source(alias)
        if source is None or source.relation is None:
            return source is None
        key = [column.name for column in source.relation.columns if column.primary_key]
        return bool(key) and all((alias, column) in columns for column in key)


def relation_source(relation: Relation, alias: str, database: str = "") -> tuple[Source, str]:
    """A table or view as a source, and its FROM item."""
    fields = [
        Field(
            column.name,
            Value(
                f"{quote(alias)}.{quote(column.name)}",
                column.oid,
                column.typmod,
                simple=True,
                not_null=column.not_null or bool(column.primary_key and relation.kind == "table"),
                table_oid=relation.oid,
                attnum=column.number,
            ),
            alias,
        )
        for column in relation.columns
    ]
    item = f"{quote(database)}.{quote(relation.name)}" if database else quote(relation.name)
    if alias != relation.name or database:
        item = f"{item} AS {quote(alias)}"
    return Source(alias, fields, relation=relation, rowid=f"{quote(alias)}.{_rowid(relation)}"), item


def _rowid(relation: Relation) -> str:
    taken = {column.name.lower() for column in relation.columns}
    return next((each for each in ("rowid", "_rowid_", "oid") if each not in taken), "rowid")


def nullable(source: Source) -> None:
    """The source is on an outer join's weak side: its columns may be NULL."""
    source.fields = [replace(each, value=replace(each.value, not_null=False)) for each in source.fields]
