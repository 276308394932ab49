"""A table on its way into SQLite: what CREATE TABLE fills in and ALTER TABLE changes, and the text it becomes.

Types are PostgreSQL's here.  Writing the draft decides what SQLite gets: which column is the rowid, which checks
stand for the types, and which facts need a row in the sidecar `_lfsql_columns`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal

from proxy.pg import oids
from proxy.sql.declared import NUMERIC_COLLATION, declared_type
from proxy.sql.quoting import quote, string
from proxy.sql.schema import Column, Relation
from proxy.sql.sequences import Sequence
from proxy.sql.table_text import HIDDEN_PREFIX, TableConstraint, TableText, parse_table

INTEGERS: Final = frozenset((oids.INT2, oids.INT4, oids.INT8))
_BOUNDS: Final = {oids.INT2: 2**15, oids.INT4: 2**31}


@dataclass
class DraftColumn:
    name: str
    oid: int
    typmod: int = -1
    not_null: bool = False
    default: str | None = None
    """SQLite's text."""
    default_text: str | None = None
    """PostgreSQL's."""
    identity: Literal["", "a", "d", "s"] = ""
    collation: str = ""
    generated: str = ""
    foreign_type: str | None = None
    """The declared type another tool gave, kept word for word."""
    sequence: Sequence | None = None
    """A sequence to be made with the table."""
    sequence_name: str = ""
    old_name: str | None = None
    """ALTER TABLE: the column it was; None for a new one."""
    conversion: str | None = None
    """ALTER TABLE: SQLite's expression of its new value, None for the old one."""


