"""ALTER TABLE: several actions change one draft; then SQLite's own ALTER where it has one, else a rebuild.

Native: RENAME TO, RENAME COLUMN (SQLite then rewrites views, indexes, triggers and foreign keys that name them) and
ADD COLUMN of a plain column.  Everything else is a rebuild, once for all actions of the statement.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from sqlglot import exp

from lfsql.errors import (
    CannotCoerce,
    DatatypeMismatch,
    DependentObjects,
    FeatureNotSupported,
    InvalidTableDefinition,
    UndefinedColumn,
    UndefinedFunction,
    UndefinedObject,
    UndefinedTable,
    WrongObjectType,
)
from proxy.sql.alter_rename import no_constraint, parse_rename
from proxy.sql.column_clauses import Clauses
from proxy.sql.column_defaults import default_tokens, set_default
from proxy.sql.column_types import TypeName, parse_type, spell_type
from proxy.sql.ddl_text import Ddl, Names, mentions, trusted, views_on
from proxy.sql.drop import drop_view_statements
from proxy.sql.parsing import parse_expression
from proxy.sql.quoting import quote
from proxy.sql.rebuild import rebuild_statements
from proxy.sql.schema import Relation, Schema
from proxy.sql.sequences import alter_sequence, drop_sequence, parse_options, restart_rowid_of
from proxy.sql.table_draft import DraftColumn, TableDraft
from proxy.sql.table_text import TableConstraint
from proxy.sql.token_cursor import Cursor
from proxy.sql.translate import translate_expression

_IGNORED = (
    ("owner", "to"),
    ("cluster", "on"),
    ("set", "without", "cluster"),
    ("set", "without", "oids"),
    ("set", "logged"),
    ("set", "unlogged"),
    ("set", "tablespace"),
    ("replica", "identity"),
    ("validate", "constraint"),
)


def parse_alter_table(cursor: Cursor, schema: Schema) -> Ddl:
    """What follows ALTER TABLE."""
    tolerant = cursor.accept("if", "exists")
    cursor.accept("only")
    where = cursor.token.start + 1
    name = cursor.relation()
    cursor.accept("*")
    relation = schema.relations.get(name)
    if relation is None:
        if tolerant:
            cursor.rest()
            cursor.notices.append(f'relation "{name}" does not exist, skipping')
            return Ddl("ALTER TABLE")
        raise UndefinedTable(f'relation "{name}" does not exist', position=where)
    if relation.kind != "table":
        if cursor.looks("rename", "to") or cursor.looks("owner"):
            return _other_relation(cursor, schema, relation)
        raise WrongObjectType(f'"{name}" is not a table', position=where)
    if cursor.looks("rename"):
        return parse_rename(cursor, schema, relation)
    if cursor.accept("set", "schema"):
        if cursor.name() == "public":
            return Ddl("ALTER TABLE")
        raise FeatureNotSupported("schemas other than public are not supported")
    if cursor.looks("attach") or cursor.looks("detach"):
        raise cursor.unsupported("partitioning")
    return _Alteration(cursor, schema, relation).run()


def _other_relation(cursor: Cursor, schema: Schema, relation: Relation) -> Ddl:
    tag = f"ALTER {relation.kind.upper()}"
    if cursor.accept("owner", "to"):
        cursor.name()
        cursor.finish()
        return Ddl(tag)
    raise cursor.unsupported(f"{tag} RENAME")


# -- The other actions -------------------------------------------------------------------------------------


class _Alteration:
    """The actions of one statement, gathered in a draft."""

    def __init__(self, cursor: Cursor, schema: Schema, relation: Relation) -> None:
        self.cursor = cursor
        self.schema = schema
        self.relation = relation
        self.draft = TableDraft.of(relation)
        self.clauses = Clauses(schema, Names(schema), self.draft)
        self.before: list[str] = []
        """Statements that must run first: views and keys that CASCADE takes away."""
        self.after: list[str] = []
        self.changed = False
        self.added: list[DraftColumn] = []

    def run(self) -> Ddl:
        self.cursor.commas(self._action)
        self.cursor.finish()
        self.clauses.settle()
        if not self.changed and self.added and all(self._is_plain(column) for column in self.added):
            return Ddl("ALTER TABLE", trusted(self._add_natively()))
        if not self.changed and not self.added:
            return Ddl("ALTER TABLE", trusted([*self.before, *self.after]))
        rebuilt = rebuild_statements(self.relation, self.draft, self.schema)
        return Ddl("ALTER TABLE", trusted([*self.before, *rebuilt, *self.after]))

    def _action(self) -> None:
        cursor = self.cursor
        for words in _IGNORED:
            if cursor.accept(*words):
                cursor.until(lambda token: token.text == ",")
                return
        if cursor.looks("set", "(") or cursor.looks("reset", "("):
            cursor.take()
            cursor.parenthesised()
        elif cursor.accept("add"):
            self._add()
        elif cursor.accept("drop"):
            self._drop()
        elif cursor.accept("alter"):
            if cursor.looks("constraint"):
                self._alter_constraint()
            else:
                self._alter_column()
        elif cursor.one_of("enable", "disable", "inherit", "no", "force") is not None:
            cursor.at -= 1
            raise cursor.unsupported(f"ALTER TABLE ... {cursor.token.text.upper()}")
        else:
            raise cursor.error()

    # -- ADD

    def _add(self) -> None:
        cursor = self.cursor
        starts = ("constraint", "check", "unique", "primary", "foreign", "exclude")
        if any(cursor.looks(word) for word in starts):
            self.clauses.table_constraint(cursor)
            self.changed = True
            return
        cursor.accept("column")
        if cursor.accept("if", "not", "exists") and self.draft.column(cursor.token.value) is not None:
            cursor.until(lambda token: token.text == ",")
            return
        waiting = len(self.clauses.constraints)
        column = self.clauses.column(cursor)
        self.added.append(column)
        if len(self.clauses.constraints) > waiting or column.identity:
            self.changed = True

    def _is_plain(self, column: DraftColumn) -> bool:
        """SQLite's ADD COLUMN takes a constant default only, and one when the column is NOT NULL."""
        constant = column.default is None or not column.default.startswith("(")
        return constant and not column.generated and not (column.not_null and column.default is None)

    def _add_natively(self) -> list[str]:
        found: list[str] = []
        for column in self.added:
            text = self.draft.column_definition(column)
            found.append(f"ALTER TABLE {quote(self.relation.name)} ADD COLUMN {text}")
        names = {column.name for column in self.added}
        found += [sql for column, sql in self.draft.sidecar_by_column() if column in names]
        return found

    # -- DROP

    def _drop(self) -> None:
        cursor = self.cursor
        if cursor.accept("constraint"):
            self._drop_constraint()
            return
        cursor.accept("column")
        tolerant = cursor.accept("if", "exists")
        where = cursor.token.start + 1
        name = cursor.name()
        cascade = cursor.accept("cascade")
        if not cascade:
            cursor.accept("restrict")
        column = self.draft.column(name)
        if column is None:
            if tolerant:
                return
            raise UndefinedColumn(
                f'column "{name}" of relation "{self.relation.name}" does not exist', position=where
            )
        self._drop_dependents(name, cascade=cascade)
        self.draft.columns.remove(column)
        if column in self.added:
            self.added.remove(column)
        self.draft.constraints = [c for c in self.draft.constraints if not _concerns(c, name)]
        for sequence in self.schema.relations.values():
            if sequence.kind == "sequence" and sequence.owner == (self.relation.name, column.old_name):
                self.after += drop_sequence(sequence.name)
        if not self.draft.columns:
            raise FeatureNotSupported("tables without columns are not supported", position=where)
        self.changed = True

    def _drop_dependents(self, name: str, *, cascade: bool) -> None:
        views = [
            view
            for view in views_on(self.schema, self.relation.name)
            if mentions(view.sql, name) or mentions(view.sql, "*") or view.column(name) is not None
        ]
        keys = _keys_to(self.schema, self.relation.name, lambda columns: name in columns)
        if (views or keys) and not cascade:
            raise DependentObjects(
                f"cannot drop column {name} of table {self.relation.name} because other objects depend on it",
                detail="\n".join(
                    [f"view {view.name} depends on column {name} of table {self.relation.name}" for view in views]
                    + [f"constraint {key} on table {table.name} depends on column {name}" for table, key in keys]
                ),
                hint="Use DROP ... CASCADE to drop the dependent objects too.",
            )
        for view in views:
            self.before += drop_view_statements(view.name)
        self._drop_keys(keys)

    def _drop_keys(self, keys: list[tuple[Relation, str]]) -> None:
        """Take foreign keys of other tables away."""
        for table in {table.name: table for table, _ in keys}.values():
            gone = {key for other, key in keys if other.name == table.name}
            draft = TableDraft.of(table)
            draft.constraints = [c for c in draft.constraints if c.name not in gone]
            self.before += rebuild_statements(table, draft, self.schema)

    def _drop_constraint(self) -> None:
        cursor = self.cursor
        tolerant = cursor.accept("if", "exists")
        name = cursor.name()
        cascade = cursor.accept("cascade")
        if not cascade:
            cursor.accept("restrict")
        for constraint in self.draft.constraints:
            if constraint.name == name:
                break
        else:
            if tolerant:
                return
            raise no_constraint(name, self.relation)
        if constraint.kind in "pu":
            columns = constraint.columns
            keys = _keys_to(self.schema, self.relation.name, lambda target: sorted(target) == sorted(columns))
            others = [c for c in self.draft.constraints if c is not constraint and c.kind in "pu"]
            if keys and not any(sorted(c.columns) == sorted(columns) for c in others):
                if not cascade:
                    raise DependentObjects(
                        f"cannot drop constraint {name} on table {self.relation.name} "
                        "because other objects depend on it",
                        detail="\n".join(
                            f"constraint {key} on table {table.name} depends on index {name}" for table, key in keys
                        ),
                        hint="Use DROP ... CASCADE to drop the dependent objects too.",
                    )
                self._drop_keys([(table, key) for table, key in keys if table.name != self.relation.name])
                gone = {key for table, key in keys if table.name == self.relation.name}
                self.draft.constraints = [c for c in self.draft.constraints if c.name not in gone]
        self.draft.constraints.remove(constraint)
        self.changed = True

    # -- ALTER

    def _alter_constraint(self) -> None:
        cursor = self.cursor
        cursor.expect("constraint")
        name = cursor.name()
        place = next((at for at, c in enumerate(self.draft.constraints) if c.name == name), None)
        if place is None:
            raise no_constraint(name, self.relation)
        constraint = self.draft.constraints[place]
        if constraint.kind != "f":
            raise WrongObjectType(
                f'constraint "{name}" of relation "{self.relation.name}" is not a foreign key constraint'
            )
        deferrable, deferred = constraint.deferrable, constraint.initially_deferred
        while True:
            if cursor.accept("not", "deferrable"):
                deferrable = deferred = False
            elif cursor.accept("deferrable"):
                deferrable = True
            elif cursor.accept("initially", "deferred"):
                deferrable = deferred = True
            elif cursor.accept("initially", "immediate"):
                deferred = False
            else:
                break
        self.draft.constraints[place] = replace(constraint, deferrable=deferrable, initially_deferred=deferred)
        self.changed = True

    def _alter_column(self) -> None:
        cursor = self.cursor
        cursor.accept("column")
        where = cursor.token.start + 1
        name = cursor.name()
        column = self.draft.column(name)
        if column is None:
            raise UndefinedColumn(
                f'column "{name}" of relation "{self.relation.name}" does not exist', position=where
            )
        if cursor.accept("set", "data", "type") or cursor.accept("type"):
            self._set_type(column)
        elif cursor.accept("set", "default"):
            if column.identity in ("a", "d"):
                raise InvalidTableDefinition(
                    f'column "{name}" of relation "{self.relation.name}" is an identity column', position=where
                )
            set_default(column, default_tokens(cursor), self.schema)
            column.identity = ""
        elif cursor.accept("drop", "default"):
            column.default = column.default_text = None
            column.identity = "" if column.identity == "s" else column.identity
        elif cursor.accept("set", "not", "null"):
            column.not_null = True
        elif cursor.accept("drop", "not", "null"):
            key = self.draft.primary_key
            if key is not None and name in key.columns:
                raise InvalidTableDefinition(f'column "{name}" is in a primary key', position=where)
            column.not_null = False
        elif cursor.accept("add", "generated"):
            self._add_identity(column)
        elif cursor.accept("drop", "identity"):
            tolerant = cursor.accept("if", "exists")
            if column.identity not in ("a", "d") and not tolerant:
                raise _not_identity(column, self.relation)
            self._drop_identity(column)
        elif cursor.looks("set", "generated") or cursor.looks("restart"):
            self._change_identity(column)
            return
        elif cursor.one_of("set", "reset") is not None:
            # STATISTICS, STORAGE, COMPRESSION, attribute options: how PostgreSQL stores and plans.
            if cursor.one_of("statistics", "storage", "compression") is not None:
                cursor.accept("-")
                cursor.take()
            else:
                cursor.parenthesised()
            return
        else:
            raise cursor.error()
        self.changed = True

    def _set_type(self, column: DraftColumn) -> None:
        cursor = self.cursor
        kind = parse_type(cursor)
        if kind.serial:
            raise UndefinedObject('type "serial" does not exist')
        if cursor.accept("collate"):
            cursor.qualified()
        source: exp.Expression = exp.column(column.old_name or column.name, quoted=True)
        using = cursor.accept("using")
        if using:
            source = parse_expression(cursor.until(lambda token: token.text == ","))
        column.conversion = self._conversion(column, source, kind, using=using)
        column.oid, column.typmod, column.foreign_type, column.collation = kind.oid, kind.typmod, None, ""

    def _conversion(self, column: DraftColumn, source: exp.Expression, kind: TypeName, *, using: bool) -> str:
        try:
            return translate_expression(source, self.schema, self.relation, kind.oid, kind.typmod)
        except (CannotCoerce, DatatypeMismatch, UndefinedFunction) as error:
            raise DatatypeMismatch(
                f'{"result of USING clause for " if using else ""}column "{column.name}" '
                f"cannot be cast automatically to type {spell_type(kind.oid)}",
                hint=f'You might need to specify "USING {column.name}::{spell_type(kind.oid, kind.typmod)}".',
            ) from error

    def _add_identity(self, column: DraftColumn) -> None:
        cursor = self.cursor
        kind: Literal["a", "d"] = "a"
        if not cursor.accept("always"):
            cursor.expect("by", "default")
            kind = "d"
        cursor.expect("as", "identity")
        if column.identity:
            raise InvalidTableDefinition(
                f'column "{column.name}" of relation "{self.relation.name}" is already an identity column'
            )
        if not column.not_null:
            raise InvalidTableDefinition(
                f'column "{column.name}" of relation "{self.relation.name}" must be declared NOT NULL '
                "before identity can be added"
            )
        self.clauses.identity(cursor, column, kind)

    def _drop_identity(self, column: DraftColumn) -> None:
        column.identity, column.default, column.default_text = "", None, None
        for sequence in self.schema.relations.values():
            if sequence.kind == "sequence" and sequence.owner == (self.relation.name, column.old_name):
                self.after += drop_sequence(sequence.name)

    def _change_identity(self, column: DraftColumn) -> None:
        cursor = self.cursor
        if column.identity not in ("a", "d"):
            raise _not_identity(column, self.relation)
        while True:
            if cursor.accept("set", "generated"):
                always = cursor.accept("always")
                if not always:
                    cursor.expect("by", "default")
                column.identity = "a" if always else "d"
                self.changed = True
            elif cursor.looks("restart"):
                for sequence in self.schema.relations.values():
                    if sequence.kind == "sequence" and sequence.owner == (self.relation.name, column.name):
                        said = parse_options(cursor, altering=True)
                        self.after += alter_sequence(sequence.name, said)
                        self.after += restart_rowid_of(self.schema, sequence, said)
                        break
                else:
                    raise cursor.unsupported("RESTART of a column without a sequence")
            else:
                return


def _not_identity(column: DraftColumn, relation: Relation) -> InvalidTableDefinition:
    return InvalidTableDefinition(f'column "{column.name}" of relation "{relation.name}" is not an identity column')


def _concerns(constraint: TableConstraint, column: str) -> bool:
    """Whether dropping `column` takes the constraint with it."""
    if constraint.kind == "c":
        return mentions(constraint.expression, column)
    return column in constraint.columns


def _keys_to(schema: Schema, table: str, matches: Callable[[tuple[str, ...]], bool]) -> list[tuple[Relation, str]]:
    """The foreign keys, of any table, to columns of `table` that match."""
    return [
        (relation, key.name)
        for relation in schema.relations.values()
        for key in relation.foreign_keys
        if key.target == table and matches(key.target_columns)
    ]
