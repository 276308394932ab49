"""Clients that never stop: each does one thing over and over, and writes down what it asked and what it was told.

A connection that breaks is a new session afterwards.  What a client was told is taken at its word: an error whose
SQLSTATE promises that nothing was done counts as a failure, so its effect must never be seen; only where the answer
is missing, or says so itself (08007), an outcome is in doubt.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from random import Random

import psycopg

from lfsql.testing.checkers import Outcome, Span
from lfsql.testing.checkers.bank import Balances
from lfsql.testing.checkers.list_append import Append, Read, Transaction
from lfsql.testing.checkers.registers import RegisterOperation, RegisterRead, RegisterWrite
from lfsql.testing.checkers.sets import Added

SCHEMA = """
CREATE TABLE added (id bigserial PRIMARY KEY, value bigint NOT NULL);
CREATE TABLE lists (key text PRIMARY KEY, elements text NOT NULL);
CREATE TABLE accounts (name text PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0));
CREATE TABLE registers (key text PRIMARY KEY, value bigint)
"""

OPENING = {f"a{number}": 100 for number in range(5)}
STRONG = "/* lfsql: read_consistency=strong */ "

NOTHING_DONE = frozenset({"40001", "57P03", "53100", "53200", "53300", "53400", "55000", "25P03", "57014"})
"""Errors that promise it."""

LISTS_OPEN = 4
APPENDS_TO_A_LIST = 40
WRITES_TO_A_REGISTER = 200


@dataclass
class History:
    """What all clients saw."""

    added: list[Added] = field(default_factory=list)
    transactions: list[Transaction] = field(default_factory=list)
    balances: list[Balances] = field(default_factory=list)
    registers: list[RegisterOperation] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    strange: list[str] = field(default_factory=list)
    """Errors that no fault explains."""
    _numbers: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def number(self) -> int:
        """Another one each time."""
        with self._lock:
            self._numbers += 1
            return self._numbers


class Client(threading.Thread, ABC):
    """Runs `step` until `enough` is set."""

    def __init__(self, name: str, dsn: str, history: History, random: Random, enough: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self.history = history
        self.random = random
        self._dsn = dsn
        self._enough = enough
        self._connection: psycopg.Connection | None = None
        self._connections = 0
        self.progress = 0
        """Operations that were acknowledged."""

    @property
    def session(self) -> str:
        return f"{self.name}.{self._connections}"

    @property
    def connection(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self._dsn, autocommit=True)
            self._connections += 1
        return self._connection

    def run(self) -> None:
        while not self._enough.wait(self.random.random() * 0.04):
            try:
                self.connection  # noqa: B018  # connects: an error of that is none of an operation
            except psycopg.Error:
                self.history.outcomes["no connection"] += 1
                self._enough.wait(0.1)
                continue
            self.step()
        if self._connection is not None:
            self._connection.close()

    @abstractmethod
    def step(self) -> None:
        """One operation, written down."""

    def write(self, what: str, sql: str, *parameters: object) -> tuple[Span, Outcome]:
        """One statement on its own."""
        called = time.monotonic()
        try:
            self.connection.execute(sql, parameters)
            outcome = Outcome.OK
        except psycopg.Error as error:
            outcome = self.judge(error)
        self.count(what, outcome)
        return Span(called, time.monotonic()), outcome

    def judge(self, error: psycopg.Error, *, sent: bool = True) -> Outcome:
        """What an error means for a write.  `sent`: it may have been carried out, unless the error says otherwise."""
        told = f"{type(error).__name__} {error.sqlstate or ''}: {str(error).splitlines()[0] if str(error) else ''}"
        self.history.outcomes[f"error {error.sqlstate or type(error).__name__}"] += 1
        if error.sqlstate is not None and error.sqlstate[:2] in ("42", "XX", "22", "23", "0A", "54"):
            self.history.strange.append(f"{self.name}: {told}")
        if self._connection is not None and self._connection.broken:
            self._connection.close()
        if not sent or error.sqlstate in NOTHING_DONE:
            return Outcome.FAILED
        return Outcome.IN_DOUBT

    def count(self, what: str, outcome: Outcome) -> None:
        self.history.outcomes[f"{what}: {outcome.value}"] += 1
        self.progress += outcome is Outcome.OK

    def give_up(self) -> None:
        """End a transaction whose statement failed."""
        try:
            self.connection.execute("ROLLBACK")
        except psycopg.Error:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class Adder(Client):
    """An append-only set, by single statements."""

    def step(self) -> None:
        value = self.history.number()
        _, outcome = self.write("add", "INSERT INTO added (value) VALUES (%s)", value)
        self.history.added.append(Added(value, outcome))


class Appender(Client):
    """List-append transactions, and reads of lists at the session's and at strong consistency."""

    def step(self) -> None:
        kind = self.random.random()
        if kind < 0.5:
            self._transact()
        elif kind < 0.75:
            self._read(strong=False)
        else:
            self._read(strong=True)

    def _key(self) -> str:
        """One of a few, each for a while: lists are read whole."""
        newest = self.history.number() // (LISTS_OPEN * APPENDS_TO_A_LIST)
        return f"k{newest}.{self.random.randrange(LISTS_OPEN)}"

    def _transact(self) -> None:
        done: list[Append | Read] = []
        called = time.monotonic()
        sent = False
        try:
            self.connection.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
            for _ in range(self.random.randint(1, 4)):
                key = self._key()
                if self.random.random() < 0.5:
                    value = self.history.number()
                    done.append(Append(key, value))
                    self._append(key, value)
                else:
                    done += self._select([key], "")
            sent = True
            self.connection.execute("COMMIT")
            outcome = Outcome.OK
        except psycopg.Error as error:
            outcome = self.judge(error, sent=sent)
            if not self.connection_lost:
                self.give_up()
        self.count("transaction", outcome)
        self._note(done, called, outcome, strong=True)

    @property
    def connection_lost(self) -> bool:
        return self._connection is None or self._connection.closed

    def _append(self, key: str, value: int) -> None:
        self.connection.execute(
            "INSERT INTO lists (key, elements) VALUES (%s, %s) ON CONFLICT (key) "
            "DO UPDATE SET elements = lists.elements || ',' || excluded.elements",
            (key, str(value)),
        )

    def _select(self, keys: list[str], hint: str) -> list[Read]:
        rows = self.connection.execute(f"{hint}SELECT key, elements FROM lists WHERE key = ANY(%s)", (keys,))
        found: dict[str, str] = dict(rows.fetchall())
        return [Read(key, tuple(map(int, found[key].split(","))) if key in found else ()) for key in keys]

    def _read(self, *, strong: bool) -> None:
        keys = sorted({self._key() for _ in range(2)})
        called = time.monotonic()
        try:
            done = self._select(keys, STRONG if strong else "")
        except psycopg.Error as error:
            self.judge(error, sent=False)
            return
        self.count("strong read" if strong else "session read", Outcome.OK)
        self._note(done, called, Outcome.OK, strong=strong)

    def _note(self, done: list[Append | Read] | list[Read], called: float, outcome: Outcome, *, strong: bool) -> None:
        span = Span(called, time.monotonic())
        self.history.transactions.append(
            Transaction(self.session, tuple(done), span, outcome, strong=strong, source=self.session)
        )


