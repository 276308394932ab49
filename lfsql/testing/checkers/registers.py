"""Is a history of one register linearizable: is there an order of its operations that explains every answer?

Each operation takes place at one instant between its call and its return.  The search is Wing and Gong's with
Lowe's memory: operations are tried in an order that the calls allow, going back at the first return that was
passed over, and no pair of (what has taken place, value) is looked at twice.  What is kept is bounded; a history that
needs more is undecided, which is an anomaly too: what was not proven must not look as if it were.

A write in doubt whose value nobody read is left out first.  That loses nothing, since an order with it is one
without it too, and each such write doubles the search.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from math import inf

from lfsql.testing.checkers import Anomaly, Outcome, Span

MEMORY_MAX = 1_000_000


@dataclass(frozen=True)
class RegisterWrite:
    """`key` was set to `value`, which nobody else writes to it."""

    key: Hashable
    value: Hashable
    span: Span
    outcome: Outcome
    source: str = ""


@dataclass(frozen=True)
class RegisterRead:
    """`key` was found to be `value`.  Reads that were not answered are not recorded."""

    key: Hashable
    value: Hashable
    span: Span
    source: str = ""


RegisterOperation = RegisterWrite | RegisterRead


def check_registers(
    operations: Iterable[RegisterOperation], initial: Hashable = None, memory_max: int = MEMORY_MAX
) -> tuple[Anomaly, ...]:
    """What is wrong with operations on registers that all began as `initial`, each key judged for itself.

    `memory_max`: pairs of (what has taken place, value) remembered for a key.  Kinds: not-linearizable, undecided.
    """
    of_key: dict[Hashable, list[RegisterOperation]] = defaultdict(list)
    for operation in operations:
        of_key[operation.key].append(operation)
    found = (_check(key, _relevant(its), initial, memory_max) for key, its in of_key.items())
    return tuple(anomaly for anomaly in found if anomaly is not None)


def _relevant(operations: Sequence[RegisterOperation]) -> list[RegisterOperation]:
    read = {operation.value for operation in operations if isinstance(operation, RegisterRead)}
    return [operation for operation in operations if _is_relevant(operation, read)]


def _is_relevant(operation: RegisterOperation, read: set[Hashable]) -> bool:
    if isinstance(operation, RegisterRead) or operation.outcome is Outcome.OK:
        return True
    return operation.outcome is Outcome.IN_DOUBT and operation.value in read


def _returned(operation: RegisterOperation) -> float:
    if isinstance(operation, RegisterWrite) and operation.outcome is Outcome.IN_DOUBT:
        return inf
    return operation.span.returned


class _Events:
    """Calls and returns in the order of time, as a doubly linked list out of which operations are lifted, and put
    back in the opposite order.  Event 0 is the head; each other is of one operation; 0 also ends the list.
    """

    def __init__(self, operations: Sequence[RegisterOperation]) -> None:
        # At equal times calls come first: what touches may have overlapped.
        moments = [(operation.span.called, 0, number) for number, operation in enumerate(operations)]
        moments += [(_returned(operation), 1, number) for number, operation in enumerate(operations)]
        moments = sorted(moment for moment in moments if moment[0] < inf)
        self.operation = [-1] + [number for _, _, number in moments]
        self.is_return = [False] + [bool(is_return) for _, is_return, _ in moments]
        self.next = [*range(1, len(moments) + 1), 0]
        self.previous = [len(moments), *range(len(moments))]
        self.return_of = {
            self.operation[event]: event for event in range(1, len(moments) + 1) if self.is_return[event]
        }

    def lift(self, call: int) -> None:
        for event in self._both(call):
            self.next[self.previous[event]] = self.next[event]
            self.previous[self.next[event]] = self.previous[event]

    def put_back(self, call: int) -> None:
        for event in reversed(self._both(call)):
            self.next[self.previous[event]] = event
            self.previous[self.next[event]] = event

    def _both(self, call: int) -> list[int]:
        event = self.return_of.get(self.operation[call])
        return [call] if event is None else [call, event]


def _check(
    key: Hashable, operations: Sequence[RegisterOperation], initial: Hashable, memory_max: int
) -> Anomaly | None:
    events = _Events(operations)
    value = initial
    done = 0
    waiting = len(events.return_of)
    stack: list[tuple[int, Hashable]] = []
    visited: set[tuple[int, int, Hashable]] = set()
    fewest, blocked = waiting + 1, 0
    event = events.next[0]
    while waiting:
        if event and not events.is_return[event]:
            number = events.operation[event]
            operation = operations[number]
            possible = isinstance(operation, RegisterWrite) or operation.value == value
            state = (*_window(done | 1 << number), operation.value)
            if possible and state not in visited:
                if len(visited) >= memory_max:
                    return Anomaly("undecided", f"{key!r}: more than {memory_max} states, {waiting} operations left")
                visited.add(state)
                stack.append((event, value))
                value = operation.value
                done |= 1 << number
                waiting -= number in events.return_of
                events.lift(event)
                event = events.next[0]
            else:
                event = events.next[event]
            continue
        if waiting < fewest:
            fewest, blocked = waiting, event
        if not stack:
            return Anomaly("not-linearizable", _explain(key, operations, events.operation[blocked]))
        event, value = stack.pop()
        number = events.operation[event]
        done &= ~(1 << number)
        waiting += number in events.return_of
        events.put_back(event)
        event = events.next[event]
    return None


def _window(done: int) -> tuple[int, int]:
    """The same as a short number: how many operations from the first on have all taken place, and the others."""
    first = (~done & (done + 1)).bit_length() - 1
    return first, done >> first


def _explain(key: Hashable, operations: Sequence[RegisterOperation], blocked: int) -> str:
    culprit = operations[blocked]
    around = [
        operation
        for operation in operations
        if operation.span.called <= _returned(culprit) and _returned(operation) >= culprit.span.called
    ]
    before = [operation for operation in operations if _returned(operation) < culprit.span.called]
    latest = sorted(before, key=_returned)[-5:]
    lines = [
        f"no order of the operations on {key!r} explains {_describe(culprit)}",
        "  the latest that ended before:",
    ]
    lines += [f"    {_describe(operation)}" for operation in latest]
    lines += ["  at the same time:"]
    lines += [f"    {_describe(operation)}" for operation in around[:20] if operation is not culprit]
    return "\n".join(lines)


def _describe(operation: RegisterOperation) -> str:
    kind = "write" if isinstance(operation, RegisterWrite) else "read"
    doubt = " (in doubt)" if isinstance(operation, RegisterWrite) and operation.outcome is Outcome.IN_DOUBT else ""
    whose = f" by {operation.source}" if operation.source else ""
    return f"{kind} {operation.value!r}{doubt}{whose} at {operation.span.called:.6f} to {_returned(operation):.6f}"
