"""A translated expression: its SQLite text with its PostgreSQL type, and what is still open about it.

PostgreSQL types an expression from its parts, but lets the context type string constants and parameters
("unknown").  So a constant keeps its text until a context settles it, and a parameter its number; everything
else is final when it is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from lfsql.errors import IndeterminateType, InvariantBroken, StatementSyntax, UndefinedParameter
from proxy.pg.oids import NUMERIC, TEXT, UNKNOWN
from proxy.pg.types import decode_text
from proxy.sql.infer import INTEGERS, NUMBERS, REG, type_label
from proxy.sql.number_text import number_oid, whole
from proxy.sql.plan import SessionCall
from proxy.sql.quoting import string
from proxy.sql.schema import Schema

PARAMETERS_MAX: Final = 32766
"""SQLite's limit on the number of a variable, SQLITE_LIMIT_VARIABLE_NUMBER."""


@dataclass(frozen=True, slots=True)
class Value:
    sql: str
    oid: int
    typmod: int = -1
    text: str | None = None
    """The constant's text, for constants only."""
    parameter: int = 0
    """The variable's number while its type is open: a parameter nothing has typed yet, or a lifted literal."""
    simple: bool = False
    """A column, a variable or a constant: may be repeated in the text at no cost."""
    unchecked: bool = False
    """Integer arithmetic whose overflow is not yet looked for."""
    not_null: bool = False
    table_oid: int = 0
    attnum: int = 0
    srf: bool = False

    @property
    def unknown(self) -> bool:
        return self.oid == UNKNOWN

    @property
    def null(self) -> bool:
        return self.sql == "NULL"

    def of(self, sql: str) -> Value:
        """The same type, another text."""
        return Value(sql, self.oid, self.typmod)


def constant(value: object) -> str:
    """SQLite's literal of a stored value."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int):
        return str(value) if value > -(2**63) else "(-9223372036854775807 - 1)"
    if isinstance(value, float):
        if value != value:
            return "NULL"  # SQLite has no NaN: it stores NULL
        if value in (float("inf"), float("-inf")):
            return "9e999" if value > 0 else "-9e999"
        return repr(value)
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    if isinstance(value, str):
        return string(value)
    raise InvariantBroken(f"no SQLite literal for {type(value).__name__}")


NULL: Final = Value("NULL", UNKNOWN, simple=True)
TRUE: Final = Value("1", 16, simple=True, not_null=True)
FALSE: Final = Value("0", 16, simple=True, not_null=True)


def number_constant(text: str) -> Value:
    """A number as PostgreSQL's lexer types it: int4, int8, else numeric."""
    oid = number_oid(text)
    if oid != NUMERIC:
        digits = str(whole(text))
        return Value(digits, oid, text=digits, simple=True, not_null=True)
    return Value(string(str(decode_text(NUMERIC, text))), NUMERIC, text=text, simple=True, not_null=True)


CHAIN_MAX: Final = 50
"""Operands in a row; SQLite parses `a OR b OR c` into a tree as deep as the row is long, and limits its depth."""


def balanced(texts: Sequence[str], word: str) -> str:
    """(a OR b OR ...), of an operator that is associative: a long row becomes a tree as shallow as can be."""
    if len(texts) <= CHAIN_MAX:
        return f"({f' {word} '.join(texts)})"
    middle = len(texts) // 2
    return f"({balanced(texts[:middle], word)} {word} {balanced(texts[middle:], word)})"


def null_key(table: str, column: str) -> str:
    """SQL that raises PostgreSQL's error of a NULL in an integer key."""
    return f"lfsql_null_key({string(table)}, {string(column)})"


