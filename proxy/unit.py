"""A client's writes on their way to the primary, and the answers that wait for them.

Statements of one pipeline, one multi-statement text or one transaction are gathered here and leave in as few
round trips as the protocol allows: everything up to a Sync, a Flush or the end of a text goes as one Submit.  What
the client is to be told meanwhile keeps its order behind them, in the same list.

Rejected: sending each statement as it comes.  An asyncpg executemany of a thousand rows would be a thousand
round trips with the writer held in between.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lfsql.core.requests import Operation, Result, Run
from lfsql.errors import InvariantBroken
from proxy.sql.plan import Plan

if TYPE_CHECKING:
    from lfsql.net.link import Link
    from proxy.topology import Node

STEPS_MAX = 1_000
"""Statements gathered before they are sent on without waiting for the Sync."""
BYTES_MAX = 1 << 20
"""The same in bytes of parameters and text."""
ANSWER_BYTES: Final = 64
"""Of an answer, beside its bytes."""
IMMEDIATE: Final = Run("PRAGMA lfsql_constraints=immediate")
DEFERRED: Final = Run("PRAGMA lfsql_constraints=deferred")
"""SET CONSTRAINTS as the primary takes it (`lfsql.storage.unit`); SQLite has no such pragma."""
SEND_BYTES: Final = 128 * 1024
"""Answers gathered before they are sent on and the client's own speed decides."""


@dataclass(slots=True)
class Step:
    """One statement: its operations on the primary, and how the last one's result is told to the client.

    One without operations asks the primary nothing, and is told when the unit has ended.
    """

    operations: tuple[Operation, ...]
    tell: Callable[[Result], bytes]
    plan: Plan | None = None
    reason: str = ""
    """Of the receipt it leaves; '' of what is no statement of its own, and leaves none."""
    context: str = ""
    """Added to its error."""
    rebuild: Callable[[], Awaitable[None]] | None = None
    """Plans the statement again after the schema changed, and puts the new operations in place."""
    nowait: bool = False
    """It is not to wait for the writer."""


def told_nothing(_result: Result) -> bytes:
    return b""


def operation_bytes(operation: Operation) -> int:
    """About how much of a frame and of memory the operation takes."""
    if isinstance(operation, Run):
        size = len(operation.sql) + 32
        for value in operation.parameters:
            size += len(value) + 4 if isinstance(value, str | bytes) else 9
        return size
    return 32


class Outbox:
    """Bytes for the client, in order.  Behind a step everything waits for that step's result."""

    __slots__ = ("awaits_end", "bytes", "ready", "waiting", "waiting_bytes")

    def __init__(self) -> None:
        self.ready: list[bytes] = []
        self.bytes = 0
        """Of what is ready."""
        self.waiting: list[bytes | Step] = []
        self.waiting_bytes = 0
        """Of the answers that wait behind a step, with what an answer takes at least."""
        self.awaits_end = False
        """A step waits for the unit's end."""

    @property
    def crowded(self) -> bool:
        """So much waits behind a step that it must be sent for its result."""
        return self.waiting_bytes >= BYTES_MAX

    def write(self, data: bytes) -> None:
        if self.waiting:
            self.waiting.append(data)
            self.waiting_bytes += len(data) + ANSWER_BYTES
        else:
            self.ready.append(data)
            self.bytes += len(data)

    def expect(self, step: Step) -> None:
        self.waiting.append(step)
        self.awaits_end = self.awaits_end or not step.operations

    def resolve(self, results: tuple[Result, ...], *, failed: bool) -> None:
        """Tell the results of the waiting steps in order; after a failure drop what stood behind the last one."""
        told = 0
        complete = True
        for item in self.waiting:
            if isinstance(item, bytes):
                self.ready.append(item)
                self.bytes += len(item)
                continue
            told += len(item.operations)
            if told > len(results) or (failed and not item.operations):
                complete = False
                break
            data = item.tell(results[told - 1] if item.operations else Result())
            self.ready.append(data)
            self.bytes += len(data)
        self.waiting.clear()
        self.waiting_bytes = 0
        self.awaits_end = False
        if not failed and not (complete and told == len(results)):
            raise InvariantBroken(f"{len(results)} results, {told} of the waiting steps told")

    def take(self) -> bytes:
        """What may be sent now."""
        ready = self.ready
        data = ready[0] if len(ready) == 1 else b"".join(ready)
        ready.clear()
        self.bytes = 0
        return data


class Unit:
    """The operations not yet sent, and whether the primary holds the writer for this session."""

    __slots__ = ("bytes", "held", "link", "node", "opened_at", "sequence", "statement_failed", "steps", "writes")

    node: Node
    """Who holds the writer for us, while `held`, and over which link."""
    link: Link | None

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.bytes = 0
        self.held = False
        """The primary has an open transaction of ours."""
        self.opened_at = 0.0
        """When it was heard that the primary has opened it, on the monotonic clock."""
        self.writes = False
        """Something among the steps, or already sent, needs the primary: not savepoints alone."""
        self.statement_failed = False
        """Of what was sent last a statement failed, not how it was to end."""
        self.sequence = 0

    @property
    def full(self) -> bool:
        return len(self.steps) >= STEPS_MAX or self.bytes >= BYTES_MAX

    def add(self, step: Step, *, writes: bool) -> None:
        self.steps.append(step)
        self.bytes += sum(map(operation_bytes, step.operations))
        self.writes = self.writes or writes

    def take(self) -> list[Step]:
        steps, self.steps, self.bytes = self.steps, [], 0
        return steps

    def clear(self) -> None:
        self.steps = []
        self.bytes = 0
        self.held = False
        self.writes = False
