"""SQLite's errors in PostgreSQL's words.

SQLite says what went wrong mostly in its message's text, and never which constraint of which table by name; what
PostgreSQL's clients rely on (SQLSTATE, table, column, constraint) is worked out here, on the error path only,
by looking at the schema through the same connection.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import apsw

from lfsql import errors
from lfsql.errors import LfsqlError
from lfsql.storage.authorizer import INTERNAL

DAMAGED_HINT: Final = (
    "Move data.db away, with its -wal and -shm, while the node is stopped: it is made again from log.db, or, where "
    "that has no longer everything, from the primary's."
)
REPLACE_HINT: Final = (
    "What this node promised is lost with it: replace the node by one of a new name, see docs/guarantees.md."
)
MISFIT_HINT: Final = (
    "One of the two files is older, or another node's. If it is data.db, move it away, with its -wal and -shm: it is "
    "made again. If it is log.db, what this node promised is lost: replace the node by one of a new name, see "
    "docs/guarantees.md."
)
FULL_HINT: Final = "Free disk space; a node that ended because of it goes on when it is started again."

REBUILT: Final = "_lfsql_new_"
"""What the name of a table begins with while ALTER TABLE makes it anew: nobody but us knows it."""

_NUMBERS: Final = {21: "smallint", 23: "integer", 20: "bigint", 26: "oid", 700: "real", 701: "double precision",
                   1700: "numeric"}  # fmt: skip
_TYPES: Final = {16: "boolean", 17: "bytea", 114: "json", 1082: "date", 1083: "time", 1114: "timestamp",
                 1184: "timestamp with time zone", 1186: "interval", 1266: "time with time zone", 2950: "uuid",
                 3802: "jsonb"}  # fmt: skip

_IDENTIFIER: Final = r'(?:"(?:[^"]|"")*"|[A-Za-z_]\w*)'
_TARGET: Final = re.compile(
    rf"(?:\s|/\*.*?\*/)*(INSERT|REPLACE|UPDATE|DELETE)\s+(?:OR\s+\w+\s+)?(?:INTO\s+|FROM\s+)?(?:main\s*\.\s*)?({_IDENTIFIER})",
    re.IGNORECASE | re.DOTALL,
)
_MADE_INDEX: Final = re.compile(
    rf"(?:\s|/\*.*?\*/)*CREATE\s+UNIQUE\s+INDEX\s+(?:IF\s+NOT\s+EXISTS\s+)?({_IDENTIFIER})\s+ON\s+({_IDENTIFIER})",
    re.IGNORECASE | re.DOTALL,
)
_NAMED_UNIQUE: Final = re.compile(
    rf"CONSTRAINT\s+({_IDENTIFIER})\s+(?:UNIQUE|PRIMARY\s+KEY)\s*\(([^)]*)\)", re.IGNORECASE
)

# Message patterns of SQLITE_ERROR, most frequent first: (pattern, class, our message; {0} is the first group).
_MESSAGES: Final[tuple[tuple[re.Pattern[str], type[LfsqlError], str], ...]] = tuple(
    (re.compile(pattern, re.DOTALL), cls, message)
    for pattern, cls, message in (
        (r"no such table: (?:main\.)?(.*)", errors.UndefinedTable, 'relation "{0}" does not exist'),
        (r'no such column: "?(.*?)"?(?: - .*)?', errors.UndefinedColumn, "column {0} does not exist"),
        (r"table (.*) has no column named (.*)", errors.UndefinedColumn,
         'column "{1}" of relation "{0}" does not exist'),
        (r'near "(.*)": syntax error', errors.StatementSyntax, 'syntax error at or near "{0}"'),
        (r"incomplete input", errors.StatementSyntax, "syntax error at end of input"),
        (r'unrecognized token: "(.*)"', errors.StatementSyntax, 'unterminated or unknown token at or near "{0}"'),
        (r"no such function: (.*)", errors.UndefinedFunction, "function {0} does not exist"),
        (r"wrong number of arguments to function (.*)\(\)", errors.UndefinedFunction,
         "function {0} does not exist with that number of arguments"),
        (r"(?:table|view) (.*) already exists", errors.DuplicateTable, 'relation "{0}" already exists'),
        (r"index (.*) already exists", errors.DuplicateTable, 'relation "{0}" already exists'),
        (r"there is already (?:a table|an index|another table or index) (?:named|with this name:) (.*)",
         errors.DuplicateTable,
         'relation "{0}" already exists'),
        (r"trigger (.*) already exists", errors.DuplicateObject, 'trigger "{0}" already exists'),
        (r"no such view: (?:main\.)?(.*)", errors.UndefinedTable, 'view "{0}" does not exist'),
        (r"no such index: (?:main\.)?(.*)", errors.UndefinedObject, 'index "{0}" does not exist'),
        (r"no such trigger: (?:main\.)?(.*)", errors.UndefinedObject, 'trigger "{0}" does not exist'),
        (r"no such collation sequence: (.*)", errors.UndefinedObject, 'collation "{0}" does not exist'),
        (r"unknown database (.*)", errors.UndefinedSchema, 'schema "{0}" does not exist'),
        (r"duplicate column name: (.*)", errors.DuplicateColumn, 'column "{0}" specified more than once'),
        (r"ambiguous column name: (?:main\.)?(.*)", errors.AmbiguousColumn, 'column reference "{0}" is ambiguous'),
        (r"misuse of (?:aggregate|window)(?: function)?:? (.*)", errors.GroupingError,
         "aggregate or window function {0} is not allowed here"),
        (r"\d+\w\w (ORDER|GROUP) BY term out of range.*", errors.InvalidColumnReference,
         "{0} BY position is not in select list"),
        (r"ON CONFLICT clause does not match .*", errors.InvalidColumnReference,
         "there is no unique or exclusion constraint matching the ON CONFLICT specification"),
        (r"cannot modify (.*) because it is a view", errors.ObjectNotInPrerequisiteState,
         'cannot change view "{0}"'),
        (r"unknown column \"(.*)\" in foreign key definition", errors.UndefinedColumn,
         'column "{0}" referenced in foreign key constraint does not exist'),
        (r"foreign key mismatch - \"(.*)\" referencing \"(.*)\"", errors.InvalidForeignKey,
         'there is no unique constraint matching given keys for referenced table "{1}"'),
        (r"integer overflow", errors.NumericOutOfRange, "bigint out of range"),
        (r"malformed JSON", errors.InvalidText, "invalid input syntax for type json"),
        (r"table (.*) may not be (?:modified|dropped|altered|indexed)", errors.InsufficientPrivilege,
         "permission denied for table {0}"),
        (r"object name reserved for internal use: (.*)", errors.InsufficientPrivilege,
         'the name "{0}" is reserved'),
        (r"Expression tree is too large.*|parser stack overflow|too many .*", errors.StatementTooComplex, ""),
        (r"(.*)string or blob too big|statement too long|query string.*", errors.LimitExceeded, ""),
    )
)  # fmt: skip


UNUSABLE: Final = (apsw.CorruptError, apsw.NotADBError, apsw.FullError, apsw.IOError, apsw.CantOpenError)
"""What may be wrong with a file while it is opened or closed."""


def unusable(error: Exception, path: str | Path) -> LfsqlError:
    """One of UNUSABLE, met while opening or closing `path`, as the error that ends the node."""
    if isinstance(error, apsw.FullError):
        return errors.DiskFull(f"no space left for {path}", hint=FULL_HINT)
    if isinstance(error, (apsw.IOError, apsw.CantOpenError)):
        return errors.DiskFailed(f"{path} cannot be used: {error}", hint=f"If the disk is sound: {DAMAGED_HINT}")
    return errors.DataCorrupted(f"{path} is damaged, or no database", detail=str(error), hint=DAMAGED_HINT)


def translate(
    error: Exception, connection: apsw.Connection, sql: str, denied: LfsqlError | None = None
) -> LfsqlError:
    """The error a client gets.  `denied`: what the authorizer meant by "not authorized"."""
    if isinstance(error, LfsqlError):
        return error
    if not isinstance(error, apsw.Error):
        return _translate_foreign(error)
    if denied is not None:
        return denied
    if isinstance(error, apsw.AuthError):
        return errors.InsufficientPrivilege("permission denied")
    message = str(error)
    if isinstance(error, apsw.ConstraintError):
        return _translate_constraint(getattr(error, "extendedresult", 0), message, connection, sql)
    if isinstance(error, apsw.InterruptError):
        return errors.QueryCanceled("canceling statement due to user request")
    if isinstance(error, apsw.ReadOnlyError):
        return errors.ReadOnlyTransaction("cannot execute a statement that writes in a read-only transaction")
    if isinstance(error, apsw.FullError):
        return errors.DiskFull("could not extend the database file: no space left on device", hint=FULL_HINT)
    if isinstance(error, (apsw.IOError, apsw.CantOpenError)):
        return errors.DiskFailed(f"the database's disk failed: {message}")
    if getattr(error, "extendedresult", 0) == apsw.SQLITE_CORRUPT_VTAB:
        # What a client wrote there, as in an FTS5 table without its contents; the file is as it should be.
        return errors.IntegrityViolation(f"the contents of a virtual table contradict each other: {message}")
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError)):
        return errors.DataCorrupted(f"the database file is damaged: {message}", hint=DAMAGED_HINT)
    if isinstance(error, apsw.MismatchError):
        return errors.InvalidText("invalid input syntax for type bigint")
    if isinstance(error, apsw.NoMemError):
        return errors.OutOfMemory("out of memory", hint="Ask for fewer rows at a time, or raise heap_bytes_max.")
    if isinstance(error, apsw.TooBigError):
        return errors.LimitExceeded(f"a value or a result is too large: {message}")
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return errors.LockNotAvailable(f"the database is locked: {message}")
    if isinstance(error, apsw.BindingsError):
        return errors.ProtocolViolation("the number of parameters bound is not what the statement requires")
    if isinstance(error, apsw.SQLError):
        return _translate_sql(message, getattr(error, "error_offset", -1), sql)
    return LfsqlError(f"unexpected answer from SQLite: {message}")


def _translate_foreign(error: Exception) -> LfsqlError:
    """Python's own exceptions, from binding values, reading them, or a function of ours."""
    if isinstance(error, UnicodeDecodeError):
        return errors.InvalidEncoding('invalid byte sequence for encoding "UTF8"')
    if isinstance(error, OverflowError):
        return errors.NumericOutOfRange("value out of range for type bigint")
    if isinstance(error, TimeoutError):
        return errors.StatementTooComplex("a regular expression took too long to match", hint="Simplify the pattern.")
    if isinstance(error, TypeError):
        return errors.InvalidParameterValue(f"a parameter has no type SQLite knows: {error}")
    return LfsqlError(f"internal error: {type(error).__name__}: {error}")


