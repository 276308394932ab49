"""What SQLite's program for a statement is made of: whether it loops, and what its instructions may cost.

A limit on the number of instructions bounds the time of a statement only where each instruction is short.  Two things
are not: a function, which is one instruction whatever it does, and a value, whose size none of them knows.  So a
program is judged by the names of its functions, and told how large a value it may meet.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import apsw

from lfsql.storage.authorizer import INTERNAL
from lfsql.storage.functions.cheap import CHEAP
from lfsql.storage.known_texts import TEXT_MAX

_OPERATIONS: Final = """
Add Affinity BitAnd BitNot BitOr Blob Cast Close CollSeq Column Compare Concat Copy DeferredSeek Delete Divide
Eq Explain FinishSeek FkCheck FkCounter FkIfZero Found Function Ge Goto Gt Halt HaltIfNull IdxDelete IdxGE IdxGT
IdxInsert IdxLE IdxLT IdxRowid If IfNot IfNullRow Init Insert Int64 IntCopy Integer IsNull IsType Jump Le Lt
MakeRecord MemMax Move Multiply MustBeInt Ne NewRowid NoConflict Noop Not NotExists NotFound NotNull Null
NullRow Offset Once OpenRead OpenWrite Param PureFunc Real RealAffinity ReleaseReg Remainder ResultRow Return
Rowid SCopy Savepoint SeekGE SeekHit SeekLE SeekRowid ShiftLeft ShiftRight SoftNull String String8 Subtract
TableLock Trace Transaction TypeCheck Variable ZeroOrNull
"""
_WITHOUT_LOOP: Final = frozenset(_OPERATIONS.split())
_CALLS: Final = frozenset(("Function", "PureFunc"))


class Program(NamedTuple):
    straight: bool
    """It has no loop: every instruction runs once."""
    cheap: bool
    """Each function it calls is a cheap one."""
    functions: int
    """Calls of functions, also of those that return rows, and concatenations."""
    columns: int
    """Columns that are read."""


def examine(connection: apsw.Connection, sql: str) -> Program | None:
    """None when the text is too long, or cannot be prepared: whoever runs it learns why.

    Too long is what would not be remembered: explaining it each time takes as long as preparing it.
    """
    if len(sql) > TEXT_MAX:
        return None
    try:
        # Null bindings stand for whatever parameters there are, as in Inspector.
        instructions = connection.execute(
            f"EXPLAIN {sql}",
            apsw._null_bindings,  # type: ignore[attr-defined]  # noqa: SLF001 - apsw.ext uses it the same way
            can_cache=False,  # explaining does not notice a changed schema, and would tell an old program
            prepare_flags=INTERNAL,
        ).fetchall()
    except (apsw.Error, UnicodeDecodeError):
        # The latter: what an operation was given is no text, as with ANALYZE.
        return None
    if not instructions:
        return None
    operations = [str(instruction[1]) for instruction in instructions]
    # P4 of a call is the function's name with the number of its arguments: 'substr(3)'.
    called = [str(each[5]).rpartition("(")[0] for each in instructions if each[1] in _CALLS]
    return Program(
        straight=_WITHOUT_LOOP.issuperset(operations),
        cheap=CHEAP.issuperset(called),
        functions=len(called) + operations.count("Concat") + operations.count("VFilter"),
        columns=operations.count("Column"),
    )
