"""An error of ours to the fields of ErrorResponse and NoticeResponse.

Field codes are those of PostgreSQL's manual, "Error and Notice Message Fields".  V repeats the severity untranslated;
psycopg and pgjdbc read it first.  An exception that is not a LfsqlError is a bug of ours: the client learns that
there was one (XX000) and nothing about it, its text belongs in the server's log.
"""

from __future__ import annotations

from typing import Final

from lfsql.errors import LfsqlError

ERROR: Final = "ERROR"
FATAL: Final = "FATAL"
PANIC: Final = "PANIC"
WARNING: Final = "WARNING"
NOTICE: Final = "NOTICE"
INFO: Final = "INFO"

INTERNAL_ERROR: Final = "XX000"


def error_fields(error: BaseException, severity: str = ERROR) -> dict[str, str]:
    """`severity` FATAL when the session ends with it."""
    if not isinstance(error, LfsqlError):
        return {
            "S": severity,
            "V": severity,
            "C": INTERNAL_ERROR,
            "M": "internal error",
            "H": "The server's log has the details.",
        }
    fields = {"S": severity, "V": severity, "C": error.sqlstate, "M": error.message}
    if error.routine:
        fields["R"] = error.routine
    if error.detail:
        fields["D"] = error.detail
    if error.hint:
        fields["H"] = error.hint
    if error.context:
        fields["W"] = error.context
    if error.position:
        fields["P"] = str(error.position)
    if error.schema:
        fields["s"] = error.schema
    if error.table:
        fields["t"] = error.table
    if error.column:
        fields["c"] = error.column
    if error.datatype:
        fields["d"] = error.datatype
    if error.constraint:
        fields["n"] = error.constraint
    return fields


def notice_fields(
    message: str, *, severity: str = NOTICE, sqlstate: str = "00000", detail: str = "", hint: str = ""
) -> dict[str, str]:
    fields = {"S": severity, "V": severity, "C": sqlstate, "M": message}
    if detail:
        fields["D"] = detail
    if hint:
        fields["H"] = hint
    return fields
