"""The clauses of column and table definitions, the same in CREATE TABLE and ALTER TABLE.

Reading comes first and touches the draft only; expressions are kept as tokens until every column is known, since a
CHECK may name a column that stands after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from sqlglot import exp

from lfsql.errors import (
    DuplicateColumn,
    DuplicateObject,
    FeatureNotSupported,
    InvalidForeignKey,
    InvalidTableDefinition,
    StatementSyntax,
    UndefinedColumn,
    UndefinedTable,
)
from proxy.pg import oids
from proxy.sql.column_defaults import default_tokens, set_default
from proxy.sql.column_types import TypeName, parse_type, spell_type
from proxy.sql.constraint_names import choose_name
from proxy.sql.ddl_text import Names
from proxy.sql.lexer import Token
from proxy.sql.parsing import parse_expression
from proxy.sql.quoting import string
from proxy.sql.schema import Schema
from proxy.sql.sequences import SequenceOptions, parse_options, settle
from proxy.sql.table_draft import INTEGERS, DraftColumn, TableDraft
from proxy.sql.table_text import TableConstraint, referential_action
from proxy.sql.token_cursor import Cursor
from proxy.sql.translate import translate_expression

_KNOWN_COLLATIONS = frozenset(("default", "C", "POSIX", "ucs_basic", "c", "posix"))


@dataclass
class Clauses:
    """What was read and waits for the whole table: constraints in order, defaults, sequences."""

    schema: Schema
    names: Names
    draft: TableDraft
    constraints: list[tuple[TableConstraint, list[Token], int]] = field(default_factory=list)
    defaults: list[tuple[DraftColumn, list[Token]]] = field(default_factory=list)
    generated: list[tuple[DraftColumn, list[Token]]] = field(default_factory=list)
    options: dict[str, SequenceOptions] = field(default_factory=dict)

    # -- Reading -------------------------------------------------------------------------------------------

    def column(self, cursor: Cursor) -> DraftColumn:
        """ColId type [COLLATE] constraint*"""
        where = cursor.token.start + 1
        name = cursor.name()
        if self.draft.column(name) is not None:
            if any(c.name == name and c.old_name is not None for c in self.draft.columns):
                message = f'column "{name}" of relation "{self.draft.name}" already exists'
                raise DuplicateColumn(message, position=where)
            raise DuplicateColumn(f'column "{name}" specified more than once', position=where)
        kind = parse_type(cursor)
        _storable(kind, name, where)
        column = DraftColumn(name, kind.oid, kind.typmod)
        self.draft.columns.append(column)
        if kind.serial:
            column.identity = "s"
            column.not_null = True
            self.options[name] = SequenceOptions(oid=kind.oid)
        self.column_constraints(cursor, column)
        return column

    def column_constraints(self, cursor: Cursor, column: DraftColumn) -> None:
        last: int | None = None
        while True:
            where = cursor.token.start + 1
            constraint = cursor.name() if cursor.accept("constraint") else None
            if cursor.accept("not", "null"):
                column.not_null = True
            elif cursor.accept("null"):
                if column.identity == "s" or column.not_null:
                    raise StatementSyntax(
                        f'conflicting NULL/NOT NULL declarations for column "{column.name}" '
                        f'of table "{self.draft.name}"',
                        position=where,
                    )
            elif cursor.accept("default"):
                self._default(cursor, column, where)
            elif cursor.accept("check"):
                last = self._add(TableConstraint("c", constraint), cursor.parenthesised(), where)
                cursor.accept("no", "inherit")
            elif cursor.accept("unique"):
                _nulls_distinct(cursor)
                _index_parameters(cursor)
                last = self._add(TableConstraint("u", constraint, (column.name,)), [], where)
            elif cursor.accept("primary", "key"):
                _index_parameters(cursor)
                last = self._add(TableConstraint("p", constraint, (column.name,)), [], where)
            elif cursor.accept("references"):
                last = self._add(_reference(cursor, constraint, (column.name,)), [], where)
            elif cursor.accept("generated"):
                self._generated(cursor, column, where)
            elif cursor.accept("collate"):
                collation(cursor)
            elif cursor.one_of("storage", "compression") is not None:
                cursor.label()
            elif last is not None and self._timing(cursor, last):
                pass
            elif constraint is not None:
                raise cursor.error()
            else:
                return

    def table_constraint(self, cursor: Cursor) -> TableConstraint:
        """[CONSTRAINT name] CHECK | UNIQUE | PRIMARY KEY | FOREIGN KEY ..."""
        where = cursor.token.start + 1
        name = cursor.name() if cursor.accept("constraint") else None
        if cursor.accept("check"):
            place = self._add(TableConstraint("c", name), cursor.parenthesised(), where)
            cursor.accept("no", "inherit")
        elif cursor.accept("unique"):
            _nulls_distinct(cursor)
            _using_index(cursor)
            place = self._add(TableConstraint("u", name, cursor.names()), [], where)
            _index_parameters(cursor)
        elif cursor.accept("primary", "key"):
            _using_index(cursor)
            place = self._add(TableConstraint("p", name, cursor.names()), [], where)
            _index_parameters(cursor)
        elif cursor.accept("foreign", "key"):
            columns = cursor.names()
            cursor.expect("references")
            place = self._add(_reference(cursor, name, columns), [], where)
        elif cursor.looks("exclude"):
            raise cursor.unsupported("EXCLUDE constraint")
        else:
            raise cursor.error()
        while self._timing(cursor, place) or cursor.accept("not", "valid"):
            pass
        return self.constraints[place][0]

    def _add(self, constraint: TableConstraint, tokens: list[Token], where: int) -> int:
        self.constraints.append((constraint, tokens, where))
        return len(self.constraints) - 1

    def _timing(self, cursor: Cursor, place: int) -> bool:
        """DEFERRABLE and INITIALLY DEFERRED after the constraint they are said of."""
        constraint, tokens, where = self.constraints[place]
        if cursor.accept("not", "deferrable"):
            if cursor.looks("initially", "deferred"):
                raise StatementSyntax("constraint declared INITIALLY DEFERRED must be DEFERRABLE", position=where)
            return True
        if cursor.accept("initially", "immediate"):
            return True
        deferrable = cursor.accept("deferrable")
        deferred = cursor.accept("initially", "deferred")
        if not deferrable and not deferred:
            return False
        if constraint.kind != "f":
            if constraint.kind == "c":
                raise StatementSyntax("misplaced DEFERRABLE clause", position=where)
            raise FeatureNotSupported(
                "deferrable UNIQUE and PRIMARY KEY constraints are not supported", position=where
            )
        changed = replace(constraint, deferrable=True, initially_deferred=constraint.initially_deferred or deferred)
        self.constraints[place] = (changed, tokens, where)
        return True

    def _default(self, cursor: Cursor, column: DraftColumn, where: int) -> None:
        if column.identity:
            raise StatementSyntax(
                f'multiple default values specified for column "{column.name}" of table "{self.draft.name}"',
                position=where,
            )
        self.defaults.append((column, default_tokens(cursor)))

    def _generated(self, cursor: Cursor, column: DraftColumn, where: int) -> None:
        if cursor.accept("always"):
            kind: Literal["a", "d"] = "a"
        else:
            cursor.expect("by", "default")
            kind = "d"
        cursor.expect("as")
        if cursor.looks("("):
            tokens = cursor.parenthesised()
            if kind == "d":
                raise StatementSyntax("for a generated column, GENERATED ALWAYS must be specified", position=where)
            cursor.expect("stored")
            self.generated.append((column, tokens))
            return
        cursor.expect("identity")
        if column.identity or any(c is column for c, _ in self.defaults):
            raise StatementSyntax(
                f'both default and identity specified for column "{column.name}" of table "{self.draft.name}"',
                position=where,
            )
        self.identity(cursor, column, kind)

    def identity(self, cursor: Cursor, column: DraftColumn, kind: Literal["a", "d"]) -> None:
        if column.oid not in INTEGERS:
            raise InvalidTableDefinition("identity column type must be smallint, integer, or bigint")
        column.identity, column.not_null = kind, True
        said = SequenceOptions()
        if cursor.accept("("):
            said = parse_options(cursor)
            cursor.expect(")")
        said.oid = column.oid
        self.options[column.name] = said

    # -- Settling ------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Name and check what was read, translate expressions, and put all of it into the draft."""
        for constraint, tokens, where in self.constraints:
            self._settle_constraint(constraint, tokens, where)
        self.constraints.clear()
        for column, tokens in self.defaults:
            set_default(column, tokens, self.schema)
        self.defaults.clear()
        relation = self.draft.relation()
        for column, tokens in self.generated:
            text = translate_expression(parse_expression(tokens), self.schema, relation)
            column.generated = f"GENERATED ALWAYS AS ({text}) STORED"
        self.generated.clear()
        key = self.draft.primary_key
        for name in key.columns if key else ():
            found = self.draft.column(name)
            if found is not None and found.foreign_type is None:
                found.not_null = True
        self._settle_sequences()

    def _settle_sequences(self) -> None:
        rowid = self.draft.rowid
        for name, said in self.options.items():
            column = self.draft.column(name)
            if column is None:
                continue
            column.sequence = settle(said)
            column.sequence_name = choose_name(self.draft.name, (name,), "seq", self.names)
            self.names.claim(column.sequence_name)
            if column is rowid:
                if column.sequence.increment != 1 or column.sequence.cycle:
                    raise FeatureNotSupported(
                        f'the identity of primary key "{name}" can only count up by 1, without CYCLE'
                    )
            else:
                column.default = f"(nextval({string(column.sequence_name)}))"
            if column.identity == "s":
                column.default_text = f"nextval({string(column.sequence_name)}::regclass)"
        self.options.clear()

    def _settle_constraint(self, constraint: TableConstraint, tokens: list[Token], where: int) -> None:
        draft = self.draft
        taken = {c.name for c in draft.constraints if c.name}
        if constraint.name is not None and constraint.name in taken:
            raise DuplicateObject(
                f'constraint "{constraint.name}" for relation "{draft.name}" already exists', position=where
            )
        for column in constraint.columns:
            if draft.column(column) is None:
                what = "referenced in foreign key constraint" if constraint.kind == "f" else "named in key"
                raise UndefinedColumn(f'column "{column}" {what} does not exist', position=where)
        if len(set(constraint.columns)) < len(constraint.columns) and constraint.kind in "pu":
            twice = next(n for n in constraint.columns if constraint.columns.count(n) > 1)
            word = "primary key" if constraint.kind == "p" else "unique"
            raise DuplicateColumn(f'column "{twice}" appears twice in {word} constraint', position=where)
        name: str | None = constraint.name
        if constraint.kind == "c":
            tree = parse_expression(tokens)
            text = translate_expression(tree, self.schema, draft.relation())
            used = tuple(dict.fromkeys(str(node.name) for node in tree.find_all(exp.Column)))
            name = name or choose_name(draft.name, used if len(used) == 1 else (), "check", taken)
            constraint = replace(constraint, expression=text)
        elif constraint.kind == "f":
            constraint = check_reference(constraint, draft, self.schema, where)
            name = name or choose_name(draft.name, constraint.columns, "fkey", taken)
        else:
            if constraint.kind == "p" and draft.primary_key is not None:
                raise InvalidTableDefinition(
                    f'multiple primary keys for table "{draft.name}" are not allowed', position=where
                )
            if name is None:
                key = constraint.kind == "p"
                name = choose_name(
                    draft.name, () if key else constraint.columns, "pkey" if key else "key", self.names
                )
            self.names.claim(name, where)
        draft.constraints.append(replace(constraint, name=name))


