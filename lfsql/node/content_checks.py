"""Whether this node's database holds what the others' do: looked at from time to time, in the background.

The digest of each entry finds what goes wrong while it is applied.  This finds what goes wrong with rows that nobody
touches: a bit that flipped on the disk, a file that somebody edited or put in another's place.

*One position.*  Contents can be compared at one position of the log only.  The primary chooses it: a moment at which
SQLite has committed everything that is in its log.  Under load that comes with each commit, before the next layer is
proposed; without load it is always.  There it takes a snapshot and tells the others, on the links on which the
records that follow will come: so each hears of it before it could have passed the position, stops there for the time
that taking a snapshot needs, and goes on.  Nobody who writes or reads waits.

*One pass.*  Each node then reads its snapshot, in a thread of the lowest priority that rests three times as long as
it works, and tells all others the hash.  SQLite's own check of pages and indexes goes with it.

*The majority is right.*  A node that differs from what most voters have takes itself out, the primary too.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import outcome
import trio

from lfsql.config import NodeConfig
from lfsql.core.contents import Comparison, compare
from lfsql.core.ids import Index, NodeId, Position
from lfsql.core.membership import VOTER, Member
from lfsql.core.messages import CheckContent, ContentChecked
from lfsql.errors import DataCorrupted, InvariantBroken, LfsqlError
from lfsql.node.applier import Applier
from lfsql.node.driver import Driver
from lfsql.node.progress import Progress
from lfsql.storage.content_snapshot import Checked, CheckStopped, ContentSnapshot
from lfsql.storage.log_rows import follow
from lfsql.storage.reads import in_thread
from lfsql.storage.statement_log import StatementLog

logger: Final = logging.getLogger(__name__)

SOON_S: Final = 60.0
"""A node that came back is looked at after that time, not only after the interval."""
STAND_S_MAX: Final = 30.0
"""How long the primary waits for a position, and a replica to reach it: one that needs longer is not compared."""
_LOG_BYTES: Final = 4 << 20
_ROUND_BITS: Final = 48


class ContentChecks:
    """One node's.  `run` must run in a task."""

    def __init__(
        self,
        config: NodeConfig,
        applier: Applier,
        progress: Progress,
        log: StatementLog,
        driver: Driver,
        *,
        members: Callable[[], Sequence[Member]],
        leads: Callable[[], bool],
        send: Callable[[NodeId, CheckContent | ContentChecked], None],
        on_fault: Callable[[str], None],
    ) -> None:
        """`members`: as they are now.  `leads`: this node is primary, and its writer takes work."""
        self._node = config.name
        self._path = Path(config.data_dir) / "data.db"
        self._interval_s = config.content_check_interval_ms / 1000
        self._applier = applier
        self._progress = progress
        self._log = log
        self._driver = driver
        self._members = members
        self._leads = leads
        self._send = send
        self._on_fault = on_fault
        self._asked: CheckContent | None = None
        """What is to be done: a position that the primary told, or, without one, the primary's own choice."""
        self._wake = trio.Event()
        self._current = trio.CancelScope()
        self._hurried = False
        self._came = trio.Event()
        self._answers: dict[NodeId, ContentChecked] = {}
        """The newest of each node, this one included."""
        self.agreed_index: Index = 0
        """The newest position at which this node was found to have what most have."""
        self.disagreement = ""
        """What is known to be wrong among the nodes and cannot be decided; '' when nothing is."""
        self._told: set[tuple[Position, NodeId]] = set()
        self._changed = trio.Event()

    @property
    def voters(self) -> list[NodeId]:
        """Those whose content counts for the majority."""
        return [member.node for member in self._members() if member.role == VOTER]

    # -- Called in the event loop, without waiting --------------------------------------------------------------

    def start(self, *, with_log: bool = False, hurry: bool = False) -> None:
        """This node, the primary, has all check their content at a position that it chooses."""
        self._hurried = hurry
        self._ask(CheckContent(Position(), secrets.randbits(_ROUND_BITS), with_log))

    def heard(self, sender: NodeId, message: CheckContent | ContentChecked) -> None:
        """From another node: the primary, when it is a CheckContent."""
        if isinstance(message, ContentChecked):
            self._answers[sender] = message
            self._judge()
        elif self._applier.quarantined:
            self._send(sender, ContentChecked(message.position, message.round, b"", "quarantined"))
        elif not self._leads():
            self._ask(message)
            self._applier.stop_at(message.position.index)

    def node_came(self) -> None:
        """Another node is connected again: who knows what happened to its disk."""
        self._came.set()

    async def wait_changed(self) -> None:
        """Return when there is a further answer."""
        await self._changed.wait()

    def _ask(self, message: CheckContent) -> None:
        if self._asked is not None:  # nobody has begun with it, so nobody would have the applier go on
            self._applier.go_on(self._asked.position.index)
        self._asked = message
        self._current.cancel()
        self._wake.set()

    # -- Tasks ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Check when it is time and when asked, until cancelled."""
        async with trio.open_nursery() as nursery:
            if self._interval_s:
                nursery.start_soon(self._keep_time)
            while True:
                await self._wake.wait()
                self._wake = trio.Event()
                asked, self._asked = self._asked, None
                if asked is None:
                    continue
                with trio.CancelScope() as self._current:
                    try:
                        await self._check(asked)
                    except (LfsqlError, CheckStopped) as error:
                        logger.warning("the content could not be checked: %s", error)

    async def _keep_time(self) -> None:
        due = trio.current_time() + self._interval_s
        while True:
            with trio.move_on_at(due):
                await self._came.wait()
                self._came = trio.Event()
                due = min(due, trio.current_time() + SOON_S)
                continue
            due = trio.current_time() + self._interval_s
            if self._leads():
                self.start()

    async def _check(self, asked: CheckContent) -> None:
        snapshot: ContentSnapshot | None = None
        try:
            snapshot = await in_thread(lambda: ContentSnapshot(self._path), discard=ContentSnapshot.close)
            position = await self._stand(snapshot, asked)
            if position is None:
                return
            snapshot.pace.hurry = self._hurried or asked.with_log
            content, fault = await _checked(snapshot)
        except DataCorrupted as error:
            if len(self._members()) > 1:  # else there is nobody to have it from again
                self._on_fault(f"{error.message}: {error.detail}")
            return
        finally:
            self._applier.go_on(asked.position.index)
            if snapshot is not None:
                snapshot.close()
        base, log_fault = await self._check_log(position) if asked.with_log else (0, "")
        answer = self._answers[self._node] = ContentChecked(position, asked.round, content, fault, base, log_fault)
        self._tell(answer)
        self._judge()

    async def _stand(self, snapshot: ContentSnapshot, asked: CheckContent) -> Position | None:
        """Begin the snapshot at the position to check; None when it cannot be reached."""
        position: Position | None = None
        with trio.move_on_after(STAND_S_MAX):
            if asked.position.index:
                position = await self._stand_where_told(snapshot, asked.position)
            else:
                position = await self._choose(snapshot, asked)
        self._applier.go_on(asked.position.index)
        return position

    async def _stand_where_told(self, snapshot: ContentSnapshot, told: Position) -> Position | None:
        await self._applier.stopped()
        position = snapshot.begin()
        if position.index != told.index:
            logger.info("this node has passed index %d, its content is not compared", told.index)
            return None
        if position != told:
            self._on_fault(f"at index {told.index} it was made from another log than the primary's")
            return None
        return position

    async def _choose(self, snapshot: ContentSnapshot, asked: CheckContent) -> Position:
        """Stand where SQLite has all that is in the log, and tell the others where that is."""
        found: list[outcome.Outcome[Position]] = []
        stands = trio.Event()

        def look() -> None:
            if found or not self._leads() or self._progress.position != self._driver.consensus.last:
                return
            found.append(outcome.capture(snapshot.begin))
            stands.set()
            if isinstance(found[0], outcome.Value):
                self._tell(CheckContent(found[0].value, asked.round, asked.with_log))

        self._progress.on_advance = look
        try:
            look()
            await stands.wait()
        finally:
            self._progress.on_advance = None
        return found[0].unwrap()

    async def _check_log(self, position: Position) -> tuple[Index, str]:
        """(base, what is wrong with the records from there up to `position`)."""
        base = last = self._log.base
        while last.index < position.index:
            try:
                records = await self._log.read(last.index + 1, position.index, _LOG_BYTES)
                if not records:
                    base = last = self._log.base  # compacted meanwhile
                    continue
                last = follow(last, records)
            except (DataCorrupted, InvariantBroken) as error:
                return base.index, error.message
        same = last == position or base.index > position.index
        return base.index, "" if same else f"record {position.index} is another one than the primary's"

    def _tell(self, message: CheckContent | ContentChecked) -> None:
        for member in self._members():
            if member.has_data and member.node != self._node:
                self._send(member.node, message)

    # -- What follows from the answers ------------------------------------------------------------------------------

    @property
    def own(self) -> ContentChecked | None:
        """This node's newest answer."""
        return self._answers.get(self._node)

    def answer_of(self, node: NodeId) -> ContentChecked | None:
        """A node's in the same check as `own`."""
        own, answer = self.own, self._answers.get(node)
        if own is None or answer is None or (answer.position, answer.round) != (own.position, own.round):
            return None
        return answer

    def comparison(self) -> Comparison:
        """Of what is known in the check of `own`."""
        known = {node: answer for node in self._answers if (answer := self.answer_of(node)) is not None}
        return compare(known, self.voters)

    def _judge(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
        own = self.own
        if own is None:
            return
        found = self.comparison()
        index = own.position.index
        for node in found.differing:
            if (own.position, node) not in self._told:
                self._told = {(at, other) for at, other in self._told if at == own.position} | {(own.position, node)}
                answer = self._answers[node]
                if answer.content:
                    told = f": {answer.fault}" if answer.fault else ""
                    logger.error(
                        "the content of node '%s' at index %d differs from that of the majority%s", node, index, told
                    )
                else:
                    logger.warning("node '%s' has nothing to compare at index %d: %s", node, index, answer.fault)
        self.disagreement = ""
        if self._node in found.differing:
            told = f": {own.fault}" if own.fault else ""
            self._on_fault(f"its content at index {index} differs from that of the majority{told}")
        elif found.decided:
            self.agreed_index = max(self.agreed_index, index)
        elif found.undecidable:
            self.disagreement = f"the contents of the nodes at index {index} differ, and no majority has the same"
            logger.critical("%s", self.disagreement)


async def _checked(snapshot: ContentSnapshot) -> Checked:
    """snapshot.check() in a thread of its own.  Cancelled, it is stopped and its end waited for."""
    token = trio.lowlevel.current_trio_token()
    finished = trio.Event()
    results: list[outcome.Outcome[Checked]] = []

    def run() -> None:
        results.append(outcome.capture(snapshot.check))
        with contextlib.suppress(trio.RunFinishedError):
            token.run_sync_soon(finished.set)

    threading.Thread(target=run, name="lfsql-content-check", daemon=True).start()
    try:
        await finished.wait()
    except trio.Cancelled:
        snapshot.stop()
        with trio.CancelScope(shield=True):
            await finished.wait()
        raise
    return results[0].unwrap()
