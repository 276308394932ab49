"""Whether a statement's work is bounded by its text: SQLite's program for it has no loop.

A program without a loop touches a fixed number of rows, each found by key: a point read, an UPDATE by primary key, an
INSERT of one row, with their constraints.  It takes microseconds whatever the data, so a caller that must not block
for long may run it where it stands instead of handing it to a thread.

Judged by SQLite's own bytecode, by what is allowed: an operation that is not in the list (a cursor's Next, a
trigger's Program, Count and Clear, which walk whole trees, and all that later versions add) makes a statement not
straight.
Rejected: EXPLAIN QUERY PLAN, which says nothing of triggers and foreign keys' actions.
"""

from __future__ import annotations

from typing import Final

import apsw

from lfsql.storage.authorizer import INTERNAL

_OPERATIONS: Final = """
Add Affinity BitAnd BitNot BitOr Blob Cast Close CollSeq Column Compare Concat Copy DeferredSeek Delete Divide
Eq Explain FinishSeek FkCheck FkCounter FkIfZero Found Function Ge Goto Gt Halt HaltIfNull IdxDelete IdxGE IdxGT
IdxInsert IdxLE IdxLT IdxRowid If IfNot IfNullRow Init Insert Int64 IntCopy Integer IsNull IsType Jump Le Lt
MakeRecord MemMax Move Multiply MustBeInt Ne NewRowid NoConflict Noop Not NotExists NotFound NotNull Null
NullRow Offset Once OpenRead OpenWrite Param PureFunc Real RealAffinity ReleaseReg Remainder ResultRow Return
Rowid SCopy Savepoint SeekGE SeekHit SeekLE SeekRowid ShiftLeft ShiftRight SoftNull String String8 Subtract
TableLock Trace Transaction TypeCheck Variable ZeroOrNull
"""
_ALLOWED: Final = frozenset(_OPERATIONS.split())

KNOWN_MAX: Final = 4096
TEXT_MAX: Final = 16_384


class Straightness:
    """For one connection; remembers by text.  forget() when the schema changed."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._known: dict[str, bool] = {}

    def forget(self) -> None:
        self._known.clear()

    def is_straight(self, sql: str) -> bool:
        """False also for what cannot be prepared: whoever runs it learns why."""
        known = self._known.get(sql)
        if known is not None:
            return known
        if len(sql) > TEXT_MAX:
            return False
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        found = self._known[sql] = self._examine(sql)
        return found

    def _examine(self, sql: str) -> bool:
        try:
            # Null bindings stand for whatever parameters there are, as in Inspector.
            program = self._connection.execute(
                f"EXPLAIN {sql}",
                apsw._null_bindings,  # type: ignore[attr-defined]  # noqa: SLF001 - apsw.ext uses it the same way
                can_cache=False,  # explaining does not notice a changed schema, and would tell an old program
                prepare_flags=INTERNAL,
            ).fetchall()
        except (apsw.Error, UnicodeDecodeError):
            # The latter: what an operation was given is no text, as with ANALYZE.
            return False
        return bool(program) and all(instruction[1] in _ALLOWED for instruction in program)
