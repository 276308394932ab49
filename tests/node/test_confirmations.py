"""Answers that were only read, on a primary that may have been deposed without knowing it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lfsql.core.effects import ReadConfirmed, ReadRefused
from lfsql.core.ids import Position
from lfsql.core.requests import COMMITTED, Answer, Outcome, Result, Run, Submit
from lfsql.errors import NotPrimary, OutcomeUnknown
from lfsql.node.batch import Ran, SchemaNames
from lfsql.node.clock import boot_clock
from lfsql.node.confirmations import Confirmations
from lfsql.node.ledger import Ledger
from lfsql.node.work import Work


class Quorum:
    """A driver of which only the questions to its quorum are seen; the test answers them."""

    def __init__(self) -> None:
        self.consensus = self
        self.confirmed_at = float("-inf")
        self.ready = True
        self.primary = "n1"
        self.asked: list[Callable[[ReadConfirmed | ReadRefused], None]] = []

    def read_index(self, answer: Callable[[ReadConfirmed | ReadRefused], None]) -> None:
        self.asked.append(answer)

    def confirm(self) -> None:
        self.asked.pop(0)(ReadConfirmed(1, 7))

    def refuse(self) -> None:
        self.ready = False
        self.asked.pop(0)(ReadRefused(1, "n2"))


class Client:
    number = 1

    def __init__(self) -> None:
        self.heard: list[Answer] = []

    def answer(self, message: Answer) -> None:
        self.heard.append(message)


@pytest.fixture
def quorum() -> Quorum:
    return Quorum()


@pytest.fixture
def ledger(quorum: Quorum) -> Ledger:
    ledger = Ledger(SchemaNames(), Confirmations(quorum), boot_clock)  # type: ignore[arg-type]  # what it uses of a driver
    ledger.open_reign(99, new_term=True)
    return ledger


def asks(client: Client, name: str = "c", sequence: int = 1) -> Work:
    return Work(client, Submit(sequence, name, sequence, (Run("SELECT v FROM t"),)), 10)


ROWS = Outcome(1, COMMITTED, (Result(rows=((1,),)),))


def sqlstate(answer: Answer) -> str:
    assert isinstance(answer, Outcome)
    assert answer.fault is not None
    return answer.fault.sqlstate


def test_what_was_read_is_told_when_a_quorum_has_confirmed_the_primary(ledger: Ledger, quorum: Quorum) -> None:
    client = Client()
    ledger.promise(asks(client), ROWS)
    assert client.heard == []
    quorum.confirm()
    assert [answer.state for answer in client.heard if isinstance(answer, Outcome)] == [COMMITTED]


def test_a_deposed_primary_tells_nothing_that_it_read(ledger: Ledger, quorum: Quorum) -> None:
    client = Client()
    ledger.promise(asks(client), ROWS)
    quorum.refuse()
    assert [sqlstate(answer) for answer in client.heard] == [NotPrimary.sqlstate]
    ledger.promise(asks(client), ROWS)
    assert [sqlstate(answer) for answer in client.heard[1:]] == [NotPrimary.sqlstate]


def test_those_who_ask_together_share_a_round_and_who_comes_later_the_next(ledger: Ledger, quorum: Quorum) -> None:
    first, second, third = Client(), Client(), Client()
    ledger.promise(asks(first), ROWS)
    ledger.promise(asks(second), ROWS)
    ledger.promise(asks(third), ROWS)
    assert len(quorum.asked) == 1
    quorum.confirm()
    # The round was sent before the other two asked.
    assert (len(first.heard), len(second.heard), len(third.heard)) == (1, 0, 0)
    assert len(quorum.asked) == 1
    quorum.confirm()
    assert (len(second.heard), len(third.heard)) == (1, 1)
    assert quorum.asked == []


def test_a_confirmation_younger_than_the_question_is_enough(ledger: Ledger, quorum: Quorum) -> None:
    client = Client()
    work = asks(client)
    quorum.confirmed_at = work.asked_at
    ledger.promise(work, ROWS)
    assert len(client.heard) == 1
    assert quorum.asked == []


def test_a_record_proposed_after_the_question_confirms_it(ledger: Ledger, quorum: Quorum) -> None:
    reader, writer = Client(), Client()
    work, write = asks(reader, "r"), asks(writer, "w")
    ledger.log([Ran(write, Outcome(1, COMMITTED, (Result(),)), (b"",))], 100, Position(100, 3))
    ledger.promise(work, ROWS)
    assert quorum.asked == []
    assert reader.heard == []
    ledger.commit(100)
    assert (len(reader.heard), len(writer.heard)) == (1, 1)


@pytest.mark.parametrize("first", ["commit", "confirm"])
def test_what_stands_on_an_older_record_waits_for_both(ledger: Ledger, quorum: Quorum, first: str) -> None:
    reader, writer = Client(), Client()
    ledger.log([Ran(asks(writer, "w"), Outcome(1, COMMITTED, (Result(),)), (b"",))], 100, Position(100, 3))
    ledger.promise(asks(reader, "r"), ROWS)
    steps = {"commit": lambda: ledger.commit(100), "confirm": quorum.confirm}
    steps.pop(first)()
    assert reader.heard == []
    steps.popitem()[1]()
    assert len(reader.heard) == 1


def test_what_reports_after_the_reign_is_not_answered_by_a_strangers_record(ledger: Ledger, quorum: Quorum) -> None:
    writer, reader = Client(), Client()
    ledger.log([Ran(asks(writer, "w"), Outcome(1, COMMITTED, (Result(),)), (b"",))], 100, Position(100, 3))
    ledger.fail(OutcomeUnknown("deposed"))
    ledger.promise(asks(reader, "r"), ROWS)  # ran while this happened
    ledger.commit(100)
    assert [sqlstate(answer) for answer in (*writer.heard, *reader.heard)] == [OutcomeUnknown.sqlstate] * 2
    ledger.open_reign(100, new_term=True)
    ledger.promise(asks(reader, "r", 2), ROWS)
    quorum.confirm()
    assert isinstance(reader.heard[1], Outcome)
    assert reader.heard[1].state == COMMITTED
