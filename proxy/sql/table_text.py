"""A table's CREATE TABLE text in SQLite <-> a value.

SQLite keeps the text, and the text alone holds the names of constraints, which clients see in errors and tools
look up.  The same value is what ALTER TABLE changes before a table is rebuilt, so a table survives any number of
rebuilds with everything it had, whichever tool created it.

Column constraints other than NOT NULL, DEFAULT, COLLATE, the rowid's PRIMARY KEY and GENERATED are kept as table
constraints; SQLite treats the two alike.  The checks that stand for PostgreSQL's types (`_lfsql_range:`,
`_lfsql_length:`) are not part of the value: they follow from the types and are written anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from lfsql.errors import DataCorrupted, StatementSyntax
from proxy.sql.lexer import PUNCTUATION, QUOTED, STRING, WORD, Token, sqlite_tokens
from proxy.sql.quoting import quote
from proxy.sql.token_cursor import Cursor

HIDDEN_PREFIX = "_lfsql_"
_COLUMN_STARTS = frozenset(
    ("constraint", "primary", "not", "null", "unique", "check", "default", "collate", "references", "generated", "as")
)
_TABLE_STARTS = frozenset(("constraint", "primary", "unique", "check", "foreign"))


@dataclass(frozen=True, slots=True)
class TableColumn:
    name: str
    declared: str
    not_null: bool = False
    default: str | None = None
    """SQLite's text, in parentheses when it is an expression."""
    collation: str = ""
    rowid: Literal["", "rowid", "autoincrement"] = ""
    """This column is the rowid: INTEGER PRIMARY KEY, with or without AUTOINCREMENT."""
    generated: str = ""
    """GENERATED ALWAYS AS (...) STORED, verbatim."""


@dataclass(frozen=True, slots=True)
class TableConstraint:
    kind: Literal["p", "u", "f", "c"]
    """Primary key, unique, foreign key, check: pg_constraint.contype."""
    name: str | None = None
    columns: tuple[str, ...] = ()
    expression: str = ""
    target: str = ""
    target_columns: tuple[str, ...] = ()
    on_update: str = "NO ACTION"
    on_delete: str = "NO ACTION"
    deferrable: bool = False
    initially_deferred: bool = False

    def text(self) -> str:
        named = f"CONSTRAINT {quote(self.name)} " if self.name else ""
        listed = ", ".join(quote(column) for column in self.columns)
        if self.kind == "p":
            return f"{named}PRIMARY KEY ({listed})"
        if self.kind == "u":
            return f"{named}UNIQUE ({listed})"
        if self.kind == "c":
            return f"{named}CHECK ({self.expression})"
        return f"{named}FOREIGN KEY ({listed}) {self.reference()}"

    def reference(self) -> str:
        """The REFERENCES clause of a foreign key."""
        text = f"REFERENCES {quote(self.target)}"
        if self.target_columns:
            text += " (" + ", ".join(quote(column) for column in self.target_columns) + ")"
        if self.on_delete != "NO ACTION":
            text += f" ON DELETE {self.on_delete}"
        if self.on_update != "NO ACTION":
            text += f" ON UPDATE {self.on_update}"
        if self.deferrable:
            text += f" DEFERRABLE INITIALLY {'DEFERRED' if self.initially_deferred else 'IMMEDIATE'}"
        return text


@dataclass(frozen=True, slots=True)
class TableText:
    name: str
    columns: tuple[TableColumn, ...]
    constraints: tuple[TableConstraint, ...] = ()
    without_rowid: bool = False
    strict: bool = False

    def column(self, name: str) -> TableColumn | None:
        for column in self.columns:
            if column.name == name:
                return column
        return None

    @property
    def primary_key_name(self) -> str | None:
        for constraint in self.constraints:
            if constraint.kind == "p":
                return constraint.name
        return None


def parse_table(sql: str) -> TableText:
    """Read a CREATE TABLE text as `sqlite_master` holds it.  DataCorrupted for one that SQLite cannot have kept."""
    try:
        return _Reader(sql).table()
    except StatementSyntax as error:
        raise DataCorrupted(f"unreadable table definition: {error.message}", detail=sql[:500]) from error


