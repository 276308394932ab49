"""What the engine's thread does for the writer: runs units, and says what each gave.

Nothing here knows of consensus or of links.  A plan goes in, a report comes out; both are plain values, so that the
event loop and the engine's thread share nothing but `RunControl`.

A batch is a run of one-shot units in one SQLite transaction, each in its savepoint.  When SQLite rolls back the whole
transaction (an interrupt, OR ROLLBACK, a full disk), the unit at fault gets its error and the others are `survivors`:
nothing of them was logged, so they simply run again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final

import msgspec

from lfsql.core.entry import Record
from lfsql.core.ids import Index, Position
from lfsql.core.requests import (
    ABORTED,
    COMMIT,
    COMMITTED,
    OPEN,
    ROLLBACK,
    Describe,
    Described,
    Fault,
    LookUp,
    Operation,
    Outcome,
    Result,
    Run,
    Submit,
)
from lfsql.errors import (
    DataCorrupted,
    DiskFailed,
    InvariantBroken,
    LfsqlError,
    OutcomeUnknown,
    QueryCanceled,
    StalePlan,
)
from lfsql.node.cutting import PIECE_BYTES_MAX, UNIT_BYTES_AROUND, check_statements, cut
from lfsql.node.run_control import RunControl
from lfsql.node.work import Work, fault_of
from lfsql.storage.engine import BatchLost, Engine
from lfsql.storage.functions.limits import patience
from lfsql.storage.portal import rows_bytes
from lfsql.storage.straightness import FUNCTIONS_MAX, Straightness, TooLong, run_straight, value_bytes_max

RESULT_BYTES_MAX: Final = 4 << 10
"""A longer result is not kept for a resend: of its rows only the count is."""

SHORT_OPERATIONS_MAX: Final = 16

FATAL: Final = (DiskFailed, DataCorrupted, InvariantBroken)
"""Not the client's errors but the node's, which must end: what it would say or write next cannot be trusted."""

_encode: Final = msgspec.msgpack.Encoder().encode
_results_decoder: Final = msgspec.msgpack.Decoder(tuple[Result, ...])

SEED_BYTES: Final = 8
SEEDS: Final = 64


class UnitClock:
    """Microseconds since the Unix epoch that never go back, within this process."""

    def __init__(self) -> None:
        self._latest = 0

    def __call__(self) -> int:
        self._latest = max(self._latest, time.time_ns() // 1000)
        return self._latest


class SchemaNames:
    """The engine's number of a schema, and the log index of the record that made it.

    A schema change has no place in the log before it is logged; until SQLite commits, the engine calls it by a
    negative number of its own.  The loop tells the place, so that plans made for it are valid at once.
    """

    def __init__(self) -> None:
        self._newest: tuple[Index, Index] = (0, 0)

    def name(self, engine_index: Index, index: Index) -> None:
        """The engine's schema `engine_index` is the one made by the record at `index`."""
        self._newest = (engine_index, index)

    def of(self, engine_index: Index) -> Index:
        """The log index of the engine's schema `engine_index`, or that number itself while it has none."""
        named, index = self._newest
        return index if engine_index == named else engine_index


class Ran:
    """What one work gave.  `bodies` is what must be logged before `outcome` is true; its `index` comes after."""

    __slots__ = ("bodies", "outcome", "schema_changed", "work")

    def __init__(
        self,
        work: Work,
        outcome: Outcome | Described,
        bodies: tuple[bytes, ...] = (),
        *,
        schema_changed: bool = False,
    ) -> None:
        self.work = work
        self.outcome = outcome
        self.bodies = bodies
        self.schema_changed = schema_changed


class Plan:
    """One job.  First `commit` what is stacked, when given; then run `works`.

    `held`: the one work belongs to a transaction of several Submits; `opens` when it is its first.
    """

    __slots__ = ("begin", "commit", "held", "opens", "results", "works")

    def __init__(
        self,
        *,
        commit: tuple[Position, tuple[Index, ...]] | None = None,
        begin: bool = False,
        works: tuple[Work, ...] = (),
        held: bool = False,
        opens: bool = False,
    ) -> None:
        self.commit = commit
        self.begin = begin
        self.works = works
        self.held = held
        self.opens = opens
        self.results: list[Result] | None = None
        """What its operations gave before run_short() stopped it; run() goes on after them."""


