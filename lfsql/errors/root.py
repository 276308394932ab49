"""The root of the tree: what every error carries."""

from __future__ import annotations

from typing import ClassVar


class LfsqlError(Exception):
    """The root.  `detail` and `hint` are PostgreSQL's fields of the same names.

    `position` counts characters from 1 in the client's text, 0 when unknown.  The last five name the object
    a constraint error is about, as libpq's PQresultErrorField reports them.
    """

    sqlstate: ClassVar[str] = "XX000"
    retryable: ClassVar[bool] = False
    """Nothing was done: the same work may simply be sent again."""
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
