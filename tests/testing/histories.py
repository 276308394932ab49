"""Histories made by a serial execution, in which the checkers must find nothing, for tests that plant something.

Each transaction takes place at one instant, its call lies before and its return after it, so they overlap as those of
a correct database do; some are not answered, some refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from random import Random

from lfsql.testing.checkers import Anomaly, Outcome, Span
from lfsql.testing.checkers.list_append import Append, Read, Transaction
from lfsql.testing.checkers.registers import RegisterOperation, RegisterRead, RegisterWrite

SESSIONS = 5


@dataclass
class SerialLists:
    """`transactions`: list-append transactions; `final`: the lists after them."""

    random: Random
    transactions: list[Transaction] = field(default_factory=list)
    final: dict[str, list[int]] = field(default_factory=dict)
    states: list[dict[str, tuple[int, ...]]] = field(default_factory=lambda: [{}])
    known: dict[int, int] = field(default_factory=dict)
    """Which of the states each session has seen at least."""
    values: int = 0

    def run(self, count: int, keys: int) -> SerialLists:
        free_at = [0.0] * SESSIONS
        for instant in range(1, count + 1):
            session = self.random.randrange(SESSIONS)
            if free_at[session] >= instant:
                continue
            span = Span(
                max(free_at[session] + 0.01, instant - 3 * self.random.random()), instant + 3 * self.random.random()
            )
            free_at[session] = span.returned
            outcome = self.random.choices([Outcome.OK, Outcome.FAILED, Outcome.IN_DOUBT], [8, 1, 1])[0]
            took_place = outcome is Outcome.OK or (outcome is Outcome.IN_DOUBT and self.random.random() < 0.5)
            operations = self._operations(keys)
            if not any(isinstance(operation, Append) for operation in operations) and self.random.random() < 0.5:
                self._read_older(session, operations, span)
                continue
            self._take(session, operations, span, outcome, took_place=took_place)
            self.states.append({key: tuple(values) for key, values in self.final.items()})
            if outcome is Outcome.OK:
                self.known[session] = len(self.states) - 1
        return self

    def _operations(self, keys: int) -> list[tuple[str, str]]:
        kinds = self.random.choices(["append", "read"], k=self.random.randint(1, 4))
        return [(kind, f"k{self.random.randrange(keys)}") for kind in kinds]

    def _take(
        self, session: int, operations: Iterable[tuple[str, str]], span: Span, outcome: Outcome, *, took_place: bool
    ) -> None:
        state = {key: list(values) for key, values in self.final.items()}
        done: list[Append | Read] = []
        for kind, key in operations:
            if kind == "append":
                self.values += 1
                state.setdefault(key, []).append(self.values)
                done.append(Append(key, self.values))
            else:
                done.append(Read(key, tuple(state.get(key, ()))))
        if took_place:
            self.final = state
        self.transactions.append(Transaction(session, tuple(done), span, outcome))

    def _read_older(self, session: int, operations: Iterable[tuple[str, str]], span: Span) -> None:
        """Of a copy that lags: any state since the latest that the session knows of."""
        known = self.random.randint(self.known.get(session, 0), len(self.states) - 1)
        self.known[session] = known
        reads = tuple(Read(key, self.states[known].get(key, ())) for _, key in operations)
        self.transactions.append(Transaction(session, reads, span, strong=False))


def serial_registers(random: Random, count: int, keys: int) -> list[RegisterOperation]:
    """Writes and reads of registers that began as None."""
    state: dict[str, int] = {}
    operations: list[RegisterOperation] = []
    for instant in range(1, count + 1):
        span = Span(instant - 4 * random.random(), instant + 4 * random.random())
        key = f"r{random.randrange(keys)}"
        if random.random() < 0.5:
            operations.append(RegisterRead(key, state.get(key), span))
            continue
        outcome = random.choices([Outcome.OK, Outcome.FAILED, Outcome.IN_DOUBT], [8, 1, 1])[0]
        if outcome is Outcome.OK or (outcome is Outcome.IN_DOUBT and random.random() < 0.5):
            state[key] = instant
        operations.append(RegisterWrite(key, instant, span, outcome))
    return operations


def shifted(transaction: Transaction, seconds: float) -> Transaction:
    span = Span(transaction.span.called + seconds, transaction.span.returned + seconds)
    return replace(transaction, span=span)


def kinds(anomalies: Iterable[Anomaly]) -> set[str]:
    return {anomaly.kind for anomaly in anomalies}
