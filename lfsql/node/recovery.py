"""Going on after a majority was lost for good: what is left of a cluster decides alone, and may lack what was
acknowledged.

Consensus cannot do this by itself, and must not: to it, a majority that is gone for good looks like one that is cut
off and works.  Only a person can know that the others will never come back.  So the node must be stopped, the first
call only says what would be lost, and the second must repeat a code that the first one gave; the code holds for the
log as it is.

What is written: one record after the log's end, in a new term, that names this node as the only member.  Started
again, the node elects itself and commits all that it has: records that were committed, and records of which it
cannot know, whose clients were perhaps told that their fate was unknown.  What it never received is lost.  A file
beside the log keeps what was decided, and on what grounds.

Alone, a node has nobody to be put right by.  So first its data.db is read to its end, and must stand at a record
that log.db goes on from.  Damaged records that data.db holds in effect are cut off: nobody will ask for them.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec
import trio

from lfsql.config import NodeConfig
from lfsql.core.effects import HardState
from lfsql.core.entry import CONFIGURATION
from lfsql.core.ids import Index, NodeId, Position, Term
from lfsql.core.log import extend
from lfsql.core.membership import VOTER, Configuration, Member, encode_configuration
from lfsql.errors import ConfigError, DataCorrupted, OrderRefused
from lfsql.node.carrying import decode_state, encode_state
from lfsql.node.directory import DirectoryIdentity, data_directory
from lfsql.node.log_repair import known_configuration
from lfsql.node.rebuilding import begin_log_at
from lfsql.storage import installation
from lfsql.storage.directory_check import position_of_sound
from lfsql.storage.quarantine import quarantined
from lfsql.storage.statement_log import StatementLog
from lfsql.storage.wal_sync import sync_commits

_MOVED_AWAY: Final = (
    "If none is, move data.db, data.db-wal, data.db-shm and quarantined away: the data is made again from log.db, "
    "when that has everything."
)
_CODE_BYTES: Final = 4


class Recovery(msgspec.Struct, frozen=True):
    """What a recovery would do, or did.  `known_committed`: up to here a majority is known to have held the log.

    Records from there to `kept` are here, and were perhaps never acknowledged; after `kept` this node has nothing,
    and whatever was acknowledged there is lost.  `code` confirms it.
    """

    node: NodeId
    members: tuple[NodeId, ...]
    term: Term
    known_committed: Index
    kept: Index
    code: str
    forgotten: Index = 0
    """Records up to here are cut off, as some of them are damaged; data.db holds what they did."""


async def plan_recovery(config: NodeConfig) -> Recovery:
    """What `recover` would do, changing nothing.  Raises as that does."""
    with data_directory(config.data_dir, _whose(config)) as directory:
        applied = await _look_at_data(directory)
        async with StatementLog(directory / "log.db") as log:
            return (await _plan(config, log, applied))[0]


async def recover(config: NodeConfig, code: str) -> tuple[Recovery, Path]:
    """Make the node the only member of its cluster; what was done, and the file that keeps it.

    Raises DirectoryInUse while the node runs, OrderRefused when it is of no use or the code is another's,
    DataCorrupted.
    """
    with data_directory(config.data_dir, _whose(config)) as directory:
        applied = await _look_at_data(directory)
        async with StatementLog(directory / "log.db") as log:
            plan, alone = await _plan(config, log, applied)
            if code != plan.code:
                raise OrderRefused(
                    f"'{code}' does not confirm this: the log has changed, or it is another node's",
                    hint="look at what would be lost again, without --confirm",
                )
            # First the file: a recovery that nobody can read about afterwards must not happen.
            kept = _keep(directory, plan)
            if plan.forgotten:
                await trio.to_thread.run_sync(sync_commits, directory / "data.db")
                await begin_log_at(log, applied, encode_configuration(alone))
            record = extend(log.last, plan.term, ((CONFIGURATION, encode_configuration(alone)),))
            await log.write(record, hard_state=encode_state(HardState(plan.term, config.name, plan.known_committed)))
            return plan, kept


async def _look_at_data(directory: Path) -> Position:
    """Where data.db stands, which is sound; nowhere when there is none.  Raises OrderRefused when it is of no use."""
    if installation.is_begun(directory):
        raise OrderRefused(
            f"a snapshot was being put in place in {directory}, and its log does not fit it yet",
            hint="start the node once: it finishes that alone, before it needs anybody",
        )
    if reason := quarantined(directory):
        raise OrderRefused(
            f"the data in {directory} is known to differ from what the other nodes had: {reason}",
            hint=f"take another node that is left.  {_MOVED_AWAY}",
        )
    database = directory / "data.db"
    if not database.exists():
        return Position()
    try:
        return await trio.to_thread.run_sync(position_of_sound, database)
    except DataCorrupted as error:
        raise OrderRefused(
            f"{database} is damaged: {error.message}",
            detail=error.detail,
            hint=f"take another node that is left.  {_MOVED_AWAY}",
        ) from error


async def _check_log(log: StatementLog, applied: Position) -> None:
    """Raises OrderRefused when data.db, which stands at `applied`, and the log cannot go on together."""
    while await log.verify():
        pass
    base, last = log.base.index, log.last.index
    if applied.index < base:
        stands = f"data.db stands at index {applied.index}" if applied.index else "there is no data.db"
        raise OrderRefused(
            f"{stands}, and log.db begins after record {base}: what is between is not here",
            hint="take another node that is left, or give this one the data.db of a stopped node that stands at "
            f"index {base} to {last}, with its data.db-wal",
        )
    if lost := [index for index in log.damaged if index > applied.index]:
        raise OrderRefused(
            f"log.db: {len(lost)} records that are not in data.db are damaged, the first at index {lost[0]}",
            hint="take another node that is left; or carry what data.db holds, all up to index "
            f"{applied.index}, to a new cluster",
        )
    fits = applied.index <= last
    if fits and applied.index not in log.damaged:
        fits = await log.position(applied.index) == applied
    if not fits:
        raise OrderRefused(
            f"data.db stands at index {applied.index}, at another record than log.db has, which ends at {last}",
            hint="the two files are not from the same node and time: take another node that is left",
        )


async def _plan(config: NodeConfig, log: StatementLog, applied: Position) -> tuple[Recovery, Configuration]:
    await _check_log(log, applied)
    current = await known_configuration(config, log)
    own = current.member(config.name)
    if own is None or not own.has_data:
        raise OrderRefused(
            f"node '{config.name}' cannot go on alone: it is {'a witness, without data' if own else 'no member'}"
        )
    if current.electors == (config.name,) and not log.damaged:
        raise OrderRefused(f"node '{config.name}' decides alone already: start it")
    state = decode_state(log.hard_state)
    alone = Configuration((Member(config.name, VOTER, own.priority, own.address),))
    end = applied if log.last.index in log.damaged else log.last
    digest = blake2b(f"{log.incarnation} {end.index} {state.term}".encode() + end.hash, digest_size=_CODE_BYTES)
    plan = Recovery(
        node=config.name,
        members=tuple(member.node for member in current.members),
        term=max(state.term, end.term) + 1,
        known_committed=max(min(state.commit, end.index), log.base.index, applied.index),
        kept=end.index,
        code=digest.hexdigest(),
        forgotten=applied.index if log.damaged else 0,
    )
    return plan, alone


def _keep(directory: Path, plan: Recovery) -> Path:
    at = datetime.now(UTC)
    path = directory / f"recovered-{at:%Y%m%dT%H%M%SZ}.json"
    document = {
        "at": at.isoformat(timespec="seconds"),
        **msgspec.to_builtins(plan),
        "may_be_lost": lost_in_words(plan),
    }
    try:
        with path.open("xb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
    return path


def lost_in_words(plan: Recovery) -> str:
    """What may be lost, for whoever has to decide."""
    unsure = plan.kept - plan.known_committed
    return (
        f"everything acknowledged after log index {plan.kept}: this node has nothing of it, and cannot know how much "
        "there is. "
        f"Of the last {unsure} records here (after {plan.known_committed}) it does not know whether they were "
        "acknowledged; they are kept."
    )


def _whose(config: NodeConfig) -> DirectoryIdentity:
    return DirectoryIdentity(config.cluster_id, config.name, config.members)
