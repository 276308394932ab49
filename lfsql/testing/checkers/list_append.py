"""Transactions that append to lists and read them: is there a serial order that explains what was read?

The method is Elle's (Kingsbury and Alvaro, 2020).  A list that was only appended to tells its own history: a read of
it says which versions there were, and in which order.  So no order has to be searched for.  What came before what
follows, as a graph, and a cycle in it is a proof (see `lfsql.testing.checkers.dependencies`).

A transaction in doubt counts as having taken place when somebody has seen its appends, else not at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf

from lfsql.testing.checkers import Anomaly, Outcome, Span, listed
from lfsql.testing.checkers.dependencies import Cycle, Dependencies, Dependency, Edge
from lfsql.testing.checkers.sessions import Saw, Wrote

Key = str
Value = Hashable


@dataclass(frozen=True)
class Append:
    """`value`, which nobody else appends to `key`."""

    key: Key
    value: Value


@dataclass(frozen=True)
class Read:
    """`values`: the whole list, in order."""

    key: Key
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Transaction:
    """Operations in their order.  Of one that failed or is in doubt, the reads that were answered may be left out.

    `strong`: it was promised to see all that was acknowledged before it was called; reads of other transactions may
    be of an older state.
    """

    session: Hashable
    operations: tuple[Append | Read, ...]
    span: Span
    outcome: Outcome = Outcome.OK
    strong: bool = True
    source: str = ""


def check_list_append(
    transactions: Sequence[Transaction], final: Mapping[Key, Sequence[Value]] | None = None, *, sessions: bool = True
) -> tuple[Anomaly, ...]:
    """What is wrong with a history.

    `final`: the lists after the last transaction, when they are known; a value acknowledged and not in them is lost.
    `sessions`: a session's transactions were promised to come after each other.

    Kinds: lost, doubled, foreign (nobody appended it), G1a (of a transaction that failed), G1b (of the middle of
    another), internal (a transaction's reads contradict each other or its appends), incompatible-order, and cycles.
    """
    history = _History(transactions, final or {})
    anomalies = [*history.wrong_values(), *history.wrong_orders()]
    if final is not None:
        anomalies += history.lost(final)
    for number, transaction in enumerate(transactions):
        if transaction.outcome is Outcome.OK:
            anomalies += _internal(number, transaction)
    if any(anomaly.kind == "incompatible-order" for anomaly in anomalies):
        return tuple(anomalies)  # which version follows which is not known, so neither is what depends on what
    graph = history.graph(sessions=sessions)
    orders = [Dependency.SESSION, Dependency.TIME] if sessions else [Dependency.TIME]
    anomalies += [_told(cycle, graph, transactions) for cycle in graph.cycles(orders)]
    return tuple(anomalies)


def session_events(transactions: Sequence[Transaction]) -> tuple[Saw | Wrote, ...]:
    """The same history as its sessions saw it; a list's version is its length."""
    history = _History(transactions, {})
    events: list[Saw | Wrote] = []
    for transaction in sorted(transactions, key=lambda each: each.span.called):
        if transaction.outcome is not Outcome.OK:
            continue
        for operation in transaction.operations:
            if isinstance(operation, Read):
                version = len(operation.values)
                events.append(Saw(transaction.session, operation.key, version, transaction.source))
            elif (place := history.places.get((operation.key, operation.value))) is not None:
                events.append(Wrote(transaction.session, operation.key, place + 1))
    return tuple(events)


@dataclass
class _History:
    transactions: Sequence[Transaction]
    final: Mapping[Key, Sequence[Value]]
    orders: dict[Key, tuple[Value, ...]] = field(default_factory=dict)
    """The longest read of each list: all others must be beginnings of it."""
    places: dict[tuple[Key, Value], int] = field(default_factory=dict)
    """Where in its list each value came first."""
    writers: dict[tuple[Key, Value], int] = field(default_factory=dict)
    took_place: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        for number, transaction in enumerate(self.transactions):
            for operation in transaction.operations:
                if isinstance(operation, Append):
                    place = (operation.key, operation.value)
                    if place in self.writers:
                        raise ValueError(
                            f"{operation.value!r} is appended to {operation.key!r} twice by the test itself"
                        )
                    self.writers[place] = number
        for _, read in self._reads():
            if len(read.values) > len(self.orders.get(read.key, ())):
                self.orders[read.key] = read.values
        for key, order in self.orders.items():
            for at, value in enumerate(order):
                self.places.setdefault((key, value), at)
        seen = {self.writers.get(shown) for shown in self.places}
        for number, transaction in enumerate(self.transactions):
            if transaction.outcome is Outcome.OK or number in seen:
                self.took_place.add(number)

    def _reads(self) -> Iterator[tuple[str, Read]]:
        for number, transaction in enumerate(self.transactions):
            if transaction.outcome is Outcome.OK:
                for operation in transaction.operations:
                    if isinstance(operation, Read):
                        yield _name(number, transaction), operation
        for key, values in self.final.items():
            yield "the final state", Read(key, tuple(values))

    # -- What single reads show ----------------------------------------------------------------------------

    def wrong_values(self) -> Iterator[Anomaly]:
        told: set[tuple[str, Key, Value]] = set()
        for name, read in self._reads():
            for value, kind, explanation in self._faults(name, read):
                if (kind, read.key, value) not in told:
                    told.add((kind, read.key, value))
                    yield Anomaly(kind, explanation)

    def _faults(self, name: str, read: Read) -> Iterator[tuple[Value, str, str]]:
        what = f"{name} reads {read.key!r} as {_short(read.values)}"
        met: set[Value] = set()
        for value in read.values:
            if value in met:
                yield value, "doubled", f"{what}, with {value!r} twice"
            met.add(value)
            number = self.writers.get((read.key, value))
            if number is None:
                yield value, "foreign", f"{what}, but nobody appended {value!r}"
            elif self.transactions[number].outcome is Outcome.FAILED:
                writer = _name(number, self.transactions[number])
                yield value, "G1a", f"{what}, but {value!r} was appended by {writer}, which failed"
        if len(met) == len(read.values) > 0:
            yield from self._intermediate(name, read, what)

    def _intermediate(self, name: str, read: Read, what: str) -> Iterator[tuple[Value, str, str]]:
        value = read.values[-1]
        number = self.writers.get((read.key, value))
        if number is None or name == _name(number, self.transactions[number]):
            return
        own = [
            operation.value
            for operation in self.transactions[number].operations
            if isinstance(operation, Append) and operation.key == read.key
        ]
        if own[-1] != value:
            writer = _name(number, self.transactions[number])
            yield value, "G1b", f"{what}, which is the middle of {writer}: it appended {listed(own)}"

    def wrong_orders(self) -> Iterator[Anomaly]:
        told: set[Key] = set()
        for name, read in self._reads():
            order = self.orders.get(read.key, ())
            if read.values != order[: len(read.values)] and read.key not in told:
                told.add(read.key)
                yield Anomaly(
                    "incompatible-order",
                    f"{name} reads {read.key!r} as {_short(read.values)}, which is no beginning of {_short(order)}",
                )

    def lost(self, final: Mapping[Key, Sequence[Value]]) -> Iterator[Anomaly]:
        there = {(key, value) for key, values in final.items() for value in values}
        lost = [
            f"{value!r} of {key!r}, by {_name(number, self.transactions[number])}"
            for (key, value), number in self.writers.items()
            if self.transactions[number].outcome is Outcome.OK and (key, value) not in there
        ]
        if lost:
            yield Anomaly("lost", f"{len(lost)} acknowledged appends are missing: {'; '.join(lost[:10])}")

    # -- What came before what -----------------------------------------------------------------------------

    def graph(self, *, sessions: bool) -> Dependencies:
        graph = Dependencies()
        for key, order in self.orders.items():
            for earlier, later in pairwise(dict.fromkeys(order)):
                self._link(
                    graph, Dependency.WW, key, self.writers.get((key, earlier)), self.writers.get((key, later))
                )
        unseen = self._unseen()
        for number, transaction in enumerate(self.transactions):
            if transaction.outcome is Outcome.OK:
                for operation in transaction.operations:
                    if isinstance(operation, Read):
                        self._link_read(graph, number, operation, unseen.get(operation.key, ()))
        if sessions:
            self._link_sessions(graph)
        self._link_time(graph)
        return graph

    def _unseen(self) -> dict[Key, list[int]]:
        """Who appended to each list what no read shows: it comes after all that is shown."""
        unseen: dict[Key, list[int]] = defaultdict(list)
        for (key, value), number in self.writers.items():
            if number in self.took_place and (key, value) not in self.places:
                unseen[key].append(number)
        return unseen

    def _link_read(self, graph: Dependencies, number: int, read: Read, unseen: Iterable[int]) -> None:
        if read.values:
            self._link(graph, Dependency.WR, read.key, self.writers.get((read.key, read.values[-1])), number)
        order = self.orders.get(read.key, ())
        followers = self._next_writer(number, read, order)
        for follower in unseen if followers is None else [followers]:
            self._link(graph, Dependency.RW, read.key, number, follower)

    def _next_writer(self, number: int, read: Read, order: Sequence[Value]) -> int | None:
        """Who first appended what the read does not show, the reader's own appends apart."""
        for place in range(len(read.values), len(order)):
            writer = self.writers.get((read.key, order[place]))
            if writer is not None and writer != number and self.places[read.key, order[place]] == place:
                return writer
        return None

    def _link(self, graph: Dependencies, kind: Dependency, key: Key, before: int | None, after: int | None) -> None:
        if before is None or after is None or not {before, after} <= self.took_place:
            return
        words = {
            Dependency.WW: f"appended to {key!r} before",
            Dependency.WR: f"appended to {key!r} what is read by",
            Dependency.RW: f"read {key!r} without what is appended by",
        }[kind]
        graph.add(Edge(before, after, kind), words)

    def _link_sessions(self, graph: Dependencies) -> None:
        latest: dict[Hashable, int] = {}
        for number in self._in_time():
            session = self.transactions[number].session
            if session in latest:
                graph.add(Edge(latest[session], number, Dependency.SESSION), "ran in its session before")
            if self.transactions[number].outcome is Outcome.OK:
                latest[session] = number

    def _link_time(self, graph: Dependencies) -> None:
        """From each to those called after its return: from the latest only, the others follow from them.

        One that is not strong may have read an older state, so nothing need have come before it; but what it wrote
        was there when it returned.
        """
        latest: set[int] = set()
        for _, is_return, number in sorted(self._moments()):
            transaction = self.transactions[number]
            if is_return:
                if transaction.strong:
                    latest = {each for each in latest if self._returned(each) >= transaction.span.called}
                latest.add(number)
            else:
                for before in latest:
                    graph.add(Edge(before, number, Dependency.TIME), "had been answered before the call of")

    def _moments(self) -> Iterator[tuple[float, bool, int]]:
        """(when, whether it is a return, whose); at equal times calls come first."""
        for number in self.took_place:
            transaction = self.transactions[number]
            wrote = any(isinstance(operation, Append) for operation in transaction.operations)
            if transaction.strong:
                yield transaction.span.called, False, number
            if (transaction.strong or wrote) and self._returned(number) < inf:
                yield self._returned(number), True, number

    def _returned(self, number: int) -> float:
        transaction = self.transactions[number]
        return transaction.span.returned if transaction.outcome is Outcome.OK else inf

    def _in_time(self) -> list[int]:
        return sorted(self.took_place, key=lambda number: self.transactions[number].span.called)


def _internal(number: int, transaction: Transaction) -> Iterator[Anomaly]:
    """A transaction's reads must show what it read and appended before, and nobody else's news in between."""
    known: dict[Key, tuple[Value, ...]] = {}
    appended: dict[Key, tuple[Value, ...]] = defaultdict(tuple)
    for operation in transaction.operations:
        key = operation.key
        if isinstance(operation, Append):
            appended[key] += (operation.value,)
            if key in known:
                known[key] += (operation.value,)
            continue
        own = appended[key]
        expected = known.get(key, operation.values)
        if operation.values != expected or operation.values[len(operation.values) - len(own) :] != own:
            yield Anomaly(
                "internal",
                f"{_name(number, transaction)} reads {key!r} as {_short(operation.values)}, "
                f"having read {_short(known[key]) if key in known else 'nothing of it'} and appended {listed(own)}",
            )
        known[key] = operation.values


def _told(cycle: Cycle, graph: Dependencies, transactions: Sequence[Transaction]) -> Anomaly:
    lines = [f"{len(cycle.edges)} transactions come before each other"]
    for edge in cycle.edges:
        names = [_name(node, transactions[node]) for node in (edge.before, edge.after)]
        lines.append(f"  {names[0]} {graph.reason(edge)} {names[1]}  ({edge.kind.label})")
    for node in dict.fromkeys(edge.before for edge in cycle.edges):
        transaction = transactions[node]
        span = f"{transaction.span.called:.6f} to {transaction.span.returned:.6f}"
        told = "; ".join(
            f"append {operation.value!r} to {operation.key!r}"
            if isinstance(operation, Append)
            else f"read {operation.key!r} as {_short(operation.values)}"
            for operation in transaction.operations
        )
        lines.append(f"  {_name(node, transaction)} = {told} ({transaction.outcome.value}, {span})")
    return Anomaly(cycle.name, "\n".join(lines))


def _name(number: int, transaction: Transaction) -> str:
    return f"T{number}" + (f"[{transaction.source}]" if transaction.source else "")


def _short(values: Sequence[Value], values_max: int = 12) -> str:
    """A list by its end, where things happen."""
    shown = ", ".join(map(repr, values[-values_max:]))
    return f"[{'... ' if len(values) > values_max else ''}{shown}]"