@dataclass
class TableDraft:
    name: str
    columns: list[DraftColumn] = field(default_factory=list)
    constraints: list[TableConstraint] = field(default_factory=list)
    without_rowid: bool = False
    strict: bool = False

    @classmethod
    def of(cls, relation: Relation) -> TableDraft:
        """The draft of a table that exists."""
        text = parse_table(relation.sql)
        columns = [_draft_column(column, text) for column in relation.columns]
        names = {index.columns: index.name for index in relation.indexes if index.origin != "c"}
        checks = iter(relation.checks)
        keys = iter(relation.foreign_keys)
        constraints: list[TableConstraint] = []
        for constraint in text.constraints:
            name = constraint.name
            if constraint.kind == "c":
                name = next(checks).name
            elif constraint.kind == "f":
                name = next(keys).name
            elif name is None:
                name = names.get(constraint.columns)
            constraints.append(replace(constraint, name=name))
        return cls(relation.name, columns, constraints, text.without_rowid, text.strict)

    def column(self, name: str) -> DraftColumn | None:
        for column in self.columns:
            if column.name == name:
                return column
        return None

    @property
    def primary_key(self) -> TableConstraint | None:
        for constraint in self.constraints:
            if constraint.kind == "p":
                return constraint
        return None

    @property
    def rowid(self) -> DraftColumn | None:
        """The column that is SQLite's rowid: the one column, of an integer type, of the primary key."""
        key = self.primary_key
        if key is None or len(key.columns) != 1 or self.without_rowid:
            return None
        column = self.column(key.columns[0])
        if column is None or column.oid not in INTEGERS or column.foreign_type is not None or column.generated:
            return None
        return column

    def relation(self) -> Relation:
        """What the translator needs to know of it, before it exists."""
        columns = tuple(
            Column(column.name, column.oid, column.typmod, number, "", column.not_null)
            for number, column in enumerate(self.columns, 1)
        )
        return Relation(self.name, 0, "table", columns, "")

    def create(self, name: str | None = None) -> str:
        """SQLite's CREATE TABLE, under another name if one is given."""
        rowid, key = self.rowid, self.primary_key
        parts = [self._column_text(column, rowid) for column in self.columns]
        for column in self.columns:
            parts.extend(self._type_checks(column, rowid))
        parts.extend(c.text() for c in self.constraints if not (c is key and rowid is not None))
        options = ["WITHOUT ROWID"] * self.without_rowid + ["STRICT"] * self.strict
        return (
            f"CREATE TABLE {quote(name or self.name)} ({', '.join(parts)}){' ' * bool(options)}{', '.join(options)}"
        )

    def _column_text(self, column: DraftColumn, rowid: DraftColumn | None) -> str:
        if column is rowid:
            key = self.primary_key
            named = f" CONSTRAINT {quote(key.name)}" if key is not None and key.name else ""
            return f"{quote(column.name)} INTEGER{named} PRIMARY KEY{' AUTOINCREMENT' * bool(column.identity)}"
        declared = column.foreign_type
        if declared is None:
            declared = declared_type(column.oid, column.typmod)
        text = f"{quote(column.name)} {declared}".rstrip()
        collation = column.collation or (NUMERIC_COLLATION if column.oid == oids.NUMERIC else "")
        if collation and not (column.foreign_type is not None and not column.collation):
            text += f" COLLATE {collation}"
        if column.not_null:
            text += " NOT NULL"
        if column.default is not None:
            text += f" DEFAULT {column.default}"
        if column.generated:
            text += f" {column.generated}"
        return text

    def _type_checks(self, column: DraftColumn, rowid: DraftColumn | None) -> list[str]:
        """What PostgreSQL's types refuse and SQLite's affinities let through."""
        if column.foreign_type is not None:
            return []
        name = quote(column.name)
        rule = ""
        if column.oid in _BOUNDS:
            bound = _BOUNDS[column.oid]
            rule = f"{name} BETWEEN {-bound} AND {bound - 1} AND typeof({name}) <> 'real'"
        elif column.oid == oids.INT8 and column is not rowid:
            rule = f"typeof({name}) IN ('integer', 'null')"
        elif column.oid == oids.BOOL:
            rule = f"{name} IN (0, 1)"
        if rule:
            return [f"CONSTRAINT {quote(f'{HIDDEN_PREFIX}range:{column.name}:{column.oid}')} CHECK ({rule})"]
        if column.oid in (oids.VARCHAR, oids.BPCHAR) and column.typmod >= 4:
            length = column.typmod - 4
            label = quote(f"{HIDDEN_PREFIX}length:{column.name}:{length}")
            return [f"CONSTRAINT {label} CHECK (length({name}) <= {length})"]
        return []

    def column_definition(self, column: DraftColumn) -> str:
        """What ALTER TABLE ... ADD COLUMN takes."""
        return " ".join((self._column_text(column, None), *self._type_checks(column, None)))

    def sidecar(self) -> list[str]:
        return [sql for _, sql in self.sidecar_by_column()]

    def sidecar_by_column(self) -> list[tuple[str, str]]:
        """The rows of `_lfsql_columns` that say what the declaration cannot, with the columns' names."""
        rowid = self.rowid
        return [
            (
                column.name,
                sidecar_row(self.name, column.name, column.oid, column.typmod, column.default_text, column.identity),
            )
            for column in self.columns
            if column is rowid or column.identity or column.default_text is not None
        ]


def sidecar_row(
    table: str, column: str, oid: int, typmod: int, default_text: str | None = None, identity: str = ""
) -> str:
    default = "NULL" if default_text is None else string(default_text)
    return (
        "INSERT INTO _lfsql_columns (table_name, column_name, pg_oid, typmod, default_text, identity) "
        f"VALUES ({string(table)}, {string(column)}, {oid}, {typmod}, {default}, {string(identity)})"
    )


def _draft_column(column: Column, text: TableText) -> DraftColumn:
    written = text.column(column.name)
    declared = written.declared if written else column.declared
    ours = bool(written and written.rowid) or (
        (column.oid in oids.STORAGE or column.oid in oids.ELEMENTS)
        and declared_type(column.oid, column.typmod).lower() == declared.lower()
    )
    return DraftColumn(
        name=column.name,
        oid=column.oid,
        typmod=column.typmod,
        not_null=column.not_null,
        default=written.default if written else None,
        default_text=column.default if written and written.default != column.default else None,
        identity=column.identity or ("d" if written and written.rowid == "autoincrement" else ""),
        collation=written.collation if written and written.collation != NUMERIC_COLLATION else "",
        generated=written.generated if written else "",
        foreign_type=None if ours else declared,
        old_name=column.name,
    )
