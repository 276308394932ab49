"""The user's schema with what PostgreSQL would have named and numbered beside it.

SQLite has no OIDs, no constraint objects, no row types, no sequence relations for a serial column.  Clients join
pg_class, pg_index, pg_constraint and pg_attrdef by those numbers, so each gets one here: relations keep theirs
(`Relation.oid`), the rest is hashed from kind and name.  Hashing instead of counting keeps a number stable while
other objects come and go, and equal on every node.  Collisions are settled by probing in name order, which is the
same everywhere too.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Final, Literal

from lfsql.errors import UndefinedColumn, UndefinedTable
from proxy.pg import oids
from proxy.sql.catalog.spelling import index_predicate, index_terms, quoted, shown, split_name
from proxy.sql.schema import Column, ForeignKey, Index, Relation, Schema

HIDDEN: Final = "_lfsql_"
"""Objects whose name starts so are lfsql's own and no client's business."""

PUBLIC: Final = 2200
OWNER: Final = 10
DERIVED_FIRST: Final = 1 << 30
"""Derived OIDs lie in [2^30, 2^31): above any relation's, and positive for clients that read OIDs as int4."""

_MAXIMA: Final = {oids.INT2: 2**15 - 1, oids.INT4: 2**31 - 1}


@dataclass(frozen=True, slots=True)
class IndexObject:
    oid: int
    name: str
    relation: Relation
    terms: tuple[str, ...]
    """Column names and expressions as PostgreSQL prints them."""
    columns: tuple[int, ...]
    """Column numbers, 0 for an expression."""
    descending: tuple[bool, ...]
    unique: bool
    primary: bool
    predicate: str | None = None

    def definition(self, *, pretty: bool = False) -> str:
        """As pg_get_indexdef prints it; `pretty` leaves out what a reader does not need."""
        terms = ", ".join(
            f"{term} DESC" if down else term for term, down in zip(self.terms, self.descending, strict=True)
        )
        unique = "UNIQUE " if self.unique else ""
        table = quoted(self.relation.name) if pretty else f"public.{quoted(self.relation.name)}"
        text = f"CREATE {unique}INDEX {quoted(self.name)} ON {table} USING btree ({terms})"
        if not self.predicate:
            return text
        return f"{text} WHERE {self.predicate}" if pretty else f"{text} WHERE ({self.predicate})"


@dataclass(frozen=True, slots=True)
class Constraint:
    oid: int
    name: str
    kind: Literal["p", "u", "f", "c"]
    relation: Relation
    columns: tuple[int, ...]
    index_oid: int = 0
    target: Relation | None = None
    target_columns: tuple[int, ...] = ()
    key: ForeignKey | None = None
    expression: str = ""

    @property
    def definition(self) -> str:
        """As pg_get_constraintdef prints it."""
        names = {column.number: quoted(column.name) for column in self.relation.columns}
        columns = ", ".join(names[number] for number in self.columns if number in names)
        if self.kind == "p":
            return f"PRIMARY KEY ({columns})"
        if self.kind == "u":
            return f"UNIQUE ({columns})"
        if self.kind == "c":
            return f"CHECK ({self.expression})"
        return self._foreign_key(columns)

    def _foreign_key(self, columns: str) -> str:
        assert self.key is not None
        targets = self.key.target_columns
        if self.target is not None:
            by_number = {column.number: column.name for column in self.target.columns}
            targets = tuple(by_number[number] for number in self.target_columns)
        named = ", ".join(quoted(name) for name in targets)
        text = f"FOREIGN KEY ({columns}) REFERENCES {quoted(self.key.target)}({named})"
        for word, action in (("UPDATE", self.key.on_update), ("DELETE", self.key.on_delete)):
            if action.upper() not in ("", "NO ACTION"):
                text += f" ON {word} {action.upper()}"
        if self.key.deferrable:
            text += " DEFERRABLE INITIALLY DEFERRED" if self.key.initially_deferred else " DEFERRABLE"
        return text


@dataclass(frozen=True, slots=True)
class Sequence:
    oid: int
    name: str
    type_oid: int
    owner_oid: int = 0
    """The table whose column it belongs to; 0: CREATE SEQUENCE."""
    owner_column: int = 0
    identity: str = ""

    @property
    def maximum(self) -> int:
        return _MAXIMA.get(self.type_oid, 2**63 - 1)


