"""Every error lfsql raises, as one tree.

A class names the fault and, where there is one, the remedy.  Each carries the SQLSTATE a PostgreSQL
client receives and whether the same work may simply be sent again.  The tree is the lowest floor of the
project: everything may import it, it imports nothing.

Errors cross the link between processes as a `Fault` value (`lfsql.core.requests`) and come back as the
class registered for their SQLSTATE, so an `except UniqueViolation` works on both sides of a socket.

SQLSTATEs are PostgreSQL's (its appendix A, "PostgreSQL Error Codes"); none is invented here.
"""

from __future__ import annotations

from typing import ClassVar


class LfsqlError(Exception):
    """The root.  `detail` and `hint` are PostgreSQL's fields of the same names.

    `position` counts characters from 1 in the client's text, 0 when unknown.  The last five name the object
    a constraint error is about, as libpq's PQresultErrorField reports them.
    """

    sqlstate: ClassVar[str] = "XX000"
    retryable: ClassVar[bool] = False
    routine: ClassVar[str] = ""
    """PostgreSQL's function of the same error, where clients go by it."""

    def __init__(
        self,
        message: str,
        *,
        detail: str = "",
        hint: str = "",
        position: int = 0,
        schema: str = "",
        table: str = "",
        column: str = "",
        datatype: str = "",
        constraint: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint
        self.position = position
        self.schema = schema
        self.table = table
        self.column = column
        self.datatype = datatype
        self.constraint = constraint
        self.context = ""
        """Where it happened, in words: 'COPY t, line 3'.  Added on the way up."""


# -- Faults of this program, its disk, or its installation -------------------------------------------------


class InvariantBroken(LfsqlError):
    """A condition the program relies on does not hold: a bug or damaged data.  Never caught to go on."""

    sqlstate = "XX000"


class DataCorrupted(LfsqlError):
    """A file's content contradicts its checksum or its hash chain."""

    sqlstate = "XX001"


class Diverged(LfsqlError):
    """Applying an entry had another effect here than the primary recorded."""

    sqlstate = "XX001"


class DiskFailed(LfsqlError):
    """The disk refused a read, a write or an fsync.  Never retried: the process stops and replays."""

    sqlstate = "58030"


class DiskFull(LfsqlError):
    sqlstate = "53100"


class ConfigError(LfsqlError):
    """A configuration file or a data directory cannot be used; the message names file and key."""

    sqlstate = "F0000"


class DirectoryInUse(ConfigError):
    """Another process holds the data directory's lock."""

    sqlstate = "F0001"


class WrongCluster(ConfigError):
    """The data directory, or the peer, belongs to another cluster."""


class AddressInUse(ConfigError):
    """A listener's port is taken."""


# -- Faults of the cluster, seen from a client -------------------------------------------------------------


class ClusterError(LfsqlError):
    retryable = True


class NotPrimary(ClusterError):
    """The node asked cannot commit.  `primary` names the one that can, '' when unknown."""

    sqlstate = "57P03"

    def __init__(self, message: str = "this node is not the primary", *, primary: str = "") -> None:
        super().__init__(message, hint=f"the primary is {primary}" if primary else "")
        self.primary = primary


class NoPrimary(ClusterError):
    """No primary was elected within the time a write may wait."""

    sqlstate = "57P01"


class ShuttingDown(ClusterError):
    sqlstate = "57P01"


class LinkLost(ClusterError):
    """The connection to a node broke before its answer came."""

    sqlstate = "08006"


class LinkRefused(LfsqlError):
    """The peer's handshake failed: key, cluster, version or fingerprint differ; the message says which."""

    sqlstate = "08004"


class OutcomeUnknown(ClusterError):
    """The primary went away between sending a write and hearing its fate; the log knows."""

    sqlstate = "08007"
    retryable = False


class TooStale(ClusterError):
    """Every replica is further behind than the lag limits allow."""

    sqlstate = "57P05"


class StalePlan(ClusterError):
    """The schema changed between planning a statement and executing it; plan again."""

    sqlstate = "72000"


class TooManyConnections(ClusterError):
    sqlstate = "53300"


class QueueFull(ClusterError):
    """A bounded queue is at its limit; nothing was done."""

    sqlstate = "53400"


class SerializationFailure(ClusterError):
    """The transaction must be run again from its start."""

    sqlstate = "40001"


# -- Faults of a client's bytes ----------------------------------------------------------------------------


class ProtocolViolation(LfsqlError):
    sqlstate = "08P01"


class FeatureNotSupported(LfsqlError):
    sqlstate = "0A000"


class CachedPlanChanged(FeatureNotSupported):
    """The schema changed and with it a prepared statement's result; prepare it again.

    asyncpg and pgjdbc know it by PostgreSQL's routine name, and do so by themselves.
    """

    routine = "RevalidateCachedQuery"


class InvalidAuthorization(LfsqlError):
    sqlstate = "28000"


class InvalidPassword(LfsqlError):
    sqlstate = "28P01"


class InvalidCatalogName(LfsqlError):
    sqlstate = "3D000"


class DuplicatePreparedStatement(LfsqlError):
    sqlstate = "42P05"


class UndefinedPreparedStatement(LfsqlError):
    sqlstate = "26000"


class DuplicateCursor(LfsqlError):
    sqlstate = "42P03"


class UndefinedCursor(LfsqlError):
    sqlstate = "34000"


class ObjectNotInPrerequisiteState(LfsqlError):
    sqlstate = "55000"


# -- Faults of a client's transaction ----------------------------------------------------------------------


class ActiveTransaction(LfsqlError):
    sqlstate = "25001"


class NoActiveTransaction(LfsqlError):
    sqlstate = "25P01"


class InFailedTransaction(LfsqlError):
    sqlstate = "25P02"

    def __init__(self) -> None:
        super().__init__("current transaction is aborted, commands ignored until end of transaction block")


class IdleInTransaction(LfsqlError):
    sqlstate = "25P03"


class ReadOnlyTransaction(LfsqlError):
    sqlstate = "25006"


class UndefinedSavepoint(LfsqlError):
    sqlstate = "3B001"


class QueryCanceled(LfsqlError):
    sqlstate = "57014"


class LockNotAvailable(LfsqlError):
    sqlstate = "55P03"


# -- Faults of a statement ---------------------------------------------------------------------------------


class StatementError(LfsqlError):
    """The statement is wrong, or its data is; the same text would fail again."""

    sqlstate = "42000"


class StatementSyntax(StatementError):
    sqlstate = "42601"


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


def all_errors() -> tuple[type[LfsqlError], ...]:
    """Every class of the tree, parents before children."""
    found: list[type[LfsqlError]] = [LfsqlError]
    for cls in found:
        found.extend(cls.__subclasses__())
    return tuple(found)