def _translate_sql(message: str, offset: int, sql: str) -> LfsqlError:
    position = len(sql.encode()[:offset].decode(errors="replace")) + 1 if offset >= 0 else 0
    for pattern, cls, ours in _MESSAGES:
        match = pattern.fullmatch(message)
        if match:
            return cls(ours.format(*match.groups()) if ours else message, position=position)
    return errors.StatementError(message, position=position)


def _translate_constraint(code: int, message: str, connection: apsw.Connection, sql: str) -> LfsqlError:
    if code in (
        apsw.SQLITE_CONSTRAINT_UNIQUE,
        apsw.SQLITE_CONSTRAINT_PRIMARYKEY,
        apsw.SQLITE_CONSTRAINT_ROWID,
    ):
        return _translate_unique(code, message, connection, sql)
    if code == apsw.SQLITE_CONSTRAINT_NOTNULL:
        stored, _, column = message.removeprefix("NOT NULL constraint failed: ").rpartition(".")
        table = stored.removeprefix(REBUILT)
        if table != stored:
            return errors.NotNullViolation(
                f'column "{column}" of relation "{table}" contains null values',
                schema="public",
                table=table,
                column=column,
            )
        return errors.NotNullViolation(
            f'null value in column "{column}" of relation "{table}" violates not-null constraint',
            schema="public",
            table=table,
            column=column,
        )
    if code == apsw.SQLITE_CONSTRAINT_CHECK:
        return _translate_check(message.removeprefix("CHECK constraint failed: "), connection, sql)
    if code == apsw.SQLITE_CONSTRAINT_FOREIGNKEY:
        return foreign_key_violation(sql)
    if code == apsw.SQLITE_CONSTRAINT_TRIGGER and message == "FOREIGN KEY constraint failed":
        return foreign_key_violation(sql)  # ON DELETE RESTRICT, which SQLite makes a trigger of
    if code == apsw.SQLITE_CONSTRAINT_DATATYPE:
        return errors.DatatypeMismatch(message)
    return errors.IntegrityViolation(message)  # RAISE(ABORT, message) in a trigger, a virtual table's own


