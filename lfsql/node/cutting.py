"""How large a record of the log may be, and how a unit is cut into several.

A record travels in one frame, so the frame's limit is the record's.  A unit is cut between parameter sets; what
cannot be cut, a single statement with one set of parameters, is refused before it runs when it is over the limit:
once it is executed on top of others' units, refusing it would cost them theirs.
"""

from __future__ import annotations

from typing import Final

import msgspec

from lfsql.config import NodeLimits
from lfsql.core.entry import Statement, Unit, encode_unit
from lfsql.core.requests import Describe, LookUp, Run, RunMany, Submit
from lfsql.errors import LimitExceeded
from lfsql.node.work import Work

FRAME_BYTES_KEPT: Final = 1 << 20
"""Of a frame, for what is around a record."""

UNIT_BYTES_AROUND: Final = 64 << 10
"""Of a record, for what is around a statement: the result that is kept, the effect, the client."""

PIECE_BYTES_MAX: Final = 4 << 20
"""A longer unit is cut into several records, where it can be."""

_encode: Final = msgspec.msgpack.Encoder().encode


def record_bytes_max(limits: NodeLimits) -> int:
    """The longest body of a record."""
    return limits.frame_bytes_max - FRAME_BYTES_KEPT


def check_statements(work: Work, bytes_max: int) -> None:
    """Raises LimitExceeded when a statement of the work with one set of its parameters is too long for a record."""
    if work.size <= bytes_max - UNIT_BYTES_AROUND:
        return
    question: Submit | LookUp | Describe = work.question
    for operation in question.operations if isinstance(question, Submit) else ():
        if isinstance(operation, Run):
            longest = len(_encode(operation.parameters))
        elif isinstance(operation, RunMany):
            longest = max((len(_encode(parameters)) for parameters in operation.parameter_sets), default=0)
        else:
            continue
        if longest + len(operation.sql.encode()) > bytes_max - UNIT_BYTES_AROUND:
            raise LimitExceeded(
                f"a statement and its parameters take more than {bytes_max - UNIT_BYTES_AROUND} bytes",
                hint="Write smaller values, or raise frame_bytes_max on all nodes.",
            )


def cut(unit: Unit, piece_bytes_max: int) -> tuple[bytes, ...]:
    """The unit as bodies of records: one, or several that are at most about `piece_bytes_max` long each.

    Cut between parameter sets: a single set is never cut, however large.  Notifications are in the last, which has
    nothing else then: who tells them needs to look at no other.
    """
    whole = encode_unit(unit)
    if len(whole) <= piece_bytes_max:
        return (whole,)
    groups: list[list[Statement]] = [[]]
    size = 0
    for statement in unit.statements:
        taken: list[tuple[object, ...]] = []
        for parameters in statement.parameter_sets:
            length = len(_encode(parameters)) + (0 if taken else len(statement.sql.encode()) + 16)
            if size and size + length > piece_bytes_max:
                if taken:
                    groups[-1].append(msgspec.structs.replace(statement, parameter_sets=tuple(taken)))
                groups.append([])
                taken, size = [], 0
            taken.append(parameters)
            size += length
        groups[-1].append(msgspec.structs.replace(statement, parameter_sets=tuple(taken)))
    if unit.notifications and unit.statements:
        groups.append([])
    first = [
        msgspec.structs.replace(unit, statements=tuple(group), more=True, result=b"", notifications=())
        for group in groups[:-1]
    ]
    last = msgspec.structs.replace(unit, statements=tuple(groups[-1]))
    return tuple(map(encode_unit, (*first, last)))