class Teller(Client):
    """Moves money by transactions, and reads all accounts in one statement, at any consistency, of any node."""

    def step(self) -> None:
        if self.random.random() < 0.5:
            self._transfer()
            return
        route = self.random.choice(["auto", "auto", "primary", "replica"])
        level = self.random.choice(["any", "session", "strong"])
        hint = f"/* lfsql: read_consistency={level} */ /* lfsql: route={route} */ "
        try:
            rows = self.connection.execute(f"{hint}SELECT name, balance FROM accounts").fetchall()
        except psycopg.Error as error:
            self.judge(error, sent=False)
            return
        self.count("balances", Outcome.OK)
        self.history.balances.append(Balances(f"{self.session} ({level}, {route})", dict(rows)))

    def _transfer(self) -> None:
        source, target = self.random.sample(sorted(OPENING), 2)
        sent = False
        try:
            self.connection.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
            rows = self.connection.execute(
                "SELECT name, balance FROM accounts WHERE name IN (%s, %s)", (source, target)
            )
            balances: dict[str, int] = dict(rows.fetchall())
            amount = self.random.randint(0, balances[source])
            for name, balance in ((source, balances[source] - amount), (target, balances[target] + amount)):
                self.connection.execute("UPDATE accounts SET balance = %s WHERE name = %s", (balance, name))
            sent = True
            self.connection.execute("COMMIT")
            outcome = Outcome.OK
        except psycopg.Error as error:
            outcome = self.judge(error, sent=sent)
            if self._connection is not None and not self._connection.closed:
                self.give_up()
        self.count("transfer", outcome)


class Registrar(Client):
    """Sets registers and reads them at strong consistency."""

    def step(self) -> None:
        key = f"r{self.history.number() // WRITES_TO_A_REGISTER}"
        if self.random.random() < 0.5:
            value = self.history.number()
            span, outcome = self.write(
                "register",
                "INSERT INTO registers VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                key,
                value,
            )
            self.history.registers.append(RegisterWrite(key, value, span, outcome, self.session))
            return
        called = time.monotonic()
        try:
            row = self.connection.execute(f"{STRONG}SELECT value FROM registers WHERE key = %s", (key,)).fetchone()
        except psycopg.Error as error:
            self.judge(error, sent=False)
            return
        span = Span(called, time.monotonic())
        self.count("register read", Outcome.OK)
        self.history.registers.append(RegisterRead(key, row[0] if row else None, span, self.session))


CLIENTS: tuple[tuple[type[Client], int], ...] = ((Adder, 3), (Appender, 4), (Teller, 2), (Registrar, 3))