class Analysis:
    """What one statement's translation has learnt: the types of its variables, what the session must supply."""

    def __init__(
        self,
        schema: Schema,
        parameter_oids: tuple[int, ...] = (),
        lifted: tuple[int, ...] = (),
        numbered: int = 0,
        standalone: bool = False,
        kept: bool = False,
    ) -> None:
        """`numbered`: the highest number in the text.  `standalone`: an expression kept in the schema, where no
        session is at hand: its time zone is UTC, and what only a session knows is refused.  `kept`: a query for a
        view or a new table, which no session runs either."""
        self.schema = schema
        client = max(len(parameter_oids), numbered - len(lifted))
        if client + len(lifted) > PARAMETERS_MAX:
            raise StatementSyntax(f"a statement takes at most {PARAMETERS_MAX} parameters")
        given = [0 if oid == UNKNOWN else oid for oid in parameter_oids]
        self.parameters: list[int] = given + [0] * (client - len(given))
        self.lifted: list[int] = list(lifted)
        self._lifted_settled = [False] * len(lifted)
        self.session_calls: list[SessionCall] = []
        self.standalone = standalone
        self.kept = kept
        self.writes: list[str] = []
        """Names of functions that write: nextval, setval."""
        self.volatile = False
        self.catalog = False
        """A relation of the catalogs is read, or a function of theirs called."""

    def variable(self, number: int) -> Value:
        """Raises UndefinedParameter for $0 and in expressions of the schema."""
        if number < 1 or self.standalone:
            raise UndefinedParameter(f"there is no parameter ${number}")
        if number <= len(self.parameters):
            oid = self.parameters[number - 1] or UNKNOWN
            return Value(self._written(number, oid), oid, parameter=0 if oid != UNKNOWN else number, simple=True)
        at = number - len(self.parameters) - 1
        if self._lifted_settled[at]:
            return Value(self._written(number, self.lifted[at]), self.lifted[at], simple=True)
        return Value(f"?{number}", self.lifted[at], parameter=number, simple=True, not_null=True)

    def settle(self, value: Value, oid: int) -> Value:
        """Give an open variable its type.  Answers the variable in the type it has now, which an earlier use may
        have decided."""
        number = value.parameter
        if number <= len(self.parameters):
            if not self.parameters[number - 1]:
                self.parameters[number - 1] = oid
            oid = self.parameters[number - 1]
            return replace(value, sql=self._written(number, oid), oid=oid, parameter=0)
        at = number - len(self.parameters) - 1
        given = self.lifted[at]
        # 2.6 for an integer must be rounded, not read as an integer.
        fits = oid in NUMBERS and not (given == NUMERIC and oid in INTEGERS)
        if not self._lifted_settled[at] and (given == UNKNOWN or fits):
            self.lifted[at] = oid
        self._lifted_settled[at] = True
        return replace(value, sql=self._written(number, self.lifted[at]), oid=self.lifted[at], parameter=0)

    def _written(self, number: int, oid: int) -> str:
        """A variable of a reg* type may hold a name, which is looked up when the statement runs."""
        if oid not in REG:
            return f"?{number}"
        self.catalog = True
        return f"lfsql_{type_label(oid)}(?{number})"

    def session_value(self, function: str, arguments: tuple[str | int | None, ...], oid: int) -> Value:
        """A value only the session knows; equal calls share one variable."""
        if self.standalone:
            raise StatementSyntax(f"{function} cannot be used in an expression kept in the schema")
        call = SessionCall(function, arguments)
        repeatable = function != "set_config"
        if call in self.session_calls and repeatable:
            at = self.session_calls.index(call)
        else:
            at = len(self.session_calls)
            self.session_calls.append(call)
        return Value(f"?{len(self.parameters) + len(self.lifted) + at + 1}", oid, simple=True)

    def time_zone(self) -> str:
        """SQL of the session's TimeZone."""
        if self.standalone:
            return "'UTC'"
        return self.session_value("current_setting", ("TimeZone",), TEXT).sql

    def elapsed(self) -> str:
        """SQL of the time since the transaction's clock was read, an interval."""
        if self.standalone or self.kept:
            return "'0 seconds'"
        return self.session_value("statement_elapsed", (), TEXT).sql

    def finish(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Types of the parameters and lifted literals.  Raises IndeterminateType for one nothing has typed."""
        for number, oid in enumerate(self.parameters, 1):
            if not oid:
                raise IndeterminateType(f"could not determine data type of parameter ${number}")
        return tuple(self.parameters), tuple(TEXT if oid == UNKNOWN else oid for oid in self.lifted)