def check_reference(constraint: TableConstraint, draft: TableDraft, schema: Schema, where: int) -> TableConstraint:
    """A foreign key's target must exist and be unique; SQLite would only say so at the first INSERT."""
    if constraint.target == draft.name:
        target_names = [column.name for column in draft.columns]
        unique = [c.columns for c in draft.constraints if c.kind in "pu"]
        primary = next((c.columns for c in draft.constraints if c.kind == "p"), ())
    else:
        relation = schema.relations.get(constraint.target)
        if relation is None:
            raise UndefinedTable(f'relation "{constraint.target}" does not exist', position=where)
        target_names = [column.name for column in relation.columns]
        plain = [index for index in relation.indexes if index.unique and not index.partial]
        unique = [tuple(c for c in index.columns if c is not None) for index in plain if None not in index.columns]
        primary = next((tuple(str(c) for c in i.columns) for i in relation.indexes if i.origin == "pk"), ())
    columns = constraint.target_columns or primary
    if not columns:
        raise InvalidForeignKey(f'there is no primary key for referenced table "{constraint.target}"', position=where)
    if len(columns) != len(constraint.columns):
        raise InvalidForeignKey(
            "number of referencing and referenced columns for foreign key disagree", position=where
        )
    for name in columns:
        if name not in target_names:
            raise UndefinedColumn(
                f'column "{name}" referenced in foreign key constraint does not exist', position=where
            )
    if not any(sorted(found) == sorted(columns) for found in unique):
        raise InvalidForeignKey(
            f'there is no unique constraint matching given keys for referenced table "{constraint.target}"',
            position=where,
        )
    return replace(constraint, target_columns=tuple(columns))


