"""Damaged records of log.db are put right from other nodes' logs, before this node takes part again.

A node with a damaged log must not vote, or lead: it would promise what it no longer holds.  And it must not cut its
log there: what it acknowledged may be on no more than a quorum's disks, of which its own is one.  So it stops, keeps
everything that is intact, and asks the others for what is not.

Only copies that another node knows to be committed are taken: those are everybody's, for ever, so any one node's word
will do.  A record that was committed here must fit between its neighbours, by the hash chain.  Beyond what is
known here to be committed this node's own records may be others than those that were.  Those give way to the copies,
with what follows them, when an intact one of them contradicts a copy: that proves that nobody ever counted on them.
Otherwise what is behind the copies stays.  A record that nobody else has committed yet is waited for.

What the others have cut off already they had committed, so that a snapshot of the primary's holds it.  Then the log
begins where the snapshot stands (`lfsql.node.rebuilding`), and keeps all that may follow it.  Until then this node
does not vote, so it breaks no promise: what it acknowledged is behind the snapshot, and still here, or in it.

Rejected: repairing while the node goes on.  Every part would have to ask at every step whether it may.  Cutting the
log here where data.db holds what is damaged: one of the records may have named the members, and nobody knows which.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import trio

from lfsql.config import NodeConfig
from lfsql.core.entry import Record
from lfsql.core.ids import Index, NodeId
from lfsql.core.log import chain_fault, position_of
from lfsql.core.log_copies import LogCopies, LogRecords
from lfsql.core.membership import Configuration, decode_configuration
from lfsql.core.requests import Answer, SnapshotHeader, SnapshotRequest
from lfsql.errors import DataCorrupted, DiskFailed, DiskFull, InvariantBroken, LfsqlError
from lfsql.net.handshake import COMMAND, Identity
from lfsql.net.link import open_link
from lfsql.node.driver import Driver
from lfsql.node.membership import first_configuration
from lfsql.node.rebuilding import begin_log_at
from lfsql.node.snapshot_fetching import SnapshotFetcher
from lfsql.node.work import Asker
from lfsql.storage import installation
from lfsql.storage.determinism import fingerprint
from lfsql.storage.functions import register
from lfsql.storage.installation import Installation
from lfsql.storage.statement_log import StatementLog

logger: Final = logging.getLogger(__name__)

_AGAIN_S: Final = 1.0
"""Nothing tells when another node is there again, or has committed more."""
_ANSWER_S_MAX: Final = 10.0
COPIES_BYTES_MAX: Final = 4 << 20
"""Of records in one answer, unless a single one is larger."""

Fetch = Callable[[NodeId, Index, Index], Awaitable[LogCopies]]
"""(node, first, last) to what it has of those records.  Raises LfsqlError when it does not answer."""


BeginAfter = Callable[[NodeId], Awaitable[None]]
"""Have this log begin after what a node has cut off, where its data stands.  Raises LfsqlError when that node cannot
help now, DiskFailed, DiskFull when this one cannot go on."""


async def repair(
    log: StatementLog, committed: Index, peers: Sequence[NodeId], fetch: Fetch, begin_after: BeginAfter
) -> bool:
    """True when no record of the log is damaged any more; False when it begins elsewhere, or will when the node does,
    and everything is to be opened again.

    `committed`: up to where this node knows its log to be committed.  Raises DataCorrupted when there is nobody to
    ask, or another node's history is another.
    """
    if not peers:
        raise DataCorrupted(
            f"log.db: {len(log.damaged)} records are damaged, the first at index {log.damaged[0]}, and there is no "
            "other node to have them from",
            hint="stop the node and run `lfsql recover`: it cuts them off when data.db holds what they did",
        )
    logger.critical(
        "log.db: %d records are damaged, the first at index %d: this node takes no part until it has them from "
        "another node",
        len(log.damaged),
        log.damaged[0],
    )
    told = ""
    while log.damaged:
        reasons: list[str] = []
        gone: list[NodeId] = []
        for peer in peers:
            taken = await _take(log, committed, peer, fetch)
            if isinstance(taken, str):
                reasons.append(taken)
            elif taken == 0:
                gone.append(peer)
            else:
                committed = max(committed, taken)
                break
        else:
            for peer in gone:
                try:
                    await begin_after(peer)
                except (DiskFailed, DiskFull, InvariantBroken):
                    raise
                except LfsqlError as error:
                    reasons.append(error.message)
                else:
                    return False
            why = "; ".join(reasons)
            if why != told:
                logger.warning("log.db: the damaged records are waited for: %s", why)
                told = why
            await trio.sleep(_AGAIN_S)
    return True


async def _take(log: StatementLog, committed: Index, peer: NodeId, fetch: Fetch) -> Index | str:
    """Put right what `peer` has: up to which record it did; 0 when `peer` has forgotten them, or why not yet."""
    first = min(log.damaged[0], committed + 1)
    last = log.last.index if log.damaged[0] > committed else _end_of_run(log, first)
    try:
        answer = await fetch(peer, first, last)
    except LfsqlError as error:
        return f"node '{peer}': {error.message}"
    if answer.base >= first:
        return 0
    copies = answer.records
    if not copies or copies[0].index != first:
        return f"node '{peer}' has not committed record {first}"
    try:
        contradiction = await _contradiction(log, copies)
        if 0 < contradiction <= committed:
            raise InvariantBroken(f"record {contradiction} is committed here and does not fit")
        if contradiction:
            await log.write(copies, truncate_from=first)
        else:
            await log.repair([copy for copy in copies if copy.index in log.damaged])  # none yet, on a long way
    except InvariantBroken as error:
        raise DataCorrupted(
            f"log.db: what node '{peer}' has committed from record {first} on does not continue this node's log",
            detail=error.message,
            hint="one of the two nodes has another history: replace the one that lfsql verify finds to be different",
        ) from error
    logger.info("log.db: records %d to %d are as node '%s' has committed them", first, copies[-1].index, peer)
    return copies[-1].index


def _end_of_run(log: StatementLog, first: Index) -> Index:
    """The last of the damaged records that follow each other from `first` on."""
    last = first
    while last + 1 in log.damaged:
        last += 1
    return last


async def _contradiction(log: StatementLog, copies: Sequence[Record]) -> Index:
    """The first intact record of this node, among those of `copies` or right after them, that is of another history;
    0 when none is."""
    for copy in copies:
        if copy.index not in log.damaged and (copy,) != await log.read(copy.index, copy.index, 1):
            return copy.index
    after = copies[-1].index + 1
    if after > log.last.index or after in log.damaged:
        return 0
    following = await log.read(after, after, 1)
    return after if chain_fault(position_of(copies[-1]), following) else 0


async def repair_over_links(
    log: StatementLog, committed: Index, applied: Index | None, config: NodeConfig, key: bytes
) -> bool:
    """`repair` with copies of the other members, each asked over a link of its own, as a command would.

    `applied`: where data.db stands; None on a witness, which has none, and begins where another's data stands.
    """
    members = (await known_configuration(config, log)).members
    addresses = {member.node: member.address for member in members if member.node != config.name}
    identity = Identity(config.cluster_id, config.name, COMMAND)
    directory = Path(config.data_dir)

    async def ask(node: NodeId, question: Callable[[int], LogRecords | SnapshotRequest]) -> Answer:
        with trio.move_on_after(_ANSWER_S_MAX):
            async with open_link(
                addresses[node],
                identity,
                key,
                expected_node=node,
                frame_bytes_max=config.limits.frame_bytes_max,
                queue_bytes_max=config.limits.link_queue_bytes_max,
            ) as link:
                return await link.request(question(link.next_request()))
        raise LfsqlError(f"no answer within {_ANSWER_S_MAX:.0f} s")

    async def fetch(node: NodeId, first: Index, last: Index) -> LogCopies:
        answer = await ask(node, lambda request: LogRecords(request, first, last))
        if not isinstance(answer, LogCopies):
            raise LfsqlError("it answered a question with something else")
        return answer

    async def begin_log_after(node: NodeId) -> None:
        answer = await ask(node, lambda request: SnapshotRequest(request, log.base.index))
        if not isinstance(answer, SnapshotHeader) or answer.fault is not None or not answer.bytes_total:
            fault = answer.fault.message if isinstance(answer, SnapshotHeader) and answer.fault else "not yet"
            raise LfsqlError(f"node '{node}' does not tell where its data stands: {fault}")
        await begin_log_at(log, answer.position, answer.configuration)

    async def begin_data_after(node: NodeId) -> None:
        at_least = max(applied or 0, log.base.index)
        async with fetcher.fetch(node, addresses[node], lambda: at_least) as header:
            plan = Installation(header.position, header.configuration)
            await trio.to_thread.run_sync(installation.begin, directory, plan)
        logger.warning(
            "the damaged records are in a snapshot at index %d of node '%s': this node begins anew with it",
            plan.position.index,
            node,
        )

    with closing(SnapshotFetcher(config, fingerprint(register), key)) as fetcher:
        begin_after = begin_log_after if applied is None else begin_data_after
        return await repair(log, committed, list(addresses), fetch, begin_after)


async def known_configuration(config: NodeConfig, log: StatementLog) -> Configuration:
    """Who belongs to the cluster, as far as this node knows from a log that may be damaged."""
    try:
        records = await log.configurations(log.last.index)
    except DataCorrupted:
        # The damage is to the very records that say who belongs; who did at the beginning is the next best.
        records = ()
    return decode_configuration(records[-1].body) if records else first_configuration(config, log)


async def answer_records(log: StatementLog, driver: Driver, asker: Asker, question: LogRecords) -> None:
    """What this node's log has, and knows to be committed, of the records that another lost.

    Raises DataCorrupted when they are damaged here, too.
    """
    last = min(question.last, driver.consensus.committed)
    records: tuple[Record, ...] = ()
    if log.base.index < question.first <= last:
        records = await log.read(question.first, last, COPIES_BYTES_MAX)
    asker.answer(LogCopies(question.request, records, log.base.index))
