"""A question that waits for the writer, who asked it, and how an error becomes a value."""

from __future__ import annotations

from typing import Protocol

from lfsql.core.ids import Index
from lfsql.core.requests import ABORTED, Answer, Describe, Described, Fault, LookUp, Outcome, Result, Submit
from lfsql.errors import LfsqlError
from lfsql.node.alarm import NEVER
from lfsql.node.clock import boot_clock


class Asker(Protocol):
    """One link of a proxy or a command.  Numbers grow in the order in which links were accepted."""

    number: int

    def answer(self, message: Answer) -> None:
        """Send an answer; drop it when the link is gone.  Never raises."""


class Work:
    """One question on its way through the writer.

    `known_new`: this primary has seen an earlier sequence of the client, so nothing can be recorded of this one.
    `asked_at`: when it arrived, on the clock that consensus uses; now when not given.
    `stopped`: a cancel or a time limit, `over`: too late for one; both are `lfsql.node.run_control`'s.
    `waits_until`: when it has waited for the writer for too long, on trio's clock.
    """

    __slots__ = (
        "asked_at",
        "asker",
        "client",
        "known_new",
        "over",
        "question",
        "sequence",
        "size",
        "stopped",
        "waits_until",
    )

    def __init__(
        self, asker: Asker, question: Submit | LookUp | Describe, size: int, asked_at: float | None = None
    ) -> None:
        self.asker = asker
        self.asked_at = boot_clock() if asked_at is None else asked_at
        self.question = question
        self.size = size
        self.client = question.client
        self.sequence = 0 if isinstance(question, Describe) else question.sequence
        self.known_new = False
        self.stopped: LfsqlError | None = None
        self.over = False
        self.waits_until = NEVER


def fault_of(error: LfsqlError) -> Fault:
    """The error as a value for the link."""
    return Fault(
        error.sqlstate,
        error.message,
        error.detail,
        error.hint,
        error.schema,
        error.table,
        error.column,
        error.datatype,
        error.constraint,
    )


def refusal(
    request: int,
    error: LfsqlError,
    *,
    results: tuple[Result, ...] = (),
    state: int = ABORTED,
    schema_index: Index = 0,
) -> Outcome:
    return Outcome(request, state, results, fault_of(error), schema_index=schema_index)


def run_ms_max(work: Work) -> int:
    """How long the work may run; 0 = no limit."""
    return work.question.run_ms_max if isinstance(work.question, Submit) else 0


def refuse(work: Work, error: LfsqlError, schema_index: Index = 0) -> None:
    """Answer the question with an error: nothing was done."""
    request = work.question.request
    if isinstance(work.question, Describe):
        work.asker.answer(Described(request, fault=fault_of(error)))
    else:
        work.asker.answer(refusal(request, error, schema_index=schema_index))
