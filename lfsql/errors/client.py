"""Faults of a client's bytes and of its transaction."""

from __future__ import annotations

from lfsql.errors.root import LfsqlError

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


class IdleSession(LfsqlError):
    sqlstate = "57P05"


class ReadOnlyTransaction(LfsqlError):
    sqlstate = "25006"


class UndefinedSavepoint(LfsqlError):
    sqlstate = "3B001"


class QueryCanceled(LfsqlError):
    sqlstate = "57014"


class LockNotAvailable(LfsqlError):
    sqlstate = "55P03"