class Report:
    """`lost`: SQLite rolled back everything since begin().  `survivors` are to be run again.

    `seconds`: how long the Submit of a held transaction ran.
    """

    __slots__ = ("committed_schema_index", "lost", "position", "ran", "seconds", "survivors")

    def __init__(self) -> None:
        self.ran: list[Ran] = []
        self.survivors: tuple[Work, ...] = ()
        self.lost = False
        self.seconds = 0.0
        self.committed_schema_index: Index = 0
        self.position = Position()
        """Where rebase() left data.db."""


class UnitRunner:
    """Runs plans on the engine.  Lives in the engine's thread.  `record_bytes_max`: of a record's body.

    Every method raises what ends the node (FATAL).
    """

    def __init__(
        self,
        engine: Engine,
        control: RunControl,
        clock: Callable[[], int],
        record_bytes_max: int,
        draw: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._draw = draw
        self._engine = engine
        self._control = control
        self._clock = clock
        self._record_bytes_max = record_bytes_max
        self._piece_bytes_max = min(PIECE_BYTES_MAX, record_bytes_max - UNIT_BYTES_AROUND)
        engine.notifications.bytes_max = min(
            engine.notifications.bytes_max, self._record_bytes_max - UNIT_BYTES_AROUND
        )
        engine.stopping.wanted = control.is_stopped
        self.names = SchemaNames()
        self._straightness = Straightness(engine.connection)
        self._schema_index = engine.schema_index
        self._seeds = b""
        """Randomness for units to come: the system is asked once for many."""
        self._opened = (0, 0)
        """Clock and seed of the unit opened last."""
        self._unit_is_short = True
        """All that ran in the open unit was: so closing or undoing it is, too."""
        self._value_bytes_max = 0
        """What a value may take in the plan that run_short() is to run; 0 elsewhere."""

    def is_short(self, plan: Plan) -> bool:
        """Whether the plan takes microseconds, whatever the data.

        To be asked once for each plan, before it runs and while no other does: the plan is part of the answer for
        the next ones of the same transaction, whose end is as long as the sum of its parts.
        """
        if not plan.held:
            return False
        if self._schema_index != self._engine.schema_index:
            self._schema_index = self._engine.schema_index
            self._straightness.forget()
        bytes_max = self._short_bytes_max(plan.works[0].question)
        self._unit_is_short = (plan.opens or self._unit_is_short) and bytes_max > 0
        short = plan.commit is None and self._unit_is_short
        self._value_bytes_max = bytes_max if short else 0
        return short

    def _short_bytes_max(self, question: Submit | LookUp | Describe) -> int:
        """How large a value what is asked may meet and stay short; 0 when it is not."""
        if not isinstance(question, Submit) or len(question.operations) > SHORT_OPERATIONS_MAX:
            return 0
        functions = size = 0
        for operation in question.operations:
            if type(operation) is not Run or operation.portal:
                return 0
            functions += self._straightness.functions(operation.sql)
            size += rows_bytes((operation.parameters,))
        if functions > FUNCTIONS_MAX:
            return 0
        bytes_max = value_bytes_max(functions)
        return bytes_max if size <= bytes_max else 0

    def run_short(self, plan: Plan) -> Report:
        """run() what is_short().  Raises TooLong when it is not after all: run() goes on with it, in a thread."""
        try:
            return self.run(plan)
        except TooLong:
            self._control.leave()
            self._unit_is_short = False
            raise
        finally:
            self._value_bytes_max = 0

    def run(self, plan: Plan) -> Report:
        """Raises what commit() raises: after the quorum that is the end of the process."""
        engine = self._engine
        patience.stopped = engine.stopping.is_due
        report = Report()
        if plan.commit is not None:
            if not engine.connection.in_transaction:
                engine.begin()  # nothing but a change of members was logged
            engine.commit(*plan.commit)
            report.committed_schema_index = engine.schema_index
        if plan.works:
            if plan.begin and plan.results is None:
                engine.begin()
            if plan.held:
                began = time.monotonic()
                self._run_held(plan, report)
                report.seconds = time.monotonic() - began
            else:
                self._run_batch(plan.works, report)
            self._control.leave()
        return report

    def abandon(self) -> Report:
        """Undo the open unit."""
        report = Report()
        try:
            self._engine.abandon_unit()
        except BatchLost:
            report.lost = True
        return report

    def rebase(self, records: Sequence[Record], works: Sequence[Work], digest: bytes) -> Report:
        """Commit what lies below the open unit: roll back, apply it from the log, run the unit's works again.

        The same clock and seed on the same content give the same results; `digest` is theirs, and if they differ
        all the same the unit is gone and `lost` is set, as when it fails.
        """
        engine = self._engine
        report = Report()
        engine.rollback()
        engine.apply(records)
        report.position, report.committed_schema_index = engine.position, engine.schema_index
        first = works[0]
        engine.begin()
        try:
            engine.open_unit(first.client, first.sequence, *self._opened)
            again = b""
            for work in works:
                results: list[Result] = []
                self._operate(work, results)
                again = chain_results(again, results)
        except BatchLost as lost:
            _raise_fatal(lost.fault)
            again = b"failed"
        except LfsqlError as error:
            _raise_fatal(error)
            again = b"failed"
        if again != digest:
            engine.rollback()
            report.lost = True
        return report

    # -- One-shot units --------------------------------------------------------------------------------------

    def _run_batch(self, works: tuple[Work, ...], report: Report) -> None:
        for number, work in enumerate(works):
            self._control.enter(work)
            try:
                ran = self._run_one(work)
            except BatchLost as lost:
                _raise_fatal(lost.fault)
                # What the others were told about the state they saw is void too: all but the culprit run again.
                report.lost = True
                report.ran = [Ran(work, self._failed(work, (), self._fault(work, lost.fault)))]
                report.survivors = works[:number] + works[number + 1 :]
                return
            finally:
                self._control.leave()
            report.ran.append(ran)

    def _run_one(self, work: Work) -> Ran:
        question = work.question
        if isinstance(question, LookUp):
            return Ran(work, self._look_up(question))
        if isinstance(question, Describe):
            return Ran(work, self.describe(question))
        recorded = None if work.known_new else self._recorded(question)
        if recorded is not None:
            return Ran(work, recorded)
        results: list[Result] = []
        try:
            self._check(work)
            self._open(work)
        except LfsqlError as error:
            _raise_fatal(error)
            return Ran(work, self._failed(work, (), error))
        try:
            self._operate(work, results)
            if question.end == ROLLBACK:
                # Only the results were wanted: a client must be told what succeeded before what failed.
                self._engine.abandon_unit()
                schema_index = self._engine.schema_index
                return Ran(work, Outcome(question.request, ABORTED, tuple(results), None, 0, schema_index))
            return self._close(work, results)
        except LfsqlError as error:
            _raise_fatal(error)
            self._engine.abandon_unit()
            return Ran(work, self._failed(work, results, self._fault(work, error)))

    # -- Transactions of several Submits ---------------------------------------------------------------------

    def _run_held(self, plan: Plan, report: Report) -> None:
        work = plan.works[0]
        self._control.enter(work)
        question = work.question
        if isinstance(question, Describe):
            report.ran.append(Ran(work, self.describe(question)))
            return
        if not isinstance(question, Submit):
            raise TypeError("only a Submit or a Describe can be a part of a transaction")
        goes_on, results = plan.results is not None, plan.results or []
        plan.results = results
        try:
            if plan.opens and not goes_on:
                recorded = None if work.known_new else self._recorded(question)
                if recorded is not None:
                    report.ran.append(Ran(work, recorded))
                    return
                self._check(work)
                self._open(work)
            report.ran.append(self._continue(work, question, results))
        except BatchLost as lost:
            _raise_fatal(lost.fault)
            report.lost = True
            report.ran.append(Ran(work, self._failed(work, results, self._fault(work, lost.fault))))
        except LfsqlError as error:
            # Only opening can fail here, apart from what is fatal: the unit does not exist.
            _raise_fatal(error)
            report.ran.append(Ran(work, self._failed(work, results, error)))

    def _continue(self, work: Work, question: Submit, results: list[Result]) -> Ran:
        engine = self._engine
        try:
            self._check_plan(work, question)
            self._operate(work, results)
        except LfsqlError as error:
            _raise_fatal(error)
            if question.end == ROLLBACK:
                engine.abandon_unit()
                return Ran(work, self._failed(work, results, self._fault(work, error)))
            fault = fault_of(self._fault(work, error))
            return Ran(work, Outcome(question.request, OPEN, tuple(results), fault, 0, engine.schema_index))
        if question.end == COMMIT:
            try:
                return self._close(work, results)
            except LfsqlError as error:
                _raise_fatal(error)
                engine.abandon_unit()
                return Ran(work, self._failed(work, results, self._fault(work, error)))
        if question.end == ROLLBACK:
            engine.abandon_unit()
            return Ran(work, Outcome(question.request, ABORTED, tuple(results), None, 0, engine.schema_index))
        return Ran(work, Outcome(question.request, OPEN, tuple(results), None, 0, engine.schema_index))

    # -- Parts of both ---------------------------------------------------------------------------------------

    def _check(self, work: Work) -> None:
        self._control.check()
        if isinstance(work.question, Submit):
            self._check_plan(work, work.question)

    def _check_plan(self, work: Work, question: Submit) -> None:
        wanted, actual = question.schema_index, self._engine.schema_index
        if wanted not in (-1, actual, self.names.of(actual)):
            raise StalePlan(f"the statement was planned for schema {wanted}, the database is at {actual}")
        check_statements(work, self._record_bytes_max)

    def _open(self, work: Work) -> None:
        if len(self._seeds) < SEED_BYTES:
            self._seeds = self._draw(SEEDS * SEED_BYTES)
        seed = int.from_bytes(self._seeds[-SEED_BYTES:]) >> 1
        self._seeds = self._seeds[:-SEED_BYTES]
        self._opened = (max(self._clock(), self._engine.clock_us), seed)
        self._engine.open_unit(work.client, work.sequence, *self._opened)

    def _operate(self, work: Work, results: list[Result]) -> None:
        operations: tuple[Operation, ...] = work.question.operations if isinstance(work.question, Submit) else ()
        engine, bytes_max = self._engine, self._value_bytes_max
        if not results:
            engine.restart_results()
        for operation in operations[len(results) :]:
            self._control.check()
            results.append(run_straight(engine, operation, bytes_max) if bytes_max else engine.run(operation))

    def _close(self, work: Work, results: list[Result]) -> Ran:
        engine = self._engine
        request = work.question.request
        outcome = Outcome(request, COMMITTED, tuple(results), None, 0, engine.schema_index)
        if engine.unit_is_readonly:
            engine.abandon_unit()
            return Ran(work, outcome)
        encoded = _encode(outcome.results)
        if len(encoded) > RESULT_BYTES_MAX:
            encoded = _encode(tuple(Result((), result.rows_changed) for result in results))
        unit = engine.close_unit(encoded)
        return Ran(work, outcome, cut(unit, self._piece_bytes_max), schema_changed=unit.schema_changed)

    def _failed(self, work: Work, results: Sequence[Result], error: LfsqlError) -> Outcome:
        schema_index = self._engine.schema_index
        return Outcome(work.question.request, ABORTED, tuple(results), fault_of(error), 0, schema_index)

    def _fault(self, work: Work, error: LfsqlError) -> LfsqlError:
        """An interrupt says only that it was one; whoever sent it knows why."""
        if isinstance(error, QueryCanceled) and work.stopped is not None:
            return work.stopped
        return error

    def _recorded(self, question: Submit | LookUp) -> Outcome | None:
        recorded = self._engine.look_up(question.client, question.sequence)
        if recorded is None:
            return None
        if recorded.sequence != question.sequence:
            fault = superseded(question.client, question.sequence)
            return Outcome(question.request, ABORTED, (), fault, 0, self._engine.schema_index)
        results = _results_decoder.decode(recorded.result) if recorded.result else ()
        return Outcome(question.request, COMMITTED, results, None, recorded.index, self._engine.schema_index)

    def _look_up(self, question: LookUp) -> Outcome:
        found = self._recorded(question)
        return Outcome(question.request, ABORTED, schema_index=self._engine.schema_index) if found is None else found

    def describe(self, question: Describe) -> Described:
        try:
            described = self._engine.describe(question.sql)
        except LfsqlError as error:
            _raise_fatal(error)
            return Described(question.request, fault=fault_of(error))
        return Described(question.request, described.columns, described.parameters, described.readonly)


def _raise_fatal(error: LfsqlError) -> None:
    if isinstance(error, FATAL):
        raise error


def chain_results(digest: bytes, results: Sequence[Result]) -> bytes:
    """A digest of the results of a transaction's Submits so far, given that of those before."""
    return blake2b(digest + _encode(results), digest_size=16).digest()


def superseded(client: str, sequence: int) -> Fault:
    return fault_of(
        OutcomeUnknown(f"unit {sequence} of client '{client}' is followed by a later one; its result is not kept")
    )