def makes_index(sql: str) -> bool:
    return _MADE_INDEX.match(sql) is not None


def violated_key(message: str) -> tuple[str, list[str]]:
    """(table, columns) of SQLite's message; no columns when the index is over an expression."""
    what = message.removeprefix("UNIQUE constraint failed: ")
    if what.startswith("index '"):
        return "", []
    places = [place.rpartition(".") for place in what.split(", ")]
    return places[0][0], [place[2] for place in places]


def _translate_unique(code: int, message: str, connection: apsw.Connection, sql: str) -> LfsqlError:
    stored, columns = violated_key(message)
    made = _MADE_INDEX.match(sql)
    if made is not None:
        name = _unquote(made[1])
        table = stored or _unquote(made[2])
    elif not columns:
        name = message.removeprefix("UNIQUE constraint failed: index '")[:-1]
        stored = table = target(sql)[1]
    else:
        table = stored.removeprefix(REBUILT)
        name = _unique_name(connection, stored, columns, code != apsw.SQLITE_CONSTRAINT_UNIQUE)
    if made is not None or table != stored:
        text = f'could not create unique index "{name}"'
    else:
        text = f'duplicate key value violates unique constraint "{name}"'
    return errors.UniqueViolation(text, schema="public", table=table, constraint=name)


def _unique_name(connection: apsw.Connection, table: str, columns: list[str], primary: bool) -> str:
    for match in _NAMED_UNIQUE.finditer(_table_sql(connection, table)):
        if [_unquote(part.split()[0]) for part in match[2].split(",") if part.split()] == columns:
            return _unquote(match[1])
    if primary:
        return f"{table.removeprefix(REBUILT)}_pkey"
    for name, unique, origin in _rows(
        connection, 'SELECT name, "unique", origin FROM pragma_index_list(?)', (table,)
    ):
        if unique and origin == "c":
            indexed = [row[0] for row in _rows(connection, "SELECT name FROM pragma_index_info(?)", (name,))]
            if indexed == columns:
                return str(name)
    return f"{table.removeprefix(REBUILT)}_{'_'.join(columns)}_key"


