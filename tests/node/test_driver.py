"""The order in which effects are carried out, and answers that come late."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lfsql.core.effects import (
    Committed,
    Effect,
    HardState,
    Input,
    Propose,
    Proposed,
    ReadConfirmed,
    ReadIndex,
    ReadRefused,
    Restored,
    Send,
    Tick,
)
from lfsql.core.entry import UNIT
from lfsql.core.ids import Index, Position
from lfsql.core.log import extend
from lfsql.core.membership import VOTER, Configuration, Member
from lfsql.core.messages import ReadIndexRequest
from lfsql.core.settings import ConsensusSettings
from lfsql.errors import DataCorrupted
from lfsql.node.carrying import encode_state
from lfsql.node.driver import Driver, restore
from lfsql.storage import statement_log
from lfsql.storage.statement_log import StatementLog


class Said:
    """Consensus that gives prepared effects."""

    deadline = float("inf")

    def __init__(self, effects: Callable[[Input], tuple[Effect, ...]]) -> None:
        self._effects = effects

    def step(self, given: Input, _now: float) -> tuple[Effect, ...]:
        return self._effects(given)


class Observer:
    def __init__(self) -> None:
        self.on_commit: Callable[[Index], None] = lambda _index: None

    def committed(self, index: Index) -> None:
        self.on_commit(index)

    def durable(self, index: Index) -> None: ...

    def became_primary(self, term: int, index: Index) -> None: ...

    def stepped_down(self, primary: str) -> None: ...

    def primary_changed(self, primary: str) -> None: ...

    def members_changed(self, configuration: Configuration) -> None: ...

    def transfer_given_up(self, to: str) -> None: ...


@pytest.fixture
def sent() -> list[int]:
    return []


@pytest.fixture
def observer() -> Observer:
    return Observer()


@pytest.fixture
def driver(sent: list[int], observer: Observer) -> Driver:
    def send(_to: str, message: Any) -> None:
        sent.append(message.token)

    unused: Any = None
    members = Configuration((Member("n1", VOTER, 100, ""),))
    return Driver(
        "n1",
        members,
        unused,
        Restored(),
        ConsensusSettings(),
        send=send,
        close_peer=lambda _node, _refusal: None,
        observer=observer,
    )


def message(number: int) -> Send:
    return Send("n2", ReadIndexRequest(number))


def test_a_step_within_a_step_is_carried_out_after_it(driver: Driver, observer: Observer, sent: list[int]) -> None:
    def effects(given: Input) -> tuple[Effect, ...]:
        if isinstance(given, Propose):
            return Proposed(8, 8), message(3)
        return message(1), Committed(7), message(2)

    driver.consensus = Said(effects)  # type: ignore[assignment]  # what the driver uses of it here

    def propose(_index: Index) -> None:
        assert driver.propose(1, ((0, b""),)) == Proposed(8, 8)
        assert sent == [1]

    observer.on_commit = propose
    driver.step(Tick())
    assert sent == [1, 2, 3]


async def test_a_log_that_cannot_be_read_to_its_end_is_not_taken_for_a_shorter_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What opening the log does not look at may be damaged, and not be committed yet."""
    monkeypatch.setattr(statement_log, "TAIL_BYTES", 500)
    path = tmp_path / "log.db"
    async with StatementLog(path) as log:
        records = extend(Position(), 1, [(UNIT, bytes(200))] * 20)
        await log.write(records, hard_state=encode_state(HardState(1, "n2", 2)))
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE records SET body = zeroblob(199) WHERE log_index = 7")
    connection.close()
    async with StatementLog(path) as log:
        assert not log.damaged
        with pytest.raises(DataCorrupted, match="the first at index 7"):
            await restore(log, Position())
        assert log.damaged == (7,)


def test_a_second_answer_to_a_read_does_no_harm(driver: Driver) -> None:
    asked: list[int] = []

    def effects(given: Input) -> tuple[Effect, ...]:
        if isinstance(given, ReadIndex):
            asked.append(given.token)
            return ()
        return ReadConfirmed(asked[0], 7), ReadRefused(asked[0], "n2")

    driver.consensus = Said(effects)  # type: ignore[assignment]  # what the driver uses of it here
    answers: list[object] = []
    driver.read_index(answers.append)
    driver.step(Tick())
    driver.step(Tick())
    assert answers == [ReadConfirmed(asked[0], 7)]