@dataclass(frozen=True, slots=True)
class Model:
    """Everything the rows and the catalog functions are made from."""

    schema: Schema
    tables: tuple[Relation, ...]
    """Tables and views, by name, without hidden ones."""
    indexes: tuple[IndexObject, ...]
    constraints: tuple[Constraint, ...]
    sequences: tuple[Sequence, ...]
    row_types: dict[str, int] = field(default_factory=dict)
    """OID of each table's row type by table name."""
    defaults: dict[tuple[str, str], int] = field(default_factory=dict)
    """OID of each column default by (table, column)."""


class _Numbers:
    """Hands out derived OIDs."""

    def __init__(self, taken: set[int]) -> None:
        self._taken = taken

    def of(self, kind: str, *names: str) -> int:
        seed = "\0".join((kind, *names)).encode()
        oid = DERIVED_FIRST | (zlib.crc32(seed) & (DERIVED_FIRST - 1))
        while oid in self._taken:
            oid = DERIVED_FIRST | ((oid + 1) & (DERIVED_FIRST - 1))
        self._taken.add(oid)
        return oid


def build_model(schema: Schema) -> Model:
    visible = [each for name, each in sorted(schema.relations.items()) if not name.startswith(HIDDEN)]
    numbers = _Numbers({each.oid for each in visible})
    tables = tuple(each for each in visible if each.kind != "sequence")
    indexes: list[IndexObject] = []
    constraints: list[Constraint] = []
    by_name = {each.name: each for each in visible}
    for table in tables:
        own = _indexes(table, numbers)
        indexes.extend(own)
        constraints.extend(_constraints(table, own, by_name, numbers))
    constraints = _with_target_indexes(constraints, indexes)
    return Model(
        schema=schema,
        tables=tables,
        indexes=tuple(indexes),
        constraints=tuple(constraints),
        sequences=tuple(_sequences(visible, numbers)),
        row_types={table.name: numbers.of("type", table.name) for table in tables},
        defaults={
            (table.name, column.name): numbers.of("default", table.name, column.name)
            for table in tables
            for column in table.columns
            if default_of(table, column) is not None
        },
    )


def default_of(table: Relation, column: Column) -> str | None:
    """The default as pg_get_expr prints it.  Identity columns have none: attidentity tells it."""
    if column.identity in ("a", "d"):
        return None
    if column.identity == "s" and not column.default:
        return f"nextval('{quoted(sequence_name(table, column))}'::regclass)"
    return column.default


def sequence_name(table: Relation, column: Column) -> str:
    """The name PostgreSQL gives the sequence behind a serial or identity column."""
    return f"{table.name}_{column.name}_seq"


def serial_sequence(schema: Schema, table: str, column: str) -> str | None:
    """pg_get_serial_sequence(): the sequence behind a column, None when it has none.

    The column's name is taken literally, the table's as SQL: PostgreSQL's own oddity.  Raises UndefinedTable and
    UndefinedColumn.
    """
    relation = schema.relations.get(split_name(table)[-1])
    if relation is None:
        raise UndefinedTable(f'relation "{table}" does not exist')
    found = relation.column(column)
    if found is None:
        raise UndefinedColumn(f'column "{column}" of relation "{relation.name}" does not exist')
    owned = (each.name for each in schema.relations.values() if each.owner == (relation.name, column))
    name = next(owned, sequence_name(relation, found) if found.identity else None)
    return None if name is None else f"public.{quoted(name)}"


def _indexes(table: Relation, numbers: _Numbers) -> list[IndexObject]:
    by_name = {column.name: column.number for column in table.columns}
    found: list[IndexObject] = []
    for index in table.indexes:
        if index.name.startswith(HIDDEN):
            continue
        name = index.name
        if name.startswith("sqlite_autoindex_"):
            name = _constraint_name(table, index)
        terms, descending = index_terms(index)
        found.append(
            IndexObject(
                oid=numbers.of("index", name),
                name=name,
                relation=table,
                terms=terms,
                columns=tuple(0 if each is None else by_name.get(each, 0) for each in index.columns),
                descending=descending,
                unique=index.unique or index.origin == "pk",
                primary=index.origin == "pk",
                predicate=index_predicate(index) if index.partial else None,
            )
        )
    key = sorted((column for column in table.columns if column.primary_key), key=lambda each: each.primary_key)
    if key and not any(index.primary for index in found):
        found.append(
            IndexObject(
                oid=numbers.of("index", f"{table.name}_pkey"),
                name=f"{table.name}_pkey",
                relation=table,
                terms=tuple(quoted(column.name) for column in key),
                columns=tuple(column.number for column in key),
                descending=(False,) * len(key),
                unique=True,
                primary=True,
            )
        )
    return sorted(found, key=lambda index: index.name)


