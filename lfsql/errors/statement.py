"""Faults of a statement or its data: the same text would fail again."""

from __future__ import annotations

from lfsql.errors.root import LfsqlError


class StatementError(LfsqlError):
    """The statement is wrong, or its data is; the same text would fail again."""

    sqlstate = "42000"


class StatementSyntax(StatementError):
    sqlstate = "42601"


class UnreadableStatement(StatementSyntax):
    """The text alone shows that it is no statement, whatever there is in the database."""


class InsufficientPrivilege(StatementError):
    sqlstate = "42501"


class UndefinedTable(StatementError):
    sqlstate = "42P01"


class UndefinedColumn(StatementError):
    sqlstate = "42703"


class UndefinedFunction(StatementError):
    sqlstate = "42883"


class AmbiguousFunction(StatementError):
    """Several functions or operators fit the arguments equally well."""

    sqlstate = "42725"


class GeneratedAlways(StatementError):
    """A value was given for a column that only its sequence may fill."""

    sqlstate = "428C9"


class UndefinedObject(StatementError):
    """An unknown type, setting, constraint or index."""

    sqlstate = "42704"


class UndefinedParameter(StatementError):
    sqlstate = "42P02"


class IndeterminateType(StatementError):
    sqlstate = "42P18"


class AmbiguousColumn(StatementError):
    sqlstate = "42702"


class DuplicateTable(StatementError):
    sqlstate = "42P07"


class DuplicateAlias(StatementError):
    """Two items of FROM have the same name."""

    sqlstate = "42712"


class DuplicateColumn(StatementError):
    sqlstate = "42701"


class DuplicateObject(StatementError):
    sqlstate = "42710"


class DatatypeMismatch(StatementError):
    sqlstate = "42804"


class WrongObjectType(StatementError):
    sqlstate = "42809"


class GroupingError(StatementError):
    sqlstate = "42803"


class WindowingError(StatementError):
    """A window function where none may stand."""

    sqlstate = "42P20"


class InvalidTableDefinition(StatementError):
    sqlstate = "42P16"


class InvalidForeignKey(StatementError):
    sqlstate = "42830"


class InvalidColumnReference(StatementError):
    sqlstate = "42P10"


class CannotCoerce(StatementError):
    sqlstate = "42846"


class DependentObjects(StatementError):
    sqlstate = "2BP01"


class UndefinedSchema(StatementError):
    sqlstate = "3F000"


class StatementTooComplex(StatementError):
    sqlstate = "54001"


class LimitExceeded(StatementError):
    """A documented limit of size or number is exceeded; the message says which and how large it is."""

    sqlstate = "54000"


class InvalidParameterValue(StatementError):
    sqlstate = "22023"


class CannotChangeNow(StatementError):
    sqlstate = "55P02"


class DataError(StatementError):
    sqlstate = "22000"


class StringTooLong(DataError):
    sqlstate = "22001"


class NumericOutOfRange(DataError):
    sqlstate = "22003"


class InvalidDatetime(DataError):
    sqlstate = "22007"


class DatetimeOutOfRange(DataError):
    sqlstate = "22008"


class ZoneOutOfRange(DatetimeOutOfRange):
    """An offset from UTC that no zone has."""

    sqlstate = "22009"


class IntervalOutOfRange(DatetimeOutOfRange):
    sqlstate = "22015"


class DivisionByZero(DataError):
    sqlstate = "22012"


class InvalidText(DataError):
    """The text is no literal of its type."""

    sqlstate = "22P02"


class InvalidBinary(DataError):
    sqlstate = "22P03"


class InvalidEncoding(DataError):
    sqlstate = "22021"


class UntranslatableCharacter(DataError):
    sqlstate = "22P05"


class BadCopyFormat(DataError):
    sqlstate = "22P04"


class SubstringError(DataError):
    sqlstate = "22011"


class InvalidEscapeSequence(DataError):
    sqlstate = "22025"


class InvalidRegularExpression(DataError):
    sqlstate = "2201B"


class LogarithmError(DataError):
    sqlstate = "2201E"


class PowerError(DataError):
    """A power or a root of a number that has none."""

    sqlstate = "2201F"


class WidthBucketError(DataError):
    sqlstate = "2201G"


class InvalidLimit(DataError):
    sqlstate = "2201W"


class InvalidOffset(DataError):
    sqlstate = "2201X"


class ArraySubscriptError(DataError):
    sqlstate = "2202E"


class CardinalityViolation(StatementError):
    sqlstate = "21000"


class IntegrityViolation(StatementError):
    sqlstate = "23000"


class NotNullViolation(IntegrityViolation):
    sqlstate = "23502"


class ForeignKeyViolation(IntegrityViolation):
    sqlstate = "23503"


class UniqueViolation(IntegrityViolation):
    sqlstate = "23505"


class CheckViolation(IntegrityViolation):
    sqlstate = "23514"
