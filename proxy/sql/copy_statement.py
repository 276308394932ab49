"""COPY, in the syntax of PostgreSQL 9 and later, of 7.3 to 8.4, and mixed with psql's liberties.

Only STDIN and STDOUT: a file or a program would be one of some node's machine.  `COPY ... FROM STDIN` becomes one
INSERT with a variable per column, run once per row; `COPY ... TO STDOUT` becomes the SELECT that gives its rows,
planned like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from lfsql.errors import (
    DuplicateColumn,
    FeatureNotSupported,
    InsufficientPrivilege,
    InvalidColumnReference,
    InvalidParameterValue,
    StatementSyntax,
    UndefinedColumn,
    UndefinedTable,
    WrongObjectType,
)
from proxy.sql.lexer import NUMBER, QUOTED, STRING, WORD
from proxy.sql.quoting import quote
from proxy.sql.schema import Column, Relation, Schema
from proxy.sql.token_cursor import Cursor
from proxy.sql.utility import CopyIn, CopyOptions, CopyOut
from proxy.sql.value import null_key
from proxy.sql.verbs import CHANGES, QUERIES, into_target, says, verb, verb_place


@dataclass
class _Said:
    """The options as said, before their defaults, which depend on the format."""

    format: Literal["text", "csv", "binary"] | None = None
    delimiter: str | None = None
    null: str | None = None
    header: bool = False
    quote: str | None = None
    escape: str | None = None
    force_quote: tuple[str, ...] | None = ()
    force_null: tuple[str, ...] = ()
    force_not_null: tuple[str, ...] = ()


def parse_copy(cursor: Cursor, schema: Schema) -> CopyIn | CopyOut:
    """Read the rest of a COPY statement."""
    said = _Said()
    query = ""
    table = ""
    where = cursor.token.start + 1
    columns: tuple[str, ...] | None = None
    if cursor.looks("("):
        query = _query(cursor)
    else:
        if cursor.accept("binary"):
            said.format = "binary"
        table = _table(cursor)
        if cursor.looks("("):
            columns = cursor.names()
    direction = cursor.one_of("from", "to")
    if direction is None or (query and direction == "from"):
        raise cursor.error()
    _stream(cursor)
    _options(cursor, said)
    if cursor.looks("where") and direction == "from":
        raise cursor.unsupported("COPY FROM with WHERE")
    cursor.finish()
    options = _settle(said, direction)
    if query:
        return CopyOut(query, options)
    relation = schema.relations.get(table)
    if relation is None:
        if direction == "to":
            # A catalog, say: planning the query finds it, or says what is wrong.
            listed = ", ".join(quote(name) for name in columns) if columns else "*"
            return CopyOut(f"SELECT {listed} FROM {quote(table)}", options)
        raise UndefinedTable(f'relation "{table}" does not exist', position=where)
    if direction == "to":
        return _copy_out(relation, columns, options)
    return _copy_in(relation, columns, options, where)


def _query(cursor: Cursor) -> str:
    """The query in parentheses, its rows being what is copied."""
    found = cursor.parenthesised()
    word = verb(found)
    if word in CHANGES | {"replace"}:  # REPLACE is SQLite's
        if not says(found, "returning"):
            raise FeatureNotSupported("COPY query must have a RETURNING clause", position=found[0].start + 1)
    elif word not in QUERIES | {"("}:
        raise cursor.error(token=found[verb_place(found)] if found else cursor.ahead(-1))
    if into_target(found) is not None:
        raise FeatureNotSupported("COPY (SELECT INTO) is not supported", position=found[0].start + 1)
    return cursor.slice(found)


def _table(cursor: Cursor) -> str:
    ahead = cursor.ahead()
    if ahead.text == "." and cursor.token.value in ("pg_catalog", "information_schema", "lfsql"):
        cursor.at += 2
        return cursor.name()
    return cursor.relation()


def _stream(cursor: Cursor) -> None:
    if cursor.one_of("stdin", "stdout") is not None:
        return
    what = "a program" if cursor.accept("program") else "a file"
    if cursor.token.kind == STRING:
        raise InsufficientPrivilege(
            f"COPY to or from {what} is not supported",
            hint="Use COPY ... FROM STDIN or COPY ... TO STDOUT; psql's \\copy does this for a file of the client.",
            position=cursor.token.start + 1,
        )
    raise cursor.error()


def _options(cursor: Cursor, said: _Said) -> None:
    if cursor.accept("using"):  # 7.3: [USING] DELIMITERS 'x'
        cursor.expect("delimiters")
        said.delimiter = cursor.string()
    elif cursor.accept("delimiters"):
        said.delimiter = cursor.string()
    cursor.accept("with")
    if cursor.accept("("):
        cursor.commas(lambda: _generic_option(cursor, said))
        cursor.expect(")")
        return
    while not cursor.ended and not cursor.looks("where"):
        _old_option(cursor, said)


def _old_option(cursor: Cursor, said: _Said) -> None:
    if cursor.accept("binary"):
        said.format = "binary"
    elif cursor.accept("freeze") or cursor.accept("oids"):
        pass
    elif cursor.accept("csv"):
        said.format = "csv"
    elif cursor.accept("header"):
        said.header = True
    elif cursor.accept("force"):
        if cursor.accept("quote"):
            said.force_quote = None if cursor.accept("*") else tuple(cursor.commas(cursor.name))
        elif cursor.accept("not", "null"):
            said.force_not_null = tuple(cursor.commas(cursor.name))
        elif cursor.accept("null"):
            said.force_null = tuple(cursor.commas(cursor.name))
        else:
            raise cursor.error()
    elif cursor.accept("encoding"):
        _encoding(cursor.string())
    else:
        name = cursor.one_of("delimiter", "null", "quote", "escape")
        if name is None:
            raise cursor.error()
        cursor.accept("as")
        setattr(said, name, cursor.string())


def _generic_option(cursor: Cursor, said: _Said) -> None:
    name = cursor.label()
    if name in ("delimiter", "null", "quote", "escape"):
        setattr(said, name, _text_value(cursor))
    elif name == "format":
        value = _text_value(cursor).lower()
        if value not in ("text", "csv", "binary"):
            raise InvalidParameterValue(f'COPY format "{value}" not recognized')
        said.format = cast(Literal["text", "csv", "binary"], value)
    elif name == "header":
        value = _flag_text(cursor)
        if value == "match":
            raise FeatureNotSupported("COPY HEADER MATCH is not supported")
        said.header = _flag(value, name)
    elif name == "freeze":
        _flag(_flag_text(cursor), name)
    elif name == "encoding":
        _encoding(_text_value(cursor))
    elif name == "force_quote":
        said.force_quote = None if cursor.accept("*") else cursor.names()
    elif name == "force_null":
        said.force_null = cursor.names()
    elif name == "force_not_null":
        said.force_not_null = cursor.names()
    else:
        raise StatementSyntax(f'option "{name}" not recognized', position=cursor.token.start)


def _text_value(cursor: Cursor) -> str:
    if cursor.token.kind not in (STRING, WORD, QUOTED, NUMBER):
        raise cursor.error()
    return cursor.take().value


def _flag_text(cursor: Cursor) -> str:
    if cursor.looks(",") or cursor.looks(")"):
        return "true"
    return _text_value(cursor).lower()


def _flag(value: str, name: str) -> bool:
    if value in ("true", "on", "1"):
        return True
    if value in ("false", "off", "0"):
        return False
    raise StatementSyntax(f"{name} requires a Boolean value")


def _encoding(name: str) -> None:
    if name.replace("-", "").replace("_", "").lower() not in ("utf8", "unicode", "sqlascii"):
        raise FeatureNotSupported(f"COPY in encoding {name} is not supported: the client encoding is UTF8")


def _settle(said: _Said, direction: str) -> CopyOptions:
    """Defaults and PostgreSQL's checks (ProcessCopyOptions), in its order."""
    form = said.format or "text"
    csv = form == "csv"
    if form == "binary":
        if said.delimiter is not None:
            raise StatementSyntax("cannot specify DELIMITER in BINARY mode")
        if said.null is not None:
            raise StatementSyntax("cannot specify NULL in BINARY mode")
    delimiter = said.delimiter if said.delimiter is not None else ("," if csv else "\t")
    null = said.null if said.null is not None else ("" if csv else "\\N")
    mark = said.quote if said.quote is not None else '"'
    escape = said.escape if said.escape is not None else mark
    if len(delimiter.encode()) != 1:
        raise FeatureNotSupported("COPY delimiter must be a single one-byte character")
    if delimiter in "\r\n":
        raise InvalidParameterValue("COPY delimiter cannot be newline or carriage return")
    if "\r" in null or "\n" in null:
        raise InvalidParameterValue("COPY null representation cannot use newline or carriage return")
    if not csv and delimiter in "\\.abcdefghijklmnopqrstuvwxyz0123456789":
        raise InvalidParameterValue(f'COPY delimiter cannot be "{delimiter}"')
    if said.header and form == "binary":
        raise FeatureNotSupported("cannot specify HEADER in BINARY mode")
    for name, given, single in (("quote", said.quote, mark), ("escape", said.escape, escape)):
        if given is not None and not csv:
            raise FeatureNotSupported(f"COPY {name} available only in CSV mode")
        if len(single.encode()) != 1:
            raise FeatureNotSupported(f"COPY {name} must be a single one-byte character")
    if csv and delimiter == mark:
        raise InvalidParameterValue("COPY delimiter and quote must be different")
    if csv and null and delimiter in null:
        raise InvalidParameterValue("COPY delimiter must not appear in the NULL specification")
    if csv and null and mark in null:
        raise InvalidParameterValue("CSV quote character must not appear in the NULL specification")
    if not csv and form == "text" and delimiter in null:
        raise InvalidParameterValue("COPY delimiter must not appear in the NULL specification")
    for name, given_list, only in (
        ("force quote", said.force_quote is None or said.force_quote, "to"),
        ("force not null", said.force_not_null, "from"),
        ("force null", said.force_null, "from"),
    ):
        if given_list and not csv:
            raise FeatureNotSupported(f"COPY {name} available only in CSV mode")
        if given_list and direction != only:
            raise FeatureNotSupported(f"COPY {name} only available using COPY {only.upper()}")
    return CopyOptions(
        format=form,
        delimiter=delimiter,
        null=null,
        header=said.header,
        quote=mark,
        escape=escape,
        force_quote=said.force_quote,
        force_null=said.force_null,
        force_not_null=said.force_not_null,
    )