def _constraint_name(table: Relation, index: Index) -> str:
    """The name PostgreSQL makes up for a constraint that was given none."""
    if index.origin == "pk":
        return f"{table.name}_pkey"
    return "_".join((table.name, *(each or "expr" for each in index.columns), "key"))


def _constraints(
    table: Relation, indexes: list[IndexObject], by_name: dict[str, Relation], numbers: _Numbers
) -> list[Constraint]:
    origins = {index.name: index.origin for index in table.indexes}
    columns = {column.name: column.number for column in table.columns}
    found: list[Constraint] = []
    for index in indexes:
        automatic = index.name not in origins
        if not (index.primary or automatic or origins[index.name] == "u"):
            continue
        found.append(
            Constraint(
                oid=numbers.of("constraint", table.name, index.name),
                name=index.name,
                kind="p" if index.primary else "u",
                relation=table,
                columns=index.columns,
                index_oid=index.oid,
            )
        )
    for key in table.foreign_keys:
        name = key.name or "_".join((table.name, *key.columns, "fkey"))
        target = by_name.get(key.target)
        found.append(
            Constraint(
                oid=numbers.of("constraint", table.name, name),
                name=name,
                kind="f",
                relation=table,
                columns=tuple(columns[each] for each in key.columns if each in columns),
                target=target,
                target_columns=_target_columns(key, target),
                key=key,
            )
        )
    for check in table.checks:
        if check.name.startswith(HIDDEN):
            continue
        found.append(
            Constraint(
                oid=numbers.of("constraint", table.name, check.name),
                name=check.name or f"{table.name}_check",
                kind="c",
                relation=table,
                columns=_columns_in(check.expression, columns),
                expression=shown(check.expression),
            )
        )
    return found


def _target_columns(key: ForeignKey, target: Relation | None) -> tuple[int, ...]:
    """Without named columns a foreign key means the target's primary key."""
    if target is None:
        return ()
    if not key.target_columns:
        keyed = sorted((each for each in target.columns if each.primary_key), key=lambda each: each.primary_key)
        return tuple(column.number for column in keyed)
    found = (target.column(name) for name in key.target_columns)
    return tuple(column.number for column in found if column is not None)


def _columns_in(expression: str, columns: dict[str, int]) -> tuple[int, ...]:
    """The columns a CHECK names, by its words: conkey only informs, so a string that looks like one does no harm."""
    words = set(expression.replace('"', " ").replace("(", " ").replace(")", " ").replace(",", " ").split())
    return tuple(number for name, number in columns.items() if name in words)


def _with_target_indexes(constraints: list[Constraint], indexes: list[IndexObject]) -> list[Constraint]:
    """A foreign key's conindid is the unique index of its target over the same columns."""
    unique = {(index.relation.oid, frozenset(index.columns)): index.oid for index in indexes if index.unique}
    result: list[Constraint] = []
    for each in constraints:
        if each.kind == "f" and each.target is not None:
            found = unique.get((each.target.oid, frozenset(each.target_columns)), 0)
            each = Constraint(
                oid=each.oid,
                name=each.name,
                kind=each.kind,
                relation=each.relation,
                columns=each.columns,
                index_oid=found,
                target=each.target,
                target_columns=each.target_columns,
                key=each.key,
            )
        result.append(each)
    return result


def _sequences(visible: list[Relation], numbers: _Numbers) -> list[Sequence]:
    """Sequences of their own, and one for each serial or identity column, which may not be a relation anywhere."""
    columns = {
        (table.name, column.name): (table, column)
        for table in visible
        if table.kind == "table"
        for column in table.columns
    }
    found: dict[str, Sequence] = {}
    served: set[tuple[str, str]] = set()
    for each in visible:
        if each.kind == "sequence":
            owner = columns.get(each.owner) if each.owner is not None else None
            found[each.name] = _owned(each.oid, each.name, owner)
            if each.owner is not None:
                served.add(each.owner)
    for place, (table, column) in columns.items():
        name = sequence_name(table, column)
        if column.identity and place not in served and name not in found:
            found[name] = _owned(numbers.of("sequence", name), name, (table, column))
    return [found[name] for name in sorted(found)]


def _owned(oid: int, name: str, owner: tuple[Relation, Column] | None) -> Sequence:
    if owner is None:
        return Sequence(oid, name, oids.INT8)
    table, column = owner
    return Sequence(oid, name, column.oid, table.oid, column.number, column.identity)
