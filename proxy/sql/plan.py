"""What a statement's text becomes, once: everything the hot path needs, nothing it must work out.

Pure values.  A plan is made by `proxy.sql.planner.plan` from a text and a Schema, kept in the plan cache, and
executed by the session any number of times.  SQLite's `?N` is PostgreSQL's `$N`; literals that the fingerprint
lifted out of the text follow as further numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from proxy.sql.memo import Memo
from proxy.sql.utility import Utility

ANY_SCHEMA: Final = -1
"""Schema index of a plan that names no relation: it is right for every schema."""


class Kind(Enum):
    READ = "read"
    """Runs on a read-only connection of any eligible node."""
    WRITE = "write"
    """Runs on the primary, is logged."""
    DDL = "ddl"
    """A write that changes the schema."""
    UTILITY = "utility"
    """Answered by the session itself, see `Plan.utility`."""
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class ResultColumn:
    name: str
    oid: int
    typmod: int = -1
    table_oid: int = 0
    attnum: int = 0


@dataclass(frozen=True, slots=True)
class SessionCall:
    """A function only the session can answer: current_user, current_setting('x'), set_config('x', $1, false).

    The session evaluates it at each execution and binds the result as one more parameter, so the statement
    itself stays deterministic wherever it runs.  An int argument is a client parameter's number.
    """

    name: str
    arguments: tuple[str | int | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    kind: Kind
    tag: str
    """The command tag's words, without the count: SELECT, INSERT, UPDATE, CREATE TABLE."""
    statements: tuple[str, ...] = ()
    """SQLite texts, run in order.  All but the last take no parameters and return no rows."""
    parameters: tuple[int, ...] = ()
    """Type of $1, $2, ... as ParameterDescription reports them."""
    columns: tuple[ResultColumn, ...] = ()
    returns_rows: bool = False
    utility: Utility | None = None
    reason: str = ""
    """Why this kind: 'select', 'for update', 'calls nextval', 'cannot be parsed'."""
    lifted: tuple[int, ...] = ()
    """Types of the literals lifted by the fingerprint, numbered after the parameters."""
    session_calls: tuple[SessionCall, ...] = ()
    """Bound after the lifted literals, in this order."""
    typed_by_value: bool = False
    """The sqlite dialect: column types come from SQLite's description, not from this plan."""
    schema_index: int = ANY_SCHEMA
    """The schema this was planned for: a log index, or less than ANY_SCHEMA for one that only a transaction sees."""
    hints: tuple[tuple[str, str], ...] = ()
    """Settings for this statement alone, from `/* lfsql: name=value */` comments; names without `lfsql.`."""
    notices: tuple[str, ...] = ()
    """'table "t" does not exist, skipping': told before the tag."""
    catalog: bool = False
    """Reads pg_catalog, information_schema or lfsql relations, or calls their functions, and nothing else."""
    mixed: bool = False
    """Reads both those and the user's relations."""
    reads_nothing: bool = False
    """A read that names no relation: whichever copy answers, the answer is the same."""
    nowait: bool = False
    """Fails rather than wait for another transaction: FOR UPDATE NOWAIT."""
    alone: bool = False
    """Must be a transaction of its own: CREATE INDEX CONCURRENTLY."""
    memo: Memo = field(default_factory=Memo, compare=False, repr=False)
