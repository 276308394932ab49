"""The write path: from a Submit that arrives to an Outcome that is true.

Everything here runs in the event loop and never waits.  Each event (a question, a finished job, a commit, a timer)
updates the state and calls `pump`, which starts the next job when the engine is free.  Tasks and conditions in
between would cost a pass of the scheduler each.
Short work.  A Submit of a transaction that takes a bounded number of steps (`lfsql.storage.straightness`) runs in the
event loop: pgbench's whole transaction does.  One-shot units go to the thread, and gather into batches meanwhile.

Order.  Questions queue in order of arrival.  The pump takes either a run of one-shot units, which becomes a batch, or
one Submit that ends in HOLD, whose client then owns the writer until it commits, rolls back, idles too long or
goes away.  A batch or a finished transaction is proposed to consensus as one layer; the next executes on top at once.
COMMIT comes when the quorum holds the youngest layer and nobody owns the writer; so that this is reached under any
load, no layer is added once the stack is old, high or large (`_is_full`).
An owner that is silent for a moment would keep SQLite from committing what lies below its transaction, long since
acknowledged.  Then it is rebased: rolled back, what lies below is applied from the log, its statements run again.
A result within an open transaction is answered at once, though layers below it may still wait for their quorum.  If
they are lost, so is the transaction, and its client is told; a transaction that only read waits like any other, and
until a quorum has confirmed that this node is still primary.
When SQLite loses the whole transaction (BatchLost), the layers below are in the log but no longer in SQLite.  Then
the reign pauses: the applier brings SQLite to the end of what was proposed, as on a replica, and the reign resumes.

Leadership lost: SQLite rolls back, work in the log gets OutcomeUnknown, all other gets NotPrimary.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import outcome
import trio

from lfsql.config import NodeLimits
from lfsql.core.effects import ProposalRefused
from lfsql.core.entry import UNIT
from lfsql.core.ids import Index, NodeId, Term
from lfsql.core.requests import ABORTED, OPEN, ROLLBACK, LookUp, Outcome, Submit
from lfsql.errors import (
    IdleInTransaction,
    LfsqlError,
    NotPrimary,
    OutcomeUnknown,
    QueryCanceled,
    SerializationFailure,
    ShuttingDown,
)
from lfsql.node.alarm import NEVER, Alarm
from lfsql.node.batch import Plan, Ran, Report, UnitRunner
from lfsql.node.carrying import Carrier
from lfsql.node.clients import Clients, Owner
from lfsql.node.confirmations import Confirmations
from lfsql.node.cutting import record_bytes_max
from lfsql.node.engine_thread import Done, EngineJobs
from lfsql.node.gathering import Gathering
from lfsql.node.ledger import Ledger
from lfsql.node.member_changes import MemberChanges
from lfsql.node.ownership import REBASE_SECONDS, Ownership
from lfsql.node.progress import Progress
from lfsql.node.run_control import RunControl
from lfsql.node.work import Asker, Work, refuse, run_ms_max
from lfsql.node.write_queue import WriteQueue
from lfsql.storage.straightness import TooLong

logger: Final = logging.getLogger(__name__)

Given = TypeVar("Given")


class Writer:
    """One node's writer.  It serves during `reign`; at all other times it refuses."""

    def __init__(
        self,
        node: NodeId,
        thread: EngineJobs,
        driver: Carrier,
        progress: Progress,
        limits: NodeLimits,
        *,
        clock_us: Callable[[], int],
        draw: Callable[[int], bytes] = os.urandom,
        room: Callable[[], int] | None = None,
    ) -> None:
        """`clock_us`: microseconds since the Unix epoch, never going back; `draw`: so many random bytes; `room`: how
        many units may be taken now, and after 0 somebody calls pump()."""
        self._node = node
        self._thread = thread
        self._driver = driver
        self._progress = progress
        self._limits = limits
        self._control = RunControl(thread.engine.interrupt)
        self._runner = UnitRunner(thread.engine, self._control, clock_us, record_bytes_max(limits), draw)
        self._clients = Clients(limits.client_records_max)
        self._ledger = Ledger(self._runner.names, Confirmations(driver), driver.clock)
        self._stack = self._ledger.stack
        self.member_changes = MemberChanges(driver, self._ledger, self.pump)
        self._term: Term = 0
        self._reigning = False
        self._expecting = False
        """Not serving now, but soon: questions wait."""
        self._catch_up = False
        self._ending: LfsqlError | None = None
        self._quitting: LfsqlError | None = None
        self._finished = trio.Event()
        self._failure: BaseException | None = None

        self._busy = False
        self._running: tuple[Work, ...] = ()
        self._queue = WriteQueue(limits.write_queue_units_max, self._refuse)
        self._room = room or (lambda: limits.batch_units_max)
        self._ownership = Ownership(
            self._clients, self._queue, self._control, limits.transaction_idle_ms_max, self._refuse
        )
        self._gathered = Gathering(self._log)
        self._idle_alarm = Alarm(self._check_idle)
        self._run_alarm = Alarm(lambda: trio.current_time() + self._control.enforce_limit(self._running))

    # -- Questions -------------------------------------------------------------------------------------------

    def resume_index(self, term: Term) -> Index:
        """What must be applied before this writer may reign again in `term`."""
        return self._ledger.proposed if term == self._term else 0

    def owns(self, client: str) -> bool:
        """Whether the client's transaction holds the writer."""
        return self._ownership.is_of(client)

    def ask(self, work: Work) -> None:
        """Take a Submit or LookUp, or a Describe of a client that owns the writer.  Answered in any case."""
        serving = self._reigning or self._expecting
        why = self._quitting or (self._clients.spoke(work) if serving else self._not_primary())
        if why is not None:
            self._refuse(work, why)
            return
        owner = self._ownership.owner
        if owner is not None and owner.client == work.client and not self._ownership.abandoned:
            if owner.link != work.asker.number:
                # The same client on a new link: its old one is gone, and with it the transaction.
                self._drop_owner(None)
            elif not isinstance(work.question, LookUp):
                self._ownership.ask(work)
                self.pump()
                return
        if self._queue.take_in(work, free=owner is None):
            self.pump()

    def cancel(self, asker: Asker, request: int) -> None:
        """Make the asker's request fail with 57014 when it waits or runs; nothing otherwise."""
        error = QueryCanceled("canceling statement due to user request")

        def is_meant(work: Work) -> bool:
            meant = work.asker is asker and work.question.request == request
            return meant and not isinstance(work.question, LookUp)

        self._queue.refuse(is_meant, error)
        for work in (*self._running, *(owner.queue if (owner := self._ownership.owner) is not None else ())):
            if is_meant(work):
                self._control.stop(work, error)
                return

    def forget(self, asker: Asker, client: str) -> None:
        """The client's session ended: roll back what it holds, drop what it queued."""
        if not self._clients.forget(client, asker.number):
            return
        self._queue.refuse(lambda work: work.client == client, None)
        if self.owns(client):
            self._drop_owner(None)

    def asker_lost(self, asker: Asker) -> None:
        """The link is gone: so are its transactions and what it queued."""
        self._queue.refuse(lambda work: work.asker is asker, None)
        owner = self._ownership.owner
        if owner is not None and owner.link == asker.number:
            self._drop_owner(None)

    # -- What consensus says ---------------------------------------------------------------------------------

    def committed(self, index: Index) -> None:
        """A quorum holds the log up to `index`."""
        self._ledger.commit(index)
        self.pump()

    def durable(self, index: Index) -> None:
        """This node's disk holds the log up to `index`."""
        self._ledger.durable(index)

    def expect_reign(self) -> None:
        """This node was elected: from now on questions wait for the reign instead of being refused."""
        self._expecting = True

    def depose(self) -> None:
        """This node is not, or no longer, primary."""
        self._expecting = False
        self._ledger.fail(OutcomeUnknown("the primary lost its place before the outcome was known"))
        if self._reigning:
            self._end(self._not_primary())
        else:
            self._queue.refuse(lambda _work: True, self._not_primary())

    def quit(self, error: LfsqlError) -> None:
        """Take nothing new, refuse what waits, and end the reign when what is logged is committed or lost."""
        self._quitting = error
        self._queue.refuse(lambda _work: True, error)
        if self._ownership.owner is not None:
            self._drop_owner(error)
        self._gathered.flush()
        self.pump()

    # -- The reign -------------------------------------------------------------------------------------------

    async def reign(self, term: Term, committed: Index) -> None:
        """Serve as primary of `term` until deposed, or until SQLite must catch up with what was proposed.

        The engine must stand at the end of the log.  Raises what must end the node: DiskFailed and the like.
        """
        self.open_reign(term, committed)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._gathered.alarm.run)
            nursery.start_soon(self._idle_alarm.run)
            nursery.start_soon(self._queue.alarm.run)
            nursery.start_soon(self._run_alarm.run)
            try:
                await self._finished.wait()
            finally:
                if not self._finished.is_set():
                    # Cancelled: the engine is closed next, so what runs and what is open must end first.
                    self._end(ShuttingDown("the node is shutting down"))
                    with trio.CancelScope(shield=True):
                        await self._finished.wait()
                self.member_changes.refuse()
            nursery.cancel_scope.cancel()
        self.raise_failure()

    def open_reign(self, term: Term, committed: Index) -> None:
        if term != self._term:
            self._clients.new_term()
        self._ledger.open_reign(committed, new_term=term != self._term)
        self._term = term
        self._ending, self._failure, self._catch_up = None, None, False
        self._finished = trio.Event()
        self._reigning, self._expecting = True, True
        self.pump()

    @property
    def reigning(self) -> bool:
        """Between open_reign() and the end of the reign; the engine is the applier's at all other times."""
        return self._reigning

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _end(self, error: LfsqlError) -> None:
        if self._ending is None:
            self._ending = error
            self._expecting = False
        for work in self._running:
            self._control.stop(work, error)
        self.pump()

    # -- The pump --------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Start the next job, when there is one and the engine is free."""
        while self._reigning and not self._busy:
            free = self._ownership.owner is None and not self._stack.layers
            if free and self._ending is None and self._quitting is not None:
                self._ending = self._quitting
            if self._ending is not None or self._catch_up:
                self._start_rollback()
            elif self._ownership.abandoned or self._ownership.is_left:
                self._hand_over(self._runner.abandon, self._take_abandoned)
            else:
                self.member_changes.log(self._term)
                plan = self._choose()
                if plan is None:
                    return
                self._start(plan)

    def _choose(self) -> Plan | None:
        stack, owner = self._stack, self._ownership.owner
        if owner is not None:
            return Plan(works=(owner.queue[0],), held=True) if owner.queue else None
        commit = None if self._gathered else self._ledger.due
        works: tuple[Work, ...] = ()
        held = False
        if self._queue and (commit is not None or not stack.is_full(self._driver.clock())) and (room := self._room()):
            works, held = self._queue.take(room, self._limits.batch_bytes_max, self._is_answered)
        if held:
            if (why := self._ledger.overtaken(works[0], unlogged=bool(self._gathered))) is not None:
                self._refuse(works[0], why)
                return self._choose()
            self._ownership.take(works[0])
        if not works and commit is None:
            self._gathered.flush()
            return None
        begin = bool(works) and (commit is not None or not stack.begun)
        return Plan(commit=commit, begin=begin, works=works, held=held, opens=held)

    def _is_answered(self, work: Work) -> bool:
        """Whether the work is logged and not yet committed; its answer then waits with the first one's."""
        if self._gathered.has(work.client):
            self._gathered.flush()
        if isinstance(work.question, Submit):
            work.known_new = self._clients.is_new(work.client, work.sequence)
        answer = None if work.known_new else self._ledger.repetition(work)
        if answer is None:
            return False
        self._ledger.promise(work, answer)
        return True

    def _start(self, plan: Plan) -> None:
        self._busy = True
        self._running = plan.works
        self._stack.begun = self._stack.begun or plan.begin
        run, take = partial(self._runner.run, plan), partial(self._take_report, plan)
        if self._runner.is_short(plan):
            # Two threads waking each other cost ten times the work itself.
            done = outcome.capture(self._runner.run_short, plan)
            if not (isinstance(done, outcome.Error) and isinstance(done.error, TooLong)):
                self._finish(take, done)
                return
        limits = [limit for work in plan.works if (limit := run_ms_max(work))]
        if limits:
            self._run_alarm.set(trio.current_time() + min(limits) / 1000)
        self._hand_over(run, take)

    def _start_rollback(self) -> None:
        for ran in self._gathered.take():
            self._refuse(ran.work, self._not_primary())
        begun, self._stack.begun = self._stack.begun, False
        self._hand_over(self._thread.engine.rollback if begun else lambda: None, self._take_rolled_back)

    def _rebase(self, owner: Owner, done: list[Work]) -> None:
        """Let SQLite commit what lies below an owner that makes it wait."""
        self._gathered.flush()
        if self._busy or self._ledger.due is None:
            return
        records = self._driver.consensus.records(self._progress.index + 1, self._stack.top.index)
        if records is not None:
            self._hand_over(partial(self._runner.rebase, records, done, owner.digest), self._take_rebased)

    def _hand_over(self, job: Callable[[], Given], take: Callable[[Given], None]) -> None:
        """Have the engine's thread do `job`, and `take` its result."""
        self._busy = True
        self._thread.start(lambda _engine: job(), partial(self._done, take))

    # -- Results of jobs -------------------------------------------------------------------------------------

    def _done(self, take: Callable[[Given], None], done: Done[Given]) -> None:
        """Called by trio's own machinery, where an exception would be its internal error: `reign` raises it."""
        self._finish(take, done)
        self.pump()

    def _finish(self, take: Callable[[Given], None], done: Done[Given]) -> None:
        try:
            take(done.unwrap())
            self._busy = False
        except BaseException as error:
            self._fail(error)

    def _take_abandoned(self, report: Report) -> None:
        self._ownership.give_up()
        if report.lost:
            self._lose(report)

    def _take_rebased(self, report: Report) -> None:
        self._stack.clear()
        self._stack.begun = not report.lost
        self._progress.advance(report.position, report.committed_schema_index)
        if report.lost:
            if not self._ownership.abandoned:
                self._ownership.end(SerializationFailure("the transaction could not be run again"))
            self._ownership.give_up()
        else:
            # The alarm may have rung meanwhile, and found the engine busy.
            self._idle_alarm.set(self._ownership.idle_until())

    def _take_rolled_back(self, _nothing: None) -> None:
        self._stack.clear()
        if self._ending is not None:
            if self._ownership.owner is not None:
                self._ownership.end(self._ending)
            self._ownership.give_up()
            self._queue.refuse(lambda _work: True, self._ending)
        self._reigning = False
        self._finished.set()

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self._busy = self._reigning = self._expecting = False
        self._finished.set()

    def _take_report(self, plan: Plan, report: Report) -> None:
        self._running = ()
        if plan.commit is not None:
            self._stack.clear()
            self._stack.begun = plan.begin
            self._progress.advance(plan.commit[0], report.committed_schema_index)
        if report.lost:
            self._lose(report)
        if plan.held:
            self._take_held(plan, report.ran[0], report.seconds)
        elif plan.works:
            self._take_batch(report)

    def _take_batch(self, report: Report) -> None:
        self._gathered.flush()
        if logged := [ran for ran in report.ran if ran.bodies]:
            self._log(logged)
        for ran in report.ran:
            if not ran.bodies:
                self._ledger.promise(ran.work, ran.outcome)

    def _take_held(self, plan: Plan, ran: Ran, seconds: float) -> None:
        owner, outcome, question = self._ownership.present, ran.outcome, ran.work.question
        owner.queue.popleft()
        if not isinstance(outcome, Outcome) or outcome.state == OPEN:
            ran.work.asker.answer(outcome)
            if isinstance(outcome, Outcome):
                self._ownership.ran(ran.work, outcome, seconds)
            self._idle_alarm.set(min(owner.due, owner.idle_since + REBASE_SECONDS))
            return
        self._ownership.abandoned = False
        if outcome.state == ABORTED and isinstance(question, Submit) and question.end != ROLLBACK and not plan.opens:
            self._ownership.end(SerializationFailure("the transaction was rolled back by an earlier error"))
        self._ownership.give_up()
        if ran.bodies:
            self._gathered.add(ran, others_wait=bool(self._queue))
        elif outcome.state == ABORTED and not plan.opens:
            # Its rollback, or the error that ended it: the client has seen all that this says already.
            ran.work.asker.answer(outcome)
        else:
            self._gathered.flush()
            self._ledger.promise(ran.work, outcome)

    def _log(self, layer: list[Ran]) -> None:
        """Hand one layer to consensus.  When it is refused, nothing was logged, and the reign ends."""
        if not self._ledger.closed:
            answer = self._driver.propose(self._term, tuple((UNIT, body) for ran in layer for body in ran.bodies))
            if not isinstance(answer, ProposalRefused):
                self._ledger.log(layer, answer.first, self._driver.consensus.last)
                for ran in layer:
                    self._clients.ran(ran.work.client, ran.work.sequence)
                return
            logger.warning("consensus refused %d units: %s", len(layer), answer.reason)
            self._ledger.close(NotPrimary(primary=answer.primary))
            self._end(NotPrimary(primary=answer.primary))
        for ran in layer:
            self._refuse(ran.work, self._not_primary())

    def _lose(self, report: Report) -> None:
        """SQLite rolled back everything since begin(): layers below must be applied again from the log."""
        self._gathered.flush()
        self._queue.put_back(report.survivors)
        self._catch_up = self._stack.layers > 0
        self._stack.clear()

    def _drop_owner(self, error: LfsqlError | None) -> None:
        """Undo the owner's transaction.  `error` is what its client hears next; None when nobody is there."""
        self._ownership.abandon(error, self._running)
        self.pump()

    def _check_idle(self) -> float:
        if self._busy:
            return NEVER  # whatever runs sets the alarm when it leaves the transaction open
        now, until = trio.current_time(), self._ownership.idle_until()
        if until == NEVER:
            return NEVER
        owner = self._ownership.present
        if now >= until:
            logger.info("client '%s' let its transaction idle for %d ms", owner.client, owner.idle_ms_max)
            self._drop_owner(IdleInTransaction("terminating connection due to idle-in-transaction timeout"))
            return NEVER
        if not self._stack.layers or owner.done is None:
            return until
        self._rebase(owner, owner.done)
        return min(until, now + REBASE_SECONDS)

    def _refuse(self, work: Work, error: LfsqlError) -> None:
        refuse(work, error, self._progress.schema_index)

    def _not_primary(self) -> NotPrimary:
        return NotPrimary(primary=name if (name := self._driver.consensus.primary) != self._node else "")