def collation(cursor: Cursor) -> None:
    """COLLATE name: only the database's own order is known."""
    where = cursor.token.start + 1
    name = cursor.label()
    while cursor.accept("."):
        name = cursor.label()
    if name not in _KNOWN_COLLATIONS:
        raise FeatureNotSupported(f'collation "{name}" is not supported: text sorts as in "C"', position=where)


def _storable(kind: TypeName, name: str, where: int) -> None:
    if kind.oid in oids.ELEMENTS or kind.oid in oids.STORAGE:
        return
    if kind.oid in (oids.RECORD, oids.VOID, oids.UNKNOWN):
        raise InvalidTableDefinition(f'column "{name}" has pseudo-type {spell_type(kind.oid)}', position=where)
    raise FeatureNotSupported(f"columns of type {spell_type(kind.oid)} are not supported", position=where)


def _reference(cursor: Cursor, name: str | None, columns: tuple[str, ...]) -> TableConstraint:
    """What follows REFERENCES."""
    target = cursor.relation()
    target_columns = cursor.names() if cursor.looks("(") else ()
    actions = {"update": "NO ACTION", "delete": "NO ACTION"}
    while True:
        if cursor.accept("on"):
            event = cursor.one_of("update", "delete")
            if event is None:
                raise cursor.error()
            actions[event] = referential_action(cursor)
            if event == "delete" and cursor.looks("("):
                raise cursor.unsupported("ON DELETE SET with a column list")
        elif cursor.accept("match"):
            if cursor.accept("full"):
                if len(columns) > 1:
                    raise cursor.unsupported("MATCH FULL over several columns")
            elif not cursor.accept("simple"):
                raise cursor.unsupported("MATCH PARTIAL")
        else:
            break
    return TableConstraint(
        "f",
        name,
        columns,
        target=target,
        target_columns=target_columns,
        on_update=actions["update"],
        on_delete=actions["delete"],
    )


def _nulls_distinct(cursor: Cursor) -> None:
    if cursor.accept("nulls", "distinct"):
        return
    if cursor.looks("nulls", "not", "distinct"):
        raise cursor.unsupported("UNIQUE NULLS NOT DISTINCT")


def _using_index(cursor: Cursor) -> None:
    if cursor.looks("using", "index"):
        raise cursor.unsupported("a constraint USING INDEX")


def _index_parameters(cursor: Cursor) -> None:
    """INCLUDE, WITH and USING INDEX TABLESPACE concern storage that is not here."""
    if cursor.accept("include"):
        cursor.names()
    if cursor.accept("with"):
        cursor.parenthesised()
    if cursor.accept("using", "index", "tablespace"):
        cursor.name()