class _Reader:
    def __init__(self, sql: str) -> None:
        self.cursor = Cursor(sql, sqlite_tokens(sql))
        self.columns: list[TableColumn] = []
        self.constraints: list[TableConstraint] = []

    def table(self) -> TableText:
        cursor = self.cursor
        cursor.expect("create")
        cursor.one_of("temp", "temporary")
        cursor.expect("table")
        cursor.accept("if", "not", "exists")
        name = self._name()
        if cursor.accept("."):
            name = self._name()
        cursor.expect("(")
        while True:
            if cursor.token.kind == WORD and cursor.token.value in _TABLE_STARTS:
                self._table_constraint()
            else:
                self._column()
            if not cursor.accept(",") and cursor.looks(")"):
                break
        cursor.expect(")")
        without_rowid = strict = False
        while not cursor.ended:
            without_rowid = cursor.accept("without", "rowid") or without_rowid
            strict = cursor.accept("strict") or strict
            if not cursor.ended:
                cursor.expect(",")
        return TableText(name, tuple(self.columns), tuple(self.constraints), without_rowid, strict)

    def _name(self) -> str:
        token = self.cursor.take()
        if token.kind == WORD:
            return token.text
        if token.kind in (QUOTED, STRING):
            return token.value
        raise self.cursor.error(token=token)

    def _names(self) -> tuple[str, ...]:
        """(a, b COLLATE x DESC, ...): the names alone."""
        self.cursor.expect("(")
        found: list[str] = []
        while True:
            found.append(self._name())
            self.cursor.until(lambda token: token.text == ",")
            if not self.cursor.accept(","):
                break
        self.cursor.expect(")")
        return tuple(found)

    def _conflict(self) -> None:
        if self.cursor.accept("on", "conflict"):
            self.cursor.take()

    def _column(self) -> None:
        cursor = self.cursor
        name = self._name()
        kind = self._declared()
        not_null, default, collation, generated = False, None, "", ""
        rowid: Literal["", "rowid", "autoincrement"] = ""
        while not cursor.ended and not cursor.looks(",") and not cursor.looks(")"):
            constraint = self._name() if cursor.accept("constraint") else None
            if cursor.accept("primary", "key"):
                order = cursor.one_of("asc", "desc")
                self._conflict()
                automatic = cursor.accept("autoincrement")
                if kind.upper() == "INTEGER" and order != "desc":
                    rowid = "autoincrement" if automatic else "rowid"
                self.constraints.append(TableConstraint("p", constraint, (name,)))
            elif cursor.accept("not", "null"):
                self._conflict()
                not_null = True
            elif cursor.accept("null"):
                self._conflict()
            elif cursor.accept("unique"):
                self._conflict()
                self.constraints.append(TableConstraint("u", constraint, (name,)))
            elif cursor.accept("check"):
                self._check(constraint)
            elif cursor.accept("default"):
                default = self._default()
            elif cursor.accept("collate"):
                collation = self._name()
            elif cursor.accept("references"):
                self.constraints.append(self._reference(constraint, (name,)))
            elif cursor.looks("generated") or cursor.looks("as"):
                begin = cursor.at
                cursor.accept("generated", "always")
                cursor.expect("as")
                cursor.parenthesised()
                cursor.one_of("stored", "virtual")
                generated = cursor.slice(cursor.tokens[begin : cursor.at])
            else:
                raise cursor.error()
        self.columns.append(TableColumn(name, kind, not_null, default, collation, rowid, generated))

    def _declared(self) -> str:
        cursor = self.cursor
        begin = cursor.at
        while (
            cursor.token.kind in (WORD, QUOTED, STRING)
            and not (cursor.token.kind == WORD and cursor.token.value in _COLUMN_STARTS)
            and not cursor.ended
        ):
            cursor.take()
        if cursor.at > begin and cursor.looks("("):
            cursor.parenthesised()
        found = cursor.tokens[begin : cursor.at]
        return declared_text(found)

    def _default(self) -> str:
        cursor = self.cursor
        if cursor.looks("("):
            return "(" + cursor.slice(cursor.parenthesised()) + ")"
        begin = cursor.at
        if cursor.token.text in ("+", "-"):
            cursor.take()
        cursor.take()
        return cursor.slice(cursor.tokens[begin : cursor.at])

    def _check(self, name: str | None) -> None:
        expression = self.cursor.slice(self.cursor.parenthesised())
        self._conflict()
        if not (name or "").startswith(HIDDEN_PREFIX):
            self.constraints.append(TableConstraint("c", name, expression=expression))

    def _table_constraint(self) -> None:
        cursor = self.cursor
        name = self._name() if cursor.accept("constraint") else None
        if cursor.accept("primary", "key"):
            self._primary_key(name)
        elif cursor.accept("unique"):
            columns = self._names()
            self._conflict()
            self.constraints.append(TableConstraint("u", name, columns))
        elif cursor.accept("check"):
            self._check(name)
        elif cursor.accept("foreign", "key"):
            columns = self._names()
            cursor.expect("references")
            self.constraints.append(self._reference(name, columns))
        elif name is None:
            raise cursor.error()

    def _primary_key(self, name: str | None) -> None:
        cursor = self.cursor
        begin = cursor.at
        columns = self._names()
        automatic = any(token.value == "autoincrement" for token in cursor.tokens[begin : cursor.at])
        self._conflict()
        self.constraints.append(TableConstraint("p", name, columns))
        for place, column in enumerate(self.columns):
            if (column.name,) == columns and column.declared.upper() == "INTEGER":
                kind: Literal["rowid", "autoincrement"] = "autoincrement" if automatic else "rowid"
                self.columns[place] = replace(column, rowid=kind)

    def _reference(self, name: str | None, columns: tuple[str, ...]) -> TableConstraint:
        cursor = self.cursor
        target = self._name()
        target_columns = self._names() if cursor.looks("(") else ()
        actions = {"update": "NO ACTION", "delete": "NO ACTION"}
        deferrable = deferred = False
        while True:
            if cursor.accept("on"):
                event = cursor.one_of("update", "delete")
                if event is None:
                    raise cursor.error()
                actions[event] = referential_action(cursor)
            elif cursor.accept("match"):
                self._name()
            elif cursor.accept("not", "deferrable"):
                deferrable = False
                if cursor.accept("initially"):
                    cursor.one_of("deferred", "immediate")
            elif cursor.accept("deferrable"):
                deferrable = True
                if cursor.accept("initially"):
                    deferred = cursor.one_of("deferred", "immediate") == "deferred"
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
            deferrable=deferrable,
            initially_deferred=deferred,
        )


def referential_action(cursor: Cursor) -> str:
    """What follows ON DELETE or ON UPDATE; the same in both dialects."""
    for words in (("no", "action"), ("restrict",), ("cascade",), ("set", "null"), ("set", "default")):
        if cursor.accept(*words):
            return " ".join(words).upper()
    raise cursor.error()


def declared_text(found: list[Token]) -> str:
    """A declared type as SQLite reports it: words apart, no space around parentheses."""
    text = ""
    for token in found:
        tight = token.kind == PUNCTUATION or token.text in "+-" or (text and text[-1] in "(,+-")
        text += ("" if tight or not text else " ") + (token.value if token.kind == QUOTED else token.text)
    return text