def _translate_check(name: str, connection: apsw.Connection, sql: str) -> LfsqlError:
    stored = target(sql)[1]
    table = stored.removeprefix(REBUILT)
    if name.startswith("_lfsql_range:"):
        column, _, oid_text = name.removeprefix("_lfsql_range:").rpartition(":")
        oid = int(oid_text) if oid_text.isdecimal() else 0
        if oid in _NUMBERS:
            return errors.NumericOutOfRange(f"{_NUMBERS[oid]} out of range", table=table, column=column)
        return errors.InvalidText(
            f"invalid input syntax for type {_TYPES.get(oid, oid_text)}", table=table, column=column
        )
    if name.startswith("_lfsql_length:"):
        column, _, length = name.removeprefix("_lfsql_length:").rpartition(":")
        declared = _rows(connection, "SELECT type FROM pragma_table_info(?) WHERE name = ?", (stored, column))
        kind = "character" if declared and str(declared[0][0]).startswith("bpchar") else "character varying"
        return errors.StringTooLong(f"value too long for type {kind}({length})", table=table, column=column)
    # Without a name SQLite reports the expression.
    definition = _table_sql(connection, stored)
    named = re.search(rf'CONSTRAINT\s+(?:"{re.escape(name)}"|{re.escape(name)}\b)', definition, re.IGNORECASE)
    if definition and not named:
        name = f"{table}_check"
    if table != stored:
        message = f'check constraint "{name}" of relation "{table}" is violated by some row'
    else:
        message = f'new row for relation "{table}" violates check constraint "{name}"'
    return errors.CheckViolation(message, schema="public", table=table, constraint=name)


def foreign_key_violation(sql: str) -> LfsqlError:
    """SQLite does not say which key failed; `lfsql.storage.foreign_keys` finds out where it can."""
    verb, table = target(sql)
    what = "insert or update" if verb in ("INSERT", "REPLACE", "UPDATE") else "update or delete"
    return errors.ForeignKeyViolation(
        f"{what} on table {_quote(table)} violates foreign key constraint", schema="public", table=table
    )


def _table_sql(connection: apsw.Connection, table: str) -> str:
    rows = _rows(connection, "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?", (table,))
    return str(rows[0][0]) if rows else ""


def _rows(connection: apsw.Connection, sql: str, parameters: tuple[object, ...]) -> list[tuple[object, ...]]:
    """A look at the schema; the error being translated may have left the connection unable to answer."""
    try:
        return list(connection.execute(sql, parameters, prepare_flags=INTERNAL))
    except apsw.Error:
        return []


def target(sql: str) -> tuple[str, str]:
    """(verb, table) a statement writes; ("", "") when its text does not begin with that."""
    match = _TARGET.match(sql)
    return (match[1].upper(), _unquote(match[2])) if match else ("", "")


def _unquote(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _quote(name: str) -> str:
    return f'"{name}"'
