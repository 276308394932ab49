"""What every DDL translator answers, and the words it shares with the engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from lfsql.errors import DuplicateTable
from proxy.sql.lexer import QUOTED, STRING, WORD, sqlite_tokens
from proxy.sql.schema import Index, Relation, Schema

TRUSTED: Final = "/*lfsql*/"
"""The engine lets a statement that begins so write the sidecar tables (`lfsql.storage.engine.TRUSTED`)."""
REBUILD_BEGIN: Final = "PRAGMA lfsql_rebuild=begin"
REBUILD_END: Final = "PRAGMA lfsql_rebuild=end"


@dataclass(frozen=True, slots=True)
class Ddl:
    """SQLite's statements for one of PostgreSQL's; none at all when there is nothing to do (IF EXISTS)."""

    tag: str
    statements: tuple[str, ...] = ()
    parameters: tuple[int, ...] = ()
    """Types of the variables of the last statement (CREATE TABLE AS with $1)."""
    writes_only: bool = False
    """TRUNCATE and ALTER SEQUENCE: the schema stays as it is."""
    alone: bool = False
    """CONCURRENTLY: it must be a transaction of its own."""


@dataclass
class Names:
    """The names of relations and indexes, which share one space, as a statement goes along."""

    schema: Schema
    added: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str) or name in self.removed:
            return name in self.added
        if name in self.added or name in self.schema.relations:
            return True
        return any(index.name == name for _, index in all_indexes(self.schema))

    def claim(self, name: str, position: int = 0) -> None:
        """DuplicateTable when the name is taken."""
        if name in self:
            raise DuplicateTable(f'relation "{name}" already exists', position=position)
        self.added.add(name)


def all_indexes(schema: Schema) -> Iterator[tuple[Relation, Index]]:
    for relation in schema.relations.values():
        for index in relation.indexes:
            yield relation, index


def find_index(schema: Schema, name: str) -> tuple[Relation, Index] | None:
    for relation, index in all_indexes(schema):
        if index.name == name:
            return relation, index
    return None


def mentions(sql: str, name: str) -> bool:
    """Whether a SQLite text names `name` anywhere."""
    lowered = name.lower()
    return any(
        token.kind in (WORD, QUOTED, STRING) and token.value.lower() == lowered for token in sqlite_tokens(sql)
    )


def views_on(schema: Schema, name: str) -> list[Relation]:
    """The views that read a relation, each before those it reads itself."""
    found: list[Relation] = []
    for relation in schema.relations.values():
        if relation.kind == "view" and relation.name != name and mentions(_body(relation.sql), name):
            for deeper in [*views_on(schema, relation.name), relation]:
                if deeper not in found:
                    found.append(deeper)
    return found


def _body(sql: str) -> str:
    """A view's query, without its name and column list."""
    for token in sqlite_tokens(sql):
        if token.kind == WORD and token.value == "as":
            return sql[token.end :]
    return sql


def trusted(statements: list[str]) -> tuple[str, ...]:
    return tuple(sql if sql.startswith("PRAGMA lfsql_rebuild") else TRUSTED + sql for sql in statements)