def _chosen(relation: Relation, names: tuple[str, ...] | None) -> list[Column]:
    if names is None:
        return [column for column in relation.columns if not column.generated]
    found: list[Column] = []
    for name in names:
        column = relation.column(name)
        if column is None:
            raise UndefinedColumn(f'column "{name}" of relation "{relation.name}" does not exist')
        if column.generated:
            raise InvalidColumnReference(
                f'column "{name}" is a generated column', detail="Generated columns cannot be used in COPY."
            )
        if column in found:
            raise DuplicateColumn(f'column "{name}" specified more than once')
        found.append(column)
    return found


def _copy_out(relation: Relation, names: tuple[str, ...] | None, options: CopyOptions) -> CopyOut:
    if relation.kind != "table":
        raise WrongObjectType(
            f'cannot copy from {relation.kind} "{relation.name}"', hint="Try the COPY (SELECT ...) TO variant."
        )
    columns = _chosen(relation, names)
    listed = ", ".join(quote(column.name) for column in columns)
    return CopyOut(f"SELECT {listed} FROM {quote(relation.name)}", _checked(options, columns, relation))


def _copy_in(relation: Relation, names: tuple[str, ...] | None, options: CopyOptions, where: int) -> CopyIn:
    if relation.kind != "table":
        raise WrongObjectType(f'cannot copy to {relation.kind} "{relation.name}"', position=where)
    columns = _chosen(relation, names)
    written = [quote(column.name) for column in columns]
    values = [_variable(relation, column, number) for number, column in enumerate(columns, 1)]
    for column in relation.columns:
        if column.null_refused and not column.drawn and column.default is None and column not in columns:
            written.append(quote(column.name))
            values.append(null_key(relation.name, column.name))
    listed, variables = ", ".join(written), ", ".join(values)
    return CopyIn(
        table=relation.name,
        columns=tuple(column.name for column in columns),
        oids=tuple(column.oid for column in columns),
        typmods=tuple(column.typmod for column in columns),
        insert=f"INSERT INTO {quote(relation.name)} ({listed}) VALUES ({variables})",
        options=_checked(options, columns, relation),
    )


def _variable(relation: Relation, column: Column, number: int) -> str:
    if column.null_refused:
        return f"ifnull(?{number}, {null_key(relation.name, column.name)})"
    return f"?{number}"


def _checked(options: CopyOptions, columns: list[Column], relation: Relation) -> CopyOptions:
    """The forced columns must be among those copied."""
    names = {column.name for column in columns}
    for kind, forced in (
        ("FORCE_QUOTE", options.force_quote or ()),
        ("FORCE_NULL", options.force_null),
        ("FORCE_NOT_NULL", options.force_not_null),
    ):
        for name in forced:
            if relation.column(name) is None:
                raise UndefinedColumn(f'column "{name}" of relation "{relation.name}" does not exist')
            if name not in names:
                raise StatementSyntax(f'{kind} column "{name}" not referenced by COPY')
    return options
