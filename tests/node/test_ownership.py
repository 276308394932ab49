"""What the owner of the writer may have waiting."""

from __future__ import annotations

from lfsql.core.requests import HOLD, Answer, Submit
from lfsql.errors import LfsqlError, QueueFull
from lfsql.node.clients import Clients
from lfsql.node.ownership import QUEUE_BYTES_MAX, QUEUE_MAX, Ownership
from lfsql.node.run_control import RunControl
from lfsql.node.work import Work
from lfsql.node.write_queue import WriteQueue


class FakeAsker:
    number = 1

    def answer(self, message: Answer) -> None:
        raise AssertionError(f"{message} was not asked for")


def work(size: int) -> Work:
    return Work(FakeAsker(), Submit(request=1, client="c", sequence=1, operations=(), end=HOLD), size)


def asked(size: int, times: int) -> tuple[int, list[LfsqlError]]:
    """How many works wait, and the refusals, when the owner asks so often."""
    refused: list[LfsqlError] = []

    def refuse(_work: Work, error: LfsqlError) -> None:
        refused.append(error)

    ownership = Ownership(
        Clients(10),
        WriteQueue(10, refuse),
        RunControl(lambda: None),
        1_000,
        refuse,
    )
    ownership.take(work(size))
    for _ in range(times):
        ownership.ask(work(size))
    return len(ownership.present.queue), refused


def test_the_owners_queue_is_bounded_in_number_and_in_bytes() -> None:
    waiting, refused = asked(1, QUEUE_MAX + 9)
    assert (waiting, len(refused)) == (QUEUE_MAX, 10)
    waiting, refused = asked(QUEUE_BYTES_MAX // 4, 9)
    assert (waiting, len(refused)) == (4, 6)
    assert all(isinstance(error, QueueFull) for error in refused)


def test_a_lone_request_of_any_size_is_taken() -> None:
    refused: list[LfsqlError] = []

    def refuse(_work: Work, error: LfsqlError) -> None:
        refused.append(error)

    ownership = Ownership(
        Clients(10),
        WriteQueue(10, refuse),
        RunControl(lambda: None),
        1_000,
        refuse,
    )
    ownership.take(work(1))
    ownership.present.queue.clear()
    ownership.ask(work(QUEUE_BYTES_MAX * 2))
    assert not refused
