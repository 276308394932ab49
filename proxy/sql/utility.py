"""Statements the session answers itself, or turns into something else, as values.

SQL is parsed to one of these where sqlglot's PostgreSQL grammar is silent or wrong (it reads SAVEPOINT x as a
column alias); see `proxy.sql.utilities` for the parser.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Begin:
    """BEGIN or START TRANSACTION.  None: not said."""

    isolation: Literal["read uncommitted", "read committed", "repeatable read", "serializable"] | None = None
    read_only: bool | None = None
    deferrable: bool | None = None
    tag: Literal["BEGIN", "START TRANSACTION"] = "BEGIN"


@dataclass(frozen=True, slots=True)
class Commit:
    chain: bool = False


@dataclass(frozen=True, slots=True)
class Rollback:
    chain: bool = False


@dataclass(frozen=True, slots=True)
class Savepoint:
    name: str


@dataclass(frozen=True, slots=True)
class ReleaseSavepoint:
    name: str


@dataclass(frozen=True, slots=True)
class RollbackToSavepoint:
    name: str


@dataclass(frozen=True, slots=True)
class SetTransaction:
    """SET TRANSACTION, or with `session` SET SESSION CHARACTERISTICS AS TRANSACTION."""

    modes: Begin
    session: bool = False


@dataclass(frozen=True, slots=True)
class SetConstraints:
    names: tuple[str, ...]
    """Empty: ALL."""
    deferred: bool


@dataclass(frozen=True, slots=True)
class SetSetting:
    """`value` None: TO DEFAULT.  Lists (`SET search_path = a, b`) come joined by ', '."""

    name: str
    value: str | None
    local: bool = False


@dataclass(frozen=True, slots=True)
class ShowSetting:
    """name 'all' shows every setting."""

    name: str


@dataclass(frozen=True, slots=True)
class ResetSetting:
    """name 'all' resets every setting."""

    name: str


@dataclass(frozen=True, slots=True)
class Discard:
    what: Literal["all", "plans", "sequences", "temp"]


@dataclass(frozen=True, slots=True)
class Prepare:
    name: str
    parameters: tuple[int, ...]
    text: str


@dataclass(frozen=True, slots=True)
class ExecutePrepared:
    name: str
    arguments: tuple[str, ...]
    """SQL texts of the arguments, literals as a rule."""


@dataclass(frozen=True, slots=True)
class Deallocate:
    """name None: ALL."""

    name: str | None


@dataclass(frozen=True, slots=True)
class CopyOptions:
    format: Literal["text", "csv", "binary"] = "text"
    delimiter: str = "\t"
    null: str = "\\N"
    header: bool = False
    quote: str = '"'
    escape: str = '"'
    force_quote: tuple[str, ...] | None = ()
    """None: all columns (FORCE_QUOTE *)."""
    force_null: tuple[str, ...] = ()
    force_not_null: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CopyIn:
    """COPY ... FROM STDIN.  `insert` is SQLite's INSERT with one ?N per column; `oids` are the columns' types."""

    table: str
    columns: tuple[str, ...]
    oids: tuple[int, ...]
    typmods: tuple[int, ...]
    insert: str
    options: CopyOptions


@dataclass(frozen=True, slots=True)
class CopyOut:
    """COPY ... TO STDOUT.  `query` is PostgreSQL's text of the rows' SELECT; it is planned like any other."""

    query: str
    options: CopyOptions


@dataclass(frozen=True, slots=True)
class Explain:
    text: str
    analyze: bool = False
    format: Literal["text", "json", "xml", "yaml"] = "text"
    route: bool = False
    """Only tell where the statement would go, and why."""


@dataclass(frozen=True, slots=True)
class DeclareCursor:
    name: str
    text: str
    hold: bool = False
    scroll: bool | None = None
    binary: bool = False


@dataclass(frozen=True, slots=True)
class FetchCursor:
    """`count` None: ALL; negative counts and absolute positions are refused with 0A000 or 55000.  move: MOVE."""

    name: str
    direction: Literal["forward", "backward", "absolute", "relative", "first", "last"]
    count: int | None
    move: bool = False


@dataclass(frozen=True, slots=True)
class CloseCursor:
    """name None: ALL."""

    name: str | None


@dataclass(frozen=True, slots=True)
class Maintenance:
    """VACUUM, ANALYZE, CHECKPOINT, CLUSTER, REINDEX, LOCK TABLE, COMMENT: accepted, tag as PostgreSQL's."""

    tag: str
    table: str | None = None
    nowait: bool = False
    mode: str = ""
    """LOCK TABLE's: in lower case."""

    @property
    def takes_writer(self) -> bool:
        """Whether it keeps others from writing, as a lock does that is in the way of one that writes."""
        return self.tag == "LOCK TABLE" and self.mode not in ("access share", "row share")


@dataclass(frozen=True, slots=True)
class Listen:
    channel: str


@dataclass(frozen=True, slots=True)
class Unlisten:
    """channel None: *."""

    channel: str | None


@dataclass(frozen=True, slots=True)
class Notify:
    channel: str
    payload: str


Utility = (
    Begin
    | Commit
    | Rollback
    | Savepoint
    | ReleaseSavepoint
    | RollbackToSavepoint
    | SetTransaction
    | SetConstraints
    | SetSetting
    | ShowSetting
    | ResetSetting
    | Discard
    | Prepare
    | ExecutePrepared
    | Deallocate
    | CopyIn
    | CopyOut
    | Explain
    | DeclareCursor
    | FetchCursor
    | CloseCursor
    | Maintenance
    | Listen
    | Unlisten
    | Notify
)
